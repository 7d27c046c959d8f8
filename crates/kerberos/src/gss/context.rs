//! Per-message protection (RFC 4121 4.2; RFC 4757 7 with RC4): wrap, unwrap, MIC.

use std::time::SystemTime;

use hop_secret::SecretBytes;
use rand_core::CryptoRng;
use zeroize::Zeroize;

use super::window::{Place, Window};
use super::{GssFlags, rc4};
use crate::asn1::malformed;
use crate::crypto::{Aes, CONFOUNDER, ChecksumKey, KeyUsage, SealKeys};
use crate::{EncryptionKey, EncryptionType, Error};

const HEADER: usize = 16;
const WRAP: [u8; 2] = [5, 4];
const MIC: [u8; 2] = [4, 4];
const SENT_BY_ACCEPTOR: u8 = 1;
const SEALED: u8 = 2;
const ACCEPTOR_SUBKEY: u8 = 4;

/// Which end of a context this is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// The client.
    Initiator,
    /// The service.
    Acceptor,
}

/// What came out of a wrap token.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unwrapped {
    /// The message.
    pub message: Vec<u8>,
    /// It was encrypted, not only signed.
    pub confidential: bool,
    /// Messages before it are missing.
    pub after_gap: bool,
}

/// Confounders without a random number generator at hand: a block cipher over a counter, keyed at random when the
/// context was established.
pub(super) struct Confounders {
    pub(super) key: [u8; 16],
    pub(super) counter: u64,
    aes: Box<Aes>,
}

impl Confounders {
    pub(super) fn new(key: [u8; 16], counter: u64) -> Result<Self, Error> {
        Ok(Self { aes: Box::new(Aes::new(&key)?), key, counter })
    }

    pub(super) fn from_rng(rng: &mut dyn CryptoRng) -> Result<Self, Error> {
        let mut key = [0; 16];
        rng.fill_bytes(&mut key);
        Self::new(key, 0)
    }

    fn next(&mut self) -> [u8; CONFOUNDER] {
        let mut block = u128::from(self.counter).to_be_bytes();
        self.counter = self.counter.wrapping_add(1);
        self.aes.encrypt_block(&mut block);
        block
    }
}

impl Drop for Confounders {
    fn drop(&mut self) {
        self.key.zeroize();
    }
}

/// An established security context (RFC 4121).
///
/// Replayed tokens are always refused; tokens overtaken by others too if the context has the SEQUENCE flag.
pub struct Context {
    pub(super) role: Role,
    pub(super) flags: GssFlags,
    pub(super) key: EncryptionKey,
    pub(super) acceptor_subkey: bool,
    pub(super) end_time: SystemTime,
    pub(super) send_sequence: u64,
    pub(super) window: Window,
    pub(super) confounders: Confounders,
    // Key schedules are large; boxed, a context is cheap to move.
    send_seal: Box<SealKeys>,
    receive_seal: Box<SealKeys>,
    checksum_keys: [Option<Box<ChecksumKey>>; 4],
}

/// What a context is made of.
pub(super) struct Parts {
    pub role: Role,
    pub flags: GssFlags,
    pub key: EncryptionKey,
    pub acceptor_subkey: bool,
    pub end_time: SystemTime,
    pub send_sequence: u64,
    pub window: Window,
    pub confounders: Confounders,
}

impl Context {
    pub(super) fn new(parts: Parts) -> Result<Self, Error> {
        let (send, receive) = match parts.role {
            Role::Initiator => (KeyUsage::INITIATOR_SEAL, KeyUsage::ACCEPTOR_SEAL),
            Role::Acceptor => (KeyUsage::ACCEPTOR_SEAL, KeyUsage::INITIATOR_SEAL),
        };
        Ok(Self {
            send_seal: Box::new(parts.key.seal_keys(send)?),
            receive_seal: Box::new(parts.key.seal_keys(receive)?),
            checksum_keys: [const { None }; 4],
            role: parts.role,
            flags: parts.flags,
            key: parts.key,
            acceptor_subkey: parts.acceptor_subkey,
            end_time: parts.end_time,
            send_sequence: parts.send_sequence,
            window: parts.window,
            confounders: parts.confounders,
        })
    }

    /// The flags the context was established with.
    pub fn flags(&self) -> GssFlags {
        self.flags
    }

    /// Which end this is.
    pub fn role(&self) -> Role {
        self.role
    }

