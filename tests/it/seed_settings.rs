//! Every setting of the extension API stands in a seed file, too, and means the same there.

use std::collections::BTreeSet;

use cenote::cx::Cx;
use cenote::extension::document;
use cenote::seed;
use serde_json::{Value, json};

use crate::house::houses;

fn names(members: &Value) -> BTreeSet<&str> {
    members.as_object().unwrap().keys().map(String::as_str).collect()
}

#[tokio::test]
async fn every_setting_of_the_extension_api_stands_in_a_seed_file_too() {
    // None of them is what it is when nobody says anything.
    let pool = json!({ "LogoutEndsTokenSessions": true, "GlobalSignOutEndsBrowserSessions": true, "PasswordResetEndsSessions": false });
    let client = json!({ "BackchannelLogoutUri": "http://localhost:3000/bc", "BackchannelLogoutSessionRequired": true,
        "FrontchannelLogoutUri": "http://localhost:3000/fc" });
    let webhook = json!({ "Url": "http://localhost:3000/hook", "Description": "audit", "Enabled": false,
        "Secret": format!("whsec_{}", "QUJD".repeat(8)) });
    let stream = json!({ "Method": "push", "EndpointUrl": "http://localhost:3000/events", "AuthorizationHeader": "Bearer x",
        "ClientId": "pollerSeedAll", "Audience": "partner", "Events": ["https://example.com/e"], "Status": "paused", "Reason": "moving",
        "Without": ["someone"], "Description": "partner" });
    let revocation = json!({ "Url": "http://localhost:3000/revoke", "Description": "app", "Enabled": false, "Subject": "email",
        "Audience": "app" });
    let schemas = document("https://id.example.com")["components"]["schemas"].take();
    for (pointer, settings) in [
        ("/PoolPatch/properties/Extensions", &pool),
        ("/ClientPatch/properties/Extensions", &client),
        ("/NewWebhook", &webhook),
        ("/NewStream", &stream),
        ("/NewTokenRevocation", &revocation),
    ] {
        let documented = &schemas.pointer(pointer).unwrap()["properties"];
        assert_eq!(names(documented), names(settings), "{pointer}");
    }

    let with_id = |settings: &Value, id: &str| {
        let mut members = settings.clone();
        members["Id"] = json!(id);
        members
    };
    let file = json!({ "pools": [{
        "Id": "eu-west-1_SeedAll", "PoolName": "seeded", "Extensions": pool,
        "Clients": [{ "ClientId": "pollerSeedAll", "ClientName": "poller", "Extensions": client }],
        "Webhooks": [with_id(&webhook, "webhooks")], "Streams": [with_id(&stream, "streams")],
        "TokenRevocations": [with_id(&revocation, "token-revocations")],
    }] });
    for house in houses().await {
        let cx = Cx::system(house.app.clone());
        seed::apply(&cx, &seed::parse(&file.to_string()).unwrap()).await.unwrap();
        let path = "/pools/eu-west-1_SeedAll";
        assert_eq!(house.shows(path).await.json()["Extensions"], pool);
        let shown = house.shows(&format!("{path}/clients/pollerSeedAll")).await.json();
        assert_eq!(shown["Extensions"], client);
        for (collection, settings) in
            [("webhooks", &webhook), ("streams", &stream), ("token-revocations", &revocation)]
        {
            let shown = house.shows(&format!("{path}/{collection}/{collection}")).await.json();
            for (name, value) in settings.as_object().unwrap() {
                match name.as_str() {
                    "Secret" | "AuthorizationHeader" => assert_eq!(shown[name], Value::Null),
                    _ => assert_eq!(&shown[name], value, "{collection} {name}"),
                }
            }
        }
    }
}
