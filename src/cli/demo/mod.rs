//! `postrider demo`: what Postrider does, shown by doing it.
//!
//! A private Postgres that is new at each run, a worker as in `serve`, and a real HTTP receiver. [`story`] commits events
//! by every way there is and shows what became of them; every figure is read from the queue or was measured by the
//! receiver. In the end [`compare`] holds what was committed against what the receiver saw, which is the exit status.

mod act;
mod compare;
mod fixtures;
mod mail;
mod place;
mod receiver;
mod report;
mod serving;
mod story;
mod verdict;
mod welcome;

use std::net::{SocketAddr, TcpListener};
use std::process::ExitCode;

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use tokio::sync::oneshot;

use self::place::Place;
use self::receiver::Receiver;
use self::report::Report;
use self::story::Story;
use super::Globals;
use crate::app::App;
use crate::config::Config;
use crate::db::demo::Stage;
use crate::db::embedded::{Cluster, Options};
use crate::lifecycle::{Ending, Tasks};
use crate::roles::{Role, Roles};

/// Arguments of `demo`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// End after the story, with status 1 if the receiver did not see exactly what was committed
    #[arg(long)]
    once: bool,
}

/// Of a user's environment the demo heeds only what cannot lead it to anything of theirs.
const VARIABLES: [&str; 6] = [
    "RUST_LOG",
    "POSTRIDER_PG_BIN",
    "POSTRIDER_HTTP__LISTEN",
    "POSTRIDER_HTTP_LISTEN",
    "POSTRIDER_LOG__FORMAT",
    "POSTRIDER_LOG_FORMAT",
];
/// Warnings, and what is installed where there is no Postgres: that takes its time. What is interrupted is rolled back, of
/// which Postgres gives notice.
const LOG_LEVEL: &str = "warn,sqlx::postgres::notice=error,postrider::db::embedded=info,postrider::db::embedded::initdb=warn";

/// Runs the demo; whatever happens, its Postgres is stopped and its data removed.
pub(super) async fn run(globals: &Globals, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let config = settings(globals)?;
    let app = App::start(config).await?;
    let place = Place::create()?;
    let shown = over_postgres(app, &place, arguments).await;
    let removed = place.remove();
    let status = shown?;
    removed?;
    Report::new().line("  Postgres is stopped, its data removed.")?;
    Ok(status)
}

/// The reference, and what a demo needs.
fn settings(globals: &Globals) -> anyhow::Result<Config> {
    let mut config = globals.start_apart(&VARIABLES, LOG_LEVEL)?;
    config.http.listen = free(config.http.listen);
    let loopback = "127.0.0.0/8".parse().context("reading a network")?;
    config.egress.allow.push(loopback);
    config.encryption.key = Some(STANDARD.encode(rand::random::<[u8; 32]>()).into());
    Ok(config)
}

/// This address, or one with a free port where it is taken. What else is wrong with it is told when it is used.
fn free(address: SocketAddr) -> SocketAddr {
    match TcpListener::bind(address) {
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            SocketAddr::new(address.ip(), 0)
        }
        _ => address,
    }
}

/// Starts Postgres, shows the demo, stops Postgres.
async fn over_postgres(app: App, place: &Place, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let options = Options {
        data_dir: Some(place.data_dir()),
        ..Options::configured(&app.config.database.embedded)
    };
    let cluster = Cluster::start(options)
        .await
        .context("starting the demo's Postgres")?;
    let shown = show(app, &cluster, place, arguments).await;
    cluster.stop().await;
    shown
}

/// Starts everything over that Postgres, tells the story, and ends in order.
async fn show(
    app: App,
    cluster: &Cluster,
    place: &Place,
    arguments: &Arguments,
) -> anyhow::Result<ExitCode> {
    let options = cluster.connect_options();
    Roles::new(&app, options.clone()).start(&Role::ALL).await?;
    let mailboxes = fixtures::mailboxes(&mut rand::rng());
    let receiver = Receiver::start(mailboxes, app.tasks()).await?;
    let mut story = Story {
        stage: Stage::open(options),
        receiver,
        report: Report::new(),
    };
    welcome::greet(&mut story, &app, cluster, place)?;
    let tasks = app.tasks().clone();
    let once = arguments.once;
    let (sender, told) = oneshot::channel();
    app.tasks().spawn("demo", async move {
        let outcome = perform(&mut story, once, &tasks).await;
        tasks.shut_down();
        // Received below, unless the process had to be ended by force.
        let _ = sender.send((story, outcome));
    });
    let ending = tokio::select! {
        ending = app.run() => ending,
        () = cluster.exited() => anyhow::bail!("the demo's Postgres has ended"),
    };
    let (mut story, outcome) = told.await.context("the demo was ended by force")?;
    let agreed = match outcome? {
        Told::Whole { agreed } if once => agreed,
        Told::Whole { .. } => serving::farewell(&mut story).await?,
        // What was asked for was the story's end.
        Told::InPart => serving::farewell(&mut story).await? && !once,
    };
    story.stage.close().await;
    Ok(if agreed && ending != Ending::Failed {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// How far the story was told.
enum Told {
    /// To its end.
    Whole {
        /// Whether the receiver saw what was committed.
        agreed: bool,
    },
    /// Until somebody wanted to leave.
    InPart,
}

/// Tells the story and goes on serving, until told to stop.
async fn perform(story: &mut Story, once: bool, tasks: &Tasks) -> anyhow::Result<Told> {
    let whole = async {
        let agreed = story.tell().await?;
        if !once {
            serving::serve(story).await?;
        }
        Ok(Told::Whole { agreed })
    };
    tokio::select! {
        told = whole => told,
        () = tasks.soft().cancelled() => Ok(Told::InPart),
    }
}
