//! Values of the engine as CLIXML and back.
//!
//! Only real properties of objects cost a level of depth: items of collections and note properties do not.

use std::collections::HashMap;
use std::sync::Arc;

use hop_clixml as clixml;
use hop_clixml::{Content, Object, PropertyBag, Text, TypeNames};
use hop_powershell_runtime::value::{
    DateTime, DateTimeKind, DictKind, ErrorCategory, ErrorDetails, ErrorRecord, Exception, InvocationInfo,
    ListKind, MemberKind, Members, NativeObject, PsDict, PsList, PsObject, TimeSpan, Value, type_hierarchy,
};
use hop_psrp::body;
use hop_psrp::keys::Protection;

/// How deep objects may stand in each other.
const MAX_NESTING: usize = 48;

/// Turns engine values into CLIXML, one message at a time.
pub struct Serializer<'p> {
    protection: &'p Protection,
    /// Objects of this message by their address, so that the second meeting is a reference.
    seen: HashMap<usize, clixml::ObjectId>,
    /// Keeps the objects alive whose addresses are in `seen`.
    kept: Vec<Value>,
    nesting: usize,
}

/// One value for a message: real properties to the depth that remoting uses.
pub fn to_clixml(value: &Value, protection: &Protection) -> clixml::Value {
    Serializer { protection, seen: HashMap::new(), kept: Vec::new(), nesting: 0 }.value(value, 1)
}

