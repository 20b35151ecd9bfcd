//! A user: identity, status, attributes, and the clocks that revocation stands on.

use cenote_interface::types::{AttributeType, MFAOptionType};
use serde::{Deserialize, Serialize};

use super::factors::{Factor, Factors};
use super::identity::{self, Linked};
use crate::ambient::Ms;

/// A user as one read gave it.
#[derive(Clone, Debug)]
pub struct User {
    pub pool_id: String,
    pub sub: String,
    /// What Cognito calls Username: chosen at sign-up, or the `sub` where users sign in with an address.
    pub username: String,
    pub status: Status,
    pub enabled: bool,
    pub doc: UserDoc,
    /// Guards changes of `doc`, `status` and `username`; sign-ins leave it alone.
    pub ver: i64,
    /// SRP salt and verifier, sealed; see `auth::credential`.
    pub password: Option<Vec<u8>>,
    /// Changes with the password: a sign-in is committed under the password that it proved.
    pub password_ver: i64,
    pub clock_ms: Ms,
    pub epoch_ms: Ms,
    pub code_epoch_ms: Ms,
    pub sso_epoch_ms: Ms,
    pub session_gen: i64,
    /// Wrong passwords in a row, and when the last one was.
    pub failures: i64,
    pub failed_ms: Ms,
    pub created_ms: Ms,
    pub modified_ms: Ms,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct UserDoc {
    /// Name and value in the order in which they came; `sub` is not among them.
    pub attributes: Vec<(String, String)>,
    /// New values that wait for their code (AttributesRequireVerificationBeforeUpdate).
    pub pending: Vec<(String, String)>,
    /// When the temporary password stops working.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temporary_until_ms: Option<Ms>,
    #[serde(skip_serializing_if = "Factors::is_empty")]
    pub factors: Factors,
    /// In the order in which they were linked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub identities: Vec<Linked>,
}

impl UserDoc {
    pub fn get(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub fn set(&mut self, name: &str, value: &str) {
        match self.attributes.iter_mut().find(|(key, _)| key == name) {
            Some((_, old)) => *old = value.to_owned(),
            None => self.attributes.push((name.to_owned(), value.to_owned())),
        }
    }

    pub fn remove(&mut self, name: &str) {
        self.attributes.retain(|(key, _)| key != name);
    }

    pub fn is_verified(&self, attribute: &str) -> bool {
        self.get(&format!("{attribute}_verified")) == Some("true")
    }

    /// Whether the account began with a sign-in at an identity provider.
    pub fn is_federated(&self) -> bool {
        self.identities.iter().any(|identity| identity.primary)
    }
}

impl User {
    /// A user who begins now, without a password. Its epochs begin with it, as in its row: nothing of an earlier user with this
    /// `sub` lives.
    pub fn new(
        pool_id: &str,
        sub: String,
        username: String,
        status: Status,
        doc: UserDoc,
        now: Ms,
    ) -> User {
        User {
            pool_id: pool_id.to_owned(),
            sub,
            username,
            status,
            enabled: true,
            doc,
            ver: 1,
            password: None,
            password_ver: 1,
            clock_ms: now,
            epoch_ms: now,
            code_epoch_ms: now,
            sso_epoch_ms: now,
            session_gen: 0,
            failures: 0,
            failed_ms: 0,
            created_ms: now,
            modified_ms: now,
        }
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        if name == "sub" { Some(&self.sub) } else { self.doc.get(name) }
    }

    /// The attributes as Cognito lists them, `sub` first.
    pub fn attributes(&self) -> Vec<AttributeType> {
        let identities = self.identities();
        let identities = identities.as_deref().map(|value| ("identities", value));
        let own = self.doc.attributes.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        std::iter::once(("sub", self.sub.as_str()))
            .chain(identities)
            .chain(own)
            .map(|(name, value)| AttributeType {
                name: name.to_owned(),
                value: Some(value.to_owned()),
            })
            .collect()
    }

    /// The attribute `identities`: absent where no provider knows the user.
    pub fn identities(&self) -> Option<String> {
        let identities = &self.doc.identities;
        (!identities.is_empty()).then(|| identity::attribute(identities))
    }

    /// UserMFASettingList: absent where nothing is activated.
    pub fn mfa_setting_list(&self) -> Option<Vec<String>> {
        let names: Vec<String> =
            self.doc.factors.enabled.iter().map(|factor| factor.as_str().to_owned()).collect();
        (!names.is_empty()).then_some(names)
    }

    /// PreferredMfaSetting.
    pub fn preferred_mfa_setting(&self) -> Option<String> {
        self.doc.factors.preferred.map(|factor| factor.as_str().to_owned())
    }

    /// MFAOptions, the older form, which knows text messages alone.
    pub fn mfa_options(&self) -> Option<Vec<MFAOptionType>> {
        self.doc.factors.enabled.contains(&Factor::Sms).then(|| {
            vec![MFAOptionType {
                delivery_medium: Some("SMS".to_owned()),
                attribute_name: Some("phone_number".to_owned()),
            }]
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Unconfirmed,
    Confirmed,
    ResetRequired,
    ForceChangePassword,
    ExternalProvider,
}

impl Status {
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Unconfirmed => "UNCONFIRMED",
            Status::Confirmed => "CONFIRMED",
            Status::ResetRequired => "RESET_REQUIRED",
            Status::ForceChangePassword => "FORCE_CHANGE_PASSWORD",
            Status::ExternalProvider => "EXTERNAL_PROVIDER",
        }
    }

    pub fn parse(text: &str) -> Option<Status> {
        Some(match text {
            "UNCONFIRMED" => Status::Unconfirmed,
            "CONFIRMED" => Status::Confirmed,
            "RESET_REQUIRED" => Status::ResetRequired,
            "FORCE_CHANGE_PASSWORD" => Status::ForceChangePassword,
            "EXTERNAL_PROVIDER" => Status::ExternalProvider,
            _ => return None,
        })
    }
}
