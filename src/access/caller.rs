//! Who signed a request, at any door: `dev` accepts any credentials or none; `serve` verifies SigV4 against access keys, each with a
//! list of actions and pools. The signature itself is `sigv4`'s.

use super::Grant;
use crate::cx::Cx;
use crate::error::{Error, Kind, Result};
use crate::sigv4::{self, SignedRequest};

/// Whoever proved to hold an access key.
pub struct Caller {
    pub key_id: String,
    grant: Grant,
}

/// The access key that signed the request for one of these services; `None` in dev, where nothing is verified.
pub async fn find(
    cx: &Cx,
    request: &SignedRequest<'_>,
    services: &[&str],
) -> Result<Option<Caller>> {
    if cx.app.settings.dev {
        return Ok(None);
    }
    let mut given = request.headers.iter().filter(|(name, _)| name == "authorization");
    let header = given.next().map(|(_, value)| value.as_str());
    if given.next().is_some() {
        return Err(Error::new(
            Kind::IncompleteSignature,
            "The request has more than one Authorization header.",
        ));
    }
    let authorization = sigv4::parse(header)?;
    let Some((secret, grant)) = super::find(cx, authorization.access_key_id).await? else {
        return Err(sigv4::unrecognized());
    };
    sigv4::verify(request, &authorization, services, &secret, cx.now)?;
    Ok(Some(Caller { key_id: authorization.access_key_id.to_owned(), grant }))
}

impl Caller {
    /// Whether this key may do this (`cognito-idp:AdminGetUser`) to this pool; `None` is what belongs to no pool, or to all.
    pub fn check(&self, cx: &Cx, action: &str, pool_id: Option<&str>) -> Result<()> {
        if self.grant.allows(action, pool_id) {
            return Ok(());
        }
        let (region, account) = (&cx.app.settings.region, &cx.app.settings.account_id);
        Err(Error::new(
            Kind::AccessDenied,
            format!(
                "User: arn:aws:iam::{account}:user/{} is not authorized to perform: {action} on resource: \
                 arn:aws:cognito-idp:{region}:{account}:userpool/{}",
                self.key_id,
                pool_id.unwrap_or("*")
            ),
        ))
    }
}
