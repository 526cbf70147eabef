//! `ast::File`s to [`hir::Program`]: names, imports, the library.

pub mod hir;
