//! The three messages ([MS-NLMP] 2.2.1).

use bitflags::bitflags;

use super::{AvPairs, MAX_MESSAGE, NtlmError, SIGNATURE};

bitflags! {
    /// NEGOTIATE flags ([MS-NLMP] 2.2.2.5), by their names there.
    #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
    pub struct Flags: u32 {
        /// Text is UTF-16.
        const UNICODE = 0x0000_0001;
        /// Text may be in an OEM code page.
        const OEM = 0x0000_0002;
        /// The server shall name itself.
        const REQUEST_TARGET = 0x0000_0004;
        /// Messages are signed.
        const SIGN = 0x0000_0010;
        /// Messages are sealed.
        const SEAL = 0x0000_0020;
        /// Connectionless.
        const DATAGRAM = 0x0000_0040;
        /// The LAN Manager session key.
        const LM_KEY = 0x0000_0080;
        /// NTLM as such.
        const NTLM = 0x0000_0200;
        /// Nobody.
        const ANONYMOUS = 0x0000_0800;
        /// The client names its domain.
        const OEM_DOMAIN_SUPPLIED = 0x0000_1000;
        /// The client names its workstation.
        const OEM_WORKSTATION_SUPPLIED = 0x0000_2000;
        /// Signatures are there even where nothing signs.
        const ALWAYS_SIGN = 0x0000_8000;
        /// The target is a domain.
        const TARGET_TYPE_DOMAIN = 0x0001_0000;
        /// The target is a server.
        const TARGET_TYPE_SERVER = 0x0002_0000;
        /// Extended session security.
        const EXTENDED_SESSIONSECURITY = 0x0008_0000;
        /// An identify-level token.
        const IDENTIFY = 0x0010_0000;
        /// A non-NT session key.
        const REQUEST_NON_NT_SESSION_KEY = 0x0040_0000;
        /// The challenge has AV pairs.
        const TARGET_INFO = 0x0080_0000;
        /// A version field is there.
        const VERSION = 0x0200_0000;
        /// 128-bit keys.
        const KEY_128 = 0x2000_0000;
        /// A random session key is sent.
        const KEY_EXCH = 0x4000_0000;
        /// 56-bit keys.
        const KEY_56 = 0x8000_0000;
        // Whatever else a peer sets is kept.
        const _ = !0;
    }
}

impl Flags {
    /// Without one of these there is no session: everything below is breakable.
    const REQUIRED: [(Flags, &str); 6] = [
        (Flags::UNICODE, "Unicode"),
        (Flags::EXTENDED_SESSIONSECURITY, "extended session security"),
        (Flags::KEY_EXCH, "key exchange"),
        (Flags::KEY_128, "128-bit keys"),
        (Flags::SIGN, "signing"),
        (Flags::SEAL, "sealing"),
    ];

    pub(super) fn check_required(self) -> Result<(), NtlmError> {
        match Self::REQUIRED.into_iter().find(|(flag, _)| !self.contains(*flag)) {
            Some((_, name)) => Err(NtlmError::Weak(name)),
            None => Ok(()),
        }
    }
}

/// The version field: for people only ([MS-NLMP] 2.2.2.10). Windows 10 without a build, NTLMSSP_REVISION_W2K3.
const VERSION: [u8; 8] = [10, 0, 0, 0, 0, 0, 0, 15];

/// The kind of a message, or `None` when it is no NTLM message.
pub(crate) fn kind(bytes: &[u8]) -> Option<u32> {
    let rest = bytes.strip_prefix(SIGNATURE)?;
    rest.first_chunk().map(|kind| u32::from_le_bytes(*kind))
}

/// The first message, of the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Negotiate {
    pub(crate) flags: Flags,
}

impl Negotiate {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = header(1);
        out.extend(self.flags.bits().to_le_bytes());
        // Domain and workstation: empty.
        out.extend([0; 16]);
        if self.flags.contains(Flags::VERSION) {
            out.extend(VERSION);
        }
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, NtlmError> {
        let message = Message::open(bytes, 1)?;
        let flags = Flags::from_bits_retain(message.number(12)?);
        for (flag, at) in [(Flags::OEM_DOMAIN_SUPPLIED, 16), (Flags::OEM_WORKSTATION_SUPPLIED, 24)] {
            if flags.contains(flag) {
                message.field(at, 32)?;
            }
        }
        Ok(Self { flags })
    }
}

