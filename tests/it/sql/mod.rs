//! The schema, from SQL.

mod depth;
mod names;
mod plans;
mod rules;
mod schema;
