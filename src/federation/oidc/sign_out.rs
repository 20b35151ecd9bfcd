//! Signing out at a provider that speaks OAuth, and being told by it that somebody signed out.

use serde_json::{Map, Value};
use url::Url;

use super::id_token::{SKEW, addressed, away, believe, id, in_time, moment, refused};
use super::token::{authenticated, connection, oauth_error};
use crate::ambient::Ms;
use crate::cx::Cx;
use crate::error::Result;
use crate::federation::{Trouble, TroubleKind, learned, secrets};
use crate::pool::Provider;
use crate::pool::identity::UpstreamDoc;
use crate::pool::provider::Kind;

/// The event that makes a token a logout token.
const LOGOUT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// A request to an `end_session_endpoint`: an address for a redirect, or a form for one that is too long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndSession {
    /// The endpoint.
    pub url: String,
    pub fields: Vec<(String, String)>,
}

impl EndSession {
    /// The endpoint with the fields in its query.
    pub fn redirect(&self) -> String {
        match Url::parse_with_params(&self.url, &self.fields) {
            Ok(url) => url.into(),
            // It was parsed when it was made.
            Err(_) => self.url.clone(),
        }
    }
}

/// A verified logout token. At least one of `sub` and `sid` is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogoutToken {
    pub sub: Option<String>,
    pub sid: Option<String>,
    pub jti: String,
    /// Until when its `jti` must be remembered.
    pub expires_ms: Ms,
}

/// The way to the provider's own sign-out (OpenID Connect RP-Initiated Logout 1.0, 2). `None`: it has no such endpoint.
pub async fn end_session_url(
    cx: &Cx,
    provider: &Provider,
    upstream: &UpstreamDoc,
    post_logout_redirect_uri: &str,
    state: &str,
) -> Result<Option<EndSession>, Trouble> {
    let endpoints = learned::discovery(cx, provider).await?;
    let Some(url) = &endpoints.end_session else { return Ok(None) };
    if Url::parse(url).is_err() {
        let why = format!("The end-session endpoint of {} is not a URL.", provider.name);
        return Err(Trouble::refused(why));
    }
    let mut fields = Vec::new();
    if let Some(id_token) = &upstream.id_token {
        fields.push(("id_token_hint", id_token.as_str()));
    }
    fields.extend([
        ("client_id", provider.detail("client_id").unwrap_or_default()),
        ("post_logout_redirect_uri", post_logout_redirect_uri),
        ("state", state),
    ]);
    let own = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    Ok(Some(EndSession { url: url.clone(), fields: fields.into_iter().map(own).collect() }))
}

/// Revokes the provider's tokens (RFC 7009): the refresh token, with which the others go, or the access token. `false`: it offers no way
/// to, or we hold none. Facebook has none: what it offers takes the app from the person's account.
pub async fn revoke(cx: &Cx, provider: &Provider, upstream: &UpstreamDoc) -> Result<bool, Trouble> {
    let endpoints = learned::discovery(cx, provider).await?;
    let Some(url) = &endpoints.revocation else { return Ok(false) };
    let (token, hint) = match (&upstream.refresh_token, &upstream.access_token) {
        (Some(token), _) => (token, "refresh_token"),
        (None, Some(token)) => (token, "access_token"),
        (None, None) => return Ok(false),
    };
    let fields = [("token", token.as_str()), ("token_type_hint", hint)];
    let secret = secrets(cx, provider)?;
    let request = authenticated(cx, provider, url, &endpoints.token, &secret, &fields)?;
    let answer = cx
        .app
        .outgoing
        .send(request)
        .await
        .map_err(|failure| connection(cx, provider, "revocation endpoint", &failure))?;
    if answer.is_success() {
        return Ok(true);
    }
    let (code, description) = oauth_error(&answer);
    let status = answer.status;
    tracing::warn!(
        pool = provider.pool_id,
        provider = provider.name,
        request = cx.request.id,
        status,
        code,
        description,
        "an identity provider did not revoke a token"
    );
    // Google says so of a token that is revoked or has expired: there is nothing left to revoke.
    if code == "invalid_token" {
        return Ok(true);
    }
    let kind = if status >= 500 || status == 429 {
        TroubleKind::Unreachable
    } else {
        TroubleKind::Refused
    };
    Err(Trouble { kind, text: format!("{} Error - {status} error revoking token", provider.name) })
}

