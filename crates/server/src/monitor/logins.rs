//! Who came without a Kerberos ticket: NTLM proofs, passwords and certificates, and whose they are.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use hop_auth::ntlm::{NtlmError, Question, SessionBaseKey};
use hop_auth::{UserName, user_principal_name};
use hop_kerberos::Principal;
use hop_secret::SecretString;
use nix::unistd::User;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use sha2::{Digest as _, Sha256};

use super::ServerError;
use super::certificate::read_certificates;
use super::local_users::LocalUsers;
use super::winbind::Winbind;
use crate::certificate_map::CertificateRule;
use crate::client_certificate;
use crate::config::ServerConfig;
use crate::ipc::NtlmNames;

/// Challenges that may be out at a time; the oldest is forgotten for a new one.
const MAX_CHALLENGES: usize = 65_536;
/// Largest certificates of authorities together, in bytes: few, whose certificates log users in.
const MAX_AUTHORITIES: usize = 96 * 1024;
/// Where Samba's program is, unless the configuration says otherwise.
const NTLM_AUTH: &str = "/usr/bin/ntlm_auth";

/// Everything that proves an identity without Kerberos.
pub(crate) struct Logins {
    names: NtlmNames,
    realm: String,
    ntlm: bool,
    basic: bool,
    users: LocalUsers,
    challenges: VecDeque<[u8; 8]>,
    pub winbind: Option<Winbind>,
    certificates: Option<Certificates>,
}

struct Certificates {
    authorities: Vec<Vec<u8>>,
    verifier: Arc<dyn ClientCertVerifier>,
    rules: Vec<CertificateRule>,
}

/// What becomes of a proof or a password.
pub(crate) enum Verdict<T> {
    /// It is this principal's.
    Known(Principal, T),
    /// Somebody else has to be asked.
    Ask,
}

impl Logins {
    pub fn open(config: &ServerConfig, names: NtlmNames, realm: &str) -> Result<Self, ServerError> {
        let auth = &config.auth;
        let winbind = match auth.ntlm_auth.as_deref() {
            Some("") => None,
            Some(program) => Some(program.to_owned()),
            None => std::path::Path::new(NTLM_AUTH).exists().then(|| NTLM_AUTH.to_owned()),
        };
        let certificates = match (&config.client_ca, auth.certificate) {
            (Some(path), true) => {
                let failed = |problem: String| ServerError::Certificate { path: path.clone(), problem };
                let authorities = read_certificates(path).map_err(failed)?;
                if authorities.iter().map(Vec::len).sum::<usize>() > MAX_AUTHORITIES {
                    return Err(failed(format!("has more than {MAX_AUTHORITIES} bytes of certificates")));
                }
                let verifier =
                    client_certificate::verifier(&authorities).map_err(|e| failed(e.to_string()))?;
                Some(Certificates { authorities, verifier, rules: config.certificate_map.clone() })
            }
            _ => None,
        };
        Ok(Self {
            names,
            realm: realm.to_owned(),
            ntlm: auth.ntlm,
            basic: auth.basic,
            users: LocalUsers::new(auth.users_path()),
            challenges: VecDeque::new(),
            winbind: winbind.filter(|_| auth.ntlm).map(Winbind::new),
            certificates,
        })
    }

    /// Authorities whose certificates log users in.
    pub fn client_authorities(&self) -> Vec<Vec<u8>> {
        self.certificates.as_ref().map(|c| c.authorities.clone()).unwrap_or_default()
    }

    /// A new challenge for NTLM.
    pub fn challenge(&mut self) -> [u8; 8] {
        let challenge: [u8; 8] = rand::random();
        if self.challenges.len() >= MAX_CHALLENGES {
            self.challenges.pop_front();
        }
        self.challenges.push_back(challenge);
        challenge
    }

    /// Checks an NTLM proof as far as this host can: of its own users.
    ///
    /// # Errors
    /// NTLM is off, the challenge is not one that is out, or the proof is wrong.
    pub fn prove(&mut self, question: &Question) -> Result<Verdict<SessionBaseKey>, NtlmError> {
        let out = self.challenges.iter().position(|c| *c == question.server_challenge);
        let Some(at) = out.filter(|_| self.ntlm) else {
            return Err(NtlmError::Verifier("no such challenge was given".to_owned()));
        };
        // One challenge, one proof: nothing that was heard on the way can be used again.
        self.challenges.remove(at);
        match self.local_user(&question.name, self.winbind.is_none()) {
            Some(user) => {
                let key = self.users.prove(&user, question)?;
                Ok(Verdict::Known(self.local_principal(&user), key))
            }
            // A member's winbind knows accounts of this host, too; they are not the file's.
            None if self.winbind.is_some() && !self.is_this_host(&question.name.domain) => Ok(Verdict::Ask),
            None => Err(NtlmError::WrongCredentials),
        }
    }

    /// Has the domain check the proof.
    ///
    /// # Errors
    /// It cannot be asked.
    pub fn ask_domain(
        &mut self,
        job: u64,
        question: &Question,
        peer: &str,
        now: Instant,
    ) -> Result<(), NtlmError> {
        match &mut self.winbind {
            Some(winbind) => winbind.ask(job, question, peer, now),
            None => Err(NtlmError::WrongCredentials),
        }
    }

