//! Webhooks and token revocation endpoints through the extension API, and what was to be delivered to them.

use cenote::cx::Cx;
use cenote::delivery::outbox::expand;
use cenote::pool::target::{StreamSecret, WebhookSecret};
use cenote::store::{Batch, deliveries, targets as store};
use cenote::targets;
use serde_json::{Value, json};

use crate::extension::refused;
use crate::house::{House, houses_alone, houses_apart as houses, together};

impl House {
    async fn makes(&self, path: &str, body: Value) -> Value {
        let answer = self.posts(path, body).await;
        assert_eq!(answer.status, 201, "{path}: {}", answer.body);
        let made = answer.json();
        let id = made["Id"].as_str().unwrap();
        assert_eq!(answer.header("location"), format!("/_cenote/v1{path}/{id}"));
        made
    }

    async fn webhook_secret(&self, pool: &str, id: &str) -> WebhookSecret {
        let target = store::find(&self.app.db, pool, id).await.unwrap().unwrap();
        targets::open(&Cx::system(self.app.clone()), &target).unwrap().unwrap()
    }
}

#[tokio::test]
async fn a_webhook_is_made_changed_and_deleted_and_its_secret_is_shown_once() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        let path = format!("/pools/{pool}/webhooks");
        let made = house.makes(&path, json!({ "Url": "https://hooks.example.com/a" })).await;
        let id = made["Id"].as_str().unwrap();
        let secret = made["Secret"].as_str().unwrap();
        assert!(targets::webhook_key(secret).is_some());
        assert_eq!(house.webhook_secret(&pool, id).await.current, secret);
        let own = format!("{path}/{id}");
        let shown = house.shows(&own).await.json();
        assert_eq!(
            shown,
            json!({ "Id": id, "Url": "https://hooks.example.com/a", "Description": "", "Enabled": true,
                "CreationDate": "2026-09-21T14:13:20.000Z", "LastModifiedDate": "2026-09-21T14:13:20.000Z" })
        );
        // Its text is in no row.
        let sql = "SELECT COUNT(*) FROM targets WHERE pool_id = ?1 AND doc LIKE '%whsec%'";
        assert_eq!(house.rows(sql, &pool).await, 0);

        let change = json!({ "Enabled": false, "Description": "audit" });
        let answer = house.patches(&own, change).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let now = house.shows(&own).await.json();
        assert_eq!((&now["Enabled"], &now["Description"]), (&json!(false), &json!("audit")));
        assert_eq!(now, answer.json());

        // A new secret, made up: the old one signs for a day beside it.
        let answer = house.patches(&own, json!({ "Secret": null })).await;
        let next = answer.json()["Secret"].as_str().unwrap().to_owned();
        let kept = house.webhook_secret(&pool, id).await;
        assert_eq!((kept.current.as_str(), next != secret), (next.as_str(), true));
        assert_eq!(kept.previous.unwrap().0, secret);
        // One that the caller brings is not said back.
        let own_secret = format!("whsec_{}", "QUJD".repeat(8));
        let answer = house.patches(&own, json!({ "Secret": own_secret })).await;
        assert_eq!((answer.status.as_u16(), answer.json().get("Secret")), (200, None));
        assert_eq!(house.webhook_secret(&pool, id).await.current, own_secret);

        assert_eq!(house.ask("DELETE", &own, &[("if-match", "\"old\"")], "").await.status, 412);
        let answer = house.ask("DELETE", &own, &[], "").await;
        assert_eq!((answer.status.as_u16(), answer.body.as_str()), (204, ""));
        refused(&house.ask("GET", &own, &[], "").await, 404, "not_found", &[id]);
        refused(&house.ask("DELETE", &own, &[], "").await, 404, "not_found", &[]);
        let sql = "SELECT COUNT(*) FROM audit WHERE pool_id = ?1 AND result = 'ok' AND action IN ('CreateWebhook', 'PatchWebhook', 'DeleteWebhook')";
        assert_eq!(house.rows(sql, &pool).await, 5);
    }
}

