//! Objects with members: `PSCustomObject`, deserialised objects and decorated values.

use std::sync::{Arc, RwLock};

use super::{Value, base_type_name};

/// What kind of member a name stands for, with its contents.
#[derive(Clone, Debug)]
pub enum MemberKind {
    /// A note property.
    Note(Value),
    /// A real property of a deserialised object (CLIXML `Props`).
    Property(Value),
    /// An alias of another property.
    Alias(Arc<str>),
    /// A script property: getter and setter script blocks.
    Script(Value, Value),
    /// A script method.
    Method(Value),
    /// A property set: names of properties.
    PropertySet(Vec<Arc<str>>),
    /// A member set (such as `PSStandardMembers`).
    MemberSet(Arc<PsObject>),
}

/// One member of an object.
#[derive(Clone, Debug)]
pub struct Member {
    /// The member's name as it was first spelled.
    pub name: Arc<str>,
    /// Kind and contents.
    pub kind: MemberKind,
}

/// Members in definition order, found without case.
#[derive(Clone, Debug, Default)]
pub struct Members {
    list: Vec<Member>,
}

impl Members {
    fn position(&self, name: &str) -> Option<usize> {
        self.list.iter().position(|m| same_name(&m.name, name))
    }

    /// The member of that name.
    pub fn get(&self, name: &str) -> Option<&Member> {
        self.position(name).and_then(|i| self.list.get(i))
    }

    /// Adds or replaces a member in place.
    pub fn set(&mut self, name: &str, kind: MemberKind) {
        match self.position(name).and_then(|i| self.list.get_mut(i)) {
            Some(member) => member.kind = kind,
            None => self.push(name, kind),
        }
    }

    /// Adds a member without looking for one of the same name.
    pub fn push(&mut self, name: &str, kind: MemberKind) {
        self.list.push(Member { name: Arc::from(name), kind });
    }

    /// Removes a member.
    pub fn remove(&mut self, name: &str) -> Option<Member> {
        self.position(name).map(|i| self.list.remove(i))
    }

    /// All members in order.
    pub fn iter(&self) -> impl Iterator<Item = &Member> {
        self.list.iter()
    }

    /// Number of members.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there are no members.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}

fn same_name(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b) || (!a.is_ascii() && a.to_lowercase() == b.to_lowercase())
}

/// An object with members of its own: a `PSCustomObject` (no base), or another value with members attached.
#[derive(Debug)]
pub struct PsObject {
    base: Option<Value>,
    members: RwLock<Members>,
    /// Type names when they differ from the base's own.
    type_names: RwLock<Option<Vec<Arc<str>>>>,
    /// The string form of a deserialised object.
    text: Option<Arc<str>>,
    deserialized: bool,
}

impl PsObject {
    /// A `PSCustomObject` with note properties.
    pub fn custom<N: AsRef<str>>(notes: impl IntoIterator<Item = (N, Value)>) -> Self {
        let mut members = Members::default();
        for (name, value) in notes {
            members.set(name.as_ref(), MemberKind::Note(value));
        }
        Self {
            base: None,
            members: RwLock::new(members),
            type_names: RwLock::new(None),
            text: None,
            deserialized: false,
        }
    }

    /// A value with (so far no) members attached.
    pub fn wrapping(base: Value) -> Self {
        Self {
            base: Some(base),
            members: RwLock::new(Members::default()),
            type_names: RwLock::new(None),
            text: None,
            deserialized: false,
        }
    }

    /// A deserialised object: property bag, string form and type names as they came; `base` for a primitive or
    /// collection that came with decoration.
    pub fn deserialized(
        base: Option<Value>,
        members: Members,
        type_names: Vec<Arc<str>>,
        text: Option<Arc<str>>,
    ) -> Self {
        Self {
            base,
            members: RwLock::new(members),
            type_names: RwLock::new(Some(type_names)),
            text,
            deserialized: true,
        }
    }

