//! What the embedded PowerShell prints, compared byte for byte with what PowerShell 7.6.5 printed.
//!
//! `tests/conformance/FOLDER/NAME.ps1` runs as `hop shell -NoProfile -NonInteractive -File case.ps1`; `NAME.out`
//! holds stdout and stderr in order, `NAME.exit` the exit code where it is not 0. `equal.txt` names the cases that
//! are equal today; it may only grow: a case that stands there and differs fails the test.
//!
//! `UPDATE_RATCHET=1` adds newly equal cases to `equal.txt` (and drops none), `SHOW=FOLDER/NAME` prints what one case
//! gave, `FOLDERS=a,b` limits the run.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests may panic")]

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Far more than any case needs, so that only a hang meets it.
const TIME_LIMIT: Duration = Duration::from_secs(30);
const FOLDERS: &[&str] = &["language", "functions", "format", "cmdlets", "clixml", "remote"];

#[test]
fn cases_that_were_equal_stay_equal() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/conformance");
    let ratchet_file = root.join("equal.txt");
    let ratchet: BTreeSet<String> =
        fs::read_to_string(&ratchet_file).unwrap_or_default().lines().map(str::to_owned).collect();
    let wanted = std::env::var("FOLDERS").ok();
    let folders: Vec<&str> = FOLDERS
        .iter()
        .copied()
        .filter(|f| wanted.as_deref().is_none_or(|w| w.split(',').any(|x| x == *f)))
        .collect();

    if let Ok(name) = std::env::var("SHOW") {
        let (got, code) = run(&root.join(format!("{name}.ps1")));
        println!("{}exit code {code}", String::from_utf8_lossy(&got));
        return;
    }

    let mut equal = BTreeSet::new();
    for folder in &folders {
        let cases = cases(&root.join(folder));
        let found = equal_cases(folder, &cases);
        println!("{folder}: {} of {} equal", found.len(), cases.len());
        equal.extend(found);
    }
    let expected = ratchet.iter().filter(|name| folders.iter().any(|f| name.starts_with(&format!("{f}/"))));
    // A machine under load can delay one program past a pause in a script: ask a differing case once more.
    let lost: Vec<&String> = expected
        .filter(|name| !equal.contains(*name) && !is_equal(&root.join(format!("{name}.ps1"))))
        .collect();
    if std::env::var_os("UPDATE_RATCHET").is_some() {
        let all: Vec<String> = ratchet.union(&equal).cloned().collect();
        fs::write(&ratchet_file, all.join("\n") + "\n").unwrap();
    }
    assert!(lost.is_empty(), "these cases were equal before and differ now: {lost:#?}");
}

#[test]
fn the_document_has_the_ratchets_numbers() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let document = fs::read_to_string(root.join("docs/conformance.md")).unwrap();
    let ratchet = fs::read_to_string(root.join("tests/conformance/equal.txt")).unwrap();
    for folder in FOLDERS {
        let equal = ratchet.lines().filter(|name| name.starts_with(&format!("{folder}/"))).count();
        let all = cases(&root.join("tests/conformance").join(folder)).len();
        let row = format!("| {folder} | {equal} | {all} |");
        assert!(document.contains(&row), "docs/conformance.md should have the row {row}");
    }
}

fn cases(folder: &Path) -> Vec<PathBuf> {
    let mut cases: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "ps1"))
        .collect();
    cases.sort();
    cases
}

fn equal_cases(folder: &str, cases: &[PathBuf]) -> Vec<String> {
    let next = AtomicUsize::new(0);
    let equal = Mutex::new(Vec::new());
    let workers = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if is_equal(case) {
                        let name = case.file_stem().unwrap().to_string_lossy();
                        equal.lock().unwrap().push(format!("{folder}/{name}"));
                    }
                }
            });
        }
    });
    equal.into_inner().unwrap()
}

fn is_equal(case: &Path) -> bool {
    let want = fs::read(case.with_extension("out")).unwrap();
    let want_code: i32 =
        fs::read_to_string(case.with_extension("exit")).map_or(0, |text| text.trim().parse().unwrap());
    let (got, code) = run(case);
    got == want && code == want_code
}

/// Runs one case; paths of its two folders are shown as `<WORK>` and `<HOME>`, as in the recording.
fn run(case: &Path) -> (Vec<u8>, i32) {
    // The lengths of both paths are those of the recording: messages wrap by them.
    let work = folder("hopcase-case");
    let home = folder("case");
    let bin = folder("hopssh");
    let hop = env!("CARGO_BIN_EXE_hop");
    let mut path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned();
    if case.parent().is_some_and(|p| p.ends_with("remote")) {
        stand_in_for_ssh(bin.path(), hop);
        path = format!("{}:{path}", bin.path().display());
    }
    fs::copy(case, work.path().join("case.ps1")).unwrap();
    let (mut reader, writer) = std::io::pipe().unwrap();
    let mut child = Command::new(hop)
        .args(["shell", "-NoProfile", "-NonInteractive", "-File", "case.ps1"])
        .current_dir(work.path())
        .env_clear()
        .envs([("PATH", path.as_str()), ("TZ", "UTC"), ("LANG", "en_US.UTF-8"), ("LC_ALL", "en_US.UTF-8")])
        .envs([("TERM", "dumb"), ("NO_COLOR", "1")])
        .env("HOME", home.path())
        .stdin(Stdio::null())
        .stdout(writer.try_clone().unwrap())
        .stderr(writer)
        .spawn()
        .unwrap();
    // The Command, dropped at the end of the statement above, held the write ends.
    let output = std::thread::spawn(move || {
        let mut output = Vec::new();
        let _ = reader.read_to_end(&mut output);
        output
    });
    let started = Instant::now();
    let code = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status.code().unwrap_or(-1);
        }
        if started.elapsed() > TIME_LIMIT {
            child.kill().unwrap();
            child.wait().unwrap();
            break -1;
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    let output = output.join().unwrap();
    let output = replace(&output, work.path().as_os_str().as_encoded_bytes(), b"<WORK>");
    (replace(&output, home.path().as_os_str().as_encoded_bytes(), b"<HOME>"), code)
}

fn folder(prefix: &str) -> tempfile::TempDir {
    tempfile::Builder::new().prefix(prefix).rand_bytes(8).tempdir_in("/tmp").unwrap()
}

/// An `ssh` that starts our own server whatever host it is asked for, and refuses hosts named `down…`.
fn stand_in_for_ssh(bin: &Path, hop: &str) {
    use std::os::unix::fs::PermissionsExt;
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in *down*) echo 'ssh: connect to host down port 22: Connection refused' >&2; exit 255;; \
         esac\nexec {hop} host\n"
    );
    let file = bin.join("ssh");
    fs::write(&file, script).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
}

fn replace(text: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.windows(from.len()).position(|window| window == from) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(to);
        rest = &rest[at + from.len()..];
    }
    out.extend_from_slice(rest);
    out
}
