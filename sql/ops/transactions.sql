-- ops.transactions: the oldest transactions of the cluster, prepared ones too; vacuum removes nothing newer than they are
select * from (
  select activity.pid, coalesce(activity.application_name, '') as name, coalesce(activity.usename::text, '') as role
    , coalesce(activity.datname::text, '') as database, coalesce(activity.state, '') as state
    , extract(epoch from clock_timestamp() - activity.xact_start)::double precision as age_s
  from pg_stat_activity activity
  where activity.xact_start is not null and activity.pid <> pg_backend_pid()
    and activity.backend_type not in ('autovacuum worker', 'walsender')
  union all
  select null, prepared.gid, prepared.owner::text, prepared.database::text, 'prepared'
    , extract(epoch from clock_timestamp() - prepared.prepared)::double precision
  from pg_prepared_xacts prepared
) as open
order by open.age_s desc
limit 5
