//! What a provider says of somebody besides the ID token: OpenID Connect's userinfo, Google's People API, Facebook's and Amazon's
//! profiles, Apple's form field.

use aws_lc_rs::hmac;
use serde_json::{Map, Value, json};
use url::Url;

use super::id_token::{self, IdToken};
use super::token::{connection, oauth_error};
use crate::cx::Cx;
use crate::error::Result;
use crate::federation::{Trouble, learned::Endpoints};
use crate::outgoing::Request;
use crate::pool::Provider;
use crate::pool::provider::ProviderSecret;

/// Fields of Google's People API. Everything else that Google says is in the ID token, and asking costs a request that fails where
/// the API is not enabled.
const PEOPLE: &[&str] = &[
    "addresses",
    "ageRanges",
    "biographies",
    "birthdays",
    "calendarUrls",
    "emailAddresses",
    "events",
    "externalIds",
    "genders",
    "imClients",
    "interests",
    "locales",
    "locations",
    "memberships",
    "miscKeywords",
    "names",
    "nicknames",
    "occupations",
    "organizations",
    "phoneNumbers",
    "photos",
    "relations",
    "sipAddresses",
    "skills",
    "urls",
    "userDefined",
];

/// OpenID Connect's userinfo (Core, 5.3). Empty where the provider has none.
pub async fn oidc(
    cx: &Cx,
    provider: &Provider,
    endpoints: &Endpoints,
    secret: &ProviderSecret,
    access_token: Option<&str>,
    id_token: &IdToken,
) -> Result<Map<String, Value>, Trouble> {
    let (Some(url), Some(access_token)) = (&endpoints.userinfo, access_token) else {
        return Ok(Map::new());
    };
    let post = provider
        .detail("attributes_request_method")
        .is_some_and(|method| method.eq_ignore_ascii_case("POST"));
    let request = if post { Request::form(url, &[]) } else { Request::get(url) };
    let claims = match asked(cx, provider, request.bearer(access_token)).await? {
        Said::Json(claims) => claims,
        Said::Signed(token) => {
            let believed = id_token::believe(cx, provider, secret, &token, "userinfo").await?;
            id_token::addressed(provider, endpoints, &believed.claims)
                .map_err(|why| id_token::refused(cx, provider, "userinfo", &why))?;
            believed.claims
        }
    };
    // Without this, whoever swaps an access token signs in as somebody else (Core, 5.3.4).
    if claims.get("sub").and_then(Value::as_str) != Some(id_token.sub.as_str()) {
        return Err(id_token::refused(
            cx,
            provider,
            "userinfo",
            "its sub is not that of the ID token",
        ));
    }
    Ok(claims)
}

/// The fields of the People API that the mapping wants, each as one value or several.
pub async fn google(
    cx: &Cx,
    provider: &Provider,
    endpoints: &Endpoints,
    access_token: Option<&str>,
    id_token: &IdToken,
) -> Result<Map<String, Value>, Trouble> {
    let wanted =
        wanted(provider, |name| PEOPLE.contains(&name) && !id_token.claims.contains_key(name));
    let (Some(url), Some(access_token), false) =
        (&endpoints.userinfo, access_token, wanted.is_empty())
    else {
        return Ok(Map::new());
    };
    let request = Request::get(format!("{url}{}", wanted.join(","))).bearer(access_token);
    let Said::Json(person) = asked(cx, provider, request).await? else {
        return Err(not_json(provider));
    };
    // `people/ID`: the same number as `sub`.
    let named = person.get("resourceName").and_then(Value::as_str);
    if named.and_then(|name| name.strip_prefix("people/")) != Some(id_token.sub.as_str()) {
        return Err(id_token::refused(
            cx,
            provider,
            "profile",
            "its resourceName is not that of the ID token's sub",
        ));
    }
    let field = |name: &String| Some((name.clone(), people_field(person.get(name)?)?));
    Ok(wanted.iter().filter_map(field).collect())
}

/// The primary entry of a field of the People API, as text where it has one.
fn people_field(entries: &Value) -> Option<Value> {
    let entries = entries.as_array()?;
    let primary = |entry: &&Value| entry.pointer("/metadata/primary") == Some(&Value::Bool(true));
    let entry = entries.iter().find(primary).or(entries.first())?;
    let names = ["value", "canonicalForm", "displayName", "formattedValue", "name", "url"];
    if let Some(text) = names.iter().find_map(|name| entry.get(name).filter(|v| v.is_string())) {
        return Some(text.clone());
    }
    if let Some(date) = entry.get("date") {
        let part = |name: &str| date.get(name).and_then(Value::as_u64).unwrap_or(0);
        let (year, month, day) = (part("year"), part("month"), part("day"));
        // A birthday without a year is 0000 in OpenID Connect (Core, 5.1).
        return Some(json!(format!("{year:04}-{month:02}-{day:02}")));
    }
    Some(entry.clone())
}

