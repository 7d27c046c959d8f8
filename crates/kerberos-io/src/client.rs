//! Asking KDCs for tickets.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hop_kerberos::ccache::{CredentialCache, KdcOffset};
use hop_kerberos::client::{
    AsExchange, AsOptions, ClientSecret, DEFAULT_ENCRYPTION_TYPES, Request, TgsExchange, TgsOptions,
    TgsOutcome,
};
use hop_kerberos::config::{Config, ConfigError, KdcAddress, LibDefaults};
use hop_kerberos::keytab::Keytab;
use hop_kerberos::{
    Credential, EncryptionKey, EncryptionType, ErrorCode, KdcError, KdcOptions, NameType, NtStatus,
    Principal, TicketFlags,
};
use hop_secret::SecretString;

use crate::discovery;
use crate::transport::{Timing, exchange};
use crate::way::Way;
use crate::{Environment, Error};

/// How many requests the way through other realms may take.
pub(crate) const MAX_REFERRALS: usize = 20;
/// A difference of clocks below this is due to KerberosTime having whole seconds.
const SAME_TIME: Duration = Duration::from_secs(2);

/// A client of the KDCs that a configuration names.
#[derive(Debug, Clone)]
pub struct KdcClient {
    config: Arc<Config>,
    timing: Timing,
}

/// What a client proves itself with.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Proof<'a> {
    /// A password.
    Password(&'a SecretString),
    /// Its keys in a keytab.
    Keytab(&'a Keytab),
}

/// What a first ticket shall be like; what is not said here, the configuration says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TgtOptions {
    /// Whether it can be forwarded to other machines.
    pub forwardable: Option<bool>,
    /// Whether tickets bound to other addresses can be had from it.
    pub proxiable: Option<bool>,
    /// How long it shall live.
    pub lifetime: Option<Duration>,
    /// For how long it shall be renewable.
    pub renewable_for: Option<Duration>,
}

/// What a login gives.
#[derive(Debug, Clone)]
pub struct Login {
    /// A new cache that holds the first ticket.
    pub cache: CredentialCache,
    /// When the password, or the account itself, expires, if the KDC tells.
    pub expires: Option<SystemTime>,
}

impl KdcClient {
    /// A client by this configuration.
    pub fn new(config: Config) -> Self {
        Self { config: Arc::new(config), timing: Timing::default() }
    }

    /// A client by the configuration that the process's environment names.
    ///
    /// # Errors
    /// As [`Environment::load_config`].
    pub fn from_environment(environment: &Environment) -> Result<Self, Error> {
        environment.load_config().map(Self::new)
    }

