//! What the process counts about itself, and how Prometheus reads it (OpenMetrics text). `Meters::new` lists everything that is counted;
//! `docs/metrics.md` is that list. Labels never hold what a request may choose: a scraper's memory must not be at the mercy of requests.

mod process;

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use prometheus_client::encoding::EncodeMetric;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
pub use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry};

type Label = (&'static str, Cow<'static, str>);
type Counters<const LABELS: usize> = Family<[Label; LABELS], Counter>;
type Gauges<const LABELS: usize> = Family<[Label; LABELS], Gauge>;
type Histograms<const LABELS: usize> = Family<[Label; LABELS], Histogram, fn() -> Histogram>;

/// What is in the text, for whoever describes it.
pub struct Described {
    /// As in queries: with `_total`, `_info`.
    pub name: String,
    pub kind: &'static str,
    pub labels: &'static [&'static str],
    pub help: &'static str,
}

pub struct Meters {
    draining: AtomicBool,
    books: Books,
    requests: Counters<3>,
    durations: Histograms<1>,
    sign_ins: Counters<2>,
    sign_outs: Counters<2>,
    numbered: Histogram,
    told: Counters<1>,
    deliveries: Counters<2>,
    delivered: Histograms<1>,
    undelivered: Gauge,
    undelivered_oldest: Gauge,
    dead_letters: Gauge,
    tokens: Counters<1>,
    limited: Counters<2>,
    reruns: Counter,
    messages: Counters<2>,
    pending: Gauge,
    oldest: Gauge,
    workers: Counters<2>,
    learned: Counters<2>,
    connections: Gauges<1>,
    waiting: Gauges<1>,
    running: Gauge,
}

/// What the pool for arithmetic counts.
#[derive(Clone)]
pub struct Compute {
    waits: Histograms<1>,
    refused: Counters<1>,
}

/// What the client of outgoing requests counts.
#[derive(Clone)]
pub struct Outgoing {
    requests: Counters<1>,
    seconds: Histogram,
}

/// What the storage layer counts; its readers and writers each fill in what is theirs.
#[derive(Clone)]
pub struct Store {
    commits: Counters<1>,
    seconds: Histogram,
    pub sqlite_queue: Gauge,
    pub sqlite_group: Histogram,
    connections: Gauges<1>,
    pub postgres_waiting: Gauge,
}

/// What is known only when somebody asks.
pub struct Now {
    pub signing: usize,
    pub arithmetic: usize,
    pub running: usize,
    /// Messages that wait to be sent, and since when the first of them is due, in milliseconds.
    pub pending: i64,
    pub oldest_ms: i64,
    /// Deliveries that wait, for how long the first of them has waited, and those that were given up.
    pub undelivered: i64,
    pub undelivered_ms: i64,
    pub dead_letters: i64,
}

