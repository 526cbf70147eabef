//! The verifier finds each kind of damage, the reader says where text is wrong, and the interpreter does what a kernel says.

use super::{interp::Arena, parse, print, verify};

/// Sums the rows of a matrix and scales them by a fold of their largest elements; then a product.
const VALID: &str = r#"arena 640
buffer @0 lasting "w" f32 x 8 at 0
buffer @1 input "x" f32 x 8 at 64
buffer @2 output "sums" f32 x 2 at 128
buffer @3 output "square" f32 x 4 at 192
buffer @4 scratch "%4" f32 x 8 at 256
buffer @5 scratch "%5" f32 x 8 at 320

kernel k0(p0: f32, p1: f32, p2: f32) rows [2] lanes inner {
  each [4] {
    %0: f32 = load p0 [4, 1]
    %1: f32 = fold max %0
  }
  each [4] {
    %2: f32 = load p0 [4, 1]
    %3: f32 = mul %2 %1
    %4: f32 = fold sum %3
    store p1 [4, 1] %3
  }
  each [] {
    store p2 [1] %4
  }
}

kernel k1(p0: f32, p1: f32) rows [8] lanes rows {
  each [] {
    %0: f32 = load p0 [1]
    %1: f32 = load p1 [1]
    %2: f32 = add %0 %1
    store p0 [1] %2
  }
}

func "f" in [@1] out [@2, @3] {
  step 2 {
    run k0(@1, @4, @2) chunk 1
  }
  step 1 {
    run k1(@0, @4) chunk 16
  }
  step 1 {
    gemm 2 2 4 x 1 @3[0, 2, 1] = @0[0, 4, 1] @4[0, 1, 4] cut rows chunk 2
  }
}
"#;

/// The same product as the sum of those with the first and the last two numbers of each row and column.
fn with_terms() -> String {
    VALID.replacen("gemm 2 2 4 x 1 @3[0, 2, 1] = @0", "gemm 2 2 2 x 1 @3[0, 2, 1] = sum 2[2, 2] @0", 1)
}

#[test]
fn the_text_reads_back() {
    for text in [VALID, &with_terms()] {
        let module = parse(text).expect("valid text");
        assert_eq!(print(&module), text);
        assert_eq!(verify(&module), Ok(()));
    }
    let beyond = with_terms().replacen("sum 2[2, 2]", "sum 2[2, 3]", 1);
    let errors = verify(&parse(&beyond).expect("readable text")).expect_err("the last term is outside");
    assert!(errors[0].ends_with("element 8 of @4 is beyond its 8"), "{errors:?}");
}

#[test]
fn the_interpreter_does_what_is_written() {
    for text in [VALID, &with_terms()] {
        let module = parse(text).expect("valid text");
        let mut arena = Arena::new(&module);
        let func = &module.funcs[0];
        let [w, x] = [module.lasting("w"), module.input(func, "x")].map(|id| id.expect("a buffer"));
        arena.write(&module, w, [1.0; 8]);
        arena.write(&module, x, (1..9).map(f64::from));
        arena.run(&module, func);
        let output = |name| arena.read(&module, module.output(func, name).expect("an output"));
        assert_eq!(output("sums"), [40.0, 208.0]);
        assert_eq!(arena.read(&module, w), [5.0, 9.0, 13.0, 17.0, 41.0, 49.0, 57.0, 65.0]);
        assert_eq!(output("square"), [520.0, 2448.0, 2280.0, 11344.0]);
    }
}

