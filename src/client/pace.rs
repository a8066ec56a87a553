//! How long to wait before something is tried again.

use std::time::Duration;

/// No wait is longer.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// The wait after so many failures in a row, of which the first is 1: doubled each time up to half a minute, and somewhere
/// between half of that and all of it, so that those who failed together do not come back together. `random` is uniform in
/// `[0, 1)`.
pub(super) fn after(failures: u32, first: Duration, random: f64) -> Duration {
    let doubled = 2_u32.saturating_pow(failures.saturating_sub(1));
    let longest = first.saturating_mul(doubled).min(WAIT_MAX);
    longest.mul_f64(0.5 + random / 2.0)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::after;

    #[test]
    fn waits_double_up_to_half_a_minute_and_are_spread() {
        let second = Duration::from_secs(1);
        let check = |failures, random, expected_ms| {
            let wait = after(failures, second, random);
            assert_eq!(wait.as_millis(), expected_ms, "{failures} {random}");
        };
        check(1, 0.0, 500);
        check(1, 0.5, 750);
        check(3, 0.0, 2_000);
        check(6, 0.0, 15_000);
        check(u32::MAX, 0.5, 22_500);
        assert_eq!(after(5, Duration::ZERO, 0.9), Duration::ZERO);
    }
}
