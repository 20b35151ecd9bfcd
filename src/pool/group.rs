//! A group: a named set of users of one pool, and what the tokens of its members say because of it.

use serde::{Deserialize, Serialize};

use crate::ambient::Ms;

/// A group as one read gave it.
#[derive(Clone, Debug)]
pub struct Group {
    pub pool_id: String,
    /// The name as it is compared (`names::fold`); `doc.name` is how it was written.
    pub key: String,
    pub doc: GroupDoc,
    /// Guards changes of `doc`; members come and go without it.
    pub ver: i64,
    pub created_ms: Ms,
    pub modified_ms: Ms,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct GroupDoc {
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role_arn: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub precedence: Option<i64>,
}

impl GroupDoc {
    /// Where it stands among a user's groups: the lowest precedence first, and those without one last.
    fn rank(&self) -> i64 {
        self.precedence.unwrap_or(i64::MAX)
    }
}

/// The claims that a user's groups make.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GroupClaims {
    /// `cognito:groups`: by precedence, then by name.
    pub groups: Vec<String>,
    /// `cognito:roles`: the roles of those groups in the same order, each once.
    pub roles: Vec<String>,
    /// `cognito:preferred_role`: of the groups that have a role, the one that comes first; none if several come first with
    /// different roles.
    pub preferred_role: Option<String>,
}

impl GroupClaims {
    pub fn of(mut groups: Vec<GroupDoc>) -> GroupClaims {
        groups.sort_by(|one, other| (one.rank(), &one.name).cmp(&(other.rank(), &other.name)));
        let mut roles: Vec<String> = Vec::new();
        let mut first: Option<(i64, &str)> = None;
        let mut ambiguous = false;
        for (group, role) in
            groups.iter().filter_map(|group| Some((group, group.role_arn.as_deref()?)))
        {
            let (rank, preferred) = *first.get_or_insert((group.rank(), role));
            ambiguous |= group.rank() == rank && role != preferred;
            if !roles.iter().any(|known| known == role) {
                roles.push(role.to_owned());
            }
        }
        let preferred_role = first.filter(|_| !ambiguous).map(|(_, role)| role.to_owned());
        GroupClaims {
            preferred_role,
            roles,
            groups: groups.into_iter().map(|group| group.name).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(name: &str, precedence: Option<i64>, role: Option<&str>) -> GroupDoc {
        GroupDoc {
            name: name.to_owned(),
            role_arn: role.map(str::to_owned),
            precedence,
            ..GroupDoc::default()
        }
    }

    #[test]
    fn the_lowest_precedence_comes_first_then_the_name_and_groups_without_one_last() {
        let claims = GroupClaims::of(vec![
            group("a", None, None),
            group("z", Some(0), None),
            group("c", Some(7), None),
            group("b", Some(7), None),
        ]);
        assert_eq!(claims.groups, ["z", "b", "c", "a"]);
        assert_eq!((claims.roles.len(), claims.preferred_role), (0, None));
    }

    #[test]
    fn the_preferred_role_is_that_of_the_first_group_that_has_one() {
        let claims = GroupClaims::of(vec![
            group("none", Some(0), None),
            group("reader", Some(9), Some("role/reader")),
            group("writer", Some(3), Some("role/writer")),
            group("again", None, Some("role/writer")),
        ]);
        assert_eq!(claims.roles, ["role/writer", "role/reader"]);
        assert_eq!(claims.preferred_role.as_deref(), Some("role/writer"));
        let alone = GroupClaims::of(vec![group("a", None, Some("role/a"))]);
        assert_eq!(alone.preferred_role.as_deref(), Some("role/a"));
    }

    #[test]
    fn groups_that_come_first_together_agree_on_the_role_or_there_is_none() {
        let tie = |one, other| {
            let third = group("third", None, Some("role/c"));
            GroupClaims::of(vec![third, group("a", Some(1), one), group("b", Some(1), other)])
                .preferred_role
        };
        assert_eq!(tie(Some("role/a"), Some("role/a")).as_deref(), Some("role/a"));
        assert_eq!(tie(Some("role/a"), Some("role/b")), None);
        assert_eq!(tie(Some("role/a"), None).as_deref(), Some("role/a"));
        // Without a precedence, too, neither takes precedence over the other.
        let nulls = GroupClaims::of(vec![
            group("a", None, Some("role/a")),
            group("b", None, Some("role/b")),
        ]);
        assert_eq!((nulls.roles.len(), nulls.preferred_role), (2, None));
    }
}
