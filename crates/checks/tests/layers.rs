//! The layer rules of ARCHITECTURE.md, kept by machine: who may depend on whom, and what protocol crates must not touch.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests may panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Arrows point down only: a crate may depend on crates of lower tiers and on those listed beside it.
const TIERS: &[(&str, u8)] = &[
    ("hop-secret", 0),
    ("hop-clixml", 1),
    ("hop-psrp", 2),
    ("hop-wsman", 2),
    ("hop-kerberos", 2),
    ("hop-delegation", 2),
    ("hop-auth", 3),
    ("hop-kerberos-io", 4),
    ("hop-policy", 4),
    ("hop-powershell-syntax", 1),
    ("hop-powershell-runtime", 2),
    ("hop-powershell-format", 3),
    ("hop-powershell-cmdlets", 4),
    ("hop-client", 5),
    ("hop-server", 5),
    ("hop-host", 5),
    ("hop-lab", 6),
    ("secondhop", 7),
    ("hop-checks", 8),
];

/// Crates that decide and never touch the world: no sockets, no clock, no randomness of their own, no unsafe code.
const SANS_IO: &[&str] = &[
    "hop-secret",
    "hop-clixml",
    "hop-psrp",
    "hop-wsman",
    "hop-kerberos",
    "hop-auth",
    "hop-delegation",
    "hop-powershell-syntax",
    "hop-powershell-runtime",
    "hop-powershell-format",
];

/// Reaching one of these, directly or through others, makes a crate part of the IO tier.
const IO_CRATES: &[&str] = &["tokio", "hyper", "nix", "mio", "socket2"];

/// Sources of randomness, which protocol crates are handed instead. Only direct use is looked for: some libraries
/// can draw random numbers but are not asked to here.
const RANDOMNESS: &[&str] = &["rand", "getrandom"];

/// The engine knows nothing of the network; the server starts a command and knows neither engine nor host.
const FORBIDDEN: &[(&str, &[&str])] = &[
    (
        "hop-powershell-runtime",
        &["hop-psrp", "hop-wsman", "hop-kerberos", "hop-auth", "hop-delegation", "hop-clixml"],
    ),
    ("hop-powershell-format", &["hop-psrp", "hop-wsman", "hop-kerberos", "hop-auth", "hop-delegation"]),
    (
        "hop-powershell-cmdlets",
        &["hop-psrp", "hop-wsman", "hop-kerberos", "hop-auth", "hop-delegation", "tokio", "hyper"],
    ),
    ("hop-server", &["hop-host", "hop-powershell-runtime", "hop-powershell-cmdlets", "hop-client"]),
    ("hop-host", &["hop-client", "hop-server", "hop-wsman", "hop-kerberos", "tokio"]),
    ("hop-delegation", &["hop-kerberos"]),
    ("hop-kerberos", &["hop-delegation"]),
];

