//! The parameter binder: arguments to parameters by name, position and pipeline.

use std::sync::Arc;

use hop_powershell_syntax::Span;

use crate::command::{ParameterInfo, SetMembership};
use crate::errors;
use crate::eval::Arg;
use crate::invocation::{ActionPreference, CommonParameters};
use crate::runspace::Runspace;
use crate::value::{Error, ErrorCategory, Exception, TypeRef, Value};

/// What a command declares, for binding.
pub(crate) struct Declared<'a> {
    pub parameters: &'a [ParameterInfo],
    pub default_set: Option<&'a str>,
    /// Common parameters exist, surplus arguments are errors.
    pub advanced: bool,
    pub should_process: bool,
}

/// The outcome of binding command-line arguments.
#[derive(Debug, Default)]
pub(crate) struct Bound {
    pub values: Vec<(Arc<str>, Value)>,
    pub spans: Vec<(Arc<str>, Span)>,
    pub rest: Vec<Value>,
    pub common: CommonParameters,
    pub set_name: Option<Arc<str>>,
    /// The sets that what the pipeline brings may still choose, the preferred one first.
    pub open_sets: Vec<Option<Arc<str>>>,
}

/// A binding error with the place it is about.
pub(crate) type BindError = (Error, Option<Span>);

const COMMON: [(&str, &str); 15] = [
    ("Verbose", "vb"),
    ("Debug", "db"),
    ("ErrorAction", "ea"),
    ("WarningAction", "wa"),
    ("InformationAction", "infa"),
    ("ProgressAction", "proga"),
    ("ErrorVariable", "ev"),
    ("WarningVariable", "wv"),
    ("InformationVariable", "iv"),
    ("OutVariable", "ov"),
    ("OutBuffer", "ob"),
    ("PipelineVariable", "pv"),
    ("WhatIf", "wi"),
    ("Confirm", "cf"),
    ("UseTransaction", "usetx"),
];

enum Found {
    Declared(usize),
    Common(&'static str),
    None,
    Ambiguous(Vec<String>),
}

fn find(declared: &Declared<'_>, name: &str) -> Found {
    let lower = name.to_ascii_lowercase();
    if let Some(i) = declared.parameters.iter().position(|p| p.is_named(name)) {
        return Found::Declared(i);
    }
    let common: Vec<(&'static str, &'static str)> = if declared.advanced {
        COMMON
            .iter()
            .filter(|(n, _)| match *n {
                "WhatIf" | "Confirm" => declared.should_process,
                "UseTransaction" => false,
                _ => true,
            })
            .copied()
            .collect()
    } else {
        Vec::new()
    };
    if let Some((n, _)) =
        common.iter().find(|(n, a)| n.eq_ignore_ascii_case(name) || a.eq_ignore_ascii_case(name))
    {
        return Found::Common(n);
    }
    let mut hits: Vec<(String, Found)> = declared
        .parameters
        .iter()
        .enumerate()
        .filter(|(_, p)| {
            p.name.to_ascii_lowercase().starts_with(&lower)
                || p.aliases.iter().any(|a| a.to_ascii_lowercase().starts_with(&lower))
        })
        .map(|(i, p)| (p.name.to_string(), Found::Declared(i)))
        .collect();
    // Declared parameters win over common ones.
    if hits.is_empty() {
        hits.extend(
            common
                .iter()
                .filter(|(n, _)| n.to_ascii_lowercase().starts_with(&lower))
                .map(|(n, _)| ((*n).to_string(), Found::Common(n))),
        );
    }
    match hits.len() {
        0 => Found::None,
        1 => hits.pop().map_or(Found::None, |(_, f)| f),
        _ => Found::Ambiguous(hits.into_iter().map(|(n, _)| n).collect()),
    }
}

/// The sets a list of parameters names, in order.
fn all_sets(parameters: &[ParameterInfo]) -> Vec<Arc<str>> {
    let mut sets: Vec<Arc<str>> = Vec::new();
    for m in parameters.iter().flat_map(|p| &p.sets) {
        if let Some(s) = &m.set
            && !sets.iter().any(|x| x.eq_ignore_ascii_case(s))
        {
            sets.push(s.clone());
        }
    }
    sets
}

fn in_set<'a>(parameter: &'a ParameterInfo, set: Option<&str>) -> Option<&'a SetMembership> {
    match set {
        Some(_) => parameter.membership(set),
        None => parameter.sets.iter().find(|m| m.set.is_none()),
    }
}

