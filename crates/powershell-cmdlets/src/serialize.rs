//! Engine values to CLIXML values and back.

use std::collections::HashMap;
use std::sync::Arc;

use hop_clixml as clixml;
use hop_clixml::{Content, Object, ObjectId, PropertyBag};
use hop_powershell_runtime::convert::{to_text, to_text_with};
use hop_powershell_runtime::dotnet::{SwitchParameter, Uri};
use hop_powershell_runtime::members;
use hop_powershell_runtime::value::{
    Callbacks, DateTime, DateTimeKind, DictKind, ErrorCategory, ErrorRecord, HashKey, ListKind, Member,
    MemberKind, Members, PsDict, PsList, PsObject, TimeSpan, Value,
};

/// How deep objects nest before the writer gives text instead.
const MAX_NESTING: usize = 49;

/// A value as CLIXML. `depth` is how many levels of real properties are written; notes, items and entries cost
/// none.
pub fn to_clixml(value: &Value, depth: usize, engine: &mut dyn Callbacks) -> clixml::Value {
    Writer { seen: HashMap::new(), next: 0, nesting: 0, engine }.value(value, depth)
}

/// Several values as CLIXML with one numbering, so that an object met again is a reference.
pub fn to_clixml_all(values: &[Value], depth: usize, engine: &mut dyn Callbacks) -> Vec<clixml::Value> {
    let mut writer = Writer { seen: HashMap::new(), next: 0, nesting: 0, engine };
    values.iter().map(|value| writer.value(value, depth)).collect()
}

struct Writer<'e> {
    seen: HashMap<HashKey, ObjectId>,
    next: u32,
    nesting: usize,
    engine: &'e mut dyn Callbacks,
}

