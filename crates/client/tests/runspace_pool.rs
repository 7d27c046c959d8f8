//! Runspace pools over WS-Management, over real HTTP connections.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod common;

use std::{sync::atomic::Ordering, time::Duration};

use common::TestServer;
use hop_client::{
    Connection, Error, RunspacePool,
    runspace_pool::{Pipeline, PoolOptions},
};
use hop_psrp::{
    body::{Command, CreatePipeline, PipelineState},
    client::PipelineEvent,
    clixml::Value,
};
use tokio::time::timeout;

async fn open(server: &TestServer) -> RunspacePool {
    let connection = Connection::new(server.target(), server.transport());
    RunspacePool::open(&connection, PoolOptions::default()).await.unwrap()
}

async fn next(pipeline: &mut Pipeline) -> Option<Result<PipelineEvent, Error>> {
    timeout(Duration::from_secs(20), pipeline.next()).await.unwrap()
}

async fn read(pipeline: &mut Pipeline) -> (Vec<String>, PipelineState) {
    let mut lines = Vec::new();
    loop {
        match next(pipeline).await.unwrap().unwrap() {
            PipelineEvent::Output(value) => lines.push(value.display()),
            PipelineEvent::Error(record) => lines.push(format!("error: {}", record.display_message())),
            PipelineEvent::Warning(record) => lines.push(format!("warning: {}", &*record.message)),
            PipelineEvent::State(info) => {
                lines.extend(info.error.map(|error| format!("state: {}", error.display_message())));
                return (lines, info.state);
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn one_script_takes_four_requests_on_one_connection() {
    let server = TestServer::start().await;
    let pool = open(&server).await;
    assert!(pool.application_private_data().get("PSVersionTable").is_none_or(|table| !table.is_null()));
    let mut pipeline = pool.run_script("echo hello");
    assert_eq!(read(&mut pipeline).await, (vec!["hello".to_owned()], PipelineState::Completed));
    assert!(next(&mut pipeline).await.is_none());
    pool.close().await.unwrap();
    assert_eq!((server.requests(), server.connections(), server.shells()), (4, 1, 0));
}

#[tokio::test]
async fn another_server_takes_five() {
    let server = TestServer::start().await;
    server.observed.late_opening.store(true, Ordering::SeqCst);
    let pool = open(&server).await;
    assert_eq!(read(&mut pool.run_script("echo hello")).await.0, ["hello"]);
    pool.close().await.unwrap();
    assert_eq!((server.requests(), server.connections(), server.shells()), (5, 1, 0));
}

#[tokio::test]
async fn streams_failures_and_many_pipelines() {
    let server = TestServer::start().await;
    let pool = open(&server).await;
    assert_eq!(read(&mut pool.run_script("warn careful")).await.0, ["warning: careful"]);
    let failed = read(&mut pool.run_script("nonsense")).await;
    assert_eq!(failed, (vec!["state: no such word".to_owned()], PipelineState::Failed));
    let (lines, _) = read(&mut pool.run_script("big 2000000")).await;
    assert_eq!(lines[0].len(), 2_000_000);
    let mut pipelines: Vec<Pipeline> = (0..5).map(|n| pool.run_script(&format!("echo {n}"))).collect();
    for (n, pipeline) in pipelines.iter_mut().enumerate() {
        assert_eq!(read(pipeline).await.0, [n.to_string()]);
    }
    pool.close().await.unwrap();
}

#[tokio::test]
async fn input_and_a_large_script() {
    let server = TestServer::start().await;
    let pool = open(&server).await;
    let mut create = CreatePipeline::new([Command::script("count")]);
    create.no_input = false;
    let mut pipeline = pool.run(create);
    for _ in 0..300 {
        pipeline.send_input(Value::from("y".repeat(2000).as_str()));
    }
    pipeline.end_input();
    assert_eq!(read(&mut pipeline).await.0, ["300"]);
    // More than one envelope holds: the rest of the pipeline goes as input.
    let long = "z".repeat(1_000_000);
    assert_eq!(read(&mut pool.run_script(&format!("echo {long}"))).await.0, [long]);
}

#[tokio::test]
async fn stop_and_host_calls_go_over_a_second_connection() {
    let server = TestServer::start().await;
    let pool = open(&server).await;
    let mut pipeline = pool.run_script("sleep");
    tokio::time::sleep(Duration::from_millis(200)).await;
    pipeline.stop();
    assert_eq!(read(&mut pipeline).await.1, PipelineState::Stopped);
    for (result, expected) in [(Ok(Some(Value::from("typed"))), "typed"), (Err(()), "error: ")] {
        let mut pipeline = pool.run_script("ask");
        let PipelineEvent::HostCall(call) = next(&mut pipeline).await.unwrap().unwrap() else { panic!() };
        match result {
            Ok(value) => pipeline.respond(&call, Ok(value)),
            Err(()) => pipeline.refuse(&call),
        }
        assert!(read(&mut pipeline).await.0[0].starts_with(expected));
    }
    pool.close().await.unwrap();
    assert!(server.connections() <= 2);
}

#[tokio::test]
async fn closing_with_a_pipeline_running() {
    let server = TestServer::start().await;
    let pool = open(&server).await;
    let mut pipeline = pool.run_script("sleep");
    tokio::time::sleep(Duration::from_millis(100)).await;
    timeout(Duration::from_secs(20), pool.close()).await.unwrap().unwrap();
    assert!(matches!(next(&mut pipeline).await, Some(Err(Error::Closed) | Ok(_))));
    assert_eq!(server.shells(), 0);
}

#[tokio::test]
async fn a_connection_that_breaks_ends_every_pipeline() {
    let server = TestServer::start().await;
    let pool = open(&server).await;
    server.observed.drop_request.store(3, Ordering::SeqCst);
    let mut pipeline = pool.run_script("echo hello");
    let error = next(&mut pipeline).await.unwrap().unwrap_err();
    assert!(matches!(error.root(), Error::Broken { .. }), "{error}");
    let error = next(&mut pool.run_script("echo again")).await.unwrap().unwrap_err();
    assert!(matches!(error.root(), Error::Broken { .. }), "{error}");
    let closed = timeout(Duration::from_secs(20), pool.close()).await.unwrap();
    assert!(matches!(closed, Err(Error::Shared(_))));
}
