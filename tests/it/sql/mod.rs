//! The schema, from SQL.

mod depth;
mod functions;
mod names;
mod plans;
mod pool;
mod rules;
mod schema;
