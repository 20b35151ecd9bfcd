//! AdminLinkProviderForUser and AdminDisableProviderForUser: by which identities at providers a user signs in.

use cenote::pool::Identity;
use cenote::pool::provider::Kind;
use serde_json::{Value, json};

use crate::federated_users::{
    Place, arrives, count, identities, name_in, place, provider, refused, says, signs_in, sub_of,
};
use crate::hosted::claims;
use crate::house::{House, NOW, PASSWORD, houses, merge, refusal, together};

const SUBJECT: &str = "Cognito_Subject";
const MERGING: &str = "Merging is not currently supported, provide a SourceUser that has not been signed up in order to link";

fn named(provider: &str, attribute: &str, value: &str) -> Value {
    json!({ "ProviderName": provider, "ProviderAttributeName": attribute, "ProviderAttributeValue": value })
}

fn link(place: &Place, user: &str, source: Value) -> Value {
    json!({ "UserPoolId": place.pool, "DestinationUser": named("Cognito", "", user), "SourceUser": source })
}

fn disable(place: &Place, user: Value) -> Value {
    json!({ "UserPoolId": place.pool, "User": user })
}

const LINK: &str = "AdminLinkProviderForUser";
const DISABLE: &str = "AdminDisableProviderForUser";

fn hr(subject: &str, mail: &str) -> Identity {
    says("Hr", Kind::Oidc, subject, &[("mail", &[mail])])
}

/// A pool with the provider `Hr`, and its own user `ann`.
async fn given(house: &House) -> Place {
    let place =
        place(house, Kind::Oidc, json!({}), &[("email", "mail"), ("username", "sub")]).await;
    house.user(&place.pool, "ann").await;
    place
}

fn invalid(message: &str) -> (String, String) {
    refusal("InvalidParameter", message)
}

#[tokio::test]
async fn a_linked_identity_signs_in_as_the_user_whom_it_is_linked_to() {
    for house in houses().await {
        let place = given(&house).await;
        let ann = sub_of(&house, &place.pool, "ann").await;
        let answer = house.ok(LINK, link(&place, "ann", named("Hr", SUBJECT, "1"))).await;
        assert_eq!(answer, json!({}));
        let entry = |issuer: Option<&str>| {
            json!([{ "userId": "1", "providerName": "Hr", "providerType": "OIDC", "issuer": issuer,
                "primary": false, "dateCreated": NOW }])
        };
        assert_eq!(identities(&house, &place.pool, "ann").await, entry(None));

        let mut hr = hr("1", "ann@hr.example.com");
        hr.issuer = Some("https://hr.example.com".into());
        let tokens = signs_in(&house, &place, &hr).await;
        let id = claims(tokens["IdToken"].as_str().unwrap());
        assert_eq!((&id["sub"], &id["cognito:username"]), (&json!(ann), &json!("ann")));
        assert_eq!(id["identities"][0]["primary"], "false");
        assert_eq!(id["email"], "ann@hr.example.com", "what the provider says of them is theirs");
        assert_eq!(id["email_verified"], false);
        assert_eq!(
            id.get("cognito:groups"),
            None,
            "only who began there is in the provider's group"
        );
        assert_eq!(
            identities(&house, &place.pool, "ann").await,
            entry(Some("https://hr.example.com"))
        );
        assert_eq!(house.status(&place.pool, "ann").await, "CONFIRMED");
        assert_eq!(
            claims(house.signs_in(&place.client, "ann").await["IdToken"].as_str().unwrap())["sub"],
            ann.as_str()
        );
        assert_eq!(count(&house, &place.pool).await, 1);
    }
}

