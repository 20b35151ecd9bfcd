//! A restore that is killed, and what it leaves behind: never a database that is served and does not know that everybody is signed out.

use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use cenote::files;
use cenote::store::{Db, Options, backup, feed, pools};
use rusqlite::Connection;
use serde_json::json;

use crate::backup::{contents, empty, populated};
use crate::cli::{Scratch, run};
use crate::house::{MASTER_KEY, houses_alone};
use crate::process::pause;

/// Without taking the lock: the command may still hold nothing of it.
async fn look(url: &str) -> Db {
    let options = Options { lock: false, pool_size: 2, ..Options::default() };
    Db::open(url, options).await.unwrap()
}

/// How long it takes when it is let be.
#[allow(clippy::disallowed_methods, reason = "another process is waited for in real time")]
fn let_be(child: &mut Child) -> Duration {
    let begun = Instant::now();
    assert!(child.wait().unwrap().success());
    begun.elapsed()
}

/// How far a restore had come: whether there is anything, and whether it may be served.
async fn found(url: &str) -> (bool, bool) {
    if let Some(path) = url.strip_prefix("sqlite://")
        && !std::path::Path::new(path).exists()
    {
        return (false, false);
    }
    let db = look(url).await;
    let filled = db.schema_version().await.unwrap() > 0 && pools::count(&db).await.unwrap() > 0;
    let served = filled && backup::check_finished(&db).await.is_ok();
    db.close().await;
    (filled, served)
}

#[tokio::test]
async fn a_restore_that_is_killed_is_never_served_and_is_done_again() {
    let scratch = Scratch::new();
    let house = houses_alone("backup_killed").await.remove(0);
    for _ in 0..3 {
        populated(&house).await;
    }
    let (file, key) = (scratch.path("backup"), scratch.path("master.key"));
    backup::write(&house.app.db, file.as_ref()).await.unwrap();
    files::write_private(key.as_ref(), MASTER_KEY).unwrap();
    let before = pools::list(&house.app.db, "", 10).await.unwrap();

    let restore = |from: &[&str], url: &str| {
        let mut args = vec!["restore", "--master-key-file", &key, "--database-url", url];
        args.extend(from);
        args.into_iter().map(str::to_owned).collect::<Vec<String>>()
    };
    let mut half = 0;
    let mut took = Duration::ZERO;
    for n in 0..10_u32 {
        for url in empty(&scratch, &format!("killed_{n}")).await {
            let mut child = Command::new(env!("CARGO_BIN_EXE_cenote"))
                .args(restore(&["--from", &file], &url))
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            if n == 0 {
                took = took.max(let_be(&mut child));
            } else {
                pause(u64::try_from(took.as_millis()).unwrap() * u64::from(n) / 10);
                child.kill().unwrap();
                child.wait().unwrap();
            }
            let (filled, served) = found(&url).await;
            half += u32::from(filled && !served);
            if !served {
                let again: &[&str] =
                    if filled { &["--in-place"] } else { &["--from", file.as_str()] };
                let args = restore(again, &url);
                let output = run(&args.iter().map(String::as_str).collect::<Vec<_>>());
                let said = String::from_utf8_lossy(&output.stderr);
                assert!(output.status.success(), "{n} {again:?}: {said}");
            }
            let db = look(&url).await;
            backup::check_finished(&db).await.unwrap();
            let after = pools::list(&db, "", 10).await.unwrap();
            assert_eq!(after.len(), before.len());
            for pool in &after {
                assert!(pools::latest_clock(&db, &pool.id).await.unwrap() < pool.epoch_ms);
                assert!(feed::head(&db, &pool.id).await.unwrap().is_none_or(|head| head.base == 0));
            }
            db.close().await;
        }
    }
    assert!(half > 0, "no kill came in between; it takes {took:?}");
}

#[tokio::test]
async fn what_an_earlier_attempt_left_behind_is_not_played_back_into_the_next() {
    let scratch = Scratch::new();
    let house = houses_alone("backup_journal").await.remove(0);
    let (first, second) = (scratch.0.join("first"), scratch.0.join("second"));
    backup::write(&house.app.db, &first).await.unwrap();
    populated(&house).await;
    backup::write(&house.app.db, &second).await.unwrap();
    let there = contents(&second);

    // The journal of an attempt with the first backup that was killed while it wrote.
    let (work, target) = (scratch.0.join("work"), scratch.0.join("target"));
    std::fs::copy(&first, &work).unwrap();
    let database = Connection::open(&work).unwrap();
    database
        .execute_batch(
            "PRAGMA cache_size = 1; BEGIN IMMEDIATE; CREATE TABLE filler (x); \
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000) \
             INSERT INTO filler SELECT randomblob(500) FROM n",
        )
        .unwrap();
    std::fs::copy(scratch.0.join("work-journal"), scratch.0.join("target.part-journal")).unwrap();
    drop(database);

    // Whoever may read the backup need not be let into the database.
    std::fs::set_permissions(&second, PermissionsExt::from_mode(0o644)).unwrap();
    let url = format!("sqlite://{}", target.display());
    backup::read(&second, &url, None).await.unwrap();
    assert_eq!(std::fs::metadata(&target).unwrap().permissions().mode() & 0o777, 0o600);
    let db = look(&url).await;
    let again = scratch.0.join("again");
    backup::write(&db, &again).await.unwrap();
    assert!(contents(&again) == there, "{}", json!(target.display().to_string()));
    assert!(!scratch.0.join("target.part-journal").exists());
}