impl Writer<'_> {
    fn value(&mut self, value: &Value, depth: usize) -> clixml::Value {
        // A wrapper that adds nothing is not there.
        if let Value::Object(object) = value
            && let Some(base) = object.base()
            && !object.is_deserialized()
            && !object.has_own_type_names()
            && object.with_members(|m| m.is_empty())
        {
            return self.value(&base.clone(), depth);
        }
        if let Some(simple) = primitive(value) {
            return simple;
        }
        let base = value.base();
        if depth == 0 && cut_by_depth(value) {
            return clixml::Value::String(self.text(value).into());
        }
        if self.nesting >= MAX_NESTING {
            return clixml::Value::String(self.text(value).into());
        }
        let identity = HashKey::new(base, false);
        let shared = matches!(identity, HashKey::Identity(_)) || matches!(value, Value::Object(_));
        let key = match value {
            Value::Object(object) => HashKey::Identity(Arc::as_ptr(object) as usize),
            _ => identity,
        };
        if shared && let Some(id) = self.seen.get(&key) {
            return clixml::Value::Ref(*id);
        }
        let id = ObjectId(self.next);
        self.next += 1;
        if shared {
            self.seen.insert(key, id);
        }
        self.nesting += 1;
        let mut object = self.object(value, depth);
        self.nesting -= 1;
        object.id = Some(id);
        clixml::Value::Object(Box::new(object))
    }

    fn text(&mut self, value: &Value) -> String {
        to_text_with(value, self.engine)
    }

    fn object(&mut self, value: &Value, depth: usize) -> Object {
        let mut object = Object {
            type_names: clixml::TypeNames::new(value.type_names().iter().map(|n| n.to_string())),
            ..Object::default()
        };
        let base = value.base();
        match base {
            Value::Array(_) | Value::List(_) => {
                let kind = match base {
                    Value::List(list) => match list.kind() {
                        ListKind::Stack | ListKind::StackOf(_) => clixml::ListKind::Stack,
                        ListKind::Queue | ListKind::QueueOf(_) => clixml::ListKind::Queue,
                        ListKind::HashSet(..) | ListKind::SortedSet(_) | ListKind::ReadOnly(_) => {
                            clixml::ListKind::Enumerable
                        }
                        _ => clixml::ListKind::List,
                    },
                    _ => clixml::ListKind::List,
                };
                let items = base.enumerate().unwrap_or_default();
                let items = items.iter().map(|item| self.value(item, depth)).collect();
                object.content = Content::List(kind, items);
            }
            Value::Dict(dict) => {
                let entries = dict.entries();
                let entries =
                    entries.iter().map(|(k, v)| (self.value(k, depth), self.value(v, depth))).collect();
                object.content = Content::Dictionary(entries);
            }
            Value::Enum(kind, number) => {
                object.to_string = Some(kind.text(*number).into());
                let number = kind.number_value(*number);
                object.content = Content::Primitive(primitive(&number).unwrap_or_default());
            }
            Value::ErrorRecord(record) => {
                object.to_string = Some(record.message().into());
                object.extended = Some(self.error_members(record, depth));
                return object;
            }
            Value::Object(_) => {}
            scalar => {
                if let Some(simple) = primitive(scalar) {
                    object.content = Content::Primitive(simple);
                    if value.members().is_some_and(|o| !o.has_own_type_names()) {
                        object.type_names = clixml::TypeNames::default();
                    }
                } else {
                    object.to_string = Some(self.text(scalar).into());
                    let names: Vec<Arc<str>> = match scalar {
                        Value::Native(native) => native.all_properties(),
                        other => hop_powershell_runtime::dotnet::property_names(other),
                    };
                    let mut bag = PropertyBag::default();
                    for name in names {
                        if let Ok(Some(found)) = members::get(scalar, &name, self.engine) {
                            let written = self.value(&found, depth.saturating_sub(1));
                            bag.push(&*name, written);
                        }
                    }
                    if !bag.0.is_empty() {
                        object.adapted = Some(bag);
                    }
                }
            }
        }
        if let Value::Object(own) = value {
            if let Some(text) = own.text() {
                object.to_string = Some((&**text).into());
            }
            let (mut adapted, mut extended) = (PropertyBag::default(), PropertyBag::default());
            for Member { name, kind } in own.members() {
                match kind {
                    MemberKind::Note(found) => {
                        let written = self.value(&found, depth);
                        extended.push(&*name, written);
                    }
                    MemberKind::Property(found) => {
                        let written = self.value(&found, depth.saturating_sub(1));
                        adapted.push(&*name, written);
                    }
                    MemberKind::Alias(_) | MemberKind::Script(..) => {
                        if let Ok(Some(found)) = members::get(value, &name, self.engine) {
                            let written = self.value(&found, depth);
                            extended.push(&*name, written);
                        }
                    }
                    _ => {}
                }
            }
            if !adapted.0.is_empty() {
                object.adapted = Some(adapted);
            }
            if !extended.0.is_empty() {
                object.extended = Some(extended);
            }
        }
        object
    }

    fn error_members(&mut self, record: &Arc<ErrorRecord>, depth: usize) -> PropertyBag {
        let mut bag = PropertyBag::default();
        let exception = self.value(&record.exception, depth);
        bag.push("Exception", exception);
        let target = self.value(&record.target, depth);
        bag.push("TargetObject", target);
        bag.push("FullyQualifiedErrorId", text(&record.fully_qualified_id()));
        bag.push("InvocationInfo", clixml::Value::Null);
        bag.push("ErrorCategory_Category", clixml::Value::Int32(record.category as i32));
        bag.push("ErrorCategory_Activity", text(&record.activity()));
        bag.push("ErrorCategory_Reason", text(&record.reason));
        let target_name = record.target_name.clone().unwrap_or_else(|| to_text(&record.target));
        let target_type = record
            .target_type
            .clone()
            .unwrap_or_else(|| record.target.type_ref().map(|t| t.name()).unwrap_or_default());
        bag.push("ErrorCategory_TargetName", text(&target_name));
        bag.push("ErrorCategory_TargetType", text(&target_type));
        let message = format!(
            "{}: ({target_name}:{target_type}) [{}], {}",
            record.category.name(),
            record.activity(),
            record.reason
        );
        bag.push("ErrorCategory_Message", text(&message));
        if let Some(details) = record.details() {
            bag.push("ErrorDetails_Message", text(&details.message));
            bag.push("ErrorDetails_RecommendedAction", text(&details.recommended_action));
        }
        bag.push("SerializeExtendedInfo", clixml::Value::Bool(false));
        if let Some(trace) = record.stack_trace.get() {
            bag.push("ErrorDetails_ScriptStackTrace", text(trace));
        }
        bag.push("PSMessageDetails", clixml::Value::Null);
        bag
    }
}

