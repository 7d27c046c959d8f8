//! What Active Directory says beyond a Kerberos error code: an NTSTATUS in the error's data.

use crate::KdcError;
use crate::asn1::{KerbErrorData, MethodData, decode};

/// KERB_ERR_TYPE_EXTENDED ([MS-KILE] 2.2.2), which is PA-PW-SALT's number, too; Samba sends it as that.
const EXTENDED: i32 = 3;

/// Why an account cannot be used, as Windows numbers it ([MS-ERREF] 2.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct NtStatus(pub u32);

impl NtStatus {
    /// Only at other hours.
    pub const INVALID_LOGON_HOURS: Self = Self(0xC000_006F);
    /// Only from other machines.
    pub const INVALID_WORKSTATION: Self = Self(0xC000_0070);
    /// The password has expired.
    pub const PASSWORD_EXPIRED: Self = Self(0xC000_0071);
    /// The account is disabled.
    pub const ACCOUNT_DISABLED: Self = Self(0xC000_0072);
    /// The account has expired.
    pub const ACCOUNT_EXPIRED: Self = Self(0xC000_0193);
    /// The password must be changed at the first login.
    pub const PASSWORD_MUST_CHANGE: Self = Self(0xC000_0224);
    /// The account is locked after too many wrong passwords.
    pub const ACCOUNT_LOCKED_OUT: Self = Self(0xC000_0234);
}

impl KdcError {
    /// The NTSTATUS in the error's data, if there is one. As little authenticated as the error itself.
    pub fn nt_status(&self) -> Option<u32> {
        let data = self.data.as_deref()?;
        // Windows sends KERB-ERROR-DATA ([MS-KILE] 2.2.1), Samba METHOD-DATA.
        let value = match decode::<KerbErrorData>("KERB-ERROR-DATA", data) {
            Ok(one) => one.data_value.filter(|_| one.data_type == EXTENDED)?,
            Err(_) => {
                let list: MethodData = decode("METHOD-DATA", data).ok()?;
                list.into_iter().find(|element| element.padata_type == EXTENDED)?.padata_value
            }
        };
        // KERB-EXT-ERROR ([MS-KILE] 2.2.2): status, reserved, flags; little-endian.
        let status = value.first_chunk::<4>().filter(|_| value.len() == 12)?;
        Some(u32::from_le_bytes(*status))
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::{ErrorCode, Principal};

    #[test]
    fn the_reason_is_found_in_either_form() {
        let error = |data: &[u8]| KdcError {
            code: ErrorCode::KDC_ERR_CLIENT_REVOKED,
            text: None,
            client_time: None,
            server_time: SystemTime::UNIX_EPOCH,
            client: None,
            server: Principal::krbtgt("R", "R"),
            data: Some(data.to_vec()),
        };
        let one = b"\x30\x15\xa1\x03\x02\x01\x03\xa2\x0e\x04\x0c\x72\0\0\xc0\0\0\0\0\x01\0\0\0";
        let listed = [b"\x30\x17", &one[..]].concat();
        assert_eq!(error(one).nt_status(), Some(NtStatus::ACCOUNT_DISABLED.0));
        assert_eq!(error(&listed).nt_status(), Some(NtStatus::ACCOUNT_DISABLED.0));
        let other_type = b"\x30\x15\xa1\x03\x02\x01\x13\xa2\x0e\x04\x0c\x72\0\0\xc0\0\0\0\0\x01\0\0\0";
        let short = b"\x30\x0d\xa1\x03\x02\x01\x03\xa2\x06\x04\x04\x72\0\0\xc0";
        for wrong in [&other_type[..], short, b"", b"\x30\0", b"x"] {
            assert_eq!(error(wrong).nt_status(), None, "{wrong:?}");
        }
    }
}
