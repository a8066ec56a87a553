//! The ways out. A channel takes a parcel and answers with an [`Outcome`]; it never sees the database.
//!
//! The contract every channel keeps:
//!
//! - It makes exactly one attempt, and ends by the parcel's deadline.
//! - Not being delivered is data: an [`Outcome::Failed`] with a class, never a panic, never an `Err`.
//! - `Delivered` is answered only after the far side said so. When in doubt it is `Failed`: twice is allowed, lost is not.
//! - It opens connections only through the guarded client, and keeps no state about a delivery.
//! - No secret appears in an outcome.

mod clock;
pub mod egress;
mod media;
mod webhook;

pub use crate::model::{Class, Failure, Outcome, Receipt, Retry, Verdict};
pub use clock::WallClock;
pub use media::{Media, MediaClient, NotFetched};
pub use webhook::{Webhook, url_of};

use futures_util::future::BoxFuture;

use crate::model::Parcel;

/// A way out of whatever kind: decided when the process starts, or by a test that breaks it.
pub trait AnyChannel: std::fmt::Debug + Send + Sync + 'static {
    /// Makes one attempt.
    fn deliver_any<'a>(&'a self, parcel: &'a Parcel) -> BoxFuture<'a, Outcome>;
}

impl<C: Channel + std::fmt::Debug> AnyChannel for C {
    fn deliver_any<'a>(&'a self, parcel: &'a Parcel) -> BoxFuture<'a, Outcome> {
        Box::pin(self.deliver(parcel))
    }
}

/// One way out.
pub trait Channel: Send + Sync + 'static {
    /// Makes one attempt.
    fn deliver(&self, parcel: &Parcel) -> impl Future<Output = Outcome> + Send;
}
