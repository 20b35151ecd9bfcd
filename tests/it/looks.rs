//! How the hosted pages look and what they say: languages, SetUICustomization, logos, and an operator's templates.

use std::path::Path;

use axum::body::Body;
use axum::http::{Method, Request};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cenote::ambient::MINUTE;
use cenote::config::Settings;
use cenote::templates::Templates;
use serde_json::{Value, json};

use crate::browser::{Browser, code_client, field};
use crate::cli::{Scratch, complaint, run};
use crate::house::{House, NOW, PASSWORD, houses, houses_with, refusal, together};

async fn given(house: &House) -> (String, String) {
    let pool = house.pool(json!({})).await;
    let client = house.client(&pool, code_client()).await;
    house.user(&pool, "ann").await;
    (pool, client)
}

/// A PNG of one colour.
fn logo(width: u32, height: u32, colour: [u8; 3]) -> String {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width, height);
    encoder.set_color(png::ColorType::Rgb);
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(&colour.repeat((width * height) as usize)).unwrap();
    writer.finish().unwrap();
    STANDARD.encode(file)
}

async fn set(house: &House, input: Value) -> Value {
    house.ok("SetUICustomization", input).await["UICustomization"].clone()
}

async fn looks(house: &House, pool: &str, client: &str) -> Value {
    let input = json!({ "UserPoolId": pool, "ClientId": client });
    house.ok("GetUICustomization", input).await["UICustomization"].clone()
}

// Languages

#[tokio::test]
async fn the_address_chooses_the_language_then_the_cookie_then_the_browser_then_english() {
    for house in houses().await {
        let (pool, client) = given(&house).await;
        let mut browser = Browser::new(&house, &pool, &client);
        let path = format!("/login?{}", browser.query(""));
        let german = [("accept-language", "xx, de-AT;q=0.9, en;q=0.5")];

        let page = browser.get(&path).await;
        assert!(page.body.contains("<html lang=\"en\""), "{}", page.body);
        assert_eq!((page.header("content-language"), page.cookie("lang")), ("en", None));
        let page = browser.send(Method::GET, &path, None, &german).await;
        assert!(
            page.body.contains("<html lang=\"de\"") && page.body.contains(">Passwort</label>"),
            "{}",
            page.body
        );

        let page = browser.get(&format!("{path}&lang=fr")).await;
        assert!(page.body.contains("<html lang=\"fr\""), "{}", page.body);
        let cookie = page
            .headers
            .get_all("set-cookie")
            .iter()
            .find(|line| line.to_str().unwrap().starts_with("lang="));
        let cookie = cookie.unwrap().to_str().unwrap();
        assert_eq!(
            cookie,
            format!("lang=fr; Path=/{pool}/; HttpOnly; SameSite=Lax; Max-Age=31536000")
        );
        let page = browser.send(Method::GET, &path, None, &german).await;
        assert!(page.body.contains("<html lang=\"fr\""), "the cookie wins over the browser");

        // What nobody knows chooses nothing, and is not remembered.
        for unknown in ["xx", "", "fr%0d%0aSet-Cookie:%20a=b", "%22%3E%3Cscript%3E"] {
            let page = browser.get(&format!("{path}&lang={unknown}")).await;
            assert!(page.body.contains("<html lang=\"fr\""), "{unknown}: {}", page.body);
            assert!(page.cookie("lang").is_none() && !page.body.contains("<script"), "{unknown}");
        }
        browser.cookies.insert("lang".to_owned(), "\"><script>".to_owned());
        assert!(browser.get(&path).await.body.contains("<html lang=\"en\""));
    }
}

