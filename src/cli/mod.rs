//! The command line: one file a command.
//!
//! A new command: a file with its arguments (`clap::Args`) and `run`, a variant of [`Command`], an arm of `execute`.
//! What a command prints for its user goes to standard output by `writeln!` and `?`, never by `println!`, which panics
//! when the reader has gone; logs and errors go to standard error.

mod adopt;
mod bench;
mod config;
mod endpoint;
mod exit;
mod instance;
mod migrate;
mod moment;
mod output;
mod pg;
mod queue;
mod secret;
mod serve;
mod session;
mod settings;

pub use exit::report;
pub use settings::Globals;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Event delivery for teams that already run Postgres.
#[derive(Debug, Parser)]
#[command(name = "postrider", version, max_term_width = 100)]
pub struct Cli {
    /// What applies to all commands.
    #[command(flatten)]
    pub globals: Globals,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Deliver until told to stop; with no database configured, over a private Postgres
    Serve(serve::Arguments),
    /// Bring the schema up to date; safe under load, and by several at once
    Migrate(migrate::Arguments),
    /// Create, list, show and delete instances (the tenants), and their tokens
    Instance(instance::Arguments),
    /// Create, change and delete endpoints (who wants to know), test them, recover and replay
    Endpoint(endpoint::Arguments),
    /// Look at the queue and its dead letters, and re-queue them
    Queue(queue::Arguments),
    /// Let this database, a copy of another, deliver from now on
    Adopt(adopt::Arguments),
    /// Install PostgreSQL, or look into the private one
    Pg(pg::Arguments),
    /// Print the configuration in force, secrets masked
    Config(config::Arguments),
    /// Measure how fast this is, here
    Bench(bench::Arguments),
}

/// Runs a command to its end.
pub async fn run(cli: Cli) -> ExitCode {
    execute(cli).await.unwrap_or_else(|error| report(&error))
}

/// Hands over to the command.
async fn execute(cli: Cli) -> anyhow::Result<ExitCode> {
    match cli.command {
        Command::Serve(arguments) => serve::run(&cli.globals, &arguments).await,
        Command::Migrate(arguments) => migrate::run(&cli.globals, &arguments).await,
        Command::Instance(arguments) => instance::run(&cli.globals, &arguments).await,
        Command::Endpoint(arguments) => endpoint::run(&cli.globals, &arguments).await,
        Command::Queue(arguments) => queue::run(&cli.globals, &arguments).await,
        Command::Adopt(arguments) => adopt::run(&cli.globals, &arguments).await,
        Command::Pg(arguments) => pg::run(&cli.globals, &arguments).await,
        Command::Config(arguments) => config::run(&cli.globals, &arguments),
        Command::Bench(arguments) => bench::run(&cli.globals, &arguments).await,
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Cli;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn help_is_as_documented() {
        insta::assert_snapshot!(Cli::command().term_width(100).render_help(), @"
        Event delivery for teams that already run Postgres

        Usage: postrider [OPTIONS] <COMMAND>

        Commands:
          serve   Deliver until told to stop; with no database configured, over a private Postgres
          config  Print the configuration in force, secrets masked
          bench   Measure how fast this is, here
          help    Print this message or the help of the given subcommand(s)

        Options:
          -h, --help     Print help
          -V, --version  Print version

        Settings:
              --config <FILE>        Configuration file [default: POSTRIDER_CONFIG, else postrider.toml if
                                     it exists]
              --database-url <URL>   Postgres to use; better DATABASE_URL, as others see a command line
              --log-level <LEVEL>    What to log: error, warn, info, debug, trace, or by module
              --log-format <FORMAT>  How to log: text, json
        ");
    }
}
