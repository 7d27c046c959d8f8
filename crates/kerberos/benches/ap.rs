//! How many AP-REQs a client makes and a service accepts in a second, and what sealing a body costs.
#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark may panic")]

#[path = "../tests/common/mod.rs"]
mod common;

use common::World;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use hop_kerberos::EncryptionType;
use hop_kerberos::ap::KeytabKeys;
use hop_kerberos::gss::{Acceptor, AcceptorOptions, Initiator};
use hop_kerberos::replay::MemoryReplayCache;

fn establish(c: &mut Criterion) {
    let world = World::new(EncryptionType::Aes256CtsHmacSha1);
    let mut keys = KeytabKeys::new(&world.keytab);
    let mut rng = rand::rng();
    c.bench_function("ap-req make", |b| {
        b.iter(|| Initiator::new(&world.options(), world.now, &mut rng).unwrap());
    });
    let mut replay = MemoryReplayCache::with_capacity(1 << 24);
    let options = AcceptorOptions::default();
    c.bench_function("ap-req accept, with ap-rep", |b| {
        b.iter_batched(
            || Initiator::new(&world.options(), world.now, &mut rand::rng()).unwrap().0,
            |token| Acceptor::accept(&token, &mut keys, &mut replay, &options, world.now, &mut rng).unwrap(),
            BatchSize::SmallInput,
        );
    });
}

fn seal(c: &mut Criterion) {
    let mut world = World::new(EncryptionType::Aes256CtsHmacSha1);
    let (token, expect) = Initiator::new(&world.options(), world.now, &mut rand::rng()).unwrap();
    let accepted = world.accept(&token, &AcceptorOptions::default()).unwrap();
    let mut client = expect.handle(&accepted.reply.unwrap()).unwrap();
    let mut server = accepted.context;
    let mut group = c.benchmark_group("messages");
    for size in [1 << 10, 1 << 16] {
        let message = vec![b'x'; size];
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_function(format!("wrap and unwrap {size}"), |b| {
            b.iter(|| {
                let (header, body) = client.wrap_detached(&message).unwrap();
                server.unwrap_detached(&header, &body).unwrap()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, establish, seal);
criterion_main!(benches);
