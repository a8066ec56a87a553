-- Who emits and who wants to know. Small tables, read by every fan-out, written seldom.
--
-- Secrets are text: `sealed:v1:<key>:<base64>` once a running role has sealed them, anything else is plain and
-- waits for that (design section 8). Nothing here needs an extension or a superuser.

-- The schema is there: the table of applied migrations is in it. Making it "if not exists" would want the right to make one.
comment on schema postrider is
  'Postrider: event delivery. Functions and views are the public interface; tables other than webhook_queue are private and may change.';
revoke all on schema postrider from public;

-- The backoff table. Editing a row takes effect at the next failure of every endpoint that names it.
create table postrider.schedules (
  name text primary key
, waits interval[] not null
, jitter real not null default 0.2
, jitter_both_ways boolean not null default false
, max_attempts integer not null default 5
, timeout_ms integer not null default 5000
, final_statuses integer[] not null default '{}'
, constraint schedules_waits_are_some check (cardinality(waits) between 1 and 100 and array_position(waits, null) is null)
, constraint schedules_waits_are_not_negative check (interval '0' <= all (waits))
, constraint schedules_jitter_is_a_share check (jitter between 0 and 1)
, constraint schedules_attempts_are_some check (max_attempts between 1 and 1000)
, constraint schedules_timeout_is_sane check (timeout_ms between 1000 and 60000)
);
comment on table postrider.schedules is 'The backoff table: named schedules of waits between attempts. Endpoints name one; rows without an endpoint use "default".';
comment on column postrider.schedules.name is 'What endpoints refer to.';
comment on column postrider.schedules.waits is 'The wait after failure 1, 2, 3 and so on; the last one repeats.';
comment on column postrider.schedules.jitter is 'Up to this share of the wait is added at random.';
comment on column postrider.schedules.jitter_both_ways is 'Whether jitter may also shorten the wait, never below the first one.';
comment on column postrider.schedules.max_attempts is 'Attempts before a delivery is dead, where the endpoint sets none of its own.';
comment on column postrider.schedules.timeout_ms is 'The whole attempt in milliseconds, where the endpoint sets none of its own.';
comment on column postrider.schedules.final_statuses is 'HTTP statuses after which there is no second try.';

insert into postrider.schedules (name, waits, jitter, jitter_both_ways, max_attempts, timeout_ms, final_statuses) values
  ('default', '{1 s,5 s,30 s,5 min,30 min,1 h}', 0.2, false, 5, 5000, '{}')
, ('evolution', '{5 s,10 s,20 s,40 s,80 s,160 s,300 s}', 0.2, true, 10, 30000, '{400,401,403,404,422}')
, ('evolution-lite', '{30 s}', 0, false, 10, 30000, '{}')
, ('standard', '{5 s,5 min,30 min,2 h,5 h,10 h,14 h,20 h,24 h}', 0.2, false, 10, 15000, '{}');

create table postrider.instances (
  id bigint generated always as identity primary key
, uid uuid not null default gen_random_uuid() unique
, vzaps_id text not null default 'VZ' || upper(substr(replace(gen_random_uuid()::text, '-', ''), 1, 20)) unique
, name text not null unique
, token text
, sender text
, created_at timestamptz not null default now()
, updated_at timestamptz not null default now()
, constraint instances_name_is_printable check (name ~ '^[^[:cntrl:]]+$' and name = btrim(name))
);
comment on table postrider.instances is 'Tenants: each owns endpoints, a token and a stream of events.';
comment on column postrider.instances.id is 'Private key.';
comment on column postrider.instances.uid is 'Public id.';
comment on column postrider.instances.vzaps_id is 'Public id in the form VZaps clients expect.';
comment on column postrider.instances.name is 'Its name in SQL, unique: what the account "default" calls it; of another account''s, the account''s name and a slash before that.';
comment on column postrider.instances.token is 'The instance token, sealed at rest once a running role has seen it.';
comment on column postrider.instances.sender is 'What envelopes that have a sender put there.';
comment on column postrider.instances.created_at is 'When it was created.';
comment on column postrider.instances.updated_at is 'When it last changed.';
create index instances_unsealed on postrider.instances (id) where token is not null and token not like 'sealed:%';

create sequence postrider.endpoint_version;
comment on sequence postrider.endpoint_version is 'Rises with every change that workers must see before the next attempt.';

