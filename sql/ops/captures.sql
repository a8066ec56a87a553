-- ops.captures: all of them, with what keeps one from seeing everything
select capture.relation::text as relation, capture.name, capture.enabled
  -- Triggers of statements fire for statements that name this table: those that name what it was attached to since are none.
  , (select parent.inhparent::regclass::text from pg_inherits parent where parent.inhrelid = capture.relation and capture.level = 'statement' limit 1) as attached_to
from postrider.captures capture
order by 1, 2
