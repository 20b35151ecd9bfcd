//! Which pool a browser or OAuth request means, and where that pool's pages are: on its domain by `Host`; on this server's own host in
//! path form, or, on the bare public URL, by `client_id`. Any other host serves no pool.

use std::sync::Arc;

use axum::extract::Request;
use axum::http::Method;
use axum::http::request::Parts;
use url::form_urlencoded;

use crate::cx::{App, Asked, Cx};
use crate::error::{Error, Result};
use crate::http;
use crate::limits::Limit;
use crate::pool::Pool;
use crate::store::pools::{self, Domain};

const MAX_QUERY: usize = 16 << 10;
const MAX_PARAMETERS: usize = 64;

/// A pool's pages.
#[derive(Clone)]
pub struct Site {
    pub pool: Arc<Pool>,
    /// Where the pages are, without a trailing slash: `https://auth.example.com` or `https://localhost:9230/us-east-1_x`.
    pub base: String,
    /// `/` on a pool's own domain, `/{pool}/` in path form: cookies of one pool are not sent to another.
    pub cookie_path: String,
    /// 1 asks before it uses a browser session again; 2 does so silently.
    pub managed_login_version: i64,
    /// The bare public URL: browser pages are sent on to `base`, OAuth endpoints answer.
    pub bare: bool,
}

/// One browser or OAuth request, with its pool.
#[derive(Clone)]
pub struct Visit {
    pub cx: Cx,
    pub site: Site,
    pub parts: Parts,
    pub query: Params,
}

impl Visit {
    /// Splits the body off a request and finds its pool. `form` is read too where `client_id` may be in the body.
    pub async fn begin(cx: Cx, parts: Parts, form: Option<&Params>) -> Result<Option<Visit>> {
        let path = own_path(parts.uri.path());
        let post = parts.method == Method::POST;
        let known = Limit::of_endpoint(path, post);
        cx.admit_address(known)?;
        // The router takes anything in front of a path for a pool, also what can be none.
        let mut category = known.ok_or_else(nothing_here)?;
        let query = parts.uri.query().unwrap_or_default();
        if query.len() > MAX_QUERY {
            return Err(too_much());
        }
        let query = Params::parse(query)?;
        let said = |name: &str| form.and_then(|form| form.get(name));
        let grant = path == "/oauth2/token";
        if grant && said("grant_type") == Some("client_credentials") {
            category = Limit::ClientAuthentication;
        }
        let client_id =
            query.get("client_id").or_else(|| form.and_then(|form| form.get("client_id")));
        let client_id = client_id.map(str::to_owned).or_else(|| basic_user(&parts));
        let Some(site) = find(&cx, parts.uri.path(), client_id.as_deref()).await? else {
            return Ok(None);
        };
        cx.admit(&Asked {
            category,
            pool: &site.pool.id,
            client: client_id.as_deref(),
            user: said("username").filter(|_| post && !grant),
            // The token endpoint checks codes and tokens, which nobody guesses.
            costly: category.is_costly() && !grant,
        })?;
        Ok(Some(Visit { cx, site, parts, query }))
    }

    pub fn is_secure(&self) -> bool {
        self.cx.request.origin.starts_with("https://")
    }

    /// The address of another page of this site, with a query.
    pub fn page(&self, path: &str, query: &Params) -> String {
        let query = query.to_string();
        if query.is_empty() {
            format!("{}{path}", self.site.base)
        } else {
            format!("{}{path}?{query}", self.site.base)
        }
    }
}

/// A request whose form, if it has one, was read before the clock.
pub async fn open(app: Arc<App>, request: Request, max_form: usize) -> (Cx, Parts, Result<Params>) {
    let (parts, body) = request.into_parts();
    let form = if parts.method == Method::POST {
        http::form(&parts.headers, body, max_form).await.and_then(|text| Params::parse(&text))
    } else {
        Ok(Params::default())
    };
    (http::cx(app, &parts), parts, form)
}

/// What host and path alone say of the pool.
pub enum Place {
    /// This server's own host, with the pool in front of the path.
    Path(String),
    /// A domain of a pool.
    Domain(Domain),
    /// The bare public URL: any pool may be meant.
    Bare,
}

/// A path without the pool in front of it.
fn own_path(path: &str) -> &str {
    match path.trim_start_matches('/').split_once('/') {
        Some((first, _)) if first.contains('_') => {
            path.trim_start_matches('/').get(first.len()..).unwrap_or(path)
        }
        _ => path,
    }
}

