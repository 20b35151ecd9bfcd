//! Load: a closed loop, which shows what the server can do, and an open one at a fixed rate, which shows what a caller waits.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::task::LocalSet;

use crate::http::Connection;
use crate::server::Server;
use crate::{Failed, Result};

/// What was seen while the load lasted.
#[derive(Default)]
pub struct Window {
    pub requests: usize,
    pub elapsed: Duration,
    pub cpu: Duration,
    /// Milliseconds, in the order of the requests.
    pub waits: Vec<f64>,
    /// The bodies of the answers, in the order of the requests, where they were asked for.
    pub bodies: Vec<Vec<u8>>,
}

impl Window {
    pub fn rps(&self) -> f64 {
        self.requests as f64 / self.elapsed.as_secs_f64()
    }

    pub fn cpu_us(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.requests as f64
    }

    /// The wait that this share of the requests does not exceed.
    pub fn percentile_ms(&self, share: f64) -> f64 {
        let mut sorted = self.waits.clone();
        sorted.sort_by(f64::total_cmp);
        let at = (sorted.len() as f64 * share).ceil() as usize;
        sorted.get(at.saturating_sub(1)).copied().unwrap_or_default()
    }

    /// Two windows that measured the same thing one after the other.
    pub fn and(mut self, more: Window) -> Window {
        self.requests += more.requests;
        self.elapsed += more.elapsed;
        self.cpu += more.cpu;
        self.waits.extend(more.waits);
        self
    }
}

/// What is sent, and for how long.
pub struct Load {
    pub requests: Rc<Vec<Vec<u8>>>,
    pub connections: usize,
    pub how: How,
}

#[derive(Clone, Copy, Debug)]
pub enum How {
    /// Again and again, each connection as fast as it is answered.
    For(Duration),
    /// Each request once.
    Once,
    /// Each request once, until all were sent or the time is over.
    UsedUpOr(Duration),
    /// Each request once, with the bodies of the answers.
    OnceKept,
    /// Again and again, this many each second, whether or not the ones before have been answered.
    Rate(f64, Duration),
}

/// Where the connections of one load agree on what is next.
struct Shared {
    requests: Rc<Vec<Vec<u8>>>,
    next: Cell<usize>,
    waits: RefCell<Vec<(usize, f64)>>,
    bodies: RefCell<Vec<(usize, Vec<u8>)>>,
    how: How,
    began: Instant,
}

/// Runs the load against the server and measures both. Every answer must be a 200: a refusal is cheaper than what was asked for.
pub async fn run(server: &Server, load: Load) -> Result<Window> {
    // Connecting is not what is measured.
    let mut connections = Vec::new();
    for _ in 0..load.connections {
        connections.push(Connection::open(server.address).await?);
    }
    let cpu = server.cpu()?;
    let shared = Rc::new(Shared {
        requests: load.requests,
        next: Cell::new(0),
        waits: RefCell::default(),
        bodies: RefCell::default(),
        how: load.how,
        began: Instant::now(),
    });
    let tasks = LocalSet::new();
    let running: Vec<_> = connections
        .into_iter()
        .map(|connection| tasks.spawn_local(drive(shared.clone(), connection)))
        .collect();
    tasks
        .run_until(async {
            for task in running {
                task.await??;
            }
            Ok::<(), Failed>(())
        })
        .await?;
    let elapsed = shared.began.elapsed();
    let cpu = server.cpu()?.saturating_sub(cpu);
    let mut waits = shared.waits.take();
    waits.sort_by_key(|(at, _)| *at);
    let mut bodies = shared.bodies.take();
    bodies.sort_by_key(|(at, _)| *at);
    Ok(Window {
        requests: waits.len(),
        elapsed,
        cpu,
        waits: waits.into_iter().map(|(_, wait)| wait).collect(),
        bodies: bodies.into_iter().map(|(_, body)| body).collect(),
    })
}

async fn drive(shared: Rc<Shared>, mut connection: Connection) -> Result<()> {
    loop {
        let at = shared.next.get();
        shared.next.set(at + 1);
        let mut began = Instant::now();
        match shared.how {
            How::For(length) if shared.began.elapsed() >= length => return Ok(()),
            How::UsedUpOr(length) if shared.began.elapsed() >= length => return Ok(()),
            How::Once | How::OnceKept | How::UsedUpOr(_) if at >= shared.requests.len() => {
                return Ok(());
            }
            How::Rate(rate, length) => {
                let due = Duration::from_secs_f64(at as f64 / rate);
                if due >= length {
                    return Ok(());
                }
                let due = shared.began + due;
                if began < due {
                    // The timer's own lateness is no wait of the server's.
                    tokio::time::sleep_until(due.into()).await;
                    began = Instant::now();
                } else {
                    // Nobody was free to send it when it was due: that is.
                    began = due;
                }
            }
            _ => {}
        }
        let request =
            shared.requests.get(at % shared.requests.len().max(1)).map_or(&[][..], Vec::as_slice);
        let status = connection.send(request).await?;
        shared.waits.borrow_mut().push((at, began.elapsed().as_secs_f64() * 1_000.0));
        if status != 200 {
            let body = String::from_utf8_lossy(connection.body()).into_owned();
            return Err(Failed(format!("an answer with status {status}: {body}")));
        }
        if matches!(shared.how, How::OnceKept) {
            shared.bodies.borrow_mut().push((at, connection.body().to_vec()));
        }
    }
}