/// Whether a set has all that it must have, or may still get it from the pipeline.
fn satisfied(declared: &Declared<'_>, set: Option<&str>, used: &[usize], expects_input: bool) -> bool {
    declared.parameters.iter().enumerate().all(|(i, p)| {
        used.contains(&i)
            || in_set(p, set)
                .is_none_or(|m| !m.mandatory || expects_input && (m.from_pipeline || m.from_property))
    })
}

impl Runspace {
    /// Binds named, splatted and positional arguments.
    pub(crate) fn bind(
        &mut self,
        command: &str,
        declared: &Declared<'_>,
        args: Vec<Arg>,
        expects_input: bool,
    ) -> Result<Bound, BindError> {
        let mut bound = Bound::default();
        // Values by position; words that name no parameter keep their place but are never bound.
        let mut positional: Vec<(Value, Option<Span>, bool)> = Vec::new();
        let mut raw: Vec<(usize, Value, Option<Span>)> = Vec::new();
        let takes_rest =
            declared.advanced && declared.parameters.iter().any(|p| p.sets.iter().any(|m| m.from_remaining));
        let mut iter = args.into_iter().peekable();
        while let Some(arg) = iter.next() {
            match arg {
                Arg::Positional { value, span } => positional.push((value, span, false)),
                Arg::Named { name, value, span, splatted } => match find(declared, &name) {
                    Found::Declared(i) => {
                        let p = &declared.parameters[i];
                        let value = match value {
                            Some(v) => v,
                            None if p.is_switch() => Value::Bool(true),
                            None => match iter.next_if(|a| matches!(a, Arg::Positional { .. })) {
                                Some(Arg::Positional { value, span: s }) => {
                                    if let Some(s) = s {
                                        bound.spans.push((p.name.clone(), s));
                                    }
                                    value
                                }
                                _ => return Err((self.missing_argument(p), span)),
                            },
                        };
                        if raw.iter().any(|(j, _, _)| *j == i) {
                            if splatted {
                                continue;
                            }
                            return Err((
                                errors::binding(
                                    "ParameterAlreadyBound",
                                    format!(
                                        "Cannot bind parameter because parameter '{}' is specified more than once. \
                                         To provide multiple values to parameters that can accept multiple values, \
                                         use the array syntax. For example, \"-parameter value1,value2,value3\".",
                                        p.name
                                    ),
                                ),
                                span,
                            ));
                        }
                        let value_span =
                            bound.spans.iter().find(|(n, _)| *n == p.name).map(|(_, s)| *s).or(span);
                        raw.push((i, value, value_span));
                    }
                    Found::Common(common) => {
                        let is_flag = matches!(common, "Verbose" | "Debug" | "WhatIf" | "Confirm");
                        let value = match value {
                            Some(v) => v,
                            None if is_flag => Value::Bool(true),
                            None => match iter.next_if(|a| matches!(a, Arg::Positional { .. })) {
                                Some(Arg::Positional { value, .. }) => value,
                                _ => {
                                    let p = ParameterInfo::new(
                                        common,
                                        if common.ends_with("Action") {
                                            "System.Management.Automation.ActionPreference"
                                        } else {
                                            "string"
                                        },
                                    );
                                    return Err((self.missing_argument(&p), span));
                                }
                            },
                        };
                        self.set_common(&mut bound, common, value).map_err(|e| (e, span))?;
                    }
                    Found::None if !declared.advanced || takes_rest => {
                        let colon = if value.is_some() && !splatted { ":" } else { "" };
                        positional.push((crate::eval::parameter_word(&name, colon), span, true));
                        if let Some(v) = value {
                            positional.push((v, None, true));
                        }
                    }
                    Found::None => {
                        let error = Error::from_exception(
                            Exception::new(
                                "System.Management.Automation.ParameterBindingException",
                                format!("A parameter cannot be found that matches parameter name '{name}'."),
                            )
                            .with_property("ParameterName", Value::string(&name)),
                            "NamedParameterNotFound",
                            ErrorCategory::InvalidArgument,
                            Value::Null,
                        );
                        return Err((error, span));
                    }
                    Found::Ambiguous(names) => {
                        let list: Vec<String> = names.iter().map(|n| format!("-{n}")).collect();
                        return Err((
                            errors::binding(
                                "AmbiguousParameter",
                                format!(
                                    "Parameter cannot be processed because the parameter name '{name}' is ambiguous. \
                                     Possible matches include: {}.",
                                    list.join(" ")
                                ),
                            ),
                            span,
                        ));
                    }
                },
            }
        }
        self.default_parameter_values(command, declared, &mut raw);
        // Which sets remain possible.
        let sets = all_sets(declared.parameters);
        let mut candidates: Vec<Option<Arc<str>>> =
            if sets.is_empty() { vec![None] } else { sets.into_iter().map(Some).collect() };
        if let Some(default) = declared.default_set
            && !candidates.iter().flatten().any(|s| s.eq_ignore_ascii_case(default))
        {
            candidates.push(Some(Arc::from(default)));
        }
        for (i, _, span) in &raw {
            let p = &declared.parameters[*i];
            let before = candidates.len();
            let keep: Vec<_> =
                candidates.iter().filter(|s| in_set(p, s.as_deref()).is_some()).cloned().collect();
            if keep.is_empty() && before > 0 {
                return Err((ambiguous_set(), *span).clone_first());
            }
            candidates = keep;
        }
        // Positions.
        let mut words: Vec<Value> = Vec::new();
        positional.reverse();
        let mut used: Vec<usize> = raw.iter().map(|(i, _, _)| *i).collect();
        while let Some((value, span, is_word)) = positional.pop() {
            if is_word && !takes_rest {
                bound.rest.push(value);
                continue;
            }
            if is_word {
                words.push(value);
                continue;
            }
            let slot = self.next_position(declared, &candidates, &used, &value, positional.len() + 1);
            match slot {
                Some(i) => {
                    let p = &declared.parameters[i];
                    candidates.retain(|s| {
                        in_set(p, s.as_deref()).is_some_and(|m| m.position.is_some() || !declared.advanced)
                    });
                    used.push(i);
                    raw.push((i, value, span));
                }
                None => {
                    // All that is left goes to the parameter that takes the rest.
                    let rest = declared.parameters.iter().position(|p| {
                        candidates.iter().any(|s| in_set(p, s.as_deref()).is_some_and(|m| m.from_remaining))
                    });
                    match rest {
                        Some(i) if !used.contains(&i) => {
                            let mut items = std::mem::take(&mut words);
                            items.push(value);
                            while let Some((v, _, _)) = positional.pop() {
                                items.push(v);
                            }
                            let value = match items.as_slice() {
                                [Value::Array(_)] => items.remove(0),
                                _ => Value::array(items),
                            };
                            used.push(i);
                            raw.push((i, value, span));
                        }
                        _ if !declared.advanced => bound.rest.push(value),
                        _ => {
                            let text = self.to_text(&value);
                            return Err((
                                errors::binding(
                                    "PositionalParameterNotFound",
                                    format!(
                                        "A positional parameter cannot be found that accepts argument '{text}'."
                                    ),
                                ),
                                None,
                            ));
                        }
                    }
                }
            }
        }
        let set = self.choose_set(declared, &candidates, &used, expects_input).map_err(|e| (e, None))?;
        bound.open_sets.push(set.clone());
        bound.open_sets.extend(
            candidates
                .iter()
                .filter(|s| **s != set && satisfied(declared, s.as_deref(), &used, expects_input))
                .cloned(),
        );
        // Convert and check.
        for (i, value, span) in raw {
            let p = &declared.parameters[i];
            let value = self.bind_value(p, value).map_err(|e| (e, span))?;
            if let Some(span) = span
                && !bound.spans.iter().any(|(n, _)| *n == p.name)
            {
                bound.spans.push((p.name.clone(), span));
            }
            bound.values.push((p.name.clone(), value));
        }
        // Mandatory ones.
        let mut missing = Vec::new();
        for (i, p) in declared.parameters.iter().enumerate() {
            if used.contains(&i) {
                continue;
            }
            let Some(m) = in_set(p, set.as_deref()) else { continue };
            if m.mandatory && !(expects_input && (m.from_pipeline || m.from_property)) {
                missing.push(p.name.to_string());
            }
        }
        if !missing.is_empty() {
            let error = Error::from_exception(
                Exception::new(
                    "System.Management.Automation.ParameterBindingException",
                    format!(
                        "Cannot process command because of one or more missing mandatory parameters: {}.",
                        missing.join(" ")
                    ),
                ),
                "MissingMandatoryParameter",
                ErrorCategory::InvalidArgument,
                Value::Null,
            );
            return Err((error, None));
        }
        bound.set_name = set;
        Ok(bound)
    }

