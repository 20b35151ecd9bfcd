//! What a signed operation is about, for the access key that signed it (`access::caller`).

use serde_json::Value;

use crate::access::actions;
use crate::access::caller::Caller;
use crate::cx::Cx;
use crate::error::Result;
use crate::store::pools;

/// Whether this key may do this, to the pool that the request names.
pub async fn check_scope(cx: &Cx, caller: &Caller, operation: &str, input: &Value) -> Result<()> {
    let pool_id = pool_of(cx, operation, input).await?;
    caller.check(cx, &format!("{}{operation}", actions::COGNITO), pool_id.as_deref())
}

/// The pool that a request is about. Each operation is asked for the member that it acts upon and no other: members that an
/// operation does not have are ignored later, so one that names an allowed pool must not count here.
async fn pool_of(cx: &Cx, operation: &str, input: &Value) -> Result<Option<String>> {
    let member = |name: &str| input.get(name).and_then(Value::as_str);
    Ok(match operation {
        "CreateUserPool" | "ListUserPools" | "GetProvisionedLimit" | "UpdateProvisionedLimit" => {
            None
        }
        "TagResource" | "UntagResource" | "ListTagsForResource" => member("ResourceArn")
            .and_then(|arn| arn.rsplit_once(":userpool/"))
            .map(|(_, pool_id)| pool_id.to_owned()),
        "DescribeUserPoolDomain" => match member("Domain") {
            Some(domain) => pools::find_domain(cx.db(), domain).await?.map(|domain| domain.pool_id),
            None => None,
        },
        "GetDerivedToken" => match member("ClientId") {
            Some(client_id) => {
                cx.app.directory.client(cx.db(), client_id).await?.map(|(pool, _)| pool.id.clone())
            }
            None => None,
        },
        _ => member("UserPoolId").map(str::to_owned),
    })
}
