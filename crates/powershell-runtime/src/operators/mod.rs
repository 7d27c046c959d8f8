//! Operators over values.

use std::cmp::Ordering;

use crate::value::Value;

/// The order of two values as sorting uses it: total, never failing.
pub fn compare_for_sort(a: &Value, b: &Value) -> Ordering {
    match (a.as_integer(), b.as_integer()) {
        (Some(x), Some(y)) => x.cmp(&y),
        _ => a.as_str().cmp(&b.as_str()),
    }
}
