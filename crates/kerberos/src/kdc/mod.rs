//! A KDC.
