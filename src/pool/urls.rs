//! Which addresses an app client may name for callbacks and sign-out, and how an origin is written.

use std::sync::LazyLock;

use regex::Regex;
use url::Url;

use crate::error::{Error, Result};

/// Schemes that would run script or read files in the browser that is sent there.
const DANGEROUS: &[&str] =
    &["javascript", "data", "vbscript", "file", "blob", "about", "ws", "wss", "ftp"];

/// Accepts an absolute URI without fragment: `https`, `http` on this machine only, or an app's own scheme.
pub fn check(uri: &str) -> Result<()> {
    let refuse = |why: &str| Err(Error::invalid(format!("{uri} {why}")));
    let url = shape(uri)?;
    match url.scheme() {
        "https" => Ok(()),
        "http" if is_local(&url) => Ok(()),
        "http" => refuse("cannot use the HTTP protocol."),
        scheme if DANGEROUS.contains(&scheme) => refuse("uses a scheme that is not allowed."),
        _ => Ok(()),
    }
}

/// An address at which an app client is told of sign-outs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// By this server; where it may connect without TLS is its operator's to say (`outgoing`).
    ByServer,
    /// By the user's browser.
    ByBrowser,
}

macro_rules! host {
    () => {
        concat!("(", name!(), "|", ipv4!(), r"|\[", ipv6!(), r"\])")
    };
}

/// The last label must not look like a number: URLs take such a host for an address.
macro_rules! name {
    () => {
        r"([A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.)*([0-9]{0,9}[A-WYZa-wyz_]|[Xx])([A-Za-z0-9_-]{0,52}[A-Za-z0-9_])?\.?"
    };
}

macro_rules! ipv4 {
    () => {
        r"(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])(\.(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])){3}"
    };
}

/// By where the zeros are left out.
macro_rules! ipv6 {
    () => {
        concat!(
            "(([0-9A-Fa-f]{1,4}:){7}[0-9A-Fa-f]{1,4}|([0-9A-Fa-f]{1,4}:){1,7}:",
            "|([0-9A-Fa-f]{1,4}:){1,6}:[0-9A-Fa-f]{1,4}|([0-9A-Fa-f]{1,4}:){1,5}(:[0-9A-Fa-f]{1,4}){2}",
            "|([0-9A-Fa-f]{1,4}:){1,4}(:[0-9A-Fa-f]{1,4}){3}|([0-9A-Fa-f]{1,4}:){1,3}(:[0-9A-Fa-f]{1,4}){4}",
            "|([0-9A-Fa-f]{1,4}:){1,2}(:[0-9A-Fa-f]{1,4}){5}|[0-9A-Fa-f]{1,4}:(:[0-9A-Fa-f]{1,4}){6}",
            "|:((:[0-9A-Fa-f]{1,4}){1,7}|:))"
        )
    };
}

/// A port from 1 to 65535, a path and a query, of the characters that RFC 3986 has for them.
macro_rules! rest {
    () => {
        concat!(
            "(:([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?",
            r"(/([A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*)?(\?([A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*)?"
        )
    };
}

/// The addresses to which this server posts, as a regular expression that JSON Schema takes, too: the OpenAPI document says what is checked.
/// Only what a label that begins with `xn--` means is beyond it.
pub const BY_SERVER: &str = concat!("^https?://", host!(), rest!(), "$");

/// The same for those that a browser loads.
pub const BY_BROWSER: &str =
    concat!("^(https://", host!(), r"|http://(localhost|127\.0\.0\.1|\[::1\]))", rest!(), "$");

static PLAIN: LazyLock<Option<[Regex; 2]>> =
    LazyLock::new(|| Some([Regex::new(BY_SERVER).ok()?, Regex::new(BY_BROWSER).ok()?]));

/// Whether it is written as it should be, so that no two readers can differ about it.
pub fn is_plain(uri: &str, told: Told) -> bool {
    let [by_server, by_browser] = match &*PLAIN {
        Some(patterns) => patterns,
        None => return false,
    };
    match told {
        Told::ByServer => by_server.is_match(uri),
        Told::ByBrowser => by_browser.is_match(uri),
    }
}

