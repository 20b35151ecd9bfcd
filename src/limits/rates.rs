//! How many requests a second each limit lets through, as the operator says it: `off`, or `Name=number` for those that differ from
//! what is built in.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use serde::de::{self, MapAccess, Visitor};

use super::Limit;

/// The most that can be asked for: a share of a second is counted in microseconds.
const HIGHEST: u32 = 1_000_000;

/// A number for every limit; 0 is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rates([u32; Limit::ALL.len()]);

impl Rates {
    /// What holds where the operator says nothing.
    pub fn built_in() -> Rates {
        Rates(Limit::ALL.map(Limit::built_in))
    }

    pub fn off() -> Rates {
        Rates([0; Limit::ALL.len()])
    }

    pub fn of(&self, limit: Limit) -> u32 {
        match limit {
            // `cognito-behaviour`, 8.6: three answers to challenges for each sign-in.
            Limit::ChallengeResponses => self.of(Limit::UserAuthentication).saturating_mul(3),
            limit => self.0.get(limit as usize).copied().unwrap_or(0),
        }
    }

    pub fn with(mut self, given: &Given) -> Rates {
        for change in &given.0 {
            match change {
                Change::Off => self = Rates::off(),
                Change::Set(limit, rate) => {
                    if let Some(place) = self.0.get_mut(*limit as usize) {
                        *place = *rate;
                    }
                }
            }
        }
        self
    }
}

/// What was given, in order; the last word counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Given(Vec<Change>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Change {
    Off,
    Set(Limit, u32),
}

impl Given {
    /// These, on top of others.
    pub fn over(self, mut others: Given) -> Given {
        others.0.extend(self.0);
        others
    }

    fn set(&mut self, name: &str, rate: i64) -> Result<(), String> {
        let limit = Limit::ALL.into_iter().find(|limit| limit.is_set() && limit.name() == name);
        let limit = limit.ok_or_else(|| {
            let names: Vec<&str> = Limit::ALL
                .iter()
                .filter(|limit| limit.is_set())
                .map(|limit| limit.name())
                .collect();
            format!("there is no such limit. There are: {}", names.join(", "))
        })?;
        let rate = u32::try_from(rate).ok().filter(|rate| *rate <= HIGHEST);
        let rate = rate.ok_or_else(|| {
            format!("the limit {} must be a number from 0 (none) to {HIGHEST}", limit.name())
        })?;
        self.0.push(Change::Set(limit, rate));
        Ok(())
    }
}

/// `off`, or `UserAuthentication=500,per_address=0`.
impl FromStr for Given {
    type Err = String;

    fn from_str(text: &str) -> Result<Given, String> {
        if text.trim() == "off" {
            return Ok(Given(vec![Change::Off]));
        }
        let mut given = Given::default();
        for item in text.split(',').map(str::trim).filter(|item| !item.is_empty()) {
            let (name, rate) = item.split_once('=').ok_or(
                "write off, or limits with their numbers, as in UserAuthentication=500,per_address=0",
            )?;
            given.set(name.trim(), rate.trim().parse().unwrap_or(-1))?;
        }
        Ok(given)
    }
}

/// In the file: the same text, or a table of names and numbers.
impl<'de> Deserialize<'de> for Given {
    fn deserialize<D: de::Deserializer<'de>>(from: D) -> Result<Given, D::Error> {
        struct Forms;
        impl<'de> Visitor<'de> for Forms {
            type Value = Given;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"off\" or a table of limits and numbers")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Given, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_map<M: MapAccess<'de>>(self, mut table: M) -> Result<Given, M::Error> {
                let mut given = Given::default();
                while let Some((name, rate)) = table.next_entry::<String, i64>()? {
                    given.set(&name, rate).map_err(de::Error::custom)?;
                }
                Ok(given)
            }
        }
        from.deserialize_any(Forms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_given_keeps_its_number_and_the_last_word_counts() {
        let file: Given = toml::from_str::<toml::Table>("")
            .map(|_| "UserRead=7,per_user=3".parse().unwrap())
            .unwrap();
        let flag: Given = " per_user = 0 ".parse().unwrap();
        let rates = Rates::built_in().with(&flag.over(file));
        assert_eq!(rates.of(Limit::UserRead), 7);
        assert_eq!(rates.of(Limit::PerUser), 0);
        assert_eq!(rates.of(Limit::UserCreation), Limit::UserCreation.built_in());
        let on_again: Given = "UserRead=5".parse::<Given>().unwrap().over("off".parse().unwrap());
        assert_eq!(
            Rates::built_in().with(&on_again),
            Rates::off().with(&"UserRead=5".parse().unwrap())
        );
    }

    #[test]
    fn answers_to_challenges_get_three_times_what_sign_ins_get() {
        let rates = Rates::off().with(&"UserAuthentication=40".parse().unwrap());
        assert_eq!(rates.of(Limit::ChallengeResponses), 120);
        assert!("ChallengeResponses=1".parse::<Given>().is_err(), "it follows UserAuthentication");
    }

    #[test]
    fn what_cannot_be_a_limit_is_refused_and_told() {
        for (text, part) in [
            ("UserRaed=5", "There are: UserAuthentication, "),
            ("per_user=-1", "the limit per_user must be a number from 0 (none) to 1000000"),
            ("per_user=many", "must be a number"),
            ("per_user=1000001", "must be a number"),
            ("on", "write off, or limits"),
        ] {
            let error = text.parse::<Given>().unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
