//! LIR to machine code, by Cranelift.
