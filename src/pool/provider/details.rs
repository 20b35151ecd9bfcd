//! ProviderDetails: what each kind of provider must and may be told, and what it answers beyond what it was told
//! (`cognito-behaviour`, 2.5). Which hosts an address may name is not decided here.

use std::collections::BTreeMap;

use url::Url;

use super::{Kind, ProviderSecret};
use crate::error::{Error, Result};

/// Members that are kept sealed.
const CLIENT_SECRET: &str = "client_secret";
const PRIVATE_KEY: &str = "private_key";

/// Long enough for every address and list of scopes.
const MAX_VALUE: usize = 4_096;
const MAX_KEY: usize = 16 << 10;

/// What one kind of provider understands.
struct Rules {
    required: &'static [&'static str],
    optional: &'static [&'static str],
    /// Members that are answered where they were not given.
    filled: &'static [(&'static str, &'static str)],
}

const SAML: Rules = Rules {
    required: &[],
    optional: &[
        "EncryptedResponses",
        "IDPInit",
        "IDPSignout",
        "MetadataEntityID",
        "MetadataFile",
        "MetadataSigningCertificate",
        "MetadataURL",
        "NameIDFormat",
        "RequestSigningAlgorithm",
        "RequestedAuthnContext",
        "SLORedirectBindingURI",
        "SSORedirectBindingURI",
    ],
    filled: &[],
};

const OIDC: Rules = Rules {
    required: &["client_id", "authorize_scopes", "oidc_issuer"],
    optional: &[
        "attributes_request_method",
        "attributes_url",
        "attributes_url_add_attributes",
        "authorize_url",
        CLIENT_SECRET,
        "end_session_url",
        "id_token_signed_response_alg",
        "jwks_uri",
        "key_id",
        "pkce",
        PRIVATE_KEY,
        "revocation_url",
        "ssf_audience",
        "ssf_issuer",
        "ssf_jwks_uri",
        "token_endpoint_auth_method",
        "token_endpoint_auth_signing_alg",
        "token_url",
    ],
    filled: &[("attributes_request_method", "GET"), ("attributes_url_add_attributes", "false")],
};

const GOOGLE: Rules = Rules {
    required: &["client_id", CLIENT_SECRET, "authorize_scopes"],
    optional: SOCIAL,
    filled: &[
        ("attributes_url", "https://people.googleapis.com/v1/people/me?personFields="),
        ("attributes_url_add_attributes", "true"),
        ("authorize_url", "https://accounts.google.com/o/oauth2/v2/auth"),
        ("oidc_issuer", "https://accounts.google.com"),
        ("token_request_method", "POST"),
        ("token_url", "https://www.googleapis.com/oauth2/v4/token"),
    ],
};

/// Its addresses hold the version; see `versioned`.
const FACEBOOK: Rules = Rules {
    required: &["client_id", CLIENT_SECRET, "authorize_scopes"],
    optional: &[
        "api_version",
        "attributes_url",
        "attributes_url_add_attributes",
        "authorize_url",
        "revocation_url",
        "token_request_method",
        "token_url",
    ],
    filled: &[("attributes_url_add_attributes", "true"), ("token_request_method", "GET")],
};
const FACEBOOK_VERSION: &str = "v17.0";

const AMAZON: Rules = Rules {
    required: &["client_id", CLIENT_SECRET, "authorize_scopes"],
    optional: SOCIAL,
    filled: &[
        ("attributes_url", "https://api.amazon.com/user/profile"),
        ("attributes_url_add_attributes", "false"),
        ("authorize_url", "https://www.amazon.com/ap/oa"),
        ("token_request_method", "POST"),
        ("token_url", "https://api.amazon.com/auth/o2/token"),
    ],
};

const APPLE: Rules = Rules {
    required: &["client_id", "team_id", "key_id", PRIVATE_KEY, "authorize_scopes"],
    optional: SOCIAL,
    filled: &[
        ("attributes_url_add_attributes", "false"),
        ("authorize_url", "https://appleid.apple.com/auth/authorize"),
        ("oidc_issuer", "https://appleid.apple.com"),
        ("token_request_method", "POST"),
        ("token_url", "https://appleid.apple.com/auth/token"),
    ],
};

/// What infrastructure tools send back because it was answered, and a few more addresses.
const SOCIAL: &[&str] = &[
    "attributes_url",
    "attributes_url_add_attributes",
    "authorize_url",
    "jwks_uri",
    "oidc_issuer",
    "revocation_url",
    "ssf_audience",
    "ssf_issuer",
    "ssf_jwks_uri",
    "token_request_method",
    "token_url",
];