impl Serializer<'_> {
    fn value(&mut self, value: &Value, depth: usize) -> clixml::Value {
        if let Some(primitive) = self.primitive(value) {
            return primitive;
        }
        let address = address(value);
        if let Some(id) = address.and_then(|address| self.seen.get(&address)) {
            return clixml::Value::Ref(*id);
        }
        let cut = depth == 0 && matches!(value, Value::Native(_) | Value::Exception(_) | Value::BigInt(_));
        if cut || self.nesting >= MAX_NESTING {
            return clixml::Value::from(text_of(value));
        }
        if depth == 0
            && let Value::Enum(kind, number) = value
        {
            return clixml::Value::from(kind.text(*number));
        }
        if let (0, Value::Type(kind)) = (depth, value) {
            return clixml::Value::from(kind.full_name());
        }
        let id = clixml::ObjectId(u32::try_from(self.seen.len()).unwrap_or(u32::MAX));
        if let Some(address) = address {
            self.seen.insert(address, id);
            self.kept.push(value.clone());
        }
        self.nesting += 1;
        let mut object = self.object(value, depth);
        self.nesting -= 1;
        object.id = address.is_some().then_some(id);
        object.into()
    }

    fn primitive(&self, value: &Value) -> Option<clixml::Value> {
        Some(match value {
            Value::Null | Value::Empty => clixml::Value::Null,
            Value::Bool(v) => (*v).into(),
            Value::Char(v) => clixml::Value::Char(*v),
            Value::SByte(v) => (*v).into(),
            Value::Byte(v) => (*v).into(),
            Value::Int16(v) => (*v).into(),
            Value::UInt16(v) => (*v).into(),
            Value::Int32(v) => (*v).into(),
            Value::UInt32(v) => (*v).into(),
            Value::Int64(v) => (*v).into(),
            Value::UInt64(v) => (*v).into(),
            Value::Single(v) => (*v).into(),
            Value::Double(v) => (*v).into(),
            Value::Decimal(v) => (*v).into(),
            Value::String(v) => v.as_ref().into(),
            Value::Guid(v) => (*v).into(),
            Value::TimeSpan(v) => clixml::TimeSpan(v.ticks()).into(),
            Value::DateTime(v) => {
                let kind = match v.kind() {
                    DateTimeKind::Unspecified => clixml::DateTimeKind::Unspecified,
                    DateTimeKind::Utc => clixml::DateTimeKind::Utc,
                    DateTimeKind::Local => clixml::DateTimeKind::Local(0),
                };
                clixml::DateTime::new(v.ticks(), kind)?.into()
            }
            Value::Version(parts) => {
                let part = |at: usize| parts.get(at).and_then(|part| u32::try_from(*part).ok());
                clixml::Value::Version(clixml::Version {
                    major: part(0)?,
                    minor: part(1)?,
                    build: part(2),
                    revision: part(3),
                })
            }
            Value::SecureString(secret) => self.protection.seal(secret).ok()?,
            Value::ScriptBlock(block) => clixml::Value::ScriptBlock(block.text().to_string().into()),
            Value::Array(array) => clixml::Value::Bytes(array.as_bytes()?.into()),
            _ => return None,
        })
    }

    fn object(&mut self, value: &Value, depth: usize) -> Object {
        let names = TypeNames::new(type_names(value).iter().map(|name| name.as_ref()));
        match value {
            Value::Array(array) => Object {
                type_names: names,
                content: Content::List(clixml::ListKind::List, self.items(&array.to_vec(), depth)),
                ..Object::default()
            },
            Value::List(list) => {
                let mut items = list.to_vec();
                let kind = match list.kind() {
                    ListKind::Queue | ListKind::QueueOf(_) => clixml::ListKind::Queue,
                    ListKind::Stack | ListKind::StackOf(_) => {
                        items.reverse();
                        clixml::ListKind::Stack
                    }
                    ListKind::HashSet(..) | ListKind::SortedSet(_) | ListKind::LinkedList(_) => {
                        clixml::ListKind::Enumerable
                    }
                    _ => clixml::ListKind::List,
                };
                let items = self.items(&items, depth);
                Object { type_names: names, content: Content::List(kind, items), ..Object::default() }
            }
            Value::Dict(dict) => {
                let entries = dict.entries();
                let entries =
                    entries.iter().map(|(key, value)| (self.value(key, depth), self.value(value, depth)));
                Object {
                    type_names: names,
                    content: Content::Dictionary(entries.collect()),
                    ..Object::default()
                }
            }
            Value::Enum(kind, number) => Object {
                type_names: names,
                to_string: Some(kind.text(*number).into()),
                content: Content::Primitive(self.primitive(&kind.number_value(*number)).unwrap_or_default()),
                ..Object::default()
            },
            Value::Object(object) => self.decorated(object, names, depth),
            Value::ErrorRecord(record) => {
                let value = self.error_record(record).to_value();
                value.as_object().cloned().unwrap_or_default()
            }
            Value::Exception(exception) => self.exception(exception, names, depth),
            Value::Native(native) => self.native(native.as_ref(), names, depth),
            other => {
                Object { type_names: names, to_string: Some(text_of(other).into()), ..Object::default() }
            }
        }
    }

    fn items(&mut self, items: &[Value], depth: usize) -> Vec<clixml::Value> {
        items.iter().map(|item| self.value(item, depth)).collect()
    }

    fn decorated(&mut self, object: &PsObject, names: TypeNames, depth: usize) -> Object {
        let mut out = match object.base() {
            None => Object { to_string: object.text().map(|text| text.as_ref().into()), ..Object::default() },
            Some(base) => match self.primitive(base) {
                Some(primitive) => Object { content: Content::Primitive(primitive), ..Object::default() },
                None => self.object(base, depth),
            },
        };
        out.type_names = match object.base() {
            // Standard names of a primitive go without saying.
            Some(base) if self.primitive(base).is_some() && !object.has_own_type_names() => {
                TypeNames::default()
            }
            _ => names,
        };
        let (mut adapted, mut extended) = (PropertyBag::default(), PropertyBag::default());
        for member in object.members() {
            match &member.kind {
                MemberKind::Note(value) => extended.push(member.name.as_ref(), self.value(value, depth)),
                MemberKind::Property(value) => {
                    let value = self.value(value, depth.saturating_sub(1));
                    adapted.push(member.name.as_ref(), value);
                }
                _ => {}
            }
        }
        if !adapted.0.is_empty() {
            out.adapted = Some(adapted);
        }
        if !extended.0.is_empty() {
            out.extended = Some(extended);
        }
        out
    }

    fn native(&mut self, native: &dyn NativeObject, names: TypeNames, depth: usize) -> Object {
        let mut bag = PropertyBag::default();
        for name in native.properties() {
            // A property whose getter fails is left out.
            if let Some(Ok(value)) = native.get(&name) {
                let value = self.value(&value, depth.saturating_sub(1));
                bag.push(name.as_ref(), value);
            }
        }
        let content = match native.enumerate() {
            Some(items) => Content::List(clixml::ListKind::Enumerable, self.items(&items, depth)),
            None => Content::None,
        };
        Object {
            type_names: names,
            to_string: matches!(content, Content::None).then(|| native.text().into()),
            content,
            adapted: (!bag.0.is_empty()).then_some(bag),
            ..Object::default()
        }
    }

    fn exception(&mut self, exception: &Exception, names: TypeNames, depth: usize) -> Object {
        let base = body::exception(&[], exception.message());
        let standard = base.as_object().and_then(|object| object.adapted.clone()).unwrap_or_default();
        let mut bag = PropertyBag::default();
        for (name, value) in exception.properties() {
            let value = self.value(value, depth.saturating_sub(1));
            bag.push(name.as_ref(), value);
        }
        for mut member in standard.0 {
            if member.name == "InnerException"
                && let Some(inner) = exception.inner()
            {
                member.value = self.value(&Value::Exception(inner.clone()), depth.saturating_sub(1));
            }
            bag.0.push(member);
        }
        Object {
            type_names: names,
            to_string: Some(format!("{}: {}", exception.type_name(), exception.message()).into()),
            adapted: Some(bag),
            ..Object::default()
        }
    }

    fn error_record(&mut self, record: &ErrorRecord) -> body::ErrorRecord {
        let details = record.details.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        let activity = record.activity.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        let target_text = || if record.target.is_null() { String::new() } else { text_of(&record.target) };
        let target_type = || match record.target.is_null() {
            true => String::new(),
            false => type_names(&record.target)
                .first()
                .map(|name| name.rsplit('.').next().unwrap_or(name).to_owned())
                .unwrap_or_default(),
        };
        let target_name = record.target_name.clone().unwrap_or_else(target_text);
        let target_type = record.target_type.clone().unwrap_or_else(target_type);
        let category_message = format!(
            "{}: ({target_name}:{target_type}) [{activity}], {}",
            record.category.name(),
            record.reason
        );
        let invocation = record.invocation.get();
        body::ErrorRecord {
            message: record.message().into(),
            exception: self.value(&record.exception, 1),
            target: self.value(&record.target, 1),
            fully_qualified_error_id: record.fully_qualified_id(),
            invocation_info: invocation.map(|info| invocation_info(info)).unwrap_or_default(),
            category: record.category as i32,
            activity,
            reason: record.reason.clone(),
            target_name,
            target_type,
            category_message,
            details_message: details.as_ref().map(|details| details.message.clone()),
            recommended_action: details.map(|details| details.recommended_action),
            extended_info: false,
            script_stack_trace: record.stack_trace.get().cloned(),
            other: vec![clixml::Property { name: "PSMessageDetails".into(), value: clixml::Value::Null }],
        }
    }
}

