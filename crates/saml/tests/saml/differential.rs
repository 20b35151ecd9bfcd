//! xmlsec1 as the oracle: what it signs in any tree is accepted, and of each rewriting of a signed message both say the same.

use cenote_saml::Fault;
use proptest::prelude::*;

use crate::support::*;

/// Some element with what canonicalisation treats in its own ways: prefixes bound, bound again and unbound, attributes in any order and
/// namespace, white space, references, comments, CDATA.
fn tree() -> impl Strategy<Value = String> {
    let prefix = || prop::sample::select(vec!["", "a", "b", "saml", "xs"]);
    let uri = || prop::sample::select(vec!["urn:a", "urn:b", "http://example.com/"]);
    let text = || {
        prop::sample::select(vec![
            "x",
            " ",
            "\n\t",
            "&lt;&amp;&gt;",
            "&#13;&#10;",
            "<![CDATA[<&]]>",
            "<!-- c -->",
            "\u{1f600}",
            "&quot;'",
            "",
        ])
    };
    let value = || {
        prop::sample::select(vec![
            "",
            "v",
            " a  b ",
            "&lt;&amp;&quot;",
            "&#9;&#10;&#13;",
            "\u{e9}'>",
            "a\n\tb",
        ])
    };
    let declarations = move || prop::collection::btree_map(prefix(), uri(), 0..3);
    let attributes = move || {
        prop::collection::btree_map(
            prop::sample::select(vec!["x", "y", "xml:lang", "xml:space", "p:x", "q:x", "p:a"]),
            value(),
            0..3,
        )
    };
    let start = move |content: BoxedStrategy<String>| {
        (prefix(), declarations(), attributes(), content).prop_map(
            |(prefix, declarations, attributes, content)| {
                let name = if prefix.is_empty() { "e".to_owned() } else { format!("{prefix}:e") };
                let mut tag = format!("<{name}");
                for (prefix, uri) in declarations {
                    tag.push_str(&if prefix.is_empty() {
                        format!(" xmlns='{uri}'")
                    } else {
                        format!(" xmlns:{prefix}=\"{uri}\"")
                    });
                }
                for (attribute, value) in attributes {
                    tag.push_str(&format!(" {attribute}=\"{value}\""));
                }
                if content.is_empty() {
                    format!("{tag}/>")
                } else {
                    format!("{tag}>{content}</{name}>")
                }
            },
        )
    };
    let leaf = start(text().prop_map(str::to_owned).boxed());
    let tree = leaf.prop_recursive(4, 24, 4, move |inner| {
        let pieces =
            prop::collection::vec(prop_oneof![inner, text().prop_map(str::to_owned)], 0..4)
                .prop_map(|pieces| pieces.concat());
        start(pieces.boxed())
    });
    // All prefixes are bound out here; `p` and `q` to the same, so that attributes may meet.
    tree.prop_map(|tree| format!(r#"<o xmlns:a="urn:a" xmlns:b="urn:b" xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" xmlns:xs="urn:xs" xmlns:p="urn:p" xmlns:q="urn:q" xmlns="urn:o">{tree}<i xmlns=""/></o>"#))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, max_shrink_iters: 100, ..ProptestConfig::default() })]

    #[test]
    fn what_xmlsec1_signs_in_any_tree_is_accepted(tree in tree(), form in 0usize..4, whole in any::<bool>()) {
        let enveloped = r#"<ds:Transform Algorithm="http://www.w3.org/2000/09/xmldsig#enveloped-signature"/>"#;
        let (canonical, transform) = [
            (EXCLUSIVE, format!(r#"<ds:Transform Algorithm="{EXCLUSIVE}"/>"#)),
            (EXCLUSIVE, format!(r#"<ds:Transform Algorithm="{EXCLUSIVE}"><ec:InclusiveNamespaces xmlns:ec="{EXCLUSIVE}" PrefixList="a #default xs nobody"/></ds:Transform>"#)),
            (INCLUSIVE, format!(r#"<ds:Transform Algorithm="{INCLUSIVE}"/>"#)),
            ("http://www.w3.org/2006/12/xml-c14n11", r#"<ds:Transform Algorithm="http://www.w3.org/2006/12/xml-c14n11"/>"#.to_owned()),
        ][form].clone();
        let xml = changed(RESPONSE, "<saml:AttributeValue>staff", &format!("<saml:AttributeValue>{tree}staff"));
        let id = if whole { "_response1" } else { "_assertion1" };
        let xml = sign(&xml, id, &Signing { canonical, transforms: &format!("{enveloped}{transform}"), ..Signing::default() });
        prop_assert_eq!(arrives(&xml, &expect()).map(|assertion| assertion.name_id.value), Ok("alice".to_owned()), "{}", xml);
    }
}

#[test]
fn of_each_rewriting_we_and_xmlsec1_say_the_same() {
    let rewritings: &[(&str, &str, bool)] = &[
        // Other ways to write the same.
        ("\n", "\r\n", true),
        ("\n", "\r", true),
        ("<saml:Subject>", "<saml:Subject >", true),
        ("<saml:Subject>", "<saml:Subject\n\t>", true),
        ("</saml:Subject>", "</saml:Subject\r\n>", true),
        (
            " InResponseTo=\"_request1\"/>",
            " InResponseTo='_request1' ></saml:SubjectConfirmationData>",
            true,
        ),
        ("alice<", "&#97;li&#x63;e<", true),
        ("alice<", "<![CDATA[alice]]><", true),
        ("alice<", "ali<!-- admin -->ce<", true),
        ("admins &amp; friends", "admins &#38; friends", true),
        ("FriendlyName=\"E-mail\" NameFormat", "NameFormat", false),
        ("Name=\"mail\" FriendlyName=\"E-mail\"", "FriendlyName=\"E&#45;mail\" Name='mail'", true),
        ("<saml:Conditions ", "<saml:Conditions xmlns:unused=\"urn:unused\" ", true),
        (
            "<samlp:Status>",
            "<samlp:Status xmlns:saml=\"urn:oasis:names:tc:SAML:2.0:assertion\">",
            true,
        ),
        ("xsi:type=\"xs:string\"", "xsi:type=\"xs:string\" xmlns:xs=\"urn:other\"", true),
        // And what only looks the same.
        ("alice<", " alice<", false),
        ("alice<", "al\u{131}ce<", false),
        ("alice<", "&#9;alice<", false),
        ("admins &amp; friends", "admins &amp;amp; friends", false),
        ("Name=\"mail\"", "Name=\"mail\" name=\"mail\"", false),
        ("Name=\"mail\"", "Name=\" mail\"", false),
        ("Name=\"groups\"", "saml:Name=\"groups\"", false),
        ("<saml:Subject>", "<saml:Subject xml:lang=\"en\">", false),
        ("<saml:Subject>", "<saml:Subject xmlns:saml=\"urn:other\">", false),
        ("saml:AttributeStatement>", "saml:attributeStatement>", false),
    ];
    for (from, to, same) in rewritings {
        let xml = changed(&SIGNED_ASSERTION, from, to);
        assert_eq!(
            xmlsec1_verifies(&xml, "_assertion1", "idp"),
            *same,
            "xmlsec1: {from:?} -> {to:?}"
        );
        let ours = arrives(&xml, &expect()).map(|a| (a.name_id, a.attributes));
        let original = accepted(&SIGNED_ASSERTION);
        match ours {
            Ok(read) => assert!(
                *same && read == (original.name_id, original.attributes),
                "{from:?} -> {to:?}"
            ),
            Err(fault) => assert!(!*same, "{from:?} -> {to:?}: {fault}"),
        }
    }
}

#[test]
fn what_is_no_xml_1_0_with_namespaces_is_refused() {
    let mut accepted = Vec::new();
    for (from, to) in [
        ("<samlp:Response ", "<?xml version=\"2.0\"?><samlp:Response "),
        ("<saml:Subject>", "<saml:Subject xmlns:x=\"\">"),
        ("<saml:Subject>", "<saml:Subject xmlns:xmlns=\"urn:x\">"),
        ("<saml:Subject>", "<saml:Subject xmlns:xml=\"urn:x\">"),
        ("<saml:Subject>", "<saml:Subject xmlns:x=\"http://www.w3.org/XML/1998/namespace\">"),
        ("<saml:Subject>", "<saml:Subject xmlns=\"http://www.w3.org/2000/xmlns/\">"),
        ("<saml:Subject>", "<saml:Subject x=\"1\" x=\"2\">"),
        (
            "<saml:Subject>",
            "<saml:Subject xmlns:p=\"urn:x\" xmlns:q=\"urn:x\" p:x=\"1\" q:x=\"2\">",
        ),
        ("<saml:Subject>", "<saml:Subject unbound:x=\"1\">"),
        ("<saml:Subject>", "<unbound:Subject/><saml:Subject>"),
        ("<saml:Subject>", "<a:b:c/><saml:Subject>"),
        ("</saml:Subject>", "</saml:subject>"),
        ("</samlp:Response>", "</samlp:Response><samlp:Response/>"),
        ("</samlp:Response>", "</samlp:Response>text"),
        ("</samlp:Response>", ""),
        ("<samlp:Response ", "text<samlp:Response "),
        ("<saml:Subject>", "<!-- a -- b --><saml:Subject>"),
        ("<saml:Subject>", "]]><saml:Subject>"),
        ("alice<", "al\u{0}ice<"),
        ("alice<", "al\u{b}ice<"),
        ("alice<", "al\u{fffe}ice<"),
        ("Name=\"mail\"", "Name=\"ma<il\""),
        ("Name=\"mail\"", "Name=mail"),
        ("Name=\"mail\" F", "Name=\"mail\"F"),
    ] {
        let read = arrives(&changed(&SIGNED_ASSERTION, from, to), &expect());
        if !matches!(
            read,
            Err(Fault::NotXml(_) | Fault::Forbidden("a prefix that is bound to nothing"))
        ) {
            accepted.push((to, read.map(|assertion| assertion.name_id.value)));
        }
    }
    assert_eq!(accepted, []);
    let newer =
        changed(&SIGNED_ASSERTION, "<samlp:Response ", "<?xml version=\"1.1\"?><samlp:Response ");
    assert!(matches!(refused(&newer), Fault::Invalid { what: "the version of XML", .. }));
}
