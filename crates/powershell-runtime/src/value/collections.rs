//! Arrays, lists and dictionaries.

use std::sync::{Arc, RwLock, RwLockReadGuard, RwLockWriteGuard};

use indexmap::IndexMap;

use super::{TypeRef, Value};

fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// A fixed-length array, shared by reference.
#[derive(Debug)]
pub struct PsArray {
    element: TypeRef,
    /// Lengths of the dimensions of a multi-dimensional array; empty for the usual one-dimensional kind.
    dimensions: Vec<usize>,
    items: RwLock<Vec<Value>>,
}

impl PsArray {
    /// An array whose items already have the element type.
    pub fn new(element: TypeRef, items: Vec<Value>) -> Self {
        Self { element, dimensions: Vec::new(), items: RwLock::new(items) }
    }

    /// An `Object[]`.
    pub fn objects(items: Vec<Value>) -> Self {
        Self::new(TypeRef::object(), items)
    }

    /// A multi-dimensional array, row by row.
    pub fn multi(element: TypeRef, dimensions: Vec<usize>, items: Vec<Value>) -> Self {
        Self { element, dimensions, items: RwLock::new(items) }
    }

    /// The element type.
    pub fn element(&self) -> &TypeRef {
        &self.element
    }

    /// Number of dimensions.
    pub fn rank(&self) -> usize {
        self.dimensions.len().max(1)
    }

    /// Lengths of the dimensions; empty for a one-dimensional array.
    pub fn dimensions(&self) -> &[usize] {
        &self.dimensions
    }

    /// Number of items over all dimensions.
    pub fn len(&self) -> usize {
        read(&self.items).len()
    }

    /// Whether there are no items.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A copy of the items.
    pub fn to_vec(&self) -> Vec<Value> {
        read(&self.items).clone()
    }

    /// The item at a zero-based flat index.
    pub fn get(&self, index: usize) -> Option<Value> {
        read(&self.items).get(index).cloned()
    }

    /// Replaces an item; false when the index is out of range.
    pub fn set(&self, index: usize, value: Value) -> bool {
        write(&self.items).get_mut(index).map(|slot| *slot = value).is_some()
    }

    /// Read access to the items.
    pub fn items(&self) -> RwLockReadGuard<'_, Vec<Value>> {
        read(&self.items)
    }

    /// Write access for in-place operations (`[array]::Sort`); the length must stay.
    pub fn items_mut(&self) -> RwLockWriteGuard<'_, Vec<Value>> {
        write(&self.items)
    }

    /// The bytes of a `Byte[]`.
    pub fn as_bytes(&self) -> Option<Vec<u8>> {
        read(&self.items)
            .iter()
            .map(|v| match v {
                Value::Byte(b) => Some(*b),
                _ => None,
            })
            .collect()
    }
}

/// Which list-like .NET collection a [`PsList`] is.
#[derive(Clone, Debug, PartialEq)]
pub enum ListKind {
    /// `System.Collections.ArrayList`.
    ArrayList,
    /// `System.Collections.Generic.List<T>`.
    List(TypeRef),
    /// `System.Collections.ObjectModel.Collection<T>` (what a script block's `Invoke` returns).
    Collection(TypeRef),
    /// `System.Collections.Queue`.
    Queue,
    /// `System.Collections.Generic.Queue<T>`.
    QueueOf(TypeRef),
    /// `System.Collections.Stack`; the top is the last item.
    Stack,
    /// `System.Collections.Generic.Stack<T>`; the top is the last item.
    StackOf(TypeRef),
    /// `System.Collections.Generic.HashSet<T>`; the flag says whether text is compared without case.
    HashSet(TypeRef, bool),
    /// `System.Collections.Generic.SortedSet<T>`.
    SortedSet(TypeRef),
    /// `System.Collections.Generic.LinkedList<T>`.
    LinkedList(TypeRef),
    /// A read-only or special collection with this full type name (such as a dictionary's `Keys`).
    ReadOnly(TypeRef),
}

/// A growable collection, shared by reference.
#[derive(Debug)]
pub struct PsList {
    kind: ListKind,
    items: RwLock<Vec<Value>>,
}

