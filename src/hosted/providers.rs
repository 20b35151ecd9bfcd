//! Where an app client's users may sign in: at the pool itself, at identity providers of others, and which of them a request or an
//! address means (`cognito-behaviour`, 2.2 and 4.1).

use std::sync::Arc;

use minijinja::{Value, context};

use super::fields::{self, Field};
use super::texts::Texts;
use super::{step, to_provider};
use crate::error::Result;
use crate::pool::provider::{Kind, Provider, Providers};
use crate::pool::{Client, urls};
use crate::site::{Params, Visit};
use crate::store::browsers::Browser;
use crate::store::upstream;

/// What Cognito says where a provider is named that there is none of.
pub const UNAVAILABLE: &str = "Login option is not available. Please try another one";

/// The field of the box for an address at work.
pub const EMAIL: &str = "corporate_email";

/// What a client's SupportedIdentityProviders come to.
pub struct Offered {
    /// The pool's own users.
    pub own: bool,
    all: Arc<Providers>,
    names: Vec<String>,
}

/// Whom a request names with `identity_provider` or `idp_identifier`.
#[derive(Clone, Copy)]
pub enum Named<'a> {
    Nobody,
    /// `COGNITO`: the pool's own form.
    Own,
    Provider(&'a Provider),
    /// A provider that does not exist, or that this client does not have.
    Unknown,
}

/// How the login page offers the providers for work.
enum Saml<'a> {
    Buttons(Vec<&'a Provider>),
    /// Each goes by the domains of its addresses: one box for them all, which does not tell who the customers are.
    Box(Vec<&'a Provider>),
}

impl Offered {
    pub async fn by(visit: &Visit, client: &Client) -> Result<Offered> {
        let names = client.model().supported_identity_providers.clone().unwrap_or_default();
        let all = visit.cx.app.directory.providers(visit.cx.db(), &visit.site.pool).await?;
        Ok(Offered { own: client.supports_cognito(), all, names })
    }

    /// In the order in which the client has them.
    pub fn providers(&self) -> impl Iterator<Item = &Provider> {
        self.names.iter().filter_map(|name| self.all.get(name))
    }

    pub fn provider(&self, name: &str) -> Option<&Provider> {
        self.providers().find(|provider| provider.name == name)
    }

    /// The only way to sign in, where that is a provider: there is nothing to choose.
    pub fn single(&self) -> Option<&Provider> {
        let mut providers = self.providers();
        let first = providers.next().filter(|_| !self.own)?;
        providers.next().is_none().then_some(first)
    }

    pub fn named(&self, query: &Params) -> Named<'_> {
        let found = match (query.get("identity_provider"), query.get("idp_identifier")) {
            (Some("COGNITO"), _) if self.own => return Named::Own,
            (Some(name), _) => self.provider(name),
            (None, Some(identifier)) => self.identified(identifier),
            (None, None) => return Named::Nobody,
        };
        found.map_or(Named::Unknown, Named::Provider)
    }

    /// By an identifier, or by the domain of an e-mail address.
    pub fn identified(&self, text: &str) -> Option<&Provider> {
        let text = text.trim();
        let domain = text.rsplit_once('@').map(|(_, domain)| domain);
        let found = self.all.by_identifier(text).or_else(|| self.all.by_identifier(domain?))?;
        self.provider(&found.name)
    }

    /// Whether a browser session came about in a way that this client, and this request, takes. A client that has only the
    /// company's provider takes nobody whom the pool or another provider let in.
    pub async fn takes(&self, visit: &Visit, browser: &Browser, named: Named<'_>) -> Result<bool> {
        let pool = &visit.site.pool;
        let came_from = match pool.doc.has_providers {
            true => upstream::origins(visit.cx.db(), &pool.id, &browser.session.id).await?,
            false => Vec::new(),
        };
        // What was proved last decides, where the same user did both in this browser.
        let native = came_from.iter().all(|(_, at_ms)| *at_ms < browser.session.auth_ms);
        let came_from = |name: &str| came_from.iter().any(|(provider, _)| provider == name);
        Ok(match named {
            Named::Nobody if native => self.own,
            Named::Nobody => self.providers().any(|provider| came_from(&provider.name)),
            Named::Own => native,
            Named::Provider(provider) => came_from(&provider.name),
            Named::Unknown => false,
        })
    }

    fn saml(&self) -> Saml<'_> {
        let saml: Vec<&Provider> =
            self.providers().filter(|provider| provider.kind == Kind::Saml).collect();
        let identified = saml.iter().all(|provider| !provider.doc.identifiers.is_empty());
        if saml.len() > 1 && identified { Saml::Box(saml) } else { Saml::Buttons(saml) }
    }

    /// The box for an address at work, where the page has one.
    pub fn email_box(&self, texts: &Texts) -> Option<Field> {
        let Saml::Box(_) = self.saml() else { return None };
        let mut field = fields::text(EMAIL, texts.say("corporate_email", &[]), "email");
        field.inputmode = "email";
        field.hint = texts.say("corporate_hint", &[]);
        Some(field)
    }

    /// Where the form of that box may end: Chromium applies `form-action` to what it is redirected to, too.
    pub fn form_ends(&self) -> Vec<String> {
        let Saml::Box(saml) = self.saml() else { return Vec::new() };
        let of = |provider: &&Provider| {
            let own = provider.detail("SSORedirectBindingURI").and_then(urls::csp_source);
            own.unwrap_or_else(|| "https:".to_owned())
        };
        let mut sources: Vec<String> = saml.iter().map(of).collect();
        sources.sort();
        sources.dedup();
        sources
    }

    /// The links of the login page, as `login.html` shows them: the companies' first, as the client has them.
    pub fn links(&self, visit: &Visit) -> Value {
        let mut shown = match self.saml() {
            Saml::Buttons(saml) => saml,
            Saml::Box(_) => Vec::new(),
        };
        shown.extend(self.providers().filter(|provider| provider.kind == Kind::Oidc));
        let companies = shown.len();
        shown.extend(
            self.providers().filter(|provider| !matches!(provider.kind, Kind::Saml | Kind::Oidc)),
        );
        let link = |(at, provider): (usize, &&Provider)| {
            let mut query = step::query(visit);
            query.remove("idp_identifier");
            query.set("identity_provider", &provider.name);
            context! {
                href => visit.page(to_provider::AUTHORIZE, &query),
                name => fields::isolated(shown_name(provider)),
                social => at >= companies,
            }
        };
        shown.iter().enumerate().map(link).collect()
    }
}

/// What people call a provider.
pub fn shown_name(provider: &Provider) -> &str {
    match provider.kind {
        Kind::LoginWithAmazon => "Amazon",
        Kind::SignInWithApple => "Apple",
        _ => &provider.name,
    }
}
