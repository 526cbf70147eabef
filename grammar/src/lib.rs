//! The syntax of `.spnet`: the parser that pest makes of `spnet.pest`, which has one rule for each form.
//!
//! It is a crate of its own because it changes seldom and takes long to compile.
#![expect(missing_docs, reason = "the rules that pest makes an enum of are documented in the grammar")]

/// Says what text is of which rule.
#[derive(pest_derive::Parser)]
#[grammar = "spnet.pest"]
pub struct Grammar;
