//! Logs in to a directory by NTLM inside SPNEGO (SASL's GSS-SPNEGO) and asks it one question in sealed messages: shows
//! the context by itself, against a server that is not WinRM.
//!
//! `ldap_login HOST USER BASE < PASSWORD` prints the distinguished name of the base object.
#![allow(clippy::print_stdout, reason = "the answer")]

use std::error::Error;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, SystemTime};

use hop_auth::spnego::{Initiate, Initiator, InitiatorMechanisms};
use hop_auth::{SecurityContext, UserName, ntlm};
use hop_secret::SecretString;

/// The largest message that is read, in bytes.
const LIMIT: usize = 1 << 20;

fn main() -> Result<(), Box<dyn Error>> {
    let [host, user, base] =
        std::env::args().skip(1).collect::<Vec<_>>().try_into().map_err(|_| "HOST USER BASE")?;
    let password =
        SecretString::new(std::io::read_to_string(std::io::stdin())?.trim_end_matches('\n').to_owned());
    let mut stream = TcpStream::connect((host.as_str(), 389))?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    let mut context = bind(&mut stream, &host, &user, &password)?;

    // SearchRequest: base object only, (objectClass=*), no attributes.
    let search = [
        element(4, base.as_bytes()),
        element(10, &[0]),
        element(10, &[0]),
        element(2, &[1]),
        element(2, &[10]),
        element(1, &[0]),
        element(0x87, b"objectClass"),
        element(0x30, &element(4, b"1.1")),
    ]
    .concat();
    let request = message(9, 0x63, &search);
    let sealed = context.wrap(&request)?;
    assert!(!sealed.body.windows(base.len()).any(|w| w == base.as_bytes()), "the question is readable");
    let token = [sealed.header, sealed.body].concat();
    stream.write_all(&(token.len() as u32).to_be_bytes())?;
    stream.write_all(&token)?;
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length) as usize;
    if length > LIMIT {
        return Err("the answer is too long".into());
    }
    let mut token = vec![0; length];
    stream.read_exact(&mut token)?;
    let answer = context.unwrap_token(&token)?;
    let (tag, content) = operation(&answer)?;
    if tag != 0x64 {
        return Err(format!("expected an entry, got operation {tag:#x}").into());
    }
    println!("{}", String::from_utf8(first(content)?.1.to_vec())?);
    Ok(())
}

fn bind(
    stream: &mut TcpStream,
    host: &str,
    user: &str,
    password: &SecretString,
) -> Result<Box<dyn SecurityContext>, Box<dyn Error>> {
    let credential = ntlm::Credential::with_password(UserName::parse(user), password);
    let options = ntlm::InitiatorOptions {
        target_name: Some(format!("ldap/{host}")),
        channel_bindings: None,
        workstation: String::new(),
    };
    let started = ntlm::Initiator::start(credential, options, SystemTime::now(), &mut rand::rng());
    let mechanisms = InitiatorMechanisms { kerberos: None, ntlm: Some(started) };
    let (mut token, mut expect) = Initiator::negotiate(mechanisms)?;
    for number in 1..=4 {
        let sasl = [element(4, b"GSS-SPNEGO"), element(4, &token)].concat();
        let request = [element(2, &[3]), element(4, b""), element(0xa3, &sasl)].concat();
        stream.write_all(&message(number, 0x60, &request))?;
        let answer = read_message(stream)?;
        let (tag, content) = operation(&answer)?;
        let (_, code) = first(content)?;
        if tag != 0x61 || !matches!(code, [0] | [14]) {
            return Err(format!("bind refused: {}", String::from_utf8_lossy(content)).into());
        }
        let reply = find(content, 0x87)?.unwrap_or_default();
        match expect.handle(reply)? {
            Initiate::Continue { token: next, next: then } => (token, expect) = (next, then),
            Initiate::Established(established) => return Ok(established.context),
        }
    }
    Err("the negotiation does not end".into())
}

fn message(number: u8, tag: u8, content: &[u8]) -> Vec<u8> {
    element(0x30, &[element(2, &[number]), element(tag, content)].concat())
}

fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = (content.len() as u32).to_be_bytes();
    [&[tag, 0x84], length.as_slice(), content].concat()
}

fn read_message(stream: &mut TcpStream) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut bytes = Vec::new();
    loop {
        match first(&bytes) {
            Ok(_) => return Ok(bytes),
            Err(_) if bytes.len() < LIMIT => {
                let mut more = [0; 4096];
                let length = stream.read(&mut more)?;
                if length == 0 {
                    return Err("the connection ended".into());
                }
                bytes.extend_from_slice(&more[..length]);
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// The operation in a message.
fn operation(message: &[u8]) -> Result<(u8, &[u8]), &'static str> {
    let (_, content) = first(message)?;
    let (_, id) = first(content)?;
    first(&content[element_length(id, content)..])
}

/// How long an element at the start is whose content is known.
fn element_length(inner: &[u8], outer: &[u8]) -> usize {
    inner.as_ptr() as usize - outer.as_ptr() as usize + inner.len()
}

fn find(mut content: &[u8], wanted: u8) -> Result<Option<&[u8]>, &'static str> {
    while !content.is_empty() {
        let (tag, inner) = first(content)?;
        if tag == wanted {
            return Ok(Some(inner));
        }
        content = &content[element_length(inner, content)..];
    }
    Ok(None)
}

/// Tag and content of the first element; BER's definite lengths.
fn first(bytes: &[u8]) -> Result<(u8, &[u8]), &'static str> {
    let [tag, length, rest @ ..] = bytes else { return Err("truncated") };
    let (length, rest) = match usize::from(*length) {
        short @ ..0x80 => (short, rest),
        long => {
            let count = long & 0x7f;
            let (bytes, rest) = rest.split_at_checked(count).ok_or("truncated")?;
            (bytes.iter().fold(0, |n, b| n << 8 | usize::from(*b)), rest)
        }
    };
    rest.get(..length).map(|content| (*tag, content)).ok_or("truncated")
}
