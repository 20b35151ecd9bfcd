//! What is taken and what is refused, and that no mutation of either leaves the style element.

use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};

use super::*;

/// Every class as a customer's file has them.
const WHOLE: &str = "
/* Banner */
.banner-customizable { padding: 25px 0px 25px 0px; background-color: lightgray; }
.logo-customizable { max-width: 60%; max-height: 30%; }
.label-customizable{font-weight:400}
.textDescription-customizable, .idpDescription-customizable { padding-top: 10px; display: block; font-size: 16px }
.legalText-customizable { color: #747474; font-size: 11px; }
.submitButton-customizable { font: bold 14px/1.5 'Segoe UI', \"Noto Sans\", sans-serif; margin: -1px auto +2.5em .5rem; width: 100%; }
.submitButton-customizable:hover { background: linear-gradient(90deg, rgba(40, 96, 144, .5), #286090 40%) !important; }
.errorMessage-customizable { border: 2px solid #D64958; width: calc(100% - (2 * 10px)); }
.inputField-customizable:focus { border-color: #66afe9; outline: 0; }
.idpButton-customizable:active { filter: drop-shadow(0 1px 2px rgb(0 0 0 / 50%)); }
.socialButton-customizable { -webkit-border-radius: 2px; }
.redirect-customizable { text-align: center; }
.passwordCheck-notValid-customizable { color: #DF3312; }
.passwordCheck-valid-customizable { color: #19BF00; }
.background-customizable { background-color: #fff }
";

#[test]
fn css_with_every_class_is_taken_and_written_anew() {
    let out = compile(WHOLE).unwrap();
    for class in CLASSES {
        assert!(out.contains(&format!(".{class}")), "{class} is lost in {out}");
    }
    for line in [
        ".label-customizable { font-weight: 400; }",
        ".errorMessage-customizable { border: 2px solid #D64958; width: calc( 100% - ( 2 * 10px ) ); }",
        ".submitButton-customizable:hover { background: linear-gradient( 90deg , rgba( 40 , 96 , 144 , .5 ) , #286090 40% ) !important; }",
    ] {
        assert!(out.lines().any(|written| written == line), "{line} is not in {out}");
    }
    assert!(!out.contains("/*"));
    let product = compile(".label-customizable { width: calc(2*3px) }");
    assert_eq!(product.as_deref(), Ok(".label-customizable { width: calc( 2 * 3px ); }\n"));
    assert_eq!(compile(""), Ok(String::new()));
    assert_eq!(compile(" /* nothing */ \n"), Ok(String::new()));
}

#[test]
fn hostile_css_is_refused_with_its_place() {
    let inside = |value: &str| format!(".label-customizable {{ {value} }}");
    for (css, place, what) in [
        ("@import 'https://evil.example/x.css';".to_owned(), (1, 1), "@import is not allowed"),
        (
            "\n  @media print { .label-customizable { color: red } }".to_owned(),
            (2, 3),
            "@media is not allowed",
        ),
        ("@\\69mport 'x';".to_owned(), (1, 1), "@ is not allowed"),
        ("/**/@font-face{}".to_owned(), (1, 5), "@font-face is not allowed"),
        (inside("background: url(https://evil.example/a.png)"), (1, 35), "url( is not allowed"),
        (inside("background: URL('x')"), (1, 35), "url( is not allowed"),
        (inside("background: u\\72l(x)"), (1, 36), "escapes are not allowed"),
        (inside("background: u/**/rl(x)"), (1, 40), "the function rl( is not allowed"),
        (inside("background: image-set('a.png' 1x)"), (1, 35), "image-set( is not allowed"),
        (inside("width: expression(alert(1))"), (1, 30), "the function expression( is not allowed"),
        (inside("width: calc(attr(x))"), (1, 35), "the function attr( is not allowed"),
        (inside("color: var(--ink)"), (1, 30), "the function var( is not allowed"),
        (inside("--ink: red"), (1, 23), "the property --ink is not allowed"),
        (inside("behavior: none"), (1, 23), "the property behavior is not allowed"),
        (inside("-MOZ-Binding: none"), (1, 23), "the property -moz-binding is not allowed"),
        (inside("background: javascript:alert(1)"), (1, 45), "unexpected :"),
        (
            inside("filter: progid:DXImageTransform.Microsoft.Alpha(opacity=50)"),
            (1, 37),
            "unexpected :",
        ),
        (
            inside("content: '</style><script>'"),
            (1, 33),
            "HTML and child selectors are not allowed",
        ),
        (inside("content: \"a\nb\""), (1, 34), "no closing quotation mark"),
        (inside("content: 'a\\"), (1, 34), "escapes are not allowed"),
        (inside("content: '\u{202e}'"), (1, 33), "unexpected character U+202E"),
        (
            "</style><script>alert(1)</script>".to_owned(),
            (1, 1),
            "HTML and child selectors are not allowed",
        ),
        (
            "<!-- .label-customizable {} -->".to_owned(),
            (1, 1),
            "HTML and child selectors are not allowed",
        ),
        ("/* .label-customizable { color: red }".to_owned(), (1, 1), "this comment has no end"),
        (".label-customizable { color: red".to_owned(), (1, 33), "the closing brace } is missing"),
        (
            ".label-customizable { color: rgb(0 0 0".to_owned(),
            (1, 39),
            "a closing parenthesis is missing",
        ),
        (inside("color: rgb(0;"), (1, 35), "a closing parenthesis is missing"),
        (inside("color:;"), (1, 29), "color has no value"),
        (inside("color: !important"), (1, 30), "unexpected !"),
        (
            inside("background: -webkit-image-set('a.png' 1x)"),
            (1, 35),
            "the function -webkit-image-set( is not",
        ),
        (inside("background: src('a.png')"), (1, 35), "src( is not allowed"),
        (inside("background: \u{212a}url(x)"), (1, 35), "unexpected character U+212A"),
        (".label-customizable:is(body) {}".to_owned(), (1, 1), ":is is not allowed"),
        (inside("color red"), (1, 29), "unexpected r: a colon is expected"),
        (inside("color: #12"), (1, 33), "#12 is not a colour"),
        (inside("width: 1px2"), (1, 33), "not a number with a unit"),
        (inside("width: 1px\u{0}"), (1, 33), "unexpected character U+0000"),
        (inside("color: red !ie"), (1, 37), "only !important"),
        (inside("color: red !important blue"), (1, 45), "must be the last word"),
        (
            inside(&format!("width: {}1px{}", "calc(".repeat(9), ")".repeat(9))),
            (1, 75),
            "nested too deeply",
        ),
        (
            inside(".inputField-customizable { color: red }"),
            (1, 23),
            "unexpected .: a property is expected",
        ),
        (
            "body { display: none }".to_owned(),
            (1, 1),
            "unexpected b: a selector must be one of Cognito's classes",
        ),
        ("* {}".to_owned(), (1, 1), "unexpected *"),
        (
            ".card {}".to_owned(),
            (1, 1),
            ".card is not a class of the hosted pages; those are background-customizable, ",
        ),
        (".Label-customizable {}".to_owned(), (1, 1), ".Label-customizable is not a class"),
        (
            ".label-customizable > a {}".to_owned(),
            (1, 21),
            "HTML and child selectors are not allowed",
        ),
        (".label-customizable a {}".to_owned(), (1, 21), "a selector is one class"),
        (
            ".label-customizable:visited {}".to_owned(),
            (1, 1),
            ":visited is not allowed; only :active, :focus, :hover are",
        ),
        (".label-customizable::before {}".to_owned(), (1, 1), ": is not allowed"),
        (".label-customizable[a] {}".to_owned(), (1, 20), "a selector is one class"),
        (".label-customizable {} }".to_owned(), (1, 24), "unexpected }"),
        (".label-customizable,".to_owned(), (1, 21), "the CSS ends too early"),
        (".label-\u{441}ustomizable {}".to_owned(), (1, 1), ".label- is not a class"),
    ] {
        let fault = compile(&css).expect_err(&css);
        assert_eq!((fault.line, fault.column), place, "{css}: {fault}");
        assert!(fault.what.contains(what), "{css}: {fault}");
    }
}

/// What holds for whatever is taken: it is CSS of our own, and reading it again changes nothing.
fn is_harmless(out: &str) {
    assert!(!out.contains(['<', '>', '\\', '&', '\0']), "{out}");
    let outside = out.split('"').step_by(2).collect::<String>();
    for name in ["@", "/*", "*/", "url(", "expression(", "javascript:", "behavior:", "binding:"] {
        assert!(!outside.to_ascii_lowercase().contains(name), "{out}");
    }
    assert_eq!(outside.matches('{').count(), outside.matches('}').count(), "{out}");
    assert_eq!(outside.matches('(').count(), outside.matches(')').count(), "{out}");
    assert_eq!(compile(out).as_deref(), Ok(out));
}

proptest! {
    #![proptest_config(Config { cases: 2_000, rng_seed: RngSeed::Fixed(20_261_122), failure_persistence: None, ..Config::default() })]

    #[test]
    fn no_mutation_of_css_leaves_the_style_element(
        edits in prop::collection::vec((0_usize..2_000, prop::sample::select(vec![
            "<", ">", "</style>", "\\", "\\75 rl(", "url(", "@import", "{", "}", "(", ")", ";", ":", "\"", "'", "/*", "*/", "!", "\n", "\0", "\u{202e}",
            "expression(", "-", "--x", ".", "#", "%", "1e9", "é", "",
        ]), 0_usize..4), 1..8)
    ) {
        let mut text: Vec<char> = WHOLE.chars().collect();
        for (at, insert, removed) in edits {
            let at = at % text.len();
            let end = (at + removed).min(text.len());
            text.splice(at..end, insert.chars());
        }
        if let Ok(out) = compile(&text.into_iter().collect::<String>()) {
            is_harmless(&out);
        }
    }

    #[test]
    fn no_text_leaves_the_style_element(value in "[ -~\u{e9}\u{2028}\n]{0,40}") {
        for text in [value.clone(), format!(".label-customizable {{ color: {value} }}"), format!(".label-customizable {{ content: '{value}' }}")] {
            if let Ok(out) = compile(&text) {
                is_harmless(&out);
            }
        }
    }
}
