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
