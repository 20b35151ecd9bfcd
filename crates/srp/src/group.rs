//! The group: N, g = 2, k, and powers in constant time. Knows nothing of passwords or of the wire's text.

use std::array;
use std::iter::successors;
use std::sync::LazyLock;

use crypto_bigint::modular::ConstMontyForm;
use crypto_bigint::{CtAssign, CtEq, U3072, const_monty_params};

use crate::refused::Refused;
use crate::wire::{first, pad, sha256, strip_zeros};

/// Bytes of N.
pub(crate) const BYTES: usize = 384;

const_monty_params!(
    Modulus,
    U3072,
    concat!(
        "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74",
        "020BBEA63B139B22514A08798E3404DDEF9519B3CD3A431B302B0A6DF25F1437",
        "4FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED",
        "EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE45B3DC2007CB8A163BF05",
        "98DA48361C55D39A69163FA8FD24CF5F83655D23DCA3AD961C62F356208552BB",
        "9ED529077096966D670C354E4ABC9804F1746C08CA18217C32905E462E36CE3B",
        "E39E772C180E86039B2783A2EC07A28FB5C55DF06F4C52C9DE2BCBF695581718",
        "3995497CEA956AE515D2261898FA051015728E5A8AAAC42DAD33170D04507A33",
        "A85521ABDF1CBA64ECFB850458DBEF0A8AEA71575D060C7DB3970F85A6E1E4C7",
        "ABF5AE8CDB0933D71E8C94E04A25619DCEE3D2261AD2EE6BF12FFA06D98A0864",
        "D87602733EC86A64521F2B18177B200CBBE117577A615D6C770988C0BAD946E2",
        "08E24FA074E5AB3143DB5BFCE0FD108E4B82D120A93AD2CAFFFFFFFFFFFFFFFF",
    ),
    "N, the 3072-bit prime of RFC 3526 (id 15)."
);

/// An integer modulo N, in Montgomery form.
pub(crate) type Element = ConstMontyForm<Modulus, { U3072::LIMBS }>;

/// Reads big-endian bytes as an integer of 1 to N - 1. Leading zeros may be there or not: a client that writes
/// a two's-complement integer sends 385 bytes when the top bit is set.
pub(crate) fn element(bytes: &[u8]) -> Result<Element, Refused> {
    let digits = strip_zeros(bytes);
    if digits.is_empty() {
        return Err(Refused::Zero);
    }
    if digits.len() > BYTES {
        return Err(Refused::TooLong);
    }
    let integer = integer(digits);
    if integer >= *Element::MODULUS.as_ref() {
        return Err(Refused::OutOfRange);
    }
    Ok(Element::new(&integer))
}

pub(crate) fn to_bytes(element: &Element) -> [u8; BYTES] {
    first(element.retrieve().to_be_bytes().as_ref())
}

/// k = SHA256(pad(N) | pad(g)).
pub(crate) fn k() -> &'static Element {
    static K: LazyLock<Element> = LazyLock::new(|| {
        let n = Element::MODULUS.as_ref().to_be_bytes();
        let ([sign, n], [_, g]) = (pad(n.as_ref()), pad(&[2]));
        Element::new(&integer(&sha256(&[sign, n, g])))
    });
    &K
}

/// base^exponent in constant time.
pub(crate) fn power(base: &Element, exponent: &[u8; 32]) -> Element {
    base.pow_amm_bounded_exp(&integer(exponent), 256)
}

/// g^exponent in constant time: a quarter of the work of [`power`], because the base is known beforehand.
///
/// A comb (Lim and Lee, 1994). The exponent is written as four rows of 64 bits; a column of four bits selects one of
/// 16 products of g^1, g^(2^64), g^(2^128) and g^(2^192). The columns stand in four blocks of 16, each with a table of its
/// own, so that all blocks share the same 16 squarings.
pub(crate) fn power_of_g(exponent: &[u8; 32]) -> Element {
    static TABLES: LazyLock<[[Element; 16]; 4]> = LazyLock::new(comb_tables);
    let (words, _) = exponent.as_chunks();
    let mut result = Element::ONE;
    for column in (0..16).rev() {
        result = result.square();
        for (table, block) in TABLES.iter().zip(0_u32..) {
            // The first word is the highest row, and so the highest bit of the choice.
            let choice = words.iter().fold(0, |choice, word| {
                choice << 1 | (u64::from_be_bytes(*word) >> (16 * block + column) & 1)
            });
            result = result.mul(&pick(table, choice));
        }
    }
    result
}

fn comb_tables() -> [[Element; 16]; 4] {
    let g = Element::new(&U3072::from_u64(2));
    let rows: Vec<_> =
        successors(Some(g), |row| Some(row.square_repeat_vartime(64))).take(4).collect();
    let mut table = array::from_fn(|choice: usize| {
        rows.iter()
            .enumerate()
            .filter(|(row, _)| choice >> row & 1 == 1)
            .fold(Element::ONE, |product, (_, power)| product.mul(power))
    });
    array::from_fn(|_| {
        let this = table;
        table = table.map(|entry| entry.square_repeat_vartime(16));
        this
    })
}

/// One entry of a table, read so that neither time nor cache tells which.
fn pick(table: &[Element; 16], choice: u64) -> Element {
    let mut picked = Element::ZERO;
    for (entry, index) in table.iter().zip(0_u64..) {
        picked.ct_assign(entry, index.ct_eq(&choice));
    }
    picked
}

/// The integer that at most 384 big-endian bytes write.
pub(crate) fn integer(bytes: &[u8]) -> U3072 {
    let mut wide = [0; BYTES];
    for (to, from) in wide.iter_mut().rev().zip(bytes.iter().rev()) {
        *to = *from;
    }
    U3072::from_be_slice(&wide)
}
