//! Errors as a person reads them: what happened, why, and what to do about it.

use std::error::Error;
use std::process::ExitCode;
use std::time::SystemTime;

use hop_auth::Error as AuthError;
use hop_auth::http::Scheme;
use hop_client::kerberos::IdentityError;
use hop_client::memory::Memory;
use hop_client::proxy::ProxyError;
use hop_client::{Connection, Error as ClientError};
use hop_delegation::credssp::{Refusal, RefusalKind};
use hop_delegation::{Mode, Names};
use hop_kerberos::PrincipalError;
use hop_kerberos_io::Error as KerberosError;

/// Prints the error with its causes and any advice; gives the exit code back.
#[expect(clippy::print_stderr, reason = "this is where errors are shown")]
pub fn fail(code: u8, error: &(dyn Error + 'static)) -> ExitCode {
    eprintln!("hop: {}", text(error));
    ExitCode::from(code)
}

/// The error and its causes on one line, then advice on lines of its own.
pub fn text(error: &(dyn Error + 'static)) -> String {
    let client = error.downcast_ref::<ClientError>();
    if let Some((client, refusal)) = client.and_then(|client| Some((client, client.refusal()?))) {
        return refused(client, refusal);
    }
    let mut text = chain(error);
    for line in advice(error) {
        text.push_str("\n  ");
        text.push_str(&line);
    }
    text
}

/// WinRM's code and words, what was tried before, and the remedies.
fn refused(error: &ClientError, refusal: &Refusal) -> String {
    let mut text = format!("{refusal} (error {0}, {0:#010X})", refusal.code());
    if let ClientError::Policy { before: Some(before), .. } = error.root() {
        text.push_str("\n  Kerberos was tried first: ");
        text.push_str(&self::text(before.as_ref()).replace('\n', "\n  "));
    }
    let kept = match refusal.kind() {
        RefusalKind::NtlmOnly => "The password was not sent.",
        _ => "Nothing was sent.",
    };
    text.push_str("\n  ");
    text.push_str(kept);
    text.push_str(" What would help:\n");
    for line in refusal.advice().lines() {
        text.push_str("  ");
        text.push_str(line);
        text.push('\n');
    }
    text.trim_end().to_owned()
}

/// The error and those causes that it does not repeat already.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let more = cause.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        next = cause.source();
    }
    text
}

/// What to say before the session starts when the user insisted on forwarding and does not get it.
pub fn disappointment(connection: &Connection, mode: Option<Mode>) -> Option<String> {
    let mode = mode.or(connection.target().delegation).unwrap_or_default();
    let decision = connection.delegation().get().filter(|decision| decision.disappoints(mode))?;
    let names = Names { host: connection.target().host_name.clone(), user: "your account".to_owned() };
    decision.reason().map(|reason| format!("your ticket was not forwarded: {}", reason.sentence(&names)))
}

/// What to say when NTLM took Kerberos's place with a host that once proved itself by Kerberos.
pub fn lost_proof(connection: &Connection, memory: &Memory) -> Option<String> {
    let host = &connection.target().host_name;
    let seen = memory.notice(host, connection.proven_by()?, SystemTime::now())?;
    let day = jiff::Timestamp::try_from(seen)
        .map_or_else(|_| String::new(), |it| format!(" on {}", it.strftime("%F")));
    Some(format!(
        "{host} proved its name by Kerberos{day}; this time it was NTLM, which proves nothing: whoever answered may not \
         be {host}. Leave out --allow-ntlm, and you will see why there is no Kerberos."
    ))
}