impl Meters {
    pub fn new(compute: &Compute, store: &Store, outgoing: &Outgoing) -> Meters {
        let mut books = Books::default();
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        books.describe("cenote_build", &["version"], "The running release", &build);
        books.registry.register("cenote_build", "The running release", build);
        books.add(
            "cenote_compute_wait_seconds",
            &["queue"],
            "How long jobs waited for a thread",
            compute.waits.clone(),
        );
        books.add(
            "cenote_compute_refused",
            &["queue"],
            "Jobs refused because their queue was full",
            compute.refused.clone(),
        );
        books.add(
            "cenote_store_commits",
            &["result"],
            "Batches: ok, refused (by a guard), conflict (lost a race) or failed (outcome unknown or database away)",
            store.commits.clone(),
        );
        books.add(
            "cenote_store_commit_duration_seconds",
            &[],
            "Time from handing a batch over until it is durable or refused",
            store.seconds.clone(),
        );
        books.add(
            "cenote_sqlite_queue_batches",
            &[],
            "SQLite: batches that wait for the writer, at most 1024",
            store.sqlite_queue.clone(),
        );
        books.add(
            "cenote_sqlite_group_batches",
            &[],
            "SQLite: batches that shared one fsync",
            store.sqlite_group.clone(),
        );
        books.add(
            "cenote_postgres_connections",
            &["state"],
            "PostgreSQL: connections, in_use and idle",
            store.connections.clone(),
        );
        books.add(
            "cenote_postgres_waiting",
            &[],
            "PostgreSQL: requests that wait for a connection",
            store.postgres_waiting.clone(),
        );
        books.add(
            "cenote_outgoing_requests",
            &["result"],
            "Requests to identity providers and receivers of sign-outs: ok, 4xx, 5xx, redirect (not followed), timeout, unreachable, too_large, refused (by outgoing_allow)",
            outgoing.requests.clone(),
        );
        books.add(
            "cenote_outgoing_request_duration_seconds",
            &[],
            "Time from handing such a request over until its answer is read or given up",
            outgoing.seconds.clone(),
        );
        books.registry.register_collector(Box::new(process::Process));
        books.described.extend(process::described());
        Meters {
            draining: AtomicBool::new(false),
            requests: books.add(
                "cenote_requests",
                &["door", "operation", "result"],
                "Answered requests; the result is ok or the type of the error",
                Counters::default(),
            ),
            durations: books.add(
                "cenote_request_duration_seconds",
                &["route"],
                "Time from the head of a request to its answer",
                Histograms::new_with_constructor(moments),
            ),
            sign_ins: books.add(
                "cenote_sign_ins",
                &["door", "outcome"],
                "Attempts to sign in that were decided: ok, challenged, or the type of the error; by the door `federation` also ProviderRefused and ProviderUnreachable",
                Counters::default(),
            ),
            sign_outs: books.add(
                "cenote_sign_outs",
                &["kind", "reason"],
                "Committed records of sign-outs: U a user, S a token session, X a browser session, C a client, P a pool; and why",
                Counters::default(),
            ),
            numbered: books.add(
                "cenote_feed_numbering_seconds",
                &[],
                "Time from the commit of a record of a sign-out, by the clock of the server that committed it, until it has its number in the revocation feed",
                moments(),
            ),
            told: books.add(
                "cenote_upstream_sign_outs",
                &["outcome"],
                "Identity providers told of sign-outs: done, revoked, fresh (nothing was possible), left (IDPSignout is not set), failed \
                 (given up) or deferred (tried again later)",
                Counters::default(),
            ),
            deliveries: books.add(
                "cenote_deliveries",
                &["kind", "state"],
                "What became of telling receivers of sign-outs: done, deferred (tried again later), held (waits to be fetched), dead \
                 (given up: a dead letter) or not_possible",
                Counters::default(),
            ),
            delivered: books.add(
                "cenote_delivery_duration_seconds",
                &["kind"],
                "Time from a delivery being written, just after its sign-out, until its receiver took it",
                Histograms::new_with_constructor(moments),
            ),
            undelivered: books.add(
                "cenote_deliveries_pending",
                &[],
                "Deliveries that wait, counted up to 10000",
                Gauge::default(),
            ),
            undelivered_oldest: books.add(
                "cenote_deliveries_oldest_seconds",
                &[],
                "For how long the first of them has waited",
                Gauge::default(),
            ),
            dead_letters: books.add(
                "cenote_dead_letters",
                &[],
                "Deliveries that were given up in the last 30 days and not replayed, counted up to 10000",
                Gauge::default(),
            ),
            tokens: books.add(
                "cenote_tokens_issued",
                &["grant"],
                "Answers with tokens, by what they were given for",
                Counters::default(),
            ),
            limited: books.add(
                "cenote_rate_limited",
                &["category", "by"],
                "Requests refused by a rate limit: of which category, and whose number it was",
                Counters::default(),
            ),
            reruns: books.add(
                "cenote_operation_reruns",
                &[],
                "Operations that ran again because another one was quicker at the same row",
                Counter::default(),
            ),
            messages: books.add(
                "cenote_messages",
                &["channel", "result"],
                "Attempts to hand a message over: sent, failed (given up) or deferred (tried again later)",
                Counters::default(),
            ),
            pending: books.add(
                "cenote_messages_pending",
                &[],
                "Messages that wait to be sent, counted up to 10000; in cenote dev, where nothing leaves, the outbox",
                Gauge::default(),
            ),
            oldest: books.add(
                "cenote_messages_oldest_due_seconds",
                &[],
                "For how long the first of them has been due",
                Gauge::default(),
            ),
            workers: books.add(
                "cenote_worker_runs",
                &["worker", "result"],
                "Turns of the background workers: ok or failed",
                Counters::default(),
            ),
            learned: books.add(
                "cenote_provider_fetches",
                &["what", "result"],
                "Fetches of saml_metadata, discovery and jwks of identity providers: ok, changed or failed (the last good copy stays in use)",
                Counters::default(),
            ),
            connections: books.add(
                "cenote_connections",
                &["listener"],
                "Open connections of clients: public (at most 10000) and operator (at most 64)",
                Gauges::default(),
            ),
            waiting: books.add(
                "cenote_compute_waiting",
                &["queue"],
                "Jobs that wait for a thread: signing goes before arithmetic (passwords, keys)",
                Gauges::default(),
            ),
            running: books.add(
                "cenote_compute_running",
                &[],
                "Jobs that are running, at most one for each core",
                Gauge::default(),
            ),
            books,
        }
    }

