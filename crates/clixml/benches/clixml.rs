//! Parsing and serialising of process-like objects, beside quick-xml's bare events over the same bytes.
//!
//! 20,000 objects with 15 properties each, about 22 MB, one object per parse.
#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark may panic")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use hop_clixml::{Limits, parse, write};
use quick_xml::events::Event;

const OBJECTS: usize = 20_000;

fn corpus() -> Vec<String> {
    (0..OBJECTS)
        .map(|i| {
            format!(
                "<Obj RefId=\"0\"><TN RefId=\"0\"><T>System.Diagnostics.Process</T>\
                 <T>System.ComponentModel.Component</T><T>System.MarshalByRefObject</T><T>System.Object</T></TN>\
                 <ToString>System.Diagnostics.Process (worker-{i})</ToString><Props>\
                 <I32 N=\"BasePriority\">8</I32><B N=\"HasExited\">false</B><I32 N=\"Id\">{i}</I32>\
                 <S N=\"MachineName\">.</S><I64 N=\"WorkingSet64\">{}</I64><I64 N=\"VirtualMemorySize64\">{}</I64>\
                 <S N=\"ProcessName\">worker-{i}</S><DT N=\"StartTime\">2026-01-02T03:04:05.{:07}+00:00</DT>\
                 <TS N=\"TotalProcessorTime\">PT{}.5S</TS><Db N=\"CPU\">{}.25</Db><I32 N=\"SessionId\">1</I32>\
                 <S N=\"Path\">/usr/lib/very/long/path/to/a/program/worker-{i}</S><Nil N=\"Site\" />\
                 <G N=\"Job\">00000000-0000-0000-0000-{:012}</G></Props><MS>\
                 <S N=\"Description\">A worker &amp; its children, line one_x000A_line two, number {i}</S></MS></Obj>",
                i * 4096,
                i * 65_536,
                i,
                i % 60,
                i % 1000,
                i,
            )
        })
        .collect()
}

fn clixml(c: &mut Criterion) {
    let corpus = corpus();
    let bytes: usize = corpus.iter().map(String::len).sum();
    let limits = Limits::default();
    let values: Vec<_> = corpus.iter().map(|text| parse::value(text, &limits).unwrap()).collect();
    assert_eq!(write::value(&values[7]), corpus[7]);
    let mut group = c.benchmark_group("clixml");
    group.sample_size(10).throughput(Throughput::Bytes(bytes as u64));
    group.bench_function("quick-xml, events only", |b| {
        b.iter(|| {
            corpus.iter().fold(0usize, |count, text| {
                let mut reader = quick_xml::Reader::from_str(text);
                let mut events = count;
                while !matches!(reader.read_event().unwrap(), Event::Eof) {
                    events += 1;
                }
                events
            })
        });
    });
    group.bench_function("parse", |b| {
        b.iter(|| corpus.iter().filter(|text| parse::value(text, &limits).is_ok()).count());
    });
    group.bench_function("serialise", |b| {
        let mut out = String::new();
        b.iter(|| {
            values.iter().fold(0usize, |sum, value| {
                out.clear();
                write::value_to(&mut out, value);
                sum + out.len()
            })
        });
    });
    group.finish();
}

criterion_group!(benches, clixml);
criterion_main!(benches);
