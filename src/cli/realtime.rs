//! `postrider realtime`: the sidecar by itself, so that any number of them run beside workers.

use std::process::ExitCode;

use clap::Args;

use super::{Globals, serve};
use crate::roles::Role;

/// What it is for.
const HELP: &str = "\
The same as `postrider serve --role realtime`. Any number may run, behind any load balancer: they
share nothing but Postgres, and a client goes on with its cursor at whichever it reaches.

Example, a second one on this machine:
  POSTRIDER_HTTP_LISTEN=127.0.0.1:8081 postrider realtime
  curl -N -H \"Authorization: Bearer $TOKEN\" http://127.0.0.1:8081/v1/instances/shop/stream";

/// Arguments of `realtime`.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct Arguments {}

/// Streams.
pub(super) async fn run(globals: &Globals, _: &Arguments) -> anyhow::Result<ExitCode> {
    serve::run_roles(globals, &[Role::Realtime]).await
}
