//! [`crate::resolve::hir::Program`] to [`crate::model::Model`].
