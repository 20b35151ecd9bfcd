//! Identity providers of a pool: making, changing, deleting and describing them. What one may be told is in `pool::provider`. An app
//! client keeps in its list what is deleted here, as in Cognito, but nobody signs in through it any more.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use cenote_interface::types::{
    CreateIdentityProviderRequest, IdentityProviderType, UpdateIdentityProviderRequest,
};

use crate::audit::{self, Actor};
use crate::cx::Cx;
use crate::error::{Error, Kind as Fault, Result};
use crate::federation::{self, certificates, learned};
use crate::keys::foreign::PrivateKey;
use crate::pool::group::GroupDoc;
use crate::pool::provider::details::{self, Details};
use crate::pool::provider::{Kind, ProviderDoc, ProviderSecret, Providers, rules};
use crate::pool::{Group, Pool, Provider, names};
use crate::store::{Batch, groups, learned as documents, pools, providers as store};

/// As in Cognito.
const MAX_PROVIDERS: usize = 300;
/// More than a pool can have.
const ALL_CLIENTS: i64 = 10_000;

pub async fn create(
    cx: &Cx,
    pool: &Pool,
    request: &CreateIdentityProviderRequest,
) -> Result<Provider> {
    let kind = Kind::parse(&request.provider_type)
        .ok_or_else(|| Error::invalid("ProviderType is not one of the known types."))?;
    let name = request.provider_name.as_str();
    let others = cx.app.directory.providers(cx.db(), pool).await?;
    rules::check_name(pool, kind, name, others.all())?;
    if others.all().len() >= MAX_PROVIDERS {
        return Err(Error::new(
            Fault::LimitExceeded,
            format!("A user pool can have at most {MAX_PROVIDERS} identity providers."),
        ));
    }
    let Details { open, secret } = read_details(kind, &request.provider_details, None)?;
    let doc = ProviderDoc {
        details: open,
        mapping: rules::mapping(
            pool,
            kind,
            &request.attribute_mapping.clone().unwrap_or_default(),
        )?,
        identifiers: request.idp_identifiers.clone().unwrap_or_default(),
        acr: request.acr_mapping.clone().unwrap_or_default(),
    };
    let provider = Provider {
        pool_id: pool.id.clone(),
        name: name.to_owned(),
        kind,
        doc,
        secret: seal(cx, &pool.id, name, &secret)?,
        ver: 1,
        created_ms: cx.now,
        modified_ms: cx.now,
    };
    check(cx, pool, &provider, &others).await?;
    let said = learned::learn(cx, &provider).await?;

    let mut batch = Batch::new();
    // The names and identifiers of the others still are as they were read.
    if pool.doc.has_providers {
        pools::hold(&mut batch, pool);
    } else {
        let mut changed = pool.clone();
        changed.doc.has_providers = true;
        pools::update(&mut batch, &changed, pool.modified_ms)?;
    }
    store::insert(&mut batch, &provider, Error::conflict(), &Error::conflict())?;
    documents::replace(&mut batch, &pool.id, name, &said);
    insert_group(cx, &mut batch, pool, &provider).await?;
    if kind == Kind::Saml {
        certificates::create(cx, &mut batch, &pool.id, name).await?;
    }
    note(&mut batch, cx, &provider, "CreateIdentityProvider");
    cx.db().commit(batch).await?;
    Ok(provider)
}

/// What is not named stays; each member that is named is replaced whole.
pub async fn update(
    cx: &Cx,
    pool: &Pool,
    request: &UpdateIdentityProviderRequest,
) -> Result<Provider> {
    let mut provider = find(cx, pool, &request.provider_name).await?;
    if let Some(given) = &request.provider_details {
        let kept = federation::secrets(cx, &provider)?;
        let Details { open, secret } = read_details(provider.kind, given, Some(&kept))?;
        provider.doc.details = open;
        provider.secret = seal(cx, &pool.id, &provider.name, &secret)?;
    }
    if let Some(given) = &request.attribute_mapping {
        provider.doc.mapping = rules::mapping(pool, provider.kind, given)?;
    }
    if let Some(given) = &request.idp_identifiers {
        provider.doc.identifiers = given.clone();
    }
    if let Some(given) = &request.acr_mapping {
        provider.doc.acr = given.clone();
    }
    let all = cx.app.directory.providers(cx.db(), pool).await?;
    check(cx, pool, &provider, &all).await?;
    let said = match request.provider_details {
        Some(_) => Some(learned::learn(cx, &provider).await?),
        None => None,
    };

    let mut batch = Batch::new();
    pools::hold(&mut batch, pool);
    store::update(&mut batch, &provider, cx.now, &Error::conflict())?;
    if let Some(said) = &said {
        documents::replace(&mut batch, &pool.id, &provider.name, said);
    }
    note(&mut batch, cx, &provider, "UpdateIdentityProvider");
    cx.db().commit(batch).await?;
    provider.modified_ms = cx.now;
    Ok(provider)
}

/// Removes a provider, and the key under which it encrypted. Its users and its group stay: an administrator may still need them, and
/// a provider of the same name finds them again.
pub async fn delete(cx: &Cx, pool: &Pool, name: &str) -> Result<()> {
    let provider = find(cx, pool, name).await?;
    let mut batch = Batch::new();
    pools::touch(&mut batch, &pool.id);
    store::delete(&mut batch, &provider);
    certificates::delete(&mut batch, &pool.id, &provider.name);
    note(&mut batch, cx, &provider, "DeleteIdentityProvider");
    cx.db().commit(batch).await
}

