-- Tables as a source of events: how triggers and expressions are written and attached.
--
-- * Expressions become SQL functions over the row type, parsed when they are made: renamed columns follow, a used
--   column cannot be dropped unnoticed, and what a name means was settled then. Scalar and volatile, they are inlined.
-- * Ordinary tables get statement triggers, one per operation, which see all rows of a statement in transition tables.
--   Old and new rows pair by their numbers in the two, which Postgres fills together. The join is a full one behind an
--   offset, because a plan cached for one row must not become a nested loop over a hundred thousand.
-- * Statement triggers miss writes that go straight to a partition, and are not fired by logical replication: there,
--   and for a table that is a partition or an inheritance child itself, row triggers. Those of a partitioned table
--   are cloned to partitions made later.
-- * What is attached is told by the catalog alone: each trigger function begins with its facts in JSON.

create function postrider.capture_schema(owner name) returns name
  language sql immutable parallel safe
  return case when octet_length(owner::text) <= 44 then 'postrider_captures_' || owner
              else 'postrider_captures_' || left(encode(sha256(convert_to(owner::text, 'UTF8')), 'hex'), 32) end::name;
comment on function postrider.capture_schema(name) is 'Internal: The schema that holds the generated functions of a table owner.';

create function postrider.create_capture_schema(owner name) returns void
  language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  home name := postrider.capture_schema(owner);
begin
  if to_regnamespace(quote_ident(home)) is null then
    execute format('create schema %I', home);
    execute format('comment on schema %I is %L', home, 'Postrider: generated functions of captured tables. Use postrider.capture and postrider.uncapture.');
  end if;
  execute format('grant usage, create on schema %I to %I', home, owner);
end $$;
comment on function postrider.create_capture_schema(name) is 'Internal: Makes the schema for a table owner''s generated functions.';

create function postrider.check_capture_schema(owner name) returns void
  language plpgsql stable set search_path = pg_catalog, pg_temp as $$
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
comment on function postrider.check_capture_schema(name) is 'Internal: Raises an error unless a table owner has a schema for its generated functions, closed to others.';

create function postrider.capture_facts(source text) returns jsonb
  language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  return substr(split_part(source, E'\n', 1), length('-- postrider.capture ') + 1)::jsonb;
exception when others then
  return null;
end $$;
comment on function postrider.capture_facts(text) is 'Internal: What the first line of a generated trigger function says; null where it is none.';

create view postrider.capture_triggers as
select t.oid as trigger_oid, t.tgname as trigger_name, t.tgrelid::regclass as relation, t.tgenabled as enabled
     , p.oid as function_oid, p.proname as function_name, n.nspname as home, p.proowner::regrole as runs_as, f.facts
from pg_catalog.pg_namespace n
join pg_catalog.pg_proc p on p.pronamespace = n.oid
join pg_catalog.pg_trigger t on t.tgfoid = p.oid
cross join lateral postrider.capture_facts(p.prosrc) as f(facts)
where starts_with(n.nspname, 'postrider_captures_') and t.tgparentid = 0 and f.facts ? 'base';
comment on view postrider.capture_triggers is 'Every trigger of a capture, from the catalog.';

