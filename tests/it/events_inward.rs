//! Security events of providers (RFC 8417 by RFC 8935; CAEP, RISC): what they end, and whom they do not reach.

use serde_json::{Value, json};

use crate::browser::Browser;
use crate::house::{NOW, houses};
use crate::inward_says::{
    AUDITED, SESSION_REVOKED, arrives, claims, code_at, is_alive, is_known, pushes, redeems_while,
    saying, set, typed,
};
use crate::provider::{CLIENT_ID, Provider};
use crate::upstream_sign_out::given_openid;

const DISABLED: &str = "https://schemas.openid.net/secevent/risc/event-type/account-disabled";

#[tokio::test]
async fn each_event_about_an_account_ends_the_browser_and_the_tokens_and_says_why() {
    for house in houses().await {
        let op = Provider::start().await;
        let (pool, client) = given_openid(&house, &op, json!({})).await;
        for (uri, reason) in [
            (
                "https://schemas.openid.net/secevent/caep/event-type/session-revoked",
                "caep_session_revoked",
            ),
            (
                "https://schemas.openid.net/secevent/caep/event-type/credential-change",
                "caep_credential_change",
            ),
            (
                "https://schemas.openid.net/secevent/risc/event-type/account-disabled",
                "risc_account_disabled",
            ),
            (
                "https://schemas.openid.net/secevent/risc/event-type/account-purged",
                "risc_account_purged",
            ),
            (
                "https://schemas.openid.net/secevent/risc/event-type/account-credential-change-required",
                "risc_credential_change_required",
            ),
            (
                "https://schemas.openid.net/secevent/risc/event-type/credential-compromise",
                "risc_credential_compromise",
            ),
            (
                "https://schemas.openid.net/secevent/risc/event-type/sessions-revoked",
                "risc_sessions_revoked",
            ),
            (
                "https://schemas.openid.net/secevent/oauth/event-type/tokens-revoked",
                "oauth_tokens_revoked",
            ),
        ] {
            let (mut ann, tokens) = arrives(&house, &op, (&pool, &client, "Open"), "ann").await;
            let (mut bob, bobs) = arrives(&house, &op, (&pool, &client, "Open"), "bob").await;
            assert!(is_known(&mut ann).await && is_alive(&house, &tokens).await);
            let payload = json!({ "change_type": "update", "credential_type": "password" });
            let answer =
                pushes(&house, &pool, "Open", &saying(&op, json!({ uri: payload }), json!({})))
                    .await;
            assert_eq!((answer.status.as_u16(), answer.body.as_str()), (202, ""), "{uri}");
            assert!(answer.headers.contains_key("x-cenote-signout"), "{uri}");
            assert!(!is_known(&mut ann).await && !is_alive(&house, &tokens).await, "{uri}");
            assert!(is_known(&mut bob).await && is_alive(&house, &bobs).await, "{uri}");
            let records = cenote::store::records::all(&house.app.db, &pool).await.unwrap();
            let mut kinds: Vec<_> = records
                .iter()
                .filter(|record| record.reason == reason && record.initiator == "upstream")
                .map(|record| record.kind.as_str())
                .collect();
            kinds.sort_unstable();
            assert_eq!(kinds, ["S", "X"], "{uri}");
        }
    }
}