fn text(value: &str) -> clixml::Value {
    clixml::Value::String(value.into())
}

/// Whether a value becomes text where the depth is used up.
fn cut_by_depth(value: &Value) -> bool {
    match value.base() {
        Value::Array(_) | Value::List(_) | Value::Dict(_) | Value::Object(_) | Value::ErrorRecord(_) => false,
        Value::Enum(..) | Value::Type(_) | Value::Exception(_) => true,
        Value::Native(native) => !native.type_ref().is("System.Management.Automation.PSCredential"),
        _ => false,
    }
}

/// The element without an object around it, where there is one for the type.
fn primitive(value: &Value) -> Option<clixml::Value> {
    Some(match value {
        Value::Null | Value::Empty => clixml::Value::Null,
        Value::Bool(b) => clixml::Value::Bool(*b),
        Value::Char(c) => clixml::Value::Char(*c),
        Value::SByte(n) => clixml::Value::SByte(*n),
        Value::Byte(n) => clixml::Value::Byte(*n),
        Value::Int16(n) => clixml::Value::Int16(*n),
        Value::UInt16(n) => clixml::Value::UInt16(*n),
        Value::Int32(n) => clixml::Value::Int32(*n),
        Value::UInt32(n) => clixml::Value::UInt32(*n),
        Value::Int64(n) => clixml::Value::Int64(*n),
        Value::UInt64(n) => clixml::Value::UInt64(*n),
        Value::Single(n) => clixml::Value::Single(*n),
        Value::Double(n) => clixml::Value::Double(*n),
        Value::Decimal(n) => clixml::Value::Decimal(Box::new(*n)),
        Value::String(s) => clixml::Value::String((&**s).into()),
        Value::DateTime(d) => {
            let kind = match d.kind() {
                DateTimeKind::Unspecified => clixml::DateTimeKind::Unspecified,
                DateTimeKind::Utc => clixml::DateTimeKind::Utc,
                DateTimeKind::Local => clixml::DateTimeKind::Local(0),
            };
            clixml::Value::DateTime(clixml::DateTime::new(d.ticks(), kind)?)
        }
        Value::TimeSpan(t) => clixml::Value::TimeSpan(clixml::TimeSpan(t.ticks())),
        Value::Guid(g) => clixml::Value::Guid(*g),
        Value::Version(v) => {
            let part = |n: i32| u32::try_from(n).ok();
            clixml::Value::Version(clixml::Version {
                major: part(v[0]).unwrap_or(0),
                minor: part(v[1]).unwrap_or(0),
                build: part(v[2]),
                revision: part(v[3]),
            })
        }
        Value::ScriptBlock(block) => clixml::Value::ScriptBlock(block.text().into()),
        Value::SecureString(secret) => clixml::Value::SecureString((**secret).clone()),
        Value::Array(array) if array.element().is("System.Byte") && array.rank() == 1 => {
            clixml::Value::Bytes(array.as_bytes()?.into_boxed_slice())
        }
        Value::Native(native) => {
            let uri = native.as_any().downcast_ref::<Uri>()?;
            use hop_powershell_runtime::value::NativeObject as _;
            clixml::Value::Uri(uri.text().into())
        }
        _ => return None,
    })
}

/// A CLIXML value as the engine sees it: primitives as themselves, objects as deserialised property bags.
pub fn from_clixml(value: &clixml::Value) -> Value {
    Reader { seen: HashMap::new() }.value(value)
}

/// Several values of one document as the engine sees them.
pub fn from_clixml_all<'v>(values: impl IntoIterator<Item = &'v clixml::Value>) -> Vec<Value> {
    let mut reader = Reader { seen: HashMap::new() };
    values.into_iter().map(|value| reader.value(value)).collect()
}

struct Reader {
    seen: HashMap<ObjectId, Value>,
}

