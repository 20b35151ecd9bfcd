//! The command line: what each command takes, and the one place where its outcome becomes an exit code. Each command lives in
//! a file of its own beside this one; what they print goes through `out`.

mod access_key;
mod audit;
mod dev;
mod keys;
mod operator;
mod out;
mod ready;
mod serve;
mod time;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

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
}

/// 0: done. 1: failed, with a sentence on standard error. 2: bad usage, which clap has said.
pub fn main() -> ExitCode {
    let Cli { command } = Cli::parse();
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

async fn run(command: Command) -> Result<()> {
    match command {
        Command::Dev(args) => dev::run(args).await,
        Command::Serve(args) => serve::run(*args).await,
        Command::AccessKey(args) => access_key::run(args).await,
        Command::Keys(args) => keys::run(args).await,
        Command::Audit(args) => audit::run(args).await,
    }
}
