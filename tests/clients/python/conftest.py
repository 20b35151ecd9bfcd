"""One server for the whole run: the one that CENOTE_READY names, or a fresh one on the embedded database."""

import json
import os
import pathlib
import socket
import subprocess
import tempfile
import time

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config

from support import Pool, Ready

REPOSITORY = pathlib.Path(__file__).resolve().parents[3]

# Nothing of the developer's own AWS setup may decide what is tested.
for name in [name for name in os.environ if name.startswith("AWS_")]:
    del os.environ[name]
os.environ.update(
    AWS_ACCESS_KEY_ID="AKIAIOSFODNN7EXAMPLE",
    AWS_SECRET_ACCESS_KEY="anything",
    AWS_DEFAULT_REGION="us-east-1",
    AWS_CONFIG_FILE=os.devnull,
    AWS_SHARED_CREDENTIALS_FILE=os.devnull,
    AWS_EC2_METADATA_DISABLED="true",
)


@pytest.fixture(scope="session")
def server():
    """What the server wrote into its ready file."""
    if "CENOTE_READY" in os.environ:
        yield Ready(json.loads(pathlib.Path(os.environ["CENOTE_READY"]).read_text()))
        return
    with tempfile.TemporaryDirectory(prefix="cenote-python.") as scratch:
        ready = pathlib.Path(scratch, "ready.json")
        process = start(ready, pathlib.Path(scratch, "server.log"))
        try:
            yield Ready(json.loads(ready.read_text()))
        finally:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                raise


def start(ready: pathlib.Path, log: pathlib.Path) -> subprocess.Popen:
    binary = os.environ.get("CENOTE_BIN", REPOSITORY / "target/debug/cenote")
    ports = ["--port", str(free_port()), "--tls-port", str(free_port())]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [binary, "dev", "--ephemeral", *ports, "--ready-file", ready], stdout=output, stderr=subprocess.STDOUT
        )
    for _ in range(300):
        if ready.exists():
            return process
        if process.poll() is not None:
            break
        time.sleep(0.1)
    process.kill()
    process.wait()
    raise RuntimeError(f"the server did not become ready: {log.read_text()}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="session")
def idp(server):
    """boto3 as an administrator has it. No retries: the first answer is the one that is tested."""
    return boto3.client("cognito-idp", endpoint_url=server.endpoint, config=Config(retries={"total_max_attempts": 1}))


@pytest.fixture(scope="session")
def unsigned(server):
    """boto3 as an app has it, without any credentials."""
    config = Config(signature_version=UNSIGNED, retries={"total_max_attempts": 1})
    return boto3.client("cognito-idp", endpoint_url=server.endpoint, config=config)


@pytest.fixture
def make_pool(idp):
    """Makes pools; they are deleted after the test."""
    pools = []

    def make(**settings) -> Pool:
        pools.append(Pool(idp, **settings))
        return pools[-1]

    yield make
    for pool in pools:
        pool.delete()


@pytest.fixture(scope="module")
def pool(idp):
    """A pool with default settings; the tests of a file share it, each with its own users."""
    pool = Pool(idp)
    yield pool
    pool.delete()


@pytest.fixture(scope="module")
def app(pool):
    """A public app client that allows every flow a user can take."""
    return pool.app()


@pytest.fixture
def ann(pool):
    """A confirmed user with a password."""
    return pool.user()
