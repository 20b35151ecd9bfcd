//! OpenID Connect, as one client needs it: the code flow with or without PKCE, userinfo, revocation, RP-initiated logout.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State as Shared};
use axum::http::Method;
use axum::response::Response;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::json;
use url::{Host, Url, form_urlencoded};

use super::sign_in::{Ask, Demand, arrive};
use super::state::{Access, Application, Grant, Protocol, Session, TOKEN};
use super::visit::{self, Refusal, Visit, json_answer};
use super::{CLIENT_ID, CLIENT_SECRET, Idp, pages, sign_out};
use crate::ambient::{HOUR, SECOND};
use crate::error::{Error, Result};
use crate::{http, ids, keys};

/// Where Cenote takes answers, at the end of a pool's address.
const CALLBACK: &str = "/oauth2/idpresponse";
const AFTER_LOGOUT: &str = "/oauth2/idplogout";

pub async fn discovery(Shared(idp): Shared<Arc<Idp>>, request: Request) -> Response {
    visit::program(idp, request, "openid-configuration", async |visit: Visit| {
        let url = visit.idp.url();
        Ok(json_answer(&json!({
            "issuer": url,
            "authorization_endpoint": format!("{url}/authorize"),
            "token_endpoint": format!("{url}/token"),
            "userinfo_endpoint": format!("{url}/userinfo"),
            "jwks_uri": format!("{url}/jwks"),
            "end_session_endpoint": format!("{url}/end_session"),
            "revocation_endpoint": format!("{url}/revoke"),
            "service_documentation": url,
            "note": "Cenote demonstration provider, not for production",
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "grant_types_supported": ["authorization_code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"],
            "revocation_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"],
            "code_challenge_methods_supported": ["S256"],
            "scopes_supported": ["openid", "profile", "email"],
            "claims_supported": ["sub", "auth_time", "sid", "name", "given_name", "family_name", "email", "email_verified", "groups"],
            "prompt_values_supported": ["none", "login", "select_account", "consent"],
            "authorization_response_iss_parameter_supported": true,
            "backchannel_logout_supported": true,
            "backchannel_logout_session_supported": true,
        })))
    })
    .await
}

pub async fn jwks(Shared(idp): Shared<Arc<Idp>>, request: Request) -> Response {
    visit::program(idp, request, "jwks", async |visit: Visit| {
        Ok(json_answer(&visit.idp.keys.jwks()))
    })
    .await
}

/// An authentication request that was looked at.
#[derive(Clone, Debug)]
pub struct Authorize {
    redirect_uri: String,
    state: Option<String>,
    nonce: Option<String>,
    scope: String,
    challenge: Option<String>,
}

impl Authorize {
    pub fn application(&self) -> Application {
        let base = self.redirect_uri.strip_suffix(CALLBACK).unwrap_or(&self.redirect_uri);
        Application { protocol: Protocol::Oidc, base: base.to_owned() }
    }
}

pub async fn authorize(Shared(idp): Shared<Arc<Idp>>, request: Request) -> Response {
    visit::page(idp, request, "authorize", async |visit: Visit| {
        let said = |name: &str| visit.field(name).map(str::to_owned);
        if said("client_id").as_deref() != Some(CLIENT_ID) {
            return Err(Error::invalid(format!(
                "The only client here is {CLIENT_ID}, and the request names another in client_id."
            )));
        }
        let redirect_uri = said("redirect_uri").unwrap_or_default();
        allowed(&redirect_uri, CALLBACK, "redirect_uri")?;
        let ask = Authorize {
            redirect_uri,
            state: said("state"),
            nonce: said("nonce"),
            scope: said("scope").unwrap_or_default(),
            challenge: said("code_challenge"),
        };
        let refused = |error, text: &str| Ok(refuse(&visit, &ask, error, text));
        if said("response_type").as_deref() != Some("code") {
            return refused("unsupported_response_type", "The only response_type here is code.");
        }
        if !ask.scope.split(' ').any(|scope| scope == "openid") {
            return refused("invalid_scope", "The scope must have openid in it.");
        }
        if ask.challenge.is_some() && said("code_challenge_method").as_deref() != Some("S256") {
            return refused("invalid_request", "The only code_challenge_method here is S256.");
        }
        let prompt = said("prompt").unwrap_or_default();
        let prompts = |name: &str| prompt.split(' ').any(|prompt| prompt == name);
        let demand = Demand {
            fresh: prompts("login") || prompts("select_account"),
            passive: prompts("none"),
            max_age_secs: said("max_age").and_then(|age| age.parse().ok()),
            hint: said("login_hint"),
        };
        arrive(&visit, Ask::Authorize(ask.clone()), &demand)
    })
    .await
}

