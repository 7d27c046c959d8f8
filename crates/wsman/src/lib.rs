//! WS-Management: envelopes, shells and faults, client and server machines.
#![forbid(unsafe_code)]
