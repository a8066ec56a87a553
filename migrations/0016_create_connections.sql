-- Who is connected to the realtime sidecars, for whoever operates them: each sidecar tells here, once a second, who came and
-- who left, and looks whether somebody is to be ended. So one list has all of them, and any process may end a connection
-- at any other. Unlogged: after a crash each tells anew.

create unlogged table postrider.realtime_processes (
  name text primary key
, seen_at timestamptz not null default now()
);
comment on table postrider.realtime_processes is 'The realtime processes that somebody is connected to.';
comment on column postrider.realtime_processes.name is 'Its own, another one each time it is started.';
comment on column postrider.realtime_processes.seen_at is 'When it was last heard of; what an old one says counts for nothing.';

create unlogged table postrider.sockets (
  id bigint generated always as identity primary key
, sidecar text not null
, number bigint not null
, account_id bigint not null
, instance_id bigint
, door text not null
, address text
, token text not null
, connected_at timestamptz not null
, kicked boolean not null default false
, constraint sockets_are_told_once unique (sidecar, number)
);
comment on table postrider.sockets is 'Their connections, a second old. Private: postrider.connections shows them.';
comment on column postrider.sockets.id is 'As it is listed.';
comment on column postrider.sockets.sidecar is 'Where it is connected.';
comment on column postrider.sockets.number is 'Its number there.';
comment on column postrider.sockets.account_id is 'Whose token let it in.';
comment on column postrider.sockets.instance_id is 'What it follows; null: all instances of the account (the global mode of Evolution API), or nothing.';
comment on column postrider.sockets.door is 'stream, sse, ryze, vzaps …';
comment on column postrider.sockets.address is 'Where from.';
comment on column postrider.sockets.token is 'By which token: its public id, "configured", or the id of the instance whose own token it is.';
comment on column postrider.sockets.connected_at is 'Since when.';
comment on column postrider.sockets.kicked is 'It is to be ended.';
create index sockets_by_instance on postrider.sockets (instance_id, id);
-- Looked at once a second by each sidecar.
create index sockets_to_be_ended on postrider.sockets (sidecar) where kicked;

create view postrider.connections as
select socket.id, instance.name as instance, socket.door, socket.address, socket.token, socket.connected_at, socket.sidecar
from postrider.sockets socket
left join postrider.instances instance on instance.id = socket.instance_id
join postrider.realtime_processes sidecar on sidecar.name = socket.sidecar and sidecar.seen_at > now() - interval '15 seconds'
where not socket.kicked and (socket.instance_id is null or instance.id is not null);
comment on view postrider.connections is 'Who is connected to the realtime sidecars, all of them, a second old. Without an instance: one that hears all of its account, or nothing.';

create function postrider.kick(connection bigint) returns boolean
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  update postrider.sockets socket set kicked = true where socket.id = kick.connection and not socket.kicked;
  return found;
end $$;
comment on function postrider.kick(bigint) is 'Ends a connection of postrider.connections, wherever it is, within two seconds. False: there is none. It may come back: revoke its token to keep it out.';
revoke execute on function postrider.kick(bigint) from public;
