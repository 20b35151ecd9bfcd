"""A SAML identity provider made of pysaml2, for the tests: `pysaml2_idp.py ORIGIN PORT SCRATCH`.

A browser meets pages that anybody can read; a test gives commands, one JSON object a line, on standard input, and reads
one answer a line on standard output. When standard input ends, so does this program.
"""

import base64
import functools
import hashlib
import html
import http.cookies
import http.server
import json
import pathlib
import secrets
import sys
import threading
import time
import traceback
import urllib.parse
import warnings
from xml.etree import ElementTree

warnings.filterwarnings("ignore", module="saml2")

import saml2.assertion
import saml2.entity
from saml2 import BINDING_HTTP_POST, BINDING_HTTP_REDIRECT, BINDING_SOAP
from saml2.authn_context import PASSWORDPROTECTEDTRANSPORT
from saml2.config import IdPConfig
from saml2.metadata import entity_descriptor
from saml2.response import IncorrectlySigned
from saml2.s_utils import success_status_factory
from saml2.saml import NAMEID_FORMAT_EMAILADDRESS, NAMEID_FORMAT_PERSISTENT, NameID
from saml2.server import Server
from saml2.sigver import make_temp, pem_format, pre_encryption_part, verify_redirect_signature
from saml2.time_util import in_a_while

# What pysaml2 takes out of a SOAP envelope it writes anew, with prefixes of ElementTree's choice, which breaks signatures (its issue
# 551): with the usual ones it stays as it was. What is signed is checked below, too, on the very text that came.
for prefix, namespace in {"samlp": "protocol", "saml": "assertion"}.items():
    ElementTree.register_namespace(prefix, f"urn:oasis:names:tc:SAML:2.0:{namespace}")
ElementTree.register_namespace("ds", "http://www.w3.org/2000/09/xmldsig#")

ORIGIN, PORT, SCRATCH = sys.argv[1], int(sys.argv[2]), pathlib.Path(sys.argv[3])
BINDINGS = {"redirect": BINDING_HTTP_REDIRECT, "post": BINDING_HTTP_POST, "soap": BINDING_SOAP}
XMLENC, XMLENC11 = "http://www.w3.org/2001/04/xmlenc#", "http://www.w3.org/2009/xmlenc11#"
CIPHERS = {
    "aes256-gcm": (XMLENC11 + "aes256-gcm", "aes-256"),
    "aes256-cbc": (XMLENC + "aes256-cbc", "aes-256"),
    "tripledes-cbc": (XMLENC + "tripledes-cbc", "des-192"),
}


def person(user: str) -> dict:
    """Everybody whose name begins with ann or bob has an account: each test can have a person of its own."""
    mail = f"{user}@example.org"
    if user.startswith("ann"):
        return {"uid": user, "mail": mail, "givenName": "Ann", "sn": "Müller & <Söhne>", "eduPersonAffiliation": ["member", "employee"]}
    if user.startswith("bob"):
        return {"uid": user, "mail": mail, "givenName": "Bob", "sn": "Builder", "eduPersonAffiliation": ["member"]}
    raise ValueError(f"{user} is not known here")


class Provider:
    """What the provider is and knows. Everything that a test can change is in `options`."""

    def __init__(self):
        self.lock = threading.RLock()
        self.options = {
            "sign_response": False,
            "sign_assertion": True,
            "encrypt": None,
            "encryption_certificate": None,
            "want_signed_requests": False,
            "sign_in_bindings": ["redirect", "post"],
            "logout_bindings": ["redirect", "post", "soap"],
            "logout_status": "success",
        }
        self.service_providers = []
        self.sessions = {}  # cookie -> session
        self.waiting = {}  # handle -> AuthnRequest that waits for a sign-in, or LogoutRequest that waits for its answer
        self.log = []
        self.begin()

    def begin(self):
        """A new pysaml2 server, as the options and the known service providers have it."""
        slo = [(f"{ORIGIN}/slo", BINDINGS[name]) for name in self.options["logout_bindings"]]
        sso = [(f"{ORIGIN}/sso", BINDINGS[name]) for name in self.options["sign_in_bindings"]]
        config = IdPConfig().load(
            {
                "entityid": f"{ORIGIN}/idp",
                "xmlsec_binary": "/usr/bin/xmlsec1",
                "key_file": str(SCRATCH / "idp.key"),
                "cert_file": str(SCRATCH / "idp.crt"),
                "accepted_time_diff": 60,
                "service": {
                    "idp": {
                        "endpoints": {"single_sign_on_service": sso, "single_logout_service": slo},
                        "name_id_format": [NAMEID_FORMAT_PERSISTENT, NAMEID_FORMAT_EMAILADDRESS],
                        "want_authn_requests_signed": self.options["want_signed_requests"],
                        "policy": {"default": {"lifetime": {"minutes": 5}, "attribute_restrictions": None}},
                        "signing_algorithm": "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256",
                        "digest_algorithm": "http://www.w3.org/2001/04/xmlenc#sha256",
                        "sign_response": False,
                    }
                },
                "metadata": {"inline": self.service_providers},
            }
        )
        self.config, self.saml = config, Server(config=config)

    def metadata(self) -> str:
        return '<?xml version="1.0" encoding="UTF-8"?>\n' + str(entity_descriptor(self.config))

    def note(self, what: str, **more):
        self.log.append({"what": what, **more})


