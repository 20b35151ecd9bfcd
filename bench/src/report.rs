//! What is printed, and the JSON for programs.

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use serde_json::{Value, json};

use crate::floors;
use crate::load::Window;
use crate::world::World;

/// What the design allows a path.
#[derive(Clone, Copy, Debug)]
pub enum Budget {
    /// CPU time as a multiple of the floor.
    Ratio(f64),
    Rps(f64),
    P99Ms(f64),
    None,
}

pub struct Row {
    path: String,
    rps: f64,
    p50_ms: f64,
    p99_ms: f64,
    cpu_us: f64,
    floor_us: Option<f64>,
    budget: Budget,
}

impl Row {
    /// `waits` is the window in which waits were measured, if it was not the same.
    pub fn new(
        path: &str,
        window: &Window,
        waits: Option<&Window>,
        floor_us: Option<f64>,
        budget: Budget,
    ) -> Row {
        let waits = waits.unwrap_or(window);
        Row {
            path: path.to_owned(),
            rps: window.rps(),
            p50_ms: waits.percentile_ms(0.5),
            p99_ms: waits.percentile_ms(0.99),
            cpu_us: window.cpu_us(),
            floor_us,
            budget,
        }
    }

    fn ratio(&self) -> Option<f64> {
        self.floor_us.map(|floor| self.cpu_us / floor)
    }

    /// The budget, and whether it was kept.
    fn verdict(&self) -> String {
        let (text, kept) = match self.budget {
            Budget::None => return String::new(),
            Budget::Ratio(most) => {
                (format!("ratio <= {most}"), self.ratio().is_some_and(|ratio| ratio <= most))
            }
            Budget::Rps(least) => (format!("req/s >= {least}"), self.rps >= least),
            Budget::P99Ms(most) => (format!("p99 < {most} ms at half load"), self.p99_ms < most),
        };
        format!("{text}: {}", if kept { "kept" } else { "MISSED" })
    }
}

#[derive(Default)]
pub struct Report {
    rows: Vec<Row>,
    pub idle_rss_mb: f64,
    pub start_ms: f64,
}

impl Report {
    /// Prints a row and keeps it.
    pub fn add(&mut self, row: Row) {
        let or_dash = |figure: Option<f64>, digits| {
            figure.map_or("-".to_owned(), |figure| format!("{figure:.digits$}"))
        };
        progress("");
        say(&format!(
            "{:<29} {:>8.0} {:>8.2} {:>8.2} {:>8.0} {:>8} {:>6}   {}",
            row.path,
            row.rps,
            row.p50_ms,
            row.p99_ms,
            row.cpu_us,
            or_dash(row.floor_us, 1),
            or_dash(row.ratio(), 2),
            row.verdict()
        ));
        self.rows.push(row);
    }

    pub fn to_json(&self) -> Value {
        let rows = self.rows.iter().map(|row| {
            json!({
                "path": row.path,
                "rps": rounded(row.rps),
                "p50_ms": rounded(row.p50_ms),
                "p99_ms": rounded(row.p99_ms),
                "cpu_us": rounded(row.cpu_us),
                "floor_us": row.floor_us.map(rounded),
                "ratio": row.ratio().map(rounded),
            })
        });
        json!({
            "paths": rows.collect::<Vec<_>>(),
            "idle_rss_mb": rounded(self.idle_rss_mb),
            "start_ms": rounded(self.start_ms),
        })
    }
}

/// Three digits after the point: more would be noise.
fn rounded(figure: f64) -> f64 {
    (figure * 1_000.0).round() / 1_000.0
}

pub fn heading() {
    say("");
    say(&format!(
        "{:<29} {:>8} {:>8} {:>8} {:>8} {:>8} {:>6}   budget",
        "path", "req/s", "p50 ms", "p99 ms", "CPU us", "floor us", "ratio"
    ));
}

/// What a reader must know to compare.
pub fn machine(world: &World) {
    let database = if world.app.db.is_sqlite() {
        let kind = file_system(world).unwrap_or_else(|| "an unknown file system".to_owned());
        let sync = floors::sync(world, Duration::from_millis(300)).map_or(0.0, |(_, ms)| ms);
        let memory = if matches!(kind.as_str(), "tmpfs" | "ramfs") {
            "; IT IS MEMORY, so that nothing here is durable: choose a disk with --data"
        } else {
            ""
        };
        format!("SQLite on {kind}, where an fsync of 64 pages takes {sync:.2} ms{memory}")
    } else {
        "PostgreSQL; an fsync happens in its processes, whose CPU time is not counted".to_owned()
    };
    say(&format!("{} cores; {database}", floors::cores()));
    say(
        "rate limits of the server are off: one machine plays a thousand. CPU time per request is the figure to trust on a busy machine",
    );
}

/// The type of the file system with the longest mount point above the data.
fn file_system(world: &World) -> Option<String> {
    let directory = std::fs::canonicalize(&world.directory.0).ok()?;
    let mounts = std::fs::read_to_string("/proc/self/mounts").ok()?;
    let mut found: Option<(&str, &str)> = None;
    for line in mounts.lines() {
        let mut fields = line.split(' ').skip(1);
        let (Some(point), Some(kind)) = (fields.next(), fields.next()) else { continue };
        if directory.starts_with(point)
            && found.is_none_or(|(longest, _)| point.len() >= longest.len())
        {
            found = Some((point, kind));
        }
    }
    found.map(|(_, kind)| kind.to_owned())
}

pub fn say(line: &str) {
    println!("{line}");
}

/// A line that the next one overwrites, for who watches.
pub fn progress(line: &str) {
    if std::io::stdout().is_terminal() {
        print!("\r\x1b[K{line}");
        let _ = std::io::stdout().flush();
    }
}
