//! What an answer, or none, means for a delivery: that it is done, that it is tried again, or that it never will be taken.

use serde_json::Value;
use url::Url;

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
        blame: Blame,
    },
    Dead {
        status: Option<u16>,
        why: String,
    },
    /// It waits for its receiver to fetch it.
    Held,
}

/// Whose fault it was that an attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// Of this server: it says nothing of the receiver.
    Ours,
    Failed,
    /// It did not answer, which held up an attempt for as long as one may take.
    Hung,
}

impl Outcome {
    pub fn dead(why: impl Into<String>) -> Outcome {
        Outcome::Dead { status: None, why: why.into() }
    }

    /// An error of this server before anything was sent. One of the database passes, any other does not.
    pub fn ours(error: &Error) -> Outcome {
        match error.kind {
            Kind::ServiceUnavailable | Kind::TooManyRequests | Kind::Conflict => Outcome::Retry {
                status: None,
                after_ms: None,
                why: "This server was busy or could not read its database.".to_owned(),
                blame: Blame::Ours,
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
                408 | 425 | 429 | 500.. => Outcome::Retry {
                    status,
                    after_ms: wait(answer, now),
                    why,
                    blame: Blame::Failed,
                },
                _ => Outcome::Dead { status, why },
            }
        }
        Err(Failure::Refused(why)) => Outcome::dead(why.as_str()),
        Err(Failure::Redirect(to)) => Outcome::dead(redirect(to)),
        Err(failure) => {
            let hung = matches!(failure, Failure::Timeout);
            let blame = if hung { Blame::Hung } else { Blame::Failed };
            Outcome::Retry { status: None, after_ms: None, why: short(&failure.message()), blame }
        }
    }
}

/// On one line, without what could steer a terminal, and not long: what a library says of a connection may repeat what the other side
/// sent, such as the names in its certificate.
fn short(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    text.chars().filter(|c| !c.is_control()).take(500).collect()
}

/// Only the host is named: a path may be the secret of a webhook.
fn redirect(to: &str) -> String {
    let host = Url::parse(to).map(|to| to.origin().ascii_serialization());
    Failure::Redirect(host.unwrap_or_else(|_| "another address".to_owned())).message()
}

/// The status, and a code where it says one. Nothing else of an answer is kept: it may repeat what was sent, or hold secrets.
fn refused(answer: &Answer) -> String {
    match code(&answer.body) {
        Some(code) => format!("It answered {}: {code}.", answer.status),
        None => format!("It answered {}.", answer.status),
    }
}

/// `error` of OAuth 2.0 (RFC 6749, 5.2) or `err` of event streams (RFC 8935, 2.4), if it is a word such as those that are registered: no
/// token or key is one.
fn code(body: &[u8]) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let code = ["error", "err"].into_iter().find_map(|name| body.get(name)?.as_str())?;
    let is_word = !code.is_empty() && code.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    (is_word && code.len() <= 40).then(|| code.to_owned())
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
        for (passes, whose) in [
            (Failure::Timeout, Blame::Hung),
            (Failure::Unreachable("x".into()), Blame::Failed),
            (Failure::TooLarge, Blame::Failed),
        ] {
            assert!(
                matches!(judge(&Err(passes), 0), Outcome::Retry { blame, .. } if blame == whose)
            );
        }
        let refused = Failure::Refused("outgoing_allow".into());
        assert_eq!(judge(&Err(refused), 0), Outcome::dead("outgoing_allow"));
    }

    #[test]
    fn of_a_redirect_only_the_host_is_named() {
        let words = |to: &str| match judge(&Err(Failure::Redirect(to.to_owned())), 0) {
            Outcome::Dead { status: None, why } => why,
            other => panic!("{other:?}"),
        };
        let host =
            "It redirects to https://b.example, which is not followed: give the final address.";
        assert_eq!(words("https://b.example/hooks/s3cret"), host);
        assert!(words("an address that is none").starts_with("It redirects to another address,"));
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
    fn of_what_a_receiver_said_only_a_registered_word_is_kept() {
        let why = |body: &str| match judge(&answer(400, None, body), 0) {
            Outcome::Dead { why, .. } => why,
            other => panic!("{other:?}"),
        };
        let oauth = r#"{"error":"invalid_request","error_description":"logout_token=eyJ0eXAi"}"#;
        assert_eq!(why(oauth), "It answered 400: invalid_request.");
        assert_eq!(why(r#"{"err":"invalid_key"}"#), "It answered 400: invalid_key.");
        let long = format!(r#"{{"error":"{}"}}"#, "x".repeat(41));
        for other in [
            "",
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            r#""invalid_request""#,
            r#"{"error":"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}"#,
            r#"{"error":"2f1d6c52"}"#,
            r#"{"error":""}"#,
            r#"{"error":["invalid_request"]}"#,
            r#"{"error":"invalid_request""#,
            &long,
        ] {
            assert_eq!(why(other), "It answered 400.", "{other}");
        }
    }

    #[test]
    fn what_is_said_of_a_connection_is_short_and_on_one_line() {
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
