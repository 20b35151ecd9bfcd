//! AttributeMapping: what an identity provider says becomes attributes of the user, at every sign-in.

use cenote::pool::provider::Kind;
use serde_json::{Value, json};

use crate::federated_users::{
    Place, client, count, hr, place, provider, refused, says, signs_in, trail,
};
use crate::hosted::claims;
use crate::house::{houses, merge};

fn attribute(name: &str, more: Value) -> Value {
    let mut attribute = json!({ "Name": name, "AttributeDataType": "String" });
    merge(&mut attribute, more);
    attribute
}

#[tokio::test]
async fn every_sign_in_writes_what_the_provider_says_and_leaves_what_it_does_not() {
    for house in houses().await {
        let mapping = [("given_name", "first"), ("family_name", "last"), ("nickname", "nick")];
        let place = place(&house, Kind::Oidc, json!({}), &mapping).await;
        let first = hr("1", &[("first", &["Ann"]), ("last", &["Lee"]), ("nick", &["Annie"])]);
        signs_in(&house, &place, &first).await;
        let user = json!({ "UserPoolId": place.pool, "Username": "Hr_1" });
        let modified =
            async || house.ok("AdminGetUser", user.clone()).await["UserLastModifiedDate"].clone();
        let before = modified().await;

        house.advance(1_000);
        signs_in(&house, &place, &first).await;
        assert_eq!(modified().await, before, "nothing changed, and nothing was written");
        signs_in(&house, &place, &hr("1", &[("first", &["Anna"]), ("nick", &[""])])).await;
        assert_ne!(modified().await, before);
        let value = async |name: &str| house.attribute(&place.pool, "Hr_1", name).await;
        assert_eq!(value("given_name").await.as_deref(), Some("Anna"));
        assert_eq!(
            value("family_name").await.as_deref(),
            Some("Lee"),
            "not said, so not taken away"
        );
        assert_eq!(value("nickname").await, None, "said to be empty");

        // What the user wrote lasts until the next sign-in.
        let tokens = signs_in(&house, &place, &hr("1", &[])).await;
        let own = json!({ "AccessToken": tokens["AccessToken"],
            "UserAttributes": [{ "Name": "given_name", "Value": "A." }, { "Name": "locale", "Value": "de" }] });
        house.ok("UpdateUserAttributes", own).await;
        signs_in(&house, &place, &first).await;
        assert_eq!(value("given_name").await.as_deref(), Some("Ann"));
        assert_eq!(value("locale").await.as_deref(), Some("de"));
    }
}

#[tokio::test]
async fn a_required_attribute_that_the_provider_does_not_give_is_named_and_nobody_is_made() {
    for house in houses().await {
        let schema = json!({ "Schema": [attribute("email", json!({ "Required": true, "Mutable": true })),
            attribute("family_name", json!({ "Required": true, "Mutable": true }))] });
        let mapping = [("email", "mail"), ("family_name", "last")];
        let place = place(&house, Kind::Oidc, schema, &mapping).await;
        provider(&house, &place.pool, "Corp", Kind::Saml, &mapping).await;
        let last: &[(&str, &[&str])] = &[("last", &["Lee"])];
        assert_eq!(refused(&house, &place, &hr("1", last)).await, "attributes required: [email]");
        assert_eq!(
            refused(&house, &place, &says("Corp", Kind::Saml, "1", last)).await,
            "Invalid SAML response received: Invalid user attributes: email: The attribute is required"
        );
        assert_eq!(
            refused(&house, &place, &hr("1", &[("mail", &[""]), ("last", &[])])).await,
            "attributes required: [email, family_name]"
        );
        assert_eq!(count(&house, &place.pool).await, 0);
        let entries = trail(&house, &place.pool).await;
        let denied = entries.iter().filter(|entry| entry.action == "SignIn").count();
        assert_eq!(denied, 3, "each refusal is in the audit trail");

        let whole = [("mail", &["a@example.com"] as &[&str]), ("last", &["Lee"])];
        let corp = |claims| says("Corp", Kind::Saml, "1", claims);
        signs_in(&house, &place, &corp(&whole)).await;
        signs_in(&house, &place, &corp(last)).await;
        assert_eq!(
            refused(&house, &place, &corp(&[("mail", &[""])])).await,
            "Invalid SAML response received: Invalid user attributes: email: Required attribute cannot be deleted"
        );
        let mail = house.attribute(&place.pool, "Corp_1", "email").await;
        assert_eq!(mail.as_deref(), Some("a@example.com"));
    }
}

#[tokio::test]
async fn a_mapped_attribute_that_may_not_change_lets_one_sign_in_and_no_second() {
    for house in houses().await {
        let schema = json!({ "Schema": [attribute("badge", json!({ "Mutable": false }))] });
        let place = place(&house, Kind::Oidc, schema, &[("custom:badge", "badge")]).await;
        signs_in(&house, &place, &hr("1", &[("badge", &["b-1"])])).await;
        for badge in ["b-1", "b-2"] {
            let text = refused(&house, &place, &hr("1", &[("badge", &[badge])])).await;
            assert!(text.starts_with("user.custom:badge: Attribute cannot be updated."), "{text}");
        }
        signs_in(&house, &place, &hr("1", &[])).await;
        let badge = house.attribute(&place.pool, "Hr_1", "custom:badge").await;
        assert_eq!(badge.as_deref(), Some("b-1"));
    }
}

