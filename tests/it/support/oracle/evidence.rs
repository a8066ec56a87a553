//! What is held against a receiver and the queue, and how it is weighed: no database, no network.

use std::collections::HashMap;

/// What is known of one receiver and of the rows that were for it.
#[derive(Debug, Clone, Default)]
pub(super) struct Evidence {
    /// The ids it was sent, in the order of their arrival.
    pub(super) requests: Vec<String>,
    /// What the script says was committed.
    pub(super) events: Vec<String>,
    /// What the queue says.
    pub(super) rows: Vec<Known>,
    /// How often faults struck while it was held.
    pub(super) struck: HashMap<String, usize>,
}

/// One row of the queue.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(super) struct Known {
    pub(super) id: String,
    pub(super) delivered: bool,
    /// Attempts in its log that were not answered as they should have been: each is a reason for another request.
    pub(super) failures: i64,
}

impl Evidence {
    /// How many requests came because of faults; or what must not be.
    pub(super) fn weigh(&self) -> Result<usize, String> {
        let mut seen: HashMap<&str, usize> = HashMap::new();
        for id in &self.requests {
            *seen.entry(id).or_default() += 1;
        }
        let rows: HashMap<&str, &Known> =
            self.rows.iter().map(|row| (row.id.as_str(), row)).collect();
        for event in &self.events {
            if !rows.contains_key(event.as_str()) {
                return Err(format!("{event} was committed, and the queue has lost it"));
            }
            if !seen.contains_key(event.as_str()) {
                return Err(format!("{event} was committed, and never arrived"));
            }
        }
        for row in &self.rows {
            if row.delivered && !seen.contains_key(row.id.as_str()) {
                return Err(format!("{} is delivered, and never arrived", row.id));
            }
        }
        let mut repeated = 0;
        for (id, count) in seen {
            let Some(row) = rows.get(id) else {
                return Err(format!("{id} arrived, and the queue knows nothing of it"));
            };
            let failures = usize::try_from(row.failures).unwrap();
            let more = (count - 1).saturating_sub(failures);
            let struck = self.struck.get(id).copied().unwrap_or(0);
            if more > struck {
                return Err(format!(
                    "{id} came {count} times: {failures} attempts failed, and {struck} faults struck it"
                ));
            }
            repeated += more;
        }
        Ok(repeated)
    }
}

/// Two events that arrived once each, and are known as delivered.
fn innocent() -> Evidence {
    let row = |id: &str| Known {
        id: id.into(),
        delivered: true,
        failures: 0,
    };
    Evidence {
        requests: vec!["a".into(), "b".into()],
        events: vec!["a".into(), "b".into()],
        rows: vec![row("a"), row("b")],
        struck: HashMap::new(),
    }
}

#[test]
fn the_oracle_lets_pass_what_is_explained() {
    let mut evidence = innocent();
    assert_eq!(evidence.weigh(), Ok(0));
    evidence.requests.push("a".into());
    evidence.rows[0].failures = 1;
    assert_eq!(evidence.weigh(), Ok(0));
    evidence.requests.push("a".into());
    evidence.struck.insert("a".into(), 1);
    assert_eq!(evidence.weigh(), Ok(1));
}

#[test]
fn the_oracle_finds_whatever_is_lost_made_up_or_repeated_without_a_reason() {
    let check = |spoil: fn(&mut Evidence), said: &str| {
        let mut evidence = innocent();
        spoil(&mut evidence);
        let weighed = evidence.weigh();
        assert!(
            weighed.as_ref().is_err_and(|what| what.contains(said)),
            "{weighed:?} does not say: {said}"
        );
    };
    check(|it| drop(it.requests.pop()), "b was committed, and never");
    check(|it| drop(it.rows.pop()), "b was committed, and the queue");
    // A commit whose answer was lost on the way to the script.
    check(
        |it| drop((it.events.pop(), it.requests.pop())),
        "b is delivered, and never arrived",
    );
    check(|it| it.requests.push("c".into()), "c arrived, and the");
    check(|it| it.requests.push("a".into()), "a came 2 times");
    check(
        |it| {
            it.requests.extend(["a".into(), "a".into()]);
            it.struck.extend([("a".into(), 1), ("b".into(), 1)]);
        },
        "a came 3 times",
    );
}
