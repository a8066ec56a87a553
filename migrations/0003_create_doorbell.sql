-- How a writer wakes a sleeping listener without serialising every commit of the application (design section 4).
--
-- NOTIFY takes a cluster-wide lock from pre-commit until after the WAL flush, so writers notify only while somebody
-- sleeps. Who sleeps is told by one advisory lock K, two ints: 1886351988 ('post' in ASCII) and the schema's oid.
--
-- The protocol, and why no wake-up is lost:
--   * A writer tries K in shared mode, for its transaction. Where that succeeds it says nothing; K is freed only after
--     its commit is visible to others. Where it fails it notifies.
--   * A listener that wants to sleep has LISTENed, then asks for K in exclusive mode. From the moment it asks, every
--     writer's try fails, because a waiting exclusive request is in conflict with new shared ones: those writers notify.
--   * It is granted when every writer that holds K shared, and so did not notify, has finished. It polls once after
--     that and sees them all. A writer it could not see had not tried K when it asked, so it notifies.
--   * Only one listener is granted at a time. Others wait, which suffices for writers to notify, but nobody tells them
--     about those that finished before; so the one that is granted after a wait tells the others to look (it notifies
--     with the payload 'look'), and each polls once more when its own request stands in the queue.
-- The listener's half, with the whole proof, is in src/db/doorbell/mod.rs.
--
-- A savepoint may undo a writer's lock or its NOTIFY; so ring() never remembers that it rang: the next statement
-- tries again, and what the savepoint undid it undid together with the rows.

create function postrider.ring() returns void language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  if not pg_try_advisory_xact_lock_shared(1886351988, 'postrider'::regnamespace::oid::integer)
     and coalesce(current_setting('postrider.wake', true), '') <> 'off' then
    perform pg_notify('postrider', '');
  end if;
end $$;
comment on function postrider.ring() is
  'Wakes sleeping listeners when the calling transaction commits; costs nothing while they are awake. "set postrider.wake = off" silences it, for PREPARE TRANSACTION and for roles with a very short lock_timeout; listeners then find the rows by their poll, within a second.';

-- Asked in slices: a waiting request holds a snapshot, and VACUUM and CREATE INDEX CONCURRENTLY wait for those. A slice
-- is shorter than the usual deadlock_timeout of 1 s, after which log_lock_waits would write to the log.
create function postrider.ask() returns text language plpgsql set lock_timeout = '900ms' set search_path = pg_catalog, pg_temp as $$
begin
  if pg_try_advisory_lock(1886351988, 'postrider'::regnamespace::oid::integer) then return 'at once'; end if;
  perform pg_advisory_lock(1886351988, 'postrider'::regnamespace::oid::integer);
  return 'after a wait';
exception when lock_not_available or query_canceled then
  return null;
end $$;
comment on function postrider.ask() is 'For listeners: asks for the doorbell''s lock for up to 900 ms. ''at once'' or ''after a wait'' when granted, null when not (when cancelled, it may be held all the same).';

create function postrider.queue_grew() returns trigger language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  -- Nearly every statement adds rows of one kind, and then grouping them would cost three times as much.
  insert into postrider.queue_changes (channel, status, change)
  select min(channel), min(status), count(*) from grown having min(channel) = max(channel) and min(status) = max(status);
  if not found then
    insert into postrider.queue_changes (channel, status, change)
    select channel, status, count(*) from grown group by channel, status;
    if not found then return null; end if;
  end if;
  -- As in ring(), which is only called when somebody sleeps.
  if not pg_try_advisory_xact_lock_shared(1886351988, 'postrider'::regnamespace::oid::integer) then perform postrider.ring(); end if;
  return null;
end $$;
comment on function postrider.queue_grew() is 'Trigger: counts new rows into the queue''s depth and rings.';
create trigger queue_grew after insert on postrider.webhook_queue
  referencing new table as grown for each statement execute function postrider.queue_grew();

create function postrider.queue_shrank() returns trigger language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  insert into postrider.queue_changes (channel, status, change)
  select channel, status, -count(*) from shrunk group by channel, status;
  return null;
end $$;
comment on function postrider.queue_shrank() is 'Trigger: takes deleted rows out of the queue''s depth.';
create trigger queue_shrank after delete on postrider.webhook_queue
  referencing old table as shrunk for each statement execute function postrider.queue_shrank();

create function postrider.queue_emptied() returns trigger language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  -- TRUNCATE holds an exclusive lock, so nothing is added beside us: what is here now is all there was. Unless it is being
  -- added up, which this waits for.
  perform from postrider.queue_depth_snapshot for update;
  delete from postrider.queue_changes;
  update postrider.queue_depth set rows = 0;
  return null;
end $$;
comment on function postrider.queue_emptied() is 'Trigger: a truncated queue has no depth.';
create trigger queue_emptied after truncate on postrider.webhook_queue
  for each statement execute function postrider.queue_emptied();

-- What an operator's plain UPDATE of the status means. Completions set the lease to null themselves and go to a
-- final status, so that this fires for people only; they count their own changes of depth.
create function postrider.status_changed_by_hand() returns trigger language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  new.lease_token := null;
  new.lease_until := null;
  new.updated_at := now();
  if new.status = 'pending' then
    if new.attempts = old.attempts then new.attempts := 0; end if;
    new.crashes := 0;
    new.first_attempt_at := null;
    -- Due now, if it is due: what has become due of late is found first.
    new.next_retry_at := greatest(new.next_retry_at, now());
    perform postrider.ring();
  end if;
  insert into postrider.queue_changes (channel, status, change) values (old.channel, old.status, -1), (new.channel, new.status, 1);
  return new;
end $$;
comment on function postrider.status_changed_by_hand() is 'Trigger: a re-queued row gets a full new cycle and rings; any change of status by hand ends the lease, so that a late outcome undoes nothing.';
create trigger status_changed_by_hand before update on postrider.webhook_queue
  for each row when (old.status is distinct from new.status and (new.status = 'pending' or new.lease_token is not null or old.lease_token is null))
  execute function postrider.status_changed_by_hand();
