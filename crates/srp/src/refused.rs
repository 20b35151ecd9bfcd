//! Why a value from the other side is refused. None of these tells anything about a password.

use std::fmt;

/// Why a public value, a verifier or a handshake is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// The text is empty.
    Empty,
    /// The text holds something else than hexadecimal digits.
    NotHex,
    /// More digits than N has, leading zeros not counted.
    TooLong,
    /// The value is zero. A = 0 would make S = 0 whatever the password is.
    Zero,
    /// The value is N or more. A multiple of N is a zero in disguise, and no client sends an unreduced value.
    OutOfRange,
    /// u = SHA256(pad(A) | pad(B)) is zero, which would take the verifier out of S.
    ZeroScrambler,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "the value is empty",
            Self::NotHex => "the value is not hexadecimal",
            Self::TooLong => "the value has more than 3072 bits",
            Self::Zero => "the value is zero",
            Self::OutOfRange => "the value is not below the group's modulus",
            Self::ZeroScrambler => "the two public values hash to zero",
        })
    }
}

impl std::error::Error for Refused {}
