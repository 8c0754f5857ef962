"""The outbox of a process that is killed, not one that leaves in order (threats K1 to K8)."""

import signal
import subprocess
import sys
import textwrap

import pytest

from ledgerfed.ledger import OutboxState
from ledgerfed.ledger.events import Sealed
from ledgerfed.protocol.hashing import keccak

PROGRAM = textwrap.dedent("""
    import os, signal, sys
    from pathlib import Path
    from ledgerfed.ledger import LedgerGateway, demo_key
    from ledgerfed.store import open_store

    url, contract, directory, index, state = sys.argv[1:]
    outbox = open_store(Path(directory)).outbox
    update = outbox.update

    def update_and_die(row, expected_state):
        if row.state == state:
            if state == "signed":
                update(row, expected_state)
            os.kill(os.getpid(), signal.SIGKILL)
        update(row, expected_state)

    outbox.update = update_and_die
    gateway = LedgerGateway.connect(url, bytes.fromhex(contract), outbox)
    gateway.seal(demo_key(7, int(index)), 1, bytes.fromhex(sys.argv[2]).rjust(32, b"r"), 3)
""")


@pytest.mark.threat("K1-K8")
@pytest.mark.parametrize("state", ["signed", "sent"])
def test_a_killed_process_leaves_one_transaction_after_the_restart(scene, state):
    gateway = scene.gateway()
    gateway.wait_for_block(gateway.state().end)
    relayer = scene.relayer(gateway)
    contract = scene.deployment.federation.contract
    arguments = [scene.url, contract.hex(), scene.store_directory, scene.nodes.index(relayer), state]
    killed = subprocess.run([sys.executable, "-c", PROGRAM, *map(str, arguments)], check=False, timeout=60)
    assert killed.returncode == -signal.SIGKILL
    row = scene.row(relayer, "seal")
    assert row.state == OutboxState.SIGNED

    mined = gateway.seal(relayer, 1, contract.rjust(32, b"r"), 3)
    assert mined.hash == row.tx_hash == keccak(row.raw)
    found = gateway.read_events(scene.deployment.transaction.block_number, gateway.block_number())
    assert [event.at.tx_hash for event in found if isinstance(event, Sealed)] == [mined.hash]
