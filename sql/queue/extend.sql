-- queue.extend: keep the leases of deliveries that are still being worked on
--
-- $1 deliveries, $2 their tokens, $3 the lease from now (s). Rows not in the answer are no longer ours.
with held as materialized (
  select queue.id
  from unnest($1::bigint[], $2::bigint[]) as result(delivery, token)
  join postrider.webhook_queue queue
    on queue.id = result.delivery and queue.lease_token = result.token -- and so pending: nothing else is leased
  where (select set_config('synchronous_commit', 'off', true)) is not null
  order by queue.id
  for no key update of queue skip locked
)
update postrider.webhook_queue queue
set lease_until = now() + make_interval(secs => $3)
from held
where queue.id = held.id
returning queue.id