create view postrider.captures as
select c.relation, c.name, c.type, c.operations, e.instance, e.data, e.when_, c.columns, e.idempotency_key, c.on_error, c.level, c.replicated, c.enabled, c.runs_as
from (
  select t.relation, t.home, t.runs_as, t.facts ->> 'base' as base, t.facts ->> 'name' as name, t.facts ->> 'type' as type
       , (select array_agg(o.name order by o.name) from jsonb_array_elements_text(min((t.facts -> 'operations')::text)::jsonb) as o(name)) as operations
       , (select array_agg(a.name) from jsonb_array_elements_text(nullif(min((t.facts -> 'columns')::text)::jsonb, 'null')) as a(name)) as columns
       , min(t.facts ->> 'on_error') as on_error, min(t.facts ->> 'level') as level
       , bool_and((t.facts ->> 'replicated')::boolean) as replicated, bool_and(t.enabled in ('O', 'A')) as enabled
  from postrider.capture_triggers t
  where not (t.facts ->> 'inherited')::boolean
  group by t.relation, t.home, t.runs_as, t.facts ->> 'base', t.facts ->> 'name', t.facts ->> 'type'
) c
cross join lateral (
  select max(b.body) filter (where b.kind = '_instance') as instance, max(b.body) filter (where b.kind = '_data') as data
       , max(b.body) filter (where b.kind = '_when') as when_, max(b.body) filter (where b.kind = '_key') as idempotency_key
  from (select substr(p.proname, length(c.base) + 1) as kind, regexp_replace(pg_get_function_sqlbody(p.oid), '^\s*RETURN\s+', '') as body
        from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace
        where n.nspname = c.home and starts_with(p.proname, c.base)) b
) e;
comment on view postrider.captures is 'What is captured: table, name, operations, the expressions as they stand now, what happens on errors, whether the triggers are enabled, and the role the expressions run as.';

create function postrider.captures_naming(instance text) returns text
  language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
declare
  tables text;
begin
  select string_agg(distinct c.relation::text, ', ') into tables from postrider.captures c
  where c.instance in (quote_literal(captures_naming.instance), quote_literal(captures_naming.instance) || '::text');
  return tables;
exception when others then
  return null; -- a capture that somebody has changed by hand keeps nobody from deleting an instance
end $$;
comment on function postrider.captures_naming(text) is 'Internal: The tables whose captures name this instance as a literal; null where there are none.';

create function postrider.bad_capture(argument text, problem text, remedy text) returns void
  language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  raise exception using errcode = 'invalid_parameter_value', message = format('postrider.capture: %s: %s', argument, problem), hint = remedy;
end $$;
comment on function postrider.bad_capture(text, text, text) is 'Internal: Raises the error for an argument of capture.';

-- Everyone may create in some schemas; a function planted there must not be what a name in an expression means.
create function postrider.capture_path(relation regclass, path name[]) returns text
  language sql stable set search_path = pg_catalog, pg_temp
return (
  select 'pg_catalog, ' || coalesce(string_agg(quote_ident(s.name), ', ' order by s.ord) || ', ', '') || 'pg_temp'
  from (select p.name, min(p.ord) as ord
        from unnest(path || (select n.nspname from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = relation)) with ordinality as p(name, ord)
        group by p.name) s
  join pg_namespace n on n.nspname = s.name
  where s.name <> 'pg_catalog' and not starts_with(s.name, 'pg_temp') and not starts_with(s.name, 'pg_toast')
    and not exists (select from aclexplode(n.nspacl) a where a.grantee = 0 and a.privilege_type = 'CREATE'));
comment on function postrider.capture_path(regclass, name[]) is 'Internal: Where names in a capture''s expressions are looked up: the caller''s search_path and the table''s schema, without schemas in which everyone may create.';

create function postrider.compile_capture(argument text, expression text, function text, result text, relation regclass, path text) returns void
  language plpgsql set search_path = pg_catalog, pg_temp as $body$
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
end $body$;
comment on function postrider.compile_capture(text, text, text, text, regclass, text) is 'Internal: Makes a function of an expression over new, old and operation, as its owner.';

create function postrider.only_a_row("row" record) returns json
  language plpgsql set search_path = pg_catalog, pg_temp as $$ begin return to_json("row"); end $$;
comment on function postrider.only_a_row(record) is 'Internal: Accepts rows of any type and nothing else: how compile_capture_data tells what an expression yields.';

create function postrider.compile_capture_data(expression text, function text, relation regclass, path text) returns void
  language plpgsql set search_path = pg_catalog, pg_temp as $$
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
comment on function postrider.compile_capture_data(text, text, regclass, text) is 'Internal: Makes a function of a data expression.';

create function postrider.columns_changed(relation regclass, columns text[]) returns text
  language sql stable set search_path = pg_catalog, pg_temp
