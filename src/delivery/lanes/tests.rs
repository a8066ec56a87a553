//! Where is looked, and how soon again.

use super::*;

const MOMENT: Duration = Duration::from_millis(1);

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

/// What a claim found that took so many in every lane.
fn took(reached: &[Reached], each: u32) -> Looked<'_> {
    Looked {
        reached,
        taken: [each; LANES],
        took: MOMENT,
    }
}

/// What a claim of an empty queue found.
fn nothing() -> Looked<'static> {
    took(&[], 0)
}

/// Sweeps where it is time, and finds nothing.
fn sweep_in_vain(lanes: &mut Lanes, now: Instant) {
    if let Some(plan) = lanes.sweep(1000, now) {
        lanes.found(&plan, &nothing(), now);
    }
}

/// Looks at the fresh ends, and finds nothing.
fn look_in_vain(lanes: &mut Lanes, now: Instant) {
    let plan = lanes.fresh(1000, now);
    lanes.found(&plan, &nothing(), now);
}

fn sweeps_now(lanes: &Lanes, now: Instant) -> bool {
    lanes.sweep_at(now).is_some_and(|at| at <= now)
}

#[test]
fn what_is_newly_due_is_looked_for_in_every_lane_however_little_room_there_is() {
    let mut lanes = Lanes::new();
    for room in [1, 10, 500] {
        let plan = lanes.fresh(room, Instant::now());
        assert_eq!(plan.windows.len(), LANES);
        assert!(plan.windows.iter().all(|window| window.fresh));
    }
}

#[test]
fn a_swept_lane_is_swept_again_within_a_second() {
    let mut lanes = Lanes::new();
    let start = Instant::now();
    sweep_in_vain(&mut lanes, start);
    assert!(
        lanes
            .sweep(1000, start + Duration::from_millis(900))
            .is_none()
    );
    let later = lanes.sweep(1000, start + Duration::from_secs(1));
    assert_eq!(later.map(|plan| plan.windows.len()), Some(LANES));
}

#[test]
fn whoever_looked_at_the_fresh_ends_owes_a_sweep_and_nobody_else_does() {
    let mut lanes = Lanes::new();
    let start = Instant::now();
    look_in_vain(&mut lanes, start);
    sweep_in_vain(&mut lanes, start);
    assert_eq!(lanes.sweep_at(start), None);
    look_in_vain(&mut lanes, start + Duration::from_millis(300));
    assert_eq!(lanes.sweep_at(start), Some(start + SWEEP_EVERY));
    sweep_in_vain(&mut lanes, start + SWEEP_EVERY);
    assert_eq!(lanes.sweep_at(start), None);
}

#[test]
fn a_sweep_answers_for_no_look_that_came_while_it_was_out() {
    let mut lanes = Lanes::new();
    let start = Instant::now();
    let sweep = lanes.sweep(1000, start).expect("the first sweep");
    look_in_vain(&mut lanes, start + MOMENT);
    lanes.found(&sweep, &nothing(), start + 2 * MOMENT);
    assert_eq!(lanes.sweep_at(start), Some(start + SWEEP_EVERY));
}

#[test]
fn what_was_left_to_a_sweep_that_was_already_out_is_swept_again() {
    let mut lanes = Lanes::new();
    let start = Instant::now();
    let sweep = lanes.sweep(1000, start).expect("the first sweep");
    while lanes.all[5].left.is_none() {
        let plan = lanes.fresh(100_000, start + MOMENT);
        let reached = answer(&plan, |window| i64::from(window.lane == 5) * 1_000_000);
        lanes.found(&plan, &took(&reached, 1000), start + MOMENT);
    }
    lanes.found(&sweep, &nothing(), start + 2 * MOMENT);
    let soon = start + Duration::from_millis(50);
    let plan = lanes.sweep(1000, soon).expect("what was left");
    assert_eq!(plan.windows[0].lane, 5);
}

