//! Security contexts of WinRM: SPNEGO, Kerberos, sealed bodies; client and server.
#![forbid(unsafe_code)]