#[test]
fn damage_is_found() {
    let cases = [
        ("f32 x 8 at 64\n", "f32 x 8 at 68\n", "@1 is not aligned"),
        ("arena 640", "arena 320", "@5 is not inside the arena"),
        ("input \"x\" f32 x 8 at 64", "input \"x\" f32 x 8 at 0", "tensors with a name overlap"),
        ("%4\" f32 x 8 at 256", "%4\" f32 x 8 at 192", "scratch overlaps with a tensor that has a name"),
        ("run k0(@1, @4, @2) chunk 1", "run k0(@1, @5, @2) chunk 1", "ok"),
        ("run k0(@1, @4, @2) chunk 1", "run k0(@1, @4, @2+1) chunk 1", "element 2 of @2 is beyond its 2"),
        ("run k0(@1, @4, @2) chunk 1", "run k0(@1, @1, @2) chunk 1", "p1 is stored to and overlaps"),
        ("step 2 {", "step 1 {", "2 positions by 1 are not 1 slices"),
        ("chunk 16", "chunk 4", "8 positions by 4 are not 1 slices"),
        ("%3: f32 = mul %2 %1", "%3: f32 = mul %2 %0", "%0 varies within the row"),
        ("%3: f32 = mul %2 %1", "%3: f32 = mul %2 %4", "%4 comes later"),
        ("store p1 [4, 1] %3", "store p1 [4, 1] %4", "store p1: type"),
        ("store p1 [4, 1] %3", "store p1 [4, 0] %3", "p1 has an element twice"),
        ("store p0 [1] %2", "store p0 [1] %0", "ok"),
        ("%1: f32 = load p1 [1]", "%1: f32 = load p0 [0]", "p0 is reached in two ways"),
        ("%2: f32 = add %0 %1", "%2: bool = add %0 %1", "has the wrong type or strides"),
        ("%2: f32 = add %0 %1", "%2: i32 = index 0", "store p0: type"),
        ("@3[0, 2, 1] = @0", "@3[0, 1, 1] = @0", "the product has an element twice"),
        ("@3[0, 2, 1] = @0", "@0[0, 2, 1] = @0", "a product overlaps with its factor"),
        ("gemm 2 2 4", "gemm 2 3 4", "is beyond its"),
    ];
    for (from, to, expected) in cases {
        assert!(VALID.contains(from), "{from}");
        let module = parse(&VALID.replacen(from, to, 1)).expect("readable text");
        let found = verify(&module).err().unwrap_or_default().join("\n");
        assert!(found.contains(expected) || found.is_empty() && expected == "ok", "{to}: {found}");
    }
}

#[test]
fn slices_of_joined_calls_must_be_apart() {
    let joined = VALID.replace("    run k0(@1, @4, @2) chunk 1\n  }\n  step 1 {\n", "    run k0(@1, @4, @2) chunk 1\n");
    assert_eq!(verify(&parse(&joined).expect("readable text")).err().map(|errors| errors.len()), Some(1));
}

/// The update of the weights beside the product of others: two calls of one slice each.
#[test]
fn calls_beside_one_another_start_at_slices_of_their_own() {
    let square = "gemm 2 2 4 x 1 @3[0, 2, 1] = @5[0, 4, 1] @4[0, 1, 4] cut rows chunk 2";
    let apart = VALID.replace("  step 1 {\n    run k1", "  step 2 {\n    run k1");
    let beside = |first: &str| {
        let from = apart.find("  }\n  step 1 {\n    gemm").expect("two steps");
        format!("{}    {first} at 1 of \"square\"\n  }}\n}}\n", &apart[..from])
    };
    let text = beside(square);
    let module = parse(&text).expect("readable text");
    assert_eq!((print(&module), verify(&module)), (text, Ok(())));
    let step = &module.funcs[0].steps[1];
    let positions = |call, slice| step.positions(&module, call, slice).len();
    assert_eq!([positions(0, 0), positions(0, 1), positions(1, 0), positions(1, 1)], [8, 0, 0, 2]);
    let cases = [
        (square.replace("@5[", "@0["), "slices may touch the same element"),
        (square.replace("chunk 2", "chunk 1"), "2 positions by 1 are not 1 slices"),
    ];
    for (call, expected) in cases {
        let errors = verify(&parse(&beside(&call)).expect("readable text")).expect_err("damage");
        assert!(errors[0].ends_with(expected), "{errors:?}");
    }
}

#[test]
fn unreadable_text_is_told_with_its_line() {
    let error = |from: &str, to: &str| parse(&VALID.replacen(from, to, 1)).expect_err("unreadable");
    assert_eq!(error("lanes inner", "lanes outer"), "line 9: expected `rows` or `inner`, found `outer`");
    assert_eq!(error("fold max", "fold mean"), "line 12: expected a fold, found `mean`");
    assert_eq!(error("chunk 2\n  }\n}\n", ""), "expected `chunk`, found the end");
}
