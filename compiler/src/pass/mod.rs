//! Rewrites of TIR that keep its meaning.
