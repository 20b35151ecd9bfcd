//! What somebody who only refreshes notices while everybody else signs in.

use std::rc::Rc;

use crate::load::{How, Load, run};
use crate::report::say;
use crate::server::Server;
use crate::world::World;
use crate::{Result, Sizes, paths, requests};

/// Refreshes each second: people who are already signed in.
const REFRESHES: f64 = 50.0;
/// Connections that sign in by password as fast as they are answered.
const FLOOD: usize = 64;

/// Prints the waits of refreshes alone, and during a flood of sign-ins.
pub async fn print(server: &Server, world: &World, sizes: &Sizes) -> Result<()> {
    let people = world.first.get(..sizes.people).unwrap_or(&world.first);
    let sessions = world.sessions(&world.client, people, 1).await?;
    let refreshes: Rc<Vec<_>> =
        Rc::new(sessions.iter().map(|one| requests::refresh(&one.refresh_token)).collect());
    let sign_ins: Rc<Vec<_>> =
        Rc::new(people.iter().map(|user| requests::password(&user.username)).collect());
    let length = paths::glance(sizes);
    let refreshing =
        || Load { requests: refreshes.clone(), connections: 16, how: How::Rate(REFRESHES, length) };
    let alone = run(server, refreshing()).await?;
    let flood = Load { requests: sign_ins, connections: FLOOD, how: How::For(length) };
    let (flooded, flood) = tokio::join!(run(server, refreshing()), run(server, flood));
    let (flooded, flood) = (flooded?, flood?);
    say(&format!(
        "{REFRESHES} refreshes a second: p50 {:.1} ms, p99 {:.1} ms; while {FLOOD} connections sign in ({:.0}/s, each waiting {:.0} ms): p50 {:.1} ms, p99 {:.1} ms",
        alone.percentile_ms(0.5),
        alone.percentile_ms(0.99),
        flood.rps(),
        flood.percentile_ms(0.5),
        flooded.percentile_ms(0.5),
        flooded.percentile_ms(0.99),
    ));
    Ok(())
}
