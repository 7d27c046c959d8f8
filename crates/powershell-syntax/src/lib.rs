//! PowerShell syntax: lexer, parser, syntax tree.
#![forbid(unsafe_code)]