/// An error record for a message.
pub fn error_to_body(record: &ErrorRecord, protection: &Protection) -> body::ErrorRecord {
    Serializer { protection, seen: HashMap::new(), kept: Vec::new(), nesting: 0 }.error_record(record)
}

fn invocation_info(info: &InvocationInfo) -> clixml::Value {
    let number = |number: u32| clixml::Value::Int32(i32::try_from(number).unwrap_or(i32::MAX));
    let dictionary: [&str; 2] = [
        "System.Collections.Generic.Dictionary`2[[System.String, System.Private.CoreLib, Version=10.0.0.0, \
         Culture=neutral, PublicKeyToken=7cec85d7bea7798e],[System.Object, System.Private.CoreLib, \
         Version=10.0.0.0, Culture=neutral, PublicKeyToken=7cec85d7bea7798e]]",
        "System.Object",
    ];
    let list: [&str; 2] = [
        "System.Collections.Generic.List`1[[System.Object, System.Private.CoreLib, Version=10.0.0.0, \
         Culture=neutral, PublicKeyToken=7cec85d7bea7798e]]",
        "System.Object",
    ];
    let my_command = match text_of(&info.my_command) {
        text if text.is_empty() => clixml::Value::Null,
        text => text.into(),
    };
    let members: [(&str, clixml::Value); 18] = [
        ("MyCommand", my_command),
        ("BoundParameters", Object::dictionary(dictionary, []).into()),
        ("UnboundArguments", Object::list(list, clixml::ListKind::List, []).into()),
        ("ScriptLineNumber", number(info.script_line_number)),
        ("OffsetInLine", number(info.offset_in_line)),
        ("HistoryId", clixml::Value::Int64(1)),
        ("ScriptName", info.script_name.as_str().into()),
        ("Line", info.line.as_str().into()),
        ("Statement", info.statement.as_str().into()),
        ("PositionMessage", info.position_message.as_str().into()),
        ("PSScriptRoot", info.script_root.as_str().into()),
        ("PSCommandPath", clixml::Value::Null),
        ("InvocationName", info.invocation_name.as_str().into()),
        ("PipelineLength", number(info.pipeline_length)),
        ("PipelinePosition", number(info.pipeline_position)),
        ("ExpectingInput", false.into()),
        ("CommandOrigin", "Internal".into()),
        ("DisplayScriptPosition", clixml::Value::Null),
    ];
    let name = "System.Management.Automation.InvocationInfo";
    Object {
        type_names: TypeNames::new([name, "System.Object"]),
        to_string: Some(name.into()),
        adapted: Some(members.into_iter().collect()),
        ..Object::default()
    }
    .into()
}

