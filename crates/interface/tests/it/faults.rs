//! One test per kind of fault, with the exact sentence.

use cenote_interface::{Refusal, check, operation, validate};
use serde_json::{Value, json};

fn refusal(name: &str, input: Value) -> Refusal {
    check(operation(name).unwrap(), &input).expect_err("must be refused")
}

#[track_caller]
fn invalid(name: &str, input: Value, message: &str) {
    assert_eq!(refusal(name, input), Refusal::Validation(message.to_owned()));
}

#[track_caller]
fn unreadable(name: &str, input: Value, message: &str) {
    assert_eq!(refusal(name, input), Refusal::Serialization(message.to_owned()));
}

#[test]
fn a_missing_member_is_null_and_null_is_a_missing_member() {
    let message = "1 validation error detected: Value null at 'userPoolId' failed to satisfy constraint: Member must not be null";
    invalid("ListUsers", json!({}), message);
    invalid("ListUsers", json!({"UserPoolId": null}), message);
    assert_eq!(refusal("ListUsers", json!({})).to_string(), message);
}

#[test]
fn every_fault_counts_in_the_order_of_the_model() {
    invalid(
        "AdminSetUserPassword",
        json!({"Password": " ", "UserPoolId": null}),
        "3 validation errors detected: \
         Value null at 'userPoolId' failed to satisfy constraint: Member must not be null; \
         Value at 'username' failed to satisfy constraint: Member must not be null; \
         Value at 'password' failed to satisfy constraint: Member must satisfy regular expression pattern: ^[\\S]+.*[\\S]+$",
    );
}

#[test]
fn a_sensitive_value_is_not_repeated() {
    invalid(
        "AdminSetUserPassword",
        json!({"UserPoolId": "eu_1", "Username": "ann", "Password": "x".repeat(257)}),
        "1 validation error detected: Value at 'password' failed to satisfy constraint: \
         Member must have length less than or equal to 256",
    );
}

#[test]
fn a_text_can_be_too_short_and_break_its_pattern() {
    invalid(
        "ListUsers",
        json!({"UserPoolId": ""}),
        "2 validation errors detected: \
         Value '' at 'userPoolId' failed to satisfy constraint: Member must have length greater than or equal to 1; \
         Value '' at 'userPoolId' failed to satisfy constraint: Member must satisfy regular expression pattern: [\\w-]+_[0-9a-zA-Z]+",
    );
}

#[test]
fn a_pattern_must_cover_the_whole_value() {
    for id in ["eu_1\n", "eu_1 ", " eu_1", "é_1"] {
        assert_eq!(validate("UserPoolIdType", &json!(id)).len(), 1, "{id:?}");
    }
}

#[test]
fn characters_count_as_utf_16_units() {
    assert_eq!(validate("UsernameType", &json!("💧".repeat(64))), []);
    assert_eq!(validate("UsernameType", &json!("💧".repeat(65))).len(), 1);
}

#[test]
fn a_number_has_bounds() {
    let at = |limit: i64| json!({"UserPoolId": "eu_1", "Limit": limit});
    invalid(
        "ListUsers",
        at(61),
        "1 validation error detected: Value '61' at 'limit' failed to satisfy constraint: \
         Member must have value less than or equal to 60",
    );
    invalid(
        "ListUsers",
        at(-1),
        "1 validation error detected: Value '-1' at 'limit' failed to satisfy constraint: \
         Member must have value greater than or equal to 0",
    );
}

#[test]
fn a_nested_member_is_named_by_its_path() {
    invalid(
        "CreateUserPool",
        json!({"PoolName": "p", "Policies": {"PasswordPolicy": {"MinimumLength": 5}}}),
        "1 validation error detected: Value '5' at 'policies.passwordPolicy.minimumLength' failed to satisfy constraint: \
         Member must have value greater than or equal to 6",
    );
}

