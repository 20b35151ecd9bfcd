//! The command line: what each command takes, and the one place where its outcome becomes an exit code. Each command lives in
//! a file of its own beside this one; what they print goes through `out`.

mod access_key;
mod audit;
mod backup;
mod demo_idp;
mod dev;
mod keys;
mod operator;
mod out;
mod ready;
mod serve;
mod templates;
mod time;

use std::process::ExitCode;

use clap::builder::Resettable;
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{
    ArgMatches, Command as Line, CommandFactory as _, FromArgMatches as _, Parser, Subcommand,
};

use crate::error::Result;

/// A self-hosted user-pool server that speaks the Amazon Cognito user pools API.
#[derive(Parser)]
#[command(name = "cenote", version, propagate_version = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Dev(dev::Args),
    Serve(Box<serve::Args>),
    AccessKey(access_key::Args),
    Keys(keys::Args),
    Audit(audit::Args),
    Backup(backup::BackupArgs),
    Restore(backup::RestoreArgs),
    Templates(templates::Args),
}

/// 0: done. 1: failed, with a sentence on standard error. 2: bad usage, which clap has said.
pub fn main() -> ExitCode {
    let Cli { command } = parse();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            out::complain(&format!("The runtime cannot start: {error}."));
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run(command)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::debug!(?error, "failed");
            out::complain(&error.message);
            ExitCode::FAILURE
        }
    }
}

/// As `Cli::parse`, but a variable that is set to nothing is not set: containers and unit files often cannot leave one out.
fn parse() -> Cli {
    let mut line = without_empty_variables(Cli::command());
    let matches = line.get_matches_mut();
    let parsed = check_data(&matches, &mut line).and_then(|()| Cli::from_arg_matches(&matches));
    parsed.unwrap_or_else(|error| error.format(&mut line).exit())
}

fn without_empty_variables(line: Line) -> Line {
    let line = line.mut_args(|arg| {
        let value = arg.get_env().and_then(std::env::var_os);
        if value.is_some_and(|value| value.is_empty()) { arg.env(Resettable::Reset) } else { arg }
    });
    line.mut_subcommands(without_empty_variables)
}

/// `--data` says the rest, so it stands alone among an operator's arguments. Variables do not count: it wins over them.
fn check_data(matches: &ArgMatches, line: &mut Line) -> std::result::Result<(), clap::Error> {
    let mut leaf = matches;
    while let Some((name, next)) = leaf.subcommand() {
        if name == "dev" {
            return Ok(());
        }
        leaf = next;
    }
    let written = |name: &str| {
        leaf.ids().any(|id| id.as_str() == name)
            && leaf.value_source(name) == Some(ValueSource::CommandLine)
    };
    let others = ["config", "database_url", "database_ca_file", "master_key_file"];
    match others.into_iter().find(|other| written("data") && written(other)) {
        None => Ok(()),
        Some(other) => Err(line.error(
            ErrorKind::ArgumentConflict,
            format!("--data and --{} cannot be given together", other.replace('_', "-")),
        )),
    }
}

async fn run(command: Command) -> Result<()> {
    match command {
        Command::Dev(args) => dev::run(args).await,
        Command::Serve(args) => serve::run(*args).await,
        Command::AccessKey(args) => access_key::run(args).await,
        Command::Keys(args) => keys::run(args).await,
        Command::Audit(args) => audit::run(args).await,
        Command::Backup(args) => backup::backup(args).await,
        Command::Restore(args) => backup::restore(args).await,
        Command::Templates(args) => templates::run(args),
    }
}
