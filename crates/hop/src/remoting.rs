//! The way of the embedded PowerShell to other computers: `Invoke-Command -ComputerName` and its kin.
//!
//! The second hop is made with the session's own identity: the credential cache that the server gave it. Where there
//! is none, the error says why and what would mend it.

use std::collections::BTreeMap;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::StreamExt as _;
use hop_auth::UserName;
use hop_client::authentication::{Authentication, Login, Password, PasswordPolicy};
use hop_client::http::Settings;
use hop_client::kerberos::{Identity, Source};
use hop_client::runspace_pool::PoolOptions;
use hop_client::{Connection, Error as ClientError, Hosts, RunspacePool, fan_out};
use hop_delegation::credssp::Refusal;
use hop_host::convert::{error_from_body, from_clixml, to_clixml};
use hop_powershell_runtime::host::{
    CancellationToken, CredSspSettings, ProgressRecord, RemoteCommand, RemoteEvent, RemoteSession,
    RemoteTarget, Remoting,
};
use hop_powershell_runtime::value::{
    Error, ErrorCategory, ErrorDetails, ErrorRecord, Exception, Uuid, Value,
};
use hop_psrp::client::PipelineEvent;
use hop_psrp::keys::Protection;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;

use crate::pipeline::{self, Script};
use crate::settings::Settings as PolicySettings;
use crate::{advice, run, ticket};

const TRANSPORT_EXCEPTION: &str = "System.Management.Automation.Remoting.PSRemotingTransportException";

/// Sessions and single commands on other computers. Nothing is set up before the first use.
#[derive(Default)]
pub struct Remote {
    runtime: OnceLock<Runtime>,
    hosts: OnceLock<Hosts>,
    identity: OnceLock<Arc<Identity>>,
    sessions: BTreeMap<i32, Session>,
    last_id: i32,
    settings: PolicySettings,
}

struct Session {
    info: RemoteSession,
    pool: Arc<RunspacePool>,
}

/// Where one command goes.
enum Goal {
    Connect { computer: String, connection: Result<Box<Connection>, Failure> },
    Session { computer: String, pool: Arc<RunspacePool> },
    NoSession(i32),
}

/// What the network tells the engine's thread.
enum News {
    Event { computer: String, instance: Uuid, event: PipelineEvent },
    Failed { computer: String, failure: Failure },
}

/// Why a computer was not reached.
enum Failure {
    /// Any other reason, in words.
    Text(String),
    /// The policy of this machine.
    Refused(Refusal),
}

impl From<String> for Failure {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Failure {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl Remote {
    /// Nothing connected yet.
    pub fn new() -> Self {
        Self::default()
    }

    fn runtime(&self) -> Result<&Runtime, Error> {
        if let Some(runtime) = self.runtime.get() {
            return Ok(runtime);
        }
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.map_err(|e| open_error("", &e.to_string()))?;
        Ok(self.runtime.get_or_init(|| runtime))
    }

    /// A connection by the options of the cmdlet.
    fn connection(&self, computer: &str, options: &[(String, Value)]) -> Result<Connection, Failure> {
        if self.hosts.get().is_none() {
            let hosts = Hosts::load(|name| std::env::var_os(name)).map_err(|e| advice::text(&e))?;
            let _ = self.hosts.set(hosts);
        }
        let hosts = self.hosts.get().ok_or("no host configuration")?;
        let mut target = hosts.resolve(computer).map_err(|e| advice::text(&e))?;
        let mut login = Login::default();
        for (name, value) in options {
            match name.as_str() {
                "Port" => {
                    let port = value.as_integer().and_then(|port| u16::try_from(port).ok());
                    target.port = port.filter(|port| *port != 0).ok_or("the port must be 1 to 65535")?;
                }
                "ConfigurationName" => target.configuration = text(value),
                "Authentication" => login.authentication = authentication(&text(value))?,
                "UseSSL" if text(value) == "True" => target = target.with_https(),
                "Credential" => login.password = credential(value)?,
                _ => {}
            }
        }
        // Where the session keeps its user's password, that is the credential; there are no tickets then.
        let kept = login.password.is_none().then(ticket::session_password).flatten();
        let by_ntlm = kept.is_some();
        login.password = login.password.or(kept);
        if login.password.is_some() {
            login.policy = PasswordPolicy::of_this_machine().map_err(|e| advice::text(&e))?;
        }
        // As on Windows: where a password was given, NTLM follows Kerberos, and TrustedHosts guards it.
        login.allow_ntlm = login.password.is_some();
        login.identity = match &login.password {
            Some(_) if by_ntlm => None,
            Some(Password { name, password }) => {
                let source = Source::Password { principal: name.to_string(), password: password.clone() };
                Some(Arc::new(Identity::new(source).map_err(|e| advice::text(&e))?))
            }
            // It cannot do without a password, and says so.
            None if login.authentication == Authentication::CredSsp => None,
            None => Some(self.own_identity()?),
        };
        // Who sits at the session's far end is who the proxy is to know; the credential was given for the host.
        let proxy = run::proxy::unattended(&target, &self.own_identity()?).map_err(|e| advice::text(&*e))?;
        Connection::open(target, login, Settings { proxy, ..Settings::default() }).map_err(|e| explained(&e))
    }