impl Reader {
    fn value(&mut self, value: &clixml::Value) -> Value {
        use clixml::Value as C;
        match value {
            C::Null => Value::Null,
            C::String(s) | C::Xml(s) | C::ScriptBlock(s) => Value::string(s.as_str()),
            C::Char(c) => Value::Char(*c),
            C::Bool(b) => Value::Bool(*b),
            C::Byte(n) => Value::Byte(*n),
            C::SByte(n) => Value::SByte(*n),
            C::Int16(n) => Value::Int16(*n),
            C::UInt16(n) => Value::UInt16(*n),
            C::Int32(n) => Value::Int32(*n),
            C::UInt32(n) => Value::UInt32(*n),
            C::Int64(n) => Value::Int64(*n),
            C::UInt64(n) => Value::UInt64(*n),
            C::Single(n) => Value::Single(*n),
            C::Double(n) => Value::Double(*n),
            C::Decimal(n) => Value::Decimal(**n),
            C::DateTime(d) => {
                let kind = match d.kind() {
                    clixml::DateTimeKind::Unspecified => DateTimeKind::Unspecified,
                    clixml::DateTimeKind::Utc => DateTimeKind::Utc,
                    clixml::DateTimeKind::Local(_) => DateTimeKind::Local,
                };
                DateTime::from_ticks(d.ticks(), kind).map_or(Value::Null, Value::DateTime)
            }
            C::TimeSpan(t) => Value::TimeSpan(TimeSpan::from_ticks(t.0)),
            C::Guid(g) => Value::Guid(*g),
            C::Uri(s) => Uri::parse(s.as_str()).map_or_else(|_| Value::string(s.as_str()), Value::native),
            C::Version(v) => {
                let part = |n: Option<u32>| n.and_then(|n| i32::try_from(n).ok()).unwrap_or(-1);
                Value::Version(Arc::new([
                    part(Some(v.major)),
                    part(Some(v.minor)),
                    part(v.build),
                    part(v.revision),
                ]))
            }
            C::Bytes(bytes) => Value::bytes(bytes),
            C::SecureString(secret) => Value::SecureString(Arc::new(secret.clone())),
            C::Progress(record) => Value::custom_typed(
                "System.Management.Automation.ProgressRecord",
                [
                    ("Activity", Value::string(record.activity.as_str())),
                    ("ActivityId", Value::Int32(record.activity_id)),
                    ("StatusDescription", Value::string(record.status.as_str())),
                    ("PercentComplete", Value::Int32(record.percent_complete)),
                ],
            ),
            C::Object(object) => self.object(object),
            C::Ref(id) => self.seen.get(id).cloned().unwrap_or_default(),
            C::MemberSet(bag) => Value::Object(Arc::new(PsObject::deserialized(
                None,
                self.members(None, Some(bag)),
                vec![Arc::from("System.Management.Automation.PSMemberSet")],
                None,
            ))),
        }
    }

    fn members(&mut self, adapted: Option<&PropertyBag>, extended: Option<&PropertyBag>) -> Members {
        let mut members = Members::default();
        for property in extended.iter().flat_map(|b| &b.0) {
            let found = self.value(&property.value);
            members.set(property.name.as_str(), MemberKind::Note(found));
        }
        for property in adapted.iter().flat_map(|b| &b.0) {
            let found = self.value(&property.value);
            if members.get(property.name.as_str()).is_none() {
                members.push(property.name.as_str(), MemberKind::Property(found));
            }
        }
        members
    }

