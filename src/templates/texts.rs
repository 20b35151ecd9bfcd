//! What the hosted pages say: one file per language, all with the same keys (`en.toml` is the measure). A text is plain: templates
//! escape it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use minijinja::Value;

use super::trial::at;
use crate::error::{Error, Result};

/// The tag as Cognito's `lang` takes it, and the file. English first, then by tag.
pub const FILES: &[(&str, &str)] = &[
    ("en", include_str!("../hosted/texts/en.toml")),
    ("de", include_str!("../hosted/texts/de.toml")),
    ("es", include_str!("../hosted/texts/es.toml")),
    ("fr", include_str!("../hosted/texts/fr.toml")),
    ("id", include_str!("../hosted/texts/id.toml")),
    ("it", include_str!("../hosted/texts/it.toml")),
    ("ja", include_str!("../hosted/texts/ja.toml")),
    ("ko", include_str!("../hosted/texts/ko.toml")),
    ("pt-BR", include_str!("../hosted/texts/pt-BR.toml")),
    ("zh-CN", include_str!("../hosted/texts/zh-CN.toml")),
    ("zh-TW", include_str!("../hosted/texts/zh-TW.toml")),
];

/// One language.
pub struct Texts {
    /// As in `<html lang>`.
    pub tag: &'static str,
    texts: BTreeMap<String, String>,
    /// The same for templates.
    value: Value,
}

impl Texts {
    fn new(tag: &'static str, texts: BTreeMap<String, String>) -> Texts {
        Texts { tag, value: Value::from(texts.clone()), texts }
    }

    /// Says nothing.
    pub fn empty() -> Texts {
        Texts::new("en", BTreeMap::new())
    }

    /// A text, with its `{name}`s filled in.
    pub fn say(&self, key: &str, names: &[(&str, &str)]) -> String {
        fill(self.texts.get(key).map_or("", String::as_str), names)
    }

    /// What the language calls itself.
    pub fn name(&self) -> &str {
        self.texts.get("language").map_or(self.tag, String::as_str)
    }

    /// Every text by its key, for templates.
    pub fn all(&self) -> Value {
        self.value.clone()
    }

    pub fn has(&self, key: &str) -> bool {
        self.texts.contains_key(key)
    }
}

/// Every language, with the texts of `files` (`texts/de.toml`) in the place of the built-in ones.
pub(super) fn languages(files: &BTreeMap<String, String>) -> Result<Vec<Arc<Texts>>> {
    let parse =
        |file: &str| toml::from_str::<BTreeMap<String, String>>(file).map_err(Error::internal);
    // A key that a language lacks is said in English; a test names it.
    let english = FILES.first().map_or(Ok(BTreeMap::new()), |(_, file)| parse(file))?;
    let mut languages = Vec::new();
    for (tag, file) in FILES {
        let mut texts = english.clone();
        texts.extend(parse(file)?);
        let name = format!("texts/{tag}.toml");
        if let Some(file) = files.get(&name) {
            replace(&mut texts, &name, file)?;
        }
        languages.push(Arc::new(Texts::new(tag, texts)));
    }
    Ok(languages)
}

fn replace(texts: &mut BTreeMap<String, String>, name: &str, file: &str) -> Result<()> {
    let line_of =
        |position: usize| file.get(..position).map_or(1, |before| before.matches('\n').count() + 1);
    let own: BTreeMap<toml::Spanned<String>, toml::Spanned<String>> = toml::from_str(file)
        .map_err(|error| {
            let line = error.span().map_or(1, |span| line_of(span.start));
            at(name, line, error.message().lines().next().unwrap_or_default())
        })?;
    for (key, text) in own {
        let line = line_of(key.span().start);
        let Some(old) = texts.get_mut(key.as_ref()) else {
            return Err(at(name, line, format!("there is no text {}", key.as_ref())));
        };
        let known = names(old);
        if let Some(unknown) = names(text.as_ref()).into_iter().find(|name| !known.contains(name)) {
            let have = known.iter().map(|name| format!("{{{name}}}")).collect::<Vec<_>>().join(" ");
            let have = if have.is_empty() { "nothing".to_owned() } else { have };
            let what = format!(
                "{} has {{{unknown}}}, which is never filled in; in this text {have} is",
                key.as_ref()
            );
            return Err(at(name, line, what));
        }
        *old = text.into_inner();
    }
    Ok(())
}