#[test]
fn an_enum_lists_its_values() {
    invalid(
        "AddCustomAttributes",
        json!({"UserPoolId": "eu_1", "CustomAttributes": [{"AttributeDataType": "x"}]}),
        "1 validation error detected: Value 'x' at 'customAttributes.1.member.attributeDataType' failed to satisfy \
         constraint: Member must satisfy enum value set: [String, Number, DateTime, Boolean]",
    );
}

#[test]
fn an_element_that_is_a_structure_is_named_by_its_number() {
    let input = json!({
        "ClientId": "c", "Username": "ann",
        "UserAttributes": [{"Name": "email", "Value": null}, {"Value": "v"}, null],
    });
    invalid(
        "SignUp",
        input,
        "2 validation errors detected: \
         Value null at 'userAttributes.2.member.name' failed to satisfy constraint: Member must not be null; \
         Value null at 'userAttributes.3.member' failed to satisfy constraint: Member must not be null",
    );
}

#[test]
fn a_list_of_simple_values_is_judged_as_a_whole() {
    invalid(
        "CreateUserPool",
        json!({"PoolName": "p", "AliasAttributes": ["email", "x", "y"]}),
        "1 validation error detected: Value '[email, x, y]' at 'aliasAttributes' failed to satisfy constraint: \
         Member must satisfy constraint: [Member must satisfy enum value set: [phone_number, email, preferred_username]]",
    );
    invalid(
        "CreateUserPool",
        json!({"PoolName": "p", "AliasAttributes": [null]}),
        "1 validation error detected: Value '[null]' at 'aliasAttributes' failed to satisfy constraint: \
         Member must satisfy constraint: [Member must satisfy enum value set: [phone_number, email, preferred_username], \
         Member must not be null]",
    );
}

#[test]
fn a_list_has_a_length() {
    invalid(
        "AddCustomAttributes",
        json!({"UserPoolId": "eu_1", "CustomAttributes": []}),
        "1 validation error detected: Value '[]' at 'customAttributes' failed to satisfy constraint: \
         Member must have length greater than or equal to 1",
    );
}

#[test]
fn a_map_is_judged_by_its_keys_and_by_its_values() {
    let arn = "arn:aws:cognito-idp:eu:1:userpool/eu_1";
    invalid(
        "TagResource",
        json!({"ResourceArn": arn, "Tags": {"": "v", "k": "v"}}),
        "1 validation error detected: Value '{=v, k=v}' at 'tags' failed to satisfy constraint: Map keys must satisfy \
         constraint: [Member must have length less than or equal to 128, Member must have length greater than or equal to 1]",
    );
    invalid(
        "TagResource",
        json!({"ResourceArn": arn, "Tags": {"k": null}}),
        "1 validation error detected: Value '{k=null}' at 'tags' failed to satisfy constraint: Map value must satisfy \
         constraint: [Member must have length less than or equal to 256, Member must have length greater than or equal to 0, \
         Member must not be null]",
    );
    invalid(
        "CreateUserPool",
        json!({"PoolName": "p", "AcrConfiguration": {"Level1": {}}}),
        "1 validation error detected: Value null at 'acrConfiguration.Level1.member.acrValue' failed to satisfy \
         constraint: Member must not be null",
    );
}

#[test]
fn what_contains_secrets_is_not_printed_either() {
    let input = json!({"ClientId": "c", "AuthFlow": "USER_AUTH", "AuthParameters": {"PASSWORD": null, "X": "hunter2"}});
    invalid(
        "InitiateAuth",
        input,
        "1 validation error detected: Value at 'authParameters' failed to satisfy constraint: \
         Map value must satisfy constraint: [Member must have length less than or equal to 131072, \
         Member must have length greater than or equal to 0, Member must not be null]",
    );
}

#[test]
fn the_answer_does_not_grow_with_the_request() {
    let long = validate("UserPoolIdType", &json!("é".repeat(100_000)));
    assert_eq!(long.len(), 2);
    assert!(long[0].to_string().contains(&format!("'{}'", "é".repeat(1024))));
    let many =
        json!({"ClientId": "c", "Username": "ann", "UserAttributes": vec![json!({}); 100_000]});
    let message = refusal("SignUp", many).to_string();
    assert!(message.starts_with("100 validation errors detected: "));
    assert!(message.len() < 20_000);
}

