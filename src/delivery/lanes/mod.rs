//! Where to look in the queue's 64 lanes. Pure: windows out, what was found in.
//!
//! Each lane has two cursors, and each kind has claims of its own. The *fresh* one follows what is newly due, so that a delivery
//! is found at once however long the backlog of its lane is; the last moments are always read again, because timestamps are
//! handed out before commit. Where a lane's fresh end brings more than a window may hold, it leaps to the present and leaves the
//! rest to the other. The *sweep* goes through everything that is due, from the oldest on, and starts again at the end: it drains
//! a backlog, and finds what the fresh cursor passed, a late commit, an expired lease, a row given back in place.
//!
//! Between sweeps nothing is read from the start: with a transaction held open somewhere, that would mean wading through all
//! that was delivered since (52,903 buffers a claim instead of 23). Sweeps themselves then start where maintenance has found that
//! nothing pending lies before.

mod lane;

use std::time::Duration;

use tokio::time::Instant;

use crate::db::queue::{Claim, LANES, Position, Reached, Window};

use lane::{BARREN_REST, Lane, Seen};

/// The smallest window.
const WINDOW_MIN: i32 = 8;
/// The largest: about a millisecond of reading.
const WINDOW_MAX: i32 = 512;
/// Every lane is swept at least so often, while anything is looked at.
const SWEEP_EVERY: Duration = Duration::from_secs(1);
/// A sweep may come this much early, so that it goes along with a floor poll of the same period.
const SWEEP_SLACK: Duration = Duration::from_millis(50);
/// Sweeping may take up to one part in so many of the time.
const SWEEP_SHARE: u32 = 10;
/// How far a lane is looked through whose sweep only met targets that are passed over, once it has rested: a million rows of a
/// dead endpoint are passed in half a minute, at 2 % of a core. One such lane at a time: with a hundred dead endpoints in all
/// lanes every claim read 100,000 rows and took 85 ms.
const BARREN_WINDOW: i32 = 2048;

/// So long after something newly due was seen, a backlog goes on in small steps with rests between them: a flooded endpoint may
/// have what is left of the machine, not what others need. With steps of 500 rows every one of them was a burst of 100 ms that
/// the others' deliveries ran into, also with long rests. (2 cores, 1,000 events/s beside a flood: the worst endpoint's p95 was
/// 51 ms with large steps and no rest, 25 ms so.)
const FRESH_LATELY: Duration = Duration::from_millis(100);
/// Such a step.
const ROOM_BESIDE_FRESH: i32 = 64;
/// Such a rest, in durations of the step.
const REST_BESIDE_FRESH: u32 = 3;

/// The cursors of all lanes.
#[derive(Debug)]
pub struct Lanes {
    all: [Lane; LANES],
    /// Where the next round begins, so that no lane is always first.
    turn: usize,
    sweep_every: Duration,
    /// When it was last looked at the fresh ends.
    looked_at: Option<Instant>,
    /// When the next barren lane may be swept on.
    barren_from: Option<Instant>,
    /// When something newly due was last seen.
    fresh_at: Option<Instant>,
    /// When a backlog may be swept on.
    backlog_from: Option<Instant>,
    /// Where sweeps begin, if not at the beginnings.
    floors: Option<[Position; LANES]>,
}

/// Windows for one claim.
#[derive(Debug)]
pub struct Plan {
    /// To be claimed from.
    pub windows: Vec<Window>,
    /// When it was made: what was committed later it may miss.
    made_at: Instant,
}

/// What a claim found.
#[derive(Debug)]
pub struct Looked<'a> {
    /// How far each window was read.
    reached: &'a [Reached],
    /// Deliveries claimed in each lane.
    taken: [u32; LANES],
    /// How long it lasted.
    took: Duration,
}

impl<'a> Looked<'a> {
    /// From the claim itself.
    pub fn of(claim: &'a Claim, took: Duration) -> Self {
        let mut taken = [0; LANES];
        for delivery in &claim.deliveries {
            taken[usize::from(delivery.lane.unsigned_abs()) % LANES] += 1;
        }
        Self {
            reached: &claim.reached,
            taken,
            took,
        }
    }
}

impl Lanes {
    /// At the start: nothing has been looked at.
    pub fn new() -> Self {
        Self {
            all: [Lane::new(); LANES],
            turn: 0,
            sweep_every: SWEEP_EVERY,
            looked_at: None,
            barren_from: None,
            fresh_at: None,
            backlog_from: None,
            floors: None,
        }
    }

    /// Takes in where sweeps are to begin; none for the beginnings.
    pub fn begin_at(&mut self, floors: Option<[Position; LANES]>) {
        self.floors = floors;
    }

    /// When to sweep: a lane is known to have more to bring, or a sweep is owed. It is, to every look at the fresh ends that came
    /// after the last sweep: what rang may have been due long before it was committed. Only when all lanes have been swept since
    /// is it left to the next look.
    pub fn sweep_at(&self, now: Instant) -> Option<Instant> {
        let at = |lane: &Lane| {
            if lane.more {
                Some(self.rest_of(lane).unwrap_or(now))
            } else {
                let swept_at = lane.swept_at?;
                // What was committed late lies before the floors until they are found anew, and nobody rings for that.
                let owed = self.floors.is_some() || self.looked_at > Some(swept_at);
                let rests_until = self.rest_of(lane).unwrap_or(now);
                owed.then(|| (swept_at + self.sweep_every).max(rests_until))
            }
        };
        self.all.iter().filter_map(at).min()
    }

