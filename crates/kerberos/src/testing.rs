//! Help for this crate's own tests.

use rand_core::{TryCryptoRng, TryRng};
use std::convert::Infallible;

/// A reproducible stand-in for randomness (xorshift): for tests only.
pub(crate) struct TestRng(u64);

/// A fresh, always equal sequence.
pub(crate) fn rng() -> TestRng {
    TestRng(0x9E37_79B9_7F4A_7C15)
}

impl TryRng for TestRng {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok((self.try_next_u64()? >> 32) as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        Ok(self.0)
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for chunk in bytes.chunks_mut(8) {
            let value = self.try_next_u64()?.to_le_bytes();
            chunk.iter_mut().zip(value).for_each(|(b, v)| *b = v);
        }
        Ok(())
    }
}

impl TryCryptoRng for TestRng {}
