"""The dependency audit of `scripts/check`: what is locked is hashed, comes from no address, and may be used.

It asks no network, so it knows no advisories: `scripts/audit`, which `scripts/check` runs too, asks where there is one.
"""

import re
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LOCKS = ("requirements.lock", "requirements-dev.lock", "requirements-bench.lock")
PINNED = re.compile(r"([A-Za-z0-9._-]+)==[^\s;]+(?: ;[^\\]*)?( \\\n    --hash=sha256:[0-9a-f]{64})+")
# Licences, as packages spell them, under which we may ship or use what is locked.
ALLOWED = re.compile(
    r"MIT|MIT-0|BSD|0BSD|[23]-Clause BSD|BSD-[23]-Clause|Apache(?:-| )2\.0|Apache Software|ISC|ISC \(ISCL\)|MPL-2\.0"
    r"|Mozilla Public 2\.0 \(MPL 2\.0\)|PSF-2\.0|Python Software Foundation|Zlib|CC0-1\.0|CNRI-Python|Unlicense"
    r"|LLVM-exception|MIT-CMU|HPND|Apache|BSD 3-Clause|3-Clause BSD|Matplotlib"
)


@pytest.mark.parametrize("lock", LOCKS)
def test_every_locked_package_is_pinned_hashed_and_comes_from_the_index(lock: str) -> None:
    text = (ROOT / lock).read_text("utf-8")
    entries = [line for line in text.splitlines() if line and not line.startswith((" ", "#"))]
    assert len(entries) > 50
    assert len(PINNED.findall(text)) == len(entries), "a package without a hash, or not pinned by a version"
    assert "://" not in text and "-e " not in text and "git+" not in text


def test_every_installed_package_of_the_product_has_a_licence_that_we_may_use() -> None:
    wrong = {}
    for name, _ in PINNED.findall((ROOT / LOCKS[0]).read_text("utf-8")):
        try:
            about = metadata.metadata(name)
        except metadata.PackageNotFoundError:  # of another platform
            continue
        said = about.get("License-Expression") or about.get("License", "").strip()
        if not said or len(said) > 80:  # the whole text of one stands there
            rows = [row for row in about.get_all("Classifier") or () if row.startswith("License ::")]
            said = " AND ".join(row.rsplit(":: ", 1)[-1] for row in rows)
        parts = [
            part.strip("() ") if part.count("(") != 1 else part.strip() for part in re.split(r" (?:AND|OR|WITH) ", said)
        ]
        spelled = [re.sub(r" ?[Ll]icen[sc]e", "", part).strip() for part in parts]
        if not spelled[0] or not all(ALLOWED.fullmatch(part) for part in spelled):
            wrong[name] = said
    assert wrong == {}
