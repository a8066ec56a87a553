-- ops.rights: who we are, and what we may not do that a worker must
select current_user::text as role
  , has_database_privilege(current_database(), 'create') as may_create_schema
  , coalesce((select pg_get_userbyid(nspowner)::text from pg_namespace where nspname = 'postrider'), '') as owner
  , array(
      select needed.what from (values
        ('use schema postrider', has_schema_privilege(to_regnamespace('postrider'), 'usage'))
      , ('create in schema postrider', has_schema_privilege(to_regnamespace('postrider'), 'create'))
      , ('write to postrider.webhook_queue', has_table_privilege(to_regclass('postrider.webhook_queue'), 'select')
          and has_table_privilege(to_regclass('postrider.webhook_queue'), 'insert')
          and has_table_privilege(to_regclass('postrider.webhook_queue'), 'update')
          and has_table_privilege(to_regclass('postrider.webhook_queue'), 'delete'))
      , ('write to postrider.attempts', has_table_privilege(to_regclass('postrider.attempts'), 'insert'))
      , ('read postrider.endpoints', has_table_privilege(to_regclass('postrider.endpoints'), 'select'))
      , ('call postrider.emit', has_function_privilege(to_regprocedure('postrider.emit(text,text,text,text,text)'), 'execute'))
      ) as needed(what, granted)
      where to_regnamespace('postrider') is not null and needed.granted is not true) as missing
