"""What the API answers with. Hashes and addresses are lower-case 0x hex, blocks are numbers, Q16: 65536 is 1.

Numbers beyond 2^53 (the 64-bit values of a model) are decimal strings, because JSON readers lose digits.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Hash = Annotated[str, Field(pattern="^0x[0-9a-f]{64}$", examples=["0x" + "5e" * 32])]
Address = Annotated[str, Field(pattern="^0x[0-9a-f]{40}$", examples=["0x" + "5f" * 20])]
Signature = Annotated[str, Field(pattern="^0x[0-9a-f]{130}$", examples=["0x" + "a1" * 64 + "1b"])]
Q16 = Annotated[int, Field(description="65536 is 1", examples=[49152])]
Decimal = Annotated[str, Field(pattern="^-?[0-9]+$", description="An integer", examples=["-1099511627776"])]
Sentinel = Literal["NOT_HELD", "GATED"]
Phase = Literal["GENESIS", "OPEN", "SEALED", "SCORED", "CERTIFIED", "ABORTED", "DISPUTED"]


class Schema(BaseModel):
    """Values that do not change and hold nothing unnamed."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Meta(Schema):
    """How firm an answer is: the block that it stands at, and whether that block is final."""

    finalized: bool = Field(description="No fork that the index follows can change this answer any more")
    block_number: int = Field(
        description="The block that the answer stands at; -1 before the first", examples=[42]
    )
    block_hash: Hash | None
    syncing: bool = Field(
        description="The chain has blocks, or rounds have documents, that are not indexed yet"
    )


class Page(Schema):
    """One page of a list. `next` is the path of the page after it, null on the last."""

    next_cursor: str | None = Field(examples=[None])
    next: str | None = Field(examples=[None])
    meta: Meta


class Windows(Schema):
    """Lengths of the windows of a round, in blocks."""

    commit: int
    force: int
    score: int
    certify: int
    challenge: int


class Genesis(Schema):
    """What a federation started from, and the terms that never change."""

    config_hash: Hash
    registry_hash: Hash
    model: Hash
    reputation_root: Hash
    transcript: Hash
    committee: list[int] = Field(description="Registry indices of the validators of epoch 0, by seat")
    quorum: int = Field(description="How many validators must sign an outcome in epoch 0")
    depth: int = Field(description="Depth of the Merkle trees; no epoch changes it")
    min_updates: int = Field(description="Fewest leaves that a round may be sealed with in epoch 0")
    windows: Windows = Field(description="No epoch changes them")
    leaves_on_chain: bool = Field(description="Whether a seal carries all leaves as calldata, for ever")
    block: int


class Entry(Schema):
    """What an epoch changes about one registry index."""

    node: int
    address: Address | None = Field(description="The new key; null lets the node leave")
    effect: Literal["joins", "leaves", "new key"]


class Change(Schema):
    """What the owner announced for an epoch; `change_hash` is the hash of its ABI encoding `encoded`."""

    change_hash: Hash
    encoded: str = Field(pattern="^0x[0-9a-f]+$", description="As in the EpochProposed event")
    config_hash: Hash
    committee: list[int]
    min_updates: int
    entries: list[Entry]


class Epoch(Schema):
    """An epoch: its committee by seat, its configuration, and who was removed in it."""

    number: int
    first_round: int
    block: int
    config_hash: Hash
    committee: list[int] = Field(description="Registry indices of the validators, by seat")
    quorum: int = Field(description="How many validators must sign an outcome")
    min_updates: int = Field(description="Fewest leaves that a round may be sealed with")
    removed: list[int] = Field(description="Validators that a challenge removed until the next epoch")
    transcript: Hash = Field(description="The transcript after the epoch was opened")
    change: Change | None = Field(description="Null for epoch 0")
    finalized: bool = Field(description="The block that opened it is final")


class Proposal(Schema):
    """What is announced for the next epoch. `due`: it can be opened, and nobody can seal before."""

    epoch: int
    block: int
    due: bool
    change: Change


class EpochList(Page):
    """Epochs, newest first, and what is announced for the next one."""

    items: list[Epoch]
    proposal: Proposal | None


class EpochAnswer(Schema):
    epoch: Epoch
    meta: Meta


class Owner(Schema):
    """Who may propose epochs, and nothing else; null: nobody."""

    owner: Address | None
    successor: Address | None = Field(description="Who may take over")
    block: int | None = Field(description="The block of the last change")


