//! KRB-ERROR (RFC 4120 5.9.1, 7.5.9) with its codes by name.

use std::fmt;
use std::time::SystemTime;

use crate::{Error, Principal, asn1};

/// An error code of RFC 4120 7.5.9 (and RFC 4556, [MS-KILE], RFC 6806 additions).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ErrorCode(pub i32);

macro_rules! codes {
    ($($name:ident = $number:literal, $text:literal;)*) => {
        impl ErrorCode {
            $(#[doc = $text] pub const $name: Self = Self($number);)*

            /// The name in RFC 4120, if the code has one.
            pub fn name(self) -> Option<&'static str> {
                match self.0 { $($number => Some(stringify!($name)),)* _ => None }
            }

            /// A few words on what the code means, if it is known.
            pub fn description(self) -> Option<&'static str> {
                match self.0 { $($number => Some($text),)* _ => None }
            }
        }
    };
}

codes! {
    KDC_ERR_NONE = 0, "no error";
    KDC_ERR_NAME_EXP = 1, "client's entry in the database has expired";
    KDC_ERR_SERVICE_EXP = 2, "server's entry in the database has expired";
    KDC_ERR_BAD_PVNO = 3, "requested protocol version not supported";
    KDC_ERR_C_OLD_MAST_KVNO = 4, "client's key encrypted in old master key";
    KDC_ERR_S_OLD_MAST_KVNO = 5, "server's key encrypted in old master key";
    KDC_ERR_C_PRINCIPAL_UNKNOWN = 6, "client not found in the kerberos database";
    KDC_ERR_S_PRINCIPAL_UNKNOWN = 7, "server not found in the kerberos database";
    KDC_ERR_PRINCIPAL_NOT_UNIQUE = 8, "multiple principal entries in the database";
    KDC_ERR_NULL_KEY = 9, "the client or server has a null key";
    KDC_ERR_CANNOT_POSTDATE = 10, "ticket not eligible for postdating";
    KDC_ERR_NEVER_VALID = 11, "requested start time is later than end time";
    KDC_ERR_POLICY = 12, "kdc policy rejects request";
    KDC_ERR_BADOPTION = 13, "kdc cannot accommodate requested option";
    KDC_ERR_ETYPE_NOSUPP = 14, "kdc has no support for encryption type";
    KDC_ERR_SUMTYPE_NOSUPP = 15, "kdc has no support for checksum type";
    KDC_ERR_PADATA_TYPE_NOSUPP = 16, "kdc has no support for preauthentication data type";
    KDC_ERR_TRTYPE_NOSUPP = 17, "kdc has no support for transited type";
    KDC_ERR_CLIENT_REVOKED = 18, "client's credentials have been revoked";
    KDC_ERR_SERVICE_REVOKED = 19, "credentials for server have been revoked";
    KDC_ERR_TGT_REVOKED = 20, "ticket-granting ticket has been revoked";
    KDC_ERR_CLIENT_NOTYET = 21, "client not yet valid";
    KDC_ERR_SERVICE_NOTYET = 22, "server not yet valid";
    KDC_ERR_KEY_EXPIRED = 23, "password has expired";
    KDC_ERR_PREAUTH_FAILED = 24, "preauthentication failed";
    KDC_ERR_PREAUTH_REQUIRED = 25, "additional preauthentication required";
    KDC_ERR_SERVER_NOMATCH = 26, "requested server and ticket don't match";
    KDC_ERR_MUST_USE_USER2USER = 27, "server principal valid for user-to-user only";
    KDC_ERR_PATH_NOT_ACCEPTED = 28, "kdc policy rejects transited path";
    KDC_ERR_SVC_UNAVAILABLE = 29, "a service is not available";
    KRB_AP_ERR_BAD_INTEGRITY = 31, "integrity check on decrypted field failed";
    KRB_AP_ERR_TKT_EXPIRED = 32, "ticket expired";
    KRB_AP_ERR_TKT_NYV = 33, "ticket not yet valid";
    KRB_AP_ERR_REPEAT = 34, "request is a replay";
    KRB_AP_ERR_NOT_US = 35, "the ticket isn't for us";
    KRB_AP_ERR_BADMATCH = 36, "ticket and authenticator don't match";
    KRB_AP_ERR_SKEW = 37, "clock skew too great";
    KRB_AP_ERR_BADADDR = 38, "incorrect net address";
    KRB_AP_ERR_BADVERSION = 39, "protocol version mismatch";
    KRB_AP_ERR_MSG_TYPE = 40, "invalid message type";
    KRB_AP_ERR_MODIFIED = 41, "message stream modified";
    KRB_AP_ERR_BADORDER = 42, "message out of order";
    KRB_AP_ERR_BADKEYVER = 44, "specified version of key is not available";
    KRB_AP_ERR_NOKEY = 45, "service key not available";
    KRB_AP_ERR_MUT_FAIL = 46, "mutual authentication failed";
    KRB_AP_ERR_BADDIRECTION = 47, "incorrect message direction";
    KRB_AP_ERR_METHOD = 48, "alternative authentication method required";
    KRB_AP_ERR_BADSEQ = 49, "incorrect sequence number in message";
    KRB_AP_ERR_INAPP_CKSUM = 50, "inappropriate type of checksum in message";
    KRB_AP_PATH_NOT_ACCEPTED = 51, "policy rejects transited path";
    KRB_ERR_RESPONSE_TOO_BIG = 52, "response too big for udp, retry with tcp";
    KRB_ERR_GENERIC = 60, "generic error";
    KRB_ERR_FIELD_TOOLONG = 61, "field is too long for this implementation";
    KDC_ERR_WRONG_REALM = 68, "reserved for realm referral";
    KDC_ERR_PREAUTH_EXPIRED = 90, "preauthentication has expired";
    KDC_ERR_MORE_PREAUTH_DATA_REQUIRED = 91, "additional preauthentication data is required";
    KDC_ERR_UNKNOWN_CRITICAL_FAST_OPTIONS = 93, "an unsupported critical FAST option was requested";
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{name} ({})", self.0),
            None => write!(f, "kerberos error {}", self.0),
        }
    }
}

