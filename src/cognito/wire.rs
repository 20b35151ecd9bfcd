//! HTTP at the JSON door: target, limits, the checks before an operation, and the one writer of answers and errors.

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use cenote_interface::Operation;
use serde_json::{Value, json};
use std::sync::Arc;

use super::{call, scope};
use crate::audit::{self, Actor};
use crate::cx::{About, App, Asked, Cx};
use crate::error::{Error, Kind, Result};
use crate::http;
use crate::limits::Limit;
use crate::sigv4;
use crate::store::Batch;

/// 1 MiB: the largest legitimate request (branding aside) is far smaller.
const MAX_BODY: usize = 1 << 20;

const CONTENT_TYPE: &str = "application/x-amz-json-1.1";

/// What browsers may read of an answer.
const EXPOSED: &str = "x-amzn-RequestId,x-amzn-ErrorType,x-amzn-ErrorMessage,x-cenote-signout,Date";

/// What browsers may send. Amplify's preflight asks for `cache-control` and `x-amz-user-agent`.
const ALLOWED: &str = "content-type,x-amz-target,x-amz-user-agent,amz-sdk-invocation-id,amz-sdk-request,authorization,x-amz-date,\
                       x-amz-security-token,x-amz-content-sha256,cache-control";

/// `POST /`.
pub async fn post(State(app): State<Arc<App>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = http::read(body, MAX_BODY).await;
    let cx = http::cx(app, &parts);
    let name = target(&parts.headers).unwrap_or_default().to_owned();
    let operation = cenote_interface::operation(&name);

    let result = match body {
        Ok(body) => answer(&cx, &parts, &name, operation, &body).await,
        Err(error) => Err(error),
    };
    let open = operation.is_some_and(is_open);
    // In dev nothing is verified, so that an answer to a signed operation must not be readable by web pages.
    let readable = open || !cx.app.settings.dev;
    http::log(&cx, "cognito", &name, result.as_ref().err());
    write(&cx, result, readable)
}

/// `OPTIONS /`: answered alike for all, so that a preflight tells nothing.
pub async fn options() -> Response {
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    for (name, value) in [
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (header::ACCESS_CONTROL_ALLOW_METHODS, "POST,OPTIONS"),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, ALLOWED),
        (header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED),
        (header::ACCESS_CONTROL_MAX_AGE, "172800"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

async fn answer(
    cx: &Cx,
    parts: &axum::http::request::Parts,
    name: &str,
    operation: Option<&'static Operation>,
    body: &Bytes,
) -> Result<String> {
    let category = Limit::of_operation(name);
    cx.admit_address(category)?;
    let Some(operation) = operation else {
        if name.is_empty() {
            return Err(Error::new(
                Kind::UnknownOperation,
                "The header X-Amz-Target is missing or malformed; it must be AWSCognitoIdentityProviderService.<Operation>.",
            ));
        }
        return Err(super::unknown(name));
    };
    let mut cx = cx.clone();
    let mut caller = None;
    if !is_open(operation) {
        http::refuse_foreign_origin(&cx, &parts.headers)?;
        caller = http::caller(&cx, parts, body, sigv4::COGNITO).await?;
        if let Some(caller) = &caller {
            cx = cx.signed_by(caller.key_id.clone());
        }
    }
    if !super::BUILT.contains(&operation.name) {
        return Err(super::unknown(operation.name));
    }
    let input = parse(body)?;
    cenote_interface::check(operation, &input).map_err(|refusal| match refusal {
        cenote_interface::Refusal::Serialization(message) => {
            Error::new(Kind::Serialization, message)
        }
        cenote_interface::Refusal::Validation(message) => Error::invalid(message),
    })?;
    if let Some(category) = category {
        let pool = pool_of(&cx, operation, &input).await?;
        match asked(operation, category, &input, &pool) {
            Some(asked) => cx.admit(&asked)?,
            None => cx = cx.of(category),
        }
    }
    let named = if is_open(operation) { About::default() } else { named(&input) };
    let allowed = match &caller {
        Some(caller) => scope::check_scope(&cx, caller, operation.name, &input).await,
        None => Ok(()),
    };
    let answer = match allowed {
        Ok(()) => call(operation.name, cx.clone(), input).await,
        Err(denied) => Err(denied),
    };
    if let Err(error) = &answer {
        audit_refusal(&cx, operation, named, error).await;
    }
    answer
}

/// Whether no signature is asked for. GetClientToken's secret is its whole proof: IAM is documented not to be asked, though the model
/// lacks the mark, so that SDKs sign it with whatever credentials they have.
fn is_open(operation: &Operation) -> bool {
    operation.unsigned || operation.name == "GetClientToken"
}

/// The pool that a request means: named, or that of its client. A client that does not exist stands for itself.
async fn pool_of(cx: &Cx, operation: &Operation, input: &Value) -> Result<String> {
    let text = |name: &str| member(operation, input, name)?.as_str();
    Ok(match (text("UserPoolId"), text("ClientId")) {
        (Some(pool), _) => pool.to_owned(),
        (None, Some(client)) => {
            let pool = cx.app.directory.pool_of(cx.db(), client).await?;
            pool.map_or_else(|| client.to_owned(), |pool| pool.to_string())
        }
        (None, None) => String::new(),
    })
}

/// What the request says, where its operation knows what that is: whoever adds a member that is ignored must not choose whose limit
/// is spent.
fn member<'a>(operation: &Operation, input: &'a Value, name: &str) -> Option<&'a Value> {
    input.get(name).filter(|_| cenote_interface::takes(operation, name))
}

