//! Tickets: sealed and opened.

use std::fmt;
use std::time::{Duration, SystemTime};

use rand_core::CryptoRng;

use crate::asn1::{self, decode, encode};
use crate::crypto::{KeyUsage, SealKeys};
use crate::{
    AuthorizationData, Credential, EncryptionKey, EncryptionType, Error, HostAddress, Principal, TicketFlags,
};

/// Bytes sealed with a key (RFC 4120 5.2.9).
#[derive(Clone, PartialEq, Eq)]
pub struct EncryptedData {
    /// The type of the key.
    pub etype: EncryptionType,
    /// The version of the key, if the sender named one.
    pub kvno: Option<u32>,
    /// The ciphertext.
    pub cipher: Vec<u8>,
}

impl fmt::Debug for EncryptedData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EncryptedData({}, kvno {:?}, {} bytes)", self.etype, self.kvno, self.cipher.len())
    }
}

impl EncryptedData {
    pub(crate) fn from_asn1(data: &asn1::EncryptedData) -> Self {
        Self {
            etype: EncryptionType::from_number(data.etype),
            kvno: data.kvno.map(asn1::low32),
            cipher: data.cipher.to_vec(),
        }
    }

    pub(crate) fn to_asn1(&self) -> asn1::EncryptedData {
        asn1::EncryptedData {
            etype: self.etype.number(),
            kvno: self.kvno.map(i64::from),
            cipher: self.cipher.clone().into(),
        }
    }
}

/// A ticket as it travels (RFC 4120 5.3): for whom, and the sealed part.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ticket {
    /// The service it is for. Not protected: only decryption with that service's key proves it.
    pub server: Principal,
    /// The [`EncTicketPart`], sealed with the service's key.
    pub enc_part: EncryptedData,
}

impl Ticket {
    /// Reads the DER encoding.
    ///
    /// # Errors
    /// [`Error::Malformed`].
    pub fn parse(der: &[u8]) -> Result<Self, Error> {
        Self::from_asn1(&decode::<asn1::Ticket>("Ticket", der)?)
    }

    /// Writes the DER encoding.
    ///
    /// # Errors
    /// None in practice.
    pub fn to_der(&self) -> Result<Vec<u8>, Error> {
        encode("Ticket", &self.to_asn1())
    }

    pub(crate) fn from_asn1(ticket: &asn1::Ticket) -> Result<Self, Error> {
        let body = &ticket.0;
        if body.tkt_vno != 5 {
            return Err(asn1::malformed("Ticket", format!("expected version 5, got {}", body.tkt_vno)));
        }
        Ok(Self {
            server: asn1::principal(&body.sname, &body.realm)?,
            enc_part: EncryptedData::from_asn1(&body.enc_part),
        })
    }

    pub(crate) fn to_asn1(&self) -> asn1::Ticket {
        asn1::Ticket(asn1::TicketBody {
            tkt_vno: 5,
            realm: asn1::string(&self.server.realm),
            sname: asn1::principal_name(&self.server),
            enc_part: self.enc_part.to_asn1(),
        })
    }

    /// Opens the sealed part.
    ///
    /// # Errors
    /// [`Error::Integrity`] with another key; [`Error::Malformed`].
    pub fn open(&self, key: &EncryptionKey) -> Result<EncTicketPart, Error> {
        if key.etype != self.enc_part.etype {
            return Err(Error::NoKey {
                principal: self.server.clone(),
                etype: self.enc_part.etype,
                kvno: self.enc_part.kvno,
            });
        }
        self.open_with(&key.seal_keys(KeyUsage::TICKET)?)
    }

    /// Opens the sealed part with keys derived before ([`KeyUsage::TICKET`]).
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_with(&self, keys: &SealKeys) -> Result<EncTicketPart, Error> {
        EncTicketPart::parse(keys.decrypt(&self.enc_part.cipher, "Ticket")?.expose())
    }
}

