//! What a provider's answer leads to, once the browser is known: the session and the redirect to the app, the provider again, or an
//! error that the app is told (`cognito-behaviour`, 2.7 and 4.1).

use axum::response::Response;

use super::finish;
use super::from_provider::Answer;
use super::providers::{Offered, UNAVAILABLE};
use super::request::AuthorizeRequest;
use super::to_provider::{self, SignIn};
use crate::ambient::{MINUTE, Ms};
use crate::audit::{self, Actor};
use crate::auth::federated::{self, Arrival};
use crate::auth::{At, Door};
use crate::cx::Cx;
use crate::error::{Kind, Result};
use crate::federation::Trouble;
use crate::federation::oidc::{self, Callback};
use crate::http;
use crate::pool::Identity;
use crate::pool::Provider;
use crate::site::{Params, Visit};
use crate::store::Batch;

/// Error codes of a provider that mean the same to the app (RFC 6749, 4.1.2.1; OIDC Core, 3.1.2.6).
const PASSED_ON: &[&str] = &[
    "access_denied",
    "account_selection_required",
    "consent_required",
    "interaction_required",
    "login_required",
];

/// This visit with the query with which the browser was sent away.
pub fn returned(visit: &Visit, sign_in: &SignIn) -> Result<Visit> {
    Ok(Visit { query: Params::parse(&sign_in.query)?, ..visit.clone() })
}

/// An answer of a provider that speaks OAuth.
pub async fn answered(visit: &Visit, sign_in: &SignIn, answer: &Answer) -> Result<Response> {
    let back = match Back::of(visit, sign_in).await? {
        Ok(back) => back,
        Err(refusal) => return Ok(refusal),
    };
    let Some(provider) = back.provider() else { return back.unavailable().await };
    let cx = &back.visit.cx;
    if let Some(error) = &answer.error {
        return match oidc::check_issuer(cx, provider, answer.iss.as_deref()).await {
            Ok(()) => back.says_no(provider, error, answer.error_description.as_deref()).await,
            Err(trouble) => back.refuse(&trouble).await,
        };
    }
    let Some(code) = &answer.code else {
        let text =
            format!("{} sent the browser back with neither a code nor an error", provider.name);
        return back.refuse(&Trouble::refused(text)).await;
    };
    let callback = Callback {
        code,
        iss: answer.iss.as_deref(),
        user: answer.user.as_deref(),
        redirect_uri: &sign_in.callback,
        verifier: &sign_in.verifier,
        nonce: &sign_in.nonce,
    };
    match oidc::redeem(cx, provider, &callback).await {
        Ok(identity) => back.arrive(&identity).await,
        Err(trouble) => back.refuse(&trouble).await,
    }
}

/// Somebody whom a SAML provider named.
pub async fn known(visit: &Visit, sign_in: &SignIn, identity: &Identity) -> Result<Response> {
    match Back::of(visit, sign_in).await? {
        Ok(back) => back.arrive(identity).await,
        Err(refusal) => Ok(refusal),
    }
}

/// An answer that was no good.
pub async fn refused(visit: &Visit, sign_in: &SignIn, trouble: &Trouble) -> Result<Response> {
    match Back::of(visit, sign_in).await? {
        Ok(back) => back.refuse(trouble).await,
        Err(refusal) => Ok(refusal),
    }
}

/// A browser that has come back, and the app's request that took it away.
struct Back<'a> {
    visit: Visit,
    sign_in: &'a SignIn,
    request: AuthorizeRequest,
    offered: Offered,
}

impl<'a> Back<'a> {
    /// The client may have changed meanwhile: all is checked again.
    async fn of(
        visit: &Visit,
        sign_in: &'a SignIn,
    ) -> Result<std::result::Result<Back<'a>, Response>> {
        let visit = returned(visit, sign_in)?;
        let request = match AuthorizeRequest::check(&visit).await? {
            Ok(request) => request,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let offered = Offered::by(&visit, &request.client).await?;
        Ok(Ok(Back { visit, sign_in, request, offered }))
    }

    fn provider(&self) -> Option<&Provider> {
        self.offered.provider(&self.sign_in.provider)
    }

