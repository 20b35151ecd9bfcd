//! The sample app of `cenote dev`: what is served, and how the ready client comes to know its address. What it does is tested in a
//! browser, in `tests/clients/browser`.

use axum::body::Body;
use axum::http::Request;
use cenote::config::Settings;
use serde_json::json;

use crate::cli::Scratch;
use crate::house::{Answer, House, houses};
use crate::process::Process;

async fn get(house: &House, path: &str, host: &str) -> Answer {
    house.send(Request::get(path).header("host", host).body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn every_file_of_the_sample_is_its_own_and_may_load_nothing_else() {
    for house in houses().await {
        for (path, kind) in [
            ("/sample", "text/html"),
            ("/sample/app.js", "text/javascript"),
            ("/sample/view.js", "text/javascript"),
            ("/sample/style.css", "text/css"),
            ("/sample/icon.svg", "image/svg+xml"),
        ] {
            let answer = get(&house, path, "localhost:9229").await;
            assert_eq!(answer.status, 200, "{path}");
            assert!(answer.header("content-type").starts_with(kind), "{path}");
            assert_eq!(answer.header("cache-control"), "no-store", "{path}");
            assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
            let policy = answer.header("content-security-policy");
            assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{policy}");
            assert!(!policy.contains("unsafe") && policy.contains("frame-ancestors 'none'"));
            assert_eq!(answer.header("access-control-allow-origin"), "", "{path}");
            for mark in ["innerHTML", "insertAdjacentHTML", "document.write", "eval(", "console."] {
                assert!(!answer.body.contains(mark), "{mark} in {path}");
            }
        }
        let page = get(&house, "/sample", "localhost:9229").await.body;
        assert!(!page.contains("<style") && !page.contains("style=") && !page.contains("onclick"));
        assert_eq!(
            page.matches("<script").count(),
            page.matches("<script type=\"module\" src=\"/sample/").count()
        );
        assert_eq!(get(&house, "/sample/other.js", "localhost:9229").await.status, 404);
    }
}

/// Sign-ins come back to one address; under another name of this machine the tab's memory would be another, too.
#[tokio::test]
async fn the_sample_under_another_name_leads_to_its_own_address() {
    for house in houses().await {
        for host in ["127.0.0.1:9229", "[::1]:9229", "app.localhost:9229"] {
            let answer = get(&house, "/sample?code=x", host).await;
            assert_eq!(answer.status, 302, "{host}");
            assert_eq!(answer.header("location"), "http://localhost:9229/sample");
        }
    }
}

#[tokio::test]
async fn serve_has_no_sample() {
    let house = House::on_sqlite(Settings { dev: false, ..Settings::default() }).await;
    for path in ["/sample", "/sample/app.js", "/sample/style.css"] {
        assert_eq!(get(&house, path, "localhost:9229").await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn the_sample_knows_the_ready_pool_and_the_ready_pool_knows_the_sample() {
    let scratch = Scratch::new();
    let server = Process::start(&scratch.0, &[]);
    let sample = server.get("sample_url");
    assert_eq!(sample, format!("{}/sample", server.get("endpoint")));
    let house = House::on_sqlite(Settings::default()).await;
    let script = get(&house, "/sample/app.js", "localhost:9229").await.body;
    for (name, member) in [("POOL", "user_pool_id"), ("CLIENT", "client_id")] {
        assert!(script.contains(&format!("const {name} = '{}'", server.get(member))), "{name}");
    }
    let client = describe(&server);
    for list in ["CallbackURLs", "LogoutURLs"] {
        assert!(client[list].as_array().unwrap().iter().any(|url| url == sample), "{client}");
    }
}

#[test]
fn the_address_of_the_sample_is_added_to_what_a_developer_configured_and_nothing_is_undone() {
    let scratch = Scratch::new();
    let first = Process::start(&scratch.0, &[]);
    // As the data of a version without a sample, whose client its developer has changed.
    let mine = json!({ "UserPoolId": first.get("user_pool_id"), "ClientId": first.get("client_id"), "ClientName": "mine",
        "CallbackURLs": ["https://mine.example/callback"], "DefaultRedirectURI": "https://mine.example/callback",
        "LogoutURLs": ["https://mine.example/"], "AllowedOAuthFlowsUserPoolClient": true, "AllowedOAuthFlows": ["code"],
        "AllowedOAuthScopes": ["openid"], "ExplicitAuthFlows": ["ALLOW_USER_SRP_AUTH"], "AccessTokenValidity": 7 });
    assert_eq!(first.call("UpdateUserPoolClient", &mine).unwrap().0, 200);
    drop(first);

    let again = Process::start(&scratch.0, &[]);
    let sample = again.get("sample_url").to_owned();
    let client = describe(&again);
    assert_eq!(client["CallbackURLs"], json!(["https://mine.example/callback", sample]));
    assert_eq!(client["LogoutURLs"], json!(["https://mine.example/", sample]));
    for member in [
        "ClientName",
        "DefaultRedirectURI",
        "AllowedOAuthScopes",
        "ExplicitAuthFlows",
        "AccessTokenValidity",
    ] {
        assert_eq!(client[member], mine[member], "{member}");
    }
    drop(again);
    // Where nothing is missing nothing is written.
    let third = Process::start(&scratch.0, &[]);
    assert_eq!(describe(&third), client);
}

#[test]
fn a_client_with_a_full_list_of_addresses_is_left_alone_and_the_server_starts() {
    let scratch = Scratch::new();
    let first = Process::start(&scratch.0, &[]);
    let full: Vec<String> = (0..100).map(|n| format!("https://mine.example/{n}")).collect();
    let mine = json!({ "UserPoolId": first.get("user_pool_id"), "ClientId": first.get("client_id"),
        "CallbackURLs": full, "LogoutURLs": [], "AllowedOAuthFlowsUserPoolClient": true, "AllowedOAuthFlows": ["code"],
        "AllowedOAuthScopes": ["openid"] });
    assert_eq!(first.call("UpdateUserPoolClient", &mine).unwrap().0, 200);
    drop(first);
    let again = Process::start(&scratch.0, &[]);
    assert_eq!(describe(&again)["CallbackURLs"], mine["CallbackURLs"]);
}

fn describe(server: &Process) -> serde_json::Value {
    let named =
        json!({ "UserPoolId": server.get("user_pool_id"), "ClientId": server.get("client_id") });
    server.call("DescribeUserPoolClient", &named).unwrap().1["UserPoolClient"].clone()
}
