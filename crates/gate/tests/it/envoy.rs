//! The gRPC door, asked by another implementation of gRPC with the messages as Envoy publishes them.

use std::collections::HashMap;

use cenote_verifier::format::Kind;
use prost::{Message, Oneof};
use tonic::Code;
use tonic::transport::{Channel, Endpoint};

use crate::fake::{Fake, SUB, wall_ms};
use crate::{Process, ask, free_port, gate, until_status};

const CHECK: &str = "/envoy.service.auth.v3.Authorization/Check";

#[derive(Clone, PartialEq, Message)]
struct CheckRequest {
    #[prost(message, optional, tag = "1")]
    attributes: Option<AttributeContext>,
}

#[derive(Clone, PartialEq, Message)]
struct AttributeContext {
    #[prost(message, optional, tag = "1")]
    source: Option<Peer>,
    #[prost(message, optional, tag = "4")]
    request: Option<Request>,
    #[prost(map = "string, string", tag = "10")]
    context_extensions: HashMap<String, String>,
}

#[derive(Clone, PartialEq, Message)]
struct Peer {
    #[prost(string, tag = "2")]
    service: String,
    #[prost(map = "string, string", tag = "3")]
    labels: HashMap<String, String>,
    #[prost(string, tag = "4")]
    principal: String,
}

#[derive(Clone, PartialEq, Message)]
struct Request {
    #[prost(message, optional, tag = "2")]
    http: Option<HttpRequest>,
}

#[derive(Clone, PartialEq, Message)]
struct HttpRequest {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(string, tag = "2")]
    method: String,
    /// `map<string, string>`, of which a client can make one that is no text.
    #[prost(map = "string, bytes", tag = "3")]
    headers: HashMap<String, Vec<u8>>,
    #[prost(string, tag = "4")]
    path: String,
    #[prost(string, tag = "5")]
    host: String,
    #[prost(string, tag = "6")]
    scheme: String,
    #[prost(int64, tag = "9")]
    size: i64,
    #[prost(string, tag = "10")]
    protocol: String,
    #[prost(string, tag = "11")]
    body: String,
    #[prost(message, optional, tag = "13")]
    header_map: Option<HeaderMap>,
}

#[derive(Clone, PartialEq, Message)]
struct HeaderMap {
    #[prost(message, repeated, tag = "1")]
    headers: Vec<HeaderValue>,
}

#[derive(Clone, PartialEq, Message)]
struct HeaderValue {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(string, tag = "2")]
    value: String,
    #[prost(bytes = "vec", tag = "3")]
    raw_value: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct HeaderValueOption {
    #[prost(message, optional, tag = "1")]
    header: Option<HeaderValue>,
    #[prost(message, optional, tag = "2")]
    append: Option<bool>,
    #[prost(int32, tag = "3")]
    append_action: i32,
}

#[derive(Clone, PartialEq, Message)]
struct CheckResponse {
    #[prost(message, optional, tag = "1")]
    status: Option<Status>,
    #[prost(oneof = "HttpResponse", tags = "2, 3")]
    http_response: Option<HttpResponse>,
}

#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
}

#[derive(Clone, PartialEq, Oneof)]
enum HttpResponse {
    #[prost(message, tag = "2")]
    Denied(Denied),
    #[prost(message, tag = "3")]
    Ok(Passed),
}

#[derive(Clone, PartialEq, Message)]
struct Denied {
    #[prost(message, optional, tag = "1")]
    status: Option<HttpStatus>,
    #[prost(message, repeated, tag = "2")]
    headers: Vec<HeaderValueOption>,
    #[prost(string, tag = "3")]
    body: String,
}

#[derive(Clone, PartialEq, Message)]
struct HttpStatus {
    #[prost(int32, tag = "1")]
    code: i32,
}

#[derive(Clone, PartialEq, Message)]
struct Passed {
    #[prost(message, repeated, tag = "2")]
    headers: Vec<HeaderValueOption>,
    #[prost(string, repeated, tag = "5")]
    headers_to_remove: Vec<String>,
}

