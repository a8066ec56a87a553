//! What slows a queue down that was fast yesterday: rows that vacuum may not remove, and vacuum that does not come.

use super::finding::{Finding, ago, size};
use crate::cli::output::moment;
use crate::db::doctor::{Server, Slot, Table, Transaction};

/// Ten times what makes autovacuum come by.
const DEAD_MAX: i64 = 200_000;
/// A transaction older than this holds back more dead rows than a queue likes.
const TRANSACTION_S: f64 = 300.0;
/// A slot that nobody reads may hold so much.
const SLOT_IDLE_BYTES: i64 = 1024 * 1024 * 1024;
/// Any slot may hold so much.
const SLOT_BYTES: i64 = 10 * SLOT_IDLE_BYTES;

/// Autovacuum.
pub(super) fn vacuum(server: Option<&Server>, tables: &[Table]) -> Vec<Finding> {
    let mut findings = Vec::new();
    if server.is_some_and(|server| !server.autovacuums) {
        findings.push(Finding::failure(
            "autovacuum",
            "it is off: the queue grows and slows down without an end",
            "alter system set autovacuum = on; alter system set track_counts = on; select pg_reload_conf();",
        ));
    }
    for table in tables {
        let name = &table.table_name;
        if !table.autovacuums {
            findings.push(Finding::failure(
                "autovacuum",
                format!("it is off for postrider.{name}"),
                format!("alter table postrider.{name} reset (autovacuum_enabled);"),
            ));
        } else if table.dead > DEAD_MAX && table.dead > table.live / 5 {
            let last = table
                .last_autovacuum
                .map_or_else(|| "never".to_owned(), moment);
            findings.push(Finding::warning(
                "autovacuum",
                format!(
                    "it does not keep up: postrider.{name} has {} dead rows to {} live ones in {}; last vacuumed: {last}",
                    table.dead,
                    table.live,
                    size(table.bytes)
                ),
                format!("first whatever is said about transactions and slots; then: vacuum (verbose) postrider.{name};"),
            ));
        }
    }
    if findings.is_empty() {
        let dead: i64 = tables.iter().map(|table| table.dead).sum();
        findings.push(Finding::ok(
            "autovacuum",
            format!("it keeps up: {dead} dead rows in all"),
        ));
    }
    findings
}

/// Old transactions.
pub(super) fn transactions(sees_all: bool, open: &[Transaction]) -> Vec<Finding> {
    let mut findings: Vec<_> = open
        .iter()
        .filter(|transaction| transaction.age_s > TRANSACTION_S)
        .map(old_transaction)
        .collect();
    if findings.is_empty() {
        let oldest = open.first().map_or(0.0, |oldest| oldest.age_s);
        findings.push(Finding::ok(
            "transactions",
            format!("the oldest is {} old", ago(oldest)),
        ));
    }
    if !sees_all {
        findings.push(Finding::note(
            "transactions",
            "this role sees only its own sessions",
            "grant pg_read_all_stats to it, to have the others looked at too",
        ));
    }
    findings
}

/// One that is too old.
fn old_transaction(transaction: &Transaction) -> Finding {
    let Transaction {
        pid,
        name,
        role,
        database,
        state,
        age_s,
    } = transaction;
    let age = ago(*age_s);
    match pid {
        None => Finding::warning(
            "transactions",
            format!(
                "prepared transaction {name:?} of {role} in {database} is {age} old; vacuum removes nothing that is newer"
            ),
            format!(
                "in {database}: rollback prepared '{}'; (or commit it)",
                name.replace('\'', "''")
            ),
        ),
        Some(pid) => Finding::warning(
            "transactions",
            format!(
                "a transaction of {role} in {database} ({name:?}, {state}) is {age} old; vacuum removes nothing that is newer"
            ),
            format!(
                "select pg_terminate_backend({pid}); and set idle_in_transaction_session_timeout for {role}"
            ),
        ),
    }
}

/// Replication slots.
pub(super) fn slots(slots: &[Slot]) -> Vec<Finding> {
    let hazards: Vec<_> = slots.iter().filter_map(hazard).collect();
    if hazards.is_empty() {
        return vec![Finding::ok(
            "replication slots",
            format!("{} in use, none of them a burden", slots.len()),
        )];
    }
    hazards
}

