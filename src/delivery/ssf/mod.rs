//! The Shared Signals Framework: event streams that receivers subscribe to.

use super::outbox::{Delivery, Outcome, Page};
use crate::cx::Cx;
use crate::error::Result;
use crate::pool::Pool;
use crate::store::records::Recorded;

pub async fn expand(_: &Cx, _: &Pool, _: &Recorded, _: Option<&str>) -> Result<Page> {
    Ok(Page::default())
}

pub async fn attempt(_: &Cx, _: &Pool, _: &Delivery) -> Outcome {
    Outcome::dead("This version has no event streams.")
}
