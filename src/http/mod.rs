//! The HTTP listener: every process has one, for metrics and health at least; the role `api` adds the APIs.
//!
//! Our own API is in [`v1`]; each dialect's folder is a thin adapter over the same model (`db::administration`). [`api`] puts
//! them together, `routes` has what every process answers.
//!
//! # Adding a route
//!
//! A route is a function with a description, in the folder of its dialect:
//!
//! ```ignore
//! /// Shows an instance.
//! #[utoipa::path(get, path = "/v1/instances/{instance}", security(("bearer" = [])),
//!     responses((status = 200, description = "The instance", body = InstanceView)))]
//! async fn get(State(api): State<Api>, caller: Caller, Path(name): Path<String>) -> Result<Json<InstanceView>, Fault> {
//!     let instance = caller.instance(&api, &name).await?;      // 404 beyond the caller's reach
//!     Ok(Json(InstanceView::from(instance)))
//! }
//! ```
//!
//! and a line in the folder's `router()`: `.routes(routes!(get, delete))` (one `routes!` for each path). There is no other
//! way: a route that is not described is found by no test of ours, so `.route(…)` is refused in these folders. Every status
//! that the function itself answers stands in its `responses`; what any route may answer stands in `MANNER.faults`.
//! Schemas are named for their dialect (`RyzeWebhook`), as all stand in one document.
//!
//! - **Who calls:** taking a [`auth::Caller`] makes a route ask for a token. It is looked for in the `carriers` of the
//!   dialect's [`manner::Manner`]. What is looked up for a caller is looked up with `caller.reach()` or by
//!   `caller.instance(…)`, and so never lies beyond what the token is good for.
//! - **What is sent:** [`extract::Json`], [`extract::Query`], [`extract::Path`]: ours, not axum's, because theirs answer errors
//!   in a shape of their own. Whatever body there is: [`extract::read`] and [`extract::parse`].
//! - **Where deliveries go:** every URL that a caller gives is looked at by [`target::check_target`] before it is kept.
//! - **What goes wrong:** return a [`fault::Fault`]; `?` on a `db::Error` makes one. The manner's `shape` writes it as clients
//!   of the dialect expect, also for an unknown path below its `prefixes`, a method that is not allowed and a panic.
//! - **How often:** `MANNER.limit` names a bucket and a number for a request; tokens are counted over all processes, and
//!   `X-RateLimit-*` is written on the response.
//! - **What is kept:** `api.database` (`create_instance`, `find_instance`, `instances_within`, `endpoint_records`,
//!   `set_endpoint` with its `EndpointRules`, `set_endpoint_state`, `delete_endpoint`, `publish`, `publish_batch`, …) and
//!   `api.keyring`, which opens what rests sealed. After a token was revoked or an instance deleted: `api.tokens.forget()`.

pub mod api;
pub mod auth;
pub mod codechat;
mod cors;
mod document;
pub mod evolution;
pub mod extract;
pub mod fault;
mod health;
pub mod limit;
pub mod manner;
mod metrics;
mod mount;
mod object;
mod reference;
mod request_id;
mod routes;
pub mod ryze;
pub mod target;
pub mod v1;
pub mod vzaps;

pub use mount::Mounts;
pub use request_id::RequestId;
pub use routes::router;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::middleware::from_fn;
use axum::serve::ListenerExt;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::metrics::Exporter;
use crate::readiness::Readiness;

/// How long answers under way may take once the process ends.
const GRACE: Duration = Duration::from_secs(1);

/// What handlers use.
#[derive(Debug, Clone)]
pub struct State {
    /// Renders `/metrics`.
    pub exporter: Exporter,
    /// Answers `/readyz`.
    pub readiness: Readiness,
    /// Cancelled when the process shuts down, and is no longer ready.
    pub soft: CancellationToken,
    /// What roles add to it.
    pub mounts: Mounts,
}

/// Whoever takes nothing of what is sent to it for so long is cut off. A stream of events has no other end: its reader may
/// stop reading, and stay.
const STUCK_MAX: Duration = Duration::from_mins(1);

/// Answers until `hard`, and a little longer whoever is being answered.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    hard: CancellationToken,
) -> io::Result<()> {
    serve_with(listener, router, hard, STUCK_MAX).await
}

/// The same where readers may be stuck for another time.
pub async fn serve_with(
    listener: TcpListener,
    router: Router,
    hard: CancellationToken,
    stuck_max: Duration,
) -> io::Result<()> {
    let listener = listener.tap_io(move |connection| {
        // Answers are small and written at once; to wait for more would only delay them. A refusal costs no more.
        let _ = connection.set_nodelay(true);
        #[cfg(target_os = "linux")]
        let _ = socket2::SockRef::from(&*connection).set_tcp_user_timeout(Some(stuck_max));
    });
    let router = router.layer(from_fn(request_id::identify));
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let server =
        axum::serve(listener, service).with_graceful_shutdown(hard.clone().cancelled_owned());
    // A client that never finishes its request must not hold the process.
    let overtime = async {
        hard.cancelled().await;
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        ended = server.into_future() => ended,
        () = overtime => Ok(()),
    }
}
