//! `postrider doctor`: looks at a live deployment and says what is wrong, and what to do about it.

mod finding;
mod hazards;
mod schema;
mod secrets;
mod server;

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::Args;
use time::OffsetDateTime;

use super::Globals;
use super::output::Format;
use crate::config::Config;
use crate::crypto::Keyring;
use crate::db::doctor::Server;
use crate::db::{Database, doorbell, migrate};
use crate::source::Source;
use finding::{Finding, Level, judge};

/// Arguments of `doctor`.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit status: 0 when all is well or only noted, 1 when something failed.

Examples:
  postrider doctor
  postrider doctor --strict --json | jq '.[] | select(.level != \"ok\")'")]
pub struct Arguments {
    /// Warnings fail too
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    format: Format,
}

/// Looks, and says.
pub(super) async fn run(globals: &Globals, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let config = globals.start()?;
    let source = Source::existing(&config).await?;
    let findings = Box::pin(examine(&config, &source)).await;
    source.close().await;
    arguments
        .format
        .print(&findings, |findings| page(findings))?;
    let tolerated = if arguments.strict {
        Level::Note
    } else {
        Level::Warning
    };
    let fine = findings.iter().all(|finding| finding.level <= tolerated);
    Ok(if fine {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Everything, in an order in which the first trouble explains the rest.
async fn examine(config: &Config, source: &Source) -> Vec<Finding> {
    let database = source.database();
    // Past the pool, which tries for long before it says why it cannot.
    if let Err(error) = migrate::reach(&source.route.options).await {
        return server::no_connection(&crate::causes::Causes(&error).to_string());
    }
    let mut findings = server::line(source.route.line);
    let server = database.doctor_server().await;
    let known = server.as_ref().ok().cloned();
    findings.extend(judge("server", server, |facts| {
        server::server(config, &facts)
    }));
    findings.extend(match database.doctor_rights().await {
        Err(error) if error.is_forbidden() => vec![server::no_rights(&error)],
        rights => judge("rights", rights, |facts| server::rights(&facts)),
    });
    let before = OffsetDateTime::now_utc();
    let there = database.now().await;
    findings.extend(judge("clock", there, |there| {
        server::clock(before, there, OffsetDateTime::now_utc())
    }));
    let line = Box::pin(doorbell::probe_line(&source.route.options)).await;
    findings.extend(server::doorbell(config.doorbell.enabled, line));
    let progress = migrate::progress(&source.route.options).await;
    let has_schema = match &progress {
        Ok(progress) => progress.applied > 0,
        Err(error) => error.is_forbidden(),
    };
    findings.extend(judge("migrations", progress, |progress| {
        schema::migrations(&progress)
    }));
    if has_schema {
        findings.extend(of_the_schema(config, &database, known.as_ref()).await);
    }
    let sees_all = known.is_some_and(|server| server.sees_all_sessions);
    findings.extend(judge(
        "transactions",
        database.doctor_transactions().await,
        |facts| hazards::transactions(sees_all, &facts),
    ));
    findings.extend(judge(
        "replication slots",
        database.doctor_slots().await,
        |facts| hazards::slots(&facts),
    ));
    findings.extend(schema::public_url(config));
    database.close().await;
    findings
}

/// What can only be looked at where we are installed.
async fn of_the_schema(
    config: &Config,
    database: &Database,
    server: Option<&Server>,
) -> Vec<Finding> {
    let installed = database.doctor_schema().await;
    let present = database.doctor_presence().await;
    let keyring = Keyring::new(config.encryption.key.as_ref(), &config.encryption.old_keys)
        .expect("the configuration was checked, and its keys with it");
    let stored = database.doctor_secrets().await;
    let tables = database.doctor_tables().await;
    let captures = database.doctor_captures().await;
    [
        judge("installation", installed, |facts| schema::schema(&facts)),
        judge("captures", captures, |facts| schema::captures(&facts)),
        judge("workers", present, |facts| schema::presence(&facts)),
        judge("encryption", stored, |facts| {
            secrets::secrets(&keyring, &facts)
        }),
        judge("autovacuum", tables, |facts| {
            hazards::vacuum(server, &facts)
        }),
    ]
    .concat()
}

/// For people.
fn page(findings: &[Finding]) -> String {
    let mut page = String::new();
    for finding in findings {
        let word = match finding.level {
            Level::Ok => "ok",
            Level::Note => "note",
            Level::Warning => "warning",
            Level::Failure => "FAILURE",
        };
        // Writing to a String cannot fail.
        let _ = writeln!(page, "{word:<8} {}: {}", finding.check, finding.message);
        if let Some(remedy) = &finding.remedy {
            let _ = writeln!(page, "         -> {remedy}");
        }
    }
    let count = |level| {
        findings
            .iter()
            .filter(|finding| finding.level == level)
            .count()
    };
    let _ = write!(
        page,
        "\nfailures: {}, warnings: {}",
        count(Level::Failure),
        count(Level::Warning)
    );
    page
}
