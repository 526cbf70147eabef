//! Run folders: weights, history, report; written atomically.
