//! A session on standard input and output: the packets of PSRP around an engine.

use std::collections::HashMap;
use std::io::{BufRead, Write};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use hop_clixml as clixml;
use hop_powershell_runtime::flow::Flow;
use hop_powershell_runtime::host::{CancellationToken, Host};
use hop_powershell_runtime::runspace::{CommandCall, RECOMMENDED_STACK, Runspace};
use hop_powershell_runtime::value::Value;
use hop_psrp::body::{
    self, Argument, Command, CreatePipeline, GetCommandMetadata, HostInfo, HostMethod, HostResponse,
    InformationalRecord, PipelineResultTypes, PipelineState, PipelineStateInfo,
};
use hop_psrp::keys::Protection;
use hop_psrp::server::{Event, RunspacePool};
use hop_psrp::stdio::ServerSession;
use hop_psrp::{Limits, Uuid};

use crate::convert::from_clixml;
use crate::remote_host::{Current, FromEngine, OutputSink, RemoteHost, failure};

/// The version of PowerShell that the engine follows.
pub const ENGINE_VERSION: &str = "7.6.5";

/// Makes the engine's session with the given host; called on the engine's own thread.
pub type RunspaceFactory = Box<dyn FnOnce(Box<dyn Host>) -> Runspace + Send>;

enum Incoming {
    Line(String),
    End,
    Engine(FromEngine),
}

struct Job {
    id: Uuid,
    pipeline: Box<CreatePipeline>,
    input: Option<Vec<clixml::Value>>,
    host: HostInfo,
    protection: Protection,
}

enum ToEngine {
    Run(Box<Job>),
    /// `$PSSenderInfo`.
    Opened(clixml::Value),
    Reset,
}

/// Serves one client until its end of the pipe closes. Gives the process's exit code.
///
/// # Errors
/// If the output cannot be written.
pub fn serve(
    input: impl BufRead + Send + 'static,
    mut output: impl Write,
    os: &str,
    peer: crate::Sender,
    factory: RunspaceFactory,
) -> std::io::Result<u8> {
    let (sender, incoming) = channel();
    let lines = sender.clone();
    std::thread::Builder::new().name("input".to_owned()).spawn(move || read_lines(input, &lines))?;
    let (engine_sender, engine_incoming) = channel();
    let (out_sender, out_incoming) = channel();
    let forward = sender;
    std::thread::Builder::new().name("engine-output".to_owned()).spawn(move || {
        for message in out_incoming {
            if forward.send(Incoming::Engine(message)).is_err() {
                return;
            }
        }
    })?;
    let token = Arc::new(Mutex::new(CancellationToken::new()));
    let engine_token = token.clone();
    std::thread::Builder::new()
        .name("engine".to_owned())
        .stack_size(RECOMMENDED_STACK)
        .spawn(move || run_engine(&engine_incoming, &out_sender, &engine_token, &peer, factory))?;
    let pool = RunspacePool::new(Limits::default(), body::version_table(ENGINE_VERSION, os));
    let mut server = Server {
        session: ServerSession::new(pool),
        engine: engine_sender,
        token,
        host: HostInfo::none(),
        waiting: HashMap::new(),
        calls: HashMap::new(),
        queued: Vec::new(),
        running: None,
    };
    let mut rng = rand::rng();
    loop {
        let Ok(message) = incoming.recv() else { break };
        match message {
            Incoming::Line(line) => server.session.handle_line(&line, &mut rng),
            Incoming::End => server.session.handle_end(),
            Incoming::Engine(message) => server.pass_on(message),
        }
        server.events();
        while let Some(line) = server.session.poll_line() {
            output.write_all(line.as_bytes())?;
            output.write_all(b"\n")?;
        }
        output.flush()?;
        if server.session.has_ended() {
            break;
        }
    }
    // PowerShell's exit code after every session over stdio.
    Ok(160)
}

fn read_lines(mut input: impl BufRead, lines: &Sender<Incoming>) {
    let mut line = Vec::new();
    loop {
        line.clear();
        match input.read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => {
                let _ = lines.send(Incoming::End);
                return;
            }
            Ok(_) => {
                let text = String::from_utf8_lossy(&line).into_owned();
                if lines.send(Incoming::Line(text)).is_err() {
                    return;
                }
            }
        }
    }
}

