//! The provider's SAML addresses: metadata, single sign-on by Redirect and POST, single logout by Redirect, POST and SOAP.

use std::sync::Arc;

use axum::extract::{Request, State as Shared};
use axum::http::{Method, StatusCode};
use axum::response::Response;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use cenote_saml::{
    ExpectLogout, InboundLogout, Incoming, Kind as Message, LogoutResponse, LogoutStatus, NameId,
    consume_logout_request, decode_post, decode_redirect, decode_soap,
};

use super::people::Person;
use super::saml::{self, AuthnRequest, PERSISTENT};
use super::sign_in::{Ask, Demand, arrive};
use super::state::{Application, Protocol, Session};
use super::visit::{self, Visit};
use super::{Idp, oidc, pages, sign_out, tell};
use crate::ambient::MINUTE;
use crate::error::{Error, Result};
use crate::{http, ids};

/// Where Cenote takes responses and logout messages, at the end of a pool's address.
const ACS: &str = "/saml2/idpresponse";
const SLO: &str = "/saml2/logout";
const SP: &str = "urn:amazon:cognito:sp:";
const MAX_SOAP: usize = 128 << 10;

pub async fn metadata(Shared(idp): Shared<Arc<Idp>>, request: Request) -> Response {
    let cx = http::cx(idp.app.clone(), &request.into_parts().0);
    http::log(&cx, "dev-idp", "saml-metadata", None);
    pages::answer(StatusCode::OK, "application/samlmetadata+xml", idp.metadata())
}

/// An AuthnRequest that was looked at.
#[derive(Clone, Debug)]
pub struct SignOn {
    request: AuthnRequest,
    relay_state: Option<String>,
}

impl SignOn {
    pub fn application(&self) -> Application {
        let base = self.request.acs.strip_suffix(ACS).unwrap_or(&self.request.acs);
        Application { protocol: Protocol::Saml, base: base.to_owned() }
    }
}

pub async fn sign_in(Shared(idp): Shared<Arc<Idp>>, request: Request) -> Response {
    visit::page(idp, request, "saml-sso", async |visit: Visit| {
        let posted = visit.parts.method == Method::POST;
        if let Some(handle) = visit.field("request").filter(|_| !posted) {
            let asked = visit.idp.state().asked.take(visit.now(), handle);
            let Some(Ask::SignOn(ask)) = asked else {
                return Err(Error::invalid(
                    "This address was used before. Go back to the application and begin again.",
                ));
            };
            return begin(&visit, ask);
        }
        let field = visit.field("SAMLRequest").unwrap_or_default();
        let message = if posted { saml::unpack(field) } else { saml::inflate(field) };
        let request = message.as_deref().and_then(AuthnRequest::read).ok_or_else(|| {
            Error::invalid(
                "SAMLRequest does not hold an AuthnRequest with an AssertionConsumerServiceURL.",
            )
        })?;
        oidc::allowed(&request.acs, ACS, "AssertionConsumerServiceURL")?;
        let ask = SignOn { request, relay_state: visit.field("RelayState").map(str::to_owned) };
        if !posted {
            return begin(&visit, ask);
        }
        // A form of another site brings no cookie: the session is looked for with the next request.
        let handle = ids::handle(visit.cx.rng());
        visit.idp.state().keep_ask(visit.now(), handle.clone(), Ask::SignOn(ask));
        Ok(pages::see(&format!("{}/saml/sso?request={handle}", visit.idp.url())))
    })
    .await
}

fn begin(visit: &Visit, ask: SignOn) -> Result<Response> {
    let AuthnRequest { force, passive, .. } = ask.request;
    let demand = Demand { fresh: force, passive, ..Demand::default() };
    arrive(visit, Ask::SignOn(ask), &demand)
}

/// A signed response for whoever has this session.
pub fn answer(visit: &Visit, ask: &SignOn, session: &Session) -> Result<Response> {
    respond(visit, ask, &visit.idp.response(visit.now(), &ask.request, session)?)
}

/// Nobody is signed in, and nobody may be asked.
pub fn nobody(visit: &Visit, ask: &SignOn) -> Result<Response> {
    respond(visit, ask, &visit.idp.no_passive(visit.now(), &ask.request)?)
}

fn respond(visit: &Visit, ask: &SignOn, response: &str) -> Result<Response> {
    let encoded = BASE64_STANDARD.encode(response);
    let mut fields = vec![("SAMLResponse", encoded.as_str())];
    if let Some(state) = &ask.relay_state {
        fields.push(("RelayState", state));
    }
    pages::post(&visit.idp, &ask.request.acs, &fields)
}

/// A LogoutRequest of an application, or its answer to one of ours.
pub async fn sign_out(Shared(idp): Shared<Arc<Idp>>, request: Request) -> Response {
    visit::page(idp, request, "saml-slo", async |visit: Visit| {
        let posted = visit.parts.method == Method::POST;
        let field =
            visit.field("SAMLRequest").or_else(|| visit.field("SAMLResponse")).unwrap_or_default();
        let message = match posted {
            true => decode_post(field),
            false => decode_redirect(visit.parts.uri.query().unwrap_or_default()),
        };
        let message = message.map_err(refused)?;
        let relay_state = visit.field("RelayState");
        if message.peek().map_err(refused)?.kind == Message::LogoutResponse {
            return sign_out::answered(&visit, &message, relay_state.unwrap_or_default()).await;
        }
        let ended = end(&visit, &message, &format!("{}/saml/slo", visit.idp.url())).await?;
        let (id, issuer) = (visit.idp.message_id(), visit.idp.entity_id());
        let response = ended.response(&visit, &id, &issuer);
        let credential = Some(visit.idp.keys.credential());
        if posted {
            let fields = response.post(relay_state, credential).map_err(Error::internal)?;
            let fields: Vec<(&str, &str)> =
                fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
            return pages::post(&visit.idp, &ended.to, &fields);
        }
        Ok(pages::see(&response.redirect(relay_state, credential).map_err(Error::internal)?))
    })
    .await
}

