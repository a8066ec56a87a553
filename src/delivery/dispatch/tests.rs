//! Who may start, and who waits.

use std::task::Waker;

use bytes::Bytes;
use time::OffsetDateTime;

use super::*;
use crate::channels::{Class, Failure, Outcome, Receipt, Retry, Verdict};
use crate::db::queue::Due;
use crate::model::{Channel, Resolution};

const LEASE: Duration = Duration::from_secs(90);

pub(in crate::delivery) fn dispatch(in_flight_max: u32) -> Dispatch {
    Dispatch::new(Limits {
        in_flight_max,
        breaker: BreakerSettings {
            failures_consecutive: 10,
            failures_share: 0.5,
            window: 50,
            probe: Duration::from_secs(30),
            probe_max: Duration::from_mins(10),
        },
    })
}

pub(in crate::delivery) fn job(id: i64, target: i64) -> Job {
    Job {
        delivery: Delivery {
            lease: Lease {
                delivery: id,
                token: 1,
            },
            target,
            lane: 0,
            event_id: format!("row-{id}"),
            event_type: "t".into(),
            instance: "x".into(),
            sender: None,
            channel: Channel::Webhook,
            endpoint_id: Some(target),
            endpoint_version: Some(1),
            url: "http://localhost".into(),
            auth_header: None,
            payload: Bytes::new(),
            occurred_at: OffsetDateTime::UNIX_EPOCH,
            age: Duration::ZERO,
            crashes: 0,
            attempts: 0,
            attempts_max: 5,
            since_first_attempt: None,
            is_again: false,
        },
        to: Destination::Direct {
            url: "http://localhost".into(),
            authorization: None,
        },
        schedule: Arc::new(Schedule {
            name: "default".into(),
            waits: vec![Duration::from_secs(1)],
            jitter: 0.0,
            jitter_both_ways: false,
            final_statuses: Vec::new(),
        }),
        timeout: Duration::from_secs(5),
        in_flight_max: 10,
        claimed_at: Instant::now(),
    }
}

pub(in crate::delivery) fn push(dispatch: &Dispatch, jobs: impl IntoIterator<Item = Job>) {
    dispatch.push(jobs.into_iter().collect(), Instant::now() + LEASE);
}

/// Starts all that may start; answers with the targets.
fn start_all(dispatch: &Dispatch) -> Vec<Job> {
    let mut started = Vec::new();
    while let Poll::Ready(Some(job)) = dispatch.poll_next(Waker::noop()) {
        started.push(job);
    }
    started
}

fn end(dispatch: &Dispatch, job: &Job, delivered: bool) -> Option<News> {
    let outcome = if delivered {
        Outcome::Delivered(Receipt::default())
    } else {
        Outcome::Failed(Failure {
            class: Class::Server,
            status: Some(500),
            detail: "500".into(),
            response: Bytes::new(),
            retry: Retry::OnSchedule,
            verdict: Verdict::None,
        })
    };
    dispatch.finished(&Attempt {
        lease: job.delivery.lease,
        url_is_stale: false,
        note: None,
        duration: Duration::ZERO,
        outcome,
        resolution: Resolution::Delivered,
    })
}

