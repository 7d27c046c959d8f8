//! Types that scripts define: enumerations and classes.

use std::any::Any;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use hop_powershell_syntax::ast;

use crate::command::Validator;
use crate::errors;
use crate::flow::{Flow, NullSink, Run};
use crate::members;
use crate::runspace::{Frame, Runspace};
use crate::scope::{Scope, Variable, VariableCell};
use crate::value::{
    Callbacks, EnumType, Error, ErrorCategory, Exception, InvocationInfo, ListKind, NativeObject, PsList,
    TypeKind, TypeRef, Value, type_hierarchy,
};

/// A property of a class.
#[derive(Debug)]
struct Field {
    name: Arc<str>,
    type_ref: Option<TypeRef>,
    validators: Vec<Validator>,
    hidden: bool,
    is_static: bool,
    /// Which member of the definition it is.
    member: usize,
}

/// A method or constructor of a class.
#[derive(Debug)]
struct Method {
    name: String,
    is_static: bool,
    hidden: bool,
    parameters: Vec<(String, Option<TypeRef>)>,
    /// `None`: void.
    returns: Option<TypeRef>,
    member: usize,
}

/// A `class`.
#[derive(Debug)]
pub struct ClassType {
    /// Name.
    pub name: String,
    /// Definition.
    pub definition: Arc<ast::TypeDefinition>,
    /// Base class defined in script.
    pub base: Option<Arc<ClassType>>,
    type_ref: TypeRef,
    /// Where its methods look for variables and functions.
    scope: Arc<Scope>,
    fields: Vec<Field>,
    methods: Vec<Method>,
    statics: RwLock<Vec<(Arc<str>, Value)>>,
}

/// What a running method gives back.
#[derive(Debug)]
pub(crate) struct MethodFrame {
    returns: Option<TypeRef>,
    value: Mutex<Value>,
}

/// An object of a class.
#[derive(Debug)]
pub(crate) struct Instance {
    class: Arc<ClassType>,
    fields: RwLock<Vec<(Arc<str>, Value)>>,
    /// The part that a .NET base class makes up.
    inner: RwLock<Option<Value>>,
}

impl Instance {
    fn of(value: &Value) -> Option<&Self> {
        match value.base() {
            Value::Native(native) => native.as_any().downcast_ref::<Self>(),
            _ => None,
        }
    }

    fn inner(&self) -> Option<Value> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn field(&self, name: &str) -> Option<Value> {
        let fields = self.fields.read().unwrap_or_else(PoisonError::into_inner);
        fields.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.clone())
    }

    fn store(&self, name: &str, value: Value) -> bool {
        let mut fields = self.fields.write().unwrap_or_else(PoisonError::into_inner);
        match fields.iter_mut().find(|(n, _)| n.eq_ignore_ascii_case(name)) {
            Some((_, slot)) => {
                *slot = value;
                true
            }
            None => false,
        }
    }

    fn names(&self, hidden: bool) -> Vec<Arc<str>> {
        let mut names = Vec::new();
        let mut class = Some(&self.class);
        while let Some(c) = class {
            names.extend(
                c.fields.iter().filter(|f| !f.is_static && (hidden || !f.hidden)).map(|f| f.name.clone()),
            );
            class = c.base.as_ref();
        }
        names
    }
}

impl NativeObject for Instance {
    fn type_ref(&self) -> TypeRef {
        self.class.type_ref.clone()
    }

    fn text(&self) -> String {
        self.class.name.clone()
    }

    fn properties(&self) -> Vec<Arc<str>> {
        self.names(false)
    }

    fn all_properties(&self) -> Vec<Arc<str>> {
        self.names(true)
    }

    fn get(&self, name: &str) -> Option<Result<Value, Error>> {
        if let Some(value) = self.field(name) {
            return Some(Ok(value));
        }
        match self.inner()? {
            Value::List(list) if name.eq_ignore_ascii_case("count") => {
                Some(Ok(Value::Int32(i32::try_from(list.len()).unwrap_or(i32::MAX))))
            }
            Value::Native(native) => native.get(name),
            _ => None,
        }
    }

    fn invoke(&self, name: &str, args: &[Value], engine: &mut dyn Callbacks) -> Option<Result<Value, Error>> {
        let inner = self.inner()?;
        crate::dotnet::method(&inner, name, args, engine)
    }

