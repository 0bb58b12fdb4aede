"""Run the command `calwatch`, or say what is missing to run it."""

import sys


def main() -> None:
    """Run the command."""
    try:
        from .cli.main import run  # noqa: PLC0415 - an installation of the client alone has none of it
    except ModuleNotFoundError as error:
        sys.exit(f"calwatch: {error.name} is not installed; the server needs: pip install 'calwatch[server]'")
    run()


if __name__ == "__main__":
    main()
