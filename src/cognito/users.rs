//! What users do to their own accounts, as Cognito words it.

use cenote_interface::types::*;

use crate::cx::Cx;
use crate::error::Result;
use crate::tokens::verify;

pub async fn get_user(cx: Cx, input: GetUserRequest) -> Result<GetUserResponse> {
    let access = verify::for_user_operations(&cx, &input.access_token).await?;
    let mut attributes = access.user.attributes();
    attributes.retain(|attribute| access.client.may_read(&attribute.name));
    Ok(GetUserResponse { username: access.user.username, user_attributes: attributes, ..GetUserResponse::default() })
}
