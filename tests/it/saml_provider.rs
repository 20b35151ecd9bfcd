//! A SAML provider for tests, in process: it reads what browsers bring, and signs what it is told to say. Its XML is written in
//! canonical form from the start, so that a digest of the text is the digest of the element.

use std::io::Read;

use aws_lc_rs::{digest, rand, rsa, signature};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use url::form_urlencoded;

use crate::browser::{Browser, field, parameter};
use crate::house::{Answer, House};

pub const ENTITY: &str = "https://idp.example.com/metadata";
pub const SSO: &str = "https://idp.example.com/sso";
pub const SLO: &str = "https://idp.example.com/slo";

macro_rules! key {
    ($name:literal) => {
        (
            include_str!(concat!("../../crates/saml/tests/vectors/keys/", $name, ".key")),
            include_str!(concat!("../../crates/saml/tests/vectors/keys/", $name, ".crt")),
        )
    };
}

pub struct SamlProvider {
    key: rsa::KeyPair,
    /// Base64 of DER.
    certificate: String,
}

/// What a browser brought from us.
#[derive(Clone, Debug)]
pub struct Asked {
    pub id: String,
    pub acs: String,
    pub issuer: String,
    pub relay_state: String,
    pub forced: bool,
    pub signed: bool,
    pub xml: String,
}

/// What the provider is to say. Made by `Says::of`, then changed by the test.
#[derive(Clone)]
pub struct Says {
    pub subject: String,
    pub attributes: Vec<(&'static str, String)>,
    pub id: String,
    pub issuer: String,
    pub audience: String,
    pub recipient: String,
    pub in_response_to: Option<String>,
    pub issued_ms: i64,
    pub authenticated_ms: i64,
    pub session_index: String,
    pub signed: bool,
}

impl SamlProvider {
    pub fn new() -> SamlProvider {
        SamlProvider::with(key!("idp"))
    }

    /// Calls itself the same and has another key.
    pub fn impostor() -> SamlProvider {
        SamlProvider::with(key!("attacker"))
    }

    fn with((key, certificate): (&str, &str)) -> SamlProvider {
        let body =
            |pem: &str| pem.lines().filter(|line| !line.starts_with('-')).collect::<String>();
        let key = rsa::KeyPair::from_pkcs8(&STANDARD.decode(body(key)).unwrap()).unwrap();
        SamlProvider { key, certificate: body(certificate) }
    }

    /// `binding` is `Redirect` or `POST`; `attributes` are those of its IDPSSODescriptor.
    pub fn metadata(&self, binding: &str, attributes: &str) -> String {
        let protocol = "urn:oasis:names:tc:SAML:2.0:protocol";
        let prefix = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-";
        format!(
            "<md:EntityDescriptor xmlns:md=\"urn:oasis:names:tc:SAML:2.0:metadata\" entityID=\"{ENTITY}\">\
             <md:IDPSSODescriptor {attributes} protocolSupportEnumeration=\"{protocol}\"><md:KeyDescriptor use=\"signing\">\
             <ds:KeyInfo xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\"><ds:X509Data><ds:X509Certificate>{}</ds:X509Certificate>\
             </ds:X509Data></ds:KeyInfo></md:KeyDescriptor>\
             <md:SingleLogoutService Binding=\"{prefix}Redirect\" Location=\"{SLO}\"/>\
             <md:SingleSignOnService Binding=\"{prefix}{binding}\" Location=\"{SSO}\"/></md:IDPSSODescriptor></md:EntityDescriptor>",
            self.certificate
        )
    }

    /// Makes this provider one of the pool.
    pub async fn joins(&self, house: &House, pool: &str, name: &str, details: Value) {
        let mut all = json!({ "MetadataFile": self.metadata("Redirect", "") });
        crate::house::merge(&mut all, details);
        let input = json!({
            "UserPoolId": pool, "ProviderName": name, "ProviderType": "SAML", "ProviderDetails": all,
            "AttributeMapping": { "email": "mail" },
        });
        house.ok("CreateIdentityProvider", input).await;
    }

    /// The fields of the form that the browser posts back.
    pub fn form(&self, says: &Says, relay_state: &str) -> String {
        let xml = self.response(says);
        form_urlencoded::Serializer::new(String::new())
            .append_pair("SAMLResponse", &STANDARD.encode(xml))
            .append_pair("RelayState", relay_state)
            .finish()
    }

