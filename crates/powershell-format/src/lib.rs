//! PowerShell formatting: how objects and errors become text.
#![forbid(unsafe_code)]
