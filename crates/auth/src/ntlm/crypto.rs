//! The keys of NTLMv2 and of its sessions ([MS-NLMP] 3.3.2, 3.4).

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use hop_secret::{Secret, SecretString};
use md4::{Digest as _, Md4};
use md5::Md5;
use rc4::{Rc4, StreamCipher as _};
use zeroize::Zeroizing;

/// The NT hash of a password: as good as the password itself.
#[derive(Clone, PartialEq, Eq)]
pub struct NtHash(Secret<[u8; 16]>);

impl NtHash {
    /// The hash of a password.
    pub fn of_password(password: &SecretString) -> Self {
        let text: Zeroizing<Vec<u8>> =
            Zeroizing::new(password.expose().encode_utf16().flat_map(u16::to_le_bytes).collect());
        Self(Secret::new(Md4::digest(&text).into()))
    }

    /// A known hash.
    pub fn from_bytes(hash: [u8; 16]) -> Self {
        Self(Secret::new(hash))
    }

    /// The bytes, for the file that keeps them.
    pub fn expose(&self) -> &[u8; 16] {
        self.0.expose()
    }

    /// NTOWFv2: the user's key for NTLMv2.
    pub(crate) fn v2_key(&self, user: &str, domain: &str) -> Secret<[u8; 16]> {
        let name: Vec<u8> = user
            .chars()
            .map(upcase)
            .chain(domain.chars())
            .collect::<String>()
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        Secret::new(hmac_md5(self.0.expose(), &[&name]))
    }
}

impl fmt::Debug for NtHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NtHash([redacted])")
    }
}

/// Windows turns every character into one character, so that `ß` stays what it is.
fn upcase(c: char) -> char {
    let mut upper = c.to_uppercase();
    match (upper.next(), upper.next()) {
        (Some(one), None) => one,
        _ => c,
    }
}

/// The key that a verified NTLMv2 proof yields; all else of the session follows from it and from the messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionBaseKey(Secret<[u8; 16]>);

impl SessionBaseKey {
    /// From bytes, such as winbind's `User-Session-Key`.
    pub fn from_bytes(key: [u8; 16]) -> Self {
        Self(Secret::new(key))
    }

    /// The bytes, for the way to another process.
    pub fn expose(&self) -> &[u8; 16] {
        self.0.expose()
    }
}

/// The NT proof over a client challenge structure, and the session base key.
pub(super) fn prove(
    v2_key: &Secret<[u8; 16]>,
    server_challenge: &[u8; 8],
    blob: &[u8],
) -> ([u8; 16], SessionBaseKey) {
    let proof = hmac_md5(v2_key.expose(), &[server_challenge, blob]);
    let base = SessionBaseKey(Secret::new(hmac_md5(v2_key.expose(), &[&proof])));
    (proof, base)
}

/// Encrypts or decrypts the exported session key (RC4K).
pub(super) fn exchange_key(base: &SessionBaseKey, key: &[u8; 16]) -> [u8; 16] {
    let mut out = *key;
    rc4(base.expose()).apply_keystream(&mut out);
    out
}

/// The MIC over the three messages, the last with zeros where the MIC goes ([MS-NLMP] 3.1.5.1.2).
pub(super) fn mic(exported: &Secret<[u8; 16]>, messages: [&[u8]; 3]) -> [u8; 16] {
    hmac_md5(exported.expose(), &messages)
}

/// The direction in which messages travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    ToServer,
    ToClient,
}

/// SIGNKEY with extended session security.
pub(super) fn sign_key(exported: &Secret<[u8; 16]>, way: Way) -> Secret<[u8; 16]> {
    magic_key(
        exported,
        match way {
            Way::ToServer => b"session key to client-to-server signing key magic constant\0",
            Way::ToClient => b"session key to server-to-client signing key magic constant\0",
        },
    )
}

/// SEALKEY with extended session security and 128 bits.
pub(super) fn seal_key(exported: &Secret<[u8; 16]>, way: Way) -> Secret<[u8; 16]> {
    magic_key(
        exported,
        match way {
            Way::ToServer => b"session key to client-to-server sealing key magic constant\0",
            Way::ToClient => b"session key to server-to-client sealing key magic constant\0",
        },
    )
}

