//! Sessions: whose they are, what they have, what is left of them.

use std::sync::Arc;

use hop_client::Error;
use hop_client::http::{Http, Settings};
use hop_client::winrs::{CommandEvent, Shell, ShellOptions};
use nix::sys::signal::Signal;
use nix::unistd::{Pid, Uid};

use crate::Test;
use crate::domain::{FOREIGN, HOST, REALM, Tickets};
use crate::security::Kerberos;
use crate::server::{Server, current_user, wait_until};

pub const TESTS: &[Test] = &[
    ("a_command_runs_as_the_user_with_the_forwarded_ticket", command_with_forwarded_ticket),
    ("without_delegation_the_session_knows_why", reasons),
    ("input_signals_and_exit_codes_pass", input_signals_exit_codes),
    ("large_output_passes_whole", large_output),
    ("principals_without_mapping_are_refused", mapping),
    ("a_ticket_for_another_host_is_refused", other_host),
    ("a_realm_with_the_name_of_the_host_is_refused", realm_with_the_hosts_name),
    ("what_is_beyond_the_limits_ends_that_request_only", beyond_limits),
    ("another_user_runs_as_itself", other_user),
    ("the_network_process_has_no_privileges", no_privileges),
    ("killing_the_network_process_ends_everything", kill_network),
    ("what_a_killed_monitor_leaves_is_swept", kill_monitor),
    ("a_stop_ends_sessions_in_good_order", stop),
    ("shells_per_user_are_limited", limits),
];

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

async fn open(server: &Server, tickets: Tickets) -> Result<Shell, Error> {
    open_with(server, tickets, ShellOptions::default()).await
}

async fn open_with(server: &Server, tickets: Tickets, options: ShellOptions) -> Result<Shell, Error> {
    let mut target = hop_client::Hosts::default().resolve(HOST).unwrap();
    target.address = "127.0.0.1".to_owned();
    target.port = server.port();
    let url = target.url();
    let http = Http::new(target, Box::new(Kerberos(tickets)), Settings::default());
    Shell::open(Arc::new(http), &url, options).await
}

/// Runs a line; its stdout, stderr and exit code.
async fn run(shell: &Shell, line: &str) -> (String, String, i32) {
    let mut command = shell.run(line, &[]);
    let (mut out, mut err) = (Vec::new(), Vec::new());
    while let Some(event) = command.next().await {
        match event.unwrap() {
            CommandEvent::Stdout(data) => out.extend(data),
            CommandEvent::Stderr(data) => err.extend(data),
            CommandEvent::Exit(code) => {
                return (String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap(), code);
            }
            _ => {}
        }
    }
    panic!("no exit code");
}

/// What a line prints in a shell of its own.
pub fn output(server: &Server, tickets: Tickets, line: &str) -> String {
    runtime().block_on(async {
        let shell = open(server, tickets).await.unwrap();
        let (out, _, _) = run(&shell, line).await;
        shell.close().await.unwrap();
        out
    })
}

fn command_with_forwarded_ticket() {
    let mut server = Server::start("[environment]\nFROM_CONFIGURATION = 'yes'");
    let tickets = server.domain.log_in("alice", REALM);
    let forwarded = tickets.forwarded.clone().unwrap();
    runtime().block_on(async {
        let options = ShellOptions {
            working_directory: Some("/usr".to_owned()),
            environment: vec![("GREETING".to_owned(), "hello  world".to_owned())],
        };
        let shell = open_with(&server, tickets, options).await.unwrap();
        let line = "id -un; pwd; echo \"$GREETING $FROM_CONFIGURATION\"; echo oops >&2; exit 7";
        let (out, err, code) = run(&shell, line).await;
        assert_eq!(out, format!("{}\n/usr\nhello  world yes\n", current_user()));
        assert_eq!((err.as_str(), code), ("oops\n", 7));
        let (path, _, _) = run(&shell, "stat -c '%a %n' ${KRB5CCNAME#FILE:}").await;
        let path = path.trim_end().strip_prefix("600 ").unwrap().to_owned();
        let cache = hop_kerberos::ccache::CredentialCache::parse(&std::fs::read(&path).unwrap()).unwrap();
        assert_eq!(cache.tgt().unwrap().ticket, forwarded.ticket);
        let (report, _, _) = run(&shell, "cat $HOP_DELEGATION").await;
        let report = hop_delegation::SessionReport::from_json(report.as_bytes()).unwrap();
        assert_eq!(report.identity(), Ok(hop_delegation::SessionIdentity::Forwarded));
        shell.close().await.unwrap();
    });
    wait_until("the cache has gone", || server.caches().is_empty());
    assert!(server.log().contains("session opened"), "{}", server.log());
    assert!(server.log().contains("delegation=forwarded"), "{}", server.log());
}

