//! `cenote audit`: prints the audit trail, oldest first.

use serde_json::json;

use super::operator::Access;
use super::{out, time};
use crate::ambient::Ms;
use crate::error::Result;
use crate::store::jobs::{self, Entry};

/// Print who did what to whom, when, from where, with which result
#[derive(clap::Args)]
pub struct Args {
    /// Only this pool
    #[arg(long, value_name = "ID")]
    pool: Option<String>,
    /// Only this actor: key:AKIA.., user:SUB, operator, anybody, dev
    #[arg(long)]
    actor: Option<String>,
    /// Only this action, such as AdminDeleteUser
    #[arg(long)]
    action: Option<String>,
    /// Only what was done to this: a user's sub, an app client's or a pool's id
    #[arg(long)]
    target: Option<String>,
    /// From this moment on: 2026-11-22, 2026-11-22T08:00:00Z or epoch seconds
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    from: Option<Ms>,
    /// Before this moment
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    to: Option<Ms>,
    /// One JSON object per line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    access: Access,
}

const PAGE: i64 = 1_000;

pub async fn run(args: Args) -> Result<()> {
    let db = args.access.database().await?;
    let (from, to) = (args.from.unwrap_or(0), args.to.unwrap_or(Ms::MAX));
    let mut after = (Ms::MIN, String::new());
    loop {
        let page = jobs::audit(&db, from, to, (after.0, &after.1), PAGE).await?;
        let Some(last) = page.last() else { break };
        after = (last.at_ms, last.id.clone());
        let wanted = page.iter().filter(|entry| args.wants(entry));
        out::say(
            &wanted
                .map(|entry| if args.json { as_json(entry) } else { as_text(entry) })
                .collect::<String>(),
        );
    }
    db.close().await;
    Ok(())
}

impl Args {
    fn wants(&self, entry: &Entry) -> bool {
        let is = |filter: &Option<String>, value: &str| {
            filter.as_ref().is_none_or(|filter| filter == value)
        };
        is(&self.pool, &entry.pool_id)
            && is(&self.actor, &entry.actor)
            && is(&self.action, &entry.action)
            && is(&self.target, &entry.target)
    }
}

fn as_json(entry: &Entry) -> String {
    let mut line = json!({
        "at": time::show(entry.at_ms), "at_ms": entry.at_ms, "pool": entry.pool_id, "actor": entry.actor, "action": entry.action,
        "target": entry.target, "ip": entry.ip, "request_id": entry.request_id, "result": entry.result, "detail": entry.detail,
        "id": entry.id,
    })
    .to_string();
    line.push('\n');
    line
}

/// Fields in the order of the sentence, `-` for what there is none of. Text from requests must not move the reader's cursor.
fn as_text(entry: &Entry) -> String {
    let at = time::show(entry.at_ms);
    let fields = [
        &at,
        &entry.pool_id,
        &entry.actor,
        &entry.action,
        &entry.target,
        &entry.ip,
        &entry.result,
        &entry.detail,
        &entry.request_id,
    ];
    let shown = fields.map(|field| match field.as_str() {
        "" => "-".to_owned(),
        text => text.chars().map(|c| if c.is_control() { '?' } else { c }).collect(),
    });
    shown.join("  ") + "\n"
}