#[tokio::test]
async fn what_ends_nothing_is_accepted_and_fills_no_trail() {
    for house in houses().await {
        let op = Provider::start().await;
        let (pool, client) = given_openid(&house, &op, json!({})).await;
        let (mut ann, tokens) = arrives(&house, &op, (&pool, &client, "Open"), "ann").await;
        for uri in [
            "https://schemas.openid.net/secevent/ssf/event-type/verification",
            "https://schemas.openid.net/secevent/risc/event-type/verification",
            "https://schemas.openid.net/secevent/ssf/event-type/stream-updated",
            "https://schemas.openid.net/secevent/risc/event-type/account-enabled",
            "https://schemas.openid.net/secevent/caep/event-type/token-claims-change",
            "https://example.com/an-event-of-tomorrow",
        ] {
            let nobody = json!({ "sub_id": { "format": "opaque", "id": "stream" } });
            let token = saying(&op, json!({ uri: { "state": "abc" } }), nobody);
            let answer = pushes(&house, &pool, "Open", &token).await;
            assert_eq!(answer.status, 202, "{uri} {}", answer.body);
            assert!(!answer.headers.contains_key("x-cenote-signout"), "{uri}");
        }
        // One more passkey takes none away.
        let uri = "https://schemas.openid.net/secevent/caep/event-type/credential-change";
        let more = json!({ uri: { "change_type": "create", "credential_type": "fido2-roaming" } });
        assert_eq!(pushes(&house, &pool, "Open", &saying(&op, more, json!({}))).await.status, 202);
        assert!(is_known(&mut ann).await && is_alive(&house, &tokens).await);
        assert_eq!(house.rows(AUDITED, &pool).await, 0);
    }
}

#[tokio::test]
async fn each_way_to_name_somebody_finds_her_and_no_other() {
    for house in houses().await {
        let op = Provider::start().await;
        let (pool, client) = given_openid(&house, &op, json!({})).await;
        let update = json!({ "UserPoolId": pool, "ProviderName": "Open", "AttributeMapping": { "email": "email" } });
        house.ok("UpdateIdentityProvider", update).await;
        let ann = json!({ "format": "iss_sub", "iss": op.url, "sub": "ann" });
        let slash = format!("{}/", op.url);
        let sid = |id: &str| json!({ "format": "opaque", "id": id });
        let mail = |email: &str| json!({ "format": "email", "email": email });
        let complex = |user: &Value, session: &Value| json!({ "format": "complex", "user": user, "session": session });
        for (subject, ends) in [
            (ann.clone(), true),
            (json!({ "format": "iss_sub", "iss": slash, "sub": "ann" }), true),
            (sid("ann"), true),
            (sid("sid-ann"), true),
            (mail("ann@example.com"), true),
            (json!({ "format": "aliases", "identifiers": [mail("x@y.z"), ann] }), true),
            (complex(&ann, &sid("sid-ann")), true),
            (json!({ "format": "complex", "session": sid("sid-ann") }), true),
            (json!({ "format": "complex", "user": ann }), true),
            (
                json!({ "format": "complex", "user": mail("ann@example.com"), "session": sid("sid-ann") }),
                true,
            ),
            (json!({ "user": ann, "session": sid("sid-ann") }), true),
            (
                complex(
                    &json!({ "format": "aliases", "identifiers": [sid("x"), ann] }),
                    &sid("sid-ann"),
                ),
                true,
            ),
            (
                json!({ "format": "iss_sub", "iss": "https://other.example.com", "sub": "ann" }),
                false,
            ),
            (json!({ "format": "iss_sub", "iss": op.url, "sub": "carol" }), false),
            (sid("nobody"), false),
            (mail("ann@example.org"), false),
            (mail("ann@example.com.evil.example"), false),
            (json!({ "format": "phone_number", "phone_number": "+12065550100" }), false),
            (json!({ "format": "complex", "tenant": sid("ann") }), false),
            (complex(&ann, &sid("another")), false),
            (complex(&ann, &json!({ "format": "jwt_id", "iss": op.url, "jti": "sid-ann" })), false),
            (complex(&sid("bob"), &sid("sid-ann")), false),
        ] {
            let (mut browser, tokens) = arrives(&house, &op, (&pool, &client, "Open"), "ann").await;
            let (mut bob, _) = arrives(&house, &op, (&pool, &client, "Open"), "bob").await;
            let mut claims = claims(&op, json!({}));
            claims["sub_id"] = subject.clone();
            let token = typed(&op, json!("secevent+jwt"), &claims);
            let answer = pushes(&house, &pool, "Open", &token).await;
            assert_eq!(answer.status, 202, "{subject} {}", answer.body);
            assert_eq!(is_known(&mut browser).await, !ends, "{subject} {}", house.url);
            assert_eq!(is_alive(&house, &tokens).await, !ends, "{subject}");
            assert!(is_known(&mut bob).await, "{subject}");
        }
    }
}