#[tokio::test]
async fn a_token_revocation_endpoint_has_its_own_settings() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        let path = format!("/pools/{pool}/token-revocations");
        let made = house
            .makes(&path, json!({ "Url": "https://app.example.com/revoke", "Subject": "email" }))
            .await;
        assert!(made.get("Secret").is_none());
        let own = format!("{path}/{}", made["Id"].as_str().unwrap());
        let answer = house.patches(&own, json!({ "Audience": "app", "Subject": null })).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let now = house.shows(&own).await.json();
        assert_eq!((&now["Audience"], &now["Subject"]), (&json!("app"), &json!("iss_sub")));
        // It is in its own collection alone.
        let wrong = own.replace("token-revocations", "webhooks");
        refused(&house.ask("GET", &wrong, &[], "").await, 404, "not_found", &[]);
        assert_eq!(
            house.shows(&format!("/pools/{pool}/webhooks")).await.json()["Webhooks"],
            json!([])
        );
        for (change, parts) in [
            (
                json!({ "Secret": "x" }),
                &["Secret", "Known members: Url, Description, Enabled, Subject, Audience"][..],
            ),
            (json!({ "Subject": "phone" }), &["Subject: ", "iss_sub"]),
            (json!({ "Audience": "" }), &["Audience"]),
            (json!({ "Enabled": "no" }), &["Enabled: ", "boolean"]),
            (json!({ "Url": null }), &["Url"]),
        ] {
            refused(&house.patches(&own, change).await, 400, "invalid_request", parts);
        }
    }
}

#[tokio::test]
async fn what_cannot_be_a_webhook_is_refused_and_leaves_none() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        let path = format!("/pools/{pool}/webhooks");
        let good = "https://hooks.example.com/";
        for (body, parts) in [
            (json!({}), &["Url"][..]),
            (json!({ "Url": 7 }), &["Url: ", "string"]),
            (json!({ "Url": "hooks.example.com" }), &["Url"]),
            (json!({ "Url": "https://user:pw@hooks.example.com/" }), &["Url", "password"]),
            (json!({ "Url": "https://10.1.2.3/hook" }), &["Url"]),
            (json!({ "Url": "http://169.254.169.254/" }), &["Url"]),
            (json!({ "Url": good, "Secret": "hunter2" }), &["Secret", "whsec_"]),
            (json!({ "Url": good, "Secret": 5 }), &["Secret"]),
            (json!({ "Url": good, "Description": "a\u{0}b" }), &["Description"]),
            (json!({ "Url": good, "Description": "x".repeat(257) }), &["Description", "256"]),
            (
                json!({ "Url": good, "Events": [] }),
                &["Events", "Url, Description, Enabled, Secret"],
            ),
        ] {
            refused(&house.posts(&path, body).await, 400, "invalid_request", parts);
        }
        assert_eq!(house.shows(&path).await.json()["Webhooks"], json!([]));
    }
}

#[tokio::test]
async fn a_list_goes_on_page_by_page_and_a_pool_has_room_for_a_hundred() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        let path = format!("/pools/{pool}/webhooks");
        for n in 0..99 {
            house.makes(&path, json!({ "Url": format!("https://hooks.example.com/{n}") })).await;
        }
        // Of those who race for the last place one has it.
        let racers =
            (0..4).map(|_| house.posts(&path, json!({ "Url": "https://hooks.example.com/last" })));
        let answers = together(racers).await;
        assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
        for answer in answers.iter().filter(|answer| answer.status != 201) {
            refused(answer, 409, "limit_exceeded", &["100"]);
        }
        let (mut seen, mut token) = (Vec::new(), None::<String>);
        loop {
            let query = token.map_or(String::new(), |token| format!("&next_token={token}"));
            let page = house.shows(&format!("{path}?limit=40{query}")).await.json();
            let found = page["Webhooks"].as_array().unwrap();
            assert!(found.len() <= 40);
            seen.extend(found.iter().map(|one| one["Id"].as_str().unwrap().to_owned()));
            token = page["NextToken"].as_str().map(str::to_owned);
            if token.is_none() {
                break;
            }
        }
        let all = seen.len();
        seen.sort();
        seen.dedup();
        assert_eq!((all, seen.len()), (100, 100));
        for (query, parts) in [
            ("limit=0", &["limit", "60"][..]),
            ("limit=61", &["limit"]),
            ("limit=x", &["limit"]),
            ("next_token=invented", &["pagination token"]),
            ("next_token=a&next_token=b", &["repeated"]),
            ("page=2", &["page", "limit, next_token"]),
        ] {
            let answer = house.ask("GET", &format!("{path}?{query}"), &[], "").await;
            refused(&answer, 400, "invalid_request", parts);
        }
    }
}