    fn default_parameter_values(
        &mut self,
        command: &str,
        declared: &Declared<'_>,
        raw: &mut Vec<(usize, Value, Option<Span>)>,
    ) {
        if !declared.advanced {
            return;
        }
        let Value::Dict(table) = self.variable_value("PSDefaultParameterValues") else { return };
        if table.is_empty() || table.get_str("Disabled").is_some_and(|v| self.is_true(&v)) {
            return;
        }
        for (key, value) in table.entries() {
            let key = self.to_text(&key);
            let Some((pattern, parameter)) = key.split_once(':') else { continue };
            let Ok(wildcard) = crate::wildcard::Wildcard::new(pattern, true) else { continue };
            if !wildcard.is_match(command) {
                continue;
            }
            if let Some(i) = declared.parameters.iter().position(|p| p.is_named(parameter))
                && !raw.iter().any(|(j, _, _)| *j == i)
            {
                let value = match &value {
                    Value::ScriptBlock(_) => {
                        let mut out = Vec::new();
                        match self.run_block_in_scope(&value, None, Vec::new(), &mut out) {
                            Ok(()) => Value::from_output(out),
                            Err(_) => continue,
                        }
                    }
                    v => v.clone(),
                };
                raw.push((i, value, None));
            }
        }
    }

    fn next_position(
        &mut self,
        declared: &Declared<'_>,
        candidates: &[Option<Arc<str>>],
        used: &[usize],
        value: &Value,
        needed: usize,
    ) -> Option<usize> {
        // Sets with a place for every argument go before others.
        let places = |set: &Option<Arc<str>>| {
            declared
                .parameters
                .iter()
                .enumerate()
                .filter(|(i, p)| {
                    !used.contains(i)
                        && in_set(p, set.as_deref()).is_some_and(|m| m.position.is_some() || m.from_remaining)
                })
                .count()
        };
        let roomy: Vec<Option<Arc<str>>> =
            candidates.iter().filter(|s| places(s) >= needed).cloned().collect();
        let candidates = if roomy.is_empty() { candidates } else { roomy.as_slice() };
        let mut open: Vec<(i32, usize, bool)> = Vec::new();
        for (i, p) in declared.parameters.iter().enumerate() {
            if used.contains(&i) {
                continue;
            }
            for s in candidates {
                let is_default = match (s, declared.default_set) {
                    (Some(a), Some(b)) => a.eq_ignore_ascii_case(b),
                    (None, _) => true,
                    _ => false,
                };
                if let Some(m) = in_set(p, s.as_deref())
                    && let Some(position) = m.position
                    && !m.from_remaining
                {
                    open.push((position, i, is_default));
                }
            }
        }
        let lowest = open.iter().map(|(p, _, _)| *p).min()?;
        let mut at: Vec<(usize, bool)> =
            open.iter().filter(|(p, _, _)| *p == lowest).map(|(_, i, d)| (*i, *d)).collect();
        at.sort_by_key(|(_, d)| !d);
        // Several sets: one whose type fits as it is goes first.
        if at.len() > 1
            && let Some((i, _)) = at.iter().find(|(i, _)| {
                let t = declared.parameters[*i].type_ref.clone();
                self.has_type(value, &t) || t.element().cloned().is_some_and(|e| self.has_type(value, &e))
            })
        {
            return Some(*i);
        }
        at.first().map(|(i, _)| *i)
    }