/// Verifies a logout token (OpenID Connect Back-Channel Logout 1.0, 2.6). The caller refuses a `jti` that it has seen.
/// `TroubleKind::Unreachable`: it cannot be told now, and the provider should try again.
pub async fn logout_token(
    cx: &Cx,
    provider: &Provider,
    token: &str,
) -> Result<LogoutToken, Trouble> {
    if provider.kind != Kind::Oidc {
        return Err(Trouble::refused(format!("{} sends no logout tokens.", provider.name)));
    }
    let endpoints = learned::discovery(cx, provider).await.map_err(away)?;
    let believed = believe(cx, provider, &secrets(cx, provider)?, token, "logout token").await?;
    let typ = believed.typ.as_deref().map(str::to_ascii_lowercase);
    addressed(provider, &endpoints, &believed.claims)
        .and_then(|()| in_time(&believed.claims, cx.now))
        .and_then(|()| read(typ.as_deref(), &believed.claims).map_err(Into::into))
        .map_err(|why| refused(cx, provider, "logout token", &why))
}

/// What makes it a logout token, and nothing else.
fn read(typ: Option<&str>, claims: &Map<String, Value>) -> Result<LogoutToken, &'static str> {
    // Older providers leave the type out or call it JWT; the claims tell it from an ID token.
    if !matches!(typ, None | Some("jwt" | "logout+jwt" | "application/logout+jwt")) {
        return Err("its typ is not logout+jwt");
    }
    if claims.contains_key("nonce") {
        return Err("it has a nonce, as ID tokens have");
    }
    let events = claims.get("events").and_then(Value::as_object).ok_or("it has no events")?;
    if !events.get(LOGOUT).is_some_and(Value::is_object) {
        return Err("its events do not name the back-channel logout");
    }
    let jti = id(claims, "jti").ok_or("its jti is missing, empty or too long")?;
    // One that is there and no good must not widen what the token ends.
    let (sub, sid) = (id(claims, "sub"), id(claims, "sid"));
    if (claims.contains_key("sub") && sub.is_none())
        || (claims.contains_key("sid") && sid.is_none())
    {
        return Err("its sub or sid is empty or too long");
    }
    if sub.is_none() && sid.is_none() {
        return Err("it has neither sub nor sid");
    }
    let expires_ms = moment(claims, "exp").ok_or("it has no exp")?.saturating_add(SKEW);
    Ok(LogoutToken { sub, sid, jti, expires_ms })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn with(more: Value) -> Map<String, Value> {
        let mut claims =
            json!({ "exp": 1_790_000_060, "jti": "j1", "sub": "ann", "events": { LOGOUT: {} } });
        for (name, value) in more.as_object().unwrap() {
            match value {
                Value::Null => claims.as_object_mut().unwrap().remove(name),
                value => claims.as_object_mut().unwrap().insert(name.clone(), value.clone()),
            };
        }
        claims.as_object().unwrap().clone()
    }

    #[test]
    fn a_logout_token_names_a_person_or_a_session() {
        for typ in [None, Some("jwt"), Some("logout+jwt")] {
            let token = read(typ, &with(json!({ "sid": "s1" }))).unwrap();
            assert_eq!((token.sub.as_deref(), token.sid.as_deref()), (Some("ann"), Some("s1")));
            assert_eq!(token.expires_ms, 1_790_000_060_000 + SKEW);
        }
        assert_eq!(read(None, &with(json!({ "sub": null, "sid": "s1" }))).unwrap().sub, None);
    }

    #[test]
    fn what_is_no_logout_token_is_refused() {
        for wrong in [
            json!({ "nonce": "n" }),
            json!({ "events": null }),
            json!({ "events": [LOGOUT] }),
            json!({ "events": { LOGOUT: true } }),
            json!({ "events": { "http://schemas.openid.net/event/other": {} } }),
            json!({ "jti": null }),
            json!({ "jti": "" }),
            json!({ "sub": null }),
            json!({ "sub": "" , "sid": "s1" }),
            json!({ "sub": "ann", "sid": 5 }),
            json!({ "exp": null }),
        ] {
            assert!(read(None, &with(wrong.clone())).is_err(), "{wrong}");
        }
        for typ in ["at+jwt", "secevent+jwt", ""] {
            assert!(read(Some(typ), &with(json!({}))).is_err(), "{typ}");
        }
    }

    #[test]
    fn the_redirect_keeps_what_the_endpoint_has_in_its_query() {
        let fields = vec![("state".to_owned(), "a b".to_owned())];
        let request = EndSession { url: "https://idp.example/end?tenant=1".to_owned(), fields };
        assert_eq!(request.redirect(), "https://idp.example/end?tenant=1&state=a+b");
    }
}