class OwnerAnswer(Schema):
    owner: Owner
    meta: Meta


FaultName = Literal[
    "TWO_LEAVES",
    "TWO_RECEIPTS",
    "TWO_COMMITMENTS",
    "TWO_CERTIFICATES",
    "BROKEN_RECEIPT",
    "DOUBLED_INDEX",
    "WRONG_MEDIAN",
]


class Dispute(Schema):
    """A fault that somebody proved on chain (docs/protocol.md, "Challenges")."""

    number: int
    block: int
    epoch: int
    round: int = Field(description="The round that the fault belongs to")
    fault: FaultName
    nodes: list[int] = Field(description="Registry indices of the culprits")
    proof: Hash = Field(description="What the transcript binds of the proof")
    contested: bool = Field(description="The certificate of the round fell with it")
    aborted: bool = Field(description="Too few members were left, and the round ended")
    transcript: Hash
    finalized: bool = Field(description="Its block is final")


class DisputeList(Page):
    """Disputes, oldest first."""

    items: list[Dispute]


class Federation(Schema):
    """One contract on one chain."""

    id: Address = Field(description="The contract's address, which names the federation in every path")
    chain_id: int = Field(examples=[31337])
    contract: Address
    first_block: int = Field(description="The block that the contract was deployed in")
    name: str | None = Field(description="From the configuration; null until that document is here")
    genesis: Genesis | None = Field(description="Null until the Genesis event was indexed")
    epoch: Epoch | None = Field(description="The present epoch; null until the Genesis event was indexed")
    proposal: Proposal | None = Field(description="What is announced for the next epoch")
    owner: Address | None = Field(description="Who may propose epochs; null: nobody, for ever")
    nodes: int = Field(description="Registry indices that were given out, those of nodes that left included")
    round: int | None = Field(description="The current round")
    transcript: Hash | None = Field(description="The transcript at the indexed head")


class FederationAnswer(Schema):
    federation: Federation
    meta: Meta


class FederationList(Schema):
    items: list[Federation]


class Blocks(Schema):
    """When a round reached its phases; null where it has not."""

    opened: int
    sealed: int | None
    scored: int | None
    ended: int | None


class Deadlines(Schema):
    """What may happen next, by block number; null where the phase does not have it."""

    seal_from: int | None = Field(description="First block in which the relayer may seal")
    seal_by_anyone_from: int | None = Field(description="First block in which any committee member may")
    seal_until: int | None
    force_until: int | None
    scores_from: int | None
    scores_by_anyone_from: int | None
    scores_until: int | None
    certify_until: int | None
    open_epoch_from: int | None = Field(
        description="First block in which anyone may open the epoch that is due; no seal is accepted before"
    )
    abort_from: int | None = Field(description="First block in which anyone may give the round up")


class ChallengeWindow(Schema):
    """While it is open, a proven fault of the round takes its certificate back."""

    until: int = Field(description="Last block in which the certificate can fall")
    open: bool


class Fallen(Schema):
    """A certificate that a dispute voided."""

    attempt: int
    dispute: int = Field(description="Number of the dispute")
    certified_block: int
    manifest: Hash
    evidence: Hash | None = Field(description="Null until the manifest is here")
    model: Hash
    reputation_root: Hash
    transcript: Hash


class RoundSummary(Schema):
    """A round as the chain tells it."""

    number: int = Field(examples=[3])
    phase: Phase
    epoch: int
    attempt: int = Field(description="How many disputes gave it a new certify window")
    base_model: Hash = Field(description="The model that the round started from")
    model: Hash | None = Field(description="The model that it left")
    leaf_root: Hash | None
    leaves: int | None = Field(description="Leaves under the root")
    forced: int = Field(description="Leaves that nodes put in themselves, after the seal")
    score_root: Hash | None
    manifest: Hash | None
    evidence: Hash | None = Field(description="Null until the manifest is here")
    reputation_root: Hash | None
    opened_at: Hash = Field(description="The transcript as the seal finds it")
    transcript: Hash = Field(description="The transcript after the round's last event")
    aborted_in: Phase | None
    blocks: Blocks
    deadlines: Deadlines
    challenge: ChallengeWindow | None = Field(description="Null while there is no certificate")
    documents: bool = Field(description="Manifest and evidence are here, so verdicts are known")
    finalized: bool = Field(description="Neither a dispute nor a fork can change it any more")


