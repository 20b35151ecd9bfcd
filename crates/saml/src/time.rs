//! Times of XML Schema, to and from milliseconds since 1970. What is no exact time is refused, not guessed.

use crate::fault::{Excerpt, Fault};

const DAY_MS: i64 = 86_400_000;

/// `xs:dateTime`. Without a zone it is UTC (SAML core 1.3.3). Digits below a millisecond are dropped.
pub(crate) fn parse(text: &str, what: &'static str) -> Result<i64, Fault> {
    date_time(text.trim_matches(crate::xml::is_space))
        .ok_or_else(|| Fault::Invalid { what, found: Excerpt::of(text) })
}

/// UTC, to the second: some readers do not know fractions.
pub(crate) fn format(ms: i64) -> String {
    let (days, of_day) = (ms.div_euclid(DAY_MS), ms.rem_euclid(DAY_MS) / 1000);
    let (year, month, day) = civil(days);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z",
        of_day / 3600,
        of_day / 60 % 60,
        of_day % 60
    )
}

/// `xs:duration`, with a year of 365 and a month of 30 days: a hint for a cache, not a deadline.
pub(crate) fn duration(text: &str) -> Option<i64> {
    let rest = text.trim_matches(crate::xml::is_space).strip_prefix('P')?;
    let (date, time) = match rest.split_once('T') {
        Some((date, time)) if !time.is_empty() => (date, time),
        Some(_) => return None,
        None if rest.is_empty() => return None,
        None => (rest, ""),
    };
    const SECOND: i64 = 1000;
    let date = sum(date, &[('Y', 365 * DAY_MS), ('M', 30 * DAY_MS), ('D', DAY_MS)])?;
    let time = sum(time, &[('H', 3600 * SECOND), ('M', 60 * SECOND), ('S', SECOND)])?;
    date.checked_add(time)
}

fn sum(mut text: &str, units: &[(char, i64)]) -> Option<i64> {
    let mut total: i64 = 0;
    for (unit, worth) in units {
        let Some((number, rest)) = text.split_once(*unit) else { continue };
        // Only seconds have a fraction, and a cache does not care for it.
        let whole = number.split_once('.').map_or(number, |(whole, _)| whole);
        total = total.checked_add(digits(whole, 1..=9)?.checked_mul(*worth)?)?;
        text = rest;
    }
    text.is_empty().then_some(total)
}

fn date_time(text: &str) -> Option<i64> {
    let (date, time) = text.split_once('T')?;
    let mut parts = date.split('-');
    let (year, month, day) = (
        digits(parts.next()?, 4..=4)?,
        digits(parts.next()?, 2..=2)?,
        digits(parts.next()?, 2..=2)?,
    );
    if parts.next().is_some()
        || year == 0
        || !(1..=12).contains(&month)
        || day == 0
        || day > days_in(year, month)
    {
        return None;
    }
    let (clock, offset_minutes) = zone(time)?;
    let (clock, fraction_ms) = match clock.split_once('.') {
        Some((clock, fraction)) => (clock, milliseconds(fraction)?),
        None => (clock, 0),
    };
    let mut parts = clock.split(':');
    let (hour, minute, second) = (
        digits(parts.next()?, 2..=2)?,
        digits(parts.next()?, 2..=2)?,
        digits(parts.next()?, 2..=2)?,
    );
    // A leap second has no place on a scale of milliseconds since 1970. 24:00:00 is how XML Schema may write the end of a day.
    let end_of_day = hour == 24 && minute == 0 && second == 0 && fraction_ms == 0;
    if parts.next().is_some() || (hour > 23 && !end_of_day) || minute > 59 || second > 59 {
        return None;
    }
    Some(
        days_from_civil(year, month, day) * DAY_MS
            + ((hour * 60 + minute - offset_minutes) * 60 + second) * 1000
            + fraction_ms,
    )
}

/// Splits off `Z` or an offset of at most 14 hours.
fn zone(time: &str) -> Option<(&str, i64)> {
    if let Some(clock) = time.strip_suffix('Z') {
        return Some((clock, 0));
    }
    let Some(at) = time.rfind(['+', '-']) else { return Some((time, 0)) };
    let (clock, offset) = time.split_at_checked(at)?;
    let (sign, offset) = offset.split_at_checked(1)?;
    let (hours, minutes) = offset.split_once(':')?;
    let (hours, minutes) = (digits(hours, 2..=2)?, digits(minutes, 2..=2)?);
    if hours > 14 || minutes > 59 || (hours == 14 && minutes != 0) {
        return None;
    }
    let offset = hours * 60 + minutes;
    Some((clock, if sign == "-" { -offset } else { offset }))
}

