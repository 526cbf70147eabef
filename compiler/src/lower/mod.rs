//! One IR to the next: the only module that sees two of them.
//!
//! | function               | from → to                                            |
//! |------------------------|------------------------------------------------------|
//! | [`interface::of`]      | `model::Model` → what a runtime sees of the program   |
//! | [`to_tir`]             | `model::Model` → `tir::Func`s, for one batch size     |
//! | [`to_lir::lower`]      | optimised `tir::Func`s → `lir::Module`                |

pub mod interface;
pub mod to_lir;
pub mod to_tir;
