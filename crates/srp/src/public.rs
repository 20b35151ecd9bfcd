//! The client's public value A, parsed, and u, the hash that ties it to the server's B.

use crate::group::{self, BYTES, Element};
use crate::refused::Refused;
use crate::wire::{from_hex, pad, sha256, to_hex};

/// `SRP_A`: an integer of 1 to N - 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientPublic([u8; BYTES]);

impl ClientPublic {
    /// Reads hexadecimal of either case. A client that sends 0, N or 2N would know S without any password, and none sends an
    /// unreduced value in good faith: everything from N on is refused.
    ///
    /// # Errors
    /// Any [`Refused`] but [`Refused::ZeroScrambler`].
    pub fn parse(hex: &str) -> Result<Self, Refused> {
        Ok(Self(group::to_bytes(&group::element(&from_hex(hex)?)?)))
    }

    /// Lower-case hexadecimal without leading zeros, whatever the client wrote: [`ClientPublic::parse`] reads it back.
    pub fn to_hex(&self) -> String {
        to_hex(&self.0)
    }

    pub fn as_bytes(&self) -> &[u8; BYTES] {
        &self.0
    }

    pub(crate) fn element(&self) -> Element {
        Element::new(&group::integer(&self.0))
    }
}

/// u = SHA256(pad(A) | pad(B)), which must not be zero.
pub(crate) fn scrambler(a: &[u8; BYTES], b: &[u8; BYTES]) -> Result<[u8; 32], Refused> {
    let ([sign_a, a], [sign_b, b]) = (pad(a), pad(b));
    refuse_zero(sha256(&[sign_a, a, sign_b, b]))
}

fn refuse_zero(u: [u8; 32]) -> Result<[u8; 32], Refused> {
    if u == [0; 32] { Err(Refused::ZeroScrambler) } else { Ok(u) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scrambler_of_zero_is_refused_and_any_other_passes() {
        // No A and B that hash to zero are known, so the check is held on its own.
        assert_eq!(refuse_zero([0; 32]), Err(Refused::ZeroScrambler));
        let mut one = [0; 32];
        one[31] = 1;
        assert_eq!(refuse_zero(one), Ok(one));
    }
}
