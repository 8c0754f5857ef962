"""The code that the audit expects on the chain is the code that a deployment puts there."""

from dataclasses import replace

from chain_devnet import DevnetServer
from ledgerfed.audit.contract import contract_code, contract_code_hash, contract_source
from ledgerfed.ledger import LedgerGateway, demo_key, deploy
from ledgerfed.protocol.hashing import keccak


def test_a_deployed_contract_has_exactly_the_code_that_its_configuration_implies(walked):
    config, model, reputations = walked.config, keccak(b"model"), keccak(b"reputations")
    signer = demo_key(7, 100)
    with DevnetServer(fund={f"0x{signer.address.hex()}": 10**21}) as server:
        deployed = deploy(server.url, signer, config, walked.members, model, reputations)
        code = LedgerGateway.connect(server.url, deployed.federation.contract).code()
    assert code == contract_code(config)
    assert keccak(code) == contract_code_hash(config)


def test_every_constant_of_the_contract_changes_the_code(walked):
    config = walked.config
    others = [
        replace(config, depth=4),
        replace(config, leaves_on_chain=True),
        *(
            replace(config, windows=replace(config.windows, **{name: 17}))
            for name in ("commit", "force", "score", "certify", "challenge")
        ),
    ]
    assert len({contract_code_hash(other) for other in (config, *others)}) == len(others) + 1


def test_what_an_epoch_may_change_does_not_change_the_code(walked):
    config = walked.config
    later = replace(config, committee=(0, 2, 3), min_updates=3, name="another")
    assert contract_code_hash(later) == contract_code_hash(config)


def test_the_report_can_say_which_compiler_made_it():
    assert contract_source().startswith("vyper 0.4.3 of RoundLedger.vy 0x")
