//! NOTIFY becomes events: fire and forget, from anything that can run one line of SQL.
//!
//! ```sql
//! select pg_notify('postrider_emit', '{"instance": "my-instance", "type": "message.exchange", "data": {}}');
//! ```
//!
//! Also `"idempotency_key"`. What cannot be read or emitted is kept in `postrider.rejected_notifications`, with why.
//!
//! # What it promises
//!
//! **A notification is not durable.** Postgres keeps it for those who LISTEN when it commits: while no ingest runs, it is
//! lost, and Postgres also drops a second notification with the same payload in one transaction. Who needs more calls
//! `postrider.emit` instead.
//!
//! While an ingest runs, nothing is lost and nothing comes twice, also when it ends or dies and another takes over:
//!
//! - Every ingest hears every notification, in the same order: that of the commits. One of them, the holder of the duty,
//!   turns them into events; the others keep what they hear (`waiting`).
//! - The holder tells the others, in the transaction that emits a batch, how many it took: they forget as many. The word
//!   and the events are committed together or not at all, and the word comes after the notifications it is about.
//! - A batch is emitted only under the duty's row lock; so who takes over has every word of the former holder before its
//!   own first one, waits until that one arrives, and goes on with what it still has.
//!
//! The exception: a standby that has just begun to listen does not have what the holder was behind by at that moment,
//! forgets as many too many, and is in step once it has had nothing to keep. If the holder dies before, that much is lost.
//! And when the holder's own connection breaks it gives the duty up: what was said meanwhile only a standby has heard.

mod notice;
mod reader;
mod waiting;

pub use reader::Ingest;
