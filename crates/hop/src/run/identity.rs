//! Whom to be: the credential cache, a password or a keytab.

use std::error::Error;

use hop_client::kerberos::{Identity, Source};
use hop_secret::SecretString;

use super::Arguments;

/// The identity that the options name. A password is proved to the KDC here, before any host is contacted.
pub async fn of(arguments: &Arguments) -> Result<Identity, Box<dyn Error>> {
    let source = match (&arguments.user, &arguments.keytab) {
        (Some(user), Some(path)) => Source::Keytab { principal: user.clone(), path: path.clone() },
        (Some(user), None) => {
            Source::Password { principal: user.clone(), password: password(arguments, user)? }
        }
        (None, _) => Source::DefaultCache,
    };
    let asks_kdc = !matches!(source, Source::DefaultCache);
    let identity = Identity::new(source)?;
    if asks_kdc {
        identity.principal().await?;
    }
    Ok(identity)
}

fn password(arguments: &Arguments, user: &str) -> Result<SecretString, Box<dyn Error>> {
    let Some(path) = &arguments.password_file else {
        return Ok(SecretString::new(rpassword::prompt_password(format!("Password for {user}: "))?));
    };
    let mut text = std::fs::read_to_string(path)
        .map_err(|e| format!("cannot read the password file {}: {e}", path.display()))?;
    text.truncate(text.trim_end_matches(['\r', '\n']).len());
    Ok(SecretString::new(text))
}