/// The address of a value that can be met twice.
fn address(value: &Value) -> Option<usize> {
    Some(match value {
        Value::Array(v) => Arc::as_ptr(v).addr(),
        Value::List(v) => Arc::as_ptr(v).addr(),
        Value::Dict(v) => Arc::as_ptr(v).addr(),
        Value::Object(v) => Arc::as_ptr(v).addr(),
        Value::Exception(v) => Arc::as_ptr(v).addr(),
        Value::ErrorRecord(v) => Arc::as_ptr(v).addr(),
        Value::Native(v) => Arc::as_ptr(v).cast::<u8>().addr(),
        _ => return None,
    })
}

fn type_names(value: &Value) -> Vec<Arc<str>> {
    match value {
        Value::Object(object) => object.type_names(),
        Value::Native(native) => native.type_names(),
        other => other.type_ref().map(|kind| type_hierarchy(&kind)).unwrap_or_default(),
    }
}

fn text_of(value: &Value) -> String {
    match value {
        Value::Native(native) => native.text(),
        Value::Object(object) => match (object.text(), object.base()) {
            (Some(text), _) => text.to_string(),
            (None, Some(base)) => text_of(base),
            (None, None) => String::new(),
        },
        Value::String(text) => text.to_string(),
        Value::Null | Value::Empty => String::new(),
        Value::BigInt(number) => number.to_string(),
        Value::Enum(kind, number) => kind.text(*number),
        Value::Type(kind) => kind.full_name().to_owned(),
        Value::Exception(exception) => format!("{}: {}", exception.type_name(), exception.message()),
        Value::ErrorRecord(record) => record.message(),
        other => to_clixml(other, &Protection::Plain).display(),
    }
}

/// Turns CLIXML into engine values.
pub struct Deserializer<'p> {
    protection: &'p Protection,
    seen: HashMap<clixml::ObjectId, Value>,
}

/// One value of a message.
pub fn from_clixml(value: &clixml::Value, protection: &Protection) -> Value {
    Deserializer { protection, seen: HashMap::new() }.value(value)
}

