-- ops.schema: whose public.webhook_queue is, and whether this database is a copy
select to_regclass('public.webhook_queue') is not null as has_public_queue
  , exists (select from pg_depend d join pg_rewrite r on r.oid = d.objid
            where r.ev_class = to_regclass('public.webhook_queue') and d.refobjid = to_regclass('postrider.webhook_queue')) as public_queue_is_ours
  , (select (installation.system_identifier, installation.database_oid)
          is distinct from ((select system_identifier from pg_control_system())::text, (select oid from pg_database where datname = current_database()))
     from postrider.installation) as is_copy
