//! The pulse: one task pings everybody and finds out who is gone, so that no connection needs a timer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::close::Close;
use super::connection::{Connection, Outlet};
use super::flavor::Flavor;
use super::follow::beat;
use super::hub::Hub;
use super::protocol;
use super::wire::frame::{PING, frame};

/// When to ping, and when to give up.
#[derive(Debug, Clone, Copy)]
pub struct Heartbeat {
    /// From ping to ping.
    pub ping: Duration,
    /// Without a sign of life: dead.
    pub dead: Duration,
}

/// The ticks so far.
#[derive(Debug, Default)]
pub(super) struct Clock(AtomicU32);

impl Clock {
    /// Now.
    pub(super) fn now(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Beats until the end.
pub(super) async fn run(
    hub: Arc<Hub>,
    clock: Arc<Clock>,
    heartbeat: Heartbeat,
    end: CancellationToken,
) {
    let mut beat = beat(heartbeat.ping);
    let ticks = |time: Duration| {
        let ticks = time.as_millis() / beat.period().as_millis().max(1);
        u32::try_from(ticks).unwrap_or(u32::MAX).max(1)
    };
    let (ping, dead) = (ticks(heartbeat.ping), ticks(heartbeat.dead));
    loop {
        tokio::select! {
            _ = beat.tick() => {}
            () = end.cancelled() => return,
        }
        let now = clock.0.fetch_add(1, Ordering::Relaxed) + 1;
        hub.show_delay();
        for (count, connection) in hub.everybody().into_iter().enumerate() {
            attend(&hub, &connection, now, (ping, dead));
            if count % 256 == 255 {
                tokio::task::yield_now().await;
            }
        }
    }
}

/// One connection's turn. The phases of their pings are spread by their numbers.
fn attend(hub: &Hub, connection: &Connection, now: u32, (ping, dead): (u32, u32)) {
    let heard = connection.heard.load(Ordering::Relaxed);
    let pulled = !matches!(connection.outlet, Outlet::Socket(_));
    if !pulled && now.saturating_sub(heard) > dead {
        // It will hardly answer a close frame.
        connection.close(Close::Silent);
        connection.over();
        connection.wake.notify_one();
        return;
    }
    if pulled && connection.lags() && now.saturating_sub(heard) > 2 {
        connection.close(Close::Slow);
        return;
    }
    let phase = u32::try_from(connection.id % u64::from(ping)).unwrap_or(0);
    if now % ping != phase {
        return;
    }
    match connection.flavor {
        Flavor::Sse => connection.send(":\n\n".into()),
        // What they feed has a pulse of its own.
        _ if pulled => {}
        _ => connection.send(frame(PING, b"")),
    }
    // An idle client of our own protocols learns where it is, so that it does not come back with an old cursor.
    let Some((sequence, cursor)) = hub.boundary() else {
        return;
    };
    match connection.flavor {
        Flavor::Sse => {
            connection.send_position(sequence, || Some(format!("id: {cursor}\n\n").into()));
        }
        flavor => {
            connection.send_position(sequence, || flavor.position(&protocol::idle(&cursor)));
        }
    }
}
