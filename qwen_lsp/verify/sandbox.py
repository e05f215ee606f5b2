"""What a command may see and write, as the arguments of the system's sandbox. Pure but for one probe.

Linux: bubblewrap. The command sees the system, its tools, and the copy at the workspace's own path, so that virtual
environments and messages name the same paths as ever; home, sockets and other folders are not there, nothing but the
copy can be written, and there is no network. macOS: sandbox-exec, which forbids writing and the network (not measured).
Elsewhere there is none, and `Guard.told` says so.
"""

import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from qwen_lsp.index.rules import SECRET_FOLDERS
from qwen_lsp.verify import history
from qwen_lsp.verify.shadow import SCRATCH_FOLDERS, Shadow

Kind = Literal["bubblewrap", "sandbox-exec", "none"]

PROBE_S = 10.0
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc", "/opt", "/nix", "/gnu", "/snap")
_SYSTEM_SECRETS = ("/etc/shadow", "/etc/gshadow", "/etc/ssh", "/etc/ssl/private")

# Below a home: where languages keep their tools and packages. What holds keys beside them is not named.
_TOOLS = """
    .cargo/bin .cargo/registry .cargo/git .cargo/config.toml .rustup .pyenv .nvm .volta/bin .volta/tools .asdf .rbenv
    .sdkman/candidates .local/bin .local/lib .local/share/uv .local/share/mise .local/share/fnm .local/share/pnpm go
    .local/share/virtualenvs .cache/pypoetry/virtualenvs .bun/bin .deno/bin .m2/repository .ghcup .opam .swiftly .dotnet
    miniconda3 miniforge3 anaconda3
"""

# What a command is told of the user's environment; names of keys and tokens are not among them.
_KEPT = """
    PATH LANG LC_ALL LC_CTYPE TZ PYENV_ROOT NVM_DIR NVM_BIN VOLTA_HOME JAVA_HOME SDKMAN_DIR VIRTUAL_ENV CONDA_PREFIX
    RUSTUP_HOME RUSTUP_TOOLCHAIN GOROOT GOPATH GOMODCACHE GOFLAGS DOTNET_ROOT PKG_CONFIG_PATH CC CXX SDKROOT
    DEVELOPER_DIR NODE_PATH LD_LIBRARY_PATH
"""


@dataclass(frozen=True, slots=True)
class Guard:
    """What keeps commands to the copy. `told` says it to the user."""

    kind: Kind
    told: str
    program: str = ""


@functools.cache
def guard() -> Guard:
    """The sandbox that this system has and lets us use; asked once."""
    if sys.platform == "darwin":
        program = shutil.which("sandbox-exec")
        if program is not None:
            return Guard("sandbox-exec", "sandbox-exec: no network, writes only in the copy", program)
        return Guard("none", "no sandbox: sandbox-exec is not there; commands can write where you can")
    program = shutil.which("bwrap") if sys.platform == "linux" else None
    if program is None:
        remedy = "install bubblewrap" if sys.platform == "linux" else "this system has none that is known here"
        return Guard("none", f"no sandbox: {remedy}; commands have the network and can write where you can")
    command = [program, *_NAMESPACES, *(part for path in _SYSTEM for part in ("--ro-bind-try", path, path)), "true"]
    try:
        done = subprocess.run(command, capture_output=True, timeout=PROBE_S, check=False, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired) as error:
        return Guard("none", f"no sandbox: bubblewrap does not start ({type(error).__name__})")
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().removeprefix("bwrap: ")[:200]
        return Guard("none", f"no sandbox: bubblewrap is refused here ({said}); commands can write where you can")
    return Guard("bubblewrap", "bubblewrap: no network, no home, writes only in the copy", program)


_NAMESPACES = (
    *("--unshare-user", "--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"),
    *("--die-with-parent", "--new-session", "--cap-drop", "ALL"),
)


def place(guard: Guard, shadow: Shadow) -> Path:
    """Where the command will find the workspace."""
    return shadow.root if guard.kind == "bubblewrap" else shadow.tree


def prepared(guard: Guard, shadow: Shadow) -> None:
    """Make what the sandbox leans on: folders to write in; shared folders are links where they can not be mounted."""
    for name in ("home", "tmp", "shm", "go-build"):
        (shadow.scratch / name).mkdir(exist_ok=True)
    for path in shadow.shared:
        target = shadow.tree / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if guard.kind == "bubblewrap":
            target.mkdir(exist_ok=True)
        elif not os.path.lexists(target):
            target.symlink_to(shadow.root / path)


def wrapped(guard: Guard, shadow: Shadow, command: str, folder: str, environ: Mapping[str, str]) -> list[str]:
    """The arguments that run `command` in the copy's `folder`, guarded. `prepared` came before."""
    shell = ["/bin/sh", "-c", command]
    if guard.kind == "sandbox-exec":
        return [guard.program, "-p", profile(shadow), *shell]
    if guard.kind == "none":
        return shell
    where = os.path.normpath(shadow.root / folder)
    return [guard.program, *_NAMESPACES, *_mounts(shadow, environ), "--chdir", where, "--", *shell]