#[tokio::test]
async fn google_and_the_drafts_name_the_subject_in_the_event() {
    for house in houses().await {
        let op = Provider::start().await;
        let (pool, client) = given_openid(&house, &op, json!({})).await;
        let (mut ann, _) = arrives(&house, &op, (&pool, &client, "Open"), "ann").await;
        let subject =
            json!({ "subject_type": "iss-sub", "iss": format!("{}/", op.url), "sub": "ann" });
        let events = json!({ DISABLED: { "subject": subject, "reason": "hijacking" } });
        let several = json!({ "sub_id": null, "aud": ["another app", CLIENT_ID], "iss": format!("{}/", op.url) });
        let answer = pushes(&house, &pool, "Open", &saying(&op, events, several)).await;
        assert_eq!(answer.status, 202, "{}", answer.body);
        assert!(!is_known(&mut ann).await);
    }
}

#[tokio::test]
async fn an_address_that_nobody_has_proved_names_nobody() {
    for house in houses().await {
        let op = Provider::start().await;
        // Nothing is mapped: the address is the user's own word.
        let (pool, client) = given_openid(&house, &op, json!({})).await;
        let (mut ann, _) = arrives(&house, &op, (&pool, &client, "Open"), "ann").await;
        let event = |op: &Provider| {
            set(
                op,
                json!({ "sub_id": { "format": "email", "email": "ann@own.example", "iss": null, "sub": null } }),
            )
        };
        for (verified, ends) in [("false", false), ("true", true)] {
            let input = json!({ "UserPoolId": pool, "Username": "Open_ann", "UserAttributes": [
                { "Name": "email", "Value": "ann@own.example" }, { "Name": "email_verified", "Value": verified } ] });
            house.ok("AdminUpdateUserAttributes", input).await;
            assert_eq!(pushes(&house, &pool, "Open", &event(&op)).await.status, 202);
            assert_eq!(is_known(&mut ann).await, !ends, "{verified}");
        }
    }
}

#[tokio::test]
async fn a_sign_in_with_the_pools_own_password_is_not_the_providers_to_end() {
    for house in houses().await {
        let op = Provider::start().await;
        let (pool, client) = given_openid(&house, &op, json!({})).await;
        house.user(&pool, "ann").await;
        let link = json!({ "UserPoolId": pool,
            "DestinationUser": { "ProviderName": "Cognito", "ProviderAttributeValue": "ann" },
            "SourceUser": { "ProviderName": "Open", "ProviderAttributeName": "Cognito_Subject", "ProviderAttributeValue": "ann" } });
        house.ok("AdminLinkProviderForUser", link).await;
        let (mut browser, tokens) = arrives(&house, &op, (&pool, &client, "Open"), "ann").await;
        let password = house.client(&pool, json!({ "ExplicitAuthFlows": ["ALLOW_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"] })).await;
        let own = house.signs_in(&password, "ann").await;
        let own = json!({ "access_token": own["AccessToken"] });
        assert!(is_alive(&house, &own).await);
        assert_eq!(pushes(&house, &pool, "Open", &set(&op, json!({}))).await.status, 202);
        assert!(!is_known(&mut browser).await && !is_alive(&house, &tokens).await);
        assert!(is_alive(&house, &own).await);
    }
}

