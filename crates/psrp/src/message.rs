//! Messages ([MS-PSRP] 2.2.1).

use std::fmt;

use uuid::Uuid;

/// Bytes before a message's data.
pub const HEADER_LENGTH: usize = 40;

const BOM: &[u8] = b"\xEF\xBB\xBF";

/// Which end a message is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Destination {
    /// To the client.
    Client = 1,
    /// To the server.
    Server = 2,
}

/// What a message says ([MS-PSRP] 2.2.1, field MessageType).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MessageType(pub u32);

macro_rules! types {
    ($($(#[$doc:meta])* $name:ident = $number:literal),* $(,)?) => {
        impl MessageType {
            $($(#[$doc])* pub const $name: Self = Self($number);)*

            /// The specification's name, if it has one.
            pub fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($number => Some(stringify!($name)),)*
                    _ => None,
                }
            }
        }
    };
}

types! {
    /// Both ends state their versions. 2.2.2.1
    SESSION_CAPABILITY = 0x0001_0002,
    /// The client asks for a pool. 2.2.2.2
    INIT_RUNSPACEPOOL = 0x0001_0004,
    /// The client's RSA key. 2.2.2.3
    PUBLIC_KEY = 0x0001_0005,
    /// The session key, encrypted with the client's key. 2.2.2.4
    ENCRYPTED_SESSION_KEY = 0x0001_0006,
    /// The server asks for the client's key. 2.2.2.5
    PUBLIC_KEY_REQUEST = 0x0001_0007,
    /// A client connects to a disconnected pool. 2.2.2.28
    CONNECT_RUNSPACEPOOL = 0x0001_0008,
    /// 2.2.2.6
    SET_MAX_RUNSPACES = 0x0002_1002,
    /// 2.2.2.7
    SET_MIN_RUNSPACES = 0x0002_1003,
    /// 2.2.2.8
    RUNSPACE_AVAILABILITY = 0x0002_1004,
    /// 2.2.2.9
    RUNSPACEPOOL_STATE = 0x0002_1005,
    /// 2.2.2.10
    CREATE_PIPELINE = 0x0002_1006,
    /// 2.2.2.11
    GET_AVAILABLE_RUNSPACES = 0x0002_1007,
    /// 2.2.2.12
    USER_EVENT = 0x0002_1008,
    /// 2.2.2.13
    APPLICATION_PRIVATE_DATA = 0x0002_1009,
    /// 2.2.2.14
    GET_COMMAND_METADATA = 0x0002_100A,
    /// 2.2.2.31
    RUNSPACEPOOL_INIT_DATA = 0x0002_100B,
    /// 2.2.2.32
    RESET_RUNSPACE_STATE = 0x0002_100C,
    /// 2.2.2.15
    RUNSPACEPOOL_HOST_CALL = 0x0002_1100,
    /// 2.2.2.16
    RUNSPACEPOOL_HOST_RESPONSE = 0x0002_1101,
    /// 2.2.2.17
    PIPELINE_INPUT = 0x0004_1002,
    /// 2.2.2.18
    END_OF_PIPELINE_INPUT = 0x0004_1003,
    /// 2.2.2.19
    PIPELINE_OUTPUT = 0x0004_1004,
    /// 2.2.2.20
    ERROR_RECORD = 0x0004_1005,
    /// 2.2.2.21
    PIPELINE_STATE = 0x0004_1006,
    /// 2.2.2.22
    DEBUG_RECORD = 0x0004_1007,
    /// 2.2.2.23
    VERBOSE_RECORD = 0x0004_1008,
    /// 2.2.2.24
    WARNING_RECORD = 0x0004_1009,
    /// 2.2.2.25
    PROGRESS_RECORD = 0x0004_1010,
    /// 2.2.2.26
    INFORMATION_RECORD = 0x0004_1011,
    /// 2.2.2.27
    PIPELINE_HOST_CALL = 0x0004_1100,
    /// 2.2.2.28
    PIPELINE_HOST_RESPONSE = 0x0004_1101,
}

impl fmt::Display for MessageType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "0x{:08X}", self.0),
        }
    }
}