    fn enumerate(&self) -> Option<Vec<Value>> {
        self.inner()?.enumerate()
    }

    fn equals(&self, other: &dyn NativeObject) -> bool {
        other.as_any().downcast_ref::<Self>().is_some_and(|o| std::ptr::eq(o, self))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
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
        self.classes.get(&key).map(|c| c.type_ref.clone())
    }

    fn class(&self, kind: &TypeRef) -> Option<Arc<ClassType>> {
        match kind.kind() {
            TypeKind::Class(..) => self.classes.get(&kind.full_name().to_lowercase()).cloned(),
            _ => None,
        }
    }
}

/// The value a property of a type has before anything is assigned.
fn initial(kind: Option<&TypeRef>) -> Value {
    let Some(kind) = kind else { return Value::Null };
    match kind.full_name() {
        "System.Boolean" => Value::Bool(false),
        "System.DateTime" => Value::DateTime(crate::value::DateTime::MIN),
        "System.TimeSpan" => Value::TimeSpan(crate::value::TimeSpan::default()),
        "System.Guid" => Value::Guid(crate::value::Uuid::nil()),
        "System.Char" => Value::Char(0),
        _ => match kind.kind() {
            TypeKind::Enum(e) => Value::Enum(Arc::clone(e), 0),
            _ if kind.is_value_type() => crate::convert::to_number(&Value::Int32(0), kind.full_name())
                .and_then(Result::ok)
                .unwrap_or_default(),
            _ => Value::Null,
        },
    }
}

fn parse_time(id: &str, message: impl AsRef<str>) -> Flow {
    Flow::Error(Error::new(
        "System.Management.Automation.ParseException",
        id,
        ErrorCategory::ParserError,
        message,
    ))
}

impl Runspace {
    /// Defines the types of a block before the block runs, whatever their order.
    pub(crate) fn define_types(&mut self, block: &ast::Block) -> Run {
        let types: Vec<&Arc<ast::TypeDefinition>> = block
            .statements
            .iter()
            .filter_map(|s| match &s.kind {
                ast::StatementKind::Type(t) => Some(t),
                _ => None,
            })
            .collect();
        for (enums, class) in [(true, false), (false, true)] {
            for definition in types.iter().filter(|t| t.is_enum == enums && t.is_enum != class) {
                self.define_type(definition).map_err(|f| self.place_flow(f, definition.span))?;
            }
        }
        Ok(())
    }

    /// Carries out an `enum` or `class` statement.
    pub(crate) fn define_type(&mut self, definition: &Arc<ast::TypeDefinition>) -> Run {
        if !definition.is_enum {
            return self.define_class(definition);
        }
        self.define_enum(definition).map_err(Flow::Error)
    }

