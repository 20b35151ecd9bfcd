//! The model's regular expressions, read as Java reads them: `matches()` covers the whole value and
//! the Perl classes are ASCII, while `\p{..}` stays Unicode.

use std::fmt;
use std::sync::OnceLock;

use regex::Regex;

/// The one pattern with a look-behind, which the engine (rightly, for its linear time) does not have.
const NO_FINAL_DOT: &str = r"^[0-9A-Za-z\.\-_]*(?<!\.)$";

/// A pattern, compiled when the first value is held against it: a request touches few of the 64.
#[derive(Debug)]
pub(crate) struct Pattern {
    source: String,
    compiled: OnceLock<Option<Regex>>,
}

impl Pattern {
    pub(crate) fn new(source: &str) -> Self {
        Self { source: source.to_owned(), compiled: OnceLock::new() }
    }

    /// A pattern that does not compile matches nothing, so that a mistake in the data is found by
    /// refusals and not by what slips through. A test compiles them all.
    pub(crate) fn matches(&self, text: &str) -> bool {
        (self.source != NO_FINAL_DOT || !text.ends_with('.'))
            && self.regex().is_some_and(|regex| regex.is_match(text))
    }

    fn regex(&self) -> Option<&Regex> {
        let compile = || {
            let source =
                if self.source == NO_FINAL_DOT { r"[0-9A-Za-z\.\-_]*" } else { &self.source };
            Regex::new(&whole(source)).ok()
        };
        self.compiled.get_or_init(compile).as_ref()
    }
}

/// The pattern as the model has it; that is what refusals quote.
impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)
    }
}

/// `\z` and not `$`: what ends in a line feed must not pass where the author meant the end.
fn whole(source: &str) -> String {
    let dot_matches_all = source.starts_with("(?s)");
    let mut out = String::from(r"\A(?:");
    let mut in_class = false;
    let mut chars = source.chars();
    while let Some(letter) = chars.next() {
        match letter {
            '\\' => match chars.next() {
                // A nested class means the same inside a class and outside of one.
                Some('w') => out.push_str("[0-9A-Za-z_]"),
                Some('W') => out.push_str("[^0-9A-Za-z_]"),
                Some('d') => out.push_str("[0-9]"),
                Some('D') => out.push_str("[^0-9]"),
                Some('s') => out.push_str(r"[\t\n\x0B\x0C\r\x20]"),
                Some('S') => out.push_str(r"[^\t\n\x0B\x0C\r\x20]"),
                other => {
                    out.push('\\');
                    out.extend(other);
                }
            },
            '.' if !in_class && !dot_matches_all => out.push_str(r"[^\n\r\x{85}\x{2028}\x{2029}]"),
            _ => {
                in_class = (in_class || letter == '[') && letter != ']';
                out.push(letter);
            }
        }
    }
    out.push_str(r")\z");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(source: &str, text: &str) -> bool {
        Pattern::new(source).matches(text)
    }

    #[test]
    fn a_pattern_covers_the_whole_value() {
        assert!(matches("[0-9]+", "123"));
        assert!(!matches("[0-9]+", "123x"));
        assert!(!matches("a|b", "ab"));
        assert!(!matches("^[a-z]+$", "abc\n"));
        assert!(!matches(".*", "a\r"));
        assert!(matches("(?s).*", "a\r\n"));
    }

    #[test]
    fn perl_classes_are_ascii_and_properties_are_unicode() {
        assert!(matches(r"[\w-]+", "a-b_9"));
        assert!(!matches(r"[\w-]+", "é"));
        assert!(matches(r"[\p{L}\s]+", "é\t"));
        assert!(!matches(r"[\w\s]+", "a\u{a0}"));
        assert!(matches(r"[\S]+", "a\u{a0}é"));
        assert!(!matches(r"[\S]+", "a b"));
    }

    #[test]
    fn a_hyphen_after_a_range_is_a_hyphen() {
        assert!(matches("[A-Za-z0-9-_=.]+", "a-b_c=d.e"));
        assert!(!matches("[A-Za-z0-9-_=.]+", "a:b"));
        assert!(matches(r"[\w+=/,.@-]+", "a-b"));
    }

    #[test]
    fn the_look_behind_refuses_a_final_dot() {
        assert!(matches(NO_FINAL_DOT, "a.b"));
        assert!(matches(NO_FINAL_DOT, ""));
        assert!(!matches(NO_FINAL_DOT, "a.b."));
        assert!(!matches(NO_FINAL_DOT, "a b"));
    }

    #[test]
    fn every_pattern_of_the_model_compiles() {
        let rules = crate::shapes::all().flat_map(|shape| &shape.rules);
        let patterns: Vec<&Pattern> = rules
            .filter_map(|rule| match rule {
                crate::shapes::Rule::Pattern(pattern) => Some(pattern),
                _ => None,
            })
            .collect();
        assert_eq!(patterns.len(), 64);
        for pattern in patterns {
            assert!(pattern.regex().is_some(), "{pattern}");
        }
    }
}
