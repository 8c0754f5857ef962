# pragma version 0.4.3
# pragma evm-version cancun
# pragma optimize gas
# SPDX-License-Identifier: Apache-2.0
"""
@title RoundLedger: the state machine of one federation
@license Apache-2.0
@notice Orders the rounds of a federation that trains forecasters together with no trusted server. A round takes
    three transactions however many nodes there are: seal the root of the leaves, anchor the root of the score
    commitments, certify the outcome with a quorum of signatures. Every transition extends the transcript, one
    running hash: equal transcripts mean equal histories. Bytes and rules: docs/protocol.md.
@dev Nobody moves a phase except by these rules: the owner, if there is one, may only propose what the next epoch
    changes, and hand over. A round writes two words, the packed state and the transcript; all else is in events.
    Deadlines are block numbers, never times. A round ends CERTIFIED or ABORTED, and the packed state then already
    says OPEN for the next one. Whoever breaks its word can be removed by anyone with a proof (the challenges).
"""

import registry
import statements
import tree

# Phases and kinds of transition are hashed and stored: never renumber them.
OPEN: constant(uint256) = 0
SEALED: constant(uint256) = 1
SCORED: constant(uint256) = 2
# CERTIFIED = 3 and ABORTED = 4 are how a round ended.
DISPUTED: constant(uint256) = 5  # the phase that Aborted names when a challenge left fewer members than the quorum

SEAL: constant(uint256) = 1
FORCE: constant(uint256) = 2
SCORES: constant(uint256) = 3
CERTIFY: constant(uint256) = 4
DISPUTE: constant(uint256) = 5
ABORT: constant(uint256) = 6
EPOCH: constant(uint256) = 7

# What a culprit is proven to have done.
TWO_LEAVES: constant(uint256) = 1
TWO_RECEIPTS: constant(uint256) = 2
TWO_COMMITMENTS: constant(uint256) = 3
TWO_CERTIFICATES: constant(uint256) = 4
BROKEN_RECEIPT: constant(uint256) = 5
DOUBLED_INDEX: constant(uint256) = 6
WRONG_MEDIAN: constant(uint256) = 7

MAX_WINDOW: constant(uint256) = 2**24 - 1
MAX_TAIL: constant(uint256) = 64 * 160
# A one in each of four lanes of 64 bits.
LANES: constant(uint256) = 1 + 2**64 + 2**128 + 2**192

# Order of the windows, in blocks.
COMMIT_WINDOW: constant(uint256) = 0
FORCE_WINDOW: constant(uint256) = 1
SCORE_WINDOW: constant(uint256) = 2
CERTIFY_WINDOW: constant(uint256) = 3
CHALLENGE_WINDOW: constant(uint256) = 4

# Packed state, round in the lowest bits: round32 | phase8 | end40 | n32 | forced16 | epoch16 | attempt8 | committee8 |
# min_updates16 | notice8 | sealer8 | signers32 | removed32. `sealer` is a seat, `signers` (of the last certificate)
# and `removed` are bit masks of seats. `notice` says whether an epoch is announced (1) or due (2).
PHASE_AT: constant(uint256) = 32
END_AT: constant(uint256) = 40
N_AT: constant(uint256) = 80
FORCED_AT: constant(uint256) = 112
EPOCH_AT: constant(uint256) = 128
ATTEMPT_AT: constant(uint256) = 144
COMMITTEE_AT: constant(uint256) = 152
MIN_UPDATES_AT: constant(uint256) = 160
NOTICE_AT: constant(uint256) = 176
SEALER_AT: constant(uint256) = 184
SIGNERS_AT: constant(uint256) = 192
REMOVED_AT: constant(uint256) = 224
ANNOUNCED: constant(uint256) = 1
DUE: constant(uint256) = 2
# What a new phase keeps of the packed state: all above `end`, in SEALED, or without attempt and signers.
FROM_N: constant(uint256) = (2**176 - 1) << 80
SIGNERS_MASK: constant(uint256) = (2**32 - 1) << 192
OF_A_SEAL: constant(uint256) = ((2**48 - 1) << 80) | ((2**8 - 1) << 184) | SIGNERS_MASK
OF_AN_ATTEMPT: constant(uint256) = ((2**8 - 1) << 144) | SIGNERS_MASK


struct State:
    round: uint256
    phase: uint256
    end: uint256
    n: uint256
    forced: uint256
    epoch: uint256
    attempt: uint256
    committee: uint256
    min_updates: uint256
    notice: uint256
    sealer: uint256
    signers: uint256
    removed: uint256


struct Node:
    index: uint256
    joined: uint256
    last_forced: uint256
    seat: uint256
    removed: bool


event Genesis:
    config_hash: bytes32
    registry_hash: bytes32
    model: bytes32
    reputations: bytes32
    transcript: bytes32
    committee: DynArray[uint256, registry.MAX_COMMITTEE]
    depth: uint256
    windows: uint256[5]
    min_updates: uint256
    leaves_on_chain: bool


event Sealed:
    round: indexed(uint256)
    root: bytes32
    n: uint256
    relayer: address
    transcript: bytes32


event Forced:
    round: indexed(uint256)
    index: indexed(uint256)
    leaf: bytes32
    transcript: bytes32


event Scored:
    round: indexed(uint256)
    root: bytes32
    relayer: address
    transcript: bytes32


event Certified:
    round: indexed(uint256)
    manifest: bytes32
    model: bytes32
    reputations: bytes32
    transcript: bytes32


event Aborted:
    round: indexed(uint256)
    phase: uint256
    transcript: bytes32