create table postrider.endpoints (
  id bigint generated always as identity primary key
, uid uuid not null default gen_random_uuid() unique
, instance_id bigint not null references postrider.instances on delete cascade
, label text not null default 'default'
, channel text not null default 'webhook'
, dialect text not null default 'postrider'
, url text not null
, events text[] not null default '{}'
, wanted text[]
, by_events boolean not null default false
, media_base64 boolean not null
, media_fetched boolean not null default false
, authorization_header text
, headers text
, settings text
, schedule text not null default 'default' references postrider.schedules on update cascade
, max_attempts integer
, timeout_ms integer
, max_in_flight integer
, state text not null default 'enabled'
, state_reason text
, state_changed_at timestamptz not null default now()
, version bigint not null default nextval('postrider.endpoint_version')
, attempts_max integer not null default 5
, lane smallint not null generated always as ((hashint8(id) & 63)::smallint) stored
, created_at timestamptz not null default now()
, updated_at timestamptz not null default now()
, constraint endpoints_label_is_unique unique (instance_id, label, channel, dialect)
, constraint endpoints_label_is_a_name check (label ~ '^[A-Za-z0-9_-]{1,50}$')
, constraint endpoints_channel_is_known check (channel in ('webhook', 'websocket', 'rabbitmq', 'sqs', 'pusher'))
, constraint endpoints_dialect_is_known check (dialect in ('postrider', 'ryze', 'evolution', 'codechat', 'vzaps'))
, constraint endpoints_url_is_http check (channel <> 'webhook' or (url = '' and state = 'disabled') or (url ~* '^https?://[^[:space:]]+$' and length(url) <= 2048))
, constraint endpoints_state_is_known check (state in ('enabled', 'paused', 'disabled'))
, constraint endpoints_events_are_names check (array_position(events, null) is null and array_position(events, '') is null)
, constraint endpoints_attempts_are_some check (max_attempts between 1 and 1000)
, constraint endpoints_timeout_is_sane check (timeout_ms between 1000 and 60000)
, constraint endpoints_in_flight_is_some check (max_in_flight between 1 and 10000)
);
comment on table postrider.endpoints is 'Who wants to know. Managed by functions and the command line, not by hand.';
comment on column postrider.endpoints.id is 'Private key, shown by the command line.';
comment on column postrider.endpoints.uid is 'Public id, for dialects that show one.';
comment on column postrider.endpoints.instance_id is 'Its owner.';
comment on column postrider.endpoints.label is 'The owner''s name for it.';
comment on column postrider.endpoints.channel is 'How deliveries go out.';
comment on column postrider.endpoints.dialect is 'Whose envelope they wear.';
comment on column postrider.endpoints.url is 'Where they go, without an event suffix; empty where a dialect clears it of an endpoint that is disabled.';
comment on column postrider.endpoints.events is 'Event types it wants; empty means all but those that begin with postrider., which tell of Postrider itself and must be named.';
comment on column postrider.endpoints.wanted is 'The same as fan-out asks for it: with the names that other dialects have for these events. Kept by trigger; null where nothing is queued.';
comment on column postrider.endpoints.by_events is 'Whether the event type is appended to the URL.';
comment on column postrider.endpoints.media_base64 is 'Whether it wants base64 media inside the event; else it is removed at fan-out.';
comment on column postrider.endpoints.media_fetched is 'Whether base64 media was asked for in so many words: then media that an event gives by URL alone is fetched, and put in as base64.';
comment on column postrider.endpoints.authorization_header is 'The full Authorization header, sealed at rest.';
comment on column postrider.endpoints.headers is 'A JSON object of custom request headers, sealed at rest as a whole.';
comment on column postrider.endpoints.settings is 'A JSON object of what its channel and its dialect need beside the rest (credentials too), sealed at rest as a whole.';
comment on column postrider.endpoints.schedule is 'Its row of the backoff table.';
comment on column postrider.endpoints.max_attempts is 'Attempts before a delivery is dead; null takes the schedule''s.';
comment on column postrider.endpoints.timeout_ms is 'The whole attempt in milliseconds; null takes the schedule''s.';
comment on column postrider.endpoints.max_in_flight is 'Attempts in flight in one worker; null takes the worker''s configuration.';
comment on column postrider.endpoints.state is 'enabled; paused (410 or long failure: rows queued and held); disabled (by its owner: no new rows, pending ones held).';
comment on column postrider.endpoints.state_reason is 'Why it is not enabled.';
comment on column postrider.endpoints.state_changed_at is 'Since when.';
comment on column postrider.endpoints.attempts_max is 'max_attempts, or the schedule''s: kept here by trigger, so that fan-out reads one table.';
comment on column postrider.endpoints.lane is 'The lane of its deliveries.';
comment on column postrider.endpoints.version is 'Rises with every change that workers must see.';
comment on column postrider.endpoints.created_at is 'When it was created.';
comment on column postrider.endpoints.updated_at is 'When it last changed.';
create index endpoints_by_instance on postrider.endpoints (instance_id);
create index endpoints_unsealed on postrider.endpoints (id)
  where (authorization_header is not null and authorization_header not like 'sealed:%')
     or (headers is not null and headers not like 'sealed:%')
     or (settings is not null and settings not like 'sealed:%');

