-- queue.release: make due what was set aside for a target that may be sent to again
--
-- $1 its lane, $2 the target. It is looked for at the target's moments of the next two hours, one by one: so what waits for
-- its next attempt goes on waiting, and is not even read. The limits are no parameters, as in queue.hold; the inner one keeps
-- the planner from reading the lane instead.
with waiting as materialized (
  select found.id
  from generate_series(-1, 7201) as second
  cross join lateral (
    select queue.id
    from postrider.webhook_queue queue
    where queue.status = 'pending'
      and queue.lane = $1
      and queue.target = $2
      and queue.next_retry_at = postrider.set_aside_until($2, second)
    limit 5000
    for no key update skip locked
  ) found
  limit 5000
), told as (
  -- That some are due from now on: a look that comes before our commit does not see them.
  insert into postrider.queue_changes (channel, status, change) select 'webhook', 'pending', 0 where exists (select from waiting)
)
update postrider.webhook_queue queue
set next_retry_at = now()
where queue.id = any (array(select waiting.id from waiting))
  and (select set_config('synchronous_commit', 'off', true)) is not null
  and (select set_config('postrider.releasing', 'on', true)) is not null