/// What Envoy says of a request, with these headers of its client and these words of its route.
fn question(headers: &[(&str, &[u8])], route: &[(&str, &str)]) -> CheckRequest {
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let pseudo: [(&str, &[u8]); 2] = [(":path", b"/orders"), (":method", b"GET")];
    let headers = pseudo.iter().chain(headers);
    let http = HttpRequest {
        id: "7210341527".into(),
        method: "GET".into(),
        headers: headers.map(|(name, value)| ((*name).to_owned(), value.to_vec())).collect(),
        path: "/orders?scope=none&policy=open".into(),
        host: "orders.example.com".into(),
        scheme: "https".into(),
        size: -1,
        protocol: "HTTP/2".into(),
        ..HttpRequest::default()
    };
    let source = Peer {
        service: "web".into(),
        labels: [own(&("policy", "open"))].into(),
        principal: "spiffe://example.com/web".into(),
    };
    let attributes = AttributeContext {
        source: Some(source),
        request: Some(Request { http: Some(http) }),
        context_extensions: route.iter().map(own).collect(),
    };
    CheckRequest { attributes: Some(attributes) }
}

async fn door(at: String) -> Channel {
    let endpoint = Endpoint::from_shared(at).unwrap();
    for _ in 0..500 {
        if let Ok(channel) = endpoint.connect().await {
            return channel;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("nobody listens");
}

async fn call(
    door: &Channel,
    path: &'static str,
    question: CheckRequest,
) -> Result<CheckResponse, tonic::Status> {
    let mut client = tonic::client::Grpc::new(door.clone());
    client.ready().await.unwrap();
    let codec = tonic_prost::ProstCodec::<CheckRequest, CheckResponse>::default();
    let path = path.parse().unwrap();
    Ok(client.unary(tonic::Request::new(question), path, codec).await?.into_inner())
}

async fn passed(door: &Channel, question: CheckRequest) -> Passed {
    let answer = call(door, CHECK, question).await.unwrap();
    assert_eq!(answer.status.unwrap().code, 0);
    match answer.http_response {
        Some(HttpResponse::Ok(passed)) => passed,
        other => panic!("{other:?}"),
    }
}

/// The code of its status, which must not be OK, and what the client is to be told.
async fn denied(door: &Channel, question: CheckRequest) -> (i32, i32, Denied) {
    let answer = call(door, CHECK, question).await.unwrap();
    match answer.http_response {
        Some(HttpResponse::Denied(denied)) => {
            (answer.status.unwrap().code, denied.status.as_ref().unwrap().code, denied)
        }
        other => panic!("{other:?}"),
    }
}

fn header<'a>(headers: &'a [HeaderValueOption], name: &str) -> &'a str {
    let mut found = headers.iter().filter(|own| own.header.as_ref().unwrap().key == name);
    let Some(one) = found.next() else { return "" };
    assert_eq!((found.next(), one.append, one.append_action), (None, Some(false), 2), "{name}");
    &one.header.as_ref().unwrap().value
}

struct House {
    fake: Fake,
    _gate: Process,
    port: u16,
    grpc: u16,
    door: Channel,
}

async fn house(more: &[&str]) -> House {
    let (fake, port, grpc) = (Fake::start().await, free_port(), free_port());
    let listen = format!("127.0.0.1:{grpc}");
    let gate = gate(&fake, port, &[&["--grpc-listen", &listen], more].concat());
    let door = door(format!("http://{listen}")).await;
    House { fake, _gate: gate, port, grpc, door }
}

