//! Namespaces, actions and resource URIs.

/// SOAP 1.2 envelope.
pub const SOAP: &str = "http://www.w3.org/2003/05/soap-envelope";
/// WS-Addressing, August 2004.
pub const ADDRESSING: &str = "http://schemas.xmlsoap.org/ws/2004/08/addressing";
/// WS-Addressing: the answer goes back on the same connection.
pub const ANONYMOUS: &str = "http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous";
/// DMTF WS-Management.
pub const WSMAN: &str = "http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd";
/// Microsoft's WS-Management extensions (`DataLocale`, `SessionId`).
pub const MS_WSMAN: &str = "http://schemas.microsoft.com/wbem/wsman/1/wsman.xsd";
/// Remote shells, [MS-WSMV] 2.2.4.
pub const SHELL: &str = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell";
/// `WSManFault`, [MS-WSMV] 2.2.4.43.
pub const WSMAN_FAULT: &str = "http://schemas.microsoft.com/wbem/wsman/1/wsmanfault";
/// WS-Transfer.
pub const TRANSFER: &str = "http://schemas.xmlsoap.org/ws/2004/09/transfer";
/// WS-Enumeration.
pub const ENUMERATION: &str = "http://schemas.xmlsoap.org/ws/2004/09/enumeration";
/// `Identify`.
pub const IDENTIFY: &str = "http://schemas.dmtf.org/wbem/wsman/identity/1/wsmanidentity.xsd";
/// The same as [MS-WSMV] 2.2.1 spells it; Windows itself says [`IDENTIFY`], and some clients ask with this.
pub const IDENTIFY_OF_SPECIFICATION: &str = "http://schemas.dmtf.org/wbem/wsman/identify/1/wsmanidentity.xsd";
/// `creationXml` and its siblings, [MS-PSRP] 3.1.5.3.1.
pub const POWERSHELL: &str = "http://schemas.microsoft.com/powershell";
/// XML's own namespace (`xml:lang`).
pub const XML: &str = "http://www.w3.org/XML/1998/namespace";
/// Extensions between this client and this server: output that comes with the `CreateResponse`.
pub const EXTENSION: &str = "urn:secondhop:wsman:1";

/// Resource URI prefix of PowerShell endpoints; the configuration name follows.
pub const POWERSHELL_PREFIX: &str = "http://schemas.microsoft.com/powershell/";
/// Resource URI of the command shell, [MS-WSMV] 3.1.4.
pub const CMD: &str = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell/cmd";

pub(crate) const CREATE: &str = "http://schemas.xmlsoap.org/ws/2004/09/transfer/Create";
pub(crate) const DELETE: &str = "http://schemas.xmlsoap.org/ws/2004/09/transfer/Delete";
pub(crate) const GET: &str = "http://schemas.xmlsoap.org/ws/2004/09/transfer/Get";
pub(crate) const ENUMERATE: &str = "http://schemas.xmlsoap.org/ws/2004/09/enumeration/Enumerate";
pub(crate) const COMMAND: &str = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell/Command";
pub(crate) const SEND: &str = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell/Send";
pub(crate) const RECEIVE: &str = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell/Receive";
pub(crate) const SIGNAL: &str = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell/Signal";
pub(crate) const CONNECT: &str = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell/Connect";
pub(crate) const DISCONNECT: &str = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell/Disconnect";
pub(crate) const RECONNECT: &str = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell/Reconnect";
pub(crate) const FAULT_ACTION: &str = "http://schemas.dmtf.org/wbem/wsman/1/wsman/fault";
pub(crate) const ADDRESSING_FAULT_ACTION: &str = "http://schemas.xmlsoap.org/ws/2004/08/addressing/fault";
pub(crate) const FAULT_DETAIL: &str = "http://schemas.dmtf.org/wbem/wsman/1/wsman/faultDetail/";

/// The option with which a client asks for the opening output in the `CreateResponse` ([`EXTENSION`]).
pub(crate) const OPTION_EARLY_OUTPUT: &str = "SECONDHOP_EARLY_OUTPUT";
