//! The HTTP APIs.

mod bad_input;
mod codechat;
mod cors;
mod documents;
mod door;
mod evolution;
mod fuzz;
mod isolation;
mod long;
mod native;
mod ryze;
mod vzaps;
