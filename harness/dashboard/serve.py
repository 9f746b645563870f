"""The dashboard in a browser, by textual-serve: for this machine alone unless told otherwise, behind a token.

    bench dashboard --serve            # prints an address such as http://127.0.0.1:41873/?token=…

Each browser gets a dashboard process of its own with one fixed command line, so that nothing but the dashboard's own
commands can be reached. The token stands in the printed address once; the server answers it with a cookie and an
address without it, and refuses everything that has neither. On loopback, names of other hosts are refused too, so
that a page elsewhere cannot reach the dashboard by pointing its own name here (DNS rebinding).
"""

from __future__ import annotations

import contextvars
import hmac
import importlib.util
import ipaddress
import os
import secrets
import shlex
import socket
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from harness.errors import UnavailableError, UsageError
from harness.execution.commands import own_environment

if TYPE_CHECKING:
    from aiohttp import web  # type: ignore[import-not-found, unused-ignore]

MOST_BROWSERS = 4
_TOKEN_BYTES = 24
_GRACE_S = 2.0  # for browsers that are still open when it ends
_COOKIE = "recbench"
_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
# What textual-serve's page needs, and nothing from anywhere else.
_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; style-src 'self' 'unsafe-inline'; font-src 'self' data:; "
    "script-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self' ws: wss:; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
# The keyboard belongs to the terminal from the start: textual-serve's page would wait for a click.
_FOCUS = """<script>
const waiting = setInterval(() => {
  const keyboard = document.querySelector(".xterm-helper-textarea");
  if (keyboard && document.body.classList.contains("-first-byte")) { clearInterval(waiting); keyboard.focus(); }
}, 100);
</script>"""
_NO_TOKEN = "This address needs the token that `bench dashboard --serve` printed with it.\n"
_origin: contextvars.ContextVar[str] = contextvars.ContextVar("origin", default="")


def serve(
    thing: str | None,
    database: Path | None,
    *,
    host: str = "127.0.0.1",
    port: int | None = None,
    say: Callable[[str], None] | None = None,
) -> None:
    """Serves until Ctrl-C. `say` is told the address.

    Raises UnavailableError without textual-serve, UsageError for an address that cannot be listened on.
    """
    if importlib.util.find_spec("textual_serve") is None:
        raise UnavailableError(
            "the dashboard in a browser needs textual-serve, which is not installed", hint="pip install 'recbench[web]'"
        )
    from aiohttp import web

    listener = listen(host, port or 0)
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    tell = say or _to_stderr
    for line in announcement(host, listener.getsockname()[1], token):
        tell(line)
    os.environ.update(own_environment())
    server = guarded(command(thing, database), host, token)
    with listener:
        web.run_app(server._make_app(), sock=listener, print=None, shutdown_timeout=_GRACE_S)  # by Ctrl-C or SIGTERM


def announcement(host: str, port: int, token: str) -> list[str]:
    """The address with its token, and what to know about it."""
    name = f"[{host}]" if ":" in host else host
    if host in ("0.0.0.0", "::"):
        name = socket.gethostname()
    lines = [f"http://{name}:{port}/?token={token}"]
    if is_loopback(host):
        lines.append(f"for this machine alone (from another: ssh -L {port}:127.0.0.1:{port} HERE); Ctrl-C ends it")
    else:
        lines.append("whoever has this address can steer experiments here, and nothing on the way is encrypted")
    return lines


def command(thing: str | None, database: Path | None) -> str:
    """What every browser's process runs, as one line for a shell."""
    words = [sys.executable, "-P", "-m", "harness.dashboard.served"]
    words += ["--db", str(database)] if database is not None else []
    words += ["--", thing] if thing is not None else []
    return shlex.join(words)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. UsageError where the address is none of this machine's, or taken."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        made = socket.socket(family, kind, protocol)
    except OSError as problem:
        raise UsageError(f"{host!r} is no address to listen on: {problem.strerror}", hint="--host 127.0.0.1") from None
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
        made.listen(16)
    except (OSError, OverflowError) as problem:
        made.close()
        why = getattr(problem, "strerror", None) or str(problem)
        raise UsageError(
            f"port {port} of {host} cannot be listened on: {why}", hint="leave --port out for a free one"
        ) from None
    return made


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def guarded(line: str, host: str, token: str) -> Any:
    """A textual-serve server for this command line that lets in who has the token, and says nothing on stdout."""
    from aiohttp import web
    from textual_serve.server import Server  # type: ignore[import-not-found, unused-ignore]

    class Guarded(Server):  # type: ignore[misc, unused-ignore]
        browsers = 0

        def __init__(self) -> None:
            super().__init__(line, host=host, title="recbench")

        @property
        def public_url(self) -> str:
            """As this browser reaches us: by another name or port where a tunnel lies between."""
            return _origin.get()

        @public_url.setter
        def public_url(self, value: str) -> None:
            pass

        def initialize_logging(self) -> None:
            pass

        async def on_startup(self, app: web.Application) -> None:
            pass

        async def _make_app(self) -> web.Application:
            app: web.Application = await super()._make_app()
            app.middlewares.append(_guard(web, host, token))
            return app

        async def handle_websocket(self, request: web.Request) -> Any:  # Any: aiohttp 4 made its type generic
            if self.browsers >= MOST_BROWSERS:
                raise web.HTTPServiceUnavailable(text=f"{MOST_BROWSERS} browsers show this dashboard already\n")
            self.browsers += 1
            try:
                return await super().handle_websocket(request)
            finally:
                self.browsers -= 1

    return Guarded()


def _guard(web: Any, host: str, token: str) -> Any:
    """Middleware: the token once, then the cookie; own names and own pages only."""

    def known(secret: str | None) -> bool:
        return secret is not None and hmac.compare_digest(secret.encode(), token.encode())

    @web.middleware  # type: ignore[untyped-decorator, unused-ignore]
    async def guard(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        asked = request.headers.get("Host", "")
        if is_loopback(host) and (urlsplit(f"//{asked}").hostname or "") not in (*_LOOPBACK_NAMES, host):
            raise web.HTTPForbidden(text="This server answers to its own name alone.\n", headers=_HEADERS)
        origin = request.headers.get("Origin")
        if origin is not None and urlsplit(origin).netloc != asked:
            raise web.HTTPForbidden(text="This server answers to its own pages alone.\n", headers=_HEADERS)
        if known(request.query.get("token")):
            answer = web.HTTPFound("/", headers=_HEADERS)
            answer.set_cookie(_COOKIE, token, httponly=True, samesite="Strict", path="/")
            raise answer
        if not known(request.cookies.get(_COOKIE)):
            raise web.HTTPForbidden(text=_NO_TOKEN, headers=_HEADERS)
        _origin.set(f"{request.scheme}://{asked}")
        response = await handler(request)
        if not response.prepared:
            response.headers.update(_HEADERS)
            if request.path == "/" and isinstance(response, web.Response) and response.text:
                response.text = response.text.replace("</body>", f"{_FOCUS}</body>")
        return response

    return guard


def _to_stderr(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