#[tokio::test]
async fn it_tells_the_application_who_is_there_and_takes_away_what_a_client_says_of_itself() {
    let house = house(&[]).await;
    until_status(house.port, "/healthz", &[], 200).await;
    let bearer = format!("Bearer {}", house.fake.signs_in());
    let forged: &[(&str, &[u8])] = &[
        ("authorization", bearer.as_bytes()),
        ("x-cenote-sub", b"admin"),
        ("x_cenote_sub", b"admin"),
        ("x-cenote_role", b"admin"),
        ("x-latin", b"caf\xe9"),
    ];
    let told = passed(&house.door, question(forged, &[("scope", "openid orders/read")])).await;
    assert_eq!(header(&told.headers, "x-cenote-sub"), SUB);
    assert_eq!(header(&told.headers, "x-cenote-client-id"), crate::fake::CLIENT);
    assert_eq!(header(&told.headers, "x-cenote-scope"), "openid orders/read");
    assert_eq!(header(&told.headers, "x-cenote-username"), "ann");
    assert_eq!(header(&told.headers, "x-cenote-session").len(), 36);
    assert_eq!(told.headers.len(), 5);
    // Envoy removes after it has set: none of the five may be here.
    assert_eq!(told.headers_to_remove, ["x-cenote_role", "x_cenote_sub"]);
    let nameless = house.fake.token(&house.fake.session(wall_ms()), |claims| {
        claims.as_object_mut().unwrap().remove("username");
    });
    let bearer = format!("Bearer {nameless}");
    let told = passed(&house.door, question(&[("authorization", bearer.as_bytes())], &[])).await;
    assert_eq!(header(&told.headers, "x-cenote-username"), "");
    assert_eq!(told.headers_to_remove, ["x-cenote-username"]);
}

#[tokio::test]
async fn it_denies_with_the_same_words_as_over_http_and_counts_them_together() {
    let house = house(&[]).await;
    until_status(house.port, "/healthz", &[], 200).await;
    let bearer = format!("Bearer {}", house.fake.signs_in());
    let authorization: &[(&str, &[u8])] = &[("authorization", bearer.as_bytes())];
    passed(&house.door, question(authorization, &[])).await;
    let (code, status, nobody) = denied(&house.door, question(&[], &[])).await;
    assert_eq!((code, status), (16, 401));
    assert_eq!(header(&nobody.headers, "www-authenticate"), "Bearer");
    assert_eq!(header(&nobody.headers, "cache-control"), "no-store");
    assert_eq!(denied(&house.door, CheckRequest::default()).await.1, 401);
    // As Envoy joins two, and as nobody should write one.
    for wrong in [format!("{bearer},{bearer}"), "Bearer \u{0}".into(), "Basic eDp5".into()] {
        let question = question(&[("authorization", wrong.as_bytes())], &[]);
        assert_eq!(denied(&house.door, question).await.1, 401, "{wrong}");
    }
    let (code, status, scope) =
        denied(&house.door, question(authorization, &[("scope", "openid orders/pay")])).await;
    assert_eq!((code, status), (7, 403));
    assert!(header(&scope.headers, "www-authenticate").contains("insufficient_scope"));
    assert!(scope.body.contains("insufficient_scope"));
    house.fake.ends(Kind::User, SUB, wall_ms() + 1);
    let over_http = [("authorization", bearer.as_str())];
    until_status(house.port, "/check", &over_http, 401).await;
    let (code, status, revoked) = denied(&house.door, question(authorization, &[])).await;
    assert_eq!((code, status), (16, 401));
    assert!(header(&revoked.headers, "www-authenticate").ends_with("max_age=0"));
    let metrics = ask(house.port, "/metrics", &[]).await.unwrap().body;
    assert!(metrics.contains("cenote_gate_checks_total{answer=\"scope\"} 1\n"), "{metrics}");
}

#[tokio::test]
async fn while_it_cannot_tell_it_denies_with_503_unless_the_policy_of_the_route_says_otherwise() {
    let (fake, port, grpc) = (Fake::start().await, free_port(), free_port());
    fake.inside().feed_away = true;
    fake.inside().introspects = false;
    let listen = format!("127.0.0.1:{grpc}");
    let _gate = gate(&fake, port, &["--policy", "open", "--grpc-listen", &listen]);
    let door = door(format!("http://{listen}")).await;
    let bearer = format!("Bearer {}", fake.signs_in());
    let authorization: &[(&str, &[u8])] = &[("authorization", bearer.as_bytes())];
    until_status(port, "/check", &[("authorization", &bearer)], 204).await;
    passed(&door, question(authorization, &[])).await;
    for policy in ["closed", "introspect", "opne", ""] {
        let question = question(authorization, &[("policy", policy)]);
        let (code, status, answer) = denied(&door, question).await;
        assert_eq!((code, status), (14, 503), "{policy}");
        assert_eq!(header(&answer.headers, "retry-after"), "1");
    }
}

