//! Everybody's client at one process, and everything killed: no door loses an event.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::time::sleep;

use super::listeners::{EVENTSOURCE, Listener, SOCKET_IO, VZAPS};
use super::subscriber::Subscriber;
use crate::support::api::ACCOUNT;
use crate::support::app::TestApp;
use crate::support::curl::Curl;
use crate::support::node::Node;
use crate::support::postgres::OwnCluster;
use crate::support::python::Python;
use crate::support::wait::{PATIENCE, meanwhile, until};
use crate::support::worker::Process;

/// The account's client credentials.
const CLIENT: &str = "vz_client";
const SECRET: &str = "the-client-secret-of-the-tests";

/// The doors that bare sockets connect to, and with what: our own, `RyzeAPI`'s, Evolution API's.
const DOORS: [(&str, &str); 3] = [
    (super::STREAM, ""),
    ("/ws/shop", "resume=1"),
    ("/", "instance=shop&resume=1"),
];

/// All of `serve`, at a port that stays the same.
async fn serve(app: &TestApp, port: u16) -> Process {
    let worker = app
        .worker()
        .set("http.listen", format!("'127.0.0.1:{port}'"))
        .set("api.account_token", format!("'{ACCOUNT}'"));
    let mut process = worker.spawn_whole();
    process.ready().await;
    process
}

/// What the clients connect with, and what their doors need.
async fn prepare(app: &TestApp) -> [String; 2] {
    app.sql(&format!(
        "insert into postrider.tokens (account_id, kind, client_id, digest)
         select id, 'client', '{CLIENT}', sha256('{SECRET}') from postrider.accounts where name = 'default'"
    ))
    .await;
    for dialect in ["ryze", "evolution"] {
        app.sql(&format!(
            "select postrider.set_endpoint('shop', '', dialect => '{dialect}', channel => 'websocket')"
        ))
        .await;
    }
    let of = async |column: &str| {
        let statement = format!("select {column} from postrider.instances where name = 'shop'");
        app.value(&statement).await
    };
    [of("vzaps_id").await, of("token").await]
}

/// Emits an event every few milliseconds while Postgres lets it, until `work` is done.
async fn emit_during(app: &TestApp, number: &mut i64, work: impl Future<Output = ()>) {
    meanwhile(work, async move || {
        *number += 1;
        let emit = sqlx::query("select postrider.emit('shop', 'Message', $1::text)")
            .bind(format!("{{\"n\":{number}}}"));
        // One that is not answered may have been committed: the test asks the table in the end.
        drop(emit.execute(app.pool()).await);
        sleep(Duration::from_millis(3)).await;
    })
    .await;
}

/// Everybody, by name, with the numbers they have been given.
struct Everybody {
    listeners: Vec<Listener>,
    sockets: Vec<(&'static str, Subscriber)>,
}

impl Everybody {
    /// All connect.
    async fn connect(port: u16, credentials: &[String; 2]) -> Option<Self> {
        let eventsource = Node::with_or_skipped(EVENTSOURCE).await?;
        let socket_io = Node::with_or_skipped(SOCKET_IO).await?;
        let python = Python::with_or_skipped(&VZAPS).await?;
        let curl = Curl::here_or_skipped().await?;
        let [id, token] = credentials;
        let address = ([127, 0, 0, 1], port).into();
        Some(Self {
            listeners: vec![
                Listener::curl(&curl, port),
                Listener::event_source(&eventsource, port),
                Listener::socket_io(&socket_io, port, "websocket"),
                Listener::socket_io(&socket_io, port, "polling"),
                Listener::vzaps(&python, port, [CLIENT, SECRET, id, token]),
                Listener::ours(port),
            ],
            sockets: DOORS
                .map(|door| (door.0, Subscriber::to(address, door)))
                .into(),
        })
    }

    /// Who they are, whether their protocol may repeat an event, and what they have.
    fn numbers(&self) -> Vec<(&'static str, bool, Vec<i64>)> {
        let listeners = self.listeners.iter();
        let listeners = listeners.map(|one| (one.name, one.repeats, one.numbers()));
        let sockets = self.sockets.iter();
        let sockets = sockets.map(|(door, one)| (*door, false, one.numbers()));
        listeners.chain(sockets).collect()
    }