def _mounts(shadow: Shadow, environ: Mapping[str, str]) -> Iterator[str]:
    """Later ones lie over earlier ones."""
    for path in _SYSTEM:
        yield from ("--ro-bind-try", path, path)
    for path in _SYSTEM_SECRETS:
        if Path(path).is_dir():
            yield from ("--tmpfs", path)
        elif Path(path).exists():
            yield from ("--ro-bind", os.devnull, path)
    scratch = shadow.scratch
    yield from ("--proc", "/proc", "--dev", "/dev", "--bind", f"{scratch}/shm", "/dev/shm")
    yield from ("--bind", f"{scratch}/tmp", "/tmp", "--bind", f"{scratch}/tmp", "/var/tmp")
    for path in _tools(environ):
        yield from ("--ro-bind-try", path, path)
    yield from ("--bind", str(scratch / "home"), _HOME, "--bind", str(scratch / "go-build"), _GO_CACHE)
    objects = history.borrowed(shadow.root)
    if objects is not None:
        yield from ("--ro-bind-try", str(objects), str(objects))
    root = str(shadow.root)
    yield from ("--bind", str(shadow.tree), root)
    for path in shadow.shared:
        yield from ("--ro-bind", f"{root}/{path}", f"{root}/{path}")
        for name in SCRATCH_FOLDERS:
            if (shadow.root / path / name).is_dir():
                yield from ("--tmpfs", f"{root}/{path}/{name}")


_HOME = "/run/qwen/home"
_GO_CACHE = "/run/qwen/go-build"


def _tools(environ: Mapping[str, str]) -> Iterator[str]:
    """The folders outside of the system's in which the user's tools are."""
    home = Path.home()
    yield from (str(home / name) for name in _TOOLS.split())
    if not Path(sys.prefix).is_relative_to("/usr"):
        yield sys.prefix  # our own environment is one that the user may name
    for key in ("VIRTUAL_ENV", "CONDA_PREFIX", "RUSTUP_HOME", "PYENV_ROOT", "NVM_DIR", "JAVA_HOME", "GOROOT"):
        if environ.get(key) and _is_harmless(Path(environ[key]), home):
            yield environ[key]
    for part in environ.get("PATH", "").split(os.pathsep):
        folder = Path(part)
        is_bin = folder.name == "bin" and any(
            (folder.parent / name).exists() for name in ("pyvenv.cfg", "conda-meta", "lib")
        )
        shown = folder.parent if is_bin else folder
        if folder.is_absolute() and _is_harmless(shown, home):
            yield str(shown)


def _is_harmless(folder: Path, home: Path) -> bool:
    """Not a folder that has the home, or all of a user's programs' data, in it."""
    return (
        folder.is_absolute() and not home.is_relative_to(folder) and folder != home / ".local" and len(folder.parts) > 2
    )


def environment(guard: Guard, shadow: Shadow, environ: Mapping[str, str]) -> dict[str, str]:
    """What a command finds in its environment: tools' places and nothing secret; nothing is asked or fetched."""
    guarded = guard.kind == "bubblewrap"
    home = _HOME if guarded else str(shadow.scratch / "home")
    kept = {key: environ[key] for key in _KEPT.split() if key in environ}
    real = Path.home()
    kept.setdefault("PATH", os.defpath)
    kept.setdefault("LANG", "C.UTF-8")
    kept.setdefault("RUSTUP_HOME", str(real / ".rustup"))
    kept.setdefault("GOPATH", str(real / "go"))
    kept |= {
        "HOME": home,
        "TMPDIR": "/tmp" if guarded else str(shadow.scratch / "tmp"),
        "CARGO_HOME": str(real / ".cargo"),
        "CARGO_NET_OFFLINE": "true",
        "GOCACHE": _GO_CACHE if guarded else str(shadow.scratch / "go-build"),
        "GOPROXY": "off",
        "CI": "true",  # test runners watch for changes otherwise
        "TERM": "dumb",
        "NO_COLOR": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        "PIP_NO_INDEX": "1",
        "npm_config_offline": "true",
        "npm_config_update_notifier": "false",
        "GIT_CONFIG_NOSYSTEM": "1",
    }
    if not guarded:  # else a package that is installed as editable would be the user's files, not the copy
        kept["PYTHONPATH"] = os.pathsep.join((str(shadow.tree / "src"), str(shadow.tree)))
    return kept


def profile(shadow: Shadow) -> str:
    """For sandbox-exec: all may be read but what tools keep keys in, the copy may be written, nothing is sent."""
    base = _quoted(str(shadow.tree.parent))
    home = Path.home()
    secrets: Sequence[str] = [_quoted(str(home / name)) for name in sorted(SECRET_FOLDERS)]
    hidden = "".join(f"(deny file-read* (subpath {name}))" for name in secrets)
    devices = " ".join(f'(literal "/dev/{name}")' for name in ("null", "zero", "tty", "dtracehelper", "urandom"))
    return (
        "(version 1)(allow default)(deny network*)(deny file-write*)"
        f"(allow file-write* (subpath {base}) {devices}){hidden}"
    )


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