/// What to write instead of what is not.
pub const PLAINLY: &str = "must be written plainly: https://, a host (a name, an IPv4 address, or an IPv6 address in brackets), a port from 1 to \
                           65535 if it has one, a path and a query of the characters that RFC 3986 has for them.";

/// The longest such address; it is read with every answer of its client.
const MAX_TOLD_CHARS: usize = 1024;

/// Accepts an absolute `https` or `http` URL without fragment; `name` is what the setting is called.
pub fn check_told(name: &str, uri: &str, told: Told) -> Result<()> {
    let refuse = |why: &str| Err(Error::invalid(format!("{name} {uri} {why}")));
    if uri.len() > MAX_TOLD_CHARS {
        return Err(Error::invalid(format!(
            "{name} must not have more than {MAX_TOLD_CHARS} characters."
        )));
    }
    let url = shape(uri).map_err(|error| Error::invalid(format!("{name} {}", error.message)))?;
    match url.scheme() {
        "http" if told == Told::ByBrowser && !is_local(&url) => {
            refuse("must use https: http is for this machine only.")
        }
        "https" | "http" if is_plain(uri, told) => Ok(()),
        "https" | "http" => refuse(PLAINLY),
        _ => refuse("must begin with https://."),
    }
}

/// An address as the source of a Content-Security-Policy that allows frames of exactly it. Queries have no place there.
pub fn csp_address(uri: &str) -> Option<String> {
    let url = Url::parse(uri).ok()?;
    let path = url.path().replace(';', "%3B").replace(',', "%2C");
    Some(format!("{}{path}", url.origin().ascii_serialization()))
}

fn shape(uri: &str) -> Result<Url> {
    let refuse = |why: &str| Err(Error::invalid(format!("{uri} {why}")));
    // ASCII only: what is matched to the letter must also be what the Location header says.
    if !uri.chars().all(|c| c.is_ascii_graphic()) || uri.contains(['\\', '"', '<', '>']) {
        return refuse("has characters that a redirect URI cannot have.");
    }
    let Ok(url) = Url::parse(uri) else {
        return refuse("is not an absolute URI.");
    };
    if url.fragment().is_some() || uri.contains('#') {
        return refuse("must not have a fragment.");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return refuse("must not have a user name or password.");
    }
    if url.host_str().is_some_and(|host| host.contains([';', ',', '*'])) {
        return refuse("has a host that is not one.");
    }
    Ok(url)
}

/// The scheme as a Content-Security-Policy source (`http:` includes https). Not the origin: an app may redirect from its callback to
/// another host of its own, and Chromium would block that silently, as a part of the same form's redirects.
pub fn csp_source(uri: &str) -> Option<String> {
    Url::parse(uri).ok().map(|url| format!("{}:", url.scheme()))
}

