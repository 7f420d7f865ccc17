"""A server that speaks S3 over HTTP, in a process of its own: ``python -m tests.support.object_store``."""

import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

REGION = "eu-central-1"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}


@contextmanager
def object_store() -> Iterator[str]:
    """Yields the address of an empty object store."""
    command = [sys.executable, "-m", "tests.support.object_store"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        address = next(line.split()[1] for line in process.stdout if line.startswith("listening "))
        try:
            yield address
        finally:
            process.kill()


def create_bucket(address: str, name: str) -> None:
    """Creates a bucket, as its owner would."""
    body = f"<CreateBucketConfiguration><LocationConstraint>{REGION}</LocationConstraint></CreateBucketConfiguration>"
    request = urllib.request.Request(f"{address}/{name}", body.encode(), method="PUT")
    urllib.request.urlopen(request, timeout=120).close()


if __name__ == "__main__":
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    print(f"listening http://{host}:{port}", flush=True)
    sys.stdin.read()
