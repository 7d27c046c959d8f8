//! What AS-REP and TGS-REP have in common.

use std::time::SystemTime;

use crate::asn1::{self, decode};
use crate::{Credential, EncryptedData, EncryptionType, Error, KdcError, Principal, Ticket, TicketFlags};

/// A KDC-REP whose sealed part is still closed.
pub(super) struct Reply {
    pub padata: Vec<asn1::PaData>,
    pub client: Principal,
    pub ticket: Ticket,
    pub ticket_der: Vec<u8>,
    pub enc_part: EncryptedData,
}

/// What the reply's opened part must agree with.
pub(super) struct Expected<'a> {
    pub nonce: u32,
    /// Whom the ticket names; none where the caller has looked at that already.
    pub client: Option<&'a Principal>,
}

/// Reads a reply of the wanted kind, or the KDC's error.
pub(super) fn parse(bytes: &[u8], msg_type: i32) -> Result<Result<Reply, KdcError>, Error> {
    let (what, tag) = if msg_type == 11 { ("AS-REP", 11) } else { ("TGS-REP", 13) };
    let body = match asn1::application_tag(bytes) {
        Some(30) => return KdcError::parse(bytes).map(Err),
        Some(t) if t == tag && msg_type == 11 => decode::<asn1::AsRep>(what, bytes)?.0,
        Some(t) if t == tag => decode::<asn1::TgsRep>(what, bytes)?.0,
        Some(t) => return Err(Error::Unexpected { expected: what, got: format!("kerberos message {t}") }),
        None => return Err(Error::Unexpected { expected: what, got: "no kerberos message".to_owned() }),
    };
    if body.pvno != 5 || body.msg_type != msg_type {
        return Err(asn1::malformed(what, "wrong version or message type"));
    }
    let ticket_der = body.ticket.into_bytes();
    Ok(Ok(Reply {
        padata: body.padata.unwrap_or_default(),
        client: asn1::principal(&body.cname, &body.crealm)?,
        ticket: Ticket::parse(&ticket_der)?,
        ticket_der,
        enc_part: EncryptedData::from_asn1(&body.enc_part),
    }))
}

/// A KDC may give session keys of another type than asked for, but no deprecated one that nobody asked for.
pub(super) fn check_session_key(credential: &Credential, asked_for: &[EncryptionType]) -> Result<(), Error> {
    let etype = credential.session_key.etype;
    match etype.is_deprecated() && !asked_for.contains(&etype) {
        true => Err(Error::UnsupportedEncryptionType(etype)),
        false => Ok(()),
    }
}

impl Reply {
    /// Compares the opened part with the request and the rest of the reply, and makes a credential of it.
    pub(super) fn credential(
        self,
        plain: &[u8],
        expected: &Expected<'_>,
        now: SystemTime,
    ) -> Result<Credential, Error> {
        // A KDC of long ago tags both kinds alike; RFC 4120 5.4.2 asks to take either.
        let part = match asn1::application_tag(plain) {
            Some(25) => decode::<asn1::EncAsRepPart>("EncASRepPart", plain)?.0,
            _ => decode::<asn1::EncTgsRepPart>("EncTGSRepPart", plain)?.0,
        };
        if asn1::low32(part.nonce) != expected.nonce {
            return Err(Error::ReplyMismatch("its nonce is not the request's".to_owned()));
        }
        if let Some(client) = expected.client.filter(|client| **client != self.client) {
            return Err(Error::ReplyMismatch(format!("it is for {}, not {client}", self.client)));
        }
        let server = asn1::principal(&part.sname, &part.srealm)?;
        if server != self.ticket.server {
            let got = &self.ticket.server;
            return Err(Error::ReplyMismatch(format!("it speaks of {server} and holds a ticket for {got}")));
        }
        let end_time = asn1::system_time(&part.endtime);
        if end_time <= now {
            return Err(Error::TicketExpired { end_time });
        }
        Ok(Credential {
            client: self.client,
            server,
            session_key: asn1::encryption_key(&part.key)?,
            ticket: self.ticket_der,
            flags: TicketFlags::from_bits_retain(asn1::bits(&part.flags)),
            auth_time: asn1::system_time(&part.authtime),
            start_time: part.starttime.as_ref().map(asn1::system_time),
            end_time,
            renew_till: part.renew_till.as_ref().map(asn1::system_time),
            addresses: asn1::host_addresses(part.caddr.as_ref()),
            authorization_data: Vec::new(),
            second_ticket: Vec::new(),
            is_skey: false,
        })
    }
}

/// A KDC's complaint about the clock becomes a typed error with the amount, any other its own.
pub(super) fn kdc_error(error: KdcError, now: SystemTime, skew: std::time::Duration) -> Error {
    if error.code == crate::ErrorCode::KRB_AP_ERR_SKEW
        && let Err(e) = crate::ap::check_skew(error.server_time, now, skew)
    {
        return e;
    }
    error.into()
}