event Disputed:
    round: indexed(uint256)
    fault: uint256
    culprits: uint256
    proof: bytes32
    contested: bool
    transcript: bytes32


event EpochProposed:
    epoch: indexed(uint256)
    change: Bytes[registry.MAX_CHANGE]


event EpochOpened:
    epoch: indexed(uint256)
    round: uint256
    config_hash: bytes32
    change_hash: bytes32
    transcript: bytes32


event OwnershipProposed:
    owner: indexed(address)
    successor: indexed(address)


event OwnershipTransferred:
    previous: indexed(address)
    owner: indexed(address)


# The clock and the trees of a federation never change; what an epoch may change is in storage.
DEPTH: immutable(uint256)
WINDOWS: immutable(uint256[5])
LEAVES_ON_CHAIN: immutable(bool)

_packed: uint256
_transcript: bytes32
initializes: registry
_config_hash: bytes32
_proposal: bytes32
_owner: address
_successor: address


@deploy
def __init__(
    config_hash: bytes32,
    model: bytes32,
    reputations: bytes32,
    members: DynArray[address, registry.MAX_MEMBERS],
    committee: DynArray[uint256, registry.MAX_COMMITTEE],
    depth: uint256,
    windows: uint256[5],
    min_updates: uint256,
    leaves_on_chain: bool,
    owner: address,
):
    """
    @notice Starts a federation in round 1, phase OPEN; its first commit window begins with this block.
    @param config_hash Hash of the configuration document
    @param model Hash of the model that the first round starts from
    @param reputations Root of the reputation tree at genesis
    @param members Addresses by registry index
    @param committee Registry indices of the committee of epoch 0, ascending
    @param depth Depth of the Merkle trees; 2^depth positions
    @param windows Blocks to commit, force, score, certify and challenge; only force and challenge may be 0
    @param min_updates Fewest leaves that a round may be sealed with
    @param leaves_on_chain Whether a seal must carry all leaves as calldata
    @param owner Who may propose the next epoch; zero for a federation that never changes
    """
    count: uint256 = len(members)
    assert depth <= tree.MAX_DEPTH, "the depth is more than 20"
    assert count <= 1 << depth, "the members do not fit a tree of this depth"
    for i: uint256 in range(5):
        assert windows[i] <= MAX_WINDOW, "a window is longer than 2^24 - 1 blocks"
        # Nobody can force in a force window of 0 blocks unless in the block of the seal: the configuration's choice.
        assert windows[i] >= 1 or i == FORCE_WINDOW or i == CHALLENGE_WINDOW, "a window has no blocks"

    DEPTH = depth
    WINDOWS = windows
    LEAVES_ON_CHAIN = leaves_on_chain
    self._config_hash = config_hash
    self._owner = owner

    registry.__init__(members)
    registry.require_committee(committee, count, min_updates, count)
    registry.seat(committee)

    registry_hash: bytes32 = keccak256(concat(b"LF1N", abi_encode(members, ensure_tuple=False)))
    t: bytes32 = keccak256(
        concat(
            b"LF1G",
            convert(chain.id, bytes32),
            convert(self, bytes32),
            config_hash,
            registry_hash,
            model,
            reputations,
        )
    )
    self._transcript = t
    self._packed = 1 | (block.number << END_AT) | (len(committee) << COMMITTEE_AT) | (min_updates << MIN_UPDATES_AT)
    log Genesis(
        config_hash=config_hash,
        registry_hash=registry_hash,
        model=model,
        reputations=reputations,
        transcript=t,
        committee=committee,
        depth=depth,
        windows=windows,
        min_updates=min_updates,
        leaves_on_chain=leaves_on_chain,
    )
    log OwnershipTransferred(previous=empty(address), owner=owner)


# ---- transitions ----


@external
def seal(round: uint256, root: bytes32, n: uint256):
    """
    @notice Anchors the root of the leaves of a round. The relayer of the turn sends it; in the second half of
        the commit window any committee member may.
    @param round The current round
    @param root Root of the positional Merkle tree of leaves
    @param n Number of leaves in the tree
    """
    self._require_root(root)
    self._seal(round, root, n, False)


@external
def seal_leaves(round: uint256, leaves: DynArray[bytes32, registry.MAX_MEMBERS]):
    """
    @notice Seals a round with its leaves in the calldata, where everybody finds them as long as the chain has its
        history. Who may send it and when: as for seal.
    @param round The current round
    @param leaves Leaves by registry index, empty where a node has none
    """
    n: uint256 = 0
    for leaf: bytes32 in leaves:
        if leaf != empty(bytes32):
            n += 1
    self._seal(round, tree.root(leaves, DEPTH), n, True)


@external
def force(round: uint256, leaf: bytes32):
    """
    @notice Puts in the sender's own leaf, which the relayer left out. Once a round for each registered node, until the
        force window ends.
    @param round The current round
    @param leaf The sender's leaf
    """
    packed: uint256 = self._packed
    self._require_round(packed, round)
    self._require_phase(packed, SEALED)
    assert block.number <= self._end(packed), "the force window has ended"
    registered: uint256 = registry.require_word(msg.sender)
    assert registry.last_forced(registered) != round, "the node has forced a leaf in this round already"
    assert leaf != empty(bytes32), "the leaf is empty"
    index: uint256 = registry.position_of(registered) - 1
    t: bytes32 = keccak256(abi_encode(self._transcript, FORCE, round, index, leaf))
    registry.words[msg.sender] = (registered & ~((2**32 - 1) << registry.LAST_FORCED_AT)) | (round << registry.LAST_FORCED_AT)
    self._transcript = t
    self._packed = packed + (1 << FORCED_AT)
    log Forced(round=round, index=index, leaf=leaf, transcript=t)


