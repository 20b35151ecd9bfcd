//! Cenote: a self-hosted server that speaks the Amazon Cognito user pools API.
//!
//! This is the map of the house in a page; `ARCHITECTURE.md` is the long one, with the promises that hold everywhere and the
//! table of which module may name which (`tests/it/edges.rs` holds the code to it).
//!
//! A request comes in at a **door**. [`cognito`] is the JSON API, [`hosted`] what browsers visit, [`oauth`] what programs call; [`dev`]
//! and [`health`] are for developers and operators. Doors know wire forms and never each other; what they share is [`site`] (which
//! pool is meant) and [`http`]. [`app`] is the only list of routes and of worker loops, [`serve`] listens, [`cli`] is the command
//! line, [`config`] every setting.
//!
//! Behind the doors stand the **decisions**. [`auth`] signs in: `auth::machine` is the rule, pure, the same at every door. [`account`]
//! is everything else that happens to a user, [`admin`] what happens to pools and app clients, [`access`] the operator's keys,
//! [`seed`] a file of all of them. [`federation`] is the identity providers of others: what they say, what is asked of them, signing out
//! there. [`tokens`] opens sessions, signs, verifies, refreshes. [`signout`] is the heart: the one way to end
//! anything, and the record that it ended; [`delivery`] tells those who are to know of it, [`targets`] is what it must hide of them. [`audit`] and [`notify`] add their rows to the same batch.
//!
//! Everything takes a [`cx::Cx`]: the shared state, the time (read once), randomness, who asks. An operation reads, decides, and
//! commits one [`store::Batch`], all or nothing, durable before the answer leaves; if a guard lost a race it runs again. [`store`] is
//! SQLite or PostgreSQL by one SQL text; [`pool`] the nouns and their rules, without I/O.
//!
//! The **leaves** know nothing of the house: [`keys`] (sealing, JSON Web Tokens), [`sigv4`], [`tls`], [`ids`], [`files`], [`meters`],
//! [`outgoing`] (the one client of every request that leaves), [`limits`] (how many requests are too many), [`compute`] (the bounded pool for arithmetic), [`turns`] (of workers at those who may hang), [`breakers`] (who of them failed of late), [`wakes`] (workers that have something to do now), [`templates`] (what pages are made of),
//! [`error`] (the one error and its wire forms), and [`ambient`], the only place that reads the clock and the random generator.
//!
//! To find a behaviour: an operation of the API by its line in the table of [`cognito`]; a page by its route in [`app::router`]; what
//! ends what in [`signout::end`] and `docs/sign-out.md`; an SQL statement in the file of its noun in [`store`].

pub mod access;
pub mod account;
pub mod admin;
pub mod ambient;
pub mod app;
pub mod audit;
pub mod auth;
pub mod breakers;
pub mod cli;
pub mod cognito;
pub mod compute;
pub mod config;
pub mod cx;
pub mod delivery;
pub mod dev;
pub mod error;
pub mod extension;
pub mod federation;
pub mod files;
pub mod health;
pub mod hosted;
pub mod http;
pub mod ids;
pub mod keys;
pub mod limits;
pub mod meters;
pub mod notify;
pub mod oauth;
pub mod outgoing;
pub mod pool;
pub mod seed;
pub mod serve;
pub mod signout;
pub mod sigv4;
pub mod site;
pub mod store;
pub mod targets;
pub mod templates;
pub mod tls;
pub mod tokens;
pub mod turns;
pub mod wakes;
