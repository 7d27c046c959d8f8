//! CLIXML values as JSON: what `--json` prints.

use hop_clixml::{Content, Object, Value};
use serde_json::{Map, Number, Value as Json};

/// Deeper objects are shown as their text.
const MAX_DEPTH: usize = 32;

/// Numbers, strings and booleans as themselves; lists as arrays; dictionaries and objects as objects with their
/// properties in order; everything else as its text. Dates are ISO 8601.
pub fn value(value: &Value) -> Json {
    convert(value, 0)
}

fn convert(value: &Value, depth: usize) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(v) => Json::Bool(*v),
        Value::Byte(v) => (*v).into(),
        Value::SByte(v) => (*v).into(),
        Value::Int16(v) => (*v).into(),
        Value::UInt16(v) => (*v).into(),
        Value::Int32(v) => (*v).into(),
        Value::UInt32(v) => (*v).into(),
        Value::Int64(v) => (*v).into(),
        Value::UInt64(v) => (*v).into(),
        Value::Single(v) => number(f64::from(*v)),
        Value::Double(v) => number(*v),
        Value::Decimal(v) => v.to_string().parse::<Number>().map_or(Json::Null, Json::Number),
        Value::SecureString(_) => Json::String("[secure string]".to_owned()),
        Value::Object(object) if depth < MAX_DEPTH => convert_object(object, depth),
        other => Json::String(other.display()),
    }
}

/// JSON has no infinities.
fn number(value: f64) -> Json {
    Number::from_f64(value).map_or_else(|| Json::String(value.to_string()), Json::Number)
}

fn convert_object(object: &Object, depth: usize) -> Json {
    match &object.content {
        Content::Primitive(inner) => return convert(inner, depth + 1),
        Content::List(_, items) => return items.iter().map(|item| convert(item, depth + 1)).collect(),
        Content::Dictionary(entries) => {
            let entries = entries.iter().map(|(key, value)| (key.display(), convert(value, depth + 1)));
            return Json::Object(entries.collect());
        }
        Content::None => {}
    }
    let mut members = Map::new();
    for bag in [&object.adapted, &object.extended].into_iter().flatten() {
        for property in &bag.0 {
            members.insert(property.name.to_string(), convert(&property.value, depth + 1));
        }
    }
    match (&object.to_string, members.is_empty()) {
        (Some(text), true) => Json::String(text.to_string()),
        _ => Json::Object(members),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hop_clixml::{Limits, parse};

    #[test]
    fn values_become_what_a_program_expects() {
        let json = |text: &str| value(&parse::value(text, &Limits::default()).unwrap()).to_string();
        assert_eq!(json("<I32>5</I32>"), "5");
        assert_eq!(json("<Db>1.5</Db>"), "1.5");
        assert_eq!(json("<Db>NaN</Db>"), "\"NaN\"");
        assert_eq!(json("<Nil />"), "null");
        assert_eq!(json("<Obj RefId=\"0\"><LST><I32>1</I32><S>a</S></LST></Obj>"), "[1,\"a\"]");
        let object = "<Obj RefId=\"0\"><MS><S N=\"B\">x</S><I64 N=\"A\">2</I64></MS></Obj>";
        assert_eq!(json(object), "{\"B\":\"x\",\"A\":2}");
        let dictionary =
            "<Obj RefId=\"0\"><DCT><En><S N=\"Key\">k</S><B N=\"Value\">true</B></En></DCT></Obj>";
        assert_eq!(json(dictionary), "{\"k\":true}");
        let kind = "<Obj RefId=\"0\"><ToString>Monday</ToString><I32>1</I32></Obj>";
        assert_eq!(json(kind), "1");
    }
}
