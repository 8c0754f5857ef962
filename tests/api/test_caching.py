"""What is final is the same bytes for ever; what is not must be asked for again."""

from __future__ import annotations

import pytest
from sqlalchemy import text

FINAL = ["/rounds/2", "/rounds/2/updates", "/rounds/2/updates/0", "/rounds/2/scores"]
FINAL += ["/rounds/2/certificate", "/rounds/2/model", "/proofs/inclusion?round=2&node=0", "/rounds/3"]


@pytest.mark.parametrize("path", FINAL)
def test_a_final_round_is_immutable_and_its_bytes_are_kept(served, path: str) -> None:
    first = served.get(path)
    assert first.status_code == 200
    assert first.headers["cache-control"] == "public, max-age=31536000, immutable"
    number = 3 if path.endswith("3") else 2
    transcript = served.get(f"/rounds/{number}").json()["round"]["transcript"]
    assert first.headers["etag"].strip('"').startswith(transcript.removeprefix("0x"))
    with served.store.database.write() as connection:  # an edited row does not reach what was served
        connection.execute(text("UPDATE updates SET weight = weight + 1"))
        connection.execute(text("UPDATE rounds SET opened_block = opened_block + 1"))
    assert served.get(path).content == first.content


@pytest.mark.parametrize("path", [*FINAL, "/rounds/2/manifest", "", "/rounds", "/nodes", "/audit/trail"])
def test_a_client_that_has_the_bytes_gets_304_and_no_body(served, path: str) -> None:
    first = served.get(path)
    for known in (first.headers["etag"], f'"other", {first.headers["etag"]}', "*"):
        again = served.get(path, headers={"If-None-Match": known})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == first.headers["etag"]
    assert served.get(path, headers={"If-None-Match": '"other"'}).status_code == 200


def test_names_that_move_are_never_immutable(served) -> None:
    for path in (
        "/rounds/finalized",
        "/rounds/head",
        "/rounds/finalized/manifest",
        "/rounds",
        "/audit/trail",
    ):
        assert served.get(path).headers["cache-control"] == "no-cache"
    assert "immutable" in served.get("/rounds/4").headers["cache-control"]


def test_the_round_under_way_changes_its_etag_when_it_moves(served) -> None:
    before = served.get("/rounds/5")
    assert before.headers["etag"].startswith('W/"')
    assert before.json()["meta"]["finalized"] is False
    served.chain.score()
    served.observer.advance()
    after = served.get("/rounds/5", headers={"If-None-Match": before.headers["etag"]})
    assert (after.status_code, after.json()["round"]["phase"]) == (200, "SCORED")


def test_a_round_becomes_immutable_only_behind_the_confirmations(serve) -> None:
    served = serve(confirmations=3)
    assert served.get("/rounds/4").headers["cache-control"] == "no-cache"
    assert served.get("/rounds/finalized").json()["round"]["number"] == 3
    served.chain.mine(3)
    served.observer.advance()
    answer = served.get("/rounds/4")
    assert "immutable" in answer.headers["cache-control"]
    ended = answer.json()["round"]["blocks"]["ended"]
    meta = answer.json()["meta"]
    assert (meta["finalized"], meta["block_number"]) == (True, ended)
    assert meta["block_hash"] == "0x" + served.chain.block(ended).hash.hex()


def test_a_reputation_before_the_end_of_a_round_is_never_kept_for_the_one_after_it(served) -> None:
    before = served.get("/proofs/reputation?round=5&node=1")
    assert (before.headers["cache-control"], before.json()["round"]) == ("no-cache", 4)
    served.chain.score()
    evidence = served.chain._evidence()
    manifest = served.chain.certify(publish=False)
    served.observer.advance()
    assert served.get("/proofs/reputation?round=5&node=1").status_code == 404
    served.chain.publish(manifest, evidence)
    served.chain.mine(served.chain.config.windows.challenge)
    served.observer.advance()
    after = served.get("/proofs/reputation?round=5&node=1")
    assert after.json()["round"] == 5
    assert "immutable" in after.headers["cache-control"]


def test_a_certificate_becomes_immutable_only_behind_its_challenge_window(serve) -> None:
    served = serve()
    served.chain.score()
    served.chain.certify()
    for left in range(served.chain.config.windows.challenge, 0, -1):
        served.observer.advance()
        for path in ("/rounds/5", "/rounds/5/certificate", "/rounds/5/updates", "/rounds/5/model"):
            answer = served.get(path)
            assert answer.headers["cache-control"] == "no-cache", (path, left)
            assert not answer.json()["meta"]["finalized"]
        assert served.get("/rounds/finalized").json()["round"]["number"] == 4
        assert not served.get("/models?limit=1").json()["items"][0]["finalized"]
        served.chain.mine()
    served.observer.advance()
    assert "immutable" in served.get("/rounds/5").headers["cache-control"]
    assert served.get("/rounds/finalized").json()["round"]["number"] == 5
    assert served.get("/models?limit=1").json()["items"][0]["finalized"]


def test_a_round_without_its_documents_is_not_immutable(serve) -> None:
    served = serve(empty=True)
    served.chain.seal()
    served.chain.score()
    evidence = served.chain._evidence()
    manifest = served.chain.certify(publish=False)
    served.observer.advance()
    waiting = served.get("/rounds/1")
    assert waiting.headers["cache-control"] == "no-cache"
    assert (waiting.json()["round"]["documents"], waiting.json()["round"]["admitted"]) == (False, None)
    served.chain.publish(manifest, evidence)
    served.observer.advance()
    assert served.get("/rounds/1").json()["round"]["admitted"] == [0, 1, 2, 3]
    served.chain.mine(served.chain.config.windows.challenge)
    served.observer.advance()
    assert "immutable" in served.get("/rounds/1").headers["cache-control"]
