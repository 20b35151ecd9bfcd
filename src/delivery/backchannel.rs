//! OpenID Connect Back-Channel Logout 1.0: app clients that took part in a session are told that it ended.

use super::outbox::{Delivery, Outcome, Page};
use crate::cx::Cx;
use crate::error::Result;
use crate::pool::Pool;
use crate::store::records::Recorded;

pub async fn expand(_: &Cx, _: &Pool, _: &Recorded, _: Option<&str>) -> Result<Page> {
    Ok(Page::default())
}

pub async fn attempt(_: &Cx, _: &Pool, _: &Delivery) -> Outcome {
    Outcome::dead("This version sends no logout tokens.")
}
