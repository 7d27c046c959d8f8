//! Decides which credential may travel on, by which mechanism, and why not.
#![forbid(unsafe_code)]