#[tokio::test]
async fn a_link_by_an_attribute_holds_until_the_first_sign_in_has_told_the_subject() {
    for house in houses().await {
        for folds in [false, true] {
            let pool = json!({ "UsernameConfiguration": { "CaseSensitive": !folds } });
            let place =
                place(&house, Kind::Saml, pool, &[("email", "mail"), ("custom:none", "x")]).await;
            house.user(&place.pool, "ann").await;
            let saml =
                |subject: &str, mail: &str| says("Hr", Kind::Saml, subject, &[("mail", &[mail])]);
            house.ok(LINK, link(&place, "ann", named("Hr", "email", "Ann@Hr.example.com"))).await;
            assert_eq!(
                identities(&house, &place.pool, "ann").await[0]["userId"],
                "Ann@Hr.example.com"
            );

            // An address is the same where the pool says so; nothing else is.
            let other = signs_in(&house, &place, &saml("0", "ann@hr.example.com")).await;
            let first = if folds { "0" } else { "1" };
            assert_eq!(name_in(&other) == "ann", folds);
            let tokens = signs_in(&house, &place, &saml(first, "Ann@Hr.example.com")).await;
            assert_eq!(name_in(&tokens), "ann");
            assert_eq!(identities(&house, &place.pool, "ann").await[0]["userId"], first);

            // From then on the subject counts, whatever its attributes become, and the attribute no longer.
            assert_eq!(
                name_in(&signs_in(&house, &place, &saml(first, "new@hr.example.com")).await),
                "ann"
            );
            let heir = signs_in(&house, &place, &saml("heir", "Ann@Hr.example.com")).await;
            assert_eq!(name_in(&heir), if folds { "hr_heir" } else { "Hr_heir" });
        }
    }
}

#[tokio::test]
async fn of_several_links_by_one_attribute_the_one_that_was_used_is_settled() {
    for house in houses().await {
        let place = given(&house).await;
        for mail in ["one@example.com", "two@example.com"] {
            house.ok(LINK, link(&place, "ann", named("Hr", "email", mail))).await;
        }
        // Linked, even somebody whose identifier can be no username signs in.
        signs_in(&house, &place, &hr("CN=Ann Lee", "two@example.com")).await;
        let shown = identities(&house, &place.pool, "ann").await;
        assert_eq!(shown[0]["userId"], "one@example.com");
        assert_eq!(shown[1]["userId"], "CN=Ann Lee");
        house.ok(DISABLE, disable(&place, named("Hr", "email", "one@example.com"))).await;
        house.ok(DISABLE, disable(&place, named("Hr", SUBJECT, "CN=Ann Lee"))).await;
        assert_eq!(identities(&house, &place.pool, "ann").await, json!([]));
    }
}

#[tokio::test]
async fn the_claim_of_a_mapping_names_the_attribute_as_well() {
    for house in houses().await {
        let place = given(&house).await;
        house.ok(LINK, link(&place, "ann", named("Hr", "mail", "a@example.com"))).await;
        let again =
            house.refused(LINK, link(&place, "ann", named("Hr", "email", "a@example.com"))).await;
        assert_eq!(again, invalid("SourceUser is already linked to DestinationUser"));
        assert_eq!(name_in(&signs_in(&house, &place, &hr("1", "a@example.com")).await), "ann");
        // `username` is made of the subject.
        house.ok(LINK, link(&place, "ann", named("Hr", "username", "2"))).await;
        assert_eq!(name_in(&signs_in(&house, &place, &hr("2", "b@example.com")).await), "ann");
    }
}

#[tokio::test]
async fn a_user_of_a_provider_can_be_linked_to_as_well() {
    for house in houses().await {
        let place = given(&house).await;
        provider(&house, &place.pool, "Corp", Kind::Saml, &[]).await;
        let tokens = signs_in(&house, &place, &hr("1", "one@example.com")).await;
        let input = json!({ "UserPoolId": place.pool, "DestinationUser": named("Hr", "ignored", "1"),
            "SourceUser": named("Corp", SUBJECT, "c-1") });
        house.ok(LINK, input.clone()).await;
        let corp = signs_in(&house, &place, &says("Corp", Kind::Saml, "c-1", &[])).await;
        assert_eq!(name_in(&corp), name_in(&tokens));
        let shown = identities(&house, &place.pool, "Hr_1").await;
        let brief: Vec<(&Value, &Value)> = shown
            .as_array()
            .unwrap()
            .iter()
            .map(|identity| (&identity["providerName"], &identity["primary"]))
            .collect();
        assert_eq!(brief, [(&json!("Hr"), &json!(true)), (&json!("Corp"), &json!(false))]);
        let mut nobody = input;
        merge(&mut nobody, json!({ "DestinationUser": named("Hr", "", "9") }));
        assert_eq!(
            house.refused(LINK, nobody).await,
            refusal("UserNotFound", "User does not exist.")
        );
    }
}

