//! The command line: one file a command.
//!
//! A new command: a file with its arguments (`clap::Args`) and `run`, a variant of [`Command`], an arm of `execute`.
//! What a command prints for its user goes to standard output by `writeln!` and `?`, never by `println!`, which panics
//! when the reader has gone; logs and errors go to standard error.

mod adopt;
mod bench;
mod config;
mod demo;
mod doctor;
mod endpoint;
mod exit;
mod first_token;
mod instance;
mod keys;
mod listen;
mod migrate;
mod moment;
mod output;
mod pg;
mod queue;
mod realtime;
mod secret;
mod serve;
mod session;
mod settings;
mod token;

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
    /// See it work: a private Postgres, a real receiver, and events by every way there is
    Demo(demo::Arguments),
    /// Deliver until told to stop; with no database configured, over a private Postgres
    Serve(serve::Arguments),
    /// Only stream events over sockets, beside others that deliver them
    Realtime(realtime::Arguments),
    /// Bring the schema up to date; safe under load, and by several at once
    Migrate(migrate::Arguments),
    /// Create, list, show and delete instances (the tenants), and their tokens
    Instance(instance::Arguments),
    /// Make, list and revoke tokens for the HTTP APIs
    Token(token::Arguments),
    /// Create, change and delete endpoints (who wants to know), test them, re-queue and replay
    Endpoint(endpoint::Arguments),
    /// Print an instance's events as they come, or POST them to a URL of this machine
    Listen(listen::Arguments),
    /// Look at the queue and its dead letters, and re-queue them
    Queue(queue::Arguments),
    /// Seal all secrets anew after the encryption key was changed
    Keys(keys::Arguments),
    /// Look at a live deployment and say what is wrong, and what to do about it
    Doctor(doctor::Arguments),
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
        Command::Demo(arguments) => demo::run(&cli.globals, &arguments).await,
        Command::Serve(arguments) => serve::run(&cli.globals, &arguments).await,
        Command::Realtime(arguments) => realtime::run(&cli.globals, &arguments).await,
        Command::Migrate(arguments) => migrate::run(&cli.globals, &arguments).await,
        Command::Instance(arguments) => instance::run(&cli.globals, &arguments).await,
        Command::Token(arguments) => token::run(&cli.globals, &arguments).await,
        Command::Endpoint(arguments) => endpoint::run(&cli.globals, &arguments).await,
        Command::Listen(arguments) => listen::run(&cli.globals, &arguments).await,
        Command::Queue(arguments) => queue::run(&cli.globals, &arguments).await,
        Command::Keys(arguments) => keys::run(&cli.globals, &arguments).await,
        Command::Doctor(arguments) => Box::pin(doctor::run(&cli.globals, &arguments)).await,
        Command::Adopt(arguments) => adopt::run(&cli.globals, &arguments).await,
        Command::Pg(arguments) => pg::run(&cli.globals, &arguments).await,
        Command::Config(arguments) => config::run(&cli.globals, &arguments),
        Command::Bench(arguments) => bench::run(&cli.globals, arguments).await,
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
        insta::assert_snapshot!("help", Cli::command().term_width(100).render_help());
    }

    #[test]
    fn every_command_has_its_help_and_every_action_an_example() {
        let mut cli = Cli::command().term_width(100);
        cli.build();
        let mut commands = Vec::new();
        // `bench` prints how to repeat what it did; its help is its own.
        for command in cli
            .get_subcommands()
            .filter(|command| !["help", "bench"].contains(&command.get_name()))
        {
            let actions: Vec<_> = command
                .get_subcommands()
                .filter(|action| action.get_name() != "help")
                .collect();
            for action in &actions {
                let mut action = (*action).clone();
                let help = action.render_help().to_string();
                assert!(help.contains("\nExample"), "{}: {help}", action.get_name());
            }
            commands.push(command.clone());
            commands.extend(actions.into_iter().cloned());
        }
        for mut command in commands {
            let name = command
                .get_bin_name()
                .expect("it was built")
                .replace(' ', "_");
            let shown = without_the_settings_of_all(&command.render_help().to_string());
            insta::assert_snapshot!(name, shown);
        }
    }

    /// The help as far as it is a command's own.
    fn without_the_settings_of_all(help: &str) -> String {
        let Some((own, rest)) = help.split_once("Settings:\n") else {
            return help.to_owned();
        };
        let (_, after) = rest.split_once("\n\n").unwrap_or_default();
        format!("{own}{after}")
    }
}
