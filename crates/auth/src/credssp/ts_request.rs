use super::NtStatus;
use crate::der::{self, DerError, Fields, Reader, put};

/// The one message of CredSSP ([MS-CSSP] 2.2.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TsRequest {
    pub(crate) version: u32,
    /// SPNEGO tokens; in practice one.
    pub(crate) nego_tokens: Vec<Vec<u8>>,
    /// The credentials, sealed by the inner context.
    pub(crate) auth_info: Option<Vec<u8>>,
    /// The binding to the TLS connection, sealed by the inner context.
    pub(crate) pub_key_auth: Option<Vec<u8>>,
    pub(crate) error_code: Option<NtStatus>,
    pub(crate) client_nonce: Option<Vec<u8>>,
}

/// The most SPNEGO tokens in one message.
const MAX_TOKENS: usize = 4;

impl TsRequest {
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, DerError> {
        let mut fields = Fields::new(der::only(bytes, der::SEQUENCE)?);
        let version = der::read_integer(fields.required(0, der::INTEGER)?)?;
        let mut nego_tokens = Vec::new();
        if let Some(content) = fields.next(1)? {
            let mut list = Reader::new(der::only(content, der::SEQUENCE)?);
            while list.peek().is_some() {
                if nego_tokens.len() == MAX_TOKENS {
                    return Err(DerError::Value);
                }
                let mut data = Fields::new(list.element(der::SEQUENCE)?);
                nego_tokens.push(data.required(0, der::OCTET_STRING)?.to_vec());
                data.end()?;
            }
        }
        let request = Self {
            version: u32::try_from(version).map_err(|_| DerError::Value)?,
            nego_tokens,
            auth_info: fields.inner(2, der::OCTET_STRING)?,
            pub_key_auth: fields.inner(3, der::OCTET_STRING)?,
            error_code: fields.inner(4, der::INTEGER)?.as_deref().map(status).transpose()?,
            client_nonce: fields.inner(5, der::OCTET_STRING)?,
        };
        fields.end()?;
        Ok(request)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put(&mut out, 0, der::INTEGER, Some(&der::integer(i64::from(self.version))));
        if !self.nego_tokens.is_empty() {
            let list: Vec<u8> = self
                .nego_tokens
                .iter()
                .flat_map(|token| {
                    let mut data = Vec::new();
                    put(&mut data, 0, der::OCTET_STRING, Some(token));
                    der::element(der::SEQUENCE, &data)
                })
                .collect();
            put(&mut out, 1, der::SEQUENCE, Some(&list));
        }
        put(&mut out, 2, der::OCTET_STRING, self.auth_info.as_deref());
        put(&mut out, 3, der::OCTET_STRING, self.pub_key_auth.as_deref());
        // A signed number of 32 bits, as Windows has it.
        let code = self.error_code.map(|status| der::integer(i64::from(status.0 as i32)));
        put(&mut out, 4, der::INTEGER, code.as_deref());
        put(&mut out, 5, der::OCTET_STRING, self.client_nonce.as_deref());
        der::element(der::SEQUENCE, &out)
    }
}

/// Some write the status as a signed number, some as an unsigned one.
fn status(content: &[u8]) -> Result<NtStatus, DerError> {
    let number = der::read_integer(content)?;
    let signed = i32::try_from(number).map(|n| n as u32);
    signed.or_else(|_| u32::try_from(number)).map(NtStatus).map_err(|_| DerError::Value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip() {
        let request = TsRequest {
            version: 6,
            nego_tokens: vec![vec![1; 200]],
            auth_info: Some(vec![2; 3]),
            pub_key_auth: Some(vec![3; 300]),
            error_code: Some(NtStatus::LOGON_FAILURE),
            client_nonce: Some(vec![4; 32]),
        };
        let bytes = request.encode();
        assert_eq!(TsRequest::decode(&bytes), Ok(request));
        for end in 0..bytes.len() {
            assert!(TsRequest::decode(&bytes[..end]).is_err());
        }
        assert_eq!(TsRequest::decode(&[0x30, 0]), Err(DerError::Tag { expected: 0xa0, got: 0 }));
    }

    #[test]
    fn a_status_signed_or_not() {
        for code in [&[0x02, 0x04, 0xc0, 0, 0, 0x6d][..], &[0x02, 0x05, 0, 0xc0, 0, 0, 0x6d]] {
            let bytes =
                der::element(der::SEQUENCE, &[&[0xa0, 3, 2, 1, 6][..], &der::element(0xa4, code)].concat());
            assert_eq!(TsRequest::decode(&bytes).unwrap().error_code, Some(NtStatus::LOGON_FAILURE));
        }
        assert_eq!(NtStatus::LOGON_FAILURE.to_string(), "STATUS_LOGON_FAILURE (0xc000006d)");
        assert_eq!(NtStatus(0xc000_0001).to_string(), "status 0xc0000001");
    }
}