    /// From now on load balancers should send nothing.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Counts one answered request. The operation is one of the interface, or a page or endpoint of ours.
    pub fn count(&self, door: &'static str, operation: &str, result: &'static str) {
        let operation = ("operation", Cow::Owned(operation.to_owned()));
        self.requests
            .get_or_create(&[label("door", door), operation, label("result", result)])
            .inc();
    }

    /// Remembers how long an answer took. Routes are those of the router, so there are few.
    pub fn observe(&self, route: &str, took: Duration) {
        let route = [("route", Cow::Owned(route.to_owned()))];
        self.durations.get_or_create(&route).observe(took.as_secs_f64());
    }

    pub fn signed_in(&self, door: &'static str, outcome: &'static str) {
        self.sign_ins.get_or_create(&[label("door", door), label("outcome", outcome)]).inc();
    }

    pub fn signed_out(&self, kind: &'static str, reason: &'static str) {
        self.sign_outs.get_or_create(&[label("kind", kind), label("reason", reason)]).inc();
    }

    /// A record has its number, so long after its commit. Clocks of servers may differ.
    pub fn numbered(&self, after_ms: i64) {
        let after = Duration::from_millis(u64::try_from(after_ms).unwrap_or(0));
        self.numbered.observe(after.as_secs_f64());
    }

    pub fn told_provider(&self, outcome: &'static str) {
        self.told.get_or_create(&[label("outcome", outcome)]).inc();
    }

    pub fn delivery(&self, kind: &'static str, state: &'static str) {
        self.deliveries.get_or_create(&[label("kind", kind), label("state", state)]).inc();
    }

    /// Its receiver took it, so long after it was written.
    pub fn delivered(&self, kind: &'static str, took_ms: i64) {
        self.delivery(kind, "done");
        self.delivered.get_or_create(&[label("kind", kind)]).observe(took_ms as f64 / 1_000.0);
    }

    pub fn issued(&self, grant: &'static str) {
        self.tokens.get_or_create(&[label("grant", grant)]).inc();
    }

    pub fn limited(&self, category: &'static str, by: &'static str) {
        self.limited.get_or_create(&[label("category", category), label("by", by)]).inc();
    }

    pub fn rerun(&self) {
        self.reruns.inc();
    }

    pub fn message(&self, channel: &'static str, result: &'static str) {
        self.messages.get_or_create(&[label("channel", channel), label("result", result)]).inc();
    }

    pub fn worked(&self, worker: &'static str, result: &'static str) {
        self.workers.get_or_create(&[label("worker", worker), label("result", result)]).inc();
    }

    pub fn learned(&self, what: &'static str, result: &'static str) {
        self.learned.get_or_create(&[label("what", what), label("result", result)]).inc();
    }

