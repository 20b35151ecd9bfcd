//! AWS Signature Version 4: vectors made by botocore 1.44's `SigV4Auth`, and everything that must be refused.

use cenote::ambient::{MINUTE, Ms, SECOND};
use cenote::error::{Kind, Result};
use cenote::sigv4::{self, SignedRequest};
use proptest::prelude::*;

use crate::keys::mutate;

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
/// 2026-11-22T08:00:00Z, when the vectors were signed.
const SIGNED_AT: Ms = 1_795_334_400 * SECOND;
const TARGET: &str = "AWSCognitoIdentityProviderService.";

#[derive(Clone)]
struct Request {
    method: String,
    path: String,
    query: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    authorization: String,
}

impl Request {
    fn new(
        scope: &str,
        signed: &str,
        signature: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Request {
        Request {
            method: "POST".into(),
            path: "/".into(),
            query: String::new(),
            headers: headers
                .iter()
                .map(|(name, value)| (name.to_string(), value.to_string()))
                .collect(),
            body: body.into(),
            authorization: format!(
                "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/{scope}, SignedHeaders={signed}, Signature={signature}"
            ),
        }
    }

    fn checked(&self, secret: &str, now: Ms) -> Result<()> {
        let authorization = sigv4::parse(Some(&self.authorization))?;
        let Request { method, path, query, headers, body, .. } = self;
        sigv4::verify(
            &SignedRequest { method, path, query, headers, body },
            &authorization,
            sigv4::COGNITO,
            secret,
            now,
        )
    }

    fn header(&mut self, name: &str) -> &mut String {
        &mut self.headers.iter_mut().find(|(header, _)| header == name).unwrap().1
    }

    fn refused(&self, kind: Kind, message: &str) {
        let error = self.checked(SECRET, SIGNED_AT).unwrap_err();
        assert_eq!(error.kind, kind, "{error}");
        assert!(error.message.contains(message), "{error}");
    }
}

const JSON: (&str, &str) = ("content-type", "application/x-amz-json-1.1");
const DATE: (&str, &str) = ("x-amz-date", "20261122T080000Z");
const LOCAL: (&str, &str) = ("host", "localhost:9229");
const USUAL: &str = "content-type;host;x-amz-date;x-amz-target";

fn list_users() -> Request {
    Request::new(
        "20261122/us-east-1/cognito-idp/aws4_request",
        USUAL,
        "8af1e0509e42cb5281137229e6b1656e1d704487202b43110d6f806ce803f539",
        &[LOCAL, JSON, ("x-amz-target", &format!("{TARGET}ListUsers")), DATE],
        r#"{"UserPoolId":"us-east-1_Ab3dEf9Gh"}"#,
    )
}

fn with_date_header() -> Request {
    Request::new(
        "20261122/us-east-1/cognito-idp/aws4_request",
        "content-type;date;host;x-amz-target",
        "44042ab6f991187ab572e9f55f9cd218dee6fb1ec5a1867174c7f0a8f4ea00fd",
        &[
            LOCAL,
            JSON,
            ("x-amz-target", &format!("{TARGET}ListUserPools")),
            ("date", "Sun, 22 Nov 2026 08:00:00 -0000"),
        ],
        r#"{"MaxResults":10}"#,
    )
}

fn with_query() -> Request {
    let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let mut request = Request::new(
        "20261122/us-east-1/cognito-idp/aws4_request",
        "host;x-amz-content-sha256;x-amz-date",
        "c64154eeff8ed324645f8459cbc9852903d40ea3777860152e3c627f86f539e7",
        &[LOCAL, ("x-amz-content-sha256", empty), DATE],
        "",
    );
    request.method = "GET".into();
    request.path = "/a%20b/../c/".into();
    request.query = "b=2&a=x%20y&a=1&c".into();
    request
}

fn botocore() -> Vec<Request> {
    vec![
        list_users(),
        Request::new(
            "20261122/eu-central-1/cognito-idp/aws4_request",
            USUAL,
            "a27472ab513e7f5fee16f7ab948c05767e1d1fff988e7bc06684c5e611e56c37",
            &[
                ("host", "cognito-idp.eu-central-1.amazonaws.com"),
                JSON,
                ("x-amz-target", &format!("{TARGET}AdminCreateUser")),
                DATE,
            ],
            r#"{"Username":"Zoë ✓"}"#,
        ),
        Request::new(
            "20261122/local/cognito-idp/aws4_request",
            "content-type;host;x-amz-date;x-amz-security-token;x-amz-target",
            "9ceda1b153228251344107d876cc2eedb6ab058e0ab4acf296acc31dcd975dea",
            &[
                ("host", "pool.example:8443"),
                JSON,
                ("x-amz-target", &format!("{TARGET}DescribeUserPool")),
                DATE,
                ("x-amz-security-token", "a/session/token=="),
            ],
            "{}",
        ),
        Request::new(
            "20261122/us-east-1/cognito-idp/aws4_request",
            "content-type;host;x-amz-date;x-amz-target;x-note",
            "8df3b7e08a0c0d95b6e3d2089339a29835b1e672adcc72709f6cebbc225a3353",
            &[
                LOCAL,
                JSON,
                ("x-amz-target", &format!("{TARGET}ListUserPools")),
                ("x-note", "  a   b \t c  "),
                DATE,
            ],
            r#"{"MaxResults":10}"#,
        ),
        with_date_header(),
        with_query(),
    ]
}

#[test]
fn what_botocore_signs_is_accepted() {
    for request in botocore() {
        request.checked(SECRET, SIGNED_AT).unwrap();
    }
}

#[test]
fn any_change_of_what_was_signed_is_refused() {
    for request in botocore() {
        let changed = |change: &dyn Fn(&mut Request)| {
            let mut request = request.clone();
            change(&mut request);
            assert_eq!(
                request.checked(SECRET, SIGNED_AT).unwrap_err().kind,
                Kind::InvalidSignature
            );
        };
        changed(&|r| r.method = "PUT".into());
        changed(&|r| r.path = "/x".into());
        changed(&|r| r.query.push_str("&z=1"));
        changed(&|r| r.body.push(b' '));
        changed(&|r| r.header("host").push('1'));
        changed(&|r| r.authorization = r.authorization.replace("aws4_request,", "aws4_requesu,"));
        changed(&|r| r.authorization = r.authorization.replace("/cognito-idp/", "/cognito-idq/"));
        changed(&|r| {
            r.authorization =
                r.authorization.replace("-1/cog", "-2/cog").replace("/local/", "/loca/")
        });
        // A second value of a signed header, before or after the first one.
        changed(&|r| r.headers.push(("host".into(), "evil".into())));
        changed(&|r| r.headers.insert(0, ("host".into(), "evil".into())));
        // A signed header that is missing.
        changed(&|r| r.headers.retain(|(name, _)| name != "host"));
        assert!(request.checked("another secret", SIGNED_AT).is_err());
        assert!(request.checked("", SIGNED_AT).is_err());
    }
}

#[test]
fn a_wrong_signature_gets_awss_sentence() {
    let mut request = list_users();
    request.body = b"{}".to_vec();
    request.refused(
        Kind::InvalidSignature,
        "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key \
         and signing method. Consult the service documentation for details.",
    );
    for cut in ["", "8af1", "0"] {
        let mut request = list_users();
        let signature = request.authorization.find("8af1e050").unwrap();
        request.authorization.truncate(signature);
        request.authorization.push_str(cut);
        assert!(request.checked(SECRET, SIGNED_AT).is_err());
    }
}

#[test]
fn headers_that_were_not_signed_may_be_added_but_not_the_operation() {
    let mut request = list_users();
    request.headers.push(("x-amz-cf-id".into(), "from a proxy".into()));
    request.headers.push(("user-agent".into(), "any".into()));
    request.checked(SECRET, SIGNED_AT).unwrap();

    let mut request = with_query();
    request.headers.push(("x-amz-target".into(), format!("{TARGET}DeleteUserPool")));
    request.refused(Kind::InvalidSignature, "'X-Amz-Target' must be a 'SignedHeader'");
    let mut request = list_users();
    request.authorization = request.authorization.replace(";host;", ";");
    request.refused(Kind::InvalidSignature, "'Host' or ':authority' must be a 'SignedHeader'");
}

#[test]
fn the_announced_hash_must_be_that_of_the_body() {
    for announced in ["UNSIGNED-PAYLOAD", "", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "00"] {
        let mut request = with_query();
        *request.header("x-amz-content-sha256") = announced.into();
        request.refused(Kind::InvalidSignature, "'x-amz-content-sha256' header does not match");
        let mut request = list_users();
        request.headers.push(("x-amz-content-sha256".into(), announced.into()));
        request.refused(Kind::InvalidSignature, "'x-amz-content-sha256' header does not match");
    }
}

#[test]
fn fifteen_minutes_of_skew_are_allowed_either_way_and_no_second_more() {
    for request in [list_users(), with_date_header()] {
        request.checked(SECRET, SIGNED_AT + 15 * MINUTE).unwrap();
        request.checked(SECRET, SIGNED_AT - 15 * MINUTE).unwrap();
        let late = request.checked(SECRET, SIGNED_AT + 30 * MINUTE).unwrap_err();
        assert_eq!(late.kind, Kind::InvalidSignature);
        assert_eq!(
            late.message,
            "Signature expired: 20261122T080000Z is now earlier than 20261122T081500Z (20261122T083000Z - 15 min.)"
        );
        let early = request.checked(SECRET, SIGNED_AT - 30 * MINUTE).unwrap_err();
        assert_eq!(
            early.message,
            "Signature not yet current: 20261122T080000Z is still later than 20261122T074500Z (20261122T073000Z + 15 min.)"
        );
        assert!(request.checked(SECRET, SIGNED_AT + 15 * MINUTE + SECOND).is_err());
        assert!(request.checked(SECRET, SIGNED_AT - 15 * MINUTE - SECOND).is_err());
    }
}

#[test]
fn a_request_has_one_well_formed_date_of_the_scopes_day() {
    let mut request = list_users();
    request.headers.retain(|(name, _)| name != "x-amz-date");
    request.refused(
        Kind::IncompleteSignature,
        "requires existence of either a 'X-Amz-Date' or a 'Date' header",
    );
    let mut request = list_users();
    request.headers.push(("x-amz-date".into(), "20261122T080000Z".into()));
    request.refused(Kind::IncompleteSignature, "more than one date");
    let wrong = [
        "20261322T080000Z",
        "20260230T080000Z",
        "20261122T240000Z",
        "20261122T086000Z",
        "2026-11-22T08:00:00Z",
        "20261122T080000",
        "2026112éT08000Z",
        "99999999999999999999T080000Z",
        "+0261122T080000Z",
        "Sun, 22 Foo 2026 08:00:00 GMT",
        "Sun, 22 Nov 2026 08:00 GMT",
        "Sun, 22 Nov 2026 08:00:00 CET",
        "Z",
        "",
    ];
    for date in wrong {
        let mut request = list_users();
        *request.header("x-amz-date") = date.into();
        request.refused(Kind::IncompleteSignature, "ISO-8601 'basic format'");
    }
    let mut request = list_users();
    *request.header("x-amz-date") = "20261121T235959Z".into();
    request.refused(Kind::InvalidSignature, "'20261122' != '20261121', from '20261121T235959Z'.");
    // A leap day is a day.
    let mut request = list_users();
    *request.header("x-amz-date") = "20280229T080000Z".into();
    request.refused(Kind::InvalidSignature, "'20261122' != '20280229'");
}

#[test]
fn an_incomplete_authorization_header_names_what_is_missing() {
    let refusal = |header: Option<&str>| sigv4::parse(header).map(drop).unwrap_err();
    for header in [None, Some(""), Some("  ")] {
        let error = refusal(header);
        assert_eq!(
            (error.kind, &*error.message),
            (Kind::MissingAuthenticationToken, "Missing Authentication Token")
        );
    }
    let full = list_users().authorization;
    let parts: Vec<&str> = full.strip_prefix("AWS4-HMAC-SHA256 ").unwrap().split(", ").collect();
    for (missing, name) in ["Credential", "SignedHeaders", "Signature"].into_iter().enumerate() {
        let rest: Vec<&str> =
            parts.iter().enumerate().filter(|(at, _)| *at != missing).map(|(_, p)| *p).collect();
        let error = refusal(Some(&format!("AWS4-HMAC-SHA256 {}", rest.join(", "))));
        assert_eq!(error.kind, Kind::IncompleteSignature);
        assert!(
            error
                .message
                .starts_with(&format!("Authorization header requires '{name}' parameter. (Hashed")),
            "{error}"
        );
    }
    let scope = |credential: &str| {
        full.replace("AKIDEXAMPLE/20261122/us-east-1/cognito-idp/aws4_request", credential)
    };
    let (twice, spaced, bare) =
        (format!("{full}, {}", parts[2]), full.replace(USUAL, "host;;x"), format!("{full}, x"));
    let incomplete = [
        "AWS4-HMAC-SHA256".to_owned(),
        "AWS4-HMAC-SHA512 Credential=a".into(),
        "Bearer top-secret-token".into(),
        "Basic dXNlcjpwYXNzd29yZA==".into(),
        scope("AKIDEXAMPLE"),
        scope("AKIDEXAMPLE/20261122/us-east-1/cognito-idp/aws4_request/x"),
        scope("/20261122/us-east-1/cognito-idp/aws4_request"),
        scope("AKIDEXAMPLE/2026112/us-east-1/cognito-idp/aws4_request"),
        scope("AKIDEXAMPLE/2026112x/us-east-1/cognito-idp/aws4_request"),
        scope(""),
        twice,
        spaced,
        bare,
        full.replace(USUAL, "host;content-type"),
        full.replace(USUAL, "host;host"),
        full.replace(USUAL, "Host"),
        full.replace(USUAL, &(100..200).map(|n| n.to_string()).collect::<Vec<_>>().join(";")),
        format!("{full}{}", " ".repeat(10) + &"x".repeat(5000)),
    ];
    for header in incomplete {
        let error = refusal(Some(&header));
        assert_eq!(error.kind, Kind::IncompleteSignature, "{header:.80}: {error}");
        assert!(
            !error.message.contains("top-secret") && !error.message.contains("dXNlcj"),
            "{error}"
        );
    }
    assert_eq!(
        refusal(Some(&scope("A/20261122/r/cognito-idp/aws5_request"))).kind,
        Kind::InvalidSignature
    );
    let mut request = list_users();
    request.authorization = scope("AKIDEXAMPLE/20261122/us-east-1/iam/aws4_request");
    request.refused(
        Kind::InvalidSignature,
        "Credential should be scoped to correct service: 'cognito-idp'.",
    );
}

#[test]
fn the_header_may_be_written_with_or_without_spaces_after_commas() {
    let mut request = list_users();
    request.authorization = request.authorization.replace(", ", ",");
    request.checked(SECRET, SIGNED_AT).unwrap();
    request.authorization = request.authorization.replace(',', " ,  ");
    request.checked(SECRET, SIGNED_AT).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { rng_seed: proptest::test_runner::RngSeed::Fixed(1), cases: 1_000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn a_mutated_authorization_header_never_verifies(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3u8), 1..4)) {
        let original = list_users();
        let mut request = original.clone();
        request.authorization = mutate(&request.authorization, &changes);
        if request.checked(SECRET, SIGNED_AT).is_ok() {
            // The access key id chooses the secret and is not part of what is signed; spaces and unknown parameters mean nothing.
            let (was, is) = (sigv4::parse(Some(&original.authorization)).unwrap(), sigv4::parse(Some(&request.authorization)).unwrap());
            prop_assert_eq!(sigv4::Authorization { access_key_id: is.access_key_id, ..was }, is);
        }
    }

