//! Canonical forms against the examples that AWS publishes; what is accepted and refused is in `tests/it/sigv4.rs`.

use super::*;

fn get(path: &'static str, query: &'static str) -> SignedRequest<'static> {
    SignedRequest { method: "GET", path, query, headers: &[], body: b"" }
}

/// The example of AWS' documentation ("Create a signed AWS API request"), for another service than ours.
#[test]
fn the_documented_example_has_the_documented_signature() {
    let headers = [
        ("host", "iam.amazonaws.com"),
        ("content-type", "application/x-www-form-urlencoded; charset=utf-8"),
        ("x-amz-date", "20150830T123600Z"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()));
    let request =
        SignedRequest { headers: &headers, ..get("/", "Action=ListUsers&Version=2010-05-08") };
    let expected = "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7";
    let header = format!(
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, \
         SignedHeaders=content-type;host;x-amz-date, Signature={expected}"
    );
    let authorization = parse(Some(&header)).unwrap();
    let payload = sha256_hex(b"");
    let canonical = canonical_request(&request, &authorization.signed_headers, &payload).unwrap();
    assert_eq!(
        sha256_hex(canonical.as_bytes()),
        "f536975d06c0309214f805bb90ccff089219ecd68b2577efef23edd43b7e1a59"
    );
    let secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
    assert_eq!(
        signature(&request, &authorization, "20150830T123600Z", &payload, secret).unwrap(),
        expected
    );
}

/// The cases of AWS' signing test suite that concern path and query (get-utf8, get-space, get-slashes, get-relative,
/// get-vanilla-query-order, get-vanilla-query-unreserved and their like).
#[test]
fn paths_and_queries_are_canonical() {
    let paths = [
        ("/", "/"),
        ("", "/"),
        ("//", "/"),
        ("/\u{1234}", "/%E1%88%B4"),
        ("/example space/", "/example%20space/"),
        ("/a%20b", "/a%2520b"),
        ("//example//", "/example/"),
        ("/./example", "/example"),
        ("/example/..", "/"),
        ("/example1/example2/../..", "/"),
        ("/../../x", "/x"),
        ("/-._~0123456789AZaz", "/-._~0123456789AZaz"),
    ];
    for (path, canonical) in paths {
        let text = canonical_request(&get(path, ""), &[], "").unwrap();
        assert_eq!(text.lines().nth(1), Some(canonical), "{path}");
    }
    let queries = [
        ("", ""),
        ("Param2=value2&Param1=value1", "Param1=value1&Param2=value2"),
        ("Param1=value2&Param1=value1", "Param1=value1&Param1=value2"),
        ("Param1=value2&Param1=Value1", "Param1=Value1&Param1=value2"),
        ("-._~=-._~", "-._~=-._~"),
        ("\u{1234}=bar", "%E1%88%B4=bar"),
        ("a=b%20c&&d", "a=b%20c&d="),
        ("a=b=c", "a=b%3Dc"),
    ];
    for (query, canonical) in queries {
        assert_eq!(canonical_query(query), canonical, "{query}");
    }
}
