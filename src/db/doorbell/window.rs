//! For how long to stay awake.

use std::time::Duration;

/// The time from the last row to going to sleep. It grows while waking up was followed by another ring at once, for then
/// writers come so fast that each sleep costs them; and it shrinks after rings that came alone.
#[derive(Debug)]
pub(super) struct Window {
    /// At present.
    present: Duration,
    /// The shortest.
    min: Duration,
    /// The longest.
    max: Duration,
}

impl Window {
    /// How soon after waking up another ring must come to count as "at once".
    pub(super) const AT_ONCE: Duration = Duration::from_millis(10);

    /// The shortest.
    pub(super) fn new(min: Duration, max: Duration) -> Self {
        Self {
            present: min,
            min,
            max: max.max(min),
        }
    }

    /// At present.
    pub(super) fn present(&self) -> Duration {
        self.present
    }

    /// Another ring came at once.
    pub(super) fn grow(&mut self) {
        self.present = (self.present * 2).min(self.max);
    }

    /// The ring came alone.
    pub(super) fn shrink(&mut self) {
        self.present = (self.present / 2).max(self.min);
    }
}

#[cfg(test)]
mod tests {
    use super::{Duration, Window};

    #[test]
    fn the_window_stays_between_its_bounds() {
        let (min, max) = (Duration::from_millis(100), Duration::from_secs(1));
        let mut window = Window::new(min, max);
        window.shrink();
        assert_eq!(window.present(), min);
        window.grow();
        assert_eq!(window.present(), min * 2);
        for _ in 0..10 {
            window.grow();
        }
        assert_eq!(window.present(), max);
        window.shrink();
        assert_eq!(window.present(), max / 2);
    }
}
