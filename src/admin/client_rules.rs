//! What an app client's settings may say together, and what they are where nobody said anything
//! (CreateUserPoolClient, UpdateUserPoolClient; the limits of single members are in the interface).

use std::collections::BTreeSet;
use std::sync::Arc;

use cenote_interface::types::{TokenValidityUnitsType, UserPoolClientType};

use crate::error::{Error, Kind, Result};
use crate::pool::client::DEFAULT_FLOWS;
use crate::pool::provider::{Providers, rules};
use crate::pool::{Client, Pool, attributes, scopes, urls};

/// Cognito says in some messages what it was doing.
#[derive(Clone, Copy)]
pub enum Verb {
    Creating,
    Updating,
}

const REFRESH: &str = "ALLOW_REFRESH_TOKEN_AUTH";
const CLIENT_TOKEN: &str = "ALLOW_CLIENT_TOKEN_AUTH";
/// Attributes that only the service itself or an administrator writes.
const NEVER_WRITTEN: &[&str] = &["sub", "email_verified", "phone_number_verified", "identities"];

/// Gives every member that Cognito always answers its default.
pub fn complete(client: &mut Client) {
    let rotates = client.rotation().is_some();
    let model = &mut client.doc.model;
    if is_empty(&model.explicit_auth_flows) {
        let flows = DEFAULT_FLOWS.iter().filter(|flow| !(rotates && **flow == REFRESH));
        model.explicit_auth_flows = Some(flows.map(|flow| (*flow).to_owned()).collect());
    }
    let units = model.token_validity_units.get_or_insert_default();
    if model.refresh_token_validity.unwrap_or(0) == 0 {
        model.refresh_token_validity = Some(thirty_days(units));
    }
    model.auth_session_validity.get_or_insert(3);
    model.enable_token_revocation.get_or_insert(true);
    model.enable_propagate_additional_user_context_data.get_or_insert(false);
    model.allowed_oauth_flows_user_pool_client.get_or_insert(false);
}

/// What of its pool a client may name.
pub struct Known {
    /// The scopes of the resource servers.
    pub scopes: Arc<BTreeSet<String>>,
    pub providers: Arc<Providers>,
}

pub fn check(pool: &Pool, client: &Client, known: &Known, verb: Verb) -> Result<()> {
    let model = client.model();
    sign_in_flows(client)?;
    client.check_validities()?;
    oauth_flows(client)?;
    redirects(model)?;
    scopes(model, &known.scopes)?;
    providers(pool, model, &known.providers)?;
    readable(pool, model, verb)?;
    writable(pool, model, verb)?;
    if client.is_public() && model.enable_propagate_additional_user_context_data == Some(true) {
        return Err(Error::invalid(
            "EnablePropagateAdditionalUserContextData can only be activated in an app client that has a client secret.",
        ));
    }
    Ok(())
}

/// 30 days in the unit in which the client counts.
fn thirty_days(units: &TokenValidityUnitsType) -> i64 {
    match units.refresh_token.as_deref() {
        Some("seconds") => 30 * 86_400,
        Some("minutes") => 30 * 1_440,
        Some("hours") => 30 * 24,
        _ => 30,
    }
}

/// `ALLOW_*` names and the older ones cannot be mixed, and a client that rotates refresh tokens has no use for the flow
/// that would re-use one.
fn sign_in_flows(client: &Client) -> Result<()> {
    let flows = client.model().explicit_auth_flows.as_deref().unwrap_or_default();
    let new = flows.iter().filter(|flow| flow.starts_with("ALLOW_")).count();
    if new != 0 && new != flows.len() {
        return Err(Error::invalid(
            "ExplicitAuthFlows are invalid: values that start with ALLOW_ cannot be used together with ADMIN_NO_SRP_AUTH, CUSTOM_AUTH_FLOW_ONLY or USER_PASSWORD_AUTH.",
        ));
    }
    if flows.iter().any(|flow| flow == CLIENT_TOKEN) && (flows.len() > 1 || client.is_public()) {
        return Err(Error::invalid(
            "ALLOW_CLIENT_TOKEN_AUTH must be the only one of the ExplicitAuthFlows, and needs a client secret.",
        ));
    }
    if client.rotation().is_some() && flows.iter().any(|flow| flow == REFRESH) {
        return Err(Error::invalid(
            "Refresh token rotation cannot be enabled together with ALLOW_REFRESH_TOKEN_AUTH in ExplicitAuthFlows.",
        ));
    }
    Ok(())
}

