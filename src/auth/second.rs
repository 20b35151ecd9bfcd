//! The second factor of a sign-in: asking for it once the password is proved, and checking the answer. A wrong code leaves the
//! challenge open and counts towards the user's lock; codes that are sent live as long as their challenge. Setting a factor up in
//! the middle of a sign-in is in `set_up`.

use std::collections::BTreeMap;

use super::challenge::{self, Ask, Doc, Open};
use super::machine::{self, Event, Step, Verdict, invalid_session, next};
use super::software_token::{self, Code};
use super::verdict::{Subject, challenge_with, deny, proven};
use super::{At, Challenged, Door, Outcome, set_up};
use crate::ambient::HOUR;
use crate::cx::Cx;
use crate::error::{Error, Kind, Result};
use crate::notify::{self, Address, Text};
use crate::pool::realm::triggers;
use crate::pool::{Factor, Pool, User, names};
use crate::store::{Batch, clocks, codes, factors, users};
use crate::tokens::{self, Birth};
use crate::{ids, keys};

/// Codes that are sent to one user in an hour: whoever knows a password must not fill somebody's phone.
const SENT_PER_HOUR: i64 = 30;

/// What a client answers.
pub enum Reply<'a> {
    Code(Factor, &'a str),
    /// SELECT_MFA_TYPE.
    Choice(Factor),
    /// MFA_SETUP, after VerifySoftwareToken.
    IsSetUp,
    /// MFA_SETUP by an address that gets codes from now on.
    SetUpEmail(&'a str),
}

/// Answers a challenge that was asked after the password. `name` is what the caller calls the user, where it does: a SECRET_HASH
/// over another name proves nothing.
pub async fn answer(
    cx: &Cx,
    at: At<'_>,
    session: &str,
    name: Option<&str>,
    reply: Reply<'_>,
) -> Result<Outcome> {
    let half = HalfDone::find(cx, at, session).await?;
    if name.is_some_and(|name| !names::is_name_of(at.pool, &half.user, name)) {
        return Err(invalid_session());
    }
    match reply {
        Reply::Code(factor, given) => half.code(cx, at, factor, given).await,
        Reply::Choice(factor) => half.choose(cx, at, factor).await,
        Reply::IsSetUp => half.is_set_up(cx, at).await,
        Reply::SetUpEmail(address) => set_up::email(cx, at, half, address).await,
    }
}

/// Asks for a second factor, in the batch that the step before it commits. `user` is as it will be after that.
pub(super) async fn ask(
    cx: &Cx,
    at: At<'_>,
    user: &User,
    step: Step,
    birth: Birth,
    mut batch: Batch,
) -> Result<Outcome> {
    let asking = match step {
        Step::Ask(Factor::SoftwareToken) => {
            let token = factors::software_token(cx.db(), user).await?;
            let device = token.map(|token| token.device_name).unwrap_or_default();
            Asking {
                name: "SOFTWARE_TOKEN_MFA",
                parameters: vec![("FRIENDLY_DEVICE_NAME", device)],
                ask: Ask::SoftwareToken,
            }
        }
        Step::Ask(factor) => {
            let attribute = factor.attribute().unwrap_or_default();
            let value = user.doc.get(attribute).unwrap_or_default().to_owned();
            send(cx, &mut batch, at, user, factor, Address { attribute, value }, false).await?
        }
        Step::AskWhich(factors) => Asking {
            name: "SELECT_MFA_TYPE",
            parameters: vec![("MFAS_CAN_CHOOSE", list(&factors)?)],
            ask: Ask::Which { factors },
        },
        Step::AskToSetUp(factors) => Asking {
            name: "MFA_SETUP",
            parameters: vec![("MFAS_CAN_SETUP", list(&factors)?)],
            ask: Ask::SetUp { factors, secret: None },
        },
        step => return Err(Error::internal(format!("{step:?} asks for no second factor"))),
    };
    asking.commit(cx, at, user, birth, batch).await
}

/// A challenge that is ready to be asked.
pub(super) struct Asking {
    pub name: &'static str,
    pub parameters: Vec<(&'static str, String)>,
    pub ask: Ask,
}

impl Asking {
    pub async fn commit(
        self,
        cx: &Cx,
        at: At<'_>,
        user: &User,
        birth: Birth,
        mut batch: Batch,
    ) -> Result<Outcome> {
        let session = insert(cx, &mut batch, at, user, birth, self.ask)?;
        let mut parameters: BTreeMap<String, String> =
            self.parameters.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        parameters.insert("USER_ID_FOR_SRP".to_owned(), user.username.clone());
        let challenged = Challenged { name: self.name, session: Some(session), parameters };
        challenge_with(cx, at, user, challenged, batch).await
    }
}

pub(super) fn insert(
    cx: &Cx,
    batch: &mut Batch,
    at: At<'_>,
    user: &User,
    birth: Birth,
    ask: Ask,
) -> Result<String> {
    let doc = Doc::Second { door: at.door, password_ver: user.password_ver, ask };
    challenge::insert(cx, batch, at, &user.sub, birth, &doc)
}

/// Sends a code, in the batch that makes its challenge.
pub(super) async fn send(
    cx: &Cx,
    batch: &mut Batch,
    at: At<'_>,
    user: &User,
    factor: Factor,
    to: Address,
    sets_up: bool,
) -> Result<Asking> {
    at.pool.refuse_unbuilt_triggers(triggers::SEND)?;
    let too_many = Error::new(
        Kind::TooManyRequests,
        "Too many codes were sent to this user. Try again later.",
    );
    codes::take_allowance(
        batch,
        &at.pool.id,
        &user.sub,
        "SecondFactor",
        SENT_PER_HOUR,
        HOUR,
        cx.now,
        too_many,
    );
    // Nobody has proved yet that this address is theirs: it may be a stranger's.
    let unproved = sets_up || !user.doc.is_verified(to.attribute);
    if unproved && !notify::charge(cx, batch, at.pool, &to).await? {
        return Err(Error::new(
            Kind::TooManyRequests,
            "Too many messages were sent to this address. Try again later.",
        ));
    }
    let code = ids::confirmation_code(cx.rng());
    let details = notify::send(cx, batch, at.pool, &to, &Text::SecondFactor { code: &code })?;
    let mac = mac(cx, at.pool, user, &to, &code);
    Ok(Asking {
        name: factor.as_str(),
        parameters: vec![
            ("CODE_DELIVERY_DELIVERY_MEDIUM", details.delivery_medium.unwrap_or_default()),
            ("CODE_DELIVERY_DESTINATION", details.destination.unwrap_or_default()),
        ],
        ask: Ask::Sent { factor, address: to.value, mac, sets_up },
    })
}

/// A sign-in whose password is proved and whose second factor is not.
pub(super) struct HalfDone {
    pub open: Open,
    pub user: User,
}

impl HalfDone {
    /// Finds it, if nothing has ended it meanwhile. The pages and the API do not answer each other's challenges: at the pages the
    /// scopes are the client's.
    pub async fn find(cx: &Cx, at: At<'_>, session: &str) -> Result<HalfDone> {
        let open = challenge::find(cx, at, session).await?;
        let Doc::Second { door, password_ver, .. } = &open.doc else {
            return Err(invalid_session());
        };
        let user = users::find(cx.db(), &at.pool.id, &open.row.sub).await?;
        let user = user.ok_or_else(invalid_session)?;
        open.check_alive(at, &user)?;
        let hosted = |door: Door| door == Door::Hosted;
        if user.password_ver != *password_ver || hosted(*door) != hosted(at.door) {
            return Err(invalid_session());
        }
        cx.is_about(&at.pool.id, Some(&user.sub));
        cx.admit_token(&at.pool.id, &user.sub)?;
        Ok(HalfDone { open, user })
    }

    pub fn ask(&self) -> Result<&Ask> {
        match &self.open.doc {
            Doc::Second { ask, .. } => Ok(ask),
            _ => Err(invalid_session()),
        }
    }

    /// What the machine says to an event of this sign-in that is no guess.
    pub fn next(&self, cx: &Cx, at: At<'_>, event: Event) -> Result<Step> {
        match next(&Subject::known(self.user.clone()).facts(at, cx.now), event) {
            Step::Deny { error, .. } => Err(error),
            step => Ok(step),
        }
    }

    /// The beginning of a batch that leads from this challenge to the next one.
    pub fn go_on(&self, cx: &Cx, at: At<'_>) -> (Birth, Batch) {
        let mut batch = Batch::new();
        let birth = tokens::tick(cx, at.pool, at.client, &self.user);
        clocks::go_on(&mut batch, &self.user, birth.ms(), self.open.row.birth_ms);
        self.open.consume(cx, &mut batch, at);
        (birth, batch)
    }

    /// All is proved: `batch` holds what that used up.
    fn prove(&self, cx: &Cx, at: At<'_>, mut batch: Batch) -> (Birth, Batch) {
        let birth = tokens::tick(cx, at.pool, at.client, &self.user);
        clocks::sign_in(&mut batch, &self.user, birth.ms(), self.open.row.birth_ms);
        self.open.consume(cx, &mut batch, at);
        (birth, batch)
    }

    async fn code(&self, cx: &Cx, at: At<'_>, factor: Factor, given: &str) -> Result<Outcome> {
        let user = &self.user;
        let mut batch = Batch::new();
        let (verdict, address) = match self.ask()? {
            Ask::SoftwareToken if factor == Factor::SoftwareToken => {
                let verdict = match software_token::check(cx, at.pool, user, given).await? {
                    Some(Code::Right { secret, step }) => {
                        factors::use_token(&mut batch, user, &secret, step);
                        Verdict::Right
                    }
                    Some(Code::Used) => Verdict::Used,
                    Some(Code::Wrong) => Verdict::Wrong,
                    None => return Err(software_token::missing()),
                };
                (verdict, None)
            }
            Ask::Sent { factor: asked, address, mac: expected, sets_up } if *asked == factor => {
                let attribute = factor.attribute().unwrap_or_default();
                // A code proves the address that it went to, and no other that the user has meanwhile.
                if !sets_up && user.doc.get(attribute) != Some(address) {
                    return Err(invalid_session());
                }
                let to = Address { attribute, value: address.clone() };
                let right = keys::same(&mac(cx, at.pool, user, &to, given), expected);
                let verdict = if right { Verdict::Right } else { Verdict::Wrong };
                (verdict, sets_up.then_some(to))
            }
            // Nothing was compared, so this was no guess.
            Ask::SoftwareToken | Ask::Sent { .. } => return Err(machine::wrong_code(factor)),
            Ask::Which { .. } | Ask::SetUp { .. } | Ask::IsSetUp { .. } => {
                return Err(invalid_session());
            }
        };
        let subject = Subject::known(user.clone());
        let event = Event::Code { factor, verdict, sets_up: address.is_some() };
        match next(&subject.facts(at, cx.now), event) {
            Step::Proven => {
                let (birth, mut batch) = self.prove(cx, at, batch);
                let user = match address {
                    Some(to) => set_up::adopt(cx, &mut batch, at, user, factor, &to).await?,
                    None => user.clone(),
                };
                Ok(proven(cx, at, user, birth, batch))
            }
            Step::Deny { error, counts } => {
                deny(cx, at, &subject, Batch::new(), error, counts).await
            }
            step => Err(Error::internal(format!("a code cannot lead to {step:?}"))),
        }
    }

    async fn choose(&self, cx: &Cx, at: At<'_>, factor: Factor) -> Result<Outcome> {
        let Ask::Which { factors } = self.ask()? else { return Err(invalid_session()) };
        if !factors.contains(&factor) {
            return Err(Error::invalid(format!(
                "ANSWER must be one of {}.",
                factors.iter().map(|factor| factor.as_str()).collect::<Vec<_>>().join(", ")
            )));
        }
        let step = self.next(cx, at, Event::Chosen(factor))?;
        let (birth, batch) = self.go_on(cx, at);
        ask(cx, at, &self.user, step, birth, batch).await
    }

    async fn is_set_up(&self, cx: &Cx, at: At<'_>) -> Result<Outcome> {
        let factor = match self.ask()? {
            Ask::IsSetUp { factor } => *factor,
            Ask::SetUp { .. } => {
                return Err(Error::invalid("User has not verified software token mfa"));
            }
            _ => return Err(invalid_session()),
        };
        self.next(cx, at, Event::SetUp(factor))?;
        let (birth, batch) = self.prove(cx, at, Batch::new());
        Ok(proven(cx, at, self.user.clone(), birth, batch))
    }
}

fn list(factors: &[Factor]) -> Result<String> {
    serde_json::to_string(factors).map_err(Error::internal)
}

/// A short code lies only inside its sealed challenge, and there only as this.
fn mac(cx: &Cx, pool: &Pool, user: &User, to: &Address, code: &str) -> [u8; 32] {
    let data = [&user.sub, to.attribute, &to.value, code].join("\0");
    cx.app.vault.mac(&pool.id, "code second factor", data.as_bytes())
}
