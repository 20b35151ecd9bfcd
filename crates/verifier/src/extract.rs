//! An `axum` extractor: a handler that asks for a living token.

use axum_core::extract::{FromRef, FromRequestParts};
use axum_core::response::{IntoResponse, Response};
use http::request::Parts;

use crate::http::bearer;
use crate::token::{Refusal, Token};
use crate::verifier::Verifier;

/// The living token of a request: what a [`RequireToken`](crate::RequireToken) layer found, or else what the verifier in the state says.
///
/// ```no_run
/// # use cenote_verifier::Verified;
/// async fn orders(Verified(token): Verified) -> String {
///     format!("orders of {}", token.sub())
/// }
/// ```
pub struct Verified(pub Token);

impl<S> FromRequestParts<S> for Verified
where
    Verifier: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Verified, Refusal> {
        if let Some(token) = parts.extensions.get::<Token>() {
            return Ok(Verified(token.clone()));
        }
        let text = bearer(&parts.headers).ok_or(Refusal::Missing)?;
        Verifier::from_ref(state).verify(text).await.map(Verified)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        self.response()
    }
}