impl PsList {
    /// A list of the given kind; a stack's top is the last item.
    pub fn new(kind: ListKind, items: Vec<Value>) -> Self {
        Self { kind, items: RwLock::new(items) }
    }

    /// An `ArrayList`.
    pub fn array_list(items: Vec<Value>) -> Self {
        Self::new(ListKind::ArrayList, items)
    }

    /// Which collection this is.
    pub fn kind(&self) -> &ListKind {
        &self.kind
    }

    /// The element type items are converted to, when the collection is generic.
    pub fn element(&self) -> Option<&TypeRef> {
        match &self.kind {
            ListKind::List(t)
            | ListKind::Collection(t)
            | ListKind::QueueOf(t)
            | ListKind::StackOf(t)
            | ListKind::HashSet(t, _)
            | ListKind::SortedSet(t)
            | ListKind::LinkedList(t) => Some(t),
            ListKind::ArrayList | ListKind::Queue | ListKind::Stack | ListKind::ReadOnly(_) => None,
        }
    }

    /// The collection's .NET type.
    pub fn type_ref(&self) -> TypeRef {
        let generic = |name: &str, t: &TypeRef| TypeRef::generic(name, vec![t.clone()]);
        match &self.kind {
            ListKind::ArrayList => TypeRef::named("System.Collections.ArrayList"),
            ListKind::Queue => TypeRef::named("System.Collections.Queue"),
            ListKind::Stack => TypeRef::named("System.Collections.Stack"),
            ListKind::List(t) => generic("System.Collections.Generic.List", t),
            ListKind::Collection(t) => generic("System.Collections.ObjectModel.Collection", t),
            ListKind::QueueOf(t) => generic("System.Collections.Generic.Queue", t),
            ListKind::StackOf(t) => generic("System.Collections.Generic.Stack", t),
            ListKind::HashSet(t, _) => generic("System.Collections.Generic.HashSet", t),
            ListKind::SortedSet(t) => generic("System.Collections.Generic.SortedSet", t),
            ListKind::LinkedList(t) => generic("System.Collections.Generic.LinkedList", t),
            ListKind::ReadOnly(t) => t.clone(),
        }
    }

    /// Number of items.
    pub fn len(&self) -> usize {
        read(&self.items).len()
    }

    /// Whether there are no items.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The items in enumeration order (a stack's from the top).
    pub fn to_vec(&self) -> Vec<Value> {
        let items = read(&self.items);
        match self.kind {
            ListKind::Stack | ListKind::StackOf(_) => items.iter().rev().cloned().collect(),
            _ => items.clone(),
        }
    }

    /// Read access to the items in storage order.
    pub fn items(&self) -> RwLockReadGuard<'_, Vec<Value>> {
        read(&self.items)
    }

    /// Write access to the items in storage order.
    pub fn items_mut(&self) -> RwLockWriteGuard<'_, Vec<Value>> {
        write(&self.items)
    }
}

/// Which dictionary a [`PsDict`] is.
#[derive(Clone, Debug, PartialEq)]
pub enum DictKind {
    /// `System.Collections.Hashtable`.
    Hashtable,
    /// `System.Collections.Specialized.OrderedDictionary`.
    Ordered,
    /// `System.Collections.Generic.Dictionary<K,V>`.
    Dictionary(TypeRef, TypeRef),
    /// `System.Collections.Generic.SortedDictionary<K,V>` or `SortedList` (the flag).
    Sorted(TypeRef, TypeRef),
    /// `System.Collections.SortedList`.
    SortedList,
    /// Any other dictionary type, by its type (such as `$PSBoundParameters`).
    Other(TypeRef),
}

/// A dictionary in insertion order, shared by reference.
#[derive(Debug)]
pub struct PsDict {
    kind: DictKind,
    ignore_case: bool,
    entries: RwLock<IndexMap<HashKey, (Value, Value)>>,
}

impl PsDict {
    /// A dictionary of the given kind.
    pub fn new(kind: DictKind, ignore_case: bool) -> Self {
        Self { kind, ignore_case, entries: RwLock::new(IndexMap::new()) }
    }

    /// An empty `@{}`.
    pub fn hashtable() -> Self {
        Self::new(DictKind::Hashtable, true)
    }