/// A code for whoever has this session.
pub fn answer(visit: &Visit, ask: &Authorize, session: &Session) -> Response {
    let code = ids::handle(visit.cx.rng());
    let grant = Grant {
        sid: session.sid.clone(),
        person: session.person.clone(),
        auth_ms: session.auth_ms,
        redirect_uri: ask.redirect_uri.clone(),
        scope: ask.scope.clone(),
        nonce: ask.nonce.clone(),
        challenge: ask.challenge.clone(),
    };
    visit.idp.state().keep_code(visit.now(), code.clone(), grant);
    back(visit, ask, &[("code", &code)])
}

pub fn refuse(visit: &Visit, ask: &Authorize, error: &str, text: &str) -> Response {
    back(visit, ask, &[("error", error), ("error_description", text)])
}

/// With `iss`, so that the client knows whose answer it is (RFC 9207).
fn back(visit: &Visit, ask: &Authorize, more: &[(&str, &str)]) -> Response {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(more);
    if let Some(state) = &ask.state {
        query.append_pair("state", state);
    }
    query.append_pair("iss", &visit.idp.url());
    pages::see(&with_query(&ask.redirect_uri, &query.finish()))
}

fn with_query(url: &str, query: &str) -> String {
    let sign = if url.contains('?') { '&' } else { '?' };
    format!("{url}{sign}{query}")
}

pub async fn token(Shared(idp): Shared<Arc<Idp>>, request: Request) -> Response {
    visit::program(idp, request, "token", async |visit: Visit| {
        client(&visit)?;
        if visit.field("grant_type") != Some("authorization_code") {
            return Err(Refusal::new(
                "unsupported_grant_type",
                "The only grant_type here is authorization_code.",
            ));
        }
        let code = visit.field("code").unwrap_or_default();
        let grant = visit.idp.state().codes.take(visit.now(), code);
        let grant = grant.ok_or_else(|| {
            Refusal::new("invalid_grant", "The code is unknown, used, or older than a minute.")
        })?;
        if visit.field("redirect_uri") != Some(grant.redirect_uri.as_str()) {
            return Err(Refusal::new(
                "invalid_grant",
                "The redirect_uri is another than that of the request.",
            ));
        }
        let proof = visit
            .field("code_verifier")
            .map(|verifier| BASE64_URL_SAFE_NO_PAD.encode(keys::hash(verifier)));
        if grant.challenge != proof {
            return Err(Refusal::new(
                "invalid_grant",
                "The code_verifier is not that of the code_challenge.",
            ));
        }
        let now = visit.now();
        let mut claims = grant.person.claims(&grant.scope);
        let auth_time = grant.auth_ms / SECOND;
        for (name, value) in [
            ("iss", json!(visit.idp.url())),
            ("aud", json!(CLIENT_ID)),
            ("iat", json!(now / SECOND)),
            ("exp", json!((now + HOUR) / SECOND)),
            ("auth_time", json!(auth_time)),
            ("sid", json!(grant.sid)),
        ] {
            claims.insert(name.to_owned(), value);
        }
        if let Some(nonce) = &grant.nonce {
            claims.insert("nonce".to_owned(), json!(nonce));
        }
        let id_token = visit.idp.keys.token("JWT", &claims.into())?;
        let access_token = ids::handle(visit.cx.rng());
        let access = Access { sid: grant.sid, person: grant.person, scope: grant.scope.clone() };
        visit.idp.state().keep_token(now, access_token.clone(), access);
        Ok(json_answer(&json!({
            "access_token": access_token,
            "token_type": "Bearer",
            "expires_in": TOKEN / SECOND,
            "scope": grant.scope,
            "id_token": id_token,
        })))
    })
    .await
}

pub async fn userinfo(Shared(idp): Shared<Arc<Idp>>, request: Request) -> Response {
    visit::program(idp, request, "userinfo", async |visit: Visit| {
        let token = http::bearer(&visit.parts.headers).unwrap_or_default();
        let access = visit.idp.state().tokens.get(visit.now(), token).cloned();
        let access = access.ok_or_else(|| {
            Refusal::new(
                "invalid_token",
                "The access token is unknown, expired, or its session has ended.",
            )
        })?;
        Ok(json_answer(&access.person.claims(&access.scope).into()))
    })
    .await
}

