"""Debian's Firefox, driven by WebDriver BiDi over its own socket: no driver to build, no browser to download."""

import contextlib
import itertools
import json
import re
import subprocess
from pathlib import Path
from typing import Any

from tests.support.waiting import until
from websockets.sync.client import connect

PREFERENCES = {
    "app.normandy.enabled": False,
    "app.update.disabledForTesting": True,
    "browser.safebrowsing.downloads.remote.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "extensions.update.enabled": False,
    "media.autoplay.blocking_policy": 0,
    "media.autoplay.default": 0,
    "media.gmp-manager.updateEnabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "services.settings.server": "data:,none",
}


class Firefox:
    """A running Firefox with a profile of its own in ``folder``."""

    def __init__(self, folder: Path) -> None:
        lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in PREFERENCES.items()]
        (folder / "user.js").write_text("\n".join(lines))
        self._said = folder / "firefox.log"
        with self._said.open("wb") as output:
            self._process = subprocess.Popen(
                ["firefox-esr", "--headless", "--profile", str(folder), "--remote-debugging-port", "0"],
                stdout=output, stderr=output,
            )  # fmt: skip
        until(self._address)
        self._open = contextlib.ExitStack()
        self._socket = self._open.enter_context(connect(f"{self._address()}/session", max_size=None))
        self._ids = itertools.count()
        self.command("session.new", capabilities={})

    def _address(self) -> str | None:
        found = re.search(r"WebDriver BiDi listening on (\S+)", self._said.read_text())
        return found[1] if found else None

    def command(self, method: str, **params: object) -> Any:
        """Returns the result of a BiDi command."""
        sent = next(self._ids)
        self._socket.send(json.dumps({"id": sent, "method": method, "params": params}))
        while (answer := json.loads(self._socket.recv(timeout=300))).get("id") != sent:
            pass
        assert answer["type"] == "success", f"{method}: {answer['error']}: {answer['message']}"
        return answer["result"]

    def new_page(self) -> "FirefoxPage":
        """Returns a new tab with the methods of Playwright's pages that the tests use."""
        return FirefoxPage(self, self.command("browsingContext.create", type="tab")["context"])

    def close(self) -> None:
        """Ends the browser."""
        self._open.close()
        self._process.terminate()
        self._process.wait()


class FirefoxPage:
    """One tab."""

    def __init__(self, firefox: Firefox, context: str) -> None:
        self._firefox = firefox
        self._context = context

    def goto(self, url: str) -> None:
        """Returns once the page has loaded."""
        self._firefox.command("browsingContext.navigate", context=self._context, url=url, wait="complete")

    def evaluate(self, script: str, argument: object = None) -> Any:
        """Returns the value of an expression, or what a function returns, as JSON."""
        asked = f"""async (given) => {{
          const value = ({script});
          const told = await (typeof value === "function" ? value(JSON.parse(given)) : value);
          return JSON.stringify(told) ?? "null";
        }}"""
        result = self._firefox.command(
            "script.callFunction",
            functionDeclaration=asked,
            arguments=[{"type": "string", "value": json.dumps(argument)}],
            target={"context": self._context},
            awaitPromise=True,
        )
        assert result["type"] == "success", result["exceptionDetails"]["text"]
        return json.loads(result["result"]["value"])

    def go_back(self, wait_until: str) -> None:
        """Goes to the page before this one, as ``wait_until`` "commit" has it: it may still be under way."""
        assert wait_until == "commit"
        self._firefox.command("browsingContext.traverseHistory", context=self._context, delta=-1)

    def close(self) -> None:
        """Closes the tab, as its user would."""
        self._firefox.command("browsingContext.close", context=self._context)
