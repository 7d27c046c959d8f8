//! Passwords from a file or from who sits at the terminal.

use std::error::Error;
use std::path::Path;

use hop_secret::SecretString;

/// The password of a user: the file's first line, or what is typed.
///
/// # Errors
/// A file that cannot be read, or no terminal to ask at.
pub fn read(file: Option<&Path>, user: &str) -> Result<SecretString, Box<dyn Error>> {
    let Some(path) = file else {
        return Ok(SecretString::new(rpassword::prompt_password(format!("Password for {user}: "))?));
    };
    let mut text = std::fs::read_to_string(path)
        .map_err(|e| format!("cannot read the password file {}: {e}", path.display()))?;
    text.truncate(text.find(['\r', '\n']).unwrap_or(text.len()));
    Ok(SecretString::new(text))
}
