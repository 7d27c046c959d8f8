//! Fragments ([MS-PSRP] 2.2.4).

use std::collections::VecDeque;

/// Bytes before a fragment's content.
pub const HEADER_LENGTH: usize = 21;

/// The largest fragment that PowerShell sends through pipes, header included.
pub const MAX_FRAGMENT: usize = 32_768;

/// Cuts messages into fragments and numbers the objects.
///
/// One counter serves a whole direction of a connection: the pool and all its pipelines.
#[derive(Clone, Debug)]
pub struct Fragmenter {
    next_object: u64,
    max_content: usize,
}

impl Default for Fragmenter {
    fn default() -> Self {
        Self::new(MAX_FRAGMENT)
    }
}

impl Fragmenter {
    /// Fragments of at most this size in bytes, header included.
    pub fn new(max_fragment: usize) -> Self {
        Self { next_object: 1, max_content: max_fragment.saturating_sub(HEADER_LENGTH).max(1) }
    }

    /// The fragments of one message, in order.
    pub fn fragment(&mut self, message: &[u8]) -> Vec<Vec<u8>> {
        let object = self.next_object;
        self.next_object += 1;
        let count = message.len().div_ceil(self.max_content).max(1);
        (0..count)
            .map(|index| {
                let start = index * self.max_content;
                let content = message.get(start..message.len().min(start + self.max_content)).unwrap_or(&[]);
                let flags = u8::from(index == 0) | u8::from(index + 1 == count) << 1;
                let mut out = Vec::with_capacity(HEADER_LENGTH + content.len());
                out.extend_from_slice(&object.to_be_bytes());
                out.extend_from_slice(&(index as u64).to_be_bytes());
                out.push(flags);
                out.extend_from_slice(&u32::try_from(content.len()).unwrap_or(u32::MAX).to_be_bytes());
                out.extend_from_slice(content);
                out
            })
            .collect()
    }
}

/// A fragment's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The object that the fragment is part of.
    pub object: u64,
    /// Which part, from 0.
    pub fragment: u64,
    /// First part.
    pub start: bool,
    /// Last part.
    pub end: bool,
    /// Length of the content in bytes.
    pub length: u32,
}

impl Header {
    /// Reads a header off the front; None if there are fewer than 21 bytes.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let (object, rest) = bytes.split_first_chunk()?;
        let (fragment, rest) = rest.split_first_chunk()?;
        let (flags, rest) = rest.split_first()?;
        let (length, _) = rest.split_first_chunk()?;
        Some(Self {
            object: u64::from_be_bytes(*object),
            fragment: u64::from_be_bytes(*fragment),
            start: flags & 1 != 0,
            end: flags & 2 != 0,
            length: u32::from_be_bytes(*length),
        })
    }
}

/// Fragments that do not fit together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FragmentError {
    /// The object id is 0 or negative.
    #[error("expected an object id above 0, got {0}")]
    ObjectId(i64),
    /// A fragment of another object, or one without a beginning.
    #[error("unexpected object id {0}")]
    UnexpectedObject(u64),
    /// A fragment is missing or out of order.
    #[error("expected fragment {expected}, got {got}")]
    Sequence {
        /// The fragment that should have come.
        expected: u64,
        /// The fragment that came.
        got: u64,
    },
    /// More than the limit.
    #[error("a message of {0} bytes or more is too large")]
    TooLarge(usize),
}

impl FragmentError {
    /// The words in which PowerShell reports the fault.
    pub fn powershell_message(&self) -> &'static str {
        match self {
            Self::ObjectId(_) => {
                "ObjectId cannot be less than or equal to 0. This can happen if the fragments are not properly \
                 constructed by the remote computer, or the data has been changed by unauthorized users."
            }
            Self::UnexpectedObject(_) => {
                "Unexpected ObjectId received. This can happen if the fragments are not properly constructed by the \
                 remote computer, or the data might have been corrupted or changed."
            }
            Self::Sequence { .. } => {
                "The FragmentIDs of the same object must be in sequence, incrementally changing by 1. This can happen \
                 if the fragments are not properly constructed by the remote computer. The data might also have been \
                 corrupted or changed."
            }
            Self::TooLarge(_) => {
                "Remoting data is too large to be reassembled from the fragments. This can happen if the length of the \
                 data in a fragment is greater than Int32.Max. It can also occur if the data was changed by \
                 unauthorized users."
            }
        }
    }
}

/// Puts the messages of one target together. Fragments may begin and end anywhere in what it is given.
#[derive(Clone, Debug, Default)]
pub struct Defragmenter {
    pending: VecDeque<u8>,
    object: Option<u64>,
    next_fragment: u64,
    message: Vec<u8>,
    limit: Option<usize>,
}

impl Defragmenter {
    /// With a limit on a message's length in bytes.
    pub fn new(max_message: usize) -> Self {
        Self { limit: Some(max_message), ..Self::default() }
    }

