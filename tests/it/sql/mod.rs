//! The schema, from SQL.
