//! Which addresses an app client may name for callbacks and sign-out, and how an origin is written.

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
        "https" => Ok(()),
        "http" if told == Told::ByServer || is_local(&url) => Ok(()),
        "http" => refuse("must use https: http is for this machine only."),
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
    use super::*;

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
