//! Pipelines and commands.
