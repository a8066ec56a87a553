//! Workers: in this process, with tasks of their own, or in a process of its own, to be killed: the real program, or, where a
//! fault is to be built into it, this program of the tests once more.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use postrider::channels::egress::{Egress, GuardedClient};
use postrider::channels::{AnyChannel, MediaClient, WallClock, Webhook};
use postrider::config::{self, Config, File, Sources};
use postrider::crypto::Keyring;
use postrider::db::doorbell::{Doorbell, DoorbellSettings};
use postrider::db::{Database, Purpose};
use postrider::delivery;
use postrider::dialect::Dialect;
use postrider::lifecycle::Tasks;
use postrider::metrics::{Exporter, Metrics};
use sqlx::ConnectOptions;
use sqlx::postgres::PgConnectOptions;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::timeout;

use super::wait::{PATIENCE, until};

/// What a worker is to be like.
#[derive(Clone)]
pub(crate) struct WorkerBuilder {
    options: PgConnectOptions,
    settings: BTreeMap<String, String>,
    fault: Option<Fault>,
}

/// Puts something before the real channel.
pub(crate) type Fault = fn(Webhook) -> Arc<dyn AnyChannel>;

impl WorkerBuilder {
    pub(crate) fn new(options: PgConnectOptions) -> Self {
        let worker = Self {
            options,
            settings: BTreeMap::new(),
            fault: None,
        };
        worker
            .set("http.listen", "'127.0.0.1:0'")
            .set("egress.allow", "['127.0.0.0/8', '::1']")
            // Retries become due by time alone, which nobody rings for.
            .set("doorbell.floor_poll_ms", 25)
    }

    /// A key of the configuration, and its value as TOML.
    pub(crate) fn set(mut self, key: &str, value: impl Display) -> Self {
        self.settings.insert(key.to_owned(), value.to_string());
        self
    }

    /// Connects in another way, through a proxy for one.
    pub(crate) fn through(mut self, options: PgConnectOptions) -> Self {
        self.options = options;
        self
    }

    /// Puts a fault before the channel.
    fn faulty(mut self, fault: Fault) -> Self {
        self.fault = Some(fault);
        self
    }

    /// As a configuration file.
    fn file(&self) -> String {
        let lines = self.settings.iter();
        let lines: Vec<String> = lines
            .map(|(key, value)| format!("{key} = {value}"))
            .collect();
        lines.join("\n")
    }

    /// Starts it in this process.
    pub(crate) async fn start(self) -> Worker {
        let sources = Sources {
            file: Some(File {
                name: "test.toml".into(),
                text: self.file(),
            }),
            ..Sources::default()
        };
        let config = config::load(sources).unwrap().config;
        let (metrics, exporter) = Metrics::new();
        let tasks = Tasks::default();
        let mut equipment = equipment(&config, &self.options, Arc::new(metrics)).await;
        if let Some(fault) = self.fault {
            equipment.webhook = fault(webhook(&config, equipment.clock.clone()));
        }
        let bell = equipment.doorbell.clone();
        let soft = tasks.soft().clone();
        tasks.spawn("doorbell", async move { bell.run(soft).await });
        let name = format!("test-{:08x}", rand::random::<u32>());
        let settings = delivery::Settings::from_config(&config, name);
        delivery::start(settings, equipment, &tasks).await.unwrap();
        Worker { tasks, exporter }
    }

    /// Starts the real program as a worker, with a configuration file in a directory of its own.
    pub(crate) fn spawn(self) -> Process {
        self.spawn_as("worker")
    }

    /// Starts two such processes, and waits until both are ready.
    pub(crate) async fn spawn_two(self) -> [Process; 2] {
        let mut workers = [self.clone().spawn(), self.spawn()];
        for worker in &mut workers {
            worker.ready().await;
        }
        workers
    }

    /// Starts the real program with other roles, separated by commas.
    pub(crate) fn spawn_as(self, roles: &str) -> Process {
        self.run(&["serve", "--role", roles])
    }

