-- ops.server: version, role, and how many connections are left
select current_setting('server_version_num')::integer as version
  , current_setting('server_version') as version_text
  , pg_is_in_recovery() as is_standby
  , current_setting('max_connections')::integer - current_setting('superuser_reserved_connections')::integer as connections_max
  , (select sum(numbackends)::integer from pg_stat_database) as connections
  , current_setting('autovacuum')::boolean and current_setting('track_counts')::boolean as autovacuums
  , current_setting('fsync')::boolean as fsyncs
  , pg_has_role(current_user, 'pg_read_all_stats', 'usage') as sees_all_sessions
