//! Where to look in the queue's 64 lanes. Pure: windows out, what was found in.
//!
//! Each lane has two cursors. The *fresh* one follows what is newly due, so that a delivery is found at once however long
//! the backlog of its lane is; the last moments are always read again, because timestamps are handed out before commit.
//! Where a lane's fresh end brings more than a window may hold, it leaps to the present and leaves the rest to the other.
//! The *sweep* goes through everything that is due, from the oldest on, and starts again at the end: it drains a backlog, and
//! finds what the fresh cursor passed, a late commit, an expired lease, a row given back in place.
//!
//! Nothing is read from the start over and over: with a transaction held open somewhere, that would mean wading through all
//! that was delivered since (52,903 buffers a claim instead of 23).

use std::time::Duration;

use tokio::time::Instant;

use crate::db::queue::{Claim, LANES, Position, Reached, Window};

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
/// How long a lane rests whose sweep only met targets that are passed over, and how much further it looks then: a million rows
/// of a dead endpoint are passed in half a minute, at 2 % of a core. One such lane at a time: with a hundred dead endpoints in
/// all lanes every claim read 100,000 rows, took 85 ms, and everybody waited for it.
const BARREN_REST: Duration = Duration::from_millis(50);
const BARREN_WINDOW: i32 = 2048;
/// While newly due rows come, a claim should take no longer than this: whoever has just committed waits for the one under way
/// and for the next. (Beside a flooded endpoint the others' worst p95 was 46 ms with claims of any length.)
const CLAIM_WITH_FRESH: Duration = Duration::from_millis(5);
/// The least that sweeps may bring then, all together.
const SWEEP_ROOM_MIN: i32 = 32;
/// How long a lane rests of which only a part was taken: its targets will want more.
const CROWDED_REST: Duration = Duration::from_millis(10);

/// One lane's cursors.
#[derive(Debug, Clone, Copy)]
struct Lane {
    /// None stands for the present.
    fresh: Option<Position>,
    fresh_rows: i32,
    /// Whether all that was seen there last was passed over: then looking further takes no room.
    fresh_barren: bool,
    sweep: Position,
    /// Whether the sweep stopped for want of room, not of rows.
    more: bool,
    swept_at: Option<Instant>,
    rests_until: Option<Instant>,
    /// Whether the last sweep only met what is passed over.
    barren: bool,
}

/// The cursors of all lanes.
#[derive(Debug)]
pub struct Lanes {
    all: [Lane; LANES],
    /// Where the next round begins, so that no lane is always first.
    turn: usize,
    sweep_every: Duration,
    /// When it was last looked anywhere.
    looked_at: Option<Instant>,
    /// When the next barren lane may be swept on.
    barren_from: Option<Instant>,
    /// How many rows sweeps may bring in one claim.
    sweep_room: i32,
    brings_fresh: bool,
}

/// Windows for one claim, with the lanes they belong to.
#[derive(Debug)]
pub struct Plan {
    /// To be claimed from.
    pub windows: Vec<Window>,
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
    /// At the start: the present for what is fresh, the oldest row for the sweep.
    pub fn new() -> Self {
        let lane = Lane {
            fresh: None,
            fresh_rows: WINDOW_MIN,
            fresh_barren: false,
            sweep: Position::start(),
            more: true,
            swept_at: None,
            rests_until: None,
            barren: false,
        };
        Self {
            all: [lane; LANES],
            turn: 0,
            sweep_every: SWEEP_EVERY,
            looked_at: None,
            barren_from: None,
            sweep_room: i32::MAX,
            brings_fresh: false,
        }
    }

    /// Whether a sweep is known to have more to bring now.
    pub fn has_more(&self, now: Instant) -> bool {
        self.all
            .iter()
            .filter(|lane| lane.more)
            .any(|lane| self.rest_of(lane).is_none_or(|until| now >= until))
    }

    /// When to look though nobody rings: a resting lane may be swept on, or a sweep is owed. It is, to every look at the fresh
    /// ends that came after the last sweep: what rang may have been due long before it was committed. Only when all lanes have
    /// been swept since is it left to the bell and the floor poll.
    pub fn due_at(&self) -> Option<Instant> {
        let rested = self
            .all
            .iter()
            .filter(|lane| lane.more)
            .filter_map(|lane| self.rest_of(lane))
            .min();
        let owed = self
            .all
            .iter()
            .filter(|lane| !lane.more)
            .filter_map(|lane| lane.swept_at)
            .filter(|swept_at| self.looked_at > Some(*swept_at))
            .min()
            .map(|swept_at| swept_at + self.sweep_every);
        rested.into_iter().chain(owed).min()
    }

    /// Whether something newly due was seen in the last claim.
    pub fn brings_fresh(&self) -> bool {
        self.brings_fresh
    }

