//! Kerberos 5, sans-IO: client, acceptor, GSS-API context, credential caches, keytabs, krb5.conf and a KDC.
#![forbid(unsafe_code)]
