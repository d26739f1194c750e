"""``python -m t2c_core``: the library on the command line."""

from __future__ import annotations

import argparse
import importlib
import os
import sys

from ..errors import InputError

COMMANDS = {
    "animate": "make a picture move",
    "generate": "make a moving picture from a prompt",
    "batch": "make a loop of every row of a manifest, on all cores or on a cluster",
    "measure": "measure a finished loop: seam, still parts, contrast, sharpness, motion",
    "convert": "turn a published checkpoint into a .safetensors file",
    "paint": "paint a photograph",
}
"""Name -> help. The module of that name has ``add_arguments(parser)`` and ``run(args) -> exit code``, and where options
bear other names than the core's arguments, INPUT_NAMES from these to those."""


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    """The options of one sub-command; ``run`` is what runs it. Raises InputError for a value out of range."""
    parser = argparse.ArgumentParser(prog="t2c", description="Seamless cinemagraphs from any picture.")
    subparsers = parser.add_subparsers(required=True, metavar="command")
    for name, text in COMMANDS.items():
        command = subparsers.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        if arguments[:1] == [name]:  # the others' libraries take seconds to import
            module = importlib.import_module(f".{name}", __package__)
            module.add_arguments(command)
            command.set_defaults(run=module.run, input_names=getattr(module, "INPUT_NAMES", {}))
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Run one sub-command; a wrong input becomes one sentence on stderr and exit code 2."""
    if arguments is None:  # the process is this command's alone
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    names: dict[str, str] = {}
    try:
        args = parse_arguments(sys.argv[1:] if arguments is None else arguments)
        names = args.input_names
        return args.run(args)
    except InputError as error:
        named = InputError(names.get(error.input, error.input), error.problem, error.remedy)
        print(f"t2c_core: {named}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"t2c_core: {error.strerror or error}: {error.filename or ''}".rstrip(": "), file=sys.stderr)
        return 2
    except (MemoryError, RuntimeError) as error:
        from ..memory import is_out_of_memory, memory_error

        if not is_out_of_memory(error):
            raise
        print(f"t2c_core: {memory_error('this', error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("t2c_core: interrupted; nothing was written.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
