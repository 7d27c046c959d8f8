use crate::{Remedy, Who, reason::remedy, report::render};

/// Why nothing is sent to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RefusalKind {
    /// CredSSP sends a password, and there is none.
    NoCredential,
    /// CredSSP is off in the client's settings.
    ClientOff,
    /// The policy does not list the server, or forbids it.
    NotListed,
    /// The server proved nothing but that it knows the user, and the list for such servers does not have it.
    NtlmOnly,
    /// Nothing would prove who the server is, and TrustedHosts does not have it.
    NotTrusted,
    /// The same, where the server was typed as an address and the way of authentication left open.
    AddressTyped,
}

impl RefusalKind {
    /// Every kind.
    pub const ALL: [RefusalKind; 6] = [
        RefusalKind::NoCredential,
        RefusalKind::ClientOff,
        RefusalKind::NotListed,
        RefusalKind::NtlmOnly,
        RefusalKind::NotTrusted,
        RefusalKind::AddressTyped,
    ];
}

/// A server that gets nothing, in WinRM's words: [`Display`](std::fmt::Display) is the text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.text())]
pub struct Refusal {
    kind: RefusalKind,
    host: String,
}

impl Refusal {
    /// A refusal; `host` as it was typed.
    pub fn new(kind: RefusalKind, host: &str) -> Self {
        Self { kind, host: host.to_owned() }
    }

    /// Why.
    pub fn kind(&self) -> RefusalKind {
        self.kind
    }

    /// WinRM's error code.
    pub fn code(&self) -> u32 {
        match self.kind {
            RefusalKind::NoCredential => 2_150_859_169,
            RefusalKind::ClientOff => 2_150_859_170,
            RefusalKind::NotListed => 2_150_859_171,
            RefusalKind::NtlmOnly => 2_150_859_172,
            RefusalKind::NotTrusted => 2_150_858_980,
            RefusalKind::AddressTyped => 2_150_859_195,
        }
    }

    /// The first part of the id that PowerShell gives the error: a word, or the code as a signed number.
    pub fn error_id(&self) -> String {
        match self.kind {
            RefusalKind::NotTrusted => "ServerNotTrusted".to_owned(),
            RefusalKind::AddressTyped => "CannotUseIPAddress".to_owned(),
            _ => self.code().cast_signed().to_string(),
        }
    }

