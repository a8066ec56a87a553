//! The `postrider` program: parse, run, exit status.

use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use mimalloc::MiMalloc;
use postrider::cli::{self, Cli};
use postrider::db::embedded;
use postrider::lifecycle::allow_many_files;

/// Deliveries are many small allocations on many threads.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    // Before anything else: in the hidden subcommand this process becomes the private Postgres.
    embedded::exec::handle();
    let cli = Cli::parse();
    allow_many_files();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    match runtime.context("starting the runtime") {
        Ok(runtime) => {
            let status = runtime.block_on(cli::run(cli));
            // What a forced end left behind must not hold the process.
            runtime.shutdown_background();
            status
        }
        Err(error) => cli::report(&error),
    }
}
