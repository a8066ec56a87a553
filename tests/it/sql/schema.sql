--
-- PostgreSQL database dump
--



SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

--
-- Name: postrider; Type: SCHEMA; Schema: -; Owner: -
--

CREATE SCHEMA postrider;


--
-- Name: SCHEMA postrider; Type: COMMENT; Schema: -; Owner: -
--

COMMENT ON SCHEMA postrider IS 'Postrider: event delivery. Functions and views are the public interface; tables other than webhook_queue are private and may change.';


--
-- Name: add_global_endpoint(); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.add_global_endpoint() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  -- Waits for a change of the global webhook, which waits for us: no instance is passed over.
  lock table postrider.global_webhook in row exclusive mode;
  insert into postrider.endpoints (instance_id, label, dialect, url, events, by_events, media_base64, schedule, is_global)
  select new.id, '(WEBHOOK_GLOBAL)', 'evolution', g.url, g.events, g.by_events, true, 'evolution', true from postrider.global_webhook g;
  return null;
end $$;


--
-- Name: FUNCTION add_global_endpoint(); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.add_global_endpoint() IS 'Trigger: a new instance gets its part of the global webhook.';


--
-- Name: add_up_queue_depth(); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.add_up_queue_depth() RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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


--
-- Name: FUNCTION add_up_queue_depth(); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.add_up_queue_depth() IS 'Internal: Brings queue_depth up to date. Called by maintenance every few seconds.';


--
-- Name: allow(name, text); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.allow(role name, ability text) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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


--
-- Name: FUNCTION allow(role name, ability text); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.allow(role name, ability text) IS 'Grants a role what it needs: emit, capture or operate.';


--
-- Name: allow_capture(name); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.allow_capture(role name) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  callable text;
begin
  perform postrider.create_capture_schema(role);
  select string_agg(p.oid::regprocedure::text, ', ') into callable from pg_proc p
  where p.pronamespace = 'postrider'::regnamespace and p.prokind = 'f' and p.prorettype <> 'trigger'::regtype
    and p.proname in ('any_refused', 'attach_capture', 'attach_capture_triggers', 'bad_capture', 'become', 'build_capture'
      , 'build_capture_patiently', 'capture', 'capture_arguments', 'capture_facts', 'capture_failed', 'capture_functions'
      , 'capture_path', 'capture_row_body', 'capture_row_with_care', 'capture_schema', 'capture_single_row', 'capture_source', 'capture_statement_body'
      , 'capture_trigger_name', 'captured_tables', 'check_capture_arguments', 'check_capture_schema', 'check_captured'
      , 'check_captured_or_fail', 'check_captured_relation', 'check_event', 'columns_as_json', 'columns_changed'
      , 'compile_capture', 'compile_capture_data', 'detach_capture', 'drop_captured', 'emit_captured', 'fire_always'
      , 'instance_missing', 'only_a_row', 'record_capture_failure', 'sealed_state', 'capture_state', 'write_event', 'attach_capture_moves', 'capture_moves_body', 'capture_row_emitter', 'uncapture');
  execute format('grant execute on function %s to %I', callable, role);
  execute format('grant select on postrider.captures, postrider.capture_triggers, postrider.capture_failures to %I', role);
end $$;


--
-- Name: FUNCTION allow_capture(role name); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.allow_capture(role name) IS 'Internal: What postrider.allow does for capture.';


--
-- Name: allow_operate(name); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.allow_operate(role name) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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


--
-- Name: FUNCTION allow_operate(role name); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.allow_operate(role name) IS 'Internal: What postrider.allow does for operate.';


--
-- Name: any_refused(text, text[], json[]); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.any_refused(type text, instances text[], data json[]) RETURNS boolean
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  return exists (
    select from unnest(instances, data) as r(instance, data) left join postrider.instances i on i.name = r.instance
    where i.id is null or r.data is null or octet_length(r.data::text) > 1048576);
end $$;


--
-- Name: FUNCTION any_refused(type text, instances text[], data json[]); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.any_refused(type text, instances text[], data json[]) IS 'Internal, for captures: whether any of these may not pass check_captured.';


--
-- Name: ask(); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.ask() RETURNS text
    LANGUAGE plpgsql
    SET lock_timeout TO '900ms'
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  if pg_try_advisory_lock(1886351988, 'postrider'::regnamespace::oid::integer) then return 'at once'; end if;
  perform pg_advisory_lock(1886351988, 'postrider'::regnamespace::oid::integer);
  return 'after a wait';
exception when lock_not_available or query_canceled then
  return null;
end $$;


--
-- Name: FUNCTION ask(); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.ask() IS 'Internal, for listeners: asks for the doorbell''s lock for up to 900 ms. ''at once'' or ''after a wait'' when granted, null when not (when cancelled, it may be held all the same).';


--
-- Name: attach_capture(regclass, text, text, text, text, text[], text, text[], text, boolean, text, text, name[]); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.attach_capture(relation regclass, given text, type text, instance text, data text, operations text[], when_ text, columns text[], on_error text, replicated boolean, idempotency_key text, name text, path name[]) RETURNS text
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
declare
  title text := coalesce(name, type);
  role_before text := current_setting('role');
  owner name;
  home name;
  base text;
  by_row boolean;
  partitioned boolean;
begin
  perform postrider.check_captured_relation(relation, given);
  perform postrider.check_capture_arguments(relation, type, title, operations, columns, on_error);
  if instance is null then
    perform postrider.bad_capture('instance', 'it is null', 'Give an expression, for example ''new.account'', or a literal in quotes of its own: ''''my-instance''''.');
  end if;
  if instance ~ '^\s*''([^'']|'''')*''\s*$'
     and postrider.any_refused(type, array[replace(substr(btrim(instance), 2, length(btrim(instance)) - 2), '''''', '''')], array['{}'::json]) then
    raise warning using message = format('postrider.capture: there is no instance %s yet', btrim(instance)),
      hint = case on_error when 'skip' then 'Until there is, rows are recorded in postrider.capture_failures, and are no events.' else 'Until there is, every statement that writes such a row fails.' end;
  end if;
  select pg_get_userbyid(c.relowner), c.relkind = 'p', c.relkind = 'p' or exists (select from pg_inherits i where i.inhrelid = c.oid)
       , left(trim('_' from regexp_replace(lower(c.relname || '_' || title), '[^a-z0-9]+', '_', 'g')), 36) || '_' || left(replace(gen_random_uuid()::text, '-', ''), 8)
    into owner, partitioned, by_row, base from pg_class c where c.oid = relation;
  home := postrider.capture_schema(owner);
  if to_regnamespace(quote_ident(home)) is null and has_database_privilege(current_database(), 'create')
     and has_schema_privilege(owner, 'postrider', 'usage') then
    perform postrider.create_capture_schema(owner);
  end if;
  perform postrider.check_capture_schema(owner);

  perform postrider.become(owner);
  perform postrider.build_capture_patiently(relation,
    jsonb_build_object('name', title, 'type', type, 'operations', (select jsonb_agg(distinct o) from unnest(operations) o), 'columns', to_jsonb(columns), 'on_error', on_error
      , 'replicated', replicated, 'level', case when by_row or replicated then 'row' else 'statement' end, 'base', base, 'moves', partitioned
      , 'function', quote_ident(home) || '.' || base, 'when', when_ is not null or columns is not null, 'key', idempotency_key is not null),
    jsonb_build_object('instance', instance, 'key', idempotency_key
      , 'data', coalesce(data, postrider.columns_as_json(columns), 'case operation when ''delete'' then to_json(old) else to_json(new) end')
      , 'when', nullif(concat_ws(' and ', postrider.columns_changed(relation, columns), '(' || when_ || E'\n)'), '')),
    postrider.capture_path(relation, path));
  perform set_config('role', role_before, true);
  return title;
end $_$;


--
-- Name: FUNCTION attach_capture(relation regclass, given text, type text, instance text, data text, operations text[], when_ text, columns text[], on_error text, replicated boolean, idempotency_key text, name text, path name[]); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.attach_capture(relation regclass, given text, type text, instance text, data text, operations text[], when_ text, columns text[], on_error text, replicated boolean, idempotency_key text, name text, path name[]) IS 'Internal: What postrider.capture does, once names are resolved.';


--
-- Name: attach_capture_moves(regclass, jsonb, text); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.attach_capture_moves(root regclass, facts jsonb, path text) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
declare
  base text := facts ->> 'function';
  partitioned text;
  root_type text;
  timing text;
begin
  select format('%I.%I', n.nspname, c.relname) into root_type from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = root;
  execute format('create function %s_text(captured %s) returns text language sql volatile return captured::text', base, root_type);
  execute format('revoke all on function %s_text(%s) from public', base, root_type);
  execute format('create function %s_parsed(captured text) returns %s language sql volatile return captured::%2$s', base, root_type);
  execute format('revoke all on function %s_parsed(text) from public', base);
  execute format('create function %s_moves() returns trigger language plpgsql security definer set search_path = %s as %L', base, path, postrider.capture_moves_body(facts));
  execute format('revoke all on function %s_moves() from public', base);
  for partitioned in
    select format('%I.%I', n.nspname, c.relname) from pg_partition_tree(root) t join pg_class c on c.oid = t.relid join pg_namespace n on n.oid = c.relnamespace
    where c.relkind = 'p'
  loop
    foreach timing in array array['before update', 'before delete', 'after update'] loop
      execute format('create or replace trigger %I %s on %s for each statement execute function %s_moves()'
        , postrider.capture_trigger_name(facts ->> 'name', timing), timing, partitioned, base);
    end loop;
  end loop;
end $_$;


--
-- Name: FUNCTION attach_capture_moves(root regclass, facts jsonb, path text); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.attach_capture_moves(root regclass, facts jsonb, path text) IS 'Internal: Makes the triggers that tell of rows moving between partitions.';


--
-- Name: attach_capture_triggers(regclass, regclass, jsonb, text); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.attach_capture_triggers(relation regclass, root regclass, facts jsonb, path text) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
declare
  base text := facts ->> 'function' || case when relation = root then '' else '_' || relation::oid end;
  own_type text;
  root_type text;
  operation text;
  told jsonb;
begin
  select format('%I.%I', n.nspname, c.relname) into own_type from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = relation;
  select format('%I.%I', n.nspname, c.relname) into root_type from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = root;
  execute format('create function %1$s_row(captured %2$s) returns %3$s language sql immutable return captured%4$s', base, own_type, root_type
    , case when relation = root then '' else format('::%s', root_type) end);
  execute format('revoke all on function %s_row(%s) from public', base, own_type);
  if facts ->> 'level' = 'row' and relation = root then
    execute format('create function %s_emit(new_row %2$s, old_row %2$s, operation text, written regclass) returns void language plpgsql as %3$L'
      , base, own_type, postrider.capture_row_emitter(facts));
    execute format('revoke all on function %s_emit(%2$s, %2$s, text, regclass) from public', base, own_type);
  end if;
  if (facts ->> 'moves')::boolean then perform postrider.attach_capture_moves(relation, facts, path); end if;
  for operation in select jsonb_array_elements_text(case when (facts ->> 'moves')::boolean then '["insert", "update", "delete"]' else facts -> 'operations' end) loop
    told := facts || jsonb_build_object('operation', operation, 'inherited', relation <> root, 'as_row', base || '_row');
    execute format('create function %s_on_%s() returns trigger language plpgsql security definer set search_path = %s as %L'
      , base, operation, path, case facts ->> 'level' when 'row' then postrider.capture_row_body(told) else postrider.capture_statement_body(told) end);
    execute format('revoke all on function %s_on_%s() from public', base, operation);
    execute format('create or replace trigger %I after %s on %s %s for each %s execute function %s_on_%s()'
      , postrider.capture_trigger_name(facts ->> 'name', operation), operation, own_type
      , case when facts ->> 'level' = 'row' then ''
             else 'referencing' || case when operation <> 'insert' then ' old table as old_rows' else '' end
                                || case when operation <> 'delete' then ' new table as new_rows' else '' end end
      , facts ->> 'level', base, operation);
    if (facts ->> 'replicated')::boolean then
      perform postrider.fire_always(relation, postrider.capture_trigger_name(facts ->> 'name', operation));
    end if;
  end loop;
end $_$;


--
-- Name: FUNCTION attach_capture_triggers(relation regclass, root regclass, facts jsonb, path text); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.attach_capture_triggers(relation regclass, root regclass, facts jsonb, path text) IS 'Internal: Makes the triggers of a capture on its table or on an inheritance child.';


--
-- Name: bad_capture(text, text, text); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.bad_capture(argument text, problem text, remedy text) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  raise exception using errcode = 'invalid_parameter_value', message = format('postrider.capture: %s: %s', argument, problem), hint = remedy;
end $$;


--
-- Name: FUNCTION bad_capture(argument text, problem text, remedy text); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.bad_capture(argument text, problem text, remedy text) IS 'Internal: Raises the error for an argument of capture.';


--
-- Name: become(name); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.become(owner name) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  if current_user <> owner then perform set_config('role', owner, true); end if;
exception when insufficient_privilege or invalid_parameter_value then
  raise exception using errcode = 'insufficient_privilege', message = format('postrider.capture: the table belongs to %I, and %I may not act as that role here', owner, current_user),
    hint = 'Call it as the table''s owner, as a member of that role or as a superuser, and not from a security definer function.';
end $$;


--
-- Name: FUNCTION become(owner name); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.become(owner name) IS 'Internal: Sets the role to a table''s owner until it is set back.';


--
-- Name: build_capture(regclass, jsonb, jsonb, text); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.build_capture(relation regclass, facts jsonb, expressions jsonb, path text) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  prefix text := facts ->> 'function';
  old_functions regprocedure[];
  each regclass;
begin
  execute (select format('lock table %I.%I in share row exclusive mode', n.nspname, c.relname)
           from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = relation);
  old_functions := postrider.capture_functions(relation, facts ->> 'name');
  perform postrider.compile_capture('instance', expressions ->> 'instance', prefix || '_instance', 'text', relation, path);
  perform postrider.compile_capture_data(expressions ->> 'data', prefix || '_data', relation, path);
  if expressions ->> 'when' is not null then
    perform postrider.compile_capture('when_', expressions ->> 'when', prefix || '_when', 'boolean', relation, path);
  end if;
  if expressions ->> 'key' is not null then
    perform postrider.compile_capture('idempotency_key', expressions ->> 'key', prefix || '_key', 'text', relation, path);
  end if;
  for each in select postrider.captured_tables(relation) loop
    perform postrider.attach_capture_triggers(each, relation, facts, path);
  end loop;
  perform postrider.drop_captured(relation, old_functions);
end $$;


--
-- Name: FUNCTION build_capture(relation regclass, facts jsonb, expressions jsonb, path text); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.build_capture(relation regclass, facts jsonb, expressions jsonb, path text) IS 'Internal: Locks the table, makes functions and triggers, and removes those they replace.';


--
-- Name: build_capture_patiently(regclass, jsonb, jsonb, text); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.build_capture_patiently(relation regclass, facts jsonb, expressions jsonb, path text) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET lock_timeout TO '200ms'
    AS $$
begin
  for attempt in 1 .. 40 loop
    begin
      perform postrider.build_capture(relation, facts, expressions, path);
      return;
    exception when lock_not_available or deadlock_detected then
      null; -- with the subtransaction go the locks it had
    end;
    perform pg_sleep(0.05 + random() * 0.25);
  end loop;
  raise exception using errcode = 'lock_not_available', message = format('postrider.capture: no lock on %s was to be had in 40 tries', relation),
    hint = 'A long transaction uses the table: see pg_locks and pg_stat_activity. Try again when it has ended, in a transaction of its own.';
end $$;


--
-- Name: FUNCTION build_capture_patiently(relation regclass, facts jsonb, expressions jsonb, path text); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.build_capture_patiently(relation regclass, facts jsonb, expressions jsonb, path text) IS 'Internal: build_capture, trying again while the table is in use.';