@external
def scores(round: uint256, root: bytes32):
    """
    @notice Anchors the root of the score commitments, after the force window. The relayer of the turn sends it; in the
        second half of the score window any committee member may.
    @param round The current round
    @param root Root of the positional Merkle tree of score commitments
    """
    packed: uint256 = self._packed
    t: bytes32 = self._transcript
    self._require_round(packed, round)
    self._require_phase(packed, SEALED)
    seat: uint256 = self._require_turn(packed, t, WINDOWS[SCORE_WINDOW])
    self._require_root(root)
    t = keccak256(abi_encode(t, SCORES, round, root))
    self._transcript = t
    self._packed = (
        round | (SCORED << PHASE_AT) | ((block.number + WINDOWS[CERTIFY_WINDOW]) << END_AT) | (packed & FROM_N)
    )
    log Scored(round=round, root=root, relayer=msg.sender, transcript=t)


@external
def certify(
    round: uint256,
    manifest: bytes32,
    model: bytes32,
    reputations: bytes32,
    signatures: Bytes[statements.SIGNATURE_BYTES * registry.MAX_COMMITTEE],
):
    """
    @notice Ends a round with its outcome, signed by a quorum of the committee over the transcript that includes
        it. Anybody may send it. The next round can be sealed when the challenge window is over.
    @param round The current round
    @param manifest Hash of the document of all that the round decided
    @param model Hash of the new model
    @param reputations Root of the new reputation tree
    @param signatures 65 bytes r, s, v each, by ascending committee index
    """
    packed: uint256 = self._packed
    self._require_round(packed, round)
    self._require_phase(packed, SCORED)
    assert block.number <= self._end(packed), "the certify window has ended"
    t: bytes32 = keccak256(abi_encode(self._transcript, CERTIFY, round, manifest, model, reputations))
    signers: uint256 = self._require_quorum(packed, statements.certificate_digest(round, t), signatures)
    self._transcript = t
    self._packed = self._opened(packed, block.number + WINDOWS[CHALLENGE_WINDOW]) | (signers << SIGNERS_AT)
    log Certified(round=round, manifest=manifest, model=model, reputations=reputations, transcript=t)


@external
def abort(round: uint256):
    """
    @notice Gives up a round whose deadline has passed; model and reputations stay as they were. Anybody may
        send it.
    @param round The current round
    """
    packed: uint256 = self._packed
    self._require_round(packed, round)
    phase: uint256 = self._phase(packed)
    deadline: uint256 = self._end(packed)
    if phase == OPEN:
        deadline += WINDOWS[COMMIT_WINDOW]
    elif phase == SEALED:
        deadline += WINDOWS[SCORE_WINDOW]
    assert block.number > deadline, "the deadline of the phase has not passed"
    self._abort(packed, self._transcript, phase)


# ---- challenges: anyone proves that somebody broke its word ----
# A challenge removes the culprit until the next epoch and extends the transcript. A certified round that the fault
# belongs to goes back to SCORED while its challenge window lasts, a round in SCORED gets a new certify window; a round
# that is left with fewer members than the quorum aborts. Nobody is removed twice. Honest nodes sign one statement of
# a kind for one transcript, whatever happens (docs/protocol.md, "Word"), so no proof against them exists.


@external
def challenge_statements(
    fault: uint256,
    round: uint256,
    index: uint256,
    transcript: bytes32,
    subjects: bytes32[2],
    deadlines: uint256[2],
    signature: Bytes[statements.SIGNATURE_BYTES],
    other: Bytes[statements.SIGNATURE_BYTES],
):
    """
    @notice Two signed leaves, receipts or score commitments of one signer for one place: equivocation.
    @param fault 1 two leaves, 2 two receipts, 3 two score commitments
    @param round The round that both are for
    @param index The registry index that both are for
    @param transcript The transcript that both are for
    @param subjects The two different leaves or commitments
    @param deadlines The deadlines of two leaves; not used otherwise
    @param signature The first signature: r, s, v
    @param other The second
    """
    assert fault >= TWO_LEAVES and fault <= TWO_COMMITMENTS, "two statements can be leaves, receipts or commitments"
    digests: bytes32[2] = empty(bytes32[2])
    for i: uint256 in range(2):
        if fault == TWO_LEAVES:
            digests[i] = statements.leaf_digest(round, index, subjects[i], transcript, deadlines[i])
        elif fault == TWO_RECEIPTS:
            digests[i] = statements.receipt_digest(round, index, subjects[i], transcript)
        else:
            digests[i] = statements.commitment_digest(round, index, subjects[i], transcript)
    self._remove_equivocator(round, fault, subjects[0] != subjects[1], digests, signature, other)


@external
def challenge_certificates(
    round: uint256,
    transcript: bytes32,
    outcomes: bytes32[3][2],
    signature: Bytes[statements.SIGNATURE_BYTES],
    other: Bytes[statements.SIGNATURE_BYTES],
):
    """
    @notice Two certificates of one signer for different outcomes of one scored transcript: equivocation.
    @param round The round of both
    @param transcript The transcript that both outcomes extend
    @param outcomes Manifest, model and reputations of each
    @param signature The first signature: r, s, v
    @param other The second
    """
    digests: bytes32[2] = empty(bytes32[2])
    for i: uint256 in range(2):
        t: bytes32 = keccak256(abi_encode(transcript, CERTIFY, round, outcomes[i]))
        digests[i] = statements.certificate_digest(round, t)
    self._remove_equivocator(round, TWO_CERTIFICATES, digests[0] != digests[1], digests, signature, other)


