//! How a pool's hosted pages look: one row for each client that has looks of its own, and one for all others.

use super::{Batch, Db, Rank, Row};
use crate::ambient::Ms;
use crate::error::{Error, Result};
use crate::params;

/// The `ClientId` of what holds for every client that has nothing of its own. No client has this id: ids are made in lower case.
pub const ALL: &str = "ALL";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UiCustomization {
    /// A client, or `ALL`.
    pub client_id: String,
    /// As it was given; `pool::css` says what of it a page gets.
    pub css: String,
    pub css_version: String,
    pub logo: Option<Logo>,
    pub created_ms: Ms,
    pub modified_ms: Ms,
}

/// What is known of a logo without reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logo {
    /// Of the stored file; part of its address, so that a new logo is a new address.
    pub hash: String,
    pub width: i64,
    pub height: i64,
}

const COLUMNS: &str = "SELECT client_id, css, css_version, logo_hash, logo_width, logo_height, created_ms, modified_ms FROM ui_customizations \
                       WHERE pool_id = ?1 AND client_id IN (?2, 'ALL')";

/// What holds for a client: its own, or what holds for all.
pub async fn of(db: &Db, pool_id: &str, client_id: &str) -> Result<Option<UiCustomization>> {
    let rows = db.query(COLUMNS, &params![pool_id, client_id]).await?;
    let mut found = rows.iter().map(read).collect::<Result<Vec<_>>>()?;
    found.sort_by_key(|row| row.client_id == ALL);
    Ok(found.into_iter().next())
}

/// The file of a logo, if it is still the one with this hash.
pub async fn logo(db: &Db, pool_id: &str, client_id: &str, hash: &str) -> Result<Option<Vec<u8>>> {
    let sql = "SELECT logo FROM ui_customizations WHERE pool_id = ?1 AND client_id = ?2 AND logo_hash = ?3";
    let row = db.one(sql, &params![pool_id, client_id, hash]).await?;
    row.map(|row| row.blob(0).map(<[u8]>::to_vec)).transpose()
}

/// Sets the whole row; only the day of its making stays. A logo comes with its file.
pub fn put(batch: &mut Batch, pool_id: &str, row: &UiCustomization, file: Option<Vec<u8>>) {
    let logo = row.logo.as_ref();
    batch.one(
        Rank::Client,
        "INSERT INTO ui_customizations (pool_id, client_id, css, css_version, logo_hash, logo_width, logo_height, logo, created_ms, modified_ms) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) ON CONFLICT (pool_id, client_id) DO UPDATE SET \
         css = excluded.css, css_version = excluded.css_version, logo_hash = excluded.logo_hash, logo_width = excluded.logo_width, \
         logo_height = excluded.logo_height, logo = excluded.logo, modified_ms = excluded.modified_ms",
        params![
            pool_id,
            row.client_id.as_str(),
            row.css.as_str(),
            row.css_version.as_str(),
            logo.map(|logo| logo.hash.as_str()),
            logo.map(|logo| logo.width),
            logo.map(|logo| logo.height),
            file,
            row.created_ms,
            row.modified_ms
        ],
        Error::conflict(),
    );
}

pub fn delete(batch: &mut Batch, pool_id: &str, client_id: &str) {
    batch.any(
        Rank::Client,
        "DELETE FROM ui_customizations WHERE pool_id = ?1 AND client_id = ?2",
        params![pool_id, client_id],
    );
}

fn read(row: &Row) -> Result<UiCustomization> {
    let logo = match row.opt_text(3)? {
        None => None,
        Some(hash) => Some(Logo { hash: hash.to_owned(), width: row.i64(4)?, height: row.i64(5)? }),
    };
    Ok(UiCustomization {
        client_id: row.string(0)?,
        css: row.string(1)?,
        css_version: row.string(2)?,
        logo,
        created_ms: row.i64(6)?,
        modified_ms: row.i64(7)?,
    })
}