#[test]
fn arrows_point_down_and_protocol_crates_do_no_io() {
    let graph = Graph::load();
    let tiers: BTreeMap<&str, u8> = TIERS.iter().copied().collect();
    let mut broken = Vec::new();
    for (name, deps) in &graph.ours {
        let Some(tier) = tiers.get(name.as_str()) else {
            broken.push(format!("{name} stands in no tier: add it to TIERS and to ARCHITECTURE.md"));
            continue;
        };
        for dep in deps {
            if tiers.get(dep.as_str()).is_some_and(|below| below >= tier) {
                broken.push(format!("{name} depends on {dep}, which is not below it"));
            }
        }
        let reached = graph.reached(name);
        if SANS_IO.contains(&name.as_str()) {
            broken.extend(
                IO_CRATES
                    .iter()
                    .filter(|io| reached.contains(**io))
                    .map(|io| format!("{name} is sans-IO but reaches {io}")),
            );
        }
        if SANS_IO.contains(&name.as_str()) {
            let direct = graph.direct(name);
            broken.extend(
                RANDOMNESS.iter().filter(|r| direct.contains(*r)).map(|r| format!("{name} depends on {r}")),
            );
        }
        for (_, forbidden) in FORBIDDEN.iter().filter(|(of, _)| of == name) {
            broken.extend(
                forbidden
                    .iter()
                    .filter(|f| reached.contains(**f))
                    .map(|f| format!("{name} must not know {f}")),
            );
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn protocol_crates_forbid_unsafe_code_and_take_time_and_randomness_as_arguments() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut broken = Vec::new();
    for name in SANS_IO {
        let source = crates.join(name.trim_start_matches("hop-")).join("src");
        let lib = fs::read_to_string(source.join("lib.rs")).unwrap();
        if !lib.contains("#![forbid(unsafe_code)]") {
            broken.push(format!("{name} does not forbid unsafe code"));
        }
        for file in rust_files(&source) {
            let text = fs::read_to_string(&file).unwrap();
            // Test modules stand at the end of a file and may do as they like.
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            for word in [
                "SystemTime::now",
                "Instant::now",
                "std::net::",
                "std::fs::",
                "thread_rng",
                "std::process::Command",
            ] {
                if code.lines().any(|line| !line.trim_start().starts_with("//") && line.contains(word)) {
                    broken.push(format!("{} uses {word}", file.display()));
                }
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

/// The platform this runs on, as cargo names it.
fn host() -> String {
    let out = Command::new("rustc").arg("-vV").output().unwrap();
    let text = String::from_utf8(out.stdout).unwrap();
    text.lines().find_map(|line| line.strip_prefix("host: ")).unwrap().to_owned()
}

struct Graph {
    /// Our crates and their direct dependencies that are ours.
    ours: BTreeMap<String, Vec<String>>,
    /// Every package and its normal dependencies, by package id.
    edges: BTreeMap<String, Vec<String>>,
    names: BTreeMap<String, String>,
}

impl Graph {
    fn load() -> Self {
        let out = Command::new(env!("CARGO"))
            // Without the platform it would want the crates of all others, which nobody may have fetched.
            .args(["metadata", "--format-version", "1", "--offline", "--filter-platform", &host()])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        let metadata: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
        let names: BTreeMap<String, String> = metadata["packages"]
            .as_array()
            .unwrap()
            .iter()
            .map(|p| (p["id"].as_str().unwrap().to_owned(), p["name"].as_str().unwrap().to_owned()))
            .collect();
        let members: BTreeSet<&str> =
            metadata["workspace_members"].as_array().unwrap().iter().map(|m| m.as_str().unwrap()).collect();
        let mut edges = BTreeMap::new();
        let mut ours = BTreeMap::new();
        for node in metadata["resolve"]["nodes"].as_array().unwrap() {
            let id = node["id"].as_str().unwrap();
            let deps: Vec<String> = node["deps"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|d| d["dep_kinds"].as_array().unwrap().iter().any(|k| k["kind"].is_null()))
                .map(|d| d["pkg"].as_str().unwrap().to_owned())
                .collect();
            if members.contains(id) {
                let direct =
                    deps.iter().filter(|d| members.contains(d.as_str())).map(|d| names[d].clone()).collect();
                ours.insert(names[id].clone(), direct);
            }
            edges.insert(id.to_owned(), deps);
        }
        Self { ours, edges, names }
    }

    fn direct(&self, name: &str) -> BTreeSet<&str> {
        let ids = self.names.iter().filter(|(_, n)| *n == name).map(|(id, _)| id);
        ids.flat_map(|id| &self.edges[id]).map(|dep| self.names[dep].as_str()).collect()
    }

    fn reached(&self, name: &str) -> BTreeSet<&str> {
        let mut seen = BTreeSet::new();
        let mut stack: Vec<&String> =
            self.names.iter().filter(|(_, n)| *n == name).map(|(id, _)| id).collect();
        let mut reached = BTreeSet::new();
        while let Some(id) = stack.pop() {
            if seen.insert(id) {
                for dep in &self.edges[id] {
                    reached.insert(self.names[dep].as_str());
                    stack.push(dep);
                }
            }
        }
        reached
    }
}

fn rust_files(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
    files
}
