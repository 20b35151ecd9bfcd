//! Messages: dev's outbox, the SMTP worker, and what happens where nothing can be sent.

use std::sync::Arc;

use axum::body::Body;
use axum::http::Request;
use cenote::ambient::{Clock as _, MINUTE};
use cenote::config::{Mail, Settings};
use cenote::cx::Cx;
use cenote::notify::smtp;
use cenote::pool::{Client, ClientDoc, Pool, PoolDoc, schema};
use cenote::store::{Batch, pools};
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::sync::Mutex;

use crate::house::{Answer, House, NOW, PASSWORD, houses};

async fn outbox(house: &House, query: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::get(format!("/dev/outbox{query}"));
    if !headers.iter().any(|(name, _)| *name == "host") {
        request = request.header("host", "localhost:9229");
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    house.send(request.body(Body::empty()).unwrap()).await
}

async fn invite(house: &House, pool: &str, name: &str) {
    let input = json!({ "UserPoolId": pool, "Username": name, "UserAttributes": [{ "Name": "email", "Value": format!("{name}@example.com") }] });
    house.ok("AdminCreateUser", input).await;
}

#[tokio::test]
async fn the_outbox_shows_messages_newest_first() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        invite(&house, &pool, "outbox-ann").await;
        house.advance(1_500);
        house
            .ok(
                "AdminCreateUser",
                json!({ "UserPoolId": pool, "Username": "outbox-ann", "MessageAction": "RESEND" }),
            )
            .await;
        let answer =
            outbox(&house, "?to=outbox-ann%40example.com", &[("accept", "application/json")]).await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("access-control-allow-origin")),
            (200, "")
        );
        let messages = house.outbox(&pool, "outbox-ann@example.com").await;
        assert_eq!(messages.len(), 2);
        let mut members: Vec<&String> = messages[0].as_object().unwrap().keys().collect();
        members.sort();
        assert_eq!(
            members,
            ["body", "channel", "code", "created_at", "id", "pool", "subject", "to"]
        );
        assert_eq!(
            (messages[0]["channel"].as_str(), messages[0]["created_at"].as_f64()),
            (Some("email"), Some(NOW as f64 / 1000.0 + 1.5))
        );
    }
}

#[tokio::test]
async fn the_outbox_is_a_page_for_people_in_which_text_stays_text() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        let email = json!([{ "Name": "email", "Value": "bold@example.com" }]);
        house
            .ok(
                "AdminCreateUser",
                json!({ "UserPoolId": pool, "Username": "<b>bold", "UserAttributes": email }),
            )
            .await;
        let page = outbox(&house, "", &[("accept", "text/html")]).await;
        assert!(page.header("content-type").starts_with("text/html"));
        assert!(page.body.contains("&lt;b&gt;bold") && !page.body.contains("<b>bold"));
    }
}

#[tokio::test]
async fn no_page_of_another_origin_reads_the_outbox() {
    for house in houses().await {
        let json = ("accept", "application/json");
        assert_eq!(
            outbox(&house, "", &[json, ("origin", "https://evil.example")]).await.status,
            403
        );
        assert_eq!(outbox(&house, "", &[json, ("host", "evil.example")]).await.status, 421);
        assert_eq!(
            outbox(&house, "", &[json, ("origin", "http://localhost:9229")]).await.status,
            200
        );
    }
}

/// A server for production, with a pool and a client that were put there.
async fn production(mail: Option<Mail>) -> (House, String) {
    let house = House::on_sqlite(Settings { dev: false, mail, ..Settings::default() }).await;
    let mut pool = Pool {
        id: "us-east-1_Serve0000".into(),
        doc: PoolDoc::default(),
        ver: 1,
        epoch_ms: 0,
        longest_token_ms: 0,
        created_ms: NOW,
        modified_ms: NOW,
    };
    pool.doc.model.schema_attributes = Some(schema::build(&[]).unwrap());
    pool.doc.model.auto_verified_attributes = Some(vec!["email".into(), "phone_number".into()]);
    let client = Client {
        id: "serveclient".into(),
        pool_id: pool.id.clone(),
        doc: ClientDoc::default(),
        ver: 1,
        epoch_ms: 0,
        created_ms: NOW,
        modified_ms: NOW,
    };
    let mut batch = Batch::new();
    pools::insert(&mut batch, &pool).unwrap();
    pools::insert_client(&mut batch, &client).unwrap();
    house.app.db.commit(batch).await.unwrap();
    (house, client.id)
}

fn sign_up(client: &str, name: &str, attribute: &str, value: &str) -> serde_json::Value {
    json!({ "ClientId": client, "Username": name, "Password": PASSWORD, "UserAttributes": [{ "Name": attribute, "Value": value }] })
}

