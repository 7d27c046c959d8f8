use serde::{Deserialize, Serialize};

use crate::reason::remedy;
use crate::report::render;
use crate::{Remedy, Who};

/// The name, beside the session report, of the file that has one [`Refusal`] per line.
pub const REFUSALS_FILE: &str = "refused.jsonl";

/// The file beside a session's report that has the password which CredSSP brought, where the server's configuration lets
/// a session keep it: one JSON object with `user` and `password`.
pub const PASSWORD_FILE: &str = "password.json";
/// The largest such file that is read, in bytes.
const MAX_FILE: usize = 256 * 1024;
/// So many refusals are told; the last ones count.
const MAX_TOLD: usize = 8;

const KDC_ERR_S_PRINCIPAL_UNKNOWN: i32 = 7;
const KDC_ERR_POLICY: i32 = 12;
const KDC_ERR_BADOPTION: i32 = 13;

/// A ticket that a session asked for and that constrained delegation did not get.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The service, `cifs/serverb.example@REALM`.
    pub target: String,
    /// In whose name the server asked, `HTTP/servera.example@REALM`.
    pub service: String,
    /// The KDC's error code (RFC 4120 section 7.5.9), 0 when it could not be asked.
    pub code: i32,
    /// What it said.
    pub text: String,
}

impl Refusal {
    /// Reads a file of refusals; lines that are none are passed over. Of the same target the last one is kept.
    pub fn parse_lines(text: &[u8]) -> Vec<Self> {
        let text = text.get(..MAX_FILE).unwrap_or(text);
        let mut found: Vec<Self> = Vec::new();
        for line in text.split(|b| *b == b'\n') {
            if let Ok(refusal) = serde_json::from_slice::<Self>(line) {
                found.retain(|known| known.target != refusal.target);
                found.push(refusal);
            }
        }
        found.split_off(found.len().saturating_sub(MAX_TOLD))
    }

    /// One line for the file.
    pub fn to_line(&self) -> String {
        serde_json::to_string(self).map(|line| line + "\n").unwrap_or_default()
    }

    /// What happened, in words, without full stop. `forwardable` is whether the user's ticket is.
    pub fn sentence(&self, forwardable: bool) -> String {
        let (target, service) = (short(&self.target), short(&self.service));
        match self.code {
            KDC_ERR_BADOPTION | KDC_ERR_POLICY => {
                let user = match forwardable {
                    true => "",
                    false => {
                        ", or the account of the user may not be delegated (its ticket is not forwardable)"
                    }
                };
                format!(
                    "{target}: the domain refuses constrained delegation (KDC error {}): it is not listed among the \
                     services that the account of {service} may delegate to, nor does the account of {target} list \
                     {service} as allowed to act for others{user}",
                    self.code
                )
            }
            KDC_ERR_S_PRINCIPAL_UNKNOWN => {
                format!("{target}: the domain knows no service of that name (or knows it twice)")
            }
            _ => format!("{target}: {}", self.text),
        }
    }

    /// The sentence and the remedies as text of several lines.
    pub fn explanation(&self, forwardable: bool) -> String {
        format!("{}.\nWhat would help:\n{}", self.sentence(forwardable), render(&self.remedies()))
    }

    /// What would mend it, the safest first.
    pub fn remedies(&self) -> Vec<Remedy> {
        let (target, service) = (short(&self.target), short(&self.service));
        let (front, back) = (account(service), account(target));
        match self.code {
            KDC_ERR_BADOPTION | KDC_ERR_POLICY => vec![
                remedy(
                    Who::DomainAdministrator,
                    "let the owner of the target accept this server (resource-based constrained delegation); a refusal \
                     before is remembered by Windows domain controllers for 15 minutes",
                    [
                        format!(
                            "Set-ADComputer {} -PrincipalsAllowedToDelegateToAccount (Get-ADComputer {})",
                            back.trim_end_matches('$'),
                            front.trim_end_matches('$')
                        ),
                        "# Samba 4.17 has none of it; Samba 4.20: samba-tool delegation add-principal"
                            .to_owned(),
                    ],
                ),
                remedy(
                    Who::DomainAdministrator,
                    "let this server delegate to the target (constrained delegation)",
                    [
                        format!(
                            "Set-ADComputer {} -Add @{{'msDS-AllowedToDelegateTo'='{target}'}}",
                            front.trim_end_matches('$')
                        ),
                        format!("samba-tool delegation add-service '{front}' {target}"),
                    ],
                ),
            ],
            KDC_ERR_S_PRINCIPAL_UNKNOWN => vec![remedy(
                Who::DomainAdministrator,
                "register the service for the account it runs as, once",
                [format!("setspn -S {target} {back}"), format!("samba-tool spn add {target} '{back}'")],
            )],
            _ => vec![remedy(
                Who::ServerAdministrator,
                "look into the log of `hop serve`: the domain could not be asked",
                [],
            )],
        }
    }
}

fn short(principal: &str) -> &str {
    principal.rsplit_once('@').map_or(principal, |(name, _)| name)
}

/// The computer account as Active Directory names it: the host's first label in capitals, with `$`.
fn account(service: &str) -> String {
    let host = service.split('/').nth(1).unwrap_or(service);
    let label = host.split('.').next().unwrap_or(host).trim_end_matches('$');
    format!("{}$", label.to_ascii_uppercase())
}
