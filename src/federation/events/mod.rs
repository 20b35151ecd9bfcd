//! Security events of a provider (Security Event Tokens, RFC 8417; CAEP 1.0, RISC 1.0): whether one is to be believed, and what ends
//! because of it. Global Token Revocation asks for the same in other words. No routes.

mod revocation;
mod set;
mod subject;

use std::borrow::Cow;

pub use self::revocation::{Asked, verify};
pub use self::set::{Event, believe};
pub use self::subject::Subject;
use crate::cx::Cx;
use crate::error::Result;
use crate::federation::sign_out::inward::{self, Message, Named};
use crate::federation::{Trouble, TroubleKind, learned, oidc};
use crate::keys::foreign::{Disbelief, Foreign};
use crate::pool::{Pool, Provider};
use serde_json::{Map, Value};

/// Why an event is not taken. The codes are those of RFC 8935, 2.4.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    pub code: Code,
    pub why: Cow<'static, str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    Request,
    Key,
    Issuer,
    Audience,
    /// It cannot be told now; whoever sent it should come again.
    Away,
    /// Ours.
    Internal,
}

impl Code {
    pub fn as_str(self) -> &'static str {
        match self {
            Code::Request => "invalid_request",
            Code::Key => "invalid_key",
            Code::Issuer => "invalid_issuer",
            Code::Audience => "invalid_audience",
            // No code of the registry says so; the status does.
            Code::Away => "temporarily_unavailable",
            Code::Internal => "server_error",
        }
    }

    fn because(self, why: impl Into<Cow<'static, str>>) -> Refused {
        Refused { code: self, why: why.into() }
    }
}

impl From<Trouble> for Refused {
    fn from(trouble: Trouble) -> Refused {
        let code = match trouble.kind {
            TroubleKind::Refused => Code::Key,
            TroubleKind::Unreachable => Code::Away,
            TroubleKind::Internal => Code::Internal,
        };
        code.because(trouble.text)
    }
}

/// Who a provider's events are from and for, and whose people it speaks of.
struct Transmitter {
    /// As `iss` of an event may be.
    issuers: Vec<String>,
    /// As `aud` of an event may be.
    audiences: Vec<String>,
}

impl Transmitter {
    /// `ssf_issuer` and `ssf_audience` of ProviderDetails, where another address than that of sign-ins sends events.
    async fn of(cx: &Cx, provider: &Provider) -> Result<Transmitter, Refused> {
        let own = |name: &str| provider.detail(name).map(str::to_owned);
        let signs_in = learned::discovery(cx, provider).await.map_err(oidc::id_token::away)?;
        let issuers = own("ssf_issuer").into_iter().chain(signs_in.issuer.clone()).collect();
        let audiences = own("ssf_audience").into_iter().chain(own("client_id")).collect();
        Ok(Transmitter { issuers, audiences })
    }

    /// Some spell their issuer with a slash at the end here and without it there (Google does); the signature says who it is.
    fn is_issuer(&self, iss: &str) -> bool {
        let bare = |text: &str| text.trim_end_matches('/').to_owned();
        self.issuers.iter().any(|own| bare(own) == bare(iss))
    }

    /// Who may sign events: `ssf_issuer` alone where it is given.
    fn may_send(&self, provider: &Provider, iss: &str) -> bool {
        match provider.detail("ssf_issuer") {
            Some(own) => own.trim_end_matches('/') == iss.trim_end_matches('/'),
            None => self.is_issuer(iss),
        }
    }
}

/// The claims of a token that one of the provider's keys for events signed; what no known key explains is reason to fetch them anew.
async fn signed(
    cx: &Cx,
    provider: &Provider,
    token: &Foreign<'_>,
) -> Result<Map<String, Value>, Refused> {
    if token.alg.is_mac() {
        return Err(Code::Key.because("it is signed with HMAC; events are signed with a key pair"));
    }
    let keys = learned::event_jwks(cx, provider).await.map_err(oidc::id_token::away)?;
    let verified = match token.verify(&keys) {
        Err(Disbelief::NoKey | Disbelief::Signature) => {
            let anew =
                learned::event_jwks_anew(cx, provider).await.map_err(oidc::id_token::away)?;
            token.verify(&anew.unwrap_or(keys))
        }
        verified => verified,
    };
    verified.map_err(|disbelief| match disbelief {
        Disbelief::Claims => Code::Request.because(disbelief.to_string()),
        Disbelief::NoKey | Disbelief::Signature => Code::Key.because(disbelief.to_string()),
    })
}

/// `aud`: one text, or several.
fn audiences(claims: &Map<String, Value>) -> Vec<&str> {
    match claims.get("aud") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// One thing that ends at a provider.
pub struct Ending {
    pub reason: &'static str,
    pub named: Named,
}

/// Ends all of it at these providers, which are one party, durably. The message is taken with the last of it, so that what fails before can be said again; also where there is
/// nothing to end, so that it does not end later what comes into being later.
pub async fn end(
    cx: &Cx,
    pool: &Pool,
    providers: &[&Provider],
    endings: &[Ending],
    message: &Message<'_>,
    reason: &'static str,
) -> Result<()> {
    inward::refuse_replay(cx, pool, providers, message).await?;
    let nobody = Ending { reason, named: Named::default() };
    let (last, before) = endings.split_last().unwrap_or((&nobody, &[]));
    for ending in before {
        inward::end(cx, pool, providers, &ending.named, None, ending.reason, &mut 0).await?;
    }
    inward::end(cx, pool, providers, &last.named, Some(message), last.reason, &mut 0).await
}