    /// Where to look, given room for about `room` deliveries.
    pub fn plan(&mut self, room: usize, now: Instant) -> Plan {
        let room = i32::try_from(room).unwrap_or(i32::MAX);
        self.looked_at = Some(now);
        self.turn = (self.turn + 1) % LANES;
        let mut windows = Vec::with_capacity(2 * LANES);
        let mut left = room;
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
        let (barren, sweeping): (Vec<usize>, Vec<usize>) = self
            .in_turn()
            .filter(|index| self.sweep_is_due(*index, now))
            .partition(|index| self.all[*index].barren);
        let room = room.min(self.sweep_room);
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
        for (index, rows) in sweeps.chain(long_sweep) {
            windows.push(Window {
                lane: lane_number(index),
                after: self.all[index].sweep,
                rows,
                fresh: false,
            });
        }
        Plan { windows }
    }

    /// What a claim of `plan` found.
    pub fn found(&mut self, plan: &Plan, looked: &Looked<'_>, now: Instant) {
        let mut ends = vec![None; plan.windows.len()];
        for end in looked.reached {
            if let Some(slot) = ends.get_mut(end.window) {
                *slot = Some(*end);
            }
        }
        self.sweep_every = SWEEP_EVERY.max(looked.took * SWEEP_SHARE);
        self.heed_length(plan, looked);
        // Sweeps first: a fresh end that leaps leaves work to the next sweep, whatever this one saw.
        for fresh in [false, true] {
            for (window, end) in plan
                .windows
                .iter()
                .zip(&ends)
                .filter(|(window, _)| window.fresh == fresh)
            {
                let index = usize::from(window.lane.unsigned_abs()) % LANES;
                let lane = &mut self.all[index];
                if fresh {
                    lane.fresh_end(window, *end, looked.taken[index] > 0);
                } else {
                    lane.sweep_end(window, *end, looked.taken[index] > 0, now);
                }
            }
        }
        self.passed_over(plan, looked, now);
    }

    /// Lets sweeps bring less in one claim where that makes newly due rows wait.
    fn heed_length(&mut self, plan: &Plan, looked: &Looked<'_>) {
        let fresh = |end: &Reached| {
            plan.windows
                .get(end.window)
                .is_some_and(|window| window.fresh)
        };
        let brought = i32::try_from(looked.taken.iter().sum::<u32>()).unwrap_or(i32::MAX);
        self.brings_fresh = looked.reached.iter().any(fresh);
        if !self.brings_fresh {
            self.sweep_room = i32::MAX;
        } else if looked.took > CLAIM_WITH_FRESH {
            self.sweep_room = (self.sweep_room.min(brought) / 2).max(SWEEP_ROOM_MIN);
        } else if looked.took < CLAIM_WITH_FRESH / 2 {
            self.sweep_room = self.sweep_room.saturating_mul(2);
        }
    }

