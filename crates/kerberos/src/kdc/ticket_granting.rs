//! The ticket-granting service: who shows a ticket-granting ticket may ask for others (RFC 4120 3.3).

use std::time::SystemTime;

use rand_core::CryptoRng;

use super::authentication::apart;
use super::delegation::{InNameOf, user};
use super::{EntryFlags, Failure, Kdc, Refusal, TicketRequest, Wanted, whole_seconds};
use crate::asn1::{self, pa};
use crate::crypto::KeyUsage;
use crate::s4u::{PacOptions, X509User};
use crate::{
    Credential, EncTicketPart, EncryptedData, EncryptionKey, EncryptionType, Error, ErrorCode, KdcOptions,
    Principal, Ticket,
};

/// Authorization data in a request, sealed with the TGT's session key (RFC 4120 7.5.1).
const AUTHORIZATION_DATA_SESSION_KEY: KeyUsage = KeyUsage(4);
/// The same, sealed with the authenticator's subkey.
const AUTHORIZATION_DATA_SUBKEY: KeyUsage = KeyUsage(5);

impl Kdc {
    /// Checks who asks in a TGS-REQ.
    pub(super) fn check_ticket_request(&self, request: &[u8], now: SystemTime) -> Result<Wanted, Failure> {
        let mut failure_client = None;
        self.check(request, now, &mut failure_client).map_err(|mut failure| {
            failure.details.client = failure.details.client.or(failure_client);
            failure
        })
    }

    fn check(
        &self,
        request: &[u8],
        now: SystemTime,
        known_client: &mut Option<Principal>,
    ) -> Result<Wanted, Failure> {
        let asn1::TgsReq(request) = asn1::decode("TGS-REQ", request)?;
        if request.pvno != 5 || request.msg_type != 12 {
            return Err(Refusal::new(ErrorCode::KRB_ERR_GENERIC, "another version or message type").into());
        }
        let padata = request.padata.unwrap_or_default();
        let ap_req = padata
            .iter()
            .find(|padata| padata.padata_type == pa::TGS_REQ)
            .ok_or(Refusal::new(ErrorCode::KDC_ERR_PADATA_TYPE_NOSUPP, "no ticket-granting ticket"))?;
        let ap_req: asn1::ApReq = asn1::decode("AP-REQ", &ap_req.padata_value)?;
        let body: asn1::KdcReqBody = asn1::decode("KDC-REQ-BODY", request.req_body.as_bytes())?;
        let options = KdcOptions::from_bits_retain(asn1::bits(&body.kdc_options));

        let ticket = Ticket::parse(ap_req.ticket.as_bytes())?;
        let tgt = self.open(&ticket)?;
        *known_client = Some(tgt.client.clone());
        tgt.check_times(now, self.policy.clock_skew)?;
        let authenticator = self.open_authenticator(&ap_req, &tgt, request.req_body.as_bytes(), now)?;

        let server = match &body.sname {
            Some(name) => asn1::principal(name, &body.realm)?,
            None => {
                return Err(Refusal::new(ErrorCode::KDC_ERR_S_PRINCIPAL_UNKNOWN, "no service named").into());
            }
        };
        if server.realm != self.realm {
            return Err(Refusal::new(ErrorCode::KDC_ERR_WRONG_REALM, "this kdc serves another realm").into());
        }
        let subkey = authenticator.subkey.as_ref().map(asn1::encryption_key).transpose()?;
        let seal_with = match options.contains(KdcOptions::ENC_TKT_IN_SKEY) {
            true => Some(self.user_to_user_key(&body, &server, now)?),
            false => None,
        };
        let authorization_data = match &body.enc_authorization_data {
            None => Vec::new(),
            Some(sealed) => {
                let sealed = EncryptedData::from_asn1(sealed);
                let (key, usage) = match &subkey {
                    Some(subkey) => (subkey, AUTHORIZATION_DATA_SUBKEY),
                    None => (&tgt.session_key, AUTHORIZATION_DATA_SESSION_KEY),
                };
                let opened = key.decrypt(usage, &sealed.cipher, "enc-authorization-data")?;
                asn1::authorization_data(Some(&asn1::decode("AuthorizationData", opened.expose())?))
            }
        };
        let (reply_key, reply_usage) = match subkey {
            Some(subkey) => (subkey, KeyUsage::TGS_REP_SUBKEY),
            None => (tgt.session_key.clone(), KeyUsage::TGS_REP_SESSION_KEY),
        };
        let (user, user_id) = user(&padata, &tgt.session_key, &reply_key, body.nonce)?;
        let in_name_of = match (user, options.contains(KdcOptions::CNAME_IN_ADDL_TKT)) {
            (None, false) => None,
            (Some(user), false) => Some(InNameOf::User(user)),
            (None, true) => Some(InNameOf::Evidence(Box::new(self.evidence(&body, &padata, now)?))),
            (Some(_), true) => {
                return Err(Refusal::new(ErrorCode::KDC_ERR_BADOPTION, "a user and evidence of one").into());
            }
        };
        Ok(Wanted {
            request: TicketRequest {
                client: tgt.client.clone(),
                server,
                options,
                till: asn1::system_time(&body.till),
                renew_till: body.rtime.as_ref().map(asn1::system_time),
                etypes: body.etype.iter().copied().map(EncryptionType::from_number).collect(),
                addresses: asn1::host_addresses(body.addresses.as_ref()),
                authorization_data,
                tgt,
                tgt_server: ticket.server,
                seal_with,
                in_name_of,
            },
            reply_key,
            reply_usage,
            nonce: body.nonce,
            user_id,
        })
    }

