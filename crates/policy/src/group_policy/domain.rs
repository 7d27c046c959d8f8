//! Asks the domain: LDAP by `ldapsearch`, files of SYSVOL by `smbclient`, both signed in with the Kerberos ticket that
//! is there (`KRB5CCNAME`), sealed and signed.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    io::{self, Read},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant, SystemTime},
};

use super::{
    PolicyObject, Snapshot,
    ldif::{self, Record},
    links::{self, Container},
    security_descriptor::{SecurityDescriptor, Sid},
};
use crate::{Error, files, local, registry_pol};

/// What to ask.
#[derive(Clone, Debug)]
pub struct Question {
    /// The domain's DNS name.
    pub domain: String,
    /// This machine's account in it, `NAME$`, if it has one.
    pub machine: Option<String>,
    /// The domain controller to ask, if not the one that DNS names.
    pub controller: Option<String>,
    /// For all of it together.
    pub within: Duration,
    /// The programs that ask.
    pub programs: Programs,
}

/// Where the programs are.
#[derive(Clone, Debug)]
pub struct Programs {
    /// OpenLDAP's client.
    pub ldapsearch: PathBuf,
    /// Samba's client.
    pub smbclient: PathBuf,
    /// The credential cache with the ticket that proves the caller (`FILE:…`), if not that of the environment.
    pub ccache: Option<String>,
}

impl Default for Programs {
    fn default() -> Self {
        Self { ldapsearch: "ldapsearch".into(), smbclient: "smbclient".into(), ccache: None }
    }
}

/// The flag of a policy object whose part for machines is switched off ([MS-GPOL] 2.2.4).
const MACHINE_PART_OFF: i64 = 2;
/// LDAP_SERVER_SD_FLAGS_OID for owner, group and access list, which everybody may read.
const SD_FLAGS: &str = "!1.2.840.113556.1.4.801=::MAMCAQc=";
/// The client-side extension for registry values.
const REGISTRY_EXTENSION: &str = "35378EAC-683F-11D2-A89A-00C04FBBCFA2";
/// Domain Computers.
const DOMAIN_COMPUTERS: u32 = 515;
/// LDAP's noSuchObject, ldapsearch's exit code for it.
const NO_SUCH_OBJECT: i32 = 32;

/// Reads what applies to this machine now.
///
/// # Errors
/// A program is missing, the domain cannot be reached in time, or refuses.
pub fn read(question: &Question, now: SystemTime) -> Result<Snapshot, Error> {
    let asked = Asked { question, deadline: Instant::now() + question.within };
    let base = base_of(&question.domain);
    let controller = match &question.controller {
        Some(controller) => controller.clone(),
        None => asked.controller(&base)?,
    };
    let server = format!("ldap://{controller}");
    let head = asked.object(&server, &base, &["gPLink", "gPOptions", "objectSid"])?;
    let head = head.ok_or_else(|| asked.unexpected("the domain's own object", "nothing"))?;
    let domain_sid = head.bytes("objectSid").and_then(Sid::from_bytes);

    let mut sids = vec![Sid::everyone(), Sid::authenticated_users()];
    let mut containers = vec![container(&head)];
    match &question.machine {
        None => sids.extend(domain_sid.and_then(|sid| sid.with_rid(DOMAIN_COMPUTERS))),
        Some(name) => {
            let machine = asked.machine(&server, &base, name)?;
            sids.extend(groups(&machine));
            for dn in parents(&machine.dn, &base).into_iter().rev() {
                let found = asked.object(&server, &dn, &["gPLink", "gPOptions"])?;
                containers.extend(found.as_ref().map(container));
            }
        }
    }

    let folder = tempfile::tempdir().map_err(|e| Error::write(&std::env::temp_dir(), e))?;
    let mut objects = Vec::new();
    // An object may be another domain's of the forest, whose controllers hold it.
    let mut controllers = BTreeMap::from([(base.to_ascii_lowercase(), controller)]);
    for dn in links::order(&containers) {
        let home = domain_part(&dn).unwrap_or(&base).to_ascii_lowercase();
        let controller = match controllers.get(&home) {
            Some(known) => known.clone(),
            None => {
                let found = asked.controller(&home)?;
                controllers.insert(home, found.clone());
                found
            }
        };
        let server = format!("ldap://{controller}");
        let attributes = [
            "cn",
            "displayName",
            "flags",
            "gPCFileSysPath",
            "gPCMachineExtensionNames",
            "nTSecurityDescriptor",
        ];
        // One that may not even be seen is as if it were not there.
        let Some(object) = asked.object(&server, &dn, &attributes)? else { continue };
        if object.number("flags") & MACHINE_PART_OFF != 0 || !may_apply(&object, &sids) {
            tracing::debug!(dn, "the policy object does not apply to this machine");
            continue;
        }
        let extensions = object.text("gPCMachineExtensionNames").unwrap_or_default().to_ascii_uppercase();
        if !extensions.contains(REGISTRY_EXTENSION) {
            continue;
        }
        let id = object.text("cn").unwrap_or_default().to_owned();
        let path = object.text("gPCFileSysPath").and_then(sysvol_path);
        let path = path.ok_or_else(|| {
            asked.unexpected("a folder of SYSVOL", object.text("gPCFileSysPath").unwrap_or(""))
        })?;
        let Some(bytes) = asked.file(&controller, &format!("{path}/Machine/Registry.pol"), folder.path())?
        else {
            continue;
        };
        let entries = registry_pol::decode(&bytes)
            .map_err(|e| Error::Content { path: format!("Registry.pol of {id}"), reason: e.to_string() })?;
        objects.push(PolicyObject {
            name: object.text("displayName").unwrap_or_default().to_owned(),
            id,
            entries,
        });
    }
    Ok(Snapshot {
        origin: question.domain.to_ascii_lowercase(),
        machine: question.machine.clone(),
        read_at: now,
        objects,
    })
}