    #[test]
    fn a_mutated_request_never_verifies(which in 0..6usize, part in 0..5usize, changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3u8), 1..3)) {
        let original = &botocore()[which];
        let mut request = original.clone();
        let text = match part {
            0 => &mut request.method,
            1 => &mut request.path,
            2 => &mut request.query,
            3 => request.header("host"),
            _ => {
                let body = String::from_utf8(request.body.clone()).unwrap();
                request.body = mutate(&body, &changes).into_bytes();
                &mut String::new()
            }
        };
        *text = mutate(text, &changes);
        if request.checked(SECRET, SIGNED_AT).is_ok() {
            // Paths, queries and the spaces of a header have spellings that mean the same; methods and bodies have none.
            let mut original = original.clone();
            let host = |r: &mut Request| r.header("host").split_ascii_whitespace().collect::<Vec<_>>().join(" ");
            prop_assert_eq!(host(&mut request), host(&mut original));
            prop_assert_eq!((request.method, request.body), (original.method, original.body));
        }
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in any::<String>(), dates in any::<String>(), parts in "[CSD=,/; a-z]{0,60}") {
        prop_assert!(sigv4::parse(Some(&text)).is_err());
        let _ = sigv4::parse(Some(&format!("AWS4-HMAC-SHA256 {parts}")));
        let mut request = list_users();
        *request.header("x-amz-date") = dates;
        let _ = request.checked(SECRET, SIGNED_AT);
    }
}
