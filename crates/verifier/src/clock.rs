//! Time, twice: a clock that only goes on, also while the machine sleeps, and the wall clock, which may jump. Tests bring their own.

use std::time::Duration;

pub trait Clock: Send + Sync + 'static {
    /// Milliseconds since some moment. Never goes back, and counts the time for which the machine slept.
    fn monotonic_ms(&self) -> u64;

    /// Milliseconds since 1970.
    fn wall_ms(&self) -> u64;
}

/// The machine's clocks.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn monotonic_ms(&self) -> u64 {
        monotonic()
    }

    #[allow(clippy::disallowed_methods, reason = "this is the clock")]
    fn wall_ms(&self) -> u64 {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}

/// What std calls monotonic stands still while a laptop sleeps, and an hour-old state of the feed would look fresh.
#[cfg(unix)]
fn monotonic() -> u64 {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    const ID: rustix::time::ClockId = rustix::time::ClockId::Boottime;
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    const ID: rustix::time::ClockId = rustix::time::ClockId::Monotonic;
    let time = rustix::time::clock_gettime(ID);
    u64::try_from(time.tv_sec).unwrap_or(0) * 1_000
        + u64::try_from(time.tv_nsec).unwrap_or(0) / 1_000_000
}

#[cfg(not(unix))]
#[allow(clippy::disallowed_methods, reason = "this is the clock")]
fn monotonic() -> u64 {
    static START: std::sync::LazyLock<std::time::Instant> =
        std::sync::LazyLock::new(std::time::Instant::now);
    u64::try_from(START.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// The one place where the background work waits.
#[allow(
    clippy::disallowed_methods,
    reason = "background work of a library has no caller to hand a timer to"
)]
pub(crate) async fn pause(time: Duration) {
    tokio::time::sleep(time).await;
}
