//! The server and the way to it.

use time::{Duration, OffsetDateTime};

use super::finding::Finding;
use crate::causes::Causes;
use crate::config::Config;
use crate::db::doctor::{Rights, Server};
use crate::db::doorbell::Verdict;
use crate::db::{Error, Line};

/// Receivers tolerate minutes; that a clock is off by so much says that nobody sets it.
const SKEW_MAX: Duration = Duration::seconds(5);
/// Connections a process opens beside its pool: the doorbell's two, a migration, a command.
const CONNECTIONS_BESIDE_POOL: i32 = 4;

/// Why we do not get in.
pub(super) fn no_connection(error: &str) -> Vec<Finding> {
    vec![Finding::failure(
        "connection",
        error,
        "see that Postgres runs there and lets us in; `postrider config` shows which database.url and direct_url are in force",
    )]
}

/// What the way there is like.
pub(super) fn line(line: Line) -> Vec<Finding> {
    vec![match line {
        Line::Direct => Finding::ok("connection", "the database answers"),
        Line::Guarded => Finding::note(
            "connection",
            "the database answers, but a pooler keeps our settings out: every statement takes a transaction of its own",
            "set database.direct_url (POSTRIDER_DATABASE__DIRECT_URL) to a connection past the pooler",
        ),
        Line::Pooled => Finding::warning(
            "connection",
            "the database answers, through a pooler in transaction mode: every statement takes a transaction of its own, and NOTIFY does not become events",
            "set database.direct_url (POSTRIDER_DATABASE__DIRECT_URL) to a connection past the pooler",
        ),
    }]
}

/// Version, standby, durability, connections.
pub(super) fn server(config: &Config, server: &Server) -> Vec<Finding> {
    let major = server.version / 10000;
    let mut findings = vec![if (14..=18).contains(&major) {
        Finding::ok("server", format!("PostgreSQL {}", server.version_text))
    } else {
        Finding::failure(
            "server",
            format!(
                "PostgreSQL {} is not one this program is made and tested for",
                server.version_text
            ),
            "use PostgreSQL 14 to 18",
        )
    }];
    if server.is_standby {
        findings.push(Finding::failure(
            "server",
            "it is a standby: nothing can be written there",
            "let DATABASE_URL name the primary, by a name that follows it",
        ));
    }
    if !server.fsyncs {
        findings.push(Finding::warning(
            "server",
            "fsync is off: a power cut loses commits, or everything",
            "alter system set fsync = on; select pg_reload_conf();",
        ));
    }
    let pool = i32::try_from(config.database.connections_max).unwrap_or(i32::MAX);
    let free = server.connections_max - server.connections;
    let needed = pool.saturating_add(CONNECTIONS_BESIDE_POOL);
    let used = format!(
        "{} of {} connections are used",
        server.connections, server.connections_max
    );
    findings.push(if free < needed {
        Finding::warning(
            "connections",
            format!("{used}; one more process of ours may want {needed}"),
            "lower database.connections_max (POSTRIDER_DATABASE__CONNECTIONS_MAX), or raise max_connections and restart Postgres",
        )
    } else {
        Finding::ok("connections", used)
    });
    findings
}

/// Not even what we may do can be looked at.
pub(super) fn no_rights(error: &Error) -> Finding {
    Finding::failure(
        "rights",
        Causes(error).to_string(),
        "connect as the owner of schema postrider, as workers do",
    )
}

/// What we may do.
pub(super) fn rights(rights: &Rights) -> Vec<Finding> {
    let role = &rights.role;
    vec![if rights.owner.is_empty() && !rights.may_create_schema {
        Finding::failure(
            "rights",
            format!("role {role} may not make the schema postrider"),
            format!(
                "as an administrator: create schema postrider authorization \"{role}\"; grant create on database … to \"{role}\";"
            ),
        )
    } else if rights.missing.is_empty() {
        Finding::ok("rights", format!("role {role} may do what it must"))
    } else {
        let owner = &rights.owner;
        Finding::failure(
            "rights",
            format!("role {role} may not {}", rights.missing.join(", nor ")),
            format!(
                "connect as {owner}, who owns the schema; or: grant \"{owner}\" to \"{role}\";"
            ),
        )
    }]
}