return (
  select '(operation <> ''update'' or ' || string_agg(
      case when exists (select from pg_opclass o join pg_am m on m.oid = o.opcmethod
                        where m.amname = 'btree' and o.opcdefault and o.opcintype = coalesce(nullif(t.typbasetype, 0), t.oid))
             or t.typtype = 'e' or t.typname in ('varchar', 'bpchar')
           then format('new.%1$I is distinct from old.%1$I', a.attname)
           else format('new.%1$I::text is distinct from old.%1$I::text', a.attname) end, ' or ') || ')'
  from unnest(columns) as c(name)
  join pg_attribute a on a.attrelid = relation and a.attname = c.name
  join pg_type t on t.oid = a.atttypid);
comment on function postrider.columns_changed(regclass, text[]) is 'Internal: The expression that an update changes one of these columns.';

create function postrider.columns_as_json(columns text[]) returns text
  language sql immutable set search_path = pg_catalog, pg_temp
return (select 'json_build_object(' || string_agg(format('%1$L, case operation when ''delete'' then old.%1$I else new.%1$I end', c.name), ', ' order by c.ord) || ')'
        from unnest(columns) with ordinality as c(name, ord));
comment on function postrider.columns_as_json(text[]) is 'Internal: The expression that makes an object of these columns.';

-- Where a statement's rows come from, and how they reach the expressions, for each operation.
create function postrider.capture_source(operation text, as_row text) returns text
  language sql immutable set search_path = pg_catalog, pg_temp
return case operation
  when 'insert' then format('(select %s(x.*) as new_row, null as old_row from new_rows x) p', as_row)
  when 'delete' then format('(select null as new_row, %s(x.*) as old_row from old_rows x) p', as_row)
  else format(
    '(select n.new_row, o.old_row from (select %1$s(x.*) as new_row, row_number() over () as number from new_rows x) n'
    ' full join (select %1$s(x.*) as old_row, row_number() over () as number from old_rows x) o using (number) order by number offset 0) p', as_row)
  end;
comment on function postrider.capture_source(text, text) is 'Internal: The rows of one statement, as the FROM item of a generated trigger function.';

create function postrider.capture_arguments(operation text, new_row text, old_row text) returns text
  language sql immutable set search_path = pg_catalog, pg_temp
return format('(%s, %s, %L)', case when operation = 'delete' then 'null' else new_row end, case when operation = 'insert' then 'null' else old_row end, operation);
comment on function postrider.capture_arguments(text, text, text) is 'Internal: What an expression function is called with.';

-- One row in a block of its own: what fails is recorded, the others go on. An error that says nothing about the row
-- (a serialization failure, no disk, a shutdown) is not the row's fault and fails the statement.
create function postrider.capture_row_with_care(facts jsonb, arguments text, "row" text) returns text
  language sql immutable set search_path = pg_catalog, pg_temp
return format($body$
    begin
      if %1$s then
        instance := %2$s_instance%3$s; event := %2$s_data%3$s; key := %4$s;
        perform postrider.check_captured(%5$L, instance, event);
        instances := instances || instance; events := events || event; keys := keys || key;
      end if;
    exception when others then
      get stacked diagnostics state = returned_sqlstate, said = message_text;
      if state ~ '^(40|53|57|58|XX|0A|25)' then raise; end if;
      perform postrider.record_capture_failure(%6$L, %9$s, %7$s, state, regexp_replace(said, '^postrider: ', ''), to_json(%8$s));
    end;
$body$, case when (facts ->> 'when')::boolean then facts ->> 'function' || '_when' || arguments else 'true' end, facts ->> 'function', arguments
      , case when (facts ->> 'key')::boolean then facts ->> 'function' || '_key' || arguments else 'null' end
      , facts ->> 'type', facts ->> 'name', coalesce(quote_literal(facts ->> 'operation'), 'operation'), "row"
      , case when facts ? 'operation' then 'tg_relid' else 'written' end);
comment on function postrider.capture_row_with_care(jsonb, text, text) is 'Internal: The part of a generated trigger function that skips a row that fails.';

