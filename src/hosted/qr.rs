//! What an authenticator app scans: the address of a secret, and its picture, made here so that no third party sees it. Pure.

use std::fmt::Write as _;

use minijinja::{Value, context};
use qrcode::{Color, EcLevel, QrCode};

use crate::error::{Error, Result};

/// The margin around a QR code in modules (ISO/IEC 18004, 6.3.8).
const QUIET: usize = 4;

/// `otpauth://totp/ISSUER:NAME?secret=..&issuer=..`: the form that every app reads.
pub fn otpauth(issuer: &str, name: &str, secret: &str) -> String {
    // The colon divides the label, so that neither part may hold one.
    let (issuer, name) = (percent(&issuer.replace(':', " ")), percent(&name.replace(':', " ")));
    format!("otpauth://totp/{issuer}:{name}?secret={secret}&issuer={issuer}")
}

/// The picture for a template: how many modules it is wide with its margin, and the dark ones as the path of an SVG.
pub fn picture(text: &str) -> Result<Value> {
    let code = QrCode::with_error_correction_level(text, EcLevel::M).map_err(Error::internal)?;
    let width = code.width();
    let mut path = String::new();
    for (y, row) in code.to_colors().chunks(width).enumerate() {
        let mut x = 0;
        // One rectangle for each run of dark modules.
        for run in row.chunk_by(|one, next| one == next) {
            if run.first() == Some(&Color::Dark) {
                let (left, top, length) = (x + QUIET, y + QUIET, run.len());
                let _ = write!(path, "M{left} {top}h{length}v1h-{length}z");
            }
            x += run.len();
        }
    }
    Ok(context! { side => width + 2 * QUIET, path })
}

/// RFC 3986, section 2.1: everything but the unreserved characters.
fn percent(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_name_is_taken_for_a_part_of_the_address() {
        assert_eq!(
            otpauth("My pool: 1", "a&b=c/d?e#f%+\u{e4}@x.example", "ABC"),
            "otpauth://totp/My%20pool%20%201:a%26b%3Dc%2Fd%3Fe%23f%25%2B%C3%A4%40x.example?secret=ABC&issuer=My%20pool%20%201"
        );
    }

    #[test]
    fn a_picture_has_its_three_corners_inside_its_margin() {
        let picture = picture("otpauth://totp/a:b?secret=ABC&issuer=a").unwrap();
        let side: usize = picture.get_attr("side").unwrap().to_string().parse().unwrap();
        let path = picture.get_attr("path").unwrap().to_string();
        let far = side - 4 - 7;
        for corner in ["M4 4h7v1h-7z".to_owned(), format!("M{far} 4h7v1"), format!("M4 {far}h7v1")]
        {
            assert!(path.contains(&corner), "{corner} in {path}");
        }
        assert!(!path.contains("M3 ") && !path.contains(" 3h"));
    }

    #[test]
    fn the_longest_name_that_a_user_can_have_still_makes_a_picture() {
        let long = "\u{1f600}".repeat(128);
        assert!(
            picture(&otpauth(&long, &long, &"A".repeat(32))).is_err(),
            "too much for any QR code"
        );
        assert!(
            picture(&otpauth(&"p".repeat(128), &"\u{e4}".repeat(128), &"A".repeat(32))).is_ok()
        );
    }
}
