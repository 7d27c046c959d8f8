//! `Enable-`, `Disable-` and `Get-WSManCredSSP`.

use hop_powershell_runtime::command::{Cmdlet, CmdletInfo, CommandTable, ParameterInfo as P, Validator};
use hop_powershell_runtime::context::CmdletContext;
use hop_powershell_runtime::flow::{Flow, Run};
use hop_powershell_runtime::host::CredSspSettings;
use hop_powershell_runtime::value::{Error, ErrorCategory, Value};

const MODULE: &str = "Microsoft.WSMan.Management";
const INVALID_OPERATION: &str = "System.InvalidOperationException";

/// The title of the question that comes before either role is enabled.
pub const CAPTION: &str = "CredSSP Authentication Configuration for WS-Management";
/// The question before passwords may be sent.
pub const CLIENT_QUERY: &str = "CredSSP authentication allows the user credentials on this computer to be sent to a \
    remote computer. If you use CredSSP authentication for a connection to a malicious or compromised computer, that \
    computer will have access to your user name and password. For more information, see the Enable-WSManCredSSP Help \
    topic.\nDo you want to enable CredSSP authentication?";
/// The question before passwords are taken.
pub const SERVER_QUERY: &str = "CredSSP authentication allows the server to accept user credentials from a remote \
    computer. If you enable CredSSP authentication on the server, the server will have access to the user name and \
    password of the client computer if the client computer sends them. For more information, see the \
    Enable-WSManCredSSP Help topic. \nDo you want to enable CredSSP authentication?";
/// What is said when Group Policy keeps a setting from being enabled.
pub const NOT_ENABLED: &str = "This command cannot be executed because the setting cannot be enabled.";
/// What is said when Group Policy keeps a setting from being disabled.
pub const NOT_DISABLED: &str = "This command cannot be executed because the setting cannot be disabled.";

/// The two strings of `Get-WSManCredSSP`. `targets` are the entries for `wsman` in the policy's order; the newest comes
/// first.
pub fn report(targets: &[String], receives: bool) -> [String; 2] {
    let newest_first: Vec<&str> = targets.iter().rev().map(String::as_str).collect();
    [
        match newest_first.is_empty() {
            true => "The machine is not configured to allow delegating fresh credentials.".to_owned(),
            false => format!(
                "The machine is configured to allow delegating fresh credentials to the following target(s): {}",
                newest_first.join(",")
            ),
        },
        match receives {
            true => {
                "This computer is configured to receive credentials from a remote client computer.".to_owned()
            }
            false => "This computer is not configured to receive credentials from a remote client computer."
                .to_owned(),
        },
    ]
}

/// Adds them.
pub(crate) fn register(table: &mut CommandTable) {
    let role = || P::new("Role", "string").position(0).mandatory().one_of(&["Client", "Server"]);
    let mut info = CmdletInfo::new(
        "Enable-WSManCredSSP",
        "Microsoft.WSMan.Management.EnableWSManCredSSPCommand",
        MODULE,
        || Box::new(Enable),
    );
    info.parameters = vec![
        role(),
        P::new("DelegateComputer", "string[]").position(1).validate(Validator::NotNullOrEmpty),
        P::switch("Force"),
    ];
    table.add(info);
    let mut info = CmdletInfo::new(
        "Disable-WSManCredSSP",
        "Microsoft.WSMan.Management.DisableWSManCredSSPCommand",
        MODULE,
        || Box::new(Disable),
    );
    info.parameters = vec![role()];
    table.add(info);
    table.add(CmdletInfo::new(
        "Get-WSManCredSSP",
        "Microsoft.WSMan.Management.GetWSManCredSSPCommand",
        MODULE,
        || Box::new(Get),
    ));
}

struct Enable;

impl Cmdlet for Enable {
    fn begin(&mut self, c: &mut CmdletContext<'_>) -> Run {
        let role = c.text("Role").unwrap_or_default();
        let client = role.eq_ignore_ascii_case("Client");
        match (client, c.has("DelegateComputer")) {
            (false, true) => {
                return Err(thrown(
                    c,
                    &format!(
                        "The DelegateComputer parameter cannot be used when the Role parameter value is {role}. The \
                         DelegateComputer parameter can be used only when the Role parameter value is Client."
                    ),
                ));
            }
            (true, false) => {
                return Err(thrown(
                    c,
                    "The DelegateComputer parameter is mandatory when the Role parameter value is Client.",
                ));
            }
            _ => {}
        }
        if !c.switch("Force")
            && !c.should_continue(if client { CLIENT_QUERY } else { SERVER_QUERY }, CAPTION)?
        {
            return Ok(());
        }
        if client {
            let computers = c.texts("DelegateComputer");
            with_settings(c, |settings| settings.enable_client(&computers))?;
            c.write(auth_element("client", &[("Basic", true), ("Digest", false), ("Kerberos", true)], true))
        } else {
            with_settings(c, |settings| settings.set_server(true))?;
            c.write(auth_element("service", &[("Basic", false), ("Kerberos", true)], false))
        }
    }
}

struct Disable;

impl Cmdlet for Disable {
    fn begin(&mut self, c: &mut CmdletContext<'_>) -> Run {
        if c.text("Role").is_some_and(|role| role.eq_ignore_ascii_case("Client")) {
            with_settings(c, |settings| settings.disable_client())
        } else {
            with_settings(c, |settings| settings.set_server(false))
        }
    }
}

struct Get;

impl Cmdlet for Get {
    fn begin(&mut self, c: &mut CmdletContext<'_>) -> Run {
        let (targets, receives) = with_settings(c, |settings| settings.state())?;
        for line in report(&targets, receives) {
            c.write(Value::string(&line))?;
        }
        Ok(())
    }
}

fn with_settings<T>(
    c: &mut CmdletContext<'_>,
    work: impl FnOnce(&mut dyn CredSspSettings) -> Result<T, String>,
) -> Run<T> {
    let settings = c.runspace.remoting.as_mut().and_then(|remoting| remoting.credssp_settings());
    let done = match settings {
        Some(settings) => work(settings),
        None => Err("This session has no settings of CredSSP.".to_owned()),
    };
    done.map_err(|message| {
        c.terminate(Error::new(INVALID_OPERATION, "WsManError", ErrorCategory::InvalidOperation, &message))
    })
}

/// An exception that the cmdlet throws without making a record of it.
fn thrown(c: &mut CmdletContext<'_>, message: &str) -> Flow {
    c.terminate(Error::new(INVALID_OPERATION, INVALID_OPERATION, ErrorCategory::NotSpecified, message))
}

/// The element `Auth` of WinRM's configuration, as the XML adapter shows it: what this end speaks.
fn auth_element(part: &str, ways: &[(&str, bool)], client: bool) -> Value {
    let text = |on: bool| Value::string(if on { "true" } else { "false" });
    let mut notes = vec![
        ("cfg", Value::string(format!("http://schemas.microsoft.com/wbem/wsman/1/config/{part}/auth"))),
        ("lang", Value::string("en-US")),
    ];
    notes.extend(ways.iter().map(|(name, on)| (*name, text(*on))));
    notes.extend([("Negotiate", text(true)), ("Certificate", text(client)), ("CredSSP", text(true))]);
    if !client {
        notes.push(("CbtHardeningLevel", Value::string("Relaxed")));
    }
    Value::custom_typed("System.Xml.XmlElement", notes)
}
