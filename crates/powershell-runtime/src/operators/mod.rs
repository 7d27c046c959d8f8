//! Operators over values: arithmetic, comparison, text, containment, types.

mod arithmetic;
mod bits;
mod compare;
mod format;
mod text;

pub use arithmetic::{add, divide, multiply, negate, plus, range, remainder, subtract};
pub use bits::{bit_and, bit_not, bit_or, bit_xor, shift_left, shift_right};
pub use compare::{
    CompareOp, compare, compare_for_sort, compare_operator, compare_text, contains, equals, order,
};
pub use format::{format_composite, format_operator, format_value};
pub use text::{
    MatchResult, as_type, is_type, join, join_unary, like, match_groups, match_operator, replace, split,
    split_unary,
};
