//! A server that can be talked to: transport, URL and what was decided about delegation.

use std::sync::Arc;

use hop_delegation::Mode;

use crate::{
    error::Error,
    hosts::Target,
    http::{Http, Settings},
    kerberos::{DelegationOutcome, Identity, Kerberos},
    transport::Transport,
    winrs,
};

/// A way to one server. Nothing is connected before the first request.
#[derive(Clone)]
pub struct Connection {
    transport: Arc<dyn Transport>,
    target: Target,
    delegation: DelegationOutcome,
}

impl Connection {
    /// HTTP with Kerberos. The target's own delegation mode, if it is configured, comes before `mode`'s default.
    pub fn kerberos(target: Target, identity: Arc<Identity>, mode: Option<Mode>, settings: Settings) -> Self {
        let mode = mode.or(target.delegation).unwrap_or_default();
        let provider = Kerberos::new(identity, target.clone(), mode);
        let delegation = provider.outcome();
        let transport = Arc::new(Http::new(target.clone(), Box::new(provider), settings));
        Self { transport, target, delegation }
    }

    /// Any other transport.
    pub fn new(target: Target, transport: Arc<dyn Transport>) -> Self {
        Self { transport, target, delegation: DelegationOutcome::default() }
    }

    /// Where it leads.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// What was decided about delegation: known after the first request.
    pub fn delegation(&self) -> &DelegationOutcome {
        &self.delegation
    }

    /// The transport.
    pub fn transport(&self) -> Arc<dyn Transport> {
        self.transport.clone()
    }

    /// Opens a command shell.
    ///
    /// # Errors
    /// Whatever keeps the server from opening it.
    pub async fn open_shell(&self, options: winrs::ShellOptions) -> Result<winrs::Shell, Error> {
        winrs::Shell::open(self.transport(), &self.target.url(), options).await
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("target", &self.target).finish_non_exhaustive()
    }
}
