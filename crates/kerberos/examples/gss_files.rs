//! Writes a keytab, a credential cache with a ticket for it and a krb5.conf into a folder, for measuring another
//! GSS-API on the same work: see benches/mit_gssapi.c.
#![allow(clippy::unwrap_used, reason = "a helper of a benchmark may panic")]

#[path = "../tests/common/mod.rs"]
mod common;

use std::path::PathBuf;

use common::{REALM, World};
use hop_kerberos::EncryptionType;
use hop_kerberos::ccache::CredentialCache;

fn main() -> std::io::Result<()> {
    let folder = PathBuf::from(std::env::args_os().nth(1).unwrap_or_else(|| ".".into()));
    let world = World::new(EncryptionType::Aes256CtsHmacSha1);
    let mut cache = CredentialCache::new(world.credential.client.clone());
    cache.store(world.credential.clone());
    std::fs::write(folder.join("keytab"), world.keytab.to_bytes().unwrap())?;
    std::fs::write(folder.join("ccache"), cache.to_bytes().unwrap())?;
    let config = format!(
        "[libdefaults]\n default_realm = {REALM}\n dns_canonicalize_hostname = false\n[domain_realm]\n .test.realm = {REALM}\n"
    );
    std::fs::write(folder.join("krb5.conf"), config)
}