class RoundList(Page):
    """Rounds, newest first. `first_round`, `last_round` and `count` let a reader see that none is hidden."""

    items: list[RoundSummary]
    first_round: int
    last_round: int
    count: int
    transcript: Hash | None = Field(description="The transcript at the indexed head")


class Rejection(Schema):
    node: int
    reason: str = Field(examples=["V7:outlier"])


class Drift(Schema):
    """What the admitted updates said about drift: nodes whose detector fired, and what follows."""

    flagged: int = Field(description="Admitted updates that carry the flag")
    of: int = Field(description="Admitted updates")
    declared: bool = Field(description="Enough of them for a drift of the federation")


class Aggregation(Schema):
    """The robust rule of a round, and how many hostile updates it was to stand."""

    rule: str
    hostile: int
    mixing: bool = Field(description="Every update was first averaged with its nearest neighbours")


class Scorer(Schema):
    """What a round found about one committee member's scores."""

    index: int
    conduct: Literal["heard", "absent", "unrevealed", "outlier", "collusion", "proven-fault"]
    voice: int = Field(description="How often each of its scores stands among those heard")
    deviation: int | None = Field(description="Q16 distance from the medians; null where nothing was scored")


class Round(RoundSummary):
    """A round with what it decided."""

    admitted: list[int] | None = Field(
        description="Indices of the nodes whose update was admitted; null until the documents are here"
    )
    rejected: list[Rejection] | None
    drift: Drift | None = Field(description="Null until the documents are here")
    stabilised: int | None = Field(
        description="Q16 factor by which the roots of the model were contracted; null if they lay inside"
    )
    aggregation: Aggregation | None = Field(description="Null until the documents are here")
    scorers: list[Scorer] | None = Field(description="One line a committee member, by ascending index")
    fallen: list[Fallen] = Field(description="Certificates of the round that disputes voided")


class RoundAnswer(Schema):
    round: Round
    meta: Meta


class Opening(Schema):
    """The preimage of a leaf."""

    base_model: Hash
    update_hash: Hash = Field(description="keccak-256 of the payload; the payload itself is not served")
    n_samples: int
    schema_hash: Hash = Field(description="Hash of the basis document")
    salt: Hash


class Update(Schema):
    """One node in one round: what it committed to, what came of it, and why."""

    node: int
    leaf: Hash | None = Field(description="Null when the node committed to nothing")
    forced: bool
    deadline: int | None = Field(description="Block after which the signed leaf was void")
    signature: Signature | None
    opening: Opening | None = Field(description="Null when the opening never came")
    admitted: bool
    reason: str = Field(examples=["admitted"])
    score: Q16 | None = Field(description="Lower median of the scores heard, Q16")
    heard: list[int] = Field(description="The validators' scores that counted, Q16", examples=[[998, 1042]])
    weight: Q16 = Field(description="Factor on the node's information, Q16")
    measures: dict[str, int] = Field(
        description="The integers that the gates looked at", examples=[{"distance": 1734}]
    )


class UpdateList(Page):
    round: int
    items: list[Update]


class UpdateAnswer(Schema):
    round: int
    update: Update
    meta: Meta


class ScoreVector(Schema):
    """A validator's commitment and, when it was revealed, its scores by registry position."""

    validator: int
    commitment: Hash
    signature: Signature
    salt: Hash | None
    scores: list[int | Sentinel] | None = Field(
        description="Q16; NOT_HELD: the opening never reached this validator; GATED: refused unscored",
        examples=[[1042, "GATED", "NOT_HELD", 998]],
    )


class ScoreList(Schema):
    round: int
    score_root: Hash | None
    items: list[ScoreVector]
    meta: Meta


class Signed(Schema):
    validator: int
    address: Address
    signature: Signature


class Certificate(Schema):
    """The signatures under the outcome of a round, over the EIP-712 Certificate of (round, transcript)."""

    round: int
    attempt: int
    void: bool = Field(description="A dispute took it back")
    dispute: int | None = Field(description="Number of that dispute")
    challenge: ChallengeWindow | None = Field(description="Null for a void one")
    finalized: bool = Field(description="Neither a dispute nor a fork can change it any more")
    transcript: Hash
    manifest: Hash
    model: Hash
    reputation_root: Hash
    digest: Hash = Field(description="The EIP-712 digest that was signed")
    quorum: int
    signatures: list[Signed]


