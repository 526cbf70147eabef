//! Windows, rows of tables, and what is put together from parts.

use super::{check_text, steps};
use crate::lir::Call;

#[test]
fn convolutions_of_every_role_are_routines() {
    for (window, input, output, groups) in [
        ("[3, 3] pad [1, 1] [1, 1]", [8, 7], [8, 7], 1),
        ("[3, 3] stride [2, 2] pad [1, 1] [1, 1]", [8, 8], [4, 4], 2),
        ("[2, 3] stride [1, 2] dilation [2, 1]", [5, 9], [3, 4], 4),
        ("[1, 1]", [5, 1], [5, 1], 1),
        ("[5, 5] pad [2, 2] [2, 2]", [3, 3], [3, 3], 1),
    ] {
        let [h, w] = input;
        let [p, q] = output;
        let size = &window[1..5];
        let module = check_text(&format!(
            "%0 = param x : f32[3, {h}, {w}, 4]
             %1 = param w : f32[{size}, {}, 8]
             %2 = param g : f32[3, {p}, {q}, 8]
             %3 = conv %0, %1, window {window}, groups {groups} : f32[3, {p}, {q}, 8]
             %4 = conv_by_input %2, %1, window {window}, groups {groups} : f32[3, {h}, {w}, 4]
             %5 = conv_by_weight %0, %2, window {window}, groups {groups} : f32[{size}, {}, 8]
             return y = %3
             return dx = %4
             return dw = %5",
            4 / groups,
            4 / groups
        ));
        assert_eq!(steps(&module), (0, 0));
    }
}

#[test]
fn pooling_is_a_routine() {
    for (window, output) in [
        ("[2, 2] stride [2, 2]", [4, 3]),
        ("[3, 3] stride [2, 2] pad [1, 1] [1, 1]", [4, 4]),
        ("[2, 3] dilation [2, 1]", [6, 5]),
    ] {
        let [p, q] = output;
        let _module = check_text(&format!(
            "%0 = param x : f32[2, 8, 7, 3]
             %1 = param g : f32[2, {p}, {q}, 3]
             %2 = pool_max %0, window {window} : f32[2, {p}, {q}, 3]
             %3 = pool_sum %0, window {window} : f32[2, {p}, {q}, 3]
             %4 = unpool_max %0, %1, window {window} : f32[2, 8, 7, 3]
             %5 = unpool %1, window {window} : f32[2, 8, 7, 3]
             return max = %2
             return sum = %3
             return dx = %4
             return spread = %5",
        ));
    }
}

#[test]
fn rows_running_sums_and_the_largest_are_routines() {
    let _module = check_text(
        "%0 = param t : f32[2, 4, 3]
         %1 = param i : i32[2, 5, 2]
         %2 = param v : f32[2, 5, 2, 3]
         %3 = param x : f32[3, 7, 2]
         %4 = gather %0, %1, batch 1 : f32[2, 5, 2, 3]
         %5 = scatter %2, %1, batch 1 : f32[2, 4, 3]
         %6 = cumsum %3, axis 1 : f32[3, 7, 2]
         %7 = cumsum %3, axis 0, reverse : f32[3, 7, 2]
         %8 = param z : f32[6, 9]
         %9 = top_k %8, 4 : bool[6, 9]
         return rows = %4
         return sums = %5
         return forth = %6
         return back = %7
         return top = %9",
    );
}

#[test]
fn a_slice_is_loaded_where_it_is_used() {
    let module = check_text(
        "%0 = param x : f32[10, 12]
         %1 = slice %0, start [1, 2], step [3, 2] : f32[3, 5]
         %2 = slice %0, start [0, 0], step [1, 1] : f32[3, 5]
         %3 = mul %1, %2 : f32[3, 5]
         return y = %3",
    );
    assert_eq!(steps(&module), (1, 0));
}

#[test]
fn a_step_of_a_sequence_goes_into_a_product_as_it_is() {
    let module = check_text(
        "%0 = param x : f32[20, 7, 30]
         %1 = param w : f32[30, 40]
         %2 = slice %0, start [0, 3, 0], step [1, 1, 1] : f32[20, 1, 30]
         %3 = reshape %2 : f32[20, 30]
         %4 = contract ij,jk->ik %3, %1 : f32[20, 40]
         return y = %4",
    );
    assert_eq!(steps(&module), (0, 1));
}

