//! `/metrics`: well formed, described in `docs/metrics.md`, and counting what happened.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

use crate::browser::{Browser, code_client};
use crate::house::{House, PASSWORD, houses};

const BEGIN: &str = "<!-- metrics: begin -->\n";
const END: &str = "<!-- metrics: end -->\n";

async fn scrape(house: &House) -> Scrape {
    let request =
        Request::get("/metrics").header("host", "localhost:9229").body(Body::empty()).unwrap();
    let answer = house.send(request).await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.header("content-type"),
        "application/openmetrics-text; version=1.0.0; charset=utf-8"
    );
    Scrape::parse(&answer.body)
}

/// The text, read by the rules of OpenMetrics; what breaks one of them panics.
struct Scrape {
    /// The type of each family.
    families: BTreeMap<String, String>,
    /// Each sample: name, labels, value.
    samples: Vec<(String, BTreeMap<String, String>, f64)>,
}

impl Scrape {
    fn parse(text: &str) -> Scrape {
        assert!(text.ends_with("# EOF\n"), "the text has no end");
        let mut scrape = Scrape { families: BTreeMap::new(), samples: Vec::new() };
        let mut family = String::new();
        let mut seen = BTreeSet::new();
        for line in text.lines().filter(|line| *line != "# EOF") {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').unwrap();
                assert!(help.ends_with('.') && help.len() > 10, "{line}");
                family = name.to_owned();
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap();
                assert_eq!(name, family, "HELP and TYPE name different families");
                let old = scrape.families.insert(family.clone(), kind.to_owned());
                assert!(old.is_none(), "{family} comes twice");
            } else {
                let (name, labels, value) = sample(line);
                let suffix = name.strip_prefix(&family);
                let suffix = suffix.unwrap_or_else(|| panic!("{name} stands under {family}"));
                let right = match &*scrape.families[&family] {
                    "counter" => suffix == "_total",
                    "gauge" => suffix.is_empty(),
                    "histogram" => ["_bucket", "_sum", "_count"].contains(&suffix),
                    "info" => suffix == "_info",
                    _ => false,
                };
                assert!(right, "{line} in {family}");
                assert!(seen.insert((name.clone(), labels.clone())), "{line} comes twice");
                scrape.samples.push((name, labels, value));
            }
        }
        scrape.check_histograms();
        scrape
    }

    /// Buckets only grow, and the last one is the count.
    fn check_histograms(&self) {
        let mut last: BTreeMap<(String, BTreeMap<String, String>), f64> = BTreeMap::new();
        for (name, labels, value) in &self.samples {
            let Some(family) = name.strip_suffix("_bucket") else { continue };
            let mut labels = labels.clone();
            let le = labels.remove("le").unwrap();
            let before = last.insert((family.to_owned(), labels.clone()), *value).unwrap_or(0.0);
            assert!(*value >= before, "{family} {labels:?} {le}");
            if le == "+Inf" {
                assert_eq!(self.value(&format!("{family}_count"), &labels), *value);
            }
        }
    }

    fn value(&self, name: &str, labels: &BTreeMap<String, String>) -> f64 {
        let mut found = self.samples.iter().filter(|(other, of, _)| other == name && of == labels);
        found.next().map_or(0.0, |(_, _, value)| *value)
    }

    fn get(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let labels =
            labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        self.value(name, &labels)
    }
}

/// `name{label="value",..} number`.
fn sample(line: &str) -> (String, BTreeMap<String, String>, f64) {
    let (head, value) = line.rsplit_once(' ').unwrap();
    let value = value.parse().unwrap_or_else(|_| panic!("{line}"));
    let Some((name, labels)) = head.split_once('{') else {
        return (head.to_owned(), BTreeMap::new(), value);
    };
    let labels = labels.strip_suffix('}').unwrap_or_else(|| panic!("{line}"));
    // Values with commas or escapes would need a real parser; ours have none.
    assert!(!labels.contains('\\'), "{line}");
    let labels = labels.split("\",").map(|pair| {
        let (name, value) = pair.split_once("=\"").unwrap_or_else(|| panic!("{line}"));
        (name.to_owned(), value.trim_end_matches('"').to_owned())
    });
    (name.to_owned(), labels.collect(), value)
}

/// Whether numbers went up by exactly this much since.
fn grew(before: &Scrape, after: &Scrape, name: &str, labels: &[(&str, &str)], by: f64) {
    let grown = after.get(name, labels) - before.get(name, labels);
    assert!((grown - by).abs() < 0.5, "{name} {labels:?}: {grown}, not {by}");
}