/// `DC=hop,DC=test` of `hop.test`.
fn base_of(domain: &str) -> String {
    domain.split('.').map(|label| format!("DC={label}")).collect::<Vec<_>>().join(",")
}

fn container(object: &Record) -> Container {
    Container {
        links: object.text("gPLink").map(links::parse).unwrap_or_default(),
        blocks_inheritance: object.number("gPOptions") & 1 != 0,
    }
}

/// The containers of an object, from the nearest up, without the domain's own.
fn parents(dn: &str, base: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = dn;
    while let Some((_, parent)) = split_rdn(rest) {
        if parent.len() <= base.len() {
            break;
        }
        found.push(parent.to_owned());
        rest = parent;
    }
    found
}

/// The `DC=…` parts at the end of a distinguished name.
fn domain_part(dn: &str) -> Option<&str> {
    let mut rest = dn;
    while !rest.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("DC=")) {
        rest = split_rdn(rest)?.1;
    }
    Some(rest)
}

/// The first part of a distinguished name and the rest; a comma after a backslash separates nothing.
fn split_rdn(dn: &str) -> Option<(&str, &str)> {
    let mut escaped = false;
    let at = dn.char_indices().find_map(|(at, c)| {
        let ends = c == ',' && !escaped;
        escaped = c == '\\' && !escaped;
        ends.then_some(at)
    })?;
    Some((dn.get(..at)?, dn.get(at + 1..)?))
}

/// Whom a machine's account is, as far as its object tells.
fn groups(machine: &Record) -> Vec<Sid> {
    let own = machine.bytes("objectSid").and_then(Sid::from_bytes);
    let primary = u32::try_from(machine.number("primaryGroupID")).ok().filter(|rid| *rid != 0);
    let group =
        own.as_ref().and_then(Sid::domain).and_then(|d| d.with_rid(primary.unwrap_or(DOMAIN_COMPUTERS)));
    let nested = machine.all("tokenGroups").filter_map(Sid::from_bytes);
    own.into_iter().chain(group).chain(nested).collect()
}

fn may_apply(object: &Record, sids: &[Sid]) -> bool {
    let descriptor = object.bytes("nTSecurityDescriptor").and_then(SecurityDescriptor::decode);
    descriptor.is_some_and(|descriptor| descriptor.lets_apply(sids))
}

/// The path below the share: `hop.test/Policies/{GUID}` of `\\hop.test\sysvol\hop.test\Policies\{GUID}`.
fn sysvol_path(unc: &str) -> Option<String> {
    let mut parts = unc.strip_prefix(r"\\")?.split('\\');
    let (_, share) = (parts.next()?, parts.next()?);
    let parts: Vec<&str> = parts.filter(|part| !part.is_empty()).collect();
    // What stands here becomes part of a command of smbclient.
    let good = |part: &&str| {
        *part != ".."
            && part.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '{' | '}' | ' '))
    };
    (share.eq_ignore_ascii_case("sysvol") && !parts.is_empty() && parts.iter().all(good))
        .then(|| parts.join("/"))
}

