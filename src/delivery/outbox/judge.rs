//! What an answer, or none, means for a delivery: that it is done, that it is tried again, or that it never will be taken.

use crate::ambient::{HOUR, Ms, SECOND};
use crate::error::{Error, Kind};
use crate::outgoing::{Answer, Failure};

/// What came of an attempt. `why` is a sentence for people, without addresses or secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Done {
        status: u16,
    },
    Retry {
        status: Option<u16>,
        /// How long the receiver asked us to wait.
        after_ms: Option<Ms>,
        why: String,
    },
    Dead {
        status: Option<u16>,
        why: String,
    },
    /// Nobody is there who could be told, and nobody has to mend anything: it raises no alarm and is not sent again.
    NotPossible {
        status: Option<u16>,
        why: String,
    },
    /// It waits for its receiver to fetch it.
    Held,
}

impl Outcome {
    pub fn dead(why: impl Into<String>) -> Outcome {
        Outcome::Dead { status: None, why: why.into() }
    }

    pub fn not_possible(why: impl Into<String>) -> Outcome {
        Outcome::NotPossible { status: None, why: why.into() }
    }

    /// An error of this server before anything was sent. One of the database passes, any other does not.
    pub fn ours(error: &Error) -> Outcome {
        match error.kind {
            Kind::ServiceUnavailable | Kind::TooManyRequests | Kind::Conflict => Outcome::Retry {
                status: None,
                after_ms: None,
                why: "This server was busy or could not read its database.".to_owned(),
            },
            _ => Outcome::dead("An error of this server; its log says which."),
        }
    }
}

/// The longest that a receiver can make us wait.
const LONGEST_WAIT_MS: Ms = HOUR;

/// Any 2xx is an acknowledgement. What may pass is tried again: no connection, no answer in time, 408, 425, 429 and 5xx. Everything else a
/// repetition would not change.
pub fn judge(answer: &Result<Answer, Failure>, now: Ms) -> Outcome {
    match answer {
        Ok(answer) if answer.is_success() => Outcome::Done { status: answer.status },
        Ok(answer) => {
            let (status, why) = (Some(answer.status), refused(answer));
            match answer.status {
                408 | 425 | 429 | 500.. => {
                    Outcome::Retry { status, after_ms: wait(answer, now), why }
                }
                _ => Outcome::Dead { status, why },
            }
        }
        Err(Failure::Unreachable(_) | Failure::Timeout | Failure::TooLarge) => {
            Outcome::Retry { status: None, after_ms: None, why: why(answer) }
        }
        Err(Failure::Refused(_) | Failure::Redirect(_)) => Outcome::dead(why(answer)),
    }
}

/// What a library says of a connection may repeat what the other side sent: the names in its certificate, for one.
fn why(answer: &Result<Answer, Failure>) -> String {
    answer.as_ref().err().map(|failure| short(&failure.message(), 500)).unwrap_or_default()
}

/// On one line, without what could steer a terminal, and not longer than that.
fn short(text: &str, most: usize) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    text.chars().filter(|c| !c.is_control()).take(most).collect()
}

/// The status, and the first words of what was said with it.
fn refused(answer: &Answer) -> String {
    let said = short(&String::from_utf8_lossy(&answer.body), 200);
    match said.as_str() {
        "" => format!("It answered {}.", answer.status),
        said => format!("It answered {}: {said}", answer.status),
    }
}

/// Retry-After (RFC 9110, 10.2.3): seconds or a date.
fn wait(answer: &Answer, now: Ms) -> Option<Ms> {
    let text = answer.retry_after.as_deref()?.trim();
    let wait = match text.parse::<u32>() {
        Ok(secs) => Ms::from(secs) * SECOND,
        Err(_) => {
            let at = httpdate::parse_http_date(text).ok()?;
            let at = at.duration_since(std::time::UNIX_EPOCH).ok()?.as_millis();
            Ms::try_from(at).ok()? - now
        }
    };
    Some(wait.clamp(0, LONGEST_WAIT_MS))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, retry_after: Option<&str>, body: &str) -> Result<Answer, Failure> {
        Ok(Answer {
            status,
            content_type: None,
            cache_control: None,
            retry_after: retry_after.map(str::to_owned),
            body: body.as_bytes().to_vec(),
        })
    }

    #[test]
    fn what_may_pass_is_tried_again_and_nothing_else() {
        for status in [200, 202, 204] {
            assert_eq!(judge(&answer(status, None, ""), 0), Outcome::Done { status });
        }
        for status in [408, 425, 429, 500, 502, 503, 504] {
            assert!(
                matches!(judge(&answer(status, None, ""), 0), Outcome::Retry { status: Some(s), .. } if s == status)
            );
        }
        for status in [304, 400, 401, 403, 404, 405, 410, 413, 422] {
            assert!(
                matches!(judge(&answer(status, None, ""), 0), Outcome::Dead { status: Some(s), .. } if s == status)
            );
        }
        for passes in [Failure::Timeout, Failure::Unreachable("x".into()), Failure::TooLarge] {
            assert!(matches!(judge(&Err(passes), 0), Outcome::Retry { .. }));
        }
        for stays in [
            Failure::Refused("outgoing_allow".into()),
            Failure::Redirect("https://b.example/".into()),
        ] {
            let words = stays.message();
            assert_eq!(judge(&Err(stays), 0), Outcome::dead(words));
        }
    }

    #[test]
    fn a_receiver_may_ask_for_an_hour_at_most() {
        let wait = |text| match judge(&answer(429, Some(text), ""), 784_111_777_000) {
            Outcome::Retry { after_ms, .. } => after_ms,
            other => panic!("{other:?}"),
        };
        assert_eq!(wait("7"), Some(7_000));
        assert_eq!(wait(" 99999999 "), Some(HOUR));
        assert_eq!(wait("Sun, 06 Nov 1994 08:49:40 GMT"), Some(3_000));
        assert_eq!(wait("Sun, 06 Nov 1994 08:00:00 GMT"), Some(0));
        for rubbish in ["", "-1", "soon", "1e9"] {
            assert_eq!(wait(rubbish), None, "{rubbish}");
        }
    }

    #[test]
    fn what_a_receiver_said_is_kept_short_and_on_one_line() {
        let outcome = judge(&answer(400, None, "{\"error\":\n\u{1b}\"invalid_request\"}"), 0);
        let why = "It answered 400: {\"error\": \"invalid_request\"}".to_owned();
        assert_eq!(outcome, Outcome::Dead { status: Some(400), why });
        match judge(&answer(400, None, &"x".repeat(5_000)), 0) {
            Outcome::Dead { why, .. } => assert!(why.len() < 250),
            other => panic!("{other:?}"),
        }
        let names = format!("a.example cannot be reached: \u{1b} {}", "b.example ".repeat(5_000));
        match judge(&Err(Failure::Unreachable(names)), 0) {
            Outcome::Retry { why, .. } => {
                assert!(why.len() <= 500 && why.starts_with("a.example cannot be reached: "));
                assert!(!why.contains('\u{1b}'));
            }
            other => panic!("{other:?}"),
        }
    }
}