-- Most statements write one row, and for those the general way costs half as much again: arrays, an aggregate, for an UPDATE
-- a join of numbered rows. So one row is asked for first. Whatever is out of the ordinary, no row, several (of which two are
-- looked at), an expression that fails, leaves nothing behind here but what no rollback undoes, and goes the general way from
-- the start; so does an event that is refused, where that is to be recorded. A WHEN is a column, not a condition: of the pairs
-- of two updated rows only one may fulfil it, and that the wrong one. The limit is for the planner: it would count the pairs of
-- whatever UPDATE comes first in a session, keep that plan, and have it compiled for every row that is updated later.
create function postrider.capture_single_row(facts jsonb) returns text
  language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
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
end $$;
comment on function postrider.capture_single_row(jsonb) is 'Internal: The part of a statement trigger''s function that is tried first, and suffices for most statements.';

create function postrider.capture_statement_body(facts jsonb) returns text
  language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
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
end $$;
comment on function postrider.capture_statement_body(jsonb) is 'Internal: The body of a statement trigger''s function.';

-- Row triggers all call one function, as the event of a row that moved is put together from two of them.
create function postrider.capture_row_emitter(facts jsonb) returns text
  language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
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
end $$;
comment on function postrider.capture_row_emitter(jsonb) is 'Internal: The body of the function that row triggers call.';

-- The state of an UPDATE, in a setting of its nesting depth: "u", and behind it the row that was taken out of a
-- partition and not yet put into another. A MERGE that deletes by itself clears the state, and then a moved row is a
-- delete and an insert, as it is where the UPDATE names a partitioned partition that was made after the capture.
create function postrider.capture_row_body(facts jsonb) returns text
  language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
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
end $$;
comment on function postrider.capture_row_body(jsonb) is 'Internal: The body of a row trigger''s function.';

create function postrider.capture_moves_body(facts jsonb) returns text
  language sql immutable set search_path = pg_catalog, pg_temp
return format($body$
declare
  setting text := %1$L || pg_trigger_depth(); state text := postrider.capture_state(setting);
begin
  if tg_op = 'UPDATE' and tg_when = 'BEFORE' then
    perform set_config(setting, postrider.sealed_state(setting, 'u'), true);
  elsif state is not null then
    perform set_config(setting, '', true);
    if length(state) > 1 then perform %2$s_emit(null, %2$s_parsed(substr(state, 2)), 'delete', tg_relid); end if;
  end if;
  return null;
end
$body$, 'postrider.' || (facts ->> 'base') || '_', facts ->> 'function');
comment on function postrider.capture_moves_body(jsonb) is 'Internal: The body of the statement triggers that tell an UPDATE of a partitioned table from inserts and deletes.';

create function postrider.attach_capture_moves(root regclass, facts jsonb, path text) returns void
  language plpgsql set search_path = pg_catalog, pg_temp as $$
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
end $$;
comment on function postrider.attach_capture_moves(regclass, jsonb, text) is 'Internal: Makes the triggers that tell of rows moving between partitions.';

-- Triggers for one table, and for all operations of the capture.
create function postrider.attach_capture_triggers(relation regclass, root regclass, facts jsonb, path text) returns void
  language plpgsql set search_path = pg_catalog, pg_temp as $$
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
end $$;
comment on function postrider.attach_capture_triggers(regclass, regclass, jsonb, text) is 'Internal: Makes the triggers of a capture on its table or on an inheritance child.';

-- The blank in "before update" keeps the trigger of one capture from being that of another, which is called so.
create function postrider.capture_trigger_name(name text, operation text) returns name
  language sql immutable parallel safe
  return ('postrider_' || case when octet_length(name) <= 38 then name else left(encode(sha256(convert_to(name, 'UTF8')), 'hex'), 32) end || '_' || operation)::name;
comment on function postrider.capture_trigger_name(text, text) is 'Internal: The name of a capture''s trigger for one operation.';

create function postrider.fire_always(relation regclass, trigger_name name) returns void
  language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  each regclass;
