"""`python -m medfocus install FILE`: makes the methods of a Python file known to the host."""

import argparse
import hashlib
import json
import os
import shutil
import sys
from pathlib import Path

from ._serve import load, serve

EPOCH = 1


def describe(file, version="0.0.0"):
    """What the host must know of the methods of a Python file."""
    methods = load(file)
    manifest = {
        "name": file.stem.replace("_", "-"),
        "version": version,
        "abi_epoch": EPOCH,
        "target": "any",
        "api_version": "0.1.0",
        "components": [method.manifest() for method in methods.values()],
    }
    command = [sys.executable, "-m", "medfocus", "serve", file.name]
    # What signs the description signs the file.
    digests = {file.name: hashlib.sha256(file.read_bytes()).hexdigest()}
    return {"manifest": manifest, "command": command, "files": [file.name], "sha256": digests}


def install(file, folder):
    """Copies the file to a folder of plugins, and writes beside it what describes it."""
    text = json.dumps(describe(file), indent=2) + "\n"
    folder.mkdir(parents=True, exist_ok=True)
    for name, write in [
        (file.name, lambda path: shutil.copyfile(file, path)),
        (f"{file.stem}.medfocus.json", lambda path: path.write_text(text)),
    ]:
        new = folder / f".writing-{name}"
        write(new)
        os.replace(new, folder / name)
    return folder / f"{file.stem}.medfocus.json"


def _own():
    """Where the host looks for the user's own plugins."""
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share"
    return Path(data) / "medfocus/plugins"


def main():
    parser = argparse.ArgumentParser(prog="python -m medfocus", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    adding = commands.add_parser("install", help="copy a file of methods to a folder of plugins")
    adding.add_argument("file", type=Path)
    adding.add_argument("--to", type=Path, default=_own(), help="folder of plugins [default: the user's own]")
    serving = commands.add_parser("serve", help="for the host: run the methods of a file")
    serving.add_argument("file", type=Path)
    options = parser.parse_args()
    if options.command == "serve":
        return serve(options.file)
    if not options.file.is_file():
        raise SystemExit(f"there is no file {options.file}")
    print(f"written: {install(options.file, options.to)}")


if __name__ == "__main__":
    main()
