//! The story in five commands, each shown as typed and compared with what it should come to.

use std::io::Write;
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

use crate::{Domain, Error, PASSWORD, REALM};

/// How long one command may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// The script that asks a session where it is and for whom the server takes its user.
const WHO: &str = "\"$env:COMPUTERNAME sees $($PSSenderInfo.UserInfo.Identity.Name)\"";

/// One command of the story.
struct Step {
    /// What it is about to show.
    heading: String,
    /// Who types it.
    user: &'static str,
    /// The arguments of `hop`.
    arguments: Vec<String>,
    expected: Expected,
}

/// What should come of a [`Step`].
struct Expected {
    succeeds: bool,
    /// What the output must contain.
    contains: Vec<String>,
    /// What it must not contain.
    lacks: Vec<String>,
}

/// Runs every step; true if all went as they should.
pub(crate) async fn run(domain: &Domain, out: &mut (dyn Write + Send)) -> Result<bool, Error> {
    let mut all_good = true;
    write(out, &introduction())?;
    for (index, step) in steps(domain).iter().enumerate() {
        write(out, &format!("\n{}. {}\n\n   $ {}\n", index + 1, step.heading, typed(&step.arguments)))?;
        let output = execute(domain, step).await?;
        let text = match &output {
            Some(output) => both(output),
            None => format!("(no answer within {} s)", PATIENCE.as_secs()),
        };
        for line in text.lines() {
            write(out, &format!("   {line}\n"))?;
        }
        let complaints = step.expected.compare(output.as_ref(), &text);
        if !complaints.is_empty() {
            all_good = false;
            write(out, &format!("\n   NOT AS EXPECTED: {}\n", complaints.join("; ")))?;
            for name in ["servera", "serverb"] {
                write(out, &format!("   The log of {name} ends with:\n{}\n", domain.log_tail(name)))?;
            }
        }
    }
    write(out, if all_good { EPILOGUE } else { "\nNot everything went as expected; see above.\n" })?;
    Ok(all_good)
}

/// For who has the lab running.
pub(crate) fn what_to_try(domain: &Domain) -> String {
    let mut text = format!(
        "A domain is running on this machine: realm {REALM}, servera, serverb, and other names of servera: trusted\n\
         (for delegation), constrained (may act for users at serverb), resource (serverb lets it). alice is logged\n\
         in. In another terminal:\n\n"
    );
    for (name, value) in domain.environment("alice") {
        text.push_str(&format!("    export {name}={}\n", quoted(&value)));
    }
    let hop = domain.hop().display().to_string();
    text.push_str(&format!("    alias hop={}\n\nThen try:\n\n", quoted(&hop)));
    for step in steps(domain).iter().filter(|step| step.user == "alice") {
        text.push_str(&format!("    {}\n", typed(&step.arguments)));
    }
    let sensitive = &domain.environment("sensitive")[1].1;
    text.push_str(&format!(
        "    hop run -c servera --shell winrs 'id; env'\n\n\
         The user `sensitive` cannot be delegated:\n\n    export KRB5CCNAME={}\n\n\
         Passwords are `{PASSWORD}`. MIT's kinit, klist and kvno work here too. Ctrl+C ends it all.",
        quoted(sensitive)
    ));
    text
}

fn introduction() -> String {
    format!(
        "A domain on loopback: realm {REALM}, a KDC, the servers servera and serverb.\n\
         alice sits at the client and has a ticket, as after `kinit -f alice`.\n"
    )
}

const EPILOGUE: &str =
    "\nEverything went as expected. `hop lab up` keeps the domain running for you to try more.\n";

