//! PowerShell cmdlets and providers of the embedded engine.
