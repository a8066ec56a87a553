//! Deliveries, from a commit to a receiver and back.

mod basics;
mod chaos_postgres;
mod chaos_standby;
mod chaos_time;
mod chaos_workers;
mod dialects;
mod endpoints;
mod figures;
mod leases;
mod media;
mod neighbours;
mod news;
mod operator;
mod poison;
mod retries;
