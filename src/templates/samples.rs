//! A table of what each page is given, so that every template is rendered before a visitor sees it: the built-in ones in a test, an
//! operator's at start. A page has a sample for each way that it can look.

use minijinja::{Value, context};

/// The CSRF token of the samples.
pub const CSRF: &str = "4f9d2c1e-5b1a-4c7e-9a57-2f8f6f1f7a10";

/// What the hosted door gives every page.
pub fn common(logo: bool) -> Value {
    let logo = logo.then(
        || context! { src => "/logo/ALL/0.png", width => 350, height => 100, alt => "My app" },
    );
    let language = |tag: &str, name: &str, current: bool| {
        context! { tag, name, current, href => format!("?lang={tag}") }
    };
    let languages = vec![language("en", "English", true), language("de", "Deutsch", false)];
    context! { nonce => "bm9uY2U=", lang => "en", customized => true, languages, logo }
}

/// Each page with its samples.
pub fn samples() -> Vec<(&'static str, Vec<Value>)> {
    let username = || field("username", "text");
    let code = || field("code", "text");
    let password =
        || vec![with_rules(field("password", "password")), field("password_again", "password")];
    let nobody = || Value::from(());
    vec![
        (
            "confirm.html",
            forms(|alert, wrong| {
                vec![
                    context! { username => username(), code => code(), alert, wrong, sent => nobody(), again => false, known => false, resend => LINK },
                    context! { username => nobody(), code => refused(code()), alert, wrong, sent => nobody(), again => false, known => true, resend => LINK },
                    context! { username => nobody(), code => code(), alert, wrong, sent => "a***@e***", again => false, known => true, resend => LINK },
                    context! { username => nobody(), code => code(), alert, wrong, sent => "a***@e***", again => true, known => true, resend => LINK },
                ]
            }),
        ),
        (
            "continue.html",
            forms(|_, _| vec![context! { name => "ann@example.com", other => "?prompt=login" }]),
        ),
        (
            "error.html",
            vec![
                context! { title => "Something went wrong", hint => "" },
                context! { title => "Something went wrong", hint => "Why." },
            ],
        ),
        (
            "forgot.html",
            forms(|alert, wrong| {
                vec![
                    context! { username => username(), alert, wrong, has_code => LINK },
                    context! { username => refused(username()), alert, wrong, has_code => LINK },
                ]
            }),
        ),
        (
            "handoff.html",
            vec![context! {
                title => "On to Example", text => "You go on at Example.", to => "https://idp.example.com/sso",
                fields => vec![context! { name => "SAMLRequest", value => "PHNhbWw+" }, context! { name => "RelayState", value => "x" }],
            }],
        ),
        (
            "hop.html",
            vec![
                context! { title => "Signing you out of Okta", text => "One moment.", to => LINK, fields => nobody(), after => LINK },
                context! { title => "Signing you out of Okta", text => "One moment.", to => LINK, fields => vec![context! { name => "SAMLRequest", value => "PHNhbWw+" }], after => LINK },
            ],
        ),
        (
            "login.html",
            forms(|alert, wrong| {
                let provider = |social: bool| context! { href => LINK, name => "Example", social };
                let providers = || vec![provider(false), provider(true)];
                let ways = |own: bool, corporate: Value, providers: Vec<Value>| {
                    context! {
                        own, corporate, providers, alert, wrong, username => username(), password => field("password", "password"),
                        notice => "",
                    }
                };
                let corporate = || field("corporate_email", "text");
                vec![
                    ways(true, nobody(), Vec::new()),
                    ways(true, corporate(), providers()),
                    ways(false, nobody(), providers()),
                    ways(false, refused(corporate()), Vec::new()),
                    context! {
                        username => refused(username()), password => refused(field("password", "password")), notice => "Done.",
                        ..ways(true, nobody(), providers())
                    },
                ]
            }),
        ),
        (
            "message.html",
            vec![
                context! { title => "Done", text => "It is done.", link => "", label => "" },
                context! { title => "Done", text => "It is done.", link => LINK, label => "Sign in" },
            ],
        ),
        (
            "new-password.html",
            forms(|_, wrong| {
                vec![
                    context! { wrong, username => "ann", password => password(), missing => Vec::<Value>::new() },
                    context! { wrong, username => "ann", password => password(), missing => vec![refused(field("birthdate", "date"))] },
                ]
            }),
        ),
        (
            "resend.html",
            forms(|alert, wrong| {
                vec![
                    context! { username => username(), alert, wrong, confirm => LINK },
                    context! { username => nobody(), alert, wrong, confirm => LINK },
                ]
            }),
        ),
        (
            "reset.html",
            forms(|alert, wrong| {
                let reset = |username: Value,
                             sent: Value,
                             known: bool,
                             hides: bool,
                             again: Value| {
                    context! { username, name => "ann", code => code(), password => password(), alert, wrong, sent, known, hides, again }
                };
                vec![
                    reset(username(), nobody(), false, true, nobody()),
                    reset(nobody(), nobody(), true, true, Value::from(LINK)),
                    reset(nobody(), Value::from("a***@e***"), true, true, Value::from(LINK)),
                    reset(nobody(), Value::from("a***@e***"), true, false, Value::from(LINK)),
                ]
            }),
        ),
        (
            "second-choice.html",
            forms(|alert, _| {
                let names = || vec!["SMS_MFA", "EMAIL_OTP", "SOFTWARE_TOKEN_MFA"];
                let choice = |sets_up: bool| context! { names => names(), error => alert, sets_up };
                vec![choice(false), choice(true)]
            }),
        ),
        (
            "second-code.html",
            forms(|_, wrong| {
                let asks = |factor: &str, device: &str| {
                    context! { wrong, field => code(), factor, sent => "a***@e***", device }
                };
                let app = "SOFTWARE_TOKEN_MFA";
                vec![asks(app, ""), asks(app, "Phone"), asks("SMS_MFA", ""), asks("EMAIL_OTP", "")]
            }),
        ),
        (
            "second-email.html",
            forms(|_, wrong| vec![context! { wrong, field => field("email", "email") }]),
        ),
        (
            "second-setup.html",
            forms(|_, wrong| {
                let sets_up = |picture: Value| {
                    context! { wrong, field => code(), picture, secret => "ABCD EFGH", address => "otpauth://totp/ann" }
                };
                vec![sets_up(nobody()), sets_up(context! { side => 29, path => "M0 0h1v1H0z" })]
            }),
        ),
        (
            "signed-out.html",
            vec![
                context! { lines => Vec::<Value>::new(), all => true, link => LINK },
                context! { lines => vec![
                    context! { text => "You are signed out of Okta, too.", good => true },
                    context! { text => "Entra could not be reached.", good => false },
                ], all => false, link => LINK },
            ],
        ),
        (
            "signup.html",
            forms(|alert, wrong| {
                vec![
                    context! { username => username(), more => Vec::<Value>::new(), password => password(), alert, wrong, id => CSRF },
                    context! { username => refused(username()), more => vec![field("email", "email"), field("birthdate", "date")], password => password(), alert, wrong, id => CSRF },
                ]
            }),
        ),
    ]
}

