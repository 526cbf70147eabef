//! LIR: loop nests and calls of runtime kernels over planned buffers.
