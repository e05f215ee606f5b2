"""Which paths a change may touch, judged by their names. Pure; what lies on the disk is `workspace.py`'s question.

A path comes from a model that has read a stranger's repository. So whatever runs code when an editor, a CI service or
git looks at it is out of reach, and so is what could mean another file on some other system.
"""

import re

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
    for part in parts:
        name = part.lower()
        if part != part.strip(" ") or part.endswith(".") or _SHORT.fullmatch(name) or _DEVICES.fullmatch(name):
            return "the path means another file on some systems"
    for part in parts[:-1]:
        rule = folder_rule(part)
        if rule is not None:
            return rule[1]
        if part.lower() in CONFIG_FOLDERS:
            return f"{part}: {_SETTINGS}"
    return _file_refusal(parts[-1])


def _file_refusal(name: str) -> str | None:
    rule = file_rule(name)
    if rule is not None:
        return rule[1]
    if name.lower() in CONFIG_FOLDERS or CONFIG_FILES.fullmatch(name.lower()):
        return f"{name}: {_SETTINGS}"
    return None