    fn choose_set(
        &self,
        declared: &Declared<'_>,
        candidates: &[Option<Arc<str>>],
        used: &[usize],
        expects_input: bool,
    ) -> Result<Option<Arc<str>>, Error> {
        if candidates.len() <= 1 {
            return Ok(candidates.first().cloned().flatten());
        }
        let satisfied: Vec<&Option<Arc<str>>> =
            candidates.iter().filter(|s| satisfied(declared, s.as_deref(), used, expects_input)).collect();
        let default = declared.default_set;
        let is_default = |s: &Option<Arc<str>>| match (s, default) {
            (Some(a), Some(b)) => a.eq_ignore_ascii_case(b),
            _ => false,
        };
        match satisfied.len() {
            1 => Ok(satisfied[0].clone()),
            0 => match candidates.iter().find(|s| is_default(s)) {
                Some(s) => Ok(s.clone()),
                None => Err(ambiguous_set()),
            },
            _ => {
                if let Some(s) = satisfied.iter().find(|s| is_default(s)) {
                    return Ok((*s).clone());
                }
                // A set that only the given parameters name wins over the open ones.
                if expects_input || default.is_some() {
                    return Ok(satisfied[0].clone());
                }
                Err(ambiguous_set())
            }
        }
    }

    /// Converts and checks a parameter's value.
    pub(crate) fn bind_value(&mut self, p: &ParameterInfo, value: Value) -> Result<Value, Error> {
        let value = if matches!(value, Value::Empty) { Value::Null } else { value };
        let is_reference =
            matches!(value.base(), Value::Native(n) if n.as_any().is::<crate::reference::Reference>());
        let value = if p.is_switch() {
            match value.base() {
                Value::Bool(b) if p.from_script => switch_parameter(*b),
                Value::Bool(b) => Value::Bool(*b),
                Value::String(_) | Value::Null => {
                    let text = self.to_text(&value);
                    return Err(argument_transformation(
                        p,
                        &format!(
                            "Cannot convert the \"{text}\" value of type \"System.String\" to type \
                             \"System.Management.Automation.SwitchParameter\"."
                        ),
                        None,
                    ));
                }
                other if p.from_script => switch_parameter(self.is_true(other)),
                other => Value::Bool(self.is_true(other)),
            }
        } else if !p.typed || p.type_ref.full_name() == "System.Object" || is_reference {
            value
        } else {
            if p.type_ref.full_name() == "System.Boolean" && matches!(value.base(), Value::String(_)) {
                let text = self.to_text(&value);
                return Err(argument_transformation(
                    p,
                    &format!(
                        "Cannot convert value \"{text}\" to type \"System.Boolean\". Boolean parameters accept only \
                         Boolean values and numbers, such as $True, $False, 1 or 0."
                    ),
                    None,
                ));
            }
            match self.convert(&value, &p.type_ref) {
                Ok(v) => v,
                Err(e) => return Err(argument_transformation(p, &e.message(), e.exception().cloned())),
            }
        };
        self.check_mandatory(p, &value)?;
        if !p.validators.is_empty()
            && let Err(error) = self.validate(&value, &p.validators, &p.name)
        {
            let exception = Exception::new(
                "System.Management.Automation.ParameterBindingValidationException",
                format!("Cannot validate argument on parameter '{}'. {}", p.name, error.message()),
            );
            let exception = match error.exception() {
                Some(inner) => exception.with_inner(inner.clone()),
                None => exception,
            };
            return Err(Error::from_exception(
                exception,
                "ParameterArgumentValidationError",
                ErrorCategory::InvalidData,
                Value::Null,
            ));
        }
        Ok(value)
    }

