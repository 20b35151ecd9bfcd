//! A table of what each page is given, so that every template is rendered at least once before a visitor sees it: the built-in ones in
//! a test, an operator's at start. A page that is not here cannot be overridden; a test holds this.

use minijinja::{Value, context};

/// What the hosted door gives every page.
pub fn common(logo: bool) -> Value {
    let logo = logo.then(
        || context! { src => "/logo/ALL/0.png", width => 350, height => 100, alt => "My app" },
    );
    let language = |tag: &str, name: &str, current: bool| context! { tag, name, current, href => format!("?lang={tag}") };
    let languages = [language("en", "English", true), language("de", "Deutsch", false)];
    context! { nonce => "bm9uY2U=", lang => "en", customized => true, languages, logo }
}

/// The CSRF token of the samples.
pub const CSRF: &str = "4f9d2c1e-5b1a-4c7e-9a57-2f8f6f1f7a10";

/// Each page with the values that it is tried with, one for each way that it can look.
pub fn samples() -> Vec<(&'static str, Vec<Value>)> {
    let form = |more: Value| context! { csrf => CSRF, action => "/login?client_id=1example23456789", client => "My app", ..more };
    vec![
        (
            "continue.html",
            vec![form(context! { name => "ann@example.com", other => "?prompt=login" })],
        ),
        (
            "error.html",
            vec![
                context! { title => "Something went wrong", hint => "" },
                context! { title => "Something went wrong", hint => "Why." },
            ],
        ),
        (
            "login.html",
            vec![
                form(context! { name => "", error => "", by_email => false }),
                form(
                    context! { name => "ann", error => "Incorrect username or password.", by_email => true },
                ),
            ],
        ),
    ]
}
