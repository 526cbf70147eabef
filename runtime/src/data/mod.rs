//! Readers of data sets: idx, csv, npy, npz, safetensors, built-in digits, synthetic.
