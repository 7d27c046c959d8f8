//! The operating system behind the engine's [`Platform`] trait.

use std::io::{self, Read, Write};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant, SystemTime};

use hop_powershell_runtime::host::{CancellationToken, NativeCommand, NativeEvent, Platform};
use hop_powershell_runtime::value::System;

/// Files and processes of this machine.
#[derive(Debug)]
pub struct LocalPlatform {
    start: Instant,
}

impl LocalPlatform {
    /// The machine this runs on.
    pub fn new() -> Self {
        Self { start: Instant::now() }
    }
}

impl Default for LocalPlatform {
    fn default() -> Self {
        Self::new()
    }
}

impl System for LocalPlatform {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }

    fn random(&self, buffer: &mut [u8]) {
        // The kernel's generator does not fail once it is seeded; an unreadable buffer stays zero.
        let _ = getrandom::fill(buffer);
    }

    fn env(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }
}

impl Platform for LocalPlatform {
    fn read_file(&self, path: &str) -> io::Result<Vec<u8>> {
        std::fs::read(path)
    }

    fn is_file(&self, path: &str) -> bool {
        std::path::Path::new(path).is_file()
    }

    fn is_directory(&self, path: &str) -> bool {
        std::path::Path::new(path).is_dir()
    }

    fn is_executable(&self, path: &str) -> bool {
        use std::os::unix::fs::PermissionsExt;
        std::fs::metadata(path).is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
    }

    fn list_directory(&self, path: &str) -> io::Result<Vec<String>> {
        let mut names: Vec<String> = std::fs::read_dir(path)?
            .filter_map(|e| e.ok().map(|e| e.file_name().to_string_lossy().into_owned()))
            .collect();
        names.sort();
        Ok(names)
    }

    fn run(
        &self,
        command: &NativeCommand,
        cancel: &CancellationToken,
        event: &mut dyn FnMut(NativeEvent) -> bool,
    ) -> io::Result<i32> {
        let mut child = Command::new(&command.program)
            .args(&command.args)
            .current_dir(&command.directory)
            .env_clear()
            .envs(command.env.iter().map(|(k, v)| (k, v)))
            .stdin(if command.input.is_some() { Stdio::piped() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let (sender, receiver) = mpsc::channel();
        let pump = |stream: Option<Box<dyn Read + Send>>, error: bool| {
            let sender = sender.clone();
            std::thread::spawn(move || {
                let Some(mut stream) = stream else { return };
                let mut buffer = [0u8; 16 * 1024];
                while let Ok(n) = stream.read(&mut buffer) {
                    let Some(bytes) = buffer.get(..n).filter(|b| !b.is_empty()) else { break };
                    let event = if error {
                        NativeEvent::Error(bytes.to_vec())
                    } else {
                        NativeEvent::Output(bytes.to_vec())
                    };
                    if sender.send(event).is_err() {
                        break;
                    }
                }
            })
        };
        pump(child.stdout.take().map(|s| Box::new(s) as Box<dyn Read + Send>), false);
        pump(child.stderr.take().map(|s| Box::new(s) as Box<dyn Read + Send>), true);
        if let (Some(mut stdin), Some(input)) = (child.stdin.take(), command.input.clone()) {
            // A program that does not read its input must not hold up the engine.
            std::thread::spawn(move || {
                let _ = stdin.write_all(&input);
            });
        }
        drop(sender);
        loop {
            match receiver.recv_timeout(Duration::from_millis(50)) {
                Ok(e) => {
                    if !event(e) {
                        let _ = child.kill();
                        break;
                    }
                }
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    if cancel.is_cancelled() {
                        let _ = child.kill();
                        break;
                    }
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
            }
        }
        let status = child.wait()?;
        use std::os::unix::process::ExitStatusExt;
        Ok(status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)))
    }

    fn environment(&self) -> Vec<(String, String)> {
        std::env::vars_os()
            .filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)))
            .collect()
    }

    fn current_directory(&self) -> String {
        std::env::current_dir().map_or_else(|_| "/".to_owned(), |p| p.to_string_lossy().into_owned())
    }

    fn process_id(&self) -> u32 {
        std::process::id()
    }

    fn computer_name(&self) -> String {
        nix::unistd::gethostname().map_or_else(|_| String::new(), |n| n.to_string_lossy().into_owned())
    }

    fn sleep(&self, time: Duration, cancel: &CancellationToken) {
        let end = Instant::now() + time;
        while !cancel.is_cancelled() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            std::thread::sleep(left.min(Duration::from_millis(20)));
        }
    }
}
