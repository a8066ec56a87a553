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
  'Internal: Wakes sleeping listeners when the calling transaction commits; costs nothing while they are awake. "set postrider.wake = off" silences it, for PREPARE TRANSACTION and for roles with a very short lock_timeout; listeners then find the rows by their poll, within a second.';

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
comment on function postrider.ask() is 'Internal, for listeners: asks for the doorbell''s lock for up to 900 ms. ''at once'' or ''after a wait'' when granted, null when not (when cancelled, it may be held all the same).';

-- The rules of the state machine, for rows that people write and for every UPDATE. Fan-out's own rows satisfy them as they are
-- made, and the application is not made to pay for looking.
create function postrider.check_state(queued postrider.webhook_queue) returns void language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  rule text;
  advice text;
begin
  select r.rule, r.advice into rule, advice from (values
    ('status_is_known', queued.status not in ('pending', 'delivered', 'failed'), 'The status is pending, delivered or failed.')
  , ('channel_is_known', queued.channel <> 'webhook', 'The channel is webhook.')
  , ('attempts_are_counted', queued.attempts < 0 or queued.crashes < 0, 'attempts and crashes are 0 or more.')
  , ('attempts_are_limited', queued.max_attempts < 1, 'max_attempts is 1 or more.')
  , ('next_retry_is_finite', not isfinite(queued.next_retry_at), 'next_retry_at is a time that comes.')
  , ('lease_is_sound', (queued.lease_token is null) <> (queued.lease_until is null) or queued.status <> 'pending' and queued.lease_token is not null
    , 'Only a pending row is held, and then by both lease_token and lease_until. Leave them to the workers.')
  ) as r(rule, broken, advice) where r.broken limit 1;
  if not found then return; end if;
  raise exception using errcode = 'check_violation', constraint = 'webhook_queue_' || rule, schema = 'postrider', table = 'webhook_queue',
    message = format('postrider: delivery %s breaks the rule webhook_queue_%s', queued.id, rule), hint = advice;
end $$;
comment on function postrider.check_state(postrider.webhook_queue) is 'Internal: Raises an error that names the rule of the state machine that a row breaks.';

create function postrider.verify_row() returns trigger language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  perform postrider.check_state(new);
  return new;
end $$;
comment on function postrider.verify_row() is 'Trigger: refuses what the state machine does not know.';
-- After status_changed_by_hand, which ends leases: triggers fire by name. The condition is that of check_state.
create trigger verify_row before update on postrider.webhook_queue
  for each row when (new.status not in ('pending', 'delivered', 'failed') or new.channel <> 'webhook' or new.attempts < 0 or new.crashes < 0 or new.max_attempts < 1 or not isfinite(new.next_retry_at)
    or (new.lease_token is null) <> (new.lease_until is null) or new.status <> 'pending' and new.lease_token is not null)
  execute function postrider.verify_row();

-- A row that is too large for a worker to hold would stop all that is claimed beside it.
create function postrider.check_size(queued postrider.webhook_queue) returns void language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  most bigint;
begin
  if octet_length(queued.payload) <= 1048576 then return; end if;
  select l.payload_bytes_max into most from postrider.limits l;
  if octet_length(queued.payload) > most then
    raise exception using errcode = 'program_limit_exceeded', constraint = 'webhook_queue_payload_is_limited', schema = 'postrider', table = 'webhook_queue',
      message = format('postrider: the payload of a delivery for %L is %s bytes, more than the limit of %s', queued.instance_name, octet_length(queued.payload), most),
      hint = 'Send a URL in place of the content, or raise limits.payload_bytes_max (POSTRIDER_LIMITS__PAYLOAD_BYTES_MAX) and start Postrider anew.';
  end if;
end $$;
comment on function postrider.check_size(postrider.webhook_queue) is 'Internal: Raises an error that names the limit which the payload of a row is over.';

create function postrider.check_row(queued postrider.webhook_queue) returns void language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  if coalesce(queued.instance_name, '') = '' then
    raise exception using errcode = 'check_violation', constraint = 'webhook_queue_instance_is_named', schema = 'postrider', table = 'webhook_queue',
      message = 'postrider: a delivery names no instance', hint = 'Set instance_name.';
  elsif queued.channel = 'webhook' and coalesce(queued.url, '') !~* '^https?://[^[:space:]]+$' then
    raise exception using errcode = 'check_violation', constraint = 'webhook_queue_url_is_http', schema = 'postrider', table = 'webhook_queue',
      message = format('postrider: the URL of a delivery for %L is not one', queued.instance_name), hint = 'It begins with http:// or https:// and has no spaces.';
  elsif (queued.event_id is null) <> (queued.event_nonce is null) then
    raise exception using errcode = 'check_violation', constraint = 'webhook_queue_event_is_whole', schema = 'postrider', table = 'webhook_queue',
      message = 'postrider: event_id and event_nonce of a delivery belong together', hint = 'Set both or neither.';
  end if;