    /// Checks a password as far as this host can; [`Verdict::Ask`] means that the realm is to be asked.
    ///
    /// # Errors
    /// The password is wrong, or passwords are not taken.
    pub fn password(&mut self, name: &UserName, password: &SecretString) -> Result<Verdict<()>, String> {
        if !self.basic {
            return Err("Basic is not allowed".to_owned());
        }
        match self.local_user(name, self.realm.is_empty()) {
            Some(user) if self.users.has_password(&user, password) => {
                Ok(Verdict::Known(self.local_principal(&user), ()))
            }
            Some(_) => Err("wrong password".to_owned()),
            None if self.realm.is_empty() => Err("no such user".to_owned()),
            None => Ok(Verdict::Ask),
        }
    }

    /// Whether this is the password of a user of this host.
    pub fn is_local_password(&mut self, principal: &Principal, password: &SecretString) -> bool {
        let user = principal.components.join("/");
        self.is_local(principal)
            && self.users.find(&user).is_some_and(|user| self.users.has_password(&user, password))
    }

    /// A principal of this host's own file.
    pub fn is_local(&self, principal: &Principal) -> bool {
        principal.realm == self.names.computer
    }

    /// How users are named to the realm's KDC.
    pub fn kdc_name(&self, name: &UserName) -> String {
        match (name.domain.as_str(), name.user.contains('@')) {
            ("", true) => name.user.clone(),
            ("", false) => format!("{}@{}", name.user, self.realm),
            (domain, _) if self.is_own_domain(domain) => format!("{}@{}", name.user, self.realm),
            _ => name.to_string(),
        }
    }

    /// The principal of a user whose proof the domain found good.
    ///
    /// # Errors
    /// It cannot be told which account it is.
    pub fn domain_principal(&self, name: &UserName) -> Result<Principal, String> {
        // The name service knows the account's own name, whatever was typed.
        let typed = name.to_string();
        let known = User::from_name(&typed).ok().flatten().map(|user| user.name);
        let (domain, user) = match (known, name.user.contains('@')) {
            (Some(account), _) => match account.split_once('\\') {
                Some((domain, user)) => (domain.to_owned(), user.to_owned()),
                None => (name.domain.clone(), account),
            },
            (None, false) if name.domain.is_empty() => {
                return self.domain_principal(&UserName {
                    domain: self.names.domain.clone(),
                    user: name.user.clone(),
                });
            }
            (None, true) => {
                return Err(format!("the name service does not know which account {typed} is"));
            }
            (None, false) => (name.domain.clone(), name.user.clone()),
        };
        let own = domain.is_empty() || self.is_own_domain(&domain);
        let realm = if own { self.realm.clone() } else { domain.to_uppercase() };
        if realm.is_empty() || user.is_empty() {
            return Err(format!("no realm is configured for {typed}"));
        }
        Ok(Principal::new(realm, &[&user]))
    }

    /// Whom a certificate stands for.
    ///
    /// # Errors
    /// It does not verify, or no line of the configuration is about it.
    pub fn certificate(&self, chain: &[Vec<u8>], now: SystemTime) -> Result<Principal, String> {
        let certificates = self.certificates.as_ref().ok_or("certificates are not allowed")?;
        let (own, above) = chain.split_first().ok_or("no certificate")?;
        let der = CertificateDer::from(own.as_slice());
        let above: Vec<_> = above.iter().map(|der| CertificateDer::from(der.as_slice())).collect();
        let since = now.duration_since(SystemTime::UNIX_EPOCH).map_err(|e| e.to_string())?;
        certificates
            .verifier
            .verify_client_cert(&der, &above, UnixTime::since_unix_epoch(since))
            .map_err(|e| e.to_string())?;
        let name = user_principal_name(own).map_err(|e| e.to_string())?;
        let print: [u8; 32] = Sha256::digest(own).into();
        certificates.rules.iter().find_map(|rule| rule.principal_of(&print, name.as_deref())).ok_or_else(
            || {
                format!(
                    "no certificate_map line is about the certificate of {}",
                    name.as_deref().unwrap_or("somebody without a user principal name")
                )
            },
        )
    }

    fn is_this_host(&self, domain: &str) -> bool {
        domain == "." || domain.eq_ignore_ascii_case(&self.names.computer)
    }

    fn is_own_domain(&self, domain: &str) -> bool {
        !self.realm.is_empty()
            && (domain.eq_ignore_ascii_case(&self.names.domain) || domain.eq_ignore_ascii_case(&self.realm))
    }

    /// The user of this host's file that a name means. Where there is no domain to ask, every domain means this host,
    /// as Windows has it.
    fn local_user(&mut self, name: &UserName, alone: bool) -> Option<String> {
        let domain = name.domain.as_str();
        let here = domain.is_empty() || self.is_this_host(domain);
        let alone = alone && !self.is_own_domain(domain);
        if here || alone { self.users.find(&name.user) } else { None }
    }

    fn local_principal(&self, user: &str) -> Principal {
        Principal::new(self.names.computer.clone(), &[user])
    }
}
