//! Writing down how far each consumer has come. Who is new is written down before the first answer: from then on a receipt counts on it.
//! After that, what many say within a moment is one batch, and nobody waits for it; a receipt may be a little late, never early.

use std::sync::Arc;
use std::time::Duration;

use super::answer::Refused;
use crate::cx::{App, Cx};
use crate::error::Result;
use crate::feeds::Hub;
use crate::store::Batch;
use crate::store::feed::{self, Consumer, Known};

const EVERY: Duration = Duration::from_millis(200);
/// Rows of one batch.
const ROWS: usize = 500;

/// Whether a consumer's name is new. Refuses one that is one too many: names are the callers' to invent.
pub async fn admit(cx: &Cx, hub: &Hub, owner: &str, consumer: &str) -> Result<bool, Refused> {
    if hub.knows(owner, consumer) {
        return Ok(false);
    }
    match feed::is_known(cx.db(), &hub.pool_id, owner, consumer).await? {
        Known::Yes => Ok(false),
        Known::New => Ok(true),
        Known::NoRoom => Err(Refused::TooMany(
            "Too many consumers have followed this feed within three days. Give each process one name that stays, instead of a new one at each start.",
        )),
    }
}

pub async fn acknowledge(cx: &Cx, hub: &Arc<Hub>, said: Consumer, is_new: bool) -> Result<()> {
    if is_new {
        write(&cx.app, hub, std::slice::from_ref(&said)).await?;
        hub.meet(&said);
        return Ok(());
    }
    if !hub.say(said) {
        return Ok(());
    }
    let (app, hub) = (cx.app.clone(), hub.clone());
    tokio::spawn(async move {
        #[allow(clippy::disallowed_methods, reason = "what comes in meanwhile is written with it")]
        tokio::time::sleep(EVERY).await;
        for rows in hub.said().chunks(ROWS) {
            if let Err(error) = write(&app, &hub, rows).await {
                // They say it again within two seconds.
                tracing::warn!(
                    ?error,
                    pool_id = hub.pool_id,
                    "acknowledgements of the revocation feed were not written"
                );
            }
        }
    });
    Ok(())
}

async fn write(app: &App, hub: &Hub, rows: &[Consumer]) -> Result<()> {
    let mut batch = Batch::new();
    rows.iter().for_each(|said| feed::acknowledge(&mut batch, &hub.pool_id, said));
    app.db.commit(batch).await
}
