//! Text to [`ast::File`].
