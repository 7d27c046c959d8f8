//! The same work on many hosts, some at a time.

use std::future::Future;

use futures_util::{Stream, StreamExt as _, stream};

/// How many hosts are worked on at once unless told otherwise, as `Invoke-Command` has it.
pub const DEFAULT_THROTTLE: usize = 32;

/// Runs the work for every item, at most `throttle` at once, and gives the results as they come.
pub fn fan_out<T, F, R>(
    items: impl IntoIterator<Item = T>,
    throttle: usize,
    work: impl FnMut(T) -> F,
) -> impl Stream<Item = R>
where
    F: Future<Output = R>,
{
    stream::iter(items).map(work).buffer_unordered(throttle.max(1))
}
