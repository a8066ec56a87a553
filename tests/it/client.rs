//! The Rust client against the real program, which is killed on the way.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::sys::signal::Signal;
use postrider::client::{Client, Error, Event, Subscribe};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::support::api::ACCOUNT;
use crate::support::app::TestApp;
use crate::support::wait::{PATIENCE, until};
use crate::support::worker::Process;

/// How long a client waits after its first failure: short, as tests wait for it.
const DELAY: Duration = Duration::from_millis(20);

/// The sidecar as a process of its own.
async fn sidecar(app: &TestApp, listen: &str) -> (Process, SocketAddr) {
    let builder = app.worker().set("http.listen", format!("'{listen}'"));
    let builder = builder.set("api.account_token", format!("'{ACCOUNT}'"));
    let mut process = builder.spawn_as("realtime");
    process.ready().await;
    let address = process.address().unwrap();
    (process, address)
}

/// To the instance of the tests.
fn subscribe(address: SocketAddr) -> Subscribe {
    let client = Client::new(&format!("http://{address}")).unwrap();
    client.subscribe("shop", ACCOUNT).retry_delay(DELAY)
}

/// The numbers that handlers were given, in order.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<u64>>>);

impl Seen {
    fn push(&self, event: &Event) -> u64 {
        let number = number(event);
        self.0.lock().unwrap().push(number);
        number
    }

    fn all(&self) -> Vec<u64> {
        self.0.lock().unwrap().clone()
    }

    /// Waits until there are so many.
    async fn wait_for(&self, count: usize) -> Vec<u64> {
        let what = format!("{count} events were handled");
        until(&what, PATIENCE, async || self.all().len() >= count).await;
        self.all()
    }

    /// A handler that only notes.
    fn by(&self, subscribe: Subscribe) -> Subscribe {
        let seen = self.clone();
        subscribe.on_any(move |event| {
            seen.push(&event);
            async { Ok(()) }
        })
    }
}

/// Its number.
fn number(event: &Event) -> u64 {
    event.data::<BTreeMap<String, u64>>().unwrap()["n"]
}

/// Emits these.
async fn emit(app: &TestApp, numbers: std::ops::RangeInclusive<u64>) {
    for number in numbers {
        app.emit("order.paid", &format!("{{\"n\":{number}}}")).await;
    }
}

/// Where a consumer is; none before its first acknowledgement.
async fn stored(app: &TestApp) -> Option<String> {
    app.value("select max(cursor) from postrider.consumers")
        .await
}

