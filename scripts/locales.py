"""Writes locales/en/nodeDefs.json from the nodes' own texts, as a running ComfyUI describes them.

``python -m scripts.locales URL`` asks the server at URL (default http://127.0.0.1:8188), which must have this pack.
Translations into other languages translate this file.
"""

from __future__ import annotations

import json
import sys
import urllib.request
from pathlib import Path
from typing import Any

CATEGORY = "Text2Cinemagraph"
FILE = Path(__file__).resolve().parent.parent / "locales" / "en" / "nodeDefs.json"


def node_definitions(object_info: dict[str, Any]) -> dict[str, Any]:
    """The contents of nodeDefs.json for every node of this pack in /object_info."""
    ours = {name: node for name, node in object_info.items() if node.get("category") == CATEGORY}
    return {name: _definition(node) for name, node in sorted(ours.items())}


def _definition(node: dict[str, Any]) -> dict[str, Any]:
    inputs = {**node["input"].get("required", {}), **node["input"].get("optional", {})}
    outputs = zip(node["output_name"], node["output_tooltips"], strict=True)
    return {
        "display_name": node["display_name"],
        "description": node["description"],
        "inputs": {name: {"name": name, "tooltip": options["tooltip"]} for name, (_, options) in inputs.items()},
        "outputs": {str(i): {"name": name, "tooltip": tooltip} for i, (name, tooltip) in enumerate(outputs)},
    }


def as_text(definitions: dict[str, Any]) -> str:
    """The file's exact text."""
    return json.dumps(definitions, indent=2, ensure_ascii=False) + "\n"


def main(arguments: list[str]) -> None:
    """Ask the server and write the file."""
    url = (arguments or ["http://127.0.0.1:8188"])[0]
    with urllib.request.urlopen(f"{url.rstrip('/')}/object_info", timeout=30) as answer:
        definitions = node_definitions(json.load(answer))
    if not definitions:
        sys.exit(f"ComfyUI at {url} has no nodes of this pack.")
    FILE.write_text(as_text(definitions), encoding="utf-8")
    print(f"{FILE}: {len(definitions)} nodes")


if __name__ == "__main__":
    main(sys.argv[1:])
