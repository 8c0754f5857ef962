"""The public API is one screen, and asking for a name loads it."""

import ledgerfed


def test_every_public_name_exists_and_nothing_else_is_offered():
    assert sorted(ledgerfed.__all__) == dir(ledgerfed)
    assert all(getattr(ledgerfed, name) is not None for name in ledgerfed.__all__)
    assert not hasattr(ledgerfed, "Device")
