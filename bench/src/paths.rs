//! The paths: what each sends, and how it is measured.

use std::rc::Rc;
use std::time::Duration;

use crate::floors::{Bed, Floor};
use crate::load::{How, Load, Window, run};
use crate::report::{Budget, Row, progress};
use crate::requests::{self, Handshake};
use crate::server::Server;
use crate::world::{World, email};
use crate::{Failed, Result, Sizes};

/// Every path, in the order in which they are measured: those that need a million users come last, and leave them there.
pub const NAMES: [&str; 11] = [
    "refresh",
    "code_exchange",
    "srp_sign_in",
    "password_sign_in",
    "client_credentials",
    "get_user",
    "introspect",
    "global_sign_out",
    "global_sign_out_100_sessions",
    "global_sign_out_1m_users",
    "list_users_1m_users",
];

/// Connections where it is not the load itself that is asked about: enough to keep every core busy.
pub const CONNECTIONS: usize = 8;
/// Who wait for one fsync together.
const WAITING: usize = 64;

/// Measures a path, with its floor before and after it.
pub async fn measure(name: &str, server: &Server, world: &mut World, sizes: &Sizes) -> Result<Row> {
    if name.ends_with("_1m_users") && world.users < sizes.many_users {
        progress(&format!("adding users until there are {} ..", sizes.many_users));
        world.grow(sizes.many_users, 0).await?;
    }
    let (floor, budget) = stands_on(name);
    let bed = Bed::make()?;
    let at_least = sizes.window / 12;
    progress(&format!("{name}: its floor .."));
    let before = bed.floor_us(floor, world, at_least).await?;
    progress(&format!("{name} .."));
    let at = At { server, world, sizes };
    let (window, waits) = match name {
        "refresh" => at.refresh().await?,
        "code_exchange" => at.code_exchange().await?,
        "srp_sign_in" => at.srp_sign_in().await?,
        "password_sign_in" => at.password_sign_in().await?,
        "client_credentials" => (at.repeated(vec![requests::client_credentials()]).await?, None),
        "introspect" => at.introspect().await?,
        "get_user" => at.get_user().await?,
        "global_sign_out" => at.global_sign_out(&world.first, 1).await?,
        "global_sign_out_100_sessions" => {
            let users = world.first.get(..sizes.users_with_sessions).unwrap_or(&world.first);
            at.global_sign_out(users, sizes.sessions).await?
        }
        "global_sign_out_1m_users" => at.global_sign_out(&world.spread, 1).await?,
        "list_users_1m_users" => at.list_users().await?,
        name => return Err(Failed(format!("{name} is no path"))),
    };
    let after = bed.floor_us(floor, world, at_least).await?;
    let floor_us = before.zip(after).map(|(before, after)| (before + after) / 2.0);
    Ok(Row::new(name, &window, waits.as_ref(), floor_us, budget))
}

/// The floors and budgets of the design.
fn stands_on(name: &str) -> (Option<Floor>, Budget) {
    match name {
        "refresh" | "code_exchange" => (Some(Floor::Signs(2)), Budget::Ratio(1.15)),
        "client_credentials" => (Some(Floor::Signs(1)), Budget::Ratio(1.25)),
        "srp_sign_in" => (Some(Floor::SrpAndSigns), Budget::Ratio(1.25)),
        "password_sign_in" => (Some(Floor::PasswordAndSigns), Budget::Ratio(1.15)),
        "get_user" | "introspect" => (Some(Floor::Read), Budget::P99Ms(2.0)),
        name if name.starts_with("global_sign_out") => {
            (Some(Floor::SharedSync), Budget::Rps(4_000.0))
        }
        _ => (None, Budget::None),
    }
}

/// The window at full load, and, where callers are only interested in a server with room to spare, another at half of that rate.
type Seen = (Window, Option<Window>);

struct At<'a> {
    server: &'a Server,
    world: &'a World,
    sizes: &'a Sizes,
}

