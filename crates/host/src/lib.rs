//! The embedded PowerShell behind the stdio seam.
