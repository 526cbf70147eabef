//! The words the compiler knows. Everything else is library text.

use super::hir::Builtin;

/// The primitive functions.
#[rustfmt::skip]
pub const PRIMITIVES: [&str; 50] = [
    // Elementwise.
    "exp", "log", "sqrt", "abs", "sign", "erf", "erfinv", "tanh", "sigmoid", "sin", "cos", "floor", "ceil", "where", "clamp", "float", "int",
    // Elementwise for two tensors, else reductions.
    "min", "max",
    // Reductions.
    "sum", "mean", "var", "std", "argmax", "quantile",
    // Products, shapes, indices.
    "matmul", "reshape", "transpose", "one_hot", "full_like", "full",
    // Windows over images.
    "conv2d", "conv_transpose2d", "max_pool", "avg_pool",
    // Parts of tensors, rows of tables, orders.
    "concat", "slice", "pad", "gather", "top_k", "cumsum", "positions", "size",
    // Draws.
    "uniform", "normal", "bernoulli",
    // Numbers from files.
    "load",
    // Conditions on arguments.
    "require",
    // Layers in a row, and one layer over a sequence.
    "chain", "scan",
];

/// The word's meaning, if it has one.
pub fn builtin(word: &str) -> Option<Builtin> {
    match word {
        "training" => Some(Builtin::Training),
        "step" => Some(Builtin::Step),
        "epoch" => Some(Builtin::Epoch),
        "progress" => Some(Builtin::Progress),
        _ => PRIMITIVES.into_iter().find(|prim| *prim == word).map(Builtin::Prim),
    }
}

/// Every word with a meaning.
pub fn words() -> impl Iterator<Item = &'static str> {
    PRIMITIVES.into_iter().chain(["training", "step", "epoch", "progress"])
}