    /// The same with all roles.
    pub(crate) fn spawn_whole(self) -> Process {
        self.run(&["serve"])
    }

    /// A sidecar by itself, as `postrider realtime` starts it.
    pub(crate) fn spawn_sidecar(self) -> Process {
        self.run(&["realtime"])
    }

    /// Starts the program with a command.
    fn run(self, command: &[&str]) -> Process {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("postrider.toml");
        std::fs::write(&file, self.file()).unwrap();
        let mut program = Command::new(env!("CARGO_BIN_EXE_postrider"));
        program
            .arg("--config")
            .arg(&file)
            .args(command)
            .env("DATABASE_URL", self.options.to_url_lossy().to_string());
        Process::start(program, directory)
    }

    /// Starts this program of the tests once more, as the ignored test of that name. It is to call [`be_faulty_worker`].
    pub(crate) fn spawn_faulty(self, name: &str) -> Process {
        let mut program = Command::new(std::env::current_exe().unwrap());
        program
            .args(["--ignored", "--exact", "--nocapture", name])
            .env(CHILDS_DATABASE, self.options.to_url_lossy().to_string())
            .env(CHILDS_SETTINGS, self.file());
        Process::start(program, tempfile::tempdir().unwrap())
    }
}

/// Where a child is told its database; also what makes it one.
const CHILDS_DATABASE: &str = "IT_FAULTY_DATABASE";
/// What it is told of its configuration.
const CHILDS_SETTINGS: &str = "IT_FAULTY_SETTINGS";

/// What [`WorkerBuilder::spawn_faulty`] has its child do: be a worker with a fault before its channel, until it is told to end.
pub(crate) async fn be_faulty_worker(fault: Fault) {
    let Ok(database) = std::env::var(CHILDS_DATABASE) else {
        return;
    };
    let mut ending = signal(SignalKind::terminate()).unwrap();
    let mut builder = WorkerBuilder::new(database.parse().unwrap()).faulty(fault);
    for line in std::env::var(CHILDS_SETTINGS).unwrap().lines() {
        let (key, value) = line.split_once(" = ").unwrap();
        builder = builder.set(key, value);
    }
    let worker = builder.start().await;
    ending.recv().await;
    worker.stop().await;
}

/// What a worker works with, as `serve` makes it.
async fn equipment(
    config: &Config,
    options: &PgConnectOptions,
    metrics: Arc<Metrics>,
) -> delivery::Equipment {
    let database = Database::open(
        options.clone(),
        Purpose::Worker,
        config.database.connections_max,
    );
    let doorbell = DoorbellSettings {
        floor_poll: config.doorbell.floor_poll,
        awake_min: config.doorbell.awake_min,
        awake_max: config.doorbell.awake_max,
        polling_only: !config.doorbell.enabled,
        ..DoorbellSettings::default()
    };
    let keyring = Keyring::new(config.encryption.key.as_ref(), &config.encryption.old_keys);
    let clock = Arc::new(WallClock::default());
    clock.set(database.now().await.unwrap());
    delivery::Equipment {
        doorbell: Doorbell::new(options.clone(), doorbell, metrics.clone()),
        keyring: Arc::new(keyring.unwrap()),
        webhook: Arc::new(webhook(config, clock.clone())),
        media: Some(MediaClient::new(
            client(config),
            config.limits.media_bytes_max,
        )),
        database,
        clock,
        metrics,
    }
}

/// The real channel.
fn webhook(config: &Config, clock: Arc<WallClock>) -> Webhook {
    let webhook = Webhook::new(client(config), clock, "http://127.0.0.1");
    if config.evolution.expose_token {
        webhook
    } else {
        webhook.without_token(Dialect::Evolution)
    }
}

/// The guarded client.
fn client(config: &Config) -> GuardedClient {
    let egress = Egress {
        allow: config.egress.allow.clone(),
        ca_file: config.egress.ca_file.clone(),
        connect_timeout: config.worker.connect_timeout,
    };
    GuardedClient::new(&egress).unwrap()
}