    /// When the ticket behind the context expires.
    pub fn end_time(&self) -> SystemTime {
        self.end_time
    }

    /// The key the context works with: the acceptor's subkey, else the initiator's, else the session key.
    pub fn session_key(&self) -> &EncryptionKey {
        &self.key
    }

    /// What [`wrap_detached`](Self::wrap_detached) adds to the message in the body, in bytes: 1 with RC4, else nothing.
    pub fn padding(&self) -> usize {
        if self.is_rc4() { rc4::PADDING } else { 0 }
    }

    fn is_rc4(&self) -> bool {
        self.key.etype == EncryptionType::Rc4Hmac
    }

    /// The number of the next RC4 token.
    fn next_place(&mut self) -> u32 {
        let sequence = self.send_sequence as u32;
        self.send_sequence = u64::from(sequence.wrapping_add(1));
        sequence
    }

    fn peer(&self) -> Role {
        if self.role == Role::Acceptor { Role::Initiator } else { Role::Acceptor }
    }

    /// The length of the header that [`wrap_detached`](Self::wrap_detached) makes with AES, in bytes: 60 with AES-SHA1.
    pub fn detached_header_length(&self) -> usize {
        HEADER + CONFOUNDER + HEADER + self.send_seal.tag_length()
    }

    /// Wraps a message into one token; encrypted if `confidential`, signed in any case. RRC is 0.
    ///
    /// # Errors
    /// None in practice.
    pub fn wrap(&mut self, confidential: bool, message: &[u8]) -> Result<Vec<u8>, Error> {
        if self.is_rc4() {
            let (sequence, confounder) = (self.next_place(), self.confounders.next());
            return rc4::wrap(&self.key, self.role, sequence, confidential, &confounder, message);
        }
        if confidential {
            return self.seal(message, 0);
        }
        let header = self.header(WRAP, 0, 0, 0);
        let checksum = self.checksum_key(self.usage(true, true))?.checksum(&[message, &header]);
        let mut token = Vec::with_capacity(HEADER + message.len() + checksum.len());
        token.extend_from_slice(&header);
        if let Some(field) = token.get_mut(4..6) {
            field.copy_from_slice(&(checksum.len() as u16).to_be_bytes());
        }
        token.extend_from_slice(message);
        token.extend_from_slice(&checksum);
        Ok(token)
    }

    /// Encrypts a message into a header and a body as long as the message and [`padding`](Self::padding): WinRM's form,
    /// with AES-SHA1 EC 0 and RRC 28.
    ///
    /// # Errors
    /// None in practice.
    pub fn wrap_detached(&mut self, message: &[u8]) -> Result<(Vec<u8>, Vec<u8>), Error> {
        if self.is_rc4() {
            let mut token = self.wrap(true, message)?;
            let body = token.split_off(token.len().saturating_sub(message.len() + rc4::PADDING));
            return Ok((token, body));
        }
        let rrc = HEADER + self.send_seal.tag_length();
        let mut token = self.seal(message, rrc as u16)?;
        let (_, rotated) = token.split_at_mut(HEADER);
        rotated.rotate_right(rrc);
        let body = token.split_off(self.detached_header_length());
        Ok((token, body))
    }

    /// Header and ciphertext, not yet rotated.
    fn seal(&mut self, message: &[u8], rrc: u16) -> Result<Vec<u8>, Error> {
        let inner = self.header(WRAP, SEALED, 0, 0);
        let mut token =
            Vec::with_capacity(HEADER + CONFOUNDER + message.len() + HEADER + self.send_seal.tag_length());
        token.extend_from_slice(&inner);
        token.extend_from_slice(&self.confounders.next());
        token.extend_from_slice(message);
        token.extend_from_slice(&inner);
        self.send_seal.seal_from(&mut token, HEADER)?;
        if let Some(field) = token.get_mut(6..8) {
            field.copy_from_slice(&rrc.to_be_bytes());
        }
        Ok(token)
    }

    /// Opens a wrap token of any EC and RRC.
    ///
    /// # Errors
    /// [`Error::Malformed`], [`Error::Integrity`], [`Error::DuplicateToken`], [`Error::OldToken`],
    /// [`Error::OutOfSequence`]. The context stays usable.
    pub fn unwrap(&mut self, token: &[u8]) -> Result<Unwrapped, Error> {
        self.unwrap_owned(token.to_vec())
    }

