"""A real S3 server on this machine, and a real proxy before it that makes bad weather."""

import http.client
import logging
import threading
import time
import uuid
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal

import boto3
import pytest
from moto.server import ThreadedMotoServer

__all__ = ["S3", "SECRET", "Proxy", "s3_server"]

SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
KEY = "AKIAIOSFODNN7EXAMPLE"
SLOW_DOWN = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
REFUSED = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"

Fault = Literal["fine", "drop", "silent", "busy", "late", "half", "deaf", "refuse"]
"""What happens to a request: nothing, a cut line, a line without an answer, 503, an answer after a while,
half an answer, an answer that is lost after the work was done, 403."""

LATE_SECONDS = 0.1
SILENT_SECONDS = 2.0


class S3:
    """A bucket, reached directly or through the proxy."""

    def __init__(self, port: int, proxy: "Proxy") -> None:
        self.proxy = proxy
        self.client = boto3.client("s3", endpoint_url=f"http://127.0.0.1:{port}")
        self._port = port

    def bucket(self) -> str:
        """Make an empty bucket and return its name."""
        name = f"bucket-{uuid.uuid4().hex[:12]}"  # moto's servers of one process share their buckets
        self.client.create_bucket(Bucket=name)
        return name

    def uri(self, bucket: str, prefix: str = "results", *, bad_weather: bool = False) -> str:
        port = self.proxy.port if bad_weather else self._port
        return f"s3://{bucket}/{prefix}?scheme=http&region=us-east-1&endpoint_override=127.0.0.1:{port}"

    def keys(self, bucket: str) -> list[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        return [item["Key"] for page in pages for item in page.get("Contents", ())]

    def everything(self, bucket: str) -> bytes:
        """Return all that is stored, with its names."""
        bodies = [self.client.get_object(Bucket=bucket, Key=key)["Body"].read() for key in self.keys(bucket)]
        return b"".join([*bodies, *(key.encode() for key in self.keys(bucket))])


class Proxy:
    """Forwards every request, except for what is planned.

    Attributes:
        plan: what happens to the next requests, one each.
        always: what happens to those after them.
        only: what is in the path of requests that it happens to; others are fine.
        without_conditions: let If-Match and If-None-Match not reach the server, as older servers ignore them.
        injected: how often each fault happened.
    """

    def __init__(self, port: int) -> None:
        self.plan: deque[Fault] = deque()
        self.always: Fault = "fine"
        self.only = ""
        self.without_conditions = False
        self.injected: dict[Fault, int] = {}
        self.requests = 0
        self._busy = threading.Lock()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one_request(self) -> None:
                try:
                    super().handle_one_request()
                except OSError:  # the client left
                    self.close_connection = True

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

            def answer(self) -> None:
                body = self.whole_body()
                fault = proxy.next_fault(self.path)
                if fault in ("busy", "refuse"):
                    code, text = (503, SLOW_DOWN) if fault == "busy" else (403, REFUSED)
                    self.reply(code, {"Content-Type": "application/xml"}, text, len(text))
                    return
                if fault == "silent":
                    time.sleep(SILENT_SECONDS)
                elif fault != "drop":
                    time.sleep(LATE_SECONDS if fault == "late" else 0)
                    code, headers, text = proxy.forward(self.command, self.path, dict(self.headers), body)
                    length = int(headers.get("content-length", len(text)))
                    if fault == "half" and len(text) > 1:
                        self.reply(code, headers, text[: len(text) // 2], length)
                    elif fault not in ("half", "deaf"):
                        self.reply(code, headers, text, length)
                        return
                self.close_connection = True

            def whole_body(self) -> bytes:
                if self.headers.get("Transfer-Encoding") != "chunked":
                    return self.rfile.read(int(self.headers.get("Content-Length", 0)))
                chunks = []
                while length := int(self.rfile.readline().partition(b";")[0], 16):
                    chunks.append(self.rfile.read(length))
                    self.rfile.readline()
                self.rfile.readline()
                return b"".join(chunks)

            def reply(self, code: int, headers: dict[str, str], text: bytes, length: int) -> None:
                self.send_response_only(code)
                for name, value in headers.items():
                    if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                        self.send_header(name, value)
                self.send_header("Content-Length", str(length))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(text)

            do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = answer

        self._target = port
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def calm(self) -> None:
        """End the bad weather."""
        self.plan.clear()
        self.always, self.only, self.without_conditions = "fine", "", False
        self.injected, self.requests = {}, 0

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def next_fault(self, path: str) -> Fault:
        with self._busy:
            self.requests += 1
            if self.only not in path:
                return "fine"
            fault = self.plan.popleft() if self.plan else self.always
            self.injected[fault] = self.injected.get(fault, 0) + 1
            return fault

    def forward(
        self, method: str, path: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        if self.without_conditions:
            headers = {key: value for key, value in headers.items() if not key.lower().startswith("if-")}
        hops = ("expect", "transfer-encoding", "content-length")
        headers = {key: value for key, value in headers.items() if key.lower() not in hops}
        connection = http.client.HTTPConnection("127.0.0.1", self._target, timeout=30)
        try:
            connection.request(method, path, body, headers)
            reply = connection.getresponse()
            return reply.status, {key.lower(): value for key, value in reply.getheaders()}, reply.read()
        finally:
            connection.close()


@contextmanager
def s3_server() -> Iterator[S3]:
    """Run a server and its proxy, with credentials in the environment."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", KEY)
        patch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
        server.start()
        _, port = server.get_host_and_port()
        proxy = Proxy(port)
        try:
            yield S3(port, proxy)
        finally:
            proxy.close()
            server.stop()
