//! Authentication tokens as text for people, with the specifications' names.
//!
//! Only what travels in the clear is shown; encrypted parts are given by their type and size.

use std::fmt::{self, Write as _};

use hop_kerberos::{ErrorCode, KdcError};
use rasn::der;
use rasn_kerberos as krb;

use crate::{
    credssp::ts_request::TsRequest,
    ntlm::{
        AvFlags, AvId, AvPairs, NtlmError,
        message::{self, Authenticate, Challenge, ClientChallenge, Negotiate},
    },
    spnego::{Oid, Token, gss_frame},
};

/// Describes a SPNEGO, GSS-API, Kerberos or NTLM token, or TLS records or a TSRequest of CredSSP, in several lines, or returns `None` when the bytes are none.
pub fn describe(token: &[u8]) -> Option<String> {
    let mut out = Text::default();
    out.token(token).then_some(out.text)
}

/// How deep tokens may hold tokens.
const MAX_DEPTH: usize = 8;

#[derive(Default)]
struct Text {
    text: String,
    depth: usize,
}

impl Text {
    fn line(&mut self, line: fmt::Arguments<'_>) {
        let _ = writeln!(self.text, "{:indent$}{line}", "", indent = self.depth * 2);
    }

    fn field(&mut self, name: &str, value: impl fmt::Display) {
        self.line(format_args!("  {name}: {value}"));
    }

    fn nested(&mut self, name: &str, token: &[u8]) {
        self.field(name, format_args!("{} bytes", token.len()));
        self.depth += 2;
        if self.depth <= 2 * MAX_DEPTH {
            self.token(token);
        }
        self.depth -= 2;
    }

    /// Appends what the token is; false if it is nothing known.
    fn token(&mut self, token: &[u8]) -> bool {
        if Token::recognises(token) {
            return match Token::decode(token) {
                Ok(token) => self.spnego(&token),
                Err(error) => {
                    self.line(format_args!("SPNEGO token, malformed: {error}"));
                    true
                }
            };
        }
        if let Some((oid, inner)) = gss_frame(token) {
            self.line(format_args!("GSS-API token of {oid:?}"));
            self.depth += 1;
            self.mechanism(&oid, inner);
            self.depth -= 1;
            return true;
        }
        self.kerberos(token)
            || self.per_message(token)
            || self.ntlm(token)
            || self.ts_request(token)
            || self.tls(token)
    }

    /// TLS records, which CredSSP's tokens are: what kinds and how long.
    fn tls(&mut self, token: &[u8]) -> bool {
        let mut rest = token;
        let mut records = Vec::new();
        while let [kind @ 20..=23, 3, minor @ 1..=4, high, low, after @ ..] = rest {
            let length = usize::from(u16::from_be_bytes([*high, *low]));
            let name = match kind {
                20 => "change_cipher_spec",
                21 => "alert",
                22 => "handshake",
                _ => "application_data",
            };
            let Some(after) = after.get(length..) else { return false };
            records.push((name, *minor, length));
            rest = after;
        }
        if records.is_empty() || !rest.is_empty() {
            return false;
        }
        for (name, minor, length) in records.into_iter().take(64) {
            self.line(format_args!("TLS record {name} (version field 3.{minor}), {length} bytes"));
        }
        true
    }

    /// What CredSSP sends inside TLS. Its sealed parts are given by their size, its nonce is no secret but says nothing.
    fn ts_request(&mut self, token: &[u8]) -> bool {
        let Ok(request) = TsRequest::decode(token) else { return false };
        self.line(format_args!("CredSSP TSRequest"));
        self.field("version", request.version);
        for token in &request.nego_tokens {
            self.nested("negoToken", token);
        }
        self.optional("authInfo", request.auth_info.as_deref(), false);
        self.optional("pubKeyAuth", request.pub_key_auth.as_deref(), false);
        if let Some(status) = request.error_code {
            self.field("errorCode", status);
        }
        self.optional("clientNonce", request.client_nonce.as_deref(), false);
        true
    }