#[test]
fn a_part_of_the_outermost_axis_goes_into_a_routine_as_it_is() {
    let module = check_text(
        "%0 = param x : i32[7, 20]
         %1 = param t : f32[4, 3]
         %2 = slice %0, start [3, 0], step [1, 1] : i32[1, 20]
         %3 = reshape %2 : i32[20]
         %4 = gather %1, %3, batch 0 : f32[20, 3]
         return y = %4",
    );
    assert!(matches!(module.funcs[0].steps[0].calls[..], [Call::Routine(_)]));
}

#[test]
fn parts_are_computed_where_they_belong() {
    let module = check_text(
        "%0 = param x : f32[6, 5]
         %1 = param y : f32[6, 2]
         %2 = exp %0 : f32[6, 5]
         %3 = concat %2, %1, %2, axis 1 : f32[6, 12]
         %4 = concat %0, %0, axis 0 : f32[12, 5]
         return wide = %3
         return tall = %4",
    );
    assert_eq!(steps(&module), (4, 0), "what reads the same shares a nest, but two parts of one value do not");
}

#[test]
fn an_input_can_become_itself_moved_on() {
    let _module = check_text(
        "%0 = param h : f32[6, 5]
         %1 = param x : f32[1, 5]
         %2 = slice %0, start [1, 0], step [1, 1] : f32[5, 5]
         %3 = concat %2, %1, axis 0 : f32[6, 5]
         %4 = reduce_sum %0, [0, 1] : f32[]
         return h = %3
         return old = %4",
    );
}

#[test]
fn padding_fills_what_is_around_and_between() {
    for (lo, hi, gap, shape) in [
        ("[1, 0, 2]", "[0, 3, 1]", "[0, 0, 0]", "[4, 7, 8]"),
        ("[0, 0, 0]", "[0, 0, 0]", "[1, 2, 0]", "[5, 10, 5]"),
        ("[1, 0, 0]", "[0, 1, 0]", "[0, 1, 3]", "[4, 8, 17]"),
        ("[0, 0, 0]", "[0, 0, 0]", "[0, 0, 0]", "[3, 4, 5]"),
    ] {
        let _module = check_text(&format!(
            "%0 = param x : f32[3, 4, 5]
             %1 = exp %0 : f32[3, 4, 5]
             %2 = pad %1, value -1.5, lo {lo}, hi {hi}, gap {gap} : f32{shape}
             %3 = reduce_sum %2, [1] : f32[{}, {}]
             return y = %2
             return sums = %3",
            shape[1..].split(", ").next().unwrap_or_default(),
            shape[1..shape.len() - 1].split(", ").nth(2).unwrap_or_default(),
        ));
    }
}

#[test]
fn what_is_padded_can_be_sliced_and_padded_again() {
    let _module = check_text(
        "%0 = param x : f32[6, 5]
         %1 = pad %0, value 0.0, lo [1, 1], hi [1, 1], gap [0, 0] : f32[8, 7]
         %2 = slice %1, start [0, 2], step [1, 1] : f32[6, 5]
         %3 = mul %2, %0 : f32[6, 5]
         %4 = pad %3, value 2.0, lo [0, 1], hi [2, 0], gap [0, 0] : f32[8, 6]
         %5 = slice %4, start [1, 1], step [2, 1] : f32[3, 4]
         return y = %5
         return z = %3",
    );
}

#[test]
fn the_statistics_of_a_batch_take_one_walk_through_its_images() {
    let module = check_text(
        "%0 = param x : f32[8, 9, 9, 8]
         %1 = const 0.0015432098765432098 : f32[8]
         %2 = reduce_sum %0, [0, 1, 2] : f32[8]
         %3 = mul %2, %1 : f32[8]
         %4 = broadcast %3, [3] : f32[8, 9, 9, 8]
         %5 = sub %0, %4 : f32[8, 9, 9, 8]
         %6 = mul %5, %5 : f32[8, 9, 9, 8]
         %7 = reduce_sum %6, [0, 1, 2] : f32[8]
         %8 = mul %7, %1 : f32[8]
         return mean = %3
         return variance = %8",
    );
    let walks = |kernel: &&crate::lir::Kernel| kernel.rows == [8, 8];
    assert_eq!(module.kernels.iter().filter(walks).count(), 1);
    assert_eq!(steps(&module), (2, 0));
}