/// Facebook's profile with the mapped fields; `id` says who it is.
pub async fn facebook(
    cx: &Cx,
    provider: &Provider,
    endpoints: &Endpoints,
    secret: &ProviderSecret,
    access_token: &str,
) -> Result<Map<String, Value>, Trouble> {
    let mut fields = wanted(provider, |name| name != "id");
    fields.insert(0, "id".to_owned());
    let url = format!("{}{}", endpoints.userinfo.as_deref().unwrap_or_default(), fields.join(","));
    let refuse =
        || Trouble::refused(format!("The profile address of {} is not a URL.", provider.name));
    let mut url = Url::parse(&url).map_err(|_| refuse())?;
    // Proves that it is the app that asks; apps may demand it.
    let key = hmac::Key::new(
        hmac::HMAC_SHA256,
        secret.client_secret.as_deref().unwrap_or_default().as_bytes(),
    );
    let proof = hmac::sign(&key, access_token.as_bytes());
    let proof: String = proof.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    url.query_pairs_mut().append_pair("appsecret_proof", &proof);
    profile(cx, provider, Request::get(url).bearer(access_token)).await
}

/// Amazon's profile; `user_id` says who it is.
pub async fn amazon(
    cx: &Cx,
    provider: &Provider,
    endpoints: &Endpoints,
    access_token: &str,
) -> Result<Map<String, Value>, Trouble> {
    let url = endpoints.userinfo.as_deref().unwrap_or_default();
    profile(cx, provider, Request::get(url).bearer(access_token)).await
}

/// Names from Apple's form field, which comes through the browser and is signed by nobody: a person may say any name, and nothing else.
pub fn apple(user: Option<&str>) -> Map<String, Value> {
    let told: Value = user
        .filter(|user| user.len() <= 4_096)
        .and_then(|user| serde_json::from_str(user).ok())
        .unwrap_or_default();
    let name = |part: &str| told.pointer(&format!("/name/{part}")).and_then(Value::as_str);
    let parts = [name("firstName"), name("lastName")];
    let mut claims = Map::new();
    for (claim, value) in ["firstName", "lastName"].into_iter().zip(parts) {
        if let Some(value) = value {
            claims.insert(claim.to_owned(), json!(value));
        }
    }
    let whole: Vec<&str> = parts.into_iter().flatten().filter(|part| !part.is_empty()).collect();
    if !whole.is_empty() {
        claims.insert("name".to_owned(), json!(whole.join(" ")));
    }
    claims
}

/// The provider's names in the attribute mapping, once each.
fn wanted(provider: &Provider, which: impl Fn(&str) -> bool) -> Vec<String> {
    let plain = |name: &&String| {
        name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && which(name.as_str())
    };
    let mut names: Vec<String> = provider.doc.mapping.values().filter(plain).cloned().collect();
    names.sort();
    names.dedup();
    names
}

enum Said {
    Json(Map<String, Value>),
    Signed(String),
}

async fn profile(
    cx: &Cx,
    provider: &Provider,
    request: Request,
) -> Result<Map<String, Value>, Trouble> {
    match asked(cx, provider, request).await? {
        Said::Json(claims) => Ok(claims),
        Said::Signed(_) => Err(not_json(provider)),
    }
}

async fn asked(cx: &Cx, provider: &Provider, request: Request) -> Result<Said, Trouble> {
    let request = request.header("accept", "application/json");
    let answer = cx
        .app
        .outgoing
        .send(request)
        .await
        .map_err(|failure| connection(cx, provider, "userinfo endpoint", &failure))?;
    if !answer.is_success() {
        let (code, description) = oauth_error(&answer);
        let status = answer.status;
        tracing::warn!(
            pool = provider.pool_id,
            provider = provider.name,
            request = cx.request.id,
            status,
            code,
            description,
            "an identity provider did not say who signed in"
        );
        return Err(Trouble::refused(format!(
            "{} Error - {status} error getting attributes",
            provider.name
        )));
    }
    let kind = answer.content_type.as_deref().unwrap_or_default();
    if kind.to_ascii_lowercase().starts_with("application/jwt") {
        return match String::from_utf8(answer.body) {
            Ok(token) => Ok(Said::Signed(token.trim().to_owned())),
            Err(_) => Err(not_json(provider)),
        };
    }
    serde_json::from_slice(&answer.body).map(Said::Json).map_err(|_| not_json(provider))
}

fn not_json(provider: &Provider) -> Trouble {
    Trouble::refused(format!(
        "The userinfo endpoint of {} did not answer with a JSON object.",
        provider.name
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn apple_tells_names_and_nothing_else() {
        let user =
            r#"{"name":{"firstName":"Ann","lastName":"Lee"},"email":"root@example.com","sub":"x"}"#;
        let claims = apple(Some(user));
        assert_eq!(
            Value::Object(claims),
            json!({ "firstName": "Ann", "lastName": "Lee", "name": "Ann Lee" })
        );
        assert!(apple(None).is_empty());
        assert!(apple(Some("[1")).is_empty());
        assert!(apple(Some(r#"{"name":{"firstName":{"a":1}}}"#)).is_empty());
    }

    #[test]
    fn of_a_people_field_the_primary_entry_counts() {
        let phones = json!([{ "value": "1" }, { "value": "2", "metadata": { "primary": true } }]);
        assert_eq!(people_field(&phones), Some(json!("2")));
        let birthdays = json!([{ "date": { "year": 1984, "month": 2, "day": 9 } }]);
        assert_eq!(people_field(&birthdays), Some(json!("1984-02-09")));
        assert_eq!(people_field(&json!([])), None);
    }
}
