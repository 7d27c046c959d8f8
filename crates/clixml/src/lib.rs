//! CLIXML: the value model of PowerShell serialisation, its parser and its writer.
//!
//! A [`Value`] keeps everything that a peer may send: type names, both property bags with the order of their
//! members, string forms, object identity ([`Value::Ref`]), the kind of each container, text that is not valid
//! Unicode. What [`parse`] has read, [`mod@write`] writes again to the same bytes if PowerShell wrote it.
//!
//! Two forms exist: a bare value, as remoting messages carry it ([`parse::value`], [`write::value`]), and a
//! document with the root `Objs`, as files hold it ([`parse::document`], [`write::document`]).
#![forbid(unsafe_code)]

pub mod describe;
#[doc(hidden)]
pub mod fuzz;
mod number;
pub mod parse;
mod simple;
mod text;
mod time;
mod value;
pub mod write;

pub use number::{format_double, format_single};
pub use parse::{Limits, ParseError, ParseErrorKind};
pub use text::{Text, escape, unescape};
pub use time::{DateTime, DateTimeKind, TimeSpan};
pub use value::{
    Content, Document, ListKind, Object, ObjectId, ProgressRecord, Property, PropertyBag, Root, TypeNames,
    Value, Version,
};

pub use rust_decimal::Decimal;
pub use uuid::Uuid;

/// The namespace of CLIXML documents.
pub const NAMESPACE: &str = "http://schemas.microsoft.com/powershell/2004/04";

/// The version that documents state and that SESSION_CAPABILITY calls SerializationVersion.
pub const VERSION: &str = "1.1.0.1";
