"""Writes the examples of the API's description: `python tests/api/write_examples.py`.

The federation is simulated, so that the bytes are the same everywhere; a test compares them.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from fastapi.testclient import TestClient

sys.path.insert(0, str(Path(__file__).parents[1]))

from ledgerfed_api import Settings, create_app
from simulated_federation import FIRST_BLOCK, SimulatedFederation

from ledgerfed.observer import Finality, observe
from ledgerfed.protocol.manifest import Reason
from ledgerfed.protocol.transition import Fault
from ledgerfed.store import open_store

EXAMPLES = Path(__file__).parents[2] / "api" / "ledgerfed_api" / "examples.json"
PATHS = {
    "getFederation": "",
    "listRounds": "/rounds?limit=1",
    "getRound": "/rounds/1",
    "listUpdates": "/rounds/1/updates?limit=2",
    "getUpdate": "/rounds/1/updates/1",
    "listScores": "/rounds/1/scores",
    "getCertificate": "/rounds/1/certificate",
    "listCertificates": "/rounds/2/certificates",
    "getRoundModel": "/rounds/1/model",
    "getManifest": "/rounds/1/manifest",
    "getEvidence": "/rounds/1/evidence",
    "listNodes": "/nodes?limit=1",
    "getNode": "/nodes/1",
    "listReputations": "/nodes/1/reputation",
    "listEpochs": "/epochs?limit=1",
    "getEpoch": "/epochs/0",
    "getOwner": "/owner",
    "listDisputes": "/disputes",
    "listModels": "/models",
    "getModel": "/models/{model}",
    "getInclusionProof": "/proofs/inclusion?round=1&node=0",
    "getExclusionProof": "/proofs/exclusion?round=1&node=2",
    "getReputationProof": "/proofs/reputation?round=1&node=1",
    "listTrail": "/audit/trail?round=1&limit=1",
}
TOP = {
    "listFederations": "/v1/federations",
    "getLiveness": "/healthz",
    "getReadiness": "/readyz",
    "getNodeHealth": "/v1/node/health",
    "getProblemKind": "/problems/not-found",
}


def examples() -> str:
    """Return the answers of one federation by operation."""
    with tempfile.TemporaryDirectory() as directory, open_store(Path(directory)) as store:
        (Path(directory) / "cursor.key").write_bytes(bytes(32))
        chain = SimulatedFederation(store.blobs, room=1, owner=b"\x11" * 20)
        chain.run_round(refused={1: Reason.OUTLIER}, absent=[2])
        chain.mine(chain.config.windows.challenge)
        chain.run_round()
        chain.dispute(1, Fault.TWO_CERTIFICATES, round_number=2)
        chain.propose(chain.change(joins=1, leaves=[1], rekeys=[2], committee=(0, 2, 4)))
        observe(store, chain, chain.federation, FIRST_BLOCK, Finality(0)).advance()
        with TestClient(create_app(Settings(workspace=Path(directory)))) as client:
            base = f"/v1/federations/0x{chain.federation.contract.hex()}"
            model = client.get(base + "/rounds/1").json()["round"]["model"]
            paths = TOP | {name: base + path.format(model=model) for name, path in PATHS.items()}
            answers = {name: client.get(path) for name, path in sorted(paths.items())}
    assert all(answer.status_code == 200 for answer in answers.values())
    bodies = {name: answer.json() for name, answer in answers.items()}
    return json.dumps(bodies, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    EXAMPLES.write_text(examples(), encoding="utf-8")