@external
def challenge_receipt(
    opened_at: bytes32,
    root: bytes32,
    n: uint256,
    index: uint256,
    receipted: bytes32,
    signature: Bytes[statements.SIGNATURE_BYTES],
    sealed: bytes32,
    path: DynArray[bytes32, tree.MAX_DEPTH],
    tail: Bytes[MAX_TAIL],
):
    """
    @notice The sealer's receipt for a leaf, against the root that it sealed with another leaf or none at that index.
    @param opened_at The transcript as the round opened
    @param root The sealed root
    @param n The sealed number of leaves
    @param index The registry index
    @param receipted The leaf in the receipt
    @param signature The sealer's signature of the receipt, r, s, v
    @param sealed The leaf in the tree, or empty
    @param path The siblings, lowest level first
    @param tail Kind, round and fields of every transition since the seal
    """
    packed: uint256 = self._packed
    round: uint256 = self._sealed_round(packed)
    self._replay(keccak256(abi_encode(opened_at, SEAL, round, root, n)), tail, index, False)
    assert sealed != receipted, "the receipt was honoured"
    assert tree.root_from_path(sealed, index, path, DEPTH) == root, "the path does not lead to the root"
    digest: bytes32 = statements.receipt_digest(round, index, receipted, opened_at)
    signer: address = statements.signer_of(digest, signature)
    assert registry.seat_of(registry.words[signer]) == self._sealer(packed) + 1, "the sealer has not signed this receipt"
    self._remove_one(packed, round, BROKEN_RECEIPT, signer, keccak256(abi_encode(digest, sealed)))


@external
def challenge_doubled(
    opened_at: bytes32,
    root: bytes32,
    n: uint256,
    index: uint256,
    leaf: bytes32,
    deadline: uint256,
    signature: Bytes[statements.SIGNATURE_BYTES],
    tail: Bytes[MAX_TAIL],
):
    """
    @notice A leaf that a node signed, against another one that it forced in the same round.
    @param opened_at The transcript as the round opened
    @param root The sealed root
    @param n The sealed number of leaves
    @param index The registry index of the node
    @param leaf The signed leaf
    @param deadline Its deadline
    @param signature The node's signature, r, s, v
    @param tail Kind, round and fields of every transition since the seal, the forced leaf among them
    """
    packed: uint256 = self._packed
    round: uint256 = self._sealed_round(packed)
    forced: bytes32 = self._replay(keccak256(abi_encode(opened_at, SEAL, round, root, n)), tail, index, False)
    assert forced != empty(bytes32), "the node forced no leaf"
    self._require_differing(forced != leaf)
    digest: bytes32 = statements.leaf_digest(round, index, leaf, opened_at, deadline)
    signer: address = statements.signer_of(digest, signature)
    assert registry.position_of(registry.words[signer]) == index + 1, "the leaf is not signed by its node"
    self._remove_one(packed, round, DOUBLED_INDEX, signer, keccak256(abi_encode(digest, forced)))


@external
def challenge_median(
    scored_at: bytes32,
    outcome: bytes32[3],
    index: uint256,
    reputation: uint256[5],
    median: int256,
    row: Bytes[8 * registry.MAX_COMMITTEE],
    path: DynArray[bytes32, tree.MAX_DEPTH],
    tail: Bytes[MAX_TAIL],
):
    """
    @notice A certified score that is not the lower median of the scores certified with it; removes all who signed.
    @param scored_at The transcript that the certificate extends
    @param outcome Manifest, model and reputations as certified
    @param index The registry index of the update
    @param reputation Its new reputation: a, b, va, vb, quarantined_until
    @param median The certified score
    @param row The scores heard, four bytes each, big-endian, by ascending index of their validators; one that counts
        double stands twice
    @param path The siblings from its leaf to the root of the reputations
    @param tail Kind, round and fields of every transition since the certificate
    """
    packed: uint256 = self._packed
    round: uint256 = self._sealed_round(packed)
    self._require_phase(packed, OPEN)
    self._replay(keccak256(abi_encode(scored_at, CERTIFY, round, outcome)), tail, index, True)
    result: bytes32 = keccak256(concat(b"\x02LF1M", convert(median, bytes32), row))
    leaf: bytes32 = keccak256(
        concat(b"\x00LF1R", convert(index, bytes32), abi_encode(reputation), result)
    )
    assert tree.root_from_path(leaf, index, path, DEPTH) == outcome[2], "the path does not lead to the root"
    assert not self._is_lower_median(median, row), "the certified score is the lower median"
    signers: uint256 = (packed >> SIGNERS_AT) & (2**32 - 1)
    self._dispute(packed, round, WRONG_MEDIAN, signers, signers, leaf)


# ---- epochs and the owner ----


@external
def propose(change: registry.Change):
    """
    @notice Announces what the next epoch changes, in place of an earlier announcement. It can be opened when the
        current round has ended.
    @param change Configuration, committee and changes of the registry
    """
    self._require_owner()
    packed: uint256 = self._packed
    self._require_not_due(packed)
    assert self._epoch(packed) != 2**16 - 1, "the last epoch has begun"
    registry.require_change(change, DEPTH)
    encoded: Bytes[registry.MAX_CHANGE] = registry.encode(change)
    self._proposal = keccak256(encoded)
    self._packed = (packed & ~((2**8 - 1) << NOTICE_AT)) | (ANNOUNCED << NOTICE_AT)
    log EpochProposed(epoch=self._epoch(packed) + 1, change=encoded)


