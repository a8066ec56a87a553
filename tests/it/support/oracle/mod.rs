//! What must be true after any fault, said in the same few lines by every test of one.
//!
//! ```ignore
//! let held = app.held().await;      // when the fault struck
//! app.oracle()
//!     .healthy(&shop, &events)
//!     .may_come_again(&held)
//!     .dead_letters("event_type = 'order.bomb'")
//!     .judge(workers)
//!     .await;
//! ```
//!
//! Every event for a healthy receiver was seen by it, and so was everything that the queue calls delivered; nothing else was. `failed`
//! is what the script demands, row by row, and nothing is pending. What came more than once came no oftener than faults
//! struck while it was held, and attempts at it are logged as failed.

mod evidence;

use std::collections::HashMap;
use std::time::Duration;

use sqlx::{AssertSqlSafe, PgExecutor};

use self::evidence::Evidence;
use super::app::TestApp;
use super::endpoint::Endpoint;
use super::worker::Process;

/// How long the rest may take, once the faults are over. Breakers and leases of dead workers are waited for.
const REST: Duration = Duration::from_mins(2);

/// A delivery as its receiver knows it: the endpoint, and the `webhook-id` it is sent under.
pub(crate) type Delivery = (i64, String);

/// The deliveries for which a condition holds, by any connection: a test may hold a lock, or look at a standby.
pub(crate) async fn deliveries(by: impl PgExecutor<'_>, condition: &str) -> Vec<Delivery> {
    sqlx::query_as(AssertSqlSafe(format!(
        "select coalesce(endpoint_id, 0), coalesce(postrider.event_id(event_id, event_nonce), 'row-' || id)
         from postrider.webhook_queue where {condition}"
    )))
    .fetch_all(by)
    .await
    .unwrap()
}

/// What a test's script demands and explains.
pub(crate) struct Oracle<'a> {
    app: &'a TestApp,
    healthy: Vec<(&'a Endpoint, &'a [String])>,
    again: HashMap<&'a Delivery, usize>,
    dead_letters: &'a str,
}

impl<'a> Oracle<'a> {
    /// Of a script without a healthy receiver, a dead letter or a repetition.
    pub(super) fn new(app: &'a TestApp) -> Self {
        Self {
            app,
            healthy: Vec::new(),
            again: HashMap::new(),
            dead_letters: "false",
        }
    }

    /// This endpoint's receiver is to have seen these events, and whatever else the queue has for it.
    pub(crate) fn healthy(mut self, endpoint: &'a Endpoint, events: &'a [String]) -> Self {
        self.healthy.push((endpoint, events));
        self
    }

    /// A fault may have made each of these come once more. Those that several faults struck are given several times.
    pub(crate) fn may_come_again(mut self, struck: &'a [Delivery]) -> Self {
        for delivery in struck {
            *self.again.entry(delivery).or_default() += 1;
        }
        self
    }

    /// The rows that are to have failed: those of which this is true, all of them and no others.
    pub(crate) fn dead_letters(mut self, condition: &'a str) -> Self {
        self.dead_letters = condition;
        self
    }

    /// Waits until nothing is pending, stops the workers in order, and judges. Answers with how many requests a fault explains.
    pub(crate) async fn judge(self, workers: impl IntoIterator<Item = Process>) -> usize {
        self.app.drained_within(REST).await;
        for worker in workers {
            worker.stop().await;
        }
        self.app.assert_consistent().await;
        let failed = self.app.deliveries("status = 'failed' order by id").await;
        let demanded = format!("({}) order by id", self.dead_letters);
        assert_eq!(failed, self.app.deliveries(&demanded).await, "dead letters");
        let mut repeated = 0;
        for (endpoint, events) in &self.healthy {
            repeated += self.weigh(endpoint, events).await;
        }
        repeated
    }

    /// Judges what one receiver saw.
    async fn weigh(&self, endpoint: &Endpoint, events: &[String]) -> usize {
        let rows = sqlx::query_as(
            "select coalesce(postrider.event_id(queue.event_id, queue.event_nonce), 'row-' || queue.id) as id
               , queue.status = 'delivered' as delivered
               , count(attempt.delivery_id) filter (where attempt.outcome <> 'delivered') as failures
             from postrider.webhook_queue queue left join postrider.attempts attempt on attempt.delivery_id = queue.id
             where queue.endpoint_id = $1 group by queue.id",
        );
        let struck = self.again.iter().filter(|((of, _), _)| *of == endpoint.id);
        let evidence = Evidence {
            requests: endpoint.receiver.ids(),
            events: events.to_vec(),
            rows: rows
                .bind(endpoint.id)
                .fetch_all(self.app.pool())
                .await
                .unwrap(),
            struck: struck
                .map(|((_, id), times)| (id.clone(), *times))
                .collect(),
        };
        let repeated = evidence.weigh().unwrap_or_else(|what| panic!("{what}"));
        println!(
            "{} requests for {} rows: faults struck {} of them and explain {repeated}; {} attempts failed",
            evidence.requests.len(),
            evidence.rows.len(),
            evidence.struck.len(),
            evidence.rows.iter().map(|row| row.failures).sum::<i64>(),
        );
        repeated
    }
}
