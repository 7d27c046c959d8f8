//! `hop doctor`: what stands between you, a server, and the server behind it.

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hop_client::http::Settings;
use hop_client::kerberos::{Identity, Source};
use hop_client::proxy::Proxies;
use hop_client::runspace_pool::PoolOptions;
use hop_client::{Connection, Hosts, RunspacePool, Target};
use hop_delegation::{ClientFacts, Mode, Names, SessionIdentity, SessionReport, TgtFacts, decide};
use hop_kerberos::ccache::CredentialCache;
use hop_kerberos::{Credential, Principal, TicketFlags};
use hop_kerberos_io::{Ccache, KdcClient};
use hop_psrp::client::PipelineEvent;
use tokio::sync::watch;

use crate::advice;
use crate::domain::Domain;
use crate::pipeline::{self, Script};
use crate::run;
use crate::ticket::{Cache, describe, service};

/// Find out why a server, or a service behind it, cannot be reached as you, and what would mend it.
///
/// Goes the way step by step with your tickets: the name, the port, your ticket, the server's ticket and its flags,
/// what may travel on and why, the session, and with --to the second hop itself. Every refusal comes with the
/// condition that is not met and the ways out, the safest first.
///
/// Exit code 0: all of it works. 1: something does not; the text says what.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The server of the first hop, as for hop run
    #[arg(value_name = "HOST")]
    host: String,
    /// The service behind it: SERVICE/HOST such as cifs/files.example, or HOST alone for remoting
    #[arg(long, value_name = "SPN")]
    to: Option<String>,
    /// Which of your credentials may travel on, as for hop run
    #[arg(long, value_name = "MODE", value_parser = |s: &str| s.parse::<Mode>())]
    delegate: Option<Mode>,
    #[command(flatten)]
    cache: Cache,
    #[command(flatten)]
    domain: Domain,
}

/// How long one step may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a session runs to try the second hop. `hop` is the program that runs the session, or one on the PATH.
const SECOND_HOP: &str = "param($spn) $global:LASTEXITCODE = 127; $hop = readlink \"/proc/$PID/exe\"\n\
    if ((Split-Path -Leaf $hop) -ne 'hop') { $hop = 'hop' }\n\
    & $hop ticket get $spn 2>&1 | ForEach-Object { \"$_\" }\n\
    \"hop-doctor-exit $LASTEXITCODE\"\n\
    & $hop ticket why 2>&1 | ForEach-Object { \"$_\" }";
const EXIT_MARK: &str = "hop-doctor-exit ";

/// Runs it.
pub fn run(arguments: &Arguments) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return advice::fail(1, &error),
    };
    let mut examination = Examination::default();
    let result = runtime.block_on(examination.all(arguments));
    // A name lookup that hangs must not keep the program.
    runtime.shutdown_background();
    if let Err(error) = result {
        examination.problem(&advice::text(&*error));
    }
    if examination.problems == 0 { ExitCode::SUCCESS } else { ExitCode::from(1) }
}

#[derive(Debug, Default)]
struct Examination {
    problems: u32,
}

impl Examination {
    async fn all(&mut self, arguments: &Arguments) -> Result<(), Box<dyn Error>> {
        let hosts = Hosts::load(|name| std::env::var_os(name))?;
        let target = hosts.resolve(&arguments.host)?;
        let mode = arguments.delegate.or(target.delegation).unwrap_or_default();
        if mode == Mode::CredSsp {
            return Err(
                "only ways by ticket can be examined, and CredSSP hands the host your password: say another \
                        --delegate, or try `hop run --delegate credssp`"
                    .into(),
            );
        }
        let proxies = Proxies::from_environment(|name| std::env::var_os(name));
        match proxies.choose(&target)?.map(|chosen| chosen.proxy) {
            None => self.reach(&target.host_name, &target.address, target.port).await?,
            Some(proxy) => self.reach(&format!("the proxy {}", proxy.host), &proxy.host, proxy.port).await?,
        }

        let (environment, kdc, caches) = arguments.cache.open(&arguments.domain, None)?;
        let cache = caches.default_cache()?;
        let mut content = cache.on_thread(Ccache::load).await?;
        let tgt = self.own_ticket(&content);
        let Some(ticket) = self.server_ticket(&kdc, &mut content, &target).await else { return Ok(()) };
        self.decision(mode, tgt.as_ref(), &ticket, &content, &target);
        // A bare name may be an entry of the host configuration.
        let to = match arguments.to.as_deref() {
            Some(name) if !name.contains(['/', '@']) => {
                let behind = hosts.resolve(name)?;
                Some(kdc.service_principal(&behind.service, &behind.host_name, &content.principal))
            }
            Some(name) => Some(service(name, &kdc, &content.principal)?),
            None => None,
        };
        if let Some(to) = &to {
            self.target_exists(&kdc, &mut content, to).await;
        }

        let source = Source::Cache(cache.name());
        let identity = Arc::new(Identity::with_kdc(kdc.clone(), environment, source));
        let proxy = run::proxy::unattended(&target, &identity)?;
        let settings = Settings { proxy, ..Settings::default() };
        let connection = Connection::kerberos(target, identity, Some(mode), settings);
        let pool = match RunspacePool::open(&connection, PoolOptions::default()).await {
            Ok(pool) => pool,
            Err(error) => {
                self.problem(&format!("no session: {}", advice::text(&error)));
                return Ok(());
            }
        };
        self.session(&pool, &content).await?;
        if let Some(to) = &to {
            self.second_hop(&pool, &to.to_string(), &connection).await?;
        }
        // What was found stands; that the server is slow to forget the session is no finding.
        let _ = tokio::time::timeout(PATIENCE, pool.close()).await;
        Ok(())
    }

