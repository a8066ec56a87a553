//! The demo's first lines: what runs, and where to look at it.

use anyhow::Context;

use super::place::Place;
use super::report::Look;
use super::story::Story;
use crate::app::App;
use crate::db::embedded::Cluster;

/// Says what has been started.
pub(super) fn greet(
    story: &mut Story,
    app: &App,
    cluster: &Cluster,
    place: &Place,
) -> anyhow::Result<()> {
    let report = &mut story.report;
    let title = report.looking(
        Look::Bold,
        concat!(
            "Postrider ",
            env!("CARGO_PKG_VERSION"),
            ": from a commit in Postgres to a delivered webhook"
        ),
    );
    report.line(&title)?;
    let ignored = if std::env::var_os("DATABASE_URL").is_some() {
        "; DATABASE_URL is left alone"
    } else {
        ""
    };
    report.line(&format!(
        "  postgres   PostgreSQL {}, private, flushing to disk, in {}{ignored}",
        cluster.major(),
        place.path().display()
    ))?;
    report.line(&format!("  psql       {}", cluster.psql_command()))?;
    report.line(&format!("  metrics    http://{}/metrics", app.http_address))?;
    report
        .line(&format!(
            "  receiver   http://{}, a real HTTP server; for this demo alone, egress to 127.0.0.0/8 is allowed",
            story.receiver.address
        ))
        .context("writing to standard output")
}
