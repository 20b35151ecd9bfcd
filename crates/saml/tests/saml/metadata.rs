//! Providers' metadata, good and bad.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cenote_saml::{Binding, Fault, IdpMetadata};

use crate::support::*;

fn metadata() -> String {
    format!(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<!-- made by hand -->
<EntityDescriptor xmlns="urn:oasis:names:tc:SAML:2.0:metadata" xmlns:ds="http://www.w3.org/2000/09/xmldsig#" ID="_md1" entityID="https://idp.example/metadata" validUntil="2026-12-01T00:00:00Z" cacheDuration="PT6H">
  <IDPSSODescriptor WantAuthnRequestsSigned="1" cacheDuration="PT1H" protocolSupportEnumeration="urn:oasis:names:tc:SAML:1.1:protocol urn:oasis:names:tc:SAML:2.0:protocol">
    <KeyDescriptor use="signing"><ds:KeyInfo><ds:KeyName>a</ds:KeyName><ds:X509Data><ds:X509Certificate>
{}
    </ds:X509Certificate></ds:X509Data></ds:KeyInfo></KeyDescriptor>
    <KeyDescriptor><ds:KeyInfo><ds:X509Data><ds:X509Certificate>{}</ds:X509Certificate></ds:X509Data></ds:KeyInfo></KeyDescriptor>
    <KeyDescriptor use="encryption"><ds:KeyInfo><ds:X509Data><ds:X509Certificate>{}</ds:X509Certificate></ds:X509Data></ds:KeyInfo></KeyDescriptor>
    <SingleLogoutService Binding="urn:oasis:names:tc:SAML:2.0:bindings:SOAP" Location="https://idp.example/soap"/>
    <SingleLogoutService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect" Location="https://idp.example/slo" ResponseLocation="https://idp.example/slo/answer"/>
    <NameIDFormat>urn:oasis:names:tc:SAML:2.0:nameid-format:persistent</NameIDFormat>
    <SingleSignOnService Binding="urn:mace:shibboleth:1.0:profiles:AuthnRequest" Location="https://idp.example/shib"/>
    <SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST" Location="https://idp.example/sso/post"/>
    <SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect" Location=" https://idp.example/sso?a=b&amp;c=d "/>
    <SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:SOAP" Location="https://idp.example/ecp"/>
  </IDPSSODescriptor>
</EntityDescriptor>"#,
        vector("keys/idp.crt").trim(),
        STANDARD.encode(certificate("idp-next")),
        STANDARD.encode(certificate("attacker")),
    )
}

fn parse(xml: &str) -> Result<IdpMetadata, Fault> {
    IdpMetadata::parse(xml, NOW, None, None)
}

#[test]
fn everything_we_need_is_read() {
    let idp = parse(&metadata()).unwrap();
    assert_eq!(idp.entity_id, IDP);
    assert_eq!(idp.valid_until_ms, Some(1_796_083_200_000));
    assert_eq!(idp.cache_ms, Some(3_600_000));
    assert!(idp.wants_signed_requests);
    assert_eq!(idp.signing, [certificate("idp"), certificate("idp-next")]);
    assert_eq!(idp.name_id_formats, ["urn:oasis:names:tc:SAML:2.0:nameid-format:persistent"]);
    assert_eq!(
        idp.sso.iter().map(|e| (e.binding, e.location.as_str())).collect::<Vec<_>>(),
        [
            (Binding::Post, "https://idp.example/sso/post"),
            (Binding::Redirect, "https://idp.example/sso?a=b&c=d")
        ]
    );
    assert_eq!(idp.slo.len(), 2);
    assert_eq!(
        idp.slo(Binding::Redirect).unwrap().for_responses(),
        "https://idp.example/slo/answer"
    );
    assert_eq!(idp.slo(Binding::Soap).unwrap().for_responses(), "https://idp.example/soap");
    assert_eq!(idp.slo(Binding::Post), None);
    assert_eq!(idp.sso(Binding::Redirect).unwrap().location, "https://idp.example/sso?a=b&c=d");
}