class CertificateAnswer(Schema):
    certificate: Certificate
    meta: Meta


class CertificateList(Schema):
    """Every certificate that a round had, oldest first; at most the last one stands."""

    items: list[Certificate]
    meta: Meta


class Model(Schema):
    """Coefficients on the shared basis, or predictions on the shared probe: theta[i] * 2^-theta_scale."""

    hash: Hash
    schema_hash: Hash
    exchange: Literal["information", "predictions"]
    contributors: int
    width: int
    theta: list[Decimal]
    theta_scale: int
    precision: list[Decimal] = Field(
        description="Upper triangle of the precision by rows; one number for predictions"
    )
    precision_scale: int


class ModelAnswer(Schema):
    model: Model
    meta: Meta


class ModelSummary(Schema):
    """A model and the round that left it; round 0 is genesis."""

    hash: Hash
    round: int
    base_model: Hash | None
    finalized: bool = Field(description="Neither a dispute nor a fork can take it back any more")


class ModelList(Page):
    items: list[ModelSummary]


class Reputation(Schema):
    """The certified integers of a node after a round, and the values they stand for."""

    round: int
    a: int
    b: int
    va: int
    vb: int
    quarantined_until: int
    trainer: Q16 = Field(description="Reputation as a trainer, Q16")
    validator: Q16 = Field(description="Reputation as a validator, Q16")


class ReputationList(Page):
    node: int
    items: list[Reputation]


class Key(Schema):
    epoch: int
    address: Address


class Node(Schema):
    """A registry index and who holds it."""

    index: int
    address: Address = Field(description="The present key, or the last one")
    joined: int = Field(description="The epoch that it joined in")
    left: int | None = Field(description="The epoch that it left in")
    seat: int | None = Field(description="Its seat on the committee of the present epoch")
    removed: bool = Field(description="A challenge took its part away")
    keys: list[Key] = Field(description="Every key it had, with the epoch from which on")
    reputation: Reputation | None


class NodeList(Page):
    items: list[Node]


class NodeAnswer(Schema):
    node: Node
    meta: Meta


class LeafProof(Schema):
    """A path in the positional Merkle tree of sealed leaves; an EMPTY leaf makes it a proof of exclusion."""

    kind: Literal["inclusion", "exclusion"]
    round: int
    node: int
    leaf: Hash
    depth: int
    siblings: list[Hash] = Field(description="Lowest level first")
    root: Hash = Field(description="As sealed on chain")
    transcript: Hash
    verify_with: str
    meta: Meta


class ReputationProof(Schema):
    """The reputation of a node under the certified root; the leaf is the hash of the values."""

    kind: Literal["reputation"]
    round: int
    node: int
    reputation: Reputation
    score: Q16 | None = Field(description="What the round scored the node's update with")
    heard: list[int] = Field(description="The scores that it is the lower median of")
    result: Hash = Field(description="Binds score and heard; EMPTY without a score")
    leaf: Hash
    depth: int
    siblings: list[Hash] = Field(description="Lowest level first")
    root: Hash = Field(description="As certified on chain")
    transcript: Hash
    verify_with: str
    meta: Meta


class TrailEntry(Schema):
    """One event of the contract. Not `canonical`: a fork took it back; it is kept as evidence."""

    block_number: int
    block_hash: Hash
    timestamp: int = Field(description="Unix time of the block, seconds", examples=[1795430000])
    time: str = Field(description="The same in ISO 8601, UTC", examples=["2026-11-23T10:33:20Z"])
    transaction: Hash
    log_index: int
    kind: str = Field(examples=["Sealed"])
    round: int
    arguments: dict[str, bool | int | str | list[int] | list[str]]
    canonical: bool
    finalized: bool = Field(description="No fork that the index follows can take it back any more")


class Trail(Page):
    """Events, oldest first."""

    items: list[TrailEntry]


class Check(Schema):
    name: str = Field(examples=["database"])
    ok: bool
    detail: str = Field(examples=["reachable"])


class Health(Schema):
    """Whether the server lives, is ready to be asked, and has caught up."""

    status: Literal["ok", "ready", "syncing", "failing"]
    checks: list[Check]


class ProblemKind(Schema):
    """What a problem code means and what to do about it."""

    code: str = Field(examples=["not-found"])
    status: int = Field(examples=[404])
    title: str
    remedy: str
