-- Tables as a source of events: what runs when a captured row is written. How it is attached follows in 0007.
--
-- Who runs what. The generated triggers and expressions belong to the table's owner and live in a schema in which only
-- that owner may create (postrider_captures_<owner>): in one shared schema a neighbour could add an overload that fits
-- a call better, and so run as somebody else's table. Trigger functions are security definer with a pinned search_path,
-- so the writing role needs no rights here, and nothing it sets or creates is looked up. From there on rows go through
-- the functions below, which are ours, take values only and evaluate nothing.

create table postrider.capture_failure_log (
  id bigint generated always as identity primary key
, failed_at timestamptz not null default now()
, capture text not null
, relation regclass not null
, operation text not null
, sqlstate text not null
, message text not null
, "row" json
);
comment on table postrider.capture_failure_log is 'Rows of which a capture with on_error => ''skip'' could not make an event. Read it as postrider.capture_failures; rows stay until someone deletes them.';
comment on column postrider.capture_failure_log.id is 'Private key.';
comment on column postrider.capture_failure_log.failed_at is 'Start of the transaction that wrote the row.';
comment on column postrider.capture_failure_log.capture is 'The name of the capture.';
comment on column postrider.capture_failure_log.relation is 'The table, partition or child that was written.';
comment on column postrider.capture_failure_log.operation is 'insert, update or delete.';
comment on column postrider.capture_failure_log.sqlstate is 'The kind of error.';
comment on column postrider.capture_failure_log.message is 'What it said.';
comment on column postrider.capture_failure_log."row" is 'The new row, or the old one of a delete.';

create view postrider.capture_failures with (security_barrier) as
select l.id, l.failed_at, l.capture, l.relation, l.operation, l.sqlstate, l.message, l."row"
from postrider.capture_failure_log l
-- Which rows a policy would show is not known of one that was written once. row_security_active() fails for a table that is gone.
where has_table_privilege('postrider.capture_failure_log', 'select')
   or has_table_privilege(l.relation, 'select') and not coalesce((select row_security_active(c.oid) from pg_catalog.pg_class c where c.oid = l.relation), true);
comment on view postrider.capture_failures is 'What captures with on_error => ''skip'' could not make events of. A role sees the rows of tables it may read whole, which is none where row-level security is in its way; operators see all.';

create function postrider.record_capture_failure(capture text, relation regclass, operation text, state text, message text, "row" json) returns void
  language sql security definer set search_path = pg_catalog, pg_temp
begin atomic
  insert into postrider.capture_failure_log (capture, relation, operation, sqlstate, message, "row")
  values (capture, relation, operation, state, message, "row");
end;
comment on function postrider.record_capture_failure(text, regclass, text, text, text, json) is 'Internal, for captures: records a row that was skipped.';

create function postrider.capture_failed(capture text, relation regclass, state text, message text, detail text default null, hint text default null) returns void
  language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  -- The kind of error stays what it was: a client still sees a serialization failure as one, and tries again.
  raise exception using errcode = state,
    message = format('postrider: capture %L on %s failed: %s', capture, relation, message),
    detail = coalesce(nullif(detail, ''), 'No event could be made of a row that was written.'),
    hint = concat_ws(' ', nullif(hint, ''), 'The statement was not carried out. To change the capture, call postrider.capture again; with on_error => ''skip'' such rows are recorded in postrider.capture_failures instead.');
end $$;
comment on function postrider.capture_failed(text, regclass, text, text, text, text) is 'Internal, for captures: raises an error again, with the name of the capture.';

create function postrider.check_captured(type text, instance text, data json) returns void
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
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
comment on function postrider.check_captured(text, text, json) is 'Internal, for captures: raises an error when no event can be made of these.';

create function postrider.check_captured_or_fail(capture text, relation regclass, type text, instance text, data json) returns void
  language plpgsql set search_path = pg_catalog, pg_temp as $$
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
comment on function postrider.check_captured_or_fail(text, regclass, text, text, json) is 'Internal, for captures: check_captured, with errors that name the capture.';

-- Not in SQL: such a function is parsed and planned in every statement that calls it, which doubled what a statement of four
-- rows costs.
create function postrider.any_refused(type text, instances text[], data json[]) returns boolean
  language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
begin
  return exists (
    select from unnest(instances, data) as r(instance, data) left join postrider.instances i on i.name = r.instance
    where i.id is null or r.data is null or octet_length(r.data::text) > 1048576);
end $$;
comment on function postrider.any_refused(text, text[], json[]) is 'Internal, for captures: whether any of these may not pass check_captured.';

-- One event of a captured row.
create function postrider.emit_captured(capture text, relation regclass, type text, instance text, data json, idempotency_key text) returns void
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  if idempotency_key is null then
    if postrider.write_event(type, instance, data) is not null then return; end if;
  end if;
  perform postrider.check_captured_or_fail(capture, relation, type, instance, data);
  perform postrider.emit(instance, type, data, idempotency_key);
end $$;
comment on function postrider.emit_captured(text, regclass, text, text, json, text) is 'Internal, for captures: emits the event of one row.';

create function postrider.emit_captured(capture text, relation regclass, type text, instances text[], data json[], idempotency_keys text[]) returns void
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  if postrider.any_refused(type, instances, data) then
    perform postrider.check_captured_or_fail(capture, relation, type, r.instance, r.data)
    from unnest(instances, emit_captured.data) as r(instance, data);
  end if;
  perform postrider.emit_rows(instances, array_fill(type, array[cardinality(instances)]), data, idempotency_keys);
end $$;
comment on function postrider.emit_captured(text, regclass, text, text[], json[], text[]) is 'Internal, for captures: emits the events of one statement''s rows.';

-- An UPDATE that moves a row to another partition fires the row triggers of a delete and an insert. What they must know
-- of one another is kept in a setting for the time of the statement, sealed, since any role may set a setting.
create table postrider.capture_seal (
  one boolean primary key default true check (one)
, secret text not null default gen_random_uuid()::text || gen_random_uuid()::text
);
comment on table postrider.capture_seal is 'One row: what the state of a captured UPDATE is sealed with.';
comment on column postrider.capture_seal.one is 'Always true: there is one row.';
comment on column postrider.capture_seal.secret is 'Random, never shown.';
insert into postrider.capture_seal default values;

create function postrider.sealed_state(name text, state text) returns text
  language sql stable security definer set search_path = pg_catalog, pg_temp
return (select encode(sha256(convert_to(concat_ws('|', s.secret, pg_backend_pid(), now(), name, state), 'UTF8')), 'hex') || state from postrider.capture_seal s);
comment on function postrider.sealed_state(text, text) is 'Internal, for captures: a state and the proof that a trigger of this transaction wrote it.';

create function postrider.capture_state(name text) returns text
  language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  given text := current_setting(name, true);
begin
  -- Empty but for updates of partitioned tables, so the seal is seldom looked at.
  if given is null or given = '' or given <> postrider.sealed_state(name, substr(given, 65)) then return null; end if;
  return substr(given, 65);
end $$;
comment on function postrider.capture_state(text) is 'Internal, for captures: the state of the UPDATE under way; null when there is none.';
