//! A pool of spinning threads that take slices of work.
