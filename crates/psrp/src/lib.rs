//! PowerShell Remoting Protocol: messages, fragments, runspace pools and pipelines of both ends, stdio packets.
#![forbid(unsafe_code)]