/// ProviderDetails, read and completed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Details {
    pub open: BTreeMap<String, String>,
    pub secret: ProviderSecret,
}

/// Checks and completes what a request says. A private key that is not named stays as it is in `kept`: nobody can read it back, so an
/// update could not repeat it.
pub fn read(
    kind: Kind,
    given: &BTreeMap<String, String>,
    kept: Option<&ProviderSecret>,
) -> Result<Details> {
    let rules = rules(kind);
    let mut open = BTreeMap::new();
    let mut secret = ProviderSecret::default();
    for (name, value) in given {
        if !rules.required.contains(&name.as_str()) && !rules.optional.contains(&name.as_str()) {
            return Err(unknown(kind, name, rules));
        }
        check_value(name, value)?;
        match name.as_str() {
            _ if value.is_empty() => {}
            CLIENT_SECRET => secret.client_secret = Some(value.clone()),
            PRIVATE_KEY => secret.private_key = Some(value.clone()),
            // Answered from the metadata that is in force.
            "SSORedirectBindingURI" | "SLORedirectBindingURI" => {}
            _ => drop(open.insert(name.clone(), value.clone())),
        }
    }
    if secret.private_key.is_none() && rules.knows(PRIVATE_KEY) {
        secret.private_key = kept.and_then(|kept| kept.private_key.clone());
    }
    let has = |name: &str| match name {
        CLIENT_SECRET => secret.client_secret.is_some(),
        PRIVATE_KEY => secret.private_key.is_some(),
        name => open.contains_key(name),
    };
    require(rules.required, &has)?;
    match kind {
        Kind::Saml => saml(&open)?,
        Kind::Oidc => oidc(&open, &has)?,
        _ => {}
    }
    for (name, value) in rules.filled {
        open.entry((*name).to_owned()).or_insert_with(|| (*value).to_owned());
    }
    if kind == Kind::Facebook {
        versioned(&mut open);
    }
    Ok(Details { open, secret })
}

/// Every address in it, which the operator's rules for outgoing requests must allow.
pub fn addresses(open: &BTreeMap<String, String>) -> impl Iterator<Item = (&str, &str)> {
    open.iter()
        .filter(|(name, _)| is_address(name))
        .map(|(name, value)| (name.as_str(), value.as_str()))
}

fn rules(kind: Kind) -> &'static Rules {
    match kind {
        Kind::Saml => &SAML,
        Kind::Oidc => &OIDC,
        Kind::Google => &GOOGLE,
        Kind::Facebook => &FACEBOOK,
        Kind::LoginWithAmazon => &AMAZON,
        Kind::SignInWithApple => &APPLE,
    }
}

impl Rules {
    fn knows(&self, name: &str) -> bool {
        self.required.contains(&name) || self.optional.contains(&name)
    }
}

fn unknown(kind: Kind, name: &str, rules: &Rules) -> Error {
    let shown: String = name.chars().take(64).collect();
    let mut known: Vec<&str> = [rules.required, rules.optional].concat();
    known.sort_unstable();
    let hint = match name {
        "ActiveEncryptionCertificate" => " It is made by the server; leave it out.".to_owned(),
        _ => format!(" Valid keys are {}.", known.join(", ")),
    };
    Error::invalid(format!(
        "{shown} is not a valid key for {} identity provider details.{hint}",
        kind.as_str()
    ))
}

fn require(names: &[&str], has: &impl Fn(&str) -> bool) -> Result<()> {
    let missing: Vec<&str> = names.iter().copied().filter(|name| !has(name)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "{} are all required idp details. Missing: {}.",
        and(names),
        missing.join(", ")
    )))
}

fn and(names: &[&str]) -> String {
    match names.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => names.concat(),
    }
}

fn saml(open: &BTreeMap<String, String>) -> Result<()> {
    match (open.contains_key("MetadataURL"), open.contains_key("MetadataFile")) {
        (false, false) => Err(Error::invalid(
            "At least one of the MetadataURL or MetadataFile should be provided.",
        )),
        (true, true) => Err(Error::invalid(
            "MetadataURL and MetadataFile cannot both be provided: the provider has one metadata document, which is either fetched or given.",
        )),
        _ => Ok(()),
    }
}