struct Server {
    session: ServerSession,
    engine: Sender<ToEngine>,
    token: Arc<Mutex<CancellationToken>>,
    host: HostInfo,
    /// Pipelines whose input has not ended.
    waiting: HashMap<Uuid, (Box<CreatePipeline>, Vec<clixml::Value>)>,
    calls: HashMap<(Uuid, i64), Sender<HostResponse>>,
    /// Pipelines handed to the engine, in order; the first one runs.
    queued: Vec<Uuid>,
    running: Option<Uuid>,
}

impl Server {
    fn events(&mut self) {
        while let Some(event) = self.session.pool.poll_event() {
            match event {
                Event::Opened(init) => {
                    self.host = init.host.clone();
                    let _ = self.engine.send(ToEngine::Opened(init.application_arguments.clone()));
                }
                Event::Run { id, pipeline } => self.run(id, pipeline),
                Event::CommandMetadata { id, request } => self.metadata(id, &request),
                Event::Input { id, value } => {
                    if let Some((_, input)) = self.waiting.get_mut(&id) {
                        input.push(value);
                    }
                }
                Event::InputEnd(id) => {
                    if let Some((pipeline, input)) = self.waiting.remove(&id) {
                        self.start(id, pipeline, Some(input));
                    }
                }
                Event::Stop(id) => self.stop(id),
                Event::HostResponse { id, response } => {
                    let key = (id.unwrap_or_default(), response.id);
                    if let Some(sender) = self.calls.remove(&key) {
                        let _ = sender.send(*response);
                    }
                }
                Event::Reset => {
                    let _ = self.engine.send(ToEngine::Reset);
                }
                _ => {}
            }
        }
    }

    fn run(&mut self, id: Uuid, pipeline: Box<CreatePipeline>) {
        let first = pipeline.statements.first().and_then(|statement| statement.first());
        match first.filter(|command| !command.is_script).map(|command| command.text.as_str()) {
            // The client's debugger announces itself; there is none here.
            Some("__Set-PSDebugMode" | "__Set-PSUnhandledBreakpointMode" | "__Set-PSDebuggerAction") => {
                self.complete(id);
            }
            Some(name) if name.eq_ignore_ascii_case("Exit-PSSession") => {
                self.session.pool.call_host(id, HostMethod::PopRunspace, Vec::new());
                self.complete(id);
            }
            _ if pipeline.no_input => self.start(id, pipeline, None),
            _ => {
                self.waiting.insert(id, (pipeline, Vec::new()));
            }
        }
    }

    fn start(&mut self, id: Uuid, pipeline: Box<CreatePipeline>, input: Option<Vec<clixml::Value>>) {
        let host = if pipeline.host.use_runspace_host { self.host.clone() } else { pipeline.host.clone() };
        let protection = self.session.pool.protection().clone();
        self.queued.push(id);
        self.running = self.queued.first().copied();
        let _ = self.engine.send(ToEngine::Run(Box::new(Job { id, pipeline, input, host, protection })));
    }

    fn complete(&mut self, id: Uuid) {
        self.session.pool.finish(id, PipelineStateInfo { state: PipelineState::Completed, error: None });
    }

    fn stop(&mut self, id: Uuid) {
        if self.waiting.remove(&id).is_some() {
            self.finish_stopped(id);
            return;
        }
        if self.running == Some(id) {
            self.token.lock().unwrap_or_else(PoisonError::into_inner).cancel();
            // Whoever waits for an answer of the client's host must not wait any longer.
            self.calls.retain(|(pipeline, _), _| *pipeline != id);
        } else if self.queued.contains(&id) {
            self.finish_stopped(id);
        }
    }

    fn finish_stopped(&mut self, id: Uuid) {
        let error = Some(body::ErrorRecord::stopped());
        self.session.pool.finish(id, PipelineStateInfo { state: PipelineState::Stopped, error });
    }

