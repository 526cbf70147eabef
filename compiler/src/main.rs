//! The `spnc` binary.

fn main() {}