    /// Opens a ticket-granting ticket for this realm: its own, or one from a realm that it trusts.
    pub(super) fn open(&self, ticket: &Ticket) -> Result<EncTicketPart, Failure> {
        let not_us =
            Refusal::new(ErrorCode::KRB_AP_ERR_NOT_US, "not a ticket-granting ticket for this realm");
        if ticket.server.components != ["krbtgt", &self.realm] {
            return Err(not_us.into());
        }
        let entry = self.database.lookup(&ticket.server).ok_or(not_us)?;
        if entry.flags.contains(EntryFlags::LOCKED) {
            let code = ErrorCode::KDC_ERR_TGT_REVOKED;
            return Err(Refusal::new(code, "tickets from there are not accepted any more").into());
        }
        let key = entry.key(ticket.enc_part.etype, ticket.enc_part.kvno).ok_or(Refusal::new(
            ErrorCode::KRB_AP_ERR_BADKEYVER,
            "no such key of the ticket-granting service",
        ))?;
        Ok(ticket.open(&key.key)?)
    }

    /// Opens the authenticator and checks that it belongs to the ticket and to this request.
    fn open_authenticator(
        &self,
        ap_req: &asn1::ApReq,
        tgt: &EncTicketPart,
        body: &[u8],
        now: SystemTime,
    ) -> Result<asn1::Authenticator, Failure> {
        let refuse = |code, text| Err(Failure::from(Refusal::new(code, text)));
        let sealed = EncryptedData::from_asn1(&ap_req.authenticator);
        let opened =
            tgt.session_key.decrypt(KeyUsage::TGS_REQ_AUTHENTICATOR, &sealed.cipher, "Authenticator")?;
        let authenticator: asn1::Authenticator = asn1::decode("Authenticator", opened.expose())?;
        if asn1::principal(&authenticator.cname, &authenticator.crealm)? != tgt.client {
            return refuse(ErrorCode::KRB_AP_ERR_BADMATCH, "ticket and authenticator name different clients");
        }
        let time = asn1::precise(&authenticator.ctime, authenticator.cusec)?;
        if apart(time, now) > self.policy.clock_skew {
            return refuse(ErrorCode::KRB_AP_ERR_SKEW, "clock skew too great");
        }
        let Some(checksum) = &authenticator.cksum else {
            return refuse(ErrorCode::KRB_AP_ERR_INAPP_CKSUM, "no checksum over the request");
        };
        if Some(checksum.cksumtype) != tgt.session_key.etype.checksum_type() {
            return refuse(
                ErrorCode::KRB_AP_ERR_INAPP_CKSUM,
                "expected the session key's own type of checksum",
            );
        }
        match tgt.session_key.checksum_key(KeyUsage::TGS_REQ_CHECKSUM)?.verify(
            &[body],
            &checksum.checksum,
            "TGS-REQ",
        ) {
            Ok(()) => Ok(authenticator),
            Err(_) => refuse(ErrorCode::KRB_AP_ERR_MODIFIED, "the request was altered"),
        }
    }

