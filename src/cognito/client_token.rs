//! GetClientToken: the client-credentials grant at the JSON door (`cognito-behaviour`, section 9).

use cenote_interface::types::*;

use super::lookup;
use crate::cx::Cx;
use crate::error::{Error, Result};
use crate::pool::scopes::Wrong;
use crate::tokens::machine;

/// The secret is the whole proof: IAM is not asked.
pub async fn get_client_token(
    cx: Cx,
    input: GetClientTokenRequest,
) -> Result<GetClientTokenResponse> {
    let (pool, client) = lookup::client(&cx, &input.client_id).await?;
    lookup::check_client_secret(&cx, &client, Some(&input.secret), Error::not_authorized)?;
    if !client.allows_flow(&["ALLOW_CLIENT_TOKEN_AUTH"]) {
        return Err(Error::invalid("CLIENT_TOKEN_AUTH flow not enabled for this client"));
    }
    let asked = input.scopes.filter(|scopes| !scopes.is_empty()).map(|scopes| scopes.join(" "));
    let issued =
        machine::token(&cx, &pool, &client, asked.as_deref()).await?.map_err(
            |wrong| match wrong {
                Wrong::NotAllowed(scope) => {
                    Error::invalid(format!("Invalid scope requested: {scope}"))
                }
                wrong => Error::invalid(wrong.hint()),
            },
        )?;
    Ok(GetClientTokenResponse {
        client_authentication_result: Some(ClientAuthenticationResultType {
            access_token: Some(issued.access_token),
            expires_in: Some(issued.expires_in_secs),
            token_type: Some("Bearer".to_owned()),
        }),
    })
}
