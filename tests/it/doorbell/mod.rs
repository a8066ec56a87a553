//! The doorbell: nothing is missed, nobody is slowed.

mod chaos;
mod quiet;
mod support;
