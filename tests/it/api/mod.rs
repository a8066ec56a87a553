//! The HTTP APIs.

mod codechat;
mod door;
mod ryze;
mod vzaps;
