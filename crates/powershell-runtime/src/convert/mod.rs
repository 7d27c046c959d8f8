//! `LanguagePrimitives`: truth, text and conversion between types.

mod cast;
mod numeric;
mod text;

pub use cast::{convert_to, enum_from, no_conversion};
pub use numeric::{to_f64, to_i64, to_number};
pub use text::{exception_text, join_text, to_text, to_text_with};

use crate::dotnet::SwitchParameter;
use crate::value::Value;

/// Whether a value counts as true in a condition.
pub fn to_bool(value: &Value) -> bool {
    match value.base() {
        Value::Null | Value::Empty => false,
        Value::Bool(b) => *b,
        Value::Char(c) => *c != 0,
        Value::String(text) => !text.is_empty(),
        Value::Single(n) => *n != 0.0,
        Value::Double(n) => *n != 0.0,
        Value::Decimal(n) => !n.is_zero(),
        Value::BigInt(n) => **n != num_bigint::BigInt::from(0),
        Value::Array(array) => list_is_true(&array.items()),
        Value::List(list) => {
            use crate::value::ListKind;
            match list.kind() {
                ListKind::ArrayList | ListKind::List(_) | ListKind::Collection(_) => {
                    list_is_true(&list.items())
                }
                _ => true,
            }
        }
        Value::Native(native) => native.as_any().downcast_ref::<SwitchParameter>().is_none_or(|s| s.0),
        other => other.as_integer().is_none_or(|n| n != 0),
    }
}

fn list_is_true(items: &[Value]) -> bool {
    match items {
        [] => false,
        [only] => match only.base() {
            Value::Array(inner) => !inner.is_empty(),
            Value::List(inner) => !inner.is_empty(),
            _ => to_bool(only),
        },
        _ => true,
    }
}