    fn define_enum(&mut self, definition: &Arc<ast::TypeDefinition>) -> Result<(), Error> {
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

    fn define_class(&mut self, definition: &Arc<ast::TypeDefinition>) -> Run {
        let key = definition.name.to_lowercase();
        if self.types.classes.get(&key).is_some_and(|c| Arc::ptr_eq(&c.definition, definition)) {
            return Ok(());
        }
        let mut base = None;
        let mut base_type = TypeRef::object();
        let mut interfaces = Vec::new();
        for (i, name) in definition.bases.iter().enumerate() {
            let found = self.resolve_type(name).map_err(|_| {
                parse_time("TypeNotFound", format!("Unable to find type [{}].", name.display()))
            })?;
            let short = found.name();
            let is_interface =
                short.starts_with('I') && short.chars().nth(1).is_some_and(|c| c.is_ascii_uppercase());
            if i == 0 && !is_interface {
                base = self.types.class(&found);
                base_type = found;
            } else {
                interfaces.push(found);
            }
        }
        let type_ref = TypeRef::class(&definition.name, base_type, interfaces);
        let scope = self.script_scope();
        // The class is known by its name while its members are looked at, since they may name it.
        let shell = Arc::new(ClassType {
            name: definition.name.clone(),
            definition: definition.clone(),
            base: base.clone(),
            type_ref: type_ref.clone(),
            scope: scope.clone(),
            fields: Vec::new(),
            methods: Vec::new(),
            statics: RwLock::default(),
        });
        let before = self.types.classes.insert(key.clone(), shell);
        let members = self.class_members(definition);
        let (fields, methods) = match members {
            Ok(members) => members,
            Err(flow) => {
                match before {
                    Some(before) => self.types.classes.insert(key, before),
                    None => self.types.classes.remove(&key),
                };
                return Err(flow);
            }
        };
        let class = Arc::new(ClassType {
            name: definition.name.clone(),
            definition: definition.clone(),
            base,
            type_ref,
            scope,
            fields,
            methods,
            statics: RwLock::default(),
        });
        self.types.classes.insert(key, class.clone());
        for field in class.fields.iter().filter(|f| f.is_static) {
            let value = self.field_start(&class, field)?;
            let mut statics = class.statics.write().unwrap_or_else(PoisonError::into_inner);
            statics.push((field.name.clone(), value));
        }
        Ok(())
    }

    /// The scope of the script or module that runs.
    fn script_scope(&self) -> Arc<Scope> {
        let mut scope = self.state.scope.clone();
        while !scope.is_script {
            match scope.parent() {
                Some(parent) => scope = parent.clone(),
                None => break,
            }
        }
        scope
    }

    fn class_members(&mut self, definition: &Arc<ast::TypeDefinition>) -> Run<(Vec<Field>, Vec<Method>)> {
        let mut fields: Vec<Field> = Vec::new();
        let mut methods: Vec<Method> = Vec::new();
        let known = |this: &mut Self, name: &ast::TypeName| {
            this.resolve_type(name)
                .map_err(|_| parse_time("TypeNotFound", format!("Unable to find type [{}].", name.display())))
        };
        let twice = |name: &str| {
            parse_time("MemberAlreadyDefined", format!("The member '{name}' is already defined."))
        };
        for (member, declared) in definition.members.iter().enumerate() {
            match &declared.kind {
                ast::TypeMemberKind::Property(_) => {
                    if fields.iter().any(|f| f.name.eq_ignore_ascii_case(&declared.name)) {
                        return Err(twice(&declared.name));
                    }
                    let type_ref = match &declared.type_name {
                        Some(name) => Some(known(self, name)?),
                        None => None,
                    };
                    let mut validators = Vec::new();
                    for attribute in declared.attributes.iter().filter(|a| !a.is_type) {
                        validators.extend(self.validator_of(attribute)?);
                    }
                    fields.push(Field {
                        name: Arc::from(&*declared.name),
                        type_ref,
                        validators,
                        hidden: declared.is_hidden,
                        is_static: declared.is_static,
                        member,
                    });
                }
                ast::TypeMemberKind::Method { parameters, .. } => {
                    let mut list = Vec::new();
                    for p in parameters {
                        let constraint = p.attributes.iter().find(|a| a.is_type);
                        let kind = match constraint {
                            Some(attribute) => Some(known(self, &attribute.type_name)?),
                            None => None,
                        };
                        list.push((p.name.clone(), kind));
                    }
                    let returns = match &declared.type_name {
                        Some(name) if name.name.eq_ignore_ascii_case("void") => None,
                        Some(name) if name.name.eq_ignore_ascii_case("System.Void") => None,
                        Some(name) => Some(known(self, name)?),
                        None if declared.name.eq_ignore_ascii_case(&definition.name) => None,
                        None => Some(TypeRef::object()),
                    };
                    let same = methods.iter().any(|m| {
                        m.name.eq_ignore_ascii_case(&declared.name)
                            && m.is_static == declared.is_static
                            && m.parameters.len() == list.len()
                            && m.parameters.iter().zip(&list).all(|((_, a), (_, b))| a == b)
                    });
                    if same {
                        return Err(twice(&declared.name));
                    }
                    methods.push(Method {
                        name: declared.name.clone(),
                        is_static: declared.is_static,
                        hidden: declared.is_hidden,
                        parameters: list,
                        returns,
                        member,
                    });
                }
            }
        }
        Ok((fields, methods))
    }

    /// A property's value at the start, in the state of the class.
    fn field_start(&mut self, class: &Arc<ClassType>, field: &Field) -> Run<Value> {
        let definition = class.definition.clone();
        let start = definition.members.get(field.member).map(|m| &m.kind);
        let Some(ast::TypeMemberKind::Property(Some(expr))) = start else {
            return Ok(initial(field.type_ref.as_ref()));
        };
        let value = self.in_class(class, None, None, |this| this.eval(expr))?;
        match &field.type_ref {
            Some(kind) => self.convert(&value, kind).map_err(Flow::Error),
            None => Ok(value),
        }
    }

    /// Runs something with the class's scope and `$this`.
    fn in_class<R>(
        &mut self,
        class: &Arc<ClassType>,
        this: Option<&Value>,
        method: Option<(&str, Arc<MethodFrame>)>,
        body: impl FnOnce(&mut Self) -> Run<R>,
    ) -> Run<R> {
        self.enter_call()?;
        let scope = Scope::inside(&class.scope, false, class.scope.module.clone());
        if let Some(this) = this {
            scope.set("this", this.clone());
        }
        let saved = self.state.clone();
        let (name, method) = match method {
            Some((name, frame)) => (name.to_string(), Some(frame)),
            None => (String::new(), None),
        };
        self.state.frame = Arc::new(Frame {
            parent: Some(saved.frame.clone()),
            info: Arc::new(InvocationInfo {
                script_name: saved.frame.source.file().unwrap_or("").to_string(),
                ..InvocationInfo::default()
            }),
            name,
            source: class.definition.source.clone(),
            advanced: false,
            method,
        });
        self.state.scope = scope;
        // An error in a method is an exception of its caller.
        self.state.propagate = true;
        let result = body(self);
        self.state = saved;
        self.leave_call();
        result
    }

    /// `return` in a method: its value alone is what the method gives.
    pub(crate) fn return_from_method(&mut self, value: Option<&ast::Statement>) -> Run {
        let Some(frame) = self.state.frame.method.clone() else { return Err(Flow::Return) };
        if let Some(statement) = value {
            let value = self.statement_value(statement)?;
            let value = match &frame.returns {
                Some(kind) => {
                    self.convert(&value, kind).map_err(|e| self.place_flow(Flow::Error(e), statement.span))?
                }
                None => Value::Empty,
            };
            *frame.value.lock().unwrap_or_else(PoisonError::into_inner) = value;
        }
        Err(Flow::Return)
    }

    fn run_method(
        &mut self,
        class: &Arc<ClassType>,
        method: &Method,
        this: Option<&Value>,
        args: Vec<Value>,
    ) -> Result<Value, Error> {
        let definition = class.definition.clone();
        let Some(ast::TypeMemberKind::Method { body, .. }) =
            definition.members.get(method.member).map(|m| &m.kind)
        else {
            return Ok(Value::Null);
        };
        let start = match &method.returns {
            None => Value::Empty,
            kind => initial(kind.as_ref()),
        };
        let frame = Arc::new(MethodFrame { returns: method.returns.clone(), value: Mutex::new(start) });
        let result = self.in_class(class, this, Some((&method.name, frame.clone())), |runspace| {
            let scope = runspace.state.scope.clone();
            for ((name, kind), value) in method.parameters.iter().zip(args) {
                scope.insert(
                    name,
                    VariableCell::new(Variable {
                        name: name.clone(),
                        value,
                        type_ref: kind.clone().filter(|k| !k.is("System.Object")),
                        ..Variable::default()
                    }),
                );
            }
            for part in [&body.begin, &body.process, &body.end].into_iter().flatten() {
                runspace.exec_block(&part.body, &mut NullSink)?;
            }
            Ok(())
        });
        match result {
            Ok(()) | Err(Flow::Return) => {
                Ok(frame.value.lock().unwrap_or_else(PoisonError::into_inner).clone())
            }
            Err(Flow::Error(error) | Flow::Throw(error) | Flow::Leave(error)) => Err(error),
            Err(_) => Ok(Value::Null),
        }
    }

    /// The method that takes the arguments best, with the arguments converted.
    fn choose_method<'c>(
        &mut self,
        class: &'c Arc<ClassType>,
        name: &str,
        is_static: bool,
        args: &[Value],
    ) -> Option<(&'c Arc<ClassType>, &'c Method, Vec<Value>)> {
        let mut current = Some(class);
        let mut best: Option<(usize, &Arc<ClassType>, &Method, Vec<Value>)> = None;
        while let Some(class) = current {
            for method in class.methods.iter().filter(|m| {
                m.is_static == is_static
                    && m.name.eq_ignore_ascii_case(name)
                    && m.parameters.len() == args.len()
            }) {
                let mut cost = 0;
                let mut converted = Vec::with_capacity(args.len());
                for ((_, kind), value) in method.parameters.iter().zip(args) {
                    match kind {
                        Some(kind) if !self.has_type(value, kind) => match self.convert(value, kind) {
                            Ok(value) => {
                                // A number fits a number better than a text.
                                cost += if kind.is("System.String") { 3 } else { 2 };
                                converted.push(value);
                            }
                            Err(_) => break,
                        },
                        Some(kind) if kind.is("System.Object") => {
                            cost += 1;
                            converted.push(value.clone());
                        }
                        _ => converted.push(value.clone()),
                    }
                }
                if converted.len() == args.len() && best.as_ref().is_none_or(|b| cost < b.0) {
                    best = Some((cost, class, method, converted));
                }
            }
            // The nearest class that has the method decides.
            if best.is_some() {
                break;
            }
            current = class.base.as_ref();
        }
        best.map(|(_, class, method, args)| (class, method, args))
    }

