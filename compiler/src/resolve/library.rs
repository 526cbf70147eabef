//! The library: `.spnet` text that is part of the compiler's binary.

/// Every module of `std` and its text.
pub const LIBRARY: [(&str, &str); 11] = [
    ("std.augment", include_str!("../../../stdlib/augment.spnet")),
    ("std.core", include_str!("../../../stdlib/core.spnet")),
    ("std.init", include_str!("../../../stdlib/init.spnet")),
    ("std.layers", include_str!("../../../stdlib/layers.spnet")),
    ("std.losses", include_str!("../../../stdlib/losses.spnet")),
    ("std.metrics", include_str!("../../../stdlib/metrics.spnet")),
    ("std.norms", include_str!("../../../stdlib/norms.spnet")),
    ("std.optim", include_str!("../../../stdlib/optim.spnet")),
    ("std.prox", include_str!("../../../stdlib/prox.spnet")),
    ("std.schedules", include_str!("../../../stdlib/schedules.spnet")),
    ("std.sparse", include_str!("../../../stdlib/sparse.spnet")),
];

/// The modules whose names need no `use`.
pub const PRELUDE: [&str; 6] = ["std.core", "std.losses", "std.metrics", "std.optim", "std.init", "std.augment"];

/// The text of a module of `std`.
pub(super) fn text(module: &str) -> Option<&'static str> {
    LIBRARY.iter().find(|(name, _)| *name == module).map(|(_, text)| *text)
}