fn reasons() {
    let mut server = Server::start("constrained_delegation = \"off\"\n");
    let plain = server.domain.log_in("alice", REALM).plain();
    let sensitive = server.domain.log_in("sensitive", REALM);
    assert!(sensitive.forwarded.is_none());
    runtime().block_on(async {
        for (tickets, code) in [(plain, "host-not-trusted"), (sensitive, "ticket-not-forwardable")] {
            let shell = open(&server, tickets).await.unwrap();
            let (out, _, _) = run(&shell, "cat $HOP_DELEGATION; ls ${KRB5CCNAME#FILE:} 2>&1").await;
            assert!(out.contains(code), "{out}");
            assert!(out.contains("No such file"), "{out}");
            shell.close().await.unwrap();
        }
    });
}

fn input_signals_exit_codes() {
    let mut server = Server::start("");
    let tickets = server.domain.log_in("alice", REALM);
    runtime().block_on(async {
        let shell = open(&server, tickets).await.unwrap();
        let mut command = shell.run("cat", &[]);
        command.send_input(b"one\n".to_vec(), false);
        command.send_input(b"two\n".to_vec(), true);
        let mut out = Vec::new();
        while let Some(event) = command.next().await {
            match event.unwrap() {
                CommandEvent::Stdout(data) => out.extend(data),
                CommandEvent::Exit(code) => assert_eq!(code, 0),
                _ => {}
            }
        }
        assert_eq!(out, b"one\ntwo\n");
        // A command still held keeps the shell open.
        drop(command);
        let mut command =
            shell.run("trap 'echo caught; exit 3' INT; echo ready; while :; do sleep 0.05; done", &[]);
        let mut text = String::new();
        let mut code = None;
        while let Some(event) = command.next().await {
            match event.unwrap() {
                CommandEvent::Stdout(data) => {
                    text.push_str(std::str::from_utf8(&data).unwrap());
                    if text == "ready\n" {
                        command.interrupt();
                    }
                }
                CommandEvent::Exit(exit) => code = Some(exit),
                _ => {}
            }
        }
        assert_eq!((text.as_str(), code), ("ready\ncaught\n", Some(3)));
        drop(command);
        let (_, _, code) = run(&shell, "kill -9 $$").await;
        assert_eq!(code, 128 + 9);
        shell.close().await.unwrap();
    });
}

fn large_output() {
    let mut server = Server::start("");
    let tickets = server.domain.log_in("alice", REALM);
    runtime().block_on(async {
        let shell = open(&server, tickets).await.unwrap();
        let (out, _, code) = run(&shell, "seq 1 2000000").await;
        assert_eq!(code, 0);
        assert_eq!(out.lines().count(), 2_000_000);
        assert!(out.ends_with("\n2000000\n"));
        shell.close().await.unwrap();
    });
}

fn mapping() {
    let mut server = Server::start("");
    for (user, realm) in [("root", REALM), ("servera$", REALM), ("alice", FOREIGN), ("root", FOREIGN)] {
        let tickets = server.domain.log_in(user, realm);
        let refused = runtime().block_on(open(&server, tickets)).unwrap_err();
        assert!(refused.to_string().contains("403") || format!("{refused:?}").contains("403"), "{refused:?}");
    }
    let log = server.log();
    for part in
        ["root@HOP.TEST would be local user", "servera$@HOP.TEST is a computer", "not of the server's realm"]
    {
        assert!(log.contains(part), "{part}: {log}");
    }
    assert!(!log.contains("session opened"));
}

fn realm_with_the_hosts_name() {
    let mut server = Server::start(&format!("[auth]\nnetbios_name = '{FOREIGN}'"));
    let tickets = server.domain.log_in("alice", FOREIGN);
    let refused = runtime().block_on(open(&server, tickets)).unwrap_err();
    assert!(format!("{refused:?}").contains("403"), "{refused:?}");
    assert!(server.log().contains("has the name of this host"), "{}", server.log());
}

fn beyond_limits() {
    let mut server = Server::start("");
    let tickets = server.domain.log_in("alice", REALM);
    runtime().block_on(async {
        let shell = open(&server, tickets.clone()).await.unwrap();
        // More than the monitor takes, less than an envelope may have.
        let mut command = shell.run(&format!("true {}", "x".repeat(140 * 1024)), &[]);
        let refused = command.next().await.unwrap().unwrap_err();
        assert!(refused.to_string().contains("limits"), "{refused}");
        drop(command);
        let options = ShellOptions {
            environment: vec![("N".repeat(2000), "value".to_owned())],
            ..ShellOptions::default()
        };
        let other = open_with(&server, tickets, options).await.unwrap();
        let mut command = other.run("true", &[]);
        let refused = command.next().await.unwrap().unwrap_err();
        assert!(refused.to_string().contains("limits"), "{refused}");
        drop(command);
        // Nobody else has noticed.
        let (out, _, _) = run(&shell, "echo still here").await;
        assert_eq!(out, "still here\n");
        shell.close().await.unwrap();
    });
}

fn other_host() {
    let mut server = Server::start("");
    let tickets = server.domain.log_in_for("alice", REALM, "serverb.hop.test");
    let refused = runtime().block_on(open(&server, tickets)).unwrap_err();
    assert!(format!("{refused:?}").contains("refused"), "{refused:?}");
    assert!(server.log().contains("authentication refused"), "{}", server.log());
}

