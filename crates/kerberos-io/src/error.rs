//! What can go wrong between us, the KDCs and the disk.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hop_kerberos::ccache::CcacheError;
use hop_kerberos::config::ConfigError;
use hop_kerberos::keytab::KeytabError;
use hop_kerberos::{ErrorCode, Principal};

use crate::ccache::kcm::KcmError;

/// Every failure of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// None of the files that `KRB5_CONFIG` names exists.
    #[error("no configuration file: {0}")]
    NoConfig(String),
    /// A krb5.conf cannot be understood.
    #[error("{}: {source}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: ConfigError,
    },
    /// There is no such credential cache.
    #[error("no credential cache: {name} does not exist")]
    NoCcache {
        /// The cache's name.
        name: String,
    },
    /// A credential cache of a kind that is not known here.
    #[error("credential caches of type {kind} are not supported, expected FILE, DIR, KEYRING, KCM or MEMORY")]
    CcacheType {
        /// The type in the cache's name.
        kind: String,
    },
    /// A credential cache's name does not follow the rules of its type.
    #[error("{name} is no name of a credential cache: expected {expected}")]
    CcacheName {
        /// The name.
        name: String,
        /// What would have been right.
        expected: &'static str,
    },
    /// A credential cache cannot be understood.
    #[error("{name}: {source}")]
    Ccache {
        /// The cache's name.
        name: String,
        /// What is wrong with it.
        source: CcacheError,
    },
    /// The daemon that keeps the credential caches refuses, or answers what is no answer.
    #[error("{name}: {source}")]
    Kcm {
        /// The cache's name.
        name: String,
        /// What it says.
        source: KcmError,
    },
    /// A keytab of a kind that is not kept in a file.
    #[error("keytabs of type {kind} are not supported, expected FILE")]
    KeytabType {
        /// The type in the keytab's name.
        kind: String,
    },
    /// A client's name cannot be understood.
    #[error(transparent)]
    Name(#[from] hop_kerberos::PrincipalError),
    /// KDCs are named, but not for which realm.
    #[error("which realm are these kdcs of? name it")]
    KdcsWithoutRealm,
    /// What is to be a realm's name is none.
    #[error("{0:?} is no name of a realm")]
    RealmName(String),
    /// What is to be a KDC's address is none.
    #[error("{0} is no address of a kdc: expected HOST, HOST:PORT or https://HOST/PATH")]
    KdcAddress(String),
    /// A keytab cannot be understood.
    #[error("{}: {source}", path.display())]
    Keytab {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: KeytabError,
    },
    /// A keytab has no key for the client.
    #[error("the keytab has no usable key for {principal}")]
    NoKey {
        /// The client.
        principal: Principal,
    },
    /// The configuration names no KDC for a realm.
    #[error("no kdc known for realm {realm}")]
    NoKdc {
        /// The realm.
        realm: String,
    },
    /// No KDC of the realm gave a usable answer.
    #[error("no kdc of realm {realm} could be used: {}", failures(.attempts))]
    KdcUnreachable {
        /// The realm.
        realm: String,
        /// Every KDC tried, and why it did not do.
        attempts: Vec<(String, AttemptError)>,
    },
    /// The cache has no ticket-granting ticket.
    #[error("{client} has no ticket-granting ticket for realm {realm}")]
    NoTgt {
        /// The cache's principal.
        client: Principal,
        /// The realm of the ticket-granting service.
        realm: String,
    },
    /// The ticket-granting ticket has expired.
    #[error("the ticket-granting ticket of {client} has expired")]
    TgtExpired {
        /// The cache's principal.
        client: Principal,
    },
    /// The way from realm to realm is too long, or goes in a circle.
    #[error("no way from realm {from} to {server}: too many referrals")]
    Referrals {
        /// Where it began.
        from: String,
        /// The service asked for.
        server: Principal,
    },
    /// The password is wrong.
    #[error("wrong password for {client}")]
    WrongPassword {
        /// The client.
        client: Principal,
    },
    /// The key in the keytab is not the one that the KDC has.
    #[error("the key of {client} in the keytab is not the one the kdc has")]
    WrongKey {
        /// The client.
        client: Principal,
    },
    /// The password must be changed first.
    #[error("the password of {client} has expired")]
    PasswordExpired {
        /// The client.
        client: Principal,
    },
    /// The password must be changed at the first login.
    #[error("{client} must change the password first")]
    PasswordMustChange {
        /// The client.
        client: Principal,
    },
    /// The account is locked after too many wrong passwords.
    #[error("the account of {client} is locked after too many wrong passwords")]
    AccountLocked {
        /// The client.
        client: Principal,
    },
    /// The account is disabled.
    #[error("the account of {client} is disabled")]
    AccountDisabled {
        /// The client.
        client: Principal,
    },
    /// The account has expired.
    #[error("the account of {client} has expired")]
    AccountExpired {
        /// The client.
        client: Principal,
    },
    /// The account may be used at other hours, or from other machines, only.
    #[error("the account of {client} may not be used {}", if *.hours { "at this hour" } else { "from this machine" })]
    AccountRestricted {
        /// The client.
        client: Principal,
        /// Whether it is the hour, not the machine.
        hours: bool,
    },
    /// The account is locked, disabled or has expired; the KDC does not say which.
    #[error("the account of {client} is locked, disabled or has expired")]
    ClientRevoked {
        /// The client.
        client: Principal,
    },
    /// The client's ticket cannot be renewed, or no longer.
    #[error("the ticket-granting ticket of {client} is not renewable any more")]
    NotRenewable {
        /// The client.
        client: Principal,
    },
    /// The client's ticket cannot be forwarded.
    #[error("the ticket-granting ticket of {client} is not forwardable")]
    NotForwardable {
        /// The client.
        client: Principal,
    },
    /// The KDC does not know the client.
    #[error("the kdc does not know the client {client}")]
    UnknownClient {
        /// The client.
        client: Principal,
    },
    /// The KDC does not know the service.
    #[error("the kdc does not know the service {server}")]
    UnknownServer {
        /// The service.
        server: Principal,
    },
    /// The KDC does not let a service act in a user's name.
    #[error("the kdc refuses {service} a ticket for {target} in the name of {user}: {code}{}", more(.text, .status))]
    DelegationRefused {
        /// The code: KDC_ERR_BADOPTION most often, whatever the reason.
        code: ErrorCode,
        /// The NTSTATUS beside it, from KDCs of Windows ([MS-KILE] 2.2.1).
        status: Option<u32>,
        /// The KDC's own words.
        text: Option<String>,
        /// The service that asks.
        service: Box<Principal>,
        /// In whose name.
        user: Box<Principal>,
        /// For which service: the one that asks itself in case of S4U2Self.
        target: Box<Principal>,
    },
    /// Our clock and the KDC's are too far apart.
    #[error("the clocks of this machine and of the kdc of {realm} differ too much")]
    Skew {
        /// The KDC's realm.
        realm: String,
        /// How far apart they are, if the KDC told its time.
        difference: Option<Duration>,
    },
    /// The protocol went wrong, or the KDC refused.
    #[error(transparent)]
    Kerberos(#[from] hop_kerberos::Error),
}

/// Why one attempt at one KDC failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AttemptError {
    /// The host name has no address.
    #[error("name not found: {0}")]
    Name(io::Error),
    /// The network says no.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// No answer in time.
    #[error("no answer within {} s", .0.as_secs())]
    Timeout(Duration),
    /// An answer that is no Kerberos message.
    #[error("expected a kerberos message, got {length} bytes of something else")]
    Garbage {
        /// How long the answer was.
        length: usize,
    },
    /// An answer longer than any real one.
    #[error("expected an answer of at most {limit} bytes, got {length}")]
    TooLong {
        /// The announced length.
        length: usize,
        /// The most that is read.
        limit: usize,
    },
    /// The certificates that the KDC proxy's is to be checked with cannot be had.
    #[error("http_anchors: {0}")]
    Anchors(String),
    /// The KDC proxy is not who it should be, or does not speak TLS.
    #[error("tls: {0}")]
    Tls(io::Error),
    /// The KDC proxy does not speak HTTP.
    #[error("http: {0}")]
    Http(#[from] hyper::Error),
    /// The KDC proxy refuses.
    #[error("the kdc proxy answers with http status {0}")]
    Status(u16),
    /// The KDC proxy's answer cannot be understood.
    #[error("the kdc proxy's answer: {0}")]
    Proxy(hop_kerberos::Error),
    /// The KDC says that it cannot serve now.
    #[error("the kdc says that it is not available")]
    Unavailable,
}

impl Error {
    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        Self::Io { path: path.to_owned(), source }
    }
}

/// The words are unauthenticated and from the network: quoted and cut.
fn more(text: &Option<String>, status: &Option<u32>) -> String {
    let mut more = String::new();
    if let Some(text) = text.as_ref().filter(|text| !text.is_empty()) {
        more.push_str(&format!(" {:?}", text.chars().take(200).collect::<String>()));
    }
    if let Some(status) = status {
        more.push_str(&format!(" (status 0x{status:08x})"));
    }
    more
}

fn failures(attempts: &[(String, AttemptError)]) -> String {
    let mut text = String::new();
    for (index, (kdc, error)) in attempts.iter().enumerate() {
        if index > 0 {
            text.push_str("; ");
        }
        text.push_str(&format!("{kdc}: {error}"));
    }
    text
}
