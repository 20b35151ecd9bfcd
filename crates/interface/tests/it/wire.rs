//! The generated structures: names on the wire, absent members, and what `Debug` must not show.

use cenote_interface::types::*;
use serde_json::json;

#[test]
fn absent_members_are_left_out_and_null_means_absent() {
    let attribute: AttributeType =
        serde_json::from_value(json!({"Name": "email", "Value": null, "More": 1})).unwrap();
    assert_eq!(attribute, AttributeType { name: "email".to_owned(), value: None });
    assert_eq!(serde_json::to_value(attribute).unwrap(), json!({"Name": "email"}));
    assert_eq!(serde_json::to_value(AddCustomAttributesResponse {}).unwrap(), json!({}));
}

#[test]
fn names_on_the_wire_are_exact() {
    let client = UserPoolClientType {
        callback_urls: Some(vec![]),
        logout_urls: Some(vec![]),
        default_redirect_uri: Some(String::new()),
        allowed_oauth_flows_user_pool_client: Some(true),
        creation_date: Some(1606425045.22),
        ..Default::default()
    };
    let expected = json!({
        "CreationDate": 1606425045.22, "CallbackURLs": [], "LogoutURLs": [], "DefaultRedirectURI": "",
        "AllowedOAuthFlowsUserPoolClient": true,
    });
    assert_eq!(serde_json::to_value(client).unwrap(), expected);
    let header = HttpHeader { header_name: Some("a".to_owned()), header_value: None };
    assert_eq!(serde_json::to_value(header).unwrap(), json!({"headerName": "a"}));
}

#[test]
fn debug_shows_no_secret() {
    let secret = || "hunter2".to_owned();
    let parameters = || [("PASSWORD".to_owned(), secret())].into();
    let request = SignUpRequest {
        client_id: "c".to_owned(),
        password: Some(secret()),
        user_attributes: Some(vec![AttributeType {
            name: "email".to_owned(),
            value: Some(secret()),
        }]),
        ..Default::default()
    };
    let shown = [
        format!("{request:?}"),
        format!(
            "{:?}",
            InitiateAuthRequest {
                auth_parameters: Some(parameters()),
                session: Some(secret()),
                ..Default::default()
            }
        ),
        format!(
            "{:?}",
            RespondToAuthChallengeRequest {
                challenge_responses: Some(parameters()),
                ..Default::default()
            }
        ),
        format!(
            "{:?}",
            InitiateAuthResponse { challenge_parameters: Some(parameters()), ..Default::default() }
        ),
        format!(
            "{:?}",
            AuthenticationResultType { refresh_token: Some(secret()), ..Default::default() }
        ),
        format!("{:?}", ConfirmSignUpRequest { confirmation_code: secret(), ..Default::default() }),
        format!(
            "{:?}",
            CreateIdentityProviderRequest { provider_details: parameters(), ..Default::default() }
        ),
        format!(
            "{:?}",
            DeviceSecretVerifierConfigType {
                password_verifier: Some(secret()),
                salt: Some(secret())
            }
        ),
    ];
    for text in shown {
        assert!(!text.contains("hunter2") && text.contains("[redacted]"), "{text}");
    }
    assert!(format!("{request:?}").contains("email"));
}