end $$;
comment on function postrider.check_row(postrider.webhook_queue) is 'Internal: Raises an error that names what is wrong with a row written by hand.';

-- A row inserted by hand: fan-out names the lane and counts what it queues, people do not.
create function postrider.row_inserted_by_hand() returns trigger language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  perform postrider.check_size(new), postrider.check_row(new), postrider.check_state(new);
  new.target := coalesce(new.endpoint_id, -1 - (hashtextextended(new.instance_name || chr(31) || new.url, 0) & 4611686018427387903));
  new.lane := hashint8(new.target) & 63;
  insert into postrider.queue_changes (channel, status, change, due_from) values (new.channel, new.status, 1, least(new.next_retry_at, now()));
  if new.auth_header is not null and new.auth_header not like 'sealed:%' then
    insert into postrider.unsealed_rows (delivery_id) values (new.id);
  end if;
  if new.status = 'pending' then perform postrider.ring(); end if;
  return new;
end $$;
comment on function postrider.row_inserted_by_hand() is 'Trigger: checks a row inserted directly, gives it its lane, counts it into the queue''s depth and rings.';
-- Deliveries of events name their lane themselves; whoever else does is corrected.
create trigger row_inserted_by_hand before insert on postrider.webhook_queue
  for each row when (new.lane is null or new.event_id is null) execute function postrider.row_inserted_by_hand();

create function postrider.row_changed_by_hand() returns trigger language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  -- Not what was there before the limit was lowered: it is not to be in the way of a corrected URL.
  if octet_length(new.payload) > octet_length(old.payload) then perform postrider.check_size(new); end if;
  if new.endpoint_id is null then perform postrider.check_row(new); end if;
  new.target := coalesce(new.endpoint_id, -1 - (hashtextextended(new.instance_name || chr(31) || new.url, 0) & 4611686018427387903));
  new.lane := hashint8(new.target) & 63;
  if new.lane <> old.lane and new.status = 'pending' then
    -- No more rows than before, and yet one that is new to its lane.
    insert into postrider.queue_changes (channel, status, change, due_from) values (new.channel, 'pending', 0, least(new.next_retry_at, now()));
  end if;
  if new.auth_header is not null and new.auth_header not like 'sealed:%' then
    insert into postrider.unsealed_rows (delivery_id) values (new.id);
  end if;
  return new;
end $$;
comment on function postrider.row_changed_by_hand() is 'Trigger: checks a row whose destination is changed, and gives it the lane of the new one.';
create trigger row_changed_by_hand before update of instance_name, channel, url, payload, auth_header, endpoint_id, event_id, event_nonce on postrider.webhook_queue
  for each row when (new.endpoint_id is null or new.endpoint_id is distinct from old.endpoint_id
    or octet_length(new.payload) > greatest(octet_length(old.payload), 1048576))
  execute function postrider.row_changed_by_hand();

create function postrider.time_set_back_by_hand() returns trigger language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  insert into postrider.queue_changes (channel, status, change, due_from) values (new.channel, 'pending', 0, least(new.next_retry_at, now()));
  return new;
end $$;
comment on function postrider.time_set_back_by_hand() is 'Trigger: tells those who look for due rows that one is due earlier than it was.';
-- What is leased is set by workers, and so is what they release, of which they tell once for all.
create trigger time_set_back_by_hand before update on postrider.webhook_queue
  for each row when (new.next_retry_at < old.next_retry_at and old.status = 'pending' and new.status = 'pending' and old.lease_token is null
    and current_setting('postrider.releasing', true) is distinct from 'on')
  execute function postrider.time_set_back_by_hand();

create function postrider.lane_set_by_hand() returns trigger language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  raise exception using errcode = 'check_violation', constraint = 'webhook_queue_lane_follows_target', schema = 'postrider', table = 'webhook_queue',
    message = 'postrider: target and lane of a delivery follow from its destination', hint = 'Leave them out.';
end $$;
comment on function postrider.lane_set_by_hand() is 'Trigger: refuses what would hide a row from the workers.';
create trigger lane_set_by_hand before update of target, lane on postrider.webhook_queue
  for each row execute function postrider.lane_set_by_hand();

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