    /// The fresh ends, given room for about `room` deliveries.
    pub fn fresh(&mut self, room: usize, now: Instant) -> Plan {
        self.looked_at = Some(now);
        self.turn = (self.turn + 1) % LANES;
        let mut left = i32::try_from(room).unwrap_or(i32::MAX);
        let mut windows = Vec::with_capacity(LANES);
        for index in self.in_turn() {
            let lane = &self.all[index];
            let rows = if lane.fresh_barren {
                lane.fresh_rows
            } else {
                let rows = lane.fresh_rows.min(left.max(1));
                left -= rows;
                rows
            };
            windows.push(Window {
                lane: lane_number(index),
                after: lane.fresh.unwrap_or(Position::end()),
                rows,
                fresh: true,
            });
        }
        Plan {
            windows,
            made_at: now,
        }
    }

    /// What is to be swept now, given room for about `room` deliveries. Nothing, where it is not time.
    pub fn sweep(&mut self, room: usize, now: Instant) -> Option<Plan> {
        let room = i32::try_from(room).unwrap_or(i32::MAX);
        let room = if self.fresh_came(now) {
            room.min(ROOM_BESIDE_FRESH)
        } else {
            room
        };
        self.turn = (self.turn + 1) % LANES;
        let (barren, sweeping): (Vec<usize>, Vec<usize>) = self
            .in_turn()
            .filter(|index| self.sweep_is_due(*index, now))
            .partition(|index| self.all[*index].barren);
        let rows = match i32::try_from(sweeping.len()) {
            Ok(count @ 1..) => (room / count).clamp(WINDOW_MIN, WINDOW_MAX),
            _ => WINDOW_MAX,
        };
        let most = usize::try_from(room / rows).unwrap_or(0).max(1);
        let sweeps = sweeping.into_iter().take(most).map(|index| (index, rows));
        // The one that has rested longest: by turns alone, some would never have theirs.
        let long_sweep = barren
            .into_iter()
            .min_by_key(|index| self.all[*index].rests_until)
            .map(|index| (index, BARREN_WINDOW));
        if long_sweep.is_some() {
            self.barren_from = Some(now + BARREN_REST);
        }
        let windows: Vec<Window> = sweeps
            .chain(long_sweep)
            .map(|(index, rows)| Window {
                lane: lane_number(index),
                after: self.floors.map_or(self.all[index].sweep, |floors| {
                    self.all[index].sweep.max(floors[index])
                }),
                rows,
                fresh: false,
            })
            .collect();
        (!windows.is_empty()).then_some(Plan {
            windows,
            made_at: now,
        })
    }

    /// What a claim of `plan` found. Answers whether a fresh end has more than was looked at.
    pub fn found(&mut self, plan: &Plan, looked: &Looked<'_>, now: Instant) -> bool {
        let mut ends = vec![None; plan.windows.len()];
        let mut seen = [0; LANES];
        for end in looked.reached {
            if let Some(window) = plan.windows.get(end.window) {
                ends[end.window] = Some(*end);
                seen[index_of(window)] += end.rows;
            }
        }
        if plan.windows.iter().any(|window| window.fresh) {
            if !looked.reached.is_empty() {
                self.fresh_at = Some(now);
            }
        } else if self.fresh_came(now) {
            self.backlog_from = Some(now + looked.took * REST_BESIDE_FRESH);
        }
        let mut more = false;
        for (window, end) in plan.windows.iter().zip(ends) {
            let index = index_of(window);
            let taken = looked.taken[index];
            let lane = &mut self.all[index];
            let brought = taken > 0;
            let of_lane = Seen {
                window,
                end,
                brought,
            };
            if window.fresh {
                more |= lane.fresh_end(of_lane, now);
            } else {
                self.sweep_every = SWEEP_EVERY.max(looked.took * SWEEP_SHARE);
                lane.sweep_end(of_lane, plan.made_at, now);
            }
            if seen[index] > i64::from(taken) {
                lane.passed_over(taken, now);
            }
        }
        more
    }

    /// Whether a lane is to be swept in this claim.
    fn sweep_is_due(&self, index: usize, now: Instant) -> bool {
        let lane = &self.all[index];
        if self.rest_of(lane).is_some_and(|until| now < until) {
            return false;
        }
        lane.more
            || lane
                .swept_at
                .is_none_or(|at| now.duration_since(at) + SWEEP_SLACK >= self.sweep_every)
    }

    /// Until when a lane is left alone, if it is: barren ones also wait for one another, and all for what is newly due.
    fn rest_of(&self, lane: &Lane) -> Option<Instant> {
        let others = self.barren_from.filter(|_| lane.barren);
        lane.rests_until.max(others).max(self.backlog_from)
    }

    /// Whether something newly due has just been seen.
    fn fresh_came(&self, now: Instant) -> bool {
        self.fresh_at
            .is_some_and(|at| now.duration_since(at) < FRESH_LATELY)
    }

    /// All lanes, beginning with the one whose turn it is.
    fn in_turn(&self) -> impl Iterator<Item = usize> + use<> {
        let turn = self.turn;
        (0..LANES).map(move |offset| (turn + offset) % LANES)
    }
}

impl Default for Lanes {
    fn default() -> Self {
        Self::new()
    }
}

/// A lane as the table numbers it.
fn lane_number(index: usize) -> i16 {
    i16::try_from(index).unwrap_or(0)
}

/// The lane of a window.
fn index_of(window: &Window) -> usize {
    usize::from(window.lane.unsigned_abs()) % LANES
}

#[cfg(test)]
mod tests;
