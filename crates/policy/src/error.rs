use std::io;

/// Why there is no policy, or none was written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file that cannot be read or written.
    #[error("cannot {action} {path}: {source}")]
    File {
        /// `read` or `write`.
        action: &'static str,
        /// The file.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// A file that cannot be understood.
    #[error("{path}: {reason}")]
    Content {
        /// The file.
        path: String,
        /// What is wrong in it.
        reason: String,
    },
    /// An entry that the policy cannot have.
    #[error("not a pattern of hosts: {0:?} (at most one *, no spaces)")]
    Pattern(String),
    /// This account has no place of its own for settings.
    #[error("no home folder, so no place for settings: set HOME or XDG_CONFIG_HOME")]
    NoPlace,
    /// A program that speaks to the domain for us is not installed.
    #[error("{program} is not installed: Group Policy is read with it (Debian package {package})")]
    MissingProgram {
        /// The program.
        program: String,
        /// The Debian package that has it.
        package: &'static str,
    },
    /// A program that speaks to the domain for us failed.
    #[error("{program} failed: {reason}")]
    Program {
        /// The program.
        program: &'static str,
        /// What it said.
        reason: String,
    },
    /// The domain did not answer in time.
    #[error("no answer from the domain within {0} s")]
    TimedOut(u64),
    /// What the domain says is not what it should be.
    #[error("the domain {domain} answered with {got}, expected {expected}")]
    Domain {
        /// The domain.
        domain: String,
        /// What it should be.
        expected: &'static str,
        /// What it is.
        got: String,
    },
    /// Group Policy is configured, was never read, and cannot be read now: what it forbids is not known.
    #[error(
        "the Group Policy of {domain} has never been read on this machine, and cannot be read now: {reason}"
    )]
    NeverRead {
        /// The domain.
        domain: String,
        /// Why not.
        reason: String,
    },
}

impl Error {
    pub(crate) fn read(path: &std::path::Path, source: io::Error) -> Self {
        Self::File { action: "read", path: path.display().to_string(), source }
    }

    pub(crate) fn write(path: &std::path::Path, source: io::Error) -> Self {
        Self::File { action: "write", path: path.display().to_string(), source }
    }

    pub(crate) fn content(path: &std::path::Path, reason: impl ToString) -> Self {
        Self::Content { path: path.display().to_string(), reason: reason.to_string() }
    }
}