struct Asked<'a> {
    question: &'a Question,
    deadline: Instant,
}

impl Asked<'_> {
    fn unexpected(&self, expected: &'static str, got: &str) -> Error {
        let got = if got.is_empty() { "nothing" } else { got };
        Error::Domain { domain: self.question.domain.clone(), expected, got: got.chars().take(100).collect() }
    }

    /// The domain controller that DNS leads to, by its own name.
    fn controller(&self, base: &str) -> Result<String, Error> {
        let anywhere = format!("ldap:///{}", base.replace('=', "%3D").replace(',', "%2C"));
        let root = self.object(&anywhere, "", &["dnsHostName"])?;
        let name = root.as_ref().and_then(|root| root.text("dnsHostName")).unwrap_or_default();
        match local::is_domain(name) {
            true => Ok(name.to_owned()),
            false => Err(self.unexpected("the name of a domain controller", name)),
        }
    }

    /// One object; `None` if there is none or it may not be seen.
    fn object(&self, server: &str, dn: &str, attributes: &[&str]) -> Result<Option<Record>, Error> {
        let found = self.search(server, dn, "base", "(objectClass=*)", attributes)?;
        Ok(found.into_iter().next())
    }

    fn machine(&self, server: &str, base: &str, name: &str) -> Result<Record, Error> {
        let escaped: String = name
            .chars()
            .map(|c| match c {
                '*' | '(' | ')' | '\\' | '\0' => format!("\\{:02x}", c as u32),
                c => c.to_string(),
            })
            .collect();
        let filter = format!("(&(objectCategory=computer)(sAMAccountName={escaped}))");
        let found = self.search(server, base, "sub", &filter, &["distinguishedName"])?;
        let dn = found.into_iter().next().map(|found| found.dn);
        let none = || self.unexpected("the account of this machine", &format!("no account {name}"));
        let dn = dn.ok_or_else(none)?;
        // tokenGroups can be asked of a single object only.
        let machine = self.object(server, &dn, &["objectSid", "primaryGroupID", "tokenGroups"])?;
        machine.ok_or_else(none)
    }

    fn search(
        &self,
        server: &str,
        base: &str,
        scope: &str,
        filter: &str,
        attributes: &[&str],
    ) -> Result<Vec<Record>, Error> {
        let mut arguments = vec![
            "-Q",
            "-LLL",
            "-N",
            "-Y",
            "GSSAPI",
            "-O",
            "minssf=56",
            "-o",
            "ldif-wrap=no",
            "-o",
            "nettimeout=3",
            "-l",
            "10",
            "-H",
            server,
            "-b",
            base,
            "-s",
            scope,
        ];
        if attributes.contains(&"nTSecurityDescriptor") {
            arguments.extend(["-E", SD_FLAGS]);
        }
        arguments.push(filter);
        arguments.extend(attributes);
        let done = self.run(&self.question.programs.ldapsearch, "ldap-utils", &arguments, None)?;
        match done.code {
            Some(0) => Ok(ldif::parse(&String::from_utf8_lossy(&done.out))),
            Some(NO_SUCH_OBJECT) => Ok(Vec::new()),
            _ if done.says("no mechanism available") || done.says("Unknown authentication method") => {
                Err(Error::MissingProgram {
                    program: "SASL's plug-in for GSSAPI".to_owned(),
                    package: "libsasl2-modules-gssapi-mit",
                })
            }
            _ => Err(Error::Program { program: "ldapsearch", reason: done.reason() }),
        }
    }

    /// A file of SYSVOL; `None` if there is none.
    fn file(&self, controller: &str, path: &str, folder: &Path) -> Result<Option<Vec<u8>>, Error> {
        const NAME: &str = "registry.pol";
        let (share, get) = (format!("//{controller}/sysvol"), format!("get \"{path}\" {NAME}"));
        let arguments = [&share, "-N", "--use-kerberos=required", "--client-protection=sign", "-c", &get];
        let done = self.run(&self.question.programs.smbclient, "smbclient", &arguments, Some(folder))?;
        let local = folder.join(NAME);
        if done.code == Some(0) {
            let bytes = files::read(&local, registry_pol::MAX_FILE as u64)?;
            let _ = std::fs::remove_file(&local);
            return bytes.map(Some).ok_or_else(|| self.unexpected("a file of SYSVOL", path));
        }
        let _ = std::fs::remove_file(&local);
        let none =
            ["NT_STATUS_OBJECT_NAME_NOT_FOUND", "NT_STATUS_OBJECT_PATH_NOT_FOUND", "NT_STATUS_NO_SUCH_FILE"];
        if none.iter().any(|status| done.says(status)) {
            return Ok(None);
        }
        Err(Error::Program { program: "smbclient", reason: done.reason() })
    }

    fn run(
        &self,
        program: &Path,
        package: &'static str,
        arguments: &[&str],
        folder: Option<&Path>,
    ) -> Result<Done, Error> {
        let failed = |source: io::Error| Error::Program { program: "a program", reason: source.to_string() };
        let mut command = Command::new(program);
        command.args(arguments.iter().map(OsStr::new)).env("LC_ALL", "C");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        if let Some(folder) = folder {
            command.current_dir(folder);
        }
        if let Some(ccache) = &self.question.programs.ccache {
            command.env("KRB5CCNAME", ccache);
        }
        let mut child = command.spawn().map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => {
                Error::MissingProgram { program: program.display().to_string(), package }
            }
            _ => failed(source),
        })?;
        let out = child.stdout.take().map(|pipe| thread::spawn(move || drain(pipe)));
        let err = child.stderr.take().map(|pipe| thread::spawn(move || drain(pipe)));
        let status = loop {
            if let Some(status) = child.try_wait().map_err(failed)? {
                break status;
            }
            if Instant::now() >= self.deadline {
                let _ = child.kill();
                let _ = child.wait();
                return Err(Error::TimedOut(self.question.within.as_secs()));
            }
            thread::sleep(Duration::from_millis(5));
        };
        let all = |reader: Option<thread::JoinHandle<Vec<u8>>>| {
            reader.and_then(|r| r.join().ok()).unwrap_or_default()
        };
        Ok(Done { code: status.code(), out: all(out), err: all(err) })
    }
}

