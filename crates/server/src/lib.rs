//! The remoting server: monitor, network process, sessions that run as the user.
