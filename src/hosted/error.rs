//! `/error`: what Cognito shows, and what the developer who reads it must change.

use axum::http::StatusCode;
use axum::response::Response;
use minijinja::context;

use super::pages;
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
    let bounded = |text: &str| text.chars().take(1_024).collect::<String>();

    let (title, hint) = match query.get("error") {
        Some("redirect_mismatch") => (
            "An error was encountered with the requested page.",
            format!("The redirect_uri of the request is not in the CallbackURLs of the app client {name}. It must match to the letter."),
        ),
        Some("invalid_client") => {
            ("An error was encountered with the requested page.", "The client_id of the request is not an app client of this user pool.".to_owned())
        }
        Some("invalid_request") => {
            ("An error was encountered with the requested page.", "Required String parameter 'client_id' is not present".to_owned())
        }
        Some(_) => ("Something went wrong", String::new()),
        // A sign-out that could not go on: its own query came along.
        None => match (&client, query.get("logout_uri").or_else(|| query.get("post_logout_redirect_uri"))) {
            (Some(client), Some(uri)) if !client.is_logout_url(uri) => (
                "Required String parameter 'redirect_uri' is not present",
                format!("The session of this browser has ended. But {} is not in the LogoutURLs of the app client {name}, so the browser cannot be sent there. \
                         It must match to the letter.", bounded(uri)),
            ),
            (Some(_), _) if query.get("id_token_hint").is_some() => {
                ("The sign-out request was not valid", "The id_token_hint is not an ID token that this user pool issued to this app client.".to_owned())
            }
            (Some(_), _) => (
                "Required String parameter 'redirect_uri' is not present",
                "The session of this browser has ended. The request named no logout_uri, so the browser cannot be sent on.".to_owned(),
            ),
            (None, _) => ("Required String parameter 'client_id' is not present", "A sign-out must name an app client of this user pool with client_id.".to_owned()),
        },
    };
    let mut response = pages::page(visit, "error.html", context! { title, hint }, None).await?;
    *response.status_mut() = StatusCode::BAD_REQUEST;
    Ok(response)
}
