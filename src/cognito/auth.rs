//! InitiateAuth, RespondToAuthChallenge, their Admin forms, and refreshing: Cognito's loop of challenges as a skin over `auth`.

use std::collections::BTreeMap;
use std::sync::Arc;

use cenote_interface::types::*;

use super::lookup;
use crate::auth::second::Reply;
use crate::auth::{
    At, Challenged, Door, Outcome, Proven, new_password, password, second, secret_hash, srp,
};
use crate::cx::Cx;
use crate::error::{Error, Result};
use crate::pool::session::Flow;
use crate::pool::{Client, Factor, Pool};
use crate::tokens::claims::ADMIN_SCOPE;
use crate::tokens::{mint, open, refresh};

pub async fn initiate_auth(cx: Cx, input: InitiateAuthRequest) -> Result<InitiateAuthResponse> {
    let (pool, client) = lookup::client(&cx, &input.client_id).await?;
    let parameters = input.auth_parameters.unwrap_or_default();
    let start = Start { pool, client, door: Door::Api, parameters };
    let answer = start.run(&cx, &input.auth_flow).await?;
    Ok(InitiateAuthResponse {
        challenge_name: answer.challenge_name,
        session: answer.session,
        challenge_parameters: Some(answer.challenge_parameters),
        authentication_result: answer.authentication_result,
        available_challenges: None,
    })
}

pub async fn admin_initiate_auth(
    cx: Cx,
    input: AdminInitiateAuthRequest,
) -> Result<AdminInitiateAuthResponse> {
    let (pool, client) = lookup::client_of(&cx, &input.user_pool_id, &input.client_id).await?;
    let parameters = input.auth_parameters.unwrap_or_default();
    let start = Start { pool, client, door: Door::Admin, parameters };
    let answer = start.run(&cx, &input.auth_flow).await?;
    Ok(AdminInitiateAuthResponse {
        challenge_name: answer.challenge_name,
        session: answer.session,
        challenge_parameters: Some(answer.challenge_parameters),
        authentication_result: answer.authentication_result,
        available_challenges: None,
    })
}

pub async fn respond_to_auth_challenge(
    cx: Cx,
    input: RespondToAuthChallengeRequest,
) -> Result<RespondToAuthChallengeResponse> {
    let (pool, client) = lookup::client(&cx, &input.client_id).await?;
    let at = At { pool: &pool, client: &client, door: Door::Api };
    let responses = input.challenge_responses.unwrap_or_default();
    let answer = respond(&cx, at, &input.challenge_name, input.session, &responses).await?;
    Ok(RespondToAuthChallengeResponse {
        challenge_name: answer.challenge_name,
        session: answer.session,
        challenge_parameters: Some(answer.challenge_parameters),
        authentication_result: answer.authentication_result,
        available_challenges: None,
    })
}

pub async fn admin_respond_to_auth_challenge(
    cx: Cx,
    input: AdminRespondToAuthChallengeRequest,
) -> Result<AdminRespondToAuthChallengeResponse> {
    let (pool, client) = lookup::client_of(&cx, &input.user_pool_id, &input.client_id).await?;
    let at = At { pool: &pool, client: &client, door: Door::Admin };
    let responses = input.challenge_responses.unwrap_or_default();
    let answer = respond(&cx, at, &input.challenge_name, input.session, &responses).await?;
    Ok(AdminRespondToAuthChallengeResponse {
        challenge_name: answer.challenge_name,
        session: answer.session,
        challenge_parameters: Some(answer.challenge_parameters),
        authentication_result: answer.authentication_result,
        available_challenges: None,
    })
}

pub async fn get_tokens_from_refresh_token(
    cx: Cx,
    input: GetTokensFromRefreshTokenRequest,
) -> Result<GetTokensFromRefreshTokenResponse> {
    let (pool, client) = lookup::client(&cx, &input.client_id).await?;
    lookup::check_client_secret(&cx, &client, input.client_secret.as_deref(), |message| {
        Error::not_authorized(message)
    })?;
    let presented = refresh::find(&cx, &pool, &client, &input.refresh_token).await?;
    let issued = refresh::refresh(&cx, presented).await?;
    Ok(GetTokensFromRefreshTokenResponse { authentication_result: Some(issued.into_result()) })
}

/// The four responses have the same members under four names.
#[derive(Default)]
struct Answer {
    challenge_name: Option<String>,
    session: Option<String>,
    challenge_parameters: BTreeMap<String, String>,
    authentication_result: Option<AuthenticationResultType>,
}

struct Start {
    pool: Arc<Pool>,
    client: Arc<Client>,
    door: Door,
    parameters: BTreeMap<String, String>,
}

