"""The demo's first page, as people see it: page.py PROGRAM SCRATCH PICTURES."""

import asyncio
import json
import os
import pathlib
import signal
import sys
import tempfile
import urllib.parse

from devtools import Browser

PROGRAM, SCRATCH, PICTURES = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
SIZES = [("phone", 390, 844), ("wide", 1280, 900)]
SCHEMES = ["light", "dark"]

# How far the colours of text are from what is behind it, wherever that is less than it should be (WCAG 1.4.3).
PALE = """(() => {
  const probe = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const rgb = (color, under) => {
    probe.fillStyle = under; probe.fillRect(0, 0, 1, 1);
    probe.fillStyle = color; probe.fillRect(0, 0, 1, 1);
    return [...probe.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const light = c => c.map(v => v / 255).map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
  const behind = e => {
    for (; e; e = e.parentElement) {
      const color = getComputedStyle(e).backgroundColor;
      if (!color.endsWith(', 0)')) return color;
    }
    return 'Canvas';
  };
  const found = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const e = walk.currentNode.parentElement;
    if (!walk.currentNode.textContent.trim() || !e.checkVisibility() || e.closest('script, style, .hidden')) continue;
    const under = behind(e), color = getComputedStyle(e).color;
    const [a, b] = [light(rgb(color, under)), light(rgb(under, '#fff'))];
    const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    if (ratio < 4.5) found.push(`${ratio.toFixed(2)}: ${walk.currentNode.textContent.trim().slice(0, 40)}`);
  }
  return [...new Set(found)].join('; ');
})()"""

FIGURES = ["open", "requests", "bytes_out", "uptime", "rate", "lag", "accepted", "iterations"]


class Server:
    """The demo. `async with Server("127.0.0.1:0") as server`."""

    def __init__(self, at, *options):
        self.command = [PROGRAM, "--quiet", "--listen", at, *options]

    async def __aenter__(self):
        # A port that was the first server's may be anybody's for a moment, the browser's too. Nothing else is tried again.
        for left in range(1 if self.command[3].endswith(":0") else 50, 0, -1):
            self.said, self.told = tempfile.TemporaryFile(), 0
            self.process = await asyncio.create_subprocess_exec(
                *self.command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=self.said)
            try:
                line = await asyncio.wait_for(self.process.stdout.readline(), 20)
            except asyncio.TimeoutError:
                self.tell()
                raise
            if line:
                break
            await self.process.wait()
            if "Address already in use" not in self.tell() or left == 1:
                break
            await asyncio.sleep(0.2)
        # It says nothing if it refuses its options.
        self.url = line.decode().split()[-1] if line else None
        self.at = self.url.split("//")[1] if line else None
        return self

    async def __aexit__(self, *_):
        if self.process.returncode is None:
            self.process.kill()
            await self.process.wait()
        self.tell()

    def tell(self):
        """Passes on what it has said on standard error since the last time."""
        # Where the file is read is where the server would write next.
        said = os.pread(self.said.fileno(), 1 << 20, self.told)
        self.told += len(said)
        text = said.decode(errors="replace")
        sys.stderr.write(text)
        return text

    async def end(self):
        """As Ctrl-C does it; who is connected does not hold it up."""
        self.process.send_signal(signal.SIGINT)
        status = await asyncio.wait_for(self.process.wait(), 20)
        check(status == 0, "the server ends with its pages open", status)


async def load(at, path, seconds, together=8):
    """Asks again and again, on a few connections."""
    host, port = at.rsplit(":", 1)
    end = asyncio.get_running_loop().time() + seconds

    async def one():
        reader, writer = await asyncio.open_connection(host, int(port))
        while asyncio.get_running_loop().time() < end:
            writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length"))
            await reader.readexactly(int(length.split(b":")[1]))
        writer.close()

    await asyncio.gather(*(one() for _ in range(together)))


failures = []


def check(holds, what, found=""):
    print(f"{'ok' if holds else 'FAILED'}: {what}" + ("" if holds else f": {found}"), flush=True)
    if not holds:
        failures.append(what)


async def fits(page, what):
    wide = await page.eval("[document.documentElement.scrollWidth, innerWidth]")
    check(wide[0] <= wide[1], f"{what}, no scrolling sideways", wide)


