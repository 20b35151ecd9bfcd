//! Backups: what comes back is what was there, on either database; and no sign-out is forgotten by it.

use std::collections::BTreeMap;
use std::path::Path;

use cenote::admin::everybody;
use cenote::config::Settings;
use cenote::cx::Cx;
use cenote::store::{Db, Options, backup, records};
use rusqlite::Connection;
use rusqlite::types::Value as Cell;
use serde_json::{Value, json};

use crate::cli::{Scratch, complaint, run};
use crate::house::{House, houses_alone};
use crate::process::Process;

/// Every row of every table, but for the mark of a restoration.
pub fn contents(file: &Path) -> BTreeMap<String, Vec<Vec<Cell>>> {
    let database = Connection::open(file).unwrap();
    let mut names = database
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
        .unwrap();
    let names: Vec<String> =
        names.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let table = |name: String| {
        let all = format!("SELECT * FROM {name}");
        let mut all = database.prepare(&all).unwrap();
        let columns = all.column_count();
        let rows = all.query_map([], |row| (0..columns).map(|n| row.get(n)).collect()).unwrap();
        let mut rows: Vec<Vec<Cell>> = rows.map(Result::unwrap).collect();
        rows.retain(|row| row.first() != Some(&Cell::Text("restoring".to_owned())));
        rows.sort_by_key(|row| format!("{row:?}"));
        (name, rows)
    };
    names.into_iter().map(table).collect()
}

/// Databases that nobody has used.
pub async fn empty(scratch: &Scratch, name: &str) -> Vec<String> {
    let mut urls = vec![format!("sqlite://{}", scratch.path(name))];
    for house in houses_alone(name).await.iter().filter(|house| !house.app.db.is_sqlite()) {
        let url = &house.url;
        let (server, schema) = url.rsplit_once("%3D").unwrap();
        let (client, connection) = tokio_postgres::connect(
            std::env::var("CENOTE_TEST_PG").unwrap().as_str(),
            tokio_postgres::NoTls,
        )
        .await
        .unwrap();
        tokio::spawn(connection);
        client.batch_execute(&format!("CREATE SCHEMA {schema}_empty")).await.unwrap();
        urls.push(format!("{server}%3D{schema}_empty"));
    }
    urls
}

pub async fn populated(house: &House) {
    let pool = house.pool(json!({})).await;
    let client = house.client(&pool, json!({})).await;
    // Text that is no ASCII, numbers beyond 32 bits and empty values are among what a pool with users holds.
    house.user(&pool, "änne-日本").await;
    let input = json!({ "AuthFlow": "USER_PASSWORD_AUTH", "ClientId": client,
        "AuthParameters": { "USERNAME": "änne-日本", "PASSWORD": crate::house::PASSWORD } });
    let tokens = house.ok("InitiateAuth", input).await;
    let token = &tokens["AuthenticationResult"]["AccessToken"];
    house.ok("GlobalSignOut", json!({ "AccessToken": token })).await;
}

#[tokio::test]
async fn what_comes_back_is_what_was_there_from_either_database_to_either() {
    let scratch = Scratch::new();
    for (n, house) in houses_alone("backup_source").await.iter().enumerate() {
        populated(house).await;
        let file = scratch.0.join(format!("backup-{n}"));
        backup::write(&house.app.db, &file).await.unwrap();
        let there = contents(&file);
        assert!(there["users"].len() == 1 && !there["records"].is_empty(), "{there:?}");
        for (m, url) in empty(&scratch, &format!("backup_target_{n}")).await.iter().enumerate() {
            backup::read(&file, url, None).await.unwrap();
            let db = Db::open(url, Options { pool_size: 2, ..Options::default() }).await.unwrap();
            let refused = backup::check_finished(&db).await.unwrap_err().message;
            assert!(refused.contains("cenote restore --in-place"), "{refused}");
            let again = scratch.0.join(format!("again-{n}-{m}"));
            backup::write(&db, &again).await.unwrap();
            assert!(contents(&again) == there, "{url}");
            backup::finish(&db).await.unwrap();
            backup::check_finished(&db).await.unwrap();
            db.close().await;
        }
    }
}