/// The second message, of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Challenge {
    pub(crate) flags: Flags,
    pub(crate) server_challenge: [u8; 8],
    pub(crate) target_name: String,
    pub(crate) target_info: Option<AvPairs>,
}

impl Challenge {
    pub(crate) fn encode(&self) -> Result<Vec<u8>, NtlmError> {
        let mut payload = Payload::at(56);
        let name = payload.add(&utf16(&self.target_name))?;
        let info = match &self.target_info {
            Some(pairs) => payload.add(&pairs.encode())?,
            None => [0; 8],
        };
        let mut out = header(2);
        out.extend(name);
        out.extend(self.flags.bits().to_le_bytes());
        out.extend(self.server_challenge);
        out.extend([0; 8]);
        out.extend(info);
        out.extend(if self.flags.contains(Flags::VERSION) { VERSION } else { [0; 8] });
        out.extend(payload.bytes);
        Ok(out)
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, NtlmError> {
        let message = Message::open(bytes, 2)?;
        let flags = Flags::from_bits_retain(message.number(20)?);
        let server_challenge = *message.array(24)?;
        let target_name = match flags.contains(Flags::UNICODE) {
            true => text(message.field(12, 32)?)?,
            // Refused later for want of Unicode; the name is in some code page.
            false => String::new(),
        };
        let target_info = match flags.contains(Flags::TARGET_INFO) {
            true => Some(AvPairs::decode(message.field(40, 48)?)?),
            false => None,
        };
        Ok(Self { flags, server_challenge, target_name, target_info })
    }
}

/// The third message, of the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Authenticate {
    pub(crate) flags: Flags,
    pub(crate) lm_response: Vec<u8>,
    pub(crate) nt_response: Vec<u8>,
    pub(crate) domain: String,
    pub(crate) user: String,
    pub(crate) workstation: String,
    pub(crate) encrypted_session_key: Vec<u8>,
}

impl Authenticate {
    /// Where the MIC stands.
    pub(crate) const MIC_AT: std::ops::Range<usize> = 72..88;

    /// Writes the message with zeros in the place of the MIC.
    pub(crate) fn encode(&self) -> Result<Vec<u8>, NtlmError> {
        let mut payload = Payload::at(Self::MIC_AT.end);
        let domain = payload.add(&utf16(&self.domain))?;
        let user = payload.add(&utf16(&self.user))?;
        let workstation = payload.add(&utf16(&self.workstation))?;
        let lm = payload.add(&self.lm_response)?;
        let nt = payload.add(&self.nt_response)?;
        let key = payload.add(&self.encrypted_session_key)?;
        let mut out = header(3);
        for field in [lm, nt, domain, user, workstation, key] {
            out.extend(field);
        }
        out.extend(self.flags.bits().to_le_bytes());
        out.extend(if self.flags.contains(Flags::VERSION) { VERSION } else { [0; 8] });
        out.extend([0; 16]);
        out.extend(payload.bytes);
        Ok(out)
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, NtlmError> {
        let message = Message::open(bytes, 3)?;
        let flags = Flags::from_bits_retain(message.number(60)?);
        let text_at = |at| match flags.contains(Flags::UNICODE) {
            true => text(message.field(at, 64)?),
            false => Ok(String::new()),
        };
        Ok(Self {
            flags,
            lm_response: message.field(12, 64)?.to_vec(),
            nt_response: message.field(20, 64)?.to_vec(),
            domain: text_at(28)?,
            user: text_at(36)?,
            workstation: text_at(44)?,
            encrypted_session_key: message.field(52, 64)?.to_vec(),
        })
    }
}

/// The client challenge structure of NTLMv2 ([MS-NLMP] 2.2.2.7), which follows the proof in the NT response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClientChallenge {
    /// In units of 100 ns since 1601.
    pub(crate) time: u64,
    pub(crate) challenge: [u8; 8],
    pub(crate) pairs: AvPairs,
}

