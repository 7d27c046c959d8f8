//! Who the client is to a proxy: the strongest way that the proxy offers and the credentials allow.

use std::{fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hop_auth::{
    BasicCredentials,
    http::{MAX_TOKEN, Scheme},
    ntlm,
    spnego::{ExpectReply, Initiate, Initiator, InitiatorMechanisms},
};
use hop_secret::SecretString;

use super::{ProxyError, ProxyLogin};
use crate::{error::Cause, hosts::Target, kerberos::Kerberos, security::Channel, words};

/// How a client authenticates to a proxy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProxyAuthentication {
    /// Kerberos, else NTLM, else Basic, as far as the proxy offers it and there are credentials for it.
    #[default]
    Auto,
    /// The password itself, which everybody on the way to the proxy can read.
    Basic,
    /// Kerberos.
    Negotiate,
    /// NTLM, as a scheme of its own or in Negotiate.
    Ntlm,
}

impl ProxyAuthentication {
    const ALL: [(ProxyAuthentication, &str); 4] = [
        (ProxyAuthentication::Auto, "auto"),
        (ProxyAuthentication::Basic, "basic"),
        (ProxyAuthentication::Negotiate, "negotiate"),
        (ProxyAuthentication::Ntlm, "ntlm"),
    ];

    fn allows(self, way: Way) -> bool {
        match self {
            Self::Auto => true,
            Self::Basic => way == Way::Basic,
            Self::Negotiate => way == Way::Negotiate,
            Self::Ntlm => matches!(way, Way::Ntlm | Way::Negotiate),
        }
    }
}

impl fmt::Display for ProxyAuthentication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(words::of(&Self::ALL, self))
    }
}

impl FromStr for ProxyAuthentication {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        words::parse(&Self::ALL, text)
    }
}

/// The schemes of `Proxy-Authenticate` that are spoken, the strongest one first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Way {
    Negotiate,
    Ntlm,
    Basic,
}

impl Way {
    const ALL: [Way; 3] = [Way::Negotiate, Way::Ntlm, Way::Basic];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Way::Negotiate => Scheme::Negotiate.as_str(),
            Way::Ntlm => "NTLM",
            Way::Basic => BasicCredentials::SCHEME,
        }
    }
}

/// What the values of `Proxy-Authenticate` offer: schemes, each with a token or an empty text.
#[derive(Debug, Default)]
pub(super) struct Challenges(Vec<(String, String)>);

impl Challenges {
    /// A value may list several schemes.
    pub(super) fn parse<'a>(values: impl IntoIterator<Item = &'a str>) -> Self {
        let mut found = Vec::new();
        for value in values {
            let mut quoted = false;
            let parts = value.split(move |c: char| {
                quoted ^= c == '"';
                c == ',' && !quoted
            });
            for part in parts.map(str::trim) {
                let (word, token) = part.split_once([' ', '\t']).unwrap_or((part, ""));
                // What has a "=" is a parameter of the scheme before it.
                let is_scheme =
                    !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
                if is_scheme {
                    found.push((word.to_owned(), token.trim().to_owned()));
                }
            }
        }
        Self(found)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The token of a scheme, empty if there is none; `None` if the scheme is not offered.
    fn token(&self, way: Way) -> Option<&str> {
        let mut offers = self.0.iter().filter(|(word, _)| word.eq_ignore_ascii_case(way.as_str()));
        let first = offers.next()?;
        Some(offers.map(|(_, token)| token).find(|token| !token.is_empty()).unwrap_or(&first.1))
    }

    fn decoded(&self, way: Way) -> Result<Option<Vec<u8>>, Cause> {
        let Some(token) = self.token(way).filter(|token| !token.is_empty()) else { return Ok(None) };
        if token.len() / 4 * 3 > MAX_TOKEN {
            return Err("its token is too large".into());
        }
        STANDARD.decode(token).map(Some).map_err(|_| "its token is not base64".into())
    }

    fn words(&self) -> String {
        let words: Vec<String> =
            self.0.iter().take(8).map(|(word, _)| word.chars().take(40).collect()).collect();
        if words.is_empty() { "of no kind that it says".to_owned() } else { words.join(", ") }
    }
}

/// One connection's exchange: `Proxy-Authorization` out, the proxy's answer in.
#[derive(Debug)]
pub(super) struct Exchange {
    way: Way,
    state: State,
    /// The proxy has seen what only the password can make.
    has_proved: bool,
}

#[derive(Debug)]
enum State {
    Negotiate(Box<ExpectReply>),
    Ntlm(Box<ntlm::ExpectChallenge>),
    /// Everything is said.
    Said,
}

/// A value of `Proxy-Authorization`, and what awaits the answer to it.
pub(super) type Leg = (SecretString, Exchange);

/// Begins with the strongest way that is offered and possible, of those weaker than `after`.
pub(super) async fn begin(
    login: &ProxyLogin,
    proxy: &Target,
    kerberos: Option<&Kerberos>,
    challenges: &Challenges,
    after: Option<Way>,
) -> Result<Leg, ProxyError> {
    let mut reasons = Vec::new();
    let weaker = Way::ALL.into_iter().skip_while(|way| after.is_some_and(|after| *way <= after));
    for way in weaker.filter(|way| challenges.token(*way).is_some() && login.authentication.allows(*way)) {
        match begin_with(way, login, proxy, kerberos).await {
            Ok(leg) => return Ok(leg),
            Err(reason) => {
                tracing::debug!(proxy = proxy.alias, way = way.as_str(), reason, "not possible");
                reasons.push(reason);
            }
        }
    }
    reasons.dedup();
    let reason = match reasons.is_empty() {
        true if login.authentication == ProxyAuthentication::Auto => "none of these is supported".to_owned(),
        true => format!("{} is what may be used", login.authentication),
        false => reasons.join("; "),
    };
    Err(ProxyError::NoCredentials { offers: challenges.words(), reason })
}

