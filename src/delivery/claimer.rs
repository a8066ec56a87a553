//! Claims what is newly due, as soon as it is. It has a connection of its own beside the sweeper's: whoever has just committed
//! waits for no claim of a backlog.

use std::sync::Arc;

use tokio::time::{Duration, Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::alarm::Alarm;
use super::intake::{Intake, Patience};
use crate::db::doorbell::{Found, Listener};

/// How long to wait while there is no room at all, because the database does not take outcomes.
const CROWDED: Duration = Duration::from_millis(5);

/// The claimer of one worker.
pub(super) struct Claimer {
    pub(super) intake: Arc<Intake>,
    pub(super) alarm: Arc<Alarm>,
}

impl Claimer {
    /// Runs until told to stop.
    pub(super) async fn run(self, mut listener: Listener, stop: CancellationToken) {
        let mut patience = Patience::new();
        loop {
            tokio::select! {
                () = listener.turn() => {}
                () = self.alarm.rings() => {}
                () = stop.cancelled() => return,
            }
            let mut room = self.intake.room();
            while room == 0 {
                tokio::select! {
                    () = sleep(CROWDED) => {}
                    () = stop.cancelled() => return,
                }
                room = self.intake.room();
            }
            let plan = self.intake.lanes().fresh(room, Instant::now());
            match self.intake.claim(&plan).await {
                Ok(brought) => {
                    patience.restore();
                    listener.found(if brought.more {
                        Found::More
                    } else if brought.something {
                        Found::Something
                    } else {
                        Found::Nothing
                    });
                }
                Err(error) => {
                    self.intake.failed(&error, &mut patience, &stop).await;
                    listener.found(Found::More);
                }
            }
        }
    }
}
