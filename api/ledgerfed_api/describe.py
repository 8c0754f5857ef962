"""Writes openapi.json anew, with the examples in examples.json: `python -m ledgerfed_api.describe`."""

from __future__ import annotations

from pathlib import Path

from ledgerfed_api.application import bare_app
from ledgerfed_api.openapi import rendered

if __name__ == "__main__":
    Path(__file__).with_name("openapi.json").write_text(rendered(bare_app()), encoding="utf-8")
