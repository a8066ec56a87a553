//! Where a reader of the log is, as a short text that clients keep.
//!
//! `(epoch, A, B, i)`: all that snapshot A sees has been read, and of what B sees besides, the events up to id i. So it
//! denotes exactly what was read, is the same for every reader, and any process can go on from it.
//!
//! A snapshot's text reaches 455 characters beside 64 writers. Here numbers are varints, B stands first and A as the
//! difference from it, and who was running is a bitmap where that is shorter. What changes from event to event, i, stands
//! last, so that the rest is encoded once a step.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;

use super::snapshot::Snapshot;

/// The first byte; another layout will have another.
const VERSION: u8 = 1;
/// No server runs so many transactions; a text that says so is none of ours.
const RUNNING_MAX: u64 = 1 << 16;

/// One history of transaction ids: a cluster, a database in it, and the time from one crash to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Epoch(pub i64);

/// A position in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// The history it belongs to.
    pub epoch: Epoch,
    /// All that this one sees has been read.
    pub before: Snapshot,
    /// What it sees besides has been read up to `id`.
    pub after: Snapshot,
    /// The last event read of those.
    pub id: i64,
}

/// A text that is no cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a cursor of this server")]
pub struct NotACursor;

impl Cursor {
    /// Everything that the snapshot sees has been read.
    pub fn at(epoch: Epoch, snapshot: Snapshot) -> Self {
        Self {
            epoch,
            before: snapshot.clone(),
            after: snapshot,
            id: 0,
        }
    }

    /// What lies between here and a later place of the same epoch: the rest of this one's own step, and what came since. Of each,
    /// what `after` sees and `before` does not, above `id`.
    pub fn stretches_to(&self, present: &Self) -> [Self; 2] {
        [
            Self {
                epoch: present.epoch,
                ..self.clone()
            },
            Self {
                epoch: present.epoch,
                before: self.after.clone(),
                after: present.after.clone(),
                id: 0,
            },
        ]
    }

    /// Whether it has this event behind it.
    pub fn has_read(&self, xid: u64, id: i64) -> bool {
        self.before.sees(xid) || (id <= self.id && self.after.sees(xid))
    }

    /// The part that all events of a step share; [`Stem::cursor`] completes it.
    pub fn stem(epoch: Epoch, before: &Snapshot, after: &Snapshot) -> Stem {
        let mut bytes = vec![VERSION];
        bytes.extend_from_slice(&epoch.0.to_le_bytes());
        put_snapshot(&mut bytes, after, 0);
        put_snapshot(&mut bytes, before, after.xmin());
        Stem(bytes)
    }
}

/// A cursor without its last part.
#[derive(Debug, Clone)]
pub struct Stem(Vec<u8>);

impl Stem {
    /// The cursor after this event, as text.
    pub fn cursor(&self, id: i64) -> String {
        let mut bytes = Vec::with_capacity(self.0.len() + 10);
        bytes.extend_from_slice(&self.0);
        put(&mut bytes, id.unsigned_abs());
        BASE64.encode(bytes)
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stem = Self::stem(self.epoch, &self.before, &self.after);
        formatter.write_str(&stem.cursor(self.id))
    }
}

impl FromStr for Cursor {
    type Err = NotACursor;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = BASE64.decode(text).map_err(|_| NotACursor)?;
        read(&mut &bytes[..]).ok_or(NotACursor)
    }
}

/// The whole of it, or none.
fn read(from: &mut &[u8]) -> Option<Cursor> {
    let (&version, rest) = from.split_first()?;
    let (epoch, rest) = rest.split_first_chunk()?;
    *from = rest;
    let after = take_snapshot(from, 0)?;
    let before = take_snapshot(from, after.xmin())?;
    let id = i64::try_from(take(from)?).ok()?;
    (version == VERSION && from.is_empty()).then_some(Cursor {
        epoch: Epoch(i64::from_le_bytes(*epoch)),
        before,
        after,
        id,
    })
}

