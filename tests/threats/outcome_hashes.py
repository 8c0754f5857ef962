"""What a round comes to, by every rule that weighs updates, and a Gram matrix large enough for threads.

`python tests/threats/outcome_hashes.py ORDER` (forward, reverse or shuffled) prints a JSON object of hashes.
A program, so that each run has the number of BLAS threads and the seed of Python's hashes that it is given.
"""

from __future__ import annotations

import json
import random
import sys
from dataclasses import replace

import numpy as np
from consensus.conftest import make_scene

from ledgerfed.aggregation.gram import gram
from ledgerfed.consensus import PastUpdate, decide
from ledgerfed.protocol.hashing import keccak
from ledgerfed.protocol.rule import DECLARATIONS, Aggregation, Rule


def ordered(rows: list, order: str) -> list:
    """The rows in another order."""
    if order == "shuffled":
        random.Random(7).shuffle(rows)
    return rows[::-1] if order == "reverse" else rows


def main(order: str) -> None:
    scene = make_scene(nodes=12, committee=7, depth=4)
    liar = scene.update(5)
    scene = scene.send(5, replace(liar, z=tuple(-v // 2 for v in liar.z)))
    past = [PastUpdate(number, index, scene.update(index)) for number in (3, 4) for index in range(12)]
    found = {}
    for rule in Rule:
        if not DECLARATIONS[rule].weighs:
            continue
        by = Aggregation(rule, 0 if rule is Rule.MEAN else 2)
        given = replace(scene, config=replace(scene.config, aggregation=by, min_updates=8)).given()
        payloads = dict(ordered([*given.payloads.items()], order))
        history = tuple(ordered(past, order))
        outcome = decide(replace(given, payloads=payloads, history=history))
        found[rule.value] = outcome.manifest().hash().hex()
    rows = np.random.default_rng(3).integers(1 - (1 << 17), 1 << 17, size=(200, 3000), dtype=np.int32)
    places = ordered([*range(200)], order)
    products = np.empty((200, 200), dtype=np.int64)
    products[np.ix_(places, places)] = gram(rows[places])
    found["gram"] = keccak(products.tobytes()).hex()
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1])
