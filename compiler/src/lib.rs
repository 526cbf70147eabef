//! `spnc` compiles `.spnet`, a declarative language for sparse neural networks, to machine code that trains.

pub mod ad;
pub mod cli;
pub mod codegen;
pub mod diag;
pub mod elaborate;
pub mod exec;
pub mod lir;
pub mod lower;
pub mod model;
pub mod pass;
pub mod plot;
pub mod resolve;
pub mod scalar;
pub mod shrink;
pub mod syntax;
pub mod tir;
pub mod window;
