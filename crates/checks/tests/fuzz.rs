//! Every fuzz target over its corpus and over mutations of it: the same ones in every run, bounded in number.
//!
//! `HOP_FUZZ_ROUNDS=20000 cargo test -p hop-checks --test fuzz` looks longer (the default is 200 mutations a file).
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests may panic")]

use std::fs;
use std::path::{Path, PathBuf};

use hop_checks::TARGETS;

#[test]
fn targets_survive_their_corpora_and_mutations_of_them() {
    // Scripts are parsed on threads with a stack for the depth that the parser allows.
    let thread = std::thread::Builder::new().stack_size(256 << 20).spawn(run).unwrap();
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

fn run() {
    let rounds: u64 = std::env::var("HOP_FUZZ_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(200);
    let mut failures = Vec::new();
    // Panics are expected here only where a target is broken; their messages name the input.
    for target in TARGETS {
        let corpus = corpus(&crates().join(target.of).join("tests/corpus").join(target.name));
        if corpus.is_empty() {
            failures.push(format!("{}/{} has no corpus", target.of, target.name));
        }
        let pool: Vec<Vec<u8>> = corpus.iter().map(|(_, data)| data.clone()).collect();
        for (name, data) in &corpus {
            let mut random = Random(0x9E37_79B9_7F4A_7C15 ^ data.len() as u64);
            for round in 0..=rounds {
                let input = if round == 0 { data.clone() } else { random.mutate(data, &pool) };
                if std::panic::catch_unwind(|| (target.run)(&input)).is_err() {
                    let kept =
                        std::env::temp_dir().join(format!("fuzz-{}-{}-{round}", target.of, target.name));
                    let _ = fs::write(&kept, &input);
                    failures.push(format!(
                        "{}/{} {name} round {round}: {}",
                        target.of,
                        target.name,
                        kept.display()
                    ));
                    break;
                }
            }
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

#[test]
fn no_target_is_missing_from_the_table() {
    let mut missing = Vec::new();
    for entry in fs::read_dir(crates()).unwrap() {
        let folder = entry.unwrap().path();
        let inner = fs::read_dir(folder.join("src/fuzz")).into_iter().flatten().map(|e| e.unwrap().path());
        for file in inner.chain([folder.join("src/fuzz.rs")]) {
            let Ok(text) = fs::read_to_string(&file) else { continue };
            for line in text.lines() {
                let Some(name) = line.trim().strip_prefix("pub fn fuzz_").and_then(|l| l.split('(').next())
                else {
                    continue;
                };
                let of = folder.file_name().unwrap().to_str().unwrap();
                if !TARGETS.iter().any(|t| t.of == of && t.name == name) {
                    missing.push(format!("{of}: fuzz_{name}"));
                }
            }
        }
    }
    assert!(missing.is_empty(), "add to crates/checks/src/lib.rs: {missing:#?}");
}

fn crates() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

fn corpus(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries.map(|e| e.unwrap().path()).filter(|p| p.is_file()).collect();
    files.sort();
    files
        .iter()
        .map(|f| (f.file_name().unwrap().to_string_lossy().into_owned(), fs::read(f).unwrap()))
        .collect()
}

/// xorshift64*: the same sequence everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    fn mutate(&mut self, data: &[u8], pool: &[Vec<u8>]) -> Vec<u8> {
        let mut out = data.to_vec();
        for _ in 0..=self.below(4) {
            let at = self.below(out.len() + 1);
            match self.below(8) {
                0 if !out.is_empty() => {
                    let at = at.min(out.len() - 1);
                    out[at] ^= 1 << self.below(8);
                }
                1 if !out.is_empty() => {
                    let at = at.min(out.len() - 1);
                    out[at] = [0, 1, 0x7F, 0x80, 0xFF][self.below(5)];
                }
                2 => out.truncate(at),
                3 => out.insert(at, self.next() as u8),
                4 if at < out.len() => {
                    let end = (at + 1 + self.below(16)).min(out.len());
                    out.drain(at..end);
                }
                5 if at < out.len() => {
                    let end = (at + 1 + self.below(64)).min(out.len());
                    let copy = out[at..end].to_vec();
                    let to = self.below(out.len());
                    out.splice(to..to, copy);
                }
                6 => {
                    let other = &pool[self.below(pool.len())];
                    let from = self.below(other.len() + 1);
                    out.truncate(at);
                    out.extend_from_slice(&other[from..]);
                }
                _ if at + 4 <= out.len() => {
                    out[at..at + 4].copy_from_slice(&(self.next() as u32).to_be_bytes())
                }
                _ => {}
            }
        }
        out
    }
}
