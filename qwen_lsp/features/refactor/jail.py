"""Which paths a change may touch, judged by their names. Pure; what lies on the disk is `workspace.py`'s question.

A path comes from a model that has read a stranger's repository. So whatever runs code when an editor, a CI service or
git looks at it is out of reach, and so is what could mean another file on some other system.
"""

import re
import unicodedata

from qwen_lsp.index.rules import file_rule, folder_rule

MAX_PATH_CHARS = 400

# Folders, in lower case, whose files tell an editor, git or a CI service what to run.
_FOLDERS = """
    .vscode .idea .vs .fleet .zed .helix .vim .nvim .emacs.d .cursor .claude .devcontainer .github .gitlab .circleci
    .buildkite .woodpecker .drone .forgejo .gitea .husky .githooks .hooks .teamcity .azure-pipelines
"""
CONFIG_FOLDERS = frozenset(_FOLDERS.split())
# Files that do the same, in lower case.
CONFIG_FILES = re.compile(
    r"\.gitlab-ci\.ya?ml|\.travis\.ya?ml|\.drone\.ya?ml|\.appveyor\.ya?ml|appveyor\.ya?ml|azure-pipelines\.ya?ml"
    r"|bitbucket-pipelines\.ya?ml|\.woodpecker\.ya?ml|\.cirrus\.ya?ml|buildspec\.ya?ml|cloudbuild\.ya?ml|jenkinsfile"
    r"|\.pre-commit-config\.ya?ml|lefthook\.ya?ml|\.lefthook\.ya?ml|renovate\.json5?|\.renovaterc(\.json)?"
    r"|\.gitattributes|\.gitmodules|\.gitconfig|\.gitignore|\.qwenignore|qwen-lsp\.toml"
    r"|\.exrc|\.vimrc|\.nvimrc|\.nvim\.lua|\.lvimrc|\.dir-locals(-2)?\.el|\.editorconfig|.*\.code-workspace|\.tool-versions"
    r"|\.mise\.toml|mise\.toml|\.envrc|devcontainer\.json|\.devcontainer\.json|\.cursorrules|agents\.md|claude\.md"
)
_SETTINGS = "settings of an editor, git, an agent or a server; they are yours to change"
_SHORT = re.compile(r".*~\d+(\..*)?")  # GIT~1: how Windows also calls .git
_LOOKS_LATIN = r"\u0400-\u052f\u039f\u03bf"  # Cyrillic, and the Greek o
_MIXED = re.compile(rf"[A-Za-z][{_LOOKS_LATIN}]|[{_LOOKS_LATIN}][A-Za-z]")
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?")


def refusal(path: str) -> str | None:
    """Why no change may touch a file of this name, or None."""
    if not path or len(path) > MAX_PATH_CHARS:
        return "the path is empty or too long"
    if not path.isprintable() or any(char in path for char in '\\:*?"<>|'):
        return "the path has characters that do not belong there"
    parts = path.split("/")
    if path.startswith(("/", "~")) or any(part in ("", ".", "..") for part in parts):
        return "the path leads out of the workspace, or is not spelled plainly"
    plain = [_plain(part) for part in parts]
    for part, name in zip(parts, plain, strict=True):
        if part != part.strip(" ") or part.endswith(".") or _SHORT.fullmatch(name) or _DEVICES.fullmatch(name):
            return "the path means another file on some systems"
    for part, name in zip(parts[:-1], plain[:-1], strict=True):
        rule = folder_rule(name)
        if rule is not None:
            return rule[1]
        if name in CONFIG_FOLDERS:
            return f"{part}: {_SETTINGS}"
    return _file_refusal(parts[-1], plain[-1])


def _file_refusal(part: str, name: str) -> str | None:
    rule = file_rule(part) or file_rule(name)
    if rule is not None:
        return rule[1]
    if name in CONFIG_FOLDERS or CONFIG_FILES.fullmatch(name):
        return f"{part}: {_SETTINGS}"
    return None


def refusal_of_new(path: str) -> str | None:
    """Why no file of this name may be made, beside what `refusal` says: it would pass for another one."""
    return "letters of two alphabets that look alike are in one word" if _MIXED.search(path) else None


def same_name(name: str) -> str:
    """Equal for names that are one file where systems do not tell case and composed letters apart."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _plain(name: str) -> str:
    """In lower case and without marks, wide forms and old letters, which some system or other takes for the plain."""
    letters = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", name).casefold())
    return "".join(char for char in letters if not unicodedata.combining(char)).replace("\u0131", "i")
