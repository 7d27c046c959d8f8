//! Members of arrays, lists and dictionaries, and the `Where`/`ForEach` methods of all collections.

use std::sync::Arc;

use super::{DictEntry, convert_arg, int_arg, no_overload};
use crate::convert::{self, to_bool, to_text};
use crate::operators::{compare_for_sort, equals};
use crate::value::{
    Callbacks, DictKind, Error, HashKey, ListKind, PsDict, PsList, ScriptCall, TypeRef, Value,
};

pub(super) fn property(value: &Value, name: &str) -> Option<Value> {
    match value {
        Value::Array(array) => Some(match name {
            "length" | "count" => Value::Int32(array.len() as i32),
            "longlength" => Value::Int64(array.len() as i64),
            "rank" => Value::Int32(array.rank() as i32),
            "syncroot" => value.clone(),
            "isreadonly" | "issynchronized" => Value::Bool(false),
            "isfixedsize" => Value::Bool(true),
            _ => return None,
        }),
        Value::List(list) => Some(match name {
            "count" => Value::Int32(list.len() as i32),
            "capacity" => Value::Int32(list.len().next_power_of_two().max(4) as i32),
            "isreadonly" | "isfixedsize" | "issynchronized" => Value::Bool(false),
            "length" => Value::Int32(list.len() as i32),
            _ => return None,
        }),
        Value::Dict(dict) => Some(match name {
            "count" => Value::Int32(dict.len() as i32),
            "keys" => keys_list(dict, dict.keys(), "Key"),
            "values" => keys_list(dict, dict.values(), "Value"),
            "isreadonly" | "isfixedsize" | "issynchronized" => Value::Bool(false),
            "syncroot" => value.clone(),
            _ => return None,
        }),
        _ => None,
    }
}

fn keys_list(dict: &PsDict, items: Vec<Value>, what: &str) -> Value {
    let kind = match dict.kind() {
        DictKind::Dictionary(k, v) => TypeRef::generic(
            &format!("System.Collections.Generic.Dictionary`2+{what}Collection"),
            vec![k.clone(), v.clone()],
        ),
        DictKind::Ordered => TypeRef::named(
            "System.Collections.Specialized.OrderedDictionary+OrderedDictionaryKeyValueCollection",
        ),
        _ => TypeRef::named(&format!("System.Collections.Hashtable+{what}Collection")),
    };
    Value::List(Arc::new(PsList::new(ListKind::ReadOnly(kind), items)))
}

/// Adds an item by the collection's own rules; false when a set already has it.
pub fn list_add(list: &PsList, item: Value) -> bool {
    match list.kind() {
        ListKind::HashSet(_, ignore_case) => {
            let key = HashKey::new(&item, *ignore_case);
            let mut items = list.items_mut();
            if items.iter().any(|i| HashKey::new(i, *ignore_case) == key) {
                return false;
            }
            items.push(item);
        }
        ListKind::SortedSet(_) => {
            let mut items = list.items_mut();
            match items.binary_search_by(|i| compare_for_sort(i, &item)) {
                Ok(_) => return false,
                Err(at) => items.insert(at, item),
            }
        }
        _ => list.items_mut().push(item),
    }
    true
}

/// `.Where{}` and `.ForEach{}`, which every value has.
pub fn magic(
    target: &Value,
    name: &str,
    args: &[Value],
    engine: &mut dyn Callbacks,
) -> Option<Result<Value, Error>> {
    let is_each = name.eq_ignore_ascii_case("foreach");
    if !is_each && !name.eq_ignore_ascii_case("where") {
        return None;
    }
    let first = args.first()?.clone();
    let items = target.enumerate().unwrap_or_else(|| vec![target.clone()]);
    let collection = |items: Vec<Value>| {
        Value::List(Arc::new(PsList::new(
            ListKind::Collection(TypeRef::named("System.Management.Automation.PSObject")),
            items,
        )))
    };
    let result = if is_each {
        for_each(&items, &first, args, engine)
    } else {
        where_items(&items, &first, args, engine)
    };
    Some(result.map(collection))
}