    fn has_method(&self, class: &Arc<ClassType>, name: &str, is_static: bool) -> bool {
        let mut current = Some(class);
        while let Some(c) = current {
            if c.methods.iter().any(|m| m.is_static == is_static && m.name.eq_ignore_ascii_case(name)) {
                return true;
            }
            current = c.base.as_ref();
        }
        false
    }

    /// Makes an object: base constructors first, then properties, then the constructor.
    fn construct_class(&mut self, class: &Arc<ClassType>, args: &[Value]) -> Result<Value, Error> {
        let instance = Value::native(Instance {
            class: class.clone(),
            fields: RwLock::default(),
            inner: RwLock::default(),
        });
        self.run_constructor(class, &instance, args)?;
        // Exceptions travel as exceptions.
        if type_hierarchy(&class.type_ref).iter().any(|n| &**n == "System.Exception")
            && let Some(made) = Instance::of(&instance)
        {
            let mut exception = match made.inner() {
                Some(Value::Exception(inner)) => {
                    let new = Exception::new(&class.name, &**inner.message());
                    match inner.inner() {
                        Some(cause) => new.with_inner(cause.clone()),
                        None => new,
                    }
                }
                _ => Exception::new(&class.name, format!("Exception of type '{}' was thrown.", class.name)),
            };
            for name in made.names(true) {
                exception = exception.with_property(&name, made.field(&name).unwrap_or_default());
            }
            return Ok(Value::Exception(Arc::new(exception)));
        }
        Ok(instance)
    }

