//! SPNEGO (RFC 4178 with [MS-SPNG]): the tokens, and both ends of a negotiation.

mod acceptor;
mod initiator;
mod oid;

use std::fmt;

pub use acceptor::{Accept, Acceptor, AcceptorMechanisms, NeedKerberos, NeedNtlm, Refused};
pub use initiator::{Established, ExpectReply, Initiate, Initiator, InitiatorMechanisms};
pub use oid::Oid;

use crate::der::{self, DerError, Fields, Reader, put};

/// The most mechanisms that one token may list.
const MAX_MECHANISMS: usize = 32;

/// What authenticated the two ends to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mechanism {
    /// Kerberos, by the service's key.
    Kerberos,
    /// NTLM, which proves nothing of the server but that it can have the user's proof verified.
    Ntlm,
}

impl fmt::Display for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Mechanism::Kerberos => "Kerberos",
            Mechanism::Ntlm => "NTLM",
        })
    }
}

/// A negotiation token (RFC 4178 section 4.2).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Token {
    /// The initiator's first token.
    Init(NegTokenInit),
    /// Every later token, of both ends.
    Resp(NegTokenResp),
}

/// `negTokenInit` (RFC 4178 section 4.2.1), or NegTokenInit2 ([MS-SPNG] 2.2.1), which adds the hints.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NegTokenInit {
    /// The mechanisms that the sender offers, the preferred one first.
    pub mech_types: Vec<Oid>,
    /// The context flags as the BIT STRING's content; obsolete, kept as sent.
    pub req_flags: Option<Vec<u8>>,
    /// The first token of the preferred mechanism, sent in the hope that the peer takes it.
    pub mech_token: Option<Vec<u8>>,
    /// The hint name of NegTokenInit2, usually `not_defined_in_RFC4178@please_ignore`.
    pub hint_name: Option<Vec<u8>>,
    /// The MIC over the encoded `mech_types`.
    pub mech_list_mic: Option<Vec<u8>>,
}

/// `negTokenResp` (RFC 4178 section 4.2.2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NegTokenResp {
    /// How the negotiation stands; required in the acceptor's first token.
    pub neg_state: Option<NegState>,
    /// The mechanism that the acceptor chose.
    pub supported_mech: Option<Oid>,
    /// The mechanism's next token.
    pub response_token: Option<Vec<u8>>,
    /// The MIC over the initiator's encoded `mech_types`.
    pub mech_list_mic: Option<Vec<u8>>,
}

/// `negState` (RFC 4178 section 4.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NegState {
    /// accept-completed: nothing more is expected.
    AcceptCompleted,
    /// accept-incomplete: another token is expected.
    AcceptIncomplete,
    /// reject: no common mechanism, or the mechanism failed.
    Reject,
    /// request-mic: the mechListMIC must be exchanged.
    RequestMic,
}

impl NegState {
    /// The specification's name.
    pub fn as_str(self) -> &'static str {
        match self {
            NegState::AcceptCompleted => "accept-completed",
            NegState::AcceptIncomplete => "accept-incomplete",
            NegState::Reject => "reject",
            NegState::RequestMic => "request-mic",
        }
    }

    fn from_byte(byte: u8) -> Result<Self, DerError> {
        Ok(match byte {
            0 => NegState::AcceptCompleted,
            1 => NegState::AcceptIncomplete,
            2 => NegState::Reject,
            3 => NegState::RequestMic,
            _ => return Err(DerError::Value),
        })
    }

    fn to_byte(self) -> u8 {
        match self {
            NegState::AcceptCompleted => 0,
            NegState::AcceptIncomplete => 1,
            NegState::Reject => 2,
            NegState::RequestMic => 3,
        }
    }
}

/// The mechanism that an initial GSS-API token names and what follows the name (RFC 2743 section 3.1), or `None`
/// when the bytes are no such token.
pub fn gss_frame(token: &[u8]) -> Option<(Oid, &[u8])> {
    let content = der::only(token, der::APPLICATION_0).ok()?;
    let mut reader = Reader::new(content);
    let oid = Oid::from_content(reader.element(der::OBJECT_IDENTIFIER).ok()?)?;
    Some((oid, reader.rest()))
}

impl Token {
    /// Whether the bytes begin like a negotiation token: framed with SPNEGO's own mechanism, or a bare choice.
    pub fn recognises(bytes: &[u8]) -> bool {
        match bytes.first() {
            Some(0xa0 | 0xa1) => true,
            _ => gss_frame(bytes).is_some_and(|(oid, _)| oid == Oid::SPNEGO),
        }
    }

