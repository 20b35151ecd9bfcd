//! The one place that writes to the terminal: answers to standard output, complaints and logs to standard error.

use std::io::{self, IsTerminal as _, Write as _};

use tracing_subscriber::EnvFilter;

/// What the command was asked for. A reader that has gone away (`cenote audit | head`) is no failure.
pub fn say(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Why the command failed.
pub fn complain(message: &str) {
    let _ = writeln!(io::stderr().lock(), "cenote: {message}");
}

/// Logs: `RUST_LOG` decides what, standard error is where.
pub fn log(json: bool) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    let set = if json {
        builder.json().flatten_event(true).try_init()
    } else {
        builder.with_target(false).with_ansi(io::stderr().is_terminal()).try_init()
    };
    if let Err(error) = set {
        complain(&format!("The log cannot be written: {error}."));
    }
}