    fn check_mandatory(&self, p: &ParameterInfo, value: &Value) -> Result<(), Error> {
        if !p.sets.iter().any(|m| m.mandatory) {
            return Ok(());
        }
        let fail = |id: &str, what: &str| {
            Err(Error::new(
                "System.Management.Automation.ParameterBindingValidationException",
                id,
                ErrorCategory::InvalidData,
                format!("Cannot bind argument to parameter '{}' because it is {what}.", p.name),
            ))
        };
        match value.base() {
            Value::Null if !p.allow_null => fail("ParameterArgumentValidationErrorNullNotAllowed", "null"),
            Value::String(s) if s.is_empty() && !p.allow_empty_string => {
                fail("ParameterArgumentValidationErrorEmptyStringNotAllowed", "an empty string")
            }
            Value::Array(a) if p.type_ref.element().is_some() => {
                if a.is_empty() && !p.allow_empty_collection {
                    return fail("ParameterArgumentValidationErrorEmptyArrayNotAllowed", "an empty array");
                }
                if !p.allow_empty_string
                    && p.type_ref.full_name() == "System.String[]"
                    && a.items().iter().any(|v| v.as_str().is_some_and(str::is_empty))
                {
                    return fail("ParameterArgumentValidationErrorEmptyStringNotAllowed", "an empty string");
                }
                Ok(())
            }
            Value::List(l) if l.is_empty() && !p.allow_empty_collection => {
                fail("ParameterArgumentValidationErrorEmptyCollectionNotAllowed", "an empty collection")
            }
            _ => Ok(()),
        }
    }