impl Deserializer<'_> {
    fn value(&mut self, value: &clixml::Value) -> Value {
        use clixml::Value as V;
        match value {
            V::Null => Value::Null,
            V::String(v) | V::Uri(v) | V::Xml(v) | V::ScriptBlock(v) => Value::string(v.as_str()),
            V::Char(v) => Value::Char(*v),
            V::Bool(v) => Value::Bool(*v),
            V::Byte(v) => Value::Byte(*v),
            V::SByte(v) => Value::SByte(*v),
            V::Int16(v) => Value::Int16(*v),
            V::UInt16(v) => Value::UInt16(*v),
            V::Int32(v) => Value::Int32(*v),
            V::UInt32(v) => Value::UInt32(*v),
            V::Int64(v) => Value::Int64(*v),
            V::UInt64(v) => Value::UInt64(*v),
            V::Single(v) => Value::Single(*v),
            V::Double(v) => Value::Double(*v),
            V::Decimal(v) => Value::Decimal(**v),
            V::DateTime(v) => {
                let kind = match v.kind() {
                    clixml::DateTimeKind::Unspecified => DateTimeKind::Unspecified,
                    clixml::DateTimeKind::Utc => DateTimeKind::Utc,
                    clixml::DateTimeKind::Local(_) => DateTimeKind::Local,
                };
                DateTime::from_ticks(v.ticks(), kind).map_or(Value::Null, Value::DateTime)
            }
            V::TimeSpan(v) => Value::TimeSpan(TimeSpan::from_ticks(v.0)),
            V::Guid(v) => Value::Guid(*v),
            V::Version(v) => {
                let part = |part: Option<u32>| part.and_then(|part| i32::try_from(part).ok()).unwrap_or(-1);
                Value::Version(Arc::new([
                    part(Some(v.major)),
                    part(Some(v.minor)),
                    part(v.build),
                    part(v.revision),
                ]))
            }
            V::Bytes(v) => Value::bytes(v),
            V::SecureString(v) => match self.protection.open(v) {
                Ok(text) => Value::SecureString(Arc::new(text)),
                Err(_) => Value::Null,
            },
            V::Progress(v) => Value::string(v.activity.as_str()),
            V::MemberSet(bag) => {
                Value::custom(bag.0.iter().map(|p| (p.name.to_string(), self.value(&p.value))))
            }
            V::Ref(id) => self.seen.get(id).cloned().unwrap_or_default(),
            V::Object(object) => {
                let value = self.object(object);
                if let Some(id) = object.id {
                    self.seen.insert(id, value.clone());
                }
                value
            }
        }
    }

    fn object(&mut self, object: &Object) -> Value {
        let is = |name: &str| {
            object.type_names.iter().any(|n| n.as_str().trim_start_matches("Deserialized.") == name)
        };
        if is("System.Management.Automation.ErrorRecord") {
            let record = body::ErrorRecord::from_value(&clixml::Value::Object(Box::new(object.clone())));
            return Value::ErrorRecord(Arc::new(self.error_record(&record)));
        }
        let base = match &object.content {
            Content::None => None,
            Content::Primitive(value) => Some(self.value(value)),
            Content::List(kind, items) => {
                let mut items: Vec<Value> = items.iter().map(|item| self.value(item)).collect();
                Some(match kind {
                    clixml::ListKind::Queue => Value::List(Arc::new(PsList::new(ListKind::Queue, items))),
                    clixml::ListKind::Stack => {
                        items.reverse();
                        Value::List(Arc::new(PsList::new(ListKind::Stack, items)))
                    }
                    _ if is("System.Array") => Value::array(items),
                    _ => Value::List(Arc::new(PsList::array_list(items))),
                })
            }
            Content::Dictionary(entries) => {
                let ordered = is("System.Collections.Specialized.OrderedDictionary");
                let dict = if ordered { PsDict::ordered() } else { PsDict::new(DictKind::Hashtable, true) };
                for (key, value) in entries {
                    let key = self.value(key);
                    dict.insert(key, self.value(value));
                }
                Some(Value::Dict(Arc::new(dict)))
            }
        };
        let mut members = Members::default();
        for property in object.adapted.iter().flat_map(|bag| &bag.0) {
            let value = self.value(&property.value);
            members.set(&property.name, MemberKind::Property(value));
        }
        for property in object.extended.iter().flat_map(|bag| &bag.0) {
            let value = self.value(&property.value);
            members.set(&property.name, MemberKind::Note(value));
        }
        let plain = members.is_empty() && object.to_string.is_none();
        if let (true, Some(base)) = (plain, &base) {
            return base.clone();
        }
        let custom = is("System.Management.Automation.PSCustomObject") || object.type_names.is_empty();
        if base.is_none() && custom && object.adapted.is_none() && object.to_string.is_none() {
            let notes = members.iter().filter_map(|member| match &member.kind {
                MemberKind::Note(value) => Some((member.name.to_string(), value.clone())),
                _ => None,
            });
            let custom = PsObject::custom(notes);
            let own = object.type_names.iter().rev().filter(|name| {
                !matches!(
                    name.as_str().trim_start_matches("Deserialized."),
                    "System.Management.Automation.PSCustomObject" | "System.Object"
                )
            });
            own.for_each(|name| custom.insert_type_name(name));
            return Value::Object(Arc::new(custom));
        }
        let prefixed = |name: &Text| -> Arc<str> {
            match name.starts_with("Deserialized.") {
                true => Arc::from(name.as_str()),
                false => Arc::from(format!("Deserialized.{name}")),
            }
        };
        let names = object.type_names.iter().map(prefixed).collect();
        let text = object.to_string.as_ref().map(|text| Arc::from(text.as_str()));
        Value::Object(Arc::new(PsObject::deserialized(base, members, names, text)))
    }

    fn error_record(&mut self, record: &body::ErrorRecord) -> ErrorRecord {
        let category = ErrorCategory::from_number(i64::from(record.category)).unwrap_or_default();
        let exception =
            Exception::new("System.Management.Automation.RemoteException", record.message.as_str());
        let target = self.value(&record.target);
        let mut out =
            ErrorRecord::new(Arc::new(exception), &record.fully_qualified_error_id, category, target);
        out.reason.clone_from(&record.reason);
        out.target_name = Some(record.target_name.clone());
        out.target_type = Some(record.target_type.clone());
        *out.activity.write().unwrap_or_else(std::sync::PoisonError::into_inner) = record.activity.clone();
        if let Some(message) = &record.details_message {
            let details = ErrorDetails {
                message: message.clone(),
                recommended_action: record.recommended_action.clone().unwrap_or_default(),
            };
            *out.details.write().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(details);
        }
        if let Some(trace) = &record.script_stack_trace {
            // The cell is new, so it is empty.
            let _ = out.stack_trace.set(trace.clone());
        }
        out
    }
}

/// An error record of a peer as the engine's.
pub fn error_from_body(record: &body::ErrorRecord, protection: &Protection) -> Arc<ErrorRecord> {
    Arc::new(Deserializer { protection, seen: HashMap::new() }.error_record(record))
}
