//! The Cognito user pools interface as data: which operations exist, what their requests and
//! answers look like, which errors they declare, and what the service refuses before it looks at
//! anything else.
//!
//! Everything here comes from one file, `cognito-idp.interface.json`. The [`types`] and the table
//! of [`operations()`] are generated from it and checked in; [`check()`] interprets it at run time. So
//! there is no second list of fields, limits or patterns that could disagree with the first.
//!
//! A request passes through here in two steps. [`check()`] holds the parsed JSON against the shape
//! of the operation's input and words every fault the way the service does; SDKs and the people
//! who read their logs know these sentences. What passes then deserializes into the structure of
//! the same name in [`types`], and an operation never sees a missing member or a value out of range.
//!
//! Not here: what values mean together, who may call, and HTTP.

mod check;
mod fault;
#[rustfmt::skip] // Generated, one operation per line.
mod operations;
mod pattern;
mod redact;
mod shapes;
#[rustfmt::skip] // Generated.
pub mod types;
mod unknown;

pub use check::{Refusal, check, validate};
pub use fault::{Fault, Given};
pub use unknown::unknown_member;

/// What stands in front of the operation's name in `X-Amz-Target`, followed by a dot.
pub const TARGET_PREFIX: &str = "AWSCognitoIdentityProviderService";

/// One operation of the interface.
#[derive(Debug, PartialEq, Eq)]
pub struct Operation {
    pub name: &'static str,
    /// Callable without SigV4: the caller proves itself by a token, a session or a password.
    pub unsigned: bool,
    /// The shape of the request, also the name of its structure in [`types`].
    pub input: &'static str,
    /// The shape of the answer; `None` where the service answers with an empty body.
    pub output: Option<&'static str>,
    /// The declared errors, by their full names (`UserNotFoundException`).
    pub errors: &'static [&'static str],
}

/// The operation with this name, without the target prefix.
pub fn operation(name: &str) -> Option<&'static Operation> {
    let position = operations().binary_search_by_key(&name, |operation| operation.name).ok()?;
    operations().get(position)
}

/// All operations, sorted by name.
pub fn operations() -> &'static [Operation] {
    operations::OPERATIONS
}

/// Whether requests of the operation have this member. Others are ignored, so nothing may be decided by them.
pub fn takes(operation: &Operation, member: &str) -> bool {
    let shape = shapes::shape(operation.input).map(|shape| &shape.kind);
    matches!(shape, Some(shapes::Kind::Structure(members)) if members.iter().any(|one| one.name == member))
}

/// Whether the operation declares this error. Clients generated from the model only have a typed
/// error for these; any other arrives at their generic handler.
pub fn declares(operation: &Operation, error: &str) -> bool {
    operation.errors.contains(&error)
}
