//! `cenote-bench`: what each path of a release server costs, over loopback, held against the floor that is measured in the same run.
//! `docs/performance.md` says what each path is and how to read the figures.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a bench reads real clocks, waits in real time, and talks to a terminal"
)]

mod chromium;
mod flood;
mod floors;
mod http;
mod load;
mod paths;
mod reach;
mod report;
mod requests;
mod server;
mod world;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use clap::builder::PossibleValuesParser;
use tokio::signal::unix::{SignalKind, signal};

use crate::report::{Report, say};
use crate::server::Server;
use crate::world::World;

/// Measures a release server over loopback, and the floor that each path stands on.
#[derive(Parser)]
#[command(name = "cenote-bench")]
pub struct Args {
    /// Measure these paths only
    #[arg(long, value_name = "PATHS", value_delimiter = ',', value_parser = PossibleValuesParser::new(paths::NAMES))]
    only: Vec<String>,
    /// Only how quickly a sign-out reaches those who must know of it
    #[arg(long, conflicts_with = "only")]
    reach: bool,
    /// Small sizes and short windows: a smoke test of under a minute, whose figures are rough
    #[arg(long)]
    quick: bool,
    /// Write the figures to this file as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// An empty PostgreSQL database, instead of an SQLite file that is made and removed. It is left filled
    #[arg(long, value_name = "URL")]
    database_url: Option<String>,
    /// Where the data directory is made: a disk of the kind that production has. Default: beside the build
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

/// What went wrong, as a sentence. Deliberately not `Display`, so that everything that is turns into it.
pub struct Failed(pub String);

impl<E: std::fmt::Display> From<E> for Failed {
    fn from(error: E) -> Failed {
        Failed(error.to_string())
    }
}

pub type Result<T> = std::result::Result<T, Failed>;

/// How much is measured.
pub struct Sizes {
    pub users: usize,
    pub many_users: usize,
    /// Sessions of each user at `global_sign_out_100_sessions`, and of how many users.
    pub sessions: usize,
    pub users_with_sessions: usize,
    /// Users with a password, who sign in; also how many different tokens are refreshed and shown.
    pub people: usize,
    pub window: Duration,
    pub starts: usize,
    /// Sign-outs whose way is followed, those who follow the revocation feed at once, and entries that a verifier holds.
    pub sign_outs: usize,
    pub consumers: usize,
    pub entries: &'static [usize],
}

impl Sizes {
    fn of(quick: bool) -> Sizes {
        if quick {
            Sizes {
                users: 1_000,
                many_users: 20_000,
                sessions: 100,
                users_with_sessions: 200,
                people: 200,
                window: Duration::from_millis(1_000),
                starts: 3,
                sign_outs: 20,
                consumers: 200,
                entries: &[1_000, 100_000],
            }
        } else {
            Sizes {
                users: 10_000,
                many_users: 1_000_000,
                sessions: 100,
                users_with_sessions: 5_000,
                people: 1_000,
                window: Duration::from_secs(6),
                starts: 9,
                sign_outs: 100,
                consumers: 1_000,
                entries: &[1_000, 100_000, 1_000_000, 10_000_000],
            }
        }
    }
}

fn main() -> ExitCode {
    let args = Args::parse();
    if cfg!(debug_assertions) {
        eprintln!("cenote-bench: a debug build measures nothing; run it with --release.");
        return ExitCode::from(2);
    }
    // One thread: the load must not take the cores that the server needs.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome = runtime.map_err(Failed::from).and_then(|runtime| {
        runtime.block_on(async {
            let mut terminated = signal(SignalKind::terminate())?;
            // Whatever ends this drops the server and the directory with it.
            tokio::select! {
                outcome = run(&args) => outcome,
                _ = tokio::signal::ctrl_c() => Err(Failed("interrupted".to_owned())),
                _ = terminated.recv() => Err(Failed("terminated".to_owned())),
            }
        })
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failed(message)) => {
            eprintln!("cenote-bench: {message}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: &Args) -> Result<()> {
    let sizes = Sizes::of(args.quick);
    let program = server::build()?;
    let mut world = World::make(args, &sizes).await?;
    report::machine(&world);

    let mut report = Report::default();
    report.start_ms = server::start_ms(&program, &world, sizes.starts).await?;
    let server = Server::start(&program, &world).await?;
    report.idle_rss_mb = server.idle_rss_mb().await?;
    say(&format!(
        "ready {:.0} ms after its start, {:.1} MB resident when idle",
        report.start_ms, report.idle_rss_mb
    ));

    if args.reach {
        say("");
        reach::print(&server, &world, &sizes).await?;
        server.stop();
        return Ok(());
    }
    let wanted: Vec<&str> = paths::NAMES
        .into_iter()
        .filter(|name| args.only.is_empty() || args.only.iter().any(|only| only == name))
        .collect();
    report::heading();
    for name in &wanted {
        let row = paths::measure(name, &server, &mut world, &sizes).await?;
        report.add(row);
    }
    if args.only.is_empty() {
        say("");
        reach::print(&server, &world, &sizes).await?;
        flood::print(&server, &world, &sizes).await?;
        chromium::print_first_paint(&server, &world).await;
        say(&format!("after all this: {:.1} MB resident", server.rss_mb()?));
    }
    if let Some(file) = &args.json {
        std::fs::write(file, report.to_json().to_string() + "\n")
            .map_err(|error| Failed(format!("{} cannot be written: {error}", file.display())))?;
    }
    server.stop();
    Ok(())
}
