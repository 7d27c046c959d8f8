//! The session key and the encryption of secure strings ([MS-PSRP] 2.2.5.1.24, 3.1.5.4.3 to 3.1.5.4.5).
//!
//! From protocol 2.4 on there is no key: secure strings travel as base64 of plain UTF-16LE text, and the transport
//! alone protects them.

use aes::cipher::block_padding::Pkcs7;
use aes::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hop_clixml::Value;
use hop_secret::{SecretBytes, SecretString};
use rand_core::CryptoRng;
use rsa::traits::PublicKeyParts as _;
use rsa::{BoxedUint, Pkcs1v15Encrypt, PrivateKey, PublicKey};

/// PUBLICKEYBLOB of an RSA key for key exchange with 2048 bits.
const PUBLIC_KEY_HEADER: [u8; 20] =
    [6, 2, 0, 0, 0, 0xA4, 0, 0, b'R', b'S', b'A', b'1', 0, 8, 0, 0, 1, 0, 1, 0];
/// SIMPLEBLOB of an AES-256 key under an RSA key for key exchange.
const SESSION_KEY_HEADER: [u8; 12] = [1, 2, 0, 0, 0x10, 0x66, 0, 0, 0, 0xA4, 0, 0];
const RSA_BYTES: usize = 256;
const SESSION_KEY_BYTES: usize = 32;

/// A key exchange or secure string that went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The peer's public key cannot be read.
    #[error("invalid public key data")]
    PublicKey,
    /// The session key cannot be read.
    #[error("invalid session key data")]
    SessionKey,
    /// A secure string cannot be decrypted.
    #[error("a secure string cannot be decrypted")]
    SecureString,
    /// A secure string has to be read or written, and there is no key.
    #[error("there is no session key for a secure string")]
    NoKey,
    /// The key pair cannot be made.
    #[error("the key pair cannot be made")]
    Generate,
}

/// How secure strings of a session travel.
#[derive(Clone, Debug, Default)]
pub enum Protection {
    /// Protocol 2.4: not encrypted.
    #[default]
    Plain,
    /// Older: encrypted with this key.
    Key(SessionKey),
    /// Older, and the key has not been exchanged.
    NoKey,
}

impl Protection {
    /// A secure string as a value.
    pub fn seal(&self, text: &SecretString) -> Result<Value, KeyError> {
        let plain: Vec<u8> = text.expose().encode_utf16().flat_map(u16::to_le_bytes).collect();
        let plain = SecretBytes::new(plain);
        let bytes = match self {
            Self::Plain => STANDARD.encode(plain.expose()),
            Self::Key(key) => STANDARD.encode(key.encrypt(&plain)),
            Self::NoKey => return Err(KeyError::NoKey),
        };
        Ok(Value::SecureString(SecretString::new(bytes)))
    }

    /// The text of a secure string.
    pub fn open(&self, sealed: &SecretString) -> Result<SecretString, KeyError> {
        let bytes = STANDARD.decode(sealed.expose().trim()).map_err(|_| KeyError::SecureString)?;
        let bytes = SecretBytes::new(bytes);
        let plain = match self {
            Self::Plain => bytes,
            Self::Key(key) => key.decrypt(&bytes)?,
            Self::NoKey => return Err(KeyError::NoKey),
        };
        let (units, rest) = plain.expose().as_chunks::<2>();
        if !rest.is_empty() {
            return Err(KeyError::SecureString);
        }
        let units = units.iter().map(|unit| u16::from_le_bytes(*unit));
        let text: Result<String, _> = char::decode_utf16(units).collect();
        text.map(SecretString::new).map_err(|_| KeyError::SecureString)
    }
}

/// The AES-256 key of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionKey(SecretBytes);

impl SessionKey {
    /// A fresh key.
    pub fn generate(rng: &mut dyn CryptoRng) -> Self {
        let mut key = vec![0; SESSION_KEY_BYTES];
        rng.fill_bytes(&mut key);
        Self(SecretBytes::new(key))
    }

