//! The generated files and the table of operations.

use std::fs;
use std::path::Path;

use cenote_interface::{declares, operation, operations};

use crate::generator;

#[test]
fn the_checked_in_files_are_what_the_description_generates() {
    for (path, text) in generator::files().unwrap() {
        let checked_in =
            fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
        assert!(
            checked_in == text,
            "{path} is stale: cargo run -p cenote-interface --example generate"
        );
    }
}

#[test]
fn every_operation_is_found_by_its_name_and_no_other() {
    assert_eq!(operations().len(), 141);
    for entry in operations() {
        assert_eq!(operation(entry.name), Some(entry));
    }
    for name in ["", "signUp", "SignUp ", "AWSCognitoIdentityProviderService.SignUp", "ZZZ"] {
        assert_eq!(operation(name), None);
    }
}

#[test]
fn an_operation_knows_its_signature_its_shapes_and_its_errors() {
    let sign_up = operation("SignUp").unwrap();
    assert!(sign_up.unsigned);
    assert_eq!((sign_up.input, sign_up.output), ("SignUpRequest", Some("SignUpResponse")));
    assert!(declares(sign_up, "UsernameExistsException"));
    assert!(!declares(sign_up, "UsernameExists"));
    assert!(!operation("ListUsers").unwrap().unsigned);
    assert_eq!(operation("DeleteUser").unwrap().output, None);
}