/// What the request itself says that it is about; `None` where only its token or Session will say so.
fn asked<'a>(
    operation: &Operation,
    category: Limit,
    input: &'a Value,
    pool: &'a str,
) -> Option<Asked<'a>> {
    let text = |name: &str| member(operation, input, name)?.as_str();
    let within = |name: &str| member(operation, input, name)?.get("USERNAME")?.as_str();
    if operation.unsigned && pool.is_empty() {
        return None;
    }
    let refreshes = text("AuthFlow").is_some_and(|flow| flow.starts_with("REFRESH_TOKEN"))
        || text("RefreshToken").is_some();
    Some(Asked {
        category,
        pool,
        client: text("ClientId").filter(|_| is_open(operation)),
        user: text("Username")
            .or_else(|| within("AuthParameters"))
            .or_else(|| within("ChallengeResponses")),
        costly: operation.unsigned && category.is_costly() && !refreshes,
    })
}

/// Refusals of what would have changed something, in a batch of their own unless the operation committed one. What the operation
/// found counts; `named` stands in where it got no further than the request.
async fn audit_refusal(cx: &Cx, operation: &Operation, named: About, error: &Error) {
    let reads = ["Get", "List", "Describe", "AdminGet", "AdminList"]
        .iter()
        .any(|prefix| operation.name.starts_with(prefix));
    let ours = matches!(
        error.kind,
        Kind::Internal | Kind::ServiceUnavailable | Kind::TooManyRequests | Kind::Conflict
    );
    let reply = cx.reply();
    if reads || ours || reply.refusal_audited {
        return;
    }
    let about = if reply.about.pool_id.is_empty() { named } else { reply.about };
    let target = if about.target.is_empty() { "-" } else { &about.target };
    let actor = match (&about.user, is_open(operation)) {
        (Some(sub), true) => Actor::User(sub),
        (None, true) => Actor::Anybody,
        (_, false) => Actor::Administrator,
    };
    let mut batch = Batch::new();
    audit::note(
        &mut batch,
        cx,
        &about.pool_id,
        &actor,
        operation.name,
        target,
        error.kind.cognito(),
        "",
    );
    if let Err(error) = cx.db().commit(batch).await {
        tracing::warn!(request_id = %cx.request.id, ?error, "a refusal was not audited");
    }
}

/// What a signed request names, where the operation was denied before it looked: only text that can be a name.
fn named(input: &Value) -> About {
    let text = |name: &str| {
        let text = input.get(name).and_then(Value::as_str).unwrap_or_default();
        let plain = text.len() <= 128 && text.chars().all(|c| c.is_ascii_graphic());
        if plain { text.to_owned() } else { String::new() }
    };
    let target = ["Username", "ClientId", "Domain", "GroupName", "ResourceArn"]
        .iter()
        .map(|name| text(name))
        .find(|text| !text.is_empty());
    About { pool_id: text("UserPoolId"), target: target.unwrap_or_default(), user: None }
}

fn parse(body: &Bytes) -> Result<Value> {
    if body.is_empty() {
        return Ok(json!({}));
    }
    let mut input = serde_json::from_slice(body).map_err(|error| {
        Error::new(
            Kind::Serialization,
            format!(
                "The request body is not valid JSON: line {}, column {}.",
                error.line(),
                error.column()
            ),
        )
    })?;
    drop_nulls(&mut input);
    Ok(input)
}

/// A member that is null is a member that is absent, in maps too: amazon-cognito-identity-js sends `"DEVICE_KEY": null`.
/// The parser bounds the depth.
fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|_, member| !member.is_null());
            members.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

fn target(headers: &HeaderMap) -> Option<&str> {
    let target = headers.get("x-amz-target")?.to_str().ok()?;
    let (prefix, name) = target.split_once('.')?;
    (prefix == cenote_interface::TARGET_PREFIX).then_some(name)
}

fn write(cx: &Cx, result: Result<String>, readable: bool) -> Response {
    let (status, body, error) = match result {
        Ok(body) => (StatusCode::OK, body, None),
        Err(error) => {
            let kind = error.kind.cognito();
            let body = json!({ "__type": kind, "message": error.message }).to_string();
            (
                StatusCode::from_u16(error.kind.status()).unwrap_or(StatusCode::BAD_REQUEST),
                body,
                Some(error),
            )
        }
    };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    http::insert(headers, HeaderName::from_static("x-amzn-requestid"), &cx.request.id);
    if readable {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
    }
    // A refusal, too, can have ended something: a refresh token that was used twice.
    if let Some(signout) = cx.reply().signout {
        http::insert(headers, HeaderName::from_static("x-cenote-signout"), &signout);
    }
    if let Some(error) = error {
        http::insert(
            headers,
            HeaderName::from_static("x-amzn-errortype"),
            &format!("{}:", error.kind.cognito()),
        );
        http::insert(headers, HeaderName::from_static("x-amzn-errormessage"), error.message.trim());
        // Both pass within a second: limits are numbers of requests in one.
        if matches!(error.kind, Kind::ServiceUnavailable | Kind::TooManyRequests | Kind::Conflict) {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
    }
    response
}
