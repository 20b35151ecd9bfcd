//! A database that an older release made goes on as it was: who is signed in and who is not, the epochs, the records of sign-outs, the
//! keys; and its old sign-outs are in the feed that it did not have before.

use std::collections::BTreeMap;
use std::path::Path;

use cenote::config::Settings;
use cenote::cx::Cx;
use cenote::delivery::outbox::{expand, work};
use cenote::store::schema::MIGRATIONS;
use cenote::store::{Batch, Db, Options, Rank, Val, backup, feed, purge, records};
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::backup::empty;
use crate::browser::{Browser, code_client};
use crate::cli::Scratch;
use crate::feed::Verifier;
use crate::house::{House, NOW, PASSWORD, refusal};
use crate::oauth_machine::claims;
use crate::sequencer::number;

/// What the test knows of a database that somebody used.
struct Known {
    pool: String,
    client: String,
    ann: String,
    bob: String,
    /// Living tokens of ann's.
    alive: Value,
    /// Of hers, too, revoked.
    revoked: Value,
    /// Of bob, who was signed out everywhere.
    signed_out: Value,
    /// A sign-out of before: that of bob.
    signout: String,
    cookies: BTreeMap<String, String>,
    epochs: String,
}

/// What every release since the first could do.
async fn used(house: &House) -> Known {
    let pool = house.pool(json!({})).await;
    let client = house.client(&pool, code_client()).await;
    let (ann, bob) = (house.user(&pool, "ann").await, house.user(&pool, "bob").await);
    let (alive, revoked) =
        (house.signs_in(&client, "ann").await, house.signs_in(&client, "ann").await);
    house.ok("RevokeToken", json!({ "ClientId": client, "Token": revoked["RefreshToken"] })).await;
    let signed_out = house.signs_in(&client, "bob").await;
    house.advance(1);
    let input = json!({ "UserPoolId": pool, "Username": "bob" });
    let answer = house.call("AdminUserGlobalSignOut", input).await;
    house.advance(1);
    let other = house.client(&pool, json!({})).await;
    house.ok("DeleteUserPoolClient", json!({ "UserPoolId": pool, "ClientId": other })).await;
    let mut browser = Browser::new(house, &pool, &client);
    browser.gets_tokens("ann", PASSWORD).await;
    let (cookies, epochs) = (browser.cookies.clone(), epochs(&house.app.db).await);
    let signout = answer.header("x-cenote-signout").to_owned();
    Known { pool, client, ann, bob, alive, revoked, signed_out, signout, cookies, epochs }
}

/// The clocks and boundaries of everybody.
async fn epochs(db: &Db) -> String {
    let users = "SELECT pool_id, sub, clock_ms, epoch_ms, code_epoch_ms, sso_epoch_ms FROM users ORDER BY pool_id, sub";
    let pools = "SELECT pool_id, epoch_ms, longest_token_ms FROM pools ORDER BY pool_id";
    let clients = "SELECT client_id, epoch_ms FROM clients ORDER BY client_id";
    let mut all = Vec::new();
    for sql in [users, pools, clients] {
        all.extend(db.query(sql, &[]).await.unwrap());
    }
    format!("{all:?}")
}

/// Makes of an empty database one that a release with the first `version` migrations wrote: the rows of `from`, as far as that release
/// had tables and columns for them.
async fn as_of(version: usize, from: &Path, db: &Db) {
    let then = &MIGRATIONS[..version];
    db.migrate(then).await.unwrap();
    let (source, schema) = (Connection::open(from).unwrap(), Connection::open_in_memory().unwrap());
    then.iter().for_each(|script| schema.execute_batch(script).unwrap());
    let names = texts(
        &schema,
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'",
    );
    assert!(names.len() > 20);
    let mut batch = Batch::new();
    for table in names {
        let columns = texts(&schema, &format!("SELECT name FROM pragma_table_info('{table}')"));
        let places: Vec<String> = (1..=columns.len()).map(|n| format!("?{n}")).collect();
        let (list, places) = (columns.join(", "), places.join(", "));
        let insert: &'static str = format!("INSERT INTO {table} ({list}) VALUES ({places})").leak();
        let mut rows = source.prepare(&format!("SELECT {list} FROM {table}")).unwrap();
        let rows = rows.query_map([], |row| (0..columns.len()).map(|n| row.get(n)).collect());
        for row in rows.unwrap() {
            batch.any(Rank::Meta, insert, row.unwrap());
        }
    }
    // Nobody numbered records, and the key of a session was that of its id.
    let old = "UPDATE records SET seq = NULL, key16 = ?1";
    batch.any(Rank::Record, old, vec![Val::Blob(vec![7; 16])]);
    db.commit(batch).await.unwrap();
    assert_eq!(db.schema_version().await.unwrap(), version as i64);
}