#[tokio::test]
async fn links_that_cannot_be_say_why() {
    for house in houses().await {
        let place = given(&house).await;
        provider(&house, &place.pool, "Google", Kind::Google, &[("email", "email")]).await;
        let refused =
            async |user: &str, source: Value| house.refused(LINK, link(&place, user, source)).await;
        let missing = refusal("UserNotFound", "User does not exist.");
        assert_eq!(refused("nobody", named("Hr", SUBJECT, "1")).await, missing);
        assert_eq!(
            refused("ann", named("None", SUBJECT, "1")).await,
            refusal("ResourceNotFound", "Identity provider None does not exist.")
        );
        let native = "Invalid SourceUser: Cognito users with a username/password may not be passed in as a SourceUser, only as a DestinationUser";
        assert_eq!(refused("ann", named("Cognito", SUBJECT, "ann")).await, invalid(native));
        house.user(&place.pool, "Hr_native").await;
        assert_eq!(refused("ann", named("Hr", SUBJECT, "native")).await, invalid(native));
        assert_eq!(
            refused("ann", named("Google", "email", "a@example.com")).await,
            invalid(
                "ProviderAttributeName must be Cognito_Subject for the social identity provider Google"
            )
        );
        let (kind, text) = refused("ann", named("Hr", "phone_number", "+1206")).await;
        assert_eq!(kind, "InvalidParameterException");
        assert!(text.ends_with("AttributeMapping of Hr maps; it maps email, username."), "{text}");
        assert_eq!(
            refused("ann", named("Hr", SUBJECT, "")).await,
            invalid("Missing required parameter SourceUser.ProviderAttributeValue")
        );
        let (_, text) = refused("ann", named("Hr", SUBJECT, &"x".repeat(2_049))).await;
        assert!(text.contains("no longer than 2048 characters"), "{text}");
        let pool = json!({ "UserPoolId": "us-east-1_Nowhere00", "DestinationUser": named("Cognito", "", "ann"),
            "SourceUser": named("Hr", SUBJECT, "1") });
        assert_eq!(house.refused(LINK, pool).await.0, "ResourceNotFoundException");
        assert_eq!(identities(&house, &place.pool, "ann").await, json!([]));
    }
}

#[tokio::test]
async fn who_has_signed_in_before_cannot_be_linked() {
    for house in houses().await {
        let place = given(&house).await;
        signs_in(&house, &place, &hr("1", "one@example.com")).await;
        for source in [named("Hr", SUBJECT, "1"), named("Hr", "email", "one@example.com")] {
            assert_eq!(house.refused(LINK, link(&place, "ann", source)).await, invalid(MERGING));
        }
        // Once that user is deleted there is nothing to merge.
        house.ok("AdminDeleteUser", json!({ "UserPoolId": place.pool, "Username": "Hr_1" })).await;
        house.ok(LINK, link(&place, "ann", named("Hr", SUBJECT, "1"))).await;
        assert_eq!(name_in(&signs_in(&house, &place, &hr("1", "one@example.com")).await), "ann");
    }
}

#[tokio::test]
async fn an_identity_belongs_to_one_user() {
    for house in houses().await {
        let place = given(&house).await;
        house.user(&place.pool, "bob").await;
        for source in [named("Hr", SUBJECT, "1"), named("Hr", "email", "x@example.com")] {
            house.ok(LINK, link(&place, "ann", source.clone())).await;
            assert_eq!(
                house.refused(LINK, link(&place, "ann", source.clone())).await,
                invalid("SourceUser is already linked to DestinationUser")
            );
            assert_eq!(
                house.refused(LINK, link(&place, "bob", source)).await,
                refusal("AliasExists", "SourceUser is already linked to another user")
            );
        }
    }
}

#[tokio::test]
async fn a_user_has_at_most_five_identities() {
    for house in houses().await {
        let place = given(&house).await;
        for n in 0..5 {
            house.ok(LINK, link(&place, "ann", named("Hr", SUBJECT, &n.to_string()))).await;
        }
        let sixth = link(&place, "ann", named("Hr", SUBJECT, "5"));
        assert_eq!(
            house.refused(LINK, sixth.clone()).await,
            refusal("LimitExceeded", "A user can have at most 5 linked identities.")
        );
        house.ok(DISABLE, disable(&place, named("Hr", SUBJECT, "0"))).await;
        house.ok(LINK, sixth).await;
    }
}

