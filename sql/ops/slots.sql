-- ops.slots: replication slots, and how much of the log each of them holds
select slot.slot_name::text as name, slot.active
  , slot.xmin is not null as holds_rows
  , coalesce(pg_wal_lsn_diff(
      case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_lsn() end, slot.restart_lsn), 0)::bigint as bytes
  , greatest(age(slot.xmin), age(slot.catalog_xmin), 0) as transactions
from pg_replication_slots slot
order by bytes desc