pub async fn find(cx: &Cx, pool: &Pool, name: &str) -> Result<Provider> {
    let all = cx.app.directory.providers(cx.db(), pool).await?;
    match all.get(name) {
        Some(provider) => {
            cx.is_about(&pool.id, Some(&provider.name));
            Ok(provider.clone())
        }
        None => Err(Error::not_found(format!("Identity provider {name} does not exist."))),
    }
}

pub async fn find_by_identifier(cx: &Cx, pool: &Pool, identifier: &str) -> Result<Provider> {
    let all = cx.app.directory.providers(cx.db(), pool).await?;
    all.by_identifier(identifier).cloned().ok_or_else(|| {
        Error::not_found(format!("Identity provider with identifier {identifier} does not exist."))
    })
}

/// What DescribeIdentityProvider answers: what was given and filled in, the client secret, and no private key.
pub async fn describe(cx: &Cx, pool: &Pool, provider: &Provider) -> Result<IdentityProviderType> {
    let mut details = provider.doc.details.clone();
    if let Some(secret) = federation::secrets(cx, provider)?.client_secret {
        details.insert("client_secret".to_owned(), secret);
    }
    if provider.kind == Kind::Saml {
        // Of the metadata that is in force, which the provider may change without us.
        if let Ok((sign_in, sign_out)) = federation::redirect_addresses(cx, provider).await {
            let found = [("SSORedirectBindingURI", sign_in), ("SLORedirectBindingURI", sign_out)];
            for (name, address) in found {
                details.extend(address.map(|address| (name.to_owned(), address)));
            }
        }
        let credential = certificates::decryption(cx, pool, &provider.name).await?;
        let certificate = BASE64_STANDARD.encode(credential.certificate());
        details.insert("ActiveEncryptionCertificate".to_owned(), certificate);
    }
    let doc = &provider.doc;
    Ok(IdentityProviderType {
        user_pool_id: Some(provider.pool_id.clone()),
        provider_name: Some(provider.name.clone()),
        provider_type: Some(provider.kind.as_str().to_owned()),
        provider_details: Some(details),
        attribute_mapping: Some(doc.mapping.clone()),
        idp_identifiers: Some(doc.identifiers.clone()),
        acr_mapping: Some(doc.acr.clone()).filter(|acr| !acr.is_empty()),
        last_modified_date: Some(provider.modified_ms as f64 / 1000.0),
        creation_date: Some(provider.created_ms as f64 / 1000.0),
    })
}

fn read_details(
    kind: Kind,
    given: &std::collections::BTreeMap<String, String>,
    kept: Option<&ProviderSecret>,
) -> Result<Details> {
    let mut details = details::read(kind, given, kept)?;
    if let Some(key) = &details.secret.private_key {
        // Line ends that are written out, as keys that went through the settings of other programs often have them.
        let key = key.replace("\\n", "\n");
        let signs_with = PrivateKey::parse(&key)?.alg();
        let wanted = match kind {
            Kind::SignInWithApple => Some("ES256"),
            _ => details.open.get("token_endpoint_auth_signing_alg").map(String::as_str),
        };
        if let Some(wanted) = wanted.filter(|wanted| *wanted != signs_with) {
            return Err(Error::invalid(format!(
                "The private_key cannot be used: it must sign with {wanted}, and a key of its type signs with {signs_with}."
            )));
        }
        details.secret.private_key = Some(key);
    }
    Ok(details)
}

/// What holds for a provider as a whole, among the others of its pool.
async fn check(cx: &Cx, pool: &Pool, provider: &Provider, all: &Providers) -> Result<()> {
    rules::check_identifiers(&provider.name, &provider.doc.identifiers, all.all())?;
    rules::check_acr(provider.kind, &provider.doc.acr)?;
    for (name, url) in details::addresses(&provider.doc.details) {
        cx.app
            .outgoing
            .check(url)
            .map_err(|failure| Error::invalid(format!("{name}: {}", failure.message())))?;
    }
    if provider.is("IDPInit") {
        let mut changed: Vec<Provider> =
            all.all().iter().filter(|other| other.name != provider.name).cloned().collect();
        changed.push(provider.clone());
        for client in pools::list_clients(cx.db(), &pool.id, "", ALL_CLIENTS).await? {
            let supported = client.model().supported_identity_providers.as_deref();
            let supported = supported.unwrap_or_default();
            if supported.contains(&provider.name) {
                rules::check_together(supported, &changed).map_err(|error| {
                    Error::invalid(format!("App client {}: {}", client.id, error.message))
                })?;
            }
        }
    }
    Ok(())
}

fn seal(cx: &Cx, pool_id: &str, name: &str, secret: &ProviderSecret) -> Result<Option<Vec<u8>>> {
    if *secret == ProviderSecret::default() {
        return Ok(None);
    }
    federation::seal(cx, pool_id, name, secret).map(Some)
}

/// The group of the provider's users. One that is there already, from a deleted provider of this name, is used again.
async fn insert_group(cx: &Cx, batch: &mut Batch, pool: &Pool, provider: &Provider) -> Result<()> {
    let name = provider.group();
    let group = Group {
        pool_id: pool.id.clone(),
        key: names::fold(pool, &name),
        doc: GroupDoc {
            description: Some(format!(
                "Autogenerated group for users who sign in using {}",
                provider.name
            )),
            name,
            ..GroupDoc::default()
        },
        ver: 1,
        created_ms: cx.now,
        modified_ms: cx.now,
    };
    if groups::find(cx.db(), &pool.id, &group.key).await?.is_none() {
        groups::insert(batch, &group, Error::conflict())?;
    }
    Ok(())
}

fn note(batch: &mut Batch, cx: &Cx, provider: &Provider, action: &str) {
    audit::note(
        batch,
        cx,
        &provider.pool_id,
        &Actor::Administrator,
        action,
        &provider.name,
        "ok",
        "",
    );
}
