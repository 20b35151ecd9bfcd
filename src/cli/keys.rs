//! `cenote keys`: the signing keys of pools.

use std::sync::Arc;

use clap::Subcommand;

use super::operator::{self, Access};
use super::{out, time};
use crate::admin::everybody;
use crate::ambient::Ms;
use crate::audit::{self, Actor};
use crate::cx::Cx;
use crate::error::{Error, Result};
use crate::pool::Pool;
use crate::store::{Batch, pools};
use crate::tokens::ring;

/// Rotate or revoke the keys that sign tokens
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Sign with new keys from now on; the old ones verify until the last token that they signed has expired
    Rotate {
        /// The pool
        #[arg(long, value_name = "ID", required_unless_present = "all")]
        pool: Option<String>,
        /// Every pool
        #[arg(long, conflicts_with = "pool")]
        all: bool,
        #[command(flatten)]
        access: Access,
    },
    /// A key may be in other hands: refuse what it signed from now on, stop publishing it, and sign everybody of the pool out
    Revoke {
        /// The pool
        #[arg(long, value_name = "ID")]
        pool: String,
        /// The key's id, as in the header of a token and in the pool's JWKS
        #[arg(long, value_name = "KID", allow_hyphen_values = true)]
        kid: String,
        #[command(flatten)]
        access: Access,
    },
}

pub async fn run(args: Args) -> Result<()> {
    match args.command {
        Command::Rotate { pool, access, .. } => {
            let cx = access.context().await?;
            match pool {
                Some(pool) => rotate(&cx, &pool).await?,
                None => rotate_all(&cx).await?,
            }
            cx.db().close().await;
        }
        Command::Revoke { pool, kid, access } => {
            let cx = access.context().await?;
            revoke(&cx, &pool, &kid).await?;
            cx.db().close().await;
        }
    }
    Ok(())
}

async fn revoke(cx: &Cx, pool_id: &str, kid: &str) -> Result<()> {
    let revoked = operator::retrying(|| async {
        everybody::revoke_key(cx, &*pool(cx, pool_id).await?, kid, &Actor::Operator).await
    });
    out::say(&match revoked.await? {
        Some(signout_id) => format!(
            "{pool_id}: the key {kid} signs and verifies nothing any more, and everybody is signed out (sign-out {signout_id}).\n"
        ),
        None => format!("{pool_id}: the key {kid} was revoked before. Nothing was changed.\n"),
    });
    Ok(())
}

async fn rotate_all(cx: &Cx) -> Result<()> {
    let mut after = String::new();
    loop {
        let page = pools::list(cx.db(), &after, 100).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = last.id.clone();
        for pool in &page {
            rotate(cx, &pool.id).await?;
        }
    }
}

async fn rotate(cx: &Cx, pool_id: &str) -> Result<()> {
    let retire_ms = operator::retrying(|| rotate_once(cx, pool_id)).await?;
    out::say(&format!(
        "{pool_id}: new keys sign from now on; the old ones verify until {}.\n",
        time::show(retire_ms)
    ));
    Ok(())
}

async fn rotate_once(cx: &Cx, pool_id: &str) -> Result<Ms> {
    let pool = pool(cx, pool_id).await?;
    let mut batch = Batch::new();
    let retire_ms = ring::rotate(cx, &mut batch, &pool).await?;
    audit::note(&mut batch, cx, pool_id, &Actor::Operator, "RotateSigningKeys", pool_id, "ok", "");
    cx.db().commit(batch).await?;
    Ok(retire_ms)
}

async fn pool(cx: &Cx, pool_id: &str) -> Result<Arc<Pool>> {
    let pool = cx.app.directory.pool(cx.db(), pool_id).await?;
    pool.ok_or_else(|| Error::invalid(format!("There is no pool {pool_id} in this database.")))
}