@external
def open_epoch(change: registry.Change):
    """
    @notice Begins the epoch that was announced, once the round in which it was has ended and its challenge window is
        over. Anybody may send it. The commit window begins anew.
    @param change What was announced
    """
    packed: uint256 = self._packed
    assert self._notice(packed) == DUE, "no epoch is due"
    self._require_phase(packed, OPEN)
    self._require_begun(packed)
    change_hash: bytes32 = keccak256(registry.encode(change))
    assert change_hash == self._proposal, "another change was announced"
    round: uint256 = packed & (2**32 - 1)
    epoch: uint256 = self._epoch(packed) + 1
    registry.unseat()
    registry.enrol(change, epoch)
    registry.seat(change.committee)
    self._config_hash = change.config_hash
    self._proposal = empty(bytes32)
    t: bytes32 = keccak256(abi_encode(self._transcript, EPOCH, round, epoch, change_hash))
    self._transcript = t
    self._packed = (
        round
        | (block.number << END_AT)
        | (epoch << EPOCH_AT)
        | (len(change.committee) << COMMITTEE_AT)
        | (change.min_updates << MIN_UPDATES_AT)
    )
    log EpochOpened(
        epoch=epoch, round=round, config_hash=change.config_hash, change_hash=change_hash, transcript=t
    )


@external
def propose_owner(successor: address):
    """
    @notice Names who may take over as owner, in place of an earlier one; zero takes it back.
    @param successor The next owner
    """
    self._require_owner()
    self._successor = successor
    log OwnershipProposed(owner=msg.sender, successor=successor)


@external
def accept_ownership():
    """
    @notice Makes the sender the owner, if the owner has named it.
    """
    assert msg.sender == self._successor, "the sender was not named as the next owner"
    log OwnershipTransferred(previous=self._owner, owner=msg.sender)
    self._owner = msg.sender
    self._successor = empty(address)


# ---- views ----


@external
@view
def transcript() -> bytes32:
    """
    @notice The running hash over all transitions since genesis.
    @return The 32-byte transcript
    """
    return self._transcript


@external
@view
def state() -> State:
    """
    @notice Where the federation stands. The phase is OPEN (0), SEALED (1) or SCORED (2).
    @return Round, phase, block at which the phase's current window ends (or began), sealed and forced leaves (of the
        last seal), epoch, attempt, size of the committee, fewest updates, notice of an epoch (0 none, 1 announced,
        2 due), seat of the sealer, seats of the last certificate's signers while it can be challenged, and of the
        removed members, as bit masks
    """
    packed: uint256 = self._packed
    return State(
        round=packed & (2**32 - 1),
        phase=self._phase(packed),
        end=self._end(packed),
        n=(packed >> N_AT) & (2**32 - 1),
        forced=(packed >> FORCED_AT) & (2**16 - 1),
        epoch=(packed >> EPOCH_AT) & (2**16 - 1),
        attempt=(packed >> ATTEMPT_AT) & (2**8 - 1),
        committee=self._size(packed),
        min_updates=(packed >> MIN_UPDATES_AT) & (2**16 - 1),
        notice=self._notice(packed),
        sealer=self._sealer(packed),
        signers=(packed >> SIGNERS_AT) & (2**32 - 1),
        removed=packed >> REMOVED_AT,
    )


@external
@view
def member(index: uint256) -> address:
    """
    @notice The node at a registry index; reverts beyond the last.
    @param index Registry index from 0
    @return Its address, zero when it has left
    """
    assert index < len(registry.members), "no member has this index"
    return registry.members[index]


@external
@view
def node(member: address) -> Node:
    """
    @notice What the registry says of a node; reverts for anybody else.
    @param member Address of a registered node
    @return Its index, the epoch in which it joined with this key, the last round in which it forced its leaf in (0:
        never), its seat on the committee (from 1; 0: none), and whether a challenge has removed it in this epoch
    """
    word: uint256 = registry.require_word(member)
    return Node(
        index=registry.position_of(word) - 1,
        joined=(word >> registry.JOINED_AT) & (2**16 - 1),
        last_forced=registry.last_forced(word),
        seat=registry.seat_of(word),
        removed=self._is_removed(self._packed, word),
    )


@external
@view
def member_count() -> uint256:
    """
    @notice How many registry indices have been given out, those of nodes that left included.
    @return The count
    """
    return len(registry.members)


@external
@view
def committee() -> DynArray[uint256, registry.MAX_COMMITTEE]:
    """
    @notice The committee of the epoch, by seat.
    @return Registry indices, ascending
    """
    return registry.committee


@external
@view
def quorum() -> uint256:
    """
    @notice How many committee members must sign an outcome: floor(2C / 3) + 1.
    @return q
    """
    return self._quorum(self._packed)


@external
@view
def relayer() -> address:
    """
    @notice Whose turn it is to seal (in OPEN) or to anchor the scores (in SEALED, once nobody forces any more).
    @return Address of a committee member
    """
    return registry.members[registry.committee[self._turn(self._packed, self._transcript)]]


@external
@view
def owner() -> address:
    """
    @notice Who may propose the next epoch.
    @return Address, zero if nobody
    """
    return self._owner


@external
@view
def successor() -> address:
    """
    @notice Who may take over as owner.
    @return Address, zero if nobody
    """
    return self._successor


@external
@view
def proposal() -> bytes32:
    """
    @notice Hash of the change that was announced for the next epoch.
    @return keccak-256 of its ABI encoding, empty if there is none
    """
    return self._proposal


