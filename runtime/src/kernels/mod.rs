//! Vector kernels, dispatched once by CPU features, called by pointer from generated code.
