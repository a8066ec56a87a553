-- What the realtime sidecar needs to read the event log as it is committed, with nothing lost, nothing twice and nothing
-- waiting. How it reads, with the proof, is at the head of src/db/tail/mod.rs. Writers pay nothing for it.

-- Crash recovery and promotion empty an unlogged table, a clean restart keeps it: a row that is gone says that
-- transaction ids may be handed out a second time.
create unlogged table postrider.incarnation (
  one boolean primary key default true check (one)
, id uuid not null default gen_random_uuid()
);
comment on table postrider.incarnation is 'One row until the server crashes or is promoted. Unlogged: that is its purpose.';
comment on column postrider.incarnation.one is 'Always true: there is one row.';
comment on column postrider.incarnation.id is 'Of the time from one crash to the next.';

create table postrider.epochs (
  number bigint generated always as identity primary key
, epoch bigint not null unique
, first_xid xid8 not null
, began_at timestamptz not null default now()
);
comment on table postrider.epochs is 'The histories of transaction ids there have been, each begun by a crash, a promotion or a restore.';
comment on column postrider.epochs.number is 'Their order.';
comment on column postrider.epochs.epoch is 'As it stands in cursors: a hash of cluster, database and incarnation.';
comment on column postrider.epochs.first_xid is 'No id below this one was handed out a second time when it began.';
comment on column postrider.epochs.began_at is 'When a tail first saw it.';

create table postrider.tail_marks (
  next_xid xid8 primary key
, event_id bigint not null
, at timestamptz not null default clock_timestamp()
);
comment on table postrider.tail_marks is 'Marks of the tail: transactions from next_xid on have only events above event_id.';
comment on column postrider.tail_marks.next_xid is 'The transaction id that was the next to be handed out.';
comment on column postrider.tail_marks.event_id is 'The last event id drawn before that.';
comment on column postrider.tail_marks.at is 'When.';
create index tail_marks_by_time on postrider.tail_marks (at);

create table postrider.tail_home (
  one boolean primary key default true check (one)
, system_identifier text not null
);
comment on table postrider.tail_home is 'One row: the cluster whose transaction ids the events carry.';
comment on column postrider.tail_home.one is 'Always true: there is one row.';
comment on column postrider.tail_home.system_identifier is 'From pg_control_system().';

create table postrider.removed_events (
  one boolean primary key default true check (one)
, event_id bigint not null default 0
, xid xid8 not null default '0'
) with (fillfactor = 50);
comment on table postrider.removed_events is 'One row: how far events have been removed, by retention or by hand, so that a reader that is further behind is told.';
comment on column postrider.removed_events.one is 'Always true: there is one row.';
comment on column postrider.removed_events.event_id is 'The highest id removed.';
comment on column postrider.removed_events.xid is 'The highest transaction of which an event was removed.';
insert into postrider.removed_events default values;

create function postrider.events_removed() returns trigger language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  update postrider.removed_events
  set event_id = greatest(event_id, (select max(r.id) from removed r))
    , xid = greatest(xid, (select r.xid from removed r order by r.xid desc limit 1))
  where exists (select from removed);
  return null;
end $$;
comment on function postrider.events_removed() is 'Trigger: notes how far events have been removed.';
create trigger events_removed after delete on postrider.events
  referencing old table as removed for each statement execute function postrider.events_removed();

create function postrider.events_emptied() returns trigger language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  update postrider.removed_events
  set event_id = greatest(event_id, (select last_value from postrider.events_id_seq))
    , xid = greatest(xid, pg_current_xact_id());
  return null;
end $$;
comment on function postrider.events_emptied() is 'Trigger: a truncated log has been removed as a whole.';
create trigger events_emptied after truncate on postrider.events
  for each statement execute function postrider.events_emptied();
-- On a table of somebody's own they would say that everything was removed.
revoke execute on function postrider.events_removed(), postrider.events_emptied() from public;
