//! Pools on hosts of their own: prefix and custom domains beside the path form, and what is served where.

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::Request;
use cenote::admin;
use cenote::config::Settings;
use cenote::cx::Cx;
use serde_json::json;
use url::form_urlencoded;

use crate::browser::{BYE, CALLBACK, code_client, field, parameter};
use crate::house::{Answer, House, PASSWORD, houses, houses_with, merge};
use crate::oauth_machine::{machine, with_secret};
use crate::resource_servers::server;

/// A pool with a prefix domain, a user and a client with a secret: the pool, its prefix, the client.
async fn given(house: &House) -> (String, String, (String, String)) {
    let pool = house.pool(json!({})).await;
    house.user(&pool, "ann").await;
    let digits: String = pool.bytes().rev().take(9).map(|byte| format!("{byte:02x}")).collect();
    let prefix = format!("host-{digits}");
    house.ok("CreateUserPoolDomain", json!({ "UserPoolId": pool, "Domain": prefix })).await;
    let client = with_secret(house, &pool, code_client()).await;
    (pool, prefix, client)
}

async fn get(house: &House, host: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::get(path).header("host", host);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    house.send(request.body(Body::empty()).unwrap()).await
}

async fn post(
    house: &House,
    host: &str,
    path: &str,
    fields: &[(&str, &str)],
    headers: &[(&str, &str)],
) -> Answer {
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    let mut request = Request::post(path)
        .header("host", host)
        .header("content-type", "application/x-www-form-urlencoded");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    house.send(request.body(Body::from(body)).unwrap()).await
}

fn asks(client: &str) -> String {
    format!("client_id={client}&response_type=code&redirect_uri={CALLBACK}&scope=openid")
}

#[tokio::test]
async fn a_whole_sign_in_and_sign_out_happens_on_a_pools_own_host_at_both_ports() {
    for house in houses().await {
        let (pool, prefix, (id, secret)) = given(&house).await;
        for port in ["9229", "9230"] {
            let host = format!("{prefix}.localhost:{port}");
            let answer = get(&house, &host, &format!("/oauth2/authorize?{}", asks(&id)), &[]).await;
            let login =
                format!("/login?{}", answer.header("location").split_once("/login?").unwrap().1);
            assert_eq!(answer.header("location"), format!("http://{host}{login}"));

            let page = get(&house, &host, &login, &[]).await;
            let csrf = field(&page.body, "_csrf");
            let token = page.cookie("XSRF-TOKEN").unwrap();
            let fields = [("_csrf", csrf.as_str()), ("username", "ann"), ("password", PASSWORD)];
            let cookie = format!("XSRF-TOKEN={token}");
            let foreign = [("cookie", cookie.as_str()), ("origin", "http://localhost:9229")];
            assert_eq!(
                post(&house, &host, &login, &fields, &foreign).await.status,
                403,
                "another origin"
            );
            let origin = format!("http://{host}");
            let own = [("cookie", cookie.as_str()), ("origin", origin.as_str())];
            let answer = post(&house, &host, &login, &fields, &own).await;
            let code = parameter(answer.header("location"), "code").unwrap();
            let handle = answer.cookie("cognito").unwrap();
            let line =
                answer.headers.get_all("set-cookie").iter().map(|line| line.to_str().unwrap());
            let line = line.filter(|line| line.starts_with("cognito=")).collect::<String>();
            assert!(line.contains("; Path=/;") && !line.contains("Domain="), "{line}");

            let fields = [
                ("grant_type", "authorization_code"),
                ("code", code.as_str()),
                ("redirect_uri", CALLBACK),
                ("client_id", &id),
                ("client_secret", &secret),
            ];
            let tokens = post(&house, &host, "/oauth2/token", &fields, &[]).await.json();
            let claims = crate::oauth_machine::claims(&tokens["access_token"]);
            assert_eq!(claims["iss"], format!("http://localhost:9229/{pool}"), "the issuer stays");
            let bearer = format!("Bearer {}", tokens["access_token"].as_str().unwrap());
            let info = get(&house, &host, "/oauth2/userInfo", &[("authorization", &bearer)]).await;
            assert_eq!((info.status.as_u16(), &info.json()["username"]), (200, &json!("ann")));
            let refresh = tokens["refresh_token"].as_str().unwrap();
            let fields = [("token", refresh), ("client_id", &id), ("client_secret", &secret)];
            let active = async || {
                post(&house, &host, "/oauth2/introspect", &fields, &[]).await.json()["active"]
                    .clone()
            };
            assert_eq!(active().await, true);
            assert_eq!(post(&house, &host, "/oauth2/revoke", &fields, &[]).await.status, 200);
            assert_eq!(active().await, false);

            let cookie = format!("cognito={handle}");
            let offer = get(&house, &host, &login, &[("cookie", &cookie)]).await;
            assert!(offer.body.contains("Sign in as ann"), "{}", offer.body);
            let out = format!("/logout?client_id={id}&logout_uri={BYE}");
            let answer = get(&house, &host, &out, &[("cookie", &cookie)]).await;
            assert_eq!(answer.header("location"), BYE);
            let after = get(&house, &host, &login, &[("cookie", &cookie)]).await;
            assert!(after.body.contains("name=\"password\""));
        }
    }
}

