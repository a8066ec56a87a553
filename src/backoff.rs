//! When to try again, and when to stop. Pure: given the schedule, the attempt, the hint and the randomness.
//!
//! ```text
//! wait(n)  = waits[min(n, last)] * (1 + jitter * r)             r uniform in [0, 1): added, never early
//!          = max(waits[0], waits[n] * (1 + jitter * (2r - 1)))  where jitter goes both ways (`evolution`)
//! retry at = the later of wait(n) and Retry-After, which is capped at 24 h
//! ```

use std::time::Duration;

use crate::model::{Outcome, Resolution, Retry, Schedule};

/// A hint beyond it is not believed.
pub const HINT_MAX: Duration = Duration::from_hours(24);

/// How long failures that spend no attempt may go on, counted from the first attempt.
pub const UNSPENT_WINDOW: Duration = Duration::from_hours(72);

/// How far a delivery has come in its cycle, *before* the attempt that is being judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Attempts spent.
    pub attempts: u32,
    /// How many may be.
    pub attempts_max: u32,
    /// Since the first attempt of the cycle, spent or not; none where this was the first.
    pub since_first_attempt: Option<Duration>,
}

/// What becomes of a delivery after an attempt. `random` is uniform in `[0, 1)`.
pub fn resolve(
    outcome: &Outcome,
    schedule: &Schedule,
    progress: Progress,
    random: f64,
) -> Resolution {
    let Outcome::Failed(failure) = outcome else {
        return Resolution::Delivered;
    };
    let (hint, spent) = match failure.retry {
        Retry::Never => return Resolution::Failed,
        Retry::OnSchedule => (Duration::ZERO, true),
        Retry::NotBefore {
            wait,
            spends_attempt,
        } => (wait.min(HINT_MAX), spends_attempt),
    };
    let failures = progress.attempts.saturating_add(1);
    let exhausted = if spent {
        failures >= progress.attempts_max
    } else {
        progress.since_first_attempt.unwrap_or_default() >= UNSPENT_WINDOW
    };
    if exhausted {
        return Resolution::Failed;
    }
    Resolution::Retry {
        wait: wait_after(schedule, failures, random).max(hint),
        spent,
    }
}

/// The wait after failure number `failures` (the first is 1), jitter included.
fn wait_after(schedule: &Schedule, failures: u32, random: f64) -> Duration {
    let at = usize::try_from(failures.saturating_sub(1)).unwrap_or(usize::MAX);
    // An empty table is a broken invariant; the default's last wait is the harmless answer.
    let Some(last) = schedule.waits.last() else {
        return Duration::from_hours(1);
    };
    let wait = *schedule.waits.get(at).unwrap_or(last);
    let jitter = unit(schedule.jitter);
    let random = unit(random);
    if schedule.jitter_both_ways {
        let floor = schedule.waits.first().copied().unwrap_or(wait);
        scaled(wait, 1.0 + jitter * (2.0 * random - 1.0)).max(floor)
    } else {
        scaled(wait, 1.0 + jitter * random)
    }
}

/// `wait` times `factor`; what does not fit a `Duration` is a wait for ever.
fn scaled(wait: Duration, factor: f64) -> Duration {
    Duration::try_from_secs_f64(wait.as_secs_f64() * factor).unwrap_or(Duration::MAX)
}

