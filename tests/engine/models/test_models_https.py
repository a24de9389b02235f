"""Certificates are checked: who the hub is, and whether somebody who is trusted says so."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from pathlib import Path

import pytest

from model_server import ModelServer, tiny_model
from resonantgen import models
from resonantgen.errors import DownloadFailed
from resonantgen.models.hub import list_files
from resonantgen.models.web import Wire

INFO = models.model_info("encodec-24khz")
pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="certificates are made with openssl")


def certificate(folder: Path, name: str) -> tuple[Path, ssl.SSLContext]:
    """A self-signed certificate for a name, and a server's context with it."""
    key, cert = folder / "key.pem", folder / "cert.pem"
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    to = ("-keyout", str(key), "-out", str(cert), "-subj", "/CN=a test", "-addext", f"subjectAltName={name}")
    subprocess.run(["openssl", "req", "-x509", *curve, "-days", "2", *to], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return cert, context


@pytest.mark.parametrize(
    ("name", "trusted", "right"),
    [("IP:127.0.0.1", True, True), ("IP:127.0.0.1", False, False), ("DNS:example.com", True, False)],
    ids=["trusted", "unknown-issuer", "another-host"],
)
def test_only_the_right_host_with_a_trusted_certificate_is_asked(
    name: str, trusted: bool, right: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cert, context = certificate(tmp_path, name)
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(cert))
    slept: list[float] = []
    with ModelServer(context) as hub:
        monkeypatch.setenv("RESONANTGEN_MODEL_HUB", hub.address)
        commit = hub.publish(INFO.repository, tiny_model(INFO, {"model.safetensors": b"weights"}))
        if right:
            assert list_files(INFO, "main", Wire(sleep=slept.append)).commit == commit
        else:
            with pytest.raises(DownloadFailed, match="no valid certificate"):
                list_files(INFO, "main", Wire(sleep=slept.append))
            assert hub.asked == []
    assert slept == []
