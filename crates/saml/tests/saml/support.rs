//! A provider made of templates and the xmlsec1 command, and what every test expects of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cenote_saml::{Assertion, Credential, Expect, Fault, consume_response, decode_post};

pub const IDP: &str = "https://idp.example/metadata";
pub const SP: &str = "urn:amazon:cognito:sp:eu-west-1_AbCdEfGhI";
pub const ACS: &str = "https://auth.example/saml2/idpresponse";
pub const SLO: &str = "https://auth.example/saml2/logout";
pub const REQUEST: &str = "_request1";
/// 2026-11-22T12:00:00Z
pub const NOW: i64 = 1_795_348_800_000;

/// A response as a provider sends it, before anybody signed it.
pub const RESPONSE: &str = r#"<samlp:Response xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol" xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" ID="_response1" Version="2.0" IssueInstant="2026-11-22T12:00:00Z" Destination="https://auth.example/saml2/idpresponse" InResponseTo="_request1"><saml:Issuer>https://idp.example/metadata</saml:Issuer><samlp:Status><samlp:StatusCode Value="urn:oasis:names:tc:SAML:2.0:status:Success"/></samlp:Status><saml:Assertion xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:xs="http://www.w3.org/2001/XMLSchema" ID="_assertion1" Version="2.0" IssueInstant="2026-11-22T12:00:00Z"><saml:Issuer>https://idp.example/metadata</saml:Issuer><saml:Subject><saml:NameID Format="urn:oasis:names:tc:SAML:2.0:nameid-format:persistent" SPNameQualifier="urn:amazon:cognito:sp:eu-west-1_AbCdEfGhI">alice</saml:NameID><saml:SubjectConfirmation Method="urn:oasis:names:tc:SAML:2.0:cm:bearer"><saml:SubjectConfirmationData Recipient="https://auth.example/saml2/idpresponse" NotOnOrAfter="2026-11-22T12:05:00Z" InResponseTo="_request1"/></saml:SubjectConfirmation></saml:Subject><saml:Conditions NotBefore="2026-11-22T11:59:00Z" NotOnOrAfter="2026-11-22T12:05:00Z"><saml:AudienceRestriction><saml:Audience>urn:amazon:cognito:sp:eu-west-1_AbCdEfGhI</saml:Audience></saml:AudienceRestriction></saml:Conditions><saml:AuthnStatement AuthnInstant="2026-11-22T11:58:00Z" SessionIndex="_session1" SessionNotOnOrAfter="2026-11-22T20:00:00Z"><saml:AuthnContext><saml:AuthnContextClassRef>urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport</saml:AuthnContextClassRef></saml:AuthnContext></saml:AuthnStatement><saml:AttributeStatement><saml:Attribute Name="mail" FriendlyName="E-mail" NameFormat="urn:oasis:names:tc:SAML:2.0:attrname-format:basic"><saml:AttributeValue xsi:type="xs:string">alice@example.com</saml:AttributeValue></saml:Attribute><saml:Attribute Name="groups"><saml:AttributeValue>staff</saml:AttributeValue><saml:AttributeValue>admins &amp; friends</saml:AttributeValue></saml:Attribute></saml:AttributeStatement></saml:Assertion></samlp:Response>"#;

/// The same with the assertion signed, the commonest form; made once.
pub static SIGNED_ASSERTION: LazyLock<String> =
    LazyLock::new(|| sign(RESPONSE, "_assertion1", &Signing::default()));
/// The same with the response signed and the assertion not.
pub static SIGNED_RESPONSE: LazyLock<String> =
    LazyLock::new(|| sign(RESPONSE, "_response1", &Signing::default()));

pub static TRUSTED: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| vec![certificate("idp")]);

/// How a provider signs.
pub struct Signing<'a> {
    pub key: &'a str,
    pub method: &'a str,
    pub digest: &'a str,
    pub canonical: &'a str,
    pub transforms: &'a str,
    /// `None`: the id of the element.
    pub uri: Option<&'a str>,
    pub key_info: &'a str,
}

pub const EXCLUSIVE: &str = "http://www.w3.org/2001/10/xml-exc-c14n#";
pub const INCLUSIVE: &str = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315";
pub const RSA_SHA256: &str = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256";
pub const ENVELOPED_EXCLUSIVE: &str = r#"<ds:Transform Algorithm="http://www.w3.org/2000/09/xmldsig#enveloped-signature"/><ds:Transform Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#"/>"#;

impl Default for Signing<'_> {
    fn default() -> Self {
        Signing {
            key: "idp",
            method: RSA_SHA256,
            digest: "http://www.w3.org/2001/04/xmlenc#sha256",
            canonical: EXCLUSIVE,
            transforms: ENVELOPED_EXCLUSIVE,
            uri: None,
            key_info: "<ds:KeyInfo><ds:X509Data/></ds:KeyInfo>",
        }
    }
}

