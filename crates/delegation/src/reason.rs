use std::{fmt, str::FromStr};

/// Why a session has no credential for a second hop.
///
/// The [`Display`](fmt::Display) form is the stable code that travels between programs; [`sentence`](Reason::sentence) is
/// for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// The ticket is not forwardable: the account must not be delegated, or the TGT was not asked to be forwardable.
    TicketNotForwardable,
    /// The KDC does not mark the host ok-as-delegate, and the client did not insist.
    HostNotTrusted,
    /// Nothing stands in the way; the client did not delegate.
    ClientChoseNot,
    /// The user wants constrained delegation and no other.
    ClientChoseConstrained,
    /// The client has no ticket-granting ticket to forward.
    NoTicketGrantingTicket,
    /// The KDC refused to issue a forwarded ticket.
    KdcRefused {
        /// The KDC's error code (RFC 4120 section 7.5.9).
        code: i32,
    },
    /// The client sent a credential that the server could not use: unreadable or expired.
    CredentialUnusable,
    /// The way the client proved its identity cannot carry a credential on (a certificate, NTLM).
    MechanismCannotDelegate,
    /// The server got a credential and could not keep it for the session.
    NotStored,
}

/// Who can apply a remedy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Who {
    /// The user, at the client.
    User,
    /// An administrator of the domain.
    DomainAdministrator,
    /// An administrator of the server.
    ServerAdministrator,
    /// An administrator of the client's machine.
    ClientAdministrator,
}

impl Who {
    /// The words before a remedy.
    pub fn as_str(self) -> &'static str {
        match self {
            Who::User => "you",
            Who::DomainAdministrator => "a domain administrator",
            Who::ServerAdministrator => "an administrator of the server",
            Who::ClientAdministrator => "an administrator of this machine",
        }
    }
}

/// One thing that would mend it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Remedy {
    /// Who can do it.
    pub who: Who,
    /// What to do, as a clause that follows "… can".
    pub text: String,
    /// Commands that do it, one per line, ready to type.
    pub commands: Vec<String>,
}

/// The names that sentences and remedies speak of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// The user, as the principal `alice@REALM` or short.
    pub user: String,
    /// The server of the first hop, as its host name.
    pub host: String,
}

impl Default for Names {
    fn default() -> Self {
        Self { user: "the user".to_owned(), host: "this host".to_owned() }
    }
}

impl Names {
    fn account(&self) -> &str {
        match self.user.split('@').next() {
            Some(name) if !name.is_empty() && !name.contains(' ') => name,
            _ => "USER",
        }
    }

    /// The computer account as Active Directory names it: the first label in capitals, with `$`.
    fn computer(&self) -> String {
        match self.host.split('.').next() {
            Some(label) if !label.is_empty() && !label.contains(' ') => {
                format!("{}$", label.to_ascii_uppercase())
            }
            _ => "HOST$".to_owned(),
        }
    }

    fn host_word(&self) -> &str {
        if self.host.is_empty() || self.host.contains(' ') { "HOST" } else { &self.host }
    }
}

impl Reason {
    /// Every kind of reason, [`KdcRefused`](Reason::KdcRefused) with KDC_ERR_BADOPTION.
    pub const ALL: [Reason; 9] = [
        Reason::TicketNotForwardable,
        Reason::HostNotTrusted,
        Reason::ClientChoseNot,
        Reason::ClientChoseConstrained,
        Reason::NoTicketGrantingTicket,
        Reason::KdcRefused { code: 13 },
        Reason::CredentialUnusable,
        Reason::MechanismCannotDelegate,
        Reason::NotStored,
    ];

    /// The obstacle in plain words, one sentence without full stop.
    pub fn sentence(&self, names: &Names) -> String {
        let Names { user, host } = names;
        match self {
            Reason::TicketNotForwardable => format!(
                "the ticket of {user} is not forwardable: either the account may not be delegated (it is marked \
                 \"sensitive and cannot be delegated\" or is a member of Protected Users), or the ticket was not \
                 asked to be forwardable (kinit without -f)"
            ),
            Reason::HostNotTrusted => format!(
                "the server {host} is not trusted for delegation by the domain (its tickets are not marked ok-as-delegate), so a \
                 client that goes by policy (--delegate auto, the default) does not forward the credential of \
                 {user} to it, nor does one that is told not to (--delegate never)"
            ),
            Reason::ClientChoseNot => format!(
                "the ticket of {user} could have been forwarded to {host}, but the client program did not delegate \
                 (--delegate never, or a program that was not asked to)"
            ),
            Reason::ClientChoseConstrained => format!(
                "{user} chose constrained delegation (--delegate constrained), so no ticket was forwarded to {host}"
            ),
            Reason::NoTicketGrantingTicket => {
                format!("the client has no ticket-granting ticket of {user} that it could forward to {host}")
            }
            Reason::KdcRefused { code } => format!(
                "the KDC refused to issue a forwarded ticket for {user} ({}): the account or the policy of the \
                 realm forbids delegation",
                kdc_error_name(*code)
            ),
            Reason::CredentialUnusable => {
                format!(
                    "the client sent a credential of {user} to {host} that could not be used (unreadable or expired)"
                )
            }
            Reason::MechanismCannotDelegate => {
                format!(
                    "{user} did not sign in to {host} by Kerberos, and only Kerberos tickets can be forwarded"
                )
            }
            Reason::NotStored => {
                format!("{host} received the credential of {user} but could not store it for the session")
            }
        }
    }

