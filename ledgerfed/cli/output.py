"""What a command says: lines for people, or one JSON object, on stdout; everything else on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from typing import Any


def emit(document: Mapping[str, Any], *, as_json: bool, lines: Iterable[str]) -> None:
    """Print the document as one line of JSON, or the lines."""
    if as_json:
        sys.stdout.write(json.dumps(document, sort_keys=False) + "\n")
    else:
        sys.stdout.writelines(f"{line}\n" for line in lines)
    sys.stdout.flush()
