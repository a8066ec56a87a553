-- What owners and operators call: instances, endpoints, the dead-letter queue, rights.

create function postrider.create_instance(name text, token text default null, sender text default null) returns uuid
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  made uuid;
begin
  insert into postrider.instances (name, token, sender)
  values (create_instance.name, coalesce(create_instance.token, replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', '')), create_instance.sender)
  returning uid into made;
  return made;
exception
  when unique_violation then
    if not exists (select from postrider.instances i where i.name = create_instance.name) then
      raise exception using errcode = 'unique_violation', message = 'postrider: this token is in use', hint = 'Let one be made up, or take one that is random.';
    end if;
    raise exception using errcode = 'unique_violation', message = format('postrider: there is already an instance %L', name);
  when check_violation or not_null_violation then
    raise exception using errcode = 'invalid_parameter_value', message = format('postrider: %L cannot name an instance', name),
      hint = 'A name is 1 to 255 characters, without control characters and without spaces at the ends; before it may stand the name of an account and a slash.';
end $$;
comment on function postrider.create_instance(text, text, text) is 'Creates an instance, of an account where its name begins with the account''s and a slash, else of the account "default"; its token is made up unless given. Returns its public id.';

-- Deleting is quick, however much is pending: the endpoint is gone when it returns, so that no worker takes up a delivery to it; one
-- may still send what it has in its hands. What is pending for it is buried at once where that is little, and else by maintenance, in
-- steps; a worker that meets such a row buries it.
create table postrider.deleted_endpoints (
  endpoint_id bigint primary key
, why text not null
, deleted_at timestamptz not null default now()
);
comment on table postrider.deleted_endpoints is 'Endpoints that are gone and of which deliveries may still be pending: maintenance moves those to the dead letters.';
comment on column postrider.deleted_endpoints.endpoint_id is 'What the endpoint''s id was.';
comment on column postrider.deleted_endpoints.why is 'What the dead letters say.';
comment on column postrider.deleted_endpoints.deleted_at is 'When it was deleted.';

create function postrider.bury_pending(endpoint bigint, why text) returns void
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  looked_at bigint;
  buried bigint;
begin
  with head as materialized (
    select q.id, q.endpoint_id, q.lease_token from postrider.webhook_queue q
    where q.lane = (hashint8(endpoint) & 63)::smallint and q.status = 'pending' order by q.next_retry_at, q.id limit 5000
  ), moved as (
    update postrider.webhook_queue q set status = 'failed', last_error = why
    where q.id = any (array(select h.id from head h where h.endpoint_id = endpoint order by h.lease_token limit 1000)) -- first what workers have
      and q.status || '' = 'pending'
    returning q.id
  )
  select (select count(*) from head), (select count(*) from moved) into looked_at, buried;
  if looked_at = 5000 or buried = 1000 then
    insert into postrider.deleted_endpoints (endpoint_id, why) values (endpoint, bury_pending.why) on conflict do nothing;
  end if;
end $$;
comment on function postrider.bury_pending(bigint, text) is 'Internal: Moves what is pending for an endpoint that is being deleted to the dead letters, or leaves it to maintenance.';

create function postrider.delete_instance(name text) returns boolean
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  captured text := postrider.captures_naming(name);
begin
  perform postrider.bury_pending(e.id, 'the instance was deleted')
  from postrider.instances i join postrider.endpoints e on e.instance_id = i.id
  where i.name = delete_instance.name and e.channel = 'webhook';
  delete from postrider.instances i where i.name = delete_instance.name;
  if not found then return false; end if;
  if captured is not null then
    raise warning using message = format('postrider.delete_instance: captures name %L, which is gone, and what writes to %s may fail now', name, captured),
      hint = 'Create it again, or end the capture: select postrider.uncapture(''table'').';
  end if;
  return true;
end $$;
comment on function postrider.delete_instance(text) is 'Deletes an instance and its endpoints; what is pending for them goes to the dead letters. False when there is none. Warns of captures that name it.';

create function postrider.endpoint_of(instance text, label text) returns bigint
  language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
declare
  found_id bigint;
  matches bigint;
begin
  select min(e.id), count(*) into found_id, matches
  from postrider.endpoints e join postrider.instances i on i.id = e.instance_id
  where i.name = endpoint_of.instance and e.label = endpoint_of.label;
  if matches = 0 then
    if not exists (select from postrider.instances i where i.name = endpoint_of.instance) then perform postrider.instance_missing(instance); end if;
    raise exception using errcode = 'no_data_found', message = format('postrider: instance %L has no endpoint %L', instance, label);
  elsif matches > 1 then
    raise exception using errcode = 'cardinality_violation', message = format('postrider: instance %L has %s endpoints %L in different dialects', instance, matches, label),
      hint = 'Name it by its id: select id, label, dialect from postrider.endpoint_list.';
  end if;
  return found_id;
end $$;
comment on function postrider.endpoint_of(text, text) is 'The id of an endpoint by instance and label.';

-- Null leaves a value as it is when the endpoint exists, and takes the default when it is made; '' and '{}' remove secrets.
create function postrider.set_endpoint(
  instance text, url text, label text default 'default', events text[] default null, dialect text default 'postrider'
, authorization_header text default null, headers json default null, signing_secret text default null
, by_events boolean default null, media_base64 boolean default null, schedule text default null
, max_attempts integer default null, timeout_ms integer default null, max_in_flight integer default null
, channel text default 'webhook', settings json default null, state text default null
) returns bigint
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  owner bigint;
  made bigint;
  sealable text;
  sealable_settings text;
begin
  select i.id into owner from postrider.instances i where i.name = set_endpoint.instance;
  if owner is null then perform postrider.instance_missing(instance); end if;
  if schedule is not null and not exists (select from postrider.schedules s where s.name = set_endpoint.schedule) then
    raise exception using errcode = 'invalid_parameter_value', message = format('postrider: there is no schedule %L', schedule),
      hint = format('There are: %s. Add one: insert into postrider.schedules …', (select string_agg(s.name, ', ' order by s.name) from postrider.schedules s));
  end if;
  if (case json_typeof(headers) when 'object' then exists (select from json_each(headers) h where json_typeof(h.value) <> 'string')
                               when 'string' then headers #>> '{}' not like 'sealed:%'
                               else headers is not null end) then
    raise exception using errcode = 'invalid_parameter_value', message = 'postrider: headers is not a JSON object of strings', hint = 'For example ''{"x-team": "billing"}''.';
  end if;
  if (case json_typeof(settings) when 'object' then false when 'string' then settings #>> '{}' not like 'sealed:%' else settings is not null end) then
    raise exception using errcode = 'invalid_parameter_value', message = 'postrider: settings is not a JSON object', hint = 'For example ''{"uri": "amqps://…"}''.';
  end if;
  -- Whoever has the key seals them as a whole, and then they are a JSON string.
  sealable := case when json_typeof(headers) = 'string' then headers #>> '{}' when headers::jsonb <> '{}' then headers::text end;
  sealable_settings := case when json_typeof(settings) = 'string' then settings #>> '{}' when settings::jsonb <> '{}' then settings::text end;
  if signing_secret <> '' then perform postrider.check_signing_secret(signing_secret); end if;
  begin
    insert into postrider.endpoints as known (instance_id, label, url, channel, settings, events, dialect, authorization_header, headers, by_events, media_base64
      , media_fetched, schedule, max_attempts, timeout_ms, max_in_flight, state)
    values (owner, set_endpoint.label, case when set_endpoint.channel = 'webhook' then set_endpoint.url else coalesce(set_endpoint.url, '') end
      , set_endpoint.channel, sealable_settings, coalesce(set_endpoint.events, '{}'), set_endpoint.dialect, nullif(set_endpoint.authorization_header, '')
      , sealable, coalesce(set_endpoint.by_events, false), coalesce(set_endpoint.media_base64, set_endpoint.dialect = 'postrider')
      , coalesce(set_endpoint.media_base64, false), coalesce(set_endpoint.schedule, case set_endpoint.dialect when 'evolution' then 'evolution' else 'default' end), set_endpoint.max_attempts, set_endpoint.timeout_ms, set_endpoint.max_in_flight
      , coalesce(set_endpoint.state, 'enabled'))
    on conflict on constraint endpoints_label_is_unique do update set
      url = excluded.url
    , settings = case when set_endpoint.settings is null then known.settings else sealable_settings end
    , events = coalesce(set_endpoint.events, known.events)
    , authorization_header = case when set_endpoint.authorization_header is null then known.authorization_header else nullif(set_endpoint.authorization_header, '') end
    , headers = case when set_endpoint.headers is null then known.headers else sealable end
    , by_events = coalesce(set_endpoint.by_events, known.by_events)
    , media_base64 = coalesce(set_endpoint.media_base64, known.media_base64)
    , media_fetched = coalesce(set_endpoint.media_base64, known.media_fetched)
    , schedule = coalesce(set_endpoint.schedule, known.schedule)
    , max_attempts = coalesce(set_endpoint.max_attempts, known.max_attempts)
    , timeout_ms = coalesce(set_endpoint.timeout_ms, known.timeout_ms)
    , max_in_flight = coalesce(set_endpoint.max_in_flight, known.max_in_flight)
    , state = coalesce(set_endpoint.state, known.state)
    returning id into made;
  exception when check_violation or not_null_violation then
    raise exception using errcode = 'invalid_parameter_value', message = format('postrider: endpoint %L of instance %L cannot be set: %s', label, instance, sqlerrm),
      hint = 'url is http or https, at most 2048 characters; label is 1 to 50 letters, digits, underscores or dashes; channel is webhook, websocket, rabbitmq, sqs or pusher; dialect is postrider, ryze, evolution, codechat or vzaps; max_attempts is 1 to 1000; timeout_ms is 1000 to 60000; max_in_flight is 1 to 10000.';
  end;
  if signing_secret = '' then
    delete from postrider.signing_secrets k where k.endpoint_id = made;
  elsif signing_secret is not null then
    perform postrider.rotate_signing_secret(made, signing_secret);
  end if;
  return made;
end $$;
comment on function postrider.set_endpoint(text, text, text, text[], text, text, json, text, boolean, boolean, text, integer, integer, integer, text, json, text) is
  'Creates or changes an endpoint by instance, label, channel and dialect; returns its id. A new signing secret leaves the old one live for 24 h; an empty one, an empty authorization_header, headers or settings of {} remove what was there. Secrets given in SQL rest in plain until a running role seals them, within 5 s, and statement logs may hold them.';

create function postrider.check_signing_secret(secret text) returns void
  language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  if secret is null or secret not like 'sealed:%' and secret !~ '^whsec_[A-Za-z0-9+/]{32,88}={0,2}$' then
    raise exception using errcode = 'invalid_parameter_value', message = 'postrider: the signing secret is not one', hint = 'It is whsec_ and the base64 of 24 to 64 random bytes.';
  end if;
end $$;
comment on function postrider.check_signing_secret(text) is 'Internal: Raises an error unless it is a signing secret, sealed or not.';

create function postrider.endpoint_missing(endpoint bigint) returns void
  language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  raise exception using errcode = 'no_data_found', message = format('postrider: there is no endpoint %s', endpoint),
    hint = 'select id, instance, label from postrider.endpoint_list';
end $$;
comment on function postrider.endpoint_missing(bigint) is 'Internal: Raises the error for an unknown endpoint.';

create function postrider.rotate_signing_secret(endpoint bigint, secret text) returns void
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  perform postrider.check_signing_secret(secret);
  if not exists (select from postrider.endpoints e where e.id = endpoint) then perform postrider.endpoint_missing(endpoint); end if;
  update postrider.signing_secrets k set expires_at = now() + interval '24 hours'
  where k.endpoint_id = rotate_signing_secret.endpoint and k.expires_at is null and k.secret <> rotate_signing_secret.secret;
  insert into postrider.signing_secrets (endpoint_id, secret)
  select rotate_signing_secret.endpoint, rotate_signing_secret.secret where not exists (
    select from postrider.signing_secrets k
    where k.endpoint_id = rotate_signing_secret.endpoint and k.secret = rotate_signing_secret.secret and k.expires_at is null);
end $$;
comment on function postrider.rotate_signing_secret(bigint, text) is 'Signs with this secret from now on; what was current signs beside it for 24 h. A secret given in SQL rests in plain until a running role seals it.';

create function postrider.queue_test(endpoint bigint, payload text) returns bigint
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  queued bigint;
begin
  insert into postrider.webhook_queue (instance_name, url, payload, event_type, max_attempts, channel, endpoint_id)
  select i.name, postrider.endpoint_url(e.url, e.by_events, 'postrider.test', e.dialect), convert_to(queue_test.payload, 'UTF8'), 'postrider.test', 1, e.channel, e.id
  from postrider.endpoints e join postrider.instances i on i.id = e.instance_id
  where e.id = endpoint
  returning id into queued;
  if queued is null then perform postrider.endpoint_missing(endpoint); end if;
  return queued;
end $$;
comment on function postrider.queue_test(bigint, text) is 'Queues a delivery that is tried once, without an event: nothing but this endpoint sees it. Returns its id.';

create function postrider.set_endpoint_state(endpoint bigint, state text, reason text default null) returns void
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  if state is null or state not in ('enabled', 'paused', 'disabled') then
    raise exception using errcode = 'invalid_parameter_value', message = format('postrider: %s is no state of an endpoint', coalesce(quote_literal(state), 'null')),
      hint = 'There are enabled, paused and disabled.';
  end if;
  update postrider.endpoints e set state = set_endpoint_state.state, state_reason = set_endpoint_state.reason where e.id = endpoint;
  if not found then perform postrider.endpoint_missing(endpoint); end if;
  if state = 'enabled' then
    update postrider.endpoint_health h set failing_since = null, alerted_percent = 0 where h.endpoint_id = endpoint;
    perform postrider.ring();
  end if;
end $$;
comment on function postrider.set_endpoint_state(bigint, text, text) is 'Enables, pauses or disables an endpoint. What was held is released when it is enabled.';

create function postrider.delete_endpoint(endpoint bigint) returns boolean
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  perform postrider.bury_pending(e.id, 'the endpoint was deleted') from postrider.endpoints e where e.id = endpoint;
  delete from postrider.endpoints e where e.id = endpoint;
  return found;
end $$;
comment on function postrider.delete_endpoint(bigint) is 'Deletes an endpoint: no worker takes up a delivery to it any more. What is pending for it goes to the dead letters: at once where that is little, else within seconds. False when there is none.';

create view postrider.endpoint_list as
select e.id, i.name as instance, e.label, e.channel, e.dialect, e.url, e.events, e.by_events, e.media_base64
     , e.authorization_header is not null as has_authorization, e.headers is not null as has_headers
     , (select count(*) from postrider.signing_secrets k where k.endpoint_id = e.id and (k.expires_at is null or k.expires_at > now())) as signing_secrets
     , e.schedule, coalesce(e.max_attempts, s.max_attempts) as max_attempts, coalesce(e.timeout_ms, s.timeout_ms) as timeout_ms, e.max_in_flight
     , e.state, e.state_reason, e.state_changed_at, h.failing_since, h.last_error, e.created_at, e.updated_at
from postrider.endpoints e
join postrider.instances i on i.id = e.instance_id
join postrider.schedules s on s.name = e.schedule
left join postrider.endpoint_health h on h.endpoint_id = e.id;
comment on view postrider.endpoint_list is 'Endpoints with their instance, options and health; without secrets.';

create view postrider.instance_list as
select i.uid as id, i.name, i.vzaps_id, i.sender, i.created_at, (select count(*) from postrider.endpoints e where e.instance_id = i.id) as endpoints
from postrider.instances i;
comment on view postrider.instance_list is 'Instances, without their tokens.';

create view postrider.dead_letters as
select q.id, q.instance_name, e.label as endpoint, q.endpoint_id, q.channel, q.url, q.event_type
     , case when q.event_id is not null then postrider.event_id(q.event_id, q.event_nonce) end as event_id
     , q.attempts, q.max_attempts, q.last_error, q.created_at, q.updated_at as failed_at, q.payload
from postrider.webhook_queue q
left join postrider.endpoints e on e.id = q.endpoint_id
where q.status = 'failed';
comment on view postrider.dead_letters is 'Deliveries that failed for good, with why. They stay until someone re-queues or deletes them.';

create view postrider.queue_stats as
select d.channel, d.status, d.rows, s.at as as_of, s.oldest_due_at
from postrider.queue_depth d cross join postrider.queue_depth_snapshot s
where d.rows <> 0;
comment on view postrider.queue_stats is 'Rows of the queue by channel and status, a few seconds old and cheap at any size; oldest_due_at is the oldest due delivery that nobody held, and whose endpoint is enabled and answers.';

create function postrider.requeue(
  instance text default null, endpoint bigint default null, ids bigint[] default null
, since timestamptz default null, until timestamptz default null, error_like text default null
) returns bigint
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  moved bigint;
begin
  if ids is not null then
    update postrider.webhook_queue q set status = 'pending', next_retry_at = now()
    where q.id = any (ids) and q.status <> 'pending';
  else
    update postrider.webhook_queue q set status = 'pending', next_retry_at = now()
    where q.status = 'failed'
      and (requeue.instance is null or q.instance_name = requeue.instance)
      and (requeue.endpoint is null or q.endpoint_id = requeue.endpoint)
      and (requeue.since is null or q.updated_at >= requeue.since)
      and (requeue.until is null or q.updated_at < requeue.until)
      and (requeue.error_like is null or q.last_error like requeue.error_like);
  end if;
  get diagnostics moved = row_count;
  if moved > 0 then return moved; end if;
  -- Nothing, because of a name or a number that does not exist? Rows written by hand may name any instance, and those of an
  -- endpoint outlive it.
  if instance is not null and not exists (select from postrider.instances i where i.name = instance)
     and not exists (select from postrider.webhook_queue q where q.instance_name = instance) then
    perform postrider.instance_missing(instance);
  end if;
  if endpoint is not null and not exists (select from postrider.endpoints e where e.id = endpoint)
     and not exists (select from postrider.webhook_queue q where q.endpoint_id = endpoint) then
    perform postrider.endpoint_missing(endpoint);
  end if;
  if ids <> '{}' and not exists (select from postrider.webhook_queue q where q.id = any (ids)) then
    raise exception using errcode = 'no_data_found', message = format('postrider.requeue: there is no delivery %s', array_to_string(ids, ', ')),
      hint = 'See postrider.dead_letters; delivered ones are removed after their retention.';
  end if;
  if until <= since then
    raise exception using errcode = 'invalid_parameter_value', message = format('postrider.requeue: until (%s) is not after since (%s)', until, since), hint = 'What failed from since on, and before until, is re-queued.';
  end if;
  return 0;
end $$;
comment on function postrider.requeue(text, bigint, bigint[], timestamptz, timestamptz, text) is
  'Gives dead letters a full new cycle of attempts, by filter or by id; by id also delivered ones are sent again. Returns how many; that an instance, endpoint or delivery does not exist is an error.';

-- Ids of events rise with time, so a search by halves finds where a time begins, and writers pay for no index on it. What a
-- transaction emitted more than a day after its own beginning may lie before that.
create function postrider.events_since(moment timestamptz) returns bigint
  language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  low bigint := coalesce((select min(e.id) from postrider.events e), 0);
  high bigint := coalesce((select max(e.id) from postrider.events e), 0) + 1;
  middle record;
begin
  while low < high loop
    select e.id, e.created_at into middle from postrider.events e where e.id >= low + (high - low) / 2 order by e.id limit 1;
    if middle.id is not null and middle.id < high and middle.created_at < moment - interval '1 day' then
      low := middle.id + 1;
    else
      high := low + (high - low) / 2;
    end if;
  end loop;
  return low;
end $$;
comment on function postrider.events_since(timestamptz) is 'Internal: An id before which there is no event that was emitted since then.';

create function postrider.replay(endpoint bigint, since timestamptz, until timestamptz default null) returns bigint
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  first bigint;
  queued bigint;
begin
  if not exists (select from postrider.endpoints e where e.id = endpoint) then perform postrider.endpoint_missing(endpoint); end if;
  if exists (select from postrider.endpoints e where e.id = endpoint and e.channel <> 'webhook') then
    raise exception using errcode = 'feature_not_supported', message = format('postrider: endpoint %s has no deliveries to replay', endpoint), hint = 'Only webhooks take rows of the queue.';
  end if;
  if since is null then
    raise exception using errcode = 'null_value_not_allowed', message = 'postrider.replay: since is null', hint = 'Say from when, for example now() - interval ''1 hour''.';
  end if;
  if until <= since then
    raise exception using errcode = 'invalid_parameter_value', message = format('postrider.replay: until (%s) is not after since (%s)', until, since), hint = 'What happened from since on, and before until, is queued again.';
  end if;
  first := postrider.events_since(since);
  insert into postrider.webhook_queue (instance_name, url, payload, event_type, max_attempts, channel, endpoint_id, event_id, event_nonce, event_at, target, lane)
  select i.name, postrider.endpoint_url(e.url, e.by_events, v.type, e.dialect)
       , convert_to(case when e.media_base64 then v.data else postrider.without_media_base64(v.data) end::text, 'UTF8')
       , v.type, e.attempts_max, e.channel, e.id, v.id, v.nonce, v.created_at, e.id, e.lane
  from postrider.endpoints e
  join postrider.instances i on i.id = e.instance_id
  join postrider.events v on v.instance_id = e.instance_id
  where e.id = endpoint and v.id >= first and v.created_at >= since and (replay.until is null or v.created_at < replay.until)
    and (v.type = any (e.wanted) or e.wanted = '{}' and not starts_with(v.type, 'postrider.'))
  order by v.id;
  get diagnostics queued = row_count;
  if queued > 0 then
    insert into postrider.queue_changes (channel, status, change)
    select e.channel, 'pending', queued from postrider.endpoints e where e.id = endpoint;
    perform postrider.ring();
  end if;
  return queued;
end $$;
comment on function postrider.replay(bigint, timestamptz, timestamptz) is
  'Queues again every event since a time that the endpoint wants, whether it had it or not; what is still pending then goes out twice. Returns how many. As far back as retention keeps events, without a limit; what a transaction emitted more than a day after its own beginning may be left out.';

-- What waits for an endpoint that is paused or does not answer is not late. Sixteen rows of a lane are looked at. Where all of
-- them wait for such endpoints, so may a million more: then eight are looked at from each of three later moments on, and the
-- oldest of those stands for what lies between. Of a lane where that finds nobody else either nothing is said.
create function postrider.look_at_lane(lane_number smallint, since timestamptz, out first_at timestamptz, out oldest_at timestamptz)
  language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  select q.next_retry_at into first_at from postrider.webhook_queue q
  where q.status = 'pending' and q.lane = lane_number and q.next_retry_at >= since and q.next_retry_at <= now()
  order by q.next_retry_at, q.id limit 1;
  if first_at is null then return; end if;
  oldest_at := coalesce(
    (select due.next_retry_at from (
       select q.next_retry_at, q.id, q.endpoint_id from postrider.webhook_queue q
       where q.status = 'pending' and q.lane = lane_number and q.next_retry_at >= first_at and q.next_retry_at <= now()
         and (q.lease_until is null or q.lease_until < now())
       order by q.next_retry_at, q.id limit 16
     ) due
     where (select e.state = 'enabled' and not exists (select from postrider.endpoint_health h where h.endpoint_id = e.id and h.failing_since is not null)
            from postrider.endpoints e where e.id = due.endpoint_id) is not false
     order by due.next_retry_at, due.id limit 1)
  , (select min(due.next_retry_at) from (
       select seen.endpoint_id, min(seen.next_retry_at) as next_retry_at
       from (values (now() - interval '1 day'), (now() - interval '1 hour'), (now() - interval '10 minutes')) as m(moment) cross join lateral (
         select q.next_retry_at, q.endpoint_id from postrider.webhook_queue q
         where q.status = 'pending' and q.lane = lane_number and q.next_retry_at >= greatest(m.moment, first_at) and q.next_retry_at <= now()
           and (q.lease_until is null or q.lease_until < now())
         order by q.next_retry_at, q.id limit 8
       ) seen group by seen.endpoint_id
     ) due
     where (select e.state = 'enabled' and not exists (select from postrider.endpoint_health h where h.endpoint_id = e.id and h.failing_since is not null)
            from postrider.endpoints e where e.id = due.endpoint_id) is not false));
end $$;
comment on function postrider.look_at_lane(smallint, timestamptz) is
  'Internal: In a lane, from a moment on: the oldest delivery that is due, and the oldest that nobody holds and whose endpoint answers.';

-- Lanes are looked at from their beginnings, in turn, for no more than a fiftieth of the time: behind a transaction that is held
-- open nothing can be vacuumed, and all that was delivered since lies there. (After three minutes all lanes together took 3 s.)
-- The others are looked at from their oldest delivery of the last time on, whether it was held or not, or from the start of a
-- transaction that has queued something since. Where beginnings are slow to look at, workers begin their sweeps there as well: else
-- 2,000 deliveries/s were left of 11,000.
create function postrider.look_for_oldest_due() returns void
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  last record;
  started timestamptz := clock_timestamp();
  begun timestamptz;
  debt interval;
  starts timestamptz[];
  oldest timestamptz[];
  found record;
  lane integer;
  whole integer := 0;
  stopped_at integer;
  slow integer;
  calm integer;
begin
  -- Not locked: what adds up the depth does not wait for us. What changes meanwhile is seen at the end.
  select s.due_from, s.oldest_due, s.queued_since, s.queued_count, s.looked_at, s.next_whole, s.next_lane, s.owed, s.slow_looks, s.calm_looks into last
  from postrider.queue_depth_snapshot s;
  debt := greatest(last.owed - greatest(started - last.looked_at, '0') / 50, '0');
  slow := last.slow_looks;
  calm := last.calm_looks;
  oldest := last.oldest_due;
  select array_agg(least(f.at, last.queued_since) order by f.lane) into starts from unnest(last.due_from) with ordinality as f(at, lane);
  -- Called every 2 s, so what takes 40 ms is done each time. Slow ones have a call of their own.
  while whole < 64 and slow = 0 and debt < interval '40 milliseconds' loop
    lane := (last.next_whole + whole) % 64;
    begun := clock_timestamp();
    select l.first_at, l.oldest_at into found from postrider.look_at_lane(lane::smallint, '-infinity') as l;
    -- What a transaction queues that began before this and commits later brings it back.
    starts[lane + 1] := least(found.first_at, now() - interval '1 second');
    oldest[lane + 1] := found.oldest_at;
    debt := debt + (clock_timestamp() - begun);
    whole := whole + 1;
    if clock_timestamp() - begun > interval '10 milliseconds' then
      slow := 1;
      calm := 0;
    end if;
  end loop;
  for turn in 0 .. 63 loop
    lane := (last.next_lane + turn) % 64;
    if (lane - last.next_whole + 64) % 64 < whole then continue; end if;
    -- Where one transaction began so long ago that this takes long, the rest keeps its place until the next time.
    if stopped_at is not null or clock_timestamp() - started > interval '250 milliseconds' then
      stopped_at := coalesce(stopped_at, lane);
      continue;
    end if;
    select l.first_at, l.oldest_at into found from postrider.look_at_lane(lane::smallint, starts[lane + 1]) as l;
    starts[lane + 1] := least(found.first_at, now() - interval '1 second');
    oldest[lane + 1] := found.oldest_at;
  end loop;
  update postrider.queue_depth_snapshot s
  set due_from = starts, oldest_due = oldest, oldest_due_at = (select min(o.at) from unnest(oldest) as o(at))
    , queued_since = case when s.queued_count = last.queued_count then null else s.queued_since end
    , looked_at = started, next_whole = (last.next_whole + whole) % 64, next_lane = coalesce(stopped_at, 0)
    , owed = least(debt, interval '10 seconds'), slow_looks = slow, calm_looks = calm
  -- Unless another process has looked meanwhile.
  where s.looked_at = last.looked_at;
end $$;
comment on function postrider.look_for_oldest_due() is 'Internal: Notes the oldest delivery that is due, held by nobody, and for an endpoint that answers, and where workers may begin.';

create function postrider.look_through_lane() returns boolean
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  last record;
  begun timestamptz := clock_timestamp();
  found record;
  took interval;
  more boolean;
begin
  select s.next_whole, s.owed, s.slow_looks into last from postrider.queue_depth_snapshot s;
  if last.slow_looks = 0 or last.owed >= interval '40 milliseconds' then return false; end if;
  select l.first_at, l.oldest_at into found from postrider.look_at_lane(last.next_whole, '-infinity') as l;
  took := clock_timestamp() - begun;
  update postrider.queue_depth_snapshot s
  set due_from[last.next_whole + 1] = least(found.first_at, now() - interval '1 second'), oldest_due[last.next_whole + 1] = found.oldest_at
    , next_whole = (s.next_whole + 1) % 64, owed = least(s.owed + took, interval '10 seconds')
    , slow_looks = case when took > interval '10 milliseconds' then least(s.slow_looks + 1, 1000) when s.calm_looks >= 63 then 0 else s.slow_looks end
    , calm_looks = case when took > interval '10 milliseconds' or s.calm_looks >= 63 then 0 else s.calm_looks + 1 end
  where s.next_whole = last.next_whole
  returning s.slow_looks > 0 and s.owed < interval '40 milliseconds' into more;
  return coalesce(more, false);
end $$;
comment on function postrider.look_through_lane() is
  'Internal: Looks at the lane whose turn it is from its beginning, where that is slow and there is time for it; true where there is time for another.';

-- The one statement that brings queue_depth up to date: what became visible since the last snapshot, once each.
create function postrider.add_up_queue_depth() returns void
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  before pg_snapshot;
  present pg_snapshot;
  since timestamptz;
begin
  select s.snap into before from postrider.queue_depth_snapshot s for update;
  present := pg_current_snapshot(); -- after the lock: never older than what the one before us stored
  with fresh as (
    select c.channel, c.status, c.change, c.due_from from postrider.queue_changes c
    where c.xid >= pg_snapshot_xmax(before) and pg_visible_in_snapshot(c.xid, present)
    union all
    select c.channel, c.status, c.change, c.due_from from postrider.queue_changes c
    where c.xid = any (array(select pg_snapshot_xip(before))) and pg_visible_in_snapshot(c.xid, present)
  ), added as (
    insert into postrider.queue_depth as d (channel, status, rows)
    select f.channel, f.status, sum(f.change) from fresh f group by f.channel, f.status
    on conflict (channel, status) do update set rows = d.rows + excluded.rows
  )
  select min(f.due_from) into since from fresh f where f.status = 'pending' and f.change >= 0;
  update postrider.queue_depth_snapshot s set snap = present, at = now(), queued_since = least(s.queued_since, since)
    , queued_count = s.queued_count + (since is not null)::integer;
end $$;
comment on function postrider.add_up_queue_depth() is 'Internal: Brings queue_depth up to date. Called by maintenance every few seconds.';

create function postrider.recount_queue() returns void
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  -- In the order in which TRUNCATE takes them.
  lock table postrider.webhook_queue in access share mode;
  perform from postrider.queue_depth_snapshot for update;
  -- The rows that these tell of are there, and are counted. Later they would be counted again: those of this transaction, and
  -- those that a dump brought from a cluster whose transactions are still to come here.
  delete from postrider.queue_changes;
  -- One statement sees one snapshot: the count and the snapshot it stands for belong together.
  with counted as materialized (
    select q.channel, q.status, count(*) as rows from postrider.webhook_queue q group by q.channel, q.status
  ), zeroed as (
    update postrider.queue_depth d set rows = coalesce((select c.rows from counted c where (c.channel, c.status) = (d.channel, d.status)), 0)
  ), added as (
    insert into postrider.queue_depth (channel, status, rows)
    select c.channel, c.status, c.rows from counted c
    where not exists (select from postrider.queue_depth d where (d.channel, d.status) = (c.channel, c.status))
  )
  -- What went round the triggers may be due since whenever.
  update postrider.queue_depth_snapshot set at = now(), queued_since = '-infinity', queued_count = queued_count + 1
    , forgotten_below = least(forgotten_below, pg_snapshot_xmin(pg_current_snapshot()))
    -- A snapshot does not name its own transaction among those under way. What this one queues from now on is still to be added.
    , snap = (
        select format('%s:%s:%s', pg_snapshot_xmin(s.present), pg_snapshot_xmax(s.present), (
            select string_agg(u.xid::text, ',' order by u.xid)
            from (select pg_snapshot_xip(s.present) union select pg_current_xact_id() where pg_current_xact_id() < pg_snapshot_xmax(s.present)) as u(xid)
          ))::pg_snapshot
        from (select pg_current_snapshot()) as s(present));
end $$;
comment on function postrider.recount_queue() is 'Counts the queue anew, row by row: only after something went round its triggers.';

create table postrider.duties (
  name text primary key
, holder text not null
, until timestamptz not null
) with (fillfactor = 50);
comment on table postrider.duties is 'Work that one process does at a time, held by a lease: ingest, maintenance.';
comment on column postrider.duties.name is 'Which duty.';
comment on column postrider.duties.holder is 'Which process.';
comment on column postrider.duties.until is 'Until when, unless renewed.';

create table postrider.installation (
  one boolean primary key default true check (one)
, system_identifier text not null
, database_oid oid not null
, adopted_at timestamptz not null default now()
);
comment on table postrider.installation is 'One row: the cluster and database that deliver from here. A copy of it finds another''s name and does not deliver until adopted.';
comment on column postrider.installation.one is 'Always true: there is one row.';
comment on column postrider.installation.system_identifier is 'Of the cluster, from pg_control_system().';
comment on column postrider.installation.database_oid is 'Of the database.';
comment on column postrider.installation.adopted_at is 'When it became the one that delivers.';

create table postrider.rejected_notifications (
  id bigint generated always as identity primary key
, received_at timestamptz not null default now()
, payload text not null
, error text not null
);
comment on table postrider.rejected_notifications is 'NOTIFY payloads that are not events, for operators to look at.';
comment on column postrider.rejected_notifications.id is 'Private key.';
comment on column postrider.rejected_notifications.received_at is 'When it arrived.';
comment on column postrider.rejected_notifications.payload is 'As it arrived.';
comment on column postrider.rejected_notifications.error is 'What is wrong with it.';

-- The documented operator's line names webhook_queue without a schema. Never take a name that is in use.
do $$
begin
  if to_regclass('public.webhook_queue') is null and to_regnamespace('public') is not null and has_schema_privilege('public', 'create') then
    create view public.webhook_queue as select * from postrider.webhook_queue;
    comment on view public.webhook_queue is 'postrider.webhook_queue under the name operators know.';
  end if;
end $$;

-- What operators call, and what their UPDATEs of the queue call in their name. Nothing of accounts: those are made and removed by
-- tokens of the operators' account, or by the owner.
create function postrider.allow_operate(role name) returns void
  language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  callable text;
begin
  select string_agg(p.oid::regprocedure::text, ', ') into callable from pg_proc p
  where p.pronamespace = 'postrider'::regnamespace and p.prokind = 'f'
    and p.proname in ('create_instance', 'create_instance_of', 'delete_instance', 'instance_token', 'set_instance_token'
      , 'set_endpoint', 'set_endpoint_state', 'delete_endpoint', 'endpoint_of', 'endpoint_url', 'rotate_signing_secret'
      , 'queue_test', 'requeue', 'replay', 'kick', 'ring', 'check_state', 'check_row', 'captures_naming', 'capture_facts', 'capture_state');
  execute format('grant execute on function %s to %I', callable, role);
end $$;
comment on function postrider.allow_operate(name) is 'Internal: What postrider.allow does for operate.';

create function postrider.allow(role name, ability text) returns void
  language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  queue text := case when exists (select from pg_depend d join pg_rewrite r on r.oid = d.objid
                                  where r.ev_class = to_regclass('public.webhook_queue') and d.refobjid = 'postrider.webhook_queue'::regclass)
                     then 'public.webhook_queue, postrider.webhook_queue' else 'postrider.webhook_queue' end;
begin
  if ability not in ('emit', 'capture', 'operate') then
    raise exception using errcode = 'invalid_parameter_value', message = format('postrider.allow: there is no ability %L', ability),
      hint = 'emit (emit and insert into the queue), capture (and attach tables of its own), operate (and endpoints, dead letters, re-queue).';
  end if;
  execute format('grant usage on schema postrider to %I', role);
  execute format('grant execute on function postrider.emit(text, text, json, text, text), postrider.emit(text, text, text, text, text), postrider.emit(text, text, jsonb, text, text), postrider.emit_many(json), postrider.emit_rows(text[], text[], json[], text[], text[]), postrider.event_id(bigint, integer) to %I', role);
  -- target and lane are not theirs to set: whoever leaves them out has his row checked.
  execute format('grant insert (id, instance_name, url, payload, auth_header, event_type, status, attempts, max_attempts, next_retry_at, last_error, created_at, updated_at, channel, endpoint_id, event_id, event_nonce, event_at, crashes) on %s to %I', queue, role);
  if ability = 'capture' then perform postrider.allow_capture(role); end if;
  if ability = 'operate' then
    execute format('grant select, update, delete on %s to %I', queue, role);
    execute format('grant select on postrider.accounts, postrider.dead_letters, postrider.queue_stats, postrider.endpoint_list, postrider.instance_list, postrider.connections, postrider.schedules, postrider.attempts, postrider.events, postrider.rejected_notifications, postrider.captures, postrider.capture_triggers, postrider.capture_failures, postrider.capture_failure_log to %I', role);
    execute format('grant insert, update, delete on postrider.schedules to %I', role);
    perform postrider.allow_operate(role);
  end if;
end $$;
comment on function postrider.allow(name, text) is 'Grants a role what it needs: emit, capture or operate.';

-- psql's \df shows what triggers and other functions call beside what is meant to be called. Their comments tell them apart.
create view postrider.functions as
select format('%s(%s)', p.proname, pg_get_function_arguments(p.oid)) as call, pg_get_function_result(p.oid) as result
     , obj_description(p.oid, 'pg_proc') as about
from pg_proc p
where p.pronamespace = 'postrider'::regnamespace and p.prorettype <> 'trigger'::regtype
  and coalesce(obj_description(p.oid, 'pg_proc'), '') not like 'Internal%'
order by p.proname, p.oid;
comment on view postrider.functions is 'The functions that are meant to be called; the others are called by these, and may change.';
grant select on postrider.functions to public;

revoke execute on all functions in schema postrider from public;
