-- queue.hold: set aside what is due for a target that is not to be sent to now
--
-- $1 its lane, $2 the target, $3 for how long (s). Rows that somebody works on are left alone. To be run with bitmaps off, and
-- the limit is no parameter: so a backlog is read from its beginning, and not the whole of it each time.
with due as materialized (
  select queue.id
  from postrider.webhook_queue queue
  where queue.status = 'pending'
    and queue.lane = $1
    and queue.target = $2
    and queue.next_retry_at <= now()
    and (queue.lease_until is null or queue.lease_until < now())
  order by queue.next_retry_at, queue.id
  limit 5000
  for no key update skip locked
)
update postrider.webhook_queue queue
set next_retry_at = postrider.set_aside_until($2, $3)
where queue.id = any (array(select due.id from due))
  and (select set_config('synchronous_commit', 'off', true)) is not null