    /// Takes bytes in. Follow with [`next`](Self::next) until it gives nothing.
    pub fn push(&mut self, bytes: &[u8]) {
        self.pending.extend(bytes);
    }

    /// The next complete message. After an error everything taken in so far is forgotten.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Option<Result<Vec<u8>, FragmentError>> {
        loop {
            match self.step() {
                Ok(Step::Message(message)) => return Some(Ok(message)),
                Ok(Step::More) => {}
                Ok(Step::Wait) => return None,
                Err(error) => {
                    *self = Self { limit: self.limit, ..Self::default() };
                    return Some(Err(error));
                }
            }
        }
    }

    fn step(&mut self) -> Result<Step, FragmentError> {
        let Some(header) = Header::read(self.pending.make_contiguous()) else { return Ok(Step::Wait) };
        let object = i64::from_ne_bytes(header.object.to_ne_bytes());
        if object <= 0 {
            return Err(FragmentError::ObjectId(object));
        }
        let length = usize::try_from(header.length).unwrap_or(usize::MAX);
        let before = if header.start { 0 } else { self.message.len() };
        let total = before.saturating_add(length).saturating_add(HEADER_LENGTH);
        if total > i32::MAX as usize || self.limit.is_some_and(|limit| total - HEADER_LENGTH > limit) {
            return Err(FragmentError::TooLarge(total - HEADER_LENGTH));
        }
        if self.pending.len() < HEADER_LENGTH + length {
            return Ok(Step::Wait);
        }
        if header.start {
            self.object = Some(header.object);
            self.message.clear();
        } else if self.object != Some(header.object) {
            return Err(FragmentError::UnexpectedObject(header.object));
        } else if header.fragment != self.next_fragment {
            return Err(FragmentError::Sequence { expected: self.next_fragment, got: header.fragment });
        }
        self.next_fragment = header.fragment.wrapping_add(1);
        self.pending.drain(..HEADER_LENGTH);
        self.message.extend(self.pending.drain(..length));
        if !header.end {
            return Ok(Step::More);
        }
        self.object = None;
        Ok(Step::Message(std::mem::take(&mut self.message)))
    }
}

enum Step {
    Message(Vec<u8>),
    More,
    Wait,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(defragmenter: &mut Defragmenter) -> Vec<Result<Vec<u8>, FragmentError>> {
        std::iter::from_fn(|| defragmenter.next()).collect()
    }

    #[test]
    fn messages_survive_any_cut() {
        let message: Vec<u8> = (0..100u8).collect();
        let mut fragmenter = Fragmenter::new(30);
        let mut bytes = fragmenter.fragment(&message).concat();
        bytes.extend(fragmenter.fragment(&[7]).concat());
        for step in [1, 2, 21, 22, 64, 1000] {
            let mut defragmenter = Defragmenter::default();
            let mut out = Vec::new();
            for piece in bytes.chunks(step) {
                defragmenter.push(piece);
                out.extend(all(&mut defragmenter));
            }
            assert_eq!(out, [Ok(message.clone()), Ok(vec![7])]);
        }
    }

    #[test]
    fn fragments_out_of_order_are_refused() {
        let mut fragmenter = Fragmenter::new(31);
        let parts = fragmenter.fragment(&[1; 30]);
        let other = fragmenter.fragment(&[2; 30]);
        let feed = |parts: &[&Vec<u8>]| {
            let mut defragmenter = Defragmenter::new(1000);
            parts.iter().for_each(|part| defragmenter.push(part));
            all(&mut defragmenter)
        };
        assert_eq!(feed(&[&parts[0], &parts[2]]), [Err(FragmentError::Sequence { expected: 1, got: 2 })]);
        assert_eq!(feed(&[&parts[1]]), [Err(FragmentError::UnexpectedObject(1))]);
        assert_eq!(feed(&[&parts[0], &other[1]]), [Err(FragmentError::UnexpectedObject(2))]);
        assert_eq!(feed(&[&vec![0; 21]]), [Err(FragmentError::ObjectId(0))]);
        let mut huge = vec![0; 21];
        huge[7] = 1;
        huge[16] = 3;
        huge[17] = 0x7F;
        assert!(matches!(feed(&[&huge])[..], [Err(FragmentError::TooLarge(_))]));
    }

    #[test]
    fn a_new_start_replaces_an_unfinished_object() {
        let mut fragmenter = Fragmenter::new(31);
        let parts = fragmenter.fragment(&[1; 30]);
        let whole = fragmenter.fragment(&[2]).concat();
        let mut defragmenter = Defragmenter::default();
        defragmenter.push(&parts[0]);
        defragmenter.push(&whole);
        assert_eq!(all(&mut defragmenter), [Ok(vec![2])]);
    }
}
