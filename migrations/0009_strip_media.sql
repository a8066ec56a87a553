-- Base64 media is taken out of an event whatever else the event holds: an event that jsonb cannot take (a \u0000, half a
-- surrogate pair, a number past numeric, an array where an object is usual) must not make emit fail.

-- jsonb decodes \u escapes, and refuses some. As text they pass it by: a backslash is doubled before, and halved after. In
-- between chr(1) and chr(2) stand for the two, which JSON text never holds.
create function postrider.strip_media_base64(data json) returns json
  language plpgsql immutable parallel safe set search_path = pg_catalog, pg_temp as $$
declare
  given text := data::text;
  escaped boolean := position('\u' in given) > 0;
  stripped jsonb;
begin
  if escaped then
    given := replace(replace(given, '\\', chr(1)), '\u', chr(2));
    given := replace(replace(given, chr(1), '\\\\'), chr(2), '\\u');
  end if;
  stripped := given::jsonb;
  if jsonb_typeof(stripped #> '{message,media}') = 'object' then stripped := stripped #- '{message,media,base64}'; end if;
  if jsonb_typeof(stripped -> 'message') = 'object' then stripped := stripped #- '{message,base64}'; end if;
  if jsonb_typeof(stripped -> 'media') = 'object' then stripped := stripped #- '{media,base64}'; end if;
  if jsonb_typeof(stripped) = 'object' and stripped ?| '{media_url,mediaUrl}' then stripped := stripped - 'base64'; end if;
  given := stripped::text;
  if escaped then
    given := replace(replace(given, '\\\\', chr(1)), '\\u', chr(2));
    given := replace(replace(given, chr(1), '\\'), chr(2), '\u');
  end if;
  return given::json;
exception
  -- What jsonb cannot take all the same is delivered with its media rather than not at all.
  when others then return data;
end $$;
comment on function postrider.strip_media_base64(json) is 'Internal: The event without base64 media, for one that has some. Call without_media_base64.';

create or replace function postrider.without_media_base64(data json) returns json
  language sql immutable parallel safe
  return case when position('"base64"' in data::text) = 0 then data else postrider.strip_media_base64(data) end;
comment on function postrider.without_media_base64(json) is
  'Internal: The event without base64 media: base64 is removed from message.media, media and message, and from beside a media_url or mediaUrl.';

revoke execute on function postrider.strip_media_base64(json) from public;
