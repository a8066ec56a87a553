//! `[realtime]`: the sidecar's sockets.

use std::time::Duration;

use serde::Deserialize;

use super::check::Check;
use super::fields;

/// The sidecar's sockets.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Realtime {
    /// From ping to ping.
    #[serde(rename = "ping_ms", deserialize_with = "fields::milliseconds")]
    pub ping: Duration,
    /// Without a sign of life for so long, a peer is dead.
    #[serde(rename = "dead_ms", deserialize_with = "fields::milliseconds")]
    pub dead: Duration,
    /// Events a connection may be behind.
    pub behind_max: u64,
    /// What the latest events may take in memory.
    pub ring_bytes_max: usize,
    /// How many of them are kept.
    pub ring_events_max: usize,
    /// Connections in all.
    pub connections_max: usize,
    /// Connections to one instance.
    pub connections_per_instance_max: usize,
    /// Connections by one token.
    pub connections_per_token_max: usize,
    /// Connections let in within a second; 0: as many as come.
    pub accepts_per_second_max: u32,
    /// Events are compressed, once for all, for clients that take them so.
    pub compression: bool,
    /// The longest message of a client.
    pub inbound_bytes_max: usize,
    /// How long the log is still followed when nobody is connected any more.
    #[serde(rename = "linger_s", deserialize_with = "fields::seconds")]
    pub linger: Duration,
    /// Origins of web pages that may connect.
    pub origins: Vec<String>,
}

impl Realtime {
    /// Limits.
    pub(super) fn check(&self, check: &mut Check<'_>) {
        check.range("realtime.ping_ms", self.ping.as_millis(), 100..=3_600_000);
        let ping_ms = self.ping.as_millis();
        check.range(
            "realtime.dead_ms",
            self.dead.as_millis(),
            ping_ms..=7_200_000,
        );
        check.range("realtime.behind_max", self.behind_max, 1..=1_000_000);
        check.range(
            "realtime.accepts_per_second_max",
            self.accepts_per_second_max,
            0..=1_000_000,
        );
        check.range(
            "realtime.ring_bytes_max",
            self.ring_bytes_max,
            1 << 20..=1 << 36,
        );
        check.range(
            "realtime.ring_events_max",
            self.ring_events_max,
            512..=10_000_000,
        );
        check.range(
            "realtime.inbound_bytes_max",
            self.inbound_bytes_max,
            1024..=16 << 20,
        );
        check.range("realtime.linger_s", self.linger.as_secs(), 0..=86_400);
    }
}
