-- What was set aside for an endpoint is told from what waits for its next attempt.
--
-- Both lie in the future. When an endpoint is enabled again only the former is made due: what failed a moment ago keeps its
-- place in the backoff table. A row is set aside as long as it is due when it was set aside to; whoever writes another time
-- ends that, so nobody else need know of the column. It is in no index.

alter table postrider.webhook_queue add column held_until timestamptz;
comment on column postrider.webhook_queue.held_until is 'Equal to next_retry_at while the row is set aside because its endpoint is not to be sent to.';

comment on table postrider.capture_failure_log is
  'Rows of which a capture with on_error => ''skip'' could not make an event. Read it as postrider.capture_failures; rows stay as long as the attempt log.';
