//! apalis, behind this one file: it owns the workers' life cycle, the tower stack around a delivery, and the drain.
//!
//! Our backend gives out what [`Dispatch`] says may start, and the acknowledgement hands the outcome to the completer; no SQL is
//! ever run inside `poll_*`. A backend that answered `None` would park its worker for ever, so it stops the worker first.
//! There is one worker a core, each in a task of its own: apalis polls a worker's handlers within its task.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::task::{Context, Poll};

use apalis::prelude::*;
use apalis_core::backend::{BackendConfig, finalize::Ephemeral};
use apalis_core::worker::ext::ack::{Acknowledge, AcknowledgeLayer};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::mpsc;

use super::dispatch::{Dispatch, Job};
use super::handler::Handler;
use crate::model::Attempt;

/// Gives out jobs.
struct Backlog {
    dispatch: Arc<Dispatch>,
    finished: Finished,
}

/// Takes outcomes.
#[derive(Clone)]
struct Finished {
    handler: Arc<Handler>,
    completer: mpsc::UnboundedSender<Attempt>,
}

impl Backend for Backlog {
    type Task = Task<Job>;
    type Error = Infallible;

    fn poll_ready(
        &mut self,
        _: &mut Context<'_>,
        _: &WorkerContext,
    ) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn poll_next(
        &mut self,
        context: &mut Context<'_>,
        worker: &WorkerContext,
    ) -> Poll<Option<Result<Self::Task, Infallible>>> {
        match self.dispatch.poll_next(context.waker()) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Some(job)) => {
                let id = TaskId::from_int(job.delivery.lease.delivery.unsigned_abs());
                Poll::Ready(Some(Ok(TaskBuilder::new(job).task_id(id).build())))
            }
            Poll::Ready(None) => {
                if let Err(error) = worker.stop() {
                    tracing::debug!(%error, "worker was stopping already");
                }
                Poll::Ready(None)
            }
        }
    }

    fn poll_close(
        &mut self,
        _: &mut Context<'_>,
        _: &WorkerContext,
    ) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }
}

impl BackendConfig for Backlog {
    type Args = Job;
    type Id = u64;
    type Kind = Ephemeral;
    type Config = ();
    type Layer = AcknowledgeLayer<Finished>;

    fn config(&self) -> &() {
        &()
    }

    fn middleware(&mut self, _: &mut WorkerContext) -> Self::Layer {
        AcknowledgeLayer::new(self.finished.clone())
    }
}

impl Acknowledge<Attempt> for Finished {
    type Error = Infallible;
    type Future = Ready<Result<(), Infallible>>;

    fn ack(
        &mut self,
        result: &Result<Attempt, BoxDynError>,
        context: &ExecutionContext,
    ) -> Self::Future {
        let attempt = match result {
            Ok(attempt) => Some(attempt.clone()),
            // The handler panicked; apalis caught it, and knows only the delivery's id.
            Err(error) => context
                .task_id()
                .and_then(TaskId::as_int)
                .and_then(|id| i64::try_from(id).ok())
                .and_then(|id| self.handler.crashed(id, &error.to_string())),
        };
        if let Some(attempt) = attempt {
            self.handler.finished(&attempt);
            // Fails only when the completer is gone, at the very end; the lease then expires and another worker tries.
            let _ = self.completer.send(attempt);
        }
        ready(Ok(()))
    }
}

/// Runs one apalis worker until the dispatch is closed and empty. Boxed here, where its type is known: through an `async` block
/// the compiler cannot see that it may be sent between threads.
pub(super) fn run(
    name: String,
    handler: Arc<Handler>,
    in_flight_max: usize,
    completer: mpsc::UnboundedSender<Attempt>,
) -> BoxFuture<'static, ()> {
    let backlog = Backlog {
        dispatch: handler.dispatch(),
        finished: Finished {
            handler: handler.clone(),
            completer,
        },
    };
    let worker = WorkerBuilder::new(name)
        .backend(backlog)
        .concurrency(in_flight_max)
        .catch_panic()
        .build(move |job: Job| {
            let handler = handler.clone();
            async move { Ok::<_, BoxDynError>(handler.attempt(job).await) }
        });
    worker
        .run()
        .map(|ended| {
            if let Err(error) = ended {
                tracing::error!(%error, "a delivery worker ended");
            }
        })
        .boxed()
}
