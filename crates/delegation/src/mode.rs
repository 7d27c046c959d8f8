use std::{fmt, str::FromStr};

/// What the user wants to travel on (`--delegate`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Mode {
    /// Forward only to hosts whose ticket the KDC marks ok-as-delegate: the domain's administrator has said that
    /// the host may act as its users.
    #[default]
    Auto,
    /// Forward nothing.
    Never,
    /// Forward nothing, and count on the server: it reaches what the domain lets it reach in the user's name.
    Constrained,
    /// Forward although the KDC does not mark the host: the user trusts it with the own identity.
    Forward,
    /// Hand the host the password, by CredSSP: it can be the user everywhere, for as long as the password lasts.
    CredSsp,
}

impl Mode {
    /// Every mode, in the order that help lists them.
    pub const ALL: [Mode; 5] = [Mode::Auto, Mode::Never, Mode::Constrained, Mode::Forward, Mode::CredSsp];

    /// The word on the command line and in configuration files.
    pub fn as_str(self) -> &'static str {
        match self {
            Mode::Auto => "auto",
            Mode::Never => "never",
            Mode::Constrained => "constrained",
            Mode::Forward => "forward",
            Mode::CredSsp => "credssp",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that is no delegation mode.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected auto, never, constrained, forward or credssp, got {0:?}")]
pub struct ParseModeError(String);

impl FromStr for Mode {
    type Err = ParseModeError;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        Mode::ALL.into_iter().find(|mode| mode.as_str() == s).ok_or_else(|| ParseModeError(s.to_owned()))
    }
}
