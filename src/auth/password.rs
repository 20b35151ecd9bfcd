//! Signing in with a plain password: USER_PASSWORD_AUTH, ADMIN_USER_PASSWORD_AUTH, and the hosted page's form.

use super::machine::{Event, Step, Verdict, next};
use super::verdict::{Subject, after_password, deny};
use super::{At, Outcome, credential};
use crate::cx::Cx;
use crate::error::{Error, Result};
use crate::store::Batch;

/// Checks a name and a password. For a name that nobody has the same work is done against an invented credential.
pub async fn attempt(cx: &Cx, at: At<'_>, name: &str, password: &str) -> Result<Outcome> {
    let subject = Subject::find(cx, at, name).await?;
    match next(&subject.facts(at, cx.now), Event::Begin) {
        Step::Check => {}
        Step::Deny { error, counts } => {
            return deny(cx, at, &subject, Batch::new(), error, counts).await;
        }
        step => {
            return Err(Error::internal(format!("a password attempt cannot begin with {step:?}")));
        }
    }
    let credential = credential::of(cx, at.pool, subject.user.as_ref(), &subject.login)?;
    let right = credential::matches(cx, at.pool, credential, subject.srp_name(), password).await?;
    let verdict = if right { Verdict::Right } else { Verdict::Wrong };
    after_password(cx, at, &subject, verdict, Batch::new(), None).await
}
