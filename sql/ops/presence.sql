-- ops.presence: who works here now
select (select count(distinct (activity.client_addr, activity.application_name)) from pg_stat_activity activity
        where activity.datname = current_database() and activity.application_name = 'postrider worker') > 0 as has_workers
  , array(select duty.name || ': ' || duty.holder from postrider.duties duty where duty.until > now() order by duty.name) as duties
  , (select extract(epoch from now() - taken.at)::double precision from postrider.queue_depth_snapshot taken) as depth_age_s
  , (select extract(epoch from now() - taken.oldest_due_at)::double precision from postrider.queue_depth_snapshot taken) as oldest_due_s
  , (select count(*) from postrider.endpoint_health health where health.failing_since is not null) as failing_endpoints
  , (select count(*) from postrider.endpoints endpoint where endpoint.state = 'paused') as paused_endpoints
  , (select coalesce(sum(depth.rows), 0)::bigint from postrider.queue_depth depth where depth.status = 'failed') as dead_letters
