//! Dates, times and spans as text: .NET format strings and parsing, in the en-US and invariant cultures.

mod format;
mod parse;
mod span;

pub use format::{datetime_invariant, datetime_text, format_datetime};
pub use parse::{parse_datetime, parse_exact};
pub use span::{format_timespan, parse_timespan};

/// English month names.
/// Names of the months.
pub const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
/// English day names.
/// Names of the days, Sunday first.
pub const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