/// Begins in one way.
pub(super) async fn begin_with(
    way: Way,
    login: &ProxyLogin,
    proxy: &Target,
    kerberos: Option<&Kerberos>,
) -> Result<Leg, String> {
    let password =
        || login.password.as_ref().ok_or_else(|| "no user name and password are given for it".to_owned());
    let channel = Channel::default();
    match way {
        Way::Negotiate => {
            let (with_tickets, with_password) = match login.authentication {
                ProxyAuthentication::Ntlm => (None, Some(password()?)),
                ProxyAuthentication::Negotiate => (kerberos, None),
                _ => (kerberos, login.password.as_ref()),
            };
            let mut mechanisms = InitiatorMechanisms::default();
            let mut reason = "there are no tickets".to_owned();
            if let Some(kerberos) = with_tickets {
                match kerberos.initiate(None).await {
                    Ok(started) => mechanisms.kerberos = Some(started),
                    Err(error) => reason = chain(&error),
                }
            }
            mechanisms.ntlm = with_password.map(|password| password.ntlm("HTTP", proxy, &channel));
            let (token, expect) = Initiator::negotiate(mechanisms).map_err(|_| reason)?;
            Ok(leg(way, &token, State::Negotiate(Box::new(expect)), false))
        }
        Way::Ntlm => {
            let (token, expect) = password()?.ntlm("HTTP", proxy, &channel);
            Ok(leg(way, &token, State::Ntlm(Box::new(expect)), false))
        }
        Way::Basic => {
            let password = password()?;
            let credentials =
                BasicCredentials { user: password.name.to_string(), password: password.password.clone() };
            let header = credentials.authorization().map_err(|error| error.to_string())?;
            Ok((header, Exchange { way, state: State::Said, has_proved: true }))
        }
    }
}

fn leg(way: Way, token: &[u8], state: State, has_proved: bool) -> Leg {
    let header = SecretString::new(format!("{} {}", way.as_str(), STANDARD.encode(token)));
    (header, Exchange { way, state, has_proved })
}

impl Exchange {
    pub(super) fn way(&self) -> Way {
        self.way
    }

    /// Whether a weaker way may be tried if the proxy does not take this one: a password is tried once only, lest it
    /// be locked.
    pub(super) fn may_give_way(&self) -> bool {
        !self.has_proved
    }

    /// The proxy wants more (407).
    pub(super) fn go_on(self, challenges: &Challenges, text: &str) -> Result<Leg, ProxyError> {
        let way = self.way;
        let refused = || ProxyError::Unauthorized { scheme: way.as_str(), text: text.to_owned() };
        let failed = |source| ProxyError::Authentication { scheme: way.as_str(), source };
        if matches!(self.state, State::Said) {
            return Err(refused());
        }
        let token = challenges.decoded(way).map_err(failed)?.ok_or_else(refused)?;
        match self.state {
            State::Negotiate(expect) => match expect.handle(&token).map_err(|e| failed(e.into()))? {
                Initiate::Continue { token, next } => {
                    Ok(leg(way, &token, State::Negotiate(Box::new(next)), true))
                }
                Initiate::Established(_) => Err(refused()),
            },
            State::Ntlm(expect) => {
                let (token, _) = expect.handle(&token).map_err(|e| failed(e.into()))?;
                Ok(leg(way, &token, State::Said, true))
            }
            State::Said => Err(refused()),
        }
    }

    /// The proxy is content (2xx). It need not prove who it is, as TLS goes through it, but what it does say must be
    /// right.
    pub(super) fn finish(self, challenges: &Challenges) -> Result<(), ProxyError> {
        let way = self.way;
        let failed = |source| ProxyError::Authentication { scheme: way.as_str(), source };
        if let State::Negotiate(expect) = self.state
            && let Some(token) = challenges.decoded(way).map_err(failed)?
        {
            expect.finish(Some(&token)).map_err(|e| failed(e.into()))?;
        }
        Ok(())
    }
}

fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let more = cause.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        for (way, word) in ProxyAuthentication::ALL {
            assert_eq!(word.to_uppercase().parse(), Ok(way));
            assert_eq!(way.to_string(), word);
        }
        assert!("digest".parse::<ProxyAuthentication>().is_err_and(|error| error.contains("negotiate")));
    }

    #[test]
    fn challenges() {
        let read = |values: &[&str]| {
            let found = Challenges::parse(values.iter().copied());
            Way::ALL.map(|way| found.token(way).map(str::to_owned))
        };
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(read(&["Negotiate", "NTLM"]), [text(""), text(""), None]);
        assert_eq!(read(&["Negotiate, Basic realm=\"a, NTLM\", charset=\"UTF-8\""])[1], None);
        assert_eq!(read(&["negotiate YQ=="]), [text("YQ=="), None, None]);
        assert_eq!(read(&["Negotiate", "Negotiate YQ=="])[0], text("YQ=="));
        assert_eq!(read(&["Basic realm=\"x\"", "Bearer"])[2], text("realm=\"x\""));
        assert_eq!(read(&["", ",,", "=", "Digest nonce=\"Basic\""]), [None, None, None]);
        let bad = Challenges::parse(["NTLM %%%", "Negotiate"]);
        assert!(bad.decoded(Way::Ntlm).is_err_and(|error| error.to_string().contains("base64")));
        assert!(matches!(bad.decoded(Way::Negotiate), Ok(None)));
        let large = format!("NTLM {}", "A".repeat(MAX_TOKEN * 2));
        assert!(Challenges::parse([large.as_str()]).decoded(Way::Ntlm).is_err());
    }
}
