//! KDC transports, credential caches, keytabs and krb5.conf on disk.
