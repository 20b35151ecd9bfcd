//! The OAuth 2.0 and OpenID Connect endpoints that programs call (`cognito-behaviour`, section 4): token, revoke, introspect, userInfo,
//! discovery, JWKS. What browsers visit is in `hosted`.

mod client_auth;
mod discovery;
mod introspect;
mod revoke;
mod token;
mod userinfo;
mod wire;

pub use discovery::{jwks, openid_configuration};
pub use introspect::post as introspect;
pub use revoke::post as revoke;
pub use token::post as token;
pub use userinfo::get as userinfo;
pub use wire::preflight;
