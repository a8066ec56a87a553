//! The nouns. No I/O, no clock, no SQL: everything here can be tested for nothing.

mod access;
mod address;
mod delivery;
mod endpoint;
mod header;
mod limit;
mod media;
mod outcome;
mod target;

pub use access::{Access, Reach};
pub use address::{Guard, Refused};
pub use delivery::{Attempt, Delivery, Destination, Lease, Parcel, Resolution};
pub use endpoint::{Channel, Endpoint, EndpointState, Header, Schedule};
pub use header::{HeaderProblem, check_header, check_header_value, is_reserved_header};
pub use limit::{Allowance, Limit};
pub use media::{AbsentMedia, absent_media, with_media};
pub use outcome::{Class, Failure, Outcome, Receipt, Retry, Verdict};
pub use target::{UnfitTarget, target};
