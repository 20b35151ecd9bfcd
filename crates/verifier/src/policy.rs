//! What a route does while the feed is too old to tell who was signed out. Known sign-outs are refused whatever it says.

/// In the order in which they trust less and less to chance, backwards: the last one is the weakest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Policy {
    /// Answers 503 until the feed is back: what was signed out is never accepted after `max_staleness`.
    FailClosed = 0,
    /// Asks the server about each token (at most every five seconds), and answers 503 if that fails too.
    #[default]
    Introspect = 1,
    /// Asks the server, and goes on with what is known if that fails too.
    IntrospectElseOpen = 2,
    /// Goes on with what is known: a token that was signed out meanwhile lives until it expires.
    FailOpen = 3,
}

impl std::str::FromStr for Policy {
    type Err = String;

    fn from_str(name: &str) -> Result<Policy, String> {
        Ok(match name {
            "introspect" => Policy::Introspect,
            "introspect-else-open" => Policy::IntrospectElseOpen,
            "closed" => Policy::FailClosed,
            "open" => Policy::FailOpen,
            _ => {
                return Err(format!(
                    "{name} is no policy; choose introspect, introspect-else-open, closed or open"
                ));
            }
        })
    }
}
