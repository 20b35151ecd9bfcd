//! SAML.
