//! `postrider demo`: the first command of a newcomer.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection};
use tokio::time::Instant;

use super::postrider;
use crate::support::skip::root_or_skipped;

/// How long the whole story may take.
const STORY_MAX: Duration = Duration::from_mins(1);
/// What it says when both sides are the same.
const SAME: &str = "The same: every delivery, every body byte for byte, every signature.";
/// What it says before the trickle.
const SERVING: &str = "Serving on";

/// A directory for one demo's Postgres, which any user may pass through.
fn place() -> tempfile::TempDir {
    let place = tempfile::Builder::new().prefix("pd").tempdir().unwrap();
    std::fs::set_permissions(place.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    place
}

/// What is left in it.
fn left_in(place: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(place).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

/// A running demo; killed when the test ends.
struct Demo {
    child: Child,
    output: BufReader<ChildStdout>,
    said: String,
}

impl Demo {
    /// Starts one that puts its data into `place`.
    fn start(mut command: Command, place: &Path) -> Self {
        let mut child = command
            .env("TMPDIR", place)
            .env("DATABASE_URL", "postgres://nobody@127.0.0.1:1/none")
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self {
            child,
            output,
            said: String::new(),
        }
    }

    /// Reads on until it says this.
    fn until(&mut self, text: &str) {
        let mut line = String::new();
        while self.output.read_line(&mut line).unwrap() > 0 {
            self.said.push_str(&line);
            if line.contains(text) {
                return;
            }
            line.clear();
        }
        panic!("it ended without {text:?}:\n{}", self.said);
    }

    /// Sends it a signal.
    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).unwrap();
    }

    /// Waits for its end. Answers with everything it said.
    fn end(mut self) -> (ExitStatus, String) {
        self.output.read_to_string(&mut self.said).unwrap();
        let said = std::mem::take(&mut self.said);
        (self.child.wait().unwrap(), said)
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // Ended already, unless a test failed on the way.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The process of the Postgres in a place and how to connect to that.
fn postgres(place: &Path) -> (u32, PgConnectOptions) {
    let data = left_in(place)[0].join("db");
    let pid_file = std::fs::read_to_string(data.join("cluster/postmaster.pid")).unwrap();
    let process = pid_file.lines().next().unwrap().parse().unwrap();
    let options = PgConnectOptions::new_without_pgpass()
        .socket(data.join("socket"))
        .username("postrider")
        .database("postrider");
    (process, options)
}

/// Waits until a process is gone; one that nobody reaps counts as gone.
async fn assert_ends(process: u32) {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        if stat.is_empty() || stat.contains(") Z ") {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "process {process} is still there"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Asserts that a story was told well.
fn assert_told(status: ExitStatus, said: &str) {
    assert_eq!(status.code(), Some(0), "{said}");
    for text in [
        "DATABASE_URL is left alone",
        "1,000 rows -> 1,000 events -> 1,500 deliveries",
        "100 rows -> 50 events -> 75 deliveries",
        "1,001 rows -> 0 events -> 0 deliveries: what rolls back never was",
        "2 rows -> 1 event -> 1 delivery",
        "attempt 5 after ",
        "status 'failed' after 5 attempts",
        "acme/on-call is told: 1 event",
        "1 row -> status 'delivered'; COMMIT to 2xx ",
        "queue_stats  0 pending, ",
        SAME,
    ] {
        assert!(said.contains(text), "no {text:?} in\n{said}");
    }
    assert!(
        !said.contains('\x1b'),
        "colours without a terminal:\n{said}"
    );
}

#[test]
fn the_story_is_told_whole_and_leaves_nothing() {
    let place = place();
    let started = Instant::now();
    let demo = Demo::start(postrider(place.path(), &["demo", "--once"]), place.path());
    let (status, said) = demo.end();
    assert_told(status, &said);
    assert!(started.elapsed() < STORY_MAX, "{:?}", started.elapsed());
    assert_eq!(left_in(place.path()), Vec::<PathBuf>::new());
}

#[test]
fn an_ordinary_user_is_told_the_same() {
    if !root_or_skipped() {
        return;
    }
    let (place, home) = (place(), place());
    chown(place.path(), Some(65_534), None).unwrap();
    let copy = home.path().join("postrider");
    std::fs::copy(env!("CARGO_BIN_EXE_postrider"), &copy).unwrap();
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(copy)
        .args(["demo", "--once"])
        .current_dir("/")
        .env_clear()
        .env("PATH", "/usr/bin:/bin");
    let (status, said) = Demo::start(command, place.path()).end();
    assert_told(status, &said);
    assert_eq!(left_in(place.path()), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn it_serves_on_until_ctrl_c_and_leaves_nothing() {
    let place = place();
    let mut demo = Demo::start(postrider(place.path(), &["demo"]), place.path());
    demo.until(SERVING);
    demo.until(" accepted; ");
    let (server, _) = postgres(place.path());
    demo.signal(Signal::SIGINT);
    let (status, said) = demo.end();
    assert_eq!(status.code(), Some(0), "{said}");
    assert_eq!(said.matches(SAME).count(), 2, "{said}");
    assert_ends(server).await;
    assert_eq!(left_in(place.path()), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn what_was_committed_and_never_arrived_is_named_and_is_a_failure() {
    let place = place();
    let mut demo = Demo::start(postrider(place.path(), &["demo"]), place.path());
    demo.until(SERVING);
    let mut connection = postgres(place.path()).1.connect().await.unwrap();
    // As if the fan-out had forgotten one.
    let lost: String = sqlx::query_scalar(
        "insert into postrider.events (instance_id, type, data) select id, 'call.update', '{}' from postrider.instances where name = 'globex'
         returning postrider.event_id(id, nonce)",
    )
    .fetch_one(&mut connection)
    .await
    .unwrap();
    connection.close().await.unwrap();
    demo.signal(Signal::SIGTERM);
    let (status, said) = demo.end();
    assert_eq!(status.code(), Some(1), "{said}");
    let difference =
        format!("1 difference:\n    {lost} for globex/hooks: committed, but it was never queued\n");
    assert!(said.contains(&difference), "{said}");
    assert_eq!(left_in(place.path()), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn when_it_is_killed_its_postgres_ends_and_the_next_one_removes_its_data() {
    let place = place();
    let mut killed = Demo::start(postrider(place.path(), &["demo"]), place.path());
    killed.until("A table as the source");
    let (server, _) = postgres(place.path());
    killed.signal(Signal::SIGKILL);
    assert_ends(server).await;
    let [left] = &left_in(place.path())[..] else {
        panic!("its data is not there");
    };
    let long_ago = std::fs::metadata(left).unwrap().modified().unwrap() - Duration::from_mins(2);
    std::fs::File::open(left)
        .unwrap()
        .set_modified(long_ago)
        .unwrap();

    // The next ones are interrupted in the midst of their story, and end well all the same: only that is no answer to whether
    // everything arrives.
    for (arguments, expected) in [(&["demo"][..], 0), (&["demo", "--once"], 1)] {
        let mut next = Demo::start(postrider(place.path(), arguments), place.path());
        next.until("A table as the source");
        assert!(!left.exists());
        next.signal(Signal::SIGINT);
        let (status, said) = next.end();
        assert_eq!(status.code(), Some(expected), "{said}");
        assert!(
            !said.contains("still pending") || !said.contains(SAME),
            "{said}"
        );
        assert_eq!(left_in(place.path()), Vec::<PathBuf>::new());
    }
}

#[tokio::test]
async fn a_demo_whose_postgres_dies_says_so_and_fails() {
    let place = place();
    let mut demo = Demo::start(postrider(place.path(), &["demo"]), place.path());
    demo.until("A table as the source");
    let (server, _) = postgres(place.path());
    kill(Pid::from_raw(server.cast_signed()), Signal::SIGKILL).unwrap();
    let (status, said) = demo.end();
    assert_eq!(status.code(), Some(1), "{said}");
    assert_eq!(left_in(place.path()), Vec::<PathBuf>::new());
}

#[test]
fn a_database_of_ones_own_is_refused() {
    let place = place();
    let output = postrider(
        place.path(),
        &["demo", "--database-url", "postgres://a@b/c"],
    )
    .output()
    .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("neither --config nor --database-url"),
        "{said}"
    );
}
