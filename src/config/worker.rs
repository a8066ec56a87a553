//! `[worker]`: how deliveries are made.

use std::time::Duration;

use serde::Deserialize;

use super::check::Check;
use super::fields;

/// Deliveries.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Worker {
    /// In flight in this process.
    pub in_flight_max: u32,
    /// In flight to one endpoint from this process.
    pub in_flight_per_endpoint_max: u32,
    /// Rows leased by one claim.
    pub claim_batch_max: u32,
    /// How long a claimed row is ours.
    #[serde(rename = "lease_s", deserialize_with = "fields::seconds")]
    pub lease: Duration,
    /// How long what is in flight may take to finish at shutdown.
    #[serde(rename = "drain_s", deserialize_with = "fields::seconds")]
    pub drain: Duration,
    /// One attempt, connect and body included.
    #[serde(rename = "timeout_ms", deserialize_with = "fields::milliseconds")]
    pub timeout: Duration,
    /// Of that, connecting.
    #[serde(
        rename = "connect_timeout_ms",
        deserialize_with = "fields::milliseconds"
    )]
    pub connect_timeout: Duration,
    /// What is read of a response.
    pub response_bytes_max: usize,
    /// When an endpoint that only fails is paused; none: never.
    #[serde(
        rename = "auto_disable_days",
        deserialize_with = "fields::days_or_never"
    )]
    pub auto_disable: Option<Duration>,
    /// When to stop trying an endpoint for a while.
    pub breaker: Breaker,
}

/// When to stop trying an endpoint for a while.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Breaker {
    /// Opens after so many failures in a row.
    pub failures_consecutive: u32,
    /// Opens when this share of the window failed.
    pub failures_share: f64,
    /// How many attempts the share is taken of.
    pub attempts_window: u32,
    /// The first wait before a probe.
    #[serde(rename = "probe_s", deserialize_with = "fields::seconds")]
    pub probe: Duration,
    /// The longest wait before a probe.
    #[serde(rename = "probe_max_s", deserialize_with = "fields::seconds")]
    pub probe_max: Duration,
}

impl Worker {
    /// Limits.
    pub(super) fn check(&self, check: &mut Check<'_>) {
        check.range("worker.in_flight_max", self.in_flight_max, 1..=100_000);
        check.range(
            "worker.in_flight_per_endpoint_max",
            self.in_flight_per_endpoint_max,
            1..=self.in_flight_max,
        );
        check.range("worker.claim_batch_max", self.claim_batch_max, 1..=5000);
        check.range("worker.timeout_ms", self.timeout.as_millis(), 1..=60_000);
        check.range(
            "worker.connect_timeout_ms",
            self.connect_timeout.as_millis(),
            1..=60_000,
        );
        check.range(
            "worker.response_bytes_max",
            self.response_bytes_max,
            0..=1024 * 1024,
        );
        check.range("worker.drain_s", self.drain.as_secs_f64(), 0.0..=3600.0);
        check.range("worker.lease_s", self.lease.as_secs_f64(), 1.0..=3600.0);
        // Between the claim and the attempt a row waits for its turn; a lease shorter than this would expire under
        // ordinary load, and every expiry is a second delivery.
        let least = (2 * self.timeout).as_secs_f64();
        let remedy =
            format!("a lease must outlast two attempts (timeout_ms); raise it to {least} or more");
        check.require(self.lease.as_secs_f64() >= least, "worker.lease_s", &remedy);
        self.breaker.check(check);
    }
}

impl Breaker {
    /// Limits.
    fn check(&self, check: &mut Check<'_>) {
        check.range(
            "worker.breaker.failures_consecutive",
            self.failures_consecutive,
            1..=10_000,
        );
        check.range(
            "worker.breaker.failures_share",
            self.failures_share,
            0.01..=1.0,
        );
        check.range(
            "worker.breaker.attempts_window",
            self.attempts_window,
            1..=10_000,
        );
        check.range(
            "worker.breaker.probe_s",
            self.probe.as_secs_f64(),
            0.01..=86_400.0,
        );
        check.range(
            "worker.breaker.probe_max_s",
            self.probe_max.as_secs_f64(),
            self.probe.as_secs_f64()..=86_400.0,
        );
    }
}
