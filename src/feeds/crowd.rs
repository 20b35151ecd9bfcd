//! The places of those who follow a pool's feed here: so many in all, and so few for each that one gone wild leaves the others theirs.

use std::collections::HashMap;
use std::sync::Arc;

use super::hub::{Hub, lock};

/// Requests of one pool that wait at once, and streams that are open.
const MAX_WAITING: usize = 5_000;
const MAX_STREAMING: usize = 2_000;
/// Of these, one consumer's. It needs one; the rest is for those whose end is not noticed yet, which of a stream may take TCP minutes.
const MAX_WAITING_EACH: usize = 16;
const MAX_STREAMING_EACH: usize = 32;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    Waiting,
    Streaming,
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// All are taken.
    Pool,
    /// This consumer has all that one may have.
    Consumer,
}

/// A consumer: whose it is, and its name.
pub type Who = (String, String);

#[derive(Default)]
pub struct Crowd {
    waiting: Places,
    streaming: Places,
    /// A task reads for them.
    pub at_work: bool,
}

#[derive(Default)]
struct Places {
    taken: usize,
    of_each: HashMap<Who, usize>,
}

impl Crowd {
    /// How many wait, and how many stream.
    pub fn count(&self) -> (usize, usize) {
        (self.waiting.taken, self.streaming.taken)
    }

    pub fn is_empty(&self) -> bool {
        self.count() == (0, 0)
    }

    pub fn enter(&mut self, how: How, who: &Who) -> Result<(), Full> {
        let (places, most, most_each) = match how {
            How::Waiting => (&mut self.waiting, MAX_WAITING, MAX_WAITING_EACH),
            How::Streaming => (&mut self.streaming, MAX_STREAMING, MAX_STREAMING_EACH),
        };
        if places.of_each.get(who).is_some_and(|own| *own >= most_each) {
            return Err(Full::Consumer);
        }
        if places.taken >= most {
            return Err(Full::Pool);
        }
        places.taken += 1;
        *places.of_each.entry(who.clone()).or_default() += 1;
        Ok(())
    }

    fn leave(&mut self, how: How, who: &Who) {
        let places = match how {
            How::Waiting => &mut self.waiting,
            How::Streaming => &mut self.streaming,
        };
        places.taken = places.taken.saturating_sub(1);
        if let Some(own) = places.of_each.get_mut(who) {
            *own -= 1;
            if *own == 0 {
                places.of_each.remove(who);
            }
        }
    }
}

/// Held by whoever follows.
pub struct Place {
    pub(super) hub: Arc<Hub>,
    pub(super) how: How,
    pub(super) who: Who,
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.hub.crowd).leave(self.how, &self.who);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feeds::Feeds;

    fn who(n: usize) -> Who {
        ("client".to_owned(), n.to_string())
    }

    fn places(hub: &Arc<Hub>, how: How, most: usize, each: usize) -> Vec<Place> {
        (0..most)
            .map(|n| hub.enter(how, who(n / each), |_| ()).unwrap_or_else(|_| panic!()))
            .collect()
    }

    #[test]
    fn a_pool_has_places_for_so_many_and_a_place_that_is_left_is_free() {
        let feeds = Feeds::default();
        let hub = feeds.hub("p");
        let mut taken = places(&hub, How::Streaming, MAX_STREAMING, MAX_STREAMING_EACH);
        let next = || hub.enter(How::Streaming, who(MAX_STREAMING), |_| ());
        assert_eq!(next().err(), Some(Full::Pool));
        assert!(
            hub.enter(How::Waiting, who(0), |_| ()).is_ok(),
            "those who wait have places of their own"
        );
        assert_eq!(feeds.crowd(), (0, MAX_STREAMING));
        taken.pop();
        assert!(next().is_ok());
    }

    #[test]
    fn one_consumer_takes_no_more_than_its_own_places() {
        let hub = Feeds::default().hub("p");
        for (how, most) in [(How::Waiting, MAX_WAITING_EACH), (How::Streaming, MAX_STREAMING_EACH)]
        {
            let mut taken = places(&hub, how, most, most);
            assert_eq!(hub.enter(how, who(0), |_| ()).err(), Some(Full::Consumer));
            let namesake = ("another client".to_owned(), "0".to_owned());
            assert!(hub.enter(how, namesake, |_| ()).is_ok(), "another app client's of this name");
            assert!(hub.enter(how, who(1), |_| ()).is_ok());
            taken.pop();
            assert!(hub.enter(how, who(0), |_| ()).is_ok());
        }
        let crowd = lock(&hub.crowd);
        assert!(crowd.is_empty() && crowd.waiting.of_each.is_empty());
    }
}
