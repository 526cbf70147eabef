//! `ast::File`s to [`hir::Program`]: names, imports, the library.
//!
//! Names are looked up from the inside out: what the definition binds, then what its file defines or imports, then the
//! prelude, then the words the compiler knows. No module is special: a renamed copy of a library file resolves alike.
//!
//! | file       | does                                                                  |
//! |------------|-----------------------------------------------------------------------|
//! | `library`  | the text of `std`, and which modules need no `use`                      |
//! | `modules`  | loads modules, binds their names, refuses imports that go in circles    |
//! | `builtins` | the words the compiler knows                                            |
//! | `lookup`   | a name to what it means, or to the likeliest thing that was meant       |
//! | `define`   | definitions and declarations                                            |
//! | `plan`     | training plans, starts from files                                       |
//! | `block`    | signatures, axes, bindings                                              |
//! | `expr`     | expressions; pipes become calls                                         |
//! | `sets`     | `--set NAME=VALUE`                                                      |
//! | `cycles`   | definitions that need themselves                                        |
//! | `errors`   | everything this stage can object to, in words                           |
//! | `print`    | HIR to text                                                             |

mod block;
pub mod builtins;
mod cycles;
mod define;
mod errors;
mod expr;
pub mod hir;
pub mod library;
mod lookup;
mod modules;
mod plan;
mod print;
mod sets;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use indexmap::IndexSet;

use self::errors::NameError;
use self::modules::{ItemId, Module};
use crate::diag::{Diagnostic, Sources, Span};
use crate::syntax::ast;

pub use library::{LIBRARY, PRELUDE};
pub use print::print;

/// Gives the text of a module of the user: `foo/bar.spnet`, relative to the main file, to its text or to what is wrong.
pub type ReadModule<'a> = &'a mut dyn FnMut(&str) -> Result<String, String>;

/// Resolves a program: its main file, the modules it imports, and the values of `--set`.
///
/// Texts of modules and of `--set` values are added to `sources`, so that diagnostics can point into them.
///
/// # Errors
///
/// Every mistake found, those of syntax in imported modules included.
pub fn resolve(
    main: &ast::File,
    sources: &mut Sources,
    read: ReadModule,
    sets: &[(String, String)],
) -> Result<hir::Program, Vec<Diagnostic>> {
    let mut resolver = Resolver::new(sources, read);
    resolver.load_prelude();
    resolver.load_main(main);
    let values = resolver.parse_sets(sets);
    let program = resolver.program(values);
    resolver.check_cycles();
    let mut errors = resolver.errors;
    errors.sort_by_key(|error| error.primary.as_ref().map(|(span, _)| (span.file, span.start)));
    if errors.is_empty() { Ok(program) } else { Err(errors) }
}

/// The state of resolution.
struct Resolver<'a> {
    sources: &'a mut Sources,
    read: ReadModule<'a>,
    modules: Vec<Module>,
    /// Modules that are being loaded, outermost first, and what imports them.
    loading: Vec<(hir::Symbol, Span)>,
    /// What needs no `use`.
    prelude: HashMap<hir::Symbol, ItemId>,
    /// The definitions of the program: the position is the [`hir::DefId`].
    ids: IndexSet<ItemId>,
    /// Who mentions whom.
    mentions: Vec<(ItemId, ItemId, Span)>,
    errors: Vec<Diagnostic>,
}

impl<'a> Resolver<'a> {
    fn new(sources: &'a mut Sources, read: ReadModule<'a>) -> Resolver<'a> {
        let (modules, loading, mentions, errors) = (vec![], vec![], vec![], vec![]);
        Resolver { sources, read, modules, loading, prelude: HashMap::new(), ids: IndexSet::new(), mentions, errors }
    }

    fn blame(&mut self, error: NameError) {
        self.errors.push(error.into_diagnostic());
    }

    /// The definition's number; it joins the program if it was not in it.
    fn def_id(&mut self, item: ItemId) -> hir::DefId {
        hir::DefId(self.ids.insert_full(item).0 as u32)
    }
}