impl ClientChallenge {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = vec![1, 1, 0, 0, 0, 0, 0, 0];
        out.extend(self.time.to_le_bytes());
        out.extend(self.challenge);
        out.extend([0; 4]);
        out.extend(self.pairs.encode());
        out.extend([0; 4]);
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, NtlmError> {
        let message = Message(bytes);
        if message.array::<2>(0)? != &[1, 1] {
            return Err(NtlmError::NotV2);
        }
        Ok(Self {
            time: u64::from_le_bytes(*message.array(8)?),
            challenge: *message.array(16)?,
            pairs: AvPairs::decode(bytes.get(28..).unwrap_or_default())?,
        })
    }
}

/// Time of the messages: 100 ns since 1601. Times before 1970 become 1970.
pub(crate) fn file_time(time: std::time::SystemTime) -> u64 {
    const EPOCH: u64 = 116_444_736_000_000_000;
    let since = time.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    EPOCH.saturating_add(u64::try_from(since.as_nanos() / 100).unwrap_or(u64::MAX))
}

pub(crate) fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

pub(crate) fn text(bytes: &[u8]) -> Result<String, NtlmError> {
    let malformed = NtlmError::Malformed("text is not UTF-16");
    let (units, []) = bytes.as_chunks::<2>() else { return Err(malformed) };
    char::decode_utf16(units.iter().map(|unit| u16::from_le_bytes(*unit)))
        .collect::<Result<_, _>>()
        .map_err(|_| malformed)
}

fn header(kind: u32) -> Vec<u8> {
    let mut out = SIGNATURE.to_vec();
    out.extend(kind.to_le_bytes());
    out
}

struct Payload {
    start: usize,
    bytes: Vec<u8>,
}

impl Payload {
    fn at(start: usize) -> Self {
        Self { start, bytes: Vec::new() }
    }

    /// Adds content; returns the field that points at it.
    fn add(&mut self, content: &[u8]) -> Result<[u8; 8], NtlmError> {
        let offset = self.start + self.bytes.len();
        let too_large = NtlmError::TooLarge { got: offset + content.len(), limit: MAX_MESSAGE };
        if offset + content.len() > MAX_MESSAGE {
            return Err(too_large);
        }
        let [l0, l1] = u16::try_from(content.len()).map_err(|_| too_large)?.to_le_bytes();
        let [o0, o1, o2, o3] = (offset as u32).to_le_bytes();
        self.bytes.extend_from_slice(content);
        Ok([l0, l1, l0, l1, o0, o1, o2, o3])
    }
}

struct Message<'a>(&'a [u8]);

impl<'a> Message<'a> {
    fn open(bytes: &'a [u8], expected: u32) -> Result<Self, NtlmError> {
        if bytes.len() > MAX_MESSAGE {
            return Err(NtlmError::TooLarge { got: bytes.len(), limit: MAX_MESSAGE });
        }
        match kind(bytes) {
            Some(kind) if kind == expected => Ok(Self(bytes)),
            Some(_) => Err(NtlmError::Malformed("another message than the one that is due")),
            None => Err(NtlmError::Malformed("the signature is missing")),
        }
    }

