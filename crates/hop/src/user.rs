//! `hop user`: users of this host who are in no domain.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use hop_server::{USERS_FILE, UsersFile, UsersFileError};

use crate::{advice, password};

/// Users of this host for NTLM, CredSSP and Basic, who are in no domain.
///
/// `hop serve` knows them beside the domain's users, if [auth] NTLM, CredSSP or Basic are on. A session runs as the local
/// account of the same name, or as a [[map]] line for NAME@HOST says. The file holds NT hashes: whoever reads one can log
/// in with it, so it is readable by root alone. Exit code 0: done. 1: the file cannot be changed. 2: wrong use.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Add a user or change a password; the password is asked for
    Add(Change),
    /// Remove a user
    Rm(Name),
    /// List the users
    Ls(File),
}

/// Which file.
#[derive(Debug, clap::Args)]
pub struct File {
    /// The file of users ([auth] users of the server's configuration)
    #[arg(long, value_name = "FILE", default_value = USERS_FILE)]
    file: PathBuf,
}

/// Which user.
#[derive(Debug, clap::Args)]
pub struct Name {
    /// The user's name
    name: String,
    #[command(flatten)]
    file: File,
}

/// Which user, with which password.
#[derive(Debug, clap::Args)]
pub struct Change {
    #[command(flatten)]
    user: Name,
    /// File whose first line is the password
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

/// Does it.
#[expect(clippy::print_stdout, reason = "the answer")]
pub fn run(command: &Command) -> ExitCode {
    let result = match command {
        Command::Add(change) => add(change),
        Command::Rm(user) => change(&user.file, |users| users.remove(&user.name)),
        Command::Ls(file) => {
            UsersFile::load(&file.file).map(|users| users.names().for_each(|n| println!("{n}")))
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error @ UsersFileError::Name(_)) => advice::fail(2, &error),
        Err(error) => advice::fail(1, &error),
    }
}

#[expect(clippy::print_stderr, reason = "an error of usage")]
fn add(arguments: &Change) -> Result<(), UsersFileError> {
    let user = &arguments.user;
    match password::read(arguments.password_file.as_deref(), &user.name) {
        Ok(password) => change(&user.file, |users| users.set(&user.name, &password)),
        Err(error) => {
            eprintln!("hop: {error}");
            std::process::exit(2);
        }
    }
}

fn change(
    file: &File,
    work: impl FnOnce(&mut UsersFile) -> Result<(), UsersFileError>,
) -> Result<(), UsersFileError> {
    let mut users = UsersFile::load(&file.file)?;
    work(&mut users)?;
    users.save()
}