/// What a service finds in a ticket (RFC 4120 5.3).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EncTicketPart {
    /// The ticket's flags.
    pub flags: TicketFlags,
    /// Shared between client and service.
    pub session_key: EncryptionKey,
    /// Whom the ticket names.
    pub client: Principal,
    /// How the list of transited realms is written; 1 is DOMAIN-X500-COMPRESS.
    pub transited_type: i32,
    /// The realms between the client's and the service's.
    pub transited: Vec<u8>,
    /// When the client first authenticated.
    pub auth_time: SystemTime,
    /// When the ticket becomes valid; none means at `auth_time`.
    pub start_time: Option<SystemTime>,
    /// When it expires.
    pub end_time: SystemTime,
    /// Until when it can be renewed, if at all.
    pub renew_till: Option<SystemTime>,
    /// The addresses it may be used from; empty means any.
    pub addresses: Vec<HostAddress>,
    /// Authorization data, such as the PAC.
    pub authorization_data: Vec<AuthorizationData>,
}

impl EncTicketPart {
    /// Reads the DER encoding.
    ///
    /// # Errors
    /// [`Error::Malformed`].
    pub fn parse(der: &[u8]) -> Result<Self, Error> {
        let part: asn1::EncTicketPart = decode("EncTicketPart", der)?;
        Ok(Self {
            flags: TicketFlags::from_bits_retain(asn1::bits(&part.flags)),
            session_key: asn1::encryption_key(&part.key)?,
            client: asn1::principal(&part.cname, &part.crealm)?,
            transited_type: part.transited.tr_type,
            transited: part.transited.contents.to_vec(),
            auth_time: asn1::system_time(&part.authtime),
            start_time: part.starttime.as_ref().map(asn1::system_time),
            end_time: asn1::system_time(&part.endtime),
            renew_till: part.renew_till.as_ref().map(asn1::system_time),
            addresses: asn1::host_addresses(part.caddr.as_ref()),
            authorization_data: asn1::authorization_data(part.authorization_data.as_ref()),
        })
    }

    /// Writes the DER encoding.
    ///
    /// # Errors
    /// None in practice.
    pub fn to_der(&self) -> Result<hop_secret::SecretBytes, Error> {
        let part = asn1::EncTicketPart {
            flags: asn1::flags(self.flags.bits()),
            key: asn1::key(&self.session_key),
            crealm: asn1::string(&self.client.realm),
            cname: asn1::principal_name(&self.client),
            transited: asn1::TransitedEncoding {
                tr_type: self.transited_type,
                contents: self.transited.clone().into(),
            },
            authtime: asn1::time(self.auth_time),
            starttime: self.start_time.map(asn1::time),
            endtime: asn1::time(self.end_time),
            renew_till: self.renew_till.map(asn1::time),
            caddr: asn1::addresses(&self.addresses),
            authorization_data: asn1::auth_data(&self.authorization_data),
        };
        encode("EncTicketPart", &part).map(Into::into)
    }

    /// Seals it into a ticket for `server`.
    ///
    /// # Errors
    /// [`Error::UnsupportedEncryptionType`].
    pub fn seal(
        &self,
        server: Principal,
        key: &EncryptionKey,
        kvno: Option<u32>,
        rng: &mut dyn CryptoRng,
    ) -> Result<Ticket, Error> {
        let cipher = key.encrypt(KeyUsage::TICKET, self.to_der()?.expose(), rng)?;
        Ok(Ticket { server, enc_part: EncryptedData { etype: key.etype, kvno, cipher } })
    }

    /// Checks that the ticket may be used at `now`, give or take `skew`.
    ///
    /// # Errors
    /// [`Error::TicketNotYetValid`], [`Error::TicketExpired`].
    pub fn check_times(&self, now: SystemTime, skew: Duration) -> Result<(), Error> {
        let start = self.start_time.unwrap_or(self.auth_time);
        if self.flags.contains(TicketFlags::INVALID) || start > now + skew {
            return Err(Error::TicketNotYetValid);
        }
        if now > self.end_time + skew {
            return Err(Error::TicketExpired { end_time: self.end_time });
        }
        Ok(())
    }

    /// The ticket with its opened part as a credential: what S4U2Proxy calls evidence.
    pub fn to_credential(&self, ticket: &[u8], server: Principal) -> Credential {
        Credential {
            client: self.client.clone(),
            server,
            session_key: self.session_key.clone(),
            ticket: ticket.to_vec(),
            flags: self.flags,
            auth_time: self.auth_time,
            start_time: self.start_time,
            end_time: self.end_time,
            renew_till: self.renew_till,
            addresses: self.addresses.clone(),
            authorization_data: Vec::new(),
            second_ticket: Vec::new(),
            is_skey: false,
        }
    }
}
