//! Whatever arrives, the check neither panics nor lets through what the typed input cannot take.

use cenote_interface::{check, operations};
use serde_json::{Value, json};

use crate::decodes::decodes;
use crate::sample;

#[test]
fn a_complete_request_passes_and_keeps_every_member() {
    for operation in operations() {
        let request = sample::request(operation.input);
        assert_eq!(check(operation, &request), Ok(()), "{}", operation.name);
        assert_eq!(
            decodes(operation.name, request.clone()).unwrap(),
            request,
            "{}",
            operation.name
        );
    }
}

#[test]
fn what_passes_the_check_decodes_after_any_change_of_its_structure() {
    let mut dice = Dice(0x5eed);
    let mut passed = 0;
    for _ in 0..150 {
        for operation in operations() {
            let mut request = sample::request(operation.input);
            for _ in 0..=dice.below(2) {
                change(&mut request, &mut dice);
            }
            if check(operation, &request).is_ok() {
                passed += 1;
                let decoded = decodes(operation.name, request.clone());
                assert!(decoded.is_ok(), "{} {request} {decoded:?}", operation.name);
            }
        }
    }
    assert!(passed > 1_000, "only {passed} requests passed: the test proves little");
}

#[test]
fn what_passes_the_check_decodes_after_any_change_of_its_bytes() {
    let mut dice = Dice(0xb17e5);
    let mut passed = 0;
    for _ in 0..150 {
        for operation in operations() {
            let mut bytes = sample::request(operation.input).to_string().into_bytes();
            for _ in 0..=dice.below(2) {
                let at = dice.below(bytes.len());
                match dice.below(3) {
                    0 => bytes[at] = b"\"{}[],:0123456789.eE-tfn\\ \x00\xff"[dice.below(27)],
                    1 => bytes[at] ^= 1 << dice.below(8),
                    _ => _ = bytes.remove(at),
                }
                if bytes.is_empty() {
                    break;
                }
            }
            let Ok(request) = serde_json::from_slice::<Value>(&bytes) else { continue };
            if check(operation, &request).is_ok() {
                passed += 1;
                let decoded = decodes(operation.name, request.clone());
                assert!(decoded.is_ok(), "{} {request} {decoded:?}", operation.name);
            }
        }
    }
    assert!(passed > 1_000, "only {passed} requests passed: the test proves little");
}

/// Changes something at a random place.
fn change(value: &mut Value, dice: &mut Dice) {
    let parts = match value {
        Value::Object(entries) => entries.len(),
        Value::Array(elements) => elements.len(),
        _ => 0,
    };
    if parts > 0 && dice.below(6) > 0 {
        let at = dice.below(parts);
        match value {
            Value::Object(entries) => change(entries.values_mut().nth(at).unwrap(), dice),
            Value::Array(elements) => change(&mut elements[at], dice),
            _ => {}
        }
        return;
    }
    *value = match dice.below(16) {
        0..4 => Value::Null,
        4 => json!(true),
        5 => json!(3),
        6 => json!(-1.5),
        7 => json!(1e300),
        8 => json!(u64::MAX),
        9 => json!(""),
        10 => json!("\u{0}💧\n"),
        11 => json!("a"),
        12 => json!([value.clone(), null]),
        13 => json!({"Name": value.clone(), "": 1}),
        14 => json!([value.clone(), value.clone()]),
        _ => json!({}),
    };
}

/// xorshift64*: seeded, so that a failure comes back.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let roll = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(roll).unwrap() % limit
    }
}