    /// Opens a message whose header came apart from its body, as WinRM sends it. It must be encrypted.
    ///
    /// # Errors
    /// As [`unwrap`](Self::unwrap), and [`Error::Unexpected`] if it is only signed.
    pub fn unwrap_detached(&mut self, header: &[u8], body: &[u8]) -> Result<Vec<u8>, Error> {
        let signed =
            || Error::Unexpected { expected: "an encrypted message", got: "a signed one".to_owned() };
        if !self.is_rc4() && header.get(2).is_some_and(|flags| flags & SEALED == 0) {
            return Err(signed());
        }
        let mut token = Vec::with_capacity(header.len() + body.len());
        token.extend_from_slice(header);
        token.extend_from_slice(body);
        let unwrapped = self.unwrap_owned(token)?;
        if unwrapped.confidential { Ok(unwrapped.message) } else { Err(signed()) }
    }

    fn unwrap_owned(&mut self, mut token: Vec<u8>) -> Result<Unwrapped, Error> {
        if self.is_rc4() {
            let (unwrapped, sequence) = rc4::unwrap(&self.key, self.peer(), &token)?;
            let after_gap = self.take_sequence(u64::from(sequence))?;
            return Ok(Unwrapped { after_gap, ..unwrapped });
        }
        let (header, payload) = token
            .split_first_chunk_mut::<HEADER>()
            .ok_or_else(|| malformed("wrap token", "it has no whole header"))?;
        let header = *header;
        let (flags, sequence) = self.check_header(&header, WRAP, "wrap token")?;
        let extra = usize::from(u16::from_be_bytes([header[4], header[5]]));
        let rrc = usize::from(u16::from_be_bytes([header[6], header[7]]));
        if let Some(rotation) = rrc.checked_rem(payload.len()) {
            payload.rotate_left(rotation);
        }
        let range = if flags & SEALED != 0 {
            let end = self.receive_seal.open_in_place(payload, "wrap token")?;
            let copy = end.checked_sub(HEADER).filter(|at| *at >= CONFOUNDER);
            let copy_at = copy.ok_or_else(|| malformed("wrap token", "it has no copy of its header"))?;
            let copy = payload.get(copy_at..end).unwrap_or_default();
            // All but the rotation count, which the sender may have set after sealing.
            let same = copy.get(..6) == header.get(..6) && copy.get(8..) == header.get(8..);
            if !same {
                return Err(Error::Integrity("the header of a wrap token"));
            }
            let message_end = copy_at.checked_sub(extra).filter(|end| *end >= CONFOUNDER);
            CONFOUNDER
                ..message_end.ok_or_else(|| malformed("wrap token", "its filler is longer than itself"))?
        } else {
            let key = self.checksum_key(self.usage(false, true))?;
            let end = payload.len().checked_sub(extra).filter(|_| extra == key.length());
            let end = end.ok_or_else(|| malformed("wrap token", "its checksum has the wrong length"))?;
            let mut signed = header;
            signed[4..8].fill(0);
            let (message, checksum) = payload.split_at(end);
            key.verify(&[message, &signed], checksum, "wrap token")?;
            0..end
        };
        let after_gap = self.take_sequence(sequence)?;
        token.truncate(HEADER + range.end);
        token.drain(..HEADER + range.start);
        Ok(Unwrapped { message: token, confidential: flags & SEALED != 0, after_gap })
    }

    /// Signs a message; the token does not contain it.
    ///
    /// # Errors
    /// None in practice.
    pub fn get_mic(&mut self, message: &[u8]) -> Result<Vec<u8>, Error> {
        if self.is_rc4() {
            let sequence = self.next_place();
            return rc4::get_mic(&self.key, self.role, sequence, message);
        }
        let mut header = self.header(MIC, 0, 0xffff, 0xffff);
        header[3] = 0xff;
        let checksum = self.checksum_key(self.usage(true, false))?.checksum(&[message, &header]);
        let mut token = header.to_vec();
        token.extend_from_slice(&checksum);
        Ok(token)
    }