#[tokio::test]
async fn the_app_client_must_be_allowed_to_write_what_is_mapped() {
    for house in houses().await {
        let place = place(
            &house,
            Kind::Oidc,
            json!({}),
            &[("email", "mail"), ("email_verified", "ok"), ("locale", "loc")],
        )
        .await;
        let mut narrow = client();
        merge(&mut narrow, json!({ "WriteAttributes": ["email"] }));
        let narrow =
            Place { pool: place.pool.clone(), client: house.client(&place.pool, narrow).await };
        let text =
            refused(&house, &narrow, &hr("1", &[("mail", &["a@example.com"]), ("loc", &["de"])]))
                .await;
        assert!(text.starts_with("A client attempted to write unauthorized attribute"), "{text}");
        assert!(text.contains("locale"), "{text}");
        // No client can be given `email_verified`: the mapping alone allows it.
        let verified = hr("1", &[("mail", &["a@example.com"]), ("ok", &["true"])]);
        let tokens = signs_in(&house, &narrow, &verified).await;
        assert_eq!(claims(tokens["IdToken"].as_str().unwrap())["email_verified"], true);
    }
}

#[tokio::test]
async fn values_that_the_schema_does_not_allow_are_refused() {
    for house in houses().await {
        let schema = json!({ "Schema": [attribute("team", json!({ "Mutable": true })),
            attribute("rank", json!({ "AttributeDataType": "Number", "Mutable": true,
                "NumberAttributeConstraints": { "MinValue": "1", "MaxValue": "9" } })),
            attribute("code", json!({ "Mutable": true, "StringAttributeConstraints": { "MinLength": "2", "MaxLength": "4" } })),
            attribute("token", json!({ "Mutable": true }))] });
        let mapping = [
            ("custom:team", "team"),
            ("custom:rank", "rank"),
            ("custom:code", "code"),
            ("email", "mail"),
            ("phone_number", "tel"),
            ("custom:token", "access_token"),
        ];
        let place = place(&house, Kind::Oidc, schema, &mapping).await;
        let (long, longest) = ("x".repeat(2_049), "x".repeat(2_048));
        for (claim, value, why) in [
            (
                "team",
                long.as_str(),
                "custom:team: Attribute value must be no longer than 2048 characters",
            ),
            ("team", "a\0b", "custom:team: Attribute value must not contain a NUL character"),
            ("rank", "ten", "custom:rank: Attribute value must be a number"),
            ("rank", "10", "custom:rank: Number must not be greater than its maximum"),
            ("code", "x", "custom:code: String must be at least 2 characters long"),
            ("code", "xxxxx", "custom:code: String must be no longer than 4 characters"),
            ("mail", "nobody", "email: Invalid email address format."),
            ("tel", "0123", "phone_number: Invalid phone number format."),
        ] {
            let text = refused(&house, &place, &hr("1", &[(claim, &[value])])).await;
            assert_eq!(text, format!("Invalid user attributes: {why}"));
        }
        assert_eq!(count(&house, &place.pool).await, 0);

        let token: (&str, &[&str]) = ("access_token", &["at-1"]);
        let ann =
            hr("1", &[("team", &[&longest]), ("rank", &["7"]), ("code", &["a\u{e9}"]), token]);
        signs_in(&house, &place, &ann).await;
        let value = async |name: &str| house.attribute(&place.pool, "Hr_1", name).await;
        assert_eq!(value("custom:team").await, Some(longest));
        assert_eq!(value("custom:token").await.as_deref(), Some("at-1"), "a token can be mapped");
        signs_in(&house, &place, &hr("1", &[("team", &["R & D", "a,b", "x.y-z*_", "\u{e9}"])]))
            .await;
        assert_eq!(value("custom:team").await.as_deref(), Some("[R+%26+D,a%2Cb,x.y-z*_,%C3%A9]"));
        let many: Vec<String> = (0..1_000).map(|n| format!("group-{n}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let text = refused(&house, &place, &hr("1", &[("team", &many)])).await;
        assert!(text.contains("no longer than 2048 characters"), "{text}");
    }
}

#[tokio::test]
async fn an_address_is_verified_only_by_a_provider_that_says_so_of_that_address() {
    for house in houses().await {
        let mapping = [("email", "mail"), ("email_verified", "ok"), ("phone_number", "tel")];
        let place = place(&house, Kind::Oidc, json!({}), &mapping).await;
        let flag = async || house.attribute(&place.pool, "Hr_1", "email_verified").await;
        let mail = |address: &'static str| -> (&str, &[&str]) {
            ("mail", if address == "a" { &["a@example.com"] } else { &["b@example.com"] })
        };
        signs_in(&house, &place, &hr("1", &[mail("a"), ("tel", &["+12065550001"])])).await;
        assert_eq!(flag().await.as_deref(), Some("false"));
        let phone = house.attribute(&place.pool, "Hr_1", "phone_number_verified").await;
        assert_eq!(phone.as_deref(), Some("false"));
        signs_in(&house, &place, &hr("1", &[mail("a"), ("ok", &["True"])])).await;
        assert_eq!(flag().await.as_deref(), Some("true"));
        signs_in(&house, &place, &hr("1", &[mail("a")])).await;
        assert_eq!(flag().await.as_deref(), Some("true"), "the address is what it was");
        signs_in(&house, &place, &hr("1", &[mail("b")])).await;
        assert_eq!(flag().await.as_deref(), Some("false"), "another address");
        signs_in(&house, &place, &hr("1", &[("ok", &["true"])])).await;
        assert_eq!(flag().await.as_deref(), Some("false"), "no address was named");
        signs_in(&house, &place, &hr("1", &[mail("b"), ("ok", &["no"])])).await;
        assert_eq!(flag().await.as_deref(), Some("false"));
    }
}