    fn run_constructor(
        &mut self,
        class: &Arc<ClassType>,
        instance: &Value,
        args: &[Value],
    ) -> Result<(), Error> {
        let constructors =
            class.methods.iter().any(|m| !m.is_static && m.name.eq_ignore_ascii_case(&class.name));
        let own = Arc::clone(class);
        let chosen = if constructors {
            let single = Arc::new(ClassType {
                name: own.name.clone(),
                definition: own.definition.clone(),
                base: None,
                type_ref: own.type_ref.clone(),
                scope: own.scope.clone(),
                fields: Vec::new(),
                methods: own.methods.iter().map(Method::copy).collect(),
                statics: RwLock::default(),
            });
            let found = self.choose_method(&single, &own.name, false, args);
            match found {
                Some((_, method, args)) => Some((method.copy(), args)),
                None => return Err(crate::dotnet::no_overload("new", args.len())),
            }
        } else if args.is_empty() {
            None
        } else {
            return Err(crate::dotnet::no_overload("new", args.len()));
        };
        let fail = |flow: Flow| match flow.error() {
            Some(error) => error.clone(),
            None => Error::runtime("PipelineStopped", ErrorCategory::OperationStopped, "Stopped."),
        };
        // Arguments of `: base(…)` see the constructor's parameters.
        let base_args = match &chosen {
            Some((method, values)) => {
                let definition = own.definition.clone();
                match definition.members.get(method.member).map(|m| &m.kind) {
                    Some(ast::TypeMemberKind::Method { base_args: Some(list), .. }) => self
                        .in_class(&own, Some(instance), None, |runspace| {
                            let scope = runspace.state.scope.clone();
                            for ((name, _), value) in method.parameters.iter().zip(values) {
                                scope.set(name, value.clone());
                            }
                            list.iter().map(|e| runspace.eval(e)).collect::<Run<Vec<Value>>>()
                        })
                        .map_err(fail)?,
                    _ => Vec::new(),
                }
            }
            None => Vec::new(),
        };
        for field in class.fields.iter().filter(|f| !f.is_static) {
            let value = self.field_start(class, field).map_err(fail)?;
            if let Some(made) = Instance::of(instance) {
                let mut fields = made.fields.write().unwrap_or_else(PoisonError::into_inner);
                fields.push((field.name.clone(), value));
            }
        }
        match (&class.base, class.type_ref.kind()) {
            (Some(base), _) => self.run_constructor(base, instance, &base_args)?,
            (None, TypeKind::Class(base, _)) if !base.is("System.Object") => {
                let inner = if base.derives_from(&TypeRef::named("System.Exception")) {
                    crate::dotnet::construct(base, &base_args, self)?
                } else {
                    match base.kind() {
                        TypeKind::Generic(name, list)
                            if &**name == "System.Collections.Generic.List" && base_args.is_empty() =>
                        {
                            let element = list.first().cloned().unwrap_or_else(TypeRef::object);
                            Value::List(Arc::new(PsList::new(ListKind::List(element), Vec::new())))
                        }
                        _ => crate::dotnet::construct(base, &base_args, self)?,
                    }
                };
                if let Some(made) = Instance::of(instance) {
                    *made.inner.write().unwrap_or_else(PoisonError::into_inner) = Some(inner);
                }
            }
            _ => {}
        }
        if let Some((method, values)) = chosen {
            self.run_method(class, &method, Some(instance), values)?;
        }
        Ok(())
    }

