//! Whether a request may go on: the limits of its category, its pool, its client, its user and its address. Checked before anything
//! expensive, counted once however often the operation runs, and alike for names that nobody has.

use std::net::IpAddr;

use super::Cx;
use crate::error::{Error, Kind, Result};
use crate::limits::{self, Limit};

/// What a request is known to ask for before anything was looked up.
pub struct Asked<'a> {
    pub category: Limit,
    /// The pool, or what stands in for it; empty where the server itself is meant.
    pub pool: &'a str,
    /// Named by somebody who is not authenticated yet.
    pub client: Option<&'a str>,
    /// A user's name, as it was given.
    pub user: Option<&'a str>,
    /// Anybody may ask this, and it costs arithmetic or a message.
    pub costly: bool,
}

impl Cx {
    /// The same request, of which the category is counted when its token has told whose it is.
    pub fn of(mut self, category: Limit) -> Cx {
        self.category = Some(category);
        self
    }

    /// What any request of one address counts as.
    pub fn admit_address(&self, category: Option<Limit>) -> Result<()> {
        let Some(network) = self.network() else { return Ok(()) };
        self.take(category, Limit::PerAddress, "address", &[&network])
    }

    /// What the request itself says.
    pub fn admit(&self, asked: &Asked<'_>) -> Result<()> {
        let category = Some(asked.category);
        if asked.costly
            && let Some(network) = self.network()
        {
            self.take(category, Limit::PerAddressSignIn, "address", &[&network])?;
        }
        if let Some(name) = asked.user {
            // Lower case, as most pools compare; where they do not, two names share a limit.
            let name = name.trim().to_lowercase();
            let key = [asked.category.name(), asked.pool, "name", &name];
            self.take(category, Limit::PerUser, "user", &key)?;
        }
        if let Some(client) = asked.client {
            self.take(category, Limit::PerClient, "client", &[client])?;
        }
        self.take(category, asked.category, "pool", &[asked.pool])?;
        if asked.category.signs() && !self.again && self.app.compute.is_busy() {
            self.app.meters.limited(asked.category.name(), "queue");
            return Err(exceeded("too many signatures wait"));
        }
        Ok(())
    }

    /// One of those who follow a pool's revocation feed, and then the feed.
    pub fn admit_consumer(&self, pool: &str, owner: &str, consumer: &str) -> Result<()> {
        let feed = Some(Limit::Feed);
        self.take(feed, Limit::PerConsumer, "consumer", &[pool, owner, consumer])?;
        self.take(feed, Limit::Feed, "pool", &[pool])
    }

    /// What a token or a Session says, once it is known to be genuine.
    pub fn admit_token(&self, pool: &str, sub: &str) -> Result<()> {
        let Some(category) = self.category else { return Ok(()) };
        self.take(Some(category), Limit::PerUser, "user", &[category.name(), pool, "sub", sub])?;
        self.take(Some(category), category, "pool", &[pool])
    }

    fn take(
        &self,
        category: Option<Limit>,
        limit: Limit,
        by: &'static str,
        key: &[&str],
    ) -> Result<()> {
        if self.again || self.app.limits.take(limit, key, self.now) {
            return Ok(());
        }
        self.app.meters.limited(category.map_or("unknown", Limit::name), by);
        Err(exceeded(limit.name()))
    }

    /// A proxy that says nothing of its clients stands for all of them, like this machine.
    fn network(&self) -> Option<String> {
        let ip = &self.request.ip;
        let proxies = &self.app.settings.trusted_proxies;
        let is = |ip: IpAddr| proxies.iter().any(|proxy| proxy.to_canonical() == ip);
        let proxy = !proxies.is_empty() && ip.parse().is_ok_and(is);
        if proxy { None } else { limits::network(ip) }
    }
}

fn exceeded(what: &'static str) -> Error {
    Error::new(Kind::TooManyRequests, "Rate exceeded").because(what)
}