#[tokio::test]
async fn what_happens_is_counted_when_it_is_committed() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        let client = house.client(&pool, json!({})).await;
        house.user(&pool, "ann").await;
        let before = scrape(&house).await;
        let tokens = house.signs_in(&client, "ann").await;
        let refresh = json!({ "AuthFlow": "REFRESH_TOKEN_AUTH", "ClientId": client,
            "AuthParameters": { "REFRESH_TOKEN": tokens["RefreshToken"] } });
        house.ok("InitiateAuth", refresh).await;
        for name in ["ann", "nobody"] {
            let input = json!({ "AuthFlow": "USER_PASSWORD_AUTH", "ClientId": client,
                "AuthParameters": { "USERNAME": name, "PASSWORD": "Wrong-horse-9" } });
            house.call("InitiateAuth", input).await;
        }
        house.ok("GlobalSignOut", json!({ "AccessToken": tokens["AccessToken"] })).await;
        // The second one finds its token dead, so it ends nothing.
        house.refused("GlobalSignOut", json!({ "AccessToken": tokens["AccessToken"] })).await;
        let after = scrape(&house).await;

        let requests = |operation: &'static str, result: &'static str| {
            [("door", "cognito"), ("operation", operation), ("result", result)]
        };
        let total = "cenote_requests_total";
        grew(&before, &after, total, &requests("InitiateAuth", "ok"), 2.0);
        grew(&before, &after, total, &requests("GlobalSignOut", "ok"), 1.0);
        grew(&before, &after, total, &requests("GlobalSignOut", "NotAuthorizedException"), 1.0);
        let sign_in = |outcome: &'static str| [("door", "api"), ("outcome", outcome)];
        grew(&before, &after, "cenote_sign_ins_total", &sign_in("ok"), 1.0);
        grew(&before, &after, "cenote_sign_ins_total", &sign_in("NotAuthorizedException"), 1.0);
        grew(&before, &after, "cenote_sign_ins_total", &sign_in("UserNotFoundException"), 1.0);
        grew(&before, &after, "cenote_tokens_issued_total", &[("grant", "sign_in")], 1.0);
        grew(&before, &after, "cenote_tokens_issued_total", &[("grant", "refresh_token")], 1.0);
        let ended = [("kind", "U"), ("reason", "global_sign_out")];
        grew(&before, &after, "cenote_sign_outs_total", &ended, 1.0);
        let waits = "cenote_compute_wait_seconds_count";
        grew(&before, &after, waits, &[("queue", "signing")], 2.0);
        let arithmetic = [("queue", "arithmetic")];
        assert!(after.get(waits, &arithmetic) >= before.get(waits, &arithmetic) + 2.0);
        let commits = [("result", "ok")];
        assert!(
            after.get("cenote_store_commits_total", &commits)
                >= before.get("cenote_store_commits_total", &commits) + 4.0
        );
    }
}

#[tokio::test]
async fn a_code_exchange_is_counted_by_its_grant_and_a_logout_by_its_kind() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        let client = house.client(&pool, code_client()).await;
        house.user(&pool, "ann").await;
        let before = scrape(&house).await;
        let mut browser = Browser::new(&house, &pool, &client);
        browser.gets_tokens("ann", PASSWORD).await;
        let logout =
            format!("/logout?client_id={client}&logout_uri=https%3A%2F%2Fapp.example.com%2Fbye");
        assert_eq!(browser.get(&logout).await.status, 302);
        let after = scrape(&house).await;
        let sign_in = [("door", "hosted"), ("outcome", "ok")];
        grew(&before, &after, "cenote_sign_ins_total", &sign_in, 1.0);
        let grant = [("grant", "authorization_code")];
        grew(&before, &after, "cenote_tokens_issued_total", &grant, 1.0);
        let ended = |scrape: &Scrape| {
            let mut sum = 0.0;
            for (name, labels, value) in &scrape.samples {
                if name == "cenote_sign_outs_total" && labels["kind"] == "X" {
                    sum += value;
                }
            }
            sum
        };
        assert_eq!(ended(&after) - ended(&before), 1.0);
    }
}

#[tokio::test]
async fn nothing_that_a_request_may_choose_becomes_a_label() {
    for house in houses().await {
        let marks = ["Mark\"1\\", "mark2"];
        house.call(marks[0], json!({})).await;
        house
            .call(
                "SignUp",
                json!({ "ClientId": marks[1], "Username": marks[1], "Password": PASSWORD }),
            )
            .await;
        for path in ["/mark2", "/mark2/login?client_id=mark2", "/us-east-1_mark2/oauth2/token"] {
            let request = Request::get(path)
                .header("host", "mark2.localhost:9229")
                .header("user-agent", "mark2")
                .body(Body::empty())
                .unwrap();
            house.send(request).await;
        }
        let request =
            Request::get("/metrics").header("host", "localhost:9229").body(Body::empty()).unwrap();
        let text = house.send(request).await.body;
        assert!(!text.to_lowercase().contains("mark"), "{text}");
        let unknown = [
            ("door", "cognito"),
            ("operation", "unknown"),
            ("result", "UnknownOperationException"),
        ];
        assert!(Scrape::parse(&text).get("cenote_requests_total", &unknown) >= 1.0);
    }
}

