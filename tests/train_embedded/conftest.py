"""Puts scripts/train_embedded on the import path: it is a folder of scripts, not a package."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts" / "train_embedded"))
