//! Any of the targets in crates/checks/src/lib.rs under the coverage-guided fuzzer.
//!
//!     HOP_FUZZ_TARGET=kerberos/ccache cargo fuzz run any -- -max_len=65536 crates/kerberos/tests/corpus/ccache
#![no_main]

use std::sync::OnceLock;

use hop_checks::{TARGETS, Target};
use libfuzzer_sys::fuzz_target;

fn target() -> &'static Target {
    static TARGET: OnceLock<&Target> = OnceLock::new();
    TARGET.get_or_init(|| {
        let wanted = std::env::var("HOP_FUZZ_TARGET").expect("HOP_FUZZ_TARGET names no target: FOLDER/NAME");
        let (of, name) = wanted.split_once('/').expect("HOP_FUZZ_TARGET is FOLDER/NAME");
        TARGETS.iter().find(|t| t.of == of && t.name == name).expect("no such target")
    })
}

fuzz_target!(|data: &[u8]| (target().run)(data));