#[test]
fn the_body_must_be_an_object() {
    for body in [json!(null), json!([]), json!("x"), json!(1), json!(true)] {
        unreadable("ListUsers", body, "Unexpected value type in payload");
    }
}

#[test]
fn a_wrong_json_type_is_refused_before_anything_is_validated() {
    let pool = |value: Value| json!({"UserPoolId": value});
    unreadable("ListUsers", pool(json!(1)), "NUMBER_VALUE cannot be converted to String");
    unreadable("ListUsers", pool(json!(1.5)), "DECIMAL_VALUE cannot be converted to String");
    unreadable("ListUsers", pool(json!(true)), "TRUE_VALUE cannot be converted to String");
    unreadable("ListUsers", pool(json!(false)), "FALSE_VALUE cannot be converted to String");
    unreadable("ListUsers", pool(json!([])), "Unrecognized collection type class java.lang.String");
    unreadable("ListUsers", pool(json!({})), "Start of structure or map found where not expected");
    let limit = |value: Value| json!({"Limit": value});
    unreadable("ListUsers", limit(json!("1")), "STRING_VALUE cannot be converted to Integer");
    unreadable("ListUsers", limit(json!(1.5)), "DECIMAL_VALUE cannot be converted to Integer");
    unreadable("ListUsers", limit(json!(u64::MAX)), "NUMBER_VALUE cannot be converted to Integer");
    unreadable(
        "AdminSetUserPassword",
        json!({"Permanent": "true"}),
        "Unexpected token received from parser",
    );
    unreadable(
        "AdminSetUserPassword",
        json!({"Permanent": 1}),
        "NUMBER_VALUE cannot be converted to Boolean",
    );
    unreadable("SignUp", json!({"UserAttributes": "x"}), "Unexpected field type");
    unreadable(
        "SignUp",
        json!({"UserAttributes": {}}),
        "Start of structure or map found where not expected",
    );
    unreadable(
        "SignUp",
        json!({"UserAttributes": [{"Name": 1}]}),
        "NUMBER_VALUE cannot be converted to String",
    );
    unreadable("SignUp", json!({"ClientMetadata": []}), "Unrecognized collection type");
    unreadable(
        "SignUp",
        json!({"ClientMetadata": {"k": 1}}),
        "NUMBER_VALUE cannot be converted to String",
    );
}

#[test]
fn a_blob_is_canonical_base64() {
    let image = |text: &str| {
        check(
            operation("SetUICustomization").unwrap(),
            &json!({"UserPoolId": "eu_1", "ImageFile": text}),
        )
    };
    for text in ["", "QQ==", "QUI=", "QUJD", "+/+/"] {
        assert_eq!(image(text), Ok(()), "{text}");
    }
    for text in ["QR==", "QUJ=", "Q===", "====", "QU-D", "QQ=A"] {
        let message = "only base-64-encoded strings are convertible to bytes";
        assert_eq!(image(text), Err(Refusal::Serialization(message.to_owned())), "{text}");
    }
    let message = "Base64 encoded length is expected a multiple of 4 bytes but found: 5";
    assert_eq!(image("23456"), Err(Refusal::Serialization(message.to_owned())));
    assert_eq!(image(&"AAAA".repeat(131_072 / 3)), Ok(()));
    assert!(
        image(&"AAAA".repeat(131_072 / 3 + 1))
            .unwrap_err()
            .to_string()
            .contains("less than or equal to 131072")
    );
}

#[test]
fn unknown_members_are_ignored() {
    let input =
        json!({"UserPoolId": "eu_1", "Unknown": {"deep": [1, {"Name": 1}]}, "userPoolId": 5});
    assert_eq!(check(operation("ListUsers").unwrap(), &input), Ok(()));
}