#[tokio::test]
async fn messages_that_wait_are_counted_with_their_age() {
    for house in crate::house::houses_alone("metrics").await {
        let pool = house.pool(json!({ "AutoVerifiedAttributes": ["email"] })).await;
        let client = house.client(&pool, json!({})).await;
        assert_eq!(scrape(&house).await.get("cenote_messages_pending", &[]), 0.0);
        for name in ["ann", "bob"] {
            let input: Value = json!({ "ClientId": client, "Username": name, "Password": PASSWORD,
                "UserAttributes": [{ "Name": "email", "Value": format!("{name}@example.com") }] });
            house.ok("SignUp", input).await;
            house.advance(90_000);
        }
        let scrape = scrape(&house).await;
        assert_eq!(scrape.get("cenote_messages_pending", &[]), 2.0);
        assert_eq!(scrape.get("cenote_messages_oldest_due_seconds", &[]), 180.0);
    }
}

#[tokio::test]
async fn the_process_tells_of_itself_in_the_usual_names() {
    let house = House::on_sqlite(cenote::config::Settings::default()).await;
    let scrape = scrape(&house).await;
    let mb = scrape.get("process_resident_memory_bytes", &[]) / (1024.0 * 1024.0);
    assert!((5.0..4_000.0).contains(&mb), "{mb} MB");
    assert!(scrape.get("process_cpu_seconds_total", &[]) > 0.0);
    assert!(scrape.get("process_open_fds", &[]) >= 3.0);
    assert!(scrape.get("process_max_fds", &[]) > scrape.get("process_open_fds", &[]));
    assert!(scrape.get("process_start_time_seconds", &[]) > 1_700_000_000.0);
    let build = [("version", env!("CARGO_PKG_VERSION"))];
    assert_eq!(scrape.get("cenote_build_info", &build), 1.0);
}

/// What is told and what is described are one list.
#[tokio::test]
async fn metrics_md_describes_every_metric_and_no_other() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        let client = house.client(&pool, json!({})).await;
        house.user(&pool, "ann").await;
        house.signs_in(&client, "ann").await;
        let scrape = scrape(&house).await;
        let described = house.app.meters.described();
        for (family, kind) in &scrape.families {
            let found = described.iter().find(|metric| {
                metric.name.trim_end_matches("_total").trim_end_matches("_info") == family
            });
            let found = found.unwrap_or_else(|| panic!("{family} is told and not described"));
            assert_eq!(found.kind, kind, "{family}");
            let labels = scrape.samples.iter().find(|(name, ..)| name.starts_with(family.as_str()));
            for label in labels.unwrap().1.keys().filter(|label| *label != "le") {
                assert!(found.labels.contains(&label.as_str()), "{family} has a label {label}");
            }
        }
    }
    let house = House::on_sqlite(cenote::config::Settings::default()).await;
    let mut list = "| metric | type | labels | what it counts |\n|---|---|---|---|\n".to_owned();
    let mut described: Vec<_> = house.app.meters.described().iter().collect();
    described.sort_by_key(|metric| &metric.name);
    for metric in described {
        let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        list += &format!(
            "| `{}` | {} | {} | {} |\n",
            metric.name,
            metric.kind,
            labels.join(", "),
            metric.help
        );
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(BEGIN).expect("docs/metrics.md lacks its first mark");
    let (listed, after) = rest.split_once(END).expect("docs/metrics.md lacks its last mark");
    if std::env::var_os("CENOTE_WRITE_DOCS").is_some() {
        std::fs::write(&path, [before, BEGIN, &list, END, after].concat()).unwrap();
        return;
    }
    assert_eq!(listed, list, "write it anew: CENOTE_WRITE_DOCS=1 cargo test --test it metrics_md");
    // What the page recommends to ask for is there.
    for name in text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')) {
        let base = ["_bucket", "_count", "_sum"].iter().find_map(|end| name.strip_suffix(end));
        let known = |name: &str| described_names(&house).contains(name);
        if name.starts_with("cenote_") && name != "cenote_" {
            assert!(known(name) || base.is_some_and(known), "docs/metrics.md speaks of {name}");
        }
    }
}

fn described_names(house: &House) -> BTreeSet<String> {
    house.app.meters.described().iter().map(|metric| metric.name.clone()).collect()
}
