//! How clients may authenticate: the keys of WinRM's `Service\\Auth`, and those of this server.

use std::path::PathBuf;

use hop_kerberos::gss::BindingPolicy;
use serde::{Deserialize, Serialize};

use crate::config::ConfigError;

/// The ways of authentication. Those that show the server a password, or do not prove who the server is, are off unless
/// they are asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AuthConfig {
    /// Kerberos, alone and inside Negotiate and CredSSP; needs the keytab.
    #[serde(rename = "Kerberos")]
    pub kerberos: bool,
    /// The scheme Negotiate (SPNEGO).
    #[serde(rename = "Negotiate")]
    pub negotiate: bool,
    /// NTLM, inside Negotiate and CredSSP.
    #[serde(rename = "NTLM")]
    pub ntlm: bool,
    /// CredSSP: the client hands over its password, and the session gets a ticket for it.
    #[serde(rename = "CredSSP", skip_serializing_if = "Option::is_none")]
    pub credssp: Option<bool>,
    /// The lowest version of CredSSP that is spoken; below 5 somebody in the middle can take part (CVE-2018-0886).
    #[serde(rename = "CredSSPMinimumVersion")]
    pub credssp_minimum_version: u32,
    /// Sessions of users whom no realm knows keep the password that CredSSP brought, in memory, so that `hop` in them can
    /// go on by NTLM.
    #[serde(rename = "CredSSPKeepPassword")]
    pub credssp_keep_password: bool,
    /// Name and password, inside HTTPS.
    #[serde(rename = "Basic")]
    pub basic: bool,
    /// The client's certificate of HTTPS.
    #[serde(rename = "Certificate")]
    pub certificate: bool,
    /// What is done about channel bindings over HTTPS.
    #[serde(rename = "CbtHardeningLevel")]
    pub cbt_hardening_level: CbtHardeningLevel,
    /// Bodies without a seal over HTTP, and Basic there: everybody on the way can read and change them.
    #[serde(rename = "AllowUnencrypted")]
    pub allow_unencrypted: bool,
    /// Users of this host with the NT hashes of their passwords, managed by `hop user`. Default: `/etc/hop/users`.
    pub users: Option<PathBuf>,
    /// Samba's `ntlm_auth`, which has the domain verify NTLM. Default: `ntlm_auth` if it is installed; empty for none.
    pub ntlm_auth: Option<String>,
    /// The NetBIOS name of the domain. Default: the realm's first label.
    pub netbios_domain: Option<String>,
    /// The NetBIOS name of this host. Default: the first label of its name.
    pub netbios_name: Option<String>,
}

/// WinRM's `CbtHardeningLevel`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum CbtHardeningLevel {
    /// Bindings are not looked at.
    None,
    /// They must match if the client sent any.
    #[default]
    Relaxed,
    /// They must be there and match.
    Strict,
}

impl Default for AuthConfig {
    fn default() -> Self {
        Self {
            kerberos: true,
            negotiate: true,
            ntlm: false,
            credssp: None,
            credssp_minimum_version: hop_auth::credssp::SAFE_VERSION,
            credssp_keep_password: false,
            basic: false,
            certificate: false,
            cbt_hardening_level: CbtHardeningLevel::Relaxed,
            allow_unencrypted: false,
            users: None,
            ntlm_auth: None,
            netbios_domain: None,
            netbios_name: None,
        }
    }
}

impl AuthConfig {
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let negotiable = self.kerberos || self.ntlm;
        match self {
            _ if !(self.kerberos || self.negotiate && self.ntlm || self.basic || self.certificate) => {
                Err(ConfigError::Auth("no way of authentication is left"))
            }
            Self { credssp: Some(true), .. } if !negotiable => {
                Err(ConfigError::Auth("CredSSP = true needs Kerberos or NTLM inside"))
            }
            Self { credssp_minimum_version: version, .. }
                if !(2..=hop_auth::credssp::NEWEST_VERSION).contains(version) =>
            {
                Err(ConfigError::Auth("CredSSPMinimumVersion must be 2 to 6"))
            }
            _ => Ok(()),
        }
    }

    /// The file of local users.
    #[must_use]
    pub fn users_path(&self) -> PathBuf {
        self.users.clone().unwrap_or_else(|| PathBuf::from(crate::USERS_FILE))
    }
}

impl From<CbtHardeningLevel> for BindingPolicy {
    fn from(level: CbtHardeningLevel) -> Self {
        match level {
            CbtHardeningLevel::None => Self::None,
            CbtHardeningLevel::Relaxed => Self::Relaxed,
            CbtHardeningLevel::Strict => Self::Strict,
        }
    }
}