#[tokio::test]
async fn a_custom_domain_is_served_on_its_host_and_is_what_discovery_names() {
    let settings = Settings {
        dev: false,
        public_url: "https://id.example.com".to_owned(),
        pages_url: "https://id.example.com".to_owned(),
        path_form: false,
        ..Settings::default()
    };
    let house = House::on_sqlite(settings).await;
    let cx = Cx::system(house.app.clone());
    let request = serde_json::from_value(json!({ "PoolName": "production" })).unwrap();
    let pool = admin::pools::create(&cx, &request).await.unwrap();
    let mut client = code_client();
    merge(&mut client, json!({ "UserPoolId": pool.id, "ClientName": "app" }));
    let client = serde_json::from_value(client).unwrap();
    let id = admin::clients::create(&cx, &pool, &client).await.unwrap().id;
    let custom = json!({ "CertificateArn": "arn:aws:acm:us-east-1:123456789012:certificate/1" });
    for domain in [
        json!({ "Domain": "shop", "UserPoolId": pool.id }),
        json!({ "Domain": "auth.shop.example", "UserPoolId": pool.id, "CustomDomainConfig": custom }),
    ] {
        let pool = house.app.directory.pool(&house.app.db, &pool.id).await.unwrap().unwrap();
        let request = serde_json::from_value(domain).unwrap();
        admin::domains::create(&cx, &pool, &request).await.unwrap();
    }
    let login = format!("/login?{}", asks(&id));
    for host in ["auth.shop.example", "AUTH.shop.example:443", "shop.id.example.com"] {
        assert_eq!(get(&house, host, &login, &[]).await.status, 200, "{host}");
    }
    let document = format!("/{}/.well-known/openid-configuration", pool.id);
    let document = get(&house, "id.example.com", &document, &[]).await.json();
    assert_eq!(document["token_endpoint"], "https://auth.shop.example/oauth2/token");
    assert_eq!(document["issuer"], format!("https://id.example.com/{}", pool.id));
    let bare = get(&house, "id.example.com", &login, &[]).await;
    assert!(bare.header("location").starts_with("https://auth.shop.example/login?"));

    // A prefix is one label: what looks like a prefix is not looked up as a host, nor the other way round.
    for host in [
        "auth.shop.example.id.example.com",
        "shop",
        "shopid.example.com",
        "shop.example.com",
        "10.0.0.1",
        "",
    ] {
        assert_eq!(get(&house, host, &login, &[]).await.status.as_u16(), 404, "{host}");
    }
    let path_form = format!("/{}{login}", pool.id);
    assert_eq!(
        get(&house, "id.example.com", &path_form, &[]).await.status,
        404,
        "only where the operator allows it"
    );
}

#[tokio::test]
async fn a_pools_host_serves_no_other_pool_and_no_path_form() {
    for house in houses().await {
        let (pool, _, (id, secret)) = given(&house).await;
        let (_, other_prefix, _) = given(&house).await;
        let host = format!("{other_prefix}.localhost:9229");
        for page in ["oauth2/authorize", "login", "logout", "error"] {
            let answer = get(&house, &host, &format!("/{pool}/{page}?{}", asks(&id)), &[]).await;
            assert_eq!(answer.status, 404, "{page}");
            assert_eq!(answer.headers.get_all("set-cookie").iter().count(), 0);
        }
        let fields = [
            ("grant_type", "client_credentials"),
            ("client_id", id.as_str()),
            ("client_secret", secret.as_str()),
        ];
        for endpoint in ["token", "revoke", "introspect"] {
            let answer =
                post(&house, &host, &format!("/{pool}/oauth2/{endpoint}"), &fields, &[]).await;
            assert_eq!(answer.status, 404, "{endpoint}");
            let answer = post(&house, &host, &format!("/oauth2/{endpoint}"), &fields, &[]).await;
            assert_eq!(
                answer.json()["error"],
                "invalid_client",
                "another pool's client at /oauth2/{endpoint}"
            );
        }
        let answer = get(&house, &host, &format!("/login?{}", asks(&id)), &[]).await;
        assert!(
            answer.header("location").contains("error=invalid_client") || answer.status == 400,
            "{}",
            answer.body
        );
        let answer = get(
            &house,
            &host,
            &format!("/{pool}/oauth2/userInfo"),
            &[("authorization", "Bearer x")],
        )
        .await;
        assert_eq!(answer.status, 404);
        // The issuer is no page: its keys are the same under every name.
        let jwks = get(&house, &host, &format!("/{pool}/.well-known/jwks.json"), &[]).await;
        assert_eq!(jwks.status, 200);
    }
}