    fn missing_argument(&self, p: &ParameterInfo) -> Error {
        errors::binding(
            "MissingArgument",
            format!(
                "Missing an argument for parameter '{}'. Specify a parameter of type '{}' and try again.",
                p.name,
                p.type_ref.display_name()
            ),
        )
    }

    fn set_common(&mut self, bound: &mut Bound, name: &str, value: Value) -> Result<(), Error> {
        let text = |this: &mut Self, v: &Value| Some(this.to_text(v));
        let c = &mut bound.common;
        match name {
            "Verbose" => c.verbose = Some(self.is_true(&value)),
            "Debug" => c.debug = Some(self.is_true(&value)),
            "WhatIf" => c.what_if = Some(self.is_true(&value)),
            "Confirm" => c.confirm = Some(self.is_true(&value)),
            "ErrorVariable" => c.error_variable = text(self, &value),
            "WarningVariable" => c.warning_variable = text(self, &value),
            "InformationVariable" => c.information_variable = text(self, &value),
            "OutVariable" => c.out_variable = text(self, &value),
            "PipelineVariable" => c.pipeline_variable = text(self, &value),
            "ErrorAction" | "WarningAction" | "InformationAction" | "ProgressAction" => {
                let Some(action) = ActionPreference::parse(&value) else {
                    let kind = TypeRef::of_enum(&crate::ops::action_preference_type());
                    let p = ParameterInfo { type_ref: kind.clone(), ..ParameterInfo::new(name, "object") };
                    let message = match self.convert(&value, &kind) {
                        Err(e) => e.message(),
                        Ok(_) => String::new(),
                    };
                    return Err(argument_transformation(&p, &message, None));
                };
                if action == ActionPreference::Suspend {
                    return Err(errors::binding(
                        "ParameterBindingFailed",
                        "Cannot bind parameter 'ErrorAction' to the target. Exception setting \"ErrorAction\": \
                         \"The value Suspend is not supported for an ActionPreference variable. The provided value \
                         should be used only as a value for a preference parameter, and has been replaced by the \
                         default value. For more information, see the Help topic, \"about_Preference_Variables.\"\"",
                    ));
                }
                match name {
                    "ErrorAction" => c.error_action = Some(action),
                    "WarningAction" => c.warning_action = Some(action),
                    "InformationAction" => c.information_action = Some(action),
                    _ => c.progress_action = Some(action),
                }
            }
            _ => {}
        }
        bound.values.push((Arc::from(name), value));
        Ok(())
    }

    /// Starts the variables that collect a command's streams afresh.
    pub(crate) fn start_collecting(&mut self, common: &CommonParameters) {
        let names = [
            &common.error_variable,
            &common.warning_variable,
            &common.information_variable,
            &common.out_variable,
        ];
        for name in names.into_iter().flatten() {
            if !name.starts_with('+') {
                let list = Value::List(Arc::new(crate::value::PsList::array_list(Vec::new())));
                self.set_variable(name, list);
            }
        }
    }

