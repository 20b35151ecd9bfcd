//! A relying party that wants to learn of sign-outs: what it is told is verified by another implementation than ours, and strictly.

use cenote::pool::client::ClientExtensions;
use cenote::store::{Batch, pools};
use serde_json::Value;

use crate::house::House;

/// Gives a client extensions, as an operator would.
pub async fn extend(house: &House, client: &str, extensions: Value) {
    let extensions: ClientExtensions = serde_json::from_value(extensions).unwrap();
    let directory = &house.app.directory;
    let (_, found) = directory.client(&house.app.db, client).await.unwrap().unwrap();
    let mut changed = (*found).clone();
    changed.doc.extensions = extensions;
    let mut batch = Batch::new();
    pools::update_client(&mut batch, &changed, house.app.clock.now_ms()).unwrap();
    house.app.db.commit(batch).await.unwrap();
}

/// What the payload of a token says, unverified.
pub fn claims(token: &Value) -> Value {
    use base64::Engine as _;
    let payload = token.as_str().unwrap().split('.').nth(1).unwrap();
    let bytes = base64::prelude::BASE64_URL_SAFE_NO_PAD.decode(payload).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

/// The participations of a pool: (client, sid, whether it is over).
pub async fn parties(house: &House, pool: &str) -> Vec<(String, String, bool)> {
    let sql = "SELECT client_id, sid, ended_ms FROM participations WHERE pool_id = ?1 ORDER BY created_ms, sid";
    let rows = house.app.db.query(sql, &cenote::params![pool]).await.unwrap();
    rows.iter()
        .map(|row| {
            (row.string(0).unwrap(), row.string(1).unwrap(), row.opt_i64(2).unwrap().is_some())
        })
        .collect()
}
