//! A command line on one host's command shell.

use std::io::{self, Write};

use hop_client::winrs::{CommandEvent, ShellOptions};
use hop_client::{Connection, Error};

use super::Outcome;
use crate::advice;

/// Runs the line and shows what it writes as it comes.
pub async fn run(connection: &Connection, line: &str, label: Option<&str>) -> Outcome {
    match transcript(connection, line, label).await {
        Ok(code) => Outcome::Ran(code),
        Err(error) => {
            let host = &connection.target().alias;
            let _ = writeln!(io::stderr().lock(), "hop: {host}: {}", advice::text(&error));
            Outcome::NotReached
        }
    }
}

async fn transcript(connection: &Connection, line: &str, label: Option<&str>) -> Result<i32, Error> {
    let shell = connection.open_shell(ShellOptions::default()).await?;
    let mut command = shell.run(line, &[]);
    command.send_input(Vec::new(), true);
    let (mut out, mut err) = (Lines::new(label), Lines::new(label));
    let mut code = 0;
    while let Some(event) = command.next().await {
        match event? {
            CommandEvent::Stdout(data) => out.show(&data, &mut io::stdout().lock()),
            CommandEvent::Stderr(data) => err.show(&data, &mut io::stderr().lock()),
            CommandEvent::Exit(exit) => code = exit,
            _ => {}
        }
    }
    out.end(&mut io::stdout().lock());
    err.end(&mut io::stderr().lock());
    drop(command);
    shell.close().await?;
    Ok(code)
}

/// Bytes as they come, or with a label whole lines, each labelled.
struct Lines<'a> {
    label: Option<&'a str>,
    rest: Vec<u8>,
}

impl<'a> Lines<'a> {
    fn new(label: Option<&'a str>) -> Self {
        Self { label, rest: Vec::new() }
    }

    // Output that nobody reads any more (a closed pipe) is no reason to stop what runs remotely.
    fn show(&mut self, data: &[u8], to: &mut dyn Write) {
        let Some(label) = self.label else {
            let _ = to.write_all(data).and_then(|()| to.flush());
            return;
        };
        self.rest.extend_from_slice(data);
        while let Some(end) = self.rest.iter().position(|b| *b == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            let _ = write!(to, "{label}: ").and_then(|()| to.write_all(&line));
        }
        let _ = to.flush();
    }

    fn end(&mut self, to: &mut dyn Write) {
        if let (Some(label), false) = (self.label, self.rest.is_empty()) {
            let _ =
                write!(to, "{label}: ").and_then(|()| to.write_all(&self.rest)).and_then(|()| writeln!(to));
        }
    }
}
