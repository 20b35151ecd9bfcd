//! What the hosted pages say: one file per language, all with the same keys (`texts/en.toml` is the measure). The language is that
//! of `lang` in the query, of the cookie `lang`, or the best of `Accept-Language`; else English.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use axum::http::header;

use super::cookies;
use crate::site::Visit;

/// The tag as Cognito's `lang` takes it, and the file.
const FILES: &[(&str, &str)] =
    &[("en", include_str!("texts/en.toml")), ("de", include_str!("texts/de.toml"))];

/// One language.
pub struct Texts {
    /// As in `<html lang>`.
    pub tag: &'static str,
    texts: BTreeMap<String, String>,
}

/// English first.
static LANGUAGES: LazyLock<Vec<Texts>> = LazyLock::new(|| {
    let read = |(tag, file): &(&'static str, &str)| Texts {
        tag,
        texts: toml::from_str(file).unwrap_or_default(),
    };
    FILES.iter().map(read).collect()
});

impl Texts {
    /// A text, with its `{name}`s filled in. A key that a language lacks is said in English; tests name it.
    pub fn say(&self, key: &str, names: &[(&str, &str)]) -> String {
        let english = || LANGUAGES.first().and_then(|english| english.texts.get(key));
        let text = self.texts.get(key).or_else(english).cloned().unwrap_or_default();
        fill(&text, names)
    }

    /// Every text by its key, for templates.
    pub fn all(&self) -> BTreeMap<&str, &str> {
        let pairs = |texts: &'static BTreeMap<String, String>| {
            texts.iter().map(|(key, text)| (key.as_str(), text.as_str()))
        };
        let mut all: BTreeMap<&str, &str> =
            LANGUAGES.first().map(|english| pairs(&english.texts).collect()).unwrap_or_default();
        all.extend(self.texts.iter().map(|(key, text)| (key.as_str(), text.as_str())));
        all
    }
}

/// Replaces each `{name}`, in one pass: a value that looks like a name stays as it is.
pub fn fill(text: &str, names: &[(&str, &str)]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        let found = after.split_once('}').and_then(|(name, tail)| {
            Some((names.iter().find(|(known, _)| *known == name)?.1, tail))
        });
        match found {
            Some((value, tail)) => {
                out.push_str(value);
                rest = tail;
            }
            None => {
                out.push('{');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

/// The language of this visit.
pub fn of(visit: &Visit) -> &'static Texts {
    let accepted = visit
        .parts
        .headers
        .get(header::ACCEPT_LANGUAGE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let asked = visit.query.get("lang").and_then(find);
    let chosen = asked.or_else(|| cookies::lang(visit).and_then(find));
    chosen.or_else(|| accept(accepted)).unwrap_or_else(english)
}

pub fn english() -> &'static Texts {
    static EMPTY: Texts = Texts { tag: "en", texts: BTreeMap::new() };
    LANGUAGES.first().unwrap_or(&EMPTY)
}

/// `de-AT` is served by `de`; `pt` by `pt-BR`.
fn find(tag: &str) -> Option<&'static Texts> {
    let primary = |tag: &str| tag.split('-').next().unwrap_or_default().to_ascii_lowercase();
    let exact = LANGUAGES.iter().find(|language| language.tag.eq_ignore_ascii_case(tag));
    exact.or_else(|| LANGUAGES.iter().find(|language| primary(language.tag) == primary(tag)))
}

/// RFC 9110, 12.5.4: the one with the highest weight that we have.
fn accept(header: &str) -> Option<&'static Texts> {
    let mut best: Option<(f32, &'static Texts)> = None;
    for item in header.split(',').take(32) {
        let (tag, weight) = item.split_once(';').unwrap_or((item, "q=1"));
        let weight = weight.trim().strip_prefix("q=").and_then(|q| q.parse().ok()).unwrap_or(0.0);
        if let Some(texts) =
            find(tag.trim()).filter(|_| weight > best.map_or(0.0, |(best, _)| best))
        {
            best = Some((weight, texts));
        }
    }
    best.map(|(_, texts)| texts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_language_has_every_text_and_no_other() {
        let english = LANGUAGES.first().unwrap();
        for language in LANGUAGES.iter() {
            let missing: Vec<_> =
                english.texts.keys().filter(|key| !language.texts.contains_key(*key)).collect();
            let unknown: Vec<_> =
                language.texts.keys().filter(|key| !english.texts.contains_key(*key)).collect();
            assert!(missing.is_empty(), "{} lacks {missing:?}", language.tag);
            assert!(unknown.is_empty(), "{} has {unknown:?}, which English has not", language.tag);
        }
    }

    #[test]
    fn a_text_has_the_same_names_in_every_language() {
        let names = |text: &str| {
            let mut names: Vec<String> = text
                .split('{')
                .skip(1)
                .filter_map(|part| part.split_once('}').map(|(name, _)| name.to_owned()))
                .collect();
            names.sort();
            names
        };
        let english = LANGUAGES.first().unwrap();
        for language in LANGUAGES.iter() {
            for (key, text) in &english.texts {
                assert_eq!(names(text), names(&language.texts[key]), "{} {key}", language.tag);
            }
        }
    }

    #[test]
    fn a_value_that_looks_like_a_name_is_not_filled_again() {
        assert_eq!(fill("{a} and {b} {", &[("a", "{b}"), ("b", "x")]), "{b} and x {");
    }

    #[test]
    fn the_language_with_the_highest_weight_is_taken() {
        assert_eq!(accept("xx, en;q=0.5, de-AT;q=0.8").unwrap().tag, "de");
        assert!(accept("xx;q=1").is_none());
    }
}
