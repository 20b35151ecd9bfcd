//! Where a pool's endpoints are: its issuer's discovery document says it.

use serde::{Deserialize, Serialize};

use super::{Failure, Http};

#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Endpoints {
    issuer: String,
    #[serde(rename = "token_endpoint")]
    pub token: String,
    #[serde(rename = "jwks_uri")]
    pub jwks: String,
    #[serde(rename = "introspection_endpoint", default)]
    pub introspection: Option<String>,
    #[serde(rename = "revocation_feed_endpoint")]
    pub feed: String,
    #[serde(rename = "revocation_feed_jwks_uri")]
    pub feed_jwks: String,
}

impl Endpoints {
    pub async fn discover(http: &Http, issuer: &str) -> Result<Endpoints, Failure> {
        let url = format!("{issuer}/.well-known/openid-configuration");
        let document = http.document(&url).await?;
        let found: Endpoints = serde_json::from_slice(&document).map_err(|error| {
            Failure::Malformed(format!("{url} is no discovery document of a Cenote pool: {error}"))
        })?;
        found.check(issuer)?;
        Ok(found)
    }

    /// OpenID Connect Discovery, 4.3: what it says of itself must be what it was asked for. And no address in it may be less safe
    /// than the issuer: we send a secret there.
    pub fn check(&self, issuer: &str) -> Result<(), Failure> {
        if self.issuer != issuer {
            let found: String = self.issuer.chars().take(200).collect();
            return Err(Failure::Malformed(format!("the issuer {issuer} calls itself {found}")));
        }
        let all = [&self.token, &self.jwks, &self.feed, &self.feed_jwks];
        for url in all.into_iter().chain(&self.introspection) {
            let scheme =
                url::Url::parse(url).map(|url| url.scheme().to_owned()).unwrap_or_default();
            let safe = scheme == "https" || (scheme == "http" && issuer.starts_with("http://"));
            if !safe {
                return Err(Failure::Malformed(format!(
                    "the endpoint {url} is not an https address"
                )));
            }
        }
        Ok(())
    }
}