    /// Checks the signature of a message.
    ///
    /// # Errors
    /// As [`unwrap`](Self::unwrap).
    pub fn verify_mic(&mut self, message: &[u8], token: &[u8]) -> Result<(), Error> {
        if self.is_rc4() {
            let sequence = rc4::verify_mic(&self.key, self.peer(), message, token)?;
            return self.take_sequence(u64::from(sequence)).map(|_| ());
        }
        let (header, checksum) = token
            .split_first_chunk::<HEADER>()
            .ok_or_else(|| malformed("MIC token", "it has no whole header"))?;
        let (_, sequence) = self.check_header(header, MIC, "MIC token")?;
        self.checksum_key(self.usage(false, false))?.verify(&[message, header], checksum, "MIC token")?;
        self.take_sequence(sequence).map(|_| ())
    }

    /// A header with the next sequence number.
    fn header(&mut self, id: [u8; 2], flags: u8, extra: u16, rrc: u16) -> [u8; HEADER] {
        let role = if self.role == Role::Acceptor { SENT_BY_ACCEPTOR } else { 0 };
        let subkey = if self.acceptor_subkey { ACCEPTOR_SUBKEY } else { 0 };
        let [e0, e1] = extra.to_be_bytes();
        let [r0, r1] = rrc.to_be_bytes();
        let [s0, s1, s2, s3, s4, s5, s6, s7] = self.send_sequence.to_be_bytes();
        self.send_sequence = self.send_sequence.wrapping_add(1);
        [id[0], id[1], flags | role | subkey, 0xff, e0, e1, r0, r1, s0, s1, s2, s3, s4, s5, s6, s7]
    }

    /// Kind, direction and key of a received token; its flags and sequence number.
    fn check_header(
        &self,
        header: &[u8; HEADER],
        id: [u8; 2],
        what: &'static str,
    ) -> Result<(u8, u64), Error> {
        let [i0, i1, flags, filler, f4, f5, f6, f7, sequence @ ..] = *header;
        if [i0, i1] != id || filler != 0xff || (id == MIC && [f4, f5, f6, f7] != [0xff; 4]) {
            return Err(malformed(what, format!("its header begins with {i0:02x}{i1:02x}")));
        }
        if (flags & SENT_BY_ACCEPTOR != 0) != (self.role == Role::Initiator) {
            return Err(Error::Unexpected {
                expected: "a token of the peer's",
                got: "one of our own".to_owned(),
            });
        }
        if (flags & ACCEPTOR_SUBKEY != 0) != self.acceptor_subkey {
            return Err(Error::Integrity("the choice of subkey"));
        }
        Ok((flags, u64::from_be_bytes(sequence)))
    }

    /// Admits a sequence number; true after a gap.
    fn take_sequence(&mut self, sequence: u64) -> Result<bool, Error> {
        let place = self.window.place(sequence)?;
        if place == Place::Late && self.flags.contains(GssFlags::SEQUENCE) {
            return Err(Error::OutOfSequence { expected: self.window.expected(), got: sequence });
        }
        self.window.note(sequence);
        Ok(place == Place::AfterGap)
    }

    fn usage(&self, sending: bool, wrap: bool) -> KeyUsage {
        match ((self.role == Role::Initiator) == sending, wrap) {
            (true, true) => KeyUsage::INITIATOR_SEAL,
            (true, false) => KeyUsage::INITIATOR_SIGN,
            (false, true) => KeyUsage::ACCEPTOR_SEAL,
            (false, false) => KeyUsage::ACCEPTOR_SIGN,
        }
    }

    /// Checksum keys are seldom needed and so derived when they are.
    fn checksum_key(&mut self, usage: KeyUsage) -> Result<&ChecksumKey, Error> {
        let slot = match usage {
            KeyUsage::INITIATOR_SEAL => 0,
            KeyUsage::INITIATOR_SIGN => 1,
            KeyUsage::ACCEPTOR_SEAL => 2,
            _ => 3,
        };
        let slot = &mut self.checksum_keys[slot];
        if slot.is_none() {
            *slot = Some(Box::new(self.key.checksum_key(usage)?));
        }
        slot.as_deref().ok_or(Error::Usage("no checksum key"))
    }

    /// The whole state, keys and all, for [`import`](Self::import) in another process of the same program.
    pub fn export(self) -> SecretBytes {
        super::export::export(&self)
    }

    /// Takes up an exported context.
    ///
    /// # Errors
    /// [`Error::Malformed`].
    pub fn import(bytes: &SecretBytes) -> Result<Self, Error> {
        super::export::import(bytes.expose())
    }
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Context({:?}, {:?}, {})", self.role, self.flags, self.key.etype)
    }
}
