//! `cenote access-key`: who may call the signed operations of `cenote serve`.

use clap::Subcommand;

use super::operator::Access;
use super::{out, time};
use crate::access::{self, Grant};
use crate::error::Result;
use crate::store::keys;

/// Make, list and delete the access keys of `cenote serve`
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make an access key and print it, once
    Create {
        /// What it may do: cognito-idp:AdminGetUser, cognito-idp:Admin*, cenote:GetSignOut, cenote:* or *; may be repeated. Default: everything
        #[arg(long = "action", value_name = "ACTION")]
        actions: Vec<String>,
        /// A pool that it may do it to; may be repeated. Default: all pools, and making new ones
        #[arg(long = "pool", value_name = "ID")]
        pools: Vec<String>,
        /// What to remember it by
        #[arg(long, value_name = "TEXT", default_value = "")]
        note: String,
        #[command(flatten)]
        access: Access,
    },
    /// List the access keys, without their secrets
    List {
        #[command(flatten)]
        access: Access,
    },
    /// Delete an access key: from then on its requests are refused
    Delete {
        /// The access key's id, as in AKIA..
        id: String,
        #[command(flatten)]
        access: Access,
    },
}

pub async fn run(args: Args) -> Result<()> {
    match args.command {
        Command::Create { actions, pools, note, access } => {
            let grant = Grant::new(&actions, &pools, &note)?;
            let cx = access.context().await?;
            let (id, secret) = access::create(&cx, &grant).await?;
            out::say(&format!(
                "# May do {} on {}. The secret is shown this once.\nAWS_ACCESS_KEY_ID={id}\nAWS_SECRET_ACCESS_KEY={}\n",
                grant.actions.join(", "),
                pools_in_words(&grant),
                secret.as_str()
            ));
            cx.db().close().await;
        }
        Command::List { access } => {
            let db = access.database().await?;
            let mut text = String::new();
            for row in keys::access_keys(&db).await? {
                let grant = access::grant(&row)?;
                let pools = grant.pools.join(" ");
                text += &format!(
                    "{}  {}  {}  on {pools}  {}\n",
                    row.id,
                    time::show(row.created_ms),
                    grant.actions.join(" "),
                    grant.note
                );
            }
            out::say(&text);
            db.close().await;
        }
        Command::Delete { id, access } => {
            let cx = access.context().await?;
            access::delete(&cx, &id).await?;
            out::say(&format!("{id} is deleted.\n"));
            cx.db().close().await;
        }
    }
    Ok(())
}

fn pools_in_words(grant: &Grant) -> String {
    if grant.pools.iter().any(|pool| pool == "*") {
        "all pools".to_owned()
    } else {
        grant.pools.join(", ")
    }
}