idp = Provider()


# --- what a test asks for ---


def do_options(**options):
    unknown = options.keys() - idp.options.keys()
    assert not unknown, f"no such options: {unknown}"
    idp.options.update(options)
    idp.begin()


def do_know(metadata: str):
    """Reads the metadata of a service provider; answers its entity id and what pysaml2 found in it."""
    idp.service_providers.append(metadata)
    idp.begin()
    entity = list(idp.saml.metadata.keys())[-1]
    endpoints = {
        name: [[found["binding"].rsplit(":")[-1], found["location"]] for found in descriptor.get(name, [])]
        for descriptor in idp.saml.metadata[entity]["spsso_descriptor"]
        for name in ["assertion_consumer_service", "single_logout_service"]
    }
    certificates = {use: len(idp.saml.metadata.certs(entity, "spsso", use)) for use in ["signing", "encryption"]}
    return {"entity": entity, "endpoints": endpoints, "certificates": certificates}


def do_forget():
    """As new: no sessions, no service providers, the first options."""
    idp.__init__()


def do_sessions():
    return [{"user": session["user"], "index": session["index"]} for session in idp.sessions.values()]


def do_log():
    return idp.log


def do_soap_logout(entity: str, user: str, index: list[str] | None = None, content_type: str | None = None, **spoiled):
    """Ends the user's session here and tells the service provider by SOAP; answers what came back."""
    session = end_session_of(user)
    xml, _ = logout_request(entity, session, BINDING_SOAP, index, **spoiled)
    location = idp.saml.metadata.single_logout_service(entity, BINDING_SOAP, "spsso")[0]["location"]
    request = idp.saml.apply_binding(BINDING_SOAP, str(xml), location, sign=False)
    if content_type:
        request["headers"] = [("Content-Type", content_type)]
    answer = idp.saml.send(**request)
    result = {"status": answer.status_code, "type": answer.headers.get("content-type"), "body": answer.text}
    try:
        response = idp.saml.parse_logout_request_response(answer.text, BINDING_SOAP)
        result.update(logout_response(response.response), signed=is_signed(answer.text, response.response))
    except Exception as error:
        result["error"] = f"{type(error).__name__}: {error}"
    return result


def do_logout_request(entity: str, user: str, binding: str, index: list[str] | None = None, relay_state: str = "", **spoiled):
    """A LogoutRequest as a browser would bring it: the address, and for POST the fields."""
    session = end_session_of(user)
    return by_browser(entity, session, BINDINGS[binding], index, relay_state, **spoiled)


def end_session_of(user: str) -> dict:
    for cookie, session in list(idp.sessions.items()):
        if session["user"] == user:
            return idp.sessions.pop(cookie)
    # Also who is not here any more can be named.
    return {"user": user, "index": "none", "name_ids": {}}


# --- messages ---


def logout_request(entity, session, binding, index=None, *, unsigned=False, expired=False, destination=None, name=None, message_id=None):
    """The XML of a LogoutRequest, and its id; the keywords spoil it."""
    location = idp.saml.metadata.single_logout_service(entity, binding, "spsso")[0]["location"]
    name_id = session["name_ids"].get(entity) or persistent(session["user"], entity)
    if name:
        name_id.text = name
    message_id, request = idp.saml.create_logout_request(
        destination or location,
        entity,
        name_id=name_id,
        session_indexes=[session["index"]] if index is None else index,
        expire=in_a_while(minutes=-5 if expired else 5),
        message_id=message_id or 0,
        sign=not unsigned and binding != BINDING_HTTP_REDIRECT,
    )
    return request, message_id