/// RFC 7009: also what is unknown is revoked.
pub async fn revoke(Shared(idp): Shared<Arc<Idp>>, request: Request) -> Response {
    visit::program(idp, request, "revoke", async |visit: Visit| {
        client(&visit)?;
        visit.idp.state().tokens.take(visit.now(), visit.field("token").unwrap_or_default());
        Ok(Response::new(Body::empty()))
    })
    .await
}

fn client(visit: &Visit) -> std::result::Result<(), Refusal> {
    let basic = http::basic(&visit.parts.headers);
    let (id, secret) = match &basic {
        Some((id, secret)) => (id.as_str(), secret.as_str()),
        None => (
            visit.field("client_id").unwrap_or_default(),
            visit.field("client_secret").unwrap_or_default(),
        ),
    };
    if id != CLIENT_ID || !keys::same(secret.as_bytes(), CLIENT_SECRET.as_bytes()) {
        return Err(Refusal::new(
            "invalid_client",
            "The client id or its secret is not that of the demonstration client.",
        ));
    }
    Ok(())
}

/// A request to sign out that was looked at.
#[derive(Clone, Debug)]
pub struct EndSession {
    /// Where the browser goes then.
    pub after: Option<String>,
    /// The pool that asks.
    pub from: Option<Application>,
}

pub async fn end_session(Shared(idp): Shared<Arc<Idp>>, request: Request) -> Response {
    visit::page(idp, request, "end_session", async |visit: Visit| {
        let url = visit.idp.url();
        let hint = visit.field("id_token_hint").and_then(|hint| visit.idp.keys.own(hint));
        let hint = hint.filter(|claims| claims.str("iss") == Some(&url) && claims.str("aud") == Some(CLIENT_ID));
        let sid = hint.as_ref().and_then(|claims| claims.str("sid"));
        // A form of another site brings no cookie; without a token to say who is meant, the cookie must.
        if visit.parts.method == Method::POST && sid.is_none() {
            let kept = visit.fields.iter().filter(|(name, _)| name != "id_token_hint");
            let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(kept).finish();
            return Ok(pages::see(&format!("{url}/end_session?{query}")));
        }
        let mut ask = EndSession { after: None, from: None };
        if let Some(uri) = visit.field("post_logout_redirect_uri") {
            if sid.is_none() && visit.field("client_id") != Some(CLIENT_ID) {
                return Err(Error::invalid("With post_logout_redirect_uri the request needs the id_token_hint or the client_id of the client that it belongs to."));
            }
            allowed(uri, AFTER_LOGOUT, "post_logout_redirect_uri")?;
            let base = uri.strip_suffix(AFTER_LOGOUT).unwrap_or(uri).to_owned();
            ask.from = Some(Application { protocol: Protocol::Oidc, base });
            let state = visit.field("state").map(|state| {
                form_urlencoded::Serializer::new(String::new()).append_pair("state", state).finish()
            });
            ask.after = Some(state.map_or_else(|| uri.to_owned(), |state| with_query(uri, &state)));
        }
        match (sid, visit.session()) {
            // The application knows whose session it means. Somebody else may sit here by now, and stays.
            (Some(sid), _) => sign_out::ended(&visit, |_, session| session.sid == sid, &ask).await,
            (None, Some(session)) => sign_out::confirm(&visit, &session, ask),
            (None, None) => sign_out::leave(&visit, &ask, None, &[]),
        }
    })
    .await
}

/// Answers go to servers on this machine, at the one path where a Cenote takes them.
pub fn allowed(url: &str, path: &str, name: &str) -> Result<()> {
    let parsed = Url::parse(url).ok();
    let here = parsed.as_ref().is_some_and(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.path().ends_with(path)
            && url.query().is_none()
            && url.fragment().is_none()
            && match url.host() {
                Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
                Some(Host::Ipv4(ip)) => ip.is_loopback(),
                Some(Host::Ipv6(ip)) => ip.is_loopback(),
                None => false,
            }
    });
    if here {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "The demonstration provider answers to a Cenote on this machine only: the {name} must be on localhost and end with {path}."
    )))
}
