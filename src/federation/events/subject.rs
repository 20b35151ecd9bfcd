//! Whom an event means (Subject Identifiers, RFC 9493; complex subjects, Shared Signals Framework 1.0, 3): read, and looked for among
//! those who came from the provider that sent it, and nobody else.

use serde_json::{Map, Value};

use crate::cx::Cx;
use crate::error::Result;
use crate::federation::oidc::id_token::{MAX_ID, id};
use crate::federation::sign_out::inward::Named;
use crate::pool::identity::SUBJECT;
use crate::pool::{Pool, Provider, User, names};
use crate::store::user_lists;
use crate::store::users::indexed;

/// Names of one person that a message may give.
const MAX_ALIASES: usize = 10;

/// The longest mail address that is looked for.
const MAX_EMAIL: usize = 320;

const PAGE: i64 = 100;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    IssSub {
        iss: String,
        sub: String,
    },
    Opaque(String),
    Email(String),
    /// Each of them is the same person.
    Aliases(Vec<Subject>),
    Complex {
        user: Option<Box<Subject>>,
        session: Option<Box<Subject>>,
    },
    /// A kind of subject that nobody here has.
    Other,
}

impl Subject {
    /// What is not understood is another matter than what is malformed.
    pub fn parse(value: &Value) -> Result<Subject, &'static str> {
        parse(value, May::Complex)
    }

    /// The same for what names one person and nothing else: `iss_sub`, `opaque`, `email`.
    pub fn parse_simple(value: &Value) -> Result<Subject, &'static str> {
        match parse(value, May::Simple)? {
            Subject::Other => Err("its format is none of iss_sub, opaque and email"),
            simple => Ok(simple),
        }
    }

    /// What the provider calls those who are meant. `narrow`: a session that is named is all that is meant of them.
    pub async fn named(
        &self,
        cx: &Cx,
        pool: &Pool,
        provider: &Provider,
        issuers: &[String],
        narrow: bool,
    ) -> Result<Vec<Named>> {
        let person = |sub: String| Named { subject: Some(sub), ..Named::default() };
        Ok(match self {
            Subject::Complex { user, session } => {
                let users = match user {
                    Some(user) => Some(user.people(cx, pool, provider, issuers).await?),
                    None => None,
                };
                let wanted = session.as_ref().filter(|_| narrow);
                let sessions = match wanted.map(|session| session.session(issuers)) {
                    // One that cannot be told must not widen what ends.
                    Some(None) => return Ok(Vec::new()),
                    Some(Some(session)) => vec![session],
                    None => Vec::new(),
                };
                match users {
                    Some(users) => users
                        .into_iter()
                        .map(|sub| Named { sessions: sessions.clone(), ..person(sub) })
                        .collect(),
                    None if sessions.is_empty() => Vec::new(),
                    None => vec![Named { sessions, ..Named::default() }],
                }
            }
            // Alone it may be the name of a session as well.
            Subject::Opaque(id) if narrow => {
                let session = Named { sessions: vec![id.clone()], ..Named::default() };
                vec![person(id.clone()), session]
            }
            other => {
                let people = other.people(cx, pool, provider, issuers).await?;
                people.into_iter().map(person).collect()
            }
        })
    }

    /// The subjects of this provider that it may mean.
    pub async fn people(
        &self,
        cx: &Cx,
        pool: &Pool,
        provider: &Provider,
        issuers: &[String],
    ) -> Result<Vec<String>> {
        let simple: &[Subject] = match self {
            Subject::Aliases(all) => all,
            other => std::slice::from_ref(other),
        };
        let mut found = Vec::new();
        for subject in simple {
            match subject {
                Subject::IssSub { iss, sub } if is_one_of(issuers, iss) => found.push(sub.clone()),
                Subject::Opaque(id) => found.push(id.clone()),
                Subject::Email(email) => found.extend(by_email(cx, pool, provider, email).await?),
                _ => {}
            }
        }
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }

    fn session(&self, issuers: &[String]) -> Option<String> {
        match self {
            Subject::Opaque(id) => Some(id.clone()),
            Subject::IssSub { iss, sub } if is_one_of(issuers, iss) => Some(sub.clone()),
            _ => None,
        }
    }
}