def by_browser(entity, session, binding, index=None, relay_state="", **spoiled):
    xml, message_id = logout_request(entity, session, binding, index, **spoiled)
    location = idp.saml.metadata.single_logout_service(entity, binding, "spsso")[0]["location"]
    signed = not spoiled.get("unsigned")
    info = idp.saml.apply_binding(binding, str(xml), location, relay_state, sign=signed)
    if binding == BINDING_HTTP_REDIRECT:
        return {"id": message_id, "url": dict(info["headers"])["Location"]}
    return {"id": message_id, "url": location, "page": info["data"]}


def logout_response(message) -> dict:
    code = message.status.status_code
    return {
        "in_response_to": message.in_response_to,
        "issuer": message.issuer.text,
        "destination": message.destination,
        "code": code.value.rsplit(":")[-1],
        "second_code": code.status_code.value.rsplit(":")[-1] if code.status_code else None,
    }


def persistent(user: str, entity: str) -> NameID:
    opaque = hashlib.sha256(f"{ORIGIN} {user} {entity}".encode()).hexdigest()[:24]
    return NameID(format=NAMEID_FORMAT_PERSISTENT, name_qualifier=f"{ORIGIN}/idp", sp_name_qualifier=entity, text=opaque)


def is_signed(xml: str, message) -> bool:
    """By xmlsec1, on what came, with the certificates of the sender's metadata."""
    if message.signature is None:
        return False
    for _, certificate in idp.saml.metadata.certs(message.issuer.text, "any", "signing"):
        file = make_temp(pem_format(certificate), suffix=".pem", decode=False)
        name = f"{message.c_namespace}:{message.c_tag}"
        if idp.saml.sec.verify_signature(xml, file.name, node_name=name, node_id=message.id):
            return True
    return False


def redirect_is_signed(query: dict, message: str, issuer: str) -> bool:
    """By pysaml2, with the certificates of the sender's metadata."""
    if "Signature" not in query:
        return False
    certificates = [certificate for _, certificate in idp.saml.metadata.certs(issuer, "any", "signing")]
    names = [message, "RelayState", "SigAlg", "Signature"]
    signed = {name: query[name] for name in names if name in query}
    return any(verify_redirect_signature(dict(signed), idp.saml.sec.sec_backend, one) for one in certificates)


def encrypt_with(cipher: str):
    """pysaml2 knows no setting for the cipher, only the defaults of these two."""
    method, key = CIPHERS[cipher]
    saml2.entity.pre_encryption_part = functools.partial(pre_encryption_part, msg_enc=method)
    encrypt = type(idp.saml.sec).encrypt_assertion
    idp.saml.sec.encrypt_assertion = functools.partial(encrypt, idp.saml.sec, key_type=key)


def sign_in_response(entity, acs, in_response_to, session, name_format=None):
    options = idp.options
    attributes = person(session["user"])
    name_id = persistent(session["user"], entity)
    if name_format == NAMEID_FORMAT_EMAILADDRESS:
        name_id = NameID(format=name_format, text=attributes["mail"])
    session["name_ids"][entity] = name_id
    if options["encrypt"]:
        encrypt_with(options["encrypt"])
    # pysaml2 makes a new SessionIndex for each answer and tells nobody; here it is the session's.
    saml2.assertion.sid = lambda: session["index"]
    return idp.saml.create_authn_response(
        attributes,
        in_response_to,
        acs,
        entity,
        name_id=name_id,
        authn={"class_ref": PASSWORDPROTECTEDTRANSPORT, "authn_instant": session["at"]},
        sign_response=options["sign_response"],
        sign_assertion=options["sign_assertion"],
        encrypt_assertion=bool(options["encrypt"]),
        encrypt_cert_assertion=options["encryption_certificate"],
        encrypt_assertion_self_contained=True,
        session_not_on_or_after=in_a_while(hours=8),
    )


# --- pages ---


