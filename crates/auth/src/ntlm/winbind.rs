use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{NtlmError, Question, SessionBaseKey};

/// The helper protocol `ntlm-server-1` of Samba's ntlm_auth(1), by which winbind has a domain controller verify a
/// proof. Nothing is run here: these are the texts for its standard input and from its standard output.
#[derive(Debug)]
pub struct NtlmServer1;

/// The largest answer that is read, in bytes.
const LIMIT: usize = 4096;

impl NtlmServer1 {
    /// The question as lines, the last a full stop.
    pub fn request(question: &Question) -> String {
        let response = [question.proof.as_slice(), &question.blob].concat();
        format!(
            "LANMAN-Challenge: {}\nNT-Response: {}\nNT-Domain:: {}\nUsername:: {}\nRequest-User-Session-Key: Yes\n.\n",
            hex(&question.server_challenge),
            hex(&response),
            STANDARD.encode(&question.name.domain),
            STANDARD.encode(&question.name.user),
        )
    }

    /// Reads the answer: every line up to the full stop.
    ///
    /// # Errors
    /// [`NtlmError::WrongCredentials`] if the domain says no, and [`NtlmError::Verifier`] with the domain's words if
    /// it says why, or if it could not be asked.
    pub fn parse(answer: &str) -> Result<SessionBaseKey, NtlmError> {
        let mut authenticated = false;
        let mut reason = None;
        let mut key = None;
        for line in answer.get(..LIMIT).unwrap_or(answer).lines().take_while(|line| *line != ".") {
            match line.split_once(": ") {
                Some(("Authenticated", value)) => authenticated = value.eq_ignore_ascii_case("yes"),
                Some(("User-Session-Key", value)) => key = unhex(value),
                Some(("Authentication-Error" | "Error", value)) => reason = Some(value),
                _ => {}
            }
        }
        match (authenticated, key, reason) {
            (true, Some(key), _) => Ok(SessionBaseKey::from_bytes(key)),
            (true, None, _) => Err(NtlmError::Verifier("no session key came".to_owned())),
            (false, _, Some(reason)) => {
                Err(NtlmError::Verifier(reason.chars().filter(|c| !c.is_control()).take(200).collect()))
            }
            (false, _, None) => Err(NtlmError::WrongCredentials),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

/// Sixteen bytes in hexadecimal.
pub(super) fn unhex(text: &str) -> Option<[u8; 16]> {
    crate::hex::decode(text.trim().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::UserName;

    #[test]
    fn questions_and_answers() {
        let question = Question {
            name: UserName::parse("HOP\\alice\n."),
            workstation: String::new(),
            server_challenge: [0xab; 8],
            proof: [1; 16],
            blob: vec![2, 3],
        };
        assert_eq!(
            NtlmServer1::request(&question),
            "LANMAN-Challenge: ABABABABABABABAB\nNT-Response: 010101010101010101010101010101010203\n\
             NT-Domain:: SE9Q\nUsername:: YWxpY2UKLg==\nRequest-User-Session-Key: Yes\n.\n"
        );
        let good = "Authenticated: Yes\nUser-Session-Key: 000102030405060708090A0B0C0D0E0F\n.\n";
        assert_eq!(
            NtlmServer1::parse(good).unwrap().expose(),
            &std::array::from_fn::<u8, 16, _>(|i| i as u8)
        );
        let no = |text| NtlmServer1::parse(text).unwrap_err();
        assert_eq!(no("Authenticated: No\n.\n"), NtlmError::WrongCredentials);
        let locked = no("Authenticated: No\nAuthentication-Error: Account locked out\n.\n");
        assert_eq!(locked, NtlmError::Verifier("Account locked out".to_owned()));
        assert!(matches!(no("Authenticated: Yes\n.\n"), NtlmError::Verifier(_)));
        assert_eq!(no(".\nAuthenticated: Yes\nUser-Session-Key: 00\n"), NtlmError::WrongCredentials);
        assert_eq!(no(""), NtlmError::WrongCredentials);
    }
}