/// The `{name}`s of a text.
fn names(text: &str) -> BTreeSet<&str> {
    let parts = text.split('{').skip(1).filter_map(|part| Some(part.split_once('}')?.0));
    parts
        .filter(|name| {
            !name.is_empty() && name.bytes().all(|c| c.is_ascii_lowercase() || c == b'_')
        })
        .collect()
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

/// The language of a tag: `de-AT` is served by `de`, `pt` by `pt-BR`; Chinese by its script (RFC 5646, 2.2.3) or where it is common.
pub fn find<'a>(languages: &'a [Arc<Texts>], tag: &str) -> Option<&'a Arc<Texts>> {
    let exact =
        |tag: &str| languages.iter().find(|language| language.tag.eq_ignore_ascii_case(tag));
    let mut parts = tag.split('-');
    let primary = parts.next().filter(|primary| !primary.is_empty())?;
    if primary.eq_ignore_ascii_case("zh") && exact(tag).is_none() {
        let traditional = ["hant", "hk", "mo"];
        let is = parts.any(|part| traditional.iter().any(|known| part.eq_ignore_ascii_case(known)));
        return exact(if is { "zh-TW" } else { "zh-CN" });
    }
    let of_primary = |language: &&Arc<Texts>| {
        language.tag.split('-').next().is_some_and(|known| known.eq_ignore_ascii_case(primary))
    };
    exact(tag).or_else(|| languages.iter().find(of_primary))
}

/// RFC 9110, 12.5.4: the one with the highest weight that we have; of equal ones the first.
pub fn accept<'a>(languages: &'a [Arc<Texts>], header: &str) -> Option<&'a Arc<Texts>> {
    let mut best: Option<(f32, &'a Arc<Texts>)> = None;
    for item in header.split(',').take(32) {
        let (tag, weight) = item.split_once(';').unwrap_or((item, "q=1"));
        let weight = weight.trim().strip_prefix("q=").and_then(|q| q.parse().ok()).unwrap_or(0.0);
        if let Some(texts) =
            find(languages, tag.trim()).filter(|_| weight > best.map_or(0.0, |(best, _)| best))
        {
            best = Some((weight, texts));
        }
    }
    best.map(|(_, texts)| texts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed() -> Vec<(&'static str, BTreeMap<String, String>)> {
        FILES.iter().map(|(tag, file)| (*tag, toml::from_str(file).unwrap())).collect()
    }

    #[test]
    fn every_language_has_every_text_and_no_other() {
        let (english, mut wrong) = (parsed().remove(0).1, Vec::new());
        for (tag, texts) in parsed() {
            wrong.extend(
                english
                    .keys()
                    .filter(|key| !texts.contains_key(*key))
                    .map(|key| format!("{tag} lacks {key}")),
            );
            wrong.extend(
                texts
                    .keys()
                    .filter(|key| !english.contains_key(*key))
                    .map(|key| format!("{tag} has {key}, which English has not")),
            );
            wrong.extend(
                texts
                    .iter()
                    .filter(|(_, text)| text.trim().is_empty())
                    .map(|(key, _)| format!("{tag} says nothing for {key}")),
            );
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn a_text_has_the_same_names_in_every_language() {
        let english = parsed().remove(0).1;
        for (tag, texts) in parsed() {
            for (key, text) in &texts {
                assert_eq!(names(text), names(&english[key]), "{tag} {key}");
            }
        }
    }

    #[test]
    fn a_value_that_looks_like_a_name_is_not_filled_again() {
        assert_eq!(fill("{a} and {b} {", &[("a", "{b}"), ("b", "x")]), "{b} and x {");
    }

    #[test]
    fn the_language_with_the_highest_weight_is_taken() {
        let languages = languages(&BTreeMap::new()).unwrap();
        for (header, tag) in [
            ("xx, en;q=0.5, de-AT;q=0.8", Some("de")),
            ("fr, de", Some("fr")),
            ("pt-PT", Some("pt-BR")),
            ("zh", Some("zh-CN")),
            ("zh-Hant-HK", Some("zh-TW")),
            ("zh-hk", Some("zh-TW")),
            ("ZH-tw", Some("zh-TW")),
            ("de;q=0", None),
            ("xx;q=1", None),
            ("*", None),
            ("-", None),
            ("", None),
        ] {
            assert_eq!(accept(&languages, header).map(|texts| texts.tag), tag, "{header}");
        }
    }
}
