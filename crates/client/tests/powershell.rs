//! Real PowerShell at the other end of stdio. `HOP_TEST_PWSH` names it, or it is found in `PATH`.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, missing_docs)]

use std::{path::PathBuf, time::Duration};

use hop_client::{
    Error, RunspacePool,
    runspace_pool::{Pipeline, PoolOptions, Program},
};
use hop_psrp::{
    body::{Command, CreatePipeline, PipelineState},
    client::PipelineEvent,
    clixml::Value,
};
use tokio::time::timeout;

fn powershell() -> Option<Program> {
    let named = std::env::var_os("HOP_TEST_PWSH").map(PathBuf::from);
    let found = named.or_else(|| {
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path).map(|folder| folder.join("pwsh")).find(|file| file.is_file())
    });
    if found.is_none() {
        eprintln!("skipped: no pwsh");
    }
    let arguments = ["-sshs", "-NoLogo", "-NoProfile"].map(str::to_owned).to_vec();
    Some(Program { program: found?, arguments, environment: Vec::new() })
}

/// Output as text, other streams with their names, the last state.
async fn read(pipeline: &mut Pipeline) -> (Vec<String>, PipelineState) {
    let mut lines = Vec::new();
    loop {
        let next = timeout(Duration::from_secs(60), pipeline.next()).await;
        match next.unwrap().unwrap().unwrap() {
            PipelineEvent::Output(value) => lines.push(value.display()),
            PipelineEvent::Error(record) => lines.push(format!("error: {}", record.display_message())),
            PipelineEvent::Warning(record) => lines.push(format!("warning: {}", &*record.message)),
            PipelineEvent::Verbose(record) => lines.push(format!("verbose: {}", &*record.message)),
            PipelineEvent::Debug(record) => lines.push(format!("debug: {}", &*record.message)),
            PipelineEvent::Information(record) => {
                lines.push(format!("information: {}", record.data.display()))
            }
            PipelineEvent::Progress(record) => lines.push(format!("progress: {}", &*record.activity)),
            PipelineEvent::HostCall(call) => pipeline.refuse(&call),
            PipelineEvent::State(info) => return (lines, info.state),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn streams_input_and_stop() {
    let Some(program) = powershell() else { return };
    let pool = RunspacePool::open_program(&program, PoolOptions::default()).await.unwrap();
    assert!(pool.application_private_data().get("PSVersionTable").is_none_or(|table| !table.is_null()));

    let script = "1; 'a'; Write-Warning w; Write-Verbose v -Verbose; Write-Error e; Write-Information i; $null; Write-Progress p; 'x' * 100000";
    let (lines, state) = read(&mut pool.run_script(script)).await;
    assert_eq!(state, PipelineState::Completed);
    let expected = ["1", "a", "warning: w", "verbose: v", "error: e", "information: i", ""];
    assert_eq!(lines[..7], expected);
    assert_eq!(lines.last().unwrap().len(), 100_000);
    assert!(lines.contains(&"progress: p".to_owned()));

    let (lines, state) = read(&mut pool.run_script("throw 'no'")).await;
    assert_eq!((lines.len(), state), (0, PipelineState::Failed));

    let mut create = CreatePipeline::new([Command::script("$input | ForEach-Object { $_ * 2 }")]);
    create.no_input = false;
    let mut pipeline = pool.run(create);
    for n in 1..=200 {
        pipeline.send_input(Value::Int32(n));
    }
    pipeline.end_input();
    let (lines, state) = read(&mut pipeline).await;
    assert_eq!((lines.len(), lines[199].as_str(), state), (200, "400", PipelineState::Completed));

    let mut pipeline = pool.run_script("'begun'; Start-Sleep 100; 'never'");
    let first = timeout(Duration::from_secs(60), pipeline.next()).await.unwrap().unwrap().unwrap();
    assert!(matches!(first, PipelineEvent::Output(_)), "{first:?}");
    pipeline.stop();
    assert_eq!(read(&mut pipeline).await.1, PipelineState::Stopped);

    assert_eq!(read(&mut pool.run_script("'after'")).await.0, ["after"]);
    timeout(Duration::from_secs(30), pool.close()).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_process_that_dies_ends_everything_with_an_error() {
    let Some(program) = powershell() else { return };
    let pool = RunspacePool::open_program(&program, PoolOptions::default()).await.unwrap();
    let mut pipeline = pool.run_script("[Environment]::Exit(5)");
    let error = loop {
        match timeout(Duration::from_secs(60), pipeline.next()).await.unwrap().unwrap() {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(matches!(error.root(), Error::Ended(_)), "{error}");
    assert!(error.to_string().contains("exit status: 5"), "{error}");
    let mut late = pool.run_script("1");
    let error = timeout(Duration::from_secs(10), late.next()).await.unwrap().unwrap().unwrap_err();
    assert!(matches!(error.root(), Error::Ended(_)), "{error}");
}

#[tokio::test]
async fn programs_that_are_not_powershell() {
    let open = |program: &str, arguments: &[&str]| {
        let arguments = arguments.iter().map(|a| (*a).to_owned()).collect();
        let program = Program { program: program.into(), arguments, environment: Vec::new() };
        async move {
            timeout(Duration::from_secs(20), RunspacePool::open_program(&program, PoolOptions::default()))
                .await
                .unwrap()
                .unwrap_err()
        }
    };
    assert!(matches!(open("/no/such/program", &[]).await, Error::Spawn { .. }));
    let error = open("/bin/sh", &["-c", "echo no such subsystem >&2; exit 3"]).await;
    assert!(
        error.to_string().contains("exit status: 3") && error.to_string().contains("no such subsystem"),
        "{error}"
    );
    let error = open("/bin/sh", &["-c", "echo Welcome; sleep 1"]).await;
    assert!(matches!(error.root(), Error::Protocol(_)), "{error}");
}
