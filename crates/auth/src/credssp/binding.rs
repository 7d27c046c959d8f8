//! `pubKeyAuth`: both ends prove, inside the authenticated context, that they see the same TLS public key
//! ([MS-CSSP] 3.1.5).

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::{CredSspError, SAFE_VERSION};

/// The public key of the connection and how it is confirmed.
#[derive(Clone, Debug)]
pub(super) struct Binding {
    public_key: Vec<u8>,
    /// From version 5 on.
    nonce: Option<[u8; 32]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    ToServer,
    ToClient,
}

impl Binding {
    /// The client's: the nonce is its own.
    pub(super) fn new(public_key: Vec<u8>, version: u32, nonce: [u8; 32]) -> Self {
        Self { public_key, nonce: (version >= SAFE_VERSION).then_some(nonce) }
    }

    /// The server's: the nonce came with the client's proof.
    pub(super) fn of_request(
        public_key: Vec<u8>,
        version: u32,
        nonce: Option<&[u8]>,
    ) -> Result<Self, CredSspError> {
        if version < SAFE_VERSION {
            return Ok(Self { public_key, nonce: None });
        }
        let nonce = nonce.and_then(|nonce| nonce.try_into().ok()).ok_or(CredSspError::Nonce)?;
        Ok(Self { public_key, nonce: Some(nonce) })
    }

    pub(super) fn nonce(&self) -> Option<&[u8; 32]> {
        self.nonce.as_ref()
    }

    /// What one end sends the other.
    pub(super) fn proof(&self, way: Way) -> Vec<u8> {
        match (&self.nonce, way) {
            (Some(nonce), way) => {
                let magic: &[u8] = match way {
                    Way::ToServer => b"CredSSP Client-To-Server Binding Hash\0",
                    Way::ToClient => b"CredSSP Server-To-Client Binding Hash\0",
                };
                let mut hash = Sha256::new();
                hash.update(magic);
                hash.update(nonce);
                hash.update(&self.public_key);
                hash.finalize().to_vec()
            }
            (None, Way::ToServer) => self.public_key.clone(),
            // Before version 5: the key itself, with one added to its first byte on the way back.
            (None, Way::ToClient) => {
                let mut key = self.public_key.clone();
                if let Some(first) = key.first_mut() {
                    *first = first.wrapping_add(1);
                }
                key
            }
        }
    }

    pub(super) fn check(&self, way: Way, proof: &[u8]) -> Result<(), CredSspError> {
        if bool::from(self.proof(way).ct_eq(proof)) { Ok(()) } else { Err(CredSspError::PublicKey) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_is_of_one_key_one_nonce_and_one_direction() {
        let ours = Binding::new(vec![1, 2, 3], 6, [7; 32]);
        let peer = Binding::of_request(vec![1, 2, 3], 6, Some(&[7; 32])).unwrap();
        ours.check(Way::ToClient, &peer.proof(Way::ToClient)).unwrap();
        peer.check(Way::ToServer, &ours.proof(Way::ToServer)).unwrap();
        for (key, nonce, way) in [
            (vec![1, 2, 4], [7; 32], Way::ToClient),
            (vec![1, 2, 3], [8; 32], Way::ToClient),
            (vec![1, 2, 3], [7; 32], Way::ToServer),
        ] {
            let other = Binding::of_request(key, 5, Some(&nonce)).unwrap();
            assert_eq!(ours.check(Way::ToClient, &other.proof(way)), Err(CredSspError::PublicKey));
        }
        assert_eq!(ours.check(Way::ToClient, &[]), Err(CredSspError::PublicKey));
        for nonce in [None, Some(&[7; 31][..])] {
            assert_eq!(Binding::of_request(vec![1], 6, nonce).unwrap_err(), CredSspError::Nonce);
        }
    }

    #[test]
    fn before_version_5_the_key_comes_back_with_one_added() {
        let old = Binding::new(vec![0xff, 2], 4, [7; 32]);
        assert_eq!(old.nonce(), None);
        assert_eq!(old.proof(Way::ToServer), [0xff, 2]);
        assert_eq!(old.proof(Way::ToClient), [0, 2]);
        assert_eq!(old.check(Way::ToClient, &[0xff, 2]), Err(CredSspError::PublicKey), "an echo is no proof");
    }
}