async def quiet(page, what, server):
    check(not page.errors, f"{what}, nothing on the console", page.errors)
    others = [url for url in page.addresses
              if not url.startswith("data:") and urllib.parse.urlsplit(url).netloc != server.at]
    check(not others, f"{what}, nothing is fetched from elsewhere", others)


async def looks(browser, server, size, scheme):
    """One size in one scheme: it is live, fits, can be read, and its picture is taken."""
    name, width, height = size
    what = f"{name}, {scheme}"
    page = await browser.page(width, height, scheme, touch=name == "phone")
    await page.open(server.url)
    await page.until("document.getElementById('state').textContent === 'live'", f"{what}, live")
    await fits(page, what)
    if await talks(page):
        await page.eval("document.querySelector('#say button').click()")
        await page.until("document.getElementById('talk').children.length >= 2", f"{what}, an echo")
    cut = await page.eval("[...document.querySelectorAll('tbody th')].filter(e => e.scrollWidth > e.clientWidth).length")
    check(not cut, f"{what}, whole addresses", cut)
    pale = await page.eval(PALE)
    check(not pale, f"{what}, text stands out", pale)
    back = await page.eval("getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0] < 128")
    check(back == (scheme == "dark"), f"{what}, its colours", back)
    await page.picture(PICTURES / f"{name}-{scheme}.png")
    await quiet(page, what, server)
    await page.close()


async def moves(browser, server):
    """Numbers, charts and table follow what happens, and nothing on the page jumps."""
    page = await browser.page(1280, 900)
    await page.open(server.url)
    await page.until("document.getElementById('state').textContent === 'live'", "live")
    places = "[...document.querySelectorAll('.card')].map(e => Math.round(e.getBoundingClientRect().top)).join()"
    before, stood = [await page.text(name) for name in ("requests", "iterations")], await page.eval(places)
    drawn = await page.eval("document.querySelector('#rate-chart .bars').getAttribute('d')")
    # Until all of it was seen: seconds without requests have no bars.
    loading = asyncio.create_task(load(server.at, "/plaintext", 60))
    for name, was in zip(("requests", "iterations"), before):
        await page.until(f"document.getElementById({name!r}).textContent !== {was!r}", f"{name} moves")
    check(True, "the numbers move")
    bars = "document.querySelector('#rate-chart .bars').getAttribute('d')"
    await page.until(f"{bars} !== {drawn!r} && {bars}.includes('M295.5')", "the chart moves")
    now = await page.eval(bars)
    check(now != drawn and "M297" not in now, "the chart moves", now)
    for chart in ("rate", "latency", "lag"):
        blank = f"[...document.querySelectorAll('#{chart}-chart .bars')].some(e => !e.getBBox().height)"
        await page.until(f"!{blank}", f"the chart of the {chart} is not blank")
        check(True, f"the chart of the {chart} is not blank")
    loading.cancel()
    await asyncio.wait([loading])
    mine = await page.eval("document.querySelectorAll('#peers tr.mine').length")
    check(mine == 1, "one of the connections is the reader's", mine)
    check(await page.eval(places) == stood, "nothing jumps", (stood, await page.eval(places)))

    box = await page.box("#rate-chart")
    await page.mouse("mouseMoved", box["x"] + box["width"] - 20, box["y"] + 20)
    await page.until("/ s ago: \\d+ .s$/.test(document.getElementById('rate-note').textContent)", "a value under the pointer")
    await page.mouse("mouseMoved", 5, 5)
    await page.until("/^highest/.test(document.getElementById('rate-note').textContent)", "and not beside it")
    check(True, "a chart says what is under the pointer")

    if await talks(page):
        await converses(page)
    tree = (await page.tell("Accessibility.getFullAXTree"))["nodes"]
    spoken = ("button", "textbox", "link", "image", "heading", "log", "table")
    mute = [node["role"]["value"] for node in tree
            if not node.get("ignored") and node.get("role", {}).get("value") in spoken
            and not node.get("name", {}).get("value") and node["role"]["value"] != "table"]
    check(not mute, "everything that can be used has a name", mute)
    await quiet(page, "in use", server)
    await page.close()


async def talks(page):
    """Whether the server was built with WebSockets."""
    return not await page.eval("document.getElementById('words').disabled")