    fn spnego(&mut self, token: &Token) -> bool {
        match token {
            Token::Init(init) => {
                self.line(format_args!("SPNEGO negTokenInit"));
                for mech in &init.mech_types {
                    self.field("mechType", format_args!("{mech:?}"));
                }
                if let Some(name) = &init.hint_name {
                    self.field("hintName", format_args!("{:?}", String::from_utf8_lossy(name)));
                }
                self.optional("mechToken", init.mech_token.as_deref(), true);
                self.optional("mechListMIC", init.mech_list_mic.as_deref(), false);
            }
            Token::Resp(resp) => {
                self.line(format_args!("SPNEGO negTokenResp"));
                if let Some(state) = resp.neg_state {
                    self.field("negState", state.as_str());
                }
                if let Some(mech) = &resp.supported_mech {
                    self.field("supportedMech", format_args!("{mech:?}"));
                }
                self.optional("responseToken", resp.response_token.as_deref(), true);
                self.optional("mechListMIC", resp.mech_list_mic.as_deref(), false);
            }
        }
        true
    }

    fn optional(&mut self, name: &str, bytes: Option<&[u8]>, nested: bool) {
        match bytes {
            Some(bytes) if nested => self.nested(name, bytes),
            Some(bytes) => self.field(name, format_args!("{} bytes", bytes.len())),
            None => {}
        }
    }

    /// What follows the mechanism's name in a framed token: for Kerberos two bytes of token id (RFC 4121 section 4.1).
    fn mechanism(&mut self, oid: &Oid, inner: &[u8]) {
        match inner.split_first_chunk::<2>() {
            Some((id @ ([1, 0] | [2, 0] | [3, 0]), message)) if oid.is_kerberos() => {
                let name = match id {
                    [1, 0] => "AP-REQ",
                    [2, 0] => "AP-REP",
                    _ => "KRB-ERROR",
                };
                self.line(format_args!("token id {:02x} {:02x} ({name})", id[0], id[1]));
                if !self.kerberos(message) {
                    self.line(format_args!("{} bytes that are no Kerberos message", message.len()));
                }
            }
            _ => self.line(format_args!("{} bytes", inner.len())),
        }
    }

    /// A Kerberos message by its application tag (RFC 4120 section 5.10).
    fn kerberos(&mut self, message: &[u8]) -> bool {
        match message.first() {
            Some(0x61) => self.with(message, |text, ticket: &krb::Ticket| text.ticket("Ticket", ticket)),
            Some(0x6a) => self.with(message, |text, m: &krb::AsReq| text.kdc_request("AS-REQ", &m.0)),
            Some(0x6b) => self.with(message, |text, m: &krb::AsRep| text.kdc_reply("AS-REP", &m.0)),
            Some(0x6c) => self.with(message, |text, m: &krb::TgsReq| text.kdc_request("TGS-REQ", &m.0)),
            Some(0x6d) => self.with(message, |text, m: &krb::TgsRep| text.kdc_reply("TGS-REP", &m.0)),
            Some(0x6e) => self.with(message, Self::ap_request),
            Some(0x6f) => self.with(message, |text, m: &krb::ApRep| {
                text.line(format_args!("AP-REP"));
                text.encrypted("enc-part", &m.enc_part);
            }),
            Some(0x76) => self.with(message, |text, m: &krb::KrbCred| {
                text.line(format_args!("KRB-CRED"));
                m.tickets.iter().take(16).for_each(|ticket| text.inside(|t| t.ticket("Ticket", ticket)));
                text.encrypted("enc-part", &m.enc_part);
            }),
            Some(0x7e) => self.kdc_error(message),
            _ => false,
        }
    }

    fn with<T: rasn::Decode>(&mut self, message: &[u8], describe: impl FnOnce(&mut Self, &T)) -> bool {
        match der::decode::<T>(message) {
            Ok(decoded) => {
                describe(self, &decoded);
                true
            }
            Err(_) => false,
        }
    }

    fn inside(&mut self, describe: impl FnOnce(&mut Self)) {
        self.depth += 1;
        describe(self);
        self.depth -= 1;
    }