/// A pool's domain serves that pool alone, and no other at the paths that name one: their pages would share its origin. A host that
/// is no pool's domain (any more) is served nothing, unless it is this server's own.
pub async fn place(cx: &Cx, path: &str) -> Result<Place> {
    let first = path.trim_start_matches('/').split('/').next().unwrap_or_default();
    // A pool id has an underscore, which no page's name has.
    let named = first.contains('_');
    if is_own_host(cx) {
        return match named {
            false => Ok(Place::Bare),
            true if cx.app.settings.path_form => Ok(Place::Path(first.to_owned())),
            true => Err(nothing_here()),
        };
    }
    match of_host(cx).await? {
        Some(domain) if !named => Ok(Place::Domain(domain)),
        _ => Err(nothing_here()),
    }
}

/// `None` on the bare public URL, if no app client of ours is named.
async fn find(cx: &Cx, path: &str, client_id: Option<&str>) -> Result<Option<Site>> {
    match place(cx, path).await? {
        Place::Path(pool_id) => {
            let pool = cx.app.directory.pool(cx.db(), &pool_id).await?.ok_or_else(nothing_here)?;
            let base = format!("{}/{}", cx.request.origin, pool.id);
            let domain = main_domain(cx, &pool).await?;
            Ok(Some(Site::of(pool, domain.as_ref(), base, Form::Path)))
        }
        Place::Domain(domain) => {
            let pool = cx.app.directory.pool(cx.db(), &domain.pool_id).await?;
            let pool = pool.ok_or_else(nothing_here)?;
            Ok(Some(Site::of(pool, Some(&domain), cx.request.origin.clone(), Form::Domain)))
        }
        Place::Bare => {
            let Some(client_id) = client_id else { return Ok(None) };
            let Some((pool, _)) = cx.app.directory.client(cx.db(), client_id).await? else {
                return Ok(None);
            };
            let domain = main_domain(cx, &pool).await?;
            let Some(base) = base_of(cx, &pool, domain.as_ref()) else { return Ok(None) };
            Ok(Some(Site::of(pool, domain.as_ref(), base, Form::Bare)))
        }
    }
}

enum Form {
    Path,
    Domain,
    Bare,
}

impl Site {
    fn of(pool: Arc<Pool>, domain: Option<&Domain>, base: String, form: Form) -> Site {
        Site {
            base,
            cookie_path: match form {
                Form::Domain => "/".to_owned(),
                Form::Path | Form::Bare => format!("/{}/", pool.id),
            },
            managed_login_version: managed_login_version(domain),
            bare: matches!(form, Form::Bare),
            pool,
        }
    }
}

/// Where a pool's pages are offered: in dev in path form on the TLS listener; else on its domain, or in path form
/// where the operator allows that.
pub async fn base(cx: &Cx, pool: &Pool) -> Result<Option<String>> {
    let domain = main_domain(cx, pool).await?;
    Ok(base_of(cx, pool, domain.as_ref()))
}

/// The host of the operator's own, if there is one, since that is what users are to see; else the prefix.
async fn main_domain(cx: &Cx, pool: &Pool) -> Result<Option<Domain>> {
    let domains = pools::domains_of(cx.db(), &pool.id).await?;
    Ok(domains.into_iter().max_by_key(|domain| domain.domain.contains('.')))
}

fn base_of(cx: &Cx, pool: &Pool, domain: Option<&Domain>) -> Option<String> {
    let settings = &cx.app.settings;
    match domain {
        Some(domain) if !settings.dev => {
            let (scheme, authority) = settings.public_url.split_once("://")?;
            let host = if domain.domain.contains('.') {
                domain.domain.clone()
            } else {
                format!("{}.{authority}", domain.domain)
            };
            Some(format!("{scheme}://{host}"))
        }
        _ if settings.path_form => Some(format!("{}/{}", settings.pages_url, pool.id)),
        _ => None,
    }
}

