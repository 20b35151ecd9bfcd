"""Makes the vectors beside this file: what an identity provider of pysaml2 sends to us. See ../README.md."""

import functools
import pathlib
import urllib.parse

import saml2.entity
from saml2 import BINDING_HTTP_POST, BINDING_HTTP_REDIRECT, BINDING_SOAP
from saml2.config import IdPConfig
from saml2.saml import NAMEID_FORMAT_PERSISTENT, Issuer, NameID
from saml2.samlp import LogoutRequest
from saml2.server import Server

HERE = pathlib.Path(__file__).parent
KEYS = HERE.parent / "keys"
IDP = "https://idp.example/metadata"
SP = "urn:amazon:cognito:sp:eu-west-1_AbCdEfGhI"
ACS = "https://auth.example/saml2/idpresponse"
SLO = "https://auth.example/saml2/logout"
RSA_SHA256 = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"
SHA256 = "http://www.w3.org/2001/04/xmlenc#sha256"


def certificate(name):
    return "".join((KEYS / f"{name}.crt").read_text().splitlines()[1:-1])


def key(use, name):
    return (
        f'<md:KeyDescriptor use="{use}"><ds:KeyInfo><ds:X509Data><ds:X509Certificate>{certificate(name)}'
        "</ds:X509Certificate></ds:X509Data></ds:KeyInfo></md:KeyDescriptor>"
    )


OUR_METADATA = (
    f'<md:EntityDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata" xmlns:ds="http://www.w3.org/2000/09/xmldsig#" entityID="{SP}">'
    '<md:SPSSODescriptor AuthnRequestsSigned="true" WantAssertionsSigned="true" protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol">'
    + key("signing", "sp")
    + key("encryption", "sp")
    + "".join(f'<md:SingleLogoutService Binding="{b}" Location="{SLO}"/>' for b in (BINDING_HTTP_REDIRECT, BINDING_HTTP_POST, BINDING_SOAP))
    + f'<md:AssertionConsumerService Binding="{BINDING_HTTP_POST}" Location="{ACS}" index="0" isDefault="true"/>'
    "</md:SPSSODescriptor></md:EntityDescriptor>"
)

server = Server(
    config=IdPConfig().load(
        {
            "entityid": IDP,
            "key_file": str(KEYS / "idp.key"),
            "cert_file": str(KEYS / "idp.crt"),
            "encryption_keypairs": [],
            "service": {
                "idp": {
                    "endpoints": {
                        "single_sign_on_service": [("https://idp.example/sso", BINDING_HTTP_REDIRECT)],
                        "single_logout_service": [(f"https://idp.example/slo/{b[-4:]}", b) for b in (BINDING_HTTP_REDIRECT, BINDING_HTTP_POST, BINDING_SOAP)],
                    },
                    "policy": {"default": {"lifetime": {"minutes": 15}, "attribute_restrictions": None, "name_form": "urn:oasis:names:tc:SAML:2.0:attrname-format:uri"}},
                },
            },
            "signing_algorithm": RSA_SHA256,
            "digest_algorithm": SHA256,
            "metadata": {"inline": [OUR_METADATA]},
        }
    )
)
NAME = NameID(format=NAMEID_FORMAT_PERSISTENT, name_qualifier=IDP, sp_name_qualifier=SP, text="alice")


def write(name, content):
    (HERE / name).write_text(content if content.endswith("\n") else content + "\n")


def response(name, in_response_to="_request1", **options):
    signed = server.create_authn_response(
        identity={"mail": ["alice@example.com"], "givenName": ["Alice"], "eduPersonAffiliation": ["staff", "member"]},
        in_response_to=in_response_to,
        destination=ACS,
        sp_entity_id=SP,
        name_id=NAME,
        authn={"class_ref": "urn:oasis:names:tc:SAML:2.0:ac:classes:Password", "authn_instant": None},
        sign_alg=RSA_SHA256,
        digest_alg=SHA256,
        **options,
    )
    write(name, str(signed))


response("response-signed.xml", sign_response=True, sign_assertion=False)
response("assertion-signed.xml", sign_response=False, sign_assertion=True)
response("both-signed.xml", sign_response=True, sign_assertion=True)
response("unsolicited.xml", in_response_to=None, sign_response=False, sign_assertion=True)
encrypted = {"encrypt_assertion": True, "encrypt_cert_assertion": certificate("sp"), "encrypted_advice_attributes": False}
response("encrypted-3des.xml", sign_response=False, sign_assertion=True, **encrypted)

# pysaml2 encrypts with triple DES and has no setting for it.
saml2.entity.pre_encryption_part = functools.partial(saml2.entity.pre_encryption_part, msg_enc="http://www.w3.org/2001/04/xmlenc#aes256-cbc")
server.sec.encrypt_assertion = functools.partial(server.sec.encrypt_assertion, key_type="aes-256")
response("encrypted.xml", sign_response=False, sign_assertion=True, **encrypted)
response("encrypted-in-signed.xml", sign_response=True, sign_assertion=False, **encrypted)
response("encrypted-both-signed.xml", sign_response=True, sign_assertion=True, encrypt_assertion_self_contained=True, **encrypted)


def logout_request():
    _, request = server.create_logout_request(SLO, SP, name_id=NAME, session_indexes=["_session1"], sign=False, expire=None)
    return request


def logout_response(binding):
    incoming = LogoutRequest(id="_ours2", issuer=Issuer(text=SP))
    return server.create_logout_response(incoming, bindings=[binding], sign=False)


for kind, make, parameter in (("logout-request", logout_request, "SAMLRequest"), ("logout-response", None, "SAMLResponse")):
    for binding, name in ((BINDING_HTTP_POST, "post.xml"), (BINDING_HTTP_REDIRECT, "redirect.txt"), (BINDING_SOAP, "soap.xml")):
        message = make() if make else logout_response(binding)
        message.destination = SLO
        if binding == BINDING_HTTP_REDIRECT:
            http = server.apply_binding(binding, str(message), SLO, "state / 1", response=parameter == "SAMLResponse", sign=True, sigalg=RSA_SHA256)
            write(f"{kind}-{name}", urllib.parse.urlsplit(dict(http["headers"])["Location"]).query)
            continue
        signed = server.sign(message, sign_alg=RSA_SHA256, digest_alg=SHA256)
        if binding == BINDING_SOAP:
            write(f"{kind}-{name}", server.apply_binding(binding, str(signed), SLO)["data"])
        else:
            write(f"{kind}-{name}", str(signed))

print("\n".join(sorted(str(p.relative_to(HERE)) for p in HERE.glob("*") if p.suffix != ".py")))
