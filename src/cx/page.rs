//! Tokens that carry a list from one page to the next. Clients treat them as opaque. They are authenticated, so that a
//! forged one cannot start a list at a place of the caller's choosing, and bound to their list and pool.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::Cx;
use crate::error::{Error, Result};

const MAC: usize = 32;

/// The token under which `list` (the operation's name) of `scope` (the pool, or nothing) goes on after `cursor`.
pub fn encode(cx: &Cx, list: &str, scope: &str, cursor: &str) -> String {
    let mut token = cx.app.vault.mac(scope, "page", &bound(list, cursor)).to_vec();
    token.extend(cursor.as_bytes());
    URL_SAFE_NO_PAD.encode(token)
}

/// The cursor of a token that `encode` made for the same list; the empty text, which sorts before every key, without one.
pub fn decode(cx: &Cx, list: &str, scope: &str, token: Option<&str>) -> Result<String> {
    let Some(token) = token else { return Ok(String::new()) };
    let cursor = || {
        let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (mac, cursor) = bytes.split_at_checked(MAC)?;
        let cursor = std::str::from_utf8(cursor).ok()?;
        cx.app
            .vault
            .mac_matches(scope, "page", &bound(list, cursor), mac)
            .then(|| cursor.to_owned())
    };
    cursor().ok_or_else(|| {
        Error::invalid("Invalid pagination token: it was not given out for this list.")
    })
}

/// One page of a list that was read with one item more than the page holds, and the token of the next page, if there is one.
pub fn cut<T>(
    cx: &Cx,
    list: &str,
    scope: &str,
    mut found: Vec<T>,
    size: i64,
    cursor: impl Fn(&T) -> String,
) -> (Vec<T>, Option<String>) {
    let size = usize::try_from(size).unwrap_or(0);
    let more = found.len() > size;
    found.truncate(size);
    let next = found.last().filter(|_| more).map(|last| encode(cx, list, scope, &cursor(last)));
    (found, next)
}

fn bound(list: &str, cursor: &str) -> Vec<u8> {
    [list.as_bytes(), b"\0", cursor.as_bytes()].concat()
}