    fn pass_on(&mut self, message: FromEngine) {
        let pool = &mut self.session.pool;
        match message {
            FromEngine::Output(id, value) => {
                if contains_secret(&value) {
                    pool.prepare_secure_string(&mut rand::rng());
                }
                pool.send_output(id, &value);
            }
            FromEngine::Error(id, record) => pool.send_error(id, &record),
            FromEngine::Warning(id, text) => pool.send_warning(id, &InformationalRecord::new(text)),
            FromEngine::Verbose(id, text) => pool.send_verbose(id, &InformationalRecord::new(text)),
            FromEngine::Debug(id, text) => pool.send_debug(id, &InformationalRecord::new(text)),
            FromEngine::Information(id, record) => pool.send_information(id, &record),
            FromEngine::Progress(id, record) => pool.send_progress(id, &record),
            FromEngine::HostCall(id, method, parameters, answer) => {
                let call = pool.call_host(id, method, parameters);
                if let (Some(call), Some(answer)) = (call, answer) {
                    self.calls.insert((id, call), answer);
                }
            }
            FromEngine::Done(id, result) => {
                self.queued.retain(|queued| *queued != id);
                self.running = self.queued.first().copied();
                let info = match result {
                    Ok(()) => PipelineStateInfo { state: PipelineState::Completed, error: None },
                    Err(Some(error)) => {
                        PipelineStateInfo { state: PipelineState::Failed, error: Some(*error) }
                    }
                    Err(None) => PipelineStateInfo {
                        state: PipelineState::Stopped,
                        error: Some(body::ErrorRecord::stopped()),
                    },
                };
                pool.finish(id, info);
            }
        }
    }

    /// Answers for the two commands that an interactive client must find.
    fn metadata(&mut self, id: Uuid, request: &GetCommandMetadata) {
        let known = [("Out-Default", &["Transcript", "InputObject"][..]), ("Exit-PSSession", &[][..])];
        let found: Vec<_> = known
            .iter()
            .filter(|(name, _)| request.names.iter().any(|wanted| wanted.eq_ignore_ascii_case(name)))
            .collect();
        let pool = &mut self.session.pool;
        let count = i32::try_from(found.len()).unwrap_or(0);
        let mut header = clixml::Object::with_extended([("Count", clixml::Value::Int32(count))]);
        header.type_names = clixml::TypeNames::new([
            "Selected.Microsoft.PowerShell.Commands.GenericMeasureInfo",
            "System.Management.Automation.PSCustomObject",
            "System.Object",
        ]);
        pool.send_output(id, &header.into());
        for (name, parameters) in found {
            pool.send_output(id, &command_info(name, parameters));
        }
        self.complete(id);
    }
}

fn contains_secret(value: &clixml::Value) -> bool {
    match value {
        clixml::Value::SecureString(_) => true,
        clixml::Value::Object(object) => {
            let members = object.adapted.iter().chain(&object.extended).flat_map(|bag| &bag.0);
            let content = match &object.content {
                clixml::Content::None => false,
                clixml::Content::Primitive(value) => contains_secret(value),
                clixml::Content::List(_, items) => items.iter().any(contains_secret),
                clixml::Content::Dictionary(entries) => {
                    entries.iter().any(|(key, value)| contains_secret(key) || contains_secret(value))
                }
            };
            content || members.into_iter().any(|member| contains_secret(&member.value))
        }
        _ => false,
    }
}

