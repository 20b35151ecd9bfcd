//! Which addresses an app client may name for callbacks and sign-out, and how an origin is written.

use url::Url;

use crate::error::{Error, Result};

/// Schemes that would run script or read files in the browser that is sent there.
const DANGEROUS: &[&str] =
    &["javascript", "data", "vbscript", "file", "blob", "about", "ws", "wss", "ftp"];

/// Accepts an absolute URI without fragment: `https`, `http` on this machine only, or an app's own scheme.
pub fn check(uri: &str) -> Result<()> {
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
    match url.scheme() {
        "https" => Ok(()),
        "http" if is_local(&url) => Ok(()),
        "http" => refuse("cannot use the HTTP protocol."),
        scheme if DANGEROUS.contains(&scheme) => refuse("uses a scheme that is not allowed."),
        _ => Ok(()),
    }
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
