//! `#requires`.

use hop_powershell_syntax::ast::{Requirement, ScriptBlock};

use crate::runspace::Runspace;
use crate::value::{Error, ErrorCategory, Value};

/// Checks a script's requirements.
pub(crate) fn check(runspace: &mut Runspace, block: &ScriptBlock, path: &str) -> Result<(), Error> {
    let name = path.rsplit('/').next().unwrap_or(path);
    let fail = |id: &str, message: String| {
        Err(Error::new(
            "System.Management.Automation.ScriptRequiresException",
            id,
            ErrorCategory::ResourceUnavailable,
            message,
        )
        .with_target(Value::string(name)))
    };
    for requirement in &block.requires {
        match requirement {
            Requirement::Version(version) => {
                let mut parts = version.split('.').map(|p| p.parse::<u32>().unwrap_or(0));
                let wanted =
                    (parts.next().unwrap_or(0), parts.next().unwrap_or(0), parts.next().unwrap_or(0));
                if wanted > (7, 6, 5) {
                    let shown = if version.contains('.') { version.clone() } else { format!("{version}.0") };
                    return fail(
                        "ScriptRequiresUnmatchedPSVersion",
                        format!(
                            "The script '{name}' cannot be run because it contained a \"#requires\" statement for \
                             PowerShell {shown}. The version of PowerShell that is required by the script does not \
                             match the currently running version of PowerShell 7.6.5."
                        ),
                    );
                }
            }
            Requirement::Modules(modules) => {
                let missing: Vec<&str> = modules
                    .iter()
                    .map(String::as_str)
                    .filter(|m| {
                        !m.starts_with('@')
                            && !runspace.modules.iter().any(|x| x.name.eq_ignore_ascii_case(m))
                            && !runspace.commands.iter().any(|c| c.module.eq_ignore_ascii_case(m))
                    })
                    .collect();
                if !missing.is_empty() {
                    return fail(
                        "ScriptRequiresMissingModules",
                        format!(
                            "The script '{name}' cannot be run because the following modules that are specified by \
                             the \"#requires\" statements of the script are missing: {}.",
                            missing.join(", ")
                        ),
                    );
                }
            }
            Requirement::Edition(_) | Requirement::Administrator => {}
        }
    }
    Ok(())
}
