//! Who is let in: as many as there is room for, in all, of an instance and by a token; and no more within a second than may.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};

use tokio::time::Instant;

use super::Hub;

/// Who has been let in.
#[derive(Debug, Default)]
pub(super) struct Admitted {
    pub(super) total: usize,
    by_instance: HashMap<i64, usize>,
    by_token: HashMap<String, usize>,
    pace: Pace,
}

/// A place among the connections; given back when dropped.
#[derive(Debug)]
pub struct Admission {
    hub: Arc<Hub>,
    instance: Option<i64>,
    token: String,
}

/// Why a connection is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The process ends.
    Draining,
    /// There are too many in all.
    Full,
    /// There are too many of this instance.
    InstanceFull,
    /// There are too many by this token.
    TokenFull,
    /// Too many have come within a second.
    TooMany,
}

/// What is left of those who may come within a second: as many again after each.
#[derive(Debug, Default)]
struct Pace {
    left: f64,
    counted_at: Option<Instant>,
}

impl Pace {
    /// Whether one more may come.
    fn take(&mut self, per_second: u32, now: Instant) -> bool {
        let most = f64::from(per_second);
        let since = self.counted_at.replace(now);
        let since = since.map_or(1.0, |at| now.duration_since(at).as_secs_f64());
        self.left = (self.left + since * most).min(most);
        let may = self.left >= 1.0;
        if may {
            self.left -= 1.0;
        }
        may
    }
}

impl Hub {
    /// Whether one more may come within this second.
    pub fn keep_pace(&self) -> Result<(), Refusal> {
        let per_second = self.bounds.accepts_per_second_max;
        if per_second == 0 {
            return Ok(());
        }
        let mut admitted = self.admitted.lock().unwrap_or_else(PoisonError::into_inner);
        if admitted.pace.take(per_second, Instant::now()) {
            Ok(())
        } else {
            Err(Refusal::TooMany)
        }
    }

    /// Lets one in whose request is its connection, as [`Hub::keep_pace`] and [`Hub::admit`] do.
    pub fn admit_in_turn(
        self: &Arc<Self>,
        instance: Option<i64>,
        token: &str,
    ) -> Result<Admission, Refusal> {
        let admission = self.admit(instance, token)?;
        self.keep_pace()?;
        Ok(admission)
    }

    /// Lets one in, if there is room: to an instance, or to none or all that the token reaches.
    pub fn admit(
        self: &Arc<Self>,
        instance: Option<i64>,
        token: &str,
    ) -> Result<Admission, Refusal> {
        if self.draining.is_cancelled() {
            return Err(Refusal::Draining);
        }
        let mut admitted = self.admitted.lock().unwrap_or_else(PoisonError::into_inner);
        let known = instance.and_then(|instance| admitted.by_instance.get(&instance));
        let of_instance = known.copied().unwrap_or(0);
        let of_token = admitted.by_token.get(token).copied().unwrap_or(0);
        if admitted.total >= self.bounds.connections_max {
            return Err(Refusal::Full);
        }
        if of_instance >= self.bounds.connections_per_instance_max {
            return Err(Refusal::InstanceFull);
        }
        if of_token >= self.bounds.connections_per_token_max {
            return Err(Refusal::TokenFull);
        }
        admitted.total += 1;
        if let Some(instance) = instance {
            admitted.by_instance.insert(instance, of_instance + 1);
        }
        admitted.by_token.insert(token.to_owned(), of_token + 1);
        self.crowd.send_replace(admitted.total);
        Ok(Admission {
            hub: Arc::clone(self),
            instance,
            token: token.to_owned(),
        })
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        let mut admitted = self
            .hub
            .admitted
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let admitted = &mut *admitted;
        admitted.total -= 1;
        if let Some(instance) = &self.instance {
            leave(&mut admitted.by_instance, instance);
        }
        leave(&mut admitted.by_token, &self.token);
        self.hub.crowd.send_replace(admitted.total);
    }
}

/// One fewer.
fn leave<K: Eq + std::hash::Hash>(counts: &mut HashMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Instant, Pace};

    #[test]
    fn as_many_as_may_come_at_once_and_then_one_after_the_other() {
        let mut pace = Pace::default();
        let begun = Instant::now();
        let mut at = |ms: u64| pace.take(2, begun + Duration::from_millis(ms));
        assert_eq!([at(0), at(0), at(0)], [true, true, false]);
        assert_eq!([at(499), at(500), at(500)], [false, true, false]);
        // However long nobody comes, no more at once.
        assert_eq!([at(90_000), at(90_000), at(90_000)], [true, true, false]);
    }
}