impl At<'_> {
    async fn refresh(&self) -> Result<Seen> {
        let sessions = self.world.sessions(&self.world.client, self.people(), 1).await?;
        let requests = sessions.iter().map(|one| requests::refresh(&one.refresh_token)).collect();
        Ok((self.repeated(requests).await?, None))
    }

    async fn code_exchange(&self) -> Result<Seen> {
        // More than can be redeemed in the time: a signature takes at least a third of a millisecond of one core.
        let most = self.sizes.window.as_millis() as usize * crate::floors::cores() * 2;
        let codes = self.world.codes(most, &requests::challenge()).await?;
        let mut requests: Vec<Vec<u8>> =
            codes.iter().map(|code| requests::code_exchange(code)).collect();
        let rest = requests.split_off(requests.len() / 8);
        self.load(requests, CONNECTIONS, How::Once).await?;
        Ok((self.load(rest, CONNECTIONS, How::UsedUpOr(self.sizes.window)).await?, None))
    }

    /// The client's arithmetic costs as much as the server's, so that it is done between two windows: one of first messages, one of
    /// answers. Their sum is measured.
    async fn srp_sign_in(&self) -> Result<Seen> {
        let handshake = Handshake::new();
        let begin: Rc<Vec<Vec<u8>>> =
            Rc::new(self.people().iter().map(|user| handshake.begin(&user.username)).collect());
        let mut sum: Option<Window> = None;
        while sum.as_ref().is_none_or(|sum| sum.elapsed < self.sizes.window) {
            let load =
                Load { requests: begin.clone(), connections: CONNECTIONS, how: How::OnceKept };
            let first = run(self.server, load).await?;
            let answers: Result<Vec<_>> =
                first.bodies.iter().map(|body| handshake.answer(body)).collect();
            let second = self.load(answers?, CONNECTIONS, How::Once).await?;
            let both = Window {
                requests: first.requests,
                elapsed: first.elapsed + second.elapsed,
                cpu: first.cpu + second.cpu,
                waits: first.waits.iter().zip(&second.waits).map(|(one, two)| one + two).collect(),
                bodies: Vec::new(),
            };
            sum = Some(match sum {
                None => both,
                Some(sum) => sum.and(both),
            });
        }
        Ok((sum.unwrap_or_default(), None))
    }

    async fn password_sign_in(&self) -> Result<Seen> {
        let requests =
            self.people().iter().map(|user| requests::password(&user.username)).collect();
        Ok((self.repeated(requests).await?, None))
    }

    async fn get_user(&self) -> Result<Seen> {
        let client = &self.world.client;
        let sessions = self.world.sessions(client, self.people(), 1).await?;
        let tokens = self.world.access_tokens(client, &sessions).await?;
        self.at_half_load(tokens.iter().map(|token| requests::get_user(token)).collect()).await
    }

    async fn introspect(&self) -> Result<Seen> {
        let client = &self.world.web;
        let sessions = self.world.sessions(client, self.people(), 1).await?;
        let tokens = self.world.access_tokens(client, &sessions).await?;
        self.at_half_load(tokens.iter().map(|token| requests::introspect(token)).collect()).await
    }

    async fn list_users(&self) -> Result<Seen> {
        let now = self.world.cx().now;
        let step = (self.world.users / 1_000).max(1);
        let emails = (0..self.world.users).step_by(step).map(email);
        let key = &self.world.access_key;
        self.at_half_load(emails.map(|email| requests::list_users(&email, key, now)).collect())
            .await
    }

    /// Each user signs out once in each round, with `each` sessions open.
    async fn global_sign_out(&self, users: &[cenote::pool::User], each: usize) -> Result<Seen> {
        let rounds = if each > 1 { 1 } else { 2 };
        let mut sum: Option<Window> = None;
        for _ in 0..rounds {
            let client = &self.world.client;
            let mut sessions = self.world.sessions(client, users, each).await?;
            let mut nth = 0;
            // One token of each user will do: it ends all of the user's sessions.
            sessions.retain(|_| {
                nth += 1;
                nth % each == 0
            });
            let tokens = self.world.access_tokens(client, &sessions).await?;
            let requests = tokens.iter().map(|token| requests::global_sign_out(token)).collect();
            let window = self.load(requests, WAITING, How::Once).await?;
            sum = Some(match sum {
                None => window,
                Some(sum) => sum.and(window),
            });
        }
        Ok((sum.unwrap_or_default(), None))
    }

    /// The same requests again and again, after all of them have been seen.
    async fn repeated(&self, requests: Vec<Vec<u8>>) -> Result<Window> {
        let requests = Rc::new(requests);
        let load = |how| Load { requests: requests.clone(), connections: CONNECTIONS, how };
        run(self.server, load(How::For(self.sizes.window / 6))).await?;
        run(self.server, load(How::For(self.sizes.window))).await
    }

    async fn at_half_load(&self, requests: Vec<Vec<u8>>) -> Result<Seen> {
        let requests = Rc::new(requests);
        let load = |connections, how| Load { requests: requests.clone(), connections, how };
        run(self.server, load(CONNECTIONS, How::Once)).await?;
        let full = run(self.server, load(CONNECTIONS, How::For(self.sizes.window))).await?;
        let half = How::Rate(full.rps() / 2.0, self.sizes.window);
        let waits = run(self.server, load(4 * CONNECTIONS, half)).await?;
        Ok((full, Some(waits)))
    }

    async fn load(&self, requests: Vec<Vec<u8>>, connections: usize, how: How) -> Result<Window> {
        run(self.server, Load { requests: Rc::new(requests), connections, how }).await
    }

    fn people(&self) -> &[cenote::pool::User] {
        self.world.first.get(..self.sizes.people).unwrap_or(&self.world.first)
    }
}

/// How long something is looked at that is printed and not measured against a budget.
pub fn glance(sizes: &Sizes) -> Duration {
    sizes.window / 2
}