/// Two providers and a service provider, in a group of a group.
fn aggregate() -> String {
    let entity = metadata();
    let entity = &entity[entity.find("<EntityDescriptor").unwrap()..];
    let other = entity
        .replace("https://idp.example/metadata", "https://other.example")
        .replace("_md1", "_md2");
    let sp = r#"<EntityDescriptor entityID="https://sp.example"><SPSSODescriptor protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol"/></EntityDescriptor>"#;
    format!(
        r#"<EntitiesDescriptor xmlns="urn:oasis:names:tc:SAML:2.0:metadata" ID="_all" cacheDuration="PT5M">{sp}<EntitiesDescriptor>{entity}</EntitiesDescriptor>{other}</EntitiesDescriptor>"#
    )
}

#[test]
fn of_an_aggregate_the_named_provider_is_read() {
    let named = |id| IdpMetadata::parse(&aggregate(), NOW, None, Some(id));
    assert_eq!(
        named(IDP).map(|idp| (idp.entity_id, idp.cache_ms)),
        Ok((IDP.to_owned(), Some(300_000)))
    );
    assert_eq!(
        named("https://other.example").map(|idp| idp.entity_id),
        Ok("https://other.example".to_owned())
    );
    assert!(matches!(named("https://third.example"), Err(Fault::NoSuchEntity { .. })));
    assert!(matches!(named("https://sp.example"), Err(Fault::NoSuchEntity { .. })));
    let fault = parse(&aggregate()).expect_err("several");
    assert!(fault.to_string().contains("https://other.example"), "{fault}");
    assert!(matches!(
        IdpMetadata::parse(&metadata(), NOW, None, Some("https://other.example")),
        Err(Fault::NoSuchEntity { .. })
    ));
    let one = aggregate().replace(
        r#"entityID="https://other.example""#,
        r#"entityID="https://idp.example/metadata""#,
    );
    assert_eq!(
        IdpMetadata::parse(&one, NOW, None, Some(IDP)),
        Err(Fault::Metadata("describes the wanted identity provider twice"))
    );
    // One provider in a group needs no name.
    let second = aggregate();
    let second = &second[second.rfind("<EntityDescriptor").unwrap()
        ..second.rfind("</EntitiesDescriptor>").unwrap()];
    assert_eq!(
        parse(&aggregate().replace(second, "")).map(|idp| idp.entity_id),
        Ok(IDP.to_owned())
    );
}

#[test]
fn signed_metadata_is_signed_by_whom_it_must_be_over_all_of_it() {
    let trusted = [certificate("idp-next")];
    let by = |xml: &str| IdpMetadata::parse(xml, NOW, Some(&trusted), Some(IDP));
    let signing = Signing { key: "idp-next", ..Signing::default() };
    let signed = sign_root(&metadata(), "_md1", &signing);
    assert_eq!(by(&signed).map(|idp| idp.entity_id), Ok(IDP.to_owned()));
    let all = sign_root(&aggregate(), "_all", &signing);
    assert_eq!(by(&all).map(|idp| idp.entity_id), Ok(IDP.to_owned()));

    assert_eq!(by(&metadata()), Err(Fault::Metadata("is not signed, and this provider's must be")));
    assert!(matches!(
        by(&sign_root(&metadata(), "_md1", &Signing { key: "attacker", ..Signing::default() })),
        Err(Fault::SignatureMismatch { .. })
    ));
    assert!(matches!(
        by(&changed(&signed, "https://idp.example/soap", "https://attacker.example/soap")),
        Err(Fault::DigestMismatch { .. })
    ));
    // One entity is signed, the whole is not: whoever put the group together could have exchanged the others.
    let entity = &signed[signed.find("<EntityDescriptor").unwrap()..];
    let group = format!(
        r#"<EntitiesDescriptor xmlns="urn:oasis:names:tc:SAML:2.0:metadata">{entity}</EntitiesDescriptor>"#
    );
    assert_eq!(by(&group), Err(Fault::Metadata("is not signed, and this provider's must be")));
    // Unasked, a signature is not looked at: a URL over TLS or an administrator vouches for the document.
    assert!(
        parse(&sign_root(&metadata(), "_md1", &Signing { key: "attacker", ..Signing::default() }))
            .is_ok()
    );
}

/// Metadata is signed by its first child.
fn sign_root(xml: &str, id: &str, signing: &Signing<'_>) -> String {
    let at = xml.find(&format!("ID=\"{id}\"")).unwrap();
    let at = at + xml[at..].find('>').unwrap() + 1;
    fill(&format!("{}{}{}", &xml[..at], template(id, signing), &xml[at..]), id, signing.key)
}