    /// The base classes of a script-defined class.
    pub(crate) fn class_bases(&self, name: &str) -> Vec<String> {
        match self.types.classes.get(&name.to_lowercase()) {
            Some(class) => type_hierarchy(&class.type_ref).iter().skip(1).map(ToString::to_string).collect(),
            None => Vec::new(),
        }
    }

    /// Converts to a class: a table or a property bag sets properties, anything else goes to a constructor.
    pub(crate) fn convert_to_class(&mut self, value: &Value, kind: &TypeRef) -> Option<Result<Value, Error>> {
        let class = self.types.class(kind)?;
        if value.is_null() {
            return Some(Ok(Value::Null));
        }
        if self.is_instance(value, kind) {
            return Some(Ok(value.clone()));
        }
        let bag: Option<Vec<(String, Value)>> = match value {
            Value::Dict(dict) => {
                Some(dict.entries().into_iter().map(|(k, v)| (crate::convert::to_text(&k), v)).collect())
            }
            Value::Object(object) if object.base().is_none() => Some(
                members::properties(value)
                    .into_iter()
                    .map(|(n, _)| {
                        let found = members::get(value, &n, self).ok().flatten().unwrap_or_default();
                        (n.to_string(), found)
                    })
                    .collect(),
            ),
            _ => None,
        };
        let has_default = !class.methods.iter().any(|m| m.name.eq_ignore_ascii_case(&class.name))
            || class
                .methods
                .iter()
                .any(|m| m.name.eq_ignore_ascii_case(&class.name) && m.parameters.is_empty());
        if let Some(bag) = bag
            && has_default
        {
            return Some(self.construct_class(&class, &[]).and_then(|made| {
                for (name, value) in bag {
                    self.set_member(&made, &name, value).map_err(|error| {
                        Error::cast(
                            "ObjectCreationError",
                            format!("Cannot create object of type \"{}\". {}", class.name, error.message()),
                        )
                    })?;
                }
                Ok(made)
            }));
        }
        let single =
            class.methods.iter().any(|m| m.name.eq_ignore_ascii_case(&class.name) && m.parameters.len() == 1);
        let scalar = !matches!(value.base(), Value::Dict(_));
        if single
            && scalar
            && let Ok(made) = self.construct_class(&class, std::slice::from_ref(value))
        {
            return Some(Ok(made));
        }
        let (text, from) = (self.to_text(value), value.base().type_name());
        Some(Err(Error::cast(
            "ConvertToFinalInvalidCastException",
            format!("Cannot convert the \"{text}\" value of type \"{from}\" to type \"{}\".", class.name),
        )))
    }