begin
  for each in select relation union select t.relid from pg_partition_tree(relation) t loop
    execute (select format('alter table %I.%I enable always trigger %I', n.nspname, c.relname, trigger_name)
             from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = each);
  end loop;
end $$;
comment on function postrider.fire_always(regclass, name) is 'Internal: Lets a trigger fire in logical replication''s apply too, on every partition.';

create function postrider.captured_tables(root regclass) returns setof regclass
  language sql stable set search_path = pg_catalog, pg_temp
begin atomic
  with recursive tree(relation) as (
    select root::oid
    union
    select i.inhrelid from tree t join pg_inherits i on i.inhparent = t.relation
    join pg_class c on c.oid = t.relation and c.relkind = 'r'
  )
  select t.relation::regclass from tree t join pg_class c on c.oid = t.relation where c.relkind in ('r', 'p');
end;
comment on function postrider.captured_tables(regclass) is 'Internal: A table and its inheritance children; partitions are left to the root.';


create function postrider.capture_functions(root regclass, name text) returns regprocedure[]
  language sql stable set search_path = pg_catalog, pg_temp
return (
  select coalesce(array_agg(distinct p.oid::regprocedure), '{}')
  from postrider.capture_triggers c
  join pg_namespace n on n.nspname = c.home
  join pg_proc p on p.pronamespace = n.oid and starts_with(p.proname, c.facts ->> 'base')
  where c.relation in (select postrider.captured_tables(root)) and (capture_functions.name is null or c.facts ->> 'name' = capture_functions.name));
comment on function postrider.capture_functions(regclass, text) is 'Internal: The generated functions of a table''s captures, or of one of them.';

-- Triggers of functions that are about to go. Dropping one locks the table against readers too, so it is done only
-- where create or replace has not put a new one in its place.
create function postrider.drop_captured(root regclass, functions regprocedure[]) returns void
  language plpgsql set search_path = pg_catalog, pg_temp as $$
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
comment on function postrider.drop_captured(regclass, regprocedure[]) is 'Internal: Drops generated functions and what triggers are left of them.';

-- Everything below the lock. The row's type is named in every function, so what is wrong with an expression shows here.
create function postrider.build_capture(relation regclass, facts jsonb, expressions jsonb, path text) returns void
  language plpgsql set search_path = pg_catalog, pg_temp as $$
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
comment on function postrider.build_capture(regclass, jsonb, jsonb, text) is 'Internal: Locks the table, makes functions and triggers, and removes those they replace.';

-- Waits for a lock only 200 ms at a time: whoever comes after a waiting lock request waits behind it.
create function postrider.build_capture_patiently(relation regclass, facts jsonb, expressions jsonb, path text) returns void
  language plpgsql set search_path = pg_catalog, pg_temp set lock_timeout = '200ms' as $$
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
comment on function postrider.build_capture_patiently(regclass, jsonb, jsonb, text) is 'Internal: build_capture, trying again while the table is in use.';

-- Everything is made by the table's owner, so that it belongs to him whoever calls.
create function postrider.become(owner name) returns void
  language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  if current_user <> owner then perform set_config('role', owner, true); end if;
exception when insufficient_privilege or invalid_parameter_value then
  raise exception using errcode = 'insufficient_privilege', message = format('postrider.capture: the table belongs to %I, and %I may not act as that role here', owner, current_user),
    hint = 'Call it as the table''s owner, as a member of that role or as a superuser, and not from a security definer function.';
end $$;
comment on function postrider.become(name) is 'Internal: Sets the role to a table''s owner until it is set back.';

create function postrider.check_captured_relation(relation regclass, given text) returns void
  language plpgsql stable set search_path = pg_catalog, pg_temp as $$
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
comment on function postrider.check_captured_relation(regclass, text) is 'Internal: Raises an error unless this is a table that can be captured.';

create function postrider.check_capture_arguments(relation regclass, type text, name text, operations text[], columns text[], on_error text) returns void
  language plpgsql stable set search_path = pg_catalog, pg_temp as $$
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
end $$;
comment on function postrider.check_capture_arguments(regclass, text, text, text[], text[], text) is 'Internal: Raises an error that names the argument of capture that is wrong.';

