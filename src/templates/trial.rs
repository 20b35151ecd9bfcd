//! Trying templates before they are used: each page is rendered with all its samples, and what would only fail before a visitor is
//! refused here, with file and line.

use std::collections::{BTreeMap, BTreeSet};

use minijinja::{Value, context};

use super::Book;
use super::samples::{CSRF, common, samples};
use crate::error::{Error, Result};

/// What the template language itself defines.
const LANGUAGE: &[&str] =
    &["caller", "debug", "dict", "loop", "namespace", "range", "self", "super"];

/// What the Content-Security-Policy of the pages lets no browser do, so that it would silently not happen.
const NEVER: &[(&str, &str)] = &[
    ("<script", "no script runs on these pages"),
    ("<iframe", "nothing is framed on these pages"),
    ("<object", "nothing is embedded in these pages"),
    ("<embed", "nothing is embedded in these pages"),
    ("<base", "the base of addresses cannot be changed"),
    ("javascript:", "no script runs on these pages"),
    ("rel=\"stylesheet\"", "style sheets are not loaded; write styles into style.css"),
    (" style=", "styles in attributes are not applied; write them into style.css"),
    ("src=\"http", "nothing is loaded from elsewhere; a logo is set with SetUICustomization"),
    ("src=\"//", "nothing is loaded from elsewhere; a logo is set with SetUICustomization"),
];

/// `files` are those that somebody changed: what is wrong in them is looked for there.
pub fn run(book: &Book, files: &BTreeMap<String, String>) -> Result<()> {
    for (name, text) in files.iter().filter(|(name, _)| name.ends_with(".html")) {
        check_text(name, text)?;
        check_variables(book, name, text)?;
    }
    let built_in = Book::new(&BTreeMap::new())?;
    for (page, values) in samples() {
        for values in values {
            for logo in [false, true] {
                let html = render(book, page, &values, logo).map_err(|error| wrong(&error))?;
                let measure =
                    render(&built_in, page, &values, logo).map_err(|error| wrong(&error))?;
                check_page(page, files, &html, &measure)?;
            }
        }
    }
    Ok(())
}

fn render(
    book: &Book,
    page: &str,
    values: &Value,
    logo: bool,
) -> std::result::Result<String, minijinja::Error> {
    let texts = book.languages().first().map(|texts| texts.all());
    book.render(page, context! { style => book.style(), t => texts, ..merge(values, logo) })
}

/// The values of a sample, and those that every page has.
fn merge(values: &Value, logo: bool) -> Value {
    context! { ..values.clone(), ..common(logo) }
}

fn check_text(name: &str, text: &str) -> Result<()> {
    for (number, line) in text.lines().enumerate() {
        let line = line.to_ascii_lowercase();
        if let Some((what, why)) = NEVER.iter().find(|(what, _)| line.contains(what)) {
            return Err(at(name, number + 1, format!("{} is not possible: {why}", what.trim())));
        }
    }
    Ok(())
}

/// Also those that no sample reaches.
fn check_variables(book: &Book, name: &str, text: &str) -> Result<()> {
    let Ok(template) = book.templates.get_template(name) else { return Ok(()) };
    let mut pages = samples();
    // A part may be given what any page is.
    if pages.iter().any(|(page, _)| *page == name) {
        pages.retain(|(page, _)| *page == name);
    }
    let mut known = keys(&common(true));
    known.extend(pages.iter().flat_map(|(_, values)| values).flat_map(keys));
    known.extend(["style", "t"].map(str::to_owned));
    let english = book.languages().first();
    let mut used: Vec<String> = template.undeclared_variables(true).into_iter().collect();
    used.sort();
    for path in used {
        let (root, rest) = path.split_once('.').unwrap_or((&path, ""));
        let what = if root == "t" && !rest.is_empty() {
            if english.is_none_or(|texts| texts.has(rest)) {
                continue;
            }
            format!("there is no text {rest}")
        } else if known.contains(root) || LANGUAGE.contains(&root) {
            continue;
        } else {
            format!("the variable {root} is not defined; this template has {}", list(&known))
        };
        let needle = if root == "t" { path.as_str() } else { root };
        let line = text.lines().position(|line| has_word(line, needle)).map_or(1, |line| line + 1);
        return Err(at(name, line, what));
    }
    Ok(())
}

fn keys(values: &Value) -> BTreeSet<String> {
    let keys = values.try_iter().into_iter().flatten();
    keys.filter_map(|key| key.as_str().map(str::to_owned)).collect()
}