impl Start {
    async fn run(&self, cx: &Cx, flow: &str) -> Result<Answer> {
        let at = At { pool: &self.pool, client: &self.client, door: self.door };
        self.check_enabled(flow)?;
        match flow {
            "USER_PASSWORD_AUTH" | "ADMIN_USER_PASSWORD_AUTH" | "ADMIN_NO_SRP_AUTH" => {
                let name = self.parameter("USERNAME")?;
                let secret = self.parameter("PASSWORD")?;
                self.check_secret_hash(cx, &[name])?;
                finish(cx, at, password::attempt(cx, at, name, secret).await?).await
            }
            "USER_SRP_AUTH" => {
                let name = self.parameter("USERNAME")?;
                let srp_a = self.parameter("SRP_A")?;
                self.check_secret_hash(cx, &[name])?;
                finish(cx, at, srp::begin(cx, at, name, srp_a).await?).await
            }
            "REFRESH_TOKEN_AUTH" | "REFRESH_TOKEN" => self.refresh(cx).await,
            "CUSTOM_AUTH" => Err(Error::invalid(
                "Custom auth lambda trigger is not configured for the user pool.",
            )),
            flow => Err(Error::invalid(format!(
                "The flow {flow} is not built in this version of Cenote."
            ))),
        }
    }

    async fn refresh(&self, cx: &Cx) -> Result<Answer> {
        let token = self.parameter("REFRESH_TOKEN")?;
        let presented = refresh::find(cx, &self.pool, &self.client, token).await?;
        let user = &presented.held.user;
        let mut names = vec![user.username.as_str(), user.sub.as_str()];
        names.extend(
            ["email", "phone_number", "preferred_username"]
                .iter()
                .filter_map(|name| user.doc.get(name)),
        );
        self.check_secret_hash(cx, &names)?;
        let issued = refresh::refresh(cx, presented).await?;
        Ok(Answer { authentication_result: Some(issued.into_result()), ..Answer::default() })
    }

    /// `cognito-behaviour`, 6.2: which ExplicitAuthFlows allow which flow, at which door.
    fn check_enabled(&self, flow: &str) -> Result<()> {
        let allows = |names: &[&str]| self.client.allows_flow(names);
        let admin = self.door == Door::Admin;
        let disabled = |message: &'static str| Err(Error::invalid(message));
        match flow {
            "USER_PASSWORD_AUTH" if admin => disabled("Initiate Auth method not supported."),
            "USER_PASSWORD_AUTH"
                if !allows(&["ALLOW_USER_PASSWORD_AUTH", "USER_PASSWORD_AUTH"]) =>
            {
                disabled("USER_PASSWORD_AUTH flow not enabled for this client")
            }
            "ADMIN_USER_PASSWORD_AUTH" | "ADMIN_NO_SRP_AUTH" if !admin => {
                disabled("Initiate Auth method not supported.")
            }
            "ADMIN_USER_PASSWORD_AUTH" | "ADMIN_NO_SRP_AUTH"
                if !allows(&["ALLOW_ADMIN_USER_PASSWORD_AUTH", "ADMIN_NO_SRP_AUTH"]) =>
            {
                disabled("Auth flow not enabled for this client")
            }
            "USER_SRP_AUTH"
                if !(allows(&["ALLOW_USER_SRP_AUTH"]) || self.client.uses_legacy_flows()) =>
            {
                disabled("USER_SRP_AUTH is not enabled for the client.")
            }
            "REFRESH_TOKEN_AUTH" | "REFRESH_TOKEN" if self.client.rotation().is_some() => disabled(
                "Refresh token rotation is enabled for this client: use GetTokensFromRefreshToken in place of REFRESH_TOKEN_AUTH.",
            ),
            "REFRESH_TOKEN_AUTH" | "REFRESH_TOKEN" if !self.client.allows_refresh() => {
                disabled("REFRESH_TOKEN_AUTH flow not enabled for this client")
            }
            "CUSTOM_AUTH" if !allows(&["ALLOW_CUSTOM_AUTH", "CUSTOM_AUTH_FLOW_ONLY"]) => {
                disabled("CUSTOM_AUTH is not enabled for the client.")
            }
            "USER_AUTH" if !allows(&["ALLOW_USER_AUTH"]) => {
                disabled("USER_AUTH flow not enabled for this client")
            }
            _ => Ok(()),
        }
    }

    fn parameter(&self, name: &str) -> Result<&str> {
        match self.parameters.get(name) {
            Some(value) if !value.is_empty() => Ok(value),
            _ => Err(Error::invalid(format!("Missing required parameter {name}"))),
        }
    }