/// Waits until the server knows that a consumer is there, so that nothing is emitted before.
async fn connected(app: &TestApp) {
    until("the consumer is known", PATIENCE, async || {
        stored(app).await.is_some()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_reach_the_handlers_of_their_types_and_are_acknowledged_behind_them() {
    let app = TestApp::start().await;
    let (_server, address) = sidecar(&app, "127.0.0.1:0").await;
    let (paid, all) = (Seen::default(), Seen::default());
    let noted = paid.clone();
    let subscription = all
        .by(subscribe(address).consumer("billing"))
        .on("order.paid", move |event| {
            noted.push(&event);
            async { Ok(()) }
        })
        .start();
    connected(&app).await;
    emit(&app, 1..=2).await;
    app.emit("order.sent", "{\"n\":3}").await;
    assert_eq!(all.wait_for(3).await, [1, 2, 3]);
    assert_eq!(paid.all(), [1, 2]);
    subscription.close().await.unwrap();
    // Its successor goes on behind what was acknowledged; a filter is the server's to keep.
    emit(&app, 4..=4).await;
    app.emit("order.sent", "{\"n\":5}").await;
    let next = Seen::default();
    let successor = next.by(subscribe(address)
        .consumer("billing")
        .events(["order.sent"]));
    let successor = successor.start();
    assert_eq!(next.wait_for(1).await, [5]);
    successor.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_handler_fails_on_comes_again_while_the_others_go_on() {
    let app = TestApp::start().await;
    let (_server, address) = sidecar(&app, "127.0.0.1:0").await;
    let (seen, attempts) = (Seen::default(), Arc::new(AtomicUsize::new(0)));
    let (noted, tried) = (seen.clone(), attempts.clone());
    let errors = Arc::new(Mutex::new(Vec::new()));
    let heard = errors.clone();
    let subscription = subscribe(address)
        .consumer("billing")
        .on("order.paid", move |event| {
            let (noted, tried) = (noted.clone(), tried.clone());
            async move {
                if number(&event) == 1 {
                    match tried.fetch_add(1, Ordering::SeqCst) {
                        0 => return Err("not now".into()),
                        1 => panic!("on purpose"),
                        _ => {}
                    }
                }
                noted.push(&event);
                Ok(())
            }
        })
        .on_error(move |error| heard.lock().unwrap().push(error.to_string()))
        .start();
    connected(&app).await;
    emit(&app, 1..=3).await;
    let handled = seen.wait_for(3).await;
    assert_eq!(
        handled
            .iter()
            .copied()
            .collect::<std::collections::BTreeSet<_>>()
            .len(),
        3
    );
    assert_eq!(attempts.load(Ordering::SeqCst), 3);
    let errors = errors.lock().unwrap().clone();
    assert_eq!(errors.len(), 2, "{errors:?}");
    assert!(errors[0].starts_with("the handler of order.paid failed for evt_"));
    subscription.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_handled_when_a_program_ended_comes_to_the_next_one() {
    let app = TestApp::start().await;
    let (_server, address) = sidecar(&app, "127.0.0.1:0").await;
    let seen = Seen::default();
    let noted = seen.clone();
    let subscription = subscribe(address)
        .consumer("billing")
        .on_any(move |event| {
            let failed = noted.push(&event) == 2;
            async move { if failed { Err("never".into()) } else { Ok(()) } }
        })
        .on_error(|_| {})
        .start();
    connected(&app).await;
    emit(&app, 1..=4).await;
    until("all were tried", PATIENCE, async || seen.all().contains(&4)).await;
    subscription.close().await.unwrap();
    let next = Seen::default();
    let successor = next.by(subscribe(address).consumer("billing")).start();
    assert_eq!(next.wait_for(3).await, [2, 3, 4]);
    successor.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_again_and_again_costs_no_event_and_repeats_none() {
    let app = TestApp::start().await;
    let (mut server, address) = sidecar(&app, "127.0.0.1:0").await;
    let (named, nameless) = (Seen::default(), Seen::default());
    let first = named.by(subscribe(address).consumer("billing")).start();
    let second = nameless.by(subscribe(address)).on_error(|_| {}).start();
    connected(&app).await;
    until("both are connected", PATIENCE, async || {
        second.position().is_some()
    })
    .await;
    for round in 0..3 {
        emit(&app, round * 20 + 1..=round * 20 + 10).await;
        server.kill();
        emit(&app, round * 20 + 11..=round * 20 + 20).await;
        (server, _) = sidecar(&app, &address.to_string()).await;
    }
    let expected: Vec<u64> = (1..=60).collect();
    assert_eq!(named.wait_for(60).await, expected);
    assert_eq!(nameless.wait_for(60).await, expected);
    first.close().await.unwrap();
    second.close().await.unwrap();
    assert_eq!((named.all().len(), nameless.all().len()), (60, 60));
}

#[tokio::test(flavor = "multi_thread")]
async fn close_waits_for_the_handler_at_work_and_its_acknowledgement() {
    let app = TestApp::start().await;
    let (_server, address) = sidecar(&app, "127.0.0.1:0").await;
    let (seen, may) = (Seen::default(), Arc::new(Semaphore::new(0)));
    let (noted, gate) = (seen.clone(), may.clone());
    let subscription = subscribe(address)
        .consumer("billing")
        .on_any(move |event| {
            noted.push(&event);
            let gate = gate.clone();
            async move {
                gate.acquire().await?.forget();
                Ok(())
            }
        })
        .start();
    connected(&app).await;
    emit(&app, 1..=2).await;
    seen.wait_for(1).await;
    let mut closing = Box::pin(subscription.close());
    assert!(
        timeout(Duration::from_millis(200), &mut closing)
            .await
            .is_err()
    );
    may.add_permits(2);
    timeout(PATIENCE, closing).await.unwrap().unwrap();
    // The second was received, and not begun.
    assert_eq!(seen.all(), [1]);
    let next = Seen::default();
    let successor = next.by(subscribe(address).consumer("billing")).start();
    assert_eq!(next.wait_for(1).await, [2]);
    successor.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_handler_is_waited_for_however_much_comes() {
    let app = TestApp::start().await;
    let (_server, address) = sidecar(&app, "127.0.0.1:0").await;
    let (seen, may) = (Seen::default(), Arc::new(Semaphore::new(0)));
    let (noted, gate) = (seen.clone(), may.clone());
    let closed = Arc::new(AtomicUsize::new(0));
    let counted = closed.clone();
    let subscription = subscribe(address)
        .window(3)
        .on_any(move |event| {
            let (noted, gate) = (noted.clone(), gate.clone());
            async move {
                let _permit = gate.acquire().await?;
                let fields: BTreeMap<String, serde_json::Value> = event.data()?;
                noted.0.lock().unwrap().push(fields["n"].as_u64().unwrap());
                Ok(())
            }
        })
        .on_error(move |error| {
            assert!(matches!(error, Error::Closed { code: 4413, .. }), "{error}");
            counted.fetch_add(1, Ordering::SeqCst);
        })
        .start();
    until("it is connected", PATIENCE, async || {
        subscription.position().is_some()
    })
    .await;
    let quick = Seen::default();
    let last = quick.clone();
    let _quick = subscribe(address)
        .on_any(move |event| {
            if event.data.get().len() < 100 {
                last.push(&event);
            }
            async { Ok(()) }
        })
        .from_earliest()
        .start();
    // Far more than the sockets hold, and than the server lets a connection be behind.
    app.sql(
        "select postrider.emit_rows(array_agg('shop'::text), array_agg('order.paid'::text)
             , array_agg(json_build_object('n', n, 'filling', repeat('x', 30000)))) from generate_series(1, 1000) n",
    )
    .await;
    emit(&app, 1001..=1001).await;
    // When a quick one has all of it, the slow one has been written to, as far as its socket took it.
    quick.wait_for(1).await;
    may.add_permits(1);
    let expected: Vec<u64> = (1..=1001).collect();
    assert_eq!(seen.wait_for(1001).await, expected);
    assert!(closed.load(Ordering::SeqCst) > 0, "it was never too slow");
    subscription.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gap_is_told_and_what_is_still_there_follows() {
    let app = TestApp::start().await;
    let (server, address) = sidecar(&app, "127.0.0.1:0").await;
    let (seen, gaps) = (Seen::default(), Arc::new(Mutex::new(Vec::new())));
    let first = seen.by(subscribe(address).consumer("billing")).start();
    connected(&app).await;
    emit(&app, 1..=1).await;
    seen.wait_for(1).await;
    first.close().await.unwrap();
    emit(&app, 2..=5).await;
    // One that has the events in memory would still show them.
    server.stop().await;
    let (_server, address) = sidecar(&app, "127.0.0.1:0").await;
    app.sql("delete from postrider.events where data::json ->> 'n' in ('1', '2', '3')")
        .await;
    let (next, heard) = (Seen::default(), gaps.clone());
    let second = next
        .by(subscribe(address).consumer("billing"))
        .on_gap(move |reason| heard.lock().unwrap().push(reason.to_owned()))
        .on_error(|error| println!("{error}"))
        .start();
    assert_eq!(next.wait_for(2).await, [4, 5]);
    assert_eq!(*gaps.lock().unwrap(), ["removed"]);
    second.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn it_begins_where_it_is_told_to() {
    let app = TestApp::start().await;
    emit(&app, 1..=1).await;
    let id = app.emit("order.paid", "{\"n\":2}").await;
    emit(&app, 3..=3).await;
    let (_server, address) = sidecar(&app, "127.0.0.1:0").await;
    let hour_ago = time::OffsetDateTime::now_utc() - time::Duration::hours(1);
    for (subscribe, expected) in [
        (subscribe(address).from_earliest(), vec![1, 2, 3]),
        (subscribe(address).last_event_id(id), vec![3]),
        (subscribe(address).since(hour_ago), vec![1, 2, 3]),
    ] {
        let seen = Seen::default();
        let subscription = seen.by(subscribe).start();
        assert_eq!(seen.wait_for(expected.len()).await, expected);
        subscription.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_trying_again_does_not_mend_ends_it_and_says_why() {
    let app = TestApp::start().await;
    let (mut server, address) = sidecar(&app, "127.0.0.1:0").await;
    let client = Client::new(&format!("http://{address}")).unwrap();
    let mut stranger = client
        .subscribe("shop", "not-a-token")
        .on_error(|_| {})
        .start();
    let ended = timeout(PATIENCE, stranger.ended()).await.unwrap();
    assert!(
        matches!(ended, Err(Error::Refused { status: 401, .. })),
        "{ended:?}"
    );
    let mut nowhere = client.subscribe("nobody", ACCOUNT).on_error(|_| {}).start();
    let ended = timeout(PATIENCE, nowhere.ended()).await.unwrap();
    assert!(
        matches!(ended, Err(Error::Refused { status: 404, .. })),
        "{ended:?}"
    );
    // The latest connection of a consumer counts.
    let (old, new) = (Seen::default(), Seen::default());
    let mut former = old
        .by(subscribe(address).consumer("billing"))
        .on_error(|_| {})
        .start();
    connected(&app).await;
    let latter = new.by(subscribe(address).consumer("billing")).start();
    until("the latter is connected", PATIENCE, async || {
        latter.position().is_some()
    })
    .await;
    emit(&app, 1..=1).await;
    new.wait_for(1).await;
    let ended = timeout(PATIENCE, former.ended()).await.unwrap();
    assert!(
        matches!(ended, Err(Error::Closed { code: 4409, .. })),
        "{ended:?}"
    );
    // A server that goes is missed so often and no more.
    let tries = Arc::new(AtomicUsize::new(0));
    let counted = tries.clone();
    let last = subscribe(address).max_retries(2);
    let mut last = last
        .on_error(move |_| {
            counted.fetch_add(1, Ordering::SeqCst);
        })
        .start();
    until("the last is connected", PATIENCE, async || {
        last.position().is_some()
    })
    .await;
    let mut once = subscribe(address).reconnect(false).on_error(|_| {}).start();
    until("it is connected", PATIENCE, async || {
        once.position().is_some()
    })
    .await;
    latter.close().await.unwrap();
    server.signal(Signal::SIGTERM);
    server.ended(PATIENCE).await;
    let ended = timeout(PATIENCE, once.ended()).await.unwrap();
    assert!(
        matches!(ended, Err(Error::Closed { code: 1012, .. })),
        "{ended:?}"
    );
    let ended = timeout(PATIENCE, last.ended()).await.unwrap();
    assert!(matches!(ended, Err(Error::Unreachable(_))), "{ended:?}");
    assert_eq!(tries.load(Ordering::SeqCst), 3);
}
