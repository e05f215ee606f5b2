"""`vsix.py EXTENSION FOLDER [SERVER]`: the extension's built files as FOLDER/NAME-VERSION.vsix, a zip with a manifest.

SERVER is the program that the extension starts where this machine has it and no setting names another.

Made here and not by vsce, which would bring two hundred packages for it. Packs a list of files and nothing that lies
beside them; names, order and dates are fixed, so that the same files give the same bytes.
"""

import json
import sys
import zipfile
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr

FILES = ("package.json", "README.md", "dist/extension.js")
CONTENT_TYPES = {
    "js": "application/javascript",
    "json": "application/json",
    "md": "text/markdown",
    "txt": "text/plain",
    "vsixmanifest": "text/xml",
}
DATE = (2026, 1, 1, 0, 0, 0)


def main() -> int:
    extension, folder = Path(sys.argv[1]), Path(sys.argv[2])
    about = json.loads((extension / "package.json").read_text("utf-8"))
    folder.mkdir(exist_ok=True)
    target = folder / f"{about['name']}-{about['version']}.vsix"
    parts = {"extension.vsixmanifest": manifest(about).encode(), "[Content_Types].xml": content_types().encode()}
    parts["extension/LICENSE.txt"] = (extension.parent.parent / "LICENSE").read_bytes()
    parts["extension/NOTICE.txt"] = notices(extension).encode()
    parts |= {f"extension/{name}": (extension / name).read_bytes() for name in FILES}
    if len(sys.argv) > 3:
        parts["extension/server.json"] = json.dumps({"command": sys.argv[3:]}).encode()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, octets in sorted(parts.items()):
            entry = zipfile.ZipInfo(name, DATE)
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            archive.writestr(entry, octets)
    print(target)
    return 0


def notices(extension: Path) -> str:
    """The licences of the packages that the bundle holds, which they ask to be told."""
    lock = json.loads((extension / "package-lock.json").read_text("utf-8"))
    bundled = sorted(name for name, about in lock["packages"].items() if name and not about.get("dev"))
    texts = []
    for name in bundled:
        [licence] = [path for path in sorted((extension / name).iterdir()) if path.stem.lower() == "license"]
        texts.append(f"{name.removeprefix('node_modules/')}\n\n{licence.read_text('utf-8').strip()}\n")
    return "\n\n".join(texts)


def manifest(about: dict[str, Any]) -> str:
    """What VS Code reads before it looks at package.json."""
    kinds = ",".join(about["extensionKind"])
    name, version, publisher = (quoteattr(about[key]) for key in ("name", "version", "publisher"))
    return f"""<?xml version="1.0" encoding="utf-8"?>
<PackageManifest Version="2.0.0" xmlns="http://schemas.microsoft.com/developer/vsx-schema/2011">
  <Metadata>
    <Identity Language="en-US" Id={name} Version={version} Publisher={publisher}/>
    <DisplayName>{escape(about["displayName"])}</DisplayName>
    <Description xml:space="preserve">{escape(about["description"])}</Description>
    <Categories>{escape(",".join(about["categories"]))}</Categories>
    <Properties>
      <Property Id="Microsoft.VisualStudio.Code.Engine" Value={quoteattr(about["engines"]["vscode"])}/>
      <Property Id="Microsoft.VisualStudio.Code.ExtensionKind" Value={quoteattr(kinds)}/>
    </Properties>
    <License>extension/LICENSE.txt</License>
  </Metadata>
  <Installation><InstallationTarget Id="Microsoft.VisualStudio.Code"/></Installation>
  <Dependencies/>
  <Assets>
    <Asset Type="Microsoft.VisualStudio.Code.Manifest" Path="extension/package.json" Addressable="true"/>
    <Asset Type="Microsoft.VisualStudio.Services.Content.Details" Path="extension/README.md" Addressable="true"/>
    <Asset Type="Microsoft.VisualStudio.Services.Content.License" Path="extension/LICENSE.txt" Addressable="true"/>
  </Assets>
</PackageManifest>
"""


def content_types() -> str:
    """One line per file ending in the zip."""
    lines = (f'<Default Extension=".{ending}" ContentType="{kind}"/>' for ending, kind in CONTENT_TYPES.items())
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n'
        f'<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">{"".join(lines)}</Types>\n'
    )


if __name__ == "__main__":
    sys.exit(main())