    fn check_secret_hash(&self, cx: &Cx, names: &[&str]) -> Result<()> {
        secret_hash::check(
            cx,
            &self.client,
            names,
            self.parameters.get("SECRET_HASH").map(String::as_str),
        )
    }
}

async fn respond(
    cx: &Cx,
    at: At<'_>,
    challenge: &str,
    session: Option<String>,
    responses: &BTreeMap<String, String>,
) -> Result<Answer> {
    let required = |name: &str| match responses.get(name) {
        Some(value) if !value.is_empty() => Ok(value.as_str()),
        _ => Err(Error::invalid(format!("Missing required parameter {name}"))),
    };
    let name = required("USERNAME")?;
    secret_hash::check(cx, at.client, &[name], responses.get("SECRET_HASH").map(String::as_str))?;
    match challenge {
        "PASSWORD_VERIFIER" => {
            let claim = srp::Claim {
                name,
                secret_block: required("PASSWORD_CLAIM_SECRET_BLOCK")?,
                timestamp: required("TIMESTAMP")?,
                signature: required("PASSWORD_CLAIM_SIGNATURE")?,
            };
            finish(cx, at, srp::answer(cx, at, &claim).await?).await
        }
        "NEW_PASSWORD_REQUIRED" => {
            let password = required("NEW_PASSWORD")?;
            let session =
                session.ok_or_else(|| Error::invalid("Missing required parameter Session"))?;
            let pairs: Vec<(String, String)> = responses
                .iter()
                .filter_map(|(key, value)| {
                    Some((key.strip_prefix("userAttributes.")?.to_owned(), value.clone()))
                })
                .collect();
            finish(cx, at, new_password::answer(cx, at, &session, name, password, &pairs).await?)
                .await
        }
        "SMS_MFA" | "SOFTWARE_TOKEN_MFA" | "EMAIL_OTP" | "SELECT_MFA_TYPE" | "MFA_SETUP" => {
            let session =
                session.ok_or_else(|| Error::invalid("Missing required parameter Session"))?;
            let reply = match challenge {
                "SMS_MFA" => Reply::Code(Factor::Sms, required("SMS_MFA_CODE")?),
                "SOFTWARE_TOKEN_MFA" => {
                    Reply::Code(Factor::SoftwareToken, required("SOFTWARE_TOKEN_MFA_CODE")?)
                }
                // The guide calls it EMAIL_MFA in places.
                "EMAIL_OTP" => Reply::Code(
                    Factor::Email,
                    required("EMAIL_OTP_CODE")
                        .or_else(|error| required("EMAIL_MFA_CODE").map_err(|_| error))?,
                ),
                "SELECT_MFA_TYPE" => {
                    let answer = required("ANSWER")?;
                    Reply::Choice(Factor::parse(answer).ok_or_else(|| {
                        Error::invalid("ANSWER must be SMS_MFA, SOFTWARE_TOKEN_MFA or EMAIL_OTP.")
                    })?)
                }
                _ => match responses.get("EMAIL").filter(|address| !address.is_empty()) {
                    Some(address) => Reply::SetUpEmail(address),
                    None => Reply::IsSetUp,
                },
            };
            finish(cx, at, second::answer(cx, at, &session, Some(name), reply).await?).await
        }
        challenge => Err(Error::invalid(format!(
            "The challenge {challenge} is not built in this version of Cenote."
        ))),
    }
}

/// Opens the token session of an API sign-in, commits, and signs; or passes the challenge on.
async fn finish(cx: &Cx, at: At<'_>, outcome: Outcome) -> Result<Answer> {
    match outcome {
        Outcome::Challenged(Challenged { name, session, parameters }) => Ok(Answer {
            challenge_name: Some(name.to_owned()),
            session,
            challenge_parameters: parameters,
            authentication_result: None,
        }),
        Outcome::Proven(proven) => {
            let Proven { user, birth, mut batch } = *proven;
            let new = open::New {
                pool: at.pool,
                client: at.client,
                user: &user,
                birth,
                auth_ms: cx.now,
                flow: Flow::Api,
                scope: ADMIN_SCOPE,
                nonce: None,
                resource: None,
                sso_id: None,
                session_id: None,
            };
            let opened = open::open(cx, &mut batch, new).await?;
            cx.db().commit(batch).await?;
            let issued =
                mint::issue(cx, at.pool, at.client, &user, &opened.session, opened.refresh_token)
                    .await?;
            cx.app.meters.issued("sign_in");
            Ok(Answer { authentication_result: Some(issued.into_result()), ..Answer::default() })
        }
    }
}
