-- tail.read: events that one snapshot sees and an earlier one does not, by id, a page; with how things stand
with given as materialized (
  -- $1 the earlier snapshot, $2 the later one: none is that of this statement
  select $1::text::pg_snapshot as earlier, coalesce($2::text::pg_snapshot, pg_current_snapshot()) as later
), finished as materialized (
  -- No row looked for is of a transaction below this one.
  select coalesce(
      (select running.xid from pg_snapshot_xip(given.earlier) as running(xid)
       where pg_visible_in_snapshot(running.xid, given.later) order by running.xid limit 1)
    , pg_snapshot_xmax(given.earlier)) as xid
  from given
), low as materialized (
  -- Nor does one stand at or below this id: $3 has been read, and marks bound the rest ($4 and $5 are those in memory).
  select greatest($3::bigint
    , (select mark.id from unnest($4::text[]::xid8[], $5::bigint[]) as mark(xid, id)
       where mark.xid <= finished.xid order by mark.xid desc limit 1)
    , (select mark.event_id from postrider.tail_marks mark
       where mark.next_xid <= finished.xid order by mark.next_xid desc limit 1)) as id
  from finished
), found as (
  select event.id, event.nonce, event.instance_id, event.type, event.data, event.created_at, event.xid
  from postrider.events event
  where event.id > (select low.id from low)
    and not pg_visible_in_snapshot(event.xid, (select given.earlier from given))
    and pg_visible_in_snapshot(event.xid, (select given.later from given))
    -- $6: of one instance
    and ($6::bigint is null or event.instance_id = $6)
  order by event.id
  limit $7::bigint + 1
), page as (
  -- At most $7 rows and about $8 bytes, but at least one row: the first to go over the limit ends the page.
  select found.*
    , row_number() over (order by found.id) as number
    , count(*) over () as found
    , sum(pg_column_size(found.data)) over (order by found.id) - pg_column_size(found.data) as bytes_before
  from found
)
select given.later::text as snapshot
  , clock_timestamp() as read_at
  , age(pg_snapshot_xmax(given.later)::xid) as begun_since
  -- While nextval writes to the log it shows a number up to 32 ahead to those who look.
  , (select greatest(sequence.last_value - 33, 0) from postrider.events_id_seq sequence) as last_id
  , (select incarnation.id from postrider.incarnation) as incarnation
  , (select known.epoch from postrider.epochs known order by known.number desc limit 1) as epoch
  , pg_is_in_recovery() as is_standby
  , (select removed.event_id from postrider.removed_events removed) as removed_id
  , (select removed.xid::text from postrider.removed_events removed) as removed_xid
  , low.id as low_id
  , finished.xid::text as oldest_xid
  , page.found
  , page.id, page.nonce, page.instance_id, page.type, page.data::text as data, page.created_at, page.xid::text as xid
  -- Of few events, so that hardly any row is wider for it. It is written in the event's own transaction.
  , (select sender.sender from postrider.event_senders sender where sender.event_id = page.id) as sender
from given cross join low cross join finished
left join page on page.number <= $7::bigint and page.bytes_before < $8::bigint
order by page.id