#[test]
fn a_lane_with_a_backlog_is_swept_on_from_where_it_stopped_and_the_others_rest() {
    let mut lanes = Lanes::new();
    let start = Instant::now();
    let plan = lanes.sweep(1000, start).expect("the first sweep");
    let reached = answer(&plan, |window| i64::from(window.lane == 3) * 1_000_000);
    lanes.found(&plan, &took(&reached, 15), start);
    assert!(sweeps_now(&lanes, start));
    let next = lanes.sweep(1000, start).expect("the next sweep");
    assert_eq!(next.windows.len(), 1);
    let window = next.windows[0];
    assert_eq!(
        (window.lane, window.after.id, window.rows),
        (3, 7, WINDOW_MAX)
    );
}

#[test]
fn a_lane_that_only_holds_what_is_passed_over_rests_and_its_fresh_end_does_not() {
    let mut lanes = Lanes::new();
    let start = Instant::now();
    let plan = lanes.sweep(1000, start).expect("the first sweep");
    let reached = answer(&plan, |window| i64::from(window.lane == 3) * 1_000_000);
    lanes.found(&plan, &took(&reached, 0), start);
    assert!(!sweeps_now(&lanes, start));
    let next = lanes.fresh(1000, start);
    assert!(next.windows.iter().any(|window| window.lane == 3));
    assert!(sweeps_now(&lanes, start + BARREN_REST));
}

#[test]
fn lanes_full_of_what_is_passed_over_are_swept_one_at_a_time_and_each_in_its_turn() {
    let mut lanes = Lanes::new();
    let mut now = Instant::now();
    let mut swept = [0; LANES];
    for _ in 0..1000 {
        if let Some(plan) = lanes.sweep(1000, now) {
            let reached = answer(&plan, |_| 1_000_000);
            let long: Vec<_> = plan
                .windows
                .iter()
                .filter(|window| window.rows >= BARREN_WINDOW)
                .collect();
            assert!(long.len() <= 1);
            for window in long {
                swept[usize::from(window.lane.unsigned_abs())] += 1;
            }
            lanes.found(&plan, &took(&reached, 0), now);
        }
        now += Duration::from_millis(5);
    }
    assert!(swept.iter().all(|sweeps| *sweeps > 0), "{swept:?}");
    assert!(swept.iter().sum::<i32>() <= 101, "{swept:?}");
}

#[test]
fn what_keeps_coming_for_those_that_are_passed_over_makes_no_sweep_more_frequent() {
    let mut lanes = Lanes::new();
    let mut now = Instant::now();
    let mut sweeps = 0;
    for _ in 0..1000 {
        let swept = lanes.sweep(1000, now);
        let plan = lanes.fresh(1000, now + MOMENT);
        let reached = answer(&plan, |_| 1);
        lanes.found(&plan, &took(&reached, 0), now + MOMENT);
        if let Some(plan) = swept {
            sweeps += plan.windows.len();
            let reached = answer(&plan, |_| 1);
            lanes.found(&plan, &took(&reached, 0), now + MOMENT);
        }
        now += Duration::from_millis(5);
    }
    // Five seconds: each lane once at first, and one lane each time the barren ones have rested.
    assert!(sweeps <= LANES + 101, "{sweeps}");
}

#[test]
fn a_flood_at_the_fresh_end_leaps_to_the_present_and_leaves_the_rest_to_the_sweep() {
    let mut lanes = Lanes::new();
    let start = Instant::now();
    sweep_in_vain(&mut lanes, start);
    let flood = |window: &Window| i64::from(window.lane == 5) * 1_000_000;
    for look in 0..10 {
        let plan = lanes.fresh(100_000, start);
        let reached = answer(&plan, flood);
        let more = lanes.found(&plan, &took(&reached, 1000), start);
        let leapt = lanes.all[5].fresh.is_none();
        assert_eq!(more, !leapt, "after look {look}");
        if leapt {
            assert!(sweeps_now(&lanes, start));
            return;
        }
    }
    panic!("it crawls");
}

#[test]
fn a_flood_of_what_is_passed_over_is_left_behind_however_little_room_there_is() {
    let mut lanes = Lanes::new();
    let start = Instant::now();
    for _ in 0..10 {
        let plan = lanes.fresh(1, start);
        let reached = answer(&plan, |window| i64::from(window.lane == 5) * 1_000_000);
        lanes.found(&plan, &took(&reached, 0), start);
        if lanes.all[5].fresh.is_none() {
            return;
        }
    }
    panic!("it crawls");
}

