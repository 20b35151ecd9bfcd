"""The feed by a client certificate: against a TLS server that asks for one."""

import datetime
import ipaddress
import os
import ssl

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from fake import BORN, Fake, asked, is_revoked, until

from cenote_verifier import CenoteVerifier, UnavailableError


class Authority:
    def __init__(self, folder, name):
        self.folder = folder
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        made = self._builder(self.name, self.key).add_extension(x509.BasicConstraints(True, None), critical=True)
        self.file = self._written(name, made, self.key)[0]

    def issue(self, name, *extensions):
        """Files of a certificate and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        made = self._builder(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]), key)
        for extension in extensions:
            made = made.add_extension(extension, critical=False)
        return self._written(name, made, key)

    def _builder(self, subject, key):
        now = datetime.datetime.now(datetime.timezone.utc)
        start, end = now - datetime.timedelta(hours=1), now + datetime.timedelta(days=1)
        builder = x509.CertificateBuilder(issuer_name=self.name, subject_name=subject, public_key=key.public_key())
        return builder.serial_number(x509.random_serial_number()).not_valid_before(start).not_valid_after(end)

    def _written(self, name, builder, key):
        cert_file, key_file = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        cert_file.write_bytes(builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
        kind = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        key_file.write_bytes(key.private_bytes(*kind))
        return cert_file, key_file


CLIENT_AUTH = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path, "authority")


@pytest.fixture
def fake(authority):
    name = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    fake = Fake()
    fake.tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=authority.file)
    fake.tls.verify_mode = ssl.CERT_REQUIRED
    fake.tls.load_cert_chain(*authority.issue("server", name))
    fake.listen()
    yield fake
    fake.close()


@pytest.fixture
def without_client(follow, authority):
    """A verifier that has no app client: what lets it in is the certificate."""

    def without_client(cert=None, key=None, **options):
        named = {"client_id": None, "client_secret": None, "ca_file": authority.file}
        return follow(fresh=False, client_cert=cert, client_key=key, **{**named, **options})

    return without_client


def test_with_a_client_certificate_the_feed_is_followed_and_no_token_asked_for(
    fake, authority, without_client, caught_up
):
    verifier = without_client(*authority.issue("orders", CLIENT_AUTH))
    assert verifier.ready(5), verifier.problems
    token = fake.token(BORN)
    assert verifier.verify(token).verdict.by == "feed"
    fake.publish("U", "ann", BORN + 1)
    caught_up(verifier)
    assert is_revoked(verifier, token)
    assert not asked(fake, "/oauth2/token")
    assert not any("authorization" in request["headers"] for request in fake.requests)


def test_a_certificate_alone_cannot_introspect_and_the_refusal_says_why(fake, authority, without_client, clock):
    verifier = without_client(*authority.issue("orders", CLIENT_AUTH))
    assert verifier.ready(5), verifier.problems
    verifier.verify(fake.token())
    fake.intercept = lambda request: (503, {}, {})
    clock.move(31)
    with pytest.raises(UnavailableError, match="client_id"):
        verifier.verify(fake.token())


def test_without_a_certificate_of_the_authority_there_is_no_feed_and_the_policy_decides(fake, without_client, tmp_path):
    (tmp_path / "other").mkdir()
    stranger = Authority(tmp_path / "other", "stranger").issue("orders", CLIENT_AUTH)
    for files in [(), stranger]:
        verifier = without_client(*files)
        assert not verifier.ready(0.3)
        until(lambda: len(verifier.problems) > 1)
        with pytest.raises(UnavailableError):
            verifier.verify(fake.token(), policy="closed")


def test_a_server_that_the_authority_does_not_know_is_not_talked_to(fake, authority, without_client, tmp_path):
    (tmp_path / "other").mkdir()
    stranger = Authority(tmp_path / "other", "stranger")
    verifier = without_client(*authority.issue("orders", CLIENT_AUTH), ca_file=stranger.file)
    assert not verifier.ready(0.3)
    assert fake.requests == []


def test_a_certificate_that_was_renewed_is_taken_up_when_the_old_one_is_refused(
    fake, authority, without_client, caught_up
):
    files = authority.issue("orders", CLIENT_AUTH)
    verifier = without_client(*files)
    assert verifier.ready(5), verifier.problems
    old = asked(fake, "/revocations/delta")[-1]["certificate"]
    for file, renewed in zip(files, authority.issue("renewed", CLIENT_AUTH)):
        os.replace(renewed, file)
    # The connection lives on, but what it began with counts no more.
    fake.ended.add(old)
    fake.publish("U", "ann", BORN + 1)
    caught_up(verifier)
    until(lambda: asked(fake, "/revocations/delta")[-1]["certificate"] != old)
    fake.publish("U", "bob", BORN + 1)
    caught_up(verifier)
    assert verifier.state == "FRESH"
    assert verifier.problems == []


def test_mistakes_about_certificates_are_told_when_the_verifier_is_made(fake, authority, tmp_path):
    cert, key = authority.issue("orders", CLIENT_AUTH)
    _, another = authority.issue("another", CLIENT_AUTH)
    for options, error in [
        ({"client_cert": tmp_path / "missing.pem", "client_key": key}, FileNotFoundError),
        ({"client_cert": cert, "client_key": another}, ssl.SSLError),
        ({"client_key": key}, ValueError),
        ({"client_cert": cert, "client_key": key, "ssl_context": ssl.create_default_context()}, ValueError),
    ]:
        with pytest.raises(error):
            CenoteVerifier(**fake.options(**options))