#[tokio::test]
async fn a_pool_whose_domain_is_deleted_is_no_longer_served_there() {
    for house in houses().await {
        let (pool, prefix, (id, secret)) = given(&house).await;
        let host = format!("{prefix}.localhost:9230");
        assert_eq!(get(&house, &host, &format!("/login?{}", asks(&id)), &[]).await.status, 200);
        house.ok("DeleteUserPoolDomain", json!({ "UserPoolId": pool, "Domain": prefix })).await;
        for path in [format!("/login?{}", asks(&id)), format!("/{pool}/login?{}", asks(&id))] {
            assert_eq!(get(&house, &host, &path, &[]).await.status, 404, "{path}");
        }
        let fields = [
            ("grant_type", "client_credentials"),
            ("client_id", id.as_str()),
            ("client_secret", secret.as_str()),
        ];
        assert_eq!(post(&house, &host, "/oauth2/token", &fields, &[]).await.status, 404);
        let own = get(&house, "localhost:9230", &format!("/{pool}/login?{}", asks(&id)), &[]).await;
        assert_eq!(own.status, 200, "the path form stays");

        // Another pool may have it then.
        let next = house.pool(json!({})).await;
        house.ok("CreateUserPoolDomain", json!({ "UserPoolId": next, "Domain": prefix })).await;
        let answer = get(&house, &host, &format!("/login?{}", asks(&id)), &[]).await;
        assert_ne!(answer.status, 200, "with clients of its own");
    }
}

#[tokio::test]
async fn the_bare_public_url_answers_programs_and_sends_browsers_on() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        server(&house, &pool, "api", &["read"]).await;
        let (id, secret) = machine(&house, &pool, &["api/read"]).await;
        let fields = [
            ("grant_type", "client_credentials"),
            ("client_id", id.as_str()),
            ("client_secret", secret.as_str()),
        ];
        for host in ["localhost:9229", "127.0.0.1:9229", "[::1]:9230"] {
            assert_eq!(
                post(&house, host, "/oauth2/token", &fields, &[]).await.status,
                200,
                "{host}"
            );
            let sent = get(&house, host, &format!("/login?{}", asks(&id)), &[]).await;
            assert!(
                sent.header("location")
                    .starts_with(&format!("https://localhost:9230/{pool}/login?"))
            );
        }
        let nameless = post(&house, "localhost:9229", "/oauth2/token", &fields[..1], &[]).await;
        assert_eq!(nameless.json()["error"], "invalid_request");
    }
}

#[tokio::test]
async fn only_a_proxy_may_say_which_host_was_asked_for() {
    let proxy = "10.9.8.7";
    let settings =
        Settings { trusted_proxies: vec![proxy.parse().unwrap()], ..Settings::default() };
    for house in houses_with(settings).await {
        let (_, prefix, (id, _)) = given(&house).await;
        let asked = async |peer: &str| {
            let mut request = Request::get(format!("/login?{}", asks(&id)))
                .header("host", "localhost:9229")
                .header("x-forwarded-host", format!("{prefix}.localhost"))
                .header("x-forwarded-proto", "https")
                .body(Body::empty())
                .unwrap();
            let peer: std::net::SocketAddr = format!("{peer}:4711").parse().unwrap();
            request.extensions_mut().insert(ConnectInfo(peer));
            house.send(request).await
        };
        assert_eq!(asked(proxy).await.status, 200);
        assert_eq!(asked("10.9.8.6").await.status, 302, "a stranger asks for the bare public URL");
    }
}

#[tokio::test]
async fn a_custom_domain_below_this_servers_own_host_is_refused() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        for name in ["auth.localhost", "a.b.localhost"] {
            let input = json!({ "UserPoolId": pool, "Domain": name,
                "CustomDomainConfig": { "CertificateArn": "arn:aws:acm:us-east-1:123456789012:certificate/1" } });
            let refused = house.refused("CreateUserPoolDomain", input).await;
            assert_eq!(
                refused.1,
                "Custom domain is not a valid subdomain: localhost is this server's own host, and what is below it are prefix domains."
            );
        }
    }
}