fn texts(database: &Connection, sql: &str) -> Vec<String> {
    let mut statement = database.prepare(sql).unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

async fn opened(url: &str) -> Db {
    Db::open(url, Options { pool_size: 2, ..Options::default() }).await.unwrap()
}

/// What a release of today makes of it.
async fn goes_on(house: &House, known: &Known) {
    let Known { pool, client, .. } = known;
    let db = &house.app.db;
    assert_eq!(db.schema_version().await.unwrap(), MIGRATIONS.len() as i64);
    assert_eq!(epochs(db).await, known.epochs);

    // Who was signed in is, and who was not is not.
    let of = |tokens: &Value| json!({ "AccessToken": tokens["AccessToken"] });
    house.ok("GetUser", of(&known.alive)).await;
    for tokens in [&known.revoked, &known.signed_out] {
        let revoked = refusal("NotAuthorized", "Access Token has been revoked");
        assert_eq!(house.refused("GetUser", of(tokens)).await, revoked);
        let input = json!({ "ClientId": client, "RefreshToken": tokens["RefreshToken"] });
        let revoked = refusal("NotAuthorized", "Refresh Token has been revoked");
        assert_eq!(house.refused("GetTokensFromRefreshToken", input).await, revoked);
    }
    let input = json!({ "ClientId": client, "RefreshToken": known.alive["RefreshToken"] });
    let fresh = house.ok("GetTokensFromRefreshToken", input).await["AuthenticationResult"].clone();
    let session = |tokens: &Value| claims(&tokens["AccessToken"])["origin_jti"].clone();
    assert_eq!(session(&fresh), session(&known.alive));
    house.ok("GetUser", of(&fresh)).await;
    let mut browser = Browser::new(house, pool, client);
    browser.cookies = known.cookies.clone();
    assert!(browser.opens("").await.body.contains("Sign in as"));

    // The feed begins with the old sign-outs; their receivers were nobody, and stay nobody.
    let old = records::all(db, pool).await.unwrap();
    let kinds: Vec<&str> = old.iter().map(|record| record.kind.as_str()).collect();
    assert_eq!(kinds, ["S", "U", "C"]);
    number(house).await;
    let head = feed::head(db, pool).await.unwrap().unwrap();
    assert_eq!((head.base, head.last), (0, 3));
    let fed = feed::after(db, pool, 0, 3, 10).await.unwrap();
    for (record, (_, entry, _)) in old.iter().zip(&fed) {
        let key = cenote::signout::key16(&record.kind, pool, &record.subject);
        assert_eq!((entry.key16, entry.not_before_ms), (key, record.not_before_ms));
        assert_eq!(entry.drop_after_ms, record.drop_after_ms);
        assert_eq!(record.expanded_ms, Some(record.committed_ms));
    }
    let receipt = crate::receipt::reads(house, pool, &known.signout).await;
    assert_eq!(receipt["records"], json!([{ "kind": "U", "seq": 2 }]));

    // And it goes on.
    let mut verifier = Verifier::of(house, pool).await;
    assert_eq!(verifier.seq, 3);
    let input = json!({ "UserPoolId": pool, "Username": "ann" });
    let signout = house.call("AdminUserGlobalSignOut", input).await;
    let revoked = refusal("NotAuthorized", "Access Token has been revoked");
    for tokens in [&known.alive, &fresh] {
        assert_eq!(house.refused("GetUser", of(tokens)).await, revoked);
    }
    number(house).await;
    let learned = verifier.learns(house, 0).await;
    assert_eq!(learned[0][1], json!(crate::feed::key16("U", pool, &known.ann)));
    // All of this was born at that moment.
    assert!(learned[0][2].as_i64().unwrap() > NOW);
    let cx = || Cx::system(house.app.clone());
    expand::run_once(cx()).await.unwrap();
    assert!(work::begin(&cx()).await.unwrap().is_empty());
    let signout = signout.header("x-cenote-signout");
    assert!(crate::receipt::reads(house, pool, signout).await["records"][0]["seq"].is_i64());

    let again = house.signs_in(client, "bob").await;
    assert_eq!(claims(&again["AccessToken"])["sub"], json!(known.bob));
    house.advance(60 * 86_400_000);
    purge::run(db, house.app.clock.now_ms()).await.unwrap();
    assert_eq!(records::all(db, pool).await.unwrap().len(), 0);
}

#[tokio::test]
async fn a_database_of_each_older_schema_is_brought_forward_and_goes_on() {
    let scratch = Scratch::new();
    let source = House::on_sqlite(Settings::default()).await;
    let known = used(&source).await;
    let file = scratch.0.join("source");
    backup::write(&source.app.db, &file).await.unwrap();
    for version in 1..MIGRATIONS.len() {
        for url in empty(&scratch, &format!("upgrade_{version}")).await {
            let db = opened(&url).await;
            as_of(version, &file, &db).await;
            db.close().await;
            let house = House::open(&url, Settings::default(), None).await;
            assert_eq!(house.app.clock.now_ms(), NOW);
            goes_on(&house, &known).await;
        }
    }
}

#[tokio::test]
async fn a_backup_of_each_older_schema_is_restored_into_either_database() {
    let scratch = Scratch::new();
    let source = House::on_sqlite(Settings::default()).await;
    let known = used(&source).await;
    let file = scratch.0.join("source");
    backup::write(&source.app.db, &file).await.unwrap();
    for version in 1..MIGRATIONS.len() {
        let (old, taken) = (scratch.path("old"), scratch.0.join(format!("taken-{version}")));
        let db = opened(&format!("sqlite://{old}-{version}")).await;
        as_of(version, &file, &db).await;
        backup::write(&db, &taken).await.unwrap();
        db.close().await;
        for url in empty(&scratch, &format!("restored_{version}")).await {
            backup::read(&taken, &url, None).await.unwrap();
            let house = House::open(&url, Settings::default(), None).await;
            backup::finish(&house.app.db).await.unwrap();
            goes_on(&house, &known).await;
        }
    }
}
