//! What goes wrong between a client and its server.

use std::io;
use std::time::Duration;

use super::HandlerError;

/// Something that went wrong. Most of it is tried again; [`Error::is_final`] tells what is not.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The server's URL.
    #[error("the server's URL cannot be used: {0}")]
    Url(String),
    /// The token has characters that no header may have.
    #[error("the token has characters that cannot be sent")]
    Token,
    /// No connection came about.
    #[error("the server cannot be reached")]
    Unreachable(#[source] io::Error),
    /// The server answered the request for a WebSocket with something else.
    #[error("the server refused the connection with {status}: {detail}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// What it says.
        detail: String,
        /// When it asks to be asked again.
        retry_after: Option<Duration>,
    },
    /// The server closed the connection.
    #[error("the server closed the connection with {code}: {reason}")]
    Closed {
        /// The close code.
        code: u16,
        /// In words, with what to do.
        reason: String,
    },
    /// The connection broke.
    #[error("the connection was lost")]
    Lost(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Nothing was heard of the server for too long.
    #[error("nothing was heard of the server for too long")]
    Silent,
    /// The server sent what is no event.
    #[error("the server sent what is not understood: {0}")]
    NotUnderstood(String),
    /// A handler failed: its event will be handed to it again.
    #[error("the handler of {event_type} failed for {event_id}")]
    Handler {
        /// The event.
        event_id: String,
        /// Its type.
        event_type: String,
        /// Why.
        #[source]
        source: HandlerError,
    },
}

impl Error {
    /// Whether trying again is of no use: a token or an instance that is not good, a connection that an operator ended, or
    /// another one of the same consumer that took over.
    pub fn is_final(&self) -> bool {
        match self {
            Self::Url(_) | Self::Token => true,
            Self::Refused { status, .. } => {
                (400..500).contains(status) && !matches!(status, 408 | 425 | 429)
            }
            Self::Closed { code, .. } => matches!(code, 1008 | 4400 | 4401 | 4403 | 4404 | 4409),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Error;

    #[test]
    fn what_time_may_mend_is_tried_again_and_nothing_else() {
        let refused = |status| Error::Refused {
            status,
            detail: String::new(),
            retry_after: None,
        };
        let closed = |code| Error::Closed {
            code,
            reason: String::new(),
        };
        for error in [refused(401), refused(404), closed(1008), closed(4409)] {
            assert!(error.is_final(), "{error}");
        }
        for error in [
            refused(429),
            refused(503),
            closed(1000),
            closed(1012),
            closed(4410),
            closed(4413),
        ] {
            assert!(!error.is_final(), "{error}");
        }
    }
}
