//! The remoting client: runs commands and pipelines on other machines.