    /// The decorated value; `None` for a property bag.
    pub fn base(&self) -> Option<&Value> {
        self.base.as_ref()
    }

    /// Whether this came out of a deserialiser.
    pub fn is_deserialized(&self) -> bool {
        self.deserialized
    }

    /// The string form that came with a deserialised object.
    pub fn text(&self) -> Option<&Arc<str>> {
        self.text.as_ref()
    }

    /// The .NET type a property bag claims to be.
    pub fn clr_type_name(&self) -> &'static str {
        let has_properties = self.deserialized
            && self.with_members(|m| m.iter().any(|m| matches!(m.kind, MemberKind::Property(_))));
        if has_properties {
            "System.Management.Automation.PSObject"
        } else {
            "System.Management.Automation.PSCustomObject"
        }
    }

    /// Runs a closure over the members; keep it short and do not call back into the object.
    pub fn with_members<R>(&self, body: impl FnOnce(&Members) -> R) -> R {
        body(&self.members.read().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    /// Changes the members; keep it short and do not call back into the object.
    pub fn with_members_mut<R>(&self, body: impl FnOnce(&mut Members) -> R) -> R {
        body(&mut self.members.write().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    /// The attached member of that name (not the base's own).
    pub fn member(&self, name: &str) -> Option<Member> {
        self.with_members(|m| m.get(name).cloned())
    }

    /// All attached members.
    pub fn members(&self) -> Vec<Member> {
        self.with_members(|m| m.iter().cloned().collect())
    }

    /// Adds or replaces a note property.
    pub fn set_note(&self, name: &str, value: Value) {
        self.with_members_mut(|m| m.set(name, MemberKind::Note(value)));
    }

    /// Adds or replaces a member.
    pub fn set_member(&self, name: &str, kind: MemberKind) {
        self.with_members_mut(|m| m.set(name, kind));
    }

    /// The value of a note or plain property, without running script or following aliases.
    pub fn note(&self, name: &str) -> Option<Value> {
        self.with_members(|m| match m.get(name).map(|m| &m.kind) {
            Some(MemberKind::Note(v) | MemberKind::Property(v)) => Some(v.clone()),
            _ => None,
        })
    }

    /// `PSObject.TypeNames`.
    pub fn type_names(&self) -> Vec<Arc<str>> {
        let own = self.type_names.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        match (&*own, &self.base) {
            (Some(names), _) => names.clone(),
            (None, Some(base)) => base.type_names(),
            (None, None) => {
                vec![Arc::from("System.Management.Automation.PSCustomObject"), Arc::from("System.Object")]
            }
        }
    }

    /// Whether the type names were changed from the base's own.
    pub fn has_own_type_names(&self) -> bool {
        self.type_names.read().unwrap_or_else(std::sync::PoisonError::into_inner).is_some()
    }

    /// Puts a type name in front.
    pub fn insert_type_name(&self, name: &str) {
        let mut names = self.type_names();
        names.insert(0, Arc::from(name));
        self.set_type_names(names);
    }

    /// Replaces all type names.
    pub fn set_type_names(&self, names: Vec<Arc<str>>) {
        *self.type_names.write().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(names);
    }

    /// A shallow copy (`PSObject.Copy()`).
    pub fn copy(&self) -> Self {
        Self {
            base: self.base.clone(),
            members: RwLock::new(self.with_members(Clone::clone)),
            type_names: RwLock::new(
                self.type_names.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone(),
            ),
            text: self.text.clone(),
            deserialized: self.deserialized,
        }
    }

    /// Whether any of the type names, with or without the `Deserialized.` prefix, is this one or derives from it.
    pub fn is_a(&self, name: &str) -> bool {
        self.type_names().iter().any(|n| {
            let plain = n.strip_prefix("Deserialized.").unwrap_or(n);
            plain.eq_ignore_ascii_case(name)
                || base_type_name(plain).is_some_and(|b| b.eq_ignore_ascii_case(name))
        })
    }
}