class Pages(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.answer()

    def do_POST(self):
        self.answer()

    def answer(self):
        url = urllib.parse.urlsplit(self.path)
        self.query = dict(urllib.parse.parse_qsl(url.query))
        body = self.rfile.read(int(self.headers.get("content-length") or 0)).decode()
        self.soap = body if self.headers.get("content-type", "").startswith("text/xml") else None
        self.form = {} if self.soap else dict(urllib.parse.parse_qsl(body))
        self.sent = {**self.query, **self.form}
        page = {
            "/": lambda: self.page("pysaml2", "<p>An identity provider for tests.</p>"),
            "/metadata": lambda: self.reply(200, idp.metadata(), "application/samlmetadata+xml"),
            "/sso": self.sso,
            "/login": self.login,
            "/unsolicited": self.unsolicited,
            "/slo": self.slo,
            "/logout": self.logout,
        }.get(url.path)
        with idp.lock:
            try:
                page() if page else self.page("Not here", "", 404)
            except Exception as error:
                traceback.print_exc()
                idp.note("error", path=url.path, error=f"{type(error).__name__}: {error}")
                self.page("Refused", f"<p id=error>{html.escape(f'{type(error).__name__}: {error}')}</p>", 400)

    def sso(self):
        """An AuthnRequest: who is signed in here and need not prove it again goes straight back."""
        binding = BINDING_HTTP_POST if self.command == "POST" else BINDING_HTTP_REDIRECT
        raw, relay_state = self.sent["SAMLRequest"], self.sent.get("RelayState")
        signature = {"relay_state": relay_state, "sigalg": self.sent.get("SigAlg"), "signature": self.sent.get("Signature")}
        request = idp.saml.parse_authn_request(raw, binding, **signature).message
        signed = self.signed("SAMLRequest", binding, request)
        args = idp.saml.response_args(request)
        policy = request.name_id_policy
        idp.note("AuthnRequest", binding=binding.rsplit(":")[-1], signed=signed, force=request.force_authn, relay_state=relay_state)
        waiting = {
            "entity": args["sp_entity_id"],
            "acs": args["destination"],
            "in_response_to": args["in_response_to"],
            "relay_state": relay_state,
            "name_format": policy.format if policy else None,
        }
        session = self.session()
        if session and request.force_authn != "true":
            return self.go_back(waiting, session)
        handle = secrets.token_urlsafe(16)
        idp.waiting[handle] = waiting
        self.page(
            "Sign in at pysaml2",
            f"""<form method=post action=/login><input type=hidden name=handle value="{handle}">
            <input name=user autocomplete=off> <button>Sign in</button></form>""",
        )

    def login(self):
        user = self.form["user"]
        person(user)
        cookie = secrets.token_urlsafe(16)
        idp.sessions[cookie] = {"user": user, "index": f"s{secrets.token_hex(8)}", "name_ids": {}, "at": time.time()}
        self.go_back(idp.waiting.pop(self.form["handle"]), idp.sessions[cookie], cookie)

    def unsolicited(self):
        """A sign-in that begins here: /unsolicited?entity=..&relay_state=.."""
        acs = idp.saml.metadata.assertion_consumer_service(self.query["entity"], BINDING_HTTP_POST)[0]["location"]
        waiting = {"entity": self.query["entity"], "acs": acs, "in_response_to": None, "relay_state": self.query.get("relay_state"), "name_format": None}
        session = self.session()
        assert session, "nobody is signed in here"
        self.go_back(waiting, session)

    def go_back(self, waiting, session, cookie=None):
        response = sign_in_response(waiting["entity"], waiting["acs"], waiting["in_response_to"], session, waiting["name_format"])
        info = idp.saml.apply_binding(BINDING_HTTP_POST, str(response), waiting["acs"], waiting["relay_state"] or "", response=True)
        headers = [("Set-Cookie", f"pysaml2={cookie}; Path=/; HttpOnly")] if cookie else []
        self.reply(200, info["data"], "text/html; charset=utf-8", headers)

    def slo(self):
        """A LogoutRequest of a service provider, or its answer to ours."""
        if self.soap:
            return self.logout_requested(self.soap, BINDING_SOAP)
        binding = BINDING_HTTP_POST if self.command == "POST" else BINDING_HTTP_REDIRECT
        if "SAMLRequest" in self.sent:
            self.logout_requested(self.sent["SAMLRequest"], binding)
        else:
            self.logout_answered(binding)

    def logout_requested(self, raw, binding):
        signature = {}
        if binding == BINDING_HTTP_REDIRECT:
            signature = {"relay_state": self.sent.get("RelayState"), "sigalg": self.sent.get("SigAlg"), "signature": self.sent.get("Signature")}
        message = idp.saml.parse_logout_request(raw, binding, **signature).message
        issuer = message.issuer.text
        signed = self.signed("SAMLRequest", binding, message)
        indexes = [index.text for index in message.session_index]
        ended = [
            cookie
            for cookie, session in idp.sessions.items()
            if issuer in session["name_ids"]
            and session["name_ids"][issuer].text == message.name_id.text
            and (not indexes or session["index"] in indexes)
        ]
        idp.note("LogoutRequest", binding=binding.rsplit(":")[-1], signed=signed, indexes=indexes, ended=len(ended), name_id=name_id_of(message))
        if not signed:
            raise IncorrectlySigned("a LogoutRequest must be signed")
        for cookie in ended:
            del idp.sessions[cookie]
        status = success_status_factory()
        if idp.options["logout_status"] != "success":
            status.status_code.value = f"urn:oasis:names:tc:SAML:2.0:status:{idp.options['logout_status']}"
        if binding == BINDING_SOAP:
            response = idp.saml.create_logout_response(message, [BINDING_SOAP], status=status, sign=True)
            info = idp.saml.apply_binding(BINDING_SOAP, str(response), response=True)
            return self.reply(200, info["data"], "text/xml; charset=utf-8")
        back = BINDING_HTTP_REDIRECT if binding == BINDING_HTTP_REDIRECT and "redirect" in idp.options["logout_bindings"] else BINDING_HTTP_POST
        response = idp.saml.create_logout_response(message, [back, BINDING_HTTP_POST], status=status, sign=back == BINDING_HTTP_POST)
        location = idp.saml.response_args(message, [back, BINDING_HTTP_POST])["destination"]
        info = idp.saml.apply_binding(back, str(response), location, self.sent.get("RelayState") or "", response=True, sign=True)
        if back == BINDING_HTTP_REDIRECT:
            return self.reply(302, "", "text/plain", info["headers"])
        self.reply(200, info["data"], "text/html; charset=utf-8")

    def logout(self):
        """A sign-out that begins here, in the browser: /logout?entity=..&binding=.."""
        cookie = self.cookie()
        session = idp.sessions.pop(cookie, None)
        assert session, "nobody is signed in here"
        request = by_browser(self.query["entity"], session, BINDINGS[self.query["binding"]], relay_state="back-at-pysaml2")
        idp.waiting[request["id"]] = request
        if "page" in request:
            self.reply(200, request["page"], "text/html; charset=utf-8")
        else:
            self.reply(302, "", "text/plain", [("Location", request["url"])])

    def logout_answered(self, binding):
        raw = self.sent["SAMLResponse"]
        response = idp.saml.parse_logout_request_response(raw, binding)
        message = response.response
        signed = self.signed("SAMLResponse", binding, message)
        expected = idp.waiting.pop(message.in_response_to, None) is not None
        said = logout_response(message)
        idp.note("LogoutResponse", binding=binding.rsplit(":")[-1], signed=signed, expected=expected, relay_state=self.sent.get("RelayState"), **said)
        assert signed and expected, "the answer is not signed, or to nothing that was asked"
        self.page("Signed out at pysaml2", f"<p id=code>{html.escape(said['code'])}</p>")

    def signed(self, name, binding, message) -> bool:
        if binding == BINDING_HTTP_REDIRECT:
            return redirect_is_signed(self.sent, name, message.issuer.text)
        return is_signed(self.soap or base64.b64decode(self.sent[name]).decode(), message)

    def cookie(self):
        morsel = http.cookies.SimpleCookie(self.headers.get("cookie", "")).get("pysaml2")
        return morsel.value if morsel else None

    def session(self):
        return idp.sessions.get(self.cookie())

    def page(self, title, body, status=200):
        self.reply(status, f"<!doctype html><html lang=en><title>{title}</title><h1>{title}</h1>{body}", "text/html; charset=utf-8")

    def reply(self, status, body, content_type, headers=()):
        body = body.encode() if isinstance(body, str) else body
        self.send_response(status)
        for name, value in [("Content-Type", content_type), ("Content-Length", str(len(body))), ("Cache-Control", "no-store"), *headers]:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format, *args):
        print(format % args, file=sys.stderr)


def name_id_of(message) -> dict:
    name = message.name_id
    return {"value": name.text, "format": name.format, "name_qualifier": name.name_qualifier, "sp_name_qualifier": name.sp_name_qualifier}


def main():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", PORT), Pages)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(json.dumps({"ready": ORIGIN}), flush=True)
    for line in sys.stdin:
        command = json.loads(line)
        try:
            if command["do"] in ("soap_logout",):
                # The service provider may ask us something before it answers.
                answer = {"ok": do_soap_logout(**command["with"])}
            else:
                with idp.lock:
                    answer = {"ok": globals()[f"do_{command['do']}"](**command["with"])}
        except Exception as error:
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


main()