    fn own_identity(&self) -> Result<Arc<Identity>, String> {
        if let Some(identity) = self.identity.get() {
            return Ok(identity.clone());
        }
        let identity = Identity::new(Source::DefaultCache).map_err(|e| advice::text(&e))?;
        Ok(self.identity.get_or_init(|| Arc::new(identity)).clone())
    }

    fn goals(&self, command: &RemoteCommand) -> Vec<Goal> {
        let goal = |target: &RemoteTarget| match target {
            RemoteTarget::Computer { name, options } => Goal::Connect {
                computer: name.clone(),
                connection: self.connection(name, options).map(Box::new),
            },
            RemoteTarget::Session(id) => match self.sessions.get(id) {
                Some(session) => {
                    Goal::Session { computer: session.info.computer.clone(), pool: session.pool.clone() }
                }
                None => Goal::NoSession(*id),
            },
        };
        command.targets.iter().map(goal).collect()
    }
}

/// `-Authentication`, by PowerShell's words.
fn authentication(word: &str) -> Result<Authentication, String> {
    match word.to_ascii_lowercase().as_str() {
        "default" | "negotiatewithimplicitcredential" => Ok(Authentication::Negotiate),
        word => word.parse(),
    }
}

/// `-Credential`: a PSCredential with a password.
fn credential(value: &Value) -> Result<Option<Password>, String> {
    if value.is_null() {
        return Ok(None);
    }
    let (Some(user), Some(Value::SecureString(password))) =
        (property(value, "UserName"), property(value, "Password"))
    else {
        return Err("-Credential takes a PSCredential (Get-Credential makes one)".to_owned());
    };
    Ok(Some(Password { name: UserName::parse(&text(&user)), password: (*password).clone() }))
}

impl Remoting for Remote {
    fn invoke(
        &mut self,
        command: &RemoteCommand,
        cancel: &CancellationToken,
        event: &mut dyn FnMut(RemoteEvent) -> bool,
    ) -> Result<(), Error> {
        let plain = |value: &Value| to_clixml(value, &Protection::Plain);
        let script = Arc::new(Script {
            text: command.script.clone(),
            arguments: command.arguments.iter().map(plain).collect(),
            using: command
                .using
                .iter()
                .map(|(name, value)| (format!("$using:{name}"), plain(value)))
                .collect(),
            input: command.input.as_ref().map(|input| input.iter().map(plain).collect()),
        });
        let goals = self.goals(command);
        let throttle = if command.throttle == 0 { fan_out::DEFAULT_THROTTLE } else { command.throttle };
        let (sender, news) = mpsc::channel();
        let (stop, stopped) = watch::channel(false);
        self.runtime()?.spawn(async move {
            let work = |goal| reach(goal, script.clone(), stopped.clone(), sender.clone());
            fan_out::fan_out(goals, throttle, work).collect::<Vec<()>>().await;
        });
        let mut wanted = true;
        loop {
            match news.recv_timeout(Duration::from_millis(50)) {
                Ok(_) if !wanted => {}
                Ok(piece) => wanted = hand_on(piece, event),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
            if cancel.is_cancelled() || !wanted {
                wanted = false;
                let _ = stop.send(true);
            }
        }
    }

    fn open(
        &mut self,
        computer: &str,
        name: Option<&str>,
        options: &[(String, Value)],
    ) -> Result<RemoteSession, Error> {
        let connection =
            self.connection(computer, options).map_err(|failure| not_opened(computer, failure))?;
        let pool = self
            .runtime()?
            .block_on(RunspacePool::open(&connection, PoolOptions::default()))
            .map_err(|error| not_opened(computer, explained(&error)))?;
        self.last_id += 1;
        let id = self.last_id;
        let info = RemoteSession {
            id,
            name: name.map_or_else(|| format!("Runspace{id}"), str::to_owned),
            computer: computer.to_owned(),
            state: "Opened".to_owned(),
            instance: pool.id(),
        };
        self.sessions.insert(id, Session { info: info.clone(), pool: Arc::new(pool) });
        Ok(info)
    }

    fn close(&mut self, id: i32) -> Result<(), Error> {
        let Some(session) = self.sessions.remove(&id) else { return Ok(()) };
        let computer = session.info.computer;
        match Arc::try_unwrap(session.pool) {
            Ok(pool) => {
                self.runtime()?.block_on(pool.close()).map_err(|e| open_error(&computer, &advice::text(&e)))
            }
            // A command still uses it; it is closed when that has ended.
            Err(_) => Ok(()),
        }
    }

    fn sessions(&self) -> Vec<RemoteSession> {
        self.sessions.values().map(|session| session.info.clone()).collect()
    }

    fn credssp_settings(&mut self) -> Option<&mut dyn CredSspSettings> {
        Some(&mut self.settings)
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        let pools: Vec<_> = std::mem::take(&mut self.sessions)
            .into_values()
            .filter_map(|s| Arc::into_inner(s.pool))
            .collect();
        if let Some(runtime) = self.runtime.take() {
            runtime.block_on(async {
                let closing = futures_util::future::join_all(pools.into_iter().map(RunspacePool::close));
                let _ = tokio::time::timeout(Duration::from_secs(5), closing).await;
            });
            // A name lookup that hangs must not keep the program.
            runtime.shutdown_background();
        }
    }
}

/// One command on one computer; everything it says goes to the engine's thread.
async fn reach(goal: Goal, script: Arc<Script>, stop: watch::Receiver<bool>, news: mpsc::Sender<News>) {
    let failed = |computer: &str, failure: Failure| {
        let _ = news.send(News::Failed { computer: computer.to_owned(), failure });
    };
    let (computer, pool, own) = match goal {
        Goal::NoSession(id) => return failed("", format!("there is no session with the id {id}").into()),
        Goal::Session { computer, pool } => (computer, pool, false),
        Goal::Connect { computer, connection } => {
            let connection = match connection {
                Ok(connection) => connection,
                Err(failure) => return failed(&computer, failure),
            };
            match RunspacePool::open(&connection, PoolOptions::default()).await {
                Ok(pool) => (computer, Arc::new(pool), true),
                Err(error) => return failed(&computer, explained(&error)),
            }
        }
    };
    let instance = pool.id();
    let mut on_event = |event| {
        let _ = news.send(News::Event { computer: computer.clone(), instance, event });
    };
    if let Err(error) = pipeline::run(&pool, &script, stop, &mut on_event).await {
        failed(&computer, advice::text(&error).into());
    }
    if own && let Some(pool) = Arc::into_inner(pool) {
        // The command has ended; that the server is slow to forget the session is not its failure.
        let _ = pool.close().await;
    }
}

/// The error, and where it comes from a missing delegated credential, the reason and the remedies.
fn explained(error: &ClientError) -> Failure {
    if let Some(refusal) = error.refusal() {
        return Failure::Refused(refusal.clone());
    }
    let without_credentials = matches!(error.root(), ClientError::Credentials { .. });
    let reason = without_credentials
        .then(|| ticket::session_report().ok().and_then(|report| report.explanation(&ticket::refusals())))
        .flatten();
    match reason {
        Some(reason) => format!("{error}\n{}", reason.trim_end()),
        None => advice::text(error),
    }
    .into()
}

/// What came, as the engine sees it. False if it wants no more.
fn hand_on(news: News, event: &mut dyn FnMut(RemoteEvent) -> bool) -> bool {
    let (computer, instance, piece) = match news {
        News::Failed { computer, failure } => {
            return event(RemoteEvent::Error(failed(&computer, failure).record().clone()));
        }
        News::Event { computer, instance, event } => (computer, instance, event),
    };
    let plain = &Protection::Plain;
    match piece {
        PipelineEvent::Output(value) => {
            let value = from_clixml(&value, plain);
            event(RemoteEvent::Output(labelled(value, &computer, instance)))
        }
        PipelineEvent::Error(record) => event(RemoteEvent::Error(error_from_body(&record, plain))),
        PipelineEvent::Warning(record) => event(RemoteEvent::Warning(record.message.to_string())),
        PipelineEvent::Verbose(record) => event(RemoteEvent::Verbose(record.message.to_string())),
        PipelineEvent::Debug(record) => event(RemoteEvent::Debug(record.message.to_string())),
        PipelineEvent::Information(record) => {
            event(RemoteEvent::Information(from_clixml(&record.to_value(), plain)))
        }
        PipelineEvent::Progress(record) => event(RemoteEvent::Progress(ProgressRecord {
            activity_id: record.activity_id,
            parent_id: record.parent_activity_id,
            activity: record.activity.to_string(),
            status: optional(record.status.as_ref()),
            current_operation: optional(record.current_operation.as_ref()),
            percent: record.percent_complete,
            seconds_remaining: record.seconds_remaining,
            completed: record.completed,
        })),
        PipelineEvent::State(info) => match info.error {
            Some(record) if info.state == hop_psrp::body::PipelineState::Failed => {
                event(RemoteEvent::Error(error_from_body(&record, plain)))
            }
            _ => true,
        },
        PipelineEvent::Broken(error) => {
            event(RemoteEvent::Error(open_error(&computer, &error.to_string()).record().clone()))
        }
        _ => true,
    }
}

/// With the notes that `Invoke-Command` puts on everything.
fn labelled(value: Value, computer: &str, instance: Uuid) -> Value {
    if value.is_null() {
        return value;
    }
    let object = value.decorated();
    object.set_note("PSComputerName", Value::string(computer));
    object.set_note("RunspaceId", Value::Guid(instance));
    object.set_note("PSShowComputerName", Value::Bool(true));
    Value::Object(object)
}

/// The error of a command that did not reach its computer.
fn failed(computer: &str, failure: Failure) -> Error {
    match failure {
        Failure::Text(text) => open_error(computer, &text),
        Failure::Refused(refusal) => refused(computer, &refusal, "PSSessionStateBroken"),
    }
}

/// The error of a session that was not opened.
fn not_opened(computer: &str, failure: Failure) -> Error {
    match failure {
        Failure::Text(text) => open_error(computer, &text),
        Failure::Refused(refusal) => refused(computer, &refusal, "PSSessionOpenFailed"),
    }
}

/// PowerShell's record of an error of WinRM; `id` is the end of its identifier.
fn refused(computer: &str, refusal: &Refusal, id: &str) -> Error {
    let message = format!(
        "Connecting to remote server {computer} failed with the following error message : {refusal} For more \
         information, see the about_Remote_Troubleshooting Help topic."
    );
    let details = ErrorDetails {
        message: format!("[{computer}] {message}"),
        recommended_action: format!("What would help:\n{}", refusal.advice().trim_end()),
    };
    let exception = Exception::new(TRANSPORT_EXCEPTION, message)
        .with_property("ErrorCode", Value::Int32(refusal.code().cast_signed()))
        .with_property("TransportMessage", Value::string(refusal.text()));
    let mut record = ErrorRecord::new(
        Arc::new(exception),
        &format!("{},{id}", refusal.error_id()),
        ErrorCategory::OpenError,
        Value::string(computer),
    );
    record.of_transport = true;
    record.set_details(Some(details));
    Error::from_record(Arc::new(record))
}

fn open_error(computer: &str, text: &str) -> Error {
    let message = match computer.is_empty() {
        true => text.to_owned(),
        false => format!(
            "[{computer}] Connecting to remote server {computer} failed with the following error message : {text}"
        ),
    };
    let exception = Arc::new(Exception::new(TRANSPORT_EXCEPTION, message));
    let record = ErrorRecord::new(
        exception,
        "PSSessionStateBroken",
        ErrorCategory::OpenError,
        Value::string(computer),
    );
    Error::from_record(Arc::new(record))
}

fn property(value: &Value, name: &str) -> Option<Value> {
    match value.base() {
        Value::Native(native) => native.get(name)?.ok(),
        Value::Object(object) => object.note(name),
        _ => None,
    }
}

fn optional(text: Option<&hop_clixml::Text>) -> String {
    text.map(ToString::to_string).unwrap_or_default()
}

fn text(value: &Value) -> String {
    hop_powershell_runtime::convert::to_text(value)
}
