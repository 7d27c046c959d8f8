//! PowerShell runtime: values, conversions, scopes, evaluator, pipelines.
//!
//! [`Runspace`](runspace::Runspace) is a session. Cmdlets implement [`command::Cmdlet`] and are found in a
//! [`command::CommandTable`]; the program around the engine implements [`host::Host`],
//! [`host::Platform`] and [`host::Remoting`].
#![forbid(unsafe_code)]

pub mod convert;
pub mod datetime;
pub mod dotnet;
pub mod members;
pub mod number;
pub mod operators;
pub mod regex;
pub mod value;
pub mod wildcard;

mod binder;
pub mod classes;
pub mod command;
pub mod context;
mod errors;
mod eval;
pub mod flow;
pub mod function;
pub mod host;
pub mod intrinsics;
pub mod invocation;
pub mod module;
mod native;
pub mod ops;
mod reference;
mod requires;
pub mod resolve;
pub mod runspace;
pub mod scope;
pub mod session;
mod streams;
mod using;
pub mod variable_object;
mod variables;