#[tokio::test]
async fn a_backup_is_taken_at_one_moment_while_the_server_goes_on() {
    let scratch = Scratch::new();
    for (n, house) in houses_alone("backup_moment").await.iter().enumerate() {
        let pool = house.pool(json!({})).await;
        for name in 0..20 {
            house.user(&pool, &format!("before-{name}")).await;
        }
        let file = scratch.0.join(format!("moment-{n}"));
        let work = async {
            for name in 0..20 {
                house.user(&pool, &format!("meanwhile-{name}")).await;
            }
        };
        let (written, ()) = tokio::join!(backup::write(&house.app.db, &file), work);
        written.unwrap();
        let there = contents(&file);
        // A user has two names at most, and a name has its user: no half of a commit is in it.
        let users: Vec<&Cell> = there["users"].iter().map(|row| &row[1]).collect();
        assert!(users.len() >= 20);
        assert!(there["logins"].iter().all(|row| users.contains(&&row[3])));
    }
}

#[tokio::test]
async fn a_database_in_use_is_not_written_over() {
    let scratch = Scratch::new();
    for (n, house) in houses_alone("backup_in_use").await.iter().enumerate() {
        let file = scratch.0.join(format!("in-use-{n}"));
        backup::write(&house.app.db, &file).await.unwrap();
        let before = contents(&file);
        let refused = backup::write(&house.app.db, &file).await.unwrap_err().message;
        assert!(refused.contains("it exists already"), "{refused}");
        let refused = backup::read(&file, &house.url, None).await.unwrap_err().message;
        assert!(
            refused.contains("There is a database") || refused.contains("is in use"),
            "{refused}"
        );
        let after = scratch.0.join(format!("after-{n}"));
        backup::write(&house.app.db, &after).await.unwrap();
        assert!(contents(&after) == before);
    }
}

#[tokio::test]
async fn what_is_no_whole_backup_of_this_release_is_refused_and_makes_nothing() {
    let scratch = Scratch::new();
    let house = houses_alone("backup_bad").await.remove(0);
    populated(&house).await;
    let good = scratch.0.join("good");
    backup::write(&house.app.db, &good).await.unwrap();
    let bytes = std::fs::read(&good).unwrap();
    let target = format!("sqlite://{}", scratch.path("target"));
    let mut damaged = bytes.clone();
    damaged[4096..12_288].fill(0xa5);
    let cases = [
        ("text", b"this is no database".to_vec(), "is no backup of Cenote"),
        ("empty", Vec::new(), "is no backup of Cenote"),
        ("half", bytes[..bytes.len() / 2].to_vec(), "is "),
        ("damaged", damaged, "is "),
    ];
    for (name, bytes, why) in cases {
        let file = scratch.0.join(name);
        std::fs::write(&file, bytes).unwrap();
        let refused = backup::read(&file, &target, None).await.unwrap_err().message;
        assert!(refused.contains(why), "{name}: {refused}");
        assert!(!scratch.0.join("target").exists(), "{name}");
    }
    let newer = scratch.0.join("newer");
    std::fs::copy(&good, &newer).unwrap();
    let database = Connection::open(&newer).unwrap();
    database.execute("INSERT INTO schema_version (version) VALUES (99)", []).unwrap();
    drop(database);
    let refused = backup::read(&newer, &target, None).await.unwrap_err().message;
    assert!(refused.contains("made by a newer release"), "{refused}");
    let missing = backup::read(&scratch.0.join("none"), &target, None).await.unwrap_err().message;
    assert!(missing.contains("Cannot open the backup"), "{missing}");
}

async fn kids(house: &House, pool: &str) -> Vec<String> {
    let keys =
        crate::feed::get(house, &format!("/{pool}/.well-known/jwks.json"), None).await.json();
    keys["keys"].as_array().unwrap().iter().map(|key| key["kid"].to_string()).collect()
}

