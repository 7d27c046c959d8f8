//! The values of relations: yes or no, time spans, lists of encryption types.

use std::time::Duration;

use crate::EncryptionType;

/// Reads `yes`, `true`, `t`, `y`, `1`, `on` and their opposites, in any case.
pub fn parse_boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "y" | "yes" | "true" | "t" | "1" | "on" => Some(true),
        "n" | "no" | "false" | "nil" | "f" | "0" | "off" => Some(false),
        _ => None,
    }
}

/// Reads a time span: seconds (`3600`), `h:m[:s]`, or numbers with units (`1d 2h 3m 4s`), as MIT does.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    if text.is_empty() {
        return None;
    }
    if text.bytes().all(|b| b.is_ascii_digit()) {
        return text.parse().ok().map(Duration::from_secs);
    }
    if text.contains(':') {
        let mut parts = text.split(':').map(|part| part.parse::<u32>().ok());
        let (hours, minutes) = (parts.next()??, parts.next()??);
        let seconds = match parts.next() {
            None => 0,
            Some(part) => part?,
        };
        let in_range = parts.next().is_none() && minutes < 60 && seconds < 60;
        return in_range.then(|| {
            Duration::from_secs(u64::from(hours) * 3600 + u64::from(minutes) * 60 + u64::from(seconds))
        });
    }
    let mut total = 0u64;
    let mut rest = text;
    let mut last_unit = u64::MAX;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (number, tail) = rest.split_at(digits);
        let number: u64 = number.parse().ok()?;
        let tail = tail.trim_start();
        let (unit, tail) = match tail.chars().next() {
            Some('d') => (86_400, tail.get(1..)?),
            Some('h') => (3_600, tail.get(1..)?),
            Some('m') => (60, tail.get(1..)?),
            Some('s') => (1, tail.get(1..)?),
            None => (1, tail),
            Some(_) => return None,
        };
        // units come in order, each once: `1h 30m`, not `30m 1h`
        if unit >= last_unit {
            return None;
        }
        last_unit = unit;
        total = total.checked_add(number.checked_mul(unit)?)?;
        rest = tail.trim_start();
    }
    Some(Duration::from_secs(total))
}

/// Built-in preference, strongest first, of what is safe to use.
const DEFAULT: &[i32] = &[18, 17, 20, 19];

/// Names, numbers ([RFC 3961] registry) and families of the encryption types.
const NAMES: &[(&str, &[i32])] = &[
    ("aes256-cts-hmac-sha1-96", &[18]),
    ("aes256-cts", &[18]),
    ("aes256-sha1", &[18]),
    ("aes128-cts-hmac-sha1-96", &[17]),
    ("aes128-cts", &[17]),
    ("aes128-sha1", &[17]),
    ("aes256-cts-hmac-sha384-192", &[20]),
    ("aes256-sha2", &[20]),
    ("aes128-cts-hmac-sha256-128", &[19]),
    ("aes128-sha2", &[19]),
    ("des3-cbc-sha1", &[16]),
    ("des3-hmac-sha1", &[16]),
    ("des3-cbc-sha1-kd", &[16]),
    ("arcfour-hmac", &[23]),
    ("rc4-hmac", &[23]),
    ("arcfour-hmac-md5", &[23]),
    ("arcfour-hmac-exp", &[24]),
    ("rc4-hmac-exp", &[24]),
    ("camellia128-cts-cmac", &[25]),
    ("camellia256-cts-cmac", &[26]),
    ("aes", &[18, 17, 20, 19]),
    ("des3", &[16]),
    ("rc4", &[23]),
    ("camellia", &[26, 25]),
    ("default", DEFAULT),
];

/// Reads a list of encryption types: names, families (`aes`, `rc4`), `DEFAULT`, each with `-` before it to take it
/// out of the list. Unknown names are passed over, as MIT does.
pub fn parse_encryption_types(text: &str) -> Vec<EncryptionType> {
    let mut list = Vec::new();
    for word in text.split([' ', '\t', ',']).filter(|word| !word.is_empty()) {
        let (remove, name) = match word.strip_prefix('-') {
            Some(name) => (true, name),
            None => (false, word.strip_prefix('+').unwrap_or(word)),
        };
        let Some((_, types)) = NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)) else {
            continue;
        };
        for etype in types.iter().copied().map(EncryptionType::from_number) {
            if remove {
                list.retain(|known| *known != etype);
            } else if !list.contains(&etype) {
                list.push(etype);
            }
        }
    }
    list
}