/// Whether the server's clock and ours agree. `before` and `after` are ours, around the server's.
pub(super) fn clock(
    before: OffsetDateTime,
    server: OffsetDateTime,
    after: OffsetDateTime,
) -> Vec<Finding> {
    // The server answered somewhere between the two.
    let skew = if server < before {
        server - before
    } else if server > after {
        server - after
    } else {
        Duration::ZERO
    };
    let said = format!("{:+.1} s", skew.as_seconds_f64());
    vec![if skew.abs() > SKEW_MAX {
        Finding::warning(
            "clock",
            format!(
                "the database's clock and this machine's differ by {said}; signatures carry the database's time, and receivers refuse what is minutes off"
            ),
            "set both by NTP (timedatectl set-ntp true)",
        )
    } else {
        Finding::ok("clock", "the database's clock and this machine's agree")
    }]
}

/// Whether notifications arrive.
pub(super) fn doorbell(enabled: bool, verdict: Result<Verdict, Error>) -> Vec<Finding> {
    const REMEDY: &str = "set database.direct_url (POSTRIDER_DATABASE__DIRECT_URL) to a connection past the pooler; or doorbell.enabled = false, to only poll";
    vec![match verdict {
        Ok(Verdict::Direct) if !enabled => Finding::note(
            "doorbell",
            "notifications arrive, but doorbell.enabled is false: every delivery waits for a poll",
            "set doorbell.enabled = true",
        ),
        Ok(Verdict::Direct) => Finding::ok(
            "doorbell",
            "notifications arrive, and no pooler is in between",
        ),
        Ok(_) if !enabled => Finding::note(
            "doorbell",
            "only polling, as configured: deliveries begin up to doorbell.floor_poll_ms late",
            "nothing to do; or set database.direct_url and doorbell.enabled = true",
        ),
        Ok(Verdict::Pooled) => Finding::warning(
            "doorbell",
            "a pooler in transaction mode is in between: nothing wakes the workers, they only poll",
            REMEDY,
        ),
        Ok(Verdict::Deaf) => Finding::warning(
            "doorbell",
            "a notification did not arrive within 5 s: nothing wakes the workers, they only poll",
            REMEDY,
        ),
        Err(error) => Finding::unknown("doorbell", &error),
    }]
}

#[cfg(test)]
mod tests {
    use time::{Duration, OffsetDateTime};

    use super::super::finding::Level;
    use super::{Verdict, clock, doorbell, server};
    use crate::config::Config;
    use crate::db::doctor::Server;

    #[test]
    fn clocks_differ_only_by_what_the_round_trip_does_not_explain() {
        let before = OffsetDateTime::UNIX_EPOCH;
        let after = before + Duration::seconds(60);
        let check = |server, level| assert_eq!(clock(before, server, after)[0].level, level);
        check(before + Duration::seconds(30), Level::Ok);
        check(after + Duration::seconds(4), Level::Ok);
        check(after + Duration::seconds(6), Level::Warning);
        check(before - Duration::seconds(6), Level::Warning);
    }

    #[test]
    fn a_pooler_is_a_warning_unless_only_polling_is_wanted() {
        let level = |enabled, verdict| doorbell(enabled, Ok(verdict))[0].level;
        assert_eq!(level(true, Verdict::Direct), Level::Ok);
        assert_eq!(level(true, Verdict::Pooled), Level::Warning);
        assert_eq!(level(true, Verdict::Deaf), Level::Warning);
        assert_eq!(level(false, Verdict::Pooled), Level::Note);
    }

    #[test]
    fn versions_standbys_and_full_servers_are_noticed() {
        let well = Server {
            version: 150_018,
            version_text: "15.18".into(),
            is_standby: false,
            connections_max: 97,
            connections: 20,
            autovacuums: true,
            fsyncs: true,
            sees_all_sessions: true,
        };
        let worst = |facts: Server| {
            server(&Config::default(), &facts)
                .iter()
                .map(|finding| finding.level)
                .max()
        };
        assert_eq!(worst(well.clone()), Some(Level::Ok));
        assert_eq!(
            worst(Server {
                version: 130_000,
                ..well.clone()
            }),
            Some(Level::Failure)
        );
        assert_eq!(
            worst(Server {
                is_standby: true,
                ..well.clone()
            }),
            Some(Level::Failure)
        );
        assert_eq!(
            worst(Server {
                connections: 80,
                ..well.clone()
            }),
            Some(Level::Warning)
        );
        assert_eq!(
            worst(Server {
                fsyncs: false,
                ..well
            }),
            Some(Level::Warning)
        );
    }
}