fn oidc(open: &BTreeMap<String, String>, has: &impl Fn(&str) -> bool) -> Result<()> {
    let method = open.get("token_endpoint_auth_method").map(String::as_str);
    let credential = if method == Some("private_key_jwt") { PRIVATE_KEY } else { CLIENT_SECRET };
    require(&["client_id", credential, "authorize_scopes", "oidc_issuer"], has)?;
    if open
        .get("authorize_scopes")
        .is_some_and(|scopes| !scopes.split([' ', ',']).any(|scope| scope == "openid"))
    {
        return Err(Error::invalid(
            "authorize_scopes of an OIDC identity provider must contain openid: without it there is no ID token.",
        ));
    }
    Ok(())
}

/// Facebook's addresses where none were given.
fn versioned(open: &mut BTreeMap<String, String>) {
    let version = open.get("api_version").map_or_else(|| FACEBOOK_VERSION.to_owned(), Clone::clone);
    for (name, value) in [
        ("attributes_url", format!("https://graph.facebook.com/{version}/me?fields=")),
        ("authorize_url", format!("https://www.facebook.com/{version}/dialog/oauth")),
        ("token_url", format!("https://graph.facebook.com/{version}/oauth/access_token")),
    ] {
        open.entry(name.to_owned()).or_insert(value);
    }
}

fn is_address(name: &str) -> bool {
    name.ends_with("_url")
        || matches!(name, "MetadataURL" | "jwks_uri" | "oidc_issuer" | "ssf_jwks_uri")
}

fn check_value(name: &str, value: &str) -> Result<()> {
    let refuse = |what: &str| Err(Error::invalid(format!("{name} {what}.")));
    let text = matches!(name, "MetadataFile" | "MetadataSigningCertificate" | PRIVATE_KEY);
    let most = match name {
        // A request is not larger.
        "MetadataFile" => usize::MAX,
        "MetadataSigningCertificate" | PRIVATE_KEY => MAX_KEY,
        _ => MAX_VALUE,
    };
    if value.len() > most {
        return refuse(&format!("must have at most {most} characters"));
    }
    if value.contains('\0') || (!text && value.chars().any(char::is_control)) {
        return refuse("must not contain control characters");
    }
    if value.is_empty() {
        return Ok(());
    }
    let one_of = |allowed: &[&str]| match allowed.contains(&value) {
        true => Ok(()),
        false => refuse(&format!("must be one of {}", allowed.join(", "))),
    };
    match name {
        "EncryptedResponses"
        | "IDPInit"
        | "IDPSignout"
        | "attributes_url_add_attributes"
        | "pkce" => {
            match value.eq_ignore_ascii_case("true") || value.eq_ignore_ascii_case("false") {
                true => Ok(()),
                false => refuse("must be true or false"),
            }
        }
        "attributes_request_method" | "token_request_method" => one_of(&["GET", "POST"]),
        "RequestSigningAlgorithm" => one_of(&["rsa-sha256"]),
        "token_endpoint_auth_method" => {
            one_of(&["client_secret_post", "client_secret_basic", "private_key_jwt"])
        }
        "token_endpoint_auth_signing_alg" => one_of(&["RS256", "ES256"]),
        "id_token_signed_response_alg" => one_of(&[
            "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512",
            "EdDSA", "HS256", "HS384", "HS512",
        ]),
        "api_version" if !is_version(value) => refuse("must look like v17.0"),
        "NameIDFormat" | "MetadataEntityID" | "client_id" | "ssf_audience" | "ssf_issuer"
            if value.contains(char::is_whitespace) =>
        {
            refuse("must not contain spaces")
        }
        "key_id" | "team_id" if !value.chars().all(|c| c.is_ascii_graphic()) => {
            refuse("must not contain spaces")
        }
        name if is_address(name) => match address(value) {
            Ok(()) => Ok(()),
            Err(why) => refuse(why),
        },
        _ => Ok(()),
    }
}

fn is_version(value: &str) -> bool {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|c| c.is_ascii_digit());
    let parts = value.strip_prefix('v').and_then(|value| value.split_once('.'));
    parts.is_some_and(|(major, minor)| digits(major) && digits(minor))
}

/// An absolute https or http URL; whether http is allowed is the operator's word.
fn address(value: &str) -> Result<(), &'static str> {
    if value.contains(char::is_whitespace) {
        return Err("must not contain spaces");
    }
    let Ok(url) = Url::parse(value) else { return Err("must be an absolute https URL") };
    if !matches!(url.scheme(), "https" | "http") || url.host_str().is_none_or(str::is_empty) {
        return Err("must be an absolute https URL");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not hold a user name or a password");
    }
    if value.contains('#') {
        return Err("must not have a fragment");
    }
    Ok(())
}
