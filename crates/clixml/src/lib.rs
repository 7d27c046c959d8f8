//! CLIXML: the value model of PowerShell serialisation, its parser and its writer.
#![forbid(unsafe_code)]
