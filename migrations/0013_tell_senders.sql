-- Who sent an event, where that is not the instance's own sender: said by emit, told in the envelopes that have a place for it.
--
-- In a table of its own, because hardly any event has one: a column of events and another of webhook_queue would be written and
-- read with every event.

create table postrider.event_senders (
  event_id bigint primary key
, sender text not null
);
comment on table postrider.event_senders is 'Senders that emit was given. Removed with their events.';
comment on column postrider.event_senders.event_id is 'postrider.events.id.';
comment on column postrider.event_senders.sender is 'As given.';

create function postrider.note_senders(ids text[], senders text[]) returns void
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
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
comment on function postrider.note_senders(text[], text[]) is 'Internal: Notes the senders of events that were just emitted.';

revoke execute on function postrider.note_senders(text[], text[]) from public;
