//! Which language a visitor is spoken to in: that of `lang` in the query, which the browser then remembers; of the cookie `lang`; or
//! the best of `Accept-Language`; else English (`cognito-behaviour`, 4.1). What is said is in `templates::texts`.

use std::sync::Arc;

use axum::http::header;
use axum::http::request::Parts;
use axum::response::Response;
use minijinja::{Value, context};

use super::cookies;
use crate::site::{Params, Visit};
use crate::templates::Book;
pub use crate::templates::texts::Texts;
use crate::templates::texts::{accept, find};

/// The language of this visit.
pub fn of(visit: &Visit) -> Arc<Texts> {
    match visit.cx.app.templates.book() {
        Ok(book) => choose(&book, &visit.parts, &visit.query),
        // A developer's folder is broken at this moment; rendering says so.
        Err(_) => Arc::new(Texts::empty()),
    }
}

/// The same where there may be no visit, because its query cannot be read or no pool is meant.
pub fn of_parts(book: &Book, parts: &Parts) -> Arc<Texts> {
    let query = Params::parse(parts.uri.query().unwrap_or_default()).unwrap_or_default();
    choose(book, parts, &query)
}

pub fn choose(book: &Book, parts: &Parts, query: &Params) -> Arc<Texts> {
    let languages = book.languages();
    let asked = query.get("lang").and_then(|tag| find(languages, tag));
    let chosen = asked.or_else(|| find(languages, cookies::lang(parts)?));
    let accepted = parts.headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
    let chosen = chosen.or_else(|| accept(languages, accepted?));
    chosen.or(languages.first()).cloned().unwrap_or_else(|| Arc::new(Texts::empty()))
}

/// A language that the address asks for stays chosen, whatever the pages after this one are.
pub fn remember(visit: &Visit, response: &mut Response) {
    let Ok(book) = visit.cx.app.templates.book() else { return };
    let asked = visit.query.get("lang").and_then(|tag| find(book.languages(), tag));
    if let Some(texts) = asked.filter(|texts| cookies::lang(&visit.parts) != Some(texts.tag)) {
        cookies::set_lang(visit, response, texts.tag);
    }
}

/// The links of the language switch: this page again, in each language.
pub fn switch(book: &Book, query: &Params, current: &Texts) -> Value {
    let link = |texts: &Arc<Texts>| {
        let mut query = query.clone();
        query.set("lang", texts.tag);
        context! { tag => texts.tag, name => texts.name(), href => format!("?{query}"), current => texts.tag == current.tag }
    };
    book.languages().iter().map(link).collect()
}
