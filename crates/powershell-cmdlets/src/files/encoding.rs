//! Text encodings of files.

use hop_powershell_runtime::command::ParameterInfo as P;
use hop_powershell_runtime::context::CmdletContext;
use hop_powershell_runtime::convert::to_text;
use hop_powershell_runtime::flow::{Flow, Run};
use hop_powershell_runtime::value::{Error, ErrorCategory, Value};

/// How text becomes bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Utf8,
    Utf8Bom,
    Ascii,
    Latin1,
    Unicode,
    BigEndianUnicode,
    Utf32,
    BigEndianUtf32,
}

/// `-Encoding`.
pub(crate) fn encoding_parameter() -> P {
    P::new("Encoding", "object")
}

impl Encoding {
    /// By the names that `-Encoding` and `[Text.Encoding]::GetEncoding` take.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "utf8" | "utf8nobom" | "utf-8" | "default" | "oem" | "65001" | "ansi" => Self::Utf8,
            "utf8bom" => Self::Utf8Bom,
            "ascii" | "us-ascii" | "20127" => Self::Ascii,
            "latin1" | "iso-8859-1" | "28591" | "windows-1252" | "1252" => Self::Latin1,
            "unicode" | "utf-16" | "utf-16le" | "1200" | "string" => Self::Unicode,
            "bigendianunicode" | "utf-16be" | "1201" => Self::BigEndianUnicode,
            "utf32" | "utf-32" | "utf-32le" | "12000" => Self::Utf32,
            "bigendianutf32" | "utf-32be" | "12001" => Self::BigEndianUtf32,
            _ => return None,
        })
    }

    /// The encoding that `-Encoding` asks for; UTF-8 without a mark when it is not given.
    pub fn of(context: &mut CmdletContext<'_>) -> Run<Option<Self>> {
        let Some(value) = context.arg("Encoding").cloned() else { return Ok(None) };
        let name = match value.base() {
            Value::Native(native) => match native.get("WebName") {
                Some(Ok(name)) => to_text(&name),
                _ => native.text(),
            },
            other => to_text(other),
        };
        match Self::named(&name) {
            Some(encoding) => Ok(Some(encoding)),
            None => Err(Flow::Error(
                context
                    .parameter_error(
                        "Encoding",
                        Error::new(
                            "System.Management.Automation.ParameterBindingArgumentTransformationException",
                            "ParameterArgumentTransformationError",
                            ErrorCategory::InvalidData,
                            format!(
                                "Cannot process argument transformation on parameter 'Encoding'. '{name}' is not a supported encoding name. For information on defining a custom encoding, see the documentation for the Encoding.RegisterProvider method. (Parameter 'name')"
                            ),
                        ),
                    ),
            )),
        }
    }

    /// The mark at the start of a file.
    pub fn preamble(self) -> &'static [u8] {
        match self {
            Self::Utf8Bom => &[0xEF, 0xBB, 0xBF],
            Self::Unicode => &[0xFF, 0xFE],
            Self::BigEndianUnicode => &[0xFE, 0xFF],
            Self::Utf32 => &[0xFF, 0xFE, 0, 0],
            Self::BigEndianUtf32 => &[0, 0, 0xFE, 0xFF],
            _ => &[],
        }
    }

    /// Text as bytes, without a mark.
    pub fn encode(self, text: &str) -> Vec<u8> {
        match self {
            Self::Utf8 | Self::Utf8Bom => text.as_bytes().to_vec(),
            Self::Ascii => text.chars().map(|c| if c.is_ascii() { c as u8 } else { b'?' }).collect(),
            Self::Latin1 => text.chars().map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?')).collect(),
            Self::Unicode => text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
            Self::BigEndianUnicode => text.encode_utf16().flat_map(u16::to_be_bytes).collect(),
            Self::Utf32 => text.chars().flat_map(|c| u32::from(c).to_le_bytes()).collect(),
            Self::BigEndianUtf32 => text.chars().flat_map(|c| u32::from(c).to_be_bytes()).collect(),
        }
    }

    /// Bytes as text; what is not valid becomes U+FFFD (`?` in ASCII).
    pub fn decode(self, bytes: &[u8]) -> String {
        let units = |big: bool| -> Vec<u16> {
            bytes
                .chunks(2)
                .map(|pair| match pair {
                    [a, b] if big => u16::from_be_bytes([*a, *b]),
                    [a, b] => u16::from_le_bytes([*a, *b]),
                    _ => 0xFFFD,
                })
                .collect()
        };
        match self {
            Self::Utf8 | Self::Utf8Bom => String::from_utf8_lossy(bytes).into_owned(),
            Self::Ascii => bytes.iter().map(|b| if b.is_ascii() { char::from(*b) } else { '?' }).collect(),
            Self::Latin1 => bytes.iter().map(|b| char::from(*b)).collect(),
            Self::Unicode => String::from_utf16_lossy(&units(false)),
            Self::BigEndianUnicode => String::from_utf16_lossy(&units(true)),
            Self::Utf32 | Self::BigEndianUtf32 => bytes
                .chunks(4)
                .map(|four| {
                    let mut word = [0u8; 4];
                    for (to, from) in word.iter_mut().zip(four) {
                        *to = *from;
                    }
                    let code =
                        if self == Self::Utf32 { u32::from_le_bytes(word) } else { u32::from_be_bytes(word) };
                    char::from_u32(code).unwrap_or('\u{FFFD}')
                })
                .collect(),
        }
    }

    /// A file's text: a mark at its start decides, else this encoding.
    pub fn decode_file(self, bytes: &[u8]) -> String {
        for encoding in
            [Self::Utf8Bom, Self::Utf32, Self::BigEndianUtf32, Self::Unicode, Self::BigEndianUnicode]
        {
            if let Some(rest) = bytes.strip_prefix(encoding.preamble()) {
                return encoding.decode(rest);
            }
        }
        self.decode(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::Encoding;

    #[test]
    fn text_comes_back_from_every_encoding() {
        for name in ["utf8", "utf8BOM", "unicode", "bigendianunicode", "utf32", "bigendianutf32"] {
            let encoding = Encoding::named(name).unwrap();
            let text = "a\u{e9}\u{1F600}\n";
            assert_eq!(encoding.decode(&encoding.encode(text)), text, "{name}");
            let mut file = encoding.preamble().to_vec();
            file.extend(encoding.encode(text));
            assert_eq!(Encoding::Utf8.decode_file(&file), text, "{name}");
        }
    }

    #[test]
    fn what_an_encoding_lacks_is_replaced() {
        assert_eq!(Encoding::Ascii.encode("caf\u{e9}"), b"caf?");
        assert_eq!(Encoding::Latin1.encode("caf\u{e9}\u{20ac}"), b"caf\xe9?");
        assert_eq!(Encoding::Utf8.decode(b"caf\xe9"), "caf\u{FFFD}");
        assert_eq!(Encoding::named("nonsense"), None);
    }
}