    fn object(&mut self, object: &Object) -> Value {
        let names: Vec<Arc<str>> = object
            .type_names
            .iter()
            .map(|n| {
                let name = n.as_str();
                if name.starts_with("Deserialized.") {
                    Arc::from(name)
                } else {
                    Arc::from(format!("Deserialized.{name}"))
                }
            })
            .collect();
        let has_bag = object.adapted.is_some() || object.extended.is_some();
        let base = match &object.content {
            Content::None => None,
            Content::Primitive(primitive) => Some(self.value(primitive)),
            Content::List(kind, _) => Some(Value::List(Arc::new(PsList::new(
                match kind {
                    clixml::ListKind::Stack => ListKind::Stack,
                    clixml::ListKind::Queue => ListKind::Queue,
                    _ => ListKind::ArrayList,
                },
                Vec::new(),
            )))),
            Content::Dictionary(_) => {
                let ordered =
                    object.type_names.first().is_some_and(|n| n.as_str().ends_with("OrderedDictionary"));
                let kind = if ordered { DictKind::Ordered } else { DictKind::Hashtable };
                Some(Value::Dict(Arc::new(PsDict::new(kind, true))))
            }
        };
        if let (Some(id), Some(base)) = (object.id, &base) {
            self.seen.insert(id, base.clone());
        }
        match (&object.content, &base) {
            (Content::List(kind, items), Some(Value::List(list))) => {
                let mut items: Vec<Value> = items.iter().map(|item| self.value(item)).collect();
                if *kind == clixml::ListKind::Stack {
                    items.reverse();
                }
                *list.items_mut() = items;
            }
            (Content::Dictionary(entries), Some(Value::Dict(dict))) => {
                for (key, item) in entries {
                    let key = self.value(key);
                    let item = self.value(item);
                    dict.insert(key, item);
                }
            }
            _ => {}
        }
        if let Some(alive) = self.alive(object) {
            if let Some(id) = object.id {
                self.seen.insert(id, alive.clone());
            }
            return alive;
        }
        let members = self.members(object.adapted.as_ref(), object.extended.as_ref());
        // An undecorated primitive in an object with standard names is just the primitive.
        let names = if names.is_empty() {
            match &base {
                Some(base) if has_bag => base.type_names(),
                _ => names,
            }
        } else {
            names
        };
        let text = object.to_string.as_ref().map(|t| Arc::from(t.as_str()));
        let made = Value::Object(Arc::new(PsObject::deserialized(base, members, names, text)));
        if let Some(id) = object.id {
            self.seen.insert(id, made.clone());
        }
        made
    }

    /// The types that come back as themselves.
    fn alive(&mut self, object: &Object) -> Option<Value> {
        let name = object.type_names.first()?.as_str().trim_start_matches("Deserialized.");
        match name {
            "System.Management.Automation.SwitchParameter" => {
                let on = matches!(object.get("IsPresent"), Some(clixml::Value::Bool(true)));
                Some(Value::native(SwitchParameter(on)))
            }
            _ => None,
        }
    }
}

/// A deserialised error record as an error record again, as remoting hands it to the caller.
pub fn error_record_from(value: &Value) -> Option<ErrorRecord> {
    let object = value.members()?;
    let note = |name: &str| object.note(name).unwrap_or_default();
    let exception = object.note("Exception")?;
    let message = match &exception {
        Value::Object(bag) => bag
            .note("Message")
            .map(|m| to_text(&m))
            .or_else(|| bag.text().map(ToString::to_string))
            .unwrap_or_default(),
        other => to_text(other),
    };
    let category =
        ErrorCategory::from_number(note("ErrorCategory_Category").as_integer().unwrap_or(0) as i64)
            .unwrap_or_default();
    let remote = hop_powershell_runtime::value::Exception::new(
        "System.Management.Automation.RemoteException",
        message,
    )
    .with_property("SerializedRemoteException", exception);
    let mut record = ErrorRecord::new(
        Arc::new(remote),
        &to_text(&note("FullyQualifiedErrorId")),
        category,
        note("TargetObject"),
    );
    record.reason = to_text(&note("ErrorCategory_Reason"));
    record.target_name = Some(to_text(&note("ErrorCategory_TargetName")));
    record.target_type = Some(to_text(&note("ErrorCategory_TargetType")));
    record.set_activity(&to_text(&note("ErrorCategory_Activity")));
    let details = to_text(&note("ErrorDetails_Message"));
    if !details.is_empty() {
        record.set_details(Some(hop_powershell_runtime::value::ErrorDetails {
            message: details,
            recommended_action: to_text(&note("ErrorDetails_RecommendedAction")),
        }));
    }
    let trace = to_text(&note("ErrorDetails_ScriptStackTrace"));
    if !trace.is_empty() {
        let _ = record.stack_trace.set(trace);
    }
    Some(record)
}