    /// User-to-user: the session key of the other user's ticket-granting ticket (RFC 4120 3.3.3).
    fn user_to_user_key(
        &self,
        body: &asn1::KdcReqBody,
        server: &Principal,
        now: SystemTime,
    ) -> Result<EncryptionKey, Failure> {
        let missing = Refusal::new(ErrorCode::KDC_ERR_BADOPTION, "no second ticket");
        let second = body.additional_tickets.as_ref().and_then(|tickets| tickets.first()).ok_or(missing)?;
        let second = Ticket::from_asn1(second)?;
        if !second.server.is_local_krbtgt() {
            return Err(
                Refusal::new(ErrorCode::KDC_ERR_POLICY, "the second ticket is another realm's").into()
            );
        }
        let second = self.open(&second)?;
        second.check_times(now, self.policy.clock_skew)?;
        match second.client == *server {
            true => Ok(second.session_key),
            false => {
                Err(Refusal::new(ErrorCode::KDC_ERR_SERVER_NOMATCH, "the second ticket names another").into())
            }
        }
    }
}

impl Wanted {
    /// The TGS-REP that carries a ticket.
    pub(super) fn reply(
        &self,
        ticket: &Credential,
        now: SystemTime,
        rng: &mut dyn CryptoRng,
    ) -> Result<Vec<u8>, Error> {
        let mut part = reply_part(ticket, self.nonce, whole_seconds(now));
        if matches!(&self.request.in_name_of, Some(InNameOf::Evidence(evidence)) if evidence.resource_based) {
            // So that a client knows that a referral is one in the user's name ([MS-SFU] 3.1.5.2.2).
            part.encrypted_pa_data = Some(vec![PacOptions::resource_based()?]);
        }
        let sealed = asn1::encode("EncTGSRepPart", &asn1::EncTgsRepPart(part))?;
        let cipher =
            self.reply_key.encrypt(self.reply_usage, hop_secret::SecretBytes::new(sealed).expose(), rng)?;
        let sealed = EncryptedData { etype: self.reply_key.etype, kvno: None, cipher };
        let padata = match &self.user_id {
            Some(id) => Some(vec![X509User::answer(id.clone(), self.request.user(ticket), &self.reply_key)?]),
            None => None,
        };
        let reply = asn1::KdcRep {
            pvno: 5,
            msg_type: 13,
            padata,
            crealm: asn1::string(&ticket.client.realm),
            cname: asn1::principal_name(&ticket.client),
            ticket: rasn::types::Any::new(ticket.ticket.clone()),
            enc_part: sealed.to_asn1(),
        };
        asn1::encode("TGS-REP", &asn1::TgsRep(reply))
    }
}

/// What the client is told about its ticket.
pub(super) fn reply_part(ticket: &Credential, nonce: i64, now: SystemTime) -> asn1::EncKdcRepPart {
    asn1::EncKdcRepPart {
        key: asn1::key(&ticket.session_key),
        last_req: vec![asn1::LastReq { lr_type: 0, lr_value: asn1::time(now) }],
        nonce,
        key_expiration: None,
        flags: asn1::flags(ticket.flags.bits()),
        authtime: asn1::time(ticket.auth_time),
        starttime: ticket.start_time.map(asn1::time),
        endtime: asn1::time(ticket.end_time),
        renew_till: ticket.renew_till.map(asn1::time),
        srealm: asn1::string(&ticket.server.realm),
        sname: asn1::principal_name(&ticket.server),
        caddr: asn1::addresses(&ticket.addresses),
        encrypted_pa_data: None,
    }
}
