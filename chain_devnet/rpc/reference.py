"""The table of methods in docs/devnet.md, made from the methods themselves.

`python -m chain_devnet.rpc.reference docs/devnet.md` writes it anew.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from chain_devnet.rpc.dispatch import METHODS
from chain_devnet.rpc.subscriptions import Subscriptions

BEGIN = "<!-- methods: made by python -m chain_devnet.rpc.reference docs/devnet.md -->\n"
END = "<!-- end of methods -->\n"

SESSION: Mapping[str, Callable[..., object]] = {
    "eth_subscribe": Subscriptions.subscribe,
    "eth_unsubscribe": Subscriptions.unsubscribe,
}


def method_table() -> str:
    """Markdown: every method, by namespace and name, with the first sentence of its docstring."""
    named = {**METHODS, **SESSION}
    alike: dict[str, list[str]] = {}
    for name in sorted(named):
        alike.setdefault(_sentence(named[name], name in SESSION), []).append(f"`{name}`")
    rows = [f"| {', '.join(names)} | {sentence} |" for sentence, names in alike.items()]
    return "\n".join(["| method | what it does |", "|---|---|", *rows, ""])


def renewed(page: str) -> str:
    """`page` with its table of methods as it is now."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{method_table()}{END}{after}"


def _sentence(method: Callable[..., object], lasting: bool) -> str:
    first = (method.__doc__ or "").strip().splitlines()[0]
    return f"{first.removesuffix('.')} (websocket only)." if lasting else first


if __name__ == "__main__":
    file = Path(sys.argv[1])
    file.write_text(renewed(file.read_text("utf-8")), "utf-8")
