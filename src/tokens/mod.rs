//! Tokens: when something is born, the sessions that refresh tokens live in, what the tokens say, and whether one is alive.
//! What ends them is in `signout`.

pub mod claims;
pub mod machine;
pub mod mint;
pub mod open;
pub mod participation;
pub mod refresh;
pub mod ring;
pub mod scopes;
pub mod verify;

use crate::ambient::Ms;
use crate::cx::Cx;
use crate::pool::{Client, Pool, User};

/// The moment on the user's logical clock at which a session, a code or a challenge comes into being. Only `tick` makes one:
/// never below anything that the user, the client or the pool has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Birth(Ms);

impl Birth {
    pub fn ms(self) -> Ms {
        self.0
    }
}

/// `max(now, clock, client and pool epoch)`. The batch that uses it moves the user's clock to it
/// (`store::clocks::sign_in` or `advance_clock`), which fails if an end came in between.
pub fn tick(cx: &Cx, pool: &Pool, client: &Client, user: &User) -> Birth {
    Birth(cx.now.max(user.clock_ms).max(client.epoch_ms).max(pool.epoch_ms))
}

/// The same for what no app client asked for: confirmation codes, which outlive clients.
pub fn tick_for(cx: &Cx, pool: &Pool, user: &User) -> Birth {
    Birth(cx.now.max(user.clock_ms).max(pool.epoch_ms))
}

/// For what is born in the very batch that ends everything before it (`signout::end` comes first in that batch): just the
/// epoch that the end sets, if nothing moves the clock in between; if something does, `advance_clock` misses.
pub fn tick_after_end(cx: &Cx, pool: &Pool, user: &User) -> Birth {
    Birth(cx.now.max(user.clock_ms + 1).max(pool.epoch_ms))
}

/// For an invented user, whom nothing can end.
pub fn tick_stranger(cx: &Cx, pool: &Pool, client: &Client) -> Birth {
    Birth(cx.now.max(client.epoch_ms).max(pool.epoch_ms))
}

/// For a token that an app client gets for itself.
pub fn tick_machine(cx: &Cx, pool: &Pool, client: &Client) -> Birth {
    tick_stranger(cx, pool, client)
}

/// The birth of a session that an authorization code makes: the code's own.
pub fn reborn(code_birth_ms: Ms) -> Birth {
    Birth(code_birth_ms)
}