#[tokio::test]
async fn a_key_that_was_revoked_after_the_backup_is_not_trusted_again() {
    let scratch = Scratch::new();
    for (n, source) in houses_alone("backup_keys").await.iter().enumerate() {
        let pool = source.pool(json!({})).await;
        let old = kids(source, &pool).await;
        let file = scratch.0.join(format!("keys-{n}"));
        backup::write(&source.app.db, &file).await.unwrap();
        for url in empty(&scratch, &format!("backup_keys_{n}")).await {
            backup::read(&file, &url, None).await.unwrap();
            let house = House::open(&url, Settings::default(), None).await;
            assert_eq!(kids(&house, &pool).await, old);
            let cx = Cx::system(house.app.clone());
            let restored = house.app.directory.pool(&house.app.db, &pool).await.unwrap().unwrap();
            everybody::restored(&cx, &restored).await.unwrap();
            // Which of them somebody revoked, the backup does not know.
            let new = kids(&house, &pool).await;
            assert!(new.len() == 2 && !new.iter().any(|kid| old.contains(kid)), "{old:?} {new:?}");
            let records = records::all(&house.app.db, &pool).await.unwrap();
            let mut told: Vec<String> = records
                .iter()
                .filter(|record| record.kind == "K" && record.reason == "restored")
                .map(|record| json!(record.subject).to_string())
                .collect();
            told.sort_by_key(|kid| old.iter().position(|old| old == kid));
            assert_eq!(told, old);
            assert_eq!(records.last().unwrap().kind, "P");
        }
    }
}

fn sign_in(server: &Process) -> Value {
    let input = json!({ "AuthFlow": "USER_PASSWORD_AUTH", "ClientId": server.get("client_id"),
        "AuthParameters": { "USERNAME": server.get("username"), "PASSWORD": server.get("password") } });
    let (status, answer) = server.call("InitiateAuth", &input).unwrap();
    assert_eq!(status, 200, "{answer}");
    answer["AuthenticationResult"]["AccessToken"].clone()
}

fn done(args: &[&str]) -> String {
    let output = run(args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_sign_out_that_the_backup_does_not_know_is_not_forgotten() {
    let (first, second) = (Scratch::new(), Scratch::new());
    let mut server = Process::start(&first.0, &[]);
    let token = sign_in(&server);
    let (data, file) = (first.path("data"), first.path("backup"));
    done(&["backup", "--to", &file, "--data", &data]);
    assert_eq!(server.call("GlobalSignOut", &json!({ "AccessToken": token })).unwrap().0, 200);
    let port = server.port();
    server.kill();

    std::fs::create_dir(second.0.join("data")).unwrap();
    let data = second.path("data");
    let wrong = second.write("data/master.key", &"00".repeat(32));
    let refused = complaint(&["restore", "--from", &file, "--data", &data]);
    assert!(refused.contains("key"), "{refused}");
    assert!(!second.0.join("data/cenote.db").exists());
    std::fs::remove_file(&wrong).unwrap();
    std::fs::copy(first.0.join("data/master.key"), second.0.join("data/master.key")).unwrap();
    let said = done(&["restore", "--from", &file, "--data", &data]);
    assert_eq!(
        said,
        "The database is restored, and everybody is signed out of all its pools (1).\n"
    );
    assert!(complaint(&["restore", "--from", &file, "--data", &data]).contains("already"));

    let server = Process::start_on(&second.0, port, &[]);
    let (status, refused) = server.call("GetUser", &json!({ "AccessToken": token })).unwrap();
    assert_eq!(
        (status, refused["message"].as_str().unwrap()),
        (400, "Invalid Access Token"),
        "the key that signed it is not trusted any more"
    );
    // Who signs in again is signed in.
    let token = sign_in(&server);
    assert_eq!(server.call("GetUser", &json!({ "AccessToken": token })).unwrap().0, 200);
}

#[test]
fn a_database_restored_by_other_means_is_signed_out_in_place() {
    let scratch = Scratch::new();
    let mut server = Process::start(&scratch.0, &[]);
    let (token, port) = (sign_in(&server), server.port());
    server.kill();
    let data = scratch.path("data");
    done(&["restore", "--in-place", "--data", &data]);
    let server = Process::start_on(&scratch.0, port, &[]);
    assert_eq!(server.call("GetUser", &json!({ "AccessToken": token })).unwrap().0, 400);
    assert_eq!(run(&["restore", "--data", &data]).status.code(), Some(2));
}
