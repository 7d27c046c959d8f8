//! Targets for fuzzing.

use hop_clixml::describe::Tree;

use crate::{Limits, Target, describe};

/// Fragments or stdio lines as text: anything may come, and all of it has to be said in bounded words.
pub fn fuzz_describe(data: &[u8]) {
    let _ = describe::looks_like_fragments(data);
    let _ = describe::fragments(data, Limits::default());
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut tree = Tree::new(1 << 20);
    let mut conversation = describe::Conversation::new(Limits::default());
    for line in text.lines() {
        conversation.line(&mut tree, None, line);
    }
    conversation.finish(&mut tree);
    conversation.fragments(&mut tree, None, Target::Pool, data);
}