    /// The name and the port.
    async fn reach(&mut self, name: &str, address: &str, port: u16) -> Result<(), Box<dyn Error>> {
        let place = (address, port);
        let addresses: Vec<_> = match tokio::time::timeout(PATIENCE, tokio::net::lookup_host(place)).await {
            Ok(Ok(addresses)) => addresses.collect(),
            Ok(Err(error)) => {
                return Err(format!("{address}: the name has no address: {error}").into());
            }
            Err(_) => return Err(format!("{address}: the name lookup takes too long").into()),
        };
        let shown = addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        match tokio::time::timeout(PATIENCE, tokio::net::TcpStream::connect(addresses.as_slice())).await {
            Ok(Ok(_)) => self.good(&format!("{name} answers on port {port} ({shown})")),
            Ok(Err(error)) => {
                return Err(format!(
                    "nothing answers on {shown}: {error}; is `hop serve` (or WinRM) running there, is a firewall in \
                     between?"
                )
                .into());
            }
            Err(_) => return Err(format!("no connection to {shown} within {} s", PATIENCE.as_secs()).into()),
        }
        Ok(())
    }

    fn own_ticket(&mut self, cache: &CredentialCache) -> Option<Credential> {
        let now = cache.kdc_time(SystemTime::now());
        match cache.tgt() {
            None => {
                self.problem(&format!(
                    "you have tickets of {} but no ticket-granting ticket: hop login",
                    cache.principal
                ));
                None
            }
            Some(tgt) if !tgt.is_current(now) => {
                self.problem(&format!(
                    "your ticket of {} has {}: hop login",
                    cache.principal,
                    describe(tgt, now)
                ));
                None
            }
            Some(tgt) => {
                self.good(&format!("you are {}, {}", cache.principal, describe(tgt, now)));
                Some(tgt.clone())
            }
        }
    }

    async fn server_ticket(
        &mut self,
        kdc: &KdcClient,
        cache: &mut CredentialCache,
        target: &Target,
    ) -> Option<Credential> {
        let server = kdc.service_principal(&target.service, &target.host_name, &cache.principal);
        match kdc.service_ticket(cache, &server).await {
            Ok(ticket) => {
                let now = cache.kdc_time(SystemTime::now());
                self.good(&format!(
                    "the domain gives a ticket for {}, {}",
                    ticket.server,
                    describe(&ticket, now)
                ));
                Some(ticket)
            }
            Err(error) => {
                self.problem(&format!("no ticket for {server}: {}", advice::text(&error)));
                None
            }
        }
    }

    /// What may travel on, mode by mode for who would choose another.
    fn decision(
        &mut self,
        mode: Mode,
        tgt: Option<&Credential>,
        ticket: &Credential,
        cache: &CredentialCache,
        target: &Target,
    ) {
        let facts = |mode| ClientFacts {
            mode,
            tgt: tgt.map(|tgt| TgtFacts { forwardable: tgt.flags.contains(TicketFlags::FORWARDABLE) }),
            ticket_ok_as_delegate: ticket.flags.contains(TicketFlags::OK_AS_DELEGATE),
        };
        let names = Names { user: cache.principal.to_string(), host: target.host_name.clone() };
        match decide(facts(mode)).reason() {
            None => {
                self.good(&format!("with --delegate {mode} your ticket is forwarded to {}", target.host_name))
            }
            Some(reason) => self
                .note(&format!("with --delegate {mode} nothing is forwarded: {}", reason.sentence(&names))),
        }
        if mode != Mode::Forward
            && decide(facts(Mode::Forward)).reason().is_none()
            && decide(facts(mode)).reason().is_some()
        {
            self.note(
                "with --delegate forward your ticket would be forwarded, if you trust this host with it",
            );
        }
    }

