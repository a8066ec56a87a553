//! What is ours in the database.

use url::Url;

use super::finding::{Finding, ago};
use crate::config::Config;
use crate::db::doctor::{Capture, Presence, Schema};
use crate::db::migrate::Progress;

/// A due delivery that waits longer is not being looked after.
const DUE_S: f64 = 60.0;

/// Whether it was made by a program of this version.
pub(super) fn migrations(progress: &Progress) -> Vec<Finding> {
    let Progress { applied, known } = progress;
    vec![if *applied == 0 {
        Finding::failure(
            "migrations",
            "there is no Postrider in this database yet",
            "postrider migrate",
        )
    } else if applied < known {
        Finding::failure(
            "migrations",
            format!("the schema is at migration {applied}, this program needs {known}"),
            "postrider migrate",
        )
    } else if applied > known {
        Finding::failure(
            "migrations",
            format!(
                "the database is ahead of this program: it has migration {applied}, this program knows up to {known}"
            ),
            "use a newer postrider",
        )
    } else {
        Finding::ok(
            "migrations",
            format!("the schema is up to date, at migration {applied}"),
        )
    }]
}

/// Names and copies.
pub(super) fn schema(schema: &Schema) -> Vec<Finding> {
    let names = match (schema.has_public_queue, schema.public_queue_is_ours) {
        (true, true) => Finding::ok(
            "public.webhook_queue",
            "it is our view, so the documented lines work as written",
        ),
        (true, false) => Finding::warning(
            "public.webhook_queue",
            "there is another public.webhook_queue, which is not ours and was left alone: lines that name webhook_queue without a schema do not reach the queue",
            "write postrider.webhook_queue; or rename the other one, and: create view public.webhook_queue as select * from postrider.webhook_queue;",
        ),
        (false, _) => Finding::note(
            "public.webhook_queue",
            "there is no public.webhook_queue",
            "write postrider.webhook_queue; or: create view public.webhook_queue as select * from postrider.webhook_queue;",
        ),
    };
    let copy = match schema.is_copy {
        Some(true) => Finding::failure(
            "installation",
            "this database is a copy of another one: nothing is delivered from it",
            "leave it so where it is a copy; where it is the original now: postrider adopt",
        ),
        Some(false) => Finding::ok("installation", "this database is the one that delivers"),
        None => Finding::note(
            "installation",
            "no worker has ever run here",
            "postrider serve",
        ),
    };
    vec![names, copy]
}

/// Whether captures see what they are to see.
pub(super) fn captures(captures: &[Capture]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for Capture {
        relation,
        name,
        enabled,
        attached_to,
    } in captures
    {
        if !enabled {
            findings.push(Finding::warning(
                "captures",
                format!("triggers of capture {name:?} on {relation} are disabled: what is written to it is no event"),
                format!("call postrider.capture('{relation}', …) again, as in postrider.captures; or: select postrider.uncapture('{relation}');"),
            ));
        }
        if let Some(parent) = attached_to {
            findings.push(Finding::warning(
                "captures",
                format!(
                    "{relation} has become a part of {parent} after capture {name:?}: what is written through {parent} is no event"
                ),
                format!("call postrider.capture('{relation}', …) again, as in postrider.captures; or capture {parent} in its place"),
            ));
        }
    }
    if findings.is_empty() {
        findings.push(Finding::ok(
            "captures",
            format!("there are {}", captures.len()),
        ));
    }
    findings
}

/// Whether anybody works.
pub(super) fn presence(presence: &Presence) -> Vec<Finding> {
    let mut findings = vec![if presence.has_workers && !presence.duties.is_empty() {
        Finding::ok(
            "workers",
            format!(
                "workers are connected; duties held: {}",
                presence.duties.join(", ")
            ),
        )
    } else if presence.has_workers {
        Finding::warning(
            "workers",
            "workers are connected, but none of them does the maintenance",
            "look for errors in their logs; it may also be the first seconds after a start",
        )
    } else {
        Finding::warning(
            "workers",
            "no worker is connected: nothing is delivered",
            "postrider serve",
        )
    }];
    if presence.has_workers
        && let Some(waits) = presence.oldest_due_s.filter(|waits| *waits > DUE_S)
    {
        findings.push(Finding::warning(
            "queue",
            format!("a delivery has been due for {}, and nobody has taken it", ago(waits)),
            "start more workers, or raise worker.in_flight_max; `postrider queue stats` shows the depth",
        ));
    }
    findings.extend(deliveries(presence));
    findings
}

/// How those fare to whom is delivered.
fn deliveries(presence: &Presence) -> Vec<Finding> {
    let Presence {
        failing_endpoints: failing,
        paused_endpoints: paused,
        dead_letters: dead,
        ..
    } = presence;
    let mut findings = Vec::new();
    if *failing > 0 {
        findings.push(Finding::warning(
            "endpoints",
            format!("{failing} of them fail; what is for them is tried again by their schedules"),
            "see why: select * from postrider.endpoint_list where failing_since is not null",
        ));
    }
    if *paused > 0 {
        findings.push(Finding::warning(
            "endpoints",
            format!("{paused} of them are paused; what is for them is held"),
            "see why: select * from postrider.endpoint_list where state = 'paused'; then `postrider endpoint enable`",
        ));
    }
    if *dead > 0 {
        findings.push(Finding::note(
            "dead letters",
            format!("there are {dead}, for somebody to look at"),
            "postrider queue dead; postrider queue requeue",
        ));
    }
    if findings.is_empty() {
        findings.push(Finding::ok(
            "endpoints",
            "none fails or is paused, and there are no dead letters",
        ));
    }
    findings
}

/// How we say we are reached.
pub(super) fn public_url(config: &Config) -> Vec<Finding> {
    vec![match config.http.public_url.as_deref() {
        Some(text)
            if Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https")) =>
        {
            Finding::ok("http.public_url", format!("set to {text}"))
        }
        Some(_) => Finding::warning(
            "http.public_url",
            "it is not a URL that anybody could open",
            "set http.public_url (POSTRIDER_HTTP__PUBLIC_URL) to https://…",
        ),
        None => Finding::note(
            "http.public_url",
            format!(
                "not set: envelopes that name this server say http://{}",
                config.http.listen
            ),
            "set http.public_url (POSTRIDER_HTTP__PUBLIC_URL) to how others reach it",
        ),
    }]
}