#[tokio::test]
async fn what_cannot_be_sent_is_refused_and_nothing_is_left_behind() {
    let (house, client) = production(None).await;
    for (attribute, value) in [("email", "ann@example.com"), ("phone_number", "+12065551234")] {
        let (kind, message) =
            house.refused("SignUp", sign_up(&client, "ann", attribute, value)).await;
        assert_eq!(kind, "CodeDeliveryFailureException", "{message}");
    }
    assert_eq!(
        house.refused("ForgotPassword", json!({ "ClientId": client, "Username": "ann" })).await.0,
        "UserNotFoundException"
    );
    assert_eq!(outbox(&house, "", &[("accept", "application/json")]).await.status, 404);
}

/// A mail server that says the given line to every letter, and remembers what it got.
async fn mail_server(reply: &'static str) -> (Mail, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mail = Mail {
        smtp_url: format!("smtp://{}", listener.local_addr().unwrap()),
        from: "Cenote <no-reply@example.com>".into(),
    };
    let letters = Arc::new(Mutex::new(Vec::new()));
    let kept = letters.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let kept = kept.clone();
            tokio::spawn(async move {
                let (read, mut write) = stream.into_split();
                let mut lines = BufReader::new(read).lines();
                let _ = write.write_all(b"220 ready\r\n").await;
                let mut letter: Option<String> = None;
                while let Ok(Some(line)) = lines.next_line().await {
                    let answer = match &mut letter {
                        Some(text) if line == "." => {
                            kept.lock().await.push(std::mem::take(text));
                            letter = None;
                            reply
                        }
                        Some(text) => {
                            text.push_str(&line);
                            text.push('\n');
                            continue;
                        }
                        None if line == "DATA" => {
                            letter = Some(String::new());
                            "354 go on"
                        }
                        None => "250 ok",
                    };
                    let _ = write.write_all(format!("{answer}\r\n").as_bytes()).await;
                }
            });
        }
    });
    (mail, letters)
}

async fn states(house: &House) -> Vec<(String, i64, usize)> {
    let rows = house
        .app
        .db
        .query("SELECT state, attempts, body FROM messages ORDER BY message_id", &[])
        .await
        .unwrap();
    rows.iter()
        .map(|row| (row.string(0).unwrap(), row.i64(1).unwrap(), row.blob(2).unwrap().len()))
        .collect()
}

#[tokio::test]
async fn mail_is_sent_once_and_its_text_is_wiped() {
    let (mail, letters) = mail_server("250 taken").await;
    let (house, client) = production(Some(mail)).await;
    house.ok("SignUp", sign_up(&client, "ann", "email", "ann@example.com")).await;
    smtp::run_once(Cx::system(house.app.clone())).await.unwrap();
    smtp::run_once(Cx::system(house.app.clone())).await.unwrap();
    let letters = letters.lock().await;
    assert_eq!(letters.len(), 1);
    for part in [
        "From: Cenote <no-reply@example.com>",
        "To: ann@example.com",
        "Subject: Your verification code",
        "Your confirmation code is ",
    ] {
        assert!(letters[0].contains(part), "{part} in {}", letters[0]);
    }
    assert_eq!(states(&house).await, [("sent".to_owned(), 1, 0)]);
}

#[tokio::test]
async fn mail_that_is_not_taken_is_tried_five_times_within_about_an_hour() {
    let (mail, letters) = mail_server("451 later").await;
    let (house, client) = production(Some(mail)).await;
    house.ok("SignUp", sign_up(&client, "ann", "email", "ann@example.com")).await;
    let begun = house.clock.now_ms();
    while states(&house).await[0].0 == "pending" {
        smtp::run_once(Cx::system(house.app.clone())).await.unwrap();
        house.advance(MINUTE);
    }
    assert_eq!(letters.lock().await.len(), 5);
    assert!((50 * MINUTE..70 * MINUTE).contains(&(house.clock.now_ms() - begun)));
    assert_eq!(states(&house).await, [("failed".to_owned(), 5, 0)]);
}

#[tokio::test]
async fn mail_that_is_refused_for_good_is_given_up_at_once() {
    let (mail, letters) = mail_server("550 no such mailbox").await;
    let (house, client) = production(Some(mail)).await;
    house.ok("SignUp", sign_up(&client, "ann", "email", "ann@example.com")).await;
    smtp::run_once(Cx::system(house.app.clone())).await.unwrap();
    assert_eq!(letters.lock().await.len(), 1);
    assert_eq!(states(&house).await, [("failed".to_owned(), 1, 0)]);
}

#[tokio::test]
async fn in_dev_nothing_leaves() {
    let (mail, letters) = mail_server("250 taken").await;
    let house = House::on_sqlite(Settings { mail: Some(mail), ..Settings::default() }).await;
    let pool = house.pool(json!({})).await;
    invite(&house, &pool, "ann").await;
    smtp::run_once(Cx::system(house.app.clone())).await.unwrap();
    assert!(letters.lock().await.is_empty());
    assert_eq!(house.outbox(&pool, "ann@example.com").await.len(), 1);
}
