//! Writers of every kind, crashes, readers that come and go: no event is skipped and none comes twice, while a reader that
//! goes by the id loses some.
//!
//! `TEST_SCALE=50` makes it a million events.

#![expect(
    clippy::disallowed_methods,
    reason = "its writers and readers live and die by themselves"
)]

mod readers;
mod writers;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, PgConnection};
use tokio::time::{sleep, timeout};

use self::readers::{Seen, read_naively, read_properly};
use self::writers::{terminate, write};
use crate::support::app::TestApp;
use crate::support::postgres::OwnCluster;
use crate::support::wait::{PATIENCE, scaled, until};

/// How many write at once.
const WRITERS: u64 = 12;
/// Whoever connects to a server that is just being killed may never be answered.
const CONNECT_MAX: Duration = Duration::from_secs(2);
/// A statement that takes so long will not end: its server was killed under it.
const STUCK: Duration = Duration::from_secs(10);
/// Transactions that nobody flushes before each crash, so that there is something for it to take back.
const UNFLUSHED: u64 = 100;

/// In this time writers get on unless the server is locked.
const UNLOCKED_MAX: Duration = Duration::from_secs(3);

/// An event as readers count it. The id alone may recur after a crash.
type Key = (i64, i32);

/// What everybody shares.
struct Run {
    options: PgConnectOptions,
    /// Events to be written.
    wanted: usize,
    written: AtomicUsize,
    /// The tail has begun.
    begun: AtomicBool,
    /// Nobody waits for the disk: what is committed now is lost in a crash, and its transaction ids recur.
    lazy: AtomicBool,
    /// The highest transaction of which the tail has read an event.
    read_xid: AtomicU64,
    /// The server is being killed: who writes waits.
    down: AtomicBool,
    /// Everybody has written.
    done: AtomicBool,
}

impl Run {
    async fn connect(&self) -> Option<PgConnection> {
        if self.is(|run| &run.down) {
            return None;
        }
        self.connect_anyway().await
    }

    async fn connect_anyway(&self) -> Option<PgConnection> {
        timeout(CONNECT_MAX, self.options.connect())
            .await
            .ok()?
            .ok()
    }

    /// Whether the writers are to go on.
    fn is_wanting(&self) -> bool {
        self.is(|run| &run.lazy) || self.written.load(Ordering::Relaxed) < self.wanted
    }

    fn is(&self, what: fn(&Self) -> &AtomicBool) -> bool {
        what(self).load(Ordering::Relaxed)
    }

    /// Asks the server, which may be away.
    async fn ask(&self, question: &'static str) -> i64 {
        let mut answer = None;
        // It may have much to recover.
        until("the server answers", PATIENCE * 5, async || {
            let Some(mut connection) = self.connect_anyway().await else {
                return false;
            };
            let asked = sqlx::query_scalar(question).fetch_one(&mut connection);
            answer = timeout(STUCK, asked).await.ok().and_then(Result::ok);
            answer.is_some()
        })
        .await;
        answer.unwrap()
    }

    /// The transaction id that comes next.
    async fn next_xid(&self) -> u64 {
        let xid = self
            .ask("select pg_snapshot_xmax(pg_current_snapshot())::text::bigint")
            .await;
        xid.cast_unsigned()
    }

    /// Who writes the log of the server to the disk.
    async fn wal_writer(&self) -> Pid {
        let process = self
            .ask("select pid::bigint from pg_stat_activity where backend_type = 'walwriter'")
            .await;
        Pid::from_raw(i32::try_from(process).unwrap())
    }
}

/// Crashes the server while the writers write: by itself, as the kernel does, and as `pg_ctl stop -m immediate` does. Answers
/// with whether transaction ids were handed out a second time.
async fn crash(run: &Run, cluster: &mut OwnCluster, number: usize) -> bool {
    run.lazy.store(true, Ordering::Relaxed);
    let wal_writer = run.wal_writer().await;
    run.read_xid.store(0, Ordering::Relaxed);
    let enough = run.next_xid().await + UNFLUSHED;
    let mut before = 0;
    let mut pause = Duration::from_millis(50);
    until("transactions go on", PATIENCE * 5, async || {
        // It may have been stopped while it held a lock that all need: it is given ever more time to let it go.
        kill(wal_writer, Signal::SIGCONT).unwrap();
        sleep(pause).await;
        pause *= 2;
        kill(wal_writer, Signal::SIGSTOP).unwrap();
        let asked = timeout(UNLOCKED_MAX, async {
            while before < enough || run.read_xid.load(Ordering::Relaxed) < enough - UNFLUSHED / 2 {
                before = run.next_xid().await;
            }
        });
        asked.await.is_ok()
    })
    .await;
    run.down.store(true, Ordering::Relaxed);
    let how = [None, Some(Signal::SIGKILL), Some(Signal::SIGQUIT)][number % 3];
    if let Some(signal) = how {
        cluster.signal(signal);
    }
    // Stopped, it hears of nothing else. Where it alone dies, the server ends everybody and recovers.
    kill(wal_writer, Signal::SIGKILL).unwrap();
    if how.is_some() {
        cluster.ended().await;
        cluster.start_again().await;
    } else {
        until("the server has noticed", PATIENCE, async || {
            run.connect_anyway().await.is_none()
        })
        .await;
    }
    let recurred = run.next_xid().await < before;
    run.lazy.store(false, Ordering::Relaxed);
    run.down.store(false, Ordering::Relaxed);
    recurred
}