fn for_each(
    items: &[Value],
    first: &Value,
    args: &[Value],
    engine: &mut dyn Callbacks,
) -> Result<Vec<Value>, Error> {
    let mut out = Vec::new();
    for item in items {
        match first.base() {
            Value::ScriptBlock(_) => {
                let call = ScriptCall {
                    underscore: Some(item.clone()),
                    arguments: args.iter().skip(1).cloned().collect(),
                    in_caller_scope: true,
                    ..ScriptCall::default()
                };
                out.extend(engine.call_script(first, call)?);
            }
            Value::Type(kind) => out.push(convert::convert_to(item, kind, engine)?),
            _ => {
                let name = to_text(first);
                match args.get(1) {
                    Some(value) if crate::members::get(item, &name, engine)?.is_some() => {
                        crate::members::set(item, &name, value.clone(), engine)?;
                    }
                    _ => match crate::members::get(item, &name, engine)? {
                        Some(found) => out.push(found),
                        None => out.push(crate::members::invoke(
                            item,
                            &name,
                            args.get(1..).unwrap_or(&[]),
                            engine,
                        )?),
                    },
                }
            }
        }
    }
    Ok(out)
}

fn where_items(
    items: &[Value],
    block: &Value,
    args: &[Value],
    engine: &mut dyn Callbacks,
) -> Result<Vec<Value>, Error> {
    let mode = args.get(1).map(to_text).unwrap_or_default().to_ascii_lowercase();
    let limit = args.get(2).and_then(convert::to_i64).filter(|n| *n > 0).map(|n| n as usize);
    let mut yes = Vec::new();
    let mut no = Vec::new();
    let mut switched = false;
    for item in items {
        let call =
            ScriptCall { underscore: Some(item.clone()), in_caller_scope: true, ..ScriptCall::default() };
        let hit =
            if switched { true } else { to_bool(&Value::from_output(engine.call_script(block, call)?)) };
        match mode.as_str() {
            "until" => {
                if hit {
                    break;
                }
                yes.push(item.clone());
            }
            "skipuntil" => {
                switched |= hit;
                if switched {
                    yes.push(item.clone());
                }
            }
            _ if hit => {
                yes.push(item.clone());
                let enough = match mode.as_str() {
                    "first" => Some(limit.unwrap_or(1)),
                    "last" | "split" => None,
                    _ => limit,
                };
                if enough.is_some_and(|n| yes.len() >= n) {
                    break;
                }
            }
            _ => no.push(item.clone()),
        }
    }
    Ok(match mode.as_str() {
        "last" => {
            let n = limit.unwrap_or(1);
            yes.split_off(yes.len().saturating_sub(n))
        }
        "split" => vec![Value::array(yes), Value::array(no)],
        _ => yes,
    })
}

fn fixed_size() -> Error {
    Error::dotnet("System.NotSupportedException", "Collection was of a fixed size.")
}

fn index_error() -> Error {
    Error::dotnet(
        "System.ArgumentOutOfRangeException",
        "Index was out of range. Must be non-negative and less than the size of the collection. (Parameter 'index')",
    )
}

pub(super) fn method(
    value: &Value,
    name: &str,
    args: &[Value],
    engine: &mut dyn Callbacks,
) -> Option<Result<Value, Error>> {
    let result = match value {
        Value::Array(_) => array_method(value, name, args, engine),
        Value::List(list) => list_method(value, list, name, args, engine),
        Value::Dict(dict) => dict_method(value, dict, name, args, engine),
        _ => Ok(None),
    };
    match result {
        Ok(Some(value)) => Some(Ok(value)),
        Ok(None) => None,
        Err(error) => Some(Err(error)),
    }
}

fn array_method(
    value: &Value,
    name: &str,
    args: &[Value],
    engine: &mut dyn Callbacks,
) -> Result<Option<Value>, Error> {
    let Value::Array(array) = value else { return Ok(None) };
    Ok(Some(match name {
        "contains" => {
            let wanted = args.first().cloned().unwrap_or_default();
            Value::Bool(array.to_vec().iter().any(|i| i.same(&wanted)))
        }
        "indexof" => {
            let wanted = args.first().cloned().unwrap_or_default();
            Value::Int32(array.to_vec().iter().position(|i| i.same(&wanted)).map_or(-1, |i| i as i32))
        }
        "clone" => {
            Value::Array(Arc::new(crate::value::PsArray::new(array.element().clone(), array.to_vec())))
        }
        "getlength" | "getupperbound" => {
            let dimension = int_arg(args, 0, "dimension", "GetLength", engine)?;
            let length = if array.rank() > 1 {
                array.dimensions().get(dimension as usize).copied().unwrap_or(0)
            } else {
                array.len()
            };
            Value::Int32(length as i32 - i32::from(name == "getupperbound"))
        }
        "getlowerbound" => Value::Int32(0),
        "getvalue" | "get" => {
            let at = int_arg(args, 0, "index", "GetValue", engine)?;
            match usize::try_from(at).ok().and_then(|i| array.get(i)) {
                Some(v) => v,
                None => {
                    return Err(Error::dotnet(
                        "System.IndexOutOfRangeException",
                        "Index was outside the bounds of the array.",
                    ));
                }
            }
        }
        "setvalue" | "set" => {
            let (at, item) = if name == "setvalue" { (1, 0) } else { (0, 1) };
            let at = int_arg(args, at, "index", "SetValue", engine)?;
            array.set(at.max(0) as usize, args.get(item).cloned().unwrap_or_default());
            Value::Empty
        }
        "copyto" => {
            if let Some(Value::Array(target)) = args.first().map(Value::base) {
                let at = int_arg(args, 1, "index", "CopyTo", engine)?.max(0) as usize;
                for (i, item) in array.to_vec().into_iter().enumerate() {
                    target.set(at + i, item);
                }
            }
            Value::Empty
        }
        "getenumerator" => value.clone(),
        "add" | "remove" | "removeat" | "insert" | "clear" => return Err(fixed_size()),
        _ => return Ok(None),
    }))
}

