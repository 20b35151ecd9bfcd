//! Who may call the signed operations: all that the model marks so but GetClientToken. `dev` accepts any credentials or none;
//! `serve` verifies SigV4 against access keys, each with a list of actions and pools. The signature itself is `sigv4`'s, the keys are `access`'.

use axum::http::header;
use axum::http::request::Parts;
use serde_json::Value;

use crate::access::{self, Grant};
use crate::cx::Cx;
use crate::error::{Error, Kind, Result};
use crate::sigv4::{self, SignedRequest};
use crate::store::pools;

/// Whoever proved to hold an access key.
pub struct Caller {
    pub key_id: String,
    grant: Grant,
}

/// The access key that signed the request; `None` in dev, where nothing is verified.
pub async fn check(cx: &Cx, parts: &Parts, body: &[u8]) -> Result<Option<Caller>> {
    if cx.app.settings.dev {
        return Ok(None);
    }
    let mut given = parts.headers.get_all(header::AUTHORIZATION).iter();
    let header = given.next().map(|value| String::from_utf8_lossy(value.as_bytes()));
    if given.next().is_some() {
        return Err(Error::new(
            Kind::IncompleteSignature,
            "The request has more than one Authorization header.",
        ));
    }
    let authorization = sigv4::parse(header.as_deref())?;
    let Some((secret, grant)) = access::find(cx, authorization.access_key_id).await? else {
        return Err(sigv4::unrecognized());
    };
    let headers = headers(cx, parts);
    let request = SignedRequest {
        method: parts.method.as_str(),
        path: parts.uri.path(),
        query: parts.uri.query().unwrap_or_default(),
        headers: &headers,
        body,
    };
    sigv4::verify(&request, &authorization, &secret, cx.now)?;
    Ok(Some(Caller { key_id: authorization.access_key_id.to_owned(), grant }))
}

/// The headers as the client signed them. A proxy that we trust may have put its own `Host` in place of the client's.
fn headers(cx: &Cx, parts: &Parts) -> Vec<(String, String)> {
    let asked = cx.request.origin.split_once("://").map_or("", |(_, authority)| authority);
    let headers = parts.headers.iter().map(|(name, value)| {
        let value = String::from_utf8_lossy(value.as_bytes());
        let forwarded = name == header::HOST && !value.eq_ignore_ascii_case(asked);
        (name.as_str().to_owned(), if forwarded { asked.to_owned() } else { value.into_owned() })
    });
    headers.collect()
}

impl Caller {
    /// Whether this key may do this, to the pool that the request names.
    pub async fn check_scope(&self, cx: &Cx, operation: &str, input: &Value) -> Result<()> {
        let pool_id = pool_of(cx, operation, input).await?;
        if self.grant.allows(operation, pool_id.as_deref()) {
            return Ok(());
        }
        let (region, account) = (&cx.app.settings.region, &cx.app.settings.account_id);
        Err(Error::new(
            Kind::AccessDenied,
            format!(
                "User: arn:aws:iam::{account}:user/{} is not authorized to perform: cognito-idp:{operation} on resource: \
                 arn:aws:cognito-idp:{region}:{account}:userpool/{}",
                self.key_id,
                pool_id.as_deref().unwrap_or("*")
            ),
        ))
    }
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
