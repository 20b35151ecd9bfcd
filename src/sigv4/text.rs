//! The small text forms of Signature Version 4: dates, URI escapes, header spaces, hexadecimal.

use std::fmt::Write as _;

use crate::ambient::civil;

/// Seconds of the epoch from `20261122T080000Z` (ISO 8601 basic) or `Sun, 22 Nov 2026 08:00:00 GMT` (RFC 9110; also with
/// the zone `UTC`, `+0000` or `-0000`). Years 1970 to 9999.
pub(super) fn parse_date(text: &str) -> Option<i64> {
    let digits =
        |text: &str| text.bytes().all(|c| c.is_ascii_digit()).then(|| text.parse::<i64>().ok())?;
    if let [.., b'Z'] = text.as_bytes() {
        let (day, time) = text.strip_suffix('Z')?.split_once('T')?;
        if day.len() != 8 || time.len() != 6 {
            return None;
        }
        return seconds(
            [digits(day.get(..4)?)?, digits(day.get(4..6)?)?, digits(day.get(6..)?)?],
            [digits(time.get(..2)?)?, digits(time.get(2..4)?)?, digits(time.get(4..)?)?],
        );
    }
    let words: Vec<&str> = text.split(' ').collect();
    let [_, day, month, year, time, "GMT" | "UTC" | "+0000" | "-0000"] = words.as_slice() else {
        return None;
    };
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = MONTHS.iter().position(|name| name == month)? as i64 + 1;
    let time: Vec<i64> = time.split(':').map(digits).collect::<Option<_>>()?;
    seconds([digits(year)?, month, digits(day)?], <[i64; 3]>::try_from(time).ok()?)
}

/// The inverse: `20261122T080000Z`.
pub(super) fn show_date(seconds: i64) -> String {
    let (year, month, day) = civil(seconds.div_euclid(86_400));
    let second = seconds.rem_euclid(86_400);
    format!(
        "{year:04}{month:02}{day:02}T{:02}{:02}{:02}Z",
        second / 3600,
        second / 60 % 60,
        second % 60
    )
}

fn seconds([year, month, day]: [i64; 3], [hour, minute, second]: [i64; 3]) -> Option<i64> {
    if !(1970..=9999).contains(&year)
        || !(1..=12).contains(&month)
        || hour > 23
        || minute > 59
        || second > 59
    {
        return None;
    }
    // Days since 0000-03-01 in the proleptic Gregorian calendar; a year starts in March so that the leap day is its last.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719_468;
    // 31 February gives a day in March: only a real date comes back as it went in.
    (civil(days) == (year, month, day))
        .then_some(days * 86_400 + hour * 3600 + minute * 60 + second)
}

/// Percent-encodes every byte but RFC 3986's unreserved ones and those in `keep`.
pub(super) fn encode(text: &str, keep: &[u8]) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || keep.contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// Removes empty and dot segments (RFC 3986, section 5.2.4, and AWS' "normalize URI paths"), keeping a final slash.
pub(super) fn normalized_path(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                kept.pop();
            }
            _ => kept.push(segment),
        }
    }
    let end = if path.ends_with('/') && !kept.is_empty() { "/" } else { "" };
    format!("/{}{end}", kept.join("/"))
}

/// Trims a header's value and makes one space of any run of spaces and tabs.
pub(super) fn collapse_spaces(value: &str) -> String {
    value.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
}

pub(super) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}
