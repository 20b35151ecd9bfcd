//! `cenote-gate`: a verifier behind a small HTTP server, for proxies that ask one before they let a request through.

mod answers;
mod config;
mod envoy;
mod grpc;
mod messages;
mod metrics;

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use cenote_verifier::Verifier;
use clap::Parser as _;
use tokio::net::{TcpListener, UnixListener};

use answers::Gate;
use config::Config;

fn main() -> ExitCode {
    let config = Config::parse();
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_env("CENOTE_GATE_LOG")
                .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info")),
        )
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .init();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&format!("no runtime: {error}")),
    };
    match runtime.block_on(run(config)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => failed(&why),
    }
}

fn failed(why: &str) -> ExitCode {
    tracing::error!("{why}");
    ExitCode::FAILURE
}

async fn run(config: Config) -> Result<(), String> {
    let verifier: Verifier = config.builder()?.start().map_err(|error| error.to_string())?;
    let gate = Arc::new(Gate::new(verifier.clone(), config.policy));
    let mut servers = tokio::task::JoinSet::new();
    let doors = [
        ("check", answers::routes(gate.clone()), &config.listen, &config.socket),
        ("gRPC", grpc::routes(gate), &config.grpc_listen, &config.grpc_socket),
    ];
    for (what, routes, addresses, socket) in doors {
        for address in addresses {
            let listener = TcpListener::bind(address)
                .await
                .map_err(|error| format!("cannot listen on {address}: {error}"))?;
            let bound = listener.local_addr().map_err(|error| error.to_string())?;
            tracing::info!("answers ({what}) on {bound}");
            servers.spawn(axum::serve(listener, routes.clone()).into_future());
        }
        if let Some(path) = socket {
            let listener = bind(path)
                .map_err(|error| format!("cannot listen on {}: {error}", path.display()))?;
            tracing::info!("answers ({what}) on unix:{}", path.display());
            servers.spawn(axum::serve(listener, routes).into_future());
        }
    }
    tokio::select! {
        ended = servers.join_next() => return Err(format!("a listener ended: {ended:?}")),
        () = told_to_stop() => {}
    }
    verifier.save().await;
    for path in config.socket.iter().chain(&config.grpc_socket) {
        let _ = std::fs::remove_file(path);
    }
    Ok(())
}

fn bind(path: &Path) -> std::io::Result<UnixListener> {
    // One that an earlier process left behind. Anything else there is not ours to remove.
    if std::os::unix::net::UnixStream::connect(path).is_err()
        && std::fs::metadata(path).is_ok_and(|found| is_socket(&found))
    {
        let _ = std::fs::remove_file(path);
    }
    UnixListener::bind(path)
}

fn is_socket(found: &std::fs::Metadata) -> bool {
    std::os::unix::fs::FileTypeExt::is_socket(&found.file_type())
}

async fn told_to_stop() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else { return };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}
