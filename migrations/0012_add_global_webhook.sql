-- One webhook for all instances, as Evolution API's WEBHOOK_GLOBAL_URL is.
--
-- Each instance gets an endpoint for it, so that fan-out, breakers, schedules and dead letters are what they are for any other.
-- The role api writes its configuration into global_webhook when it starts; a trigger gives new instances theirs.

alter table postrider.endpoints add column is_global boolean not null default false;
comment on column postrider.endpoints.is_global is 'Whether it is the instance''s part of the global webhook, which is configured and not changed by owners.';
-- Owners name their endpoints as they like: its label is none that they can give.
alter table postrider.endpoints drop constraint endpoints_label_is_a_name;
alter table postrider.endpoints add constraint endpoints_label_is_a_name
  check (case when is_global then label = '(WEBHOOK_GLOBAL)' else label ~ '^[A-Za-z0-9_-]{1,50}$' end);
create unique index endpoints_global on postrider.endpoints (instance_id) where is_global;

create table postrider.global_webhook (
  one boolean primary key default true check (one)
, url text not null
, events text[] not null
, by_events boolean not null
);
comment on table postrider.global_webhook is 'One row while there is a webhook for all instances.';
comment on column postrider.global_webhook.one is 'Always true: there is one row.';
comment on column postrider.global_webhook.url is 'Where it goes.';
comment on column postrider.global_webhook.events is 'What it gets.';
comment on column postrider.global_webhook.by_events is 'Whether the event is appended to the URL.';

create function postrider.add_global_endpoint() returns trigger
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  -- Waits for a change of the global webhook, which waits for us: no instance is passed over.
  lock table postrider.global_webhook in row exclusive mode;
  insert into postrider.endpoints (instance_id, label, dialect, url, events, by_events, media_base64, schedule, is_global)
  select new.id, '(WEBHOOK_GLOBAL)', 'evolution', g.url, g.events, g.by_events, true, 'evolution', true from postrider.global_webhook g;
  return null;
end $$;
comment on function postrider.add_global_endpoint() is 'Trigger: a new instance gets its part of the global webhook.';
create trigger add_global_endpoint after insert on postrider.instances
  for each row execute function postrider.add_global_endpoint();

create function postrider.set_global_webhook(url text, events text[] default '{}', by_events boolean default false) returns bigint
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  changed bigint := 0;
  added bigint := 0;
begin
  lock table postrider.global_webhook in share row exclusive mode;
  perform set_config('postrider.global_webhook', 'changes', true);
  if url is null or events = '{}' then
    delete from postrider.global_webhook;
    update postrider.endpoints e set state = 'disabled', state_reason = 'the global webhook is off' where e.is_global and e.state <> 'disabled';
    get diagnostics changed = row_count;
  else
    insert into postrider.global_webhook as known (url, events, by_events)
    values (set_global_webhook.url, set_global_webhook.events, set_global_webhook.by_events)
    on conflict on constraint global_webhook_pkey do update set url = excluded.url, events = excluded.events, by_events = excluded.by_events
      where (known.url, known.events, known.by_events) is distinct from (excluded.url, excluded.events, excluded.by_events);
    update postrider.endpoints e
    set url = set_global_webhook.url, events = set_global_webhook.events, by_events = set_global_webhook.by_events
      , state = case when e.state = 'disabled' then 'enabled' else e.state end
    where e.is_global and ((e.url, e.events, e.by_events)
      is distinct from (set_global_webhook.url, set_global_webhook.events, set_global_webhook.by_events) or e.state = 'disabled');
    get diagnostics changed = row_count;
    insert into postrider.endpoints (instance_id, label, dialect, url, events, by_events, media_base64, schedule, is_global)
    select i.id, '(WEBHOOK_GLOBAL)', 'evolution', set_global_webhook.url, set_global_webhook.events, set_global_webhook.by_events, true, 'evolution', true
    from postrider.instances i
    where not exists (select from postrider.endpoints e where e.instance_id = i.id and e.is_global);
    get diagnostics added = row_count;
  end if;
  perform set_config('postrider.global_webhook', '', true);
  if changed + added > 0 then perform postrider.ring(); end if;
  return changed + added;
end $$;
comment on function postrider.set_global_webhook(text, text[], boolean) is
  'Sets the webhook that gets these events of all instances, or takes it away (url null, or no events); returns how many endpoints changed. The role api calls it with its configuration.';

-- Owners may not turn it elsewhere. Its state is everybody's: workers pause it, operators enable it.
create function postrider.guard_global_endpoint() returns trigger
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  if tg_op = 'DELETE' then
    -- Below another trigger: it goes with its instance.
    if pg_trigger_depth() > 1 then return old; end if;
  elsif coalesce(current_setting('postrider.global_webhook', true), '') = 'changes' then
    return new;
  end if;
  raise exception using errcode = 'feature_not_supported', message = 'postrider: this endpoint is a part of the global webhook',
    hint = 'It is configured: see evolution.global_webhook, or select postrider.set_global_webhook(…). An endpoint of your own takes another label.';
end $$;
comment on function postrider.guard_global_endpoint() is 'Trigger: the global webhook is changed by its configuration only.';
create trigger guard_global_endpoint before delete on postrider.endpoints
  for each row when (old.is_global) execute function postrider.guard_global_endpoint();
create trigger guard_global_endpoint_changes before update on postrider.endpoints
  for each row when (old.is_global and (new.is_global, new.url, new.events, new.by_events, new.label, new.dialect, new.channel, new.headers, new.authorization_header)
    is distinct from (old.is_global, old.url, old.events, old.by_events, old.label, old.dialect, old.channel, old.headers, old.authorization_header))
  execute function postrider.guard_global_endpoint();

revoke execute on function postrider.add_global_endpoint(), postrider.set_global_webhook(text, text[], boolean), postrider.guard_global_endpoint() from public;
