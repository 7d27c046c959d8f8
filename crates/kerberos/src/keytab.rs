//! Keytabs, as MIT reads and writes them.