fn is_one_of(issuers: &[String], iss: &str) -> bool {
    issuers.iter().any(|own| own.trim_end_matches('/') == iss.trim_end_matches('/'))
}

/// What a subject may be where it stands. Names are not nested in names, nor complex subjects in anything.
#[derive(Clone, Copy, PartialEq)]
enum May {
    Complex,
    Aliases,
    Simple,
}

fn parse(value: &Value, may: May) -> Result<Subject, &'static str> {
    let members = value.as_object().ok_or("its subject is no object")?;
    let text = |name: &str| members.get(name).and_then(Value::as_str);
    // `subject_type` is what the drafts called it, and Google does.
    let format = text("format").or_else(|| text("subject_type")).map(|name| name.replace('-', "_"));
    let part = |name: &str, may| members.get(name).map(|part| parse(part, may).map(Box::new));
    let complex = || {
        let (user, session) = (part("user", May::Aliases), part("session", May::Simple));
        Ok::<_, &'static str>(Subject::Complex {
            user: user.transpose()?,
            session: session.transpose()?,
        })
    };
    let needed = |name: &str, why: &'static str| id(members, name).ok_or(why);
    Ok(match format.as_deref() {
        Some("iss_sub" | "id_token_claims") => Subject::IssSub {
            iss: needed("iss", "its subject has no iss, or one that is too long")?,
            sub: needed("sub", "its subject has no sub, or one that is too long")?,
        },
        Some("opaque") => Subject::Opaque(needed("id", "its subject has no id, or one too long")?),
        Some("email") => Subject::Email(email(members)?),
        Some("aliases") if may != May::Simple => {
            let all = members.get("identifiers").and_then(Value::as_array);
            let all = all.ok_or("its subject has no identifiers")?;
            if all.is_empty() || all.len() > MAX_ALIASES {
                return Err("its subject has no identifiers, or more than 10");
            }
            let all: Result<_, _> = all.iter().map(|one| parse(one, May::Simple)).collect();
            Subject::Aliases(all?)
        }
        Some("complex") if may == May::Complex => complex()?,
        // So the drafts of CAEP had it.
        None if may == May::Complex
            && (members.contains_key("user") || members.contains_key("session")) =>
        {
            complex()?
        }
        Some(_) => Subject::Other,
        None => return Err("its subject has no format"),
    })
}

fn email(members: &Map<String, Value>) -> Result<String, &'static str> {
    let text = members.get("email").and_then(Value::as_str).unwrap_or_default();
    let fine = text.len() <= MAX_EMAIL
        && text.split_once('@').is_some_and(|(name, host)| !name.is_empty() && !host.is_empty())
        && !text.chars().any(char::is_control);
    if fine { Ok(text.to_owned()) } else { Err("its subject has no email, or one that is none") }
}

