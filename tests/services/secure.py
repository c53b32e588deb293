"""Kafka and Redis as a careful site runs them: TLS under a CA of our own, and nobody comes in without a password."""

from __future__ import annotations

import datetime
import ipaddress
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.services.kafka import Broker
from tests.services.processes import server_port
from tests.services.redis import RedisServer

CLIENT_RIGHTS: Final = "~* &* +@all -@dangerous +info"
"""What the Redis user of the tests may do: INFO, of all that Redis calls dangerous (KEYS, CONFIG, FLUSHALL …)."""


class Certificates:
    """A CA and a certificate for 127.0.0.1 and localhost, as PEM files in a directory."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.ca_file = directory / "ca.pem"
        self.certificate_file = directory / "server.pem"
        self.key_file = directory / "server.key"
        self.both_file = directory / "server-with-key.pem"
        self._write()

    def _write(self) -> None:
        ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
        issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "CA of the tests")])
        identifier = x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key())
        # Python 3.13 and later check all that RFC 5280 asks of a CA.
        authority = (
            certificate_of(issuer, ca_key.public_key(), issuer)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(key_usage(ca=True), critical=True)
            .add_extension(identifier, critical=False)
            .sign(ca_key, hashes.SHA256())
        )
        names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
        certificate = (
            certificate_of(subject, key.public_key(), issuer)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(key_usage(ca=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
            .sign(ca_key, hashes.SHA256())
        )
        pem = serialization.Encoding.PEM
        private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        self.ca_file.write_bytes(authority.public_bytes(pem))
        self.certificate_file.write_bytes(certificate.public_bytes(pem))
        self.key_file.write_bytes(private)
        self.both_file.write_bytes(private + certificate.public_bytes(pem))


def certificate_of(subject: x509.Name, key: ec.EllipticCurvePublicKey, issuer: x509.Name) -> x509.CertificateBuilder:
    """Begin a certificate that is valid for this week."""
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=6))
    )


def key_usage(*, ca: bool) -> x509.KeyUsage:
    """Return what a CA's key, or a server's, is for."""
    return x509.KeyUsage(
        digital_signature=not ca,
        key_cert_sign=ca,
        crl_sign=ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


class SecureBroker(Broker):
    """A broker whose clients come by SASL_SSL with SCRAM-SHA-512; ``bootstrap`` is that listener."""

    mechanism: Final = "SCRAM-SHA-512"
    username: Final = "scimgw"

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.password = secrets.token_urlsafe(24)
        self._certificates = Certificates(directory / "certificates")
        self._inner = f"127.0.0.1:{server_port()}"

    @property
    def ca_file(self) -> Path:
        """The CA that clients trust, as PEM."""
        return self._certificates.ca_file

    @property
    def properties(self) -> dict[str, str]:
        return {
            **super().properties,
            "listeners": f"SASL_SSL://{self.bootstrap},INNER://{self._inner},CONTROLLER://127.0.0.1:{self.controller_port}",
            "listener.security.protocol.map": "SASL_SSL:SASL_SSL,INNER:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "inter.broker.listener.name": "INNER",
            "sasl.enabled.mechanisms": self.mechanism,
            "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": (
                "org.apache.kafka.common.security.scram.ScramLoginModule required;"
            ),
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(self._certificates.both_file),
        }

    def _format(self, *more: str) -> None:
        user = f"{self.mechanism}=[name={self.username},password={self.password}]"
        super()._format("--add-scram", user, *more)


class SecureRedis(RedisServer):
    """A Redis that speaks TLS alone, to a user with ``CLIENT_RIGHTS`` and to the tests themselves."""

    username: Final = "scimgw"

    def __init__(self, directory: Path, extra: Sequence[str] = ()) -> None:
        super().__init__(directory, "redis", extra)
        self.password = secrets.token_urlsafe(24)
        self._tests_password = secrets.token_urlsafe(24)
        self._certificates = Certificates(directory / "certificates")

    @property
    def ca_file(self) -> Path:
        """The CA that clients trust, as PEM."""
        return self._certificates.ca_file

    @property
    def url(self) -> str:
        """``rediss://user:password@127.0.0.1:port/0?ssl_ca_certs=…``."""
        return self._url(self.username, self.password)

    @property
    def admin_url(self) -> str:
        """Likewise, for the tests: with all rights."""
        return self._url("tests", self._tests_password)

    def _url(self, user: str, password: str) -> str:
        return f"rediss://{user}:{password}@127.0.0.1:{self.port}/0?ssl_ca_certs={self.ca_file}"

    def _prepare(self) -> Sequence[str]:
        users = self.directory / "users.acl"
        users.write_text(
            "user default off\n"
            f"user {self.username} on >{self.password} {CLIENT_RIGHTS}\n"
            f"user tests on >{self._tests_password} ~* &* +@all\n"
        )
        return [
            *super()._prepare(),
            *("--port", "0", "--tls-port", str(self.port), "--aclfile", str(users), "--tls-auth-clients", "no"),
            *("--tls-cert-file", str(self._certificates.certificate_file)),
            *("--tls-key-file", str(self._certificates.key_file), "--tls-ca-cert-file", str(self.ca_file)),
        ]
