//! Access keys on the signed operations of `cenote serve`: the right key is let in, and each wrong thing is an error of its own.
//! The signer here is a second implementation, written from AWS' description alone.

use std::fmt::Write as _;

use aws_lc_rs::{digest, hmac};
use axum::body::Body;
use axum::http::Request;
use cenote::access::{self, Grant};
use cenote::ambient::MINUTE;
use cenote::config::Settings;
use cenote::cx::Cx;
use serde_json::{Value, json};

use crate::house::{Answer, House, houses};
use crate::store::bed;

const HOST: &str = "id.example.com";
/// The house's clock, `house::NOW`.
const STAMP: &str = "20260921T141320Z";

/// A production house on each database. The database of `CENOTE_TEST_PG` belongs to dev, so there it gets a schema of its own.
pub async fn production(test: &str) -> Vec<House> {
    let settings =
        Settings { dev: false, public_url: format!("https://{HOST}"), ..Settings::default() };
    let mut houses = vec![House::on_sqlite(settings.clone()).await];
    if let Some(bed) = bed::pg(&format!("signature_{test}")).await {
        houses.push(House::open(&bed.url, settings, None).await);
    }
    houses
}

pub struct Key {
    id: String,
    secret: String,
}

impl House {
    /// An operation that this key signs.
    pub async fn signed_call(&self, key: &Key, operation: &'static str, input: Value) -> Answer {
        Call::new(operation, input).signed(self, key).await
    }

    pub async fn access_key(&self, actions: &[&str], pools: &[&str]) -> Key {
        let own = |list: &[&str]| list.iter().map(|item| (*item).to_owned()).collect::<Vec<_>>();
        let cx = Cx::system(self.app.clone());
        let (id, secret) =
            access::create(&cx, &Grant::new(&own(actions), &own(pools), "test").unwrap())
                .await
                .unwrap();
        Key { id, secret: secret.to_string() }
    }
}

/// A request to sign and, between signing and sending, to tamper with.
struct Call {
    operation: &'static str,
    body: String,
    stamp: &'static str,
    headers: Vec<(&'static str, String)>,
}

impl Call {
    fn new(operation: &'static str, input: Value) -> Call {
        Call { operation, body: input.to_string(), stamp: STAMP, headers: Vec::new() }
    }

    fn at(mut self, stamp: &'static str) -> Call {
        self.stamp = stamp;
        self
    }

    fn with(mut self, name: &'static str, value: &str) -> Call {
        self.headers.push((name, value.to_owned()));
        self
    }

    fn authorization(&self, key: &Key) -> String {
        let day = &self.stamp[..8];
        let mut headers = vec![
            ("host", HOST.to_owned()),
            ("x-amz-date", self.stamp.to_owned()),
            ("x-amz-target", format!("AWSCognitoIdentityProviderService.{}", self.operation)),
        ];
        headers.extend(self.headers.clone());
        headers.sort();
        let names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
        let names = names.join(";");
        let lines: String =
            headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
        let canonical = format!("POST\n/\n\n{lines}\n{names}\n{}", sha256(self.body.as_bytes()));
        sign(key, &canonical, self.stamp, day, "cognito-idp", &names)
    }

    async fn sent(&self, house: &House, authorization: Option<&str>) -> Answer {
        let mut request =
            Request::post("/").header("host", HOST).header("x-amz-date", self.stamp).header(
                "x-amz-target",
                format!("AWSCognitoIdentityProviderService.{}", self.operation),
            );
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        if let Some(authorization) = authorization {
            request = request.header("authorization", authorization);
        }
        house.send(request.body(Body::from(self.body.clone())).unwrap()).await
    }

    async fn signed(&self, house: &House, key: &Key) -> Answer {
        self.sent(house, Some(&self.authorization(key))).await
    }
}

/// The Authorization header for a canonical request.
fn sign(key: &Key, canonical: &str, stamp: &str, day: &str, service: &str, names: &str) -> String {
    let scope = format!("{day}/us-east-1/{service}/aws4_request");
    let text = format!("AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{}", sha256(canonical.as_bytes()));
    let mut secret = format!("AWS4{}", key.secret).into_bytes();
    for part in [day, "us-east-1", service, "aws4_request", &text] {
        secret = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &secret), part.as_bytes())
            .as_ref()
            .to_vec();
    }
    format!(
        "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={}",
        key.id,
        hex(&secret)
    )
}

