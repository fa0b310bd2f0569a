"""Python's http.client, and raw bytes, against the demo server.

    client.py all HOST:PORT           every check
    client.py mixed ADDRESS NAME      a thousand requests; the address may be unix:PATH

Prints `ok NAME` or `FAILED NAME: why`; exits 0 if all could be run.
"""

import http.client
import json
import random
import socket
import sys

WAIT = 30


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("x", timeout=WAIT)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(WAIT)
        self.sock.connect(self.path)


def connection(address):
    if address.startswith("unix:"):
        return UnixConnection(address[5:])
    return http.client.HTTPConnection(address, timeout=WAIT)


def is_(got, expected, what="it"):
    if got != expected:
        raise AssertionError(f"{what} is {str(got)[:100]!r}, not {str(expected)[:100]!r}")


def ask(client, method, path, body=None, headers=None, chunked=False):
    client.request(method, path, body=body, headers=headers or {}, encode_chunked=chunked)
    reply = client.getresponse()
    return reply, reply.read()


def pieces(data):
    """The data in pieces of odd sizes, for a chunked body."""
    rng, at = random.Random(len(data)), 0
    while at < len(data):
        size = rng.choice([1, 2, 15, 16, 17, 1000, 4096, 20000])
        yield data[at : at + size]
        at += size


CHUNKED = {"Transfer-Encoding": "chunked"}


def keep_alive(address):
    client = connection(address)
    client.connect()
    first = client.sock
    for _ in range(200):
        reply, body = ask(client, "GET", "/plaintext")
        is_((reply.status, body), (200, b"Hello, World!"))
        if client.sock is not first:
            raise AssertionError("the connection was closed")
    reply, body = ask(client, "HEAD", "/plaintext")
    is_((reply.getheader("Content-Length"), body), ("13", b""))
    is_(ask(client, "GET", "/json")[1], b'{"message":"Hello, World!"}')


def chunked_body(address):
    client = connection(address)
    data = random.Random(1).randbytes(300_000)
    reply, body = ask(client, "POST", "/echo", pieces(data), CHUNKED, chunked=True)
    is_(reply.getheader("Transfer-Encoding"), "chunked", "the coding")
    is_(body, data, "the body")
    is_(ask(client, "GET", "/plaintext")[1], b"Hello, World!", "the next one")


def read_reply(sock):
    """One reply to a GET or POST, as http.client reads it."""
    reply = http.client.HTTPResponse(sock)
    reply.begin()
    return reply, reply.read()


def raw(address):
    host, _, port = address.rpartition(":")
    sock = socket.create_connection((host.strip("[]"), int(port)), timeout=WAIT)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


HOST = b"Host: x\r\n"


def trailers_are_no_fields(address):
    with raw(address) as sock:
        sock.sendall(
            b"POST /echo HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
            b"3;name=value\r\nabc\r\n0\r\nX-Sum: 1\r\nContent-Length: 99\r\nHost: other\r\n\r\n"
            b"GET /plaintext HTTP/1.1\r\n" + HOST + b"\r\n"
        )
        reply, body = read_reply(sock)
        is_((reply.status, body), (200, b"abc"))


def byte_by_byte(address):
    with raw(address) as sock:
        for byte in b"POST /echo HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\n\r\nhello":
            sock.sendall(bytes([byte]))
        is_(read_reply(sock)[1], b"hello", "the body")


def pipelined_replies_are_in_order(address):
    with raw(address) as sock:
        count = 100
        requests = b"".join(
            b"POST /echo HTTP/1.1\r\n" + HOST + b"Content-Length: 4\r\n\r\n%04d" % n for n in range(count)
        )
        sock.sendall(requests + b"GET /json HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n")
        data = everything(sock)
    bodies = [part.split(b"\r\n\r\n", 1) for part in data.split(b"HTTP/1.1 200 ")[1:]]
    is_(len(bodies), count + 1, "the number of replies")
    for n, (_, body) in enumerate(bodies[:count]):
        is_(body, b"%04d" % n, f"reply {n}")


def everything(sock):
    data = b""
    while True:
        try:
            part = sock.recv(65536)
        except ConnectionResetError:
            return data
        if not part:
            return data
        data += part


def early_close(address):
    """Clients that go away, at every stage; and then one that does not."""
    request = b"POST /echo HTTP/1.1\r\n" + HOST + b"Content-Length: 1000000\r\n\r\n" + bytes(5000)
    for length in (1, 10, 22, len(request) - 4000, len(request)):
        with raw(address) as sock:
            sock.sendall(request[:length])
    with raw(address) as sock:
        sock.sendall(b"GET /slow?ms=200 HTTP/1.1\r\n" + HOST + b"\r\n")
    with raw(address) as sock:
        sock.sendall(b"GET /stream?n=100000&ms=0 HTTP/1.1\r\n" + HOST + b"\r\n")
        sock.recv(100)
    keep_alive(address)


def half_close_is_answered(address):
    with raw(address) as sock:
        sock.sendall(b"GET /slow?ms=100 HTTP/1.1\r\n" + HOST + b"\r\n")
        sock.shutdown(socket.SHUT_WR)
        data = everything(sock)
        is_(data[:13], b"HTTP/1.1 200 ", "the reply")


def query_is_json(address):
    client = connection(address)
    body = ask(client, "GET", "/query?a=1&b=%20x+y&a&&=z&c=%zz")[1]
    is_(json.loads(body), [["a", "1"], ["b", " x y"], ["a", ""], ["", "z"], ["c", "%zz"]])


