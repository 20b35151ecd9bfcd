//! What the process counts about itself, and how Prometheus reads it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Different sets of labels. What is beyond counts as `other`: a scraper's memory must not be at the mercy of requests.
const MAX_SERIES: usize = 1_000;
/// Upper bounds of the histogram, in seconds.
const BUCKETS: [f64; 11] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, f64::INFINITY];

#[derive(Default)]
pub struct Meters {
    draining: AtomicBool,
    /// Requests by door, operation and result.
    requests: Mutex<BTreeMap<(&'static str, String, &'static str), u64>>,
    /// How long they took, by route.
    durations: Mutex<BTreeMap<String, Histogram>>,
}

#[derive(Default)]
struct Histogram {
    counts: [u64; BUCKETS.len()],
    seconds: f64,
}

impl Meters {
    /// From now on load balancers should send nothing.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Counts one answered request.
    pub fn count(&self, door: &'static str, operation: &str, result: &'static str) {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        let full = requests.len() >= MAX_SERIES;
        let mut key = (door, operation.to_owned(), result);
        if full && !requests.contains_key(&key) {
            key.1 = "other".to_owned();
        }
        *requests.entry(key).or_default() += 1;
    }

    /// Remembers how long an answer took. Routes are those of the router, so there are few.
    pub fn observe(&self, route: &str, took: Duration) {
        let seconds = took.as_secs_f64();
        let mut durations = self.durations.lock().unwrap_or_else(PoisonError::into_inner);
        let histogram = durations.entry(route.to_owned()).or_default();
        histogram.seconds += seconds;
        // Each bucket counts on its own; the text adds them up.
        if let Some((count, _)) =
            histogram.counts.iter_mut().zip(BUCKETS).find(|(_, bound)| seconds <= *bound)
        {
            *count += 1;
        }
    }

    /// Prometheus' text format, version 0.0.4.
    pub fn text(&self) -> String {
        let mut text = format!(
            "# HELP cenote_build_info The running release.\n# TYPE cenote_build_info gauge\ncenote_build_info{{version=\"{}\"}} 1\n\
             # HELP cenote_requests_total Requests by door, operation and result.\n# TYPE cenote_requests_total counter\n",
            env!("CARGO_PKG_VERSION")
        );
        for ((door, operation, result), count) in
            &*self.requests.lock().unwrap_or_else(PoisonError::into_inner)
        {
            let operation = label(operation);
            let _ = writeln!(
                text,
                "cenote_requests_total{{door=\"{door}\",operation=\"{operation}\",result=\"{result}\"}} {count}"
            );
        }
        text.push_str("# HELP cenote_request_duration_seconds Time to the answer, by route.\n# TYPE cenote_request_duration_seconds histogram\n");
        for (route, histogram) in &*self.durations.lock().unwrap_or_else(PoisonError::into_inner) {
            let route = label(route);
            let mut sum = 0;
            for (count, bound) in histogram.counts.iter().zip(BUCKETS) {
                sum += count;
                let le = if bound.is_infinite() { "+Inf".to_owned() } else { bound.to_string() };
                let _ = writeln!(
                    text,
                    "cenote_request_duration_seconds_bucket{{route=\"{route}\",le=\"{le}\"}} {sum}"
                );
            }
            let _ = writeln!(
                text,
                "cenote_request_duration_seconds_sum{{route=\"{route}\"}} {}",
                histogram.seconds
            );
            let _ =
                writeln!(text, "cenote_request_duration_seconds_count{{route=\"{route}\"}} {sum}");
        }
        text
    }
}

fn label(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_ascii_graphic() && !matches!(c, '"' | '\\') { c } else { '_' })
        .collect()
}
