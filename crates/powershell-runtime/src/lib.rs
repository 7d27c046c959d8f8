//! PowerShell runtime: values, conversions, scopes, evaluator, pipelines.
#![forbid(unsafe_code)]

pub mod operators;
pub mod value;