# What must be refused: the status, and the bytes. Behind each comes a request that must not be answered.
REFUSED = [
    ("length and coding", "400", b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("two lengths", "400", b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na"),
    ("a list of lengths", "400", b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1, 1\r\n\r\na"),
    ("a signed length", "400", b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: +1\r\n\r\na"),
    ("an unknown coding", "501", b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    ("chunked not last", "400", b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n"),
    ("a coding in 1.0", "400", b"POST /echo HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("a bare line feed", "400", b"GET /plaintext HTTP/1.1\nHost: x\n\n"),
    ("a bare carriage return", "400", b"GET /plaintext HTTP/1.1\r\nHost: x\rA: b\r\n\r\n"),
    ("a zero byte", "400", b"GET /plaintext HTTP/1.1\r\nHost: x\r\nA: \0\r\n\r\n"),
    ("no host", "400", b"GET /plaintext HTTP/1.1\r\n\r\n"),
    ("two hosts", "400", b"GET /plaintext HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n"),
    ("a folded field", "400", b"GET /plaintext HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n"),
    ("a space before the colon", "400", b"GET /plaintext HTTP/1.1\r\nHost : x\r\n\r\n"),
    ("two spaces", "400", b"GET  /plaintext HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("no version", "400", b"GET /plaintext\r\nHost: x\r\n\r\n"),
    ("version 2.0", "505", b"GET /plaintext HTTP/2.0\r\nHost: x\r\n\r\n"),
    ("a fragment", "400", b"GET /plaintext#a HTTP/1.1\r\nHost: x\r\n\r\n"),
]

# The same within bodies, where the reply may have begun: no next request may be answered.
BAD_CHUNKS = [
    ("a size line that ends in LF", b"1\na\r\n0\r\n\r\n"),
    ("an empty size", b"\r\na\r\n0\r\n\r\n"),
    ("a size with 0x", b"0x1\r\na\r\n0\r\n\r\n"),
    ("a size beyond 64 bits", b"10000000000000001\r\na\r\n0\r\n\r\n"),
    ("data longer than its size", b"1\r\nab\r\n0\r\n\r\n"),
    ("a space behind the size", b"1 \r\na\r\n0\r\n\r\n"),
]

NEXT = b"GET /json HTTP/1.1\r\n" + HOST + b"\r\n"


def refused(address, status, request):
    with raw(address) as sock:
        sock.sendall(request + NEXT)
        data = everything(sock)
    if not data.startswith(b"HTTP/1.1 " + status.encode() + b" "):
        raise AssertionError(f"the reply is {data[:60]!r}")
    is_(data.count(b"HTTP/1.1 "), 1, "the number of replies")
    head = data.lower().split(b"\r\n\r\n")[0]
    if b"connection: close" not in head:
        raise AssertionError("it does not say that it closes")


def bad_chunk(address, chunks):
    head = b"POST /echo HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
    with raw(address) as sock:
        sock.sendall(head + chunks + NEXT)
        data = everything(sock)
    if b"message" in data:
        raise AssertionError("what came after it was answered")
    if data.startswith(b"HTTP/1.1 200") and data.endswith(b"0\r\n\r\n"):
        raise AssertionError("it was answered as if it were whole")


def mixed(address):
    rng = random.Random(7)
    client = connection(address)
    for n in range(1000):
        what = rng.randrange(6)
        if what == 0:
            is_(ask(client, "GET", "/plaintext")[1], b"Hello, World!", f"reply {n}")
        elif what == 1:
            is_(json.loads(ask(client, "GET", f"/query?n={n}")[1]), [["n", str(n)]], f"reply {n}")
        elif what == 2:
            reply, body = ask(client, "HEAD", "/plaintext")
            is_((reply.getheader("Content-Length"), body), ("13", b""), f"reply {n}")
        elif what == 3:
            is_(ask(client, "GET", f"/nothing/{n}")[0].status, 404, f"status {n}")
        else:
            data = rng.randbytes(rng.choice([0, 1, 100, 4095, 4096, 4097, 16384, 70000]))
            if what == 4:
                reply, body = ask(client, "POST", "/echo", data)
            else:
                reply, body = ask(client, "POST", "/echo", pieces(data), CHUNKED, chunked=True)
            is_((reply.status, body), (200, data), f"reply {n}")


def check(name, run, *arguments):
    try:
        run(*arguments)
        print(f"ok {name}", flush=True)
    except Exception as error:  # whatever went wrong is the finding
        why = " ".join(f"{type(error).__name__}: {error}".split())
        print(f"FAILED {name}: {why[:300]}", flush=True)


def main():
    what, address = sys.argv[1:3]
    if what == "mixed":
        check(f"{sys.argv[3]}: 1000 requests, not a byte wrong", mixed, address)
        return
    for run in (keep_alive, chunked_body, trailers_are_no_fields, byte_by_byte, pipelined_replies_are_in_order, early_close,
                half_close_is_answered, query_is_json):
        check("python: " + run.__name__.replace("_", " "), run, address)
    check("python: 1000 requests, not a byte wrong", mixed, address)
    for name, status, request in REFUSED:
        check(f"raw: {name} is refused", refused, address, status, request)
    for name, chunks in BAD_CHUNKS:
        check(f"raw: {name} ends the connection", bad_chunk, address, chunks)


main()