    fn ap_request(&mut self, request: &krb::ApReq) {
        self.line(format_args!("AP-REQ"));
        let options = &request.ap_options.0;
        let set = |bit: usize| options.get(bit).is_some_and(|bit| *bit);
        let names: Vec<&str> = [(1, "use-session-key"), (2, "mutual-required")]
            .into_iter()
            .filter_map(|(bit, name)| set(bit).then_some(name))
            .collect();
        self.field("ap-options", if names.is_empty() { "none".to_owned() } else { names.join(", ") });
        self.inside(|text| text.ticket("ticket", &request.ticket));
        self.encrypted("authenticator", &request.authenticator);
    }

    fn ticket(&mut self, name: &str, ticket: &krb::Ticket) {
        self.line(format_args!("{name}"));
        self.field("sname", principal(Some(&ticket.sname), &ticket.realm));
        self.encrypted("enc-part", &ticket.enc_part);
    }

    fn kdc_request(&mut self, name: &str, request: &krb::KdcReq) {
        self.line(format_args!("{name}"));
        let body = &request.req_body;
        for data in request.padata.iter().flatten().take(32) {
            self.field("padata", format_args!("type {}, {} bytes", data.r#type, data.value.len()));
        }
        self.field("kdc-options", kdc_options(&body.kdc_options));
        if let Some(client) = &body.cname {
            self.field("cname", principal(Some(client), &body.realm));
        }
        self.field("sname", principal(body.sname.as_ref(), &body.realm));
        let etypes: Vec<String> = body.etype.iter().take(32).map(|e| etype(*e)).collect();
        self.field("etype", etypes.join(", "));
        for ticket in body.additional_tickets.iter().flatten().take(4) {
            self.inside(|text| text.ticket("additional-ticket", ticket));
        }
    }

    fn kdc_reply(&mut self, name: &str, reply: &krb::KdcRep) {
        self.line(format_args!("{name}"));
        for data in reply.padata.iter().flatten().take(32) {
            self.field("padata", format_args!("type {}, {} bytes", data.r#type, data.value.len()));
        }
        self.field("cname", principal(Some(&reply.cname), &reply.crealm));
        self.inside(|text| text.ticket("ticket", &reply.ticket));
        self.encrypted("enc-part", &reply.enc_part);
    }

    fn kdc_error(&mut self, message: &[u8]) -> bool {
        let Ok(error) = KdcError::parse(message) else { return false };
        self.line(format_args!("KRB-ERROR"));
        self.field("error-code", error.code);
        if let Some(text) = error.code.description() {
            self.field("meaning", text);
        }
        if let Some(text) = &error.text {
            self.field("e-text", format_args!("{:?}", text.chars().take(200).collect::<String>()));
        }
        if let Some(client) = &error.client {
            self.field("cname", client);
        }
        self.field("sname", &error.server);
        if error.code == ErrorCode::KRB_AP_ERR_SKEW {
            self.field("note", "the clocks of client and server differ by more than the allowed skew");
        }
        true
    }

    fn encrypted(&mut self, name: &str, data: &krb::EncryptedData) {
        let kvno = data.kvno.map(|kvno| format!(", kvno {kvno}")).unwrap_or_default();
        self.field(name, format_args!("{}{kvno}, {} bytes encrypted", etype(data.etype), data.cipher.len()));
    }

    /// Per-message tokens (RFC 4121 section 4.2.6).
    fn per_message(&mut self, token: &[u8]) -> bool {
        let Some((header, rest)) = token.split_first_chunk::<16>() else { return false };
        let [id0, id1, flags, filler, a, b, c, d, seq @ ..] = header;
        let name = match (id0, id1, filler) {
            (5, 4, 0xff) => "Wrap",
            (4, 4, 0xff) => "MIC",
            _ => return false,
        };
        self.line(format_args!("GSS-API {name} token of Kerberos (RFC 4121)"));
        let flag_names: Vec<&str> = [(1, "SentByAcceptor"), (2, "Sealed"), (4, "AcceptorSubkey")]
            .into_iter()
            .filter_map(|(bit, name)| (flags & bit != 0).then_some(name))
            .collect();
        self.field("flags", if flag_names.is_empty() { "none".to_owned() } else { flag_names.join(", ") });
        if name == "Wrap" {
            self.field("EC", u16::from_be_bytes([*a, *b]));
            self.field("RRC", u16::from_be_bytes([*c, *d]));
        }
        self.field("SND_SEQ", u64::from_be_bytes(*seq));
        self.field("content", format_args!("{} bytes", rest.len()));
        true
    }

    fn ntlm(&mut self, token: &[u8]) -> bool {
        let Some(kind) = message::kind(token) else { return false };
        let (name, described) = match kind {
            1 => ("NEGOTIATE_MESSAGE", Negotiate::decode(token).map(NtlmMessage::Negotiate)),
            2 => ("CHALLENGE_MESSAGE", Challenge::decode(token).map(NtlmMessage::Challenge)),
            3 => ("AUTHENTICATE_MESSAGE", Authenticate::decode(token).map(NtlmMessage::Authenticate)),
            _ => ("message of unknown type", Err(NtlmError::Malformed("unknown type"))),
        };
        match described {
            Ok(message) => {
                self.line(format_args!("NTLM {name}, {} bytes", token.len()));
                self.ntlm_message(&message);
            }
            Err(error) => self.line(format_args!("NTLM {name}, {} bytes: {error}", token.len())),
        }
        true
    }

    /// Challenges, proofs, keys and MICs are left out: with them a password can be guessed at.
    fn ntlm_message(&mut self, message: &NtlmMessage) {
        let flags = match message {
            NtlmMessage::Negotiate(m) => m.flags,
            NtlmMessage::Challenge(m) => m.flags,
            NtlmMessage::Authenticate(m) => m.flags,
        };
        let names: Vec<&str> = flags.iter_names().map(|(name, _)| name).collect();
        self.field("NegotiateFlags", format_args!("{:#010x} ({})", flags.bits(), names.join(", ")));
        match message {
            NtlmMessage::Negotiate(_) => {}
            NtlmMessage::Challenge(m) => {
                self.field("TargetName", format_args!("{:?}", excerpt(&m.target_name)));
                if let Some(pairs) = &m.target_info {
                    self.av_pairs(pairs);
                }
            }
            NtlmMessage::Authenticate(m) => {
                self.field("DomainName", format_args!("{:?}", excerpt(&m.domain)));
                self.field("UserName", format_args!("{:?}", excerpt(&m.user)));
                self.field("Workstation", format_args!("{:?}", excerpt(&m.workstation)));
                self.field("LmChallengeResponse", format_args!("{} bytes", m.lm_response.len()));
                let version = match m.nt_response.len() {
                    0 => "none",
                    24 => "NTLMv1",
                    _ => "NTLMv2",
                };
                self.field("NtChallengeResponse", format_args!("{} bytes, {version}", m.nt_response.len()));
                let blob = m.nt_response.get(16..).unwrap_or_default();
                if let Ok(client) = ClientChallenge::decode(blob) {
                    self.av_pairs(&client.pairs);
                }
                let key = m.encrypted_session_key.len();
                self.field("EncryptedRandomSessionKey", format_args!("{key} bytes"));
            }
        }
    }

    fn av_pairs(&mut self, pairs: &AvPairs) {
        for (id, value) in pairs.iter() {
            match id {
                id if id.is_text() => match message::text(value) {
                    Ok(text) => self.field("AvPair", format_args!("{id} {:?}", excerpt(&text))),
                    Err(_) => self.field("AvPair", format_args!("{id}, no text")),
                },
                AvId::FLAGS => {
                    let bits = pairs.number(id).unwrap_or_default();
                    let mic = if bits & AvFlags::MIC != 0 { " (MIC provided)" } else { "" };
                    self.field("AvPair", format_args!("{id} {bits:#x}{mic}"));
                }
                AvId::CHANNEL_BINDINGS if value.iter().all(|b| *b == 0) => {
                    self.field("AvPair", format_args!("{id}, none"));
                }
                _ => self.field("AvPair", format_args!("{id}, {} bytes", value.len())),
            }
        }
    }
}

enum NtlmMessage {
    Negotiate(Negotiate),
    Challenge(Challenge),
    Authenticate(Authenticate),
}

fn excerpt(text: &str) -> String {
    text.chars().take(120).collect()
}

fn etype(number: i32) -> String {
    match hop_kerberos::EncryptionType::from_number(number).name() {
        Some(name) => format!("{name} ({number})"),
        None => format!("etype {number}"),
    }
}

fn principal(name: Option<&krb::PrincipalName>, realm: &krb::Realm) -> String {
    let text =
        |bytes: &[u8]| String::from_utf8_lossy(bytes).chars().filter(|c| !c.is_control()).collect::<String>();
    let components: Vec<String> =
        name.into_iter().flat_map(|n| &n.string).take(16).map(|c| text(c)).collect();
    format!("{}@{}", components.join("/"), text(realm))
}

fn kdc_options(options: &krb::KdcOptions) -> String {
    const NAMES: [(usize, &str); 15] = [
        (1, "forwardable"),
        (2, "forwarded"),
        (3, "proxiable"),
        (4, "proxy"),
        (5, "allow-postdate"),
        (6, "postdated"),
        (8, "renewable"),
        (14, "cname-in-addl-tkt"),
        (15, "canonicalize"),
        (16, "request-anonymous"),
        (26, "disable-transited-check"),
        (27, "renewable-ok"),
        (28, "enc-tkt-in-skey"),
        (30, "renew"),
        (31, "validate"),
    ];
    let names: Vec<&str> = NAMES
        .into_iter()
        .filter_map(|(bit, name)| options.0.get(bit).is_some_and(|b| *b).then_some(name))
        .collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ntlm_messages_show_names_and_no_proofs() {
        let negotiate = describe(include_bytes!("../tests/corpus/ntlm/negotiate")).unwrap();
        assert!(negotiate.contains("NTLM NEGOTIATE_MESSAGE"), "{negotiate}");
        assert!(negotiate.contains("UNICODE") && negotiate.contains("KEY_EXCH"), "{negotiate}");
        let challenge = describe(include_bytes!("../tests/corpus/ntlm/challenge")).unwrap();
        assert!(challenge.contains("MsvAvNbDomainName \"WORKSTATION\""), "{challenge}");
        let bytes = include_bytes!("../tests/corpus/ntlm/authenticate");
        let authenticate = describe(bytes).unwrap();
        for part in [
            "DomainName: \"CORP\"",
            "UserName: \"alice\"",
            "NTLMv2",
            "MIC provided",
            "\"HTTP/servera\"",
            "16 bytes",
        ] {
            assert!(authenticate.contains(part), "{part} in {authenticate}");
        }
        let message = Authenticate::decode(bytes).unwrap();
        for secret in [&message.nt_response[..4], &message.encrypted_session_key[..4]] {
            let hex: String = secret.iter().map(|b| format!("{b:02x}")).collect();
            assert!(!authenticate.to_lowercase().contains(&hex), "{authenticate}");
        }
        let cut = describe(&bytes[..70]).unwrap();
        assert!(cut.contains("AUTHENTICATE_MESSAGE") && cut.contains("malformed"), "{cut}");
    }

    #[test]
    fn credssp_shows_what_is_inside_and_no_secrets() {
        let text = describe(include_bytes!("../tests/corpus/ts_request/negotiate")).unwrap();
        assert!(text.contains("version: 6") && text.contains("NTLM NEGOTIATE_MESSAGE"), "{text}");
        let text = describe(include_bytes!("../tests/corpus/ts_request/error")).unwrap();
        assert!(text.contains("errorCode: STATUS_LOGON_FAILURE"), "{text}");
        let text = describe(include_bytes!("../tests/corpus/ts_request/credentials")).unwrap();
        assert!(text.contains("authInfo: 100 bytes") && !text.contains("aaaa"), "{text}");
        let tls = describe(b"\x16\x03\x03\0\x01x\x17\x03\x03\0\x02yz").unwrap();
        assert!(tls.contains("handshake") && tls.contains("application_data"), "{tls}");
        assert_eq!(describe(b"\x16\x03\x03\0\x09x"), None);
    }
}