/// What is wrong with one, if anything.
fn hazard(slot: &Slot) -> Option<Finding> {
    let name = &slot.name;
    let held = size(slot.bytes);
    let drop =
        format!("if nobody will ever read it again: select pg_drop_replication_slot('{name}');");
    if !slot.active && slot.holds_rows {
        Some(Finding::warning(
            "replication slots",
            format!(
                "nobody reads slot {name}, and it keeps vacuum from removing rows ({} transactions) and {held} of log",
                slot.transactions
            ),
            drop,
        ))
    } else if !slot.active && slot.bytes > SLOT_IDLE_BYTES {
        Some(Finding::warning(
            "replication slots",
            format!("nobody reads slot {name}, and it holds {held} of log, until the disk is full"),
            drop,
        ))
    } else if slot.bytes > SLOT_BYTES {
        Some(Finding::warning(
            "replication slots",
            format!("the reader of slot {name} is {held} of log behind"),
            "see to its reader; max_slot_wal_keep_size bounds what a slot may hold",
        ))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::{Finding, Level};
    use super::{Slot, Table, Transaction, slots, transactions, vacuum};

    /// Asserts the worst level and what is said with it.
    fn check(findings: &[Finding], level: Level, part: &str) {
        let worst = findings.iter().max_by_key(|finding| finding.level).unwrap();
        assert_eq!(worst.level, level, "{findings:?}");
        let remedy = worst.remedy.clone().unwrap_or_default();
        assert!(
            format!("{} {remedy}", worst.message).contains(part),
            "{findings:?}"
        );
    }

    fn slot(active: bool, holds_rows: bool, bytes: i64) -> Slot {
        Slot {
            name: "s".into(),
            active,
            holds_rows,
            bytes,
            transactions: 7,
        }
    }

    #[test]
    fn a_slot_is_a_hazard_when_nobody_reads_it_or_its_reader_is_far_behind() {
        const GIB: i64 = 1024 * 1024 * 1024;
        check(&slots(&[]), Level::Ok, "0 in use");
        check(&slots(&[slot(true, true, GIB)]), Level::Ok, "1 in use");
        check(&slots(&[slot(false, false, GIB / 2)]), Level::Ok, "");
        check(
            &slots(&[slot(false, false, 3 * GIB)]),
            Level::Warning,
            "holds 3 GiB of log",
        );
        check(
            &slots(&[slot(false, true, 0)]),
            Level::Warning,
            "pg_drop_replication_slot('s')",
        );
        check(
            &slots(&[slot(true, false, 11 * GIB)]),
            Level::Warning,
            "11 GiB of log behind",
        );
    }

    #[test]
    fn an_old_transaction_is_named_with_how_to_end_it() {
        let open = |pid, state: &str, age_s| Transaction {
            pid,
            name: "it's".into(),
            role: "app".into(),
            database: "shop".into(),
            state: state.into(),
            age_s,
        };
        check(&transactions(true, &[]), Level::Ok, "0 s old");
        check(
            &transactions(true, &[open(Some(1), "active", 200.0)]),
            Level::Ok,
            "3 min old",
        );
        check(&transactions(false, &[]), Level::Note, "pg_read_all_stats");
        let idle = [open(Some(42), "idle in transaction", 7200.0)];
        check(
            &transactions(true, &idle),
            Level::Warning,
            "pg_terminate_backend(42)",
        );
        let prepared = [open(None, "prepared", 3.0 * 86400.0)];
        check(
            &transactions(true, &prepared),
            Level::Warning,
            "rollback prepared 'it''s'",
        );
    }

    #[test]
    fn many_dead_rows_are_a_warning_only_where_they_are_many_for_the_table() {
        let table = |live, dead| Table {
            table_name: "webhook_queue".into(),
            live,
            dead,
            last_autovacuum: None,
            autovacuums: true,
            bytes: 0,
        };
        check(&vacuum(None, &[table(100, 150_000)]), Level::Ok, "");
        check(
            &vacuum(None, &[table(10_000_000, 1_000_000)]),
            Level::Ok,
            "",
        );
        check(
            &vacuum(None, &[table(100, 300_000)]),
            Level::Warning,
            "last vacuumed: never",
        );
    }
}