    /// Binds what the pipeline brings; gives the new values and the set they chose, or an error when no
    /// parameter takes the object.
    #[allow(clippy::type_complexity)]
    pub(crate) fn bind_pipeline(
        &mut self,
        declared: &Declared<'_>,
        already: &[(Arc<str>, Value)],
        sets: &[Option<Arc<str>>],
        input: &Value,
    ) -> Result<(Vec<(Arc<str>, Value)>, Option<Arc<str>>), Error> {
        let mut found: Vec<(Arc<str>, Value)> = Vec::new();
        let mut sets: Vec<Option<Arc<str>>> = if sets.is_empty() { vec![None] } else { sets.to_vec() };
        let open: Vec<&ParameterInfo> = declared
            .parameters
            .iter()
            .filter(|p| !already.iter().any(|(n, _)| n.eq_ignore_ascii_case(&p.name)))
            .collect();
        let member = |p: &ParameterInfo, set: &Option<Arc<str>>| -> Option<SetMembership> {
            match set {
                Some(_) => in_set(p, set.as_deref()).cloned(),
                None => p.sets.first().cloned(),
            }
        };
        let mut last_error = None;
        // The object itself before its properties, values that fit as they are before converted ones.
        for (by_property, coerce) in [(false, false), (true, false), (false, true), (true, true)] {
            if !by_property && coerce && !found.is_empty() {
                continue;
            }
            for set in sets.clone() {
                if !sets.contains(&set) {
                    continue;
                }
                let mut chosen = false;
                for p in &open {
                    let Some(m) = member(p, &set) else { continue };
                    let takes = if by_property { m.from_property } else { m.from_pipeline };
                    if !takes || found.iter().any(|(n, _)| *n == p.name) {
                        continue;
                    }
                    let candidates: Vec<Value> = if by_property {
                        std::iter::once(&p.name)
                            .chain(p.aliases.iter())
                            .find_map(|name| self.property_if_any(input, name))
                            .into_iter()
                            .collect()
                    } else {
                        vec![input.clone()]
                    };
                    for value in candidates {
                        if !coerce && p.typed && !self.has_type(&value, &p.type_ref) {
                            continue;
                        }
                        match self.bind_value(p, value) {
                            Ok(v) => {
                                found.push((p.name.clone(), v));
                                chosen |= m.set.is_some();
                            }
                            Err(e) => last_error = Some(e),
                        }
                    }
                }
                if chosen {
                    let names: Vec<Arc<str>> = found.iter().map(|(n, _)| n.clone()).collect();
                    sets.retain(|s| {
                        declared
                            .parameters
                            .iter()
                            .filter(|p| names.contains(&p.name))
                            .all(|p| member(p, s).is_some())
                    });
                    break;
                }
            }
        }
        if found.is_empty() {
            if let Some(error) = last_error
                && error.record().fully_qualified_id().starts_with("ParameterArgumentValidation")
            {
                return Err(error);
            }
            return Err(Error::from_exception(
                Exception::new(
                    "System.Management.Automation.ParameterBindingException",
                    "The input object cannot be bound to any parameters for the command either because the command \
                     does not take pipeline input or the input and its properties do not match any of the \
                     parameters that take pipeline input.",
                ),
                "InputObjectNotBound",
                ErrorCategory::InvalidArgument,
                input.clone(),
            ));
        }
        Ok((found, sets.into_iter().next().flatten()))
    }
}

trait CloneFirst {
    fn clone_first(self) -> BindError;
}

impl CloneFirst for (Error, Option<Span>) {
    fn clone_first(self) -> BindError {
        (self.0, None)
    }
}

/// A switch as scripts see it.
pub(crate) fn switch_parameter(on: bool) -> Value {
    Value::native(crate::dotnet::SwitchParameter(on))
}

fn ambiguous_set() -> Error {
    errors::binding(
        "AmbiguousParameterSet",
        "Parameter set cannot be resolved using the specified named parameters. One or more parameters issued \
         cannot be used together or an insufficient number of parameters were provided.",
    )
}

fn argument_transformation(p: &ParameterInfo, message: &str, inner: Option<Arc<Exception>>) -> Error {
    let (start, id) = if p.from_script {
        ("Cannot process argument transformation on parameter", "ParameterArgumentTransformationError")
    } else {
        ("Cannot bind parameter", "CannotConvertArgumentNoMessage")
    };
    let mut exception = Exception::new(
        "System.Management.Automation.ParameterBindingArgumentTransformationException",
        format!("{start} '{}'. {message}", p.name),
    );
    if let Some(inner) = inner {
        exception = exception.with_inner(inner);
    }
    Error::from_exception(exception, id, ErrorCategory::InvalidData, Value::Null)
}