fn magic_key(exported: &Secret<[u8; 16]>, magic: &[u8]) -> Secret<[u8; 16]> {
    let mut md5 = Md5::new();
    md5.update(exported.expose());
    md5.update(magic);
    Secret::new(md5.finalize().into())
}

pub(super) fn rc4(key: &[u8; 16]) -> Rc4 {
    // INVARIANT: RC4 takes keys of 1 to 256 bytes.
    #[expect(clippy::expect_used, reason = "the length is in the type")]
    Rc4::new_from_slice(key).expect("16 bytes are a key")
}

pub(super) fn hmac_md5(key: &[u8], parts: &[&[u8]]) -> [u8; 16] {
    // INVARIANT: HMAC takes keys of every length.
    #[expect(clippy::expect_used, reason = "no length is refused")]
    let mut hmac = Hmac::<Md5>::new_from_slice(key).expect("every length is a key");
    parts.iter().for_each(|part| hmac.update(part));
    hmac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    // The values of [MS-NLMP] 4.2.1 and 4.2.4.
    const CHALLENGE: [u8; 8] = [0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef];

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<char> = text.chars().filter(|c| !c.is_whitespace()).collect();
        digits
            .chunks(2)
            .map(|pair| u8::from_str_radix(&pair.iter().collect::<String>(), 16).unwrap())
            .collect()
    }

    #[test]
    fn the_specifications_example_of_version_2() {
        let hash = NtHash::of_password(&"Password".into());
        assert_eq!(hash.0.expose().to_vec(), hex("a4f49c406510bdcab6824ee7c30fd852"));
        let key = hash.v2_key("User", "Domain");
        assert_eq!(key.expose().to_vec(), hex("0c868a403bfd7a93a3001ef22ef02e3f"));

        // 4.2.4.1.3 temp: time 0, client challenge aa…, the server's AV pairs, four zeros.
        let blob = hex("01010000000000000000000000000000aaaaaaaaaaaaaaaa00000000\
             02000c0044006f006d00610069006e0001000c005300650072007600650072000000000000000000");
        let (proof, base) = prove(&key, &CHALLENGE, &blob);
        assert_eq!(proof.to_vec(), hex("68cd0ab851e51c96aabc927bebef6a1c"));
        assert_eq!(base.expose().to_vec(), hex("8de40ccadbc14a82f15cb0ad0de95ca3"));
        // 4.2.4.2.1 the LMv2 response, which we never send.
        let lm = hmac_md5(key.expose(), &[&CHALLENGE, &[0xaa; 8]]);
        assert_eq!(lm.to_vec(), hex("86c35097ac9cec102554764a57cccc19"));
        // 4.2.4.2.3 the encrypted session key.
        assert_eq!(exchange_key(&base, &[0x55; 16]).to_vec(), hex("c5dad2544fc9799094ce1ce90bc9d03e"));
        assert_eq!(exchange_key(&base, &exchange_key(&base, &[0x55; 16])), [0x55; 16]);

        // 4.2.4.4 the keys of the session.
        let exported = Secret::new([0x55; 16]);
        let seal = seal_key(&exported, Way::ToServer);
        assert_eq!(seal.expose().to_vec(), hex("59f600973cc4960a25480a7c196e4c58"));
        let sign = sign_key(&exported, Way::ToServer);
        assert_eq!(sign.expose().to_vec(), hex("4788dc861b4782f35d43fd98fe1a2d39"));
    }

    #[test]
    fn names_are_upcased_character_by_character() {
        let hash = NtHash::from_bytes([7; 16]);
        assert_eq!(hash.v2_key("groß", "d"), hash.v2_key("GROß", "d"));
        assert_ne!(hash.v2_key("groß", "d"), hash.v2_key("GROSS", "d"));
        assert_ne!(hash.v2_key("u", "d"), hash.v2_key("u", "D"), "the domain stays as it is");
        assert_eq!(hash.v2_key("žofie", ""), hash.v2_key("ŽOFIE", ""));
    }

    #[test]
    fn nothing_is_shown() {
        let shown =
            format!("{:?} {:?}", NtHash::from_bytes([0xab; 16]), SessionBaseKey::from_bytes([0xab; 16]));
        assert_eq!(shown, "NtHash([redacted]) SessionBaseKey([redacted])");
    }
}
