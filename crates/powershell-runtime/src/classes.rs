//! Types that scripts define.

use std::collections::HashMap;
use std::sync::Arc;

use hop_powershell_syntax::ast;

use crate::errors;
use crate::runspace::Runspace;
use crate::value::{EnumType, Error, ErrorCategory, TypeRef, Value};

/// A `class`.
#[derive(Debug)]
pub struct ClassType {
    /// Name.
    pub name: String,
    /// Definition.
    pub definition: Arc<ast::TypeDefinition>,
    /// Base class defined in script.
    pub base: Option<Arc<ClassType>>,
}

/// Types by folded name.
#[derive(Debug, Default)]
pub struct TypeRegistry {
    pub(crate) enums: HashMap<String, Arc<EnumType>>,
    pub(crate) classes: HashMap<String, Arc<ClassType>>,
}

impl TypeRegistry {
    /// The type of that name.
    pub fn find(&self, name: &str) -> Option<TypeRef> {
        let key = name.to_lowercase();
        if let Some(e) = self.enums.get(&key) {
            return Some(TypeRef::of_enum(e));
        }
        self.classes.get(&key).map(|c| TypeRef::named(&c.name))
    }
}

impl Runspace {
    /// Carries out an `enum` or `class` statement.
    pub(crate) fn define_type(&mut self, definition: &Arc<ast::TypeDefinition>) -> Result<(), Error> {
        if !definition.is_enum {
            return Err(errors::runtime(
                "ClassesNotSupported",
                ErrorCategory::NotImplemented,
                format!("The class '{}' cannot be defined: classes are not supported.", definition.name),
            ));
        }
        let flags = definition.attributes.iter().any(|a| {
            let name = a.type_name.name.to_ascii_lowercase();
            matches!(name.as_str(), "flags" | "flagsattribute" | "system.flags" | "system.flagsattribute")
        });
        let mut next = 0i64;
        let mut members: Vec<(String, i64)> = Vec::new();
        for member in &definition.members {
            if let ast::TypeMemberKind::Property(Some(value)) = &member.kind {
                // A label may name an earlier one.
                let value = match &value.kind {
                    ast::ExprKind::String(name, _) => {
                        members.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| *v)
                    }
                    _ => match self.eval(value) {
                        Ok(v) => v.as_integer().and_then(|n| i64::try_from(n).ok()),
                        Err(_) => None,
                    },
                };
                next = value.ok_or_else(|| {
                    errors::runtime(
                        "EnumeratorValueMustBeConstant",
                        ErrorCategory::ParserError,
                        "Enumerator value must be a constant value.",
                    )
                })?;
            }
            members.push((member.name.clone(), next));
            next = next.wrapping_add(1);
        }
        let mut kind = EnumType::new(&definition.name, flags, members);
        if let Some(base) = definition.bases.first() {
            let name = self.resolve_type(base)?.full_name().to_string();
            for known in [
                "System.Byte",
                "System.SByte",
                "System.Int16",
                "System.UInt16",
                "System.UInt32",
                "System.Int64",
                "System.UInt64",
            ] {
                if known == name {
                    kind = kind.with_underlying(known);
                }
            }
        }
        self.types.enums.insert(definition.name.to_lowercase(), Arc::new(kind));
        Ok(())
    }

    /// The base classes of a script-defined class.
    pub(crate) fn class_bases(&self, name: &str) -> Vec<String> {
        let mut found = Vec::new();
        let mut current = self.types.classes.get(&name.to_lowercase()).and_then(|c| c.base.clone());
        while let Some(c) = current {
            found.push(c.name.clone());
            current = c.base.clone();
        }
        found
    }

    pub(crate) fn convert_to_class(
        &mut self,
        _value: &Value,
        _kind: &TypeRef,
    ) -> Option<Result<Value, Error>> {
        None
    }

    pub(crate) fn is_instance(&self, _value: &Value, _kind: &TypeRef) -> bool {
        false
    }

    pub(crate) fn set_class_property(
        &mut self,
        _target: &Value,
        _name: &str,
        _value: &Value,
    ) -> Option<Result<(), Error>> {
        None
    }

    pub(crate) fn class_method(
        &mut self,
        _target: &Value,
        _name: &str,
        _args: &[Value],
    ) -> Option<Result<Value, Error>> {
        None
    }

    pub(crate) fn class_static(&mut self, _kind: &TypeRef, _name: &str) -> Option<Result<Value, Error>> {
        None
    }

    pub(crate) fn set_class_static(
        &mut self,
        _kind: &TypeRef,
        _name: &str,
        _value: &Value,
    ) -> Option<Result<(), Error>> {
        None
    }

    pub(crate) fn class_call_static(
        &mut self,
        _kind: &TypeRef,
        _name: &str,
        _args: &[Value],
    ) -> Option<Result<Value, Error>> {
        None
    }
}
