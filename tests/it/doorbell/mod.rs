//! The doorbell: nothing is missed, nobody is slowed.

mod chaos;
mod faults;
mod quiet;
mod support;