#[tokio::test]
async fn a_user_with_an_attribute_that_may_not_change_is_not_linked_to() {
    for house in houses().await {
        let schema = json!({ "Schema": [{ "Name": "badge", "AttributeDataType": "String", "Mutable": false }] });
        let place = place(&house, Kind::Oidc, schema, &[]).await;
        let create = json!({ "UserPoolId": place.pool, "Username": "ann", "MessageAction": "SUPPRESS",
            "UserAttributes": [{ "Name": "custom:badge", "Value": "7" }] });
        house.ok("AdminCreateUser", create).await;
        let (kind, text) =
            house.refused(LINK, link(&place, "ann", named("Hr", SUBJECT, "1"))).await;
        assert_eq!(kind, "InvalidParameterException");
        assert!(text.starts_with("user.custom:badge: Attribute cannot be updated."), "{text}");
    }
}

#[tokio::test]
async fn of_many_links_at_once_five_are_made_and_each_identity_goes_to_one_user() {
    for house in houses().await {
        let place = given(&house).await;
        house.user(&place.pool, "bob").await;
        let node = house.another_node(3_000).await;
        let racers = (0..8).map(|n| {
            let (house, input) = (
                if n % 2 == 0 { &house } else { &node },
                link(&place, "ann", named("Hr", SUBJECT, &n.to_string())),
            );
            async move {
                let mut answer = house.call(LINK, input.clone()).await;
                while answer.json()["__type"] == "TooManyRequestsException" {
                    answer = house.call(LINK, input.clone()).await;
                }
                answer.status == 200
            }
        });
        let made = together(racers).await.into_iter().filter(|made| *made).count();
        assert_eq!(made, 5);
        let rows = "SELECT COUNT(*) FROM identities WHERE pool_id = ?1";
        assert_eq!(house.rows(rows, &place.pool).await, 5);
        assert_eq!(identities(&house, &place.pool, "ann").await.as_array().unwrap().len(), 5);

        house.user(&place.pool, "cid").await;
        let racers = ["bob", "cid"]
            .map(|user| house.call(LINK, link(&place, user, named("Hr", SUBJECT, "one"))));
        let made = together(racers).await.into_iter().filter(|answer| answer.status == 200).count();
        assert_eq!(made, 1);
    }
}

#[tokio::test]
async fn a_link_that_races_with_the_first_sign_in_comes_before_it_or_not_at_all() {
    for house in houses().await {
        for round in 0..4 {
            let place = given(&house).await;
            let one = hr("1", "one@example.com");
            let attribute = round % 2 == 0;
            let source = if attribute {
                named("Hr", "email", "one@example.com")
            } else {
                named("Hr", SUBJECT, "1")
            };
            let racers: Vec<std::pin::Pin<Box<dyn Future<Output = Option<String>> + Send>>> = vec![
                Box::pin(async { Some(name_in(&signs_in(&house, &place, &one).await)) }),
                Box::pin(async {
                    house.call(LINK, link(&place, "ann", source.clone())).await;
                    None
                }),
            ];
            let first = together(racers).await.remove(0).unwrap();
            let again = name_in(&signs_in(&house, &place, &one).await);
            assert_eq!(first, again, "round {round}: whoever it was, it stays");
            assert!(first == "ann" || first == "Hr_1", "{first}");
            assert_eq!(count(&house, &place.pool).await, if first == "ann" { 1 } else { 2 });
        }
    }
}

#[tokio::test]
async fn two_subjects_with_the_linked_attribute_race_and_one_is_the_user() {
    for house in houses().await {
        let place = given(&house).await;
        house.ok(LINK, link(&place, "ann", named("Hr", "email", "x@example.com"))).await;
        let both = [hr("1", "x@example.com"), hr("2", "x@example.com")];
        let racers = both.iter().map(|identity| signs_in(&house, &place, identity));
        let names: Vec<String> = together(racers).await.iter().map(name_in).collect();
        assert_eq!(names.iter().filter(|name| *name == "ann").count(), 1, "{names:?}");
    }
}

