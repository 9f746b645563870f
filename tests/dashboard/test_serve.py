from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from harness.dashboard import serve as serving
from harness.errors import UnavailableError, UsageError

TOKEN = "a-token-of-the-test"
pytest.importorskip("textual_serve", reason="textual-serve is not installed (recbench[web])")


@asynccontextmanager
async def served(host: str = "127.0.0.1", line: str = "true") -> AsyncIterator[tuple[Any, int]]:
    """(a client session, the port) of a guarded server."""
    import aiohttp
    from aiohttp import web

    listener = serving.listen(host, 0)
    port = listener.getsockname()[1]
    runner = web.AppRunner(await serving.guarded(line, host, TOKEN)._make_app(), shutdown_timeout=0.5)
    await runner.setup()
    await web.SockSite(runner, listener).start()
    session = aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True))
    try:
        yield session, port
    finally:
        await session.close()
        await runner.cleanup()


def test_without_the_token_nothing_is_served() -> None:
    async def flow() -> None:
        async with served() as (session, port):
            for path in (
                "/",
                "/ws",
                "/static/js/textual.js",
                "/download/x",
                "/?token=",
                "/?token=wrong",
                "/ws?token=x",
            ):
                async with session.get(f"http://127.0.0.1:{port}{path}") as answer:
                    assert answer.status == 403, path
                    assert "needs the token" in await answer.text()

    asyncio.run(flow())


def test_the_token_is_taken_once_and_leaves_the_address() -> None:
    async def flow() -> None:
        async with served() as (session, port):
            base = f"http://127.0.0.1:{port}"
            async with session.get(f"{base}/?token={TOKEN}", allow_redirects=False) as answer:
                assert (answer.status, answer.headers["Location"]) == (302, "/")
                cookie = answer.headers["Set-Cookie"]
                assert "HttpOnly" in cookie and "SameSite=Strict" in cookie
            async with session.get(base) as answer:
                page = await answer.text()
                assert answer.status == 200 and f"ws://127.0.0.1:{port}/ws" in page and TOKEN not in page
                assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
                assert answer.headers["Referrer-Policy"] == "no-referrer"
            async with session.get(f"{base}/static/js/textual.js") as answer:
                assert answer.status == 200

    asyncio.run(flow())


def test_the_page_speaks_to_the_address_that_the_browser_used() -> None:
    async def flow() -> None:
        async with served() as (session, port):
            cookie = {"Cookie": f"recbench={TOKEN}", "Host": "localhost:9999"}  # through a tunnel
            async with session.get(f"http://127.0.0.1:{port}/", headers=cookie) as answer:
                assert "ws://localhost:9999/ws" in await answer.text()

    asyncio.run(flow())


@pytest.mark.parametrize(
    "headers", [{"Host": "evil.example"}, {"Host": "evil.example:80"}, {"Origin": "http://evil.example"}]
)
def test_other_names_and_pages_are_refused_even_with_the_token(headers: dict[str, str]) -> None:
    async def flow() -> None:
        async with served() as (session, port):
            sent = {"Cookie": f"recbench={TOKEN}", **headers}
            for path in ("/", "/ws", f"/?token={TOKEN}"):
                async with session.get(f"http://127.0.0.1:{port}{path}", headers=sent, allow_redirects=False) as answer:
                    assert answer.status == 403

    asyncio.run(flow())


def test_a_browser_gets_the_fixed_command_and_only_so_many_do(tmp_path: Path) -> None:
    mark = tmp_path / "started"
    program = f"import os, sys, pathlib; pathlib.Path({str(mark)!r}).write_text(repr(sys.argv)); sys.stdin.read()"
    import shlex

    line = shlex.join([sys.executable, "-c", program, "fixed"])

    async def flow() -> None:
        async with served(line=line) as (session, port):
            base = f"http://127.0.0.1:{port}"
            await session.get(f"{base}/?token={TOKEN}")
            address = f"{base}/ws?width=80&height=24&command=rm"
            sockets = [await session.ws_connect(address) for _ in range(serving.MOST_BROWSERS)]
            async with session.get(f"{base}/ws") as answer:
                assert answer.status == 503
            for _ in range(200):
                if mark.exists() and mark.read_text():
                    break
                await asyncio.sleep(0.05)
            assert mark.read_text() == "['-c', 'fixed']"
            for one in sockets:
                await one.close()

    asyncio.run(flow())


def test_the_command_is_the_dashboards_own_and_quoted() -> None:
    line = serving.command("x; rm -rf /", Path("my results.db"))
    assert line == f"{sys.executable} -P -m harness.dashboard.served --db 'my results.db' -- 'x; rm -rf /'"
    assert serving.command(None, None).endswith("-m harness.dashboard.served")


def test_it_listens_on_loopback_unless_told_otherwise_and_says_what_that_means() -> None:
    assert serving.serve.__kwdefaults__ is not None and serving.serve.__kwdefaults__["host"] == "127.0.0.1"
    assert all(map(serving.is_loopback, ("127.0.0.1", "localhost", "::1", "127.9.9.9")))
    assert not any(map(serving.is_loopback, ("0.0.0.0", "192.168.1.5", "example.org", "::")))
    address, more = serving.announcement("127.0.0.1", 4000, "t")
    assert address == "http://127.0.0.1:4000/?token=t" and "for this machine alone" in more
    address, more = serving.announcement("0.0.0.0", 4000, "t")
    assert address == f"http://{socket.gethostname()}:4000/?token=t" and "nothing on the way is encrypted" in more


def test_an_address_that_cannot_be_listened_on_is_told() -> None:
    with serving.listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"port {port} of 127.0.0.1 cannot be listened on"):
            serving.listen("127.0.0.1", port)
    with pytest.raises(UsageError, match="no address to listen on"):
        serving.listen("256.256.256.256", 0)


def test_without_the_extra_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UnavailableError) as caught:
        serving.serve(None, None)
    assert caught.value.hint == "pip install 'recbench[web]'"