#[test]
fn while_newly_due_rows_come_a_backlog_goes_on_in_small_steps_with_rests() {
    let mut lanes = Lanes::new();
    let start = Instant::now();
    let plan = lanes.fresh(1000, start);
    let reached = answer(&plan, |_| 1);
    lanes.found(&plan, &took(&reached, 1), start);
    let step = lanes.sweep(1000, start).expect("a step");
    let rows: i32 = step.windows.iter().map(|window| window.rows).sum();
    assert!(rows <= ROOM_BESIDE_FRESH, "{rows}");
    let reached = answer(&step, |_| 1_000_000);
    lanes.found(&step, &took(&reached, 8), start);
    let rested = start + MOMENT * REST_BESIDE_FRESH;
    assert_eq!(lanes.sweep_at(start), Some(rested));
    assert!(lanes.sweep(1000, start).is_none());
    assert!(lanes.sweep(1000, rested).is_some());
    // Nothing newly due any more: the backlog has all the room again.
    let plan = lanes.sweep(1000, start + FRESH_LATELY).expect("a sweep");
    let rows: i32 = plan.windows.iter().map(|window| window.rows).sum();
    assert!(rows > ROOM_BESIDE_FRESH, "{rows}");
}

#[test]
fn slow_sweeps_are_made_more_seldom() {
    let mut lanes = Lanes::new();
    let start = Instant::now();
    let plan = lanes.sweep(1000, start).expect("the first sweep");
    let slow = Looked {
        took: Duration::from_secs(2),
        ..nothing()
    };
    lanes.found(&plan, &slow, start);
    assert!(lanes.sweep(1000, start + Duration::from_secs(10)).is_none());
    assert!(lanes.sweep(1000, start + Duration::from_secs(20)).is_some());
}

#[test]
fn sweeps_begin_at_the_floors_and_go_on_while_there_are_any() {
    let mut lanes = Lanes::new();
    let now = Instant::now();
    let floor = |id| Position {
        id,
        ..Position::end()
    };
    lanes.begin_at(Some([floor(7); LANES]));
    let plan = lanes.sweep(1000, now).unwrap();
    assert!(plan.windows.iter().all(|window| window.after == floor(7)));
    lanes.found(&plan, &nothing(), now);
    sweep_in_vain(&mut lanes, now);
    // Nothing was looked at since, and yet they are owed.
    let later = now + 2 * SWEEP_EVERY;
    assert!(sweeps_now(&lanes, later));
    lanes.begin_at(Some([floor(3); LANES]));
    let plan = lanes.sweep(1000, later).unwrap();
    assert!(plan.windows.iter().all(|window| window.after == floor(3)));
    lanes.begin_at(None);
    lanes.found(&plan, &nothing(), later);
    let plan = lanes.sweep(1000, later + 2 * SWEEP_EVERY).unwrap();
    assert!(
        plan.windows
            .iter()
            .all(|window| window.after == Position::start())
    );
}

#[test]
fn nobody_is_called_to_sweep_while_sweeps_rest() {
    let mut lanes = Lanes::new();
    let now = Instant::now();
    for _ in 0..LANES {
        sweep_in_vain(&mut lanes, now);
    }
    // All lanes are due again, and something fresh comes: they are swept in small steps.
    let later = now + 2 * SWEEP_EVERY;
    let plan = lanes.fresh(1000, later);
    let reached = answer(&plan, |_| 1);
    lanes.found(&plan, &took(&reached, 1), later);
    let plan = lanes.sweep(1000, later).unwrap();
    assert!(plan.windows.len() < LANES);
    lanes.found(&plan, &nothing(), later);
    assert!(lanes.sweep(1000, later).is_none());
    assert!(!sweeps_now(&lanes, later));
    assert!(sweeps_now(&lanes, later + MOMENT * REST_BESIDE_FRESH));
}
