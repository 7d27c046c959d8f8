//! Whom to be: the credential cache, a password or a keytab.

use std::error::Error;

use super::Arguments;
use crate::password;
use hop_client::kerberos::{Identity, Source};

/// The identity that the options name. A password is proved to the KDC here, before any host is contacted.
pub async fn of(arguments: &Arguments) -> Result<Identity, Box<dyn Error>> {
    let source = match (&arguments.user, &arguments.keytab) {
        (Some(user), Some(path)) => Source::Keytab { principal: user.clone(), path: path.clone() },
        (Some(user), None) => {
            let password = password::read(arguments.password_file.as_deref(), user)?;
            Source::Password { principal: user.clone(), password }
        }
        (None, _) => Source::DefaultCache,
    };
    let asks_kdc = !matches!(source, Source::DefaultCache);
    let identity = Identity::in_environment(arguments.domain.environment(arguments.user.as_deref()), source)?;
    if asks_kdc {
        identity.principal().await?;
    }
    Ok(identity)
}