#[tokio::test(start_paused = true)]
async fn a_target_has_no_more_in_flight_than_its_limit() {
    let dispatch = dispatch(1000);
    push(&dispatch, (0..50).map(|id| job(id, 7)));
    let started = start_all(&dispatch);
    assert_eq!(started.len(), 10);
    end(&dispatch, &started[0], true);
    assert_eq!(start_all(&dispatch).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn targets_take_turns() {
    let dispatch = dispatch(1000);
    push(&dispatch, (0..5).map(|id| job(id, 1)));
    push(&dispatch, (5..10).map(|id| job(id, 2)));
    let order: Vec<i64> = start_all(&dispatch)
        .iter()
        .map(|job| job.delivery.target)
        .collect();
    assert_eq!(order, [1, 2, 1, 2, 1, 2, 1, 2, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_hundred_targets_that_never_answer_leave_room_for_one_that_does() {
    let dispatch = dispatch(1000);
    push(&dispatch, (0..5000).map(|id| job(id, 1 + id % 100)));
    assert!(start_all(&dispatch).len() < 1000);
    push(&dispatch, (5000..5005).map(|id| job(id, 500)));
    assert_eq!(start_all(&dispatch).len(), 5);
}

#[tokio::test(start_paused = true)]
async fn there_is_room_for_others_however_much_waits_for_those_that_never_answer() {
    let dispatch = dispatch(100);
    push(&dispatch, (0..5000).map(|id| job(id, 1 + id % 10)));
    start_all(&dispatch);
    assert!(dispatch.room() > 0);
    assert_eq!(dispatch.busy().len(), 10);
}

#[tokio::test(start_paused = true)]
async fn outcomes_that_the_database_does_not_take_leave_no_room() {
    let dispatch = dispatch(10);
    for id in 0..20 {
        push(&dispatch, [job(id, 1)]);
        let job = start_all(&dispatch).remove(0);
        end(&dispatch, &job, true);
    }
    assert_eq!(dispatch.room(), 0);
    dispatch.settled([job(0, 1).delivery.lease]);
    assert_eq!(dispatch.room(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_crowded_target_starts_as_soon_as_others_end() {
    let dispatch = dispatch(16);
    push(&dispatch, (0..10).map(|id| job(id, 1)));
    let first = start_all(&dispatch);
    assert_eq!(first.len(), 3);
    for job in &first {
        end(&dispatch, job, true);
    }
    assert_eq!(start_all(&dispatch).len(), 3);
}

#[tokio::test(start_paused = true)]
async fn an_open_breaker_holds_its_target_and_gives_back_what_waited() {
    let dispatch = dispatch(1000);
    push(&dispatch, (0..30).map(|id| job(id, 7)));
    let started = start_all(&dispatch);
    let news: Vec<News> = started
        .iter()
        .filter_map(|job| end(&dispatch, job, false))
        .collect();
    assert_eq!(
        news.len(),
        2,
        "once at the first failure, once when it opened: {news:?}"
    );
    assert!(start_all(&dispatch).is_empty());
    assert_eq!(dispatch.busy(), [7]);
    let back = dispatch.take_held_back();
    assert_eq!(back.len(), 20);
    assert!(
        back.iter()
            .all(|(_, wait)| *wait == Due::SetAside(Duration::from_secs(30)))
    );
    tokio::time::advance(Duration::from_secs(30)).await;
    assert!(dispatch.busy().is_empty());
    push(&dispatch, (100..110).map(|id| job(id, 7)));
    let probe = start_all(&dispatch);
    assert_eq!(probe.len(), 1);
    assert_eq!(
        end(&dispatch, &probe[0], true).map(|news| news.what),
        Some(Happening::Recovered)
    );
    assert_eq!(start_all(&dispatch).len(), 9);
}

#[tokio::test(start_paused = true)]
async fn a_breaker_that_nothing_waits_behind_any_more_is_not_open_for_ever() {
    let dispatch = dispatch(1000);
    push(&dispatch, (0..10).map(|id| job(id, 7)));
    for job in start_all(&dispatch) {
        end(&dispatch, &job, false);
    }
    assert_eq!(dispatch.standing().breakers, [0, 1, 0]);
    // A probe may come as late as this.
    tokio::time::advance(Duration::from_mins(19)).await;
    assert_eq!(dispatch.standing().breakers, [0, 1, 0]);
    tokio::time::advance(Duration::from_mins(1)).await;
    assert_eq!(dispatch.standing().breakers, [0, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn what_slept_past_its_lease_is_not_started() {
    let dispatch = dispatch(1000);
    push(&dispatch, [job(1, 7)]);
    tokio::time::advance(LEASE).await;
    assert!(start_all(&dispatch).is_empty());
    assert_eq!(dispatch.standing().waiting, 0);
}

#[tokio::test(start_paused = true)]
async fn a_delivery_claimed_again_while_its_old_attempt_is_out_counts_once_each() {
    let dispatch = dispatch(1000);
    push(&dispatch, [job(1, 7)]);
    let old = start_all(&dispatch).remove(0);
    let mut again = job(1, 7);
    again.delivery.lease.token = 2;
    push(&dispatch, [again]);
    let new = start_all(&dispatch).remove(0);
    end(&dispatch, &old, true);
    end(&dispatch, &new, true);
    assert_eq!(dispatch.standing().in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn closing_gives_back_what_has_not_started_and_ends_the_workers() {
    let dispatch = dispatch(1000);
    push(&dispatch, (0..30).map(|id| job(id, 7)));
    let started = start_all(&dispatch);
    assert_eq!(dispatch.close().len(), 20);
    assert!(matches!(
        dispatch.poll_next(Waker::noop()),
        Poll::Ready(None)
    ));
    for job in &started {
        end(&dispatch, job, true);
    }
    dispatch.wait_until_idle().await;
}

#[tokio::test(start_paused = true)]
async fn leases_are_kept_until_the_database_has_the_outcome_and_impatient_ones_given_up() {
    let dispatch = dispatch(1000);
    push(&dispatch, (0..30).map(|id| job(id, 7)));
    let started = start_all(&dispatch);
    end(&dispatch, &started[0], true);
    tokio::time::advance(Duration::from_mins(1)).await;
    let (extend, give_up) = dispatch.expiring(LEASE / 2, Duration::from_secs(30));
    assert_eq!((extend.len(), give_up.len()), (10, 20));
    dispatch.settled([started[0].delivery.lease]);
    let (extend, _) = dispatch.expiring(LEASE / 2, Duration::from_secs(30));
    assert_eq!(extend.len(), 9);
}
