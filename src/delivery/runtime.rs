//! apalis, behind this one file: it owns the workers' life cycle, the tower stack around a delivery, and the drain.
//!
//! Our backend gives out what [`Dispatch`] says may start, and the acknowledgement hands the outcome to the completer; no SQL is
//! ever run inside `poll_*`. A backend that answered `None` would park its worker for ever, so it stops the worker first.
//! There is one worker a core, each in a task of its own: apalis polls a worker's handlers within its task.
//!
//! A backlog is not started all at once: after every [`STARTED_AT_ONCE`] attempts the worker goes to the end of the runtime's line,
//! behind the connections that are to send them and those whose answers have come. So what belongs to an attempt is still in the
//! processor's cache when it is sent, and a receiver that answers fast has fewer of them open at a time. One that does not answer
//! has as many as it may have, a moment later. (`bench drain`, median of five: 49 us of the worker for each in place of 56.)

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

/// Attempts that are started before everything else has its turn.
const STARTED_AT_ONCE: u32 = 64;

/// Gives out jobs.
struct Backlog {
    dispatch: Arc<Dispatch>,
    finished: Finished,
    /// How many in this turn.
    started: u32,
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
        if self.started == STARTED_AT_ONCE {
            self.started = 0;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        match self.dispatch.poll_next(context.waker()) {
            Poll::Pending => {
                self.started = 0;
                Poll::Pending
            }
            Poll::Ready(Some(job)) => {
                self.started += 1;
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
        started: 0,
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::oneshot;
    use tokio::task::yield_now;

    use super::*;
    use crate::channels::{AnyChannel, Outcome, Receipt};
    use crate::delivery::dispatch::tests::{dispatch, job, push};
    use crate::delivery::handler::Ways;
    use crate::lifecycle::Tasks;
    use crate::metrics::Metrics;
    use crate::model::Parcel;

    const BACKLOG: u32 = 500;

    /// Counts what is open to it. Its answers come by tasks of their own, as those of connections do.
    #[derive(Debug, Default)]
    struct Receiver {
        never_answers: bool,
        tasks: Tasks,
        open: AtomicUsize,
        most_open: AtomicUsize,
    }

    impl AnyChannel for Receiver {
        fn deliver_any<'a>(&'a self, _: &'a Parcel) -> BoxFuture<'a, Outcome> {
            async move {
                let open = self.open.fetch_add(1, Ordering::Relaxed) + 1;
                self.most_open.fetch_max(open, Ordering::Relaxed);
                if self.never_answers {
                    std::future::pending::<()>().await;
                }
                let (answer, answered) = oneshot::channel();
                self.tasks.spawn("connection", async move {
                    let _ = answer.send(());
                });
                let _ = answered.await;
                self.open.fetch_sub(1, Ordering::Relaxed);
                Outcome::Delivered(Receipt::default())
            }
            .boxed()
        }
    }

    /// Starts a worker with a backlog, and gives it time to start all of it.
    async fn work(receiver: Receiver) -> (Arc<Receiver>, mpsc::UnboundedReceiver<Attempt>) {
        let receiver = Arc::new(receiver);
        let dispatch = Arc::new(dispatch(1000));
        push(
            &dispatch,
            (0..i64::from(BACKLOG)).map(|number| job(number, 1 + number)),
        );
        let ways = Ways {
            webhook: receiver.clone(),
            media: None,
        };
        let (news, _) = mpsc::unbounded_channel();
        let schedule = job(1, 1).schedule;
        let handler = Handler::new(dispatch, ways, Arc::new(Metrics::new().0), news, schedule);
        let (completer, finished) = mpsc::unbounded_channel();
        let running = run("test".into(), Arc::new(handler), 1000, completer);
        receiver.tasks.serve("apalis worker", running);
        for _ in 0..10 * BACKLOG {
            yield_now().await;
        }
        (receiver, finished)
    }

    #[tokio::test]
    async fn of_a_backlog_no_more_is_open_to_a_receiver_that_answers_at_once_than_is_started_at_once()
     {
        let (receiver, mut finished) = work(Receiver::default()).await;
        let most_open = receiver.most_open.load(Ordering::Relaxed);
        assert!(
            most_open <= STARTED_AT_ONCE as usize,
            "{most_open} at a time"
        );
        for _ in 0..BACKLOG {
            assert!(finished.try_recv().is_ok(), "all of it is delivered");
        }
    }

    #[tokio::test]
    async fn to_a_receiver_that_does_not_answer_all_that_may_be_open_is_opened_all_the_same() {
        let (receiver, _) = work(Receiver {
            never_answers: true,
            ..Receiver::default()
        })
        .await;
        assert_eq!(receiver.open.load(Ordering::Relaxed), BACKLOG as usize);
    }
}