#[tokio::test]
async fn a_language_that_authorize_was_asked_for_lasts_through_the_sign_in_and_its_errors() {
    for house in houses().await {
        let (pool, client) = given(&house).await;
        let mut browser = Browser::new(&house, &pool, &client);
        let on = browser.get(&format!("/oauth2/authorize?{}", browser.query("&lang=de"))).await;
        assert!(on.header("location").contains("lang=de"), "{}", on.header("location"));
        let page = browser.opens("&lang=de").await;
        let path = format!("/login?{}", browser.query(""));
        let form = [
            ("_csrf", field(&page.body, "_csrf")),
            ("username", "ann".into()),
            ("password", "wrong".into()),
        ];
        let form: Vec<(&str, &str)> =
            form.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let again = browser.post(&path, &form).await;
        assert!(again.body.contains("<html lang=\"de\""), "{}", again.body);
        let signed_in = browser.signs_in("ann", PASSWORD, "").await;
        assert_eq!(signed_in.status, 302);
        assert!(!signed_in.header("location").contains("lang"), "the app is not told");
        assert!(browser.opens("").await.body.contains("Als ann anmelden"));

        for path in
            ["/error?error=redirect_mismatch", "/login?client_id=a&client_id=b", "/error?lang=de"]
        {
            let page = browser.get(path).await;
            assert!(page.body.contains("<html lang=\"de\""), "{path}: {}", page.body);
        }
        let elsewhere =
            Request::get("/us-east-1_nothere/login?lang=ja").header("host", "localhost:9230");
        let page = house.send(elsewhere.body(Body::empty()).unwrap()).await;
        assert_eq!(page.status, 404);
        assert!(page.body.contains("<html lang=\"ja\""), "{}", page.body);
    }
}

#[tokio::test]
async fn every_page_offers_the_other_languages_and_keeps_its_request() {
    for house in houses().await {
        let (pool, client) = given(&house).await;
        let mut browser = Browser::new(&house, &pool, &client);
        let page = browser.opens("&state=a%26b&lang=de").await.body;
        for (tag, name) in [
            ("en", "English"),
            ("de", "Deutsch"),
            ("ja", "日本語"),
            ("pt-BR", "Português (Brasil)"),
            ("zh-TW", "繁體中文"),
        ] {
            assert!(
                page.contains(&format!("lang=\"{tag}\" hreflang=\"{tag}\""))
                    && page.contains(&format!(">{name}</a>")),
                "{tag} in {page}"
            );
        }
        assert_eq!(page.matches("aria-current=\"true\"").count(), 1);
        let link = page.split("hreflang=\"ko\"").next().unwrap().rsplit("href=\"").next().unwrap();
        let link = link.split('"').next().unwrap().replace("&amp;", "&");
        assert!(
            link.contains("state=a%26b") && link.contains("lang=ko") && !link.contains("lang=de"),
            "{link}"
        );
        let page = browser.get(&format!("/login{link}")).await;
        assert!(page.body.contains("<html lang=\"ko\""), "{}", page.body);
    }
}

// SetUICustomization

#[tokio::test]
async fn looks_are_set_for_all_clients_or_for_one_and_are_shown_on_its_pages() {
    for house in houses().await {
        let (pool, client) = given(&house).await;
        let other = house.client(&pool, code_client()).await;
        assert_eq!(looks(&house, &pool, "ALL").await, json!({}));

        let css = ".label-customizable{color:#123456}";
        let all = set(&house, json!({ "UserPoolId": pool, "CSS": css })).await;
        let now = NOW as f64 / 1000.0;
        assert_eq!(
            all,
            json!({ "UserPoolId": pool, "ClientId": "ALL", "CSS": css, "CSSVersion": NOW.to_string(), "CreationDate": now, "LastModifiedDate": now })
        );
        assert_eq!(
            looks(&house, &pool, &client).await,
            all,
            "a client without looks of its own has those of all"
        );
        let input = json!({ "UserPoolId": pool });
        assert_eq!(house.ok("GetUICustomization", input).await["UICustomization"], all);

        house.advance(MINUTE);
        let own = ".label-customizable:hover{color:#654321}";
        let one = set(&house, json!({ "UserPoolId": pool, "ClientId": client, "CSS": own, "ImageFile": logo(400, 100, [1, 2, 3]) })).await;
        assert_eq!((&one["ClientId"], &one["CSS"]), (&json!(client), &json!(own)));
        assert_eq!(looks(&house, &pool, &client).await, one);
        assert_eq!(looks(&house, &pool, &other).await, all);

        let mut browser = Browser::new(&house, &pool, &client);
        let page = browser.opens("").await;
        assert!(
            page.body.contains(".label-customizable:hover { color: #654321; }"),
            "{}",
            page.body
        );
        assert!(page.body.contains("class=\"customized\""));
        assert!(!page.body.contains("#123456"), "looks of a client do not add to those of all");
        let image = one["ImageUrl"].as_str().unwrap();
        assert!(
            image.starts_with(&format!("https://localhost:9230/{pool}/logo/{client}/")),
            "{image}"
        );
        // In process there is no TLS.
        let src = image.replace("https:", "http:");
        let shown = format!(
            "<img class=\"logo-customizable\" src=\"{src}\" width=\"350\" height=\"87\" alt=\"app\">"
        );
        assert!(page.body.contains(&shown), "{shown} is not in {}", page.body);
        let page = Browser::new(&house, &pool, &other).opens("").await;
        assert!(
            page.body.contains(".label-customizable { color: #123456; }")
                && !page.body.contains("<img"),
            "{}",
            page.body
        );
    }
}