#[tokio::test]
async fn disabling_a_link_signs_the_user_out_and_the_identity_becomes_a_user_of_its_own() {
    for house in houses().await {
        let place = given(&house).await;
        house.ok(LINK, link(&place, "ann", named("Hr", "email", "one@example.com"))).await;
        let one = hr("1", "one@example.com");
        let tokens = signs_in(&house, &place, &one).await;
        // Who has signed in is named by the subject.
        assert_eq!(
            house.refused(DISABLE, disable(&place, named("Hr", "email", "one@example.com"))).await,
            refusal("UserNotFound", "User does not exist.")
        );
        let answer = house.call(DISABLE, disable(&place, named("Hr", SUBJECT, "1"))).await;
        assert_eq!((answer.status.as_u16(), answer.json()), (200, json!({})));
        assert!(!answer.header("x-cenote-signout").is_empty());
        let get = json!({ "AccessToken": tokens["AccessToken"] });
        assert_eq!(house.refused("GetUser", get).await.1, "Access Token has been revoked");
        assert_eq!(house.attribute(&place.pool, "ann", "identities").await, None);
        assert_eq!(name_in(&signs_in(&house, &place, &one).await), "Hr_1");
        house.signs_in(&place.client, "ann").await;
    }
}

#[tokio::test]
async fn a_link_that_was_never_used_is_disabled_by_what_it_was_made_with() {
    for house in houses().await {
        let place = given(&house).await;
        house.ok(LINK, link(&place, "ann", named("Hr", "email", "one@example.com"))).await;
        house.ok(LINK, link(&place, "ann", named("Hr", SUBJECT, "2"))).await;
        house.ok(DISABLE, disable(&place, named("Hr", "email", "one@example.com"))).await;
        house.ok(DISABLE, disable(&place, named("Hr", SUBJECT, "2"))).await;
        for source in [named("Hr", "email", "one@example.com"), named("Hr", SUBJECT, "2")] {
            assert_eq!(
                house.refused(DISABLE, disable(&place, source)).await,
                refusal("UserNotFound", "User does not exist.")
            );
        }
        assert_eq!(name_in(&signs_in(&house, &place, &hr("1", "one@example.com")).await), "Hr_1");
    }
}

#[tokio::test]
async fn a_user_of_the_pool_can_be_left_with_the_providers_alone() {
    for house in houses().await {
        let place = given(&house).await;
        house.ok(LINK, link(&place, "ann", named("Hr", SUBJECT, "1"))).await;
        let tokens = house.signs_in(&place.client, "ann").await;
        assert_eq!(
            house.refused(DISABLE, disable(&place, named("Cognito", "email", "ann"))).await,
            invalid("ProviderAttributeName must be Cognito_Subject where ProviderName is Cognito")
        );
        assert_eq!(
            house.refused(DISABLE, disable(&place, named("Cognito", SUBJECT, "nobody"))).await,
            refusal("UserNotFound", "User does not exist.")
        );
        house.ok(DISABLE, disable(&place, named("Cognito", SUBJECT, "ann"))).await;
        let get = json!({ "AccessToken": tokens["AccessToken"] });
        assert_eq!(house.refused("GetUser", get).await.1, "Access Token has been revoked");
        let begin = json!({ "AuthFlow": "USER_PASSWORD_AUTH", "ClientId": place.client,
            "AuthParameters": { "USERNAME": "ann", "PASSWORD": PASSWORD } });
        assert_eq!(
            house.refused("InitiateAuth", begin).await,
            refusal("NotAuthorized", "Incorrect username or password.")
        );
        let forgot = json!({ "ClientId": place.client, "Username": "ann" });
        assert_eq!(
            house.refused("ForgotPassword", forgot).await.1,
            "User password cannot be reset in the current state."
        );
        assert_eq!(house.status(&place.pool, "ann").await, "EXTERNAL_PROVIDER");
        assert_eq!(name_in(&signs_in(&house, &place, &hr("1", "ann@example.com")).await), "ann");
        // And given the password back.
        let set = json!({ "UserPoolId": place.pool, "Username": "ann", "Password": PASSWORD, "Permanent": true });
        house.ok("AdminSetUserPassword", set).await;
        house.signs_in(&place.client, "ann").await;
    }
}

#[tokio::test]
async fn the_identity_that_a_user_began_with_is_not_taken_away() {
    for house in houses().await {
        let place = given(&house).await;
        signs_in(&house, &place, &hr("1", "one@example.com")).await;
        let (kind, text) = house.refused(DISABLE, disable(&place, named("Hr", SUBJECT, "1"))).await;
        assert_eq!(kind, "InvalidParameterException");
        assert!(text.starts_with("Account is not linked to anyone"), "{text}");
        signs_in(&house, &place, &hr("1", "one@example.com")).await;
    }
}

