use hop_secret::Secret;
use rc4::{Rc4, StreamCipher as _};
use std::fmt;
use subtle::ConstantTimeEq as _;

use super::{
    NtlmError,
    crypto::{Way, hmac_md5, rc4, seal_key, sign_key},
};

/// The length of a signature in bytes.
const SIGNATURE: usize = 16;

/// An established NTLM session: signing and sealing with extended session security and key exchange
/// ([MS-NLMP] 3.4).
///
/// Messages must be opened in the order in which they were made; a forged one ends the session.
pub struct Context {
    outgoing: Direction,
    incoming: Direction,
}

struct Direction {
    sign_key: Secret<[u8; 16]>,
    seal_key: Secret<[u8; 16]>,
    stream: Rc4,
    sequence: u32,
    /// The key stream's place was lost with a forged message.
    broken: bool,
}

impl Context {
    pub(super) fn client(exported: &Secret<[u8; 16]>) -> Self {
        Self {
            outgoing: Direction::new(exported, Way::ToServer),
            incoming: Direction::new(exported, Way::ToClient),
        }
    }

    pub(super) fn server(exported: &Secret<[u8; 16]>) -> Self {
        Self {
            outgoing: Direction::new(exported, Way::ToClient),
            incoming: Direction::new(exported, Way::ToServer),
        }
    }

    /// Seals a message: its signature of 16 bytes, and the ciphertext.
    pub fn seal(&mut self, message: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let mut ciphertext = message.to_vec();
        self.outgoing.stream.apply_keystream(&mut ciphertext);
        (self.outgoing.sign(message).to_vec(), ciphertext)
    }

    /// Opens what the peer's [`seal`](Self::seal) made.
    pub fn unseal(&mut self, signature: &[u8], ciphertext: &[u8]) -> Result<Vec<u8>, NtlmError> {
        let mut message = ciphertext.to_vec();
        self.incoming.expect(signature)?;
        self.incoming.stream.apply_keystream(&mut message);
        self.incoming.check(&message, signature)?;
        Ok(message)
    }

    /// The signature of a message that travels in the clear.
    pub fn sign(&mut self, message: &[u8]) -> Vec<u8> {
        self.outgoing.sign(message).to_vec()
    }

    /// Checks the peer's signature.
    pub fn verify(&mut self, message: &[u8], signature: &[u8]) -> Result<(), NtlmError> {
        self.incoming.expect(signature)?;
        self.incoming.check(message, signature)
    }

    /// Starts the outgoing key stream anew, which SPNEGO does after each mechListMIC; numbers go on.
    pub fn restart_outgoing(&mut self) {
        self.outgoing.restart();
    }

    /// Starts the incoming key stream anew.
    pub fn restart_incoming(&mut self) {
        self.incoming.restart();
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ntlm::Context")
            .field("sent", &self.outgoing.sequence)
            .field("received", &self.incoming.sequence)
            .finish_non_exhaustive()
    }
}

impl Direction {
    fn new(exported: &Secret<[u8; 16]>, way: Way) -> Self {
        let seal_key = seal_key(exported, way);
        let stream = rc4(seal_key.expose());
        Self { sign_key: sign_key(exported, way), seal_key, stream, sequence: 0, broken: false }
    }

    fn restart(&mut self) {
        self.stream = rc4(self.seal_key.expose());
    }

    /// The number of a signature must be the one that is due.
    fn expect(&self, signature: &[u8]) -> Result<(), NtlmError> {
        if self.broken {
            return Err(NtlmError::Integrity);
        }
        let signature: &[u8; SIGNATURE] =
            signature.try_into().map_err(|_| NtlmError::Malformed("a signature has 16 bytes"))?;
        let (version, rest) = signature.split_at(4);
        if version != [1, 0, 0, 0] {
            return Err(NtlmError::Malformed("a signature's version is 1"));
        }
        let got = rest.last_chunk().map(|bytes| u32::from_le_bytes(*bytes)).unwrap_or_default();
        if got == self.sequence {
            Ok(())
        } else {
            Err(NtlmError::OutOfSequence { expected: self.sequence, got })
        }
    }

