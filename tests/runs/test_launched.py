"""What torchrun and SLURM say about their processes."""

import pytest

from filterscope.runs.launched import is_first_process, is_launched, machines, num_processes
from filterscope.runs.processes import spawns

SLURM = {"SLURM_NTASKS": "4", "SLURM_NNODES": "2", "SLURM_PROCID": "3", "SLURM_JOB_NAME": "train"}
TORCHRUN = {
    "TORCHELASTIC_RUN_ID": "none", "RANK": "2", "LOCAL_RANK": "0", "GROUP_WORLD_SIZE": "2",
    "WORLD_SIZE": "4",
}  # fmt: skip


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*SLURM, *TORCHRUN):
        monkeypatch.delenv(name, raising=False)


def say(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


def test_a_process_alone_starts_the_others() -> None:
    assert (is_launched(), is_first_process(), machines()) == (False, True, 1)
    assert num_processes() == 1
    assert spawns(2)
    assert not spawns(1)


@pytest.mark.parametrize("variables", [SLURM, TORCHRUN, SLURM | TORCHRUN])
def test_processes_started_from_outside_start_no_others(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    say(monkeypatch, variables)
    assert (is_launched(), is_first_process(), machines()) == (True, False, 2)
    assert num_processes() == 4
    assert not spawns(2)


@pytest.mark.parametrize(
    "variables", [SLURM | {"SLURM_PROCID": "0"}, TORCHRUN | {"RANK": "0"}, SLURM | {"RANK": "0"}]
)
def test_the_first_of_all_machines_writes(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    say(monkeypatch, variables)
    assert is_first_process()


def test_a_shell_in_an_allocation_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    say(monkeypatch, SLURM | {"SLURM_JOB_NAME": "interactive"})
    assert (is_launched(), is_first_process(), machines()) == (False, True, 1)


def test_one_machine_of_torchrun_in_a_larger_allocation(monkeypatch: pytest.MonkeyPatch) -> None:
    say(monkeypatch, SLURM | TORCHRUN | {"GROUP_WORLD_SIZE": "1"})
    assert machines() == 1
