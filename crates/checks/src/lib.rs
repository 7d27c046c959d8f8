//! Checks over the whole workspace; see `tests/`.