/// The domain under which the request came: a host of its own, or a label in front of the public host.
async fn of_host(cx: &Cx) -> Result<Option<Domain>> {
    let host = http::host(cx);
    let below = host.strip_suffix(http::host_of(&cx.app.settings.public_url));
    match below.and_then(|rest| rest.strip_suffix('.')) {
        // A prefix is one label; with a dot it would be looked up as a host of its own.
        Some(prefix) if prefix.contains('.') => Ok(None),
        Some(prefix) => pools::find_domain(cx.db(), prefix).await,
        // Without a dot it would be looked up as a prefix.
        None if !host.contains('.') => Ok(None),
        None => pools::find_domain(cx.db(), host).await,
    }
}

/// The host of the public URL, or of that of the pages; where that is this machine, under any of its names.
fn is_own_host(cx: &Cx) -> bool {
    let host = http::host(cx);
    let is_local = |host: &str| matches!(host, "localhost" | "127.0.0.1" | "::1");
    let settings = &cx.app.settings;
    [&settings.public_url, &settings.pages_url].into_iter().any(|url| {
        let own = http::host_of(url);
        host == own || (is_local(own) && is_local(host))
    })
}

fn too_much() -> Error {
    Error::invalid("The request has more parameters than this server reads.")
}

pub fn nothing_here() -> Error {
    Error::not_found(
        "No user pool is served at this address. Use the pool's domain, or name an app client with client_id.",
    )
}

fn managed_login_version(domain: Option<&Domain>) -> i64 {
    domain
        .and_then(|domain| domain.doc.get("ManagedLoginVersion"))
        .and_then(serde_json::Value::as_i64)
        .unwrap_or(1)
}

fn basic_user(parts: &Parts) -> Option<String> {
    crate::http::basic(&parts.headers).map(|(user, _)| user)
}

/// The parameters of a query or a form; whoever reads the text bounds its length. A repeated name is refused (RFC 6749, 3.1).
#[derive(Clone, Default)]
pub struct Params(Vec<(String, String)>);

/// Forms hold passwords.
impl std::fmt::Debug for Params {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

impl Params {
    pub fn parse(text: &str) -> Result<Params> {
        let pairs: Vec<(String, String)> =
            form_urlencoded::parse(text.as_bytes()).into_owned().collect();
        if pairs.len() > MAX_PARAMETERS {
            return Err(too_much());
        }
        for (at, (name, value)) in pairs.iter().enumerate() {
            if pairs.iter().take(at).any(|(other, _)| other == name) {
                return Err(Error::invalid(format!(
                    "The parameter {} is repeated.",
                    name.chars().take(64).collect::<String>()
                )));
            }
            if name.contains('\0') || value.contains('\0') {
                return Err(Error::invalid("A parameter contains a NUL character."));
            }
        }
        Ok(Params(pairs))
    }

    /// A value that is there and not empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    /// Whether it is there at all, empty or not.
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(key, _)| key == name)
    }

    /// Replaces a parameter where it stands, or adds it at the end.
    pub fn set(&mut self, name: &str, value: &str) {
        match self.0.iter_mut().find(|(key, _)| key == name) {
            Some((_, old)) => *old = value.to_owned(),
            None => self.0.push((name.to_owned(), value.to_owned())),
        }
    }

    /// These parameters, and of `more` those that are not there yet.
    pub fn and(mut self, more: &Params) -> Params {
        for (name, value) in &more.0 {
            if !self.0.iter().any(|(key, _)| key == name) {
                self.0.push((name.clone(), value.clone()));
            }
        }
        self
    }

    pub fn remove(&mut self, name: &str) {
        self.0.retain(|(key, _)| key != name);
    }

    /// Only these, in this order.
    pub fn only(&self, names: &[&str]) -> Params {
        Params(
            names
                .iter()
                .filter_map(|name| Some(((*name).to_owned(), self.get(name)?.to_owned())))
                .collect(),
        )
    }
}

impl std::fmt::Display for Params {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&form_urlencoded::Serializer::new(String::new()).extend_pairs(&self.0).finish())
    }
}

/// A URI with parameters in its fragment; it was registered without one.
pub fn with_fragment(uri: &str, pairs: &[(&str, &str)]) -> String {
    let fragment = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    format!("{uri}#{fragment}")
}

/// A URI with more parameters in its query. The URI itself was matched against an allow-list and stays as it is.
pub fn with_query(uri: &str, pairs: &[(&str, &str)]) -> String {
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    let join = if uri.contains('?') { "&" } else { "?" };
    if query.is_empty() { uri.to_owned() } else { format!("{uri}{join}{query}") }
}