#[tokio::test]
async fn a_logo_is_drawn_anew_and_served_at_an_address_that_changes_with_it() {
    for house in houses().await {
        let (pool, client) = given(&house).await;
        let hidden = "<script>alert(1)</script>";
        let mut file = STANDARD.decode(logo(1_400, 700, [200, 0, 0])).unwrap();
        file.extend(hidden.as_bytes());
        let input =
            json!({ "UserPoolId": pool, "ClientId": client, "ImageFile": STANDARD.encode(file) });
        let first = set(&house, input).await["ImageUrl"].as_str().unwrap().to_owned();
        let path = |url: &str| url.strip_prefix("https://localhost:9230").unwrap().to_owned();
        let get = async |path: &str| {
            let request = Request::get(path).header("host", "localhost:9230");
            house.send(request.body(Body::empty()).unwrap()).await
        };
        let answer = get(&path(&first)).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(answer.header("content-type"), "image/png");
        assert_eq!(answer.header("cache-control"), "public, max-age=31536000, immutable");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert!(answer.body.contains("PNG") && !answer.body.contains(hidden));

        let input = json!({ "UserPoolId": pool, "ClientId": client, "ImageFile": logo(20, 10, [0, 200, 0]) });
        let second = set(&house, input).await["ImageUrl"].as_str().unwrap().to_owned();
        assert_ne!(first, second);
        assert_eq!(get(&path(&first)).await.status, 404, "the old logo is gone");
        let answer = get(&path(&second)).await;
        assert_eq!(answer.status, 200);

        // Another pool's address does not lead to it, nor does anything near it.
        let (foreign, _) = given(&house).await;
        let hash = second.rsplit('/').next().unwrap();
        for wrong in [
            format!("/{foreign}/logo/{client}/{hash}"),
            format!("/{pool}/logo/ALL/{hash}"),
            format!("/{pool}/logo/{client}/{}", hash.trim_end_matches(".png")),
            format!("/{pool}/logo/{client}/.png"),
            format!("/{pool}/logo/{client}/%2e%2e%2f{hash}"),
            format!("/logo/{client}/{hash}"),
        ] {
            assert_eq!(get(&wrong).await.status, 404, "{wrong}");
        }
        // No less final where the address cannot be read or belongs to nobody.
        assert_eq!(get(&format!("{}?a=1&a=2", path(&second))).await.status, 404);
        let nobody = Request::get("/logo/ALL/0.png").header("host", "nobody.localhost:9230");
        assert_eq!(house.send(nobody.body(Body::empty()).unwrap()).await.status, 404);
    }
}

#[tokio::test]
async fn css_and_logo_are_set_together_and_setting_neither_removes_both() {
    for house in houses().await {
        let (pool, client) = given(&house).await;
        let css = ".label-customizable { color: red; }";
        set(&house, json!({ "UserPoolId": pool, "ClientId": client, "CSS": css, "ImageFile": logo(1, 1, [0; 3]) })).await;
        house.advance(MINUTE);
        let only_css =
            set(&house, json!({ "UserPoolId": pool, "ClientId": client, "CSS": css })).await;
        assert!(only_css.get("ImageUrl").is_none(), "{only_css}");
        assert_eq!(only_css["CSSVersion"], NOW.to_string(), "the CSS is the same");
        assert_eq!(only_css["CreationDate"], NOW as f64 / 1000.0);
        assert_eq!(only_css["LastModifiedDate"], (NOW + MINUTE) as f64 / 1000.0);
        let only_logo = set(
            &house,
            json!({ "UserPoolId": pool, "ClientId": client, "ImageFile": logo(1, 1, [0; 3]) }),
        )
        .await;
        assert!(only_logo.get("CSS").is_none() && only_logo["ImageUrl"].is_string(), "{only_logo}");
        assert_eq!(only_logo["CSSVersion"], (NOW + MINUTE).to_string());

        let none = set(
            &house,
            json!({ "UserPoolId": pool, "ClientId": client, "CSS": "", "ImageFile": "" }),
        )
        .await;
        assert_eq!(none, json!({ "UserPoolId": pool, "ClientId": client }));
        assert_eq!(looks(&house, &pool, &client).await, json!({}));
        let page = Browser::new(&house, &pool, &client).opens("").await;
        assert!(!page.body.contains("class=\"customized\"") && !page.body.contains("<img"));
    }
}

