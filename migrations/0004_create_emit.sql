-- The application's side: one function call in its own transaction. What commits is delivered; what rolls back never was.

create function postrider.event_id(id bigint, nonce integer) returns text
  language sql immutable parallel safe
  -- The cast is spelled out because "|| id" is stable in the eyes of Postgres: such a body is not inlined, but parsed and
  -- planned in every statement that calls it, which was a quarter of what an emit costs.
  return 'evt_' || id::text || '_' || to_hex(nonce);
comment on function postrider.event_id(bigint, integer) is 'The public id of an event: also the webhook-id of all its deliveries.';

-- Base64 media is often most of an event; an endpoint that does not want it is not made to store it.
create function postrider.without_media_base64(data json) returns json
  language sql immutable parallel safe
  return case when position('"base64"' in data::text) = 0 then data
    else (data::jsonb #- '{message,media,base64}' #- '{media,base64}' #- '{message,base64}')::json end;
comment on function postrider.without_media_base64(json) is 'Internal: The event without base64 media: message.media.base64, media.base64 and message.base64 are removed.';

create table postrider.limits (
  one boolean primary key default true check (one)
, payload_bytes_max bigint not null default 12582912
, idempotency_retention interval not null default '24 hours'
);
comment on table postrider.limits is 'One row: what emit goes by, as the program was configured that started last. (Settings of the server would be a superuser''s to make.)';
comment on column postrider.limits.one is 'Always true: there is one row.';
comment on column postrider.limits.payload_bytes_max is 'The largest event data: limits.payload_bytes_max.';
comment on column postrider.limits.idempotency_retention is 'How long a key is known: retention.idempotency_hours.';
insert into postrider.limits default values;

create function postrider.check_event(instance text, type text, data json) returns void
  language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  most bigint;
begin
  if type is null or type = '' or length(type) > 200 or type ~ '[[:cntrl:][:space:]]' then
    raise exception using errcode = 'invalid_parameter_value',
      message = format('postrider: event type %L of instance %L is not a name', type, instance),
      hint = 'A type is 1 to 200 characters without spaces or control characters, for example order.paid.';
  end if;
  if data is null then
    raise exception using errcode = 'null_value_not_allowed',
      message = format('postrider: event %s of instance %L has no data', type, instance),
      hint = 'Give at least ''{}''.';
  end if;
  if octet_length(data::text) > 1048576 then
    select l.payload_bytes_max into most from postrider.limits l;
    if octet_length(data::text) > most then
      raise exception using errcode = 'program_limit_exceeded',
        message = format('postrider: event %s of instance %L is %s bytes, more than the limit of %s', type, instance, octet_length(data::text), most),
        hint = 'Send a URL in place of the content, or raise limits.payload_bytes_max (POSTRIDER_LIMITS__PAYLOAD_BYTES_MAX) and start Postrider anew.';
    end if;
  end if;
end $$;
comment on function postrider.check_event(text, text, json) is 'Internal: Raises an error that names the event when its type or data cannot be accepted.';

create function postrider.instance_missing(name text) returns void
  language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  raise exception using errcode = 'no_data_found',
    message = case when name is null then 'postrider: the event names no instance' else format('postrider: there is no instance %L', name) end,
    hint = case when name is null then 'Give the name of an instance.' else format('Create it: select postrider.create_instance(%L);', name) end;
end $$;
comment on function postrider.instance_missing(text) is 'Internal: Raises the error for an unknown instance.';

-- One event and its deliveries. Every single event comes through here, from emit and from captures, so it is measured by the
-- instruction: what an expression and a statement of plpgsql cost anew in each transaction is most of it. What it does not
-- accept is for the callers to look at, who know what to say of it. Roles that may capture can call it, so it takes no id:
-- one that was drawn before, for a key or because the data is large and was looked at, is the last that this session drew.
create function postrider.write_event(type text, instance text, data json, event_nonce integer default null, drawn boolean default false) returns bigint
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  owner bigint;
  event bigint;
  queued bigint;
  without_media bytea;
begin
  if (drawn or octet_length(data::text) <= 1048576) is not true then return null; end if;
  -- The xid before the id: the tail relies on it.
  insert into postrider.events (xid, id, nonce, instance_id, type, data) overriding system value
  select pg_current_xact_id(), case when drawn then currval('postrider.events_id_seq') else nextval('postrider.events_id_seq') end
       , coalesce(event_nonce, (random() * 4294967295 - 2147483648)::integer), i.id, write_event.type, write_event.data
  from postrider.instances i where i.name = write_event.instance
  returning id, nonce, instance_id into event, event_nonce, owner;
  if position('"base64"' in data::text) > 0 then
    without_media := convert_to(postrider.without_media_base64(data)::text, 'UTF8');
  end if;
  insert into postrider.webhook_queue (instance_name, url, payload, event_type, max_attempts, channel, endpoint_id, event_id, event_nonce, target, lane)
  select write_event.instance, case when e.by_events then postrider.endpoint_url(e.url, true, write_event.type, e.dialect) else e.url end
       , case when without_media is null or e.media_base64 then convert_to(write_event.data::text, 'UTF8') else without_media end
       , write_event.type, e.attempts_max, e.channel, e.id, event, write_event.event_nonce, e.id, e.lane
  from postrider.endpoints e
  where e.instance_id = owner and e.state <> 'disabled'
    and (write_event.type = any (e.wanted) or e.wanted = '{}' and not starts_with(write_event.type, 'postrider.'));
  get diagnostics queued = row_count;
  if queued > 0 then
    insert into postrider.queue_changes (channel, status, change) values ('webhook', 'pending', queued);
  end if;
  -- As in ring(), which is only called when somebody sleeps. An event that nobody wants yet still has to reach whoever
  -- tails the log.
  if not pg_try_advisory_xact_lock_shared(1886351988, 'postrider'::regnamespace::oid::integer) then perform postrider.ring(); end if;
  return event;
end $$;
comment on function postrider.write_event(text, text, json, integer, boolean) is 'Internal: Writes one event with its deliveries, counts them and rings; returns the event''s number, or null where there is no such instance or the data wants looking at.';

-- One event. The usual call, so it takes the short way: no arrays, and one statement each for event and deliveries.
create function postrider.emit(instance text, type text, data json, idempotency_key text default null, sender text default null) returns text
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  owner bigint;
  event bigint;
  event_nonce integer := (random() * 4294967295 - 2147483648)::integer;
  drawn boolean := false;
begin
  -- A bounded repetition in the pattern would cost 11 us.
  if data is null or type is null or octet_length(data::text) > 1048576 or length(type) > 200 or type !~ '^[a-z0-9._-]+$' then
    if not exists (select from postrider.instances i where i.name = emit.instance) then perform postrider.instance_missing(instance); end if;
    perform postrider.check_event(instance, type, data);
    -- The xid before the id: the tail relies on it.
    drawn := pg_current_xact_id() is not null and nextval('postrider.events_id_seq') is not null;
  end if;

  if idempotency_key is not null then
    select i.id into owner from postrider.instances i where i.name = emit.instance;
    if owner is null then perform postrider.instance_missing(instance); end if;
    -- The xid before the id: the tail relies on it.
    perform pg_current_xact_id();
    event := nextval('postrider.events_id_seq');
    drawn := true;
    insert into postrider.idempotency_keys as known (instance_id, key, event_id, event_nonce)
    values (owner, idempotency_key, event, event_nonce)
    on conflict on constraint idempotency_keys_pkey do update
      set event_id = excluded.event_id, event_nonce = excluded.event_nonce, created_at = excluded.created_at
      where known.created_at < now() - (select l.idempotency_retention from postrider.limits l);
    if not found then
      return (select postrider.event_id(k.event_id, k.event_nonce) from postrider.idempotency_keys k
              where k.instance_id = owner and k.key = idempotency_key);
    end if;
  end if;

  event := postrider.write_event(type, instance, data, event_nonce, drawn);
  if event is null then perform postrider.instance_missing(instance); end if;
  if sender is not null then perform postrider.note_senders(array[postrider.event_id(event, event_nonce)], array[sender]); end if;
  return postrider.event_id(event, event_nonce);
end $$;
comment on function postrider.emit(text, text, json, text, text) is
  'Emits one event and queues its deliveries in the caller''s transaction; returns the event''s id. With an idempotency key, a second call within 24 h returns the first id and emits nothing. A sender is told where envelopes have one, in place of the instance''s own.';

-- A literal or a driver's string parameter is taken as text, a jsonb value as jsonb: no caller has to cast.
create function postrider.emit(instance text, type text, data text, idempotency_key text default null, sender text default null) returns text
  language sql return postrider.emit(instance, type, data::json, idempotency_key, sender);
comment on function postrider.emit(text, text, text, text, text) is 'emit with the data as JSON text.';
create function postrider.emit(instance text, type text, data jsonb, idempotency_key text default null, sender text default null) returns text
  language sql return postrider.emit(instance, type, data::json, idempotency_key, sender);
comment on function postrider.emit(text, text, jsonb, text, text) is 'emit with the data as jsonb.';

-- Many events, set-wise. Ids are drawn first, in order, so that events and deliveries are written from the same rows.
create function postrider.emit_rows(instances text[], types text[], data json[], idempotency_keys text[] default null, senders text[] default null) returns text[]
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  bad record;
  ids text[];
  given integer := cardinality(instances);
begin
  if cardinality(types) is distinct from given or cardinality(data) is distinct from given or cardinality(idempotency_keys) <> given or cardinality(senders) <> given then
    raise exception using errcode = 'invalid_parameter_value',
      message = format('postrider.emit_rows: the arrays are not of equal length: %s', array_to_string(array[given, cardinality(types), cardinality(data), cardinality(idempotency_keys), cardinality(senders)], ', ', 'none')),
      hint = 'They are instances, types, data, idempotency_keys and senders. An element may be null in the last two, and each of those may be left out as a whole.';
  end if;
  select r.instance, r.type, r.data into bad
  from unnest(instances, types, emit_rows.data) as r(instance, type, data)
  where r.data is null or r.type is null or octet_length(r.data::text) > 1048576 or length(r.type) > 200 or r.type !~ '^[a-z0-9._-]+$'
  order by octet_length(r.data::text) desc nulls first limit 1;
  if found then
    perform postrider.check_event(r.instance, r.type, r.data)
    from unnest(instances, types, emit_rows.data) as r(instance, type, data);
  end if;
  if exists (select from unnest(instances) as r(name) left join postrider.instances i on i.name = r.name where i.id is null) then
    perform postrider.instance_missing(r.name)
    from unnest(instances) as r(name) left join postrider.instances i on i.name = r.name where i.id is null limit 1;
  end if;

  -- The xid before the ids: the tail relies on it.
  perform pg_current_xact_id();
  with given as materialized (
    select r.ord, i.id as instance_id, r.instance, r.type, r.data, r.key
         , nextval('postrider.events_id_seq') as id, (random() * 4294967295 - 2147483648)::integer as nonce
    from unnest(instances, types, emit_rows.data, idempotency_keys) with ordinality as r(instance, type, data, key, ord)
    join postrider.instances i on i.name = r.instance
    order by r.ord
  ), claimed as (
    insert into postrider.idempotency_keys as known (instance_id, key, event_id, event_nonce)
    select distinct on (g.instance_id, g.key) g.instance_id, g.key, g.id, g.nonce from given g
    where g.key is not null order by g.instance_id, g.key, g.ord
    on conflict on constraint idempotency_keys_pkey do update
      set event_id = excluded.event_id, event_nonce = excluded.event_nonce, created_at = excluded.created_at
      where known.created_at < now() - (select l.idempotency_retention from postrider.limits l)
    returning known.event_id
  ), fresh as materialized (
    select g.* from given g where g.key is null or g.id in (select event_id from claimed)
  ), logged as (
    insert into postrider.events (id, nonce, instance_id, type, data) overriding system value
    select f.id, f.nonce, f.instance_id, f.type, f.data from fresh f order by f.ord
  ), queued as (
    insert into postrider.webhook_queue (instance_name, url, payload, event_type, max_attempts, channel, endpoint_id, event_id, event_nonce, target, lane)
    select f.instance, postrider.endpoint_url(e.url, e.by_events, f.type, e.dialect)
         , convert_to(case when e.media_base64 then f.data else postrider.without_media_base64(f.data) end::text, 'UTF8')
         , f.type, e.attempts_max, e.channel, e.id, f.id, f.nonce, e.id, e.lane
    from fresh f
    join postrider.endpoints e on e.instance_id = f.instance_id and e.state <> 'disabled'
      and (f.type = any (e.wanted) or e.wanted = '{}' and not starts_with(f.type, 'postrider.'))
    order by f.ord
    returning channel
  ), counted as (
    insert into postrider.queue_changes (channel, status, change)
    select q.channel, 'pending', count(*) from queued q group by q.channel
  )
  select array_agg(case when f.id is not null then postrider.event_id(f.id, f.nonce) end order by g.ord) into ids
  from given g left join fresh f on f.ord = g.ord;
  if ids is null then return '{}'; end if;
  perform postrider.ring();

  if idempotency_keys is not null and array_position(ids, null) is not null then
    -- In a statement of its own: the first event of a key may have committed while we waited for it.
    select array_agg(coalesce(ids[r.ord], postrider.event_id(k.event_id, k.event_nonce)) order by r.ord) into ids
    from unnest(instances, idempotency_keys) with ordinality as r(instance, key, ord)
    join postrider.instances i on i.name = r.instance
    left join postrider.idempotency_keys k on k.instance_id = i.id and k.key = r.key;
  end if;
  if senders is not null then perform postrider.note_senders(ids, senders); end if;
  return ids;
end $$;
comment on function postrider.emit_rows(text[], text[], json[], text[], text[]) is 'emit for many events in one statement, given as arrays of the same length (the last two may be left out); returns their ids in order.';

create function postrider.emit_many(events json) returns text[]
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  bad bigint;
  unknown text;
  emitted text[];
begin
  if json_typeof(events) is distinct from 'array' then
    raise exception using errcode = 'invalid_parameter_value', message = 'postrider.emit_many: the argument is not a JSON array',
      hint = 'Give [{"instance": "…", "type": "…", "data": {…}, "idempotency_key": "…", "sender": "…"}, …].';
  end if;
  select e.ord into bad from json_array_elements(events) with ordinality as e(event, ord)
  where json_typeof(e.event) <> 'object' or e.event -> 'data' is null limit 1;
  if found then
    raise exception using errcode = 'invalid_parameter_value', message = format('postrider.emit_many: element %s is not an event', bad),
      hint = 'Each element is an object with "instance", "type", "data" and, if wanted, "idempotency_key" and "sender".';
  end if;
  -- A misspelt idempotency_key would silently be none.
  select e.ord, given.key into bad, unknown from json_array_elements(events) with ordinality as e(event, ord) cross join lateral json_object_keys(e.event) as given(key)
  where given.key not in ('instance', 'type', 'data', 'idempotency_key', 'sender') limit 1;
  if found then
    raise exception using errcode = 'invalid_parameter_value', message = format('postrider.emit_many: element %s has a key %L, which means nothing', bad, unknown),
      hint = 'There are "instance", "type", "data", "idempotency_key" and "sender".';
  end if;
  select postrider.emit_rows(array_agg(e.event ->> 'instance' order by e.ord), array_agg(e.event ->> 'type' order by e.ord)
       , array_agg(e.event -> 'data' order by e.ord), array_agg(e.event ->> 'idempotency_key' order by e.ord)
       , case when bool_or(e.event -> 'sender' is not null) then array_agg(e.event ->> 'sender' order by e.ord) end)
  into emitted from json_array_elements(events) with ordinality as e(event, ord);
  return coalesce(emitted, '{}');
end $$;
comment on function postrider.emit_many(json) is 'Emits an array of events in one statement: [{"instance", "type", "data", "idempotency_key"?, "sender"?}, …]; returns their ids in order.';
