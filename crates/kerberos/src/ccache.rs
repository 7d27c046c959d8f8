//! FILE credential caches, as MIT reads and writes them.
