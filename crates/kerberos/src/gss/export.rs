//! Contexts on their way to another process of the same program.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hop_secret::SecretBytes;

use super::GssFlags;
use super::context::{Confounders, Context, Parts, Role};
use super::window::Window;
use crate::asn1::malformed;
use crate::{EncryptionKey, EncryptionType, Error};

const VERSION: u8 = 1;

pub(super) fn export(context: &Context) -> SecretBytes {
    let key = context.key.value.expose();
    // Room for all of it at once: a growing vector would leave copies of the key behind.
    let mut out = Vec::with_capacity(96 + key.len());
    out.push(VERSION);
    out.push(u8::from(context.role == Role::Acceptor));
    out.push(u8::from(context.acceptor_subkey));
    out.extend_from_slice(&context.flags.bits().to_be_bytes());
    let end = context.end_time.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    for number in [
        end,
        context.send_sequence,
        context.window.first,
        context.window.next,
        context.window.seen,
        context.confounders.counter,
    ] {
        out.extend_from_slice(&number.to_be_bytes());
    }
    out.extend_from_slice(&context.confounders.key);
    out.extend_from_slice(&context.key.etype.number().to_be_bytes());
    out.extend_from_slice(key);
    out.into()
}

pub(super) fn import(bytes: &[u8]) -> Result<Context, Error> {
    let mut reader = Reader(bytes);
    let [version, acceptor, acceptor_subkey] = reader.take()?;
    if version != VERSION || acceptor > 1 || acceptor_subkey > 1 {
        return Err(malformed("exported context", "unknown version or role"));
    }
    let flags = GssFlags::from_bits_retain(u32::from_be_bytes(reader.take()?));
    let mut number = || reader.take().map(u64::from_be_bytes);
    let end = number()?;
    let (send_sequence, first, next, seen, counter) = (number()?, number()?, number()?, number()?, number()?);
    let confounder_key = reader.take()?;
    let etype = EncryptionType::from_number(i32::from_be_bytes(reader.take()?));
    let end_time = UNIX_EPOCH.checked_add(Duration::from_secs(end));
    Context::new(Parts {
        role: if acceptor == 1 { Role::Acceptor } else { Role::Initiator },
        flags,
        key: EncryptionKey::new(etype, reader.0)?,
        acceptor_subkey: acceptor_subkey == 1,
        end_time: end_time.unwrap_or(SystemTime::UNIX_EPOCH),
        send_sequence,
        window: Window { first, next, seen },
        confounders: Confounders::new(confounder_key, counter)?,
    })
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let (value, rest) = self
            .0
            .split_first_chunk::<N>()
            .ok_or_else(|| malformed("exported context", "it is too short"))?;
        self.0 = rest;
        Ok(*value)
    }
}
