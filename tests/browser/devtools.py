"""A browser that is told what to do: Chromium's DevTools protocol, as far as the test needs it."""

import asyncio
import base64
import contextlib
import json
import re

import websockets


class Browser:
    """Chromium without a window. `async with Browser(profile) as browser`."""

    def __init__(self, profile):
        self.profile = profile
        self.process = None
        self.socket = None
        self.answers = {}
        self.pages = {}
        self.number = 0

    async def __aenter__(self):
        # A browser that does not come up says nothing about the page.
        for left in (2, 1, 0):
            try:
                address = await asyncio.wait_for(self.start(f"{self.profile}-{left}"), 60)
                break
            except (asyncio.TimeoutError, RuntimeError) as error:
                if self.process.returncode is None:
                    self.process.kill()
                    await self.process.wait()
                if not left:
                    raise
                print(f"chromium is started again: {error!r}", flush=True)
        self.socket = await websockets.connect(address, max_size=None, ping_interval=None)
        self.tasks = [asyncio.create_task(self.hear()), asyncio.create_task(self.process.stderr.read())]
        return self

    async def start(self, profile):
        self.process = await asyncio.create_subprocess_exec(
            "chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
            "--no-first-run", "--disable-extensions", "--disable-background-networking", "--mute-audio",
            "--hide-scrollbars", "--ignore-certificate-errors", "--no-proxy-server", "--remote-debugging-port=0", f"--user-data-dir={profile}",
            "about:blank",
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE)
        said = ""
        async for line in self.process.stderr:
            said += line.decode(errors="replace")
            found = re.search(r"DevTools listening on (ws://\S+)", said)
            if found:
                return found.group(1)
        raise RuntimeError(f"chromium does not start:\n{said}")

    async def __aexit__(self, *_):
        with contextlib.suppress(Exception):
            await asyncio.wait_for(self.tell("Browser.close"), 5)
        try:
            await asyncio.wait_for(self.process.wait(), 5)
        except asyncio.TimeoutError:
            self.process.kill()
            await self.process.wait()
        for task in self.tasks:
            task.cancel()
        with contextlib.suppress(Exception):
            await self.socket.close()

    async def hear(self):
        with contextlib.suppress(websockets.ConnectionClosed):
            async for text in self.socket:
                message = json.loads(text)
                if "id" in message:
                    answer = self.answers.pop(message["id"], None)
                    if answer and not answer.done():
                        answer.set_result(message)
                elif message.get("sessionId") in self.pages:
                    self.pages[message["sessionId"]].heard(message["method"], message["params"])

    async def tell(self, method, session=None, **params):
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        self.answers[self.number] = answer = asyncio.get_running_loop().create_future()
        await self.socket.send(json.dumps(message))
        said = await asyncio.wait_for(answer, 60)
        if "error" in said:
            raise RuntimeError(f"{method}: {said['error']}")
        return said["result"]

    async def page(self, width, height, scheme="light", scripts=True, motion="no-preference", touch=False):
        """A page in a context of its own, of so many CSS pixels."""
        context = (await self.tell("Target.createBrowserContext"))["browserContextId"]
        target = (await self.tell("Target.createTarget", url="about:blank", browserContextId=context))["targetId"]
        session = (await self.tell("Target.attachToTarget", targetId=target, flatten=True))["sessionId"]
        page = self.pages[session] = Page(self, session, target, context)
        for domain in ("Page", "Runtime", "Log", "Network"):
            await page.tell(f"{domain}.enable")
        await page.tell("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=touch)
        await page.tell("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": scheme}, {"name": "prefers-reduced-motion", "value": motion}])
        await page.tell("Page.setLifecycleEventsEnabled", enabled=True)
        if not scripts:
            await page.tell("Emulation.setScriptExecutionDisabled", value=True)
        return page


class Page:
    def __init__(self, browser, session, target, context):
        self.browser, self.session, self.target, self.context = browser, session, target, context
        self.errors, self.addresses = [], []
        self.loaded = asyncio.Event()
        self.documents = set()

    def heard(self, method, params):
        if method == "Page.loadEventFired":
            self.loaded.set()
        elif method == "Page.lifecycleEvent" and params["name"] == "load":
            self.documents.add(params["loaderId"])
        elif method == "Runtime.exceptionThrown":
            self.errors.append(json.dumps(params["exceptionDetails"])[:600])
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.errors.append(json.dumps(params["args"])[:600])
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.errors.append("{text} {url}".format(**{"url": "", **params["entry"]}))
        elif method == "Network.requestWillBeSent":
            self.addresses.append(params["request"]["url"])
        elif method == "Network.webSocketCreated":
            self.addresses.append(params["url"])

    async def tell(self, method, **params):
        return await self.browser.tell(method, self.session, **params)

    async def open(self, address):
        # The empty page before it may still be about to say that it is there.
        document = (await self.tell("Page.navigate", url=address))["loaderId"]
        end = asyncio.get_running_loop().time() + 60
        while document not in self.documents:
            if asyncio.get_running_loop().time() > end:
                raise AssertionError(f"waited in vain: {address} is loaded")
            await asyncio.sleep(0.02)

    async def eval(self, expression):
        """The value of an expression, or of what it promises. It works where the page's own scripts are off too."""
        result = await self.tell("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise RuntimeError(f"{expression}: {result['exceptionDetails']}")
        return result["result"].get("value")

    async def text(self, name):
        return await self.eval(f"document.getElementById({name!r}).textContent")

    async def until(self, expression, what, patience=30):
        """Waits until an expression is true."""
        end = asyncio.get_running_loop().time() + patience
        while not await self.eval(expression):
            if asyncio.get_running_loop().time() > end:
                raise AssertionError(f"waited in vain: {what}")
            await asyncio.sleep(0.05)

    async def mouse(self, kind, x, y):
        pressed = {} if kind == "mouseMoved" else {"button": "left", "clickCount": 1}
        await self.tell("Input.dispatchMouseEvent", type=kind, x=x, y=y, **pressed)

    async def click(self, selector):
        box = await self.box(selector)
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            await self.mouse(kind, x, y)

    async def box(self, selector):
        return await self.eval(
            f"(e => {{ e.scrollIntoView({{block: 'center'}}); return e.getBoundingClientRect().toJSON(); }})"
            f"(document.querySelector({selector!r}))")

    async def picture(self, path):
        """All of the page."""
        size = (await self.tell("Page.getLayoutMetrics"))["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        shot = await self.tell("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
        path.write_bytes(base64.b64decode(shot["data"]))

    async def close(self):
        await self.browser.tell("Target.disposeBrowserContext", browserContextId=self.context)
        self.browser.pages.pop(self.session, None)
