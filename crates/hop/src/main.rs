//! `hop`: PowerShell Remoting done whole, second hop included.
#![allow(
    rustdoc::broken_intra_doc_links,
    rustdoc::invalid_html_tags,
    reason = "doc comments of arguments are help texts, where brackets say optional"
)]

mod advice;
mod credssp;
mod decode;
mod doctor;
mod domain;
mod host;
mod lab;
mod login;
mod password;
mod pipeline;
mod question;
mod remoting;
mod run;
mod serve;
mod settings;
mod shell;
mod ticket;
mod trust;
mod user;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// PowerShell Remoting done whole, second hop included.
#[derive(Debug, Parser)]
#[command(
    name = "hop",
    version,
    propagate_version = true,
    arg_required_else_help = true,
    max_term_width = 100
)]
#[command(after_help = "Start here: `hop lab demo` shows both hops on this machine. The manual is in docs/.")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a script or a command on other machines (Invoke-Command)
    Run(Box<run::Arguments>),
    /// Serve remoting on this machine (Enable-PSRemoting)
    Serve(serve::Arguments),
    /// Manage the users of this host who are in no domain
    #[command(subcommand)]
    User(user::Command),
    /// Get your first ticket, for everything after it (kinit)
    ///
    /// Proves to the domain who you are and puts the ticket into your credential cache, where hop and every other
    /// Kerberos program finds it. The ticket can be forwarded unless you say otherwise. Exit code 0: you have a ticket.
    /// 1: the domain refuses or cannot be reached; the text says why. 2: wrong use.
    Login(login::Arguments),
    /// Look at tickets and at what a session may do with them
    #[command(subcommand)]
    Ticket(ticket::Command),
    /// Say who may have a password by CredSSP, and whether this machine takes any (Enable-WSManCredSSP)
    #[command(subcommand)]
    Credssp(credssp::Command),
    /// Say which hosts NTLM may speak to though nothing proves who they are (TrustedHosts)
    #[command(subcommand)]
    Trust(trust::Command),
    /// Find out why a server, or a service behind it, cannot be reached as you
    Doctor(doctor::Arguments),
    /// Turn a captured message, fragment or token into readable text
    ///
    /// Takes CLIXML, base64 of PSRP fragments, WS-Management envelopes with or without their HTTP headers, a log of
    /// PSRP over stdio or ssh, JSON lines of these, and SPNEGO, GSS-API, Kerberos, NTLM or CredSSP tokens (base64,
    /// or whole Authorization headers), and names things as the specifications do. Secure strings, session keys and
    /// passwords in Basic headers are not shown. Exit code 0: recognised. 1: not recognised. 2: cannot be read.
    Decode(decode::Arguments),
    /// Run a script here with the embedded PowerShell (pwsh -File)
    Shell(shell::Arguments),
    /// Be the server at the far end of ssh (pwsh -sshs)
    Host(host::Arguments),
    /// Try it all on this machine
    #[command(subcommand)]
    Lab(lab::Command),
}

fn main() -> ExitCode {
    // The server starts this program again as its network process, before anything else has happened here.
    if let Some(code) = hop_server::run_helper_process() {
        return code;
    }
    match Cli::parse().command {
        Command::Run(arguments) => run::run(*arguments),
        Command::Serve(arguments) => serve::run(arguments),
        Command::User(command) => user::run(&command),
        Command::Login(arguments) => login::run(&arguments),
        Command::Ticket(command) => ticket::run(&command),
        Command::Credssp(command) => credssp::run(&command),
        Command::Trust(command) => trust::run(&command),
        Command::Doctor(arguments) => doctor::run(&arguments),
        Command::Decode(arguments) => decode::run(&arguments),
        Command::Shell(arguments) => shell::run(&arguments),
        Command::Host(arguments) => host::run(&arguments),
        Command::Lab(command) => lab::run(&command),
    }
}