fn drain(pipe: impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _ = pipe.take(ldif::MAX_SIZE as u64).read_to_end(&mut bytes);
    bytes
}

/// How a program ended.
struct Done {
    code: Option<i32>,
    out: Vec<u8>,
    err: Vec<u8>,
}

impl Done {
    fn says(&self, words: &str) -> bool {
        [&self.out, &self.err].iter().any(|text| String::from_utf8_lossy(text).contains(words))
    }

    /// Its error output on one line; smbclient writes errors to standard output.
    fn reason(&self) -> String {
        let text = if self.err.trim_ascii().is_empty() { &self.out } else { &self.err };
        let text = String::from_utf8_lossy(text);
        let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let code =
            self.code.map_or_else(|| "killed by a signal".to_owned(), |code| format!("exit code {code}"));
        if lines.is_empty() { code } else { lines.join("; ").chars().take(500).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(base_of("hop.test"), "DC=hop,DC=test");
        assert_eq!(
            parents(r"CN=C\, 1,OU=b,OU=a\\,DC=hop,DC=test", "DC=hop,DC=test"),
            [r"OU=b,OU=a\\,DC=hop,DC=test", r"OU=a\\,DC=hop,DC=test"]
        );
        assert_eq!(parents("DC=hop,DC=test", "DC=hop,DC=test"), Vec::<String>::new());
        assert_eq!(domain_part("CN={1},CN=Policies,dc=child,DC=hop"), Some("dc=child,DC=hop"));
        assert_eq!(domain_part("CN={1}"), None);
        let path = sysvol_path(r"\\hop.test\SysVol\hop.test\Policies\{31B2F340-016D}");
        assert_eq!(path.as_deref(), Some("hop.test/Policies/{31B2F340-016D}"));
        for bad in [
            "",
            "x",
            r"\\h\other\p",
            r"\\h\sysvol",
            r"\\h\sysvol\..\x",
            "\\\\h\\sysvol\\a\"; !id",
            r"\\h\sysvol\a;b",
        ] {
            assert_eq!(sysvol_path(bad), None, "{bad}");
        }
    }
}
