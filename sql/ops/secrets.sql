-- ops.secrets: where secrets rest in plain (text is null), and one sealed text for each place and key
with stored (place, text) as (
  select 'instance tokens', token from postrider.instances where token is not null
  union all select 'endpoint authorization', authorization_header from postrider.endpoints where authorization_header is not null
  union all select 'endpoint headers', headers from postrider.endpoints where headers is not null
  union all select 'endpoint settings', settings from postrider.endpoints where settings is not null
  union all select 'signing secrets', secret from postrider.signing_secrets
)
select stored.place, null::text as text, count(*) as rows from stored where stored.text not like 'sealed:%' group by stored.place
union all
select stored.place, min(stored.text), count(*) from stored where stored.text like 'sealed:%'
group by stored.place, split_part(stored.text, ':', 3)
union all
-- Those that came in plain are written down, so that nobody need read the whole queue: "offset 0" keeps the planner from it.
select 'rows of webhook_queue', null, count(*) from postrider.unsealed_rows unsealed
cross join lateral (
  select from postrider.webhook_queue queue
  where queue.id = unsealed.delivery_id and queue.auth_header is not null and queue.auth_header not like 'sealed:%'
  offset 0
) plain
having count(*) > 0