fn list(names: &BTreeSet<String>) -> String {
    names.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

/// Inside `{{ }}` or `{% %}`, as a word of its own.
fn has_word(line: &str, word: &str) -> bool {
    let is_name = |c: char| c.is_alphanumeric() || c == '_' || c == '.';
    line.match_indices(word).any(|(at, _)| {
        let before = line.get(..at).unwrap_or_default();
        let after = line.get(at + word.len()..).unwrap_or_default();
        before.contains('{')
            && !before.ends_with(is_name)
            && !after.starts_with(|c: char| is_name(c) && c != '.')
    })
}

/// Every form of a page carries the CSRF token, and the page has every field that it has in the built-in one: without them nobody
/// could sign in.
fn check_page(
    page: &str,
    files: &BTreeMap<String, String>,
    html: &str,
    measure: &str,
) -> Result<()> {
    // The line of a tag in the page's own file, or in the part that has it.
    let place = |tag: &str, otherwise: &str| {
        let own = files.get_key_value(page).into_iter().chain(files.iter());
        let found = own.filter(|(name, _)| name.ends_with(".html")).find_map(|(name, text)| {
            Some((name.clone(), text.lines().position(|line| line.contains(tag))? + 1))
        });
        found.unwrap_or_else(|| (otherwise.to_owned(), 1))
    };
    let token = format!("name=\"_csrf\" value=\"{CSRF}\"");
    // The form of these pages goes to an identity provider, which is to learn no token of ours.
    let ours = !matches!(page, "handoff.html" | "hop.html");
    for form in
        html.split("<form").skip(1).filter(|_| ours).filter_map(|rest| rest.split("</form>").next())
    {
        let (tag, fields) = form.split_once('>').unwrap_or((form, ""));
        if tag.to_ascii_lowercase().contains("method=\"post\"") && !fields.contains(&token) {
            let (name, line) = place("<form", page);
            let what = "this form lacks <input type=\"hidden\" name=\"_csrf\" value=\"{{ csrf }}\">, without which the server refuses it";
            return Err(at(&name, line, what));
        }
    }
    let there = fields(html);
    if let Some(missing) = fields(measure).difference(&there).next() {
        let (name, line) = place("<form", page);
        return Err(at(
            &name,
            line,
            format!("{page} lacks the field {missing}, which this step cannot do without"),
        ));
    }
    Ok(())
}

/// The names of what a page's forms send.
fn fields(html: &str) -> BTreeSet<&str> {
    let tags = ["<input", "<select", "<textarea", "<button"]
        .into_iter()
        .flat_map(|tag| html.split(tag).skip(1));
    let tags = tags.filter_map(|rest| rest.split('>').next());
    let names = tags.filter_map(|tag| tag.split_once(" name=\"")?.1.split('"').next());
    // Cognito's name for the button says nothing that the form does not.
    names.filter(|name| *name != "signInSubmitButton").collect()
}

/// What the template library found.
pub fn wrong(error: &minijinja::Error) -> Error {
    let what = match error.detail() {
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    };
    at(error.name().unwrap_or("a template"), error.line().unwrap_or(1), what)
}

/// `login.html, line 3: why.`
pub fn at(name: &str, line: usize, what: impl std::fmt::Display) -> Error {
    Error::invalid(format!("{name}, line {line}: {what}."))
}

#[cfg(test)]
mod tests {
    use super::super::TEMPLATES;
    use super::*;

    /// The built-in templates, as if an operator had written them.
    fn ours() -> BTreeMap<String, String> {
        TEMPLATES.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    }

    fn with(name: &str, edit: impl Fn(&str) -> String) -> Result<()> {
        let mut files = BTreeMap::new();
        let built_in = super::super::built_in().find(|(known, _)| known == name).unwrap().1;
        files.insert(name.to_owned(), edit(built_in));
        Book::new(&files).and_then(|book| run(&book, &files))
    }

    fn refused(name: &str, edit: impl Fn(&str) -> String) -> String {
        with(name, edit).expect_err(name).message.into_owned()
    }

    #[test]
    fn every_built_in_page_renders_with_all_its_samples() {
        let book = Book::new(&BTreeMap::new()).unwrap();
        run(&book, &ours()).unwrap_or_else(|error| panic!("{}", error.message));
        // A template that is no page is a part of one.
        let pages: Vec<_> = samples().into_iter().map(|(page, _)| page).collect();
        for (name, _) in TEMPLATES {
            let is_part = TEMPLATES.iter().any(|(_, text)| text.contains(&format!("\"{name}\"")));
            assert!(pages.contains(name) || is_part, "{name} has no sample");
        }
        for page in pages {
            assert!(TEMPLATES.iter().any(|(name, _)| *name == page), "{page} is no template");
        }
    }

    #[test]
    fn every_built_in_page_renders_in_every_language() {
        let book = Book::new(&BTreeMap::new()).unwrap();
        for texts in book.languages() {
            for (page, values) in samples() {
                for values in values {
                    let values = context! { style => book.style(), t => texts.all(), ..merge(&values, true) };
                    if let Err(error) = book.render(page, values) {
                        panic!("{} in {}: {error}", page, texts.tag);
                    }
                }
            }
        }
    }

    #[test]
    fn a_page_may_be_changed() {
        with("login.html", |text| text.replace("<h1>", "<h1 class=\"big\">")).unwrap();
        with("style.css", |text| format!("{text}\nbody {{ background: #fed; }}")).unwrap();
        with("texts/en.toml", |_| "button_sign_in = \"Go\"\ncontinue_as = \"{name}!\"".to_owned())
            .unwrap();
        with("texts/en.toml", |_| String::new()).unwrap();
    }

    #[test]
    fn a_change_that_would_break_a_page_is_refused_with_its_line() {
        let line_of = |name: &str, tag: &str| {
            let text = super::super::built_in().find(|(known, _)| known == name).unwrap().1;
            text.lines().position(|line| line.contains(tag)).unwrap() + 1
        };
        let form = line_of("login.html", "<form");
        let title = line_of("login.html", "<h1>");
        for (name, from, to, message) in [
            ("login.html", "{% endblock %}", "", "login.html, line ".to_owned()),
            (
                "login.html",
                "<h1>",
                "<h1>{{ nmae }}",
                format!(
                    "login.html, line {title}: the variable nmae is not defined; this template has action, "
                ),
            ),
            (
                "login.html",
                "<h1>",
                "{% if false %}{{ nmae }}{% endif %}<h1>",
                format!("login.html, line {title}: the variable nmae"),
            ),
            (
                "login.html",
                "<h1>",
                "<h1>{{ t.page_sing_in }}",
                format!("login.html, line {title}: there is no text page_sing_in."),
            ),
            (
                "login.html",
                "<h1>",
                "<h1>{{ lang|frob }}",
                format!("login.html, line {title}: unknown filter"),
            ),
            (
                "login.html",
                "name=\"_csrf\"",
                "name=\"csrf\"",
                format!(
                    "login.html, line {form}: this form lacks <input type=\"hidden\" name=\"_csrf\""
                ),
            ),
            (
                "login.html",
                "{{ input(password, t) }}",
                "{{ password.name }}",
                format!("login.html, line {form}: login.html lacks the field password"),
            ),
            (
                "login.html",
                "<h1>",
                "<script>alert(1)</script><h1>",
                format!("login.html, line {title}: <script is not possible: no script runs"),
            ),
            (
                "login.html",
                "<h1>",
                "<h1 style=\"color: red\">",
                format!("login.html, line {title}: style= is not possible: "),
            ),
            (
                "login.html",
                "<h1>",
                "<img src=\"https://evil.example/a.png\"><h1>",
                format!("login.html, line {title}: src=\"http is not possible"),
            ),
            (
                "base.html",
                "{{ lang }}",
                "{{ language }}",
                "base.html, line 2: the variable language is not defined".to_owned(),
            ),
            (
                "login.html",
                "\"base.html\"",
                "\"bass.html\"",
                "login.html, line 1: template not found: ".to_owned(),
            ),
        ] {
            let told = refused(name, |text| text.replacen(from, to, 1));
            assert!(told.starts_with(&message), "{told}\n{message}");
        }
        for (text, message) in [
            ("button_sing_in = \"Go\"", "texts/de.toml, line 1: there is no text button_sing_in."),
            ("\nbutton_sign_in = 1", "texts/de.toml, line 2: "),
            ("button_sign_in = \"Go", "texts/de.toml, line 1: "),
            (
                "\n\ncontinue_as = \"{nmae}\"",
                "texts/de.toml, line 3: continue_as has {nmae}, which is never filled in; in this text {name} is.",
            ),
            (
                "button_sign_in = \"a\"\nbutton_sign_in = \"b\"",
                "texts/de.toml, line 2: duplicate key",
            ),
        ] {
            let told = refused("texts/de.toml", |_| text.to_owned());
            assert!(told.starts_with(message), "{told}");
        }
        let told = refused("style.css", |_| "a {}\n</style><script>".to_owned());
        assert_eq!(
            told,
            "style.css, line 2: a style sheet must not contain </ or <!--, which end it."
        );
    }
}