    /// The MAC of [MS-NLMP] 3.4.4.2, which takes eight bytes of the key stream.
    fn sign(&mut self, message: &[u8]) -> [u8; SIGNATURE] {
        let number = self.sequence.to_le_bytes();
        let [a, b, c, d, e, f, g, h, ..] = hmac_md5(self.sign_key.expose(), &[&number, message]);
        let mut checksum = [a, b, c, d, e, f, g, h];
        self.stream.apply_keystream(&mut checksum);
        self.sequence = self.sequence.wrapping_add(1);
        let mut signature = [0; SIGNATURE];
        signature
            .iter_mut()
            .zip([1, 0, 0, 0].into_iter().chain(checksum).chain(number))
            .for_each(|(to, from)| *to = from);
        signature
    }

    fn check(&mut self, message: &[u8], signature: &[u8]) -> Result<(), NtlmError> {
        let expected = self.sign(message);
        if bool::from(expected.as_slice().ct_eq(signature)) {
            Ok(())
        } else {
            self.broken = true;
            Err(NtlmError::Integrity)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (Context, Context) {
        let key = Secret::new([0x55; 16]);
        (Context::client(&key), Context::server(&key))
    }

    /// [MS-NLMP] 4.2.4.4.
    #[test]
    fn the_specifications_sealed_message() {
        let (mut client, mut server) = pair();
        let message: Vec<u8> = "Plaintext".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let (signature, ciphertext) = client.seal(&message);
        assert_eq!(
            ciphertext,
            [
                0x54, 0xe5, 0x01, 0x65, 0xbf, 0x19, 0x36, 0xdc, 0x99, 0x60, 0x20, 0xc1, 0x81, 0x1b, 0x0f,
                0x06, 0xfb, 0x5f
            ]
        );
        assert_eq!(signature, [1, 0, 0, 0, 0x7f, 0xb3, 0x8e, 0xc5, 0xc5, 0x5d, 0x49, 0x76, 0, 0, 0, 0]);
        assert_eq!(server.unseal(&signature, &ciphertext).unwrap(), message);
    }

    #[test]
    fn repeated_lost_and_forged_messages() {
        let (mut client, mut server) = pair();
        let first = client.seal(b"one");
        server.unseal(&first.0, &first.1).unwrap();
        assert_eq!(
            server.unseal(&first.0, &first.1),
            Err(NtlmError::OutOfSequence { expected: 1, got: 0 }),
            "a repeated message"
        );
        let second = client.seal(b"two");
        let third = client.seal(b"three");
        assert_eq!(server.unseal(&third.0, &third.1), Err(NtlmError::OutOfSequence { expected: 1, got: 2 }));
        assert_eq!(
            server.unseal(&second.0, &second.1).unwrap(),
            b"two",
            "what was refused by number costs nothing"
        );
        assert!(server.unseal(&third.0[..15], &third.1).is_err());
        let mut altered = third.1.clone();
        altered[0] ^= 1;
        assert_eq!(server.unseal(&third.0, &altered), Err(NtlmError::Integrity));
        assert_eq!(server.unseal(&third.0, &third.1), Err(NtlmError::Integrity), "the session is over");
    }

    #[test]
    fn key_streams_start_anew_apart_from_the_numbers() {
        let (mut client, mut server) = pair();
        let mic = client.sign(b"list");
        client.restart_outgoing();
        server.verify(b"list", &mic).unwrap();
        server.restart_incoming();
        let (signature, ciphertext) = client.seal(b"body");
        assert_eq!(signature.last_chunk(), Some(&1u32.to_le_bytes()));
        assert_eq!(server.unseal(&signature, &ciphertext).unwrap(), b"body");
        let (signature, ciphertext) = server.seal(b"answer");
        assert_eq!(client.unseal(&signature, &ciphertext).unwrap(), b"answer");
        // Without the restart the streams are apart.
        let (mut client, mut server) = pair();
        let mic = client.sign(b"list");
        client.restart_outgoing();
        server.verify(b"list", &mic).unwrap();
        let (signature, ciphertext) = client.seal(b"body");
        assert_eq!(server.unseal(&signature, &ciphertext), Err(NtlmError::Integrity));
    }
}
