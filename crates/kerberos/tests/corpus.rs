//! The fuzzing entry points on their corpora and on what mutation makes of them.
#![allow(clippy::unwrap_used, reason = "tests may panic")]

use std::path::PathBuf;

use hop_kerberos::fuzz;

fn run(name: &str, entry: fn(&[u8])) {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(name);
    let mut files = 0;
    for file in std::fs::read_dir(directory).unwrap() {
        let data = std::fs::read(file.unwrap().path()).unwrap();
        files += 1;
        entry(&data);
        for cut in 0..data.len().min(300) {
            entry(&data[..cut]);
            entry(&data[cut..]);
        }
        for position in 0..data.len().min(600) {
            for change in [0x01, 0x20, 0x80, 0xff] {
                let mut altered = data.clone();
                altered[position] ^= change;
                entry(&altered);
            }
        }
    }
    assert!(files > 0, "no corpus for {name}");
}

#[test]
fn message() {
    run("message", fuzz::fuzz_message);
}

#[test]
fn principal() {
    run("principal", fuzz::fuzz_principal);
}

#[test]
fn gss_token() {
    run("gss_token", fuzz::fuzz_gss_token);
}

#[test]
fn gss_checksum() {
    run("gss_checksum", fuzz::fuzz_gss_checksum);
}

#[test]
fn ccache() {
    run("ccache", fuzz::fuzz_ccache);
}

#[test]
fn keytab() {
    run("keytab", fuzz::fuzz_keytab);
}

#[test]
fn krb5_conf() {
    run("krb5_conf", fuzz::fuzz_krb5_conf);
}

#[test]
fn kdc_request() {
    run("kdc_request", fuzz::fuzz_kdc_request);
}

#[test]
fn pac() {
    run("pac", fuzz::fuzz_pac);
}

#[test]
fn s4u_padata() {
    run("s4u_padata", fuzz::fuzz_s4u_padata);
}

#[test]
fn transited() {
    run("transited", fuzz::fuzz_transited);
}