/// A LogoutRequest without a browser.
pub async fn soap(Shared(idp): Shared<Arc<Idp>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let read = http::read(body, MAX_SOAP).await;
    let cx = http::cx(idp.app.clone(), &parts);
    let visit = Visit { idp, cx, parts, fields: Vec::new(), browser: String::new() };
    let answered = async {
        let message = decode_soap(&read?).map_err(refused)?;
        let ended = end(&visit, &message, &format!("{}/saml/soap", visit.idp.url())).await?;
        let (id, issuer) = (visit.idp.message_id(), visit.idp.entity_id());
        ended
            .response(&visit, &id, &issuer)
            .soap(visit.idp.keys.credential())
            .map_err(Error::internal)
    };
    let answered = answered.await;
    http::log(&visit.cx, "dev-idp", "saml-soap", answered.as_ref().err());
    let kind = "text/xml; charset=utf-8";
    match answered {
        Ok(envelope) => pages::answer(StatusCode::OK, kind, envelope),
        Err(error) => {
            let fault = format!(
                "<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\"><s:Body><s:Fault><faultcode>s:Client</faultcode>\
                 <faultstring>{}</faultstring></s:Fault></s:Body></s:Envelope>",
                super::xml::text(&error.message)
            );
            pages::answer(StatusCode::INTERNAL_SERVER_ERROR, kind, fault)
        }
    }
}

/// What a LogoutRequest led to.
struct Ended {
    request: InboundLogout,
    /// Where the answer goes.
    to: String,
}

impl Ended {
    fn response<'a>(&'a self, visit: &Visit, id: &'a str, issuer: &'a str) -> LogoutResponse<'a> {
        LogoutResponse {
            id,
            in_response_to: &self.request.id,
            issuer,
            destination: &self.to,
            issue_instant_ms: visit.now(),
            status: LogoutStatus::Success,
        }
    }
}

/// Verifies a LogoutRequest, ends the sessions that it means, and tells all others of them. Sessions are found by what the request
/// says and never by a cookie. One that is gone has ended, too: that is success.
async fn end(visit: &Visit, message: &Incoming, arrived_at: &str) -> Result<Ended> {
    let issuer = message.peek().map_err(refused)?.issuer.unwrap_or_default();
    let pool = issuer.strip_prefix(SP).filter(|pool| ids::is_pool_id(pool)).ok_or_else(|| {
        Error::invalid(format!(
            "The issuer of a LogoutRequest is a service provider of a Cenote: {SP} and a pool id."
        ))
    })?;
    let expected = Expected::of(visit, pool).await?;
    let expect = ExpectLogout { destination: arrived_at, ..expected.slo(visit) };
    let request = consume_logout_request(message, &expect).map_err(refused)?;
    let own = |one: &Application| one.protocol == Protocol::Saml && one.pool() == pool;
    let mut to = slo_of(&format!("{}/{pool}", visit.cx.app.settings.public_url));
    let means = |session: &Session| {
        session.person.id == request.name_id.value
            && (request.session_indexes.is_empty()
                || request.session_indexes.contains(&session.sid))
            && session.applications.iter().any(own)
    };
    loop {
        let session = visit.idp.state().end(visit.now(), |_, session| means(session));
        let Some(session) = session else { break };
        if let Some(asker) = session.applications.iter().find(|one| own(one)) {
            to = slo_of(&asker.base);
        }
        tell::all(visit, &session, |one| !own(one)).await;
    }
    Ok(Ended { request, to })
}

/// What logout messages of a service provider must be.
pub struct Expected {
    entity_id: String,
    certificates: Vec<Vec<u8>>,
    slo: String,
}

impl Expected {
    /// Its certificates are those of its metadata, now.
    pub async fn of(visit: &Visit, pool: &str) -> Result<Expected> {
        let certificates = tell::certificates(visit, pool).await?;
        Ok(Expected {
            entity_id: format!("{SP}{pool}"),
            certificates,
            slo: format!("{}/saml/slo", visit.idp.url()),
        })
    }

    pub fn slo(&self, visit: &Visit) -> ExpectLogout<'_> {
        ExpectLogout {
            idp_entity_id: &self.entity_id,
            trusted: &self.certificates,
            destination: &self.slo,
            now_ms: visit.now(),
            skew_ms: MINUTE,
            max_age_ms: 5 * MINUTE,
            decrypt: &[],
        }
    }
}

pub fn slo_of(base: &str) -> String {
    format!("{base}{SLO}")
}

pub fn name_id(person: &Person) -> NameId {
    NameId { value: person.id.clone(), format: Some(PERSISTENT.to_owned()), ..NameId::default() }
}

fn refused(fault: cenote_saml::Fault) -> Error {
    Error::invalid(format!("The SAML message is not accepted: {fault}."))
}
