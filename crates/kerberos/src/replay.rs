//! Replay caches: an authenticator counts once (RFC 4120 3.2.3).

use std::collections::{HashSet, VecDeque};
use std::time::{Duration, SystemTime};

use crate::Error;

/// What an authenticator is remembered by: a hash of its ciphertext.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ReplayId(pub [u8; 16]);

/// Remembers authenticators for as long as they could be accepted again.
pub trait ReplayCache {
    /// Remembers `id` from `now` on for `lifetime`.
    ///
    /// # Errors
    /// [`Error::Replay`] if it is remembered already; [`Error::ReplayCacheFull`] if there is no room, since a
    /// request that cannot be remembered must not be accepted.
    fn check_and_store(&mut self, id: ReplayId, now: SystemTime, lifetime: Duration) -> Result<(), Error>;
}

/// A replay cache in memory, bounded.
#[derive(Debug)]
pub struct MemoryReplayCache {
    seen: HashSet<ReplayId>,
    expiry: VecDeque<(SystemTime, ReplayId)>,
    capacity: usize,
}

impl MemoryReplayCache {
    /// Room for this many authenticators (48 bytes each).
    pub fn with_capacity(capacity: usize) -> Self {
        Self { seen: HashSet::new(), expiry: VecDeque::new(), capacity }
    }

    /// How many authenticators are remembered.
    pub fn len(&self) -> usize {
        self.seen.len()
    }

    /// True if nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.seen.is_empty()
    }
}

impl Default for MemoryReplayCache {
    /// Room for 2^18 authenticators: 400 a second at the usual clock skew.
    fn default() -> Self {
        Self::with_capacity(1 << 18)
    }
}

impl ReplayCache for MemoryReplayCache {
    fn check_and_store(&mut self, id: ReplayId, now: SystemTime, lifetime: Duration) -> Result<(), Error> {
        while let Some((expiry, old)) = self.expiry.front().copied() {
            if expiry >= now {
                break;
            }
            self.expiry.pop_front();
            self.seen.remove(&old);
        }
        if self.seen.contains(&id) {
            return Err(Error::Replay);
        }
        if self.seen.len() >= self.capacity {
            return Err(Error::ReplayCacheFull);
        }
        self.seen.insert(id);
        self.expiry.push_back((now + lifetime, id));
        Ok(())
    }
}

/// Remembers nothing: for exchanges that a replay cannot harm, such as a KDC's, where the answer is of no use to
/// whoever replays the question (RFC 4120 3.3.2).
#[derive(Debug, Clone, Copy, Default)]
pub struct NoReplayCache;

impl ReplayCache for NoReplayCache {
    fn check_and_store(&mut self, _: ReplayId, _: SystemTime, _: Duration) -> Result<(), Error> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remembers_for_the_lifetime_and_no_more_than_there_is_room_for() {
        let mut cache = MemoryReplayCache::with_capacity(2);
        let t0 = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let minute = Duration::from_secs(60);
        let id = |n| ReplayId([n; 16]);
        assert_eq!(cache.check_and_store(id(1), t0, minute), Ok(()));
        assert_eq!(cache.check_and_store(id(1), t0 + minute, minute), Err(Error::Replay));
        assert_eq!(cache.check_and_store(id(2), t0, minute), Ok(()));
        assert_eq!(cache.check_and_store(id(3), t0, minute), Err(Error::ReplayCacheFull));
        let later = t0 + minute + Duration::from_micros(1);
        assert_eq!(cache.check_and_store(id(1), later, minute), Ok(()));
        assert_eq!(cache.len(), 1);
    }
}
