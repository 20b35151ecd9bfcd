//! ListUsers: its filter language, and which index answers which filter.

use crate::cx::Cx;
use crate::error::{Error, Result};
use crate::pool::{Pool, User, names};
use crate::store::{user_lists, users};

/// `name = "value"` or `name ^= "value"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    pub attribute: String,
    pub prefix: bool,
    pub value: String,
}

impl Filter {
    /// Blank means no filter.
    pub fn parse(text: &str) -> Result<Option<Filter>> {
        let refuse = || Err(Error::invalid("Error while parsing filter."));
        let text = text.trim();
        if text.is_empty() {
            return Ok(None);
        }
        let Some((attribute, rest)) = text.split_once('=') else {
            return refuse();
        };
        let (attribute, prefix) = match attribute.trim_end().strip_suffix('^') {
            Some(attribute) => (attribute, true),
            None => (attribute, false),
        };
        // The name may stand in quotation marks, too.
        let attribute = attribute.trim();
        let attribute = attribute
            .strip_prefix('"')
            .and_then(|inner| inner.strip_suffix('"'))
            .unwrap_or(attribute);
        let searchable =
            attribute == "sub" || attribute == "status" || attribute == "cognito:user_status";
        if !searchable && !users::FILTERS.contains(&attribute) {
            return Err(Error::invalid(format!("Invalid search attribute: {attribute}")));
        }
        let Some(quoted) = rest.trim().strip_prefix('"') else {
            return refuse();
        };
        let (mut value, mut chars) = (String::new(), quoted.chars());
        loop {
            match chars.next() {
                Some('"') => break,
                Some('\\') => match chars.next() {
                    Some(c) => value.push(c),
                    None => return refuse(),
                },
                Some(c) => value.push(c),
                None => return refuse(),
            }
        }
        if !chars.as_str().is_empty() {
            return refuse();
        }
        Ok(Some(Filter { attribute: attribute.to_owned(), prefix, value }))
    }

    /// The values that it lets through, as the half-open range in which an index holds them.
    fn range(&self, value: &str) -> (String, String) {
        // Text never holds U+0000, so that U+0001 makes the next text after `value` itself.
        let end =
            if self.prefix { user_lists::after_prefix(value) } else { format!("{value}\u{1}") };
        (value.to_owned(), end)
    }

    fn matches(&self, value: &str) -> bool {
        if self.prefix { value.starts_with(&self.value) } else { value == self.value }
    }
}

/// At most `limit` users after `cursor`, and the cursor of the next page, if there is one.
pub async fn page(
    cx: &Cx,
    pool: &Pool,
    filter: Option<&Filter>,
    cursor: &str,
    limit: usize,
) -> Result<(Vec<User>, Option<String>)> {
    let db = cx.db();
    let count = i64::try_from(limit).unwrap_or(60);
    // One more than fits tells whether there is a next page.
    let more = count + 1;
    let found = match filter {
        None => user_lists::list(db, &pool.id, cursor, more).await?,
        Some(filter) => match filter.attribute.as_str() {
            "sub" => {
                let (from, to) = filter.range(&filter.value);
                user_lists::list_by_sub(db, &pool.id, (&from, &to), cursor, more).await?
            }
            "cognito:user_status" if !filter.prefix => {
                let status = filter.value.to_ascii_uppercase();
                user_lists::list_of_status(db, &pool.id, &status, cursor, more).await?
            }
            "cognito:user_status" => {
                let (from, to) = filter.range(&filter.value.to_ascii_uppercase());
                user_lists::list_by_status(db, &pool.id, (&from, &to), cursor, more).await?
            }
            "status" => match [("Enabled", true), ("Disabled", false)]
                .iter()
                .find(|(name, _)| filter.matches(name))
            {
                _ if filter.prefix && filter.value.is_empty() => {
                    user_lists::list(db, &pool.id, cursor, more).await?
                }
                Some((_, enabled)) => {
                    user_lists::list_by_enabled(db, &pool.id, *enabled, cursor, more).await?
                }
                None => Vec::new(),
            },
            attribute => return by_attribute(cx, pool, filter, attribute, cursor, limit).await,
        },
    };
    let next = found
        .get(limit)
        .and_then(|_| found.get(limit.checked_sub(1)?))
        .map(|last| last.sub.clone());
    Ok((found.into_iter().take(limit).collect(), next))
}

async fn by_attribute(
    cx: &Cx,
    pool: &Pool,
    filter: &Filter,
    attribute: &str,
    cursor: &str,
    limit: usize,
) -> Result<(Vec<User>, Option<String>)> {
    let (from, to) = filter.range(&users::indexed(pool, &filter.value));
    let after: (String, String) = if cursor.is_empty() {
        Default::default()
    } else {
        serde_json::from_str(cursor).map_err(Error::internal)?
    };
    let more = i64::try_from(limit + 1).unwrap_or(61);
    let found = user_lists::list_by_attribute(
        cx.db(),
        &pool.id,
        attribute,
        (&from, &to),
        (&after.0, &after.1),
        more,
    )
    .await?;
    let next = found.get(limit).and_then(|_| found.get(limit.checked_sub(1)?));
    let next = next
        .map(|(value, user)| serde_json::to_string(&(value, &user.sub)))
        .transpose()
        .map_err(Error::internal)?;
    // The index holds the beginning of a long value only.
    let whole = |user: &User| {
        let value = if attribute == "username" {
            Some(user.username.as_str())
        } else {
            user.doc.get(attribute)
        };
        let (value, wanted) =
            (names::fold(pool, value.unwrap_or_default()), names::fold(pool, &filter.value));
        if filter.prefix { value.starts_with(&wanted) } else { value == wanted }
    };
    let users = found.into_iter().take(limit).map(|(_, user)| user).filter(whole).collect();
    Ok((users, next))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_parsed_and_their_faults_named() {
        let parsed = |text| {
            Filter::parse(text)
                .map(|filter| filter.map(|filter| (filter.attribute, filter.prefix, filter.value)))
        };
        let some = |attribute: &str, prefix, value: &str| {
            Ok::<_, String>(Some((attribute.to_owned(), prefix, value.to_owned())))
        };
        let parsed = |text| parsed(text).map_err(|error| error.message.to_string());
        assert_eq!(parsed(r#"email = "a@b.c""#), some("email", false, "a@b.c"));
        assert_eq!(parsed(r#"email^="a""#), some("email", true, "a"));
        assert_eq!(
            parsed(r#""family_name" ^= "O\"Neil\\""#),
            some("family_name", true, r#"O"Neil\"#)
        );
        assert_eq!(parsed("  "), Ok(None));
        for bad in [
            "email",
            "email > \"a\"",
            "email = a",
            "email = \"a",
            "email = \"a\" and",
            "custom:x = \"a\"",
            "= \"a\"",
            "email = \"a\\",
        ] {
            let refused = parsed(bad).unwrap_err();
            let known = [
                "Error while parsing filter.",
                "Invalid search attribute: custom:x",
                "Invalid search attribute: ",
            ];
            assert!(known.contains(&refused.as_str()), "{bad}: {refused}");
        }
    }
}
