"""``python -m elulayer``: the same as the command ``elulayer``."""

from .cli import main

if __name__ == "__main__":
    raise SystemExit(main())
