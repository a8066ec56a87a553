//! One lane: how far each of its two cursors has come.

use std::time::Duration;

use tokio::time::Instant;

use super::{WINDOW_MAX, WINDOW_MIN};
use crate::db::queue::{Position, Reached, Window};

/// How long a lane rests whose sweep only met targets that are passed over.
pub(super) const BARREN_REST: Duration = Duration::from_millis(50);
/// How long a lane rests of which only a part was taken: its targets will want more.
const CROWDED_REST: Duration = Duration::from_millis(10);

/// One lane's cursors.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lane {
    /// None stands for the present.
    pub(super) fresh: Option<Position>,
    pub(super) fresh_rows: i32,
    /// Whether all that was seen there last was passed over: then looking further takes no room.
    pub(super) fresh_barren: bool,
    pub(super) sweep: Position,
    /// Whether the sweep has more to bring.
    pub(super) more: bool,
    /// When the last sweep that came to the end was sent out: what came later it may not have seen.
    pub(super) swept_at: Option<Instant>,
    /// When something was last left to the sweep, and whether it was only what is passed over.
    pub(super) left: Option<(Instant, bool)>,
    pub(super) rests_until: Option<Instant>,
    /// Whether the last sweep only met what is passed over.
    pub(super) barren: bool,
}

/// What a claim saw of a lane.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen<'a> {
    /// Where it looked.
    pub(super) window: &'a Window,
    /// How far it came, if there was anything.
    pub(super) end: Option<Reached>,
    /// Whether it took anything.
    pub(super) brought: bool,
}

impl Lane {
    /// At the start: the present for what is fresh, the oldest row for the sweep.
    pub(super) fn new() -> Self {
        Self {
            fresh: None,
            fresh_rows: WINDOW_MIN,
            fresh_barren: false,
            sweep: Position::start(),
            more: true,
            swept_at: None,
            left: None,
            rests_until: None,
            barren: false,
        }
    }

    /// Moves the fresh cursor. Answers whether there is more where it stopped.
    pub(super) fn fresh_end(&mut self, seen: Seen<'_>, now: Instant) -> bool {
        let Some(end) = seen.end else {
            self.fresh_rows = WINDOW_MIN;
            self.fresh_barren = false;
            return false;
        };
        self.fresh_barren = !seen.brought;
        if end.rows < i64::from(seen.window.rows) {
            self.fresh = Some(end.end);
            self.fresh_rows = (self.fresh_rows / 2).max(WINDOW_MIN);
            return false;
        }
        if seen.window.rows >= WINDOW_MAX {
            self.fresh = None;
            self.more = true;
            self.left = Some((now, false));
            return false;
        }
        self.fresh = Some(end.end);
        self.fresh_rows = (seen.window.rows * 2).clamp(WINDOW_MIN, WINDOW_MAX);
        true
    }

    /// Moves the sweep on, or back to the start when it has seen everything there was when it was sent out.
    pub(super) fn sweep_end(&mut self, seen: Seen<'_>, sent_at: Instant, now: Instant) {
        let rows = i64::from(seen.window.rows);
        if let Some(end) = seen.end.filter(|end| end.rows >= rows) {
            self.sweep = end.end;
            self.more = true;
            self.barren = !seen.brought;
            self.rests_until = (!seen.brought).then(|| now + BARREN_REST);
        } else {
            self.sweep = Position::start();
            self.swept_at = Some(sent_at);
            // It may not have seen what was left to it while it was out.
            let left = self.left.filter(|(at, _)| *at > sent_at);
            self.more = left.is_some();
            self.barren = left.is_some_and(|(_, barren)| barren);
            self.rests_until = left.map(|(_, barren)| now + rest(barren));
        }
    }

    /// Notes that something was seen and not taken: a target had enough for now, or another claim was at it. It is wanted soon,
    /// not at the next sweep.
    pub(super) fn passed_over(&mut self, taken: u32, now: Instant) {
        let barren = taken == 0;
        self.left = Some((now, barren));
        if !self.more {
            self.more = true;
            self.barren = barren;
            self.rests_until = Some(now + rest(barren));
        }
    }
}

/// How long a lane is left alone of which not all was taken.
fn rest(barren: bool) -> Duration {
    if barren { BARREN_REST } else { CROWDED_REST }
}
