import client_programs
import pytest


@pytest.fixture
def bare_machine(monkeypatch, tmp_path):
    monkeypatch.setattr(client_programs, "CLIENTS", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("name", ["anvil", "cast"])
def test_a_missing_program_is_a_failure_that_says_what_to_do(bare_machine, name):
    with pytest.raises(
        FileNotFoundError, match=f"^{name} is missing: run `make test`, which installs it"
    ) as caught:
        client_programs.foundry_program(name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["viem", "ethers"])
def test_a_missing_library_is_a_failure_that_says_what_to_do(bare_machine, name):
    with pytest.raises(FileNotFoundError, match=f"^{name} is missing: run `make test`, which installs it$"):
        client_programs.run_script(f"{name}.mjs", bare_machine)


def test_a_program_of_the_machine_will_do(bare_machine):
    (bare_machine / "anvil").touch(mode=0o755)
    assert client_programs.foundry_program("anvil") == str(bare_machine / "anvil")