#[tokio::test]
async fn disabling_while_the_identity_signs_in_leaves_no_living_session() {
    for house in houses().await {
        let place = given(&house).await;
        house.ok(LINK, link(&place, "ann", named("Hr", SUBJECT, "1"))).await;
        let one = hr("1", "ann@example.com");
        let racers: Vec<std::pin::Pin<Box<dyn Future<Output = Option<Value>> + Send>>> = vec![
            Box::pin(async { Some(signs_in(&house, &place, &one).await) }),
            Box::pin(async {
                house.ok(DISABLE, disable(&place, named("Hr", SUBJECT, "1"))).await;
                None
            }),
            Box::pin(async { Some(signs_in(&house, &place, &one).await) }),
        ];
        for tokens in together(racers).await.into_iter().flatten() {
            let alive =
                house.call("GetUser", json!({ "AccessToken": tokens["AccessToken"] })).await.status
                    == 200;
            assert_eq!(alive, name_in(&tokens) == "Hr_1", "as `ann` it came before, and is over");
        }
    }
}

#[tokio::test]
async fn a_link_confirms_nobody_who_only_signed_up() {
    for house in houses().await {
        let place = given(&house).await;
        let sign_up = json!({ "ClientId": place.client, "Username": "eve", "Password": PASSWORD,
            "UserAttributes": [{ "Name": "email", "Value": "victim@example.com" }] });
        house.ok("SignUp", sign_up).await;
        house.ok(LINK, link(&place, "eve", named("Hr", SUBJECT, "1"))).await;
        let one = hr("1", "victim@example.com");
        assert_eq!(refused(&house, &place, &one).await, "User is not confirmed.");
        house
            .ok("AdminConfirmSignUp", json!({ "UserPoolId": place.pool, "Username": "eve" }))
            .await;
        assert_eq!(name_in(&signs_in(&house, &place, &one).await), "eve");
    }
}

#[tokio::test]
async fn a_user_who_never_chose_a_password_signs_in_by_the_link() {
    for house in houses().await {
        let place = given(&house).await;
        let create =
            json!({ "UserPoolId": place.pool, "Username": "new", "MessageAction": "SUPPRESS" });
        house.ok("AdminCreateUser", create).await;
        house.ok(LINK, link(&place, "new", named("Hr", SUBJECT, "1"))).await;
        let tokens = signs_in(&house, &place, &hr("1", "new@example.com")).await;
        assert_eq!(name_in(&tokens), "new");
        assert_eq!(house.status(&place.pool, "new").await, "FORCE_CHANGE_PASSWORD");
        // To set the password ends the session, though the status alone would not tell that there is one.
        let set = json!({ "UserPoolId": place.pool, "Username": "new", "Password": PASSWORD, "Permanent": true });
        house.ok("AdminSetUserPassword", set).await;
        let get = json!({ "AccessToken": tokens["AccessToken"] });
        assert_eq!(house.refused("GetUser", get).await.1, "Access Token has been revoked");
    }
}

#[tokio::test]
async fn an_address_of_somebody_else_does_not_come_to_a_linked_user() {
    for house in houses().await {
        let pool = json!({ "AliasAttributes": ["email"] });
        let mapping = [("email", "mail"), ("email_verified", "ok")];
        let place = place(&house, Kind::Oidc, pool, &mapping).await;
        house.user(&place.pool, "ann").await;
        house.user(&place.pool, "bob").await;
        house.ok(LINK, link(&place, "bob", named("Hr", SUBJECT, "1"))).await;
        let mine =
            says("Hr", Kind::Oidc, "1", &[("mail", &["ann@example.com"]), ("ok", &["true"])]);
        assert_eq!(
            refused(&house, &place, &mine).await,
            "An account with the email already exists."
        );
        let ann = sub_of(&house, &place.pool, "ann@example.com").await;
        assert_eq!(ann, sub_of(&house, &place.pool, "ann").await);
        let new = says("Hr", Kind::Oidc, "1", &[("mail", &["b@example.com"]), ("ok", &["true"])]);
        signs_in(&house, &place, &new).await;
        let bob = sub_of(&house, &place.pool, "b@example.com").await;
        assert_eq!(bob, sub_of(&house, &place.pool, "bob").await);
        assert!(arrives(&house, &place, &new, true).await.unwrap().is_some());
    }
}
