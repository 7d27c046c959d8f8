use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::{Names, ParseReasonError, Reason, Refusal, Remedy};

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
    /// What the server may do itself.
    pub constrained: Constrained,
    /// How the client proved its identity.
    pub came_by: CameBy,
    /// The server has a ticket of the client's for itself, which S4U2Proxy takes as evidence.
    pub evidence_present: bool,
}

/// How a client proved its identity to a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum CameBy {
    /// A Kerberos ticket.
    #[default]
    Kerberos,
    /// CredSSP, and left a password, for which the server got a ticket-granting ticket.
    CredSsp,
    /// NTLM.
    Ntlm,
    /// Name and password inside TLS.
    Basic,
    /// A certificate.
    Certificate,
}

impl CameBy {
    /// Every way.
    pub const ALL: [CameBy; 5] =
        [CameBy::Kerberos, CameBy::CredSsp, CameBy::Ntlm, CameBy::Basic, CameBy::Certificate];

    /// The word in logs.
    pub fn as_str(self) -> &'static str {
        match self {
            CameBy::Kerberos => "kerberos",
            CameBy::CredSsp => "credssp",
            CameBy::Ntlm => "ntlm",
            CameBy::Basic => "basic",
            CameBy::Certificate => "certificate",
        }
    }
}

/// Whether a server fetches tickets for its sessions by constrained delegation (S4U2Proxy): its configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Constrained {
    /// For sessions without a forwarded ticket.
    #[default]
    Auto,
    /// For all sessions: a forwarded ticket stays out of the session and is used only where the domain refuses.
    Prefer,
    /// Never, or it cannot: it has no keys to log in with.
    Off,
}

/// Whose credential a session uses towards other computers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionIdentity {
    /// The user's own, by a forwarded ticket-granting ticket.
    Forwarded,
    /// The user's, by tickets for single services that the server fetches when they are asked for.
    Constrained {
        /// Why there is no forwarded ticket besides; none if one arrived and is kept out of the session.
        reason: Option<Reason>,
    },
    /// None, and why.
    None {
        /// Why.
        reason: Reason,
    },
}

