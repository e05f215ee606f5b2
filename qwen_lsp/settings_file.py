"""Write to the user's settings file what a command found out, and leave all else in it as it stands, comments too."""

import re
from collections.abc import Mapping, MutableMapping
from pathlib import Path

import tomlkit
from tomlkit.exceptions import TOMLKitError

from qwen_lsp import private
from qwen_lsp.errors import NotDone
from qwen_lsp.settings import KEYS

Value = str | int | bool | None


def write(file: Path, values: Mapping[str, Value]) -> None:
    """Dotted keys of `settings.KEYS`; None takes a key out. Raises NotDone where the file is no TOML, OSError."""
    wrong = [name for name, value in values.items() if value is not None and not KEYS[name].accepts(value)]
    assert not wrong, wrong
    file = file.resolve()  # people keep such files elsewhere and link to them
    try:
        text = file.read_text("utf-8") if file.exists() else ""
        table: MutableMapping[str, object] = tomlkit.parse(text)
        for name, value in values.items():
            _set(table, name.split("."), value)
        whole = tomlkit.dumps(table)
    except (TOMLKitError, UnicodeDecodeError, TypeError) as error:
        raise NotDone(f"{file} is not valid TOML: repair it, or add to it: {shown(values)}") from error
    file.parent.mkdir(parents=True, exist_ok=True)
    private.write(file, whole)


def shown(values: Mapping[str, Value]) -> str:
    """For people, in TOML's own way."""
    return ", ".join(
        f"{name} = {tomlkit.item(value).as_string()}" for name, value in values.items() if value is not None
    )


def _set(table: MutableMapping[str, object], path: list[str], value: Value) -> None:
    """Under the spelling that stands there already, `snake_case` or `camelCase`."""
    name = next((each for each in table if _plain(each) == path[0]), path[0])
    if len(path) > 1:
        if name not in table:
            if value is None:
                return
            table[name] = tomlkit.table()
        inner = table[name]
        if not isinstance(inner, MutableMapping):
            raise TypeError(name)
        _set(inner, path[1:], value)
    elif value is None:
        table.pop(name, None)
    else:
        table[name] = value


def _plain(name: str) -> str:
    return re.sub(r"(?<=[a-z])([A-Z])", r"_\1", name).lower()
