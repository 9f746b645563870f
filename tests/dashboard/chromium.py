"""A headless Chromium in tests, over its DevTools protocol: open a page, type, and hear what its web socket brings.

The protocol: https://chromedevtools.github.io/devtools-protocol/. Whoever has no Chromium skips (`program()` is None).
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import re
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PATIENCE_S = 30.0
_ESCAPES = re.compile(r"\x1b(\[[0-9;?]*[ -/]*[@-~]|\][^\x07]*\x07|[@-_])")
_CODES = {"Escape": ("Escape", 27), "Enter": ("Enter", 13)}


def program() -> str | None:
    """The browser that is installed."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


class Page:
    """One tab. `heard` is the terminal's output that came over web sockets, without its escape sequences."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._number = 0
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self.heard = ""
        self.statuses: list[int] = []  # of the documents that were loaded
        self.complaints: list[str] = []  # exceptions that nothing in the page caught

    async def listen(self) -> None:
        async for message in self._socket:
            told = message.json()
            if "id" in told:
                self._answers.pop(told["id"]).set_result(told)
            else:
                self._event(told["method"], told["params"])

    def _event(self, method: str, facts: dict[str, Any]) -> None:
        if method == "Network.webSocketFrameReceived":
            frame = facts["response"]
            data = frame["payloadData"]
            text = base64.b64decode(data).decode(errors="replace") if frame["opcode"] == 2 else data
            self.heard += _ESCAPES.sub("", text)
        elif method == "Network.responseReceived" and facts["type"] == "Document":
            self.statuses.append(facts["response"]["status"])
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(facts["exceptionDetails"].get("exception", {}).get("description", "?"))

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        self._answers[self._number] = answer = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": self._number, "method": method, "params": parameters})
        told = await asyncio.wait_for(answer, PATIENCE_S)
        assert "error" not in told, told
        return dict(told["result"])

    async def open(self, address: str) -> None:
        await self.call("Page.navigate", url=address)

    async def value(self, expression: str) -> Any:
        """Of some JavaScript in the page."""
        told = await self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        return told["result"].get("value")

    async def press(self, key: str) -> None:
        """A character, `Escape` or `Enter`."""
        name, code = _CODES.get(key, (key, ord(key.upper()) if len(key) == 1 else 0))
        facts = {"key": name, "windowsVirtualKeyCode": code, **({"text": key} if len(key) == 1 else {})}
        await self.call("Input.dispatchKeyEvent", type="keyDown", **facts)
        await self.call("Input.dispatchKeyEvent", type="keyUp", key=name, windowsVirtualKeyCode=code)

    async def hears(self, text: str) -> None:
        """Waits until the page was sent this text since it was last asked."""

        async def there() -> bool:
            return text in self.heard

        await _until(
            there, lambda: f"the page was never sent {text!r}; the last that it was sent: {self.heard[-3000:]}"
        )
        self.heard = ""

    async def reads(self, text: str) -> None:
        """Waits until the page itself says this."""

        async def there() -> bool:
            return text in (await self.value("document.body ? document.body.innerText : ''") or "")

        await _until(there, lambda: f"the page does not say {text!r}")

    async def picture(self, path: Path) -> None:
        told = await self.call("Page.captureScreenshot", format="png")
        path.write_bytes(base64.b64decode(told["data"]))


@asynccontextmanager
async def browsing(folder: Path, size: tuple[int, int] = (1280, 800)) -> AsyncIterator[Page]:
    """A fresh browser with one tab; `folder` becomes its profile."""
    command = [program() or NAMES[0], "--headless=new", "--remote-debugging-port=0", f"--user-data-dir={folder}",
               "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--no-proxy-server",
               f"--window-size={size[0]},{size[1]}", "about:blank"]  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        port = await _port(folder / "DevToolsActivePort", process)
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{port}/json/list") as answer:
                tab = next(one for one in await answer.json(content_type=None) if one["type"] == "page")
            async with session.ws_connect(tab["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                page = Page(socket)
                listening = asyncio.create_task(page.listen())
                for domain in ("Page", "Network", "Runtime"):
                    await page.call(f"{domain}.enable")
                await page.call("Emulation.setFocusEmulationEnabled", enabled=True)
                yield page
                listening.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await listening
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def _port(file: Path, process: asyncio.subprocess.Process) -> int:
    """Where it listens, which it writes into its profile."""

    async def there() -> bool:
        assert process.returncode is None, f"the browser ended with {process.returncode}"
        return file.exists() and file.read_text().count("\n") > 0

    await _until(there, lambda: "the browser did not start")
    return int(file.read_text().split()[0])


async def _until(there: Callable[[], Awaitable[bool]], problem: Callable[[], str]) -> None:
    loop = asyncio.get_running_loop()
    end = loop.time() + PATIENCE_S
    while not await there():
        assert loop.time() < end, problem()
        await asyncio.sleep(0.05)