/// Puts an empty signature after the issuer of the element with this id, and lets xmlsec1 fill it.
pub fn sign(xml: &str, id: &str, signing: &Signing<'_>) -> String {
    let template = template(id, signing);
    let element = xml.find(&format!("ID=\"{id}\"")).expect("an element with the id");
    let after = ["</saml:Issuer>", "</Issuer>"]
        .iter()
        .filter_map(|end| xml[element..].find(end).map(|at| element + at + end.len()))
        .min()
        .unwrap_or_else(|| element + xml[element..].find('>').expect("a start tag") + 1);
    fill(&format!("{}{template}{}", &xml[..after], &xml[after..]), id, signing.key)
}

pub fn template(id: &str, signing: &Signing<'_>) -> String {
    let uri = signing.uri.map_or_else(|| format!("#{id}"), str::to_owned);
    format!(
        r#"<ds:Signature xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><ds:SignedInfo><ds:CanonicalizationMethod Algorithm="{}"/><ds:SignatureMethod Algorithm="{}"/><ds:Reference URI="{uri}"><ds:Transforms>{}</ds:Transforms><ds:DigestMethod Algorithm="{}"/><ds:DigestValue></ds:DigestValue></ds:Reference></ds:SignedInfo><ds:SignatureValue></ds:SignatureValue>{}</ds:Signature>"#,
        signing.canonical, signing.method, signing.transforms, signing.digest, signing.key_info
    )
}

/// Lets xmlsec1 compute the signature that stands, empty, directly in the element with this id.
pub fn fill(xml: &str, id: &str, key: &str) -> String {
    let input = scratch(xml.as_bytes());
    let output = scratch(b"");
    let xpath = format!("//*[@ID='{id}']/*[local-name()='Signature']");
    let keys = format!(
        "{},{}",
        path(&format!("keys/{key}.key")).display(),
        path(&format!("keys/{key}.crt")).display()
    );
    xmlsec1(
        &[
            "--sign",
            "--privkey-pem",
            &keys,
            "--node-xpath",
            &xpath,
            "--output",
            output.to_str().unwrap(),
        ],
        &input,
    );
    let signed = fs::read_to_string(&output).unwrap();
    // Without the declaration and the line break that xmlsec1 puts around it.
    signed.trim_start_matches("<?xml version=\"1.0\"?>").trim().to_owned()
}

/// Whether xmlsec1 finds the signature in the element with this id valid, made by this key.
pub fn xmlsec1_verifies(xml: &str, id: &str, key: &str) -> bool {
    let input = scratch(xml.as_bytes());
    let xpath = format!("//*[@ID='{id}']/*[local-name()='Signature']");
    let certificate = path(&format!("keys/{key}.crt"));
    let arguments = [
        "--verify",
        "--pubkey-cert-pem",
        certificate.to_str().unwrap(),
        "--enabled-key-data",
        "raw-x509-cert,rsa",
    ];
    run_xmlsec1(&[&arguments[..3], &["--node-xpath", &xpath]].concat(), &input).status.success()
}