/// A snapshot: xmin against `base`, the span to xmax, and who runs in between.
fn put_snapshot(to: &mut Vec<u8>, snapshot: &Snapshot, base: u64) {
    let xmin = snapshot.xmin();
    put(to, zigzag(xmin.wrapping_sub(base).cast_signed()));
    let span = snapshot.xmax - xmin;
    put(to, span);
    let count = snapshot.running.len() as u64;
    let bitmap_bytes = span.div_ceil(8);
    let as_bitmap = bitmap_bytes < count;
    put(to, count << 1 | u64::from(as_bitmap));
    if as_bitmap {
        let start = to.len();
        to.extend((0..bitmap_bytes).map(|_| 0));
        for &xid in &snapshot.running {
            let bit = usize::try_from(xid - xmin).expect("a bitmap is no longer than the list");
            to[start + bit / 8] |= 1 << (bit % 8);
        }
        return;
    }
    let mut last = xmin;
    for &xid in &snapshot.running {
        put(to, xid - last);
        last = xid;
    }
}

/// The way back.
fn take_snapshot(from: &mut &[u8], base: u64) -> Option<Snapshot> {
    let xmin = base.wrapping_add(unzigzag(take(from)?).cast_unsigned());
    let xmax = xmin.checked_add(take(from)?)?;
    i64::try_from(xmax).ok()?;
    let packed = take(from)?;
    let (count, as_bitmap) = (packed >> 1, packed & 1 == 1);
    if count > RUNNING_MAX {
        return None;
    }
    let mut running = Vec::new();
    if as_bitmap {
        let length = usize::try_from((xmax - xmin).div_ceil(8)).ok()?;
        let (bitmap, rest) = from.split_at_checked(length)?;
        *from = rest;
        for (at, byte) in (0_u64..).zip(bitmap) {
            let bits = (0..8).filter(|bit| byte >> bit & 1 == 1);
            running.extend(bits.map(|bit| xmin + at * 8 + bit));
        }
    } else {
        let mut last = xmin;
        for _ in 0..count {
            last = last.checked_add(take(from)?)?;
            running.push(last);
        }
    }
    Snapshot::new(xmax, running).ok()
}

/// A number in as many bytes as it needs, seven bits each.
fn put(to: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        to.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    to.push(number.to_le_bytes()[0]);
}

/// The way back.
fn take(from: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = from.split_first()?;
        *from = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

/// Small numbers of either sign become small ones without.
fn zigzag(number: i64) -> u64 {
    (number << 1 ^ number >> 63).cast_unsigned()
}

/// The way back.
fn unzigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Cursor, Epoch, Snapshot};

    fn snapshots() -> impl Strategy<Value = Snapshot> {
        let running = prop::collection::btree_set(0_u64..300, 0..80);
        (1_u64..1 << 40, running, 0_u64..300).prop_map(|(start, running, more)| {
            let running: Vec<u64> = running.into_iter().map(|xid| start + xid).collect();
            let last = running.last().copied().unwrap_or(start);
            Snapshot::new(last + 1 + more, running).unwrap()
        })
    }

    proptest! {
        #[test]
        fn a_cursor_reads_back_as_itself(epoch: i64, before in snapshots(), after in snapshots(), id in 0..i64::MAX) {
            let cursor = Cursor { epoch: Epoch(epoch), before, after, id };
            prop_assert_eq!(cursor.to_string().parse::<Cursor>(), Ok(cursor));
        }

        #[test]
        fn no_text_makes_it_panic(text: String, bytes: Vec<u8>) {
            use base64::Engine;
            drop(text.parse::<Cursor>());
            let mut versioned = vec![super::VERSION];
            versioned.extend(bytes);
            drop(super::BASE64.encode(versioned).parse::<Cursor>());
        }
    }

    #[test]
    fn beside_64_writers_it_stays_short() {
        let running = |start: u64| (0..64).map(|n| start + n * 3 / 2).collect::<Vec<_>>();
        let before = Snapshot::new(1_000_100, running(1_000_000)).unwrap();
        let after = Snapshot::new(1_000_150, running(1_000_050)).unwrap();
        let cursor = Cursor {
            epoch: Epoch(i64::MAX),
            before,
            after,
            id: 123_456_789,
        };
        let length = cursor.to_string().len();
        assert!(length <= 80, "{length}");
    }

    #[test]
    fn it_knows_what_has_been_read() {
        let cursor = Cursor {
            epoch: Epoch(1),
            before: "10:20:10".parse().unwrap(),
            after: "25:25:".parse().unwrap(),
            id: 7,
        };
        // Seen at first; running then, read; running then, not read yet; later.
        let read = [(12, 99), (10, 6), (10, 8), (25, 1)].map(|(xid, id)| cursor.has_read(xid, id));
        assert_eq!(read, [true, true, false, false]);
    }
}