    /// The same client with other time limits.
    #[must_use]
    pub fn with_timing(mut self, timing: Timing) -> Self {
        self.timing = timing;
        self
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The encryption types that configuration permits for a realm; empty if it does not say.
    ///
    /// # Errors
    /// [`Error::Config`].
    pub fn permitted_encryption_types(&self, realm: &str) -> Result<Vec<EncryptionType>, Error> {
        Ok(self.defaults(realm)?.permitted_enctypes.unwrap_or_default())
    }

    /// A service's principal on a host: in the realm that `[domain_realm]` names, else in the client's own, whose
    /// KDC may know better.
    pub fn service_principal(&self, service: &str, host: &str, client: &Principal) -> Principal {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let realm = self.config.host_realm(&host).unwrap_or(&client.realm).to_owned();
        Principal::service(realm, service, &host)
    }

    /// Gets a first ticket: a new cache that holds it, and the difference to the KDC's clock.
    ///
    /// # Errors
    /// As [`log_in`](Self::log_in).
    pub async fn get_tgt(
        &self,
        client: &Principal,
        proof: Proof<'_>,
        wanted: &TgtOptions,
    ) -> Result<CredentialCache, Error> {
        self.log_in(client, proof, wanted).await.map(|login| login.cache)
    }

    /// As [`get_tgt`](Self::get_tgt), with what the KDC tells the user about the password.
    ///
    /// # Errors
    /// [`Error::WrongPassword`], [`Error::WrongKey`], [`Error::UnknownClient`], [`Error::PasswordExpired`],
    /// [`Error::Skew`], [`Error::NoKdc`], [`Error::KdcUnreachable`], or what else the KDC refuses with.
    pub async fn log_in(
        &self,
        client: &Principal,
        proof: Proof<'_>,
        wanted: &TgtOptions,
    ) -> Result<Login, Error> {
        let defaults = self.defaults(&client.realm)?;
        let mut options = AsOptions::new(client.clone());
        options.kdc_options = KdcOptions::RENEWABLE_OK;
        options.kdc_options.set(KdcOptions::FORWARDABLE, wanted.forwardable.unwrap_or(defaults.forwardable));
        options.kdc_options.set(KdcOptions::PROXIABLE, wanted.proxiable.unwrap_or(defaults.proxiable));
        // An enterprise name is one that the KDC knows a better one for.
        let canonicalize = defaults.canonicalize || client.name_type == NameType::ENTERPRISE;
        options.kdc_options.set(KdcOptions::CANONICALIZE, canonicalize);
        options.lifetime = wanted.lifetime.unwrap_or(defaults.ticket_lifetime);
        options.renewable_for = wanted.renewable_for.or(defaults.renew_lifetime);
        options.clock_skew = defaults.clock_skew;
        options.encryption_types = usable(&defaults, defaults.default_tkt_enctypes.as_ref());
        let secret = match proof {
            Proof::Password(password) => ClientSecret::Password(password.clone()),
            Proof::Keytab(keytab) => ClientSecret::Keys(keys_of(keytab, client)?),
        };
        let explain = |error| explain(error, client, None, Some(proof));

        // The KDC's clock counts: what it says in its first answer (unauthenticated, so only to be proven by the
        // ticket that comes in the end) is taken for the time if the configuration allows.
        let mut offset = KdcOffset { seconds: 0, microseconds: 0 };
        let mut machine =
            AsExchange::new(options, secret, SystemTime::now(), &mut rand::rng()).map_err(explain)?;
        loop {
            let request = machine.poll_transmit().ok_or(hop_kerberos::Error::Usage("nothing to send"))?;
            let reply = self.send(&request, &defaults).await?;
            let local = SystemTime::now();
            if let Ok(error) = KdcError::parse(&reply)
                && defaults.kdc_timesync
                && apart(error.server_time, local) > SAME_TIME
            {
                offset = KdcOffset::between(local, error.server_time);
            }
            let outcome =
                machine.handle_reply(&reply, offset.apply(local), &mut rand::rng()).map_err(explain)?;
            if let Some(outcome) = outcome {
                let mut cache = CredentialCache::new(outcome.credential.client.clone());
                if defaults.kdc_timesync && apart(outcome.credential.auth_time, local) > SAME_TIME {
                    cache.kdc_offset = Some(KdcOffset::between(local, outcome.credential.auth_time));
                }
                cache.store(outcome.credential);
                return Ok(Login { cache, expires: outcome.password_expires });
            }
        }
    }

    /// A ticket for a service: from the cache, or new, with the tickets of the way there, and then in the cache.
    ///
    /// # Errors
    /// [`Error::NoTgt`], [`Error::TgtExpired`], [`Error::UnknownServer`], [`Error::Referrals`], [`Error::NoKdc`],
    /// [`Error::KdcUnreachable`], or what else the KDC refuses with.
    pub async fn service_ticket(
        &self,
        cache: &mut CredentialCache,
        server: &Principal,
    ) -> Result<Credential, Error> {
        let now = cache.kdc_time(SystemTime::now());
        let deprecated = names_deprecated(&self.defaults(&server.realm)?);
        if let Some(known) =
            cache.find(server, now).filter(|it| deprecated || !it.session_key.etype.is_deprecated())
        {
            return Ok(known.clone());
        }
        let mut tgt = self.nearest_tgt(cache, &server.realm, now)?;
        let mut seen = HashSet::new();
        // A KDC that knows no way to the service's realm may know one to a realm on the way there, else the service,
        // or who knows it.
        let mut ask_for_service = false;
        let mut way = Way::new(&self.config, realm_of(&tgt), &server.realm);
        for _ in 0..MAX_REFERRALS {
            let here = realm_of(&tgt).to_owned();
            let next = way.next().filter(|_| here != server.realm && !ask_for_service);
            let towards = next.is_some();
            let target = match next {
                Some(next) => Principal::krbtgt(here.clone(), next),
                None => Principal { realm: here.clone(), ..server.clone() },
            };
            let mut options = TgsOptions::new(target.clone());
            options.kdc_options.set(KdcOptions::FORWARDABLE, tgt.flags.contains(TicketFlags::FORWARDABLE));
            let outcome = match self.ask(&tgt, options, cache).await {
                Err(Error::Kerberos(hop_kerberos::Error::Kdc(error)))
                    if towards && error.code == ErrorCode::KDC_ERR_S_PRINCIPAL_UNKNOWN =>
                {
                    ask_for_service = !way.is_unknown();
                    continue;
                }
                Err(Error::Kerberos(error)) => {
                    return Err(explain(error, &cache.principal, Some(server), None));
                }
                other => other?,
            };
            match outcome {
                TgsOutcome::Ticket(credential) if towards => {
                    cache.store(credential.clone());
                    way.reached(realm_of(&credential));
                    tgt = credential;
                }
                TgsOutcome::Ticket(credential) => {
                    cache.store(credential.clone());
                    return Ok(credential);
                }
                TgsOutcome::Referral { realm, .. } if towards && !way.allows(&realm) => {
                    ask_for_service = !way.is_unknown();
                }
                TgsOutcome::Referral { tgt: next, realm } => {
                    if !seen.insert(realm) {
                        break;
                    }
                    if towards {
                        cache.store(next.clone());
                    }
                    ask_for_service = !towards;
                    way.reached(realm_of(&next));
                    tgt = next;
                }
            }
        }
        Err(Error::Referrals { from: cache.principal.realm.clone(), server: server.clone() })
    }

    /// A ticket-granting ticket for another machine to use in the client's name: forwarded, itself forwardable.
    ///
    /// # Errors
    /// [`Error::NotForwardable`] if the client's own is not, else as [`service_ticket`](Self::service_ticket).
    pub async fn forwarded_tgt(&self, cache: &CredentialCache) -> Result<Credential, Error> {
        let now = cache.kdc_time(SystemTime::now());
        let tgt = self.nearest_tgt(cache, &cache.principal.realm, now)?;
        if !tgt.flags.contains(TicketFlags::FORWARDABLE) {
            return Err(Error::NotForwardable { client: cache.principal.clone() });
        }
        match self.ask(&tgt, TgsOptions::forward(&tgt), cache).await {
            Ok(TgsOutcome::Ticket(credential)) => Ok(credential),
            Ok(_) => Err(Error::Referrals { from: cache.principal.realm.clone(), server: tgt.server }),
            Err(Error::Kerberos(error)) => Err(explain(error, &cache.principal, Some(&tgt.server), None)),
            Err(error) => Err(error),
        }
    }

    /// Where a realm's KDCs are: by configuration, else by DNS unless `dns_lookup_kdc` forbids it.
    ///
    /// # Errors
    /// [`Error::NoKdc`] if neither says.
    pub async fn locate(&self, realm: &str) -> Result<Vec<KdcAddress>, Error> {
        let mut kdcs = self.config.kdcs(realm);
        if kdcs.is_empty() && self.defaults(realm)?.dns_lookup_kdc {
            kdcs = discovery::kdcs(realm).await;
        }
        match kdcs.is_empty() {
            true => Err(Error::NoKdc { realm: realm.to_owned() }),
            false => Ok(kdcs),
        }
    }

    /// The ticket-granting ticket to begin with: the service's realm's own if there is one, else the client's.
    pub(crate) fn nearest_tgt(
        &self,
        cache: &CredentialCache,
        realm: &str,
        now: SystemTime,
    ) -> Result<Credential, Error> {
        let direct = cache
            .credentials()
            .filter(|c| c.server.is_krbtgt() && realm_of(c) == realm && c.client == cache.principal)
            .find(|c| c.is_current(now));
        match (direct, cache.tgt()) {
            (Some(tgt), _) => Ok(tgt.clone()),
            (None, Some(tgt)) if tgt.is_current(now) => Ok(tgt.clone()),
            (None, Some(_)) => Err(Error::TgtExpired { client: cache.principal.clone() }),
            (None, None) => {
                Err(Error::NoTgt { client: cache.principal.clone(), realm: cache.principal.realm.clone() })
            }
        }
    }

    /// Passes somebody's request to a KDC of the realm that it names, and the reply back, both unread.
    ///
    /// # Errors
    /// [`Error::NoKdc`], [`Error::KdcUnreachable`]; [`Error::Kerberos`] for what is no request to a KDC.
    pub async fn relay(&self, request: &[u8]) -> Result<Vec<u8>, Error> {
        let realm = hop_kerberos::kdc::requested_realm(request)
            .ok_or(hop_kerberos::Error::Usage("not a request to a KDC"))?;
        let defaults = self.defaults(&realm)?;
        self.send(&Request { realm, bytes: request.to_vec() }, &defaults).await
    }

    /// The encryption types to log in with.
    pub(crate) fn login_types(&self, realm: &str) -> Result<Vec<EncryptionType>, Error> {
        let defaults = self.defaults(realm)?;
        Ok(usable(&defaults, defaults.default_tkt_enctypes.as_ref()))
    }

    pub(crate) async fn ask(
        &self,
        tgt: &Credential,
        mut options: TgsOptions,
        cache: &CredentialCache,
    ) -> Result<TgsOutcome, Error> {
        let defaults = self.defaults(realm_of(tgt))?;
        options.clock_skew = defaults.clock_skew;
        options.encryption_types = usable(&defaults, defaults.default_tgs_enctypes.as_ref());
        options.deprecated_keys = names_deprecated(&defaults);
        let mut offset = cache.kdc_offset;
        let mut told_by_kdc = false;
        loop {
            let now = || offset.map_or_else(SystemTime::now, |offset| offset.apply(SystemTime::now()));
            let mut machine = TgsExchange::new(tgt, options.clone(), now(), &mut rand::rng())?;
            let request = machine.poll_transmit().ok_or(hop_kerberos::Error::Usage("nothing to send"))?;
            let reply = self.send(&request, &defaults).await?;
            // One of the clocks was set since the cache was made: once more by the KDC's, which for this request alone
            // is taken at its word.
            let told = KdcError::parse(&reply).ok().filter(|error| {
                error.code == ErrorCode::KRB_AP_ERR_SKEW && defaults.kdc_timesync && !told_by_kdc
            });
            match told {
                Some(error) => {
                    offset = Some(KdcOffset::between(SystemTime::now(), error.server_time));
                    told_by_kdc = true;
                }
                None => return Ok(machine.handle_reply(&reply, now())?),
            }
        }
    }

    pub(crate) async fn send(&self, request: &Request, defaults: &LibDefaults) -> Result<Vec<u8>, Error> {
        let kdcs = self.locate(&request.realm).await?;
        let anchors = self.config.values(&["realms", &request.realm, "http_anchors"]);
        let anchors: Vec<String> = anchors.into_iter().map(str::to_owned).collect();
        let limit = defaults.udp_preference_limit;
        exchange(&request.realm, &kdcs, &request.bytes, limit, &anchors, self.timing).await
    }

    pub(crate) fn defaults(&self, realm: &str) -> Result<LibDefaults, Error> {
        self.config
            .defaults(Some(realm))
            .map_err(|source: ConfigError| Error::Config { path: "krb5.conf".into(), source })
    }
}

/// The realm whose ticket-granting service a ticket is for.
pub(crate) fn realm_of(tgt: &Credential) -> &str {
    tgt.server.components.get(1).map_or("", String::as_str)
}

/// The encryption types to ask for: those of the one list that the other permits, as far as they are implemented.
fn usable(defaults: &LibDefaults, wanted: Option<&Vec<EncryptionType>>) -> Vec<EncryptionType> {
    let permitted = defaults.permitted_enctypes.as_ref();
    let mut types = wanted.or(permitted).cloned().unwrap_or_else(|| DEFAULT_ENCRYPTION_TYPES.to_vec());
    types.retain(|etype| etype.is_supported() && permitted.is_none_or(|list| list.contains(etype)));
    types
}

/// Whether configuration asks for a deprecated encryption type anywhere.
fn names_deprecated(defaults: &LibDefaults) -> bool {
    [&defaults.permitted_enctypes, &defaults.default_tkt_enctypes, &defaults.default_tgs_enctypes]
        .into_iter()
        .flatten()
        .flatten()
        .any(|etype| etype.is_deprecated())
}

/// A client's newest keys.
fn keys_of(keytab: &Keytab, client: &Principal) -> Result<Vec<EncryptionKey>, Error> {
    let newest = keytab.of(client).map(|entry| entry.kvno).max();
    let keys: Vec<EncryptionKey> = keytab
        .of(client)
        .filter(|entry| Some(entry.kvno) == newest && entry.key.etype.is_supported())
        .map(|entry| entry.key.clone())
        .collect();
    match keys.is_empty() {
        true => Err(Error::NoKey { principal: client.clone() }),
        false => Ok(keys),
    }
}

/// What an error of the protocol means for who asked.
pub(crate) fn explain(
    error: hop_kerberos::Error,
    client: &Principal,
    server: Option<&Principal>,
    proof: Option<Proof<'_>>,
) -> Error {
    use hop_kerberos::Error as Kerberos;
    let client = || client.clone();
    let wrong_proof = || match proof {
        Some(Proof::Keytab(_)) => Error::WrongKey { client: client() },
        _ => Error::WrongPassword { client: client() },
    };
    match (&error, proof, server) {
        (Kerberos::ClockSkew { skew, .. }, ..) => {
            Error::Skew { realm: client().realm, difference: Some(*skew) }
        }
        (Kerberos::Integrity(_), Some(_), _) => wrong_proof(),
        // A KDC that has no key of a type we asked for offers nothing but its FAST and its cookie.
        (Kerberos::PreauthUnsupported(offered), ..) if offered.iter().all(|t| matches!(t, 133 | 136)) => {
            Error::Kerberos(Kerberos::NoCommonEncryptionType(Vec::new()))
        }
        (Kerberos::Kdc(kdc), ..) => match (kdc.code, proof, server) {
            (ErrorCode::KRB_AP_ERR_SKEW, ..) => Error::Skew { realm: client().realm, difference: None },
            (ErrorCode::KDC_ERR_PREAUTH_FAILED, Some(_), _) => wrong_proof(),
            (ErrorCode::KDC_ERR_C_PRINCIPAL_UNKNOWN, ..) => Error::UnknownClient { client: client() },
            (
                ErrorCode::KDC_ERR_KEY_EXPIRED
                | ErrorCode::KDC_ERR_CLIENT_REVOKED
                | ErrorCode::KDC_ERR_NAME_EXP
                | ErrorCode::KDC_ERR_POLICY,
                ..,
            ) => account(kdc, client()).unwrap_or_else(|| Error::Kerberos(error.clone())),
            (ErrorCode::KDC_ERR_S_PRINCIPAL_UNKNOWN, _, Some(server)) => {
                Error::UnknownServer { server: server.clone() }
            }
            (ErrorCode::KRB_AP_ERR_TKT_EXPIRED, _, Some(_)) => Error::TgtExpired { client: client() },
            _ => Error::Kerberos(error),
        },
        _ => Error::Kerberos(error),
    }
}

fn apart(a: SystemTime, b: SystemTime) -> Duration {
    a.duration_since(b).unwrap_or_else(|negative| negative.duration())
}

/// Why the client's account is of no use.
fn account(kdc: &KdcError, client: Principal) -> Option<Error> {
    Some(match (kdc.nt_status().map(NtStatus), kdc.code) {
        (Some(NtStatus::PASSWORD_MUST_CHANGE), _) => Error::PasswordMustChange { client },
        (Some(NtStatus::PASSWORD_EXPIRED), _) => Error::PasswordExpired { client },
        (Some(NtStatus::ACCOUNT_LOCKED_OUT), _) => Error::AccountLocked { client },
        (Some(NtStatus::ACCOUNT_DISABLED), _) => Error::AccountDisabled { client },
        (Some(NtStatus::ACCOUNT_EXPIRED), _) => Error::AccountExpired { client },
        (Some(NtStatus::INVALID_LOGON_HOURS), _) => Error::AccountRestricted { client, hours: true },
        (Some(NtStatus::INVALID_WORKSTATION), _) => Error::AccountRestricted { client, hours: false },
        (_, ErrorCode::KDC_ERR_KEY_EXPIRED) => Error::PasswordExpired { client },
        (_, ErrorCode::KDC_ERR_CLIENT_REVOKED | ErrorCode::KDC_ERR_NAME_EXP) => {
            Error::ClientRevoked { client }
        }
        _ => return None,
    })
}
