//! One IR to the next: the only module that sees two of them.
