-- Durable consumers of the stream: a name keeps a position, also while nobody is connected under it.

create table postrider.consumers (
  instance_id bigint not null references postrider.instances on delete cascade
, name text not null
, generation bigint not null default 1
, cursor text
, connected_at timestamptz not null default now()
, acknowledged_at timestamptz
, primary key (instance_id, name)
, constraint consumers_name_is_a_name check (name ~ '^[A-Za-z0-9._-]{1,100}$')
) with (fillfactor = 50);
comment on table postrider.consumers is 'Durable consumers of GET /v1/instances/:instance/stream. Delete a row to forget one.';
comment on column postrider.consumers.instance_id is 'Whose stream it reads.';
comment on column postrider.consumers.name is 'Its name.';
comment on column postrider.consumers.generation is 'Rises with each connection; the latest counts.';
comment on column postrider.consumers.cursor is 'It has acknowledged everything up to here; null before the first time.';
comment on column postrider.consumers.connected_at is 'When somebody last connected under this name.';
comment on column postrider.consumers.acknowledged_at is 'When it last acknowledged something.';

-- Subscriptions whose clients acknowledge event by event (VZaps): they name none, so it is known by who asks for what. Several
-- may be alike; each has a row, held by the process it is connected to, and whoever comes back takes one that nobody holds.

create table postrider.sidecars (
  name text primary key
, alive_until timestamptz not null
);
comment on table postrider.sidecars is 'Processes that hold subscriptions. What one that is no longer alive held is free.';
comment on column postrider.sidecars.name is 'Another one each time it is started.';
comment on column postrider.sidecars.alive_until is 'It says so again every second, while it holds any.';

create table postrider.subscriptions (
  id bigint generated always as identity primary key
, instance_id bigint not null references postrider.instances on delete cascade
, key text not null
, cursor text not null
, unacknowledged bigint[] not null default '{}'
, holder text
, claim bigint not null default 1
, taken_at timestamptz not null default now()
, left_at timestamptz
) with (fillfactor = 50);
create index subscriptions_key on postrider.subscriptions (instance_id, key);
comment on table postrider.subscriptions is 'Subscriptions of GET /events/ws. Delete a row to forget one.';
comment on column postrider.subscriptions.id is 'Private key.';
comment on column postrider.subscriptions.instance_id is 'Whose events it hears.';
comment on column postrider.subscriptions.key is 'Who asks for what: the digest of the client token and the names of the events.';
comment on column postrider.subscriptions.cursor is 'Everything up to here has been acknowledged, or stands in unacknowledged.';
comment on column postrider.subscriptions.unacknowledged is 'Events before the cursor, by id, that were sent and not acknowledged.';
comment on column postrider.subscriptions.holder is 'The process whose client it is; null where nobody is connected.';
comment on column postrider.subscriptions.claim is 'Rises with each connection; the latest counts.';
comment on column postrider.subscriptions.taken_at is 'When somebody last connected.';
comment on column postrider.subscriptions.left_at is 'When its client last left, as far as we know.';
