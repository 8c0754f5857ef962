"""What a bundle must prove, and which step says so when it does not."""

from ledgerfed.audit import verify_bundle


def test_an_honest_history_passes_every_step(bundle):
    report = verify_bundle(bundle)
    print("\n".join(report.lines()))
    assert report.passed