#[tokio::test]
async fn raw_headers_are_read_too_and_two_authorizations_are_none() {
    let house = house(&[]).await;
    until_status(house.port, "/healthz", &[], 200).await;
    let bearer = format!("Bearer {}", house.fake.signs_in()).into_bytes();
    let raw = |key: &str, raw_value: &[u8]| HeaderValue {
        key: key.into(),
        value: String::new(),
        raw_value: raw_value.to_vec(),
    };
    let with = |headers: Vec<HeaderValue>| {
        let mut question = question(&[], &[]);
        let attributes = question.attributes.as_mut().unwrap();
        let http = attributes.request.as_mut().unwrap().http.as_mut().unwrap();
        http.headers.clear();
        http.header_map = Some(HeaderMap { headers });
        question
    };
    let one = with(vec![raw("x-latin", b"\xff"), raw("authorization", &bearer)]);
    assert_eq!(header(&passed(&house.door, one).await.headers, "x-cenote-sub"), SUB);
    for second in [bearer.as_slice(), b"Basic eDp5", b"\x00"] {
        let two = with(vec![raw("authorization", &bearer), raw("authorization", second)]);
        assert_eq!(denied(&house.door, two).await.1, 401);
    }
}

/// An Envoy that lets requests through on errors must get none that a client can bring about.
#[tokio::test]
async fn a_request_that_is_too_large_is_denied_and_no_error() {
    let house = house(&["--policy", "open"]).await;
    let mut large = question(&[], &[]);
    let attributes = large.attributes.as_mut().unwrap();
    attributes.request.as_mut().unwrap().http.as_mut().unwrap().body = "x".repeat(3 << 20);
    let (code, status, answer) = denied(&house.door, large).await;
    assert_eq!((code, status), (8, 413));
    assert!(answer.body.contains("more headers or body"), "{}", answer.body);
}

#[tokio::test]
async fn what_is_no_question_gets_an_error_that_says_so() {
    let house = house(&[]).await;
    for path in ["/envoy.service.auth.v2.Authorization/Check", "/grpc.health.v1.Health/Check"] {
        let refused = call(&house.door, path, question(&[], &[])).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unimplemented);
        assert!(refused.message().contains("envoy.service.auth.v3"), "{refused}");
    }
    let client = reqwest::Client::builder().no_proxy().http2_prior_knowledge().build().unwrap();
    let post = async |kind: &str, body: &'static [u8]| {
        let request = client.post(format!("http://127.0.0.1:{}{CHECK}", house.grpc));
        let answer = request.header("content-type", kind).body(body).send().await.unwrap();
        let status =
            answer.headers().get("grpc-status").map(|own| own.to_str().unwrap().to_owned());
        (answer.status().as_u16(), status.unwrap_or_default())
    };
    let bad: [&[u8]; 5] =
        [b"", b"\0\0\0", b"\0\0\0\0\x09\x01", b"\0\0\0\0\x02\x0a\x7f", b"\x07\0\0\0\0"];
    for body in bad {
        assert_eq!(post("application/grpc", body).await, (200, "3".into()), "{body:?}");
    }
    assert_eq!(post("application/grpc+proto", b"\x01\0\0\0\0").await, (200, "12".into()));
    assert_eq!(post("application/json", b"{}").await.0, 415);
    assert_eq!(post("application/grpc-web", b"\0\0\0\0\0").await.0, 415);
}

#[tokio::test]
async fn it_answers_on_a_unix_socket() {
    let (fake, port) = (Fake::start().await, free_port());
    let path = std::env::temp_dir().join(format!("cenote-gate-grpc-{}.sock", std::process::id()));
    let _gate = gate(&fake, port, &["--grpc-socket", path.to_str().unwrap()]);
    until_status(port, "/healthz", &[], 200).await;
    let door = door(format!("unix://{}", path.display())).await;
    assert_eq!(denied(&door, question(&[], &[])).await.1, 401);
    let _ = std::fs::remove_file(&path);
}
