//! What the provider says to applications without a browser: OpenID Connect's back-channel logout, SAML's logout by SOAP. And what
//! it asks them: their SAML metadata.

use cenote_saml::{LogoutReason, LogoutRequest, StatusCode, consume_logout_response, decode_soap};
use serde_json::json;

use super::sign_out::Told;
use super::state::{Application, Protocol, Session};
use super::visit::Visit;
use super::{CLIENT_ID, OIDC_NAME, saml, sso};
use crate::ambient::{MINUTE, SECOND};
use crate::error::{Error, Result};
use crate::ids;
use crate::outgoing::{Answer, Request};

/// Tells the applications of an ended session, one after the other: there are one or two.
pub async fn all(
    visit: &Visit,
    session: &Session,
    whom: impl Fn(&Application) -> bool,
) -> Vec<Told> {
    let mut told = Vec::new();
    for application in session.applications.iter().filter(|one| whom(one)) {
        let outcome = match application.protocol {
            Protocol::Oidc => back_channel(visit, session, application).await,
            Protocol::Saml => soap(visit, session, application).await,
        };
        let (done, text) = match outcome {
            Ok((done, text)) => (done, text),
            Err(error) => (false, error.message.to_string()),
        };
        told.push(Told { application: application.label(), done, text });
    }
    told
}

/// OpenID Connect Back-Channel Logout 1.0.
async fn back_channel(
    visit: &Visit,
    session: &Session,
    application: &Application,
) -> Result<(bool, String)> {
    let now = visit.now();
    let token = visit.idp.keys.token(
        "logout+jwt",
        &json!({
            "iss": visit.idp.url(),
            "aud": CLIENT_ID,
            "iat": now / SECOND,
            "exp": (now + 2 * MINUTE) / SECOND,
            "jti": ids::uuid_v4(visit.cx.rng()).to_string(),
            "sub": session.person.id,
            "sid": session.sid,
            "events": { "http://schemas.openid.net/event/backchannel-logout": {} },
        }),
    )?;
    let url =
        format!("{}/federation/{OIDC_NAME}/backchannel-logout", here(visit, application.pool()));
    let answer = send(visit, Request::form(url, &[("logout_token", &token)])).await?;
    let text = String::from_utf8_lossy(&answer.body);
    Ok(match answer.status {
        200 | 204 => (true, format!("took the logout token ({}).", answer.status)),
        status => (
            false,
            format!(
                "refused the logout token ({status}): {}",
                text.chars().take(300).collect::<String>()
            ),
        ),
    })
}

async fn soap(
    visit: &Visit,
    session: &Session,
    application: &Application,
) -> Result<(bool, String)> {
    let (id, url) = (visit.idp.message_id(), sso::slo_of(&here(visit, application.pool())));
    let request = LogoutRequest {
        id: &id,
        issuer: &visit.idp.entity_id(),
        destination: &url,
        issue_instant_ms: visit.now(),
        not_on_or_after_ms: visit.now() + 5 * MINUTE,
        name_id: &sso::name_id(&session.person),
        session_index: Some(&session.sid),
        reason: Some(LogoutReason::User),
    };
    let envelope = request.soap(visit.idp.keys.credential()).map_err(Error::internal)?;
    let answer = send(visit, Request::soap(url, envelope)).await?;
    let expected = sso::Expected::of(visit, application.pool()).await?;
    let response = decode_soap(&answer.body)
        .and_then(|message| consume_logout_response(&message, &expected.slo(visit), &id))
        .map_err(|fault| {
            Error::invalid(format!("its answer to the SOAP message is not accepted: {fault}."))
        })?;
    let done = matches!(response.status.code, StatusCode::Success);
    Ok((done, format!("answered the SOAP message with {}.", response.status)))
}

/// A service provider's signing certificates.
pub async fn certificates(visit: &Visit, pool: &str) -> Result<Vec<Vec<u8>>> {
    let url = format!("{}/saml2/metadata", here(visit, pool));
    let answer = send(visit, Request::get(url)).await?;
    let certificates = saml::certificates(&String::from_utf8_lossy(&answer.body));
    if answer.status != 200 || certificates.is_empty() {
        return Err(Error::invalid(format!(
            "The SAML metadata of {pool} shows no signing certificate ({}).",
            answer.status
        )));
    }
    Ok(certificates)
}

/// A pool as this server itself reaches it, whatever name the browser used.
fn here(visit: &Visit, pool: &str) -> String {
    format!("{}/{pool}", visit.cx.app.settings.public_url)
}

async fn send(visit: &Visit, request: Request) -> Result<Answer> {
    let sent = visit.cx.app.outgoing.send(request).await;
    sent.map_err(|failure| Error::invalid(format!("could not be reached: {}", failure.message())))
}