    pub(crate) fn is_instance(&self, value: &Value, kind: &TypeRef) -> bool {
        match value.base() {
            Value::Native(native) => native.type_ref().derives_from(kind),
            Value::Exception(exception) => {
                self.class_bases(exception.type_name()).iter().any(|b| b == kind.full_name())
                    || exception.type_name() == kind.full_name()
            }
            _ => false,
        }
    }

    pub(crate) fn set_class_property(
        &mut self,
        target: &Value,
        name: &str,
        value: &Value,
    ) -> Option<Result<(), Error>> {
        let instance = Instance::of(target)?;
        if let Value::Object(object) = target
            && object.member(name).is_some()
        {
            return None;
        }
        let mut class = Some(instance.class.clone());
        while let Some(c) = class {
            if let Some(field) = c.fields.iter().find(|f| !f.is_static && f.name.eq_ignore_ascii_case(name)) {
                return Some(self.checked(field, value).map(|value| {
                    instance.store(name, value);
                }));
            }
            class = c.base.clone();
        }
        Some(Err(members::property_not_found(name)))
    }

    /// A value converted and checked for a property.
    fn checked(&mut self, field: &Field, value: &Value) -> Result<Value, Error> {
        let value = if matches!(value, Value::Empty) { Value::Null } else { value.clone() };
        let outcome = match &field.type_ref {
            Some(kind) => self.convert(&value, kind),
            None => Ok(value),
        }
        .and_then(|value| {
            self.validate(&value, &field.validators, &field.name)?;
            Ok(value)
        });
        outcome.map_err(|error| {
            members::wrapped(
                "System.Management.Automation.SetValueInvocationException",
                "ExceptionWhenSetting",
                format!("Exception setting \"{}\": \"{}\"", field.name, error.message()),
                &error,
            )
        })
    }

    /// The class type of `([Class]expression)`.
    pub(crate) fn static_cast_of(&mut self, target: &ast::Expr) -> Option<TypeRef> {
        let mut target = target;
        while let ast::ExprKind::Paren(inner) = &target.kind {
            target = inner.as_pure_expression()?;
        }
        let ast::ExprKind::Cast(name, _) = &target.kind else { return None };
        let found = self.resolve_type(name).ok()?;
        matches!(found.kind(), TypeKind::Class(..)).then_some(found)
    }

    /// A method as the given class, a base of the object's own, defines it.
    pub(crate) fn base_method(
        &mut self,
        target: &Value,
        kind: &TypeRef,
        name: &str,
        args: &[Value],
    ) -> Option<Run<Value>> {
        Instance::of(target)?;
        let class = self.types.class(kind)?;
        let (owner, method, args) = self.choose_method(&class, name, false, args)?;
        let (owner, method) = (owner.clone(), method.copy());
        Some(self.run_method(&owner, &method, Some(target), args).map_err(Flow::Error))
    }

    pub(crate) fn class_method(
        &mut self,
        target: &Value,
        name: &str,
        args: &[Value],
    ) -> Option<Result<Value, Error>> {
        let class = match target.base() {
            Value::Exception(exception) => {
                self.types.classes.get(&exception.type_name().to_lowercase()).cloned()?
            }
            _ => Instance::of(target)?.class.clone(),
        };
        if !self.has_method(&class, name, false) || name.eq_ignore_ascii_case(&class.name) {
            return None;
        }
        match self.choose_method(&class, name, false, args) {
            Some((owner, method, args)) => {
                let (owner, method) = (owner.clone(), method.copy());
                Some(self.run_method(&owner, &method, Some(target), args))
            }
            None => Some(Err(crate::dotnet::no_overload(name, args.len()))),
        }
    }