/// Works out, from what the accepted ticket and authenticator tell and from what the server may do, which identity a
/// session has and why: the safest that is possible.
pub fn explain(facts: &ServerFacts) -> SessionIdentity {
    let reason = match facts {
        ServerFacts { credential_present: true, .. } => None,
        ServerFacts { came_by: CameBy::CredSsp, .. } => Some(Reason::CredentialUnusable),
        ServerFacts { came_by: CameBy::Ntlm | CameBy::Basic | CameBy::Certificate, .. } => {
            Some(Reason::MechanismCannotDelegate)
        }
        ServerFacts { delegation_requested: true, .. } => Some(Reason::CredentialUnusable),
        ServerFacts { ticket_forwardable: false, .. } => Some(Reason::TicketNotForwardable),
        ServerFacts { ticket_ok_as_delegate: false, .. } => Some(Reason::HostNotTrusted),
        _ => Some(Reason::ClientChoseNot),
    };
    let constrained = if facts.evidence_present { facts.constrained } else { Constrained::Off };
    match (constrained, reason) {
        (Constrained::Prefer, reason) => SessionIdentity::Constrained { reason },
        (_, None) => SessionIdentity::Forwarded,
        (Constrained::Auto, reason) => SessionIdentity::Constrained { reason },
        (Constrained::Off, Some(reason)) => SessionIdentity::None { reason },
    }
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
    /// How the client proved its identity.
    #[serde(default)]
    pub came_by: CameBy,
    /// The session keeps the password that CredSSP brought, for NTLM.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub password_kept: bool,
    /// The server fetches tickets for the session by constrained delegation.
    #[serde(default)]
    constrained: bool,
    /// The code of the [`Reason`] why there is no forwarded ticket; absent if there is one.
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
            came_by: facts.came_by,
            password_kept: false,
            constrained: matches!(identity, SessionIdentity::Constrained { .. }),
            reason: match identity {
                SessionIdentity::Forwarded => None,
                SessionIdentity::Constrained { reason } => reason.map(|reason| reason.to_string()),
                SessionIdentity::None { reason } => Some(reason.to_string()),
            },
        }
    }

    /// The same when constrained delegation turned out to be impossible.
    #[must_use]
    pub fn without_constrained(mut self) -> Self {
        self.constrained = false;
        self
    }

    /// The identity that the session has.
    pub fn identity(&self) -> Result<SessionIdentity, ParseReasonError> {
        let reason = self.reason.as_deref().map(str::parse).transpose()?;
        Ok(match (self.constrained, reason) {
            (true, reason) => SessionIdentity::Constrained { reason },
            (false, None) => SessionIdentity::Forwarded,
            (false, Some(reason)) => SessionIdentity::None { reason },
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

    /// The whole explanation as text of several lines: what is, why, and what would mend it, the safest way first.
    ///
    /// `refusals` are those of the domain so far, in a session with constrained delegation. `None` when there is
    /// nothing to explain: the session has a forwarded ticket, or nothing was refused.
    pub fn explanation(&self, refusals: &[Refusal]) -> Option<String> {
        let names = self.names();
        let reason = match self.identity() {
            Ok(SessionIdentity::None { .. }) if self.password_kept => return None,
            Ok(SessionIdentity::None { reason }) => Some(reason),
            Ok(SessionIdentity::Constrained { reason }) if !refusals.is_empty() => reason,
            _ => return None,
        };
        let mut text = String::new();
        let mut remedies = Vec::new();
        if refusals.is_empty() {
            let _ = writeln!(
                text,
                "This session runs as {} but has no credential of that user to show to other computers:",
                self.client
            );
        } else {
            let _ = writeln!(text, "This session runs as {}. Refused so far:", self.client);
        }
        for refusal in refusals {
            let _ = writeln!(text, "  {}", refusal.sentence(self.ticket_forwardable));
            for remedy in refusal.remedies() {
                if !remedies.contains(&remedy) {
                    remedies.push(remedy);
                }
            }
        }
        if let Some(reason) = reason {
            let sentence = reason.sentence(&names);
            match refusals.is_empty() {
                true => {
                    let _ = writeln!(text, "{}.", capitalised(&sentence));
                }
                false => {
                    let _ = writeln!(text, "Nor does it have a forwarded ticket: {sentence}.");
                }
            }
            remedies.extend(reason.remedies(&names));
            // Insisting alone would not pass the next obstacle of an untrusted host, so both are named at once.
            if reason == Reason::TicketNotForwardable && !self.ticket_ok_as_delegate {
                let next = Reason::HostNotTrusted;
                let _ = writeln!(text, "After that, {}.", next.sentence(&names));
                remedies.extend(next.remedies(&names));
            }
        }
        text.push_str("What would help:\n");
        text.push_str(&render(&remedies));
        Some(text)
    }

    /// What the session can do, when there is nothing to explain.
    pub fn summary(&self) -> String {
        match self.identity() {
            Ok(SessionIdentity::None { .. }) if self.password_kept => format!(
                "This session keeps the password of {} that CredSSP handed over: hop and Invoke-Command in it go on by \
                 NTLM, to hosts in TrustedHosts (`hop trust`) or over HTTPS. There is no ticket for other programs.",
                self.client
            ),
            Ok(SessionIdentity::Forwarded) if self.came_by == CameBy::CredSsp => format!(
                "This session has a ticket of {}, got with the password that CredSSP handed over: programs in it can go \
                 on as you.",
                self.client
            ),
            Ok(SessionIdentity::Forwarded) => {
                format!(
                    "This session has the forwarded ticket of {}: programs in it can go on as you.",
                    self.client
                )
            }
            Ok(SessionIdentity::Constrained { .. }) => format!(
                "This session has no ticket-granting ticket of {}. Programs in it get tickets for single services when \
                 they ask for them, where the domain lets {} delegate (constrained delegation).",
                self.client, self.service
            ),
            _ => format!("This session has no credential of {} for other computers.", self.client),
        }
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

pub(crate) fn render(remedies: &[Remedy]) -> String {
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