    /// The value of ENCRYPTED_SESSION_KEY for a client with this PUBLIC_KEY.
    pub fn seal_for(&self, public_key: &str, rng: &mut dyn CryptoRng) -> Result<String, KeyError> {
        let key = read_public_key(public_key).ok_or(KeyError::PublicKey)?;
        let mut rng = rng;
        let sealed =
            key.encrypt(&mut rng, Pkcs1v15Encrypt, self.0.expose()).map_err(|_| KeyError::PublicKey)?;
        let mut blob = SESSION_KEY_HEADER.to_vec();
        blob.extend(sealed.iter().rev());
        blob.resize(SESSION_KEY_HEADER.len() + RSA_BYTES, 0);
        Ok(STANDARD.encode(blob))
    }

    fn encrypt(&self, plain: &SecretBytes) -> Vec<u8> {
        // The key has 32 bytes, the vector 16: this cannot fail.
        match cbc::Encryptor::<aes::Aes256>::new_from_slices(self.0.expose(), &[0; 16]) {
            Ok(cipher) => cipher.encrypt_padded_vec::<Pkcs7>(plain.expose()),
            Err(_) => Vec::new(),
        }
    }

    fn decrypt(&self, sealed: &SecretBytes) -> Result<SecretBytes, KeyError> {
        let cipher = cbc::Decryptor::<aes::Aes256>::new_from_slices(self.0.expose(), &[0; 16])
            .map_err(|_| KeyError::SecureString)?;
        let plain =
            cipher.decrypt_padded_vec::<Pkcs7>(sealed.expose()).map_err(|_| KeyError::SecureString)?;
        Ok(SecretBytes::new(plain))
    }
}

/// The client's key pair.
#[derive(Clone)]
pub struct KeyPair(PrivateKey);

impl std::fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyPair([redacted])")
    }
}

impl KeyPair {
    /// A fresh pair of 2048 bits. This takes a noticeable part of a second.
    pub fn generate(rng: &mut dyn CryptoRng) -> Result<Self, KeyError> {
        let mut rng = rng;
        PrivateKey::new(&mut rng, RSA_BYTES * 8).map(Self).map_err(|_| KeyError::Generate)
    }

    /// The value of PUBLIC_KEY.
    pub fn public_key(&self) -> String {
        let mut blob = PUBLIC_KEY_HEADER.to_vec();
        blob.extend(self.0.n().to_be_bytes().iter().rev());
        blob.resize(PUBLIC_KEY_HEADER.len() + RSA_BYTES, 0);
        STANDARD.encode(blob)
    }

    /// The key in ENCRYPTED_SESSION_KEY.
    pub fn open(&self, sealed: &str) -> Result<SessionKey, KeyError> {
        let blob = STANDARD.decode(sealed.trim()).map_err(|_| KeyError::SessionKey)?;
        let body = blob.strip_prefix(&SESSION_KEY_HEADER).ok_or(KeyError::SessionKey)?;
        let sealed: Vec<u8> = body.iter().rev().copied().collect();
        let key = self.0.decrypt(Pkcs1v15Encrypt, &sealed).map_err(|_| KeyError::SessionKey)?;
        if key.len() != SESSION_KEY_BYTES {
            return Err(KeyError::SessionKey);
        }
        Ok(SessionKey(SecretBytes::new(key)))
    }
}

fn read_public_key(value: &str) -> Option<PublicKey> {
    let blob = STANDARD.decode(value.trim()).ok()?;
    let (header, modulus) = blob.split_first_chunk::<20>()?;
    if header[..16] != PUBLIC_KEY_HEADER[..16] || modulus.len() != RSA_BYTES {
        return None;
    }
    let modulus: Vec<u8> = modulus.iter().rev().copied().collect();
    let exponent = header.last_chunk::<4>()?;
    let exponent = u64::from(u32::from_le_bytes(*exponent));
    PublicKey::new(BoxedUint::from_be_slice_vartime(&modulus), BoxedUint::from(exponent)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recorded_vectors() {
        let key = Protection::Key(SessionKey(SecretBytes::new((0..32).collect())));
        let sealed = "1kiVTyd4y475W/eI5PQ/kF0nEDeFnSnlAlAkr8AFWR4=";
        let text = key.open(&sealed.into()).unwrap();
        assert_eq!(text, SecretString::from("made-up-key-3"));
        assert_eq!(key.seal(&text).unwrap(), Value::SecureString(sealed.into()));
        assert_eq!(Protection::Plain.seal(&"".into()).unwrap(), Value::SecureString("".into()));
        assert_eq!(Protection::NoKey.seal(&"x".into()), Err(KeyError::NoKey));
    }
}