    fn array<const N: usize>(&self, at: usize) -> Result<&'a [u8; N], NtlmError> {
        let rest = self.0.get(at..).and_then(<[u8]>::first_chunk);
        rest.ok_or(NtlmError::Malformed("it ends early"))
    }

    fn number(&self, at: usize) -> Result<u32, NtlmError> {
        self.array(at).map(|bytes| u32::from_le_bytes(*bytes))
    }

    /// What the field at `at` points at; not into the first `header` bytes.
    fn field(&self, at: usize, header: usize) -> Result<&'a [u8], NtlmError> {
        let [l0, l1, _, _, offset @ ..] = self.array::<8>(at)?;
        let length = usize::from(u16::from_le_bytes([*l0, *l1]));
        if length == 0 {
            return Ok(&[]);
        }
        let offset = usize::try_from(u32::from_le_bytes(*offset)).unwrap_or(usize::MAX);
        let content = self.0.get(offset..).and_then(|rest| rest.get(..length));
        content
            .filter(|_| offset >= header)
            .ok_or(NtlmError::Malformed("a field points outside the message or into its header"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ntlm::AvId;

    /// [MS-NLMP] 4.2.4.3, byte for byte.
    #[test]
    fn the_specifications_challenge() {
        let bytes = [
            "NTLMSSP\0".as_bytes(),
            &[2, 0, 0, 0, 0x0c, 0, 0x0c, 0, 0x38, 0, 0, 0, 0x33, 0x82, 0x8a, 0xe2],
            &[0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0, 0, 0, 0, 0, 0, 0, 0],
            &[0x24, 0, 0x24, 0, 0x44, 0, 0, 0, 0x06, 0, 0x70, 0x17, 0, 0, 0, 0x0f],
            &utf16("Server"),
            &[2, 0, 12, 0],
            &utf16("Domain"),
            &[1, 0, 12, 0],
            &utf16("Server"),
            &[0; 4],
        ]
        .concat();
        let challenge = Challenge::decode(&bytes).unwrap();
        assert_eq!(challenge.target_name, "Server");
        assert_eq!(challenge.server_challenge, [0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef]);
        let pairs = challenge.target_info.as_ref().unwrap();
        assert_eq!(text(pairs.get(AvId::NB_DOMAIN_NAME).unwrap()).unwrap(), "Domain");
        assert!(challenge.flags.check_required().is_ok());
        let mut again = challenge.encode().unwrap();
        again[48..56].copy_from_slice(&bytes[48..56]);
        assert_eq!(again, bytes, "but for the version");
    }

    /// [MS-NLMP] 4.2.4.3: an AUTHENTICATE without a place for the MIC.
    #[test]
    fn the_specifications_authenticate() {
        let domain_to_workstation = [utf16("Domain"), utf16("User"), utf16("COMPUTER")].concat();
        let mut bytes = header(3);
        for (length, offset) in [(24u16, 0x6cu32), (84, 0x84), (12, 0x48), (8, 0x54), (16, 0x5c), (16, 0xd8)]
        {
            bytes.extend([length.to_le_bytes(), length.to_le_bytes()].concat());
            bytes.extend(offset.to_le_bytes());
        }
        bytes.extend([0x35, 0x82, 0x88, 0xe2, 5, 1, 0x28, 0x0a, 0, 0, 0, 0x0f]);
        bytes.extend(domain_to_workstation);
        bytes.extend([0x86; 24]);
        bytes.extend([0x68; 84]);
        bytes.extend([0xc5; 16]);
        let message = Authenticate::decode(&bytes).unwrap();
        assert_eq!(
            (message.domain.as_str(), message.user.as_str(), message.workstation.as_str()),
            ("Domain", "User", "COMPUTER")
        );
        assert_eq!((message.lm_response, message.nt_response), (vec![0x86; 24], vec![0x68; 84]));
        assert_eq!(message.encrypted_session_key, [0xc5; 16]);
    }

    #[test]
    fn fields_stay_inside() {
        let bytes = Authenticate {
            flags: Flags::UNICODE,
            lm_response: vec![0; 24],
            nt_response: vec![1; 60],
            domain: "D".to_owned(),
            user: "U".to_owned(),
            workstation: "W".to_owned(),
            encrypted_session_key: vec![2; 16],
        }
        .encode()
        .unwrap();
        assert!(Authenticate::decode(&bytes).is_ok());
        for at in [16, 24, 32, 40, 48, 56] {
            for offset in [0u32, 12, 63, bytes.len() as u32, 0x7fff_ffff, u32::MAX] {
                let mut bad = bytes.clone();
                bad[at..at + 4].copy_from_slice(&offset.to_le_bytes());
                assert!(Authenticate::decode(&bad).is_err(), "{at} {offset}");
            }
        }
        assert!(text(&[0x00, 0xd8]).is_err(), "half a surrogate pair");
        assert!(text(b"abc").is_err());
    }

    #[test]
    fn pairs_have_limits() {
        assert!(AvPairs::decode(&[1, 0, 255, 255]).is_err());
        assert!(AvPairs::decode(&[1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]).is_err(), "twice");
        let many: Vec<u8> = (1u16..100).flat_map(|id| [id.to_le_bytes(), [0, 0]].concat()).collect();
        assert!(AvPairs::decode(&many).is_err());
        assert!(AvPairs::decode(&[]).is_err());
    }

    #[test]
    fn time() {
        assert_eq!(file_time(std::time::UNIX_EPOCH), 116_444_736_000_000_000);
    }
}
