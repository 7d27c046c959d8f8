//! KRB-CRED (RFC 4120 3.6, 5.8): credentials on their way to another host.

use std::time::SystemTime;

use rand_core::CryptoRng;

use crate::asn1::{self, decode, encode};
use crate::crypto::KeyUsage;
use crate::{Credential, EncryptionKey, Error, NameType, Principal, Ticket, TicketFlags};

/// How many credentials one message may carry.
const MAX_CREDENTIALS: usize = 32;

/// The KRB-CRED message.
#[derive(Debug, Clone, Copy)]
pub struct KrbCred;

impl KrbCred {
    /// Packs credentials, sealed with `key`.
    ///
    /// Without a key the session keys travel in clear: only for a channel that is itself sealed.
    ///
    /// # Errors
    /// A ticket that is not DER, or an unsupported key.
    pub fn seal(
        credentials: &[&Credential],
        key: Option<&EncryptionKey>,
        now: SystemTime,
        rng: &mut dyn CryptoRng,
    ) -> Result<Vec<u8>, Error> {
        let tickets = credentials
            .iter()
            .map(|c| decode::<asn1::Ticket>("Ticket", &c.ticket))
            .collect::<Result<Vec<_>, _>>()?;
        let info = |c: &&Credential| asn1::KrbCredInfo {
            key: asn1::key(&c.session_key),
            prealm: Some(asn1::string(&c.client.realm)),
            pname: Some(asn1::principal_name(&c.client)),
            flags: Some(asn1::flags(c.flags.bits())),
            authtime: Some(asn1::time(c.auth_time)),
            starttime: c.start_time.map(asn1::time),
            endtime: Some(asn1::time(c.end_time)),
            renew_till: c.renew_till.map(asn1::time),
            srealm: Some(asn1::string(&c.server.realm)),
            sname: Some(asn1::principal_name(&c.server)),
            caddr: asn1::addresses(&c.addresses),
        };
        let part = hop_secret::SecretBytes::from(encode(
            "EncKrbCredPart",
            &asn1::EncKrbCredPart {
                ticket_info: credentials.iter().map(info).collect(),
                nonce: None,
                timestamp: Some(asn1::time(now)),
                usec: Some(asn1::microseconds(now)),
                s_address: None,
                r_address: None,
            },
        )?);
        let (etype, cipher) = match key {
            Some(key) => (key.etype.number(), key.encrypt(KeyUsage::KRB_CRED, part.expose(), rng)?),
            None => (0, part.expose().clone()),
        };
        let enc_part = asn1::EncryptedData { etype, kvno: None, cipher: cipher.into() };
        encode("KRB-CRED", &asn1::KrbCred { pvno: 5, msg_type: 22, tickets, enc_part })
    }

    /// Unpacks credentials, sealed with any of `keys` or not sealed at all (which some clients do inside a sealed
    /// authenticator).
    ///
    /// # Errors
    /// [`Error::Integrity`] if no key fits; [`Error::Malformed`].
    pub fn open(der: &[u8], keys: &[&EncryptionKey]) -> Result<Vec<Credential>, Error> {
        let message: asn1::KrbCred = decode("KRB-CRED", der)?;
        if (message.pvno, message.msg_type) != (5, 22) {
            return Err(asn1::malformed("KRB-CRED", "wrong version or message type"));
        }
        let cipher = &message.enc_part.cipher;
        let plain = if message.enc_part.etype == 0 {
            hop_secret::SecretBytes::from(cipher.to_vec())
        } else {
            keys.iter()
                .filter(|key| key.etype.number() == message.enc_part.etype)
                .find_map(|key| key.decrypt(KeyUsage::KRB_CRED, cipher, "KRB-CRED").ok())
                .ok_or(Error::Integrity("KRB-CRED"))?
        };
        let part: asn1::EncKrbCredPart = decode("EncKrbCredPart", plain.expose())?;
        if part.ticket_info.len() != message.tickets.len() {
            return Err(asn1::malformed("KRB-CRED", "as many tickets as descriptions are needed"));
        }
        if part.ticket_info.len() > MAX_CREDENTIALS {
            return Err(Error::Limit { what: "credentials in a KRB-CRED", limit: MAX_CREDENTIALS });
        }
        part.ticket_info.iter().zip(&message.tickets).map(|(info, ticket)| credential(info, ticket)).collect()
    }
}

fn credential(info: &asn1::KrbCredInfo, ticket: &asn1::Ticket) -> Result<Credential, Error> {
    let missing = |what| asn1::malformed("KrbCredInfo", format!("it has no {what}"));
    let named = Ticket::from_asn1(ticket)?.server;
    let server = match (&info.sname, &info.srealm) {
        (Some(name), Some(realm)) => asn1::principal(name, realm)?,
        _ => named.clone(),
    };
    if server != named {
        return Err(Error::ReplyMismatch(format!("a description of {server} beside a ticket for {named}")));
    }
    let client = match (&info.pname, &info.prealm) {
        (Some(name), Some(realm)) => asn1::principal(name, realm)?,
        _ => return Err(missing("client name")),
    };
    let end_time = asn1::system_time(info.endtime.as_ref().ok_or_else(|| missing("end time"))?);
    let start_time = info.starttime.as_ref().map(asn1::system_time);
    let auth_time = info.authtime.as_ref().map(asn1::system_time);
    Ok(Credential {
        client: Principal {
            name_type: if client.name_type == NameType::UNKNOWN {
                NameType::PRINCIPAL
            } else {
                client.name_type
            },
            ..client
        },
        server,
        session_key: asn1::encryption_key(&info.key)?,
        ticket: encode("Ticket", ticket)?,
        flags: TicketFlags::from_bits_retain(info.flags.as_ref().map_or(0, asn1::bits)),
        auth_time: auth_time.or(start_time).unwrap_or(SystemTime::UNIX_EPOCH),
        start_time,
        end_time,
        renew_till: info.renew_till.as_ref().map(asn1::system_time),
        addresses: asn1::host_addresses(info.caddr.as_ref()),
        authorization_data: Vec::new(),
        second_ticket: Vec::new(),
        is_skey: false,
    })
}