/// The provider's names of its users who have this address: proved by a code, or told by the provider itself.
async fn by_email(cx: &Cx, pool: &Pool, provider: &Provider, email: &str) -> Result<Vec<String>> {
    let wanted = indexed(pool, email);
    let range = (wanted.as_str(), format!("{wanted}\u{1}"));
    let told = provider.doc.mapping.contains_key("email");
    let is_wanted = |user: &User| {
        let same = user
            .doc
            .get("email")
            .is_some_and(|own| names::fold(pool, own) == names::fold(pool, email));
        same && (told || user.doc.get("email_verified") == Some("true"))
    };
    let (mut found, mut after) = (Vec::new(), (String::new(), String::new()));
    loop {
        let page = user_lists::list_by_attribute(
            cx.db(),
            &pool.id,
            "email",
            (range.0, &range.1),
            (&after.0, &after.1),
            PAGE,
        )
        .await?;
        let Some((value, last)) = page.last() else { return Ok(found) };
        after = (value.clone(), last.sub.clone());
        for (_, user) in page.iter().filter(|(_, user)| is_wanted(user)) {
            let own = user.doc.identities.iter().filter(|linked| {
                linked.provider == provider.name
                    && linked.attribute == SUBJECT
                    && linked.value.len() <= MAX_ID
            });
            found.extend(own.map(|linked| linked.value.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_format_is_read_and_what_nobody_here_has_is_nobody() {
        let opaque = |id: &str| Subject::Opaque(id.to_owned());
        let ann = Subject::IssSub { iss: "https://i".to_owned(), sub: "ann".to_owned() };
        let iss_sub = json!({ "format": "iss_sub", "iss": "https://i", "sub": "ann" });
        let both = |user: &Subject, session: &Subject| Subject::Complex {
            user: Some(Box::new(user.clone())),
            session: Some(Box::new(session.clone())),
        };
        let session = json!({ "format": "opaque", "id": "s1" });
        for (value, wanted) in [
            (iss_sub.clone(), ann.clone()),
            (json!({ "subject_type": "iss-sub", "iss": "https://i", "sub": "ann" }), ann.clone()),
            (session.clone(), opaque("s1")),
            (json!({ "format": "email", "email": "a@b.c" }), Subject::Email("a@b.c".to_owned())),
            (json!({ "format": "phone_number", "phone_number": "+1" }), Subject::Other),
            (
                json!({ "format": "aliases", "identifiers": [iss_sub, session] }),
                Subject::Aliases(vec![ann.clone(), opaque("s1")]),
            ),
            (
                json!({ "format": "complex", "user": iss_sub, "session": session, "device": {} }),
                both(&ann, &opaque("s1")),
            ),
            (json!({ "user": iss_sub, "session": session }), both(&ann, &opaque("s1"))),
            (
                json!({ "format": "complex", "session": session,
                    "user": { "format": "aliases", "identifiers": [iss_sub] } }),
                both(&Subject::Aliases(vec![ann.clone()]), &opaque("s1")),
            ),
            (
                json!({ "format": "complex", "user": { "format": "complex", "user": iss_sub }, "session": session }),
                both(&Subject::Other, &opaque("s1")),
            ),
        ] {
            assert_eq!(Subject::parse(&value), Ok(wanted), "{value}");
        }
    }

    #[test]
    fn what_is_malformed_is_refused() {
        let aliases =
            json!({ "format": "aliases", "identifiers": [{ "format": "opaque", "id": "a" }] });
        for wrong in [
            json!("ann"),
            json!({}),
            json!({ "id": "ann" }),
            json!({ "format": "iss_sub", "iss": "https://i" }),
            json!({ "format": "iss_sub", "sub": "ann" }),
            json!({ "format": "iss_sub", "iss": "https://i", "sub": "" }),
            json!({ "format": "iss_sub", "iss": "https://i", "sub": "a".repeat(256) }),
            json!({ "format": "opaque" }),
            json!({ "format": "opaque", "id": "a\nb" }),
            json!({ "format": "email", "email": "ann" }),
            json!({ "format": "email", "email": format!("{}@b.c", "a".repeat(320)) }),
            json!({ "format": "aliases", "identifiers": [] }),
            json!({ "format": "aliases", "identifiers": vec![json!({ "format": "opaque", "id": "a" }); 11] }),
            json!({ "format": "complex", "user": "ann" }),
            json!({ "format": "complex", "user": { "format": "opaque" } }),
        ] {
            assert!(Subject::parse(&wrong).is_err(), "{wrong}");
        }
        assert_eq!(
            Subject::parse(&json!({ "format": "aliases", "identifiers": [aliases] })),
            Ok(Subject::Aliases(vec![Subject::Other])),
            "names are not nested"
        );
        assert!(Subject::parse_simple(&aliases).is_err());
    }
}