    /// What would mend it, the most likely first.
    pub fn remedies(&self, names: &Names) -> Vec<Remedy> {
        let host = names.host_word();
        let account = names.account();
        match self {
            Reason::TicketNotForwardable => vec![
                remedy(Who::User, "get a forwardable ticket and connect again", ["kinit -f".to_owned()]),
                remedy(
                    Who::User,
                    "make tickets forwardable by default, with `forwardable = true` under [libdefaults] in krb5.conf",
                    [],
                ),
                remedy(
                    Who::DomainAdministrator,
                    "allow the account to be delegated, if that is acceptable: clear \"Account is sensitive and cannot \
                     be delegated\" (userAccountControl NOT_DELEGATED) and take it out of Protected Users",
                    [
                        format!("samba-tool user sensitive {account} off"),
                        format!("kadmin -q 'modprinc +allow_forwardable {account}'    # MIT"),
                    ],
                ),
            ],
            Reason::HostNotTrusted => vec![
                insist(host, "insist on forwarding to this host, if you trust it with your identity"),
                remedy(
                    Who::DomainAdministrator,
                    "trust the host for delegation (userAccountControl TRUSTED_FOR_DELEGATION); get new tickets after \
                     that",
                    [
                        format!("samba-tool delegation for-any-service '{}' on", names.computer()),
                        format!("kadmin -q 'modprinc +ok_as_delegate HTTP/{host}'    # MIT"),
                    ],
                ),
            ],
            Reason::ClientChoseNot | Reason::ClientChoseConstrained => {
                vec![insist(host, "ask the client to delegate")]
            }
            Reason::NoTicketGrantingTicket => {
                vec![remedy(
                    Who::User,
                    "get a ticket-granting ticket and connect again",
                    ["kinit -f".to_owned()],
                )]
            }
            Reason::KdcRefused { .. } => vec![remedy(
                Who::DomainAdministrator,
                "allow the account to be delegated: clear \"Account is sensitive and cannot be delegated\" \
                 (userAccountControl NOT_DELEGATED) and take it out of Protected Users",
                [format!("samba-tool user sensitive {account} off")],
            )],
            Reason::CredentialUnusable => {
                vec![remedy(Who::User, "get a new ticket and connect again", ["kinit -f".to_owned()])]
            }
            Reason::MechanismCannotDelegate => vec![remedy(
                Who::User,
                "sign in with a Kerberos ticket",
                ["kinit -f".to_owned(), format!("hop run -c {host} --delegate forward …")],
            )],
            Reason::NotStored => vec![remedy(
                Who::ServerAdministrator,
                "look into the log of `hop serve`; the directory of session credentials must be writable",
                [],
            )],
        }
    }
}

fn insist(host: &str, text: &str) -> Remedy {
    remedy(
        Who::User,
        text,
        [format!("hop run -c {host} --delegate forward …"), "negotiate_delegate=True    # pypsrp".to_owned()],
    )
}

pub(crate) fn remedy<const N: usize>(who: Who, text: &str, commands: [String; N]) -> Remedy {
    Remedy { who, text: text.to_owned(), commands: commands.into() }
}

fn kdc_error_name(code: i32) -> String {
    match code {
        12 => "KDC_ERR_POLICY (12)".to_owned(),
        13 => "KDC_ERR_BADOPTION (13)".to_owned(),
        other => format!("error {other}"),
    }
}

const KDC_REFUSED: &str = "kdc-refused-";

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Reason::TicketNotForwardable => "ticket-not-forwardable",
            Reason::HostNotTrusted => "host-not-trusted",
            Reason::ClientChoseNot => "client-chose-not",
            Reason::ClientChoseConstrained => "client-chose-constrained",
            Reason::NoTicketGrantingTicket => "no-ticket-granting-ticket",
            Reason::KdcRefused { code } => return write!(f, "{KDC_REFUSED}{code}"),
            Reason::CredentialUnusable => "credential-unusable",
            Reason::MechanismCannotDelegate => "mechanism-cannot-delegate",
            Reason::NotStored => "not-stored",
        })
    }
}

/// A code that stands for no reason known to this version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected the code of a delegation reason, got {0:?}")]
pub struct ParseReasonError(pub(crate) String);

impl FromStr for Reason {
    type Err = ParseReasonError;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let unknown = || ParseReasonError(s.to_owned());
        if let Some(code) = s.strip_prefix(KDC_REFUSED) {
            return Ok(Reason::KdcRefused { code: code.parse().map_err(|_| unknown())? });
        }
        Reason::ALL.into_iter().find(|reason| reason.to_string() == s).ok_or_else(unknown)
    }
}
