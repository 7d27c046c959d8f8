//! Lines of HTTP headers that carry tokens.

use hop_clixml::describe::{Escaped, HIDDEN, Tree};

use super::detect::base64;

/// Header lines alone; None if there is no authentication header among them.
pub fn describe(text: &str) -> Option<String> {
    let mut tree = Tree::default();
    let mut known = false;
    for line in text.lines() {
        known |= self::line(&mut tree, line.trim());
    }
    known.then(|| tree.finish())
}

/// One line of a head. True if it is an authentication header.
pub fn line(tree: &mut Tree, line: &str) -> bool {
    let Some((name, value)) = line.split_once(':') else {
        tree.line(format_args!("{}", Escaped(line)));
        return false;
    };
    // What a shell's tool prints before a header.
    let name = name.trim_start_matches(['<', '>', '*', ' ']);
    let authentication = [
        "Authorization",
        "WWW-Authenticate",
        "Proxy-Authorization",
        "Proxy-Authenticate",
        "Authentication-Info",
    ];
    if !authentication.iter().any(|known| known.eq_ignore_ascii_case(name)) {
        let secret = ["Cookie", "Set-Cookie"].iter().any(|known| known.eq_ignore_ascii_case(name));
        let value = if secret { HIDDEN } else { value.trim() };
        tree.line(format_args!("{}: {}", Escaped(name), Escaped(value)));
        return false;
    }
    let value = value.trim();
    let (scheme, token) = value.split_once(char::is_whitespace).unwrap_or((value, ""));
    let token = token.trim();
    tree.line(format_args!("{name}: {}", Escaped(scheme)));
    tree.inside(|tree| match base64(token) {
        _ if token.is_empty() => {}
        Some(bytes) if scheme.eq_ignore_ascii_case("Basic") => {
            let text = String::from_utf8_lossy(&bytes);
            tree.text("user", text.split_once(':').map_or("", |(user, _)| user));
            tree.line(format_args!("password: {HIDDEN}"));
        }
        Some(bytes) => match hop_auth::describe::describe(&bytes) {
            Some(text) => text.lines().for_each(|line| tree.line(format_args!("{line}"))),
            None => tree.line(format_args!("unreadable token of {} bytes", bytes.len())),
        },
        // Parameters of a challenge may be shown, credentials of unknown kinds may not.
        None if name.to_ascii_lowercase().ends_with("authenticate") => {
            tree.line(format_args!("{}", Escaped(token)));
        }
        None => tree.line(format_args!("{HIDDEN}")),
    });
    true
}