fn oauth_flows(client: &Client) -> Result<()> {
    let model = client.model();
    let wrong = |message: &'static str| Err(Error::new(Kind::InvalidOAuthFlow, message));
    let flows = model.allowed_oauth_flows.as_deref().unwrap_or_default();
    let has = |name: &str| flows.iter().any(|flow| flow == name);
    let interactive = has("code") || has("implicit");
    if model.allowed_oauth_flows_user_pool_client == Some(true)
        && (flows.is_empty() || is_empty(&model.allowed_oauth_scopes))
    {
        return Err(Error::invalid(
            "AllowedOAuthFlows and AllowedOAuthScopes are required if user pool client is allowed to use OAuth flows.",
        ));
    }
    if has("client_credentials") && interactive {
        return wrong(
            "client_credentials flow can not be selected along with code flow or implicit flow.",
        );
    }
    if has("client_credentials") && client.is_public() {
        return wrong(
            "client_credentials flow can not be selected if client does not have a client secret.",
        );
    }
    if interactive && is_empty(&model.callback_urls) {
        return wrong("CallbackUrls can not be empty when code flow or implicit flow is selected.");
    }
    Ok(())
}

fn redirects(model: &UserPoolClientType) -> Result<()> {
    let callbacks = model.callback_urls.as_deref().unwrap_or_default();
    for url in callbacks.iter().chain(model.logout_urls.iter().flatten()) {
        urls::check(url)?;
    }
    match &model.default_redirect_uri {
        Some(url) if !callbacks.contains(url) => {
            Err(Error::invalid("DefaultRedirectURI must be in CallbackURLs."))
        }
        _ => Ok(()),
    }
}

fn scopes(model: &UserPoolClientType, known: &BTreeSet<String>) -> Result<()> {
    let asked = || model.allowed_oauth_scopes.iter().flatten().map(String::as_str);
    if let Some(scope) =
        asked().find(|scope| !scopes::STANDARD.contains(scope) && !known.contains(*scope))
    {
        return Err(Error::new(
            Kind::ScopeDoesNotExist,
            format!("Invalid scope requested: {scope}"),
        ));
    }
    match scopes::repeated(asked()) {
        Some(scope) => {
            Err(Error::invalid(format!("AllowedOAuthScopes repeats the scope {scope}.")))
        }
        None => Ok(()),
    }
}

fn providers(pool: &Pool, model: &UserPoolClientType, known: &Providers) -> Result<()> {
    let supported = model.supported_identity_providers.as_deref().unwrap_or_default();
    let unknown = |name: &&String| *name != "COGNITO" && known.get(name).is_none();
    match supported.iter().find(unknown) {
        Some(name) => Err(Error::invalid(format!(
            "The provider {name} does not exist for User Pool {}.",
            pool.id
        ))),
        None => rules::check_together(supported, known.all()),
    }
}

fn readable(pool: &Pool, model: &UserPoolClientType, verb: Verb) -> Result<()> {
    let is_there = |name: &String| name == "identities" || attributes::find(pool, name).is_some();
    if !model.read_attributes.iter().flatten().all(is_there) {
        return Err(Error::invalid(format!(
            "Invalid read attributes specified while {} a client",
            verb.text()
        )));
    }
    Ok(())
}

/// A list must hold what the pool requires, or nobody could sign up through this client.
fn writable(pool: &Pool, model: &UserPoolClientType, verb: Verb) -> Result<()> {
    let list: BTreeSet<&str> =
        model.write_attributes.iter().flatten().map(String::as_str).collect();
    if list.is_empty() {
        return Ok(());
    }
    let may = |name: &&str| {
        !NEVER_WRITTEN.contains(name)
            && attributes::find(pool, name)
                .is_some_and(|attribute| attribute.developer_only_attribute != Some(true))
    };
    if list.iter().all(may) && attributes::required(pool).all(|name| list.contains(name)) {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "Invalid write attributes specified while {} a client",
        verb.text()
    )))
}

impl Verb {
    fn text(self) -> &'static str {
        match self {
            Verb::Creating => "creating",
            Verb::Updating => "updating",
        }
    }
}

fn is_empty(list: &Option<Vec<String>>) -> bool {
    list.as_ref().is_none_or(Vec::is_empty)
}
