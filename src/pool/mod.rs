//! The nouns: what a pool, an app client, a user, a group, a session are, and the rules that hold for them.
//! Types and pure functions only; nothing here reads a database, a clock or a request.

pub mod attributes;
pub mod client;
pub mod css;
pub mod factors;
pub mod feed;
pub mod group;
pub mod identity;
pub mod logo;
pub mod mapping;
pub mod names;
pub mod password;
pub mod provider;
pub mod realm;
pub mod schema;
pub mod scopes;
pub mod session;
pub mod target;
pub mod urls;
pub mod user;

pub use client::{Client, ClientDoc};
pub use factors::Factor;
pub use group::Group;
pub use identity::Identity;
pub use provider::Provider;
pub use realm::{Pool, PoolDoc};
pub use session::{SsoSession, TokenSession};
pub use target::Target;
pub use user::{Status, User, UserDoc};