#[tokio::test]
async fn css_that_could_do_more_than_dress_a_page_is_refused_and_nothing_changes() {
    for house in houses().await {
        let (pool, client) = given(&house).await;
        let css = ".label-customizable { color: red; }";
        let before =
            set(&house, json!({ "UserPoolId": pool, "ClientId": client, "CSS": css })).await;
        for (css, message) in [
            (
                ".label-customizable {\n  background: url(https://evil.example)\n}",
                "CSS is not valid in line 2, column 15: url( is not allowed: the pages load nothing. Set the logo with ImageFile.",
            ),
            (
                "@import 'a.css';",
                "CSS is not valid in line 1, column 1: @import is not allowed: only rules for Cognito's classes are.",
            ),
            (
                "</style><script>alert(1)</script>",
                "CSS is not valid in line 1, column 1: HTML and child selectors are not allowed.",
            ),
            (
                "body { display: none }",
                "CSS is not valid in line 1, column 1: unexpected b: a selector must be one of Cognito's classes, as in .label-customizable.",
            ),
        ] {
            let input = json!({ "UserPoolId": pool, "ClientId": client, "CSS": css, "ImageFile": logo(1, 1, [0; 3]) });
            assert_eq!(
                house.refused("SetUICustomization", input).await,
                refusal("InvalidParameter", message)
            );
        }
        for (file, message) in [
            (
                STANDARD.encode("<svg onload='alert(1)'/>"),
                "ImageFile is an SVG, which can hold scripts. Convert it to PNG or JPEG.",
            ),
            (STANDARD.encode("GIF89a"), "ImageFile is a GIF. Convert it to PNG or JPEG."),
            (
                logo(5_000, 1, [0; 3]),
                "ImageFile is 5000 by 1 pixels; at most 4096 in each direction and 4194304 in all are taken. It is shown at up to 350 by 178.",
            ),
        ] {
            let input = json!({ "UserPoolId": pool, "ClientId": client, "ImageFile": file });
            assert_eq!(
                house.refused("SetUICustomization", input).await,
                refusal("InvalidParameter", message)
            );
        }
        // 21,000,000 pixels of one colour are a file of few bytes.
        let bomb = json!({ "UserPoolId": pool, "ClientId": client, "ImageFile": logo(4_096, 4_096, [7; 3]) });
        let (kind, message) = house.refused("SetUICustomization", bomb).await;
        assert!(
            kind == "InvalidParameterException"
                && message.starts_with("ImageFile is 4096 by 4096 pixels; "),
            "{kind}: {message}"
        );
        let input = json!({ "UserPoolId": pool, "ClientId": client, "ImageFile": STANDARD.encode(vec![0; 131_073]) });
        assert_eq!(house.refused("SetUICustomization", input).await.0, "InvalidParameterException");
        let input = json!({ "UserPoolId": pool, "ClientId": client, "CSS": " ".repeat(131_073) });
        assert_eq!(house.refused("SetUICustomization", input).await.0, "InvalidParameterException");
        let input = json!({ "UserPoolId": pool, "ClientId": client, "ImageFile": "?" });
        assert_eq!(house.refused("SetUICustomization", input).await.0, "SerializationException");
        assert_eq!(looks(&house, &pool, &client).await, before);
    }
}

#[tokio::test]
async fn looks_of_another_pools_client_or_of_nobody_are_refused() {
    for house in houses().await {
        let (pool, _) = given(&house).await;
        let (_, foreign) = given(&house).await;
        for client in [foreign.as_str(), "0123456789abcdefghijklmnop"] {
            let message = format!("User pool client {client} does not exist.");
            for operation in ["SetUICustomization", "GetUICustomization"] {
                let input = json!({ "UserPoolId": pool, "ClientId": client });
                assert_eq!(
                    house.refused(operation, input).await,
                    refusal("ResourceNotFound", &message)
                );
            }
        }
        let input = json!({ "UserPoolId": "us-east-1_nothere00", "ClientId": "ALL" });
        let message = "User pool us-east-1_nothere00 does not exist.";
        assert_eq!(
            house.refused("GetUICustomization", input).await,
            refusal("ResourceNotFound", message)
        );
    }
}

