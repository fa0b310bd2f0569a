"""Python's websockets against the demo server's /ws, or as a server for a client of ours.

    ws.py client URL NAME [CA]    checks against the echo at ws:// or wss:// URL
    ws.py server                  an echo; prints its port, and ends with its first client

Prints `ok NAME: check` or `FAILED NAME: check: why`; exits 0 if all could be run.
"""

import asyncio
import random
import ssl
import sys

import websockets

WAIT = 60


def is_(got, expected, what="it"):
    if got != expected:
        raise AssertionError(f"{what} is {str(got)[:100]!r}, not {str(expected)[:100]!r}")


async def closed_with(ws, code):
    try:
        await asyncio.wait_for(ws.recv(), WAIT)
    except websockets.ConnectionClosed:
        pass
    is_(ws.close_code, code, "the close code")


async def text(connect):
    async with connect() as ws:
        for message in ["", "hello", "\u20ac \U0001f600", "x" * 125, "x" * 126, "y" * 65536, "\u20ac" * 300_000]:
            await ws.send(message)
            is_(await asyncio.wait_for(ws.recv(), WAIT), message)


async def binary(connect):
    rng = random.Random(1)
    async with connect() as ws:
        for length in [0, 1, 125, 126, 65535, 65536, 1_000_000, 4 << 20]:
            message = rng.randbytes(length)
            await ws.send(message)
            is_(await asyncio.wait_for(ws.recv(), WAIT) == message, True, f"an echo of {length} bytes")


async def fragments(connect):
    async with connect() as ws:
        await ws.send(["one ", "", "two ", "thr\u00e9\u00e9"])
        is_(await asyncio.wait_for(ws.recv(), WAIT), "one two thr\u00e9\u00e9")
        await ws.send([b"x" * 1000] * 500)
        is_(await asyncio.wait_for(ws.recv(), WAIT), b"x" * 500_000)


async def pings(connect):
    async with connect() as ws:
        for payload in [b"", b"ping", b"p" * 125]:
            await asyncio.wait_for(await ws.ping(payload), WAIT)
        await ws.send("still there")
        is_(await asyncio.wait_for(ws.recv(), WAIT), "still there")


async def close_codes(connect):
    for code, reason in [(1000, ""), (1001, "going"), (1011, "\u00e9" * 60), (3000, ""), (4999, "x" * 123)]:
        async with connect() as ws:
            await ws.close(code, reason)
            is_(ws.close_code, code, "the close code")


async def too_large(connect):
    async with connect() as ws:
        try:
            await ws.send(b"x" * ((4 << 20) + 1))
        except websockets.ConnectionClosed:
            pass
        await closed_with(ws, 1009)


async def in_a_row(connect):
    async with connect() as ws:
        rng = random.Random(2)
        messages = [rng.randbytes(rng.choice([0, 10, 1000, 20_000])) for _ in range(500)]

        async def send():
            for message in messages:
                await ws.send(message)

        sending = asyncio.create_task(send())
        for message in messages:
            is_(await asyncio.wait_for(ws.recv(), WAIT) == message, True, "the echo")
        await sending


async def many(connect):
    async def one(number):
        async with connect() as ws:
            for turn in range(10):
                await ws.send(f"{number} {turn}")
                is_(await asyncio.wait_for(ws.recv(), WAIT), f"{number} {turn}")

    await asyncio.gather(*(one(number) for number in range(50)))


CHECKS = [text, binary, fragments, pings, close_codes, too_large, in_a_row, many]


async def client(url, name, ca):
    options = {"max_size": None, "open_timeout": WAIT, "close_timeout": WAIT}
    if url.startswith("wss:"):
        options["ssl"] = ssl.create_default_context(cafile=ca)
        options["server_hostname"] = "localhost"
    if url.startswith("unix:"):
        path = url[5:]
        connect = lambda **more: websockets.unix_connect(path, "ws://localhost/ws", **options, **more)
    else:
        connect = lambda **more: websockets.connect(url, **options, **more)
    for check in CHECKS:
        for how, compression in [("", None), (", compressed if it can", "deflate")]:
            what = f"{name}: websockets: {check.__name__.replace('_', ' ')}{how}"
            try:
                await asyncio.wait_for(check(lambda: connect(compression=compression)), 120)
                print(f"ok {what}", flush=True)
            except Exception as error:
                print(f"FAILED {what}: {type(error).__name__} {error}", flush=True)


async def server():
    ended = asyncio.get_running_loop().create_future()

    async def echo(ws, *_):
        try:
            async for message in ws:
                # A message in pieces comes back in pieces.
                await ws.send([message[:3], message[3:]] if len(message) == 10 else message)
        except websockets.ConnectionClosed:
            pass
        finally:
            print(f"closed {ws.close_code} {ws.close_reason}", flush=True)
            if not ended.done():
                ended.set_result(None)

    async with websockets.serve(echo, "127.0.0.1", 0, max_size=None) as serving:
        print(serving.sockets[0].getsockname()[1], flush=True)
        await asyncio.wait_for(ended, 60)


if __name__ == "__main__":
    if sys.argv[1:] == ["server"]:
        asyncio.run(server())
    else:
        asyncio.run(client(sys.argv[2], sys.argv[3], sys.argv[4] if len(sys.argv) > 4 else None))