/// GET of a path, signed for a service.
pub async fn signed_get(
    house: &House,
    key: &Key,
    path: &str,
    query: &str,
    service: &str,
) -> Answer {
    let names = "host;x-amz-date";
    let canonical = format!(
        "GET\n{path}\n{query}\nhost:{HOST}\nx-amz-date:{STAMP}\n\n{names}\n{}",
        sha256(b"")
    );
    let authorization = sign(key, &canonical, STAMP, &STAMP[..8], service, names);
    let address = if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") };
    let request = Request::get(address)
        .header("host", HOST)
        .header("x-amz-date", STAMP)
        .header("authorization", authorization);
    house.send(request.body(Body::empty()).unwrap()).await
}

fn sha256(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// Refused with this type, and a message that contains this.
#[track_caller]
fn refused(answer: &Answer, kind: &str, message: &str) {
    let body = answer.json();
    assert_eq!(
        (answer.status.as_u16(), body["__type"].as_str().unwrap()),
        (400, kind),
        "{}",
        answer.body
    );
    assert!(body["message"].as_str().unwrap().contains(message), "{}", answer.body);
}

/// Let in: the pool does not exist, and only somebody who was let in is told so.
#[track_caller]
fn let_in(answer: &Answer) {
    refused(answer, "ResourceNotFoundException", "does not exist");
}

fn get_user(pool: &str) -> Call {
    Call::new("AdminGetUser", json!({ "UserPoolId": pool, "Username": "ann" }))
}

#[tokio::test]
async fn a_request_signed_with_an_access_key_is_let_in() {
    for house in production("let_in").await {
        let key = house.access_key(&[], &[]).await;
        let_in(&get_user("us-east-1_none").signed(&house, &key).await);
        let body = sha256(get_user("us-east-1_none").body.as_bytes());
        let_in(
            &get_user("us-east-1_none")
                .with("x-amz-content-sha256", &body)
                .signed(&house, &key)
                .await,
        );
    }
}

#[tokio::test]
async fn each_wrong_thing_is_an_error_of_its_own() {
    for house in production("each").await {
        let key = house.access_key(&[], &[]).await;
        let call = get_user("us-east-1_none");
        let good = call.authorization(&key);

        refused(
            &call.sent(&house, None).await,
            "MissingAuthenticationTokenException",
            "Missing Authentication Token",
        );
        refused(&call.sent(&house, Some("")).await, "MissingAuthenticationTokenException", "");
        let (incomplete, _) = good.split_once(", Signature").unwrap();
        refused(
            &call.sent(&house, Some(incomplete)).await,
            "IncompleteSignatureException",
            "requires 'Signature'",
        );
        refused(
            &call.sent(&house, Some("Bearer x")).await,
            "IncompleteSignatureException",
            "Unsupported AWS 'algorithm'",
        );

        let unknown = Key { id: "AKIAIOSFODNN7EXAMPLE".to_owned(), secret: key.secret.clone() };
        let answer = call.signed(&house, &unknown).await;
        refused(
            &answer,
            "UnrecognizedClientException",
            "The security token included in the request is invalid.",
        );
        let impostor = Key { id: key.id.clone(), secret: "wrong".to_owned() };
        refused(
            &call.signed(&house, &impostor).await,
            "InvalidSignatureException",
            "does not match the signature you provided",
        );

        let mut altered = get_user("us-east-1_none");
        altered.body = altered.body.replace("ann", "bob");
        refused(
            &altered.sent(&house, Some(&good)).await,
            "InvalidSignatureException",
            "does not match the signature you provided",
        );
        let announced =
            get_user("us-east-1_none").with("x-amz-content-sha256", &sha256(b"something else"));
        refused(
            &announced.signed(&house, &key).await,
            "InvalidSignatureException",
            "x-amz-content-sha256",
        );
        let mut other = get_user("us-east-1_none");
        other.operation = "AdminDeleteUser";
        refused(
            &other.sent(&house, Some(&good)).await,
            "InvalidSignatureException",
            "does not match the signature you provided",
        );

        let old = get_user("us-east-1_none").at("20260921T135819Z");
        refused(
            &old.signed(&house, &key).await,
            "InvalidSignatureException",
            "Signature expired: 20260921T135819Z is now earlier than",
        );
        let early = get_user("us-east-1_none").at("20260921T142821Z");
        refused(
            &early.signed(&house, &key).await,
            "InvalidSignatureException",
            "Signature not yet current",
        );

        // The same request, good a moment ago.
        let_in(&call.sent(&house, Some(&good)).await);
        house.advance(16 * MINUTE);
        refused(
            &call.sent(&house, Some(&good)).await,
            "InvalidSignatureException",
            "Signature expired",
        );
    }
}

#[tokio::test]
async fn a_key_does_what_it_was_made_for_on_the_pools_it_was_made_for() {
    for house in production("scope").await {
        let key =
            house.access_key(&["AdminGetUser", "cognito-idp:List*"], &["us-east-1_mine"]).await;
        let_in(&get_user("us-east-1_mine").signed(&house, &key).await);

        let denied = |operation: &str, resource: &str| {
            format!(
                "User: arn:aws:iam::123456789012:user/{} is not authorized to perform: cognito-idp:{operation} on resource: \
                 arn:aws:cognito-idp:us-east-1:123456789012:userpool/{resource}",
                key.id
            )
        };
        let answer = get_user("us-east-1_other").signed(&house, &key).await;
        refused(&answer, "AccessDeniedException", &denied("AdminGetUser", "us-east-1_other"));
        let delete = Call::new(
            "AdminDeleteUser",
            json!({ "UserPoolId": "us-east-1_mine", "Username": "ann" }),
        );
        refused(
            &delete.signed(&house, &key).await,
            "AccessDeniedException",
            &denied("AdminDeleteUser", "us-east-1_mine"),
        );

        // A member that the operation does not have is ignored later, so it must not open a door now.
        let arn = "arn:aws:cognito-idp:us-east-1:123456789012:userpool/us-east-1_other";
        let tags = Call::new(
            "ListTagsForResource",
            json!({ "ResourceArn": arn, "UserPoolId": "us-east-1_mine" }),
        );
        if tags.signed(&house, &key).await.json()["__type"] != "UnknownOperationException" {
            refused(
                &tags.signed(&house, &key).await,
                "AccessDeniedException",
                &denied("ListTagsForResource", "us-east-1_other"),
            );
        }
        // What belongs to no pool needs all pools.
        let list = Call::new("ListUserPools", json!({ "MaxResults": 1 }));
        if list.signed(&house, &key).await.json()["__type"] != "UnknownOperationException" {
            refused(
                &list.signed(&house, &key).await,
                "AccessDeniedException",
                &denied("ListUserPools", "*"),
            );
        }
    }
}

#[tokio::test]
async fn a_refusal_to_change_something_is_audited_and_a_deleted_key_is_unknown_at_once() {
    for house in production("audit").await {
        let key = house.access_key(&["AdminGetUser"], &["us-east-1_mine"]).await;
        let delete = Call::new(
            "AdminDeleteUser",
            json!({ "UserPoolId": "us-east-1_mine", "Username": "ann" }),
        );
        refused(&delete.signed(&house, &key).await, "AccessDeniedException", "AdminDeleteUser");
        let trail = cenote::store::jobs::audit(&house.app.db, 0, i64::MAX, (i64::MIN, ""), 10_000)
            .await
            .unwrap();
        let actor = format!("key:{}", key.id);
        let entry = trail.iter().find(|entry| entry.actor == actor).unwrap();
        assert_eq!(
            (entry.action.as_str(), entry.result.as_str()),
            ("AdminDeleteUser", "AccessDeniedException")
        );

        access::delete(&Cx::system(house.app.clone()), &key.id).await.unwrap();
        refused(
            &get_user("us-east-1_mine").signed(&house, &key).await,
            "UnrecognizedClientException",
            "security token",
        );
    }
}

#[tokio::test]
async fn unsigned_operations_need_no_key() {
    for house in production("unsigned").await {
        let call = Call::new("GetUser", json!({ "AccessToken": "x" }));
        refused(&call.sent(&house, None).await, "NotAuthorizedException", "");
    }
}

#[tokio::test]
async fn dev_accepts_any_credentials_and_none() {
    for house in houses().await {
        let nobody = Key { id: "any".to_owned(), secret: "thing".to_owned() };
        let mut call = get_user("us-east-1_none");
        for authorization in [None, Some(call.authorization(&nobody)), Some("rubbish".to_owned())] {
            call.headers = vec![("host", "localhost:9229".to_owned())];
            let mut request = Request::post("/")
                .header("host", "localhost:9229")
                .header("x-amz-target", "AWSCognitoIdentityProviderService.AdminGetUser");
            if let Some(authorization) = authorization {
                request = request.header("authorization", authorization);
            }
            let_in(&house.send(request.body(Body::from(call.body.clone())).unwrap()).await);
        }
    }
}