    /// Waits until all have been given something.
    async fn hear_something(&self) {
        self.until_all("have been given an event", |numbers| !numbers.is_empty())
            .await;
    }

    /// Waits until this holds of all that they have.
    async fn until_all(&self, what: &str, holds: impl Fn(&[i64]) -> bool) {
        let lacking = || {
            let everybody = self.numbers().into_iter();
            let lacking = everybody.filter(|(.., numbers)| !holds(numbers));
            lacking.map(|(name, ..)| name).collect::<Vec<_>>()
        };
        let waiting = until(what, 2 * PATIENCE, async || lacking().is_empty());
        if tokio::time::timeout(PATIENCE, waiting).await.is_err() {
            for listener in &self.listeners {
                println!("{}: {:?}", listener.name, listener.said().last());
            }
            panic!("not all {what}: {:?}", lacking());
        }
    }

    /// Each has every event since its first one, in this order, and none but those; each once, but where repetitions are allowed.
    /// What the SDK of `VZaps` had not acknowledged may come before what is new.
    fn assert_complete(&self, stored: &[i64], may_repeat: bool) {
        for (name, repeats, numbers) in self.numbers() {
            let expected = stored.iter().skip_while(|number| **number != numbers[0]);
            let expected: Vec<i64> = expected.copied().collect();
            let mut seen = BTreeSet::new();
            let mut first = numbers.clone();
            first.retain(|number| seen.insert(*number));
            if repeats {
                first.sort_unstable();
            }
            let wrong = first
                .iter()
                .zip(&expected)
                .find(|(one, other)| one != other);
            assert_eq!((wrong, first.len()), (None, expected.len()), "{name}");
            let again = numbers.len() - first.len();
            assert!(again == 0 || repeats || may_repeat, "{name}: {again} again");
            println!("{name}: {} events, {again} again", expected.len());
        }
    }
}

/// The numbers of all events there are, once everybody has been given the last one.
async fn settled(app: &TestApp, everybody: &Everybody, number: &mut i64) -> Vec<i64> {
    *number += 1;
    let last = *number;
    app.emit("Message", &format!("{{\"n\":{last}}}")).await;
    everybody
        .until_all("are given the last one", |numbers| numbers.contains(&last))
        .await;
    app.value("select array_agg((data ->> 'n')::bigint order by id) from postrider.events where type = 'Message'")
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn everybodys_client_is_given_the_same_events_and_none_is_missing_after_everything_was_killed()
 {
    let mut cluster = OwnCluster::start().await;
    let app = TestApp::over(&cluster.database().await).await;
    let credentials = prepare(&app).await;
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let mut process = serve(&app, port).await;
    let Some(everybody) = Everybody::connect(port, &credentials).await else {
        return;
    };
    let mut number = 0;
    emit_during(&app, &mut number, everybody.hear_something()).await;
    for everything in [false, true] {
        emit_during(&app, &mut number, async {
            sleep(Duration::from_millis(300)).await;
            process.signal(Signal::SIGKILL);
            sleep(Duration::from_millis(100)).await;
            if everything {
                cluster.kill_immediately().await;
                cluster.start_again().await;
                // Nobody listens yet, and events are emitted.
                sleep(Duration::from_millis(100)).await;
            }
            process = serve(&app, port).await;
        })
        .await;
        // Everybody comes back while events go on.
        let before = number;
        let back = everybody.until_all("are back", |numbers| {
            numbers.iter().any(|heard| *heard > before)
        });
        emit_during(&app, &mut number, back).await;
        let stored = settled(&app, &everybody, &mut number).await;
        // A crash of Postgres may take back what is still being counted: where nobody is left who knows better, what came
        // within a second or so of it is sent again.
        everybody.assert_complete(&stored, everything);
    }
    drop(everybody);
    drop(process);
    app.pool().close().await;
    cluster.stop().await;
}
