//! The server's side of one handshake, which spans two requests: the first sends B, the second checks the claim.

use std::fmt;

use zeroize::Zeroizing;

use crate::group::{self, BYTES};
use crate::public::{ClientPublic, scrambler};
use crate::refused::Refused;
use crate::session::SessionKey;
use crate::verifier::Verifier;
use crate::wire::to_hex;

/// One handshake: the secret b and the public B. Serves one sign-in only.
pub struct Server {
    secret: Zeroizing<[u8; 32]>,
    public: [u8; BYTES],
}

impl Server {
    /// B = k*v + g^b mod N. `b` must come fresh from a cryptographic generator.
    pub fn new(verifier: &Verifier, b: [u8; 32]) -> Self {
        let secret = Zeroizing::new(b);
        let public = group::k().mul(&verifier.element()).add(&group::power_of_g(&secret));
        Self { secret, public: group::to_bytes(&public) }
    }

    /// Takes the handshake up again in the second request, without computing g^b a second time.
    ///
    /// `None` for a `B` that [`Server::new`] never makes, and for b = 0: a secret that was never written would make S = 1
    /// for every client.
    pub fn from_parts(b: [u8; 32], public: &[u8]) -> Option<Self> {
        let secret = Zeroizing::new(b);
        if *secret == [0; 32] {
            return None;
        }
        let public = group::to_bytes(&group::element(public).ok()?);
        Some(Self { secret, public })
    }

    /// `SRP_B`: lower-case hexadecimal without leading zeros.
    pub fn public_hex(&self) -> String {
        to_hex(&self.public)
    }

    /// B as [`Server::from_parts`] takes it.
    pub fn public_bytes(&self) -> &[u8; BYTES] {
        &self.public
    }

    /// b, to be stored sealed between the two requests.
    pub fn secret(&self) -> &[u8; 32] {
        &self.secret
    }

    /// S = (A * v^u)^b mod N, and the key from it. A client that does not know the password has another key; only
    /// [`SessionKey::verify`] tells.
    ///
    /// # Errors
    /// [`Refused::ZeroScrambler`].
    pub fn key(&self, verifier: &Verifier, a: &ClientPublic) -> Result<SessionKey, Refused> {
        let u = scrambler(a.as_bytes(), &self.public)?;
        let base = Zeroizing::new(a.element().mul(&group::power(&verifier.element(), &u)));
        let shared = Zeroizing::new(group::power(&base, &self.secret));
        Ok(SessionKey::derive(&shared, &u))
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}
