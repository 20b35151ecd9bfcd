//! Writing down how far each consumer has come: what many say within a moment is one batch. Nobody waits for it; a receipt may be a
//! little late, never early.

use std::sync::Arc;
use std::time::Duration;

use super::answer::Refused;
use crate::cx::{App, Cx};
use crate::feeds::Hub;
use crate::store::Batch;
use crate::store::feed::{self, Consumer};

const EVERY: Duration = Duration::from_millis(200);
/// Rows of one batch.
const ROWS: usize = 500;

/// Refuses a name that is one too many: names are the callers' to invent.
pub async fn admit(cx: &Cx, hub: &Hub, owner: &str, consumer: &str) -> Result<(), Refused> {
    if hub.knows(owner, consumer)
        || feed::may_follow(cx.db(), &hub.pool_id, owner, consumer).await?
    {
        return Ok(());
    }
    Err(Refused::TooMany(
        "Too many consumers have followed this feed within three days. Give each process one name that stays, instead of a new one at each start.",
    ))
}

pub fn acknowledge(app: &Arc<App>, hub: &Arc<Hub>, said: Consumer) {
    if !hub.say(said) {
        return;
    }
    let (app, hub) = (app.clone(), hub.clone());
    tokio::spawn(async move {
        #[allow(clippy::disallowed_methods, reason = "what comes in meanwhile is written with it")]
        tokio::time::sleep(EVERY).await;
        for rows in hub.said().chunks(ROWS) {
            let mut batch = Batch::new();
            rows.iter().for_each(|said| feed::acknowledge(&mut batch, &hub.pool_id, said));
            if let Err(error) = app.db.commit(batch).await {
                // They say it again within two seconds.
                tracing::warn!(
                    ?error,
                    pool_id = hub.pool_id,
                    "acknowledgements of the revocation feed were not written"
                );
            }
        }
    });
}