/// Within 0 to 1; what is not a number is 0.
fn unit(value: f64) -> f64 {
    if value.is_nan() {
        0.0
    } else {
        value.clamp(0.0, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::model::{Class, Failure, Receipt, Verdict};

    const HOUR: Duration = Duration::from_hours(1);

    fn seconds(waits: &[u64]) -> Vec<Duration> {
        waits.iter().copied().map(Duration::from_secs).collect()
    }

    fn default_schedule() -> Schedule {
        Schedule {
            name: "default".into(),
            waits: seconds(&[1, 5, 30, 300, 1800, 3600]),
            jitter: 0.2,
            jitter_both_ways: false,
            final_statuses: vec![],
        }
    }

    fn evolution() -> Schedule {
        Schedule {
            name: "evolution".into(),
            waits: seconds(&[5, 10, 20, 40, 80, 160, 300]),
            jitter_both_ways: true,
            ..default_schedule()
        }
    }

    fn failed(retry: Retry) -> Outcome {
        Outcome::Failed(Failure {
            class: Class::Server,
            status: Some(503),
            detail: String::new(),
            response: Bytes::new(),
            retry,
            verdict: Verdict::None,
        })
    }

    fn hinted(wait: Duration, spends_attempt: bool) -> Outcome {
        failed(Retry::NotBefore {
            wait,
            spends_attempt,
        })
    }

    fn progress(attempts: u32, attempts_max: u32) -> Progress {
        Progress {
            attempts,
            attempts_max,
            since_first_attempt: (attempts > 0).then_some(HOUR),
        }
    }

    fn retry(wait: Duration, spent: bool) -> Resolution {
        Resolution::Retry { wait, spent }
    }

    #[test]
    fn the_default_walks_down_its_table_and_then_stays_at_an_hour() {
        for (attempts, wait) in [1, 5, 30, 300, 1800, 3600, 3600, 3600]
            .into_iter()
            .enumerate()
        {
            let progress = progress(u32::try_from(attempts).unwrap(), 100);
            assert_eq!(
                resolve(
                    &failed(Retry::OnSchedule),
                    &default_schedule(),
                    progress,
                    0.0
                ),
                retry(Duration::from_secs(wait), true)
            );
        }
    }

    #[test]
    fn the_fifth_failure_of_five_is_the_end() {
        let check = |attempts| {
            resolve(
                &failed(Retry::OnSchedule),
                &default_schedule(),
                progress(attempts, 5),
                0.5,
            )
        };
        assert!(matches!(check(3), Resolution::Retry { .. }));
        assert_eq!(check(4), Resolution::Failed);
    }

    #[test]
    fn never_is_never_and_delivered_is_delivered() {
        let check = |outcome: &Outcome| resolve(outcome, &default_schedule(), progress(0, 5), 0.5);
        assert_eq!(check(&failed(Retry::Never)), Resolution::Failed);
        assert_eq!(
            check(&Outcome::Delivered(Receipt::default())),
            Resolution::Delivered
        );
    }

    #[test]
    fn a_hint_lengthens_and_never_shortens_and_is_capped_at_a_day() {
        let check = |attempts, hint, expected| {
            assert_eq!(
                resolve(
                    &hinted(hint, true),
                    &default_schedule(),
                    progress(attempts, 9),
                    0.0
                ),
                retry(expected, true)
            );
        };
        check(0, Duration::from_secs(7), Duration::from_secs(7));
        check(3, Duration::from_secs(7), Duration::from_mins(5));
        check(0, 100 * HOUR, 24 * HOUR);
    }

    #[test]
    fn a_429_with_a_hint_spends_no_attempt_but_three_days_end_it() {
        let check = |since_first_attempt| {
            let progress = Progress {
                attempts: 4,
                attempts_max: 5,
                since_first_attempt,
            };
            resolve(&hinted(2 * HOUR, false), &default_schedule(), progress, 0.0)
        };
        assert_eq!(check(None), retry(2 * HOUR, false));
        assert_eq!(
            check(Some(71 * HOUR + Duration::from_mins(59))),
            retry(2 * HOUR, false)
        );
        assert_eq!(check(Some(72 * HOUR)), Resolution::Failed);
    }

    #[test]
    fn evolution_jitters_both_ways_and_never_below_its_first_wait() {
        let check = |attempts, random, expected| {
            assert_eq!(
                resolve(
                    &failed(Retry::OnSchedule),
                    &evolution(),
                    progress(attempts, 10),
                    random
                ),
                retry(Duration::from_secs(expected), true)
            );
        };
        check(1, 0.0, 8);
        check(1, 0.5, 10);
        check(1, 1.0, 12);
        check(0, 0.0, 5);
        check(8, 0.0, 240);
    }

    fn any_schedule() -> impl Strategy<Value = Schedule> {
        let waits = prop::collection::vec(0..=u64::from(u32::MAX), 1..12);
        (waits, 0.0..=1.0, any::<bool>()).prop_map(|(waits, jitter, jitter_both_ways)| Schedule {
            waits: seconds(&waits),
            jitter,
            jitter_both_ways,
            ..default_schedule()
        })
    }

    proptest! {
        #[test]
        fn a_wait_lies_within_its_jitter(
            schedule in any_schedule(), attempts in 0_u32..1000, random in 0.0..1.0,
        ) {
            let base = schedule.waits[(attempts as usize).min(schedule.waits.len() - 1)];
            let wait = wait_after(&schedule, attempts + 1, random);
            let first = schedule.waits[0];
            let (low, high) = if schedule.jitter_both_ways {
                (base.mul_f64(1.0 - schedule.jitter).max(first), base.mul_f64(1.0 + schedule.jitter).max(first))
            } else {
                (base, base.mul_f64(1.0 + schedule.jitter))
            };
            let slack = Duration::from_millis(1);
            prop_assert!(wait + slack >= low && wait <= high + slack, "{low:?} {wait:?} {high:?}");
        }

        #[test]
        fn no_input_panics_and_a_hint_is_always_kept(
            mut schedule in any_schedule(),
            (attempts, attempts_max) in any::<(u32, u32)>(),
            since in proptest::option::of(any::<Duration>()),
            (hint, spends) in any::<(Duration, bool)>(),
            (random, jitter) in any::<(f64, f64)>(),
        ) {
            schedule.jitter = jitter;
            let progress = Progress { attempts, attempts_max, since_first_attempt: since };
            match resolve(&hinted(hint, spends), &schedule, progress, random) {
                Resolution::Retry { wait, spent } => {
                    prop_assert!(wait >= hint.min(HINT_MAX));
                    prop_assert_eq!(spent, spends);
                    prop_assert!(!spent || attempts.saturating_add(1) < attempts_max);
                }
                Resolution::Failed => {}
                Resolution::Delivered => prop_assert!(false, "a failure is never a delivery"),
            }
        }

        #[test]
        fn every_delivery_that_keeps_failing_ends(
            schedule in any_schedule(), attempts_max in 1_u32..50, random in 0.0..1.0,
        ) {
            let mut made = 0;
            while let Resolution::Retry { .. } =
                resolve(&failed(Retry::OnSchedule), &schedule, progress(made, attempts_max), random)
            {
                made += 1;
                prop_assert!(made < attempts_max);
            }
            prop_assert_eq!(made + 1, attempts_max);
        }
    }
}
