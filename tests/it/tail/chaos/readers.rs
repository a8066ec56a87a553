//! Those who read: by the id, and as we do.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use postrider::db::tail::{Cursor, Event, Gap, Origin, Tail};
use postrider::db::{Database, Purpose};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::time::{sleep, timeout};

use super::{Key, Run, STUCK};

/// How many readers come and go.
const READERS: u64 = 4;
/// So many steps without an event, when all has been written, are the end.
const IDLE_MAX: u32 = 20;

/// The reader that must lose: by the id.
pub(super) async fn read_naively(run: Arc<Run>) -> HashSet<Key> {
    let (mut seen, mut last) = (HashSet::new(), 0_i64);
    loop {
        let Some(mut connection) = run.connect().await else {
            sleep(Duration::from_millis(20)).await;
            continue;
        };
        loop {
            // Asked before each reading: a connection may outlive everybody who would end it.
            let done = run.is(|run| &run.done);
            let page = sqlx::query_as::<_, Key>(
                "select id, nonce from postrider.events where id > $1 order by id limit 1000",
            )
            .bind(last)
            .fetch_all(&mut connection);
            let Ok(Ok(rows)) = timeout(STUCK, page).await else {
                break;
            };
            if rows.is_empty() && done {
                return seen;
            }
            last = rows.last().map_or(last, |row| row.0);
            seen.extend(rows);
            sleep(Duration::from_millis(3)).await;
        }
    }
}

/// What one of ours has been shown.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) events: HashSet<Key>,
    pub(super) repeated: usize,
    pub(super) resumes: usize,
}

impl Seen {
    fn add(&mut self, event: &Event) {
        let fresh = self.events.insert((event.id, event.nonce));
        self.repeated += usize::from(!fresh);
    }
}

/// One who comes and goes.
struct Follower {
    seen: Seen,
    /// False while it is away.
    attached: bool,
    /// Where it got to.
    cursor: Cursor,
}

/// Reads the log by a tail, with readers who leave at any event and come back by its cursor. Answers with what the tail and
/// each reader saw.
pub(super) async fn read_properly(run: Arc<Run>) -> Vec<Seen> {
    let mut random = StdRng::seed_from_u64(99);
    let database = Database::open(run.options.clone(), Purpose::Realtime, 4);
    let mut tail = Tail::new(run.options.clone());
    let mut own = Seen::default();
    while tail.step().await.is_err() {
        sleep(Duration::from_millis(20)).await;
    }
    run.begun.store(true, Ordering::Relaxed);
    let start = tail.position().unwrap();
    let mut followers: Vec<Follower> = (0..READERS)
        .map(|_| Follower {
            seen: Seen::default(),
            attached: true,
            cursor: start.clone(),
        })
        .collect();
    let mut idle = 0;
    while idle < IDLE_MAX {
        let done = run.is(|run| &run.done);
        let Ok(step) = tail.step().await else {
            sleep(Duration::from_millis(20)).await;
            continue;
        };
        assert!(!step.gap, "nothing was removed");
        // Each mark that is kept flushes what was committed before it.
        let keep = !run.is(|run| &run.lazy) && random.random_bool(0.05);
        if let Some(mark) = tail.take_mark().filter(|_| keep) {
            drop(timeout(STUCK, database.keep_mark(mark)).await);
        }
        for event in &step.events {
            own.add(event);
            run.read_xid.fetch_max(event.xid, Ordering::Relaxed);
            for follower in followers.iter_mut().filter(|follower| follower.attached) {
                follower.seen.add(event);
                follower.cursor = Cursor {
                    epoch: step.epoch,
                    before: (*step.before).clone(),
                    after: (*step.after).clone(),
                    id: event.id,
                };
                follower.attached = !random.random_bool(0.002);
            }
        }
        idle = if done && step.events.is_empty() {
            idle + 1
        } else {
            0
        };
        if step.more {
            continue;
        }
        for follower in followers.iter_mut().filter(|follower| !follower.attached) {
            if done || random.random_bool(0.2) {
                let coming = come_back(&database, &tail, follower);
                if !matches!(timeout(STUCK, coming).await, Ok(true)) {
                    idle = 0;
                }
            }
        }
        sleep(Duration::from_millis(random.random_range(0..6))).await;
    }
    let mut all = vec![own];
    all.extend(followers.into_iter().map(|follower| follower.seen));
    all
}

/// Resumes by the cursor, as text. False where the database is away: the cursor is where it got to.
async fn come_back(database: &Database, tail: &Tail, follower: &mut Follower) -> bool {
    let present = tail.position().unwrap();
    let origin = Origin::Cursor(follower.cursor.to_string().parse().unwrap());
    let Ok(located) = database.locate(&origin, &present).await else {
        return false;
    };
    let cursor = located.expect("the cursor is known, over whatever crashes");
    for mut from in cursor.stretches_to(&present) {
        loop {
            let Ok(missed) = database.missed(&from, None).await else {
                return false;
            };
            let page = missed.unwrap_or_else(|gap: Gap| panic!("nothing was removed: {gap:?}"));
            for event in &page.events {
                follower.seen.add(event);
                follower.cursor = Cursor {
                    id: event.id,
                    ..from.clone()
                };
            }
            match page.events.last().filter(|_| page.more) {
                Some(last) => from.id = last.id,
                None => break,
            }
        }
    }
    follower.cursor = present;
    follower.attached = true;
    follower.seen.resumes += 1;
    true
}
