-- One event under the name of every dialect: emit('x', 'messages.upsert', …) reaches a RyzeAPI endpoint that wants message.exchange.
--
-- Fan-out is measured by the microsecond, so it looks nothing up: a trigger writes into endpoints.wanted, beside the events an
-- owner named, every name that the other dialects have for them. The worker names the event in the endpoint's dialect when it
-- sends. The same catalog is in src/dialect/catalog.rs, which says how it is read; a test holds the two together.

create table postrider.event_names (
  dialect text not null
, type text not null
, name text not null
, emitted boolean not null
, primary key (dialect, type)
);
comment on table postrider.event_names is 'What an event is called in a dialect. Types that are not here keep their name.';
comment on column postrider.event_names.dialect is 'The dialect of the endpoint.';
comment on column postrider.event_names.type is 'The type of an event as it was emitted, or another way to write it in a subscription.';
comment on column postrider.event_names.name is 'Its name in that dialect.';
comment on column postrider.event_names.emitted is 'Whether it is a type of events, not only a way to write it.';
create index event_names_by_name on postrider.event_names (dialect, name);

-- The first concept that has a type decides what it is called elsewhere; within its own dialect it keeps its name.
with concepts (place, ryze, evolution, codechat, vzaps) as (values
  (1, 'message.exchange', 'messages.upsert', 'messages.upsert', 'Message')
, (2, 'message.exchange', 'send.message', 'send.message', 'Message')
, (3, 'message.status', 'messages.update', 'messages.update', 'ReadReceipt')
, (4, 'message.exchange', 'messages.edited', 'messages.update', 'Message')
, (5, 'message.exchange', 'send.message.update', 'messages.update', 'Message')
, (6, 'message.exchange', 'messages.delete', 'messages.update', 'Message')
, (7, '', 'messages.set', 'messages.set', 'HistorySync')
, (8, '', 'messaging-history.set', 'messages.set', 'HistorySync')
, (9, 'instance.state', 'connection.update', 'connection.update', '')
, (10, 'instance.state', 'connection.update', 'connection.update', 'Connected')
, (11, 'instance.state', 'connection.update', 'connection.update', 'Disconnected')
, (12, 'instance.state', 'qrcode.updated', 'qrcode.updated', '')
, (13, 'instance.state', 'status.instance', 'status.instance', '')
, (14, 'group.flow', 'group-participants.update', 'group-participants.update', '')
, (15, 'group.flow', 'group-participants.update', 'group-participants.update', 'GroupParticipantsAdd')
, (16, 'group.flow', 'group-participants.update', 'group-participants.update', 'GroupParticipantsRemove')
, (17, 'group.flow', 'groups.update', 'groups.update', '')
, (18, 'group.flow', 'groups.upsert', 'groups.upsert', '')
, (19, 'call.update', 'call', 'call.upsert', '')
, (20, 'label.update', 'labels.edit', '', '')
, (21, 'label.update', 'labels.association', '', '')
, (22, '', 'presence.update', 'presence.update', 'Presence')
, (23, '', 'presence.update', 'presence.update', 'ChatPresence')
, (24, '', 'contacts.set', 'contacts.set', '')
, (25, '', 'contacts.upsert', 'contacts.upsert', '')
, (26, '', 'contacts.update', 'contacts.update', '')
, (27, '', 'chats.set', 'chats.set', '')
, (28, '', 'chats.upsert', 'chats.upsert', '')
, (29, '', 'chats.update', 'chats.update', '')
, (30, '', 'chats.delete', 'chats.delete', '')
, (31, '', 'application.startup', '', '')
, (32, '', 'instance.create', '', '')
, (33, '', 'instance.delete', '', '')
, (34, '', 'remove.instance', '', '')
, (35, '', 'logout.instance', '', '')
, (36, '', 'typebot.start', '', '')
, (37, '', 'typebot.change-status', '', '')
, (38, '', 'creds.update', '', '')
, (39, '', '', 'refresh.token', '')
), columns as (
  select concepts.place, known.dialect, known.name
  from concepts, lateral (values ('ryze', ryze), ('evolution', evolution), ('codechat', codechat), ('vzaps', vzaps)) known(dialect, name)
), types as (
  select name as type, min(place) as place from columns where name <> '' group by name
)
insert into postrider.event_names (dialect, type, name, emitted)
select decided.dialect, types.type, case when own.known then types.type else decided.name end, true
from types
join columns decided on decided.place = types.place
cross join lateral (select exists (select from columns where columns.dialect = decided.dialect and columns.name = types.type)) own(known)
where own.known or decided.name <> '';

