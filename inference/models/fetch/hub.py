"""A hub over HTTP: what a repository holds, and the bytes of a file from any place on. The one door to its library.

The library names addresses, headers and errors. The bytes are fetched here: its own download forgets what it has when
its process dies, follows redirects to anywhere, and hands large files to a helper whose sockets the egress guard does
not see. Knows no disk. No proxy is taken from the environment, no user agent tells more than a version.
"""

import os
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, urljoin, urlsplit

os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["HF_HUB_DISABLE_XET"] = "1"
os.environ["HF_HUB_DISABLE_IMPLICIT_TOKEN"] = "1"

import httpx2
import huggingface_hub
from huggingface_hub import HfApi, hf_hub_url
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from inference.models.fetch.listing import FetchFailed, Listing, NoSuchRevision, Remote

PUBLIC = "https://huggingface.co"
_DELIVERS = (".huggingface.co", ".hf.co")  # where the public hub sends on to for large files
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_MAX_REDIRECTS = 5
_MAX_FILES = 10_000

Allow = Callable[[str], None]  # tells the egress guard of a host that may be talked to


class Broken(Exception):
    """The connection broke or said too little; asking again may help."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the hub is. `also`: hosts that a mirror may send on to."""

    url: str = PUBLIC
    also: tuple[str, ...] = ()
    token: str | None = None

    @property
    def host(self) -> str:
        return _host(urlsplit(self.url))

    def may_send_to(self, target: SplitResult) -> bool:
        """A redirect is followed to the endpoint itself, to what it was told to trust, and to the public hub's own."""
        host, own = _host(target), urlsplit(self.url)
        if target.scheme != own.scheme or target.username is not None:
            return False
        if host == self.host or host in self.also:
            return True
        return self.url == PUBLIC and host.endswith(_DELIVERS)


def endpoint(url: str | None, also: tuple[str, ...] = (), token: str | None = None) -> Endpoint:
    """Raises FetchFailed for what is no address over TLS; plain HTTP is for this machine only."""
    url = (url or PUBLIC).rstrip("/")
    parts = urlsplit(url)
    is_here = _host(parts) in _LOOPBACK
    if not _host(parts) or parts.username or parts.query or not (parts.scheme == "https" or is_here):
        raise FetchFailed(f"{url} is no address of a hub", "it is https://HOST, or http://localhost:PORT")
    return Endpoint(url, also, token)


class Hub:
    """One hub. `allow` is told of each host before it is talked to. `timeout_s`: of silence."""

    def __init__(self, where: Endpoint, allow: Allow, timeout_s: float) -> None:
        self._where, self._allow, self._timeout_s = where, allow, timeout_s
        # The user agent is ours: the library's tells the versions of everything that is installed.
        headers = {"User-Agent": "qwen-lsp", "Accept-Encoding": "identity"}
        self._client = httpx2.Client(
            timeout=timeout_s, trust_env=False, follow_redirects=False, headers=headers, verify=_tls(where.url)
        )
        huggingface_hub.set_client_factory(lambda: self._client)
        self._api = HfApi(endpoint=where.url, token=where.token or False)
        allow(where.host)

    def close(self) -> None:
        self._client.close()

    def listing(self, repository: str, revision: str | None) -> Listing:
        """Raises FetchFailed, or Broken where asking again may help."""
        try:
            with _told(repository, revision):
                found = self._api.model_info(
                    repository, revision=revision, files_metadata=True, timeout=self._timeout_s
                )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise FetchFailed("the hub's answer is none that a hub gives", "is it a hub, and is it there?") from error
        if found.sha is None or len(found.siblings or ()) > _MAX_FILES:
            raise FetchFailed(f"the hub does not say what {repository} holds", "is it a hub?")
        return Listing(repository, found.sha, tuple(_remote(each) for each in found.siblings or ()))

    @contextmanager
    def open(self, listing: Listing, name: str, start: int) -> Iterator[tuple[int, Iterator[bytes]]]:
        """Where the bytes begin, which is `start` or 0, and the bytes. Raises FetchFailed or Broken."""
        url = hf_hub_url(listing.repository, name, revision=listing.commit, endpoint=self._where.url)
        with _told(listing.repository, listing.commit), self._answer(url, start) as answer:
            if answer.status_code == 206:
                _, _, place = answer.headers.get("Content-Range", "").partition("bytes ")
                if place.partition("-")[0] != str(start):
                    raise Broken("the hub answered with another part of the file")
            elif answer.status_code != 200:
                raise _refusal(answer.status_code, listing.repository, name)
            if answer.headers.get("Content-Encoding", "identity") != "identity":
                raise FetchFailed("the hub compresses what it was asked to send as it is", "use another hub")
            yield (
                (start if answer.status_code == 206 else 0),
                answer.iter_raw(),
            )  # as it comes: what is collected first is lost when it breaks

    @contextmanager
    def _answer(self, url: str, start: int) -> Iterator[httpx2.Response]:
        """Redirects are followed one by one; the token stays with the endpoint."""
        for _ in range(_MAX_REDIRECTS + 1):
            is_own = _origin(urlsplit(url)) == _origin(urlsplit(self._where.url))
            headers = {"Range": f"bytes={start}-"} if start else {}
            if is_own and self._where.token:
                headers["Authorization"] = f"Bearer {self._where.token}"
            with self._client.stream("GET", url, headers=headers) as answer:
                if not answer.is_redirect:
                    yield answer
                    return
                url = urljoin(url, answer.headers.get("Location", ""))
            target = urlsplit(url)
            if not self._where.may_send_to(target):
                raise FetchFailed(
                    f"the hub sends on to {target.scheme}://{_host(target)}, which is not its own",
                    f"if you trust it: --also {_host(target)}",
                )
            self._allow(_host(target))
        raise FetchFailed("the hub sends on without end", "use another hub")