--
-- Name: bury_pending(bigint, text); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.bury_pending(endpoint bigint, why text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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


--
-- Name: FUNCTION bury_pending(endpoint bigint, why text); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.bury_pending(endpoint bigint, why text) IS 'Internal: Moves what is pending for an endpoint that is being deleted to the dead letters, or leaves it to maintenance.';


--
-- Name: call_instance(); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.call_instance() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  owner record;
begin
  select a.id, a.name into owner from postrider.accounts a where a.id <> 1 and starts_with(new.name, a.name || '/');
  new.account_id := coalesce(owner.id, 1);
  new.called := case when owner.id is null then new.name else substr(new.name, length(owner.name) + 2) end;
  return new;
end $$;


--
-- Name: FUNCTION call_instance(); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.call_instance() IS 'Trigger: the account of an instance, and what it is called there, follow from its name.';


--
-- Name: capture(regclass, text, text, text, text[], text, text[], text, boolean, text, text); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.capture(relation regclass, type text, instance text, data text DEFAULT NULL::text, operations text[] DEFAULT '{insert}'::text[], when_ text DEFAULT NULL::text, columns text[] DEFAULT NULL::text[], on_error text DEFAULT 'fail'::text, replicated boolean DEFAULT false, idempotency_key text DEFAULT NULL::text, name text DEFAULT NULL::text) RETURNS text
    LANGUAGE sql
    RETURN postrider.attach_capture(relation, (relation)::text, type, instance, data, operations, when_, columns, on_error, replicated, idempotency_key, name, current_schemas(false));


--
-- Name: FUNCTION capture(relation regclass, type text, instance text, data text, operations text[], when_ text, columns text[], on_error text, replicated boolean, idempotency_key text, name text); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.capture(relation regclass, type text, instance text, data text, operations text[], when_ text, columns text[], on_error text, replicated boolean, idempotency_key text, name text) IS 'The same for a table given as regclass.';


--
-- Name: capture(text, text, text, text, text[], text, text[], text, boolean, text, text); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.capture(relation text, type text, instance text, data text DEFAULT NULL::text, operations text[] DEFAULT '{insert}'::text[], when_ text DEFAULT NULL::text, columns text[] DEFAULT NULL::text[], on_error text DEFAULT 'fail'::text, replicated boolean DEFAULT false, idempotency_key text DEFAULT NULL::text, name text DEFAULT NULL::text) RETURNS text
    LANGUAGE sql
    RETURN postrider.attach_capture(to_regclass(relation), relation, type, instance, data, operations, when_, columns, on_error, replicated, idempotency_key, name, current_schemas(false));


--
-- Name: FUNCTION capture(relation text, type text, instance text, data text, operations text[], when_ text, columns text[], on_error text, replicated boolean, idempotency_key text, name text); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.capture(relation text, type text, instance text, data text, operations text[], when_ text, columns text[], on_error text, replicated boolean, idempotency_key text, name text) IS 'Makes a table a source of events: every row that is written becomes one, in the writer''s own transaction. type is a literal. instance, data, when_ and idempotency_key are SQL expressions over new, old and operation (insert, update or delete), evaluated as the table''s owner; a literal needs quotes of its own. data is json, jsonb or a row, and the whole row by default. columns limits the default data to these, and updates to those that change one of them. on_error: fail (the default) fails the statement with an error that names the capture; skip records the row in postrider.capture_failures and lets the statement pass. replicated also captures what logical replication applies. name tells several captures of a table apart (default: the type); a second call with the same table and name replaces the first. Returns the name.

Not captured: TRUNCATE, which has no rows, and what a session writes under session_replication_role = replica, unless replicated. Children added to an inheritance parent later are captured after another call; partitions at once. A captured table that becomes a partition or a child itself needs another call too, or what is written through the other one is not captured; postrider doctor finds it. The type of a column that an expression names cannot be changed: call uncapture, change it, and capture again.

Attaching locks the table against writers from then until the transaction ends, so call it in a transaction of its own. It waits for the lock 200 ms at a time, up to 40 times, so that writers never queue behind it for longer; locks the transaction already holds stay held meanwhile.';


--
-- Name: capture_arguments(text, text, text); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.capture_arguments(operation text, new_row text, old_row text) RETURNS text
    LANGUAGE sql IMMUTABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    RETURN format('(%s, %s, %L)'::text, CASE WHEN (operation = 'delete'::text) THEN 'null'::text ELSE new_row END, CASE WHEN (operation = 'insert'::text) THEN 'null'::text ELSE old_row END, operation);


--
-- Name: FUNCTION capture_arguments(operation text, new_row text, old_row text); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.capture_arguments(operation text, new_row text, old_row text) IS 'Internal: What an expression function is called with.';


--
-- Name: capture_facts(text); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.capture_facts(source text) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  return substr(split_part(source, E'\n', 1), length('-- postrider.capture ') + 1)::jsonb;
exception when others then
  return null;
end $$;


--
-- Name: FUNCTION capture_facts(source text); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.capture_facts(source text) IS 'Internal: What the first line of a generated trigger function says; null where it is none.';


--
-- Name: capture_failed(text, regclass, text, text, text, text); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.capture_failed(capture text, relation regclass, state text, message text, detail text DEFAULT NULL::text, hint text DEFAULT NULL::text) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  -- The kind of error stays what it was: a client still sees a serialization failure as one, and tries again.
  raise exception using errcode = state,
    message = format('postrider: capture %L on %s failed: %s', capture, relation, message),
    detail = coalesce(nullif(detail, ''), 'No event could be made of a row that was written.'),
    hint = concat_ws(' ', nullif(hint, ''), 'The statement was not carried out. To change the capture, call postrider.capture again; with on_error => ''skip'' such rows are recorded in postrider.capture_failures instead.');
end $$;


--
-- Name: FUNCTION capture_failed(capture text, relation regclass, state text, message text, detail text, hint text); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.capture_failed(capture text, relation regclass, state text, message text, detail text, hint text) IS 'Internal, for captures: raises an error again, with the name of the capture.';


--
-- Name: captured_tables(regclass); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.captured_tables(root regclass) RETURNS SETOF regclass
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    BEGIN ATOMIC
 WITH RECURSIVE tree(relation) AS (
          SELECT (captured_tables.root)::oid AS root
         UNION
          SELECT i.inhrelid
            FROM ((tree t_1
              JOIN pg_inherits i ON ((i.inhparent = t_1.relation)))
              JOIN pg_class c_1 ON (((c_1.oid = t_1.relation) AND (c_1.relkind = 'r'::"char"))))
         )
  SELECT (t.relation)::regclass AS relation
    FROM (tree t
      JOIN pg_class c ON ((c.oid = t.relation)))
   WHERE (c.relkind = ANY (ARRAY['r'::"char", 'p'::"char"]));
END;


--
-- Name: FUNCTION captured_tables(root regclass); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.captured_tables(root regclass) IS 'Internal: A table and its inheritance children; partitions are left to the root.';


--
-- Name: capture_triggers; Type: VIEW; Schema: postrider; Owner: -
--

CREATE VIEW postrider.capture_triggers AS
 SELECT t.oid AS trigger_oid,
    t.tgname AS trigger_name,
    (t.tgrelid)::regclass AS relation,
    t.tgenabled AS enabled,
    p.oid AS function_oid,
    p.proname AS function_name,
    n.nspname AS home,
    (p.proowner)::regrole AS runs_as,
    f.facts
   FROM (((pg_namespace n
     JOIN pg_proc p ON ((p.pronamespace = n.oid)))
     JOIN pg_trigger t ON ((t.tgfoid = p.oid)))
     CROSS JOIN LATERAL postrider.capture_facts(p.prosrc) f(facts))
  WHERE (starts_with((n.nspname)::text, 'postrider_captures_'::text) AND (t.tgparentid = (0)::oid) AND (f.facts ? 'base'::text));


--
-- Name: VIEW capture_triggers; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON VIEW postrider.capture_triggers IS 'Every trigger of a capture, from the catalog.';


--
-- Name: capture_functions(regclass, text); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.capture_functions(root regclass, name text) RETURNS regprocedure[]
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    RETURN (SELECT COALESCE(array_agg(DISTINCT (p.oid)::regprocedure), '{}'::regprocedure[]) AS "coalesce" FROM ((postrider.capture_triggers c JOIN pg_namespace n ON ((n.nspname = c.home))) JOIN pg_proc p ON (((p.pronamespace = n.oid) AND starts_with((p.proname)::text, (c.facts ->> 'base'::text))))) WHERE (((c.relation)::oid IN (SELECT postrider.captured_tables(capture_functions.root) AS captured_tables)) AND ((capture_functions.name IS NULL) OR ((c.facts ->> 'name'::text) = capture_functions.name))));


--
-- Name: FUNCTION capture_functions(root regclass, name text); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.capture_functions(root regclass, name text) IS 'Internal: The generated functions of a table''s captures, or of one of them.';


--
-- Name: capture_moves_body(jsonb); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.capture_moves_body(facts jsonb) RETURNS text
    LANGUAGE sql IMMUTABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    RETURN format('
declare
  setting text := %1$L || pg_trigger_depth(); state text := postrider.capture_state(setting);
begin
  if tg_op = ''UPDATE'' and tg_when = ''BEFORE'' then
    perform set_config(setting, postrider.sealed_state(setting, ''u''), true);
  elsif state is not null then
    perform set_config(setting, '''', true);
    if length(state) > 1 then perform %2$s_emit(null, %2$s_parsed(substr(state, 2)), ''delete'', tg_relid); end if;
  end if;
  return null;
end
'::text, (('postrider.'::text || (facts ->> 'base'::text)) || '_'::text), (facts ->> 'function'::text));


--
-- Name: FUNCTION capture_moves_body(facts jsonb); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.capture_moves_body(facts jsonb) IS 'Internal: The body of the statement triggers that tell an UPDATE of a partitioned table from inserts and deletes.';


--
-- Name: capture_path(regclass, name[]); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.capture_path(relation regclass, path name[]) RETURNS text
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    RETURN (SELECT (('pg_catalog, '::text || COALESCE((string_agg(quote_ident((s.name)::text), ', '::text ORDER BY s.ord) || ', '::text), ''::text)) || 'pg_temp'::text) FROM ((SELECT p.name, min(p.ord) AS ord FROM unnest((capture_path.path || (SELECT n_1.nspname FROM (pg_class c JOIN pg_namespace n_1 ON ((n_1.oid = c.relnamespace))) WHERE (c.oid = (capture_path.relation)::oid)))) WITH ORDINALITY p(name, ord) GROUP BY p.name) s JOIN pg_namespace n ON ((n.nspname = s.name))) WHERE ((s.name <> 'pg_catalog'::name) AND (NOT starts_with((s.name)::text, 'pg_temp'::text)) AND (NOT starts_with((s.name)::text, 'pg_toast'::text)) AND (NOT (EXISTS (SELECT FROM aclexplode(n.nspacl) a(grantor, grantee, privilege_type, is_grantable) WHERE ((a.grantee = (0)::oid) AND (a.privilege_type = 'CREATE'::text)))))));


--
-- Name: FUNCTION capture_path(relation regclass, path name[]); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.capture_path(relation regclass, path name[]) IS 'Internal: Where names in a capture''s expressions are looked up: the caller''s search_path and the table''s schema, without schemas in which everyone may create.';


--
-- Name: capture_row_body(jsonb); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.capture_row_body(facts jsonb) RETURNS text
    LANGUAGE plpgsql IMMUTABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
declare
  emitter text := facts ->> 'function' || '_emit';
  operation text := facts ->> 'operation';
  plain text := format('perform %s%s;', emitter
    , regexp_replace(postrider.capture_arguments(operation, 'new', 'old'), '\)$', ', tg_relid)'));
begin
  if (facts ->> 'moves')::boolean and operation = 'insert' then
    plain := format($body$state := postrider.capture_state(setting);
  if length(state) > 1 then
    perform set_config(setting, postrider.sealed_state(setting, 'u'), true);
    perform %1$s(new, %2$s_parsed(substr(state, 2)), 'update', tg_relid);
  else
    %3$s
  end if;$body$, emitter, facts ->> 'function', plain);
  elsif (facts ->> 'moves')::boolean and operation = 'delete' then
    plain := format($body$state := postrider.capture_state(setting);
  if state is null then
    %3$s
  else
    if length(state) > 1 then perform %1$s(null, %2$s_parsed(substr(state, 2)), 'delete', tg_relid); end if;
    perform set_config(setting, postrider.sealed_state(setting, 'u' || %2$s_text(old)), true);
  end if;$body$, emitter, facts ->> 'function', plain);
  end if;
  return format($body$-- postrider.capture %s
declare
  setting text := %L || pg_trigger_depth(); state text;
begin
  %s
  return null;
end
$body$, facts, 'postrider.' || (facts ->> 'base') || '_', plain);
end $_$;


--
-- Name: FUNCTION capture_row_body(facts jsonb); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.capture_row_body(facts jsonb) IS 'Internal: The body of a row trigger''s function.';


--
-- Name: capture_row_emitter(jsonb); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.capture_row_emitter(facts jsonb) RETURNS text
    LANGUAGE plpgsql IMMUTABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
declare
  given text := '(new_row, old_row, operation)';
  evaluate text;
begin
  if facts ->> 'on_error' = 'skip' then
    evaluate := postrider.capture_row_with_care(facts, given, 'coalesce(new_row, old_row)');
  else
    evaluate := format($body$
  begin
    if not coalesce(%1$s, false) then return; end if;
    instance := %2$s_instance%3$s; event := %2$s_data%3$s; key := %4$s;
  exception when others then
    get stacked diagnostics state = returned_sqlstate, said = message_text, details = pg_exception_detail, advice = pg_exception_hint;
    perform postrider.capture_failed(%5$L, written, state, said, details, advice);
  end;
  instances := array[instance]; events := array[event]; keys := array[key];$body$
      , case when (facts ->> 'when')::boolean then facts ->> 'function' || '_when' || given else 'true' end, facts ->> 'function', given
      , case when (facts ->> 'key')::boolean then facts ->> 'function' || '_key' || given else 'null' end, facts ->> 'name');
  end if;
  return format($body$
declare
  instances text[] := '{}'; events json[] := '{}'; keys text[] := '{}';
  instance text; event json; key text; state text; said text; details text; advice text;
begin
  if operation <> all (%L::text[]) then return; end if;%s
  if instances <> '{}' then
    perform postrider.emit_captured(%L, written, %L, instances[1], events[1], keys[1]);
  end if;
end
$body$, (select array_agg(o) from jsonb_array_elements_text(facts -> 'operations') o), evaluate, facts ->> 'name', facts ->> 'type');
end $_$;


--
-- Name: FUNCTION capture_row_emitter(facts jsonb); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.capture_row_emitter(facts jsonb) IS 'Internal: The body of the function that row triggers call.';


--
-- Name: capture_row_with_care(jsonb, text, text); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.capture_row_with_care(facts jsonb, arguments text, "row" text) RETURNS text
    LANGUAGE sql IMMUTABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    RETURN format('
    begin
      if %1$s then
        instance := %2$s_instance%3$s; event := %2$s_data%3$s; key := %4$s;
        perform postrider.check_captured(%5$L, instance, event);
        instances := instances || instance; events := events || event; keys := keys || key;
      end if;
    exception when others then
      get stacked diagnostics state = returned_sqlstate, said = message_text;
      if state ~ ''^(40|53|57|58|XX|0A|25)'' then raise; end if;
      perform postrider.record_capture_failure(%6$L, %9$s, %7$s, state, regexp_replace(said, ''^postrider: '', ''''), to_json(%8$s));
    end;
'::text, CASE WHEN ((facts ->> 'when'::text))::boolean THEN (((facts ->> 'function'::text) || '_when'::text) || arguments) ELSE 'true'::text END, (facts ->> 'function'::text), arguments, CASE WHEN ((facts ->> 'key'::text))::boolean THEN (((facts ->> 'function'::text) || '_key'::text) || arguments) ELSE 'null'::text END, (facts ->> 'type'::text), (facts ->> 'name'::text), COALESCE(quote_literal((facts ->> 'operation'::text)), 'operation'::text), "row", CASE WHEN (facts ? 'operation'::text) THEN 'tg_relid'::text ELSE 'written'::text END);


--
-- Name: FUNCTION capture_row_with_care(facts jsonb, arguments text, "row" text); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.capture_row_with_care(facts jsonb, arguments text, "row" text) IS 'Internal: The part of a generated trigger function that skips a row that fails.';


--
-- Name: capture_schema(name); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.capture_schema(owner name) RETURNS name
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (CASE WHEN (octet_length((owner)::text) <= 44) THEN ('postrider_captures_'::text || (owner)::text) ELSE ('postrider_captures_'::text || "left"(encode(sha256(convert_to((owner)::text, 'UTF8'::name)), 'hex'::text), 32)) END)::name;


--
-- Name: FUNCTION capture_schema(owner name); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.capture_schema(owner name) IS 'Internal: The schema that holds the generated functions of a table owner.';


--
-- Name: capture_single_row(jsonb); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.capture_single_row(facts jsonb) RETURNS text
    LANGUAGE plpgsql IMMUTABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
declare
  operation text := facts ->> 'operation';
  given text := postrider.capture_arguments(operation, 'p.new_row', 'p.old_row');
  instance text := format('%s_instance%s', facts ->> 'function', given);
  event text := format('%s_data%s', facts ->> 'function', given);
  source text := format(case operation
    when 'insert' then '(select %1$s(x.*) as new_row from new_rows x) p'
    when 'delete' then '(select %1$s(x.*) as old_row from old_rows x) p'
    else '(select %1$s(n.*) as new_row, %1$s(o.*) as old_row from new_rows n, old_rows o) p' end, facts ->> 'as_row');
begin
  -- Keys are for the general way: a second event of one key is not written.
  if (facts ->> 'key')::boolean then return ''; end if;
  if (facts ->> 'when')::boolean then
    source := format('(select p.*, %s_when%s as wanted from %s offset 0) p', facts ->> 'function', given, source);
    instance := format('case when p.wanted then %s end', instance);
    event := format('case when p.wanted then %s end', event);
  end if;
  return format($body$
  begin
    select %1$s, %2$s%3$s into strict instance, event%4$s from %5$s%9$s;%6$s
  exception when others then
    event := null;
  end;
  if event is not null then
    if postrider.write_event(%7$L, instance, event) is not null then return null; end if;%8$s
  end if;$body$, instance, event
    , case when (facts ->> 'when')::boolean then ', coalesce(p.wanted, false)' else '' end
    , case when (facts ->> 'when')::boolean then ', wanted' else '' end, source
    , case when (facts ->> 'when')::boolean then ' if not wanted then return null; end if;' else '' end, facts ->> 'type'
    , case when facts ->> 'on_error' = 'skip' then '' else format('
    perform postrider.emit_captured(%L, tg_relid, %L, instance, event, null);
    return null;', facts ->> 'name', facts ->> 'type') end
    , case when operation = 'update' then ' limit 2' else '' end);
end $_$;


--
-- Name: FUNCTION capture_single_row(facts jsonb); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.capture_single_row(facts jsonb) IS 'Internal: The part of a statement trigger''s function that is tried first, and suffices for most statements.';


--
-- Name: capture_source(text, text); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.capture_source(operation text, as_row text) RETURNS text
    LANGUAGE sql IMMUTABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    RETURN CASE operation WHEN 'insert'::text THEN format('(select %s(x.*) as new_row, null as old_row from new_rows x) p'::text, as_row) WHEN 'delete'::text THEN format('(select null as new_row, %s(x.*) as old_row from old_rows x) p'::text, as_row) ELSE format('(select n.new_row, o.old_row from (select %1$s(x.*) as new_row, row_number() over () as number from new_rows x) n full join (select %1$s(x.*) as old_row, row_number() over () as number from old_rows x) o using (number) order by number offset 0) p'::text, as_row) END;


--
-- Name: FUNCTION capture_source(operation text, as_row text); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.capture_source(operation text, as_row text) IS 'Internal: The rows of one statement, as the FROM item of a generated trigger function.';


--
-- Name: capture_state(text); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.capture_state(name text) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  given text := current_setting(name, true);
begin
  -- Empty but for updates of partitioned tables, so the seal is seldom looked at.
  if given is null or given = '' or given <> postrider.sealed_state(name, substr(given, 65)) then return null; end if;
  return substr(given, 65);
end $$;


--
-- Name: FUNCTION capture_state(name text); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.capture_state(name text) IS 'Internal, for captures: the state of the UPDATE under way; null when there is none.';


--
-- Name: capture_statement_body(jsonb); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.capture_statement_body(facts jsonb) RETURNS text
    LANGUAGE plpgsql IMMUTABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
declare
  operation text := facts ->> 'operation';
  source text := postrider.capture_source(operation, facts ->> 'as_row');
  given text := postrider.capture_arguments(operation, 'p.new_row', 'p.old_row');
  evaluate text;
  otherwise text;
  care text := '';
begin
  evaluate := format('select array_agg(%1$s_instance%2$s), array_agg(%1$s_data%2$s)%3$s into instances, events%4$s from %5$s%6$s;'
    , facts ->> 'function', given
    , case when (facts ->> 'key')::boolean then format(', array_agg(%s_key%s)', facts ->> 'function', given) else '' end
    , case when (facts ->> 'key')::boolean then ', keys' else '' end
    , source
    , case when (facts ->> 'when')::boolean then format(' where %s_when%s', facts ->> 'function', given) else '' end);
  if facts ->> 'on_error' = 'skip' then
    otherwise := 'careful := true;';
    care := format($body$
  if careful or postrider.any_refused(%L, instances, events) then
    instances := '{}'; events := '{}'; keys := '{}';
    for pair in select * from %s loop%s    end loop;
  end if;$body$, facts ->> 'type', source, postrider.capture_row_with_care(
      facts, postrider.capture_arguments(operation, 'pair.new_row', 'pair.old_row'), case operation when 'delete' then 'pair.old_row' else 'pair.new_row' end));
  else
    otherwise := format('get stacked diagnostics state = returned_sqlstate, said = message_text, details = pg_exception_detail, advice = pg_exception_hint;
    perform postrider.capture_failed(%L, tg_relid, state, said, details, advice);', facts ->> 'name');
  end if;
  return format($body$-- postrider.capture %1$s
declare
  instances text[]; events json[]; keys text[]; careful boolean; pair record; wanted boolean;
  instance text; event json; key text; state text; said text; details text; advice text;
begin%7$s
  begin
    %2$s
  exception when others then
    %3$s
  end;%4$s
  if cardinality(instances) = 1 then
    perform postrider.emit_captured(%5$L, tg_relid, %6$L, instances[1], events[1], keys[1]);
  elsif instances <> '{}' then
    perform postrider.emit_captured(%5$L, tg_relid, %6$L, instances, events, keys);
  end if;
  return null;
end
$body$, facts, evaluate, otherwise, care, facts ->> 'name', facts ->> 'type', postrider.capture_single_row(facts));
end $_$;


--
-- Name: FUNCTION capture_statement_body(facts jsonb); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.capture_statement_body(facts jsonb) IS 'Internal: The body of a statement trigger''s function.';


--
-- Name: capture_trigger_name(text, text); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.capture_trigger_name(name text, operation text) RETURNS name
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (((('postrider_'::text || CASE WHEN (octet_length(name) <= 38) THEN name ELSE "left"(encode(sha256(convert_to(name, 'UTF8'::name)), 'hex'::text), 32) END) || '_'::text) || operation))::name;


--
-- Name: FUNCTION capture_trigger_name(name text, operation text); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.capture_trigger_name(name text, operation text) IS 'Internal: The name of a capture''s trigger for one operation.';


--
-- Name: captures_naming(text); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.captures_naming(instance text) RETURNS text
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  tables text;
begin
  select string_agg(distinct c.relation::text, ', ') into tables from postrider.captures c
  where c.instance in (quote_literal(captures_naming.instance), quote_literal(captures_naming.instance) || '::text');
  return tables;
exception when others then
  return null; -- a capture that somebody has changed by hand keeps nobody from deleting an instance
end $$;


--
-- Name: FUNCTION captures_naming(instance text); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.captures_naming(instance text) IS 'Internal: The tables whose captures name this instance as a literal; null where there are none.';


--
-- Name: check_account_name(); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.check_account_name() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  if exists (select from postrider.instances i where i.account_id = 1 and starts_with(i.name, new.name || '/')) then
    raise exception using errcode = 'unique_violation', message = format('postrider: an instance of the account "default" is called %L and more', new.name || '/'),
      hint = 'Take another name for the account.';
  end if;
  return new;
end $$;


--
-- Name: FUNCTION check_account_name(); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.check_account_name() IS 'Trigger: no instance of the account "default" is called as those of a new account would be.';


--
-- Name: check_capture_arguments(regclass, text, text, text[], text[], text); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.check_capture_arguments(relation regclass, type text, name text, operations text[], columns text[], on_error text) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
declare
  wrong text;
begin
  if type is null or type !~ '^[a-z][a-z0-9._-]{0,199}$' then
    perform postrider.check_event('', type, '{}');
  end if;
  if name = '' or length(name) > 200 or name ~ '[[:cntrl:]]' then
    perform postrider.bad_capture('name', format('%L is not a name', name), 'Give 1 to 200 printable characters.');
  end if;
  if operations is null or cardinality(operations) = 0 then
    perform postrider.bad_capture('operations', 'there are none', 'Give some of insert, update and delete, for example ''{insert,update}''.');
  end if;
  select coalesce(o, 'null') into wrong from unnest(operations) o where o is null or o not in ('insert', 'update', 'delete') limit 1;
  if found then
    perform postrider.bad_capture('operations', format('there is no operation %s', wrong), case when lower(wrong) = 'truncate' then 'TRUNCATE is not captured: it has no rows.' else 'Give some of insert, update and delete, in lower case.' end);
  end if;
  if on_error is null or on_error not in ('fail', 'skip') then
    perform postrider.bad_capture('on_error', format('%s is neither fail nor skip', coalesce(quote_literal(on_error), 'null')), 'fail: the statement fails; skip: the row is recorded in postrider.capture_failures.');
  end if;
  if columns is not null then
    select coalesce(c, 'null') into wrong from unnest(columns) c
    where not exists (select from pg_attribute a where a.attrelid = relation and a.attname = c and a.attnum > 0 and not a.attisdropped) limit 1;
    if found or cardinality(columns) = 0 then
      perform postrider.bad_capture('columns', format('%s has no column %s', relation, coalesce(quote_literal(wrong), 'of an empty list')), 'Name columns as they are, without quotes of their own.');
    end if;
  end if;
end $_$;


--
-- Name: FUNCTION check_capture_arguments(relation regclass, type text, name text, operations text[], columns text[], on_error text); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.check_capture_arguments(relation regclass, type text, name text, operations text[], columns text[], on_error text) IS 'Internal: Raises an error that names the argument of capture that is wrong.';


--
-- Name: check_capture_schema(name); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.check_capture_schema(owner name) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  home name := postrider.capture_schema(owner);
  intruder text;
begin
  if to_regnamespace(quote_ident(home)) is null or not has_schema_privilege(owner, home, 'create, usage')
     or not has_function_privilege(owner, 'postrider.emit_captured(text, regclass, text, text[], json[], text[])', 'execute') then
    raise exception using errcode = 'insufficient_privilege', message = format('postrider.capture: role %I, who owns the table, may not capture', owner),
      hint = format('As the owner of postrider: select postrider.allow(%L, ''capture'');', owner);
  end if;
  -- Whoever may create here could be called in the owner's name.
  select coalesce(r.rolname, 'public') into intruder
  from pg_namespace n cross join aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) a left join pg_roles r on r.oid = a.grantee
  where n.nspname = home and a.privilege_type = 'CREATE' and not coalesce(r.rolsuper, false)
    and a.grantee not in (owner::regrole, (select p.nspowner from pg_namespace p where p.nspname = 'postrider'));
  if intruder is null then
    select r.rolname into intruder from pg_namespace n join pg_roles r on r.oid = n.nspowner
    where n.nspname = home and not r.rolsuper
      and r.oid not in (owner::regrole, (select p.nspowner from pg_namespace p where p.nspname = 'postrider'));
  end if;
  if intruder is not null then
    raise exception using errcode = 'insufficient_privilege', message = format('postrider.capture: schema %I is open to %I', home, intruder),
      hint = format('Only %I may create there. Revoke that, or drop the schema.', owner);
  end if;
end $$;


--
-- Name: FUNCTION check_capture_schema(owner name); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.check_capture_schema(owner name) IS 'Internal: Raises an error unless a table owner has a schema for its generated functions, closed to others.';


--
-- Name: check_captured(text, text, json); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.check_captured(type text, instance text, data json) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  if instance is null or not exists (select from postrider.instances i where i.name = check_captured.instance) then
    perform postrider.instance_missing(instance);
  end if;
  if data is null then
    raise exception using errcode = 'null_value_not_allowed', message = format('the data of event %s for instance %L is null', type, instance),
      hint = 'In a delete new is null, in an insert old is: coalesce(new, old) is whichever there is.';
  end if;
  perform postrider.check_event(instance, type, data);
end $$;


--
-- Name: FUNCTION check_captured(type text, instance text, data json); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.check_captured(type text, instance text, data json) IS 'Internal, for captures: raises an error when no event can be made of these.';


--
-- Name: check_captured_or_fail(text, regclass, text, text, json); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.check_captured_or_fail(capture text, relation regclass, type text, instance text, data json) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  state text;
  said text;
  advice text;
begin
  perform postrider.check_captured(type, instance, data);
exception when others then
  get stacked diagnostics state = returned_sqlstate, said = message_text, advice = pg_exception_hint;
  perform postrider.capture_failed(capture, relation, state, regexp_replace(said, '^postrider: ', ''), null, advice);
end $$;


--
-- Name: FUNCTION check_captured_or_fail(capture text, relation regclass, type text, instance text, data json); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.check_captured_or_fail(capture text, relation regclass, type text, instance text, data json) IS 'Internal, for captures: check_captured, with errors that name the capture.';


--
-- Name: check_captured_relation(regclass, text); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.check_captured_relation(relation regclass, given text) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  table_row record;
begin
  if relation is null then
    perform postrider.bad_capture('relation', format('there is no table %s', coalesce(given, 'null')), 'Name it with its schema, and quote mixed case: ''sales."Order"''.');
  end if;
  select c.relkind, c.relpersistence, c.relispartition, n.nspname into table_row from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = relation;
  if table_row.nspname in ('pg_catalog', 'information_schema', 'pg_toast') then
    perform postrider.bad_capture('relation', format('%s is a system table', relation), 'Postgres allows no triggers there.');
  elsif table_row.nspname = 'postrider' then
    perform postrider.bad_capture('relation', format('%s is Postrider''s own', relation)
      , 'Its events would make events. A table of yours got there because your role is called as the schema: alter table … set schema public, and set search_path.');
  elsif table_row.relkind in ('v', 'm') then
    perform postrider.bad_capture('relation', format('%s is a view', relation), 'Capture the tables it reads from.');
  elsif table_row.relkind = 'f' then
    perform postrider.bad_capture('relation', format('%s is a foreign table', relation), 'Capture the table where it lives.');
  elsif table_row.relkind not in ('r', 'p') then
    perform postrider.bad_capture('relation', format('%s is not a table', relation), 'Name an ordinary or a partitioned table.');
  elsif table_row.relpersistence = 't' then
    perform postrider.bad_capture('relation', format('%s is a temporary table', relation), 'Call postrider.emit instead.');
  end if;
end $$;


--
-- Name: FUNCTION check_captured_relation(relation regclass, given text); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.check_captured_relation(relation regclass, given text) IS 'Internal: Raises an error unless this is a table that can be captured.';


--
-- Name: check_event(text, text, json); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.check_event(instance text, type text, data json) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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


--
-- Name: FUNCTION check_event(instance text, type text, data json); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.check_event(instance text, type text, data json) IS 'Internal: Raises an error that names the event when its type or data cannot be accepted.';


SET default_tablespace = '';

SET default_table_access_method = heap;

--
-- Name: webhook_queue; Type: TABLE; Schema: postrider; Owner: -
--

CREATE TABLE postrider.webhook_queue (
    id bigint NOT NULL,
    next_retry_at timestamp with time zone DEFAULT now() NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    target bigint NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    max_attempts integer DEFAULT 5 NOT NULL,
    crashes integer DEFAULT 0 NOT NULL,
    lane smallint NOT NULL,
    status text DEFAULT 'pending'::text NOT NULL,
    channel text DEFAULT 'webhook'::text NOT NULL,
    instance_name text NOT NULL,
    event_type text NOT NULL,
    url text NOT NULL,
    payload bytea NOT NULL,
    endpoint_id bigint,
    event_id bigint,
    event_nonce integer,
    event_at timestamp with time zone,
    first_attempt_at timestamp with time zone,
    lease_until timestamp with time zone,
    lease_token bigint,
    auth_header text,
    last_error text
)
WITH (fillfactor='50', autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='20000', autovacuum_vacuum_insert_scale_factor='0', autovacuum_vacuum_insert_threshold='200000', autovacuum_analyze_scale_factor='0', autovacuum_analyze_threshold='200000', autovacuum_vacuum_cost_delay='0', vacuum_truncate=off, toast.autovacuum_vacuum_scale_factor='0.05', toast.autovacuum_vacuum_cost_delay='0', toast.vacuum_truncate=off);
ALTER TABLE ONLY postrider.webhook_queue ALTER COLUMN payload SET STORAGE EXTERNAL;


--
-- Name: TABLE webhook_queue; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON TABLE postrider.webhook_queue IS 'Deliveries: one event for one endpoint, or a row inserted directly, which is POSTed as it stands. Public: operators work it with plain SQL.';


--
-- Name: COLUMN webhook_queue.id; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.webhook_queue.id IS 'The delivery.';


--
-- Name: COLUMN webhook_queue.next_retry_at; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.webhook_queue.next_retry_at IS 'When it is due.';


--
-- Name: COLUMN webhook_queue.created_at; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.webhook_queue.created_at IS 'When it was queued.';


--
-- Name: COLUMN webhook_queue.updated_at; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.webhook_queue.updated_at IS 'When its state last changed.';


--
-- Name: COLUMN webhook_queue.target; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.webhook_queue.target IS 'What fairness and the breaker go by: the endpoint, or a negative hash of instance and URL.';


--
-- Name: COLUMN webhook_queue.attempts; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.webhook_queue.attempts IS 'Attempts completed in this cycle; a re-queued row starts a new one.';


--
-- Name: COLUMN webhook_queue.max_attempts; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.webhook_queue.max_attempts IS 'When attempts reach it, the row is failed.';


--
-- Name: COLUMN webhook_queue.crashes; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.webhook_queue.crashes IS 'Leases that expired over it; ten bury the row.';


--
-- Name: COLUMN webhook_queue.lane; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.webhook_queue.lane IS 'Hash lane of the target, 0 to 63: bounds what one busy target can be in the way of.';


--
-- Name: COLUMN webhook_queue.status; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.webhook_queue.status IS 'pending, delivered, or failed (the dead-letter queue). In flight is not a status but a lease.';


--
-- Name: COLUMN webhook_queue.channel; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.webhook_queue.channel IS 'How it goes out.';


--
-- Name: COLUMN webhook_queue.instance_name; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.webhook_queue.instance_name IS 'The instance''s name.';


--
-- Name: COLUMN webhook_queue.event_type; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.webhook_queue.event_type IS 'Event name.';


--
-- Name: COLUMN webhook_queue.url; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.webhook_queue.url IS 'Final destination, event suffix applied. Rows of an endpoint take the endpoint''s URL at each attempt.';


--
-- Name: COLUMN webhook_queue.payload; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.webhook_queue.payload IS 'JSON body of the event, shaped for its endpoint; the whole body where there is no endpoint.';


--
-- Name: COLUMN webhook_queue.endpoint_id; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.webhook_queue.endpoint_id IS 'The endpoint it is for; null for a row inserted directly.';


--
-- Name: COLUMN webhook_queue.event_id; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.webhook_queue.event_id IS 'The event, in postrider.events while retention keeps it.';


--
-- Name: COLUMN webhook_queue.event_nonce; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.webhook_queue.event_nonce IS 'The second half of the public event id.';


--
-- Name: COLUMN webhook_queue.event_at; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.webhook_queue.event_at IS 'When the event happened, where that differs from created_at (a replay).';


--
-- Name: COLUMN webhook_queue.first_attempt_at; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.webhook_queue.first_attempt_at IS 'The first attempt of this cycle.';


--
-- Name: COLUMN webhook_queue.lease_until; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.webhook_queue.lease_until IS 'Until when a worker holds it.';


--
-- Name: COLUMN webhook_queue.lease_token; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.webhook_queue.lease_token IS 'Fencing token of that hold: what ends it must name it.';


--
-- Name: COLUMN webhook_queue.auth_header; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.webhook_queue.auth_header IS 'Authorization of a row without an endpoint; sealed at rest within seconds.';


--
-- Name: COLUMN webhook_queue.last_error; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.webhook_queue.last_error IS 'What the last failed attempt said.';


--
-- Name: check_row(postrider.webhook_queue); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.check_row(queued postrider.webhook_queue) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
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
end $_$;


--
-- Name: FUNCTION check_row(queued postrider.webhook_queue); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.check_row(queued postrider.webhook_queue) IS 'Internal: Raises an error that names what is wrong with a row written by hand.';


--
-- Name: check_signing_secret(text); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.check_signing_secret(secret text) RETURNS void
    LANGUAGE plpgsql IMMUTABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
begin
  if secret is null or secret not like 'sealed:%' and secret !~ '^whsec_[A-Za-z0-9+/]{32,88}={0,2}$' then
    raise exception using errcode = 'invalid_parameter_value', message = 'postrider: the signing secret is not one', hint = 'It is whsec_ and the base64 of 24 to 64 random bytes.';
  end if;
end $_$;


--
-- Name: FUNCTION check_signing_secret(secret text); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.check_signing_secret(secret text) IS 'Internal: Raises an error unless it is a signing secret, sealed or not.';


--
-- Name: check_size(postrider.webhook_queue); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.check_size(queued postrider.webhook_queue) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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


--
-- Name: FUNCTION check_size(queued postrider.webhook_queue); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.check_size(queued postrider.webhook_queue) IS 'Internal: Raises an error that names the limit which the payload of a row is over.';


--
-- Name: check_state(postrider.webhook_queue); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.check_state(queued postrider.webhook_queue) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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


--
-- Name: FUNCTION check_state(queued postrider.webhook_queue); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.check_state(queued postrider.webhook_queue) IS 'Internal: Raises an error that names the rule of the state machine that a row breaks.';


--
-- Name: columns_as_json(text[]); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.columns_as_json(columns text[]) RETURNS text
    LANGUAGE sql IMMUTABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    RETURN (SELECT (('json_build_object('::text || string_agg(format('%1$L, case operation when ''delete'' then old.%1$I else new.%1$I end'::text, c.name), ', '::text ORDER BY c.ord)) || ')'::text) FROM unnest(columns_as_json.columns) WITH ORDINALITY c(name, ord));


--
-- Name: FUNCTION columns_as_json(columns text[]); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.columns_as_json(columns text[]) IS 'Internal: The expression that makes an object of these columns.';


--
-- Name: columns_changed(regclass, text[]); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.columns_changed(relation regclass, columns text[]) RETURNS text
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    RETURN (SELECT (('(operation <> ''update'' or '::text || string_agg(CASE WHEN ((EXISTS (SELECT FROM (pg_opclass o JOIN pg_am m ON ((m.oid = o.opcmethod))) WHERE ((m.amname = 'btree'::name) AND o.opcdefault AND (o.opcintype = COALESCE(NULLIF(t.typbasetype, (0)::oid), t.oid))))) OR (t.typtype = 'e'::"char") OR (t.typname = ANY (ARRAY['varchar'::name, 'bpchar'::name]))) THEN format('new.%1$I is distinct from old.%1$I'::text, a.attname) ELSE format('new.%1$I::text is distinct from old.%1$I::text'::text, a.attname) END, ' or '::text)) || ')'::text) FROM ((unnest(columns_changed.columns) c(name) JOIN pg_attribute a ON (((a.attrelid = (columns_changed.relation)::oid) AND (a.attname = c.name)))) JOIN pg_type t ON ((t.oid = a.atttypid))));


--
-- Name: FUNCTION columns_changed(relation regclass, columns text[]); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.columns_changed(relation regclass, columns text[]) IS 'Internal: The expression that an update changes one of these columns.';


--
-- Name: compile_capture(text, text, text, text, regclass, text); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.compile_capture(argument text, expression text, function text, result text, relation regclass, path text) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
declare
  state text;
  said text;
  advice text;
  row_type text;
begin
  -- A semicolon outside of quotes would be a second statement.
  if regexp_replace(expression, $r$'(''|[^'])*'|"[^"]*"|\$([A-Za-z_]\w*)?\$.*?\$\2\$|--[^\n]*|/\*.*?\*/$r$, '', 'g') ~ ';' or btrim(expression) = '' then
    perform postrider.bad_capture(argument, 'is not an SQL expression', 'Give one expression over new and old, without a semicolon.');
  end if;
  select format('%I.%I', n.nspname, c.relname) into row_type from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = relation;
  perform set_config('search_path', path, true);
  execute format(E'create or replace function %s(new %s, old %s, operation text) returns %s language sql volatile return (%s\n)', function, row_type, row_type, result, expression);
  perform set_config('search_path', 'pg_catalog, pg_temp', true);
  execute format('revoke all on function %s(%s, %s, text) from public', function, row_type, row_type);
exception when syntax_error_or_access_rule_violation or data_exception or feature_not_supported or invalid_parameter_value then
  get stacked diagnostics state = returned_sqlstate, said = message_text, advice = pg_exception_hint;
  if said like 'postrider.capture: %' or state = '42501' then raise; end if;
  -- What Postgres says of new.name where there is no column "name".
  if said in ('missing FROM-clause entry for table "new"', 'missing FROM-clause entry for table "old"') then said := format('%s has no such column', relation); end if;
  perform postrider.bad_capture(argument, format('%s does not compile: %s', expression, said), concat_ws(' ', nullif(advice, '')
    , 'It is an SQL expression over new, old and operation: a column is new.name, a text literal has quotes of its own (''''''text''''''). What is not in pg_catalog, the table''s schema or the search_path is named with its schema, and so is what lies in a schema where everyone may create.'));
end $_$;


--
-- Name: FUNCTION compile_capture(argument text, expression text, function text, result text, relation regclass, path text); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.compile_capture(argument text, expression text, function text, result text, relation regclass, path text) IS 'Internal: Makes a function of an expression over new, old and operation, as its owner.';


--
-- Name: compile_capture_data(text, text, regclass, text); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.compile_capture_data(expression text, function text, relation regclass, path text) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  first_said text;
  advice text;
begin
  -- json, jsonb and literals become json by themselves; a row has to be asked.
  perform postrider.compile_capture('data', expression, function, 'json', relation, path);
exception when invalid_parameter_value then
  get stacked diagnostics first_said = message_text, advice = pg_exception_hint;
  if first_said not like '%return type mismatch%' then raise; end if;
  begin
    perform postrider.compile_capture('data', format(E'postrider.only_a_row((%s\n))', expression), function, 'json', relation, path);
    perform postrider.compile_capture('data', format(E'to_json((%s\n))', expression), function, 'json', relation, path);
  exception when invalid_parameter_value then
    perform postrider.bad_capture('data', format('%s is not json, jsonb or a row', expression),
      'For example to_jsonb(new), jsonb_build_object(''id'', new.id), or (new.text)::json where a text column holds JSON.');
  end;
end $$;


--
-- Name: FUNCTION compile_capture_data(expression text, function text, relation regclass, path text); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.compile_capture_data(expression text, function text, relation regclass, path text) IS 'Internal: Makes a function of a data expression.';


--
-- Name: count_request(text); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.count_request(key text, OUT requests integer, OUT resets_at timestamp with time zone) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  insert into postrider.request_counts as known (key, minute, requests)
  values (count_request.key, date_trunc('minute', clock_timestamp()), 1)
  on conflict on constraint request_counts_pkey do update
    set requests = case when known.minute >= excluded.minute then known.requests + 1 else 1 end
      , minute = greatest(known.minute, excluded.minute)
  returning known.requests, known.minute + interval '1 minute' into count_request.requests, count_request.resets_at;
  if random() < 0.001 then
    delete from postrider.request_counts c where c.minute < clock_timestamp() - interval '5 minutes';
  end if;
end $$;


--
-- Name: FUNCTION count_request(key text, OUT requests integer, OUT resets_at timestamp with time zone); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.count_request(key text, OUT requests integer, OUT resets_at timestamp with time zone) IS 'Internal: Counts a request; answers with how many there have been this minute, this one included, and when the next minute begins.';


--
-- Name: create_capture_schema(name); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.create_capture_schema(owner name) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  home name := postrider.capture_schema(owner);
begin
  if to_regnamespace(quote_ident(home)) is null then
    execute format('create schema %I', home);
    execute format('comment on schema %I is %L', home, 'Postrider: generated functions of captured tables. Use postrider.capture and postrider.uncapture.');
  end if;
  execute format('grant usage, create on schema %I to %I', home, owner);
end $$;


--
-- Name: FUNCTION create_capture_schema(owner name); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.create_capture_schema(owner name) IS 'Internal: Makes the schema for a table owner''s generated functions.';


--
-- Name: create_instance(text, text, text); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.create_instance(name text, token text DEFAULT NULL::text, sender text DEFAULT NULL::text) RETURNS uuid
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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


--
-- Name: FUNCTION create_instance(name text, token text, sender text); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.create_instance(name text, token text, sender text) IS 'Creates an instance, of an account where its name begins with the account''s and a slash, else of the account "default"; its token is made up unless given. Returns its public id.';


--
-- Name: create_instance_of(bigint, text, text, bytea, text, jsonb); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.create_instance_of(account bigint, name text, token text, token_digest bytea, sender text DEFAULT NULL::text, details jsonb DEFAULT NULL::jsonb) RETURNS uuid
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
declare
  most integer;
  made uuid;
  owner text;
  sql_name text := name;
begin
  select a.instances_max, a.name into most, owner from postrider.accounts a where a.id = account for no key update;
  if not found then raise exception using errcode = 'no_data_found', message = 'postrider: there is no such account'; end if;
  if most is not null and (select count(*) from postrider.instances i where i.account_id = account) >= most then
    raise exception using errcode = 'configuration_limit_exceeded', message = format('postrider: the account has as many instances as it may have (%s)', most);
  end if;
  if name is null or name !~ '^[^[:cntrl:]]{1,255}$' or name <> btrim(name) then
    raise exception using errcode = 'invalid_parameter_value', message = format('postrider: %L cannot name an instance', name),
      hint = 'A name is 1 to 255 characters, without control characters and without spaces at the ends.';
  end if;
  if exists (select from postrider.instances i where i.account_id = account and i.called = create_instance_of.name) then
    raise exception using errcode = 'unique_violation', message = format('postrider: there is already an instance %L', name);
  end if;
  if account <> 1 then
    sql_name := owner || '/' || name;
  elsif exists (select from postrider.accounts a where a.id <> 1 and starts_with(sql_name, a.name || '/')) then
    raise exception using errcode = 'invalid_parameter_value', message = format('postrider: names that begin with %L belong to another account', split_part(name, '/', 1) || '/'),
      hint = 'Create it for that account, without the account''s name.';
  end if;
  made := postrider.create_instance(sql_name, create_instance_of.token, create_instance_of.sender);
  update postrider.instances i
  set token_digest = create_instance_of.token_digest, details = coalesce(create_instance_of.details, i.details)
  where i.uid = made;
  return made;
exception when unique_violation then
  if sqlerrm like 'postrider%' then raise; end if;
  raise exception using errcode = 'unique_violation', message = 'postrider: this token is in use', hint = 'Let one be made up, or take one that is random.';
end $_$;


--
-- Name: FUNCTION create_instance_of(account bigint, name text, token text, token_digest bytea, sender text, details jsonb); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.create_instance_of(account bigint, name text, token text, token_digest bytea, sender text, details jsonb) IS 'Internal: create_instance for an account, with a token that may come sealed and the SHA-256 to recognise it by.';


--
-- Name: delete_account(bigint); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.delete_account(account bigint) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  perform postrider.delete_instance(i.name) from postrider.instances i where i.account_id = account;
  delete from postrider.accounts a where a.id = account and not a.operator;
  return found;
end $$;


--
-- Name: FUNCTION delete_account(account bigint); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.delete_account(account bigint) IS 'Internal: Deletes an account, its instances and its tokens; what was pending goes to the dead letters. False when there is none. The operators'' account stays.';


--
-- Name: delete_endpoint(bigint); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.delete_endpoint(endpoint bigint) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  perform postrider.bury_pending(e.id, 'the endpoint was deleted') from postrider.endpoints e where e.id = endpoint;
  delete from postrider.endpoints e where e.id = endpoint;
  return found;
end $$;


--
-- Name: FUNCTION delete_endpoint(endpoint bigint); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.delete_endpoint(endpoint bigint) IS 'Deletes an endpoint: no worker takes up a delivery to it any more. What is pending for it goes to the dead letters: at once where that is little, else within seconds. False when there is none.';


--
-- Name: delete_instance(text); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.delete_instance(name text) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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


--
-- Name: FUNCTION delete_instance(name text); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.delete_instance(name text) IS 'Deletes an instance and its endpoints; what is pending for them goes to the dead letters. False when there is none. Warns of captures that name it.';


--
-- Name: detach_capture(regclass, text, text); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.detach_capture(relation regclass, given text, name text) RETURNS integer
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET lock_timeout TO '200ms'
    AS $$
declare
  role_before text := current_setting('role');
  names text[];
begin
  if relation is null then
    raise exception using errcode = 'undefined_table', message = format('postrider.uncapture: there is no table %s', coalesce(given, 'null')), hint = 'See postrider.captures.';
  end if;
  select array_agg(distinct c.facts ->> 'name') into names from postrider.capture_triggers c
  where c.relation = detach_capture.relation and (detach_capture.name is null or c.facts ->> 'name' = detach_capture.name);
  if names is null then return 0; end if;
  perform postrider.become((select pg_get_userbyid(c.relowner) from pg_class c where c.oid = relation));
  for attempt in 1 .. 40 loop
    begin
      perform postrider.drop_captured(relation, postrider.capture_functions(relation, name));
      perform set_config('role', role_before, true);
      return cardinality(names);
    exception when lock_not_available or deadlock_detected then
      null; -- as in build_capture_patiently
    end;
    perform pg_sleep(0.05 + random() * 0.25);
  end loop;
  raise exception using errcode = 'lock_not_available', message = format('postrider.uncapture: no lock on %s was to be had in 40 tries', relation),
    hint = 'A long transaction uses the table: see pg_locks and pg_stat_activity. Try again when it has ended, in a transaction of its own.';
end $$;


--
-- Name: FUNCTION detach_capture(relation regclass, given text, name text); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.detach_capture(relation regclass, given text, name text) IS 'Internal: What postrider.uncapture does, once names are resolved.';


--
-- Name: digest_instance_token(); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.digest_instance_token() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  if new.token is null then new.token_digest := null;
  elsif new.token not like 'sealed:%' then new.token_digest := sha256(convert_to(new.token, 'UTF8'));
  end if;
  return new;
end $$;


--
-- Name: FUNCTION digest_instance_token(); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.digest_instance_token() IS 'Trigger: keeps token_digest in step with the token.';


--
-- Name: drop_captured(regclass, regprocedure[]); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.drop_captured(root regclass, functions regprocedure[]) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  doomed record;
begin
  for doomed in
    select t.tgname, n.nspname, c.relname from pg_trigger t join pg_class c on c.oid = t.tgrelid join pg_namespace n on n.oid = c.relnamespace
    where t.tgfoid = any (functions) and t.tgparentid = 0
  loop
    execute format('drop trigger %I on %I.%I', doomed.tgname, doomed.nspname, doomed.relname);
  end loop;
  if functions <> '{}' then
    execute 'drop function ' || array_to_string(functions, ', ');
  end if;
end $$;


--
-- Name: FUNCTION drop_captured(root regclass, functions regprocedure[]); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.drop_captured(root regclass, functions regprocedure[]) IS 'Internal: Drops generated functions and what triggers are left of them.';


--
-- Name: emit(text, text, json, text, text); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.emit(instance text, type text, data json, idempotency_key text DEFAULT NULL::text, sender text DEFAULT NULL::text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
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
end $_$;


--
-- Name: FUNCTION emit(instance text, type text, data json, idempotency_key text, sender text); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.emit(instance text, type text, data json, idempotency_key text, sender text) IS 'Emits one event and queues its deliveries in the caller''s transaction; returns the event''s id. With an idempotency key, a second call within 24 h returns the first id and emits nothing. A sender is told where envelopes have one, in place of the instance''s own.';


--
-- Name: emit(text, text, jsonb, text, text); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.emit(instance text, type text, data jsonb, idempotency_key text DEFAULT NULL::text, sender text DEFAULT NULL::text) RETURNS text
    LANGUAGE sql
    RETURN postrider.emit(instance, type, (data)::json, idempotency_key, sender);


--
-- Name: FUNCTION emit(instance text, type text, data jsonb, idempotency_key text, sender text); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.emit(instance text, type text, data jsonb, idempotency_key text, sender text) IS 'emit with the data as jsonb.';


--
-- Name: emit(text, text, text, text, text); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.emit(instance text, type text, data text, idempotency_key text DEFAULT NULL::text, sender text DEFAULT NULL::text) RETURNS text
    LANGUAGE sql
    RETURN postrider.emit(instance, type, (data)::json, idempotency_key, sender);


--
-- Name: FUNCTION emit(instance text, type text, data text, idempotency_key text, sender text); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.emit(instance text, type text, data text, idempotency_key text, sender text) IS 'emit with the data as JSON text.';


--
-- Name: emit_captured(text, regclass, text, text[], json[], text[]); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.emit_captured(capture text, relation regclass, type text, instances text[], data json[], idempotency_keys text[]) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  if postrider.any_refused(type, instances, data) then
    perform postrider.check_captured_or_fail(capture, relation, type, r.instance, r.data)
    from unnest(instances, emit_captured.data) as r(instance, data);
  end if;
  perform postrider.emit_rows(instances, array_fill(type, array[cardinality(instances)]), data, idempotency_keys);
end $$;


--
-- Name: FUNCTION emit_captured(capture text, relation regclass, type text, instances text[], data json[], idempotency_keys text[]); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.emit_captured(capture text, relation regclass, type text, instances text[], data json[], idempotency_keys text[]) IS 'Internal, for captures: emits the events of one statement''s rows.';


--
-- Name: emit_captured(text, regclass, text, text, json, text); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.emit_captured(capture text, relation regclass, type text, instance text, data json, idempotency_key text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  if idempotency_key is null then
    if postrider.write_event(type, instance, data) is not null then return; end if;
  end if;
  perform postrider.check_captured_or_fail(capture, relation, type, instance, data);
  perform postrider.emit(instance, type, data, idempotency_key);
end $$;


--
-- Name: FUNCTION emit_captured(capture text, relation regclass, type text, instance text, data json, idempotency_key text); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.emit_captured(capture text, relation regclass, type text, instance text, data json, idempotency_key text) IS 'Internal, for captures: emits the event of one row.';


--
-- Name: emit_many(json); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.emit_many(events json) RETURNS text[]
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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


--
-- Name: FUNCTION emit_many(events json); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.emit_many(events json) IS 'Emits an array of events in one statement: [{"instance", "type", "data", "idempotency_key"?, "sender"?}, …]; returns their ids in order.';


--
-- Name: emit_rows(text[], text[], json[], text[], text[]); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.emit_rows(instances text[], types text[], data json[], idempotency_keys text[] DEFAULT NULL::text[], senders text[] DEFAULT NULL::text[]) RETURNS text[]
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
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
end $_$;


--
-- Name: FUNCTION emit_rows(instances text[], types text[], data json[], idempotency_keys text[], senders text[]); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.emit_rows(instances text[], types text[], data json[], idempotency_keys text[], senders text[]) IS 'emit for many events in one statement, given as arrays of the same length (the last two may be left out); returns their ids in order.';


--
-- Name: endpoint_changed(); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.endpoint_changed() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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


--
-- Name: FUNCTION endpoint_changed(); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.endpoint_changed() IS 'Trigger: a changed endpoint gets a new version.';


--
-- Name: endpoint_missing(bigint); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.endpoint_missing(endpoint bigint) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  raise exception using errcode = 'no_data_found', message = format('postrider: there is no endpoint %s', endpoint),
    hint = 'select id, instance, label from postrider.endpoint_list';
end $$;


--
-- Name: FUNCTION endpoint_missing(endpoint bigint); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.endpoint_missing(endpoint bigint) IS 'Internal: Raises the error for an unknown endpoint.';


--
-- Name: endpoint_of(text, text); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.endpoint_of(instance text, label text) RETURNS bigint
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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


--
-- Name: FUNCTION endpoint_of(instance text, label text); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.endpoint_of(instance text, label text) IS 'The id of an endpoint by instance and label.';


--
-- Name: endpoint_part_changed(); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.endpoint_part_changed() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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


--
-- Name: FUNCTION endpoint_part_changed(); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.endpoint_part_changed() IS 'Trigger: what an endpoint is made of has changed, so its version rises.';


--
-- Name: event_names; Type: TABLE; Schema: postrider; Owner: -
--

CREATE TABLE postrider.event_names (
    dialect text NOT NULL,
    type text NOT NULL,
    name text NOT NULL,
    emitted boolean NOT NULL
);


--
-- Name: TABLE event_names; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON TABLE postrider.event_names IS 'What an event is called in a dialect. Types that are not here keep their name.';


--
-- Name: COLUMN event_names.dialect; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.event_names.dialect IS 'The dialect of the endpoint.';


--
-- Name: COLUMN event_names.type; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.event_names.type IS 'The type of an event as it was emitted, or another way to write it in a subscription.';


--
-- Name: COLUMN event_names.name; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.event_names.name IS 'Its name in that dialect.';


--
-- Name: COLUMN event_names.emitted; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.event_names.emitted IS 'Whether it is a type of events, not only a way to write it.';


--
-- Name: event_name(text, text); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.event_name(dialect text, type text) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN COALESCE((SELECT known.name FROM postrider.event_names known WHERE ((known.dialect = event_name.dialect) AND (known.type = event_name.type))), type);


--
-- Name: FUNCTION event_name(dialect text, type text); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.event_name(dialect text, type text) IS 'Internal: What an event is called in a dialect.';


--
-- Name: endpoint_url(text, boolean, text, text); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.endpoint_url(url text, by_events boolean, type text, dialect text) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN CASE WHEN (NOT by_events) THEN url WHEN (dialect = 'postrider'::text) THEN regexp_replace(url, '^([^?#]*?)/?([?#]|$)'::text, (('\1/'::text || replace(type, '\'::text, ''::text)) || '\2'::text)) WHEN (dialect = 'evolution'::text) THEN regexp_replace(regexp_replace(url, '^([^:/?#]+://[^/?#]*)/([?#]|$)'::text, '\1\2'::text), '^([^?#]*?)([?#]|$)'::text, (('\1/'::text || replace(lower(translate(postrider.event_name(dialect, type), '._'::text, '--'::text)), '\'::text, ''::text)) || '\2'::text)) ELSE regexp_replace(url, '^([^?#]*?)/?([?#]|$)'::text, (('\1/'::text || replace(postrider.event_name(dialect, type), '\'::text, ''::text)) || '\2'::text)) END;


--
-- Name: FUNCTION endpoint_url(url text, by_events boolean, type text, dialect text); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.endpoint_url(url text, by_events boolean, type text, dialect text) IS 'Internal: Where an event goes: its name in the dialect is appended to the path where the endpoint wants that.';


--
-- Name: event_id(bigint, integer); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.event_id(id bigint, nonce integer) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ((('evt_'::text || (id)::text) || '_'::text) || to_hex(nonce));


--
-- Name: FUNCTION event_id(id bigint, nonce integer); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.event_id(id bigint, nonce integer) IS 'The public id of an event: also the webhook-id of all its deliveries.';


--
-- Name: events_emptied(); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.events_emptied() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  update postrider.removed_events
  set event_id = greatest(event_id, (select last_value from postrider.events_id_seq))
    , xid = greatest(xid, pg_current_xact_id());
  return null;
end $$;


--
-- Name: FUNCTION events_emptied(); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.events_emptied() IS 'Trigger: a truncated log has been removed as a whole.';


--
-- Name: events_removed(); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.events_removed() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  update postrider.removed_events
  set event_id = greatest(event_id, (select max(r.id) from removed r))
    , xid = greatest(xid, (select r.xid from removed r order by r.xid desc limit 1))
  where exists (select from removed);
  return null;
end $$;


--
-- Name: FUNCTION events_removed(); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.events_removed() IS 'Trigger: notes how far events have been removed.';


--
-- Name: events_since(timestamp with time zone); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.events_since(moment timestamp with time zone) RETURNS bigint
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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


--
-- Name: FUNCTION events_since(moment timestamp with time zone); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.events_since(moment timestamp with time zone) IS 'Internal: An id before which there is no event that was emitted since then.';


--
-- Name: fire_always(regclass, name); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.fire_always(relation regclass, trigger_name name) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  each regclass;
begin
  for each in select relation union select t.relid from pg_partition_tree(relation) t loop
    execute (select format('alter table %I.%I enable always trigger %I', n.nspname, c.relname, trigger_name)
             from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = each);
  end loop;
end $$;


--
-- Name: FUNCTION fire_always(relation regclass, trigger_name name); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.fire_always(relation regclass, trigger_name name) IS 'Internal: Lets a trigger fire in logical replication''s apply too, on every partition.';


--
-- Name: guard_global_endpoint(); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.guard_global_endpoint() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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


--
-- Name: FUNCTION guard_global_endpoint(); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.guard_global_endpoint() IS 'Trigger: the global webhook is changed by its configuration only.';


--
-- Name: instance_missing(text); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.instance_missing(name text) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  raise exception using errcode = 'no_data_found',
    message = case when name is null then 'postrider: the event names no instance' else format('postrider: there is no instance %L', name) end,
    hint = case when name is null then 'Give the name of an instance.' else format('Create it: select postrider.create_instance(%L);', name) end;
end $$;


--
-- Name: FUNCTION instance_missing(name text); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.instance_missing(name text) IS 'Internal: Raises the error for an unknown instance.';


--
-- Name: instances; Type: TABLE; Schema: postrider; Owner: -
--

CREATE TABLE postrider.instances (
    id bigint NOT NULL,
    uid uuid DEFAULT gen_random_uuid() NOT NULL,
    vzaps_id text DEFAULT ('VZ'::text || upper(substr(replace((gen_random_uuid())::text, '-'::text, ''::text), 1, 20))) NOT NULL,
    name text NOT NULL,
    token text,
    sender text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    account_id bigint DEFAULT 1 NOT NULL,
    called text NOT NULL,
    token_digest bytea,
    details jsonb DEFAULT '{}'::jsonb NOT NULL,
    CONSTRAINT instances_called_is_a_name CHECK (((called ~ '^[^[:cntrl:]]{1,255}$'::text) AND (called = btrim(called)))),
    CONSTRAINT instances_details_are_an_object CHECK ((jsonb_typeof(details) = 'object'::text)),
    CONSTRAINT instances_name_is_printable CHECK (((name ~ '^[^[:cntrl:]]+$'::text) AND (name = btrim(name))))
);


--
-- Name: TABLE instances; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON TABLE postrider.instances IS 'Tenants: each owns endpoints, a token and a stream of events.';


--
-- Name: COLUMN instances.id; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.instances.id IS 'Private key.';


--
-- Name: COLUMN instances.uid; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.instances.uid IS 'Public id.';


--
-- Name: COLUMN instances.vzaps_id; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.instances.vzaps_id IS 'Public id in the form VZaps clients expect.';


--
-- Name: COLUMN instances.name; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.instances.name IS 'Its name in SQL, unique: what the account "default" calls it; of another account''s, the account''s name and a slash before that.';


--
-- Name: COLUMN instances.token; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.instances.token IS 'The instance token, sealed at rest once a running role has seen it.';


--
-- Name: COLUMN instances.sender; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.instances.sender IS 'What envelopes that have a sender put there.';


--
-- Name: COLUMN instances.created_at; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.instances.created_at IS 'When it was created.';


--
-- Name: COLUMN instances.updated_at; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.instances.updated_at IS 'When it last changed.';


--
-- Name: COLUMN instances.account_id; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.instances.account_id IS 'Its owner; what is created in SQL belongs to the account "default".';


--
-- Name: COLUMN instances.called; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.instances.called IS 'What its account calls it, unique there.';


--
-- Name: COLUMN instances.token_digest; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.instances.token_digest IS 'SHA-256 of the token, to recognise it by.';


--
-- Name: COLUMN instances.details; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.instances.details IS 'What else its dialect keeps of it; nothing secret.';


--
-- Name: instance_token(text); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.instance_token(instance text) RETURNS text
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    RETURN (SELECT i.token FROM postrider.instances i WHERE (i.name = instance_token.instance));


--
-- Name: FUNCTION instance_token(instance text); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.instance_token(instance text) IS 'Internal: The token of an instance as it rests: sealed, or in plain within the few seconds before that and where there is no key.';


--
-- Name: keep_account_name(); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.keep_account_name() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
begin
  raise exception using errcode = 'feature_not_supported', message = 'postrider: the name of an account stays', hint = 'Names of its instances begin with it.';
end $$;


--
-- Name: FUNCTION keep_account_name(); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.keep_account_name() IS 'Trigger: an account is not renamed, nor is an instance.';


--
-- Name: kick(bigint); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.kick(connection bigint) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  update postrider.sockets socket set kicked = true where socket.id = kick.connection and not socket.kicked;
  return found;
end $$;


--
-- Name: FUNCTION kick(connection bigint); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.kick(connection bigint) IS 'Ends a connection of postrider.connections, wherever it is, within two seconds. False: there is none. It may come back: revoke its token to keep it out.';


--
-- Name: lane_set_by_hand(); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.lane_set_by_hand() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  raise exception using errcode = 'check_violation', constraint = 'webhook_queue_lane_follows_target', schema = 'postrider', table = 'webhook_queue',
    message = 'postrider: target and lane of a delivery follow from its destination', hint = 'Leave them out.';
end $$;


--
-- Name: FUNCTION lane_set_by_hand(); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.lane_set_by_hand() IS 'Trigger: refuses what would hide a row from the workers.';


--
-- Name: look_at_lane(smallint, timestamp with time zone); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.look_at_lane(lane_number smallint, since timestamp with time zone, OUT first_at timestamp with time zone, OUT oldest_at timestamp with time zone) RETURNS record
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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


--
-- Name: FUNCTION look_at_lane(lane_number smallint, since timestamp with time zone, OUT first_at timestamp with time zone, OUT oldest_at timestamp with time zone); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.look_at_lane(lane_number smallint, since timestamp with time zone, OUT first_at timestamp with time zone, OUT oldest_at timestamp with time zone) IS 'Internal: In a lane, from a moment on: the oldest delivery that is due, and the oldest that nobody holds and whose endpoint answers.';


--
-- Name: look_for_oldest_due(); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.look_for_oldest_due() RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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


--
-- Name: FUNCTION look_for_oldest_due(); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.look_for_oldest_due() IS 'Internal: Notes the oldest delivery that is due, held by nobody, and for an endpoint that answers, and where workers may begin.';


--
-- Name: look_through_lane(); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.look_through_lane() RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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


--
-- Name: FUNCTION look_through_lane(); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.look_through_lane() IS 'Internal: Looks at the lane whose turn it is from its beginning, where that is slow and there is time for it; true where there is time for another.';


--
-- Name: note_senders(text[], text[]); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.note_senders(ids text[], senders text[]) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  if exists (select from unnest(senders) as s(sender) where length(s.sender) > 255 or s.sender ~ '[[:cntrl:]]') then
    raise exception using errcode = 'invalid_parameter_value', message = 'postrider: the sender of an event is longer than 255 characters, or has control characters',
      hint = 'A sender is like 5511999999999@s.whatsapp.net.';
  end if;
  -- A repeated event has its sender already.
  insert into postrider.event_senders (event_id, sender)
  select distinct on (split_part(g.id, '_', 2)::bigint) split_part(g.id, '_', 2)::bigint, g.sender
  from unnest(ids, senders) with ordinality as g(id, sender, ord)
  where g.sender is not null
  order by split_part(g.id, '_', 2)::bigint, g.ord
  on conflict on constraint event_senders_pkey do nothing;
end $$;


--
-- Name: FUNCTION note_senders(ids text[], senders text[]); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.note_senders(ids text[], senders text[]) IS 'Internal: Notes the senders of events that were just emitted.';


--
-- Name: only_a_row(record); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.only_a_row("row" record) RETURNS json
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$ begin return to_json("row"); end $$;


--
-- Name: FUNCTION only_a_row("row" record); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.only_a_row("row" record) IS 'Internal: Accepts rows of any type and nothing else: how compile_capture_data tells what an expression yields.';


--
-- Name: queue_emptied(); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.queue_emptied() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  -- TRUNCATE holds an exclusive lock, so nothing is added beside us: what is here now is all there was. Unless it is being
  -- added up, which this waits for.
  perform from postrider.queue_depth_snapshot for update;
  delete from postrider.queue_changes;
  update postrider.queue_depth set rows = 0;
  return null;
end $$;


--
-- Name: FUNCTION queue_emptied(); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.queue_emptied() IS 'Trigger: a truncated queue has no depth.';


--
-- Name: queue_shrank(); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.queue_shrank() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  insert into postrider.queue_changes (channel, status, change)
  select channel, status, -count(*) from shrunk group by channel, status;
  return null;
end $$;


--
-- Name: FUNCTION queue_shrank(); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.queue_shrank() IS 'Trigger: takes deleted rows out of the queue''s depth.';


--
-- Name: queue_test(bigint, text); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.queue_test(endpoint bigint, payload text) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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


--
-- Name: FUNCTION queue_test(endpoint bigint, payload text); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.queue_test(endpoint bigint, payload text) IS 'Queues a delivery that is tried once, without an event: nothing but this endpoint sees it. Returns its id.';


--
-- Name: queued_since(timestamp with time zone); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.queued_since(moment timestamp with time zone) RETURNS bigint
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  low bigint := coalesce((select min(q.id) from postrider.webhook_queue q), 0);
  high bigint := coalesce((select max(q.id) from postrider.webhook_queue q), 0) + 1;
  middle record;
begin
  while low < high loop
    select q.id, q.created_at into middle from postrider.webhook_queue q where q.id >= low + (high - low) / 2 order by q.id limit 1;
    if middle.id is not null and middle.id < high and middle.created_at < moment - interval '1 hour' then
      low := middle.id + 1;
    else
      high := low + (high - low) / 2;
    end if;
  end loop;
  return low;
end $$;


--
-- Name: FUNCTION queued_since(moment timestamp with time zone); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.queued_since(moment timestamp with time zone) IS 'Internal: An id of the queue before which there is nothing that was queued since then.';


--
-- Name: capture_failure_log; Type: TABLE; Schema: postrider; Owner: -
--

CREATE TABLE postrider.capture_failure_log (
    id bigint NOT NULL,
    failed_at timestamp with time zone DEFAULT now() NOT NULL,
    capture text NOT NULL,
    relation regclass NOT NULL,
    operation text NOT NULL,
    sqlstate text NOT NULL,
    message text NOT NULL,
    "row" json
);


--
-- Name: TABLE capture_failure_log; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON TABLE postrider.capture_failure_log IS 'Rows of which a capture with on_error => ''skip'' could not make an event. Read it as postrider.capture_failures; rows stay as long as the attempt log.';


--
-- Name: COLUMN capture_failure_log.id; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.capture_failure_log.id IS 'Private key.';


--
-- Name: COLUMN capture_failure_log.failed_at; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.capture_failure_log.failed_at IS 'Start of the transaction that wrote the row.';


--
-- Name: COLUMN capture_failure_log.capture; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.capture_failure_log.capture IS 'The name of the capture.';


--
-- Name: COLUMN capture_failure_log.relation; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.capture_failure_log.relation IS 'The table, partition or child that was written.';


--
-- Name: COLUMN capture_failure_log.operation; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.capture_failure_log.operation IS 'insert, update or delete.';


--
-- Name: COLUMN capture_failure_log.sqlstate; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.capture_failure_log.sqlstate IS 'The kind of error.';


--
-- Name: COLUMN capture_failure_log.message; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.capture_failure_log.message IS 'What it said.';


--
-- Name: COLUMN capture_failure_log."row"; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.capture_failure_log."row" IS 'The new row, or the old one of a delete.';


--
-- Name: record_capture_failure(text, regclass, text, text, text, json); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.record_capture_failure(capture text, relation regclass, operation text, state text, message text, "row" json) RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    BEGIN ATOMIC
 INSERT INTO postrider.capture_failure_log (capture, relation, operation, sqlstate, message, "row")
   VALUES (record_capture_failure.capture, record_capture_failure.relation, record_capture_failure.operation, record_capture_failure.state, record_capture_failure.message, record_capture_failure."row");
END;


--
-- Name: FUNCTION record_capture_failure(capture text, relation regclass, operation text, state text, message text, "row" json); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.record_capture_failure(capture text, relation regclass, operation text, state text, message text, "row" json) IS 'Internal, for captures: records a row that was skipped.';


--
-- Name: recount_queue(); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.recount_queue() RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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


--
-- Name: FUNCTION recount_queue(); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.recount_queue() IS 'Counts the queue anew, row by row: only after something went round its triggers.';


--
-- Name: replay(bigint, timestamp with time zone, timestamp with time zone); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.replay(endpoint bigint, since timestamp with time zone, until timestamp with time zone DEFAULT NULL::timestamp with time zone) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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


--
-- Name: FUNCTION replay(endpoint bigint, since timestamp with time zone, until timestamp with time zone); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.replay(endpoint bigint, since timestamp with time zone, until timestamp with time zone) IS 'Queues again every event since a time that the endpoint wants, whether it had it or not; what is still pending then goes out twice. Returns how many. As far back as retention keeps events, without a limit; what a transaction emitted more than a day after its own beginning may be left out.';


--
-- Name: requeue(text, bigint, bigint[], timestamp with time zone, timestamp with time zone, text); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.requeue(instance text DEFAULT NULL::text, endpoint bigint DEFAULT NULL::bigint, ids bigint[] DEFAULT NULL::bigint[], since timestamp with time zone DEFAULT NULL::timestamp with time zone, until timestamp with time zone DEFAULT NULL::timestamp with time zone, error_like text DEFAULT NULL::text) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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


--
-- Name: FUNCTION requeue(instance text, endpoint bigint, ids bigint[], since timestamp with time zone, until timestamp with time zone, error_like text); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.requeue(instance text, endpoint bigint, ids bigint[], since timestamp with time zone, until timestamp with time zone, error_like text) IS 'Gives dead letters a full new cycle of attempts, by filter or by id; by id also delivered ones are sent again. Returns how many; that an instance, endpoint or delivery does not exist is an error.';


--
-- Name: ring(); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.ring() RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  if not pg_try_advisory_xact_lock_shared(1886351988, 'postrider'::regnamespace::oid::integer)
     and coalesce(current_setting('postrider.wake', true), '') <> 'off' then
    perform pg_notify('postrider', '');
  end if;
end $$;


--
-- Name: FUNCTION ring(); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.ring() IS 'Internal: Wakes sleeping listeners when the calling transaction commits; costs nothing while they are awake. "set postrider.wake = off" silences it, for PREPARE TRANSACTION and for roles with a very short lock_timeout; listeners then find the rows by their poll, within a second.';


--
-- Name: rotate_signing_secret(bigint, text); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.rotate_signing_secret(endpoint bigint, secret text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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


--
-- Name: FUNCTION rotate_signing_secret(endpoint bigint, secret text); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.rotate_signing_secret(endpoint bigint, secret text) IS 'Signs with this secret from now on; what was current signs beside it for 24 h. A secret given in SQL rests in plain until a running role seals it.';


--
-- Name: row_changed_by_hand(); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.row_changed_by_hand() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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


--
-- Name: FUNCTION row_changed_by_hand(); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.row_changed_by_hand() IS 'Trigger: checks a row whose destination is changed, and gives it the lane of the new one.';


--
-- Name: row_inserted_by_hand(); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.row_inserted_by_hand() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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


--
-- Name: FUNCTION row_inserted_by_hand(); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.row_inserted_by_hand() IS 'Trigger: checks a row inserted directly, gives it its lane, counts it into the queue''s depth and rings.';


--
-- Name: capture_seal; Type: TABLE; Schema: postrider; Owner: -
--

CREATE TABLE postrider.capture_seal (
    one boolean DEFAULT true NOT NULL,
    secret text DEFAULT ((gen_random_uuid())::text || (gen_random_uuid())::text) NOT NULL,
    CONSTRAINT capture_seal_one_check CHECK (one)
);


--
-- Name: TABLE capture_seal; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON TABLE postrider.capture_seal IS 'One row: what the state of a captured UPDATE is sealed with.';


--
-- Name: COLUMN capture_seal.one; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.capture_seal.one IS 'Always true: there is one row.';


--
-- Name: COLUMN capture_seal.secret; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.capture_seal.secret IS 'Random, never shown.';


--
-- Name: sealed_state(text, text); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.sealed_state(name text, state text) RETURNS text
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    RETURN (SELECT (encode(sha256(convert_to(concat_ws('|'::text, s.secret, pg_backend_pid(), now(), sealed_state.name, sealed_state.state), 'UTF8'::name)), 'hex'::text) || sealed_state.state) FROM postrider.capture_seal s);


--
-- Name: FUNCTION sealed_state(name text, state text); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.sealed_state(name text, state text) IS 'Internal, for captures: a state and the proof that a trigger of this transaction wrote it.';


--
-- Name: set_aside_until(bigint, double precision); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.set_aside_until(target bigint, wait_s double precision) RETURNS timestamp with time zone
    LANGUAGE sql STABLE
    AS $$
  select date_trunc('second', now() + make_interval(secs => wait_s + 1)) + make_interval(secs => abs(target % 1000000) / 1000000.0)
$$;


--
-- Name: FUNCTION set_aside_until(target bigint, wait_s double precision); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.set_aside_until(target bigint, wait_s double precision) IS 'Internal: When rows of a target are due again that are set aside for so long: at the moment in a second that is the target''s.';


--
-- Name: set_endpoint(text, text, text, text[], text, text, json, text, boolean, boolean, text, integer, integer, integer, text, json, text); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.set_endpoint(instance text, url text, label text DEFAULT 'default'::text, events text[] DEFAULT NULL::text[], dialect text DEFAULT 'postrider'::text, authorization_header text DEFAULT NULL::text, headers json DEFAULT NULL::json, signing_secret text DEFAULT NULL::text, by_events boolean DEFAULT NULL::boolean, media_base64 boolean DEFAULT NULL::boolean, schedule text DEFAULT NULL::text, max_attempts integer DEFAULT NULL::integer, timeout_ms integer DEFAULT NULL::integer, max_in_flight integer DEFAULT NULL::integer, channel text DEFAULT 'webhook'::text, settings json DEFAULT NULL::json, state text DEFAULT NULL::text) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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


--
-- Name: FUNCTION set_endpoint(instance text, url text, label text, events text[], dialect text, authorization_header text, headers json, signing_secret text, by_events boolean, media_base64 boolean, schedule text, max_attempts integer, timeout_ms integer, max_in_flight integer, channel text, settings json, state text); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.set_endpoint(instance text, url text, label text, events text[], dialect text, authorization_header text, headers json, signing_secret text, by_events boolean, media_base64 boolean, schedule text, max_attempts integer, timeout_ms integer, max_in_flight integer, channel text, settings json, state text) IS 'Creates or changes an endpoint by instance, label, channel and dialect; returns its id. A new signing secret leaves the old one live for 24 h; an empty one, an empty authorization_header, headers or settings of {} remove what was there. Secrets given in SQL rest in plain until a running role seals them, within 5 s, and statement logs may hold them.';


--
-- Name: set_endpoint_state(bigint, text, text); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.set_endpoint_state(endpoint bigint, state text, reason text DEFAULT NULL::text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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


--
-- Name: FUNCTION set_endpoint_state(endpoint bigint, state text, reason text); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.set_endpoint_state(endpoint bigint, state text, reason text) IS 'Enables, pauses or disables an endpoint. What was held is released when it is enabled.';


--
-- Name: set_global_webhook(text, text[], boolean); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.set_global_webhook(url text, events text[] DEFAULT '{}'::text[], by_events boolean DEFAULT false) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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


--
-- Name: FUNCTION set_global_webhook(url text, events text[], by_events boolean); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.set_global_webhook(url text, events text[], by_events boolean) IS 'Sets the webhook that gets these events of all instances, or takes it away (url null, or no events); returns how many endpoints changed. The role api calls it with its configuration.';


--
-- Name: set_instance_token(text, text, bytea); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.set_instance_token(instance text, token text, token_digest bytea DEFAULT NULL::bytea) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  if coalesce(token, '') = '' then
    raise exception using errcode = 'invalid_parameter_value', message = 'postrider: the token is empty', hint = 'postrider instance token --rotate makes one up.';
  end if;
  update postrider.instances i
  set token = set_instance_token.token, token_digest = coalesce(set_instance_token.token_digest, i.token_digest), updated_at = clock_timestamp()
  where i.name = set_instance_token.instance;
  return found;
exception when unique_violation then
  raise exception using errcode = 'unique_violation', message = 'postrider: this token is in use', hint = 'Let one be made up, or take one that is random.';
end $$;


--
-- Name: FUNCTION set_instance_token(instance text, token text, token_digest bytea); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.set_instance_token(instance text, token text, token_digest bytea) IS 'Gives an instance another token; the former one is worth nothing from then on. One that comes sealed brings its SHA-256 along. False when there is no such instance.';


--
-- Name: status_changed_by_hand(); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.status_changed_by_hand() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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


--
-- Name: FUNCTION status_changed_by_hand(); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.status_changed_by_hand() IS 'Trigger: a re-queued row gets a full new cycle and rings; any change of status by hand ends the lease, so that a late outcome undoes nothing.';


--
-- Name: strip_media_base64(json); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.strip_media_base64(data json) RETURNS json
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  given text := data::text;
  escaped boolean := position('\u' in given) > 0;
  stripped jsonb;
begin
  if escaped then
    given := replace(replace(given, '\\', chr(1)), '\u', chr(2));
    given := replace(replace(given, chr(1), '\\\\'), chr(2), '\\u');
  end if;
  stripped := given::jsonb;
  if jsonb_typeof(stripped #> '{message,media}') = 'object' then stripped := stripped #- '{message,media,base64}'; end if;
  if jsonb_typeof(stripped -> 'message') = 'object' then stripped := stripped #- '{message,base64}'; end if;
  if jsonb_typeof(stripped -> 'media') = 'object' then stripped := stripped #- '{media,base64}'; end if;
  if jsonb_typeof(stripped) = 'object' and stripped ?| '{media_url,mediaUrl}' then stripped := stripped - 'base64'; end if;
  given := stripped::text;
  if escaped then
    given := replace(replace(given, '\\\\', chr(1)), '\\u', chr(2));
    given := replace(replace(given, chr(1), '\\'), chr(2), '\u');
  end if;
  return given::json;
exception
  -- What jsonb cannot take all the same is delivered with its media rather than not at all.
  when others then return data;
end $$;


--
-- Name: FUNCTION strip_media_base64(data json); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.strip_media_base64(data json) IS 'Internal: The event without base64 media, for one that has some. Call without_media_base64.';


--
-- Name: time_set_back_by_hand(); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.time_set_back_by_hand() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  insert into postrider.queue_changes (channel, status, change, due_from) values (new.channel, 'pending', 0, least(new.next_retry_at, now()));
  return new;
end $$;


--
-- Name: FUNCTION time_set_back_by_hand(); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.time_set_back_by_hand() IS 'Trigger: tells those who look for due rows that one is due earlier than it was.';


--
-- Name: uncapture(regclass, text); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.uncapture(relation regclass, name text DEFAULT NULL::text) RETURNS integer
    LANGUAGE sql
    RETURN postrider.detach_capture(relation, (relation)::text, name);


--
-- Name: FUNCTION uncapture(relation regclass, name text); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.uncapture(relation regclass, name text) IS 'The same for a table given as regclass.';


--
-- Name: uncapture(text, text); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.uncapture(relation text, name text DEFAULT NULL::text) RETURNS integer
    LANGUAGE sql
    RETURN postrider.detach_capture(to_regclass(relation), relation, name);


--
-- Name: FUNCTION uncapture(relation text, name text); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.uncapture(relation text, name text) IS 'Ends the captures of a table, or the one of that name; returns how many. Events already emitted stay. A captured table is dropped after this, or with cascade.';


--
-- Name: verify_row(); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.verify_row() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  perform postrider.check_state(new);
  return new;
end $$;


--
-- Name: FUNCTION verify_row(); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.verify_row() IS 'Trigger: refuses what the state machine does not know.';


--
-- Name: wanted_types(text, text[]); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.wanted_types(dialect text, events text[]) RETURNS text[]
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN CASE WHEN ((dialect = 'vzaps'::text) AND ('All'::text = ANY (events))) THEN '{}'::text[] ELSE COALESCE((SELECT array_agg(wanted.type ORDER BY wanted.type) AS array_agg FROM (SELECT asked.type FROM unnest(wanted_types.events) asked(type) UNION SELECT known.type FROM (unnest(wanted_types.events) asked(type) JOIN postrider.event_names known ON (((known.dialect = wanted_types.dialect) AND known.emitted AND (known.name = postrider.event_name(wanted_types.dialect, asked.type)))))) wanted), '{}'::text[]) END;


--
-- Name: FUNCTION wanted_types(dialect text, events text[]); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.wanted_types(dialect text, events text[]) IS 'Internal: The types an endpoint gets that names these events: they themselves, and what other dialects call so. Empty means everything.';


--
-- Name: without_media_base64(json); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.without_media_base64(data json) RETURNS json
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN (POSITION(('"base64"'::text) IN ((data)::text)) = 0) THEN data ELSE postrider.strip_media_base64(data) END;


--
-- Name: FUNCTION without_media_base64(data json); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.without_media_base64(data json) IS 'Internal: The event without base64 media: base64 is removed from message.media, media and message, and from beside a media_url or mediaUrl.';


--
-- Name: write_event(text, text, json, integer, boolean); Type: FUNCTION; Schema: postrider; Owner: -
--

CREATE FUNCTION postrider.write_event(type text, instance text, data json, event_nonce integer DEFAULT NULL::integer, drawn boolean DEFAULT false) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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


--
-- Name: FUNCTION write_event(type text, instance text, data json, event_nonce integer, drawn boolean); Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON FUNCTION postrider.write_event(type text, instance text, data json, event_nonce integer, drawn boolean) IS 'Internal: Writes one event with its deliveries, counts them and rings; returns the event''s number, or null where there is no such instance or the data wants looking at.';


--
-- Name: accounts; Type: TABLE; Schema: postrider; Owner: -
--

CREATE TABLE postrider.accounts (
    id bigint NOT NULL,
    uid uuid DEFAULT gen_random_uuid() NOT NULL,
    name text NOT NULL,
    operator boolean DEFAULT false NOT NULL,
    instances_max integer,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT accounts_instances_are_limited CHECK ((instances_max >= 0)),
    CONSTRAINT accounts_name_is_printable CHECK (((name ~ '^[^[:cntrl:]/]{1,255}$'::text) AND (name = btrim(name))))
);


--
-- Name: TABLE accounts; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON TABLE postrider.accounts IS 'Owners of instances. Accounts see nothing of one another.';


--
-- Name: COLUMN accounts.id; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.accounts.id IS 'Private key.';


--
-- Name: COLUMN accounts.uid; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.accounts.uid IS 'Public id.';


--
-- Name: COLUMN accounts.name; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.accounts.name IS 'Public name, unique, without a slash.';


--
-- Name: COLUMN accounts.operator; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.accounts.operator IS 'Whether its account tokens may make and remove accounts, and tokens for them.';


--
-- Name: COLUMN accounts.instances_max; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.accounts.instances_max IS 'How many instances it may have; null for as many as it likes.';


--
-- Name: COLUMN accounts.created_at; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.accounts.created_at IS 'When it was created.';


--
-- Name: accounts_id_seq; Type: SEQUENCE; Schema: postrider; Owner: -
--

ALTER TABLE postrider.accounts ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME postrider.accounts_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: attempts; Type: TABLE; Schema: postrider; Owner: -
--

CREATE TABLE postrider.attempts (
    delivery_id bigint NOT NULL,
    attempt integer NOT NULL,
    at timestamp with time zone NOT NULL,
    duration_ms integer NOT NULL,
    outcome text NOT NULL,
    class text,
    status integer,
    detail text,
    response bytea,
    endpoint_id bigint,
    worker text
)
WITH (autovacuum_vacuum_insert_scale_factor='0', autovacuum_vacuum_insert_threshold='500000', autovacuum_analyze_scale_factor='0', autovacuum_analyze_threshold='500000', autovacuum_vacuum_cost_delay='0', vacuum_truncate=off);


--
-- Name: TABLE attempts; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON TABLE postrider.attempts IS 'The attempt log: every finished try, never updated.';


--
-- Name: COLUMN attempts.delivery_id; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.attempts.delivery_id IS 'webhook_queue.id.';


--
-- Name: COLUMN attempts.attempt; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.attempts.attempt IS 'Its number within the cycle, from 1.';


--
-- Name: COLUMN attempts.at; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.attempts.at IS 'When it began, by the database''s clock: counted back, by its duration, from when it was recorded.';


--
-- Name: COLUMN attempts.duration_ms; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.attempts.duration_ms IS 'From the start of the request to the end of the response.';


--
-- Name: COLUMN attempts.outcome; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.attempts.outcome IS 'delivered, retry or failed.';


--
-- Name: COLUMN attempts.class; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.attempts.class IS 'The kind of failure; null when delivered.';


--
-- Name: COLUMN attempts.status; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.attempts.status IS 'The HTTP status, where one arrived.';


--
-- Name: COLUMN attempts.detail; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.attempts.detail IS 'What happened, in a line.';


--
-- Name: COLUMN attempts.response; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.attempts.response IS 'The first bytes of the response.';


--
-- Name: COLUMN attempts.endpoint_id; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.attempts.endpoint_id IS 'The endpoint, where there is one.';


--
-- Name: COLUMN attempts.worker; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.attempts.worker IS 'The worker that made it.';


--
-- Name: capture_failure_log_id_seq; Type: SEQUENCE; Schema: postrider; Owner: -
--

ALTER TABLE postrider.capture_failure_log ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME postrider.capture_failure_log_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: capture_failures; Type: VIEW; Schema: postrider; Owner: -
--

CREATE VIEW postrider.capture_failures WITH (security_barrier='true') AS
 SELECT l.id,
    l.failed_at,
    l.capture,
    l.relation,
    l.operation,
    l.sqlstate,
    l.message,
    l."row"
   FROM postrider.capture_failure_log l
  WHERE (has_table_privilege('postrider.capture_failure_log'::text, 'select'::text) OR (has_table_privilege((l.relation)::oid, 'select'::text) AND (NOT COALESCE(( SELECT row_security_active(c.oid) AS row_security_active
           FROM pg_class c
          WHERE (c.oid = (l.relation)::oid)), true))));


--
-- Name: VIEW capture_failures; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON VIEW postrider.capture_failures IS 'What captures with on_error => ''skip'' could not make events of. A role sees the rows of tables it may read whole, which is none where row-level security is in its way; operators see all.';


--
-- Name: captures; Type: VIEW; Schema: postrider; Owner: -
--

CREATE VIEW postrider.captures AS
 SELECT c.relation,
    c.name,
    c.type,
    c.operations,
    e.instance,
    e.data,
    e.when_,
    c.columns,
    e.idempotency_key,
    c.on_error,
    c.level,
    c.replicated,
    c.enabled,
    c.runs_as
   FROM (( SELECT t.relation,
            t.home,
            t.runs_as,
            (t.facts ->> 'base'::text) AS base,
            (t.facts ->> 'name'::text) AS name,
            (t.facts ->> 'type'::text) AS type,
            ( SELECT array_agg(o.name ORDER BY o.name) AS array_agg
                   FROM jsonb_array_elements_text((min(((t.facts -> 'operations'::text))::text))::jsonb) o(name)) AS operations,
            ( SELECT array_agg(a.name) AS array_agg
                   FROM jsonb_array_elements_text(NULLIF((min(((t.facts -> 'columns'::text))::text))::jsonb, 'null'::jsonb)) a(name)) AS columns,
            min((t.facts ->> 'on_error'::text)) AS on_error,
            min((t.facts ->> 'level'::text)) AS level,
            bool_and(((t.facts ->> 'replicated'::text))::boolean) AS replicated,
            bool_and((t.enabled = ANY (ARRAY['O'::"char", 'A'::"char"]))) AS enabled
           FROM postrider.capture_triggers t
          WHERE (NOT ((t.facts ->> 'inherited'::text))::boolean)
          GROUP BY t.relation, t.home, t.runs_as, (t.facts ->> 'base'::text), (t.facts ->> 'name'::text), (t.facts ->> 'type'::text)) c
     CROSS JOIN LATERAL ( SELECT max(b.body) FILTER (WHERE (b.kind = '_instance'::text)) AS instance,
            max(b.body) FILTER (WHERE (b.kind = '_data'::text)) AS data,
            max(b.body) FILTER (WHERE (b.kind = '_when'::text)) AS when_,
            max(b.body) FILTER (WHERE (b.kind = '_key'::text)) AS idempotency_key
           FROM ( SELECT substr((p.proname)::text, (length(c.base) + 1)) AS kind,
                    regexp_replace(pg_get_function_sqlbody(p.oid), '^\s*RETURN\s+'::text, ''::text) AS body
                   FROM (pg_proc p
                     JOIN pg_namespace n ON ((n.oid = p.pronamespace)))
                  WHERE ((n.nspname = c.home) AND starts_with((p.proname)::text, c.base))) b) e);


--
-- Name: VIEW captures; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON VIEW postrider.captures IS 'What is captured: table, name, operations, the expressions as they stand now, what happens on errors, whether the triggers are enabled, and the role the expressions run as.';


--
-- Name: realtime_processes; Type: TABLE; Schema: postrider; Owner: -
--

CREATE UNLOGGED TABLE postrider.realtime_processes (
    name text NOT NULL,
    seen_at timestamp with time zone DEFAULT now() NOT NULL
);


--
-- Name: TABLE realtime_processes; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON TABLE postrider.realtime_processes IS 'The realtime processes that somebody is connected to.';


--
-- Name: COLUMN realtime_processes.name; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.realtime_processes.name IS 'Its own, another one each time it is started.';


--
-- Name: COLUMN realtime_processes.seen_at; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.realtime_processes.seen_at IS 'When it was last heard of; what an old one says counts for nothing.';


--
-- Name: sockets; Type: TABLE; Schema: postrider; Owner: -
--

CREATE UNLOGGED TABLE postrider.sockets (
    id bigint NOT NULL,
    sidecar text NOT NULL,
    number bigint NOT NULL,
    account_id bigint NOT NULL,
    instance_id bigint,
    door text NOT NULL,
    address text,
    token text NOT NULL,
    connected_at timestamp with time zone NOT NULL,
    kicked boolean DEFAULT false NOT NULL
);


--
-- Name: TABLE sockets; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON TABLE postrider.sockets IS 'Their connections, a second old. Private: postrider.connections shows them.';


--
-- Name: COLUMN sockets.id; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.sockets.id IS 'As it is listed.';


--
-- Name: COLUMN sockets.sidecar; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.sockets.sidecar IS 'Where it is connected.';


--
-- Name: COLUMN sockets.number; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.sockets.number IS 'Its number there.';


--
-- Name: COLUMN sockets.account_id; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.sockets.account_id IS 'Whose token let it in.';


--
-- Name: COLUMN sockets.instance_id; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.sockets.instance_id IS 'What it follows; null: all instances of the account (the global mode of Evolution API), or nothing.';


--
-- Name: COLUMN sockets.door; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.sockets.door IS 'stream, sse, ryze, vzaps …';


--
-- Name: COLUMN sockets.address; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.sockets.address IS 'Where from.';


--
-- Name: COLUMN sockets.token; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.sockets.token IS 'By which token: its public id, "configured", or the id of the instance whose own token it is.';


--
-- Name: COLUMN sockets.connected_at; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.sockets.connected_at IS 'Since when.';


--
-- Name: COLUMN sockets.kicked; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.sockets.kicked IS 'It is to be ended.';


--
-- Name: connections; Type: VIEW; Schema: postrider; Owner: -
--

CREATE VIEW postrider.connections AS
 SELECT socket.id,
    instance.name AS instance,
    socket.door,
    socket.address,
    socket.token,
    socket.connected_at,
    socket.sidecar
   FROM ((postrider.sockets socket
     LEFT JOIN postrider.instances instance ON ((instance.id = socket.instance_id)))
     JOIN postrider.realtime_processes sidecar ON (((sidecar.name = socket.sidecar) AND (sidecar.seen_at > (now() - '00:00:15'::interval)))))
  WHERE ((NOT socket.kicked) AND ((socket.instance_id IS NULL) OR (instance.id IS NOT NULL)));


--
-- Name: VIEW connections; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON VIEW postrider.connections IS 'Who is connected to the realtime sidecars, all of them, a second old. Without an instance: one that hears all of its account, or nothing.';


--
-- Name: consumers; Type: TABLE; Schema: postrider; Owner: -
--

CREATE TABLE postrider.consumers (
    instance_id bigint NOT NULL,
    name text NOT NULL,
    generation bigint DEFAULT 1 NOT NULL,
    cursor text,
    connected_at timestamp with time zone DEFAULT now() NOT NULL,
    acknowledged_at timestamp with time zone,
    CONSTRAINT consumers_name_is_a_name CHECK ((name ~ '^[A-Za-z0-9._-]{1,100}$'::text))
)
WITH (fillfactor='50');


--
-- Name: TABLE consumers; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON TABLE postrider.consumers IS 'Durable consumers of GET /v1/instances/:instance/stream. Delete a row to forget one.';


--
-- Name: COLUMN consumers.instance_id; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.consumers.instance_id IS 'Whose stream it reads.';


--
-- Name: COLUMN consumers.name; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.consumers.name IS 'Its name.';


--
-- Name: COLUMN consumers.generation; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.consumers.generation IS 'Rises with each connection; the latest counts.';


--
-- Name: COLUMN consumers.cursor; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.consumers.cursor IS 'It has acknowledged everything up to here; null before the first time.';


--
-- Name: COLUMN consumers.connected_at; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.consumers.connected_at IS 'When somebody last connected under this name.';


--
-- Name: COLUMN consumers.acknowledged_at; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.consumers.acknowledged_at IS 'When it last acknowledged something.';


--
-- Name: endpoint_version; Type: SEQUENCE; Schema: postrider; Owner: -
--

CREATE SEQUENCE postrider.endpoint_version
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;


--
-- Name: SEQUENCE endpoint_version; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON SEQUENCE postrider.endpoint_version IS 'Rises with every change that workers must see before the next attempt.';


--
-- Name: endpoints; Type: TABLE; Schema: postrider; Owner: -
--

CREATE TABLE postrider.endpoints (
    id bigint NOT NULL,
    uid uuid DEFAULT gen_random_uuid() NOT NULL,
    instance_id bigint NOT NULL,
    label text DEFAULT 'default'::text NOT NULL,
    channel text DEFAULT 'webhook'::text NOT NULL,
    dialect text DEFAULT 'postrider'::text NOT NULL,
    url text NOT NULL,
    events text[] DEFAULT '{}'::text[] NOT NULL,
    wanted text[],
    by_events boolean DEFAULT false NOT NULL,
    media_base64 boolean NOT NULL,
    media_fetched boolean DEFAULT false NOT NULL,
    authorization_header text,
    headers text,
    settings text,
    schedule text DEFAULT 'default'::text NOT NULL,
    max_attempts integer,
    timeout_ms integer,
    max_in_flight integer,
    state text DEFAULT 'enabled'::text NOT NULL,
    state_reason text,
    state_changed_at timestamp with time zone DEFAULT now() NOT NULL,
    version bigint DEFAULT nextval('postrider.endpoint_version'::regclass) NOT NULL,
    attempts_max integer DEFAULT 5 NOT NULL,
    lane smallint GENERATED ALWAYS AS (((hashint8(id) & 63))::smallint) STORED NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    is_global boolean DEFAULT false NOT NULL,
    CONSTRAINT endpoints_attempts_are_some CHECK (((max_attempts >= 1) AND (max_attempts <= 1000))),
    CONSTRAINT endpoints_channel_is_known CHECK ((channel = ANY (ARRAY['webhook'::text, 'websocket'::text, 'rabbitmq'::text, 'sqs'::text, 'pusher'::text]))),
    CONSTRAINT endpoints_dialect_is_known CHECK ((dialect = ANY (ARRAY['postrider'::text, 'ryze'::text, 'evolution'::text, 'codechat'::text, 'vzaps'::text]))),
    CONSTRAINT endpoints_events_are_names CHECK (((array_position(events, NULL::text) IS NULL) AND (array_position(events, ''::text) IS NULL))),
    CONSTRAINT endpoints_in_flight_is_some CHECK (((max_in_flight >= 1) AND (max_in_flight <= 10000))),
    CONSTRAINT endpoints_label_is_a_name CHECK (
CASE
    WHEN is_global THEN (label = '(WEBHOOK_GLOBAL)'::text)
    ELSE (label ~ '^[A-Za-z0-9_-]{1,50}$'::text)
END),
    CONSTRAINT endpoints_state_is_known CHECK ((state = ANY (ARRAY['enabled'::text, 'paused'::text, 'disabled'::text]))),
    CONSTRAINT endpoints_timeout_is_sane CHECK (((timeout_ms >= 1000) AND (timeout_ms <= 60000))),
    CONSTRAINT endpoints_url_is_http CHECK (((channel <> 'webhook'::text) OR ((url = ''::text) AND (state = 'disabled'::text)) OR ((url ~* '^https?://[^[:space:]]+$'::text) AND (length(url) <= 2048))))
);


--
-- Name: TABLE endpoints; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON TABLE postrider.endpoints IS 'Who wants to know. Managed by functions and the command line, not by hand.';


--
-- Name: COLUMN endpoints.id; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.endpoints.id IS 'Private key, shown by the command line.';


--
-- Name: COLUMN endpoints.uid; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.endpoints.uid IS 'Public id, for dialects that show one.';


--
-- Name: COLUMN endpoints.instance_id; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.endpoints.instance_id IS 'Its owner.';


--
-- Name: COLUMN endpoints.label; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.endpoints.label IS 'The owner''s name for it.';


--
-- Name: COLUMN endpoints.channel; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.endpoints.channel IS 'How deliveries go out.';


--
-- Name: COLUMN endpoints.dialect; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.endpoints.dialect IS 'Whose envelope they wear.';


--
-- Name: COLUMN endpoints.url; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.endpoints.url IS 'Where they go, without an event suffix; empty where a dialect clears it of an endpoint that is disabled.';


--
-- Name: COLUMN endpoints.events; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.endpoints.events IS 'Event types it wants; empty means all but those that begin with postrider., which tell of Postrider itself and must be named.';


--
-- Name: COLUMN endpoints.wanted; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.endpoints.wanted IS 'The same as fan-out asks for it: with the names that other dialects have for these events. Kept by trigger; null where nothing is queued.';


--
-- Name: COLUMN endpoints.by_events; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.endpoints.by_events IS 'Whether the event type is appended to the URL.';


--
-- Name: COLUMN endpoints.media_base64; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.endpoints.media_base64 IS 'Whether it wants base64 media inside the event; else it is removed at fan-out.';


--
-- Name: COLUMN endpoints.media_fetched; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.endpoints.media_fetched IS 'Whether base64 media was asked for in so many words: then media that an event gives by URL alone is fetched, and put in as base64.';


--
-- Name: COLUMN endpoints.authorization_header; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.endpoints.authorization_header IS 'The full Authorization header, sealed at rest.';


--
-- Name: COLUMN endpoints.headers; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.endpoints.headers IS 'A JSON object of custom request headers, sealed at rest as a whole.';


--
-- Name: COLUMN endpoints.settings; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.endpoints.settings IS 'A JSON object of what its channel and its dialect need beside the rest (credentials too), sealed at rest as a whole.';


--
-- Name: COLUMN endpoints.schedule; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.endpoints.schedule IS 'Its row of the backoff table.';


--
-- Name: COLUMN endpoints.max_attempts; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.endpoints.max_attempts IS 'Attempts before a delivery is dead; null takes the schedule''s.';


--
-- Name: COLUMN endpoints.timeout_ms; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.endpoints.timeout_ms IS 'The whole attempt in milliseconds; null takes the schedule''s.';


--
-- Name: COLUMN endpoints.max_in_flight; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.endpoints.max_in_flight IS 'Attempts in flight in one worker; null takes the worker''s configuration.';


--
-- Name: COLUMN endpoints.state; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.endpoints.state IS 'enabled; paused (410 or long failure: rows queued and held); disabled (by its owner: no new rows, pending ones held).';


--
-- Name: COLUMN endpoints.state_reason; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.endpoints.state_reason IS 'Why it is not enabled.';


--
-- Name: COLUMN endpoints.state_changed_at; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.endpoints.state_changed_at IS 'Since when.';


--
-- Name: COLUMN endpoints.version; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.endpoints.version IS 'Rises with every change that workers must see.';


--
-- Name: COLUMN endpoints.attempts_max; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.endpoints.attempts_max IS 'max_attempts, or the schedule''s: kept here by trigger, so that fan-out reads one table.';


--
-- Name: COLUMN endpoints.lane; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.endpoints.lane IS 'The lane of its deliveries.';


--
-- Name: COLUMN endpoints.created_at; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.endpoints.created_at IS 'When it was created.';


--
-- Name: COLUMN endpoints.updated_at; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.endpoints.updated_at IS 'When it last changed.';


--
-- Name: COLUMN endpoints.is_global; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.endpoints.is_global IS 'Whether it is the instance''s part of the global webhook, which is configured and not changed by owners.';


--
-- Name: dead_letters; Type: VIEW; Schema: postrider; Owner: -
--

CREATE VIEW postrider.dead_letters AS
 SELECT q.id,
    q.instance_name,
    e.label AS endpoint,
    q.endpoint_id,
    q.channel,
    q.url,
    q.event_type,
        CASE
            WHEN (q.event_id IS NOT NULL) THEN postrider.event_id(q.event_id, q.event_nonce)
            ELSE NULL::text
        END AS event_id,
    q.attempts,
    q.max_attempts,
    q.last_error,
    q.created_at,
    q.updated_at AS failed_at,
    q.payload
   FROM (postrider.webhook_queue q
     LEFT JOIN postrider.endpoints e ON ((e.id = q.endpoint_id)))
  WHERE (q.status = 'failed'::text);


--
-- Name: VIEW dead_letters; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON VIEW postrider.dead_letters IS 'Deliveries that failed for good, with why. They stay until someone re-queues or deletes them.';


--
-- Name: deleted_endpoints; Type: TABLE; Schema: postrider; Owner: -
--

CREATE TABLE postrider.deleted_endpoints (
    endpoint_id bigint NOT NULL,
    why text NOT NULL,
    deleted_at timestamp with time zone DEFAULT now() NOT NULL
);


--
-- Name: TABLE deleted_endpoints; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON TABLE postrider.deleted_endpoints IS 'Endpoints that are gone and of which deliveries may still be pending: maintenance moves those to the dead letters.';


--
-- Name: COLUMN deleted_endpoints.endpoint_id; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.deleted_endpoints.endpoint_id IS 'What the endpoint''s id was.';


--
-- Name: COLUMN deleted_endpoints.why; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.deleted_endpoints.why IS 'What the dead letters say.';


--
-- Name: COLUMN deleted_endpoints.deleted_at; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.deleted_endpoints.deleted_at IS 'When it was deleted.';


--
-- Name: duties; Type: TABLE; Schema: postrider; Owner: -
--

CREATE TABLE postrider.duties (
    name text NOT NULL,
    holder text NOT NULL,
    until timestamp with time zone NOT NULL
)
WITH (fillfactor='50');


--
-- Name: TABLE duties; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON TABLE postrider.duties IS 'Work that one process does at a time, held by a lease: ingest, maintenance.';


--
-- Name: COLUMN duties.name; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.duties.name IS 'Which duty.';


--
-- Name: COLUMN duties.holder; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.duties.holder IS 'Which process.';


--
-- Name: COLUMN duties.until; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.duties.until IS 'Until when, unless renewed.';


--
-- Name: endpoint_health; Type: TABLE; Schema: postrider; Owner: -
--

CREATE TABLE postrider.endpoint_health (
    endpoint_id bigint NOT NULL,
    failing_since timestamp with time zone,
    last_failure_at timestamp with time zone,
    last_error text,
    alerted_percent smallint DEFAULT 0 NOT NULL,
    held_since timestamp with time zone
)
WITH (fillfactor='50');


--
-- Name: TABLE endpoint_health; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON TABLE postrider.endpoint_health IS 'What workers know about an endpoint''s failures; written when that changes, not at each attempt.';


--
-- Name: COLUMN endpoint_health.endpoint_id; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.endpoint_health.endpoint_id IS 'The endpoint.';


--
-- Name: COLUMN endpoint_health.failing_since; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.endpoint_health.failing_since IS 'The first failure since its last success; null while it answers.';


--
-- Name: COLUMN endpoint_health.last_failure_at; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.endpoint_health.last_failure_at IS 'The last failure recorded.';


--
-- Name: COLUMN endpoint_health.last_error; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.endpoint_health.last_error IS 'What that failure said.';


--
-- Name: COLUMN endpoint_health.alerted_percent; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.endpoint_health.alerted_percent IS 'How much of the way to auto-disable has been reported.';


--
-- Name: COLUMN endpoint_health.held_since; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.endpoint_health.held_since IS 'When rows of a paused or disabled endpoint were last set aside; maintenance releases them when it is enabled.';


--
-- Name: schedules; Type: TABLE; Schema: postrider; Owner: -
--

CREATE TABLE postrider.schedules (
    name text NOT NULL,
    waits interval[] NOT NULL,
    jitter real DEFAULT 0.2 NOT NULL,
    jitter_both_ways boolean DEFAULT false NOT NULL,
    max_attempts integer DEFAULT 5 NOT NULL,
    timeout_ms integer DEFAULT 5000 NOT NULL,
    final_statuses integer[] DEFAULT '{}'::integer[] NOT NULL,
    CONSTRAINT schedules_attempts_are_some CHECK (((max_attempts >= 1) AND (max_attempts <= 1000))),
    CONSTRAINT schedules_jitter_is_a_share CHECK (((jitter >= (0)::double precision) AND (jitter <= (1)::double precision))),
    CONSTRAINT schedules_timeout_is_sane CHECK (((timeout_ms >= 1000) AND (timeout_ms <= 60000))),
    CONSTRAINT schedules_waits_are_not_negative CHECK (('00:00:00'::interval <= ALL (waits))),
    CONSTRAINT schedules_waits_are_some CHECK ((((cardinality(waits) >= 1) AND (cardinality(waits) <= 100)) AND (array_position(waits, NULL::interval) IS NULL)))
);


--
-- Name: TABLE schedules; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON TABLE postrider.schedules IS 'The backoff table: named schedules of waits between attempts. Endpoints name one; rows without an endpoint use "default".';


--
-- Name: COLUMN schedules.name; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.schedules.name IS 'What endpoints refer to.';


--
-- Name: COLUMN schedules.waits; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.schedules.waits IS 'The wait after failure 1, 2, 3 and so on; the last one repeats.';


--
-- Name: COLUMN schedules.jitter; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.schedules.jitter IS 'Up to this share of the wait is added at random.';


--
-- Name: COLUMN schedules.jitter_both_ways; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.schedules.jitter_both_ways IS 'Whether jitter may also shorten the wait, never below the first one.';


--
-- Name: COLUMN schedules.max_attempts; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.schedules.max_attempts IS 'Attempts before a delivery is dead, where the endpoint sets none of its own.';


--
-- Name: COLUMN schedules.timeout_ms; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.schedules.timeout_ms IS 'The whole attempt in milliseconds, where the endpoint sets none of its own.';


--
-- Name: COLUMN schedules.final_statuses; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.schedules.final_statuses IS 'HTTP statuses after which there is no second try.';


--
-- Name: signing_secrets; Type: TABLE; Schema: postrider; Owner: -
--

CREATE TABLE postrider.signing_secrets (
    id bigint NOT NULL,
    endpoint_id bigint NOT NULL,
    secret text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone
);


--
-- Name: TABLE signing_secrets; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON TABLE postrider.signing_secrets IS 'Standard Webhooks secrets of an endpoint; several live during a rotation.';


--
-- Name: COLUMN signing_secrets.id; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.signing_secrets.id IS 'Private key; the highest is the newest.';


--
-- Name: COLUMN signing_secrets.endpoint_id; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.signing_secrets.endpoint_id IS 'Whose deliveries it signs.';


--
-- Name: COLUMN signing_secrets.secret; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.signing_secrets.secret IS 'whsec_ and base64, sealed at rest.';


--
-- Name: COLUMN signing_secrets.created_at; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.signing_secrets.created_at IS 'When it was made.';


--
-- Name: COLUMN signing_secrets.expires_at; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.signing_secrets.expires_at IS 'When it stops signing; null for the current one.';


--
-- Name: endpoint_list; Type: VIEW; Schema: postrider; Owner: -
--

CREATE VIEW postrider.endpoint_list AS
 SELECT e.id,
    i.name AS instance,
    e.label,
    e.channel,
    e.dialect,
    e.url,
    e.events,
    e.by_events,
    e.media_base64,
    (e.authorization_header IS NOT NULL) AS has_authorization,
    (e.headers IS NOT NULL) AS has_headers,
    ( SELECT count(*) AS count
           FROM postrider.signing_secrets k
          WHERE ((k.endpoint_id = e.id) AND ((k.expires_at IS NULL) OR (k.expires_at > now())))) AS signing_secrets,
    e.schedule,
    COALESCE(e.max_attempts, s.max_attempts) AS max_attempts,
    COALESCE(e.timeout_ms, s.timeout_ms) AS timeout_ms,
    e.max_in_flight,
    e.state,
    e.state_reason,
    e.state_changed_at,
    h.failing_since,
    h.last_error,
    e.created_at,
    e.updated_at
   FROM (((postrider.endpoints e
     JOIN postrider.instances i ON ((i.id = e.instance_id)))
     JOIN postrider.schedules s ON ((s.name = e.schedule)))
     LEFT JOIN postrider.endpoint_health h ON ((h.endpoint_id = e.id)));


--
-- Name: VIEW endpoint_list; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON VIEW postrider.endpoint_list IS 'Endpoints with their instance, options and health; without secrets.';


--
-- Name: endpoints_id_seq; Type: SEQUENCE; Schema: postrider; Owner: -
--

ALTER TABLE postrider.endpoints ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME postrider.endpoints_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: epochs; Type: TABLE; Schema: postrider; Owner: -
--

CREATE TABLE postrider.epochs (
    number bigint NOT NULL,
    epoch bigint NOT NULL,
    first_xid xid8 NOT NULL,
    began_at timestamp with time zone DEFAULT now() NOT NULL
);


--
-- Name: TABLE epochs; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON TABLE postrider.epochs IS 'The histories of transaction ids there have been, each begun by a crash, a promotion or a restore.';


--
-- Name: COLUMN epochs.number; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.epochs.number IS 'Their order.';


--
-- Name: COLUMN epochs.epoch; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.epochs.epoch IS 'As it stands in cursors: a hash of cluster, database and incarnation.';


--
-- Name: COLUMN epochs.first_xid; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.epochs.first_xid IS 'No id below this one was handed out a second time when it began.';


--
-- Name: COLUMN epochs.began_at; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.epochs.began_at IS 'When a tail first saw it.';


--
-- Name: epochs_number_seq; Type: SEQUENCE; Schema: postrider; Owner: -
--

ALTER TABLE postrider.epochs ALTER COLUMN number ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME postrider.epochs_number_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: event_senders; Type: TABLE; Schema: postrider; Owner: -
--

CREATE TABLE postrider.event_senders (
    event_id bigint NOT NULL,
    sender text NOT NULL
);


--
-- Name: TABLE event_senders; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON TABLE postrider.event_senders IS 'Senders that emit was given. Removed with their events.';


--
-- Name: COLUMN event_senders.event_id; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.event_senders.event_id IS 'postrider.events.id.';


--
-- Name: COLUMN event_senders.sender; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.event_senders.sender IS 'As given.';


--
-- Name: events; Type: TABLE; Schema: postrider; Owner: -
--

CREATE TABLE postrider.events (
    xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
    id bigint NOT NULL,
    nonce integer DEFAULT (((random() * ('4294967295'::bigint)::double precision) - ('2147483648'::bigint)::double precision))::integer NOT NULL,
    instance_id bigint NOT NULL,
    type text NOT NULL,
    data json NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    snap pg_snapshot DEFAULT pg_current_snapshot() NOT NULL
)
WITH (autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='50000', autovacuum_vacuum_insert_scale_factor='0', autovacuum_vacuum_insert_threshold='500000', autovacuum_analyze_scale_factor='0', autovacuum_analyze_threshold='500000', autovacuum_vacuum_cost_delay='0', vacuum_truncate=off);


--
-- Name: TABLE events; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON TABLE postrider.events IS 'Every event, for the retention time. No foreign key to instances: it would lock their row in every commit.';


--
-- Name: COLUMN events.xid; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.events.xid IS 'The top-level transaction, for readers that tail the log.';


--
-- Name: COLUMN events.id; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.events.id IS 'Handed out before commit: not an order of commits.';


--
-- Name: COLUMN events.nonce; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.events.nonce IS 'Makes the public id one that does not recur when a producer loses an asynchronous commit.';


--
-- Name: COLUMN events.instance_id; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.events.instance_id IS 'Its owner.';


--
-- Name: COLUMN events.type; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.events.type IS 'As it was emitted.';


--
-- Name: COLUMN events.data; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.events.data IS 'Byte for byte as it was given.';


--
-- Name: COLUMN events.created_at; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.events.created_at IS 'Start of the transaction that emitted it.';


--
-- Name: COLUMN events.snap; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.events.snap IS 'What that transaction could see, for resuming after this event.';


--
-- Name: events_id_seq; Type: SEQUENCE; Schema: postrider; Owner: -
--

ALTER TABLE postrider.events ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME postrider.events_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: functions; Type: VIEW; Schema: postrider; Owner: -
--

CREATE VIEW postrider.functions AS
 SELECT format('%s(%s)'::text, p.proname, pg_get_function_arguments(p.oid)) AS call,
    pg_get_function_result(p.oid) AS result,
    obj_description(p.oid, 'pg_proc'::name) AS about
   FROM pg_proc p
  WHERE ((p.pronamespace = ('postrider'::regnamespace)::oid) AND (p.prorettype <> ('trigger'::regtype)::oid) AND (COALESCE(obj_description(p.oid, 'pg_proc'::name), ''::text) !~~ 'Internal%'::text))
  ORDER BY p.proname, p.oid;


--
-- Name: VIEW functions; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON VIEW postrider.functions IS 'The functions that are meant to be called; the others are called by these, and may change.';


--
-- Name: global_webhook; Type: TABLE; Schema: postrider; Owner: -
--

CREATE TABLE postrider.global_webhook (
    one boolean DEFAULT true NOT NULL,
    url text NOT NULL,
    events text[] NOT NULL,
    by_events boolean NOT NULL,
    CONSTRAINT global_webhook_one_check CHECK (one)
);


--
-- Name: TABLE global_webhook; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON TABLE postrider.global_webhook IS 'One row while there is a webhook for all instances.';


--
-- Name: COLUMN global_webhook.one; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.global_webhook.one IS 'Always true: there is one row.';


--
-- Name: COLUMN global_webhook.url; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.global_webhook.url IS 'Where it goes.';


--
-- Name: COLUMN global_webhook.events; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.global_webhook.events IS 'What it gets.';


--
-- Name: COLUMN global_webhook.by_events; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.global_webhook.by_events IS 'Whether the event is appended to the URL.';


--
-- Name: idempotency_keys; Type: TABLE; Schema: postrider; Owner: -
--

CREATE TABLE postrider.idempotency_keys (
    instance_id bigint NOT NULL,
    key text NOT NULL,
    event_id bigint NOT NULL,
    event_nonce integer NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);


--
-- Name: TABLE idempotency_keys; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON TABLE postrider.idempotency_keys IS 'Keys given to emit; a second emit with the same key within the retention returns the first event''s id.';


--
-- Name: COLUMN idempotency_keys.instance_id; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.idempotency_keys.instance_id IS 'Keys are per instance.';


--
-- Name: COLUMN idempotency_keys.key; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.idempotency_keys.key IS 'As given.';


--
-- Name: COLUMN idempotency_keys.event_id; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.idempotency_keys.event_id IS 'The event emitted first.';


--
-- Name: COLUMN idempotency_keys.event_nonce; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.idempotency_keys.event_nonce IS 'Its nonce.';


--
-- Name: COLUMN idempotency_keys.created_at; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.idempotency_keys.created_at IS 'When; kept 24 h by default.';


--
-- Name: incarnation; Type: TABLE; Schema: postrider; Owner: -
--

CREATE UNLOGGED TABLE postrider.incarnation (
    one boolean DEFAULT true NOT NULL,
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    CONSTRAINT incarnation_one_check CHECK (one)
);


--
-- Name: TABLE incarnation; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON TABLE postrider.incarnation IS 'One row until the server crashes or is promoted. Unlogged: that is its purpose.';


--
-- Name: COLUMN incarnation.one; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.incarnation.one IS 'Always true: there is one row.';


--
-- Name: COLUMN incarnation.id; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.incarnation.id IS 'Of the time from one crash to the next.';


--
-- Name: installation; Type: TABLE; Schema: postrider; Owner: -
--

CREATE TABLE postrider.installation (
    one boolean DEFAULT true NOT NULL,
    system_identifier text NOT NULL,
    database_oid oid NOT NULL,
    adopted_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT installation_one_check CHECK (one)
);


--
-- Name: TABLE installation; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON TABLE postrider.installation IS 'One row: the cluster and database that deliver from here. A copy of it finds another''s name and does not deliver until adopted.';


--
-- Name: COLUMN installation.one; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.installation.one IS 'Always true: there is one row.';


--
-- Name: COLUMN installation.system_identifier; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.installation.system_identifier IS 'Of the cluster, from pg_control_system().';


--
-- Name: COLUMN installation.database_oid; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.installation.database_oid IS 'Of the database.';


--
-- Name: COLUMN installation.adopted_at; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.installation.adopted_at IS 'When it became the one that delivers.';


--
-- Name: instance_list; Type: VIEW; Schema: postrider; Owner: -
--

CREATE VIEW postrider.instance_list AS
 SELECT i.uid AS id,
    i.name,
    i.vzaps_id,
    i.sender,
    i.created_at,
    ( SELECT count(*) AS count
           FROM postrider.endpoints e
          WHERE (e.instance_id = i.id)) AS endpoints
   FROM postrider.instances i;


--
-- Name: VIEW instance_list; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON VIEW postrider.instance_list IS 'Instances, without their tokens.';


--
-- Name: instances_id_seq; Type: SEQUENCE; Schema: postrider; Owner: -
--

ALTER TABLE postrider.instances ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME postrider.instances_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: limits; Type: TABLE; Schema: postrider; Owner: -
--

CREATE TABLE postrider.limits (
    one boolean DEFAULT true NOT NULL,
    payload_bytes_max bigint DEFAULT 12582912 NOT NULL,
    idempotency_retention interval DEFAULT '24:00:00'::interval NOT NULL,
    CONSTRAINT limits_one_check CHECK (one)
);


--
-- Name: TABLE limits; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON TABLE postrider.limits IS 'One row: what emit goes by, as the program was configured that started last. (Settings of the server would be a superuser''s to make.)';


--
-- Name: COLUMN limits.one; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.limits.one IS 'Always true: there is one row.';


--
-- Name: COLUMN limits.payload_bytes_max; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.limits.payload_bytes_max IS 'The largest event data: limits.payload_bytes_max.';


--
-- Name: COLUMN limits.idempotency_retention; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.limits.idempotency_retention IS 'How long a key is known: retention.idempotency_hours.';


--
-- Name: migrations; Type: TABLE; Schema: postrider; Owner: -
--

CREATE TABLE postrider.migrations (
    version bigint NOT NULL,
    description text NOT NULL,
    installed_on timestamp with time zone DEFAULT now() NOT NULL,
    success boolean NOT NULL,
    checksum bytea NOT NULL,
    execution_time bigint NOT NULL
);


--
-- Name: queue_changes; Type: TABLE; Schema: postrider; Owner: -
--

CREATE TABLE postrider.queue_changes (
    xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
    channel text NOT NULL,
    status text NOT NULL,
    change bigint NOT NULL,
    due_from timestamp with time zone DEFAULT now() NOT NULL
)
WITH (autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='50000', autovacuum_vacuum_insert_threshold='500000', autovacuum_vacuum_cost_delay='0');


--
-- Name: TABLE queue_changes; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON TABLE postrider.queue_changes IS 'Deltas of the queue''s depth, added up into queue_depth by maintenance.';


--
-- Name: COLUMN queue_changes.xid; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.queue_changes.xid IS 'The transaction that changed it.';


--
-- Name: COLUMN queue_changes.channel; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.queue_changes.channel IS 'Which channel.';


--
-- Name: COLUMN queue_changes.status; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.queue_changes.status IS 'Which status.';


--
-- Name: COLUMN queue_changes.change; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.queue_changes.change IS 'By how many rows.';


--
-- Name: COLUMN queue_changes.due_from; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.queue_changes.due_from IS 'None of those rows that became pending is due earlier.';


--
-- Name: queue_depth; Type: TABLE; Schema: postrider; Owner: -
--

CREATE TABLE postrider.queue_depth (
    channel text NOT NULL,
    status text NOT NULL,
    rows bigint NOT NULL
)
WITH (fillfactor='50');


--
-- Name: TABLE queue_depth; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON TABLE postrider.queue_depth IS 'Rows of webhook_queue by channel and status, as of queue_depth_snapshot.';


--
-- Name: COLUMN queue_depth.channel; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.queue_depth.channel IS 'Which channel.';


--
-- Name: COLUMN queue_depth.status; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.queue_depth.status IS 'Which status.';


--
-- Name: COLUMN queue_depth.rows; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.queue_depth.rows IS 'How many rows.';


--
-- Name: queue_depth_snapshot; Type: TABLE; Schema: postrider; Owner: -
--

CREATE TABLE postrider.queue_depth_snapshot (
    one boolean DEFAULT true NOT NULL,
    snap pg_snapshot NOT NULL,
    at timestamp with time zone NOT NULL,
    oldest_due_at timestamp with time zone,
    due_from timestamp with time zone[] DEFAULT array_fill('-infinity'::timestamp with time zone, '{64}'::integer[]) NOT NULL,
    oldest_due timestamp with time zone[] DEFAULT array_fill(NULL::timestamp with time zone, '{64}'::integer[]) NOT NULL,
    queued_since timestamp with time zone,
    queued_count bigint DEFAULT 0 NOT NULL,
    looked_at timestamp with time zone DEFAULT now() NOT NULL,
    next_whole smallint DEFAULT 0 NOT NULL,
    next_lane smallint DEFAULT 0 NOT NULL,
    owed interval DEFAULT '00:00:00'::interval NOT NULL,
    slow_looks integer DEFAULT 0 NOT NULL,
    calm_looks integer DEFAULT 0 NOT NULL,
    forgotten_below xid8 DEFAULT '0'::xid8 NOT NULL,
    CONSTRAINT queue_depth_snapshot_one_check CHECK (one)
)
WITH (fillfactor='50');


--
-- Name: TABLE queue_depth_snapshot; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON TABLE postrider.queue_depth_snapshot IS 'One row: the snapshot up to which queue_depth is exact.';


--
-- Name: COLUMN queue_depth_snapshot.one; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.queue_depth_snapshot.one IS 'Always true: there is one row.';


--
-- Name: COLUMN queue_depth_snapshot.snap; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.queue_depth_snapshot.snap IS 'Everything visible in it has been added up.';


--
-- Name: COLUMN queue_depth_snapshot.at; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.queue_depth_snapshot.at IS 'When it was taken.';


--
-- Name: COLUMN queue_depth_snapshot.oldest_due_at; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.queue_depth_snapshot.oldest_due_at IS 'The oldest due row that nobody held then, and that did not wait for an endpoint which is paused or does not answer.';


--
-- Name: COLUMN queue_depth_snapshot.due_from; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.queue_depth_snapshot.due_from IS 'For each lane: as of the last look nothing pending was due earlier.';


--
-- Name: COLUMN queue_depth_snapshot.oldest_due; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.queue_depth_snapshot.oldest_due IS 'For each lane: what oldest_due_at is the oldest of.';


--
-- Name: COLUMN queue_depth_snapshot.queued_since; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.queue_depth_snapshot.queued_since IS 'Nothing that was queued since the last look is due earlier.';


--
-- Name: COLUMN queue_depth_snapshot.queued_count; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.queue_depth_snapshot.queued_count IS 'How many times that was said.';


--
-- Name: COLUMN queue_depth_snapshot.looked_at; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.queue_depth_snapshot.looked_at IS 'When that look began.';


--
-- Name: COLUMN queue_depth_snapshot.next_whole; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.queue_depth_snapshot.next_whole IS 'Which lane is to be looked at from its beginning next.';


--
-- Name: COLUMN queue_depth_snapshot.next_lane; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.queue_depth_snapshot.next_lane IS 'Which of the others is to be looked at first.';


--
-- Name: COLUMN queue_depth_snapshot.owed; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.queue_depth_snapshot.owed IS 'Time spent on looking from beginnings that has not been made up for by waiting.';


--
-- Name: COLUMN queue_depth_snapshot.slow_looks; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.queue_depth_snapshot.slow_looks IS 'Looks at the beginning of a lane that took more than 10 ms, until 64 in a row did not; from four on workers begin to sweep at due_from.';


--
-- Name: COLUMN queue_depth_snapshot.calm_looks; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.queue_depth_snapshot.calm_looks IS 'Looks at beginnings since the last slow one.';


--
-- Name: COLUMN queue_depth_snapshot.forgotten_below; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.queue_depth_snapshot.forgotten_below IS 'Deltas of transactions below this one have been deleted.';


--
-- Name: queue_stats; Type: VIEW; Schema: postrider; Owner: -
--

CREATE VIEW postrider.queue_stats AS
 SELECT d.channel,
    d.status,
    d.rows,
    s.at AS as_of,
    s.oldest_due_at
   FROM (postrider.queue_depth d
     CROSS JOIN postrider.queue_depth_snapshot s)
  WHERE (d.rows <> 0);


--
-- Name: VIEW queue_stats; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON VIEW postrider.queue_stats IS 'Rows of the queue by channel and status, a few seconds old and cheap at any size; oldest_due_at is the oldest due delivery that nobody held, and whose endpoint is enabled and answers.';


--
-- Name: rejected_notifications; Type: TABLE; Schema: postrider; Owner: -
--

CREATE TABLE postrider.rejected_notifications (
    id bigint NOT NULL,
    received_at timestamp with time zone DEFAULT now() NOT NULL,
    payload text NOT NULL,
    error text NOT NULL
);


--
-- Name: TABLE rejected_notifications; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON TABLE postrider.rejected_notifications IS 'NOTIFY payloads that are not events, for operators to look at.';


--
-- Name: COLUMN rejected_notifications.id; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.rejected_notifications.id IS 'Private key.';


--
-- Name: COLUMN rejected_notifications.received_at; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.rejected_notifications.received_at IS 'When it arrived.';


--
-- Name: COLUMN rejected_notifications.payload; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.rejected_notifications.payload IS 'As it arrived.';


--
-- Name: COLUMN rejected_notifications.error; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.rejected_notifications.error IS 'What is wrong with it.';


--
-- Name: rejected_notifications_id_seq; Type: SEQUENCE; Schema: postrider; Owner: -
--

ALTER TABLE postrider.rejected_notifications ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME postrider.rejected_notifications_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: removed_events; Type: TABLE; Schema: postrider; Owner: -
--

CREATE TABLE postrider.removed_events (
    one boolean DEFAULT true NOT NULL,
    event_id bigint DEFAULT 0 NOT NULL,
    xid xid8 DEFAULT '0'::xid8 NOT NULL,
    CONSTRAINT removed_events_one_check CHECK (one)
)
WITH (fillfactor='50');


--
-- Name: TABLE removed_events; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON TABLE postrider.removed_events IS 'One row: how far events have been removed, by retention or by hand, so that a reader that is further behind is told.';


--
-- Name: COLUMN removed_events.one; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.removed_events.one IS 'Always true: there is one row.';


--
-- Name: COLUMN removed_events.event_id; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.removed_events.event_id IS 'The highest id removed.';


--
-- Name: COLUMN removed_events.xid; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.removed_events.xid IS 'The highest transaction of which an event was removed.';


--
-- Name: request_counts; Type: TABLE; Schema: postrider; Owner: -
--

CREATE UNLOGGED TABLE postrider.request_counts (
    key text NOT NULL,
    minute timestamp with time zone NOT NULL,
    requests integer NOT NULL
)
WITH (fillfactor='50');


--
-- Name: TABLE request_counts; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON TABLE postrider.request_counts IS 'How often callers of the HTTP APIs came within the current minute.';


--
-- Name: COLUMN request_counts.key; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.request_counts.key IS 'Who, and for what.';


--
-- Name: COLUMN request_counts.minute; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.request_counts.minute IS 'The minute that is counted.';


--
-- Name: COLUMN request_counts.requests; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.request_counts.requests IS 'How many requests came in it.';


--
-- Name: sidecars; Type: TABLE; Schema: postrider; Owner: -
--

CREATE TABLE postrider.sidecars (
    name text NOT NULL,
    alive_until timestamp with time zone NOT NULL
);


--
-- Name: TABLE sidecars; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON TABLE postrider.sidecars IS 'Processes that hold subscriptions. What one that is no longer alive held is free.';


--
-- Name: COLUMN sidecars.name; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.sidecars.name IS 'Another one each time it is started.';


--
-- Name: COLUMN sidecars.alive_until; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.sidecars.alive_until IS 'It says so again every second, while it holds any.';


--
-- Name: signing_secrets_id_seq; Type: SEQUENCE; Schema: postrider; Owner: -
--

ALTER TABLE postrider.signing_secrets ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME postrider.signing_secrets_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: sockets_id_seq; Type: SEQUENCE; Schema: postrider; Owner: -
--

ALTER TABLE postrider.sockets ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME postrider.sockets_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: subscriptions; Type: TABLE; Schema: postrider; Owner: -
--

CREATE TABLE postrider.subscriptions (
    id bigint NOT NULL,
    instance_id bigint NOT NULL,
    key text NOT NULL,
    cursor text NOT NULL,
    unacknowledged bigint[] DEFAULT '{}'::bigint[] NOT NULL,
    holder text,
    claim bigint DEFAULT 1 NOT NULL,
    taken_at timestamp with time zone DEFAULT now() NOT NULL,
    left_at timestamp with time zone
)
WITH (fillfactor='50');


--
-- Name: TABLE subscriptions; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON TABLE postrider.subscriptions IS 'Subscriptions of GET /events/ws. Delete a row to forget one.';


--
-- Name: COLUMN subscriptions.id; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.subscriptions.id IS 'Private key.';


--
-- Name: COLUMN subscriptions.instance_id; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.subscriptions.instance_id IS 'Whose events it hears.';


--
-- Name: COLUMN subscriptions.key; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.subscriptions.key IS 'Who asks for what: the digest of the client token and the names of the events.';


--
-- Name: COLUMN subscriptions.cursor; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.subscriptions.cursor IS 'Everything up to here has been acknowledged, or stands in unacknowledged.';


--
-- Name: COLUMN subscriptions.unacknowledged; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.subscriptions.unacknowledged IS 'Events before the cursor, by id, that were sent and not acknowledged.';


--
-- Name: COLUMN subscriptions.holder; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.subscriptions.holder IS 'The process whose client it is; null where nobody is connected.';


--
-- Name: COLUMN subscriptions.claim; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.subscriptions.claim IS 'Rises with each connection; the latest counts.';


--
-- Name: COLUMN subscriptions.taken_at; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.subscriptions.taken_at IS 'When somebody last connected.';


--
-- Name: COLUMN subscriptions.left_at; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.subscriptions.left_at IS 'When its client last left, as far as we know.';


--
-- Name: subscriptions_id_seq; Type: SEQUENCE; Schema: postrider; Owner: -
--

ALTER TABLE postrider.subscriptions ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME postrider.subscriptions_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: tail_home; Type: TABLE; Schema: postrider; Owner: -
--

CREATE TABLE postrider.tail_home (
    one boolean DEFAULT true NOT NULL,
    system_identifier text NOT NULL,
    CONSTRAINT tail_home_one_check CHECK (one)
);


--
-- Name: TABLE tail_home; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON TABLE postrider.tail_home IS 'One row: the cluster whose transaction ids the events carry.';


--
-- Name: COLUMN tail_home.one; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.tail_home.one IS 'Always true: there is one row.';


--
-- Name: COLUMN tail_home.system_identifier; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.tail_home.system_identifier IS 'From pg_control_system().';


--
-- Name: tail_marks; Type: TABLE; Schema: postrider; Owner: -
--

CREATE TABLE postrider.tail_marks (
    next_xid xid8 NOT NULL,
    event_id bigint NOT NULL,
    at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);


--
-- Name: TABLE tail_marks; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON TABLE postrider.tail_marks IS 'Marks of the tail: transactions from next_xid on have only events above event_id.';


--
-- Name: COLUMN tail_marks.next_xid; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.tail_marks.next_xid IS 'The transaction id that was the next to be handed out.';


--
-- Name: COLUMN tail_marks.event_id; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.tail_marks.event_id IS 'The last event id drawn before that.';


--
-- Name: COLUMN tail_marks.at; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.tail_marks.at IS 'When.';


--
-- Name: tokens; Type: TABLE; Schema: postrider; Owner: -
--

CREATE TABLE postrider.tokens (
    id bigint NOT NULL,
    uid uuid DEFAULT gen_random_uuid() NOT NULL,
    account_id bigint NOT NULL,
    instance_id bigint,
    parent_id bigint,
    kind text DEFAULT 'bearer'::text NOT NULL,
    label text,
    digest bytea NOT NULL,
    client_id text,
    sealed text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone,
    revoked_at timestamp with time zone,
    CONSTRAINT tokens_access_expires CHECK (((kind <> 'access'::text) OR (expires_at IS NOT NULL))),
    CONSTRAINT tokens_access_has_a_parent CHECK (((kind = 'access'::text) = (parent_id IS NOT NULL))),
    CONSTRAINT tokens_client_has_an_id CHECK (((kind = 'client'::text) = (client_id IS NOT NULL))),
    CONSTRAINT tokens_digest_is_sha256 CHECK ((octet_length(digest) = 32)),
    CONSTRAINT tokens_kind_is_known CHECK ((kind = ANY (ARRAY['bearer'::text, 'client'::text, 'access'::text]))),
    CONSTRAINT tokens_label_is_printable CHECK ((label ~ '^[^[:cntrl:]]{1,255}$'::text)),
    CONSTRAINT tokens_sealed_is_sealed CHECK (((sealed IS NULL) OR (sealed ~~ 'sealed:%'::text)))
);


--
-- Name: TABLE tokens; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON TABLE postrider.tokens IS 'What callers of the HTTP APIs show. Never the token itself: its SHA-256, and sealed where a dialect shows it again.';


--
-- Name: COLUMN tokens.id; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.tokens.id IS 'Private key.';


--
-- Name: COLUMN tokens.uid; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.tokens.uid IS 'Public id, to revoke it by.';


--
-- Name: COLUMN tokens.account_id; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.tokens.account_id IS 'Whose instances it reaches.';


--
-- Name: COLUMN tokens.instance_id; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.tokens.instance_id IS 'The one instance it reaches; null for all of the account.';


--
-- Name: COLUMN tokens.parent_id; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.tokens.parent_id IS 'The client credentials an access token was given for; it is worth nothing once they are revoked.';


--
-- Name: COLUMN tokens.kind; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.tokens.kind IS 'bearer: shown with each request; client: an id and a secret that are exchanged for one; access: what they are exchanged for.';


--
-- Name: COLUMN tokens.label; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.tokens.label IS 'What its owner calls it.';


--
-- Name: COLUMN tokens.digest; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.tokens.digest IS 'SHA-256 of the token, or of the client secret.';


--
-- Name: COLUMN tokens.client_id; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.tokens.client_id IS 'The public half of client credentials.';


--
-- Name: COLUMN tokens.sealed; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.tokens.sealed IS 'The token, encrypted, where a dialect has to show it.';


--
-- Name: COLUMN tokens.created_at; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.tokens.created_at IS 'When it was made.';


--
-- Name: COLUMN tokens.expires_at; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.tokens.expires_at IS 'When it ends by itself; null for never.';


--
-- Name: COLUMN tokens.revoked_at; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.tokens.revoked_at IS 'When it was revoked; null while it is good.';


--
-- Name: tokens_id_seq; Type: SEQUENCE; Schema: postrider; Owner: -
--

ALTER TABLE postrider.tokens ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME postrider.tokens_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: unsealed_rows; Type: TABLE; Schema: postrider; Owner: -
--

CREATE TABLE postrider.unsealed_rows (
    delivery_id bigint NOT NULL
);


--
-- Name: TABLE unsealed_rows; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON TABLE postrider.unsealed_rows IS 'Rows of the queue whose auth_header was given in plain and waits to be sealed.';


--
-- Name: COLUMN unsealed_rows.delivery_id; Type: COMMENT; Schema: postrider; Owner: -
--

COMMENT ON COLUMN postrider.unsealed_rows.delivery_id IS 'webhook_queue.id.';


--
-- Name: webhook_queue_id_seq; Type: SEQUENCE; Schema: postrider; Owner: -
--

ALTER TABLE postrider.webhook_queue ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME postrider.webhook_queue_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: webhook_queue; Type: VIEW; Schema: public; Owner: -
--

CREATE VIEW public.webhook_queue AS
 SELECT webhook_queue.id,
    webhook_queue.next_retry_at,
    webhook_queue.created_at,
    webhook_queue.updated_at,
    webhook_queue.target,
    webhook_queue.attempts,
    webhook_queue.max_attempts,
    webhook_queue.crashes,
    webhook_queue.lane,
    webhook_queue.status,
    webhook_queue.channel,
    webhook_queue.instance_name,
    webhook_queue.event_type,
    webhook_queue.url,
    webhook_queue.payload,
    webhook_queue.endpoint_id,
    webhook_queue.event_id,
    webhook_queue.event_nonce,
    webhook_queue.event_at,
    webhook_queue.first_attempt_at,
    webhook_queue.lease_until,
    webhook_queue.lease_token,
    webhook_queue.auth_header,
    webhook_queue.last_error
   FROM postrider.webhook_queue;


--
-- Name: VIEW webhook_queue; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON VIEW public.webhook_queue IS 'postrider.webhook_queue under the name operators know.';


--
-- Name: accounts accounts_name_key; Type: CONSTRAINT; Schema: postrider; Owner: -
--

ALTER TABLE ONLY postrider.accounts
    ADD CONSTRAINT accounts_name_key UNIQUE (name);


--
-- Name: accounts accounts_pkey; Type: CONSTRAINT; Schema: postrider; Owner: -
--

ALTER TABLE ONLY postrider.accounts
    ADD CONSTRAINT accounts_pkey PRIMARY KEY (id);


--
-- Name: accounts accounts_uid_key; Type: CONSTRAINT; Schema: postrider; Owner: -
--

ALTER TABLE ONLY postrider.accounts
    ADD CONSTRAINT accounts_uid_key UNIQUE (uid);


--
-- Name: capture_failure_log capture_failure_log_pkey; Type: CONSTRAINT; Schema: postrider; Owner: -
--

ALTER TABLE ONLY postrider.capture_failure_log
    ADD CONSTRAINT capture_failure_log_pkey PRIMARY KEY (id);


--
-- Name: capture_seal capture_seal_pkey; Type: CONSTRAINT; Schema: postrider; Owner: -
--

ALTER TABLE ONLY postrider.capture_seal
    ADD CONSTRAINT capture_seal_pkey PRIMARY KEY (one);


--
-- Name: consumers consumers_pkey; Type: CONSTRAINT; Schema: postrider; Owner: -
--

ALTER TABLE ONLY postrider.consumers
    ADD CONSTRAINT consumers_pkey PRIMARY KEY (instance_id, name);


--
-- Name: deleted_endpoints deleted_endpoints_pkey; Type: CONSTRAINT; Schema: postrider; Owner: -
--

ALTER TABLE ONLY postrider.deleted_endpoints
    ADD CONSTRAINT deleted_endpoints_pkey PRIMARY KEY (endpoint_id);


--
-- Name: duties duties_pkey; Type: CONSTRAINT; Schema: postrider; Owner: -
--

ALTER TABLE ONLY postrider.duties
    ADD CONSTRAINT duties_pkey PRIMARY KEY (name);


--
-- Name: endpoint_health endpoint_health_pkey; Type: CONSTRAINT; Schema: postrider; Owner: -
--

ALTER TABLE ONLY postrider.endpoint_health
    ADD CONSTRAINT endpoint_health_pkey PRIMARY KEY (endpoint_id);


--
-- Name: endpoints endpoints_label_is_unique; Type: CONSTRAINT; Schema: postrider; Owner: -
--

ALTER TABLE ONLY postrider.endpoints
    ADD CONSTRAINT endpoints_label_is_unique UNIQUE (instance_id, label, channel, dialect);


--
-- Name: endpoints endpoints_pkey; Type: CONSTRAINT; Schema: postrider; Owner: -
--

ALTER TABLE ONLY postrider.endpoints
    ADD CONSTRAINT endpoints_pkey PRIMARY KEY (id);


--
-- Name: endpoints endpoints_uid_key; Type: CONSTRAINT; Schema: postrider; Owner: -
--

ALTER TABLE ONLY postrider.endpoints
    ADD CONSTRAINT endpoints_uid_key UNIQUE (uid);


--
-- Name: epochs epochs_epoch_key; Type: CONSTRAINT; Schema: postrider; Owner: -
--

ALTER TABLE ONLY postrider.epochs
    ADD CONSTRAINT epochs_epoch_key UNIQUE (epoch);


--
-- Name: epochs epochs_pkey; Type: CONSTRAINT; Schema: postrider; Owner: -
--

ALTER TABLE ONLY postrider.epochs
    ADD CONSTRAINT epochs_pkey PRIMARY KEY (number);


--
-- Name: event_names event_names_pkey; Type: CONSTRAINT; Schema: postrider; Owner: -
--

ALTER TABLE ONLY postrider.event_names
    ADD CONSTRAINT event_names_pkey PRIMARY KEY (dialect, type);


--
-- Name: event_senders event_senders_pkey; Type: CONSTRAINT; Schema: postrider; Owner: -
--

ALTER TABLE ONLY postrider.event_senders
    ADD CONSTRAINT event_senders_pkey PRIMARY KEY (event_id);


--
-- Name: events events_pkey; Type: CONSTRAINT; Schema: postrider; Owner: -
--

ALTER TABLE ONLY postrider.events
    ADD CONSTRAINT events_pkey PRIMARY KEY (id);


--
-- Name: global_webhook global_webhook_pkey; Type: CONSTRAINT; Schema: postrider; Owner: -
--

ALTER TABLE ONLY postrider.global_webhook
    ADD CONSTRAINT global_webhook_pkey PRIMARY KEY (one);


--
-- Name: idempotency_keys idempotency_keys_pkey; Type: CONSTRAINT; Schema: postrider; Owner: -
--

ALTER TABLE ONLY postrider.idempotency_keys
    ADD CONSTRAINT idempotency_keys_pkey PRIMARY KEY (instance_id, key);


--
-- Name: incarnation incarnation_pkey; Type: CONSTRAINT; Schema: postrider; Owner: -
--

ALTER TABLE ONLY postrider.incarnation
    ADD CONSTRAINT incarnation_pkey PRIMARY KEY (one);


--
-- Name: installation installation_pkey; Type: CONSTRAINT; Schema: postrider; Owner: -
--

ALTER TABLE ONLY postrider.installation
    ADD CONSTRAINT installation_pkey PRIMARY KEY (one);


--
-- Name: instances instances_name_key; Type: CONSTRAINT; Schema: postrider; Owner: -
--

ALTER TABLE ONLY postrider.instances
    ADD CONSTRAINT instances_name_key UNIQUE (name);


--
-- Name: instances instances_pkey; Type: CONSTRAINT; Schema: postrider; Owner: -
--

ALTER TABLE ONLY postrider.instances
    ADD CONSTRAINT instances_pkey PRIMARY KEY (id);


--
-- Name: instances instances_uid_key; Type: CONSTRAINT; Schema: postrider; Owner: -
--

ALTER TABLE ONLY postrider.instances
    ADD CONSTRAINT instances_uid_key UNIQUE (uid);


--
-- Name: instances instances_vzaps_id_key; Type: CONSTRAINT; Schema: postrider; Owner: -
--

ALTER TABLE ONLY postrider.instances
    ADD CONSTRAINT instances_vzaps_id_key UNIQUE (vzaps_id);


--
-- Name: limits limits_pkey; Type: CONSTRAINT; Schema: postrider; Owner: -
--

ALTER TABLE ONLY postrider.limits
    ADD CONSTRAINT limits_pkey PRIMARY KEY (one);


--
-- Name: migrations migrations_pkey; Type: CONSTRAINT; Schema: postrider; Owner: -
--

ALTER TABLE ONLY postrider.migrations
    ADD CONSTRAINT migrations_pkey PRIMARY KEY (version);


--
-- Name: queue_depth queue_depth_pkey; Type: CONSTRAINT; Schema: postrider; Owner: -
--

ALTER TABLE ONLY postrider.queue_depth
    ADD CONSTRAINT queue_depth_pkey PRIMARY KEY (channel, status);


--
-- Name: queue_depth_snapshot queue_depth_snapshot_pkey; Type: CONSTRAINT; Schema: postrider; Owner: -
--

ALTER TABLE ONLY postrider.queue_depth_snapshot
    ADD CONSTRAINT queue_depth_snapshot_pkey PRIMARY KEY (one);


--
-- Name: realtime_processes realtime_processes_pkey; Type: CONSTRAINT; Schema: postrider; Owner: -
--

ALTER TABLE ONLY postrider.realtime_processes
    ADD CONSTRAINT realtime_processes_pkey PRIMARY KEY (name);


--
-- Name: rejected_notifications rejected_notifications_pkey; Type: CONSTRAINT; Schema: postrider; Owner: -
--

ALTER TABLE ONLY postrider.rejected_notifications
    ADD CONSTRAINT rejected_notifications_pkey PRIMARY KEY (id);


--
-- Name: removed_events removed_events_pkey; Type: CONSTRAINT; Schema: postrider; Owner: -
--

ALTER TABLE ONLY postrider.removed_events
    ADD CONSTRAINT removed_events_pkey PRIMARY KEY (one);


--
-- Name: request_counts request_counts_pkey; Type: CONSTRAINT; Schema: postrider; Owner: -
--

ALTER TABLE ONLY postrider.request_counts
    ADD CONSTRAINT request_counts_pkey PRIMARY KEY (key);


--
-- Name: schedules schedules_pkey; Type: CONSTRAINT; Schema: postrider; Owner: -
--

ALTER TABLE ONLY postrider.schedules
    ADD CONSTRAINT schedules_pkey PRIMARY KEY (name);


--
-- Name: sidecars sidecars_pkey; Type: CONSTRAINT; Schema: postrider; Owner: -
--

ALTER TABLE ONLY postrider.sidecars
    ADD CONSTRAINT sidecars_pkey PRIMARY KEY (name);


--
-- Name: signing_secrets signing_secrets_pkey; Type: CONSTRAINT; Schema: postrider; Owner: -
--

ALTER TABLE ONLY postrider.signing_secrets
    ADD CONSTRAINT signing_secrets_pkey PRIMARY KEY (id);


--
-- Name: sockets sockets_are_told_once; Type: CONSTRAINT; Schema: postrider; Owner: -
--

ALTER TABLE ONLY postrider.sockets
    ADD CONSTRAINT sockets_are_told_once UNIQUE (sidecar, number);


--
-- Name: sockets sockets_pkey; Type: CONSTRAINT; Schema: postrider; Owner: -
--

ALTER TABLE ONLY postrider.sockets
    ADD CONSTRAINT sockets_pkey PRIMARY KEY (id);


--
-- Name: subscriptions subscriptions_pkey; Type: CONSTRAINT; Schema: postrider; Owner: -
--

ALTER TABLE ONLY postrider.subscriptions
    ADD CONSTRAINT subscriptions_pkey PRIMARY KEY (id);


--
-- Name: tail_home tail_home_pkey; Type: CONSTRAINT; Schema: postrider; Owner: -
--

ALTER TABLE ONLY postrider.tail_home
    ADD CONSTRAINT tail_home_pkey PRIMARY KEY (one);


--
-- Name: tail_marks tail_marks_pkey; Type: CONSTRAINT; Schema: postrider; Owner: -
--

ALTER TABLE ONLY postrider.tail_marks
    ADD CONSTRAINT tail_marks_pkey PRIMARY KEY (next_xid);


--
-- Name: tokens tokens_client_id_key; Type: CONSTRAINT; Schema: postrider; Owner: -
--

ALTER TABLE ONLY postrider.tokens
    ADD CONSTRAINT tokens_client_id_key UNIQUE (client_id);


--
-- Name: tokens tokens_digest_key; Type: CONSTRAINT; Schema: postrider; Owner: -
--

ALTER TABLE ONLY postrider.tokens
    ADD CONSTRAINT tokens_digest_key UNIQUE (digest);


--
-- Name: tokens tokens_pkey; Type: CONSTRAINT; Schema: postrider; Owner: -
--

ALTER TABLE ONLY postrider.tokens
    ADD CONSTRAINT tokens_pkey PRIMARY KEY (id);


--
-- Name: tokens tokens_uid_key; Type: CONSTRAINT; Schema: postrider; Owner: -
--

ALTER TABLE ONLY postrider.tokens
    ADD CONSTRAINT tokens_uid_key UNIQUE (uid);


--
-- Name: webhook_queue webhook_queue_pkey; Type: CONSTRAINT; Schema: postrider; Owner: -
--

ALTER TABLE ONLY postrider.webhook_queue
    ADD CONSTRAINT webhook_queue_pkey PRIMARY KEY (id);


--
-- Name: attempts_by_delivery; Type: INDEX; Schema: postrider; Owner: -
--

CREATE INDEX attempts_by_delivery ON postrider.attempts USING btree (delivery_id);


--
-- Name: attempts_by_time; Type: INDEX; Schema: postrider; Owner: -
--

CREATE INDEX attempts_by_time ON postrider.attempts USING brin (at) WITH (pages_per_range='32', autosummarize='on');


--
-- Name: endpoints_by_instance; Type: INDEX; Schema: postrider; Owner: -
--

CREATE INDEX endpoints_by_instance ON postrider.endpoints USING btree (instance_id);


--
-- Name: endpoints_global; Type: INDEX; Schema: postrider; Owner: -
--

CREATE UNIQUE INDEX endpoints_global ON postrider.endpoints USING btree (instance_id) WHERE is_global;


--
-- Name: endpoints_unsealed; Type: INDEX; Schema: postrider; Owner: -
--

CREATE INDEX endpoints_unsealed ON postrider.endpoints USING btree (id) WHERE (((authorization_header IS NOT NULL) AND (authorization_header !~~ 'sealed:%'::text)) OR ((headers IS NOT NULL) AND (headers !~~ 'sealed:%'::text)) OR ((settings IS NOT NULL) AND (settings !~~ 'sealed:%'::text)));


--
-- Name: event_names_by_name; Type: INDEX; Schema: postrider; Owner: -
--

CREATE INDEX event_names_by_name ON postrider.event_names USING btree (dialect, name);


--
-- Name: idempotency_keys_by_time; Type: INDEX; Schema: postrider; Owner: -
--

CREATE INDEX idempotency_keys_by_time ON postrider.idempotency_keys USING brin (created_at);


--
-- Name: instances_by_account; Type: INDEX; Schema: postrider; Owner: -
--

CREATE UNIQUE INDEX instances_by_account ON postrider.instances USING btree (account_id, called);


--
-- Name: instances_token_is_unique; Type: INDEX; Schema: postrider; Owner: -
--

CREATE UNIQUE INDEX instances_token_is_unique ON postrider.instances USING btree (token_digest);


--
-- Name: instances_unsealed; Type: INDEX; Schema: postrider; Owner: -
--

CREATE INDEX instances_unsealed ON postrider.instances USING btree (id) WHERE ((token IS NOT NULL) AND (token !~~ 'sealed:%'::text));


--
-- Name: queue_changes_by_xid; Type: INDEX; Schema: postrider; Owner: -
--

CREATE INDEX queue_changes_by_xid ON postrider.queue_changes USING btree (xid);


--
-- Name: signing_secrets_by_endpoint; Type: INDEX; Schema: postrider; Owner: -
--

CREATE INDEX signing_secrets_by_endpoint ON postrider.signing_secrets USING btree (endpoint_id, id);


--
-- Name: signing_secrets_unsealed; Type: INDEX; Schema: postrider; Owner: -
--

CREATE INDEX signing_secrets_unsealed ON postrider.signing_secrets USING btree (id) WHERE (secret !~~ 'sealed:%'::text);


--
-- Name: sockets_by_instance; Type: INDEX; Schema: postrider; Owner: -
--

CREATE INDEX sockets_by_instance ON postrider.sockets USING btree (instance_id, id);


--
-- Name: sockets_to_be_ended; Type: INDEX; Schema: postrider; Owner: -
--

CREATE INDEX sockets_to_be_ended ON postrider.sockets USING btree (sidecar) WHERE kicked;


--
-- Name: subscriptions_key; Type: INDEX; Schema: postrider; Owner: -
--

CREATE INDEX subscriptions_key ON postrider.subscriptions USING btree (instance_id, key);


--
-- Name: tail_marks_by_time; Type: INDEX; Schema: postrider; Owner: -
--

CREATE INDEX tail_marks_by_time ON postrider.tail_marks USING btree (at);


--
-- Name: tokens_by_account; Type: INDEX; Schema: postrider; Owner: -
--

CREATE INDEX tokens_by_account ON postrider.tokens USING btree (account_id, id);


--
-- Name: tokens_by_instance; Type: INDEX; Schema: postrider; Owner: -
--

CREATE INDEX tokens_by_instance ON postrider.tokens USING btree (instance_id) WHERE (instance_id IS NOT NULL);


--
-- Name: tokens_by_parent; Type: INDEX; Schema: postrider; Owner: -
--

CREATE INDEX tokens_by_parent ON postrider.tokens USING btree (parent_id, expires_at) WHERE (parent_id IS NOT NULL);


--
-- Name: webhook_queue_due; Type: INDEX; Schema: postrider; Owner: -
--

CREATE INDEX webhook_queue_due ON postrider.webhook_queue USING btree (lane, next_retry_at, id) WHERE (status = 'pending'::text);


--
-- Name: webhook_queue_failed; Type: INDEX; Schema: postrider; Owner: -
--

CREATE INDEX webhook_queue_failed ON postrider.webhook_queue USING btree (id) WHERE (status = 'failed'::text);


--
-- Name: instances add_global_endpoint; Type: TRIGGER; Schema: postrider; Owner: -
--

CREATE TRIGGER add_global_endpoint AFTER INSERT ON postrider.instances FOR EACH ROW EXECUTE FUNCTION postrider.add_global_endpoint();


--
-- Name: instances call_instance; Type: TRIGGER; Schema: postrider; Owner: -
--

CREATE TRIGGER call_instance BEFORE INSERT ON postrider.instances FOR EACH ROW EXECUTE FUNCTION postrider.call_instance();


--
-- Name: accounts check_account_name; Type: TRIGGER; Schema: postrider; Owner: -
--

CREATE TRIGGER check_account_name BEFORE INSERT ON postrider.accounts FOR EACH ROW EXECUTE FUNCTION postrider.check_account_name();


--
-- Name: instances digest_instance_token; Type: TRIGGER; Schema: postrider; Owner: -
--

CREATE TRIGGER digest_instance_token BEFORE INSERT OR UPDATE OF token ON postrider.instances FOR EACH ROW EXECUTE FUNCTION postrider.digest_instance_token();


--
-- Name: endpoints endpoint_changed; Type: TRIGGER; Schema: postrider; Owner: -
--

CREATE TRIGGER endpoint_changed BEFORE INSERT OR UPDATE ON postrider.endpoints FOR EACH ROW EXECUTE FUNCTION postrider.endpoint_changed();


--
-- Name: instances endpoint_part_changed; Type: TRIGGER; Schema: postrider; Owner: -
--

CREATE TRIGGER endpoint_part_changed AFTER UPDATE OF token, sender, name ON postrider.instances FOR EACH ROW EXECUTE FUNCTION postrider.endpoint_part_changed();


--
-- Name: schedules endpoint_part_changed; Type: TRIGGER; Schema: postrider; Owner: -
--

CREATE TRIGGER endpoint_part_changed AFTER UPDATE ON postrider.schedules FOR EACH ROW EXECUTE FUNCTION postrider.endpoint_part_changed();


--
-- Name: signing_secrets endpoint_part_changed; Type: TRIGGER; Schema: postrider; Owner: -
--

CREATE TRIGGER endpoint_part_changed AFTER INSERT OR DELETE OR UPDATE ON postrider.signing_secrets FOR EACH ROW EXECUTE FUNCTION postrider.endpoint_part_changed();


--
-- Name: events events_emptied; Type: TRIGGER; Schema: postrider; Owner: -
--

CREATE TRIGGER events_emptied AFTER TRUNCATE ON postrider.events FOR EACH STATEMENT EXECUTE FUNCTION postrider.events_emptied();


--
-- Name: events events_removed; Type: TRIGGER; Schema: postrider; Owner: -
--

CREATE TRIGGER events_removed AFTER DELETE ON postrider.events REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION postrider.events_removed();


--
-- Name: endpoints guard_global_endpoint; Type: TRIGGER; Schema: postrider; Owner: -
--

CREATE TRIGGER guard_global_endpoint BEFORE DELETE ON postrider.endpoints FOR EACH ROW WHEN (old.is_global) EXECUTE FUNCTION postrider.guard_global_endpoint();


--
-- Name: endpoints guard_global_endpoint_changes; Type: TRIGGER; Schema: postrider; Owner: -
--

CREATE TRIGGER guard_global_endpoint_changes BEFORE UPDATE ON postrider.endpoints FOR EACH ROW WHEN ((old.is_global AND (((((((((new.is_global IS DISTINCT FROM old.is_global) OR (new.url IS DISTINCT FROM old.url)) OR (new.events IS DISTINCT FROM old.events)) OR (new.by_events IS DISTINCT FROM old.by_events)) OR (new.label IS DISTINCT FROM old.label)) OR (new.dialect IS DISTINCT FROM old.dialect)) OR (new.channel IS DISTINCT FROM old.channel)) OR (new.headers IS DISTINCT FROM old.headers)) OR (new.authorization_header IS DISTINCT FROM old.authorization_header)))) EXECUTE FUNCTION postrider.guard_global_endpoint();


--
-- Name: accounts keep_account_name; Type: TRIGGER; Schema: postrider; Owner: -
--

CREATE TRIGGER keep_account_name BEFORE UPDATE OF name ON postrider.accounts FOR EACH ROW WHEN ((old.name <> new.name)) EXECUTE FUNCTION postrider.keep_account_name();


--
-- Name: webhook_queue lane_set_by_hand; Type: TRIGGER; Schema: postrider; Owner: -
--

CREATE TRIGGER lane_set_by_hand BEFORE UPDATE OF target, lane ON postrider.webhook_queue FOR EACH ROW EXECUTE FUNCTION postrider.lane_set_by_hand();


--
-- Name: webhook_queue queue_emptied; Type: TRIGGER; Schema: postrider; Owner: -
--

CREATE TRIGGER queue_emptied AFTER TRUNCATE ON postrider.webhook_queue FOR EACH STATEMENT EXECUTE FUNCTION postrider.queue_emptied();


--
-- Name: webhook_queue queue_shrank; Type: TRIGGER; Schema: postrider; Owner: -
--

CREATE TRIGGER queue_shrank AFTER DELETE ON postrider.webhook_queue REFERENCING OLD TABLE AS shrunk FOR EACH STATEMENT EXECUTE FUNCTION postrider.queue_shrank();


--
-- Name: webhook_queue row_changed_by_hand; Type: TRIGGER; Schema: postrider; Owner: -
--

CREATE TRIGGER row_changed_by_hand BEFORE UPDATE OF instance_name, channel, url, payload, auth_header, endpoint_id, event_id, event_nonce ON postrider.webhook_queue FOR EACH ROW WHEN (((new.endpoint_id IS NULL) OR (new.endpoint_id IS DISTINCT FROM old.endpoint_id) OR (octet_length(new.payload) > GREATEST(octet_length(old.payload), 1048576)))) EXECUTE FUNCTION postrider.row_changed_by_hand();


--
-- Name: webhook_queue row_inserted_by_hand; Type: TRIGGER; Schema: postrider; Owner: -
--

CREATE TRIGGER row_inserted_by_hand BEFORE INSERT ON postrider.webhook_queue FOR EACH ROW WHEN (((new.lane IS NULL) OR (new.event_id IS NULL))) EXECUTE FUNCTION postrider.row_inserted_by_hand();


--
-- Name: webhook_queue status_changed_by_hand; Type: TRIGGER; Schema: postrider; Owner: -
--

CREATE TRIGGER status_changed_by_hand BEFORE UPDATE ON postrider.webhook_queue FOR EACH ROW WHEN (((old.status IS DISTINCT FROM new.status) AND ((new.status = 'pending'::text) OR (new.lease_token IS NOT NULL) OR (old.lease_token IS NULL)))) EXECUTE FUNCTION postrider.status_changed_by_hand();


--
-- Name: webhook_queue time_set_back_by_hand; Type: TRIGGER; Schema: postrider; Owner: -
--

CREATE TRIGGER time_set_back_by_hand BEFORE UPDATE ON postrider.webhook_queue FOR EACH ROW WHEN (((new.next_retry_at < old.next_retry_at) AND (old.status = 'pending'::text) AND (new.status = 'pending'::text) AND (old.lease_token IS NULL) AND (current_setting('postrider.releasing'::text, true) IS DISTINCT FROM 'on'::text))) EXECUTE FUNCTION postrider.time_set_back_by_hand();


--
-- Name: webhook_queue verify_row; Type: TRIGGER; Schema: postrider; Owner: -
--

CREATE TRIGGER verify_row BEFORE UPDATE ON postrider.webhook_queue FOR EACH ROW WHEN (((new.status <> ALL (ARRAY['pending'::text, 'delivered'::text, 'failed'::text])) OR (new.channel <> 'webhook'::text) OR (new.attempts < 0) OR (new.crashes < 0) OR (new.max_attempts < 1) OR (NOT isfinite(new.next_retry_at)) OR ((new.lease_token IS NULL) <> (new.lease_until IS NULL)) OR ((new.status <> 'pending'::text) AND (new.lease_token IS NOT NULL)))) EXECUTE FUNCTION postrider.verify_row();


--
-- Name: consumers consumers_instance_id_fkey; Type: FK CONSTRAINT; Schema: postrider; Owner: -
--

ALTER TABLE ONLY postrider.consumers
    ADD CONSTRAINT consumers_instance_id_fkey FOREIGN KEY (instance_id) REFERENCES postrider.instances(id) ON DELETE CASCADE;


--
-- Name: endpoint_health endpoint_health_endpoint_id_fkey; Type: FK CONSTRAINT; Schema: postrider; Owner: -
--

ALTER TABLE ONLY postrider.endpoint_health
    ADD CONSTRAINT endpoint_health_endpoint_id_fkey FOREIGN KEY (endpoint_id) REFERENCES postrider.endpoints(id) ON DELETE CASCADE;


--
-- Name: endpoints endpoints_instance_id_fkey; Type: FK CONSTRAINT; Schema: postrider; Owner: -
--

ALTER TABLE ONLY postrider.endpoints
    ADD CONSTRAINT endpoints_instance_id_fkey FOREIGN KEY (instance_id) REFERENCES postrider.instances(id) ON DELETE CASCADE;


--
-- Name: endpoints endpoints_schedule_fkey; Type: FK CONSTRAINT; Schema: postrider; Owner: -
--

ALTER TABLE ONLY postrider.endpoints
    ADD CONSTRAINT endpoints_schedule_fkey FOREIGN KEY (schedule) REFERENCES postrider.schedules(name) ON UPDATE CASCADE;


--
-- Name: instances instances_account_exists; Type: FK CONSTRAINT; Schema: postrider; Owner: -
--

ALTER TABLE ONLY postrider.instances
    ADD CONSTRAINT instances_account_exists FOREIGN KEY (account_id) REFERENCES postrider.accounts(id);


--
-- Name: signing_secrets signing_secrets_endpoint_id_fkey; Type: FK CONSTRAINT; Schema: postrider; Owner: -
--

ALTER TABLE ONLY postrider.signing_secrets
    ADD CONSTRAINT signing_secrets_endpoint_id_fkey FOREIGN KEY (endpoint_id) REFERENCES postrider.endpoints(id) ON DELETE CASCADE;


--
-- Name: subscriptions subscriptions_instance_id_fkey; Type: FK CONSTRAINT; Schema: postrider; Owner: -
--

ALTER TABLE ONLY postrider.subscriptions
    ADD CONSTRAINT subscriptions_instance_id_fkey FOREIGN KEY (instance_id) REFERENCES postrider.instances(id) ON DELETE CASCADE;


--
-- Name: tokens tokens_account_id_fkey; Type: FK CONSTRAINT; Schema: postrider; Owner: -
--

ALTER TABLE ONLY postrider.tokens
    ADD CONSTRAINT tokens_account_id_fkey FOREIGN KEY (account_id) REFERENCES postrider.accounts(id) ON DELETE CASCADE;


--
-- Name: tokens tokens_instance_id_fkey; Type: FK CONSTRAINT; Schema: postrider; Owner: -
--

ALTER TABLE ONLY postrider.tokens
    ADD CONSTRAINT tokens_instance_id_fkey FOREIGN KEY (instance_id) REFERENCES postrider.instances(id) ON DELETE CASCADE;


--
-- Name: tokens tokens_parent_id_fkey; Type: FK CONSTRAINT; Schema: postrider; Owner: -
--

ALTER TABLE ONLY postrider.tokens
    ADD CONSTRAINT tokens_parent_id_fkey FOREIGN KEY (parent_id) REFERENCES postrider.tokens(id) ON DELETE CASCADE;


--
-- PostgreSQL database dump complete
--


