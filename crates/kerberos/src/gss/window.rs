//! The receiver's view of sequence numbers.

use crate::Error;

/// How far back a late token may lie.
const WIDTH: u64 = 64;

/// Remembers which of the last 64 sequence numbers were seen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Window {
    /// The first sequence number of all.
    pub first: u64,
    /// The next one if nothing is lost, as a distance from the first.
    pub next: u64,
    /// Bit n: `next - 1 - n` was seen.
    pub seen: u64,
}

/// Where a token stands among the others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Place {
    /// The next one.
    Next,
    /// One or more before it are missing.
    AfterGap,
    /// One of those that were missing.
    Late,
}

impl Window {
    pub(super) fn new(first: u64) -> Self {
        Self { first, next: 0, seen: 0 }
    }

    /// Looks where a sequence number stands, without noting it.
    pub(super) fn place(&self, sequence: u64) -> Result<Place, Error> {
        let relative = sequence.wrapping_sub(self.first);
        if relative == self.next {
            return Ok(Place::Next);
        }
        // Half of all numbers lie ahead, the other half behind.
        let ahead = relative.wrapping_sub(self.next);
        if ahead < 1 << 63 {
            return Ok(Place::AfterGap);
        }
        let back = self.next.wrapping_sub(1).wrapping_sub(relative);
        if back >= WIDTH || relative > self.next {
            return Err(Error::OldToken);
        }
        if self.seen & 1 << back != 0 { Err(Error::DuplicateToken) } else { Ok(Place::Late) }
    }

    /// Notes a sequence number that `place` has admitted.
    pub(super) fn note(&mut self, sequence: u64) {
        let relative = sequence.wrapping_sub(self.first);
        let ahead = relative.wrapping_sub(self.next);
        if ahead < 1 << 63 {
            let shift = ahead.saturating_add(1);
            self.seen = if shift >= WIDTH { 0 } else { self.seen << shift } | 1;
            self.next = relative.wrapping_add(1);
        } else {
            let back = self.next.wrapping_sub(1).wrapping_sub(relative);
            if back < WIDTH {
                self.seen |= 1 << back;
            }
        }
    }

    /// The next sequence number expected.
    pub(super) fn expected(&self) -> u64 {
        self.first.wrapping_add(self.next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_order_gap_late_duplicate_old() {
        for first in [0, 7, u64::from(u32::MAX), u64::MAX - 3] {
            let mut w = Window::new(first);
            let mut take = |n: u64| {
                let sequence = first.wrapping_add(n);
                let place = w.place(sequence)?;
                w.note(sequence);
                Ok::<_, Error>(place)
            };
            assert_eq!(take(0), Ok(Place::Next));
            assert_eq!(take(0), Err(Error::DuplicateToken));
            assert_eq!(take(1), Ok(Place::Next));
            assert_eq!(take(5), Ok(Place::AfterGap));
            assert_eq!(take(3), Ok(Place::Late));
            assert_eq!(take(3), Err(Error::DuplicateToken));
            assert_eq!(take(6), Ok(Place::Next));
            assert_eq!(take(100), Ok(Place::AfterGap));
            assert_eq!(take(37), Ok(Place::Late));
            assert_eq!(take(36), Err(Error::OldToken));
            assert_eq!(take(u64::MAX), Err(Error::OldToken));
        }
    }
}
