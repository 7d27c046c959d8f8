//! Hosts that are reached directly.

use std::net::IpAddr;

/// A list of hosts in the form of the environment variable `NO_PROXY`, read as curl does: names stand for themselves
/// and everything below them, addresses may be networks (`10.0.0.0/8`), `*` is every host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NoProxy {
    rules: Vec<Rule>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Rule {
    Every,
    Network(IpAddr, u32),
    /// In lower case, without dots at its ends.
    Name(String),
}

impl NoProxy {
    /// Reads a list with commas or blanks between. What cannot be an address is a name.
    pub fn parse(text: &str) -> Self {
        let words = text.split([',', ' ', '\t']).filter(|word| !word.is_empty());
        Self { rules: words.map(Rule::parse).collect() }
    }

    /// Whether a host, by name or address, is reached directly.
    pub fn matches(&self, host: &str) -> bool {
        let name = host.trim_end_matches('.').to_ascii_lowercase();
        let address = parse_address(host);
        self.rules.iter().any(|rule| match (rule, address) {
            (Rule::Every, _) => true,
            (Rule::Network(network, bits), Some(address)) => is_within(address, *network, *bits),
            (Rule::Name(rule), None) => match name.strip_suffix(rule.as_str()) {
                Some(before) => before.is_empty() || before.ends_with('.'),
                None => false,
            },
            _ => false,
        })
    }
}

impl Rule {
    fn parse(word: &str) -> Self {
        if word == "*" {
            return Self::Every;
        }
        let (address, bits) =
            word.split_once('/').map_or((word, None), |(address, bits)| (address, Some(bits)));
        if let Some(address) = parse_address(address) {
            let all = if address.is_ipv4() { 32 } else { 128 };
            // A network that is none matches nothing, rather than a name.
            let bits = bits.map_or(Some(all), |bits| bits.parse().ok().filter(|bits| *bits <= all));
            if let Some(bits) = bits {
                return Self::Network(address, bits);
            }
        }
        Self::Name(word.trim_matches('.').to_ascii_lowercase())
    }
}

fn parse_address(text: &str) -> Option<IpAddr> {
    let text = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    // A scope is the business of the machine that uses it.
    text.split_once('%').map_or(text, |(address, _)| address).parse().ok()
}

fn is_within(address: IpAddr, network: IpAddr, bits: u32) -> bool {
    let same = |a: u128, b: u128, all: u32| bits == 0 || (a ^ b) >> all.saturating_sub(bits) == 0;
    match (address, network) {
        (IpAddr::V4(a), IpAddr::V4(b)) => same(a.to_bits().into(), b.to_bits().into(), 32),
        (IpAddr::V6(a), IpAddr::V6(b)) => same(a.to_bits(), b.to_bits(), 128),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_curl_reads_it() {
        for (list, host, expected) in [
            ("", "a.test", false),
            ("*", "a.test", true),
            ("*", "10.0.0.1", true),
            ("hop.test", "hop.test", true),
            ("hop.test", "SERVERA.Hop.Test", true),
            (".hop.test", "servera.hop.test", true),
            (".hop.test", "hop.test", true),
            ("hop.test.", "servera.hop.test.", true),
            ("hop.test", "shop.test", false),
            ("hop.test", "hop.test.evil", false),
            ("*.hop.test", "a.hop.test", false),
            ("a.test b.test,c.test", "b.test", true),
            (" , c.test", "c.test", true),
            ("10.0.0.1", "10.0.0.1", true),
            ("10.0.0.1", "10.0.0.10", false),
            ("0.0.1", "10.0.0.1", false),
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("10.0.0.0/33", "10.0.0.0", false),
            ("0.0.0.0/0", "192.0.2.1", true),
            ("192.0.2.128/25", "192.0.2.127", false),
            ("[::1]", "::1", true),
            ("2001:db8::/32", "[2001:db8:1::5]", true),
            ("2001:db8::/32", "2001:db9::1", false),
            ("::/0", "10.0.0.1", false),
            ("fe80::/10", "fe80::1%eth0", true),
        ] {
            assert_eq!(NoProxy::parse(list).matches(host), expected, "{list:?} {host:?}");
        }
    }
}