    /// WinRM's text.
    pub fn text(&self) -> &'static str {
        match self.kind {
            RefusalKind::NoCredential => {
                "The WinRM client cannot process the request. Requests must include user name and password when \
                 CredSSP authentication mechanism is used. Add the user name and password or change the \
                 authentication mechanism and try the request again."
            }
            RefusalKind::ClientOff => {
                "The WinRM client cannot process the request. CredSSP authentication is currently disabled in the \
                 client configuration. Change the client configuration and try the request again. CredSSP \
                 authentication must also be enabled in the server configuration. Also, Group Policy must be edited \
                 to allow credential delegation to the target computer. Use gpedit.msc and look at the following \
                 policy: Computer Configuration -> Administrative Templates -> System -> Credentials Delegation -> \
                 Allow Delegating Fresh Credentials.  Verify that it is enabled and configured with an SPN \
                 appropriate for the target computer. For example, for a target computer name \
                 \"myserver.domain.com\", the SPN can be one of the following: WSMAN/myserver.domain.com or \
                 WSMAN/*.domain.com."
            }
            RefusalKind::NotListed => {
                "The WinRM client cannot process the request. A computer policy does not allow the delegation of the \
                 user credentials to the target computer. Use gpedit.msc and look at the following policy: Computer \
                 Configuration -> Administrative Templates -> System -> Credentials Delegation -> Allow Delegating \
                 Fresh Credentials.  Verify that it is enabled and configured with an SPN appropriate for the target \
                 computer. For example, for a target computer name \"myserver.domain.com\", the SPN can be one of the \
                 following: WSMAN/myserver.domain.com or WSMAN/*.domain.com."
            }
            RefusalKind::NtlmOnly => {
                "The WinRM client cannot process the request. A computer policy does not allow the delegation of the \
                 user credentials to the target computer because the computer is not trusted. The identity of the \
                 target computer can be verified if you configure the WSMAN service to use a valid certificate using \
                 the following command: winrm set winrm/config/service '@{CertificateThumbprint=\"<thumbprint>\"}'  \
                 Or you can check the Event Viewer for an event that specifies that the following SPN could not be \
                 created: WSMAN/<computerFQDN>. If you find this event, you can manually create the SPN using \
                 setspn.exe .  If the SPN exists, but CredSSP cannot use Kerberos to validate the identity of the \
                 target computer and you still want to allow the delegation of the user credentials to the target \
                 computer, use gpedit.msc and look at the following policy: Computer Configuration -> Administrative \
                 Templates -> System -> Credentials Delegation -> Allow Fresh Credentials with NTLM-only Server \
                 Authentication.  Verify that it is enabled and configured with an SPN appropriate for the target \
                 computer. For example, for a target computer name \"myserver.domain.com\", the SPN can be one of the \
                 following: WSMAN/myserver.domain.com or WSMAN/*.domain.com. Try the request again after these \
                 changes."
            }
            RefusalKind::NotTrusted => {
                "The WinRM client cannot process the request. If the authentication scheme is different from \
                 Kerberos, or if the client computer is not joined to a domain, then HTTPS transport must be used or \
                 the destination machine must be added to the TrustedHosts configuration setting. Use winrm.cmd to \
                 configure TrustedHosts. Note that computers in the TrustedHosts list might not be authenticated. You \
                 can get more information about that by running the following command: winrm help config."
            }
            RefusalKind::AddressTyped => {
                "The WinRM client cannot process the request. Default authentication may be used with an IP address \
                 under the following conditions: the transport is HTTPS or the destination is in the TrustedHosts \
                 list, and explicit credentials are provided. Use winrm.cmd to configure TrustedHosts. Note that \
                 computers in the TrustedHosts list might not be authenticated. For more information on how to set \
                 TrustedHosts run the following command: winrm help config."
            }
        }
    }

    /// What would mend it, the safest first.
    pub fn remedies(&self) -> Vec<Remedy> {
        let host = &self.host;
        match self.kind {
            RefusalKind::NoCredential => vec![remedy(
                Who::User,
                "name yourself; CredSSP sends a password and cannot use a ticket you already have",
                [
                    format!("hop run -c {host} --authentication credssp --user USER@DOMAIN ..."),
                    format!(
                        "Invoke-Command -ComputerName {host} -Authentication CredSSP -Credential (Get-Credential) {{ ... }}"
                    ),
                ],
            )],
            RefusalKind::ClientOff | RefusalKind::NotListed => vec![
                remedy(
                    Who::ClientAdministrator,
                    "let this host, or all hosts of a domain, have passwords; look first what is in force",
                    [
                        "hop credssp status".to_owned(),
                        format!("hop credssp enable --role client --delegate-computer {host}"),
                        format!("Enable-WSManCredSSP -Role Client -DelegateComputer {host}"),
                    ],
                ),
                remedy(
                    Who::DomainAdministrator,
                    "do it for all machines by Group Policy, which comes before a machine's own settings: Computer \
                     Configuration > Policies > Administrative Templates > System > Credentials Delegation > Allow \
                     delegating fresh credentials, and Windows Components > Windows Remote Management (WinRM) > WinRM \
                     Client > Allow CredSSP authentication",
                    [format!("WSMAN/{host}"), "hop credssp refresh".to_owned()],
                ),
            ],
            RefusalKind::NtlmOnly => vec![
                remedy(
                    Who::DomainAdministrator,
                    "register the service so that Kerberos can vouch for the host",
                    [
                        format!("setspn -S WSMAN/{host} ACCOUNT$"),
                        format!("samba-tool spn add WSMAN/{host} 'ACCOUNT$'"),
                    ],
                ),
                remedy(
                    Who::ServerAdministrator,
                    "give the host a certificate that this machine trusts (name its authority with --ca)",
                    [],
                ),
                remedy(
                    Who::ClientAdministrator,
                    "let the host have passwords although nothing proves who it is",
                    [format!("hop credssp enable --role client --delegate-computer {host} --ntlm-only")],
                ),
                remedy(
                    Who::DomainAdministrator,
                    "do so for all machines by Group Policy: Computer Configuration > Policies > Administrative \
                     Templates > System > Credentials Delegation > Allow delegating fresh credentials with NTLM-only \
                     server authentication",
                    [format!("WSMAN/{host}"), "hop credssp refresh".to_owned()],
                ),
            ],
            RefusalKind::NotTrusted | RefusalKind::AddressTyped => vec![
                remedy(
                    Who::User,
                    "use Kerberos (the host's name instead of an address, and a ticket), or HTTPS with a certificate \
                     that is verified",
                    [format!("hop run -c {host} --https --ca FILE ...")],
                ),
                remedy(
                    Who::ClientAdministrator,
                    "trust the host by its name alone; whoever answers in its place can then use your proof elsewhere",
                    [
                        format!("hop trust add {host}"),
                        format!(
                            "# on Windows: Set-Item WSMan:\\localhost\\Client\\TrustedHosts -Value {host} -Concatenate"
                        ),
                    ],
                ),
            ],
        }
    }

    /// The remedies as text of several lines.
    pub fn advice(&self) -> String {
        render(&self.remedies())
    }
}
