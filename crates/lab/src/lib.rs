//! A whole test domain in one process: KDC, two servers and a user on loopback.