#[test]
fn bad_metadata_says_what_is_bad() {
    type Right = fn(&Fault) -> bool;
    let cases: &[(&str, &str, Right)] = &[
        (r#"validUntil="2026-12-01T00:00:00Z""#, r#"validUntil="2026-11-22T12:00:00Z""#, |f| {
            matches!(f, Fault::Late { .. })
        }),
        (r#"validUntil="2026-12-01T00:00:00Z""#, r#"validUntil="soon""#, |f| {
            matches!(f, Fault::Invalid { what: "validUntil", .. })
        }),
        ("IDPSSODescriptor", "SPSSODescriptor", |f| matches!(f, Fault::Metadata(_))),
        ("urn:oasis:names:tc:SAML:2.0:protocol", "urn:oasis:names:tc:SAML:1.0:protocol", |f| {
            matches!(f, Fault::Metadata(_))
        }),
        ("urn:oasis:names:tc:SAML:2.0:metadata", "urn:oasis:names:tc:SAML:1.0:metadata", |f| {
            matches!(f, Fault::Unexpected { .. })
        }),
        (r#" entityID="https://idp.example/metadata""#, "", |f| {
            matches!(f, Fault::Missing { what: "entityID", .. })
        }),
        (r#"entityID="https://idp.example/metadata""#, r#"entityID="""#, |f| {
            matches!(f, Fault::Invalid { what: "entityID", .. })
        }),
        ("SingleSignOnService", "OtherService", |f| {
            matches!(f, Fault::Metadata("has no SingleSignOnService by HTTP-Redirect or HTTP-POST"))
        }),
        ("https://idp.example/sso/post", "javascript:alert(1)", |f| {
            matches!(f, Fault::Invalid { what: "the Location of a service", .. })
        }),
        ("https://idp.example/sso/post", "https://idp.example/&quot;&gt;", |f| {
            matches!(f, Fault::Invalid { .. })
        }),
        ("https://idp.example/sso/post", "/sso", |f| matches!(f, Fault::Invalid { .. })),
        ("https://idp.example/slo/answer", "data:text/html,x", |f| {
            matches!(f, Fault::Invalid { .. })
        }),
        ("<IDPSSODescriptor ", "<!DOCTYPE x><IDPSSODescriptor ", |f| {
            matches!(f, Fault::Forbidden("a DOCTYPE"))
        }),
        ("ds:X509Certificate", "ds:X509Other", |f| {
            matches!(
                f,
                Fault::Metadata("has no signing certificate (KeyDescriptor with X509Certificate)")
            )
        }),
        ("<IDPSSODescriptor ", "<IDPSSODescriptor", |f| matches!(f, Fault::NotXml(_))),
    ];
    for (from, to, right) in cases {
        let fault = parse(&changed(&metadata(), from, to)).expect_err(to);
        assert!(right(&fault), "{from} -> {to}: {fault}");
    }
    assert!(matches!(parse(""), Err(Fault::NotXml(_) | Fault::Encoding(_))));
    assert!(matches!(parse("<html>Not found</html>"), Err(Fault::Unexpected { .. })));
    assert!(matches!(parse(&" ".repeat(2_000_001)), Err(Fault::TooLarge { limit: 2_000_000, .. })));
    let bad = metadata()
        .replace(vector("keys/idp.crt").trim(), "????")
        .replace(&STANDARD.encode(certificate("idp-next")), &STANDARD.encode(certificate("weak")));
    assert!(matches!(parse(&bad), Err(Fault::Encoding(_))));
    let weak = metadata()
        .replace(vector("keys/idp.crt").trim(), &STANDARD.encode(certificate("weak")))
        .replace(
            &STANDARD.encode(certificate("idp-next")),
            &STANDARD.encode(certificate("ed25519")),
        );
    assert!(matches!(parse(&weak), Err(Fault::Key(_))));
    // A certificate that cannot be used does not spoil the others.
    let one =
        metadata().replace(vector("keys/idp.crt").trim(), &STANDARD.encode(certificate("weak")));
    assert_eq!(parse(&one).map(|idp| idp.signing), Ok(vec![certificate("idp-next")]));
}