#[tokio::test]
async fn deliveries_are_found_by_what_they_are_and_a_dead_one_is_told_again() {
    for house in houses_alone("extension_deliveries").await {
        let pool = house.pool(json!({})).await;
        let client = house.client(&pool, json!({})).await;
        let hooks = format!("/pools/{pool}/webhooks");
        let one = house.makes(&hooks, json!({ "Url": "https://one.example.com/" })).await;
        house.makes(&hooks, json!({ "Url": "https://two.example.com/" })).await;
        house.user(&pool, "ann").await;
        let tokens = house.signs_in(&client, "ann").await;
        let out =
            house.call("GlobalSignOut", json!({ "AccessToken": tokens["AccessToken"] })).await;
        let signout = out.header("x-cenote-signout").to_owned();
        expand::round(&Cx::system(house.app.clone())).await.unwrap();

        let path = format!("/pools/{pool}/deliveries");
        let all = house.shows(&path).await.json();
        let found = all["Deliveries"].as_array().unwrap();
        assert_eq!((found.len(), &all["NextToken"]), (2, &Value::Null));
        for delivery in found {
            assert_eq!(
                (&delivery["SignOutId"], &delivery["Kind"]),
                (&json!(signout), &json!("webhook"))
            );
            assert_eq!((&delivery["State"], &delivery["Attempts"]), (&json!("pending"), &json!(0)));
        }
        let target = one["Id"].as_str().unwrap();
        for (query, count) in [
            ("state=pending", 2),
            ("state=dead", 0),
            ("kind=webhook", 2),
            ("kind=backchannel", 0),
            (&format!("target={target}"), 1),
            (&format!("kind=webhook&target={target}&state=pending"), 1),
            (&format!("signout_id={signout}"), 2),
            ("signout_id=0", 0),
        ] {
            let found = house.shows(&format!("{path}?{query}")).await.json();
            assert_eq!(found["Deliveries"].as_array().unwrap().len(), count, "{query}");
        }
        let page = house.shows(&format!("{path}?limit=1")).await.json();
        let token = page["NextToken"].as_str().unwrap();
        let rest = house.shows(&format!("{path}?limit=1&next_token={token}")).await.json();
        assert_eq!(rest["NextToken"], Value::Null);
        assert_ne!(rest["Deliveries"][0]["Id"], page["Deliveries"][0]["Id"]);
        for query in ["state=sad", "kind=fax", "target=", "signout_id=%00"] {
            let answer = house.ask("GET", &format!("{path}?{query}"), &[], "").await;
            let name = query.split('=').next().unwrap();
            refused(&answer, 400, "invalid_request", &[name]);
        }

        let id = found[0]["Id"].as_str().unwrap();
        let own = format!("{path}/{id}");
        assert_eq!(house.shows(&own).await.json(), found[0]);
        let replay = format!("{own}/replay");
        // It waits anyway.
        assert_eq!(house.ask("POST", &replay, &[], "").await.json()["State"], "pending");
        let tried = deliveries::find(&house.app.db, &pool, id).await.unwrap().unwrap();
        let settle = |state: deliveries::State, done: bool| {
            let mut batch = Batch::new();
            let sql = "UPDATE deliveries SET state = ?3, attempts = 9, done_ms = CASE WHEN ?4 = 1 THEN created_ms ELSE NULL END \
                       WHERE pool_id = ?1 AND delivery_id = ?2";
            let params =
                cenote::params![pool.as_str(), tried.id.as_str(), state.as_str(), i64::from(done)];
            batch.any(cenote::store::Rank::Job, sql, params);
            house.app.db.commit(batch)
        };
        settle(deliveries::State::Dead, true).await.unwrap();
        assert_eq!(house.shows(&own).await.json()["State"], "dead");
        let answers = together((0..4).map(|_| house.ask("POST", &replay, &[], ""))).await;
        for answer in answers {
            assert_eq!(answer.status, 200, "{}", answer.body);
            assert_eq!(
                (&answer.json()["State"], &answer.json()["Attempts"]),
                (&json!("pending"), &json!(0))
            );
        }
        let sql = "SELECT COUNT(*) FROM audit WHERE pool_id = ?1 AND action = 'ReplayDelivery' AND result = 'ok'";
        assert_eq!(house.rows(sql, &pool).await, 1);
        settle(deliveries::State::Done, true).await.unwrap();
        let answer = house.ask("POST", &replay, &[], "").await;
        refused(&answer, 409, "conflict", &["done"]);
        let answer = house.ask("GET", &format!("{path}/nothing"), &[], "").await;
        refused(&answer, 404, "not_found", &["nothing"]);
    }
}