fn list_method(
    value: &Value,
    list: &Arc<PsList>,
    name: &str,
    args: &[Value],
    engine: &mut dyn Callbacks,
) -> Result<Option<Value>, Error> {
    let element = list.element().map(|t| t.full_name().to_owned()).unwrap_or_else(|| "System.Object".into());
    let item_arg = |at: usize, method: &str, engine: &mut dyn Callbacks| -> Result<Value, Error> {
        if element == "System.Object" {
            Ok(args.get(at).cloned().unwrap_or_default())
        } else {
            convert_arg(args, at, "item", method, &element, engine)
        }
    };
    let empty_error =
        |what: &str| Error::dotnet("System.InvalidOperationException", format!("{what} empty."));
    let stack = matches!(list.kind(), ListKind::Stack | ListKind::StackOf(_));
    let queue = matches!(list.kind(), ListKind::Queue | ListKind::QueueOf(_));
    let set = matches!(list.kind(), ListKind::HashSet(..) | ListKind::SortedSet(_));
    let fold = matches!(list.kind(), ListKind::HashSet(_, true));
    let position = |item: &Value| {
        let key = HashKey::new(item, fold);
        list.items().iter().position(|i| HashKey::new(i, fold) == key)
    };
    let other_items = || args.first().cloned().map(Value::into_items).unwrap_or_default();
    Ok(Some(match name {
        "add" if !stack && !queue => {
            if args.len() != 1 {
                return Err(no_overload("Add", args.len()));
            }
            let item = item_arg(0, "Add", engine)?;
            let added = list_add(list, item);
            match list.kind() {
                ListKind::ArrayList => Value::Int32(list.len() as i32 - 1),
                _ if set => Value::Bool(added),
                _ => Value::Empty,
            }
        }
        "addlast" | "addfirst" => {
            let item = item_arg(0, "AddLast", engine)?;
            if name == "addlast" {
                list.items_mut().push(item)
            } else {
                list.items_mut().insert(0, item)
            }
            Value::Empty
        }
        "addrange" => {
            for i in other_items() {
                let item = match list.element() {
                    Some(kind) => convert::convert_to(&i, kind, engine)?,
                    None => i,
                };
                list.items_mut().push(item);
            }
            Value::Empty
        }
        "enqueue" if queue => {
            let item = item_arg(0, "Enqueue", engine)?;
            list.items_mut().push(item);
            Value::Empty
        }
        "push" if stack => {
            let item = item_arg(0, "Push", engine)?;
            list.items_mut().push(item);
            Value::Empty
        }
        "dequeue" if queue => {
            let mut items = list.items_mut();
            if items.is_empty() {
                return Err(empty_error("Queue"));
            }
            items.remove(0)
        }
        "pop" if stack => match list.items_mut().pop() {
            Some(v) => v,
            None => return Err(empty_error("Stack")),
        },
        "peek" if stack || queue => {
            let items = list.items();
            let found = if stack { items.last() } else { items.first() };
            match found {
                Some(v) => v.clone(),
                None => return Err(empty_error(if stack { "Stack" } else { "Queue" })),
            }
        }
        "clear" => {
            list.items_mut().clear();
            Value::Empty
        }
        "contains" => {
            let item = args.first().cloned().unwrap_or_default();
            Value::Bool(position(&item).is_some())
        }
        "indexof" => {
            let item = args.first().cloned().unwrap_or_default();
            Value::Int32(position(&item).map_or(-1, |i| i as i32))
        }
        "insert" => {
            let at = int_arg(args, 0, "index", "Insert", engine)?;
            let item = item_arg(1, "Insert", engine)?;
            let mut items = list.items_mut();
            if at < 0 || at as usize > items.len() {
                return Err(Error::dotnet(
                    "System.ArgumentOutOfRangeException",
                    "Index must be within the bounds of the List. (Parameter 'index')",
                ));
            }
            items.insert(at as usize, item);
            Value::Empty
        }
        "insertrange" => {
            let at = int_arg(args, 0, "index", "InsertRange", engine)?.max(0) as usize;
            let more = args.get(1).cloned().map(Value::into_items).unwrap_or_default();
            let mut items = list.items_mut();
            let at = at.min(items.len());
            items.splice(at..at, more);
            Value::Empty
        }
        "remove" => {
            let item = args.first().cloned().unwrap_or_default();
            let at = position(&item);
            if let Some(i) = at {
                list.items_mut().remove(i);
            }
            match list.kind() {
                ListKind::ArrayList => Value::Empty,
                _ => Value::Bool(at.is_some()),
            }
        }
        "removeat" => {
            let at = int_arg(args, 0, "index", "RemoveAt", engine)?;
            let mut items = list.items_mut();
            if at < 0 || at as usize >= items.len() {
                return Err(index_error());
            }
            items.remove(at as usize);
            Value::Empty
        }
        "removerange" | "getrange" => {
            let at = int_arg(args, 0, "index", "GetRange", engine)?.max(0) as usize;
            let n = int_arg(args, 1, "count", "GetRange", engine)?.max(0) as usize;
            let mut items = list.items_mut();
            if at + n > items.len() {
                return Err(Error::dotnet(
                    "System.ArgumentException",
                    "Offset and length were out of bounds for the array or count is greater than the number of elements from index to the end of the source collection.",
                ));
            }
            if name == "removerange" {
                items.drain(at..at + n);
                Value::Empty
            } else {
                let part = items.get(at..at + n).unwrap_or(&[]).to_vec();
                Value::List(Arc::new(PsList::new(list.kind().clone(), part)))
            }
        }
        "removeall" | "findall" | "find" | "exists" | "trueforall" | "findindex" => {
            let block = args.first().cloned().unwrap_or_default();
            let items = list.to_vec();
            let mut hits = Vec::with_capacity(items.len());
            for item in &items {
                let call = ScriptCall {
                    underscore: Some(item.clone()),
                    arguments: vec![item.clone()],
                    ..ScriptCall::default()
                };
                hits.push(to_bool(&Value::from_output(engine.call_script(&block, call)?)));
            }
            let first = hits.iter().position(|h| *h);
            match name {
                "removeall" => {
                    let mut keep = hits.iter();
                    list.items_mut().retain(|_| !keep.next().copied().unwrap_or(false));
                    Value::Int32(hits.iter().filter(|h| **h).count() as i32)
                }
                "findall" => {
                    let part = items.iter().zip(&hits).filter(|(_, h)| **h).map(|(i, _)| i.clone()).collect();
                    Value::List(Arc::new(PsList::new(list.kind().clone(), part)))
                }
                "find" => first.and_then(|i| items.get(i).cloned()).unwrap_or_default(),
                "findindex" => Value::Int32(first.map_or(-1, |i| i as i32)),
                "exists" => Value::Bool(first.is_some()),
                _ => Value::Bool(hits.iter().all(|h| *h)),
            }
        }
        "sort" => {
            let mut items = list.items_mut();
            items.sort_by(compare_for_sort);
            Value::Empty
        }
        "reverse" => {
            list.items_mut().reverse();
            Value::Empty
        }
        "toarray" => {
            let kind = list.element().cloned().unwrap_or_else(TypeRef::object);
            Value::typed_array(kind, list.to_vec())
        }
        "clone" => Value::List(Arc::new(PsList::new(list.kind().clone(), list.items().clone()))),
        "getenumerator" => value.clone(),
        "item" | "get_item" => {
            let at = int_arg(args, 0, "index", "Item", engine)?;
            match usize::try_from(at).ok().and_then(|i| list.to_vec().get(i).cloned()) {
                Some(v) => v,
                None => return Err(index_error()),
            }
        }
        "unionwith" if set => {
            for item in other_items() {
                list_add(list, item);
            }
            Value::Empty
        }
        "intersectwith" | "exceptwith" if set => {
            let keys: Vec<HashKey> = other_items().iter().map(|i| HashKey::new(i, fold)).collect();
            let keep = name == "intersectwith";
            list.items_mut().retain(|i| keys.contains(&HashKey::new(i, fold)) == keep);
            Value::Empty
        }
        "issubsetof" | "issupersetof" | "overlaps" | "setequals" if set => {
            let keys: Vec<HashKey> = other_items().iter().map(|i| HashKey::new(i, fold)).collect();
            let own: Vec<HashKey> = list.items().iter().map(|i| HashKey::new(i, fold)).collect();
            let subset = own.iter().all(|k| keys.contains(k));
            let superset = keys.iter().all(|k| own.contains(k));
            Value::Bool(match name {
                "issubsetof" => subset,
                "issupersetof" => superset,
                "overlaps" => own.iter().any(|k| keys.contains(k)),
                _ => subset && superset,
            })
        }
        _ => return Ok(None),
    }))
}

