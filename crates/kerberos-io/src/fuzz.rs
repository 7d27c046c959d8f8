//! Fuzz targets: what daemons and keyrings hand us, decoded and where that works encoded again.

use hop_kerberos::ccache::{decode_credential, decode_principal, encode_credential, encode_principal};

use crate::ccache::kcm::Answer;
use crate::ccache::keyring::{decode_offset, decode_primary, encode_offset, encode_primary};

/// Every reading of a KCM daemon's answer.
pub fn fuzz_kcm_answer(data: &[u8]) {
    let Ok(answer) = Answer::parse(data) else { return };
    let _ = (answer.name(), answer.uuids(), answer.offset(), answer.principal(), answer.credential());
    if let Ok(credentials) = answer.credentials() {
        for credential in credentials {
            let bytes = encode_credential(&credential);
            assert_eq!(bytes.and_then(|bytes| decode_credential(&bytes)), Ok(credential));
        }
    }
}

/// Every payload of a key in a cache's keyring.
pub fn fuzz_keyring_payload(data: &[u8]) {
    if let Some(name) = decode_primary(data) {
        assert_eq!(encode_primary(&name), data);
    }
    if let Some(offset) = decode_offset(data) {
        assert_eq!(encode_offset(offset), data);
    }
    if let Ok(principal) = decode_principal(data) {
        assert_eq!(encode_principal(&principal).as_deref(), Ok(data));
    }
    if let Ok(credential) = decode_credential(data) {
        let bytes = encode_credential(&credential);
        assert_eq!(bytes.and_then(|bytes| decode_credential(&bytes)), Ok(credential));
    }
}
