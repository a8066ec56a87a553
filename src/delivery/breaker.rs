//! The breaker of one target: after enough failures it is left alone, and asked again from time to time.
//!
//! ```mermaid
//! stateDiagram-v2
//!     [*] --> closed
//!     closed --> open : 10 failures in a row, or half of the last 50
//!     open --> probing : the pause is over
//!     probing --> closed : the probe was delivered
//!     probing --> open : it was not, and the pause doubles
//! ```

use std::time::Duration;

use tokio::time::Instant;

/// When to open, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct BreakerSettings {
    /// Opens after so many failures in a row.
    pub failures_consecutive: u32,
    /// Opens when this share of the window failed.
    pub failures_share: f64,
    /// How many outcomes the share is taken of, at most 64.
    pub window: u32,
    /// The first pause.
    pub probe: Duration,
    /// The longest pause.
    pub probe_max: Duration,
}

/// Where a breaker stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BreakerState {
    /// Everything passes.
    Closed,
    /// Nothing passes until then.
    Open {
        /// When the next probe may go.
        until: Instant,
    },
    /// One attempt is out to see.
    Probing,
}

/// What an outcome changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transition {
    /// The target stopped answering, as far as we can tell.
    Opened,
    /// It answers again.
    Closed,
}

/// The breaker of one target.
#[derive(Debug)]
pub(super) struct Breaker {
    state: BreakerState,
    consecutive: u32,
    /// The last outcomes, newest in bit 0; a set bit is a failure.
    recent: u64,
    seen: u32,
    pause: Duration,
}

impl Breaker {
    /// A closed one.
    pub(super) fn new(settings: &BreakerSettings) -> Self {
        Self {
            state: BreakerState::Closed,
            consecutive: 0,
            recent: 0,
            seen: 0,
            pause: settings.probe,
        }
    }

    /// Where it stands.
    pub(super) fn state(&self) -> BreakerState {
        self.state
    }

    /// Whether it knows nothing that would be lost with it.
    pub(super) fn is_fresh(&self) -> bool {
        self.state == BreakerState::Closed && self.consecutive == 0
    }

    /// How many attempts may be in flight now, given how many there are at most.
    pub(super) fn allows(&self, now: Instant, most: u32) -> u32 {
        match self.state {
            BreakerState::Closed => most,
            BreakerState::Open { until } if now >= until => 1,
            BreakerState::Open { .. } => 0,
            BreakerState::Probing => 1,
        }
    }

    /// An attempt starts; past an open breaker's pause it is the probe.
    pub(super) fn started(&mut self, now: Instant) {
        if let BreakerState::Open { until } = self.state
            && now >= until
        {
            self.state = BreakerState::Probing;
        }
    }

    /// An attempt was delivered.
    pub(super) fn succeeded(&mut self, settings: &BreakerSettings) -> Option<Transition> {
        self.consecutive = 0;
        self.remember(false, settings.window);
        match self.state {
            BreakerState::Closed => None,
            BreakerState::Open { .. } | BreakerState::Probing => {
                self.state = BreakerState::Closed;
                self.pause = settings.probe;
                self.recent = 0;
                self.seen = 0;
                Some(Transition::Closed)
            }
        }
    }

    /// An attempt failed in a way that speaks of the target.
    pub(super) fn failed(
        &mut self,
        now: Instant,
        settings: &BreakerSettings,
    ) -> Option<Transition> {
        self.consecutive = self.consecutive.saturating_add(1);
        self.remember(true, settings.window);
        match self.state {
            BreakerState::Closed => {
                let in_a_row = self.consecutive >= settings.failures_consecutive;
                let failures = f64::from(self.recent.count_ones());
                let by_share = self.seen >= settings.window
                    && failures >= settings.failures_share * f64::from(settings.window);
                if !in_a_row && !by_share {
                    return None;
                }
                self.state = BreakerState::Open {
                    until: now + self.pause,
                };
                Some(Transition::Opened)
            }
            BreakerState::Probing => {
                self.pause = (self.pause * 2).min(settings.probe_max);
                self.state = BreakerState::Open {
                    until: now + self.pause,
                };
                None
            }
            // A late outcome of what had started before it opened.
            BreakerState::Open { .. } => None,
        }
    }

    /// The target is not what it was: the next probe may go at once, and pauses begin anew.
    pub(super) fn forgive(&mut self, now: Instant, settings: &BreakerSettings) {
        self.pause = settings.probe;
        if let BreakerState::Open { .. } = self.state {
            self.state = BreakerState::Open { until: now };
        }
    }

    /// A probe that never came to an attempt: the next one may go at once.
    pub(super) fn probe_abandoned(&mut self, now: Instant) {
        if self.state == BreakerState::Probing {
            self.state = BreakerState::Open { until: now };
        }
    }

    fn remember(&mut self, failure: bool, window: u32) {
        let kept = u64::MAX >> (64 - window.clamp(1, 64));
        self.recent = ((self.recent << 1) | u64::from(failure)) & kept;
        self.seen = (self.seen + 1).min(window);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: BreakerSettings = BreakerSettings {
        failures_consecutive: 10,
        failures_share: 0.5,
        window: 50,
        probe: Duration::from_secs(30),
        probe_max: Duration::from_mins(10),
    };

    #[test]
    fn ten_failures_in_a_row_open_it_and_nine_do_not() {
        let now = Instant::now();
        let mut breaker = Breaker::new(&SETTINGS);
        for _ in 0..9 {
            assert_eq!(breaker.failed(now, &SETTINGS), None);
        }
        assert_eq!(breaker.allows(now, 10), 10);
        assert_eq!(breaker.failed(now, &SETTINGS), Some(Transition::Opened));
        assert_eq!(breaker.allows(now, 10), 0);
    }

    #[test]
    fn half_of_the_last_fifty_open_it_though_every_other_one_was_delivered() {
        let now = Instant::now();
        let mut breaker = Breaker::new(&SETTINGS);
        let mut opened = None;
        for attempt in 0..60 {
            if attempt % 2 == 0 {
                breaker.succeeded(&SETTINGS);
            } else if breaker.failed(now, &SETTINGS) == Some(Transition::Opened) {
                opened = Some(attempt);
                break;
            }
        }
        assert_eq!(opened, Some(49));
    }

    #[test]
    fn one_probe_goes_when_the_pause_is_over_and_a_failed_one_doubles_it_up_to_the_limit() {
        let mut now = Instant::now();
        let mut breaker = Breaker::new(&SETTINGS);
        for _ in 0..10 {
            breaker.failed(now, &SETTINGS);
        }
        for expected_s in [30, 60, 120, 240, 480, 600, 600] {
            let BreakerState::Open { until } = breaker.state() else {
                panic!("not open")
            };
            assert_eq!((until - now).as_secs(), expected_s);
            now = until;
            assert_eq!(breaker.allows(now, 10), 1);
            breaker.started(now);
            assert_eq!(breaker.state(), BreakerState::Probing);
            breaker.failed(now, &SETTINGS);
        }
    }

    #[test]
    fn a_delivered_probe_closes_it_and_forgets_the_failures() {
        let now = Instant::now();
        let mut breaker = Breaker::new(&SETTINGS);
        for _ in 0..10 {
            breaker.failed(now, &SETTINGS);
        }
        breaker.started(now + SETTINGS.probe);
        assert_eq!(breaker.succeeded(&SETTINGS), Some(Transition::Closed));
        assert!(breaker.is_fresh());
        assert_eq!(breaker.failed(now, &SETTINGS), None);
    }
}