impl fmt::Debug for MessageType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The end it is for: 1 client, 2 server; other numbers are errors of the sender.
    pub destination: u32,
    /// What it says.
    pub message_type: MessageType,
    /// The runspace pool's id (RPID); nil in a server's SESSION_CAPABILITY.
    pub pool: Uuid,
    /// The pipeline's id (PID); nil in messages of the pool.
    pub pipeline: Uuid,
    /// The body without byte order mark: CLIXML, or nothing.
    pub data: String,
}

/// A message that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MessageError {
    /// Shorter than its header.
    #[error("expected at least {HEADER_LENGTH} bytes of a message, got {0}")]
    Short(usize),
    /// The body is no UTF-8.
    #[error("the body of a message is not UTF-8")]
    Utf8,
}

impl MessageError {
    /// The words in which PowerShell reports the fault.
    pub fn powershell_message(&self) -> &'static str {
        match self {
            Self::Short(_) => {
                "An error occurred while decoding data received from the remote computer. At least 61 bytes of data are \
                 required to decode a deserialized object that is received from a remote computer. This can happen if \
                 the fragments are not properly constructed by the remote computer, or if the data was corrupted or \
                 changed."
            }
            Self::Utf8 => "Data at the root level is invalid. Line 1, position 1.",
        }
    }
}

impl Message {
    /// The bytes of the message. A body gets a byte order mark, as PowerShell writes it.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER_LENGTH + BOM.len() + self.data.len());
        out.extend_from_slice(&self.destination.to_le_bytes());
        out.extend_from_slice(&self.message_type.0.to_le_bytes());
        out.extend_from_slice(&self.pool.to_bytes_le());
        out.extend_from_slice(&self.pipeline.to_bytes_le());
        if !self.data.is_empty() {
            out.extend_from_slice(BOM);
            out.extend_from_slice(self.data.as_bytes());
        }
        out
    }

    /// Reads a message. A byte order mark is not required.
    pub fn decode(bytes: &[u8]) -> Result<Self, MessageError> {
        let Some((header, body)) = bytes.split_first_chunk::<HEADER_LENGTH>() else {
            return Err(MessageError::Short(bytes.len()));
        };
        let body = body.strip_prefix(BOM).unwrap_or(body);
        let u32_at = |at: usize| {
            let field = header.get(at..at + 4).and_then(|field| field.try_into().ok());
            u32::from_le_bytes(field.unwrap_or_default())
        };
        let guid_at = |at: usize| {
            let field = header.get(at..at + 16).and_then(|field| field.try_into().ok());
            Uuid::from_bytes_le(field.unwrap_or_default())
        };
        Ok(Self {
            destination: u32_at(0),
            message_type: MessageType(u32_at(4)),
            pool: guid_at(8),
            pipeline: guid_at(24),
            data: std::str::from_utf8(body).map_err(|_| MessageError::Utf8)?.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_is_little_endian_with_dotnet_guids() {
        let id = Uuid::from_u128(0x00112233_4455_6677_8899_aabbccddeeff);
        let message = Message {
            destination: 2,
            message_type: MessageType::CREATE_PIPELINE,
            pool: id,
            pipeline: Uuid::nil(),
            data: "<S>ä</S>".to_owned(),
        };
        let bytes = message.encode();
        assert_eq!(bytes[..12], [2, 0, 0, 0, 6, 0x10, 2, 0, 0x33, 0x22, 0x11, 0x00]);
        assert_eq!(bytes[40..43], *BOM);
        assert_eq!(Message::decode(&bytes).unwrap(), message);
        assert_eq!(Message::decode(&bytes[..39]), Err(MessageError::Short(39)));
        assert_eq!(message.message_type.to_string(), "CREATE_PIPELINE");
    }
}
