-- queue.complete: end the leases of finished attempts, whatever came of them, and write the attempt log
--
-- $1 deliveries, $2 their tokens, $3 status to go to, $4 the wait before the next attempt (s), $5 whether the attempt
-- counts, $6 duration (ms), $7 class, $8 HTTP status, $9 detail, $10 first bytes of the response, $11 the worker.
--
-- A row whose token no longer matches was taken over or changed by an operator: nothing happens to it, and it is not
-- in the answer. Rows are locked in id order and those locked by others are left for the next time, so that this
-- cannot deadlock with an operator's bulk UPDATE.
with held as materialized (
  -- When it began is counted back from now: the worker's clock is not asked.
  select queue.ctid as place, now() - result.duration_ms * interval '1 millisecond' as began_at, result.status, result.wait_s, result.counts, result.duration_ms, result.class, result.http_status, result.detail, result.response
  from unnest($1::bigint[], $2::bigint[], $3::text[], $4::double precision[], $5::boolean[], $6::integer[], $7::text[]
            , $8::integer[], $9::text[], $10::bytea[])
    as result(delivery, token, status, wait_s, counts, duration_ms, class, http_status, detail, response)
  join postrider.webhook_queue queue
    on queue.id = result.delivery and queue.lease_token = result.token -- and so pending: nothing else is leased
  where (select set_config('synchronous_commit', 'off', true)) is not null
  order by queue.id
  for no key update of queue skip locked
), ended as (
  -- By ctid, so that no index is read twice. Where a row was moved since this statement began, its lease extended for one,
  -- nothing is found there, and it is left for the next time as well.
  update postrider.webhook_queue queue
  set status = held.status
    , attempts = least(queue.attempts, 2147483646) + held.counts::integer
    , next_retry_at = case when held.status = 'pending' then now() + make_interval(secs => held.wait_s) else queue.next_retry_at end
    , last_error = case when held.status = 'delivered' then queue.last_error else held.detail end
    , first_attempt_at = coalesce(queue.first_attempt_at, held.began_at)
    , crashes = 0
    , lease_until = null
    , lease_token = null
    , updated_at = now()
  from held
  where queue.ctid = held.place
  returning queue.id, queue.channel, queue.attempts - held.counts::integer + 1 as attempt, queue.endpoint_id
    , held.status, held.began_at, held.duration_ms, held.class, held.http_status, held.detail, held.response
), logged as (
  insert into postrider.attempts (delivery_id, attempt, at, duration_ms, outcome, class, status, detail, response, endpoint_id, worker)
  select ended.id, ended.attempt, ended.began_at, ended.duration_ms
    , case ended.status when 'pending' then 'retry' else ended.status end
    , ended.class, ended.http_status, ended.detail, ended.response, ended.endpoint_id, $11
  from ended
), counted as (
  insert into postrider.queue_changes (channel, status, change)
  select gone.channel, change.status, change.sign * gone.rows
  from (select ended.channel, ended.status, count(*) as rows from ended where ended.status <> 'pending' group by ended.channel, ended.status) gone
  cross join lateral (values ('pending', -1), (gone.status, 1)) as change(status, sign)
)
select ended.id from ended
