//! What time to write on an attempt.

use std::sync::atomic::{AtomicI64, Ordering};

use time::{Duration, OffsetDateTime};

/// The wall clock, corrected by the database's.
///
/// Receivers refuse signatures whose timestamp is minutes off (Standard Webhooks: five), so a worker on a machine with a wrong
/// clock would fail all its deliveries. Whoever talks to the database tells it what time it is there; until then, and without
/// anyone telling, it is the machine's own.
#[derive(Debug, Default)]
pub struct WallClock {
    behind_ms: AtomicI64,
}

impl WallClock {
    /// The time now.
    pub fn now(&self) -> OffsetDateTime {
        machine() + Duration::milliseconds(self.behind_ms.load(Ordering::Relaxed))
    }

    /// Sets it by the database's time, just read. Good to a network round trip, where seconds are asked for.
    pub fn set(&self, database_now: OffsetDateTime) {
        let behind = (database_now - machine()).whole_milliseconds();
        let behind = i64::try_from(behind).unwrap_or_default();
        self.behind_ms.store(behind, Ordering::Relaxed);
    }
}

/// The one place in the channels that asks the machine.
fn machine() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_off_by_ten_minutes_is_set_right_by_the_databases() {
        let clock = WallClock::default();
        let database_now = machine() + Duration::minutes(10);
        clock.set(database_now);
        let off = clock.now() - database_now;
        assert!(
            off >= Duration::milliseconds(-1) && off < Duration::minutes(1),
            "{off}"
        );
    }
}
