//! Moments as an operator reads and writes them: `2026-11-22T08:00:00Z`. UTC only.

pub use crate::ambient::rfc3339 as show;
use crate::ambient::{DAY, Ms, SECOND, civil};

/// A day, a moment in UTC, or epoch seconds.
pub fn parse(text: &str) -> Result<Ms, String> {
    read(text).ok_or_else(|| "write 2026-11-22, 2026-11-22T08:00:00Z or epoch seconds".to_owned())
}

fn read(text: &str) -> Option<Ms> {
    let number =
        |text: &str| text.bytes().all(|c| c.is_ascii_digit()).then(|| text.parse::<i64>().ok())?;
    if let Some(seconds) = number(text) {
        return seconds.checked_mul(SECOND);
    }
    let (day, time) = text.split_once('T').unwrap_or((text, "00:00:00Z"));
    let [year, month, date] = three(day, '-')?;
    let (time, fraction) = match time.strip_suffix('Z')?.split_once('.') {
        Some((time, fraction)) => (time, number(format!("{fraction:0<3}").get(..3)?)?),
        None => (time.strip_suffix('Z')?, 0),
    };
    let [hour, minute, second] = three(time, ':')?;
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let days = days(year, month, date)?;
    Some(days * DAY + ((hour * 60 + minute) * 60 + second) * SECOND + fraction)
}

fn three(text: &str, separator: char) -> Option<[i64; 3]> {
    let mut parts = text
        .split(separator)
        .map(|part| part.bytes().all(|c| c.is_ascii_digit()).then(|| part.parse().ok())?);
    let three = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(three)
}

/// Days since 1970-01-01; `None` if there is no such date.
fn days(year: i64, month: i64, date: i64) -> Option<i64> {
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) {
        return None;
    }
    // Years begin in March, so that the leap day is their last (Hinnant, "chrono-compatible low-level date algorithms").
    let (y, m) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let day = 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + date - 1 - 719_468;
    (civil(day) == (year, month, date)).then_some(day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_read_as_it_is_shown() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_795_334_400_000, "2026-11-22T08:00:00.000Z"),
        ] {
            assert_eq!(show(ms), text);
            assert_eq!(parse(text), Ok(ms));
        }
        assert_eq!(parse("2026-11-22"), Ok(1_795_305_600_000));
        assert_eq!(parse("2026-11-22T08:00:00Z"), Ok(1_795_334_400_000));
        assert_eq!(parse("1795334400"), Ok(1_795_334_400_000));
        for bad in [
            "",
            "yesterday",
            "2026-02-30",
            "2026-13-01",
            "2026-11-22T24:00:00Z",
            "2026-11-22T08:00:00",
            "2026-11",
            "-5",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
