//! A real process: its listener, real signals, its exit status.
//!
//! The process is this test binary once more, told to run only [`child`], which starts an `App` with one piece of work.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use postrider::app::App;
use postrider::config::{self, Config, Sources};
use postrider::lifecycle::Ending;
use postrider::telemetry;

/// What the child's work does at a signal; also the variable that makes the child one.
const ROLE: &str = "IT_PROCESS_ROLE";

/// Starts the app, says where it listens, runs to the end.
#[test]
#[ignore = "not a test: the process that the tests below start"]
fn child() {
    let Ok(role) = std::env::var(ROLE) else {
        return;
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let ending = runtime.block_on(async {
        let mut sources = Sources::default();
        sources.flag("--listen", "http.listen", "127.0.0.1:0");
        sources.flag("--log-format", "log.format", "json");
        let config: Config = config::load(sources).unwrap().config;
        telemetry::init(&config.log).unwrap();
        let app = App::start(config).await.unwrap();
        let work = app.readiness.condition("work", "starting");
        let tasks = app.tasks().clone();
        let does = role.clone();
        app.tasks().spawn("work", async move {
            match does.as_str() {
                "stubborn" => tasks.hard().cancelled().await,
                "failing" => return Err(anyhow::anyhow!("no such host").context("connecting")),
                "panicking" => panic!("on purpose"),
                _ => tasks.soft().cancelled().await,
            }
            Ok(())
        });
        if role != "unready" {
            work.met();
        }
        println!("\nlistening {}", app.http_address);
        app.run().await
    });
    runtime.shutdown_background();
    std::process::exit((ending != Ending::Clean).into());
}

/// A running child; killed when the test ends.
struct Process {
    /// The child.
    child: Child,
    /// Where it listens.
    address: SocketAddr,
}

impl Process {
    /// Starts one and waits until it listens.
    fn start(role: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "process::child", "--ignored", "--nocapture"])
            .env(ROLE, role)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = lines
            .map(Result::unwrap)
            .find_map(|line| line.strip_prefix("listening ")?.parse().ok());
        Self {
            child,
            address: address.unwrap(),
        }
    }

    /// Asks for a path; the whole answer.
    fn get(&self, path: &str) -> String {
        let mut connection = TcpStream::connect(self.address).unwrap();
        connection
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        write!(
            connection,
            "GET {path} HTTP/1.1\r\nHost: it\r\nConnection: close\r\n\r\n"
        )
        .unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).unwrap();
        answer
    }

    /// Sends a signal.
    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), signal).unwrap();
    }

    /// Waits for its end.
    fn wait(self) -> ExitStatus {
        self.wait_and_read().0
    }

    /// Waits for its end and reads what it logged, which must be JSON, line by line.
    fn wait_and_read(mut self) -> (ExitStatus, Vec<serde_json::Value>) {
        let lines = BufReader::new(self.child.stderr.take().unwrap()).lines();
        let logged = lines
            .map(|line| {
                let line = line.unwrap();
                serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
            })
            .collect();
        (self.child.wait().unwrap(), logged)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn metrics_and_health_are_served() {
    let process = Process::start("obedient");
    assert!(process.get("/healthz").starts_with("HTTP/1.1 200 OK\r\n"));
    let ready = process.get("/readyz");
    assert!(
        ready.starts_with("HTTP/1.1 200 OK\r\n") && ready.ends_with("\r\nready\n"),
        "{ready}"
    );
    let metrics = process.get("/metrics");
    assert!(
        metrics.contains("\r\ncontent-type: text/plain; version=0.0.4; charset=utf-8\r\n"),
        "{metrics}"
    );
    assert!(
        metrics.contains("# TYPE postrider_attempts_total counter\n"),
        "{metrics}"
    );
    let nowhere = process.get("/else");
    assert!(
        nowhere.starts_with("HTTP/1.1 404 Not Found\r\n"),
        "{nowhere}"
    );
    for answer in [ready, metrics, nowhere] {
        assert!(answer.contains("\r\nx-request-id: "), "{answer}");
    }
}

#[test]
fn what_is_not_ready_is_named() {
    let process = Process::start("unready");
    let ready = process.get("/readyz");
    assert!(
        ready.starts_with("HTTP/1.1 503 ") && ready.ends_with("\r\nwork: starting\n"),
        "{ready}"
    );
    assert!(process.get("/healthz").starts_with("HTTP/1.1 200 OK\r\n"));
}

#[test]
fn who_comes_before_the_apis_do_is_told_in_their_own_shape_to_come_again() {
    let process = Process::start("unready");
    for (path, status, body) in [
        ("/v1/instances", 503, "\"code\":\"unavailable\""),
        (
            "/api/instance/list",
            500,
            "{\"success\":false,\"error\":{\"message\":\"Internal server error\"}}",
        ),
        (
            "/instance/fetchInstances",
            503,
            "\"response\":{\"message\":[",
        ),
        ("/else", 503, "starting\n"),
    ] {
        let answer = process.get(path);
        let head = format!("HTTP/1.1 {status} ");
        assert!(
            answer.starts_with(&head)
                && answer.contains(body)
                && answer.contains("\r\nretry-after: 1\r\n"),
            "{path}: {answer}"
        );
    }
}

#[test]
fn a_signal_ends_it_cleanly_though_a_client_never_finishes_its_request() {
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        let process = Process::start("obedient");
        let mut idler = TcpStream::connect(process.address).unwrap();
        idler.write_all(b"GET /metrics HTTP/1.1\r\nHost:").unwrap();
        process.get("/healthz");
        process.signal(signal);
        assert_eq!(process.wait().code(), Some(0), "{signal}");
    }
}

#[test]
fn it_answers_while_it_drains_and_a_second_signal_ends_the_drain() {
    let process = Process::start("stubborn");
    process.signal(Signal::SIGTERM);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    // The signal takes a moment; from then on the process is alive but not ready.
    while !process
        .get("/readyz")
        .ends_with("\r\nprocess: shutting down\n")
    {
        assert!(
            tokio::time::Instant::now() < deadline,
            "never noticed the signal"
        );
    }
    assert!(process.get("/healthz").starts_with("HTTP/1.1 200 OK\r\n"));
    process.signal(Signal::SIGTERM);
    assert_eq!(process.wait().code(), Some(0));
}

#[test]
fn a_task_that_fails_ends_the_process_and_is_logged_with_its_causes() {
    let (status, logged) = Process::start("failing").wait_and_read();
    assert_eq!(status.code(), Some(1));
    let line = logged.iter().find(|line| line["level"] == "ERROR").unwrap();
    assert_eq!(line["task.name"], "work");
    assert_eq!(line["message"], "a task failed, shutting down");
    assert_eq!(line["error"], "connecting: no such host");
}

#[test]
fn a_panic_is_logged_like_everything_else_and_ends_the_process() {
    let (status, logged) = Process::start("panicking").wait_and_read();
    assert_eq!(status.code(), Some(1));
    let line = logged
        .iter()
        .find(|line| line["panic.message"] == "on purpose")
        .unwrap();
    assert!(
        line["panic.location"]
            .as_str()
            .unwrap()
            .contains("process.rs:"),
        "{line}"
    );
    assert!(
        logged
            .iter()
            .any(|line| line["message"] == "a task panicked, shutting down")
    );
}
