-- What is set aside for an endpoint is told from what waits for its next attempt, and found without reading the lane.
--
-- Both lie in the future. When an endpoint is enabled again only the former is made due: what failed a moment ago keeps its
-- place in the backoff table. So rows are set aside until whole seconds and as many microseconds more as the target's number
-- says: each target has one moment in a second, and those of two hours are looked up one by one, however many rows lie
-- between them (with ten million rows queued reading on from now took 5 s). That a retry falls on just that microsecond happens
-- once in a million times, and then it is early once.

create function postrider.set_aside_until(target bigint, wait_s double precision) returns timestamptz
  language sql stable as $$
  select date_trunc('second', now() + make_interval(secs => wait_s + 1)) + make_interval(secs => abs(target % 1000000) / 1000000.0)
$$;
comment on function postrider.set_aside_until(bigint, double precision) is 'Internal: When rows of a target are due again that are set aside for so long: at the moment in a second that is the target''s.';
revoke execute on function postrider.set_aside_until(bigint, double precision) from public;

comment on table postrider.capture_failure_log is
  'Rows of which a capture with on_error => ''skip'' could not make an event. Read it as postrider.capture_failures; rows stay as long as the attempt log.';