/// A worker in this process.
pub(crate) struct Worker {
    tasks: Tasks,
    exporter: Exporter,
}

impl Worker {
    /// Shuts down in order, and waits for the last task.
    pub(crate) async fn stop(self) {
        self.tasks.shut_down();
        let ended = timeout(PATIENCE, self.tasks.finished()).await;
        assert!(ended.is_ok(), "tasks still run: {:?}", self.tasks);
    }

    /// The sum of a metric over its labels.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        sum_of(&self.exporter.render(), name)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.tasks.shut_down();
        self.tasks.hard().cancel();
    }
}

/// A worker in a process of its own; killed when the test ends.
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
    _directory: tempfile::TempDir,
}

impl Process {
    /// Starts a program that logs into this directory.
    fn start(mut program: Command, directory: tempfile::TempDir) -> Self {
        let log = directory.path().join("log");
        let child = program
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        Self {
            child,
            log,
            _directory: directory,
        }
    }

    /// Waits until it says that it is ready.
    pub(crate) async fn ready(&mut self) {
        until("the worker is ready", PATIENCE, async || {
            assert!(self.has_ended().is_none(), "{}", self.log());
            self.address().is_some()
                && self
                    .get("/readyz")
                    .is_some_and(|answer| answer.starts_with("HTTP/1.1 200"))
        })
        .await;
    }

    /// What it has logged so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// The sum of a metric over its labels, or of one of its series.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        sum_of(&self.get("/metrics").unwrap_or_default(), name)
    }

    /// How often the database has refused it or was not there.
    pub(crate) fn database_errors(&self) -> f64 {
        self.metric("postrider_database_errors_total")
    }

    /// Asks its HTTP listener for a path; none while it does not listen.
    pub(crate) fn get(&self, path: &str) -> Option<String> {
        let mut connection = TcpStream::connect(self.address()?).ok()?;
        connection
            .set_read_timeout(Some(Duration::from_secs(5)))
            .ok()?;
        write!(
            connection,
            "GET {path} HTTP/1.1\r\nhost: it\r\nconnection: close\r\n\r\n"
        )
        .ok()?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer).ok()?;
        Some(answer)
    }

    /// Where it listens, once it has said so.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        let log = self.log();
        let (_, rest) = log.split_once("http.address=")?;
        rest.split_whitespace().next()?.parse().ok()
    }

    /// The most memory it ever had (MiB).
    pub(crate) fn peak_memory_mib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with("VmHWM:"))
            .unwrap();
        line.split_whitespace()
            .nth(1)
            .unwrap()
            .parse::<u64>()
            .unwrap()
            / 1024
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).unwrap();
    }

    /// Kills it, with nothing said to anybody.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// How it has ended, if it has.
    pub(crate) fn has_ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Waits for its end.
    pub(crate) async fn ended(&mut self, within: Duration) -> ExitStatus {
        until("the worker has ended", within, async || {
            self.has_ended().is_some()
        })
        .await;
        self.child.wait().unwrap()
    }

    /// Tells it to end, and waits until it has, cleanly.
    pub(crate) async fn stop(mut self) {
        self.signal(Signal::SIGTERM);
        let status = self.ended(PATIENCE).await;
        assert!(status.success(), "{status}: {}", self.log());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Ended already, or of no more use.
        drop(self.child.kill());
        drop(self.child.wait());
        if std::thread::panicking() {
            println!("--- log of worker {}\n{}", self.child.id(), self.log());
        }
    }
}

/// The sum of a metric over its labels.
fn sum_of(rendered: &str, name: &str) -> f64 {
    rendered
        .lines()
        .filter_map(|line| line.strip_prefix(name))
        .filter(|rest| rest.starts_with(['{', ' ']))
        .filter_map(|rest| rest.rsplit(' ').next()?.parse::<f64>().ok())
        .sum()
}
