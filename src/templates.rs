//! What the hosted pages are made of: templates, one style sheet, and texts in each language. The built-in ones, and what an operator's
//! folder puts in their place; whatever comes from a folder is tried before it is used. No pool and no request is known here.

mod folder;
mod samples;
pub mod texts;
mod trial;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use minijinja::value::Kwargs;
use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value};

use self::folder::Stamp;
use self::texts::Texts;
use crate::error::{Error, Result};

/// The templates: a page each, and the parts (`PARTS`) that pages are built from.
const TEMPLATES: &[(&str, &str)] = &[
    ("base.html", include_str!("hosted/templates/base.html")),
    ("confirm.html", include_str!("hosted/templates/confirm.html")),
    ("continue.html", include_str!("hosted/templates/continue.html")),
    ("error.html", include_str!("hosted/templates/error.html")),
    ("field.html", include_str!("hosted/templates/field.html")),
    ("forgot.html", include_str!("hosted/templates/forgot.html")),
    ("handoff.html", include_str!("hosted/templates/handoff.html")),
    ("hop.html", include_str!("hosted/templates/hop.html")),
    ("login.html", include_str!("hosted/templates/login.html")),
    ("message.html", include_str!("hosted/templates/message.html")),
    ("new-password.html", include_str!("hosted/templates/new-password.html")),
    ("resend.html", include_str!("hosted/templates/resend.html")),
    ("reset.html", include_str!("hosted/templates/reset.html")),
    ("second-choice.html", include_str!("hosted/templates/second-choice.html")),
    ("second-code.html", include_str!("hosted/templates/second-code.html")),
    ("second-email.html", include_str!("hosted/templates/second-email.html")),
    ("second-setup.html", include_str!("hosted/templates/second-setup.html")),
    ("signed-out.html", include_str!("hosted/templates/signed-out.html")),
    ("signup.html", include_str!("hosted/templates/signup.html")),
];

const STYLE: (&str, &str) = ("style.css", include_str!("hosted/templates/style.css"));

/// Every built-in file under the name that it has in an operator's folder.
pub fn built_in() -> impl Iterator<Item = (String, &'static str)> {
    let files = TEMPLATES.iter().chain([&STYLE]).map(|(name, text)| ((*name).to_owned(), *text));
    files.chain(texts::FILES.iter().map(|(tag, text)| (format!("texts/{tag}.toml"), *text)))
}

/// The templates of this server.
pub struct Templates {
    folder: Option<PathBuf>,
    /// Look at the folder again for each page: a developer sees a change on the next reload.
    live: bool,
    current: RwLock<(Stamp, Arc<Book>)>,
}

impl Templates {
    /// Refuses a folder whose files are not known, do not parse, or do not render every page; the message names file and line.
    pub fn open(folder: Option<&Path>, live: bool) -> Result<Templates> {
        let opened = match folder {
            None => (Stamp::default(), Arc::new(Book::new(&BTreeMap::new())?)),
            Some(folder) => read(folder)?,
        };
        Ok(Templates { folder: folder.map(Path::to_owned), live, current: RwLock::new(opened) })
    }

    /// What pages are to be made of now. An error only where a developer is editing the folder: it says what is wrong there.
    pub fn book(&self) -> Result<Arc<Book>> {
        let (stamp, book) = self.current.read().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(folder) = self.folder.as_deref().filter(|_| self.live) else { return Ok(book) };
        if folder::stamp(folder)? == stamp {
            return Ok(book);
        }
        let read = read(folder)?;
        let book = read.1.clone();
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = read;
        Ok(book)
    }
}

fn read(folder: &Path) -> Result<(Stamp, Arc<Book>)> {
    // The stamp first: a file that changes meanwhile is read again.
    let stamp = folder::stamp(folder)?;
    let files = folder::read(&stamp)?;
    let wrong = |error: Error| {
        Error::invalid(format!("The templates in {}: {}", folder.display(), error.message))
    };
    let book = Book::new(&files).map_err(wrong)?;
    trial::run(&book, &files).map_err(wrong)?;
    Ok((stamp, Arc::new(book)))
}

/// Parsed templates and texts.
pub struct Book {
    templates: Environment<'static>,
    style: String,
    /// English first.
    languages: Vec<Arc<Texts>>,
}

impl Book {
    /// The built-in files, with these in their place; texts replace one by one.
    fn new(files: &BTreeMap<String, String>) -> Result<Book> {
        let own = |name: &str, built_in: &str| {
            files.get(name).map_or(built_in, String::as_str).to_owned()
        };
        let mut templates = Environment::new();
        templates.set_undefined_behavior(UndefinedBehavior::Strict);
        templates.set_formatter(escape);
        templates.add_filter("fill", fill);
        for (name, text) in TEMPLATES {
            templates
                .add_template_owned(*name, own(name, text))
                .map_err(|error| trial::wrong(&error))?;
        }
        let style = own(STYLE.0, STYLE.1);
        if let Some(line) =
            style.lines().position(|line| line.contains("</") || line.contains("<!--"))
        {
            return Err(trial::at(
                STYLE.0,
                line + 1,
                "a style sheet must not contain </ or <!--, which end it",
            ));
        }
        Ok(Book { templates, style, languages: texts::languages(files)? })
    }

    pub fn style(&self) -> &str {
        &self.style
    }

    /// English first.
    pub fn languages(&self) -> &[Arc<Texts>] {
        &self.languages
    }

    pub fn render(
        &self,
        name: &str,
        values: Value,
    ) -> std::result::Result<String, minijinja::Error> {
        self.templates.get_template(name)?.render(values)
    }
}

/// `{{ t.continue_as|fill(name=name) }}`
fn fill(text: String, names: Kwargs) -> std::result::Result<String, minijinja::Error> {
    let mut pairs = Vec::new();
    for name in names.args() {
        pairs.push((name, names.get::<String>(name)?));
    }
    let pairs: Vec<(&str, &str)> =
        pairs.iter().map(|(name, value)| (*name, value.as_str())).collect();
    Ok(texts::fill(&text, &pairs))
}

/// The five characters that mean something in HTML. The library's own formatter also escapes slashes, which scripts that read a form's
/// `action` without a parser stumble over.
fn escape(
    out: &mut minijinja::Output<'_>,
    state: &mut minijinja::State<'_, '_>,
    value: &Value,
) -> std::result::Result<(), minijinja::Error> {
    match value.as_str() {
        Some(text) if !value.is_safe() && matches!(state.auto_escape(), AutoEscape::Html) => {
            for part in text.split_inclusive(['&', '<', '>', '"', '\'']) {
                let end = part.len() - part.chars().next_back().map_or(0, char::len_utf8);
                let (plain, last) = part.split_at_checked(end).unwrap_or((part, ""));
                let escaped = match last {
                    "&" => "&amp;",
                    "<" => "&lt;",
                    ">" => "&gt;",
                    "\"" => "&quot;",
                    "'" => "&#39;",
                    other => other,
                };
                out.write_str(plain)?;
                out.write_str(escaped)?;
            }
            Ok(())
        }
        _ => minijinja::escape_formatter(out, state, value),
    }
}
