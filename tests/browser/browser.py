"""Debian's Chromium, driven over its debugging pipe: no driver program, no port, no package.

Messages of the Chrome DevTools Protocol are JSON ended by a NUL, over the descriptors 3 (to the
browser) and 4 (from it). Every request that a tab makes, every console message and every violation
of the page's policy is kept, so that a test can say there was none.
"""
import base64
import json
import os
import pathlib
import select
import shutil
import subprocess
import tempfile
import time

CHROMIUM = next((p for p in map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))
                 if p), None)
HANG = 120  # seconds after which something hangs; nothing here measures time

# Name -> (key code, text) of the keys that are not their own character.
KEYS = {"Enter": (13, "\r"), "Escape": (27, ""), "ArrowDown": (40, ""), "ArrowUp": (38, ""),
        "Tab": (9, ""), "Backspace": (8, "")}


class Browser:
    """A headless browser of its own, without network except 127.0.0.1."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="medicus-browser-")
        to_read, self.to_write = os.pipe()
        self.from_read, from_write = os.pipe()
        command = [CHROMIUM, "--headless=new", "--remote-debugging-pipe", "--no-sandbox",
                   "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
                   "--disable-background-networking", "--disable-component-update",
                   "--disable-sync", "--disable-default-apps", "--disable-extensions",
                   "--disable-features=Translate,OptimizationHints,MediaRouter",
                   "--force-color-profile=srgb", "--font-render-hinting=none", "--no-proxy-server",
                   "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
                   f"--user-data-dir={self.folder}", "about:blank"]
        self.process = subprocess.Popen(
            ["sh", "-c", f'exec "$@" 3<&{to_read} 4>&{from_write}', "sh", *command],
            pass_fds=(to_read, from_write), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env={**os.environ, "HOME": self.folder})
        os.close(to_read)
        os.close(from_write)
        self.buffer = b""
        self.number = 0
        self.listeners = {}  # session -> its tab

    def close(self):
        try:
            self.call("Browser.close")
        except (OSError, AssertionError):
            self.process.kill()
        self.process.wait(HANG)
        os.close(self.to_write)
        os.close(self.from_read)
        shutil.rmtree(self.folder, ignore_errors=True)

    def call(self, method, session=None, **params):
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self.to_write, data):]
        wanted = self.number
        while True:
            answer = self.read(HANG)
            assert answer is not None, f"the browser does not answer {method}"
            if answer.get("id") == wanted:
                assert "error" not in answer, f"{method}: {answer.get('error')}"
                return answer["result"]

    def read(self, seconds):
        """The next message, after events were handed to their tab; None when time is over."""
        end = time.monotonic() + seconds
        while b"\0" not in self.buffer:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.from_read], [], [], left)[0]:
                return None
            piece = os.read(self.from_read, 1 << 20)
            assert piece, "the browser ended"
            self.buffer += piece
        line, self.buffer = self.buffer.split(b"\0", 1)
        message = json.loads(line)
        tab = self.listeners.get(message.get("sessionId"))
        if tab and "method" in message:
            tab.event(message["method"], message["params"])
        return message

    def tab(self, width=1280, height=900, dark=False):
        """A new tab in a context of its own: no cookies, storage or history of another."""
        context = self.call("Target.createBrowserContext")["browserContextId"]
        target = self.call("Target.createTarget", url="about:blank",
                           browserContextId=context)["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        return Tab(self, session, target, context, width, height, dark)


class Tab:
    def __init__(self, browser, session, target, context, width, height, dark):
        self.browser, self.session, self.target = browser, session, target
        self.context = context
        self.requests, self.complaints = [], []
        self.paused = []  # requests that wait for the test to answer them (Fetch.enable)
        browser.listeners[session] = self
        for domain in ("Page", "Runtime", "Network", "Log", "Audits"):
            self.call(domain + ".enable")
        self.resize(width, height)
        self.scheme(dark)

    def call(self, method, **params):
        return self.browser.call(method, session=self.session, **params)

    def event(self, method, params):
        if method == "Network.requestWillBeSent":
            self.requests.append(params["request"])
        elif method == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.complaints.append(details.get("exception", {}).get("description") or
                                   details["text"])
        elif method == "Log.entryAdded" and params["entry"]["source"] != "network":
            self.complaints.append(params["entry"]["text"])
        elif method == "Audits.issueAdded":
            issue = params["issue"]
            if issue["code"] == "ContentSecurityPolicyIssue":
                self.complaints.append(json.dumps(issue["details"]))
        elif method == "Fetch.requestPaused":
            self.paused.append(params)

    # --- what a person sets ---

    def resize(self, width, height):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height,
                  deviceScaleFactor=1, mobile=False)

    def scheme(self, dark, motion=False):
        self.call("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
            {"name": "prefers-reduced-motion", "value": "no-preference" if motion else "reduce"}])

    # --- what a person does ---

    def open(self, url):
        self.call("Page.navigate", url=url)
        self.wait("document.readyState === 'complete'")

    def press(self, *names):
        for name in names:
            code, text = KEYS.get(name, (ord(name.upper()) if len(name) == 1 else 0, name))
            key = {"key": name, "windowsVirtualKeyCode": code}
            if len(name) == 1 and name.isalpha():
                key["code"] = "Key" + name.upper()
            kind = "keyDown" if text else "rawKeyDown"
            self.call("Input.dispatchKeyEvent", type=kind, text=text, **key)
            self.call("Input.dispatchKeyEvent", type="keyUp", **key)

    def type(self, text):
        """Letter by letter, as search as you type sees it."""
        for letter in text:
            self.call("Input.insertText", text=letter)

    def click(self, selector):
        """With the pointer, at the middle of the element: what covers it gets the click."""
        self.wait_for(selector)
        x, y = self.js(f"""(() => {{
            const e = document.querySelector({json.dumps(selector)});
            e.scrollIntoView({{block: "center"}});
            const r = e.getBoundingClientRect();
            return [r.x + r.width / 2, r.y + r.height / 2];
        }})()""")
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    # --- what a person sees ---

    def js(self, expression):
        got = self.call("Runtime.evaluate", expression=expression, returnByValue=True,
                        awaitPromise=True)
        problem = got.get("exceptionDetails")
        assert not problem, problem.get("exception", problem).get("description", problem)
        return got["result"].get("value")

    def wait(self, expression):
        """Until the expression is true; returns its value."""
        end = time.monotonic() + HANG
        while True:
            try:
                value = self.js(expression)
            except AssertionError:
                value = None  # between two pages
            if value:
                return value
            assert time.monotonic() < end, f"never true: {expression}\n{self.text('body')[:2000]}"
            self.browser.read(0.02)

    def until(self, happened):
        """Until the function, which looks at what was recorded, says so."""
        end = time.monotonic() + HANG
        while not happened():
            assert time.monotonic() < end, f"never happened; complaints: {self.complaints}"
            self.browser.read(1)

    def wait_for(self, selector):
        return self.wait(f"document.querySelector({json.dumps(selector)}) !== null")

    def text(self, selector):
        return self.js(f"(document.querySelector({json.dumps(selector)}) || {{}}).innerText || ''")

    def texts(self, selector):
        return self.js(
            f"[...document.querySelectorAll({json.dumps(selector)})].map(e => e.textContent)")

    def focused(self):
        """Tag, id and class of the focused element."""
        return self.js("""(() => { const e = document.activeElement;
            return [e.tagName, e.id, e.className].join(" "); })()""")

    def url(self):
        return self.js("location.href")

    def screenshot(self, path, full=False):
        clip = {}
        if full:
            height = self.js("document.documentElement.scrollHeight")
            width = self.js("innerWidth")
            clip = {"clip": {"x": 0, "y": 0, "width": width, "height": min(height, 6000),
                             "scale": 1}, "captureBeyondViewport": True}
        data = self.call("Page.captureScreenshot", format="png", **clip)["data"]
        pathlib.Path(path).write_bytes(base64.b64decode(data))

    def close(self):
        del self.browser.listeners[self.session]
        self.browser.call("Target.closeTarget", targetId=self.target)
