//! The server that is measured: the real `cenote serve`, built in release mode from this source, as a child process that is ended by
//! its id.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::http::{self, Connection};
use crate::world::{PUBLIC_URL, World};
use crate::{Failed, Result};

/// The unit of CPU times in `/proc`: USER_HZ, which Linux fixes at 100 for every program.
const TICKS_PER_SECOND: f64 = 100.0;

pub struct Server {
    child: Child,
    pub address: SocketAddr,
    log: PathBuf,
}

/// Brings `cenote` up to date with the source; cargo does nothing if it is: of both packages together the dependencies have the features that
/// they have here. The program stands beside this one.
pub fn build() -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--release", "--quiet", "--package", "cenote", "--package", "cenote-bench"])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .status()?;
    if !status.success() {
        return Err(Failed("the server does not build".to_owned()));
    }
    let own = std::env::current_exe()?;
    let program = own.with_file_name("cenote");
    if !program.is_file() {
        return Err(Failed(format!("{} is missing", program.display())));
    }
    Ok(program)
}

impl Server {
    /// Starts the server as an operator would, but for three things: it listens on loopback without TLS, its public URL is
    /// `http://localhost`, and its rate limits are off, because one machine plays a thousand.
    pub async fn start(program: &Path, world: &World) -> Result<Server> {
        let (listen, health) = (free_address()?, free_address()?);
        let log = world.directory.0.join("server.log");
        let mut command = Command::new(program);
        // Settings of whoever runs the bench are none of the server's.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("CENOTE_") || name == "RUST_LOG" {
                command.env_remove(name);
            }
        }
        command
            .args(["serve", "--public-url", PUBLIC_URL, "--allow-plain-http"])
            // Its receivers are on loopback, too.
            .args(["--outgoing-allow", "127.0.0.0/8"])
            // A bench is the flood that limits are there for.
            .args(["--rate-limits", "off"])
            .args(["--listen", &listen.to_string(), "--health-listen", &health.to_string()])
            .args(["--database-url", &world.database_url, "--master-key-file"])
            .arg(&world.master_key_file)
            .current_dir(&world.directory.0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log)?);
        let began = Instant::now();
        let mut server = Server { child: command.spawn()?, address: listen, log };
        let ready = http::request("GET", "localhost", "/readyz", &[], "");
        while began.elapsed() < Duration::from_secs(30) {
            if let Some(status) = server.child.try_wait()? {
                return Err(Failed(format!(
                    "the server ended with {status}: {}",
                    server.last_words()
                )));
            }
            if let Ok(mut connection) = Connection::open(health).await
                && connection.send(&ready).await.is_ok_and(|status| status == 200)
            {
                return Ok(server);
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Err(Failed(format!("the server was not ready in 30 seconds: {}", server.last_words())))
    }

    /// CPU time of the process so far, all threads, those that have ended too.
    pub fn cpu(&self) -> Result<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // The name of the program, in parentheses, may hold anything; what follows is fields from the third on.
        let fields = stat.rsplit_once(") ").map_or("", |(_, fields)| fields);
        let ticks =
            |at: usize| fields.split(' ').nth(at - 3).and_then(|field| field.parse::<f64>().ok());
        match (ticks(14), ticks(15)) {
            (Some(user), Some(system)) => {
                Ok(Duration::from_secs_f64((user + system) / TICKS_PER_SECOND))
            }
            _ => Err(Failed("/proc tells no CPU time".to_owned())),
        }
    }

    pub fn rss_mb(&self) -> Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok());
        kib.map(|kib| kib / 1024.0).ok_or_else(|| Failed("/proc tells no memory".to_owned()))
    }

    /// Resident memory of a server that has started and is asked for nothing.
    pub async fn idle_rss_mb(&self) -> Result<f64> {
        tokio::time::sleep(Duration::from_secs(1)).await;
        self.rss_mb()
    }

    /// SIGTERM, as an operator would, and the end of its drain.
    pub fn stop(mut self) {
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(10) {
            if let Ok(Some(_)) = self.child.try_wait() {
                return;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    pub fn last_words(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().rev().take(3).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join(" | ")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// From the start of the process to the first answer that it is ready, on a database that needs no migration: the median of some starts.
pub async fn start_ms(program: &Path, world: &World, starts: usize) -> Result<f64> {
    let mut taken = Vec::new();
    for _ in 0..starts {
        let began = Instant::now();
        let server = Server::start(program, world).await?;
        taken.push(began.elapsed().as_secs_f64() * 1_000.0);
        server.stop();
    }
    taken.sort_by(f64::total_cmp);
    taken.get(starts / 2).copied().ok_or_else(|| Failed("no start was measured".to_owned()))
}

fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}
