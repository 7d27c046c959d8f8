//! Options that say where the domain is, for machines whose krb5.conf does not.

use hop_kerberos_io::Environment;

/// Where the domain is.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Domain {
    /// A KDC of the realm, in place of those krb5.conf names: HOST[:PORT], or https://HOST/KdcProxy through a KDC
    /// proxy; may be repeated
    #[arg(long = "kdc", value_name = "HOST")]
    pub kdcs: Vec<String>,
    /// The realm of names that say none [default: krb5.conf's default_realm]
    #[arg(long, value_name = "REALM")]
    pub realm: Option<String>,
}

impl Domain {
    /// The process's environment with these options over it. KDCs without a realm are those of the user's own, if
    /// the name says it: `USER@REALM`.
    pub fn environment(&self, user: Option<&str>) -> Environment {
        let environment = Environment::from_process();
        let named = user
            .and_then(|user| user.rsplit_once('@'))
            .map(|(_, realm)| realm.to_owned())
            .filter(|realm| !self.kdcs.is_empty() && !realm.is_empty());
        Environment { realm: self.realm.clone().or(named), kdcs: self.kdcs.clone(), ..environment }
    }
}
