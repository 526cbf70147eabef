//! Text to [`ast::File`], and back.
//!
//! [`mod@parse`] never fails: it gives the declarations that it could read and one diagnostic for each that it could
//! not. `grammar/spnet.pest` says what the forms look like; here they become a tree.
//!
//! | file         | does                                                                      |
//! |--------------|---------------------------------------------------------------------------|
//! | `depth`      | refuses text that is nested too deeply, before anything recurses over it   |
//! | `parse`      | goes from declaration to declaration, and on after a mistake               |
//! | `build`      | grammar pairs to AST: declarations, plans, blocks, types                   |
//! | `build_expr` | grammar pairs to AST: expressions                                          |
//! | `precedence` | operands and operators in a row to a tree                                  |
//! | `message`    | diagnostics out of the grammar's errors                                   |
//! | `expectation`| what the grammar expected, in words                                       |
//! | `hints`      | ways out: near misses, habits of other languages                          |
//! | `token`      | what stands around an error                                               |
//! | `print`      | AST to text that parses to the same AST                                    |

pub mod ast;
#[expect(clippy::wildcard_enum_match_arm, reason = "the rules are pest's, and each place knows a few of them")]
mod build;
#[expect(clippy::wildcard_enum_match_arm, reason = "the rules are pest's, and each place knows a few of them")]
mod build_expr;
mod depth;
#[expect(clippy::wildcard_enum_match_arm, reason = "the rules are pest's, and each place knows a few of them")]
mod expectation;
mod hints;
mod message;
mod parse;
mod precedence;
mod print;
mod token;

pub use parse::{decode, parse, parse_expr};
pub use print::print;

#[cfg(test)]
#[expect(clippy::wildcard_enum_match_arm, reason = "only the operators matter to a test of precedence")]
mod tests;
