//! A page of a long list that no index narrows: its key is walked from the end, step by step, until the page is full, the list
//! ends, or enough time was spent. Only then is a page short, or empty, and not the last.

use std::time::Duration;

use tokio::time::Instant;

/// Rows looked at in the first step, and after a slow one. What lies in no cache is read page by page: with ten million rows
/// queued a step of 100,000 took 70 ms where it was cached, 4 s where it was not, and on a busy disk longer than a statement
/// may.
const FIRST_ROWS: i64 = 4_000;

/// Rows looked at in a step after a quick one: whoever has few among many should not ask many times.
const NEXT_ROWS: i64 = 20_000;

/// A step is quick that takes less than this.
const QUICK: Duration = Duration::from_millis(100);

/// No further step is begun after this time.
const PATIENCE: Duration = Duration::from_secs(1);

/// A page, and where the next begins; none where this is the last.
#[derive(Debug, Clone)]
pub struct Walk<T> {
    /// What was found.
    pub found: Vec<T>,
    /// Go on before this key.
    pub next: Option<i64>,
}

/// What to look at next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Step {
    /// Only keys before this.
    pub(super) before: i64,
    /// So many rows.
    pub(super) rows: i64,
    /// How many are still to be found.
    pub(super) wanted: i64,
}

/// A page being looked for.
#[derive(Debug)]
pub(super) struct Walking<T> {
    walk: Walk<T>,
    next: Option<Step>,
    begun: Instant,
    step_begun: Instant,
}

impl<T> Walking<T> {
    /// A page of so many before this key.
    pub(super) fn new(before: Option<i64>, limit: i64) -> Self {
        let first = Step {
            before: before.unwrap_or(i64::MAX),
            rows: FIRST_ROWS,
            wanted: limit,
        };
        Self {
            walk: Walk {
                found: Vec::new(),
                next: None,
            },
            next: Some(first),
            begun: Instant::now(),
            step_begun: Instant::now(),
        }
    }

    /// What to look at next; none once the page is done.
    pub(super) fn step(&self) -> Option<Step> {
        self.next
    }

    /// What a step found, and how many rows it looked at down to which key.
    pub(super) fn add(
        &mut self,
        found: Vec<T>,
        key: impl Fn(&T) -> i64,
        (looked_at, lowest): (i64, Option<i64>),
    ) {
        let Some(step) = self.next.take() else {
            return;
        };
        let left = step.wanted - i64::try_from(found.len()).unwrap_or(step.wanted);
        let last = found.last().map(key);
        self.walk.found.extend(found);
        if left <= 0 {
            self.walk.next = last;
        } else if let Some(lowest) = lowest.filter(|_| looked_at >= step.rows) {
            if self.begun.elapsed() < PATIENCE {
                let quick = self.step_begun.elapsed() < QUICK;
                self.step_begun = Instant::now();
                self.next = Some(Step {
                    before: lowest,
                    rows: if quick { NEXT_ROWS } else { FIRST_ROWS },
                    wanted: left,
                });
            } else {
                self.walk.next = Some(lowest);
            }
        }
    }

    /// The page.
    pub(super) fn end(self) -> Walk<T> {
        self.walk
    }
}

#[cfg(test)]
mod tests {
    use super::{FIRST_ROWS, NEXT_ROWS, PATIENCE, QUICK, Step, Walking};

    /// Found keys, and the rows looked at down to one.
    fn add(walking: &mut Walking<i64>, found: &[i64], looked_at: i64, lowest: i64) {
        walking.add(found.to_vec(), |key| *key, (looked_at, Some(lowest)));
    }

    #[tokio::test(start_paused = true)]
    async fn it_goes_on_until_the_page_is_full() {
        let mut walking = Walking::new(None, 3);
        add(&mut walking, &[90, 80], FIRST_ROWS, 50);
        let step = Step {
            before: 50,
            rows: NEXT_ROWS,
            wanted: 1,
        };
        assert_eq!(walking.step(), Some(step));
        add(&mut walking, &[40], NEXT_ROWS, 10);
        assert_eq!(walking.step(), None);
        let page = walking.end();
        assert_eq!((page.found, page.next), (vec![90, 80, 40], Some(40)));
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_slow_step_it_takes_a_short_one() {
        let mut walking = Walking::new(None, 3);
        add(&mut walking, &[], FIRST_ROWS, 70);
        let rows = |walking: &Walking<i64>| walking.step().map(|step| step.rows);
        assert_eq!(rows(&walking), Some(NEXT_ROWS));
        tokio::time::advance(QUICK).await;
        add(&mut walking, &[], NEXT_ROWS, 60);
        assert_eq!(rows(&walking), Some(FIRST_ROWS));
        add(&mut walking, &[], FIRST_ROWS, 50);
        assert_eq!(rows(&walking), Some(NEXT_ROWS));
    }

    #[tokio::test(start_paused = true)]
    async fn it_ends_where_the_list_ends() {
        let mut walking = Walking::new(Some(100), 3);
        add(&mut walking, &[90], 7, 50);
        let page = walking.end();
        assert_eq!((page.found, page.next), (vec![90], None));
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_second_it_says_where_to_go_on() {
        let mut walking = Walking::new(None, 3);
        tokio::time::advance(PATIENCE).await;
        add(&mut walking, &[90], FIRST_ROWS, 50);
        assert_eq!(walking.step(), None);
        assert_eq!(walking.end().next, Some(50));
    }
}