fn other_user() {
    if !Uid::effective().is_root() {
        println!("skipped: not root");
        return;
    }
    let mut server = Server::start("");
    let tickets = server.domain.log_in("bob", REALM);
    runtime().block_on(async {
        let shell = open(&server, tickets).await.unwrap();
        let line = "id -un; id -u; stat -c '%U %a' ${KRB5CCNAME#FILE:}; ls -ld ${HOP_DELEGATION%/*} | cut -c1-10; \
                    grep -c . ${KRB5CCNAME#FILE:} >/dev/null && echo readable; cat /proc/self/status | grep Groups";
        let (out, err, code) = run(&shell, line).await;
        let daemon = nix::unistd::User::from_name("daemon").unwrap().unwrap();
        let expected = format!(
            "daemon\n{}\ndaemon 600\ndrwx------\nreadable\nGroups:\t{} \n",
            daemon.uid, daemon.gid
        );
        assert_eq!((out, err, code), (expected, String::new(), 0));
        shell.close().await.unwrap();
    });
}

fn no_privileges() {
    let server = Server::start("");
    // Connections wait in the socket from the first moment; what answers one has become what it is to be.
    assert!(crate::raw::head_of_answer(&server, "Negotiate").starts_with("HTTP/1.1 401"));
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.network_process())).unwrap();
    assert!(status.contains("NoNewPrivs:\t1"), "{status}");
    if Uid::effective().is_root() {
        let nobody = nix::unistd::User::from_name("nobody").unwrap().unwrap().uid;
        assert!(status.contains(&format!("Uid:\t{nobody}\t{nobody}\t{nobody}\t{nobody}")), "{status}");
        assert!(status.contains("CapEff:\t0000000000000000"), "{status}");
    }
}

/// Starts a command that would run for ever; the process id of its `sleep`.
async fn long_command(shell: &Shell) -> Pid {
    let mut command = shell.run("sleep 1000 & echo $!; wait", &[]);
    loop {
        if let CommandEvent::Stdout(data) = command.next().await.unwrap().unwrap() {
            // Kept: dropping it would terminate it.
            std::mem::forget(command);
            return Pid::from_raw(std::str::from_utf8(&data).unwrap().trim().parse().unwrap());
        }
    }
}

fn is_alive(pid: Pid) -> bool {
    // A zombie has ended too, whoever should have reaped it.
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|s| !s.contains(") Z "))
}

fn kill_network() {
    let mut server = Server::start("");
    let tickets = server.domain.log_in("alice", REALM);
    runtime().block_on(async {
        let shell = open(&server, tickets).await.unwrap();
        let sleep = long_command(&shell).await;
        assert_eq!(server.caches().len(), 1);
        nix::sys::signal::kill(Pid::from_raw(server.network_process()), Signal::SIGKILL).unwrap();
        wait_until("the session has ended", || !is_alive(sleep));
        std::mem::forget(shell);
    });
    assert!(!server.child.wait().unwrap().success());
    assert_eq!(server.caches().len(), 0);
}

fn kill_monitor() {
    let mut server = Server::start("");
    let tickets = server.domain.log_in("alice", REALM);
    runtime().block_on(async {
        let shell = open(&server, tickets).await.unwrap();
        let sleep = long_command(&shell).await;
        let network = Pid::from_raw(server.network_process());
        server.signal(Signal::SIGKILL);
        server.child.wait().unwrap();
        wait_until("the network process has ended", || !is_alive(network));
        server.restart();
        wait_until("the session has ended", || !is_alive(sleep));
        std::mem::forget(shell);
    });
    assert_eq!(server.caches().len(), 0);
    assert!(server.log().contains("removed what servers"), "{}", server.log());
}

fn stop() {
    let mut server = Server::start("");
    let tickets = server.domain.log_in("alice", REALM);
    runtime().block_on(async {
        let shell = open(&server, tickets).await.unwrap();
        let sleep = long_command(&shell).await;
        server.signal(Signal::SIGTERM);
        wait_until("the session has ended", || !is_alive(sleep));
        std::mem::forget(shell);
    });
    assert!(server.child.wait().unwrap().success(), "{}", server.log());
    assert_eq!(server.caches().len(), 0);
    assert!(!server.log().contains("did not stop in time"), "{}", server.log());
}

fn limits() {
    let mut server = Server::start("MaxShellsPerUser = 2");
    let tickets = server.domain.log_in("alice", REALM);
    let other = server.domain.log_in("mallory", REALM);
    runtime().block_on(async {
        let _one = open(&server, tickets.clone()).await.unwrap();
        let two = open(&server, tickets.clone()).await.unwrap();
        assert!(open(&server, tickets.clone()).await.is_err());
        let _other = open(&server, other).await.unwrap();
        two.close().await.unwrap();
        open(&server, tickets).await.unwrap();
    });
}
