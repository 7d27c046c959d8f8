//! UPN_DNS_INFO ([MS-PAC] 2.10): the user's principal name, the domain's DNS name, the account's name and identifier.

use super::logon_info::LogonInfo;
use super::{WHAT, malformed};
use crate::Error;

/// The user principal name is made of the account's name: there is none of its own.
const CONSTRUCTED: u32 = 1;
/// The account's name and identifier follow.
const EXTENDED: u32 = 2;
/// The fields before the texts.
const HEADER: usize = 20;

pub(super) fn encode(info: &LogonInfo) -> Result<Vec<u8>, Error> {
    let name = info.client.components.join("/");
    let domain = info.client.realm.to_lowercase();
    let texts =
        [utf16(&format!("{name}@{domain}")), utf16(&info.client.realm), utf16(&name), info.user_sid()];
    let (mut fields, mut body) = (Vec::new(), Vec::new());
    for text in &texts {
        // Each begins at a multiple of eight.
        body.resize((HEADER + body.len()).next_multiple_of(8) - HEADER, 0);
        let place = u16::try_from(text.len()).ok().zip(u16::try_from(HEADER + body.len()).ok());
        let (length, offset) = place.ok_or_else(|| malformed(WHAT, "the client's name is too long"))?;
        fields.push([length.to_le_bytes(), offset.to_le_bytes()].concat());
        body.extend_from_slice(text);
    }
    // The flags stand between the first two and the two of the extension.
    let flags = (CONSTRUCTED | EXTENDED).to_le_bytes().to_vec();
    fields.insert(2, flags);
    Ok([fields.concat(), body].concat())
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}
