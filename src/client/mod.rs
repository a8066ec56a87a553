//! The Rust client: an instance's events, from another program.
//!
//! ```no_run
//! # async fn example() -> Result<(), postrider::client::Error> {
//! use postrider::client::Client;
//!
//! let subscription = Client::new("https://events.example.com")?
//!     .subscribe("shop", "the instance's token")
//!     .consumer("billing")
//!     .on("order.paid", async |event| {
//!         println!("{} {}", event.id, event.data);
//!         Ok(())
//!     })
//!     .start();
//! // … until the program is to end:
//! subscription.close().await
//! # }
//! ```
//!
//! Without the rest of this crate: `postrider = { …, default-features = false, features = ["client"] }`.
//!
//! # What holds
//!
//! - *At least once.* An event is acknowledged after its handlers have returned. One whose handler fails is handed to it again,
//!   after a wait that grows; those behind it go on meanwhile, up to [`Subscribe::window`] of them. The position that is
//!   acknowledged never goes past an event that is not handled.
//! - *Nothing is lost on a reconnect.* With a [`Subscribe::consumer`] the server keeps the position, so that a program that
//!   was started again goes on where it was; without one the subscription remembers it as long as it lives. What comes a second
//!   time, because its acknowledgement was lost on the way, is not handed to the handlers again by the same subscription.
//! - *A gap is told.* Where events were removed before they could be read, [`Subscribe::on_gap`] hears of it, and what is still
//!   there follows.
//! - *One at a time*, in the order of the stream but for what is handed out again.

mod connect;
mod error;
mod event;
mod follow;
mod handlers;
mod ledger;
mod pace;
mod subscribe;

pub use error::Error;
pub use event::Event;
pub use handlers::HandlerError;
pub use subscribe::{Subscribe, Subscription};

use secrecy::SecretString;
use url::Url;

/// A server to follow events of. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    base: Url,
}

impl Client {
    /// The one that is reached by this URL: http, https, ws or wss.
    pub fn new(url: &str) -> Result<Self, Error> {
        connect::base(url).map(|base| Self { base })
    }

    /// Prepares to follow the events of an instance, with a token that reaches it.
    pub fn subscribe(&self, instance: &str, token: impl Into<SecretString>) -> Subscribe {
        Subscribe::new(&self.base, instance, token.into())
    }
}
