//! `/error`: what Cognito shows, and what the developer who reads it must change.

use axum::http::StatusCode;
use axum::response::Response;
use minijinja::context;

use super::{fields, pages, texts};
use crate::error::Result;
use crate::site::Visit;

pub async fn page(visit: &Visit) -> Result<Response> {
    let query = &visit.query;
    let client_id = query.get("client_id").unwrap_or_default();
    let client = visit
        .cx
        .app
        .directory
        .client(visit.cx.db(), client_id)
        .await?
        .filter(|(pool, _)| pool.id == visit.site.pool.id);
    let client = client.map(|(_, client)| client);
    let name =
        client.as_ref().and_then(|client| client.model().client_name.clone()).unwrap_or_default();
    let uri = query.get("logout_uri").or_else(|| query.get("post_logout_redirect_uri"));
    let (title, hint) = match (query.get("error"), &client, uri) {
        (Some("redirect_mismatch"), ..) => ("refused_request", "hint_redirect_mismatch"),
        (Some("invalid_client"), ..) => ("refused_request", "hint_invalid_client"),
        (Some("invalid_request"), ..) => ("refused_request", "refused_client_id"),
        (Some(_), ..) => ("error_title", "hint_back_to_app"),
        // A sign-out that could not go on: its own query came along.
        (None, Some(client), Some(uri)) if !client.is_logout_url(uri) => {
            ("refused_redirect_uri", "hint_logout_uri")
        }
        (None, Some(_), _) if query.get("id_token_hint").is_some() => {
            ("refused_sign_out", "hint_id_token_hint")
        }
        (None, Some(_), _) => ("refused_redirect_uri", "hint_no_logout_uri"),
        (None, None, _) => ("refused_client_id", "hint_no_client"),
    };
    let texts = &texts::of(visit);
    let uri: String = uri.unwrap_or_default().chars().take(1_024).collect();
    let names = [("name", fields::isolated(&name)), ("uri", fields::isolated(&uri))];
    let names: Vec<(&str, &str)> = names.iter().map(|(key, text)| (*key, text.as_str())).collect();
    let values = context! { title => texts.say(title, &[]), hint => texts.say(hint, &names) };
    let mut response = pages::page(visit, "error.html", values, &pages::Allow::default()).await?;
    *response.status_mut() = StatusCode::BAD_REQUEST;
    Ok(response)
}
