//! What is done with events.

use std::collections::HashMap;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::{Error, Event};
use crate::causes::Causes;

/// Why a handler failed.
pub type HandlerError = Box<dyn std::error::Error + Send + Sync>;

/// One handler.
type Handler =
    Box<dyn Fn(Arc<Event>) -> BoxFuture<'static, Result<(), HandlerError>> + Send + Sync>;

/// Who hears of errors.
type OnError = Box<dyn Fn(&Error) + Send + Sync>;

/// Who hears of gaps.
type OnGap = Box<dyn Fn(&str) + Send + Sync>;

/// All of a subscription.
#[derive(Default)]
pub(super) struct Handlers {
    by_type: HashMap<String, Vec<Handler>>,
    of_all: Vec<Handler>,
    error: Option<OnError>,
    gap: Option<OnGap>,
}

impl Handlers {
    /// One more; of a type, or of all.
    pub(super) fn add<F, R>(&mut self, event_type: Option<String>, handler: F)
    where
        F: Fn(Arc<Event>) -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), HandlerError>> + Send + 'static,
    {
        let handler: Handler = Box::new(move |event| handler(event).boxed());
        match event_type {
            Some(event_type) => self.by_type.entry(event_type).or_default().push(handler),
            None => self.of_all.push(handler),
        }
    }

    /// Who hears of errors.
    pub(super) fn set_error(&mut self, hears: impl Fn(&Error) + Send + Sync + 'static) {
        self.error = Some(Box::new(hears));
    }

    /// Who hears of gaps.
    pub(super) fn set_gap(&mut self, hears: impl Fn(&str) + Send + Sync + 'static) {
        self.gap = Some(Box::new(hears));
    }

    /// Hands an event to all that want it, one after the other, until one fails. An event that nobody wants is handled.
    pub(super) async fn handle(&self, event: &Arc<Event>) -> Result<(), HandlerError> {
        let of_type = self.by_type.get(&event.event_type).into_iter().flatten();
        for handler in of_type.chain(&self.of_all) {
            let handled = AssertUnwindSafe(async { handler(Arc::clone(event)).await });
            match handled.catch_unwind().await {
                Ok(handled) => handled?,
                Err(_) => return Err("it panicked".into()),
            }
        }
        Ok(())
    }

    /// Something went wrong.
    pub(super) fn failed(&self, error: &Error) {
        if let Some(hears) = &self.error {
            hears(error);
        } else {
            tracing::warn!(error = %Causes(error), "a subscription was disturbed");
        }
    }

    /// Events were removed before they could be read.
    pub(super) fn gap(&self, reason: &str) {
        if let Some(hears) = &self.gap {
            hears(reason);
        } else {
            tracing::warn!(
                reason,
                "events were removed before a subscription could read them"
            );
        }
    }
}

impl fmt::Debug for Handlers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let types: Vec<_> = self.by_type.keys().collect();
        formatter
            .debug_struct("Handlers")
            .field("types", &types)
            .finish_non_exhaustive()
    }
}
