//! Turned matrices on every instruction set of this machine against the definition.

use proptest::prelude::*;
use spnc_runtime::kernels::Isa;
use spnc_runtime::kernels::turn::{TurnShape, turn};

use crate::support::{Call, Tensor, same_bits};

proptest! {
    #[test]
    fn rows_become_columns(
        rows in 0usize..70,
        middle in prop_oneof![Just(1), 1usize..40],
        columns in 1usize..70,
        margin in 0usize..20,
        cuts in 1i32..1000,
    ) {
        let shape = TurnShape { rows, middle, columns };
        let a = Tensor::random(0, margin, shape.len());
        let turned = |at: usize| {
            let [row, between, column] = [at % rows, at / rows % middle, at / rows / middle];
            a.content()[(row * middle + between) * columns + column]
        };
        let expected: Vec<f32> = (0..shape.len()).map(turned).collect();
        let to = Tensor::new(margin, &vec![f32::NAN; shape.len()]);
        let call = Call { a, b: Tensor::new(0, &[]), to, work: Tensor::new(0, &[]) };
        for (isa, cuts) in Isa::available().into_iter().flat_map(|isa| [(isa, 0), (isa, cuts)]) {
            let mut call = call.clone();
            call.run(turn(isa), &shape, shape.extent(), cuts);
            prop_assert!(same_bits(call.to.content(), &expected), "{isa:?} {:?}", call.to.content());
        }
    }
}