def _tls(url: str) -> Any:
    """The system's certificates, which SSL_CERT_FILE may add to; none are read where there is no TLS."""
    return ssl.create_default_context() if url.startswith("https:") else False


@contextmanager
def _told(repository: str, revision: str | None) -> Iterator[None]:
    """The library's errors as ours, without its pages of advice."""
    try:
        yield
    except GatedRepoError as error:
        raise FetchFailed(f"{repository} wants its terms accepted first", "accept them there, set HF_TOKEN") from error
    except RevisionNotFoundError as error:
        raise NoSuchRevision(f"{repository} has no revision {revision}", "run scripts/refresh-catalogue") from error
    except RepositoryNotFoundError as error:
        raise FetchFailed(
            f"there is no {repository}, or it is private", "look for its name there; for a private one set HF_TOKEN"
        ) from error
    except OfflineModeIsEnabled as error:
        raise FetchFailed("HF_HUB_OFFLINE is set", "unset it, or take files that you have: --offline PATH") from error
    except HfHubHTTPError as error:
        raise _refusal(error.response.status_code, repository, "") from error
    except (httpx2.HTTPError, httpx2.StreamError) as error:
        raise Broken(f"the connection to the hub failed ({type(error).__name__})") from error


def _refusal(status: int, repository: str, name: str) -> Exception:
    what = f"{repository}{'/' if name else ''}{name}"
    if status in (408, 416, 429) or status >= 500:
        return Broken(f"the hub can not answer for {what} now (status {status})")
    if status in (401, 403):
        return FetchFailed(f"the hub refuses {what} (status {status})", "if it is yours or gated: set HF_TOKEN")
    if status == 404:
        return FetchFailed(f"the hub has no {what}", "run scripts/refresh-catalogue")
    return FetchFailed(f"the hub answered for {what} with status {status}", "is it a hub?")


def _remote(sibling: Any) -> Remote:
    """Sums as the hub has them: of large files their own, of small ones git's."""
    lfs = sibling.lfs
    n_bytes = sibling.size if sibling.size is not None else -1
    return Remote(sibling.rfilename, n_bytes, lfs.sha256 if lfs else None, None if lfs else sibling.blob_id)


def _host(parts: SplitResult) -> str:
    return (parts.hostname or "").lower()


def _origin(parts: SplitResult) -> tuple[str, str, int | None]:
    return parts.scheme, _host(parts), parts.port