    pub(crate) fn class_static(&mut self, kind: &TypeRef, name: &str) -> Option<Result<Value, Error>> {
        let mut class = self.types.class(kind);
        while let Some(c) = class {
            let statics = c.statics.read().unwrap_or_else(PoisonError::into_inner);
            if let Some((_, value)) = statics.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)) {
                return Some(Ok(value.clone()));
            }
            drop(statics);
            class = c.base.clone();
        }
        None
    }

    pub(crate) fn set_class_static(
        &mut self,
        kind: &TypeRef,
        name: &str,
        value: &Value,
    ) -> Option<Result<(), Error>> {
        let mut class = self.types.class(kind);
        while let Some(c) = class {
            if let Some(field) = c.fields.iter().find(|f| f.is_static && f.name.eq_ignore_ascii_case(name)) {
                return Some(self.checked(field, value).map(|value| {
                    let mut statics = c.statics.write().unwrap_or_else(PoisonError::into_inner);
                    if let Some((_, slot)) = statics.iter_mut().find(|(n, _)| n.eq_ignore_ascii_case(name)) {
                        *slot = value;
                    }
                }));
            }
            class = c.base.clone();
        }
        None
    }

    pub(crate) fn class_call_static(
        &mut self,
        kind: &TypeRef,
        name: &str,
        args: &[Value],
    ) -> Option<Result<Value, Error>> {
        let class = self.types.class(kind)?;
        if name.eq_ignore_ascii_case("new") {
            return Some(self.construct_class(&class, args));
        }
        if !self.has_method(&class, name, true) {
            return None;
        }
        match self.choose_method(&class, name, true, args) {
            Some((owner, method, args)) => {
                let (owner, method) = (owner.clone(), method.copy());
                Some(self.run_method(&owner, &method, None, args))
            }
            None => Some(Err(crate::dotnet::no_overload(name, args.len()))),
        }
    }

    /// `ToString` written in script.
    pub(crate) fn class_text(&mut self, value: &Value) -> Option<Result<String, Error>> {
        let class = Instance::of(value)?.class.clone();
        if !self.has_method(&class, "ToString", false) {
            return None;
        }
        let text = self.class_method(value, "ToString", &[])?;
        Some(text.map(|t| crate::convert::to_text(&t)))
    }

    /// `Equals` written in script.
    pub(crate) fn class_equals(&mut self, left: &Value, right: &Value) -> Option<bool> {
        let class = Instance::of(left)?.class.clone();
        if !self.has_method(&class, "Equals", false) {
            return None;
        }
        match self.class_method(left, "Equals", std::slice::from_ref(right))? {
            Ok(value) => Some(self.is_true(&value)),
            Err(_) => Some(false),
        }
    }

    /// The methods of an object's class, with their definitions, for `Get-Member`.
    pub fn class_methods_of(&self, value: &Value) -> Vec<(String, String)> {
        let Some(instance) = Instance::of(value) else { return Vec::new() };
        let mut list: Vec<(String, String)> = Vec::new();
        let mut class = Some(&instance.class);
        while let Some(c) = class {
            for m in c.methods.iter().filter(|m| !m.is_static && !m.hidden) {
                if m.name.eq_ignore_ascii_case(&c.name) {
                    continue;
                }
                let shown =
                    |t: &Option<TypeRef>| t.as_ref().map_or("System.Object".into(), crate::dotnet::type_text);
                let parameters: Vec<String> =
                    m.parameters.iter().map(|(n, t)| format!("{} {n}", shown(t))).collect();
                let returns = m.returns.as_ref().map_or("void".into(), crate::dotnet::type_text);
                let text = format!("{returns} {}({})", m.name, parameters.join(", "));
                match list.iter_mut().find(|(n, _)| n.eq_ignore_ascii_case(&m.name)) {
                    Some((_, all)) if !all.contains(&text) => all.push_str(&format!(", {text}")),
                    Some(_) => {}
                    None => list.push((m.name.clone(), text)),
                }
            }
            class = c.base.as_ref();
        }
        list
    }
}

impl Method {
    fn copy(&self) -> Self {
        Self {
            name: self.name.clone(),
            is_static: self.is_static,
            hidden: self.hidden,
            parameters: self.parameters.clone(),
            returns: self.returns.clone(),
            member: self.member,
        }
    }
}
