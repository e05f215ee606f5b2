"""Commands of a shell that let a project's checks run. Exit codes as everywhere: 0 done, 1 it could not, 2 usage."""

import argparse
import json
import sys

from qwen_lsp import settings as settings_file
from qwen_lsp.verify import choose
from qwen_lsp.verify import trust as trusted


def trust(options: argparse.Namespace) -> int:
    """Trust a folder, or no longer, or show which ones are; and say which commands that lets run."""
    if options.list:
        folders = trusted.trusted()
        print(json.dumps({"trusted": folders}) if options.json else "\n".join(folders) or "no folder is trusted")
        return 0
    root = options.folder.resolve()
    try:
        trusted.trust(root, not options.no)
    except OSError as error:
        print(f"qwen-lsp: the list of trusted folders can not be written: {error.strerror}", file=sys.stderr)
        return 1
    settings, _ = settings_file.parse((), [root / settings_file.FILE_NAME], settings_file.user_file())
    checks = () if options.no else choose.known(root, settings)
    if options.json:
        commands = [{"command": check.command, "why": check.why} for check in checks]
        print(json.dumps({"folder": str(root), "trusted": not options.no, "checks": commands}))
        return 0
    print(f"{root} is not trusted" if options.no else f"{root} is trusted; its checks may run:")
    for check in checks:
        print(f"  {check.command}   ({check.why})")
    return 0