fn advice(error: &(dyn Error + 'static)) -> Vec<String> {
    let mut lines = Vec::new();
    match error.downcast_ref::<ClientError>().map(ClientError::root) {
        Some(ClientError::NameResolution { host, .. }) => lines.push(format!(
            "Check the name, or give {host} an address in ~/.config/hop/hosts.toml (docs/hosts.md)."
        )),
        Some(ClientError::Refused { host, port }) => lines.push(format!(
            "Is `hop serve` (or WinRM) running on {host} and listening on port {port}? Is a firewall in between?"
        )),
        Some(ClientError::Unauthorized { .. }) => {
            lines.push("The server's log says why it refused. Common causes: the keytab is older than the account's \
                        password, or your principal maps to no local user (docs/serve.md).".to_owned());
        }
        Some(ClientError::Authentication { host, source }) if offers_no_credssp(source.as_ref()) => {
            lines.push(format!(
                "{host} takes no passwords. If it is to: `hop credssp enable --role server` there, or \
                 `Enable-WSManCredSSP -Role Server` on Windows (docs/credssp.md)."
            ));
        }
        Some(ClientError::ProxyNeedsHttps { .. }) => lines.push(
            "Say --https (the host must listen for HTTPS: docs/proxies.md), or reach the host without proxy: --proxy none."
                .into(),
        ),
        Some(ClientError::Proxy { source, .. }) => lines.extend(about_proxies(source).map(Into::into)),
        Some(ClientError::Tls { .. }) if chain(error).contains("certificate") => lines.push(
            "Trust its authority with --ca FILE, or the one certificate with --pin SHA256 (`openssl x509 -fingerprint \
             -sha256` shows it)."
                .into(),
        ),
        _ => {}
    }
    if let Some(hop_policy::Error::NeverRead { .. }) = error.downcast_ref() {
        lines.push(
            "Until it is read nothing is sent by CredSSP or NTLM, because what it forbids is not known. Get a ticket \
             (`hop login`) and try `hop credssp refresh`, or take `domain` out of policy.toml (docs/credssp.md)."
                .to_owned(),
        );
    }
    lines.extend(kerberos(error).and_then(about_tickets));
    lines
}

fn offers_no_credssp(error: &(dyn Error + 'static)) -> bool {
    matches!(error.downcast_ref(), Some(AuthError::NotOffered { expected: Scheme::CredSsp, .. }))
}

fn about_proxies(error: &ProxyError) -> Option<&'static str> {
    Some(match error {
        ProxyError::NameResolution(_) | ProxyError::Refused | ProxyError::Connect(_) => {
            "Check the proxy's address: --proxy, the host's entry, or HTTPS_PROXY; --no-proxy HOST goes without it."
        }
        ProxyError::Forbidden { .. } => {
            "The proxy's administrators decide which hosts and ports it opens tunnels to; many open port 443 only."
        }
        ProxyError::Unresolved { .. } => {
            "The proxy looks the name up, not this machine: use the name that the proxy knows, or say `address` in \
             ~/.config/hop/hosts.toml."
        }
        ProxyError::NoCredentials { .. } => {
            "For Negotiate get a ticket (`hop login`) and use the proxy's full name; for the others name a user: \
             --proxy http://USER@HOST:PORT."
        }
        ProxyError::Unauthorized { .. } => "Check user and password; the proxy's log says why it refused.",
        _ => return None,
    })
}

/// The error of Kerberos among the causes.
fn kerberos<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a KerberosError> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        if let Some(IdentityError::Kerberos(found)) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

fn about_tickets(error: &KerberosError) -> Option<String> {
    let text = match error {
        KerberosError::NoCcache { .. } | KerberosError::NoTgt { .. } | KerberosError::TgtExpired { .. } => {
            "Get a ticket first: `hop login USER@REALM` or `kinit -f USER@REALM`; or use --user with --password-file, or --keytab.".to_owned()
        }
        KerberosError::PasswordExpired { client } | KerberosError::PasswordMustChange { client } => format!(
            "Change it first: `kpasswd {client}`, or log on to a machine of the domain once; then try again."
        ),
        KerberosError::ClientRevoked { .. } | KerberosError::AccountLocked { .. } => {
            "Only the domain's administrators can unlock or enable it; a lock after wrong passwords may end by itself."
                .to_owned()
        }
        KerberosError::AccountDisabled { .. }
        | KerberosError::AccountExpired { .. }
        | KerberosError::AccountRestricted { .. } => "Only the domain's administrators can change that.".to_owned(),
        KerberosError::WrongKey { .. } => {
            "The password has changed since the keytab was written: write a new one.".to_owned()
        }
        KerberosError::Skew { .. } => {
            "The clocks differ by more than five minutes: synchronise them (NTP) and try again.".to_owned()
        }
        KerberosError::NoKdc { realm } => format!(
            "Name one with `--kdc HOST`, or in krb5.conf (`[realms] {realm} = {{ kdc = HOST }}`), or let DNS do it \
             (SRV records of _kerberos._udp.{realm})."
        ),
        KerberosError::KdcsWithoutRealm => "Say `--realm REALM` as well, or USER@REALM.".to_owned(),
        KerberosError::Name(PrincipalError::NoRealm(_)) => {
            "Say USER@REALM, or `--realm REALM`, or set default_realm in krb5.conf.".to_owned()
        }
        KerberosError::UnknownServer { server } => format!(
            "The domain has no such service principal: use the host's full name, or register {} for its account \
             (`setspn -S`, `samba-tool spn add`, `addprinc`).",
            server.name()
        ),
        _ => return None,
    };
    Some(text)
}
