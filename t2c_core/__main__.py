"""``python -m t2c_core``: the library on the command line."""

from __future__ import annotations

import argparse
import sys

from . import cli_animate, cli_convert, cli_generate, cli_measure, cli_paint
from .errors import InputError


def main(arguments: list[str] | None = None) -> int:
    """Run one sub-command; a wrong input becomes one sentence on stderr and exit code 2."""
    parser = argparse.ArgumentParser(prog="t2c_core", description="Seamless cinemagraphs from any picture.")
    subparsers = parser.add_subparsers(required=True, metavar="command")
    cli_animate.add_parser(subparsers)
    cli_generate.add_parser(subparsers)
    cli_measure.add_parser(subparsers)
    cli_convert.add_parser(subparsers)
    cli_paint.add_parser(subparsers)
    args = parser.parse_args(arguments)
    try:
        return args.run(args)
    except InputError as error:
        print(f"t2c_core: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"t2c_core: {error.strerror or error}: {error.filename or ''}".rstrip(": "), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("t2c_core: interrupted; nothing was written.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