    pub fn response(&self, says: &Says) -> String {
        let (issued, to) = (time(says.issued_ms), says.in_response_to.as_deref());
        let to = to.map(|id| format!(" InResponseTo=\"{id}\"")).unwrap_or_default();
        let issuer = &says.issuer;
        format!(
            "<samlp:Response xmlns:samlp=\"urn:oasis:names:tc:SAML:2.0:protocol\" Destination=\"{}\" ID=\"r{}\"{to} IssueInstant=\"{issued}\" \
             Version=\"2.0\"><saml:Issuer xmlns:saml=\"urn:oasis:names:tc:SAML:2.0:assertion\">{issuer}</saml:Issuer><samlp:Status>\
             <samlp:StatusCode Value=\"urn:oasis:names:tc:SAML:2.0:status:Success\"></samlp:StatusCode></samlp:Status>{}</samlp:Response>",
            says.recipient,
            says.id,
            self.assertion(says)
        )
    }

    fn assertion(&self, says: &Says) -> String {
        let to = says.in_response_to.as_ref().map(|id| format!(" InResponseTo=\"{id}\""));
        let to = to.unwrap_or_default();
        let (issued, until) = (time(says.issued_ms), time(says.issued_ms + 300_000));
        let attributes: String = says
            .attributes
            .iter()
            .map(|(name, value)| {
                format!("<saml:Attribute Name=\"{name}\"><saml:AttributeValue>{value}</saml:AttributeValue></saml:Attribute>")
            })
            .collect();
        let attributes = match attributes.as_str() {
            "" => String::new(),
            some => format!("<saml:AttributeStatement>{some}</saml:AttributeStatement>"),
        };
        let begin = format!(
            "<saml:Assertion xmlns:saml=\"urn:oasis:names:tc:SAML:2.0:assertion\" ID=\"{}\" IssueInstant=\"{issued}\" Version=\"2.0\">\
             <saml:Issuer>{}</saml:Issuer>",
            says.id, says.issuer
        );
        let end = format!(
            "<saml:Subject><saml:NameID Format=\"urn:oasis:names:tc:SAML:2.0:nameid-format:persistent\">{}</saml:NameID>\
             <saml:SubjectConfirmation Method=\"urn:oasis:names:tc:SAML:2.0:cm:bearer\"><saml:SubjectConfirmationData{to} \
             NotOnOrAfter=\"{until}\" Recipient=\"{}\"></saml:SubjectConfirmationData></saml:SubjectConfirmation></saml:Subject>\
             <saml:Conditions NotBefore=\"{issued}\" NotOnOrAfter=\"{until}\"><saml:AudienceRestriction><saml:Audience>{}</saml:Audience>\
             </saml:AudienceRestriction></saml:Conditions><saml:AuthnStatement AuthnInstant=\"{}\" SessionIndex=\"{}\"><saml:AuthnContext>\
             <saml:AuthnContextClassRef>urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport</saml:AuthnContextClassRef>\
             </saml:AuthnContext></saml:AuthnStatement>{attributes}</saml:Assertion>",
            says.subject,
            says.recipient,
            says.audience,
            time(says.authenticated_ms),
            says.session_index
        );
        let signature = match says.signed {
            true => self.signature(&says.id, &format!("{begin}{end}")),
            false => String::new(),
        };
        format!("{begin}{signature}{end}")
    }

    #[allow(
        clippy::disallowed_methods,
        reason = "this padding takes no randomness, though the library asks for it"
    )]
    pub fn signature(&self, id: &str, element: &str) -> String {
        let digest = STANDARD.encode(digest::digest(&digest::SHA256, element.as_bytes()));
        let inner = format!(
            "<ds:CanonicalizationMethod Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#\"></ds:CanonicalizationMethod>\
             <ds:SignatureMethod Algorithm=\"http://www.w3.org/2001/04/xmldsig-more#rsa-sha256\"></ds:SignatureMethod>\
             <ds:Reference URI=\"#{id}\"><ds:Transforms>\
             <ds:Transform Algorithm=\"http://www.w3.org/2000/09/xmldsig#enveloped-signature\"></ds:Transform>\
             <ds:Transform Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#\"></ds:Transform></ds:Transforms>\
             <ds:DigestMethod Algorithm=\"http://www.w3.org/2001/04/xmlenc#sha256\"></ds:DigestMethod>\
             <ds:DigestValue>{digest}</ds:DigestValue></ds:Reference></ds:SignedInfo>"
        );
        let namespace = "xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\"";
        let canonical = format!("<ds:SignedInfo {namespace}>{inner}");
        let mut value = vec![0; self.key.public_modulus_len()];
        self.key
            .sign(
                &signature::RSA_PKCS1_SHA256,
                &rand::SystemRandom::new(),
                canonical.as_bytes(),
                &mut value,
            )
            .unwrap();
        format!(
            "<ds:Signature {namespace}><ds:SignedInfo>{inner}<ds:SignatureValue>{}</ds:SignatureValue></ds:Signature>",
            STANDARD.encode(value)
        )
    }
}