    /// An empty `[ordered]@{}`.
    pub fn ordered() -> Self {
        Self::new(DictKind::Ordered, true)
    }

    /// Which dictionary this is.
    pub fn kind(&self) -> &DictKind {
        &self.kind
    }

    /// Whether text keys are compared without case.
    pub fn ignore_case(&self) -> bool {
        self.ignore_case
    }

    /// The dictionary's .NET type.
    pub fn type_ref(&self) -> TypeRef {
        match &self.kind {
            DictKind::Hashtable => TypeRef::named("System.Collections.Hashtable"),
            DictKind::Ordered => TypeRef::named("System.Collections.Specialized.OrderedDictionary"),
            DictKind::SortedList => TypeRef::named("System.Collections.SortedList"),
            DictKind::Dictionary(k, v) => {
                TypeRef::generic("System.Collections.Generic.Dictionary", vec![k.clone(), v.clone()])
            }
            DictKind::Sorted(k, v) => {
                TypeRef::generic("System.Collections.Generic.SortedDictionary", vec![k.clone(), v.clone()])
            }
            DictKind::Other(t) => t.clone(),
        }
    }

    fn key(&self, key: &Value) -> HashKey {
        HashKey::new(key, self.ignore_case)
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        read(&self.entries).len()
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value for a key.
    pub fn get(&self, key: &Value) -> Option<Value> {
        read(&self.entries).get(&self.key(key)).map(|(_, v)| v.clone())
    }

    /// The value for a text key.
    pub fn get_str(&self, key: &str) -> Option<Value> {
        read(&self.entries).get(&HashKey::text(key, self.ignore_case)).map(|(_, v)| v.clone())
    }

    /// Whether a key is present.
    pub fn contains(&self, key: &Value) -> bool {
        read(&self.entries).contains_key(&self.key(key))
    }

    /// Sets an entry; an existing one keeps its place and its key's spelling.
    pub fn insert(&self, key: Value, value: Value) {
        let hash = self.key(&key);
        let mut entries = write(&self.entries);
        match entries.get_mut(&hash) {
            Some(slot) => slot.1 = value,
            None => {
                entries.insert(hash, (key, value));
                if matches!(self.kind, DictKind::Sorted(..) | DictKind::SortedList) {
                    entries.sort_by(|_, (a, _), _, (b, _)| crate::operators::compare_for_sort(a, b));
                }
            }
        }
    }

    /// Sets an entry with a text key.
    pub fn insert_str(&self, key: &str, value: Value) {
        self.insert(Value::string(key), value);
    }

    /// Inserts at a position (ordered dictionaries); false when the key exists or the index is out of range.
    pub fn insert_at(&self, index: usize, key: Value, value: Value) -> bool {
        let hash = self.key(&key);
        let mut entries = write(&self.entries);
        if entries.contains_key(&hash) || index > entries.len() {
            return false;
        }
        entries.shift_insert(index, hash, (key, value));
        true
    }

    /// Removes an entry.
    pub fn remove(&self, key: &Value) -> Option<Value> {
        write(&self.entries).shift_remove(&self.key(key)).map(|(_, v)| v)
    }

    /// Removes the entry at a position.
    pub fn remove_at(&self, index: usize) -> Option<Value> {
        write(&self.entries).shift_remove_index(index).map(|(_, (_, v))| v)
    }

    /// The entry at a position.
    pub fn at(&self, index: usize) -> Option<(Value, Value)> {
        read(&self.entries).get_index(index).map(|(_, e)| e.clone())
    }

    /// Replaces the value at a position; false when out of range.
    pub fn set_at(&self, index: usize, value: Value) -> bool {
        write(&self.entries).get_index_mut(index).map(|(_, e)| e.1 = value).is_some()
    }

    /// Removes all entries.
    pub fn clear(&self) {
        write(&self.entries).clear();
    }

    /// A copy of the entries in order.
    pub fn entries(&self) -> Vec<(Value, Value)> {
        read(&self.entries).values().cloned().collect()
    }

    /// The keys in order.
    pub fn keys(&self) -> Vec<Value> {
        read(&self.entries).values().map(|(k, _)| k.clone()).collect()
    }

    /// The values in order.
    pub fn values(&self) -> Vec<Value> {
        read(&self.entries).values().map(|(_, v)| v.clone()).collect()
    }

    /// A shallow copy.
    pub fn copy(&self) -> Self {
        Self {
            kind: self.kind.clone(),
            ignore_case: self.ignore_case,
            entries: RwLock::new(read(&self.entries).clone()),
        }
    }
}

/// What a dictionary compares keys by: the type and the value, text folded where the dictionary ignores case.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HashKey {
    /// No value.
    Null,
    /// Text.
    Text(Box<str>),
    /// A scalar of the type with this tag.
    Number(u8, i128),
    /// A scalar known by its type and text.
    Other(&'static str, Box<str>),
    /// A reference type, by identity.
    Identity(usize),
}

/// Text as it is compared without case.
pub fn fold_case(text: &str) -> String {
    if text.is_ascii() { text.to_ascii_lowercase() } else { text.to_lowercase() }
}

impl HashKey {
    /// The key for a value.
    pub fn new(value: &Value, ignore_case: bool) -> Self {
        let value = value.base();
        if let Value::String(text) = value {
            return Self::text(text, ignore_case);
        }
        if let Some(scalar) = Self::scalar(value) {
            return scalar;
        }
        fn address<T: ?Sized>(arc: &Arc<T>) -> usize {
            Arc::as_ptr(arc).cast::<()>() as usize
        }
        Self::Identity(match value {
            Value::Array(a) => address(a),
            Value::List(a) => address(a),
            Value::Dict(a) => address(a),
            Value::Object(a) => address(a),
            Value::ScriptBlock(a) => address(a),
            Value::Exception(a) => address(a),
            Value::ErrorRecord(a) => address(a),
            Value::SecureString(a) => address(a),
            Value::Native(a) => match a.hash_key() {
                Some(text) => return Self::Other("native", text.into()),
                None => address(a),
            },
            _ => return Self::Null,
        })
    }

