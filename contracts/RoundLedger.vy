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
@dev There is no owner: nobody moves a phase except by these rules. A round writes two words, the packed state
    and the transcript; all else is in events. Deadlines are block numbers, never times. A round ends CERTIFIED
    or ABORTED, and the packed state then already says OPEN for the next one.
"""

# Phases and kinds of transition are hashed and stored: never renumber them.
OPEN: constant(uint256) = 0
SEALED: constant(uint256) = 1
SCORED: constant(uint256) = 2
# CERTIFIED = 3 and ABORTED = 4 are how a round ended; DISPUTED = 5 is reserved for challenges.

SEAL: constant(uint256) = 1
FORCE: constant(uint256) = 2
SCORES: constant(uint256) = 3
CERTIFY: constant(uint256) = 4
# DISPUTE = 5 is reserved: a successful challenge takes a certified round, inside its challenge window, back to
# SCORED with `attempt` one higher and without the culprit.
ABORT: constant(uint256) = 6

MAX_MEMBERS: constant(uint256) = 1024
MAX_COMMITTEE: constant(uint256) = 31
MAX_DEPTH: constant(uint256) = 20
MAX_WINDOW: constant(uint256) = 2**24 - 1
SIGNATURE_BYTES: constant(uint256) = 65

# Order of the windows, in blocks.
COMMIT_WINDOW: constant(uint256) = 0
FORCE_WINDOW: constant(uint256) = 1
SCORE_WINDOW: constant(uint256) = 2
CERTIFY_WINDOW: constant(uint256) = 3
CHALLENGE_WINDOW: constant(uint256) = 4

# Packed state: round32 | phase8 | end40 | n32 | forced16 | epoch16 | attempt8, round in the lowest bits.
PHASE_AT: constant(uint256) = 32
END_AT: constant(uint256) = 40
N_AT: constant(uint256) = 80
FORCED_AT: constant(uint256) = 112
EPOCH_AT: constant(uint256) = 128
ATTEMPT_AT: constant(uint256) = 144
N_FORCED_EPOCH_ATTEMPT: constant(uint256) = (2**72 - 1) << 80
EPOCH_ONLY: constant(uint256) = (2**16 - 1) << 128

# Registry word: position32 (index + 1; 0 = unknown) | epoch16 | last_forced32.
LAST_FORCED_AT: constant(uint256) = 48

# Upper bound of s in a signature that counts: half the order of secp256k1 (EIP-2).
HALF_ORDER: constant(uint256) = 57896044618658097711785492504343953926418782139537452191302581570759080747168

DOMAIN_TYPE_HASH: constant(bytes32) = keccak256(
    "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
)
NAME_HASH: constant(bytes32) = keccak256("ledgerfed")
VERSION_HASH: constant(bytes32) = keccak256("1")
CERTIFICATE_TYPE_HASH: constant(bytes32) = keccak256("Certificate(uint32 round,bytes32 transcript)")


struct State:
    round: uint256
    phase: uint256
    end: uint256
    n: uint256
    forced: uint256
    epoch: uint256
    attempt: uint256


event Genesis:
    config_hash: bytes32
    registry_hash: bytes32
    model: bytes32
    reputations: bytes32
    transcript: bytes32
    committee: uint256
    depth: uint256
    windows: uint256[5]
    min_updates: uint256


event MemberRegistered:
    index: indexed(uint256)
    member: indexed(address)
    epoch: uint256


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


CONFIG_HASH: immutable(bytes32)
COMMITTEE: immutable(uint256)
QUORUM: immutable(uint256)
DEPTH: immutable(uint256)
WINDOWS: immutable(uint256[5])
MIN_UPDATES: immutable(uint256)

_packed: uint256
_transcript: bytes32
_registry: HashMap[address, uint256]
_members: DynArray[address, MAX_MEMBERS]


@deploy
def __init__(
    config_hash: bytes32,
    model: bytes32,
    reputations: bytes32,
    members: DynArray[address, MAX_MEMBERS],
    committee: uint256,
    depth: uint256,
    windows: uint256[5],
    min_updates: uint256,
):
    """
    @notice Starts a federation in round 1, phase OPEN; its first commit window begins with this block.
    @param config_hash Hash of the configuration document
    @param model Hash of the model that the first round starts from
    @param reputations Root of the reputation tree at genesis
    @param members Addresses by registry index
    @param committee Size C of the committee of epoch 0: the first C members
    @param depth Depth of the Merkle trees; 2^depth positions
    @param windows Blocks to commit, force, score, certify and challenge; only force and challenge may be 0
    @param min_updates Fewest leaves that a round may be sealed with
    """
    count: uint256 = len(members)
    assert committee >= 1, "the committee is empty"
    assert committee <= MAX_COMMITTEE, "the committee has more than 31 members"
    assert committee <= count, "the committee is larger than the registry"
    assert depth <= MAX_DEPTH, "the depth is more than 20"
    assert count <= 1 << depth, "the members do not fit a tree of this depth"
    assert min_updates >= 1 and min_updates <= count, "min_updates must be from 1 to the number of members"
    for i: uint256 in range(5):
        assert windows[i] <= MAX_WINDOW, "a window is longer than 2^24 - 1 blocks"
        # Nobody can force in a force window of 0 blocks unless in the block of the seal: the configuration's choice.
        assert windows[i] >= 1 or i == FORCE_WINDOW or i == CHALLENGE_WINDOW, "a window has no blocks"

    CONFIG_HASH = config_hash
    COMMITTEE = committee
    QUORUM = 2 * committee // 3 + 1
    DEPTH = depth
    WINDOWS = windows
    MIN_UPDATES = min_updates

    position: uint256 = 0
    for member: address in members:
        assert member != empty(address), "a member is the zero address"
        assert self._registry[member] == 0, "a member is registered twice"
        log MemberRegistered(index=position, member=member, epoch=0)
        position += 1
        self._registry[member] = position
    self._members = members

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
    self._packed = 1 | (block.number << END_AT)
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
    )


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
    packed: uint256 = self._packed
    t: bytes32 = self._transcript
    self._require_phase(packed, round, OPEN)
    self._require_turn(packed, t, WINDOWS[COMMIT_WINDOW])
    assert root != empty(bytes32), "the root is empty"
    assert n >= MIN_UPDATES, "fewer leaves than min_updates"
    assert n <= 1 << DEPTH, "more leaves than the tree has positions"
    t = keccak256(abi_encode(t, SEAL, round, root, n))
    self._transcript = t
    self._packed = (
        round
        | (SEALED << PHASE_AT)
        | ((block.number + WINDOWS[FORCE_WINDOW]) << END_AT)
        | (n << N_AT)
        | (packed >> EPOCH_AT << EPOCH_AT)
    )
    log Sealed(round=round, root=root, n=n, relayer=msg.sender, transcript=t)


@external
def force(round: uint256, leaf: bytes32):
    """
    @notice Puts in the sender's own leaf, which the relayer left out. Once a round for each registered node, until the
        force window ends.
    @param round The current round
    @param leaf The sender's leaf
    """
    packed: uint256 = self._packed
    self._require_phase(packed, round, SEALED)
    assert block.number <= self._end(packed), "the force window has ended"
    registered: uint256 = self._registry[msg.sender]
    assert registered != 0, "the sender is not a registered node"
    assert registered >> LAST_FORCED_AT != round, "the node has forced a leaf in this round already"
    assert leaf != empty(bytes32), "the leaf is empty"
    index: uint256 = self._position(registered) - 1
    t: bytes32 = keccak256(abi_encode(self._transcript, FORCE, round, index, leaf))
    self._registry[msg.sender] = (registered & (2**LAST_FORCED_AT - 1)) | (round << LAST_FORCED_AT)
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
    self._require_phase(packed, round, SEALED)
    self._require_turn(packed, t, WINDOWS[SCORE_WINDOW])
    assert root != empty(bytes32), "the root is empty"
    t = keccak256(abi_encode(t, SCORES, round, root))
    self._transcript = t
    self._packed = (
        round
        | (SCORED << PHASE_AT)
        | ((block.number + WINDOWS[CERTIFY_WINDOW]) << END_AT)
        | (packed & N_FORCED_EPOCH_ATTEMPT)
    )
    log Scored(round=round, root=root, relayer=msg.sender, transcript=t)


@external
def certify(
    round: uint256,
    manifest: bytes32,
    model: bytes32,
    reputations: bytes32,
    signatures: Bytes[SIGNATURE_BYTES * MAX_COMMITTEE],
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
    self._require_phase(packed, round, SCORED)
    assert block.number <= self._end(packed), "the certify window has ended"
    t: bytes32 = keccak256(abi_encode(self._transcript, CERTIFY, round, manifest, model, reputations))
    self._require_quorum(self._certificate_digest(round, t), signatures)
    self._transcript = t
    self._packed = self._opened(packed, block.number + WINDOWS[CHALLENGE_WINDOW])
    log Certified(round=round, manifest=manifest, model=model, reputations=reputations, transcript=t)


@external
def abort(round: uint256):
    """
    @notice Gives up a round whose deadline has passed; model and reputations stay as they were. Anybody may
        send it.
    @param round The current round
    """
    packed: uint256 = self._packed
    assert round == packed & (2**32 - 1), "another round is current"
    phase: uint256 = self._phase(packed)
    deadline: uint256 = self._end(packed)
    if phase == OPEN:
        deadline += WINDOWS[COMMIT_WINDOW]
    elif phase == SEALED:
        deadline += WINDOWS[SCORE_WINDOW]
    assert block.number > deadline, "the deadline of the phase has not passed"
    t: bytes32 = keccak256(abi_encode(self._transcript, ABORT, round, phase))
    self._transcript = t
    self._packed = self._opened(packed, block.number)
    log Aborted(round=round, phase=phase, transcript=t)


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
    @return Round, phase, block at which the phase's current window ends (or began), sealed leaves, forced
        leaves, epoch, attempt
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
    )


@external
@view
def member(index: uint256) -> address:
    """
    @notice The node at a registry index; reverts beyond the last.
    @param index Registry index from 0
    @return Its address
    """
    assert index < len(self._members), "no member has this index"
    return self._members[index]


@external
@view
def index_of(member: address) -> uint256:
    """
    @notice The registry index of a node; reverts for anybody else.
    @param member An address
    @return The index from 0
    """
    registered: uint256 = self._registry[member]
    assert registered != 0, "the address is not a registered node"
    return self._position(registered) - 1


@external
@view
def last_forced(member: address) -> uint256:
    """
    @notice The last round in which a node forced its leaf in.
    @param member Address of a registered node
    @return The round, 0 if never
    """
    registered: uint256 = self._registry[member]
    assert registered != 0, "the address is not a registered node"
    return registered >> LAST_FORCED_AT


@external
@view
def member_count() -> uint256:
    """
    @notice How many nodes are registered.
    @return The count
    """
    return len(self._members)


@external
@view
def committee_size() -> uint256:
    """
    @notice The size C of the committee: the members with index below C.
    @return C
    """
    return COMMITTEE


@external
@view
def quorum() -> uint256:
    """
    @notice How many committee members must sign an outcome: floor(2C / 3) + 1.
    @return q
    """
    return QUORUM


@external
@view
def relayer() -> address:
    """
    @notice Whose turn it is to seal (in OPEN) or to anchor the scores (in SEALED, once nobody forces any more).
    @return Address of a committee member
    """
    return self._members[self._turn(self._packed, self._transcript)]


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
def min_updates() -> uint256:
    """
    @notice The fewest leaves that a round may be sealed with.
    @return The count
    """
    return MIN_UPDATES


@external
@view
def config_hash() -> bytes32:
    """
    @notice Hash of the configuration document that the federation was deployed with.
    @return keccak-256 of its canonical JSON
    """
    return CONFIG_HASH


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
    return self._domain_separator()


@external
@view
def certificate_digest(round: uint256, transcript: bytes32) -> bytes32:
    """
    @notice What a validator signs to certify an outcome.
    @param round The round
    @param transcript The transcript after the certify transition
    @return The EIP-712 digest
    """
    return self._certificate_digest(round, transcript)


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
def verify_inclusion(root: bytes32, leaf: bytes32, index: uint256, path: DynArray[bytes32, MAX_DEPTH]) -> bool:
    """
    @notice Whether a leaf stands at an index of the tree with this root.
    @param root Root of a positional Merkle tree
    @param leaf The leaf, not empty
    @param index Position in the tree
    @param path The siblings, lowest level first
    @return True if it does
    """
    assert leaf != empty(bytes32), "the leaf is empty: ask verify_exclusion"
    return self._root_from_path(leaf, index, path) == root


@external
@view
def verify_exclusion(root: bytes32, index: uint256, path: DynArray[bytes32, MAX_DEPTH]) -> bool:
    """
    @notice Whether nothing stands at an index of the tree with this root.
    @param root Root of a positional Merkle tree
    @param index Position in the tree
    @param path The siblings, lowest level first
    @return True if the position is empty
    """
    return self._root_from_path(empty(bytes32), index, path) == root


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
def _position(registered: uint256) -> uint256:
    return registered & (2**32 - 1)


@internal
@pure
def _opened(packed: uint256, end: uint256) -> uint256:
    """The packed state of the round after this one: OPEN, nothing sealed or forced, first attempt."""
    return ((packed & (2**32 - 1)) + 1) | (end << END_AT) | (packed & EPOCH_ONLY)


@internal
@pure
def _require_phase(packed: uint256, round: uint256, phase: uint256):
    assert round == packed & (2**32 - 1), "another round is current"
    assert phase == self._phase(packed), "the round is in another phase"


@internal
@view
def _turn(packed: uint256, t: bytes32) -> uint256:
    # The remainder first: t + attempt could overflow.
    return (convert(t, uint256) % COMMITTEE + (packed >> ATTEMPT_AT)) % COMMITTEE


@internal
@view
def _require_turn(packed: uint256, t: bytes32, window: uint256):
    end: uint256 = self._end(packed)
    assert block.number > end, "the window has not begun"
    assert block.number <= end + window, "the window has ended"
    position: uint256 = self._position(self._registry[msg.sender])
    assert position != 0 and position <= COMMITTEE, "the sender is not on the committee"
    if block.number <= end + window // 2:
        assert position - 1 == self._turn(packed, t), "it is another relayer's turn until the second half of the window"


@internal
@view
def _require_quorum(digest: bytes32, signatures: Bytes[SIGNATURE_BYTES * MAX_COMMITTEE]):
    size: uint256 = len(signatures)
    assert size % SIGNATURE_BYTES == 0, "a signature is not 65 bytes long"
    assert size >= QUORUM * SIGNATURE_BYTES, "fewer signatures than the quorum"
    committee: uint256 = COMMITTEE
    last: uint256 = 0
    at: uint256 = 0
    for _: uint256 in range(MAX_COMMITTEE):
        if at == size:
            break
        s: uint256 = extract32(signatures, at + 32, output_type=uint256)
        assert s <= HALF_ORDER, "a signature has a high s"
        signer: address = ecrecover(
            digest,
            extract32(signatures, at + 33, output_type=uint256) & 255,
            extract32(signatures, at, output_type=uint256),
            s,
        )
        assert signer != empty(address), "a signature recovers to nobody"
        position: uint256 = self._position(self._registry[signer])
        assert position != 0 and position <= committee, "a signer is not on the committee"
        assert position > last, "signers are not in ascending order of their index"
        last = position
        at += SIGNATURE_BYTES


@internal
@view
def _domain_separator() -> bytes32:
    # Not an immutable: after a fork of the chain the same contract must not accept the other branch's signatures.
    return keccak256(abi_encode(DOMAIN_TYPE_HASH, NAME_HASH, VERSION_HASH, chain.id, self))


@internal
@view
def _certificate_digest(round: uint256, t: bytes32) -> bytes32:
    return keccak256(
        concat(b"\x19\x01", self._domain_separator(), keccak256(abi_encode(CERTIFICATE_TYPE_HASH, round, t)))
    )


@internal
@view
def _root_from_path(leaf: bytes32, index: uint256, path: DynArray[bytes32, MAX_DEPTH]) -> bytes32:
    assert len(path) == DEPTH, "the path has another length than the depth of the tree"
    assert index < 1 << DEPTH, "the index is outside the tree"
    node: bytes32 = leaf
    rest: uint256 = index
    for sibling: bytes32 in path:
        if rest & 1 == 1:
            node = keccak256(concat(b"\x01", sibling, node))
        else:
            node = keccak256(concat(b"\x01", node, sibling))
        rest >>= 1
    return node
