//! krb5.conf.
