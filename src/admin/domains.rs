//! Domains of pools: a prefix in front of this server's host name, or a host name of the operator's own. A pool can have
//! one of each.

use std::sync::LazyLock;

use cenote_interface::types::{
    CreateUserPoolDomainRequest, CustomDomainConfigType, DomainDescriptionType, RoutingType,
    UpdateUserPoolDomainRequest,
};
use regex::Regex;
use serde::{Deserialize, Serialize};

use crate::audit::{self, Actor};
use crate::cx::Cx;
use crate::error::{Error, Result};
use crate::pool::Pool;
use crate::store::Batch;
use crate::store::pools::{self, Domain};

/// No prefix domain may contain these, so that none can pass for one of the provider's own.
const RESERVED: &[&str] = &["cognito", "amazon", "aws"];

/// The rule of the interface for a prefix, as it is named in refusals.
const PREFIX: &str = r"^[a-z0-9](?:[a-z0-9\-]{0,61}[a-z0-9])?$";
static IS_PREFIX: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(PREFIX).ok());
/// Lower case: hosts are looked up as browsers send them.
static IS_HOST: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"^(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?$")
        .ok()
});

/// What the row keeps beside the name.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Doc {
    managed_login_version: i64,
    version: String,
    custom_domain_config: Option<CustomDomainConfigType>,
    routing: Option<RoutingType>,
}

pub fn is_custom(domain: &Domain) -> bool {
    domain.domain.contains('.')
}

pub async fn create(
    cx: &Cx,
    pool: &Pool,
    request: &CreateUserPoolDomainRequest,
) -> Result<DomainDescriptionType> {
    check_name(&request.domain, request.custom_domain_config.is_some(), &host(cx))?;
    let doc = Doc {
        managed_login_version: login_version(request.managed_login_version)?.unwrap_or(1),
        version: cx.now.to_string(),
        custom_domain_config: request.custom_domain_config.clone(),
        routing: request.routing.clone(),
    };
    let domain =
        Domain { domain: request.domain.clone(), pool_id: pool.id.clone(), doc: to_json(&doc)? };
    if pools::find_domain(cx.db(), &domain.domain).await?.is_some() {
        return Err(taken());
    }
    let others = pools::domains_of(cx.db(), &pool.id).await?;
    if others.iter().any(|other| is_custom(other) == is_custom(&domain)) {
        return Err(Error::invalid("User pool already has a domain configured."));
    }
    let mut batch = Batch::new();
    // Two domains that are made at once: the pool's version lets one pass, and the name lets one pass of two pools.
    pools::hold(&mut batch, pool);
    pools::insert_domain(&mut batch, &domain, cx.now, taken())?;
    note(&mut batch, cx, &domain, "CreateUserPoolDomain");
    cx.db().commit(batch).await?;
    describe(cx, &domain)
}

/// What is not named stays: only the certificate, the routing and the version of the pages can change.
pub async fn update(
    cx: &Cx,
    pool: &Pool,
    request: &UpdateUserPoolDomainRequest,
) -> Result<DomainDescriptionType> {
    let mut domain = find(cx, pool, &request.domain).await?;
    if !is_custom(&domain) && request.custom_domain_config.is_some() {
        return Err(Error::invalid("CustomDomainConfig can only be set for a custom domain."));
    }
    let mut doc = doc(&domain)?;
    doc.managed_login_version =
        login_version(request.managed_login_version)?.unwrap_or(doc.managed_login_version);
    doc.custom_domain_config = request.custom_domain_config.clone().or(doc.custom_domain_config);
    doc.routing = request.routing.clone().or(doc.routing);
    domain.doc = to_json(&doc)?;
    let mut batch = Batch::new();
    pools::hold(&mut batch, pool);
    pools::update_domain(&mut batch, &domain, missing())?;
    note(&mut batch, cx, &domain, "UpdateUserPoolDomain");
    cx.db().commit(batch).await?;
    describe(cx, &domain)
}

