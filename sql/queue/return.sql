-- queue.return: give back deliveries that were not started, in place or at a later time
--
-- $1 deliveries, $2 their tokens, $3 the wait (s), null for "as it was", $4 whether they are set aside for that time, to be released
-- with all of their target. No attempt is counted.
with held as materialized (
  select queue.id, queue.target, result.wait_s, result.set_aside
  from unnest($1::bigint[], $2::bigint[], $3::double precision[], $4::boolean[]) as result(delivery, token, wait_s, set_aside)
  join postrider.webhook_queue queue
    on queue.id = result.delivery and queue.lease_token = result.token -- and so pending: nothing else is leased
  where (select set_config('synchronous_commit', 'off', true)) is not null
  order by queue.id
  for no key update of queue skip locked
)
update postrider.webhook_queue queue
set lease_until = null
  , lease_token = null
  , next_retry_at = case when held.wait_s is null then queue.next_retry_at
                         when held.set_aside then postrider.set_aside_until(held.target, held.wait_s)
                         else now() + make_interval(secs => held.wait_s) end
from held
where queue.id = held.id
returning queue.id