#[tokio::test]
async fn no_code_that_is_redeemed_at_that_moment_outlives_an_event() {
    for house in houses().await {
        let op = Provider::start().await;
        let (pool, client) = given_openid(&house, &op, json!({})).await;
        for _ in 0..6 {
            let mut browser = Browser::new(&house, &pool, &client);
            let code = code_at(&op, &mut browser, "Open", "ann").await;
            let token = set(&op, json!({}));
            let event = async {
                assert_eq!(pushes(&house, &pool, "Open", &token).await.status, 202);
            };
            redeems_while(&house, (&pool, &client), &code, event).await;
        }
    }
}

#[tokio::test]
async fn one_token_may_tell_several_events_and_some_that_nobody_knows() {
    for house in houses().await {
        let op = Provider::start().await;
        let (pool, client) = given_openid(&house, &op, json!({})).await;
        let (mut ann, tokens) = arrives(&house, &op, (&pool, &client, "Open"), "ann").await;
        let (mut bob, _) = arrives(&house, &op, (&pool, &client, "Open"), "bob").await;
        let by_sub =
            |sub: &str| json!({ "subject": { "format": "iss_sub", "iss": op.url, "sub": sub } });
        let events = json!({ SESSION_REVOKED: by_sub("ann"), DISABLED: by_sub("bob"), "https://example.com/new": {} });
        let token = saying(&op, events, json!({ "sub_id": null }));
        let answer = pushes(&house, &pool, "Open", &token).await;
        assert_eq!(answer.status, 202, "{}", answer.body);
        assert!(!is_known(&mut ann).await && !is_alive(&house, &tokens).await);
        assert!(!is_known(&mut bob).await, "{}", house.url);
    }
}

#[tokio::test]
async fn an_event_that_comes_late_spares_who_signed_in_there_since() {
    for house in houses().await {
        let op = Provider::start().await;
        let (pool, client) = given_openid(&house, &op, json!({})).await;
        let (mut ann, tokens) = arrives(&house, &op, (&pool, &client, "Open"), "ann").await;
        // Said an hour before the provider signed her ID token: in time it would have ended what she had then.
        let late = |seconds: i64| json!({ "iat": NOW / 1_000 - seconds });
        for more in [late(3_600), late(29 * 86_400), late(301)] {
            let answer = pushes(&house, &pool, "Open", &set(&op, more)).await;
            assert_eq!(answer.status, 202, "{}", answer.body);
            assert!(!answer.headers.contains_key("x-cenote-signout"));
        }
        assert!(is_known(&mut ann).await && is_alive(&house, &tokens).await, "{}", house.url);
        // When it happened is not when it was said.
        let happened = json!({ SESSION_REVOKED: { "event_timestamp": NOW / 1_000 - 3_600 } });
        let token = saying(&op, happened, json!({}));
        assert_eq!(pushes(&house, &pool, "Open", &token).await.status, 202);
        assert!(!is_known(&mut ann).await);
        // Not much later: the provider's servers may not all have known. And a session that is named is meant.
        let user = json!({ "format": "iss_sub", "iss": op.url, "sub": "ann" });
        let session = json!({ "format": "opaque", "id": "sid-ann" });
        let mut named = claims(&op, late(3_600));
        named["sub_id"] = json!({ "format": "complex", "user": user, "session": session });
        for token in [set(&op, late(299)), typed(&op, json!("secevent+jwt"), &named)] {
            let (mut ann, tokens) = arrives(&house, &op, (&pool, &client, "Open"), "ann").await;
            assert_eq!(pushes(&house, &pool, "Open", &token).await.status, 202);
            assert!(!is_known(&mut ann).await && !is_alive(&house, &tokens).await);
        }
        // The clock of another transmitter says nothing of when the ID token was signed.
        let details = json!({ "ssf_issuer": op.url });
        let (pool, client) = given_openid(&house, &op, details).await;
        let (mut ann, _) = arrives(&house, &op, (&pool, &client, "Open"), "ann").await;
        assert_eq!(pushes(&house, &pool, "Open", &set(&op, late(3_600))).await.status, 202);
        assert!(!is_known(&mut ann).await);
    }
}
