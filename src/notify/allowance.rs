//! How many messages one address gets in an hour at the wish of people who need not own it. Rows, so that it holds across servers.

use super::Address;
use crate::ambient::HOUR;
use crate::cx::Cx;
use crate::error::{Error, Result};
use crate::limits::Limit;
use crate::pool::Pool;
use crate::store::{Batch, codes};

/// The allowance of an address.
const MESSAGES: &str = "Messages";

/// Takes one of the messages that an address gets in an hour at the wish of people who need not own it; `false` where none is left.
/// Where a race takes the last one the operation runs again.
pub async fn charge(cx: &Cx, batch: &mut Batch, pool: &Pool, to: &Address) -> Result<bool> {
    let limit = i64::from(cx.app.limits.rates().of(Limit::MessagesPerAddress));
    if limit == 0 {
        return Ok(true);
    }
    let subject = mailbox(cx, pool, to);
    let used = codes::used_allowance(cx.db(), &pool.id, &subject, MESSAGES, HOUR, cx.now).await?;
    if used >= limit {
        cx.app.meters.limited(Limit::MessagesPerAddress.name(), "recipient");
        return Ok(false);
    }
    let raced = Error::conflict().because(&subject);
    codes::take_allowance(batch, &pool.id, &subject, MESSAGES, limit, HOUR, cx.now, raced);
    Ok(true)
}

/// Under which an address is counted: a keyed hash, because nobody need have it. What follows a `+` leads to the same mailbox.
fn mailbox(cx: &Cx, pool: &Pool, to: &Address) -> String {
    let value = to.value.trim().to_lowercase();
    let value = match value.rsplit_once('@') {
        Some((local, domain)) => {
            let mailbox = local.split('+').next().filter(|mailbox| !mailbox.is_empty());
            format!("{}@{domain}", mailbox.unwrap_or(local))
        }
        None => value,
    };
    let mac = cx.app.vault.mac(&pool.id, "mailbox", value.as_bytes());
    let hex: String = mac.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("mailbox:{hex}")
}