#[tokio::test]
async fn a_stream_is_made_by_the_operator_and_its_header_goes_to_no_other_address() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        let elsewhere = house.pool(json!({})).await;
        let stranger = house.client(&elsewhere, json!({})).await;
        let client = house.client(&pool, json!({})).await;
        let path = format!("/pools/{pool}/streams");
        for (body, parts) in [
            (json!({ "Method": "push" }), &["EndpointUrl"][..]),
            (json!({ "Method": "poll" }), &["ClientId"]),
            (json!({ "Method": "poll", "ClientId": "nobody" }), &["ClientId", "nobody"]),
            (json!({ "Method": "poll", "ClientId": stranger }), &["ClientId"]),
            (
                json!({ "Method": "poll", "ClientId": client, "AuthorizationHeader": "x" }),
                &["AuthorizationHeader"],
            ),
            (json!({ "Method": "push", "EndpointUrl": "https://192.168.1.1/" }), &["EndpointUrl"]),
            (
                json!({ "Method": "push", "EndpointUrl": "https://a.example/", "VerifiedMs": 1 }),
                &["VerifiedMs", "Known members"],
            ),
            (json!({ "Method": "pull" }), &["Method: "]),
        ] {
            refused(&house.posts(&path, body).await, 400, "invalid_request", parts);
        }
        house.makes(&path, json!({ "Method": "poll", "ClientId": client })).await;
        let body = json!({ "Method": "push", "EndpointUrl": "https://a.example/events", "AuthorizationHeader": "Bearer s3cret" });
        let made = house.makes(&path, body).await;
        assert!(!made.to_string().contains("s3cret"));
        let id = made["Id"].as_str().unwrap();
        let own = format!("{path}/{id}");
        let header = || async {
            let target = store::find(&house.app.db, &pool, id).await.unwrap().unwrap();
            let cx = Cx::system(house.app.clone());
            targets::open::<StreamSecret>(&cx, &target)
                .unwrap()
                .map(|secret| secret.authorization_header)
        };
        assert_eq!(
            house.patches(&own, json!({ "Status": "paused", "Reason": "moving" })).await.status,
            200
        );
        assert_eq!(header().await.as_deref(), Some("Bearer s3cret"));
        let moved = json!({ "EndpointUrl": "https://b.example/events" });
        assert_eq!(house.patches(&own, moved).await.status, 200);
        assert_eq!(header().await, None);
        let again =
            json!({ "Status": null, "Reason": null, "AuthorizationHeader": "Bearer other" });
        let now = house.patches(&own, again).await.json();
        assert_eq!((&now["Status"], now.get("Reason")), (&json!("enabled"), None));
        assert_eq!(header().await.as_deref(), Some("Bearer other"));
        assert_eq!(house.ask("DELETE", &own, &[], "").await.status, 204);
    }
}