fn command_info(name: &str, parameters: &[&str]) -> clixml::Value {
    use clixml::{ListKind, Object, TypeNames};
    let strings = || {
        Object::list(
            [
                "System.Collections.ObjectModel.Collection`1[[System.String, System.Private.CoreLib]]",
                "System.Object",
            ],
            ListKind::List,
            [],
        )
    };
    let entries = parameters.iter().map(|parameter| {
        let switch = *parameter == "Transcript";
        let kind = match switch {
            true => "System.Management.Automation.SwitchParameter",
            false => "System.Management.Automation.PSObject",
        };
        let members: [(&str, clixml::Value); 5] = [
            ("Name", (*parameter).into()),
            ("ParameterType", kind.into()),
            ("Aliases", strings().into()),
            ("IsDynamic", false.into()),
            ("SwitchParameter", switch.into()),
        ];
        let metadata = Object {
            type_names: TypeNames::new(["System.Management.Automation.ParameterMetadata", "System.Object"]),
            to_string: Some("System.Management.Automation.ParameterMetadata".into()),
            adapted: Some(members.into_iter().collect()),
            ..Object::default()
        };
        ((*parameter).into(), metadata.into())
    });
    let entries: Vec<(clixml::Value, clixml::Value)> = entries.collect();
    let dictionary = Object::dictionary(["System.Collections.Hashtable", "System.Object"], entries);
    let members: [(&str, clixml::Value); 7] = [
        ("Name", name.into()),
        ("Namespace", "Microsoft.PowerShell.Core".into()),
        ("HelpUri", "".into()),
        ("CommandType", Object::enumeration("System.Management.Automation.CommandTypes", "Cmdlet", 8).into()),
        ("ResolvedCommandName", clixml::Value::Null),
        ("OutputType", strings().into()),
        ("Parameters", dictionary.into()),
    ];
    let mut object = Object::with_extended(members);
    object.type_names = TypeNames::new([
        "Selected.System.Management.Automation.CmdletInfo",
        "System.Management.Automation.PSCustomObject",
        "System.Object",
    ]);
    object.into()
}

fn run_engine(
    incoming: &Receiver<ToEngine>,
    out: &Sender<FromEngine>,
    token: &Mutex<CancellationToken>,
    peer: &crate::Sender,
    factory: RunspaceFactory,
) {
    let none = Current { id: Uuid::nil(), host: HostInfo::none(), protection: Protection::Plain };
    let current = Arc::new(Mutex::new(none));
    let host = RemoteHost { current: current.clone(), out: out.clone() };
    let mut runspace = factory(Box::new(host));
    *token.lock().unwrap_or_else(PoisonError::into_inner) = runspace.cancellation();
    for message in incoming {
        match message {
            ToEngine::Opened(arguments) => {
                let arguments = from_clixml(&arguments, &Protection::Plain);
                let info = sender_info(&runspace, peer, arguments);
                runspace.set_variable("PSSenderInfo", info);
            }
            ToEngine::Reset => {}
            ToEngine::Run(job) => {
                let now = Current { id: job.id, host: job.host.clone(), protection: job.protection.clone() };
                *current.lock().unwrap_or_else(PoisonError::into_inner) = now.clone();
                runspace.cancellation().reset();
                let result = run_job(&mut runspace, &job, &now, out);
                let _ = out.send(FromEngine::Done(job.id, result));
            }
        }
    }
}

/// `$PSSenderInfo`: nobody's name where nobody authenticated, as over ssh.
fn sender_info(runspace: &Runspace, peer: &crate::Sender, arguments: Value) -> Value {
    let local = runspace.env.get("USER").cloned().unwrap_or_default();
    let authenticated = !peer.client.is_empty();
    let identity = Value::custom_typed(
        "System.Management.Automation.Remoting.PSIdentity",
        [
            ("AuthenticationType", Value::string(&peer.authentication)),
            ("IsAuthenticated", Value::Bool(authenticated)),
            ("Name", Value::string(&peer.client)),
            ("CertificateDetails", Value::Null),
        ],
    );
    let principal = Value::custom_typed(
        "System.Management.Automation.Remoting.PSPrincipal",
        [("Identity", identity), ("WindowsIdentity", Value::Null)],
    );
    Value::custom_typed(
        "System.Management.Automation.Remoting.PSSenderInfo",
        [
            ("UserInfo", principal),
            ("ClientTimeZone", Value::Null),
            ("ConnectionString", Value::string("")),
            ("ApplicationArguments", arguments),
            ("ConfigurationName", Value::string("")),
            ("ConnectedUser", Value::string(&peer.client)),
            ("RunAsUser", Value::string(&local)),
        ],
    )
}