-- Other ways to write them: Evolution's enumeration, CodeChat's toggles.
insert into postrider.event_names (dialect, type, name, emitted)
select 'evolution', upper(translate(own.name, '.-', '__')), own.name, false
from (select distinct name from postrider.event_names where dialect = 'evolution') own;
insert into postrider.event_names (dialect, type, name, emitted) values
  ('evolution', 'GROUP_UPDATE', 'groups.update', false)
, ('codechat', 'qrcodeUpdate', 'qrcode.updated', false)
, ('codechat', 'stateInstance', 'status.instance', false)
, ('codechat', 'statusInstance', 'status.instance', false)
, ('codechat', 'messagesSet', 'messages.set', false)
, ('codechat', 'messagesUpsert', 'messages.upsert', false)
, ('codechat', 'messagesUpdate', 'messages.update', false)
, ('codechat', 'sendMessage', 'send.message', false)
, ('codechat', 'contactsSet', 'contacts.set', false)
, ('codechat', 'contactsUpsert', 'contacts.upsert', false)
, ('codechat', 'contactsUpdate', 'contacts.update', false)
, ('codechat', 'presenceUpdate', 'presence.update', false)
, ('codechat', 'chatsSet', 'chats.set', false)
, ('codechat', 'chatsUpdate', 'chats.update', false)
, ('codechat', 'chatsUpsert', 'chats.upsert', false)
, ('codechat', 'chatsDelete', 'chats.delete', false)
, ('codechat', 'groupsUpsert', 'groups.upsert', false)
, ('codechat', 'groupUpdate', 'groups.update', false)
, ('codechat', 'groupParticipantsUpdate', 'group-participants.update', false)
, ('codechat', 'connectionUpdate', 'connection.update', false)
, ('codechat', 'newJwt', 'refresh.token', false)
, ('codechat', 'callUpsert', 'call.upsert', false);

create function postrider.event_name(dialect text, type text) returns text
  language sql stable parallel safe
  return coalesce((select known.name from postrider.event_names known where known.dialect = event_name.dialect and known.type = event_name.type), type);
comment on function postrider.event_name(text, text) is 'Internal: What an event is called in a dialect.';

create function postrider.wanted_types(dialect text, events text[]) returns text[]
  language sql stable parallel safe
  return case
    when dialect = 'vzaps' and 'All' = any (events) then '{}'
    else coalesce((
      select array_agg(wanted.type order by wanted.type)
      from (
        select asked.type from unnest(events) asked(type)
        union
        select known.type
        from unnest(events) asked(type)
        join postrider.event_names known
          on known.dialect = wanted_types.dialect and known.emitted and known.name = postrider.event_name(wanted_types.dialect, asked.type)
      ) wanted), '{}')
  end;
comment on function postrider.wanted_types(text, text[]) is 'Internal: The types an endpoint gets that names these events: they themselves, and what other dialects call so. Empty means everything.';

create function postrider.endpoint_url(url text, by_events boolean, type text, dialect text) returns text
  language sql stable parallel safe
  return case
    when not by_events then url
    when dialect = 'postrider' then regexp_replace(url, '^([^?#]*?)/?([?#]|$)', '\1/' || replace(type, '\', '') || '\2')
    when dialect = 'evolution' then regexp_replace(regexp_replace(url, '^([^:/?#]+://[^/?#]*)/([?#]|$)', '\1\2'), '^([^?#]*?)([?#]|$)'
      , '\1/' || replace(lower(translate(postrider.event_name(dialect, type), '._', '--')), '\', '') || '\2')
    else regexp_replace(url, '^([^?#]*?)/?([?#]|$)', '\1/' || replace(postrider.event_name(dialect, type), '\', '') || '\2')
  end;
comment on function postrider.endpoint_url(text, boolean, text, text) is 'Internal: Where an event goes: its name in the dialect is appended to the path where the endpoint wants that.';

revoke execute on function postrider.event_name(text, text), postrider.wanted_types(text, text[]), postrider.endpoint_url(text, boolean, text, text) from public;