async def converses(page):
    """What a person does: into the box, a text, Enter."""
    await page.click("#words")
    await page.eval("document.getElementById('words').select()")
    await page.tell("Input.insertText", text="Grüße, <b>Schleife</b>")
    for kind in ("keyDown", "keyUp"):
        await page.tell("Input.dispatchKeyEvent", type=kind, key="Enter", code="Enter", text="\r", windowsVirtualKeyCode=13)
    lines = "[...document.querySelectorAll('#talk li')].map(e => e.textContent)"
    await page.until(f"{lines}.some(line => line.startsWith('←Grüße, <b>Schleife</b>'))", "the WebSocket's echo")
    await page.click("#bulk")
    await page.until(f"{lines}.some(line => /^←65.536 bytes/.test(line))", "the echo of 64 KiB")
    check(True, "the WebSocket echoes text and bytes")


async def fills_in(browser, server):
    """The form, with scripts and without."""
    for scripts in (True, False):
        page = await browser.page(1280, 900, scripts=scripts)
        await page.open(server.url)
        await page.click("#name")
        await page.tell("Input.insertText", text=" & Bob")
        page.loaded.clear()
        await page.click("form[action='/form'] button")
        await asyncio.wait_for(page.loaded.wait(), 30)
        said = await page.eval("document.body.textContent")
        check('["name","Ada & Bob"]' in said and '"name":"file"' in said, f"the form, scripts {scripts}", said)
        await page.close()


async def narrow(browser, server):
    page = await browser.page(360, 740, touch=True, motion="reduce")
    await page.open(server.url)
    await page.until("document.getElementById('state').textContent === 'live'", "live")
    await fits(page, "360 pixels")
    cut = await page.eval("[...document.querySelectorAll('thead th, .tiles dd, .now, .head')].filter("
                          "e => e.checkVisibility() && e.scrollWidth > e.clientWidth).map(e => e.textContent).join('; ')")
    check(not cut, "360 pixels, nothing is cut off", cut)
    moving = await page.eval("[...document.querySelectorAll('*')].filter("
                             "e => getComputedStyle(e).transitionDuration !== '0s').length")
    check(moving == 0, "who wants no motion gets none", moving)
    await page.close()


# As large as it gets on a server that is busy for months.
LARGE = json.dumps({
    "text": {
        "open": "10\u202f000", "requests": "999\u202f999\u202f999", "bytes_out": "99.9 TB", "uptime": "365 d 23 h",
        "rate": "234\u202f567 /s", "rate_high": "highest 234\u202f567 /s", "p50": "59.9 s", "p99": "3600 s",
        "latency_high": "highest 3600 s", "lag": "59.9 s", "lag_high": "highest 59.9 s", "more": "and 9\u202f992 more",
        "accepted": "999\u202f999\u202f999", "bytes_in": "99.9 TB", "iterations": "999\u202f999\u202f999",
        "end-ok": "999\u202f999\u202f999", "end-server-shutdown": "999\u202f999\u202f999"},
    "rows": [{"mine": i == 0, "cells": [
        "192.168.178.2%d:53356" % i, "59 min", "12\u202f345\u202f678", "99.9 GB", "99.9 GB", "GET /stats/events"]}
        for i in range(8)],
    "all": True, "samples": [[234567, 59_900_000, 3_600_000_000, 59_900_000]] * 60})


async def large(browser, server):
    """Figures of months, at every width: nothing is cut off but paths, and nothing lies on something else."""
    for width in (320, 390, 700, 960, 1280):
        what = f"large figures, {width} pixels"
        page = await browser.page(width, 800, touch=width < 500)
        # Events that the page is sent from here.
        await page.tell("Page.addScriptToEvaluateOnNewDocument", source=
                        "window.EventSource = class extends EventTarget { constructor() { super(); window.source = this; } close() {} };")
        await page.open(server.url)
        await page.eval(f"source.dispatchEvent(new MessageEvent('stats', {{data: {LARGE!r}}}))")
        await page.until("document.getElementById('state').textContent === 'live'", f"{what}, live")
        await fits(page, what)
        cut = await page.eval(
            "[...document.querySelectorAll('.card, .card *')].filter(e => e.checkVisibility() && e.scrollWidth > e.clientWidth"
            " && getComputedStyle(e).display !== 'inline' && !e.matches('.hidden, input, td:last-child'))"
            ".map(e => `${e.id || e.className || e.tagName} ${e.textContent.trim().slice(0, 30)}: ${e.scrollWidth} > ${e.clientWidth}`).join('; ')")
        check(not cut, f"{what}, nothing is cut off", cut)
        covered = await page.eval(
            "[...document.querySelectorAll('.chart')].filter(e => e.querySelector('span').getBoundingClientRect().bottom"
            " > e.querySelector('svg').getBoundingClientRect().top).length")
        check(not covered, f"{what}, bars are not covered", covered)
        await page.picture(PICTURES / f"large-{width}.png")
        await quiet(page, what, server)
        await page.close()