fn run_job(
    runspace: &mut Runspace,
    job: &Job,
    current: &Current,
    out: &Sender<FromEngine>,
) -> Result<(), Option<Box<body::ErrorRecord>>> {
    let mut calls = Vec::new();
    for statement in &job.pipeline.statements {
        for (at, command) in statement.iter().enumerate() {
            let mut call = command_call(command, &current.protection);
            call.end_of_statement = at + 1 == statement.len();
            calls.push(call);
        }
    }
    let input = job.input.as_ref().map(|input| {
        input.iter().map(|value| from_clixml(value, &current.protection)).collect::<Vec<Value>>()
    });
    let using = job.pipeline.statements.iter().flatten().flat_map(|command| using_values(command, current));
    let using: Vec<(String, Value)> = using.collect();
    if !using.is_empty() {
        let table = Value::hashtable();
        if let Value::Dict(dict) = &table {
            using.into_iter().for_each(|(expression, value)| dict.insert_str(&expression, value));
        }
        runspace.set_variable("__using", table);
    }
    let mut sink = OutputSink { current: current.clone(), out: out.clone() };
    match runspace.invoke_commands(&calls, input, &mut sink) {
        Ok(()) | Err(Flow::Return | Flow::Break(_) | Flow::Continue(_) | Flow::StopPipeline(_)) => Ok(()),
        Err(Flow::Stopped) => Err(None),
        Err(Flow::Exit(code)) => {
            runspace.host.set_should_exit(code);
            Ok(())
        }
        // A host call that was cut off by a stop fails as the stop does.
        Err(_) if runspace.cancellation().is_cancelled() => Err(None),
        Err(flow) => match failure(&flow, &current.protection) {
            Some(record) => Err(Some(record)),
            None => Ok(()),
        },
    }
}

/// The argument that carries the values of `$using:` expressions.
const USING: &str = "--%";

/// Values of `$using:` expressions, by the expression's text in lower case. Their keys are base64 of UTF-16.
fn using_values(command: &Command, current: &Current) -> Vec<(String, Value)> {
    let arguments = command.arguments.iter().filter(|a| a.name.as_deref() == Some(USING));
    let tables = arguments.filter_map(|argument| argument.value.as_object()?.entries());
    let entry = |(key, value): &(clixml::Value, clixml::Value)| {
        let bytes = base64::prelude::BASE64_STANDARD.decode(key.as_str()?).ok()?;
        let units: Vec<u16> =
            bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
        let expression = String::from_utf16_lossy(&units).to_lowercase();
        Some((expression, from_clixml(value, &current.protection)))
    };
    tables.flat_map(|entries| entries.iter().filter_map(entry)).collect()
}

fn command_call(command: &Command, protection: &Protection) -> CommandCall {
    let mut parameters = Vec::new();
    let mut arguments = command.arguments.iter().peekable();
    while let Some(Argument { name, value }) = arguments.next() {
        if name.as_deref() == Some(USING) {
            continue;
        }
        let Some(name) = name else {
            parameters.push((None, from_clixml(value, protection)));
            continue;
        };
        let bare = name.trim_start_matches('-').trim_end_matches(':');
        // A typed name stands alone, and its value, if it has one, is the next argument.
        let value = match (name.starts_with('-') && value.is_null(), arguments.peek()) {
            (true, Some(next)) if next.name.is_none() => {
                let value = from_clixml(&next.value, protection);
                arguments.next();
                value
            }
            (true, _) => Value::Bool(true),
            (false, _) if value.is_null() => Value::Bool(true),
            (false, _) => from_clixml(value, protection),
        };
        parameters.push((Some(bare.to_owned()), value));
    }
    let merged = |to: PipelineResultTypes| to == PipelineResultTypes::OUTPUT;
    let merge = &command.merge;
    let all = merge.my_result == PipelineResultTypes::ERROR && merged(merge.to_result);
    CommandCall {
        command: command.text.clone(),
        is_script: command.is_script,
        use_local_scope: command.use_local_scope.unwrap_or(false),
        dotted: false,
        parameters,
        merge_error: merged(merge.error) || all,
        merge_warning: merged(merge.warning),
        merge_verbose: merged(merge.verbose),
        merge_debug: merged(merge.debug),
        merge_information: merged(merge.information),
        end_of_statement: false,
    }
}
