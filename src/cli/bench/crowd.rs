//! Many writers, and many listeners: the hidden subcommands that `bench capture` starts.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use clap::Args;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::capture::Arm;
use crate::cli::Globals;
use crate::db::bench::{Application, Following, payload};
use crate::db::doorbell::{Doorbell, DoorbellSettings, Found};
use crate::db::{Database, Purpose};
use crate::metrics::Metrics;
use crate::source::Source;

/// The size of each row.
const ROW_BYTES: usize = 512;
/// Rows that each connection inserts before the clock starts, as one that has been there for a while: Postgres plans the
/// statements of a function anew in its first five runs.
const ROWS_BEFORE: usize = 8;

/// Arguments of the hidden `bench write`.
#[derive(Debug, Args)]
pub(super) struct Writing {
    #[arg(long)]
    connections: u32,
    #[arg(long)]
    seconds: u64,
    #[arg(long, value_enum)]
    arm: Arm,
}

/// Arguments of the hidden `bench listen`.
#[derive(Debug, Args)]
pub(super) struct Listening {
    #[arg(long)]
    listeners: u32,
    #[arg(long)]
    polling: bool,
}

/// Inserts as fast as commits allow; prints how many, and in how many seconds.
pub(super) async fn write(globals: &Globals, arguments: &Writing) -> anyhow::Result<ExitCode> {
    let source = Source::open(&globals.start()?).await?;
    let following = match arguments.arm {
        Arm::Plain => Following::Plain,
        Arm::Followed | Arm::Polled | Arm::Rung | Arm::Delivered => Following::Captured,
        Arm::Bare => Following::ByHand,
        Arm::Looked => Following::Looked,
    };
    let options = match arguments.arm {
        Arm::Polled => source
            .route
            .options
            .clone()
            .options([("postrider.wake", "off")]),
        Arm::Plain | Arm::Followed | Arm::Rung | Arm::Delivered | Arm::Bare | Arm::Looked => {
            source.route.options.clone()
        }
    };
    let text: Arc<str> = payload(0, ROW_BYTES).into();
    let commits = Arc::new(AtomicU64::new(0));
    let mut applications = Vec::new();
    for _ in 0..arguments.connections {
        let mut application = Application::connect(&options).await?;
        for _ in 0..ROWS_BEFORE {
            application.insert(following, &text).await?;
        }
        applications.push(application);
    }
    let start = Instant::now();
    let end = start + Duration::from_secs(arguments.seconds);
    let mut writing = JoinSet::new();
    for mut application in applications {
        let (text, commits) = (text.clone(), commits.clone());
        writing.spawn(async move {
            while Instant::now() < end {
                application.insert(following, &text).await?;
                commits.fetch_add(1, Ordering::Relaxed);
            }
            anyhow::Ok(())
        });
    }
    while let Some(ended) = writing.join_next().await {
        ended??;
    }
    let commits = commits.load(Ordering::Relaxed);
    super::say(&format!("{commits} {}", start.elapsed().as_secs_f64())).await?;
    Ok(ExitCode::SUCCESS)
}

/// Follows the events with so many listeners, each with a bell of its own as a process has one, until killed.
pub(super) async fn listen(globals: &Globals, arguments: &Listening) -> anyhow::Result<ExitCode> {
    let source = Source::open(&globals.start()?).await?;
    let (metrics, _) = Metrics::new();
    let metrics = Arc::new(metrics);
    let mut listening = JoinSet::new();
    for _ in 0..arguments.listeners {
        let settings = DoorbellSettings {
            polling_only: arguments.polling,
            ..DoorbellSettings::default()
        };
        let bell = Doorbell::new(source.route.options.clone(), settings, metrics.clone());
        let mut listener = bell.subscribe();
        let database = Database::open(source.route.options.clone(), Purpose::Worker, 1);
        listening.spawn(async move {
            bell.run(CancellationToken::new()).await;
            anyhow::Ok(())
        });
        listening.spawn(async move {
            let mut last = 0;
            loop {
                listener.turn().await;
                let (events, end) = database.bench_follow(last).await?;
                last = end;
                listener.found(match events {
                    0 => Found::Nothing,
                    1000.. => Found::More,
                    _ => Found::Something,
                });
            }
        });
    }
    // Long enough for each to connect; what they do meanwhile, they do in the run as well.
    tokio::time::sleep(Duration::from_millis(500)).await;
    super::say("listening").await?;
    while let Some(ended) = listening.join_next().await {
        ended??;
    }
    Ok(ExitCode::SUCCESS)
}