/// Crashes it again and again. Answers with how often transaction ids recurred.
async fn crash_often(run: &Run, cluster: &mut OwnCluster) -> usize {
    let crashes = 4 * scaled(1).min(5);
    let mut recurred = 0;
    for number in 1..=crashes {
        let reached = run.wanted * number / (crashes + 1);
        until("writers go on", PATIENCE * 30, async || {
            run.written.load(Ordering::Relaxed) >= reached
        })
        .await;
        recurred += usize::from(crash(run, cluster, number).await);
    }
    println!("transaction ids recurred after {recurred} of {crashes} crashes");
    recurred
}

/// Writes and crashes to the end; answers with what the reader by the id saw, and what each of ours did.
async fn all_at_once(run: &Arc<Run>, cluster: &mut OwnCluster) -> (HashSet<Key>, Vec<Seen>) {
    let naive = tokio::spawn(read_naively(Arc::clone(run)));
    let proper = tokio::spawn(read_properly(Arc::clone(run)));
    // What is committed before it begins is not its business.
    until("the tail has begun", PATIENCE, async || {
        run.is(|run| &run.begun)
    })
    .await;
    let terminator = tokio::spawn(terminate(Arc::clone(run)));
    let writers: Vec<_> = (0..WRITERS)
        .map(|seed| tokio::spawn(write(Arc::clone(run), seed)))
        .collect();
    let recurred = crash_often(run, cluster).await;
    for writer in writers {
        writer.await.unwrap();
    }
    run.done.store(true, Ordering::Relaxed);
    terminator.await.unwrap();
    assert!(
        recurred > 0,
        "no transaction id was handed out twice: nothing was tried"
    );
    (naive.await.unwrap(), proper.await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_event_is_skipped_and_none_comes_twice_whatever_happens() {
    let mut cluster = OwnCluster::start().await;
    let options = {
        let app = TestApp::over(&cluster.database().await).await;
        let options = app.options();
        app.pool().close().await;
        options
    };
    let run = Arc::new(Run {
        options,
        wanted: scaled(20_000),
        written: AtomicUsize::new(0),
        begun: AtomicBool::new(false),
        lazy: AtomicBool::new(false),
        read_xid: AtomicU64::new(0),
        down: AtomicBool::new(false),
        done: AtomicBool::new(false),
    });
    let (naive, proper) = all_at_once(&run, &mut cluster).await;

    let mut connection = run.connect().await.unwrap();
    let there: Vec<Key> = sqlx::query_as("select id, nonce from postrider.events")
        .fetch_all(&mut connection)
        .await
        .unwrap();
    let lost_by_id = there.iter().filter(|key| !naive.contains(*key)).count();
    println!(
        "{} events there; by the id {lost_by_id} were lost",
        there.len()
    );
    assert!(
        lost_by_id > 0,
        "the naive reader was to lose: nothing was tried"
    );
    let mut taken_back = 0;
    for (number, seen) in proper.iter().enumerate() {
        let lost = there.iter().filter(|key| !seen.events.contains(*key));
        let lost: Vec<&Key> = lost.collect();
        // What a crash took back had been shown: that is in the nature of an asynchronous commit.
        let gone = seen.events.len() - (there.len() - lost.len());
        taken_back += gone;
        println!(
            "reader {number}: {} lost, {} repeated, {gone} taken back by crashes, {} resumes",
            lost.len(),
            seen.repeated,
            seen.resumes
        );
        let between = (lost.iter().min(), lost.iter().max());
        assert_eq!((lost.len(), seen.repeated), (0, 0), "{between:?}");
    }
    assert!(
        taken_back > 0,
        "no crash took back what had been read: nothing was tried"
    );
}
