use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::{Names, ParseReasonError, Reason, Remedy};

/// What a server knows of a client that it has accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerFacts {
    /// The client principal, `alice@REALM`.
    pub client: String,
    /// The service principal of the accepted ticket, `HTTP/servera.example@REALM`.
    pub service: String,
    /// The accepted ticket is FORWARDABLE: so was the TGT behind it.
    pub ticket_forwardable: bool,
    /// The accepted ticket is OK-AS-DELEGATE.
    pub ticket_ok_as_delegate: bool,
    /// The client set GSS_C_DELEG_FLAG in the authenticator's checksum (RFC 4121 section 4.1.1).
    pub delegation_requested: bool,
    /// A delegated credential arrived, was decrypted and is still valid.
    pub credential_present: bool,
}

/// Whose credential a session uses towards other computers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionIdentity {
    /// The user's own, by a forwarded ticket-granting ticket.
    Forwarded,
    /// None, and why.
    None {
        /// Why.
        reason: Reason,
    },
}

/// Works out, from what the accepted ticket and authenticator tell, which identity a session has and why.
pub fn explain(facts: &ServerFacts) -> SessionIdentity {
    let reason = match facts {
        ServerFacts { credential_present: true, .. } => return SessionIdentity::Forwarded,
        ServerFacts { delegation_requested: true, .. } => Reason::CredentialUnusable,
        ServerFacts { ticket_forwardable: false, .. } => Reason::TicketNotForwardable,
        ServerFacts { ticket_ok_as_delegate: false, .. } => Reason::HostNotTrusted,
        _ => Reason::ClientChoseNot,
    };
    SessionIdentity::None { reason }
}

/// The facts about a session's identity as they are kept with the session, for whoever asks why a second hop failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionReport {
    /// The client principal.
    pub client: String,
    /// The service principal that the client addressed.
    pub service: String,
    /// The accepted ticket was forwardable.
    pub ticket_forwardable: bool,
    /// The accepted ticket was marked ok-as-delegate.
    pub ticket_ok_as_delegate: bool,
    /// The client asked for delegation.
    pub delegation_requested: bool,
    /// The code of the [`Reason`] why there is no delegated credential; absent if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// A session report that cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// Not the JSON object that a session report is.
    #[error("malformed session report: {0}")]
    Malformed(#[from] serde_json::Error),
    /// A reason that this version does not know.
    #[error(transparent)]
    Reason(#[from] ParseReasonError),
    /// Larger than any report.
    #[error("session report of {0} bytes, expected at most {MAX_REPORT}")]
    TooLarge(usize),
}

/// The largest report that is read, in bytes.
const MAX_REPORT: usize = 64 * 1024;

impl SessionReport {
    /// The report about an accepted client.
    pub fn new(facts: &ServerFacts) -> Self {
        Self::with_identity(facts, explain(facts))
    }

    /// The report when the server knows better than the ticket, such as [`Reason::NotStored`].
    pub fn with_identity(facts: &ServerFacts, identity: SessionIdentity) -> Self {
        Self {
            client: facts.client.clone(),
            service: facts.service.clone(),
            ticket_forwardable: facts.ticket_forwardable,
            ticket_ok_as_delegate: facts.ticket_ok_as_delegate,
            delegation_requested: facts.delegation_requested,
            reason: match identity {
                SessionIdentity::Forwarded => None,
                SessionIdentity::None { reason } => Some(reason.to_string()),
            },
        }
    }

    /// The identity that the session has.
    pub fn identity(&self) -> Result<SessionIdentity, ParseReasonError> {
        Ok(match &self.reason {
            None => SessionIdentity::Forwarded,
            Some(code) => SessionIdentity::None { reason: code.parse()? },
        })
    }

    /// The names for [`Reason::sentence`] and [`Reason::remedies`].
    pub fn names(&self) -> Names {
        let host = self.service.split('@').next().unwrap_or_default();
        let host = host.split('/').nth(1).unwrap_or(host);
        Names { user: self.client.clone(), host: host.to_owned() }
    }

    /// JSON, one object.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default()
    }

    /// Reads what [`to_json`](Self::to_json) wrote.
    pub fn from_json(json: &[u8]) -> Result<Self, ReportError> {
        if json.len() > MAX_REPORT {
            return Err(ReportError::TooLarge(json.len()));
        }
        let report: Self = serde_json::from_slice(json)?;
        report.identity()?;
        Ok(report)
    }

    /// The whole explanation as text of several lines: what is, why, and what would mend it.
    ///
    /// `None` when the session has a delegated credential.
    pub fn explanation(&self) -> Option<String> {
        let Ok(SessionIdentity::None { reason }) = self.identity() else { return None };
        let names = self.names();
        let mut text = format!(
            "This session runs as {} but has no credential of that user to show to other computers:\n{}.\n",
            self.client,
            capitalised(&reason.sentence(&names))
        );
        let mut remedies = reason.remedies(&names);
        // Insisting alone would not pass the next obstacle of an untrusted host, so both are named at once.
        if reason == Reason::TicketNotForwardable && !self.ticket_ok_as_delegate {
            let next = Reason::HostNotTrusted;
            let _ = writeln!(text, "After that, {}.", next.sentence(&names));
            remedies.extend(next.remedies(&names));
        }
        text.push_str("What would help:\n");
        text.push_str(&render(&remedies));
        Some(text)
    }
}

impl Reason {
    /// The sentence and the remedies as text of several lines.
    pub fn explanation(&self, names: &Names) -> String {
        format!(
            "{}.\nWhat would help:\n{}",
            capitalised(&self.sentence(names)),
            render(&self.remedies(names))
        )
    }
}

fn render(remedies: &[Remedy]) -> String {
    let mut text = String::new();
    for remedy in remedies {
        let _ = writeln!(text, "  - {} can {}.", remedy.who.as_str(), remedy.text);
        for command in &remedy.commands {
            let _ = writeln!(text, "        {command}");
        }
    }
    text
}

fn capitalised(sentence: &str) -> String {
    let mut chars = sentence.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}
