//! The two kinds of session (see ARCHITECTURE.md): one browser signed in at the hosted
//! pages, and one refresh-token family of one app client.

use crate::ambient::Ms;

/// One browser signed in at the hosted pages. `sso` + 25 of `[a-z0-9]`.
#[derive(Clone, Debug)]
pub struct SsoSession {
    pub id: String,
    pub sub: String,
    pub client_id: String,
    pub birth_ms: Ms,
    /// The last fresh authentication: what `auth_time` and `max_age` mean.
    pub auth_ms: Ms,
    pub created_ms: Ms,
    pub active_ms: Ms,
    pub expires_ms: Ms,
    pub ended_ms: Option<Ms>,
    pub ip: String,
    pub device: String,
}

/// One refresh-token family of one app client. `tkn` + 25 of `[a-z0-9]`; the same 128 bits, written as a
/// UUIDv7, are the claim `origin_jti`.
#[derive(Clone, Debug)]
pub struct TokenSession {
    pub id: String,
    pub sub: String,
    pub client_id: String,
    /// The browser session that it came through.
    pub sso_id: Option<String>,
    /// How the user signed in; some refresh paths depend on it.
    pub flow: Flow,
    pub scope: String,
    pub nonce: Option<String>,
    /// The API that its access tokens are for: their `aud` (RFC 8707).
    pub resource: Option<String>,
    /// Under which name its app client knows it, where that wants to learn of sign-outs: the claim `sid`. See `tokens::participation`.
    pub sid: Option<String>,
    pub birth_ms: Ms,
    pub auth_ms: Ms,
    pub created_ms: Ms,
    pub active_ms: Ms,
    /// When the refresh token family ends, or the last token where there is no refresh token.
    pub expires_ms: Ms,
    pub ended_ms: Option<Ms>,
    pub ip: String,
    pub device: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// InitiateAuth and its like: scope is `aws.cognito.signin.user.admin`.
    Api,
    /// The hosted pages and the code grant.
    Hosted,
    /// The hosted pages and the implicit grant: there is no refresh token.
    Implicit,
}

impl Flow {
    pub fn as_str(self) -> &'static str {
        match self {
            Flow::Api => "api",
            Flow::Hosted => "hosted",
            Flow::Implicit => "implicit",
        }
    }

    pub fn parse(text: &str) -> Flow {
        match text {
            "hosted" => Flow::Hosted,
            "implicit" => Flow::Implicit,
            _ => Flow::Api,
        }
    }

    /// Whether the user signed in at the pages, where an app asks for scopes.
    pub fn is_hosted(self) -> bool {
        self != Flow::Api
    }
}