impl Asked {
    /// What an answer of ours sends a browser away with: a redirect, or a page with a form.
    pub fn by(answer: &Answer) -> Asked {
        if answer.status == 302 {
            let location = answer.header("location");
            assert!(location.starts_with(&format!("{SSO}?")), "{location}");
            let deflated = STANDARD.decode(parameter(location, "SAMLRequest").unwrap()).unwrap();
            let mut xml = String::new();
            flate2::read::DeflateDecoder::new(&*deflated).read_to_string(&mut xml).unwrap();
            let relay_state = parameter(location, "RelayState").unwrap();
            return Asked::read(xml, relay_state, parameter(location, "Signature").is_some());
        }
        assert_eq!(answer.status, 200, "{}", answer.body);
        let xml = STANDARD.decode(field(&answer.body, "SAMLRequest")).unwrap();
        let xml = String::from_utf8(xml).unwrap();
        let signed = xml.contains("SignatureValue>");
        Asked::read(xml, field(&answer.body, "RelayState"), signed)
    }

    fn read(xml: String, relay_state: String, signed: bool) -> Asked {
        let attribute = |name: &str| {
            let rest = xml.split_once(&format!(" {name}=\"")).map(|(_, rest)| rest)?;
            rest.split('"').next().map(str::to_owned)
        };
        let issuer = xml.split_once("Issuer>").or_else(|| xml.split_once("Issuer ")).unwrap().1;
        Asked {
            id: attribute("ID").unwrap(),
            acs: attribute("AssertionConsumerServiceURL").unwrap(),
            issuer: issuer
                .split(['<', '>'])
                .find(|text| text.starts_with("urn:"))
                .unwrap()
                .to_owned(),
            forced: attribute("ForceAuthn").as_deref() == Some("true"),
            relay_state,
            signed,
            xml,
        }
    }
}

impl Says {
    /// The answer to a request: ann, who just typed her password.
    pub fn of(asked: &Asked, now: i64) -> Says {
        Says {
            subject: "ann".into(),
            attributes: vec![("mail", "ann@corp.example".into())],
            id: format!("_{}", uuid()),
            issuer: ENTITY.into(),
            audience: asked.issuer.clone(),
            recipient: asked.acs.clone(),
            in_response_to: Some(asked.id.clone()),
            issued_ms: now,
            authenticated_ms: now,
            session_index: format!("_s{}", uuid()),
            signed: true,
        }
    }
}

/// Posts a form to a callback as the provider's page does: across sites, so without our cookies.
pub async fn posts(house: &House, pool: &str, path: &str, form: String) -> Answer {
    let mut stranger = Browser::new(house, pool, "");
    let headers = [("origin", "https://idp.example.com"), ("sec-fetch-site", "cross-site")];
    stranger.send(axum::http::Method::POST, path, Some(form), &headers).await
}

fn uuid() -> String {
    cenote::ids::uuid_v4(&cenote::ambient::SystemRandom).to_string()
}

/// Milliseconds since 1970 as XML writes a time (days to civil by Howard Hinnant's well-known method).
fn time(ms: i64) -> String {
    let (days, rest) = (ms.div_euclid(86_400_000), ms.rem_euclid(86_400_000));
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let (day, month) = (doy - (153 * mp + 2) / 5 + 1, if mp < 10 { mp + 3 } else { mp - 9 });
    let year = yoe + era * 400 + i64::from(month <= 2);
    let (h, m, s, milli) = (rest / 3_600_000, rest / 60_000 % 60, rest / 1_000 % 60, rest % 1_000);
    format!("{year:04}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}.{milli:03}Z")
}
