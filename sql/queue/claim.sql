-- queue.claim: lease due deliveries, lane by lane
--
-- $1 lanes, $2 and $3 where to read on from in each (next_retry_at, id), $4 how many rows to look at in each,
-- $5 whether the lane is read from its fresh end, where the last moments are always read again because ids and
-- timestamps are handed out before commit, $6 how long such a moment is (s), $7 targets to pass over,
-- $8 the lease (s), $9 its token.
--
-- A window bounds what is looked at, not what is found: a target that is passed over costs reading, never a scan of
-- its whole backlog. The answer has one row for each claimed delivery, and (delivery null) one for each lane that had something,
-- which says how far it was read, and of all lanes together how many leases had expired; and one for each endpoint with its
-- version. Of large payloads no more is claimed at once than 16 MiB and one.
with lanes as materialized (
  select given.entry, given.lane, given.looked_at
    , case when given.fresh then least(given.after_at, now() - make_interval(secs => $6)) else given.after_at end as after_at
    , case when given.fresh and given.after_at > now() - make_interval(secs => $6) then 0 else given.after_id end as after_id
  from unnest($1::smallint[], $2::timestamptz[], $3::bigint[], $4::integer[], $5::boolean[]) with ordinality
    as given(lane, after_at, after_id, looked_at, fresh, entry)
  where (select set_config('synchronous_commit', 'off', true)) is not null
), seen as materialized (
  -- Busy targets are looked up in a hash, not compared one by one: there may be thousands of them, and of rows.
  -- Bytes are counted without being read (a payload's length stands in its header), and only of what may be taken.
  select looked_at.entry, looked_at.place, looked_at.id, looked_at.next_retry_at, looked_at.wanted
    , sum(case when looked_at.wanted then looked_at.bytes end) over (rows unbounded preceding) - looked_at.bytes as bytes_before
  from (
    select lanes.entry, due.place, due.id, due.next_retry_at, due.bytes, due.target not in (select unnest($7::bigint[])) as wanted
    from lanes cross join lateral (
      select queue.ctid as place, queue.id, queue.next_retry_at, queue.target, octet_length(queue.payload) as bytes
      from postrider.webhook_queue queue
      where queue.status = 'pending'
        and queue.lane = lanes.lane
        and (queue.next_retry_at, queue.id) > (lanes.after_at, lanes.after_id)
        and queue.next_retry_at <= now()
        and (queue.lease_until is null or queue.lease_until < now())
      order by queue.next_retry_at, queue.id
      limit lanes.looked_at
    ) due
  ) looked_at
), taken as materialized (
  -- By their place in the table: where a row stood in this statement's snapshot it still stands, or it was changed since then
  -- and is not for us. No index is asked for each of them once more. The status is compared in a way that no index answers:
  -- without statistics the planner would look for these places in the whole of the index of what is due.
  select queue.ctid as place, queue.lease_token is not null as is_expired
  from postrider.webhook_queue queue
  where queue.ctid = any (array(select seen.place from seen where seen.wanted and seen.bytes_before < 16777216))
    and queue.status || '' = 'pending'
    and (queue.lease_until is null or queue.lease_until < now())
  for no key update skip locked
), claimed as (
  update postrider.webhook_queue queue
  set lease_until = now() + make_interval(secs => $8)
    , lease_token = $9
    , crashes = least(queue.crashes, 30000) + (queue.lease_token is not null)::integer
  where queue.ctid = any (array(select taken.place from taken))
  returning queue.id, queue.target, queue.instance_name, queue.url, queue.payload, queue.auth_header, queue.event_type
    , queue.attempts, queue.max_attempts, queue.endpoint_id, queue.event_id, queue.event_nonce
    -- An operator may have written any time there is, and one that we cannot read would stop every other row.
    , least(greatest(coalesce(queue.event_at, queue.created_at), '0001-01-01 00:00+00'), '9999-12-31 00:00+00') as event_at, queue.crashes
    -- The clock is read once, not for each row.
    , (select date_part('epoch', clock_timestamp())) - date_part('epoch', queue.created_at) as age_s
    , (select date_part('epoch', clock_timestamp())) - date_part('epoch', queue.first_attempt_at) as since_first_attempt_s
    , queue.lane
    -- Most installations name no senders, and then this table is empty: it is not looked into for each row.
    , case when (select exists (select from postrider.event_senders)) then
        (select said.sender from postrider.event_senders said where said.event_id = queue.event_id) end as sender
    -- Since it was queued it was tried, or an operator sent it anew.
    , queue.updated_at > queue.created_at as is_again
)
select claimed.*, null::bigint as window_number, null::bigint as looked_at, null::timestamptz as end_at, null::bigint as end_id, null::bigint as expired, null::bigint as endpoint_version
from claimed
union all
select null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null
  , reached.entry, reached.looked_at, reached.end_at, reached.end_id, (select count(*) from taken where taken.is_expired), null
from (
  select seen.entry, count(*) as looked_at, max(seen.next_retry_at) as end_at
    , (array_agg(seen.id order by seen.next_retry_at desc, seen.id desc))[1] as end_id
  from seen group by seen.entry
) reached
union all
-- Once for each endpoint: looked up for each row, it was a tenth of what a claim costs.
select null, null, null, null, null, null, null, null, null, endpoint.id, null, null, null, null, null, null, null, null, null
  , null, null, null, null, null, endpoint.version
from postrider.endpoints endpoint where endpoint.id = any (array(select distinct claimed.endpoint_id from claimed))
