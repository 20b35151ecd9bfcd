//! The floors: what a path cannot do without, by the same libraries, in CPU time. Measured with every core busy, right before and
//! right after the path, because that is how the server runs while it is measured.

use std::hint::black_box;
use std::io::Write as _;
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::RSA_PKCS1_SHA256;
use cenote_srp::client::Client as Srp;
use cenote_srp::{ClientPublic, Server as SrpServer, Verifier, password_matches, verifier};

use crate::world::{PASSWORD, POOL, World};
use crate::{Failed, Result};

const NAME: &str = "user0000001";

/// What a path cannot do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Floor {
    /// RS256 signatures.
    Signs(u32),
    /// The check of a plain password, and two signatures.
    PasswordAndSigns,
    /// The three modular exponentiations of the server's side of SRP, and two signatures.
    SrpAndSigns,
    /// One read by primary key, through the store.
    Read,
    /// A page written for each of 64 who wait, and one fsync for all of them.
    SharedSync,
}

pub struct Bed {
    key: KeyPair,
    verifier: Verifier,
    a: ClientPublic,
    b: [u8; 32],
}

impl Bed {
    pub fn make() -> Result<Bed> {
        let key = KeyPair::generate(KeySize::Rsa2048)
            .map_err(|_| Failed("no RSA key could be made".to_owned()))?;
        let mut a = [0; 128];
        if let Some(low) = a.last_chunk_mut::<32>() {
            *low = [7; 32];
        }
        let a = ClientPublic::parse(&Srp::new(a).public_hex())?;
        Ok(Bed { key, verifier: verifier(POOL, NAME, PASSWORD, &[1; 16]), a, b: [9; 32] })
    }

    /// What a path stands on, in microseconds of CPU time; `None` for one that stands on nothing.
    pub async fn floor_us(
        &self,
        floor: Option<Floor>,
        world: &World,
        at_least: Duration,
    ) -> Result<Option<f64>> {
        match floor {
            Some(floor) => self.measure(floor, world, at_least).await,
            None => Ok(None),
        }
    }

    /// `None` where this process cannot see it: PostgreSQL syncs in a process of its own.
    async fn measure(
        &self,
        floor: Floor,
        world: &World,
        at_least: Duration,
    ) -> Result<Option<f64>> {
        Ok(Some(match floor {
            Floor::Signs(count) => f64::from(count) * self.sign_us(at_least),
            Floor::PasswordAndSigns => {
                self.sign_us(at_least) * 2.0
                    + per_call_us(at_least, || {
                        black_box(password_matches(
                            &self.verifier,
                            POOL,
                            NAME,
                            black_box(PASSWORD),
                            &[1; 16],
                        ));
                    })
            }
            Floor::SrpAndSigns => {
                self.sign_us(at_least) * 2.0
                    + per_call_us(at_least, || {
                        let server = SrpServer::new(&self.verifier, black_box(self.b));
                        black_box(server.key(&self.verifier, &self.a).is_ok());
                    })
            }
            Floor::Read => read_us(world, at_least).await?,
            Floor::SharedSync if !world.app.db.is_sqlite() => return Ok(None),
            Floor::SharedSync => sync(world, at_least)?.0 / 64.0,
        }))
    }

    fn sign_us(&self, at_least: Duration) -> f64 {
        let hash = digest(&SHA256, b"a token's header and payload");
        per_call_us(at_least, || {
            let mut signature = [0; 256];
            let length = self.key.public_modulus_len().min(signature.len());
            let signed = signature
                .get_mut(..length)
                .map(|out| self.key.sign_digest(&RSA_PKCS1_SHA256, &hash, out));
            black_box(signed.is_some_and(|signed| signed.is_ok()));
        })
    }
}

pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// The mean CPU time of a call, with every core busy at it.
fn per_call_us(at_least: Duration, work: impl Fn() + Sync) -> f64 {
    work();
    let parts: Vec<(f64, f64)> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..cores()).map(|_| scope.spawn(|| busy(at_least, &work))).collect();
        threads.into_iter().filter_map(|thread| thread.join().ok()).collect()
    });
    let (cpu, calls) = parts.iter().fold((0.0, 0.0), |sum, part| (sum.0 + part.0, sum.1 + part.1));
    cpu / calls
}

/// CPU time in microseconds, and calls.
fn busy(at_least: Duration, work: &impl Fn()) -> (f64, f64) {
    let (began, cpu, mut calls) = (Instant::now(), thread_cpu_us(), 0.0);
    while began.elapsed() < at_least {
        for _ in 0..16 {
            work();
        }
        calls += 16.0;
    }
    (thread_cpu_us() - cpu, calls)
}

/// Everything of a read happens in this thread: SQLite's work, or the connections to PostgreSQL, which this runtime drives.
async fn read_us(world: &World, at_least: Duration) -> Result<f64> {
    let subs: Vec<&str> = world.first.iter().take(1_000).map(|user| user.sub.as_str()).collect();
    let (began, cpu, mut calls) = (Instant::now(), thread_cpu_us(), 0.0);
    while began.elapsed() < at_least {
        for sub in &subs {
            let user = cenote::store::users::find(&world.app.db, POOL, sub).await?;
            black_box(user.is_some());
            calls += 1.0;
        }
    }
    Ok((thread_cpu_us() - cpu) / calls)
}

/// CPU time of a write of 64 pages at the end of a file and one fsync, in microseconds; and how long it takes, in milliseconds.
pub fn sync(world: &World, at_least: Duration) -> Result<(f64, f64)> {
    let mut file = std::fs::File::create(world.directory.0.join("sync.test"))?;
    let pages = vec![7; 64 * 4_096];
    let (began, mut calls) = (Instant::now(), 0.0);
    let cpu = thread_cpu_us();
    while began.elapsed() < at_least {
        file.write_all(&pages)?;
        file.sync_data()?;
        calls += 1.0;
    }
    Ok(((thread_cpu_us() - cpu) / calls, began.elapsed().as_secs_f64() * 1_000.0 / calls))
}

/// CPU time of this thread. The kernel brings the figure up to date when the thread yields.
fn thread_cpu_us() -> f64 {
    std::thread::yield_now();
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    stat.split(' ').next().and_then(|ns| ns.parse::<f64>().ok()).unwrap_or_default() / 1_000.0
}