    /// Open connections of a listener; whoever opens and closes them counts.
    pub fn connections(&self, listener: &'static str) -> Gauge {
        self.connections.get_or_create_owned(&[label("listener", listener)])
    }

    pub fn described(&self) -> &[Described] {
        &self.books.described
    }

    /// OpenMetrics text, version 1.0.0.
    pub fn text(&self, now: &Now) -> Result<String, std::fmt::Error> {
        let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        self.waiting.get_or_create(&[label("queue", "signing")]).set(count(now.signing));
        self.waiting.get_or_create(&[label("queue", "arithmetic")]).set(count(now.arithmetic));
        self.running.set(count(now.running));
        self.pending.set(now.pending);
        self.oldest.set(now.oldest_ms / 1_000);
        self.undelivered.set(now.undelivered);
        self.undelivered_oldest.set(now.undelivered_ms / 1_000);
        self.dead_letters.set(now.dead_letters);
        let mut text = String::new();
        encode(&mut text, &self.books.registry)?;
        Ok(text)
    }
}

impl Default for Compute {
    fn default() -> Compute {
        Compute { waits: Histograms::new_with_constructor(moments), refused: Counters::default() }
    }
}

impl Compute {
    pub fn begin(&self, queue: &'static str, waited: Duration) {
        self.waits.get_or_create(&[label("queue", queue)]).observe(waited.as_secs_f64());
    }

    pub fn refuse(&self, queue: &'static str) {
        self.refused.get_or_create(&[label("queue", queue)]).inc();
    }
}

impl Default for Outgoing {
    fn default() -> Outgoing {
        Outgoing { requests: Counters::default(), seconds: moments() }
    }
}

impl Outgoing {
    pub fn observe(&self, result: &'static str, took: Duration) {
        self.requests.get_or_create(&[label("result", result)]).inc();
        self.seconds.observe(took.as_secs_f64());
    }
}

impl Default for Store {
    fn default() -> Store {
        Store {
            commits: Counters::default(),
            seconds: moments(),
            sqlite_queue: Gauge::default(),
            sqlite_group: Histogram::new([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0]),
            connections: Gauges::default(),
            postgres_waiting: Gauge::default(),
        }
    }
}

impl Store {
    pub fn committed(&self, result: &'static str, took: Duration) {
        self.commits.get_or_create(&[label("result", result)]).inc();
        self.seconds.observe(took.as_secs_f64());
    }

    pub fn postgres(&self, in_use: i64, idle: i64, waiting: i64) {
        self.connections.get_or_create(&[label("state", "in_use")]).set(in_use);
        self.connections.get_or_create(&[label("state", "idle")]).set(idle);
        self.postgres_waiting.set(waiting);
    }
}

fn label(name: &'static str, value: &'static str) -> Label {
    (name, Cow::Borrowed(value))
}

fn moments() -> Histogram {
    Histogram::new([0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0])
}

#[derive(Default)]
struct Books {
    registry: Registry,
    described: Vec<Described>,
}

impl Books {
    /// Registers a metric, and gives the handle back that counts.
    fn add<M: Metric + EncodeMetric + Clone>(
        &mut self,
        name: &str,
        labels: &'static [&'static str],
        help: &'static str,
        metric: M,
    ) -> M {
        self.describe(name, labels, help, &metric);
        self.registry.register(name, help, metric.clone());
        metric
    }

    fn describe(
        &mut self,
        name: &str,
        labels: &'static [&'static str],
        help: &'static str,
        metric: &impl EncodeMetric,
    ) {
        let (kind, suffix) = match metric.metric_type() {
            MetricType::Counter => ("counter", "_total"),
            MetricType::Gauge => ("gauge", ""),
            MetricType::Histogram => ("histogram", ""),
            MetricType::Info => ("info", "_info"),
            MetricType::Unknown => ("unknown", ""),
        };
        self.described.push(Described { name: format!("{name}{suffix}"), kind, labels, help });
    }
}