fn dict_method(
    value: &Value,
    dict: &Arc<PsDict>,
    name: &str,
    args: &[Value],
    engine: &mut dyn Callbacks,
) -> Result<Option<Value>, Error> {
    let key = |at: usize, engine: &mut dyn Callbacks| -> Result<Value, Error> {
        match dict.kind() {
            DictKind::Dictionary(k, _) | DictKind::Sorted(k, _) => {
                convert_arg(args, at, "key", name, k.full_name(), engine)
            }
            _ => Ok(args.get(at).cloned().unwrap_or_default()),
        }
    };
    let item = |at: usize, engine: &mut dyn Callbacks| -> Result<Value, Error> {
        match dict.kind() {
            DictKind::Dictionary(_, v) | DictKind::Sorted(_, v) => {
                convert_arg(args, at, "value", name, v.full_name(), engine)
            }
            _ => Ok(args.get(at).cloned().unwrap_or_default()),
        }
    };
    Ok(Some(match name {
        "add" => {
            let key = key(0, engine)?;
            let item = item(1, engine)?;
            if key.is_null() {
                return Err(Error::dotnet(
                    "System.ArgumentNullException",
                    "Key cannot be null. (Parameter 'key')",
                ));
            }
            if dict.contains(&key) {
                let message = match dict.kind() {
                    DictKind::Dictionary(..) | DictKind::Sorted(..) => {
                        format!("An item with the same key has already been added. Key: {}", to_text(&key))
                    }
                    _ => format!(
                        "Item has already been added. Key in dictionary: '{0}'  Key being added: '{0}'",
                        to_text(&key)
                    ),
                };
                return Err(Error::dotnet("System.ArgumentException", message));
            }
            dict.insert(key, item);
            Value::Empty
        }
        "tryadd" => {
            let key = key(0, engine)?;
            let fresh = !dict.contains(&key);
            if fresh {
                dict.insert(key, item(1, engine)?);
            }
            Value::Bool(fresh)
        }
        "containskey" | "contains" => Value::Bool(dict.contains(&key(0, engine)?)),
        "containsvalue" => {
            let wanted = args.first().cloned().unwrap_or_default();
            Value::Bool(dict.values().iter().any(|v| v.same(&wanted) || equals(v, &wanted, false, engine)))
        }
        "remove" => {
            let gone = dict.remove(&key(0, engine)?).is_some();
            match dict.kind() {
                DictKind::Dictionary(..) | DictKind::Sorted(..) => Value::Bool(gone),
                _ => Value::Empty,
            }
        }
        "removeat" => {
            dict.remove_at(int_arg(args, 0, "index", "RemoveAt", engine)?.max(0) as usize);
            Value::Empty
        }
        "insert" => {
            let at = int_arg(args, 0, "index", "Insert", engine)?.max(0) as usize;
            if !dict.insert_at(
                at,
                args.get(1).cloned().unwrap_or_default(),
                args.get(2).cloned().unwrap_or_default(),
            ) {
                return Err(Error::dotnet(
                    "System.ArgumentOutOfRangeException",
                    "Index was out of range. Must be non-negative and less than the size of the collection. (Parameter 'index')",
                ));
            }
            Value::Empty
        }
        "clear" => {
            dict.clear();
            Value::Empty
        }
        "clone" => Value::Dict(Arc::new(dict.copy())),
        "trygetvalue" => {
            let found = dict.get(&key(0, engine)?);
            if let Some(Value::Native(target)) = args.get(1).map(Value::base) {
                let _ = target.set("Value", found.clone().unwrap_or_default());
            }
            Value::Bool(found.is_some())
        }
        "item" | "get_item" => dict.get(&key(0, engine)?).unwrap_or_default(),
        "set_item" => {
            let key = key(0, engine)?;
            let item = item(1, engine)?;
            dict.insert(key, item);
            Value::Empty
        }
        "getenumerator" => {
            let entries =
                dict.entries().into_iter().map(|(k, v)| DictEntry::value(dict.kind(), k, v)).collect();
            let _ = value;
            Value::array(entries)
        }
        _ => return Ok(None),
    }))
}