#[tokio::test]
async fn a_pool_without_pages_has_no_looks() {
    let settings = Settings { path_form: false, ..Settings::default() };
    for house in houses_with(settings).await {
        let pool = house.pool(json!({})).await;
        let message = "There has to be an existing domain associated with this user pool";
        for operation in ["SetUICustomization", "GetUICustomization"] {
            let told = house.refused(operation, json!({ "UserPoolId": pool })).await;
            assert_eq!(told, refusal("InvalidParameter", message));
        }
    }
}

#[tokio::test]
async fn looks_go_with_their_client_and_with_their_pool() {
    const ROWS: &str = "SELECT COUNT(*) FROM ui_customizations WHERE pool_id = ?1";
    for house in houses().await {
        let (pool, client) = given(&house).await;
        for id in [client.as_str(), "ALL"] {
            set(&house, json!({ "UserPoolId": pool, "ClientId": id, "CSS": ".label-customizable { color: red }" })).await;
        }
        house.ok("DeleteUserPoolClient", json!({ "UserPoolId": pool, "ClientId": client })).await;
        assert_eq!(house.rows(ROWS, &pool).await, 1);
        house.ok("DeleteUserPool", json!({ "UserPoolId": pool })).await;
        while !cenote::store::purge::grave(&house.app.db, &pool).await.unwrap() {}
        assert_eq!(house.rows(ROWS, &pool).await, 0);
    }
}

/// Looks that are set while their client is deleted do not stay behind it.
#[tokio::test]
async fn setting_looks_races_with_the_deletion_of_their_client() {
    const ROWS: &str = "SELECT COUNT(*) FROM ui_customizations WHERE pool_id = ?1";
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        for _ in 0..8 {
            let client = house.client(&pool, json!({})).await;
            let calls = [
                (
                    "SetUICustomization",
                    json!({ "UserPoolId": pool, "ClientId": client, "CSS": ".label-customizable { color: red }" }),
                ),
                ("DeleteUserPoolClient", json!({ "UserPoolId": pool, "ClientId": client })),
                (
                    "SetUICustomization",
                    json!({ "UserPoolId": pool, "ClientId": client, "CSS": ".label-customizable { color: blue }" }),
                ),
            ];
            let answers =
                together(calls.map(|(operation, input)| house.call(operation, input))).await;
            assert_eq!(answers[1].status, 200, "{}", answers[1].body);
            for answer in [&answers[0], &answers[2]] {
                assert!(
                    answer.status == 200 || answer.body.contains("ResourceNotFoundException"),
                    "{}",
                    answer.body
                );
            }
            assert_eq!(house.rows(ROWS, &pool).await, 0);
        }
    }
}

// Templates

fn with_templates(scratch: &Scratch) -> Settings {
    Settings { templates_dir: Some(scratch.0.clone()), ..Settings::default() }
}

#[tokio::test]
async fn an_operators_files_replace_the_built_in_ones_and_a_developer_sees_a_change_at_once() {
    let scratch = Scratch::new();
    std::fs::create_dir(scratch.0.join("texts")).unwrap();
    scratch.write("texts/de.toml", "button_sign_in = \"Los <b>geht's</b>\"\n");
    scratch.write("style.css", "body { background: #fedcba; }\n");
    for house in houses_with(with_templates(&scratch)).await {
        scratch.write("texts/de.toml", "button_sign_in = \"Los <b>geht's</b>\"\n");
        let (pool, client) = given(&house).await;
        let mut browser = Browser::new(&house, &pool, &client);
        let page = browser.opens("&lang=de").await;
        assert!(page.body.contains("Los &lt;b&gt;geht&#39;s&lt;/b&gt;"), "{}", page.body);
        assert!(page.body.contains("Passwort"), "other texts stay");
        assert!(
            page.body.contains("body { background: #fedcba; }") && !page.body.contains("--ink")
        );
        let policy = page.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; style-src 'nonce-"), "{policy}");

        scratch.write("texts/de.toml", "button_sign_in = \"Und los\"\n");
        assert!(browser.opens("").await.body.contains("Und los"));
        scratch.write("texts/de.toml", "button_sing_in = \"Und los\"\n");
        let page = browser.opens("").await;
        assert_eq!(page.status, 500);
        assert!(
            page.body.contains("texts/de.toml, line 1: there is no text button_sing_in."),
            "{}",
            page.body
        );
        scratch.write("texts/de.toml", "button_sign_in = \"Wieder da\"\n");
        assert!(browser.opens("").await.body.contains("Wieder da"));
    }
}

