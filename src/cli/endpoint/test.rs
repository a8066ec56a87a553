//! `postrider endpoint test`: one delivery to one endpoint, by the workers, as a real one.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use clap::Args;
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::super::output::Format;
use super::super::session::Session;
use super::Which;
use crate::db::administration::{AttemptLine, TestResult};

/// How often it is looked what came of it.
const LOOK: Duration = Duration::from_millis(50);

/// `endpoint test`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    which: Which,
    /// How long to wait for a worker and the endpoint, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 15)]
    wait_s: u32,
    #[command(flatten)]
    format: Format,
}

impl Arguments {
    /// Sends it, and fails where the endpoint does.
    pub(super) async fn run(&self, session: &Session) -> anyhow::Result<ExitCode> {
        let endpoint = self.which.line(session).await?;
        if endpoint.state != "enabled" {
            bail!(
                "endpoint {} is {}: its deliveries are held\nhint: postrider endpoint enable {}",
                endpoint.id,
                endpoint.state,
                endpoint.id
            );
        }
        let payload = json!({ "message": "a test from Postrider; nothing happened" }).to_string();
        let delivery = session.database.queue_test(endpoint.id, &payload).await?;
        let attempt = self.wait_for(session, delivery).await?;
        session.database.remove_test(delivery).await?;
        let Some(attempt) = attempt else {
            bail!(
                "nobody attempted it within {} s\nhint: is a worker running (`postrider serve`)? `postrider doctor` looks closer. An endpoint that has failed \
                 is left alone for a while: `postrider endpoint enable {}` has it tried at once",
                self.wait_s,
                endpoint.id
            );
        };
        let delivered = attempt.outcome == "delivered";
        self.format.print(&attempt, |attempt| {
            let status = attempt
                .status
                .map(|status| format!(", HTTP {status}"))
                .unwrap_or_default();
            let detail = attempt.detail.as_deref().filter(|_| !delivered);
            let detail = detail
                .map(|detail| format!(": {detail}"))
                .unwrap_or_default();
            let word = if delivered {
                "delivered"
            } else {
                "not delivered"
            };
            format!("{word} in {} ms{status}{detail}", attempt.duration_ms)
        })?;
        Ok(if delivered {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }

    /// The attempt, once it was made.
    async fn wait_for(
        &self,
        session: &Session,
        delivery: i64,
    ) -> anyhow::Result<Option<AttemptLine>> {
        let deadline = Instant::now() + Duration::from_secs(self.wait_s.into());
        loop {
            if let TestResult::Attempted(attempt) = session.database.test_result(delivery).await? {
                return Ok(Some(attempt));
            }
            if Instant::now() >= deadline {
                return Ok(None);
            }
            sleep(LOOK).await;
        }
    }
}