    /// A guard that lost a race is tried again from here: the provider has answered, and cannot be asked twice.
    async fn arrive(&self, identity: &Identity) -> Result<Response> {
        let Some(provider) = self.provider() else { return self.unavailable().await };
        let arrived = self.visit.cx.retrying(|cx| self.attempt(cx, provider, identity)).await;
        match arrived {
            // The way here is used up, and the app waits (RFC 6749, 4.1.2.1).
            Err(error)
                if matches!(
                    error.kind,
                    Kind::Internal | Kind::ServiceUnavailable | Kind::TooManyRequests
                ) =>
            {
                http::log(&self.visit.cx, "hosted", "federation", Some(&error));
                Ok(self.request.refuse(error.kind.oauth(), ""))
            }
            arrived => arrived,
        }
    }

    async fn attempt(&self, cx: Cx, provider: &Provider, identity: &Identity) -> Result<Response> {
        let mut visit = Visit { cx, ..self.visit.clone() };
        if let Some(pool) = visit.cx.app.directory.pool(visit.cx.db(), &visit.site.pool.id).await? {
            visit.site.pool = pool;
        }
        let at =
            At { pool: &visit.site.pool, client: &self.request.client, door: Door::Federation };
        match self.is_fresh(&visit, identity) {
            Fresh::Enough => {}
            Fresh::AskAgain => return to_provider::go(&visit, &self.request, provider, true).await,
            Fresh::Refused => {
                let text = format!(
                    "{} was asked to authenticate the user anew, and answered with an earlier authentication",
                    provider.name
                );
                return self.refuse(&Trouble::refused(text)).await;
            }
        }
        match federated::arrive(&visit.cx, at, identity, self.sign_in.forced).await {
            Ok(Arrival::Proven(proven)) => {
                finish::sign_in(&visit, &self.request, *proven, Some(identity)).await
            }
            Ok(Arrival::AuthenticateAgain) => {
                to_provider::go(&visit, &self.request, provider, true).await
            }
            Err(error) => {
                let trouble = federated::trouble(error)?;
                // Counted and noted there.
                Ok(self.request.refuse(trouble.error(), &to_provider::shortened(&trouble.text)))
            }
        }
    }

    /// Whether the provider did what `prompt=login` and `max_age` ask of it, where it says when it authenticated the user.
    fn is_fresh(&self, visit: &Visit, identity: &Identity) -> Fresh {
        let Some(auth_ms) = identity.auth_ms else { return Fresh::Enough };
        let before = self.sign_in.forced && auth_ms.saturating_add(MINUTE) < self.sign_in.began_ms;
        let old = self.request.max_age_ms.is_some_and(|max_age| age(visit, auth_ms) > max_age);
        match (before, old, self.sign_in.forced) {
            (false, false, _) => Fresh::Enough,
            (_, _, true) => Fresh::Refused,
            (_, _, false) => Fresh::AskAgain,
        }
    }

    async fn refuse(&self, trouble: &Trouble) -> Result<Response> {
        self.tell(trouble.error(), trouble).await
    }

    /// The provider was deleted, or taken from the client, while the browser was there.
    async fn unavailable(&self) -> Result<Response> {
        self.refuse(&Trouble::refused(UNAVAILABLE)).await
    }

    /// The provider itself refuses.
    async fn says_no(
        &self,
        provider: &Provider,
        error: &str,
        description: Option<&str>,
    ) -> Result<Response> {
        let description = description.unwrap_or_default();
        match PASSED_ON.iter().find(|known| **known == error) {
            Some(error) => {
                let text = match description {
                    "" => format!("{} Error - {error}", provider.name),
                    said => said.to_owned(),
                };
                self.tell(error, &Trouble::refused(text)).await
            }
            None => {
                let text = format!("{} Error - {error} {description}", provider.name);
                self.refuse(&Trouble::refused(text.trim_end())).await
            }
        }
    }

    /// Tells the app, and notes that nobody got in.
    async fn tell(&self, error: &str, trouble: &Trouble) -> Result<Response> {
        let Visit { cx, site, .. } = &self.visit;
        let detail = format!("{} {}", Door::Federation.as_str(), self.sign_in.provider);
        let mut batch = Batch::new();
        let (who, outcome) = (Actor::Anybody, trouble.outcome());
        audit::note(&mut batch, cx, &site.pool.id, &who, "SignIn", "", outcome, &detail);
        cx.db().commit(batch).await?;
        Ok(to_provider::tell(&self.visit, &self.request, error, trouble))
    }
}

/// How long ago a provider authenticated somebody. Its clock may be a minute behind ours.
pub fn age(visit: &Visit, auth_ms: Ms) -> Ms {
    visit.cx.now.saturating_sub(auth_ms.saturating_add(MINUTE))
}

enum Fresh {
    Enough,
    AskAgain,
    Refused,
}