    /// The key for text.
    pub fn text(text: &str, ignore_case: bool) -> Self {
        Self::Text(if ignore_case { fold_case(text).into() } else { text.into() })
    }

    /// The key of a scalar (text with its case); `None` for reference types.
    pub fn scalar(value: &Value) -> Option<Self> {
        Some(match value {
            Value::Null | Value::Empty => Self::Null,
            Value::String(text) => Self::Text((&**text).into()),
            Value::Bool(b) => Self::Number(1, i128::from(*b)),
            Value::Char(n) => Self::Number(2, i128::from(*n)),
            Value::SByte(n) => Self::Number(3, i128::from(*n)),
            Value::Byte(n) => Self::Number(4, i128::from(*n)),
            Value::Int16(n) => Self::Number(5, i128::from(*n)),
            Value::UInt16(n) => Self::Number(6, i128::from(*n)),
            Value::Int32(n) => Self::Number(7, i128::from(*n)),
            Value::UInt32(n) => Self::Number(8, i128::from(*n)),
            Value::Int64(n) => Self::Number(9, i128::from(*n)),
            Value::UInt64(n) => Self::Number(10, i128::from(*n)),
            Value::Single(n) => Self::Number(11, i128::from((if *n == 0.0 { 0.0 } else { *n }).to_bits())),
            Value::Double(n) => Self::Number(12, i128::from((if *n == 0.0 { 0.0 } else { *n }).to_bits())),
            Value::DateTime(d) => Self::Number(13, i128::from(d.ticks())),
            Value::TimeSpan(t) => Self::Number(14, i128::from(t.ticks())),
            Value::Decimal(d) => Self::Other("decimal", d.normalize().to_string().into()),
            Value::BigInt(b) => Self::Other("bigint", b.to_string().into()),
            Value::Guid(g) => Self::Other("guid", g.to_string().into()),
            Value::Version(v) => Self::Other("version", format!("{v:?}").into()),
            Value::Enum(t, n) => Self::Other("enum", format!("{}:{n}", t.name()).into()),
            Value::Type(t) => Self::Other("type", t.full_name().into()),
            _ => return None,
        })
    }
}