    /// Reads a token, with its GSS-API frame or without.
    pub fn decode(bytes: &[u8]) -> Result<Self, DerError> {
        let bytes = match gss_frame(bytes) {
            Some((oid, rest)) if oid == Oid::SPNEGO => rest,
            Some(_) => return Err(DerError::Value),
            None => bytes,
        };
        let mut reader = Reader::new(bytes);
        let (tag, content) = reader.any()?;
        reader.end()?;
        let fields = Fields::new(der::only(content, der::SEQUENCE)?);
        match tag {
            0xa0 => NegTokenInit::decode(fields).map(Token::Init),
            0xa1 => NegTokenResp::decode(fields).map(Token::Resp),
            got => Err(DerError::Tag { expected: 0xa0, got }),
        }
    }

    /// Writes the token: an init token with its GSS-API frame, a response bare.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Token::Init(init) => {
                let mut framed = der::element(der::OBJECT_IDENTIFIER, Oid::SPNEGO.content());
                framed.extend(der::element(0xa0, &init.encode()));
                der::element(der::APPLICATION_0, &framed)
            }
            Token::Resp(resp) => der::element(0xa1, &resp.encode()),
        }
    }
}

/// The DER encoding of a mechanism list, over which the mechListMIC is computed (RFC 4178 section 5).
pub fn encode_mech_types(mech_types: &[Oid]) -> Vec<u8> {
    let list: Vec<u8> =
        mech_types.iter().flat_map(|oid| der::element(der::OBJECT_IDENTIFIER, oid.content())).collect();
    der::element(der::SEQUENCE, &list)
}

impl NegTokenInit {
    fn decode(mut fields: Fields<'_>) -> Result<Self, DerError> {
        let mut token = Self::default();
        if let Some(content) = fields.next(0)? {
            let mut list = Reader::new(der::only(content, der::SEQUENCE)?);
            while list.peek().is_some() {
                if token.mech_types.len() == MAX_MECHANISMS {
                    return Err(DerError::Value);
                }
                let oid = list.element(der::OBJECT_IDENTIFIER)?;
                token.mech_types.push(Oid::from_content(oid).ok_or(DerError::Value)?);
            }
        }
        token.req_flags = fields.inner(1, der::BIT_STRING)?;
        token.mech_token = fields.inner(2, der::OCTET_STRING)?;
        // [3] is the hint in NegTokenInit2 and the MIC in RFC 4178's own form; their contents tell them apart.
        if let Some(content) = fields.next(3)? {
            if content.first() == Some(&der::OCTET_STRING) {
                token.mech_list_mic = Some(der::only(content, der::OCTET_STRING)?.to_vec());
            } else {
                let mut hints = Fields::new(der::only(content, der::SEQUENCE)?);
                token.hint_name = Some(hints.inner(0, der::GENERAL_STRING)?.unwrap_or_default());
            }
        }
        if token.hint_name.is_some() {
            token.mech_list_mic = fields.inner(4, der::OCTET_STRING)?;
        }
        fields.end()?;
        Ok(token)
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = der::element(der::context(0), &encode_mech_types(&self.mech_types));
        put(&mut out, 1, der::BIT_STRING, self.req_flags.as_deref());
        put(&mut out, 2, der::OCTET_STRING, self.mech_token.as_deref());
        let mut mic = 3;
        if let Some(name) = &self.hint_name {
            let name = der::element(der::context(0), &der::element(der::GENERAL_STRING, name));
            out.extend(der::element(der::context(3), &der::element(der::SEQUENCE, &name)));
            mic = 4;
        }
        put(&mut out, mic, der::OCTET_STRING, self.mech_list_mic.as_deref());
        der::element(der::SEQUENCE, &out)
    }
}

impl NegTokenResp {
    fn decode(mut fields: Fields<'_>) -> Result<Self, DerError> {
        let neg_state = match fields.inner(0, der::ENUMERATED)?.as_deref() {
            None => None,
            Some([byte]) => Some(NegState::from_byte(*byte)?),
            Some(_) => return Err(DerError::Value),
        };
        let supported_mech = match fields.inner(1, der::OBJECT_IDENTIFIER)? {
            None => None,
            Some(content) => Some(Oid::from_content(&content).ok_or(DerError::Value)?),
        };
        let token = Self {
            neg_state,
            supported_mech,
            response_token: fields.inner(2, der::OCTET_STRING)?,
            mech_list_mic: fields.inner(3, der::OCTET_STRING)?,
        };
        fields.end()?;
        Ok(token)
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let state = self.neg_state.map(|state| [state.to_byte()]);
        put(&mut out, 0, der::ENUMERATED, state.as_ref().map(|s| s.as_slice()));
        put(&mut out, 1, der::OBJECT_IDENTIFIER, self.supported_mech.as_ref().map(Oid::content));
        put(&mut out, 2, der::OCTET_STRING, self.response_token.as_deref());
        put(&mut out, 3, der::OCTET_STRING, self.mech_list_mic.as_deref());
        der::element(der::SEQUENCE, &out)
    }
}
