//! Command shells over real HTTP connections.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod common;

use std::{sync::Arc, time::Duration};

use common::{NoSecurity, TestServer, quick};
use hop_client::{
    Error,
    fan_out::fan_out,
    http::Http,
    winrs::{Command, CommandEvent, Shell, ShellOptions},
};
use tokio::time::timeout;

async fn open(server: &TestServer) -> Shell {
    let transport = server.transport();
    Shell::open(transport, &server.target().url(), ShellOptions::default()).await.unwrap()
}

async fn finish(command: &mut Command) -> (String, String, i32) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    loop {
        match timeout(Duration::from_secs(20), command.next()).await.unwrap().unwrap().unwrap() {
            CommandEvent::Stdout(data) => out.extend(data),
            CommandEvent::Stderr(data) => err.extend(data),
            CommandEvent::Exit(code) => {
                return (String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap(), code);
            }
            _ => {}
        }
    }
}

#[tokio::test]
async fn a_command_on_one_connection() {
    let server = TestServer::start().await;
    let shell = open(&server).await;
    let mut command = shell.run("echo out; echo err >&2; exit 3", &[]);
    assert_eq!(finish(&mut command).await, ("out\n".to_owned(), "err\n".to_owned(), 3));
    assert!(command.next().await.is_none());
    drop(command);
    shell.close().await.unwrap();
    assert_eq!(server.shells(), 0);
    assert_eq!(server.connections(), 1);
    // Create, Command, Receive (one or two, as the shell happens to write), Delete.
    assert!((4..=6).contains(&server.requests()), "{}", server.requests());
}

#[tokio::test]
async fn large_output_arrives_whole() {
    let server = TestServer::start().await;
    let shell = open(&server).await;
    let mut command = shell.run("head -c 3000000 /dev/zero | tr '\\0' x", &[]);
    let (out, _, code) = finish(&mut command).await;
    assert_eq!((out.len(), code), (3_000_000, 0));
}

#[tokio::test]
async fn a_running_command_is_interrupted_over_a_second_connection() {
    let server = TestServer::start().await;
    let shell = open(&server).await;
    let mut command = shell.run("echo begun; exec sleep 60", &[]);
    assert_eq!(command.next().await.unwrap().unwrap(), CommandEvent::Stdout(b"begun\n".to_vec()));
    tokio::time::sleep(Duration::from_millis(100)).await;
    command.interrupt();
    let (.., code) = finish(&mut command).await;
    assert_eq!(code, -1);
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn a_server_that_dies_is_an_error_and_no_hang() {
    let server = TestServer::start().await;
    let shell = open(&server).await;
    let mut command = shell.run("exec sleep 60", &[]);
    server.observed.drop_request.store(3, std::sync::atomic::Ordering::SeqCst);
    let error = timeout(Duration::from_secs(10), command.next()).await.unwrap().unwrap().unwrap_err();
    assert!(matches!(error.root(), Error::Broken { .. }), "{error}");
    assert!(error.to_string().starts_with("the connection to servera.test broke: "), "{error}");
    assert!(command.next().await.is_none());
    let closed = timeout(Duration::from_secs(10), shell.close()).await.unwrap();
    assert!(matches!(closed, Err(Error::Shared(_))));
}

#[tokio::test]
async fn nobody_listens_nobody_knows_the_name_nobody_answers() {
    let server = TestServer::start().await;
    let mut target = server.target();
    server.kill();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let open = |target: hop_client::Target| async move {
        let url = target.url();
        let transport = Arc::new(Http::new(target, Box::new(NoSecurity), quick()));
        timeout(Duration::from_secs(20), Shell::open(transport, &url, ShellOptions::default()))
            .await
            .unwrap()
            .unwrap_err()
    };
    let error = open(target.clone()).await;
    assert_eq!(error.to_string(), format!("connection to servera.test port {} was refused", target.port));
    target.address = "no-such-host.invalid".to_owned();
    let error = open(target.clone()).await;
    assert!(
        matches!(error, Error::NameResolution { .. } | Error::TimedOut { action: "resolve", .. }),
        "{error}"
    );

    let deaf = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    target.address = "127.0.0.1".to_owned();
    target.port = deaf.local_addr().unwrap().port();
    let settings = hop_client::http::Settings { network: Duration::from_millis(200), ..quick() };
    let transport = Http::new(target.clone(), Box::new(NoSecurity), settings);
    use hop_client::transport::Transport as _;
    let error = transport.post(vec![], Duration::from_millis(200)).await.unwrap_err();
    assert!(matches!(error, Error::TimedOut { action: "answer", .. }), "{error}");
}

#[tokio::test]
async fn a_refusal_tells_the_reason() {
    let server = TestServer::start().await;
    *server.observed.refuse.lock().unwrap() = Some("clock skew too great");
    let transport = server.transport();
    let error = Shell::open(transport, &server.target().url(), ShellOptions::default()).await.unwrap_err();
    assert_eq!(error.to_string(), "servera.test refused the credentials: clock skew too great");
}

#[tokio::test]
async fn answers_that_are_no_http_are_errors() {
    for answer in [
        "",
        "SSH-2.0-OpenSSH\r\n",
        "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\n",
    ] {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut target = hop_client::Hosts::default().resolve("127.0.0.1").unwrap();
        target.port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 4096]).await;
            stream.write_all(answer.as_bytes()).await.unwrap();
        });
        let url = target.url();
        let transport = Arc::new(Http::new(target, Box::new(NoSecurity), quick()));
        let opened = Shell::open(transport, &url, ShellOptions::default());
        let error = timeout(Duration::from_secs(10), opened).await.unwrap().unwrap_err();
        let fits = matches!(
            error,
            Error::Broken { .. } | Error::Status { status: 503, .. } | Error::Protection { .. }
        );
        assert!(fits, "{answer:?}: {error}");
    }
}

#[tokio::test]
async fn fan_out_to_many_with_a_throttle() {
    use futures_util::StreamExt as _;
    let server = TestServer::start().await;
    let server = &server;
    let results: Vec<String> = fan_out(0..20, 4, |n| async move {
        let shell = open(server).await;
        finish(&mut shell.run(&format!("echo {n}"), &[])).await.0
    })
    .collect()
    .await;
    let mut numbers: Vec<u32> = results.iter().map(|text| text.trim().parse().unwrap()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..20).collect::<Vec<_>>());
}
