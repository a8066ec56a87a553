//! Deliveries, from a commit to a receiver and back.

mod basics;