fn milliseconds(fraction: &str) -> Option<i64> {
    if fraction.len() > 30 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let mut padded: String = fraction.chars().take(3).collect();
    if padded.is_empty() {
        return None;
    }
    while padded.len() < 3 {
        padded.push('0');
    }
    padded.parse().ok()
}

/// A number of ASCII digits only; `parse` alone would take a sign.
fn digits(text: &str, length: std::ops::RangeInclusive<usize>) -> Option<i64> {
    if !length.contains(&text.len()) || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 in the Gregorian calendar, by eras of 400 years that begin in March.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year - era * 400;
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days - era * 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let (day, month) = (
        day_of_year - (153 * shifted + 2) / 5 + 1,
        if shifted < 10 { shifted + 3 } else { shifted - 9 },
    );
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(text: &str) -> Option<i64> {
        parse(text, "time").ok()
    }

    #[test]
    fn times_are_read_exactly() {
        assert_eq!(ms("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(ms("2026-11-22T14:30:40Z"), Some(1_795_357_840_000));
        assert_eq!(ms("2026-11-22T14:30:40"), Some(1_795_357_840_000));
        assert_eq!(ms(" 2026-11-22T14:30:40.5Z\n"), Some(1_795_357_840_500));
        assert_eq!(ms("2026-11-22T14:30:40.123999999Z"), Some(1_795_357_840_123));
        assert_eq!(ms("2026-11-22T20:00:40+05:30"), Some(1_795_357_840_000));
        assert_eq!(ms("2026-11-22T14:30:40-00:00"), Some(1_795_357_840_000));
        assert_eq!(ms("2026-11-22T09:00:40.001-05:30"), Some(1_795_357_840_001));
        assert_eq!(ms("2024-02-29T24:00:00Z"), ms("2024-03-01T00:00:00Z"));
        assert_eq!(ms("1969-12-31T23:59:59.999Z"), Some(-1));
    }

    #[test]
    fn garbage_is_no_time() {
        for text in [
            "",
            "T",
            "2026-11-22",
            "2026-11-22 14:30:40Z",
            "2026-11-22t14:30:40z",
            "2026-11-22T14:30Z",
            "2026-11-22T14:30:60Z",
            "2026-11-22T24:00:01Z",
            "2026-11-22T25:00:00Z",
            "2026-11-22T14:60:00Z",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-01-00T00:00:00Z",
            "0000-01-01T00:00:00Z",
            "-2026-01-01T00:00:00Z",
            "+2026-01-01T00:00:00Z",
            "12026-01-01T00:00:00Z",
            "2026-1-01T00:00:00Z",
            "2026-11-22T14:30:40.Z",
            "2026-11-22T14:30:40,5Z",
            "2026-11-22T14:30:40+15:00",
            "2026-11-22T14:30:40+14:01",
            "2026-11-22T14:30:40+0530",
            "2026-11-22T14:30:40+05:30Z",
            "2026-11-22T+4:30:40Z",
            "٢٠٢٦-11-22T14:30:40Z",
            "2026-11-22T14:30:40é-05:30",
        ] {
            assert_eq!(ms(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        for ms in [
            0,
            951_782_400_000,
            1_795_357_840_000,
            4_102_444_800_000,
            -86_400_000,
            253_402_300_799_000,
        ] {
            assert_eq!(date_time(&format(ms)), Some(ms));
        }
        assert_eq!(format(1_795_357_840_999), "2026-11-22T14:30:40Z");
    }

    #[test]
    fn durations_of_caches() {
        assert_eq!(duration("PT1H"), Some(3_600_000));
        assert_eq!(duration("P1DT2M3.5S"), Some(86_523_000));
        assert_eq!(duration("P1Y2M"), Some(425 * DAY_MS));
        for text in ["", "P", "PT", "P1", "1D", "-P1D", "P1H", "PT1D", "P99999999999D"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }
}
