"""Which signatures make a certificate (threats N9, V4; EIP-2 and EIP-712)."""

import pytest
from chains import stranger
from deployed_ledger import deploy

from ledgerfed.ledger.compile import SOURCE
from ledgerfed.protocol import transcript as reference
from ledgerfed.protocol.federation import Federation
from ledgerfed.protocol.hashing import keccak
from ledgerfed.protocol.signature import address_of, sign_digest
from ledgerfed.protocol.typed_data import certificate_digest

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
OUTCOME = (keccak(b"manifest"), keccak(b"new model"), keccak(b"new reputations"))
SENDER = address_of(stranger(b"anybody"))


@pytest.fixture
def scored(ledger):
    return bring(ledger)


def bring(ledger):
    for name, arguments in (("seal", (keccak(b"root"), 3)), ("scores", (keccak(b"scores"),))):
        ledger.evm.block = ledger.state()["end"] + 1
        ledger.transact(name, 1, *arguments, sender=ledger.relayer())
    return ledger


def sign(ledger, indices, federation=None, round_number=1):
    t = reference.after_certify(ledger.view("transcript"), 1, *OUTCOME)
    digest = certificate_digest(federation or ledger.federation, round_number, t)
    return [sign_digest(ledger.keys[i], digest) for i in indices]


def certify(ledger, signatures):
    return ledger.transact("certify", 1, *OUTCOME, b"".join(signatures), sender=SENDER)


@pytest.mark.parametrize("signers", [(0, 1, 2), (0, 2, 3), (1, 2, 3), (0, 1, 2, 3)])
def test_any_quorum_of_the_committee_certifies(scored, signers):
    certify(scored, sign(scored, signers))
    assert scored.state()["round"] == 2


def test_all_of_the_largest_committee_may_sign(deploy_ledger):
    ledger = bring(deploy_ledger(nodes=31, committee=31, depth=5))
    certify(ledger, sign(ledger, range(31)))
    assert ledger.state()["round"] == 2


@pytest.mark.threat("V4")
@pytest.mark.parametrize("count", [0, 1, 2])
def test_fewer_than_the_quorum_do_not_certify(scored, reverts, count):
    with reverts("fewer signatures than the quorum"):
        certify(scored, sign(scored, range(count)))


@pytest.mark.threat("V4")
@pytest.mark.parametrize("signers", [(0, 1, 1), (0, 0, 1), (0, 2, 1), (2, 1, 0)])
def test_a_signer_counts_once_and_in_order(scored, reverts, signers):
    with reverts("not in ascending order"):
        certify(scored, sign(scored, signers))


@pytest.mark.parametrize("stranger", [4, 5])
def test_a_node_that_is_not_on_the_committee_does_not_count(deploy_ledger, reverts, stranger):
    ledger = bring(deploy_ledger(nodes=6))
    with reverts("a signer is not on the committee"):
        certify(ledger, sign(ledger, (0, 1, stranger)))


def test_an_outsider_does_not_count(scored, reverts):
    t = reference.after_certify(scored.view("transcript"), 1, *OUTCOME)
    foreign = sign_digest(keccak(b"outsider"), certificate_digest(scored.federation, 1, t))
    with reverts("a signer is not on the committee"):
        certify(scored, [*sign(scored, (0, 1)), foreign])


def test_every_signature_must_hold_not_only_a_quorum_of_them(scored, reverts):
    with reverts("a signature recovers to nobody"):
        certify(scored, [*sign(scored, (0, 1, 2)), bytes(65)])


def test_a_malleated_signature_is_refused(scored, reverts):
    first, second, third = sign(scored, (0, 1, 2))
    s = ORDER - int.from_bytes(third[32:64], "big")
    malleated = third[:32] + s.to_bytes(32, "big") + bytes([55 - third[64]])
    with reverts("a signature has a high s"):
        certify(scored, [first, second, malleated])


def test_the_bound_of_a_low_s_is_half_the_group_order():
    statements = SOURCE.with_name("statements.vy").read_text("utf-8")
    assert f"HALF_ORDER: constant(uint256) = {ORDER // 2}\n" in statements


@pytest.mark.parametrize("v", [0, 1, 26, 29, 255])
def test_another_recovery_number_recovers_to_nobody(scored, reverts, v):
    first, second, third = sign(scored, (0, 1, 2))
    with reverts("a signature recovers to nobody"):
        certify(scored, [first, second, third[:64] + bytes([v])])


@pytest.mark.parametrize("cut", [1, 64])
def test_a_signature_of_another_length_is_refused(scored, reverts, cut):
    with reverts("a signature is not 65 bytes long"):
        certify(scored, [b"".join(sign(scored, (0, 1, 2, 3)))[:-cut]])


@pytest.mark.parametrize("changed", [0, 1, 2])
def test_signatures_hold_for_one_outcome_only(scored, reverts, changed):
    outcome = [*OUTCOME]
    outcome[changed] = keccak(b"another")
    with reverts("not on the committee"):
        scored.transact("certify", 1, *outcome, b"".join(sign(scored, (0, 1, 2))), sender=SENDER)


@pytest.mark.threat("N9")
@pytest.mark.parametrize("replay", ["round", "contract", "chain"])
def test_signatures_of_another_round_contract_or_chain_are_refused(scored, reverts, replay):
    federation = {
        "round": scored.federation,
        "contract": Federation(31337, keccak(b"other contract")[-20:]),
        "chain": Federation(1, scored.address),
    }[replay]
    signatures = sign(scored, (0, 1, 2), federation, 2 if replay == "round" else 1)
    with reverts("not on the committee"):
        certify(scored, signatures)


@pytest.mark.threat("N9")
def test_a_fork_with_another_chain_id_refuses_the_signatures_of_this_one(local_evm, reverts):
    scored = bring(deploy(local_evm()))  # no chain changes its chain id for a test
    signatures = sign(scored, (0, 1, 2))
    scored.evm.chain_id = 10_001
    with reverts("not on the committee"):
        certify(scored, signatures)
    scored.evm.chain_id = 31_337
    certify(scored, signatures)