const LINK: &str = "https://auth.example.com/login?client_id=1example23456789";

/// The samples of a page with a form: in a sign-in and alone, with something wrong and without.
fn forms(page: impl Fn(&str, bool) -> Vec<Value>) -> Vec<Value> {
    let mut samples = Vec::new();
    for (alert, wrong) in [("", false), ("", true), ("Something is not right.", true)] {
        for link in [Value::from(LINK), Value::from(())] {
            let form = context! {
                csrf => CSRF,
                action => "/login?client_id=1example23456789",
                client => "My app",
                login => link.clone(),
                forgot => link.clone(),
                signup => link.clone(),
            };
            samples.extend(
                page(alert, wrong).into_iter().map(|values| context! { ..values, ..form.clone() }),
            );
        }
    }
    samples
}

/// As `hosted::fields` gives it to templates.
fn field(name: &str, kind: &str) -> Value {
    let none = Vec::<Value>::new();
    context! {
        name, kind, label => "Label", autocomplete => "on", inputmode => "", value => "", hint => "", error => "", max => 128,
        autofocus => false, told => false, rules => none,
    }
}

fn refused(field: Value) -> Value {
    context! { value => "typed", hint => "A hint.", error => "Not right.", inputmode => "numeric", autofocus => true, told => true, ..field }
}

fn with_rules(field: Value) -> Value {
    let rule = |broken: bool, kept: bool| context! { text => "A number", broken, kept };
    context! { rules => vec![rule(false, false), rule(true, false), rule(false, true)], ..field }
}
