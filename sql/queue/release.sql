-- queue.release: make due what was set aside for a target that may be sent to again
--
-- $1 its lane, $2 the target. What waits for its next attempt goes on waiting. The limit is no parameter, as in queue.hold.
with waiting as materialized (
  select queue.id
  from postrider.webhook_queue queue
  where queue.status = 'pending'
    and queue.lane = $1
    and queue.target = $2
    and queue.next_retry_at > now()
    and queue.held_until = queue.next_retry_at
  order by queue.next_retry_at, queue.id
  limit 5000
  for no key update skip locked
)
update postrider.webhook_queue queue
set next_retry_at = now()
where queue.id = any (array(select waiting.id from waiting))
  and set_config('synchronous_commit', 'off', true) is not null
