//! Passes: rewrites of a [`Func`] that keep its meaning.
//!
//! What keeping the meaning allows: the last digits of a result may round otherwise (a sum is factored, two
//! constants are multiplied first); which elements are exactly zero, and which are finite, stays, as long as no
//! sum or product of finite numbers overflows.

pub mod absorb;
pub mod compress;
pub mod contract;
mod cse;
pub mod dce;
mod drop_surrogates;
mod facts;
mod fold;
pub mod fuse;
pub mod hoist;
pub mod narrow;
mod rewrite;
mod simplify;
mod sink_transposes;

use crate::tir::{Func, verify};

/// A rewrite of a function that keeps its meaning.
#[derive(Clone, Copy, Debug)]
pub struct Pass {
    /// Lower-case and hyphenated; `spnc emit --stage opt@<name>` stops behind it.
    pub name: &'static str,
    /// One line for `spnc opt --help`.
    pub about: &'static str,
    /// The rewrite.
    pub run: fn(&mut Func),
}

const CONTRACT: Pass = Pass {
    name: "contract",
    about: "make contractions of sums of products, and make contractions with repeated operands smaller",
    run: contract::run,
};
const CSE: Pass = Pass { name: "cse", about: "compute equal definitions once", run: cse::run };
const DCE: Pass = Pass { name: "dce", about: "drop definitions that no result needs", run: dce::run };
const DROP_SURROGATES: Pass =
    Pass { name: "drop-surrogates", about: "keep of `with_gradient` only the value", run: drop_surrogates::run };
const FOLD: Pass = Pass { name: "fold", about: "compute what is constant", run: fold::run };
const SIMPLIFY: Pass = Pass {
    name: "simplify",
    about: "apply the laws of algebra, and do work before it is repeated along new axes",
    run: simplify::run,
};
const SINK_TRANSPOSES: Pass = Pass {
    name: "sink-transposes",
    about: "move transposes and reshapes toward the results until pairs of them cancel",
    run: sink_transposes::run,
};

/// The passes that may run before differentiation, where an intermediate value can be differentiated by.
pub const BEFORE_GRAD: &[Pass] = &[
    // Afterwards the derivative of a contraction is two contractions; of a product and a sum it would be products
    // as large as the one that the contraction avoids.
    CONTRACT,
];

/// Every pass after differentiation, in order. The order is part of the design.
pub const O1: &[Pass] = &[
    // Differentiation is done: the surrogates have done their work.
    DROP_SURROGATES,
    // Differentiation leaves constants and cotangents that nobody uses; the passes below look at how often a value is used.
    DCE,
    // Two values that are one make more laws apply.
    CSE,
    // Constants first, so that the laws see numbers.
    FOLD,
    SIMPLIFY,
    // Behind the laws, which strip operands to what really varies.
    CONTRACT,
    // Behind `contract`, because a contraction swallows the transposes around it.
    SINK_TRANSPOSES,
    // What has met now cancels.
    DCE,
    FOLD,
    SIMPLIFY,
    CSE,
    DCE,
];

/// What is done to a network whose operations are counted: its products stay those of the program.
pub const COUNTED: &[Pass] = &[DROP_SURROGATES, DCE];

/// Every pass there is, once.
pub const ALL: &[Pass] = &[CONTRACT, CSE, DCE, DROP_SURROGATES, FOLD, SIMPLIFY, SINK_TRANSPOSES];

/// The pass with this name.
pub fn named(name: &str) -> Option<&'static Pass> {
    ALL.iter().find(|pass| pass.name == name)
}

/// Runs `passes` over `func`, verifying after each one in debug builds and showing each result to `observe`.
///
/// # Panics
///
/// In debug builds, if a pass breaks an invariant of the IR.
pub fn run(func: &mut Func, passes: &[Pass], mut observe: impl FnMut(&Pass, &Func)) {
    for pass in passes {
        (pass.run)(func);
        if cfg!(debug_assertions)
            && let Err(errors) = verify::verify(func)
        {
            panic!("pass `{}` broke the IR: {errors:?}\n{func}", pass.name);
        }
        observe(pass, func);
    }
}