impl fmt::Debug for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A KRB-ERROR message, from a KDC or an acceptor. It is not authenticated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KdcError {
    /// What went wrong.
    pub code: ErrorCode,
    /// The sender's own words, if any.
    pub text: Option<String>,
    /// The client's time as the sender saw it in the request.
    pub client_time: Option<SystemTime>,
    /// The sender's clock.
    pub server_time: SystemTime,
    /// The client the request named; a realm alone (no components) in a realm referral.
    pub client: Option<Principal>,
    /// The service the request was for.
    pub server: Principal,
    /// Further data; its form depends on the code.
    pub data: Option<Vec<u8>>,
}

impl fmt::Display for KdcError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code.description() {
            Some(text) => write!(f, "{text}: {}", self.code)?,
            None => write!(f, "{}", self.code)?,
        }
        // The sender's text comes unauthenticated from the network: shown quoted and cut.
        match &self.text {
            Some(text) if !text.is_empty() => write!(f, " {:?}", text.chars().take(200).collect::<String>()),
            _ => Ok(()),
        }
    }
}

impl std::error::Error for KdcError {}

impl KdcError {
    /// Reads a KRB-ERROR.
    ///
    /// # Errors
    /// [`Error::Malformed`].
    pub fn parse(der: &[u8]) -> Result<Self, Error> {
        let e: asn1::KrbError = asn1::decode("KRB-ERROR", der)?;
        let client = match (&e.cname, &e.crealm) {
            (Some(name), Some(realm)) => Some(asn1::principal(name, realm)?),
            (None, Some(realm)) => Some(Principal::new(asn1::text(realm)?, &[])),
            _ => None,
        };
        Ok(Self {
            code: ErrorCode(e.error_code),
            text: e.e_text.map(|t| String::from_utf8_lossy(&t.0).into_owned()),
            client_time: e.ctime.map(|t| asn1::precise(&t, e.cusec.unwrap_or(0))).transpose()?,
            server_time: asn1::precise(&e.stime, e.susec)?,
            client,
            server: asn1::principal(&e.sname, &e.realm)?,
            data: e.e_data.map(|d| d.to_vec()),
        })
    }

    /// Writes a KRB-ERROR.
    ///
    /// # Errors
    /// None in practice.
    pub fn to_der(&self) -> Result<Vec<u8>, Error> {
        let named = self.client.as_ref().filter(|c| !c.components.is_empty());
        asn1::encode(
            "KRB-ERROR",
            &asn1::KrbError {
                pvno: 5,
                msg_type: 30,
                ctime: self.client_time.map(asn1::time),
                cusec: self.client_time.map(asn1::microseconds),
                stime: asn1::time(self.server_time),
                susec: asn1::microseconds(self.server_time),
                error_code: self.code.0,
                crealm: self.client.as_ref().map(|c| asn1::string(&c.realm)),
                cname: named.map(asn1::principal_name),
                realm: asn1::string(&self.server.realm),
                sname: asn1::principal_name(&self.server),
                e_text: self.text.as_deref().map(asn1::string),
                e_data: self.data.clone().map(Into::into),
            },
        )
    }
}