create function postrider.attach_capture(
  relation regclass, given text, type text, instance text, data text, operations text[], when_ text, columns text[]
, on_error text, replicated boolean, idempotency_key text, name text, path name[]
) returns text
  language plpgsql set search_path = pg_catalog, pg_temp as $$
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
end $$;
comment on function postrider.attach_capture(regclass, text, text, text, text, text[], text, text[], text, boolean, text, text, name[]) is 'Internal: What postrider.capture does, once names are resolved.';

-- Parsed here and now, so nothing in the caller's search_path is called; but it is the caller's that names are looked up in.
create function postrider.capture(
  relation text, type text, instance text, data text default null, operations text[] default '{insert}', when_ text default null
, columns text[] default null, on_error text default 'fail', replicated boolean default false, idempotency_key text default null, name text default null
) returns text
  language sql
return postrider.attach_capture(to_regclass(relation), relation, type, instance, data, operations, when_, columns, on_error, replicated, idempotency_key, name, current_schemas(false));
comment on function postrider.capture(text, text, text, text, text[], text, text[], text, boolean, text, text) is
  'Makes a table a source of events: every row that is written becomes one, in the writer''s own transaction. type is a literal. instance, data, when_ and idempotency_key are SQL expressions over new, old and operation (insert, update or delete), evaluated as the table''s owner; a literal needs quotes of its own. data is json, jsonb or a row, and the whole row by default. columns limits the default data to these, and updates to those that change one of them. on_error: fail (the default) fails the statement with an error that names the capture; skip records the row in postrider.capture_failures and lets the statement pass. replicated also captures what logical replication applies. name tells several captures of a table apart (default: the type); a second call with the same table and name replaces the first. Returns the name.

Not captured: TRUNCATE, which has no rows, and what a session writes under session_replication_role = replica, unless replicated. Children added to an inheritance parent later are captured after another call; partitions at once. A captured table that becomes a partition or a child itself needs another call too, or what is written through the other one is not captured; postrider doctor finds it. The type of a column that an expression names cannot be changed: call uncapture, change it, and capture again.

Attaching locks the table against writers from then until the transaction ends, so call it in a transaction of its own. It waits for the lock 200 ms at a time, up to 40 times, so that writers never queue behind it for longer; locks the transaction already holds stay held meanwhile.';

create function postrider.capture(
  relation regclass, type text, instance text, data text default null, operations text[] default '{insert}', when_ text default null
, columns text[] default null, on_error text default 'fail', replicated boolean default false, idempotency_key text default null, name text default null
) returns text
  language sql
return postrider.attach_capture(relation, relation::text, type, instance, data, operations, when_, columns, on_error, replicated, idempotency_key, name, current_schemas(false));
comment on function postrider.capture(regclass, text, text, text, text[], text, text[], text, boolean, text, text) is 'The same for a table given as regclass.';

create function postrider.detach_capture(relation regclass, given text, name text) returns integer
  language plpgsql set search_path = pg_catalog, pg_temp set lock_timeout = '200ms' as $$
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
comment on function postrider.detach_capture(regclass, text, text) is 'Internal: What postrider.uncapture does, once names are resolved.';

create function postrider.uncapture(relation text, name text default null) returns integer
  language sql return postrider.detach_capture(to_regclass(relation), relation, name);
comment on function postrider.uncapture(text, text) is 'Ends the captures of a table, or the one of that name; returns how many. Events already emitted stay. A captured table is dropped after this, or with cascade.';
create function postrider.uncapture(relation regclass, name text default null) returns integer
  language sql return postrider.detach_capture(relation, relation::text, name);
comment on function postrider.uncapture(regclass, text) is 'The same for a table given as regclass.';

create function postrider.allow_capture(role name) returns void
  language plpgsql set search_path = pg_catalog, pg_temp as $$
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
comment on function postrider.allow_capture(name) is 'Internal: What postrider.allow does for capture.';

revoke execute on all functions in schema postrider from public;