@external
@view
def leaves_on_chain() -> bool:
    """
    @notice Whether a seal carries all leaves as calldata.
    @return True if it does
    """
    return LEAVES_ON_CHAIN


@external
@view
def windows() -> uint256[5]:
    """
    @notice Lengths of the commit, force, score, certify and challenge windows.
    @return Blocks
    """
    return WINDOWS


@external
@view
def config_hash() -> bytes32:
    """
    @notice Hash of the configuration document of the epoch.
    @return keccak-256 of its canonical JSON
    """
    return self._config_hash


@external
@view
def depth() -> uint256:
    """
    @notice Depth of the positional Merkle trees.
    @return Number of siblings in a proof
    """
    return DEPTH


@external
@view
def domain_separator() -> bytes32:
    """
    @notice The EIP-712 domain of this contract on this chain.
    @return The domain separator
    """
    return statements.domain_separator()


@external
@view
def certificate_digest(round: uint256, transcript: bytes32) -> bytes32:
    """
    @notice What a validator signs to certify an outcome.
    @param round The round
    @param transcript The transcript after the certify transition
    @return The EIP-712 digest
    """
    return statements.certificate_digest(round, transcript)


@external
@view
def leaf_hash(
    round: uint256,
    index: uint256,
    base_model: bytes32,
    update_hash: bytes32,
    n_samples: uint256,
    schema: bytes32,
    salt: bytes32,
) -> bytes32:
    """
    @notice The leaf that an opening is the preimage of, in this federation.
    @param round The round that the update belongs to
    @param index Registry index of the node
    @param base_model Hash of the model that the update starts from
    @param update_hash keccak-256 of the payload
    @param n_samples Samples that the update speaks for
    @param schema Hash of the basis document
    @param salt 32 random bytes
    @return The leaf
    """
    return keccak256(
        concat(
            b"\x00LF1C",
            convert(chain.id, bytes32),
            convert(self, bytes32),
            convert(round, bytes32),
            convert(index, bytes32),
            base_model,
            update_hash,
            convert(n_samples, bytes32),
            schema,
            salt,
        )
    )


@external
@view
def verify_inclusion(root: bytes32, leaf: bytes32, index: uint256, path: DynArray[bytes32, tree.MAX_DEPTH]) -> bool:
    """
    @notice Whether a leaf stands at an index of the tree with this root.
    @param root Root of a positional Merkle tree
    @param leaf The leaf, not empty
    @param index Position in the tree
    @param path The siblings, lowest level first
    @return True if it does
    """
    assert leaf != empty(bytes32), "the leaf is empty: ask verify_exclusion"
    return tree.root_from_path(leaf, index, path, DEPTH) == root


@external
@view
def verify_exclusion(root: bytes32, index: uint256, path: DynArray[bytes32, tree.MAX_DEPTH]) -> bool:
    """
    @notice Whether nothing stands at an index of the tree with this root.
    @param root Root of a positional Merkle tree
    @param index Position in the tree
    @param path The siblings, lowest level first
    @return True if the position is empty
    """
    return tree.root_from_path(empty(bytes32), index, path, DEPTH) == root


# ---- rules ----


@internal
@pure
def _phase(packed: uint256) -> uint256:
    return (packed >> PHASE_AT) & (2**8 - 1)


@internal
@pure
def _end(packed: uint256) -> uint256:
    return (packed >> END_AT) & (2**40 - 1)


@internal
@pure
def _epoch(packed: uint256) -> uint256:
    return (packed >> EPOCH_AT) & (2**16 - 1)


@internal
@pure
def _size(packed: uint256) -> uint256:
    return (packed >> COMMITTEE_AT) & (2**8 - 1)


