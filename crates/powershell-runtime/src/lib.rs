//! PowerShell runtime: values, conversions, scopes, evaluator, pipelines.
#![forbid(unsafe_code)]
