//! The client's side, for tests and for load generators. The server never calls it. Unlike the server's
//! side, its time shows how long its secret exponents are.

use std::fmt;

use crypto_bigint::U3072;
use zeroize::Zeroizing;

use crate::group::{self, BYTES, Element};
use crate::public::scrambler;
use crate::refused::Refused;
use crate::session::SessionKey;
use crate::verifier::password_exponent;
use crate::wire::{from_hex, to_hex};

/// One sign-in of a client. Takes the texts of the wire as they come, as the published clients do.
pub struct Client {
    secret: Zeroizing<[u8; 128]>,
    public: [u8; BYTES],
}

impl Client {
    /// A = g^a mod N. Published clients draw all 128 bytes; a load generator may leave all but the last 32 zero, which
    /// divides its own cost by about three and changes nothing for the server.
    pub fn new(a: [u8; 128]) -> Self {
        let g = Element::new(&U3072::from_u64(2));
        let exponent = group::integer(&a);
        let public = g.pow_amm_bounded_exp(&exponent, exponent.bits_vartime());
        Self { secret: Zeroizing::new(a), public: group::to_bytes(&public) }
    }

    /// `SRP_A`: lower-case hexadecimal without leading zeros.
    pub fn public_hex(&self) -> String {
        to_hex(&self.public)
    }

    /// The key, from the challenge's `SALT` and `SRP_B`; [`SessionKey::claim`] then signs it.
    ///
    /// S = (B - k*g^x)^(a + u*x) mod N.
    ///
    /// # Errors
    /// Any [`Refused`].
    pub fn key(
        &self,
        pool_name: &str,
        user_id: &str,
        password: &str,
        salt_hex: &str,
        server_public_hex: &str,
    ) -> Result<SessionKey, Refused> {
        let b = group::element(&from_hex(server_public_hex)?)?;
        let u = scrambler(&self.public, &group::to_bytes(&b))?;
        let x = password_exponent(pool_name, user_id, password, &from_hex(salt_hex)?);
        let base = b.sub(&group::k().mul(&group::power_of_g(&x)));
        // 1024 bits, and 512 bits: the sum cannot wrap.
        let exponent = group::integer(self.secret.as_ref())
            .wrapping_add(&group::integer(&u).wrapping_mul(&group::integer(x.as_ref())));
        let shared = base.pow_amm_bounded_exp(&exponent, exponent.bits_vartime());
        Ok(SessionKey::derive(&shared, &u))
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}
