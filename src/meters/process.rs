//! The process as the kernel sees it, read from `/proc` at each scrape, under the names that every Prometheus client uses. Elsewhere
//! than on Linux there is nothing.

use std::fs;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use super::Described;

/// Ticks of the kernel's process times in a second, on every architecture that we run on.
const TICKS: f64 = 100.0;

#[derive(Debug)]
pub struct Process;

const METRICS: [(&str, &str, &str); 6] = [
    ("process_cpu_seconds", "counter", "CPU time of this process, user and system"),
    ("process_resident_memory_bytes", "gauge", "Resident memory"),
    ("process_virtual_memory_bytes", "gauge", "Virtual memory"),
    ("process_start_time_seconds", "gauge", "When the process was started, in seconds since 1970"),
    ("process_open_fds", "gauge", "Open file descriptors"),
    ("process_max_fds", "gauge", "File descriptors that may be open"),
];

pub fn described() -> impl Iterator<Item = Described> {
    METRICS.into_iter().map(|(name, kind, help)| {
        let suffix = if kind == "counter" { "_total" } else { "" };
        Described { name: format!("{name}{suffix}"), kind, labels: &[], help }
    })
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        for ((name, kind, help), value) in METRICS.into_iter().zip(read()) {
            let Some(value) = value else { continue };
            let help = &format!("{help}.");
            if kind == "counter" {
                let metric = ConstCounter::new(value);
                metric.encode(encoder.encode_descriptor(
                    name,
                    help,
                    None,
                    metric.metric_type(),
                )?)?;
            } else {
                let metric = ConstGauge::new(value);
                metric.encode(encoder.encode_descriptor(
                    name,
                    help,
                    None,
                    metric.metric_type(),
                )?)?;
            }
        }
        Ok(())
    }
}

/// In the order of `METRICS`; what cannot be read is left out.
fn read() -> [Option<f64>; METRICS.len()] {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The second field is the program's name, which may hold spaces and brackets; the third is the first after its end.
    let fields: Vec<f64> = stat
        .rsplit_once(')')
        .map(|(_, rest)| {
            rest.split_whitespace().map(|field| field.parse().unwrap_or(0.0)).collect()
        })
        .unwrap_or_default();
    let field = |number: usize| fields.get(number - 3).copied();
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kilobytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim_start_matches(':').split_whitespace().next()?.parse::<f64>().ok()
    };
    let boot = fs::read_to_string("/proc/stat").ok().and_then(|text| {
        text.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse::<f64>().ok()
    });
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let most = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))
        .and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    #[allow(clippy::cast_precision_loss, reason = "there are fewer than 2^52 files")]
    let open = fs::read_dir("/proc/self/fd").ok().map(|entries| entries.count() as f64);
    [
        field(14).zip(field(15)).map(|(user, system)| (user + system) / TICKS),
        kilobytes("VmRSS").map(|kb| kb * 1_024.0),
        kilobytes("VmSize").map(|kb| kb * 1_024.0),
        boot.zip(field(22)).map(|(boot, started)| boot + started / TICKS),
        open,
        most,
    ]
}
