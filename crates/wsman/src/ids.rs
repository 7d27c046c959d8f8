//! Identifiers that are made only by parsing or from randomness.

use std::fmt;

use rand_core::CryptoRng;
use uuid::Uuid;

macro_rules! guid {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        ///
        /// Written as upper-case text without braces, as PowerShell does; read in any form of a GUID.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Uuid);

        impl $name {
            /// A random identifier.
            pub fn random(rng: &mut dyn CryptoRng) -> Self {
                Self(random_uuid(rng))
            }

            /// The identifier in any of the textual forms of a GUID, blanks around it ignored.
            pub fn parse(text: &str) -> Option<Self> {
                Uuid::try_parse(text.trim()).ok().map(Self)
            }

            /// The GUID itself.
            pub fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl From<Uuid> for $name {
            fn from(uuid: Uuid) -> Self {
                Self(uuid)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut buffer = Uuid::encode_buffer();
                f.write_str(self.0.hyphenated().encode_upper(&mut buffer))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }
    };
}

guid! {
    /// The `ShellId` selector. For PowerShell it is the runspace pool id, if the client chose it.
    ShellId
}
guid! {
    /// The `CommandId` of a command in a shell. It need not be the pipeline id of PSRP.
    CommandId
}

/// `a:MessageID` as it stands in the envelope, blanks around it removed.
///
/// Kept as text: real clients send GUIDs of their own making, and compare the answer's `RelatesTo` as text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MessageId(String);

impl MessageId {
    /// `uuid:` and a random GUID.
    pub fn random(rng: &mut dyn CryptoRng) -> Self {
        let mut buffer = Uuid::encode_buffer();
        Self(format!("uuid:{}", random_uuid(rng).hyphenated().encode_upper(&mut buffer)))
    }

    /// Any text that is not empty.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        (!text.is_empty()).then(|| Self(text.to_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn random_uuid(rng: &mut dyn CryptoRng) -> Uuid {
    let mut bytes = [0; 16];
    rng.fill_bytes(&mut bytes);
    uuid::Builder::from_random_bytes(bytes).into_uuid()
}