pub fn xmlsec1(arguments: &[&str], input: &Path) -> String {
    let output = run_xmlsec1(arguments, input);
    assert!(
        output.status.success(),
        "xmlsec1 {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

fn run_xmlsec1(arguments: &[&str], input: &Path) -> Output {
    static LAX: LazyLock<bool> = LazyLock::new(|| {
        let version = Command::new("xmlsec1")
            .arg("--version")
            .output()
            .expect("xmlsec1 must be installed: ./test installs it");
        // Since 1.3 keys are not tried unless they are named.
        !String::from_utf8_lossy(&version.stdout).starts_with("xmlsec1 1.2.")
    });
    let mut command = Command::new("xmlsec1");
    command.arg(arguments[0]);
    if *LAX {
        command.arg("--lax-key-search");
    }
    for element in ["Response", "LogoutRequest", "LogoutResponse", "AuthnRequest"] {
        command.arg("--id-attr:ID").arg(format!("urn:oasis:names:tc:SAML:2.0:protocol:{element}"));
    }
    command.args(["--id-attr:ID", "urn:oasis:names:tc:SAML:2.0:assertion:Assertion"]);
    for element in ["EntityDescriptor", "EntitiesDescriptor"] {
        command.arg("--id-attr:ID").arg(format!("urn:oasis:names:tc:SAML:2.0:metadata:{element}"));
    }
    command
        .args(&arguments[1..])
        .arg(input)
        .output()
        .expect("xmlsec1 must be installed: ./test installs it")
}

pub fn path(vector: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(vector)
}

pub fn vector(name: &str) -> String {
    fs::read_to_string(path(name)).unwrap_or_else(|why| panic!("{name}: {why}"))
}

/// DER of a key's certificate.
pub fn certificate(key: &str) -> Vec<u8> {
    der(&vector(&format!("keys/{key}.crt")))
}

pub fn private_key(key: &str) -> Vec<u8> {
    der(&vector(&format!("keys/{key}.key")))
}

pub fn der(pem: &str) -> Vec<u8> {
    let lines: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    STANDARD.decode(lines).unwrap()
}

/// Our own credential.
pub static OURS: LazyLock<Credential> =
    LazyLock::new(|| Credential::new(&private_key("sp"), &certificate("sp")).unwrap());

/// A new file for a command, in a directory of this process below the one that Cargo keeps for integration tests.
pub fn scratch(contents: &[u8]) -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    static DIRECTORY: LazyLock<PathBuf> = LazyLock::new(|| {
        let all = Path::new(env!("CARGO_TARGET_TMPDIR"));
        // Those of processes that have ended, where the system tells.
        for old in fs::read_dir(all).into_iter().flatten().flatten() {
            let name = old.file_name().to_string_lossy().into_owned();
            let pid = name.strip_prefix("saml-").map(|pid| Path::new("/proc").join(pid));
            if pid.is_some_and(|pid| Path::new("/proc/self").exists() && !pid.exists()) {
                let _ = fs::remove_dir_all(old.path());
            }
        }
        let directory = all.join(format!("saml-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        directory
    });
    let path = DIRECTORY.join(COUNT.fetch_add(1, Ordering::Relaxed).to_string());
    fs::write(&path, contents).unwrap();
    path
}

pub fn expect() -> Expect<'static> {
    Expect {
        idp_entity_id: IDP,
        trusted: &TRUSTED,
        audience: SP,
        acs_url: ACS,
        now_ms: NOW,
        skew_ms: 60_000,
        in_response_to: Some(REQUEST),
        max_age_ms: 360_000,
        require_encrypted: false,
        decrypt: &[],
    }
}

/// As the browser posts it.
pub fn arrives(xml: &str, expect: &Expect<'_>) -> Result<Assertion, Fault> {
    decode_post(&STANDARD.encode(xml)).and_then(|message| consume_response(&message, expect))
}

pub fn accepted(xml: &str) -> Assertion {
    match arrives(xml, &expect()) {
        Ok(assertion) => assertion,
        Err(fault) => panic!("{fault}\n{xml}"),
    }
}

/// The fault, and that it says something short.
pub fn refused(xml: &str) -> Fault {
    refused_by(xml, &expect())
}

pub fn refused_by(xml: &str, expect: &Expect<'_>) -> Fault {
    match arrives(xml, expect) {
        Ok(assertion) => panic!("accepted as {}:\n{xml}", assertion.name_id.value),
        Err(fault) => {
            let words = fault.to_string();
            assert!((5..600).contains(&words.len()), "{words}");
            fault
        }
    }
}

/// Signs the assertion after a change of the response, so that only the change can be what is refused.
pub fn signed_after(from: &str, to: &str) -> String {
    sign(&changed(RESPONSE, from, to), "_assertion1", &Signing::default())
}

pub fn changed(xml: &str, from: &str, to: &str) -> String {
    assert!(xml.contains(from), "{from} is not in {xml}");
    xml.replace(from, to)
}

/// The text of the first element with this id, from its start tag to its end tag.
pub fn element<'x>(xml: &'x str, name: &str) -> &'x str {
    let start = xml.find(&format!("<{name}")).expect("a start tag");
    let end_tag = format!("</{name}>");
    let end = xml.find(&end_tag).expect("an end tag") + end_tag.len();
    &xml[start..end]
}

/// How a provider encrypts.
pub struct Encryption<'a> {
    pub session_key: &'a str,
    pub cipher: &'a str,
    pub transport: &'a str,
    /// Inside of the transport's EncryptionMethod.
    pub parameters: &'a str,
    pub recipient: &'a str,
}

impl Default for Encryption<'_> {
    fn default() -> Self {
        Encryption {
            session_key: "aes-256",
            cipher: "http://www.w3.org/2009/xmlenc11#aes256-gcm",
            transport: "http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p",
            parameters: "",
            recipient: "sp",
        }
    }
}

/// Lets xmlsec1 replace the first element of this name by its encrypted form.
pub fn encrypt(xml: &str, name: &str, encryption: &Encryption<'_>) -> String {
    let template = format!(
        r#"<xenc:EncryptedData xmlns:xenc="http://www.w3.org/2001/04/xmlenc#" Type="http://www.w3.org/2001/04/xmlenc#Element"><xenc:EncryptionMethod Algorithm="{}"/><ds:KeyInfo xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><xenc:EncryptedKey><xenc:EncryptionMethod Algorithm="{}">{}</xenc:EncryptionMethod><xenc:CipherData><xenc:CipherValue/></xenc:CipherData></xenc:EncryptedKey></ds:KeyInfo><xenc:CipherData><xenc:CipherValue/></xenc:CipherData></xenc:EncryptedData>"#,
        encryption.cipher, encryption.transport, encryption.parameters
    );
    let (data, output) = (scratch(xml.as_bytes()), scratch(b""));
    let certificate = path(&format!("keys/{}.crt", encryption.recipient));
    let arguments = [
        "--encrypt",
        "--pubkey-cert-pem",
        certificate.to_str().unwrap(),
        "--session-key",
        encryption.session_key,
        "--xml-data",
        data.to_str().unwrap(),
        "--node-xpath",
        &format!("(//*[local-name()='{name}'])[1]"),
        "--output",
        output.to_str().unwrap(),
    ];
    xmlsec1(&arguments, &scratch(template.as_bytes()));
    let encrypted = fs::read_to_string(&output).unwrap();
    encrypted.trim_start_matches("<?xml version=\"1.0\"?>").trim().to_owned()
}
