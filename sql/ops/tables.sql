-- ops.tables: how vacuum keeps up with the tables that change most
select stats.relname::text as table_name
  , stats.n_live_tup as live
  , stats.n_dead_tup as dead
  , stats.last_autovacuum
  , not coalesce('autovacuum_enabled=false' = any (class.reloptions), false) as autovacuums
  , pg_total_relation_size(stats.relid) as bytes
from pg_stat_user_tables stats join pg_class class on class.oid = stats.relid
where stats.schemaname = 'postrider'
  and stats.relname in ('webhook_queue', 'events', 'attempts', 'queue_changes', 'queue_depth')
order by stats.relname