    /// Notes lanes in which something was seen and not taken: a target had enough for now, or another worker was at it. It is
    /// wanted soon, not at the next sweep.
    fn passed_over(&mut self, plan: &Plan, looked: &Looked<'_>, now: Instant) {
        let mut seen = [0; LANES];
        for end in looked.reached {
            if let Some(window) = plan.windows.get(end.window) {
                seen[usize::from(window.lane.unsigned_abs()) % LANES] += end.rows;
            }
        }
        for ((lane, seen), taken) in self.all.iter_mut().zip(seen).zip(looked.taken) {
            if seen > i64::from(taken) && !lane.more {
                lane.more = true;
                lane.barren = taken == 0;
                lane.rests_until = Some(now + if taken > 0 { CROWDED_REST } else { BARREN_REST });
            }
        }
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

    /// Until when a lane is left alone, if it is: barren ones also wait for one another.
    fn rest_of(&self, lane: &Lane) -> Option<Instant> {
        let others = self.barren_from.filter(|_| lane.barren);
        lane.rests_until.max(others)
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

impl Lane {
    /// Moves the fresh cursor.
    fn fresh_end(&mut self, window: &Window, end: Option<Reached>, brought: bool) {
        let Some(end) = end else {
            self.fresh_rows = WINDOW_MIN;
            self.fresh_barren = false;
            return;
        };
        self.fresh_barren = !brought;
        if end.rows < i64::from(window.rows) {
            self.fresh = Some(end.end);
            self.fresh_rows = (self.fresh_rows / 2).max(WINDOW_MIN);
        } else if window.rows >= WINDOW_MAX {
            self.fresh = None;
            self.more = true;
        } else {
            self.fresh = Some(end.end);
            self.fresh_rows = (window.rows * 2).clamp(WINDOW_MIN, WINDOW_MAX);
        }
    }

    /// Moves the sweep on, or back to the start when it has seen everything.
    fn sweep_end(&mut self, window: &Window, end: Option<Reached>, brought: bool, now: Instant) {
        if let Some(end) = end.filter(|end| end.rows >= i64::from(window.rows)) {
            self.sweep = end.end;
            self.more = true;
            self.barren = !brought;
            self.rests_until = (!brought).then(|| now + BARREN_REST);
        } else {
            self.sweep = Position::start();
            self.more = false;
            self.swept_at = Some(now);
            self.barren = false;
            self.rests_until = None;
        }
    }
}

/// A lane as the table numbers it.
fn lane_number(index: usize) -> i16 {
    i16::try_from(index).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sweeps_bring_less_while_newly_due_rows_come_and_claims_are_long() {
        let mut lanes = Lanes::new();
        let now = Instant::now();
        let swept = |plan: &Plan| -> i32 {
            let sweeps = plan.windows.iter().filter(|window| !window.fresh);
            sweeps.map(|window| window.rows).sum()
        };
        let both = |_: &Window| 1;
        for _ in 0..8 {
            let plan = lanes.plan(4096, now);
            let reached = answer(&plan, both);
            let looked = Looked {
                reached: &reached,
                taken: [8; LANES],
                took: CLAIM_WITH_FRESH * 2,
            };
            for lane in &mut lanes.all {
                lane.more = true;
            }
            lanes.found(&plan, &looked, now);
            for lane in &mut lanes.all {
                lane.more = true;
            }
        }
        assert!(lanes.brings_fresh());
        assert!(swept(&lanes.plan(4096, now)) <= SWEEP_ROOM_MIN);
        // Nothing newly due any more: the backlog has all the room again.
        let plan = lanes.plan(4096, now);
        let reached = answer(&plan, |window| i64::from(!window.fresh));
        let looked = Looked {
            reached: &reached,
            taken: [8; LANES],
            took: CLAIM_WITH_FRESH * 2,
        };
        lanes.found(&plan, &looked, now);
        for lane in &mut lanes.all {
            lane.more = true;
        }
        assert!(!lanes.brings_fresh());
        assert!(swept(&lanes.plan(4096, now)) > SWEEP_ROOM_MIN);
    }

    /// Answers every window of a plan as if its lane held this many rows.
    fn answer(plan: &Plan, held: impl Fn(&Window) -> i64) -> Vec<Reached> {
        plan.windows
            .iter()
            .enumerate()
            .filter_map(|(window, asked)| {
                let rows = held(asked).min(i64::from(asked.rows));
                (rows > 0).then_some(Reached {
                    window,
                    rows,
                    end: Position {
                        id: 7,
                        ..Position::start()
                    },
                })
            })
            .collect()
    }

    #[test]
    fn every_claim_looks_at_the_fresh_end_of_every_lane() {
        let mut lanes = Lanes::new();
        for room in [1, 10, 500] {
            let plan = lanes.plan(room, Instant::now());
            assert_eq!(
                plan.windows.iter().filter(|window| window.fresh).count(),
                LANES
            );
        }
    }

    #[test]
    fn a_swept_lane_is_swept_again_within_a_second() {
        let mut lanes = Lanes::new();
        let start = Instant::now();
        let plan = lanes.plan(1000, start);
        lanes.found(
            &plan,
            &Looked {
                reached: &[],
                taken: [0; LANES],
                took: Duration::from_millis(1),
            },
            start,
        );
        assert!(!lanes.has_more(start));
        let soon = lanes.plan(1000, start + Duration::from_millis(900));
        assert!(soon.windows.iter().all(|window| window.fresh));
        let later = lanes.plan(1000, start + Duration::from_secs(1));
        assert_eq!(
            later.windows.iter().filter(|window| !window.fresh).count(),
            LANES
        );
    }

    /// What a claim of an empty queue found.
    fn nothing() -> Looked<'static> {
        Looked {
            reached: &[],
            taken: [0; LANES],
            took: Duration::from_millis(1),
        }
    }

    #[test]
    fn whoever_looked_at_the_fresh_ends_owes_a_sweep_and_nobody_else_does() {
        let mut lanes = Lanes::new();
        let start = Instant::now();
        let plan = lanes.plan(1000, start);
        lanes.found(&plan, &nothing(), start);
        assert_eq!(lanes.due_at(), None);
        let rung = start + Duration::from_millis(300);
        let plan = lanes.plan(1000, rung);
        lanes.found(&plan, &nothing(), rung);
        assert_eq!(lanes.due_at(), Some(start + SWEEP_EVERY));
        let swept = start + SWEEP_EVERY;
        let plan = lanes.plan(1000, swept);
        lanes.found(&plan, &nothing(), swept);
        assert_eq!(lanes.due_at(), None);
    }

    #[test]
    fn a_lane_with_a_backlog_is_swept_on_from_where_it_stopped_and_the_others_rest() {
        let mut lanes = Lanes::new();
        let start = Instant::now();
        let plan = lanes.plan(1000, start);
        let reached = answer(&plan, |window| {
            if window.lane == 3 && !window.fresh {
                1_000_000
            } else {
                0
            }
        });
        let mut taken = [0; LANES];
        taken[3] = 15;
        lanes.found(
            &plan,
            &Looked {
                reached: &reached,
                taken,
                took: Duration::from_millis(1),
            },
            start,
        );
        assert!(lanes.has_more(start));
        let next = lanes.plan(1000, start);
        let sweeps: Vec<_> = next.windows.iter().filter(|window| !window.fresh).collect();
        assert_eq!(sweeps.len(), 1);
        assert_eq!(
            (sweeps[0].lane, sweeps[0].after.id, sweeps[0].rows),
            (3, 7, WINDOW_MAX)
        );
    }

    #[test]
    fn a_lane_that_only_holds_what_is_passed_over_rests_and_its_fresh_end_does_not() {
        let mut lanes = Lanes::new();
        let start = Instant::now();
        let plan = lanes.plan(1000, start);
        let reached = answer(&plan, |window| {
            if window.lane == 3 && !window.fresh {
                1_000_000
            } else {
                0
            }
        });
        lanes.found(
            &plan,
            &Looked {
                reached: &reached,
                taken: [0; LANES],
                took: Duration::from_millis(1),
            },
            start,
        );
        assert!(!lanes.has_more(start));
        let next = lanes.plan(1000, start);
        assert!(
            next.windows
                .iter()
                .any(|window| window.lane == 3 && window.fresh)
        );
        assert!(lanes.has_more(start + BARREN_REST));
    }

    #[test]
    fn lanes_full_of_what_is_passed_over_are_swept_one_at_a_time_and_each_in_its_turn() {
        let mut lanes = Lanes::new();
        let mut now = Instant::now();
        let mut swept = [0; LANES];
        for _ in 0..1000 {
            let plan = lanes.plan(1000, now);
            let reached = answer(&plan, |window| if window.fresh { 0 } else { 1_000_000 });
            let long: Vec<_> = plan
                .windows
                .iter()
                .filter(|window| window.rows >= BARREN_WINDOW)
                .collect();
            assert!(long.len() <= 1);
            for window in long {
                swept[usize::from(window.lane.unsigned_abs())] += 1;
            }
            let looked = Looked {
                reached: &reached,
                taken: [0; LANES],
                took: Duration::from_millis(1),
            };
            lanes.found(&plan, &looked, now);
            now += Duration::from_millis(5);
        }
        assert!(swept.iter().all(|sweeps| *sweeps > 0), "{swept:?}");
        assert!(swept.iter().sum::<i32>() <= 101, "{swept:?}");
    }

    #[test]
    fn a_flood_at_the_fresh_end_leaps_to_the_present_and_leaves_the_rest_to_the_sweep() {
        let mut lanes = Lanes::new();
        let start = Instant::now();
        for _ in 0..10 {
            let plan = lanes.plan(100_000, start);
            let reached = answer(&plan, |window| {
                if window.lane == 5 && window.fresh {
                    1_000_000
                } else {
                    0
                }
            });
            lanes.found(
                &plan,
                &Looked {
                    reached: &reached,
                    taken: [1; LANES],
                    took: Duration::from_millis(1),
                },
                start,
            );
        }
        assert_eq!(lanes.all[5].fresh, None);
        assert!(lanes.all[5].more);
    }

    #[test]
    fn a_flood_of_what_is_passed_over_is_left_behind_however_little_room_there_is() {
        let mut lanes = Lanes::new();
        let start = Instant::now();
        let mut claims = 0;
        let mut leapt = false;
        while !leapt {
            claims += 1;
            assert!(claims < 10, "it crawls");
            let plan = lanes.plan(1, start);
            let reached = answer(&plan, |window| {
                if window.lane == 5 && window.fresh {
                    1_000_000
                } else {
                    0
                }
            });
            let looked = Looked {
                reached: &reached,
                ..nothing()
            };
            lanes.found(&plan, &looked, start);
            leapt = lanes.all[5].fresh.is_none();
        }
    }

    #[test]
    fn slow_sweeps_are_made_more_seldom() {
        let mut lanes = Lanes::new();
        let start = Instant::now();
        let plan = lanes.plan(1000, start);
        lanes.found(
            &plan,
            &Looked {
                reached: &[],
                taken: [0; LANES],
                took: Duration::from_secs(2),
            },
            start,
        );
        let sweeps = |plan: &Plan| plan.windows.iter().filter(|window| !window.fresh).count();
        assert_eq!(
            sweeps(&lanes.plan(1000, start + Duration::from_secs(10))),
            0
        );
        assert_eq!(
            sweeps(&lanes.plan(1000, start + Duration::from_secs(20))),
            LANES
        );
    }
}
