//! Reverse-mode differentiation, TIR to TIR.
