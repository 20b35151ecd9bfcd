//! `cenote backup` and `cenote restore`: a database as it was at one moment. A restored database does not know the sign-outs that came
//! after its backup, so everybody is signed out of it, and those who follow its revocation feed are told that it is another one.

use std::path::PathBuf;

use super::operator::{self, Access};
use super::out;
use crate::admin::everybody;
use crate::cx::Cx;
use crate::error::{Error, Result};
use crate::store::{backup, pools};

/// Write everything in the database, as it is now, to a file; the server may go on
#[derive(clap::Args)]
pub struct BackupArgs {
    /// The file to write; it must not exist. It is a SQLite database, whichever database it comes from, and does not contain the master key
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    #[command(flatten)]
    access: Access,
}

/// Fill an empty database from a backup, and sign everybody out of it: sign-outs that came after the backup must not be forgotten
#[derive(clap::Args)]
#[command(group = clap::ArgGroup::new("source").args(["from", "in_place"]).required(true))]
pub struct RestoreArgs {
    /// The file that `cenote backup` wrote
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// The database was restored by other means (a snapshot of the disk, pg_restore, a failover that lost commits): only sign everybody out
    #[arg(long)]
    in_place: bool,
    #[command(flatten)]
    access: Access,
}

pub async fn backup(args: BackupArgs) -> Result<()> {
    let db = args.access.database().await?;
    backup::write(&db, &args.to).await?;
    db.close().await;
    out::say(&format!(
        "{} is written. To restore it, the file with the master key is needed, too; keep that elsewhere.\n",
        args.to.display()
    ));
    Ok(())
}

pub async fn restore(args: RestoreArgs) -> Result<()> {
    match &args.from {
        Some(from) => {
            let (url, ca_file) = args.access.empty_database(&backup::canary(from)?)?;
            backup::read(from, &url, ca_file).await?;
        }
        None => backup::begin(&args.access.database().await?).await?,
    }
    let cx = args.access.context().await?;
    let mut after = String::new();
    let mut count = 0;
    loop {
        let page = pools::list(cx.db(), &after, 100).await?;
        let Some(last) = page.last() else { break };
        after = last.id.clone();
        for pool in &page {
            operator::retrying(|| start_anew(&cx, &pool.id)).await?;
            count += 1;
        }
    }
    backup::finish(cx.db()).await?;
    cx.db().close().await;
    out::say(&format!(
        "The database is restored, and everybody is signed out of all its pools ({count}).\n"
    ));
    Ok(())
}

async fn start_anew(cx: &Cx, pool_id: &str) -> Result<()> {
    // Another clock reading for each: this can take a while.
    let cx = Cx::system(cx.app.clone());
    let pool = cx.app.directory.pool(cx.db(), pool_id).await?;
    let pool = pool.ok_or_else(Error::conflict)?;
    everybody::restored(&cx, &pool).await
}