fn steps(domain: &Domain) -> Vec<Step> {
    let alice = format!("alice@{REALM}");
    let second = format!("Invoke-Command -ComputerName serverb {{ {WHO} }}");
    let run = |arguments: &[&str], script: &str| -> Vec<String> {
        let head = ["run", "-c"].into_iter().chain(arguments.iter().copied());
        head.chain([script]).map(str::to_owned).collect()
    };
    let seen_by = |host: &str| vec![format!("{host} sees {alice}")];
    let works = |contains| Expected { succeeds: true, contains, lacks: Vec::new() };
    let refused = |reason: &[&str]| Expected {
        succeeds: false,
        contains: reason.iter().map(|words| (*words).to_owned()).collect(),
        lacks: seen_by("serverb"),
    };
    let mut steps = vec![Step {
        heading: "The first hop: alice runs a command on servera, as herself.".to_owned(),
        user: "alice",
        arguments: run(&["servera"], WHO),
        expected: works(seen_by("servera")),
    }];
    if domain.trusts_servera() {
        steps.push(Step {
            heading: "The second hop, from servera on to serverb: the domain trusts servera.".to_owned(),
            user: "alice",
            arguments: run(&["servera"], &second),
            expected: works(seen_by("serverb")),
        });
    } else {
        steps.push(Step {
            heading: "The second hop, from servera on to serverb, without delegation: refused, and why."
                .to_owned(),
            user: "alice",
            arguments: run(&["servera"], &second),
            expected: refused(&["not trusted for delegation", "--delegate forward"]),
        });
        steps.push(Step {
            heading: "The same with a forwarded ticket: alice trusts servera with her identity.".to_owned(),
            user: "alice",
            arguments: run(&["servera", "--delegate", "forward"], &second),
            expected: works(seen_by("serverb")),
        });
        steps.push(Step {
            heading: "Through a server that the domain trusts for delegation it needs no option.".to_owned(),
            user: "alice",
            arguments: run(&["trusted"], &second),
            expected: works(seen_by("serverb")),
        });
    }
    steps.push(Step {
        heading:
            "Constrained delegation: the domain lets this server act for its users at serverb, and nowhere \
                  else. No ticket of alice's leaves the client."
                .to_owned(),
        user: "alice",
        arguments: run(&["constrained", "--delegate", "constrained"], &second),
        expected: works(seen_by("serverb")),
    });
    steps.push(Step {
        heading: "Resource-based constrained delegation: serverb itself says who may act for its users."
            .to_owned(),
        user: "alice",
        arguments: run(&["resource", "--delegate", "constrained"], &second),
        expected: works(seen_by("serverb")),
    });
    steps.push(Step {
        heading: "An account that cannot be delegated gets no further, however much it insists.".to_owned(),
        user: "sensitive",
        arguments: run(&["servera", "--delegate", "forward"], &second),
        expected: Expected {
            lacks: vec![format!("serverb sees sensitive@{REALM}")],
            ..refused(&["sensitive", "forwardable"])
        },
    });
    steps
}

impl Expected {
    /// What is not as it should be.
    fn compare(&self, output: Option<&Output>, text: &str) -> Vec<String> {
        let Some(output) = output else { return vec!["no answer".to_owned()] };
        let mut complaints = Vec::new();
        if output.status.success() != self.succeeds {
            let expected = if self.succeeds { "success" } else { "a failure" };
            complaints.push(format!("expected {expected}, got {}", output.status));
        }
        // Words of an explanation may stand on either side of a line's end.
        let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let missing = self.contains.iter().filter(|words| !flat.contains(words.as_str()));
        complaints.extend(missing.map(|words| format!("expected {words:?}, which is not there")));
        let unwanted = self.lacks.iter().filter(|words| flat.contains(words.as_str()));
        complaints.extend(unwanted.map(|words| format!("{words:?} is there and should not be")));
        complaints
    }
}

/// Runs a step's command; nothing if it takes too long.
async fn execute(domain: &Domain, step: &Step) -> Result<Option<Output>, Error> {
    let child = Command::new(domain.hop())
        .args(&step.arguments)
        .envs(domain.environment(step.user))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|source| Error::Start { program: domain.hop().to_owned(), source })?;
    match timeout(PATIENCE, child.wait_with_output()).await {
        Ok(output) => {
            output.map(Some).map_err(|source| Error::Start { program: domain.hop().to_owned(), source })
        }
        Err(_) => Ok(None),
    }
}

fn both(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A command as one types it into a shell.
fn typed(arguments: &[String]) -> String {
    let mut text = String::from("hop");
    for argument in arguments {
        text.push(' ');
        text.push_str(&quoted(argument));
    }
    text
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

fn write(out: &mut (dyn Write + Send), text: &str) -> Result<(), Error> {
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(Error::Output)
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    use super::*;

    #[test]
    fn commands_are_shown_as_a_shell_takes_them() {
        let words = ["run", "-c", "servera", "it's $x"].map(str::to_owned);
        assert_eq!(typed(&words), r"hop run -c servera 'it'\''s $x'");
        assert_eq!(quoted(""), "''");
    }

    #[test]
    fn an_outcome_is_compared_in_every_respect() {
        let expected = Expected {
            succeeds: false,
            contains: vec!["not trusted".into()],
            lacks: vec!["serverb sees".into()],
        };
        let output =
            |code: i32| Output { status: ExitStatus::from_raw(code << 8), stdout: vec![], stderr: vec![] };
        assert!(expected.compare(Some(&output(1)), "it is not\n  trusted").is_empty());
        assert_eq!(expected.compare(Some(&output(0)), "it is not trusted").len(), 1);
        assert_eq!(expected.compare(Some(&output(1)), "serverb sees alice").len(), 2);
        assert_eq!(expected.compare(None, "").len(), 1);
    }
}