pub async fn delete(cx: &Cx, pool: &Pool, name: &str) -> Result<()> {
    let domain = find(cx, pool, name).await?;
    let mut batch = Batch::new();
    pools::delete_domain(&mut batch, &domain.domain, &pool.id, missing());
    note(&mut batch, cx, &domain, "DeleteUserPoolDomain");
    cx.db().commit(batch).await
}

/// What DescribeUserPoolDomain answers. There is no bucket and no distribution; the members that infrastructure tools
/// read name this server, which is where the DNS of a custom domain must point.
pub fn describe(cx: &Cx, domain: &Domain) -> Result<DomainDescriptionType> {
    let doc = doc(domain)?;
    Ok(DomainDescriptionType {
        user_pool_id: Some(domain.pool_id.clone()),
        aws_account_id: Some(cx.app.settings.account_id.clone()),
        domain: Some(domain.domain.clone()),
        s3_bucket: Some("cenote".to_owned()),
        cloud_front_distribution: Some(host(cx)),
        version: Some(doc.version),
        status: Some("ACTIVE".to_owned()),
        custom_domain_config: doc.custom_domain_config,
        managed_login_version: Some(doc.managed_login_version),
        routing: doc.routing,
    })
}

async fn find(cx: &Cx, pool: &Pool, name: &str) -> Result<Domain> {
    let found = pools::find_domain(cx.db(), name).await?;
    found.filter(|domain| domain.pool_id == pool.id).ok_or_else(missing)
}

/// `own` is this server's host: what is below it are prefix domains.
fn check_name(name: &str, custom: bool, own: &str) -> Result<()> {
    let matches =
        |pattern: &Option<Regex>| pattern.as_ref().is_some_and(|pattern| pattern.is_match(name));
    if custom {
        let is_own = name == own || name.strip_suffix(own).is_some_and(|rest| rest.ends_with('.'));
        return match matches(&IS_HOST) {
            true if is_own => Err(Error::invalid(format!(
                "Custom domain is not a valid subdomain: {own} is this server's own host, and what is below it are prefix domains."
            ))),
            true => Ok(()),
            false => Err(Error::invalid(
                "Custom domain is not a valid subdomain: it must be a fully qualified host name in lower case.",
            )),
        };
    }
    if !matches(&IS_PREFIX) {
        return Err(Error::invalid(format!(
            "1 validation error detected: Value '{name}' at 'domain' failed to satisfy constraint: Member must satisfy regular expression pattern: {PREFIX}"
        )));
    }
    match RESERVED.iter().find(|word| name.contains(*word)) {
        Some(word) => Err(Error::invalid(format!("Domain cannot contain reserved word: {word}"))),
        None => Ok(()),
    }
}

fn login_version(given: Option<i64>) -> Result<Option<i64>> {
    match given {
        None | Some(1 | 2) => Ok(given),
        Some(_) => Err(Error::invalid(
            "ManagedLoginVersion must be 1 (the classic pages) or 2 (managed login).",
        )),
    }
}

/// The name in this server's public address, without a port.
fn host(cx: &Cx) -> String {
    let url = url::Url::parse(&cx.app.settings.public_url).ok();
    url.and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default()
}

fn doc(domain: &Domain) -> Result<Doc> {
    serde_json::from_value(domain.doc.clone()).map_err(Error::internal)
}

fn to_json(doc: &Doc) -> Result<serde_json::Value> {
    serde_json::to_value(doc).map_err(Error::internal)
}

fn taken() -> Error {
    Error::invalid("Domain already associated with another user pool.")
}

fn missing() -> Error {
    Error::invalid("No such domain or user pool exists.")
}

fn note(batch: &mut Batch, cx: &Cx, domain: &Domain, action: &str) {
    audit::note(
        batch,
        cx,
        &domain.pool_id,
        &Actor::Administrator,
        action,
        &domain.domain,
        "ok",
        "",
    );
}
