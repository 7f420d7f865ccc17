"""A platform in one file: serves a page with a player, and vouches for who watches.

    python server.py --clips FOLDER --secret-key-file secret.key --publishable-key cpk_…

Only Python is needed. The secret key stays here, in a file that no list of processes shows; the browser gets the
publishable one, and a voucher for its viewer: with both it asks Clapometer which clips to show, and for nobody else.
"""

import argparse
import hmac
import http.cookies
import http.server
import json
import pathlib
import urllib.parse
import urllib.request
import uuid

HERE = pathlib.Path(__file__).parent
SDK = {f"/{path.name}": (path, "text/javascript") for path in HERE.parent.glob("*.js")}
FILES = {"/": (HERE / "index.html", "text/html"), **SDK}


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Returns the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=pathlib.Path, required=True, help="folder of clips; file names are clip ids")
    parser.add_argument("--secret-key-file", type=pathlib.Path, required=True)
    parser.add_argument("--publishable-key", required=True)
    parser.add_argument("--collector", default="http://127.0.0.1:8480")
    parser.add_argument("--serving", default="http://127.0.0.1:8481")
    parser.add_argument("--port", type=int, default=8482)
    options = parser.parse_args(arguments)
    options.secret_key = options.secret_key_file.read_text().strip()
    return options


def viewer_of(options: argparse.Namespace, cookies: str) -> str:
    """Returns who sent a request: the one of our cookie, which nobody else can write, or somebody new.

    Your platform has accounts: say who is logged in. Here whoever drops the cookie is somebody new.
    """
    cookie = http.cookies.SimpleCookie(cookies).get("viewer")
    viewer = "" if cookie is None else cookie.value.partition(".")[0]
    known = cookie is not None and hmac.compare_digest(cookie.value.encode(), sealed(options, viewer).encode())
    return viewer if known else uuid.uuid4().hex  # a pseudonym; never a name or an address


def sealed(options: argparse.Namespace, viewer: str) -> str:
    """Returns the value of a viewer's cookie."""
    return f"{viewer}.{hmac.digest(options.secret_key.encode(), viewer.encode(), 'sha256').hex()}"


def session(options: argparse.Namespace, viewer: str) -> bytes:
    """Returns what the page of a viewer needs to ask for clips: where, with which key, and the voucher for it."""
    clips = sorted(path.name for path in options.clips.iterdir() if path.is_file())
    request = urllib.request.Request(  # noqa: S310 - the address is the operator's
        f"{options.serving}/v1/sessions",
        data=json.dumps({"viewer_id": viewer, "candidates": clips, "surface": "feed"}).encode(),
        headers={"authorization": f"Bearer {options.secret_key}", "content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - the same
        vouched = json.load(answer)
    where = {"collector": options.collector, "serving": options.serving, "key": options.publishable_key}
    return json.dumps({**where, **vouched, "candidates": clips}).encode()


def handler(options: argparse.Namespace) -> type[http.server.BaseHTTPRequestHandler]:
    """Returns what answers the requests of the page."""

    class Platform(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            address = urllib.parse.urlsplit(self.path)
            if address.path in FILES:
                path, media = FILES[address.path]
                self.answer(path.read_bytes(), media)
            elif address.path == "/session":
                viewer = viewer_of(options, self.headers.get("cookie", ""))
                cookie = f"viewer={sealed(options, viewer)}; HttpOnly; SameSite=Lax; Path=/; Max-Age=31536000"
                self.answer(session(options, viewer), "application/json", cookie)
            else:
                clip = options.clips / pathlib.PurePosixPath(urllib.parse.unquote(address.path)).name
                if address.path.startswith("/clips/") and clip.is_file():
                    self.answer(clip.read_bytes(), "video/webm" if clip.suffix == ".webm" else "video/mp4")
                else:
                    self.send_error(404)

        def answer(self, body: bytes, media: str, cookie: str | None = None) -> None:
            self.send_response(200)
            if cookie is not None:
                self.send_header("set-cookie", cookie)
                self.send_header("cache-control", "no-store")
            self.send_header("content-type", media)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    return Platform


def main() -> None:
    """Serves until Ctrl-C."""
    options = parse()
    with http.server.ThreadingHTTPServer(("127.0.0.1", options.port), handler(options)) as server:
        print(f"open http://127.0.0.1:{server.server_address[1]}/", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