#[test]
fn templates_that_would_break_a_page_are_refused() {
    for (name, text, message) in [
        (
            "login.html",
            "{% extends \"base.html\" %}\n{% block content %}\n{{ oops",
            "login.html, line 3: ",
        ),
        (
            "login.html",
            "\n{{ oops }}",
            "login.html, line 2: the variable oops is not defined; this template has action, ",
        ),
        (
            "login.html",
            "<form\nmethod=\"post\"></form>",
            "login.html, line 1: this form lacks <input type=\"hidden\" name=\"_csrf\"",
        ),
        ("login.html", "<p>Closed</p>", "login.html, line 1: login.html lacks the field "),
        (
            "style.css",
            "a{}\n</style>",
            "style.css, line 2: a style sheet must not contain </ or <!--, which end it.",
        ),
    ] {
        let scratch = Scratch::new();
        scratch.write(name, text);
        let told = refused(&scratch.0);
        let message = format!("The templates in {}: {message}", scratch.0.display());
        assert!(told.starts_with(&message), "{told}");
    }
    let scratch = Scratch::new();
    scratch.write("signin.html", "<p>misspelt</p>");
    let message = format!(
        "{} is not a template of the hosted pages. Those are: base.html, ",
        scratch.path("signin.html")
    );
    assert!(refused(&scratch.0).starts_with(&message), "{}", refused(&scratch.0));
    let scratch = Scratch::new();
    std::fs::write(scratch.0.join("login.html"), [0xff, 0xfe]).unwrap();
    let message = format!("{} cannot be read: ", scratch.path("login.html"));
    assert!(refused(&scratch.0).starts_with(&message), "{}", refused(&scratch.0));
    let message = format!("The templates folder {} cannot be read: ", scratch.path("gone"));
    assert!(refused(&scratch.0.join("gone")).starts_with(&message));
}

#[test]
fn a_folder_may_be_empty_but_for_what_editors_leave() {
    let scratch = Scratch::new();
    scratch.write(".gitignore", "*");
    scratch.write("login.html~", "an editor's copy");
    assert!(Templates::open(Some(&scratch.0), false).is_ok());
}

fn refused(folder: &Path) -> String {
    Templates::open(Some(folder), false).err().expect("it was taken").message.into_owned()
}

#[test]
fn the_built_in_templates_can_be_exported_and_a_folder_checked() {
    let scratch = Scratch::new();
    scratch.write("style.css", "body { color: red; }\n");
    let output = run(&["templates", "export", scratch.0.to_str().unwrap()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("1 were there and stay as they are."), "{text}");
    assert_eq!(
        std::fs::read_to_string(scratch.0.join("style.css")).unwrap(),
        "body { color: red; }\n"
    );
    assert!(
        std::fs::read_to_string(scratch.0.join("texts/zh-TW.toml")).unwrap().contains("繁體中文")
    );
    assert!(run(&["templates", "check", scratch.0.to_str().unwrap()]).status.success());

    let base = std::fs::read_to_string(scratch.0.join("base.html")).unwrap();
    scratch.write("base.html", &base.replace("{{ lang }}", "{{ tongue }}"));
    let told = complaint(&["templates", "check", scratch.0.to_str().unwrap()]);
    assert!(told.contains("base.html, line 2: the variable tongue is not defined"), "{told}");
    // And a server does not start with it.
    let elsewhere = Scratch::new();
    let data = elsewhere.path("data");
    let told = complaint(&[
        "dev",
        "--port",
        "0",
        "--tls-port",
        "0",
        "--data",
        &data,
        "--templates-dir",
        scratch.0.to_str().unwrap(),
    ]);
    assert!(told.contains("base.html, line 2: the variable tongue is not defined"), "{told}");
}