async def without_scripts(browser, server):
    page = await browser.page(390, 844, scripts=False)
    await page.open(server.url)
    texts = {name: await page.text(name) for name in FIGURES}
    check(all(text.strip() and "{" not in text for text in texts.values()), "without scripts, the numbers are there", texts)
    left = await page.eval("document.documentElement.innerHTML.includes('{{')")
    check(not left, "nothing is left to be filled in")
    check(int(texts["requests"].replace("\u202f", "")) > 0, "and they count", texts)
    check(bool(await page.eval("document.querySelector('#rate-chart .bars').getAttribute('d')")), "and the chart is drawn")
    check((await page.text("state")).startswith("as of"), "and it says of when")
    check(await page.eval("document.querySelectorAll('#peers tr').length") >= 1, "and who is connected")
    await fits(page, "without scripts")
    check(not await page.eval("document.querySelector('.talk').checkVisibility()"), "and no box that needs scripts")
    await page.picture(PICTURES / "phone-without-scripts.png")
    await page.close()


async def over_tls(browser):
    """HTTPS, on two threads: the events, the WebSocket, and the figures of both."""
    files = {name: str(SCRATCH / f"{name}.pem") for name in ("key", "cert")}
    made = await asyncio.create_subprocess_exec(
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
        "-subj", "/CN=localhost", "-keyout", files["key"], "-out", files["cert"], stderr=asyncio.subprocess.DEVNULL)
    check(await made.wait() == 0, "a certificate is made")
    options = ["--threads", "2", "--tls-cert", files["cert"], "--tls-key", files["key"]]
    async with Server("127.0.0.1:0", *options) as server:
        if server.url is None:
            print("left out: HTTPS, without which the server was built")
            return
        page = await browser.page(1280, 900)
        await page.open(server.url)
        await page.until("document.getElementById('state').textContent === 'live'", "live over TLS")
        was = await page.text("uptime")
        await page.until(f"document.getElementById('uptime').textContent !== {was!r}", "uptime moves over TLS")
        if await talks(page):
            await converses(page)
        said = await page.eval("document.body.textContent")
        check("on 2 event loops" in said, "it says on how many threads it runs")
        await quiet(page, "over TLS, on two threads", server)
        await page.close()
        await server.end()


async def comes_back(browser, server):
    """The server goes away, and another one comes."""
    page = await browser.page(1280, 900)
    await page.open(server.url)
    await page.until("document.getElementById('state').textContent === 'live'", "live")
    await server.end()
    await page.until("document.getElementById('state').textContent.startsWith('reconnecting')", "it says that it is lost")
    await asyncio.sleep(0.3)  # Colours change slowly.
    await page.picture(PICTURES / "wide-lost.png")
    async with Server(server.at) as another:
        await page.until("document.getElementById('state').textContent === 'live'", "live again")
        check(True, "the page says that the server is gone, and goes on when it is back")
        # The browser's own words on the connection that was refused are no fault of the page's.
        thrown = [error for error in page.errors if "ERR_" not in error]
        check(not thrown, "and throws nothing meanwhile", thrown)
        await another.end()
    await page.close()


async def main():
    async with Server("127.0.0.1:0") as server, Browser(SCRATCH / "profile") as browser:
        await load(server.at, "/slow?ms=3", 1.2)
        await moves(browser, server)
        others = asyncio.create_task(load(server.at, "/slow?ms=4", 8))
        await asyncio.gather(*(looks(browser, server, size, scheme) for size in SIZES for scheme in SCHEMES))
        await fills_in(browser, server)
        await over_tls(browser)
        await asyncio.gather(narrow(browser, server), large(browser, server), without_scripts(browser, server))
        await others
        await comes_back(browser, server)
    if failures:
        sys.exit(f"{len(failures)} failed: " + "; ".join(failures))


asyncio.run(main())
