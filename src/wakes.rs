//! Telling workers of this process that there is something to do now, so that nobody waits for their next round. What is missed here
//! (another server committed it, or this one was killed) they find by themselves.

use tokio::sync::Notify;

#[derive(Default)]
pub struct Wakes {
    /// A record is to be numbered.
    pub sequence: Notify,
    /// A record is to be expanded into deliveries.
    pub expand: Notify,
    /// A delivery is due.
    pub deliver: Notify,
    /// A provider is owed something.
    pub providers: Notify,
    /// Something is held for a receiver that may be waiting for it: all who wait look.
    pub held: Notify,
}

impl Wakes {
    /// After the commit of a sign-out; `owed`: identity providers may be owed something.
    pub fn signed_out(&self, owed: bool) {
        self.sequence.notify_one();
        self.expand.notify_one();
        if owed {
            self.providers.notify_one();
        }
    }
}