fn is_local(url: &Url) -> bool {
    matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::string::string_regex;

    use super::*;
    use crate::pool::target::check_url;

    fn of(pattern: &str) -> impl Strategy<Value = String> {
        string_regex(pattern.trim_matches(['^', '$'])).unwrap()
    }

    proptest! {
        #[test]
        fn whatever_the_documented_patterns_describe_is_taken(
            (by_server, by_browser) in (of(BY_SERVER), of(BY_BROWSER)),
        ) {
            // What such a label means is not for a regular expression.
            let coded = |uri: &str| uri.to_ascii_lowercase().contains("xn--");
            prop_assume!(!coded(&by_server) && !coded(&by_browser));
            prop_assume!(by_server.len() <= 1_024 && by_browser.len() <= 1_024);
            prop_assert!(check_url("Url", &by_server).is_ok(), "{by_server}");
            prop_assert!(check_told("Uri", &by_server, Told::ByServer).is_ok(), "{by_server}");
            prop_assert!(check_told("Uri", &by_browser, Told::ByBrowser).is_ok(), "{by_browser}");
        }
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_not_taken() {
        for good in [
            "https://hooks.example:65535/x?y=%2F",
            "https://3com.example./",
            "https://my_service:8080",
            "https://0f/",
            "http://10.1.2.3:80/",
            "https://[2001:db8::1]:8443/hook",
            "https://[1:2:3:4:5:6:7::]",
            "https://xn--bcher-kva.example/",
        ] {
            assert!(check_told("Uri", good, Told::ByServer).is_ok(), "{good}");
            assert!(check_url("Uri", good).is_ok(), "{good}");
        }
        for bad in [
            "HTTPS://hooks.example/",
            "https:hooks.example/",
            "https:///hooks.example/",
            "https://hooks.example:0/",
            "https://hooks.example:65536/",
            "https://hooks.example:/",
            "https://hooks.ex%61mple/",
            "https://hooks.example/a|b",
            "https://hooks.example/%zz",
            "https://0x7f.1/",
            "https://127.1/",
            "https://010.0.0.1/",
            "https://2130706433/",
            "https://[::127.0.0.1]/",
            "https://[fe80::1%25eth0]/",
            "https://hooks..example/",
            "https://@hooks.example/",
        ] {
            assert!(check_told("Uri", bad, Told::ByServer).is_err(), "{bad}");
            assert!(check_told("Uri", bad, Told::ByBrowser).is_err(), "{bad}");
            assert!(check_url("Uri", bad).is_err(), "{bad}");
        }
        assert!(check_told("Uri", "http://[::1]:3000/", Told::ByBrowser).is_ok());
        assert!(check_told("Uri", "http://[0::1]:3000/", Told::ByBrowser).is_err());
    }

    #[test]
    fn a_form_may_end_wherever_the_app_of_a_callback_goes_on_to() {
        for (uri, source) in [
            ("https://app.example.com/cb", "https:"),
            ("http://localhost:3000", "http:"),
            ("http://[::1]:8/cb", "http:"),
            ("com.example.app:/cb", "com.example.app:"),
        ] {
            assert_eq!(csp_source(uri).as_deref(), Some(source));
        }
    }

    #[test]
    fn who_is_told_of_sign_outs_is_at_https_and_servers_may_be_allowed_more() {
        for good in ["https://rp.example.com/bc?tenant=1", "http://localhost:3000/bc"] {
            for told in [Told::ByServer, Told::ByBrowser] {
                assert!(check_told("Uri", good, told).is_ok(), "{good}");
            }
        }
        let inside = "http://rp.internal/bc";
        assert!(check_told("Uri", inside, Told::ByServer).is_ok());
        let refused = check_told("Uri", inside, Told::ByBrowser).unwrap_err().message;
        assert_eq!(
            refused,
            "Uri http://rp.internal/bc must use https: http is for this machine only."
        );
        let long = format!("https://rp.example.com/{}", "x".repeat(1_024));
        for bad in [
            "https://rp.example.com/bc#",
            "/bc",
            "myapp://bc",
            "javascript:alert(1)",
            "https://u:p@rp.example.com/",
            "https://rp.example.com/a b",
            long.as_str(),
        ] {
            let refused = check_told("BackchannelLogoutUri", bad, Told::ByServer).unwrap_err();
            assert!(refused.message.starts_with("BackchannelLogoutUri "), "{}", refused.message);
        }
    }

    #[test]
    fn a_frame_may_show_exactly_its_address() {
        for (uri, source) in [
            ("https://rp.example.com/front?a=1", "https://rp.example.com/front"),
            ("http://localhost:3000", "http://localhost:3000/"),
            ("https://rp.example.com/a;b,c", "https://rp.example.com/a%3Bb%2Cc"),
        ] {
            assert_eq!(csp_address(uri).as_deref(), Some(source));
        }
    }

    #[test]
    fn callbacks_are_https_or_local_or_an_apps_own_scheme() {
        for good in [
            "https://app.example.com/cb",
            "http://localhost:3000",
            "http://127.0.0.1/cb",
            "http://[::1]:8/cb",
            "myapp://callback",
            "com.example.app:/cb",
        ] {
            assert!(check(good).is_ok(), "{good}");
        }
        for bad in [
            "http://example.com/cb",
            "/cb",
            "https://app.example.com/#f",
            "https://app.example.com/cb#",
            "https://u:p@app.example.com/",
            "javascript:alert(1)",
            "JavaScript:alert(1)",
            "data:text/html,x",
            "vbscript:x",
            "file:///etc/passwd",
            "blob:https://x/y",
            "https://app.example.com/a\nb",
            "https://app.example.com\\@evil.example",
            "http://localhost.evil.example/",
            "https://bücher.example/cb",
            "https://a;b.example/cb",
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}
