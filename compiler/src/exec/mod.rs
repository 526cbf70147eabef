//! Programs that run: the two implementations of [`spnc_runtime::program::Program`].
//!
//! | type            | runs                              | numbers |
//! |-----------------|-----------------------------------|---------|
//! | [`Compiled`]    | machine code, on a pool of threads | `f32`  |
//! | [`Interpreted`] | the reference interpreter          | `f64`  |
//!
//! Machine code comes in forms ([`Forms`]): a step may be narrowed to the channels, neurons and hidden units that are alive, or work on
//! compressed matrices.
//!
//! Both are made from the same optimised functions ([`Built`]). Start values and the closing arithmetic of reports come from the
//! interpreter in either case ([`host`]), so two evaluators differ in the steps and in nothing else.

mod batch;
mod blame;
pub mod break_even;
mod build;
mod compiled;
mod compressed;
mod fields;
mod forms;
mod host;
mod in_order;
mod inference;
mod interpreted;
mod machine;
mod network;
mod once;

pub use build::{BatchSizes, Built, Step, optimise, optimised};
pub use compiled::Compiled;
pub use forms::{Forms, Seen, SpecialForm, tensors_with_zeros};
pub use host::{scalars, short_seed};
pub use inference::Inference;
pub use interpreted::Interpreted;
pub use machine::schedule;
pub use network::{COUNTED, Network, count_recurrences};
pub use once::{Callable, run_compiled};
