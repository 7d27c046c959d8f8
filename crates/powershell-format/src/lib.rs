//! PowerShell formatting: how objects and errors become text.
//!
//! Works on values alone, so that a client can format deserialised objects with it too.
#![forbid(unsafe_code)]

mod error;
mod layout;
mod session;
mod views;

pub use error::format_error;
pub use layout::{
    Align, Column, TableOptions, cell_text, display_width, list_lines, pad, table_lines, wide_lines,
};
pub use session::{Formatter, is_format_data};
pub use views::{Shape, View, default_view, generic_columns, is_scalar};
