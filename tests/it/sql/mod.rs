//! The schema, from SQL.

mod depth;
mod plans;
mod rules;
mod schema;