    /// A service that the domain does not know, or knows twice, cannot be reached by anybody.
    async fn target_exists(&mut self, kdc: &KdcClient, cache: &mut CredentialCache, server: &Principal) {
        match kdc.service_ticket(cache, server).await {
            Ok(ticket) => self.good(&format!("the domain knows {}", ticket.server)),
            Err(error) => {
                self.problem(&format!("you yourself get no ticket for {server}: {}", advice::text(&error)));
            }
        }
    }

    /// Who the server takes us for, and what it says about delegation.
    async fn session(&mut self, pool: &RunspacePool, cache: &CredentialCache) -> Result<(), Box<dyn Error>> {
        let script = "\"$(whoami) on $(hostname)\"\n\
                      if ($env:HOP_DELEGATION) { Get-Content -Raw $env:HOP_DELEGATION }";
        let lines = output(pool, script, &[]).await?;
        let (who, report) = lines.split_first().ok_or("the session says nothing")?;
        self.good(&format!("a session opens: {who}, for {}", cache.principal));
        match SessionReport::from_json(report.join("\n").as_bytes()) {
            Ok(report) => match report.identity() {
                Ok(SessionIdentity::None { reason }) => {
                    self.note(&format!(
                        "the session has no credential of yours: {}",
                        reason.sentence(&report.names())
                    ));
                }
                _ => self.note(&report.summary()),
            },
            Err(_) => self.note("the server is not hop's: it does not tell what it may do for you elsewhere"),
        }
        Ok(())
    }

    async fn second_hop(
        &mut self,
        pool: &RunspacePool,
        server: &str,
        connection: &Connection,
    ) -> Result<(), Box<dyn Error>> {
        let lines = output(pool, SECOND_HOP, &[server]).await?;
        let text = lines.join("\n");
        let (said, rest) = text.split_once(EXIT_MARK).ok_or_else(|| {
            format!("the session cannot try the second hop (is hop there?): {}", text.trim_end())
        })?;
        let (code, why) = rest.split_once('\n').unwrap_or((rest, ""));
        let host = &connection.target().host_name;
        match code.trim() {
            "0" => {
                self.good(&format!("the second hop works: {host} gets a ticket for {server} in your name"))
            }
            _ => self.problem(&format!(
                "the second hop from {host} to {server} does not work\n{}\n{}",
                said.trim_end(),
                why.trim_end()
            )),
        }
        Ok(())
    }

    fn good(&self, text: &str) {
        line("ok     ", text);
    }

    fn note(&self, text: &str) {
        line("note   ", text);
    }

    fn problem(&mut self, text: &str) {
        self.problems += 1;
        line("PROBLEM", text);
    }
}

/// The first line after the mark, the others indented under it.
#[expect(clippy::print_stdout, reason = "the answer")]
fn line(mark: &str, text: &str) {
    println!("{mark} {}", text.trim_end().replace('\n', "\n        "));
}

/// What a script writes, as lines; its errors become one error.
async fn output(pool: &RunspacePool, text: &str, arguments: &[&str]) -> Result<Vec<String>, Box<dyn Error>> {
    let script = Script {
        text: text.to_owned(),
        arguments: arguments.iter().map(|argument| (*argument).into()).collect(),
        ..Script::default()
    };
    let (mut lines, mut errors) = (Vec::new(), Vec::new());
    let mut on_event = |event: PipelineEvent| match event {
        PipelineEvent::Output(value) => lines.push(value.display()),
        PipelineEvent::Error(record) => errors.push(record.display_message().to_owned()),
        PipelineEvent::State(info) => {
            errors.extend(info.error.map(|record| record.display_message().to_owned()))
        }
        _ => {}
    };
    let (_keep, stop) = watch::channel(false);
    let ran = pipeline::run(pool, &script, stop, &mut on_event);
    tokio::time::timeout(PATIENCE, ran).await.map_err(|_| "the session does not answer in time")??;
    match (lines.is_empty(), errors.is_empty()) {
        (true, false) => Err(errors.join("; ").into()),
        _ => Ok(lines.iter().flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>()).collect()),
    }
}
