import pytest

from ledgerfed.errors import NotFoundError
from ledgerfed.ledger import TransactionKind
from ledgerfed.ledger.inspection import observe_transaction
from ledgerfed.ledger.rpc import JsonRpc
from ledgerfed.protocol.hashing import keccak

OUTCOME = (keccak(b"manifest"), keccak(b"new model"), keccak(b"new reputations"))


def test_transactions_say_what_they_were_and_a_certificate_keeps_its_signatures(scene):
    gateway, rpc = scene.gateway(), JsonRpc(scene.url)
    mined = [scene.seal(gateway), scene.score(gateway)]
    signatures = scene.certificate(gateway)
    mined.append(gateway.certify(scene.nodes[0], 1, *OUTCOME, signatures))
    mined.append(scene.deployment.transaction)
    for transaction in mined:
        seen = observe_transaction(rpc, transaction.hash)
        assert (seen.kind, seen.gas_used) == (transaction.kind, transaction.gas_used)
        assert seen.sender == transaction.sender
        certifies = transaction.kind is TransactionKind.CERTIFY
        assert seen.signatures == (tuple(signatures) if certifies else ())
    with pytest.raises(NotFoundError, match="no transaction 0x"):
        observe_transaction(rpc, keccak(b"no transaction"))