@internal
@pure
def _quorum(packed: uint256) -> uint256:
    return unsafe_add(unsafe_mul(2, (packed >> COMMITTEE_AT) & (2**8 - 1)) // 3, 1)


@internal
@pure
def _notice(packed: uint256) -> uint256:
    return (packed >> NOTICE_AT) & (2**8 - 1)


@internal
@pure
def _sealer(packed: uint256) -> uint256:
    return (packed >> SEALER_AT) & (2**8 - 1)


@internal
@pure
def _is_removed(packed: uint256, registered: uint256) -> bool:
    """Committee members are removed in the packed state, other nodes in their registry word."""
    seat: uint256 = registry.seat_of(registered)
    if seat != 0:
        return (packed >> (REMOVED_AT + seat - 1)) & 1 == 1
    return registered >> registry.OUT_AT != 0


@internal
@pure
def _opened(packed: uint256, end: uint256) -> uint256:
    """The packed state of the round after this one: OPEN, first attempt, nobody's signature; an epoch becomes due."""
    kept: uint256 = packed & FROM_N & ~OF_AN_ATTEMPT
    if self._notice(packed) == ANNOUNCED:
        kept += (DUE - ANNOUNCED) << NOTICE_AT
    return ((packed & (2**32 - 1)) + 1) | (end << END_AT) | kept


@internal
@view
def _require_owner():
    assert msg.sender == self._owner, "the sender is not the owner"


@internal
@pure
def _require_not_due(packed: uint256):
    assert self._notice(packed) != DUE, "an epoch is due: open it first"


@internal
def _abort(packed: uint256, t: bytes32, phase: uint256):
    round: uint256 = packed & (2**32 - 1)
    after: bytes32 = keccak256(abi_encode(t, ABORT, round, phase))
    self._transcript = after
    self._packed = self._opened(packed, block.number)
    log Aborted(round=round, phase=phase, transcript=after)


@internal
@pure
def _require_round(packed: uint256, round: uint256):
    assert round == packed & (2**32 - 1), "another round is current"


@internal
@pure
def _require_phase(packed: uint256, phase: uint256):
    assert phase == self._phase(packed), "the round is in another phase"


@internal
@pure
def _require_root(root: bytes32):
    assert root != empty(bytes32), "the root is empty"


@internal
@pure
def _turn(packed: uint256, t: bytes32) -> uint256:
    return convert(t, uint256) % ((packed >> COMMITTEE_AT) & (2**8 - 1))


@internal
@view
def _require_begun(packed: uint256) -> uint256:
    """The end of the window before."""
    end: uint256 = (packed >> END_AT) & (2**40 - 1)
    assert block.number > end, "the window has not begun"
    return end


@internal
@view
def _require_turn(packed: uint256, t: bytes32, window: uint256) -> uint256:
    """The seat of the sender, from 0."""
    end: uint256 = self._require_begun(packed)
    seat: uint256 = (registry.words[msg.sender] >> registry.SEAT_AT) & (2**8 - 1)
    assert seat != 0, "the sender is not on the committee"
    seat = unsafe_sub(seat, 1)
    assert (packed >> unsafe_add(REMOVED_AT, seat)) & 1 == 0, "the sender was removed"
    since: uint256 = unsafe_sub(block.number, end)
    assert since <= window, "the window has ended"
    if since <= window // 2:
        assert seat == self._turn(packed, t), "it is another relayer's turn until the second half of the window"
    return seat


@internal
def _seal(round: uint256, root: bytes32, n: uint256, on_chain: bool):
    packed: uint256 = self._packed
    t: bytes32 = self._transcript
    self._require_round(packed, round)
    self._require_phase(packed, OPEN)
    self._require_not_due(packed)
    seat: uint256 = self._require_turn(packed, t, WINDOWS[COMMIT_WINDOW])
    assert on_chain == LEAVES_ON_CHAIN, "the federation seals the other way: ask leaves_on_chain"
    assert n >= (packed >> MIN_UPDATES_AT) & (2**16 - 1), "fewer leaves than min_updates"
    assert n <= 1 << DEPTH, "more leaves than the tree has positions"
    t = keccak256(abi_encode(t, SEAL, round, root, n))
    self._transcript = t
    self._packed = (
        round
        | (SEALED << PHASE_AT)
        | ((block.number + WINDOWS[FORCE_WINDOW]) << END_AT)
        | (n << N_AT)
        | (seat << SEALER_AT)
        | (packed & FROM_N & ~OF_A_SEAL)
    )
    log Sealed(round=round, root=root, n=n, relayer=msg.sender, transcript=t)


@internal
@view
def _require_quorum(
    packed: uint256, digest: bytes32, signatures: Bytes[statements.SIGNATURE_BYTES * registry.MAX_COMMITTEE]
) -> uint256:
    """The seats of the signers, as a bit mask."""
    size: uint256 = len(signatures)
    assert size % statements.SIGNATURE_BYTES == 0, "a signature is not 65 bytes long"
    assert size >= self._quorum(packed) * statements.SIGNATURE_BYTES, "fewer signatures than the quorum"
    removed: uint256 = packed >> REMOVED_AT
    mask: uint256 = 0
    at: uint256 = 0
    for _: uint256 in range(registry.MAX_COMMITTEE):
        if at == size:
            break
        signer: address = statements.recover(
            digest,
            extract32(signatures, at, output_type=uint256),
            extract32(signatures, unsafe_add(at, 32), output_type=uint256),
            extract32(signatures, unsafe_add(at, 33), output_type=uint256) & 255,
        )
        seat: uint256 = registry.seat_of(registry.words[signer])
        assert seat != 0, "a signer is not on the committee"
        bit: uint256 = 1 << unsafe_sub(seat, 1)
        assert bit > mask, "signers are not in ascending order of their index"
        assert removed & bit == 0, "a signer was removed"
        mask |= bit
        at = unsafe_add(at, statements.SIGNATURE_BYTES)
    return mask


@internal
@view
def _contestable(packed: uint256) -> bool:
    """Whether the last round was certified and its challenge window is still open."""
    return self._phase(packed) == OPEN and packed & SIGNERS_MASK != 0 and block.number <= self._end(packed)


@internal
@view
def _sealed_round(packed: uint256) -> uint256:
    """The last round that was sealed, while its seal can still be answered for."""
    round: uint256 = packed & (2**32 - 1)
    if self._phase(packed) != OPEN:
        return round
    assert self._contestable(packed), "no certified round is inside its challenge window"
    return round - 1


@internal
@view
def _replay(t: bytes32, tail: Bytes[MAX_TAIL], index: uint256, certified: bool) -> bytes32:
    """The leaf that `index` forced in the transitions that lead from `t` to the transcript. After a certificate no
    other may follow: those who signed the one that stands need not have signed one that fell."""
    after: bytes32 = t
    forced: bytes32 = empty(bytes32)
    at: uint256 = 0
    for _: uint256 in range(MAX_TAIL // 96):
        if unsafe_add(at, 96) > len(tail):
            break
        kind: uint256 = extract32(tail, at, output_type=uint256)
        assert kind != CERTIFY or not certified, "the certificate has fallen"
        size: uint256 = 128
        if kind == SCORES or kind == ABORT:
            size = 96
        elif kind == CERTIFY or kind == DISPUTE:
            size = 160
        if unsafe_add(at, size) > len(tail):
            break
        if kind == FORCE and extract32(tail, unsafe_add(at, 64), output_type=uint256) == index:
            forced = extract32(tail, unsafe_add(at, 96))
        # Slices of a fixed length: the memory for one of any length would cost 4,000 gas.
        if size == 96:
            after = keccak256(concat(after, slice(tail, at, 96)))
        elif size == 128:
            after = keccak256(concat(after, slice(tail, at, 128)))
        else:
            after = keccak256(concat(after, slice(tail, at, 160)))
        at = unsafe_add(at, size)
    assert at == len(tail) and after == self._transcript, "this is not how the transcript came about"
    return forced


@internal
@pure
def _is_lower_median(median: int256, row: Bytes[8 * registry.MAX_COMMITTEE]) -> bool:
    """Whether `median` is the element at (count - 1) // 2 of the sorted row of big-endian int32.

    Eight scores at a time, those at odd and at even places in four lanes of 64 bits each: one by one, 62 of them cost
    more than a challenge may. Scores and median are counted from -2**31; then 2**32 + s - m has bit 32 set just when
    s >= m. What fills the last word up counts zero and is above nothing.
    """
    count: uint256 = len(row) // 4
    m: int256 = unsafe_add(median, 2**31)
    if count == 0 or len(row) & 3 != 0 or m >> 32 != 0:
        return False
    ones: uint256 = LANES
    lowest: uint256 = unsafe_mul(ones, 2**63 + 2**31)
    padded: Bytes[8 * registry.MAX_COMMITTEE + 32] = concat(row, convert(lowest, bytes32))
    low: uint256 = unsafe_mul(ones, 2**32 - 1)
    less: uint256 = unsafe_mul(ones, unsafe_sub(2**32, convert(m, uint256)))
    at_least: uint256 = 0
    above: uint256 = 0
    at: uint256 = 0
    for _: uint256 in range(registry.MAX_COMMITTEE // 4 + 1):
        if at >= len(row):
            break
        scores: uint256 = extract32(padded, at, output_type=uint256) ^ lowest
        for half: uint256 in range(2):
            compared: uint256 = unsafe_add(scores & low, less)
            at_least = unsafe_add(at_least, (compared >> 32) & ones)
            above = unsafe_add(above, (unsafe_sub(compared, ones) >> 32) & ones)
            scores = scores >> 32
        at = unsafe_add(at, 32)
    middle: uint256 = unsafe_sub(count, 1) >> 1
    return (
        unsafe_add(at_least % (2**64 - 1), middle) >= count and unsafe_add(above % (2**64 - 1), middle) < count
    )


@internal
@pure
def _require_differing(differ: bool):
    assert differ, "the two statements are the same"


@internal
def _remove_equivocator(
    round: uint256,
    fault: uint256,
    differ: bool,
    digests: bytes32[2],
    signature: Bytes[statements.SIGNATURE_BYTES],
    other: Bytes[statements.SIGNATURE_BYTES],
):
    self._require_differing(differ)
    signer: address = statements.signer_of(digests[0], signature)
    assert signer == statements.signer_of(digests[1], other), "the two statements have different signers"
    self._remove_one(self._packed, round, fault, signer, keccak256(abi_encode(digests)))


@internal
def _remove_one(packed: uint256, round: uint256, fault: uint256, signer: address, proof: bytes32):
    registered: uint256 = registry.require_word(signer)
    assert not self._is_removed(packed, registered), "the culprit was removed already"
    seat: uint256 = registry.seat_of(registered)
    mask: uint256 = 0
    if seat != 0:
        mask = 1 << (seat - 1)
    else:
        registry.words[signer] = registered | (1 << registry.OUT_AT)
    self._dispute(packed, round, fault, registry.position_of(registered) - 1, mask, proof)


@internal
def _dispute(
    packed: uint256, round: uint256, fault: uint256, culprits: uint256, mask: uint256, proof: bytes32
):
    current: uint256 = packed & (2**32 - 1)
    phase: uint256 = self._phase(packed)
    contested: bool = self._contestable(packed) and round == current - 1
    if contested:
        current -= 1
        phase = SCORED
    assert round <= current, "the round has not begun"
    t: bytes32 = keccak256(abi_encode(self._transcript, DISPUTE, round, fault, culprits, proof))
    log Disputed(
        round=round, fault=fault, culprits=culprits, proof=proof, contested=contested, transcript=t
    )
    after: uint256 = current | (packed & FROM_N) | (mask << REMOVED_AT)
    if phase != OPEN and self._too_few(after):
        self._abort(after, t, DISPUTED)
        return
    end: uint256 = self._end(packed)
    if phase == SCORED:
        end = block.number + WINDOWS[CERTIFY_WINDOW]
        after &= ~SIGNERS_MASK
        if (after >> ATTEMPT_AT) & (2**8 - 1) != 2**8 - 1:
            after += 1 << ATTEMPT_AT
    self._transcript = t
    self._packed = after | (phase << PHASE_AT) | (end << END_AT)


@internal
@pure
def _too_few(packed: uint256) -> bool:
    # The removed seats, counted in pairs, fours, bytes, and the bytes summed up.
    bits: uint256 = packed >> REMOVED_AT
    bits = unsafe_sub(bits, (bits >> 1) & ((2**32 - 1) // 3))
    bits = unsafe_add(bits & ((2**32 - 1) // 5), (bits >> 2) & ((2**32 - 1) // 5))
    bits = unsafe_add(bits, bits >> 4) & ((2**32 - 1) // 17)
    removed: uint256 = (unsafe_mul(bits, (2**32 - 1) // 255) >> 24) & 255
    return self._size(packed) < unsafe_add(self._quorum(packed), removed)
