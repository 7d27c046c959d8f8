//! The question of `Enable-WSManCredSSP`, and what happens when nobody answers it or the settings say no.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "tests may panic")]

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use hop_powershell_cmdlets::credssp::{CAPTION, CLIENT_QUERY, SERVER_QUERY};
use hop_powershell_cmdlets::platform::LocalPlatform;
use hop_powershell_runtime::host::{
    CancellationToken, Choice, CredSspSettings, Host, ProgressRecord, RemoteCommand, RemoteEvent,
    RemoteSession, Remoting,
};
use hop_powershell_runtime::runspace::Runspace;
use hop_powershell_runtime::value::{Error, ErrorRecord, Value};

/// Questions that were asked, and what was done to the settings.
#[derive(Clone, Default)]
struct Log(Rc<RefCell<Vec<String>>>);

impl Log {
    fn add(&self, line: String) {
        self.0.borrow_mut().push(line);
    }
}

struct Person {
    answer: i32,
    log: Log,
}

impl Host for Person {
    fn name(&self) -> String {
        "Person".to_owned()
    }
    fn write_error(&mut self, record: &Arc<ErrorRecord>, _: &str) {
        self.log.add(format!("error {}", record.fully_qualified_id()));
    }
    fn write_warning(&mut self, _: &str) {}
    fn write_verbose(&mut self, _: &str) {}
    fn write_debug(&mut self, _: &str) {}
    fn write_information(&mut self, _: &Value) {}
    fn write_progress(&mut self, _: i64, _: &ProgressRecord) {}
    fn write(&mut self, _: &str, _: Option<u8>, _: Option<u8>) {}
    fn prompt_for_choice(
        &mut self,
        caption: &str,
        query: &str,
        choices: &[Choice],
        default: i32,
    ) -> Result<i32, Error> {
        let labels: Vec<&str> = choices.iter().map(|choice| choice.label.as_str()).collect();
        self.log.add(format!("{caption}|{query}|{}|{default}", labels.join(" ")));
        Ok(self.answer)
    }
}

struct Machine {
    refuse: bool,
    log: Log,
}

impl CredSspSettings for Machine {
    fn enable_client(&mut self, computers: &[String]) -> Result<(), String> {
        self.log.add(format!("client {}", computers.join(" ")));
        if self.refuse { Err("overridden".to_owned()) } else { Ok(()) }
    }
    fn disable_client(&mut self) -> Result<(), String> {
        self.log.add("no client".to_owned());
        Ok(())
    }
    fn set_server(&mut self, on: bool) -> Result<(), String> {
        self.log.add(format!("server {on}"));
        Ok(())
    }
    fn state(&mut self) -> Result<(Vec<String>, bool), String> {
        Ok((Vec::new(), false))
    }
}

impl Remoting for Machine {
    fn invoke(
        &mut self,
        _: &RemoteCommand,
        _: &CancellationToken,
        _: &mut dyn FnMut(RemoteEvent) -> bool,
    ) -> Result<(), Error> {
        Ok(())
    }
    fn open(&mut self, _: &str, _: Option<&str>, _: &[(String, Value)]) -> Result<RemoteSession, Error> {
        panic!("no session is opened here")
    }
    fn close(&mut self, _: i32) -> Result<(), Error> {
        Ok(())
    }
    fn sessions(&self) -> Vec<RemoteSession> {
        Vec::new()
    }
    fn credssp_settings(&mut self) -> Option<&mut dyn CredSspSettings> {
        Some(self)
    }
}

/// What is asked and done, and how many objects come out.
fn run(script: &str, answer: i32, refuse: bool) -> (Vec<String>, Result<usize, String>) {
    let log = Log::default();
    let host = Person { answer, log: log.clone() };
    let mut runspace: Runspace =
        hop_powershell_cmdlets::runspace(Box::new(host), Arc::new(LocalPlatform::new()));
    runspace.remoting = Some(Box::new(Machine { refuse, log: log.clone() }));
    let mut out: Vec<Value> = Vec::new();
    let ended = runspace.run_script(script, &[], None, &mut out);
    let ended = match ended {
        Ok(()) => Ok(out.len()),
        Err(flow) => Err(flow.error().map(|e| e.record().fully_qualified_id()).unwrap_or_default()),
    };
    let lines = log.0.borrow().clone();
    (lines, ended)
}

#[test]
fn both_roles_are_asked_about() {
    let question = |query: &str| format!("{CAPTION}|{query}|&Yes &No &Suspend|0");
    let client = "Enable-WSManCredSSP -Role Client -DelegateComputer a, b";
    assert_eq!(run(client, 0, false), (vec![question(CLIENT_QUERY), "client a b".to_owned()], Ok(1)));
    assert_eq!(run(client, 1, false), (vec![question(CLIENT_QUERY)], Ok(0)));
    let server = "Enable-WSManCredSSP -Role Server";
    assert_eq!(run(server, 0, false), (vec![question(SERVER_QUERY), "server true".to_owned()], Ok(1)));
    assert_eq!(run(server, 2, false), (vec![question(SERVER_QUERY)], Ok(0)));
    let forced =
        format!("{client} -Force; {server} -Force; Disable-WSManCredSSP Client; Disable-WSManCredSSP Server");
    let done = ["client a b", "server true", "no client", "server false"].map(str::to_owned);
    assert_eq!(run(&forced, 1, false), (done.to_vec(), Ok(2)));
}

#[test]
fn settings_that_say_no() {
    let (lines, ended) = run("Enable-WSManCredSSP -Role Client -DelegateComputer a -Force", 0, true);
    let id = "WsManError,Microsoft.WSMan.Management.EnableWSManCredSSPCommand";
    let told = ended == Err(id.to_owned()) || lines.contains(&format!("error {id}"));
    assert!(told && lines[0] == "client a", "{lines:?} {ended:?}");
}