create table postrider.signing_secrets (
  id bigint generated always as identity primary key
, endpoint_id bigint not null references postrider.endpoints on delete cascade
, secret text not null
, created_at timestamptz not null default now()
, expires_at timestamptz
);
comment on table postrider.signing_secrets is 'Standard Webhooks secrets of an endpoint; several live during a rotation.';
comment on column postrider.signing_secrets.id is 'Private key; the highest is the newest.';
comment on column postrider.signing_secrets.endpoint_id is 'Whose deliveries it signs.';
comment on column postrider.signing_secrets.secret is 'whsec_ and base64, sealed at rest.';
comment on column postrider.signing_secrets.created_at is 'When it was made.';
comment on column postrider.signing_secrets.expires_at is 'When it stops signing; null for the current one.';
create index signing_secrets_by_endpoint on postrider.signing_secrets (endpoint_id, id);
create index signing_secrets_unsealed on postrider.signing_secrets (id) where secret not like 'sealed:%';

create table postrider.endpoint_health (
  endpoint_id bigint primary key references postrider.endpoints on delete cascade
, failing_since timestamptz
, last_failure_at timestamptz
, last_error text
, alerted_percent smallint not null default 0
, held_since timestamptz
) with (fillfactor = 50);
comment on table postrider.endpoint_health is 'What workers know about an endpoint''s failures; written when that changes, not at each attempt.';
comment on column postrider.endpoint_health.endpoint_id is 'The endpoint.';
comment on column postrider.endpoint_health.failing_since is 'The first failure since its last success; null while it answers.';
comment on column postrider.endpoint_health.last_failure_at is 'The last failure recorded.';
comment on column postrider.endpoint_health.last_error is 'What that failure said.';
comment on column postrider.endpoint_health.held_since is 'When rows of a paused or disabled endpoint were last set aside; maintenance releases them when it is enabled.';
comment on column postrider.endpoint_health.alerted_percent is 'How much of the way to auto-disable has been reported.';

-- A change of any part an attempt is made from raises the version, so that a worker never uses a stale copy.
create function postrider.endpoint_changed() returns trigger language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  new.attempts_max := coalesce(new.max_attempts, (select s.max_attempts from postrider.schedules s where s.name = new.schedule));
  if tg_op = 'INSERT' or new.events is distinct from old.events or new.dialect is distinct from old.dialect
     or new.channel is distinct from old.channel or new.wanted is distinct from old.wanted then
    new.wanted := case when new.channel = 'webhook' then postrider.wanted_types(new.dialect, new.events) end;
  end if;
  if tg_op = 'INSERT' then return new; end if;
  new.version := nextval('postrider.endpoint_version');
  new.updated_at := now();
  if new.state is distinct from old.state then
    new.state_changed_at := now();
    if new.state = 'enabled' then new.state_reason := null; end if;
  end if;
  return new;
end $$;
comment on function postrider.endpoint_changed() is 'Trigger: a changed endpoint gets a new version.';
create trigger endpoint_changed before insert or update on postrider.endpoints
  for each row execute function postrider.endpoint_changed();

create function postrider.endpoint_part_changed() returns trigger language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  if tg_table_name = 'instances' then
    update postrider.endpoints set version = 0 where instance_id = new.id;
  elsif tg_table_name = 'schedules' then
    update postrider.endpoints set version = 0 where schedule = new.name;
  else
    update postrider.endpoints set version = 0
    where id = case when tg_op = 'DELETE' then old.endpoint_id else new.endpoint_id end;
  end if;
  return null;
end $$;
comment on function postrider.endpoint_part_changed() is 'Trigger: what an endpoint is made of has changed, so its version rises.';
create trigger endpoint_part_changed after update of token, sender, name on postrider.instances
  for each row execute function postrider.endpoint_part_changed();
create trigger endpoint_part_changed after update on postrider.schedules
  for each row execute function postrider.endpoint_part_changed();
create trigger endpoint_part_changed after insert or update or delete on postrider.signing_secrets
  for each row execute function postrider.endpoint_part_changed();
