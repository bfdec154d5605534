"""A training run: its folder, its processes, and what is told on the way."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from lightning.fabric import Fabric

from filterscope.data import ImageDataset, load_dataset
from filterscope.runs.division import changed_images
from filterscope.runs.folder import RunFolder
from filterscope.runs.launched import is_first_process
from filterscope.runs.load import dataset_arguments
from filterscope.runs.processes import launch, make_fabric, quiet
from filterscope.training.board import BoardReporter, board_module
from filterscope.training.checkpoint import refuse_other_settings
from filterscope.training.loop import Loop
from filterscope.training.progress import ConsoleReporter, Reporter, Silent
from filterscope.training.schedule import schedule_notes
from filterscope.training.settings import TrainSettings
from filterscope.training.writing import dataset_notes


def train(
    settings: TrainSettings,
    out: str | Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    progress: bool = False,
    dataset: ImageDataset | None = None,
) -> Path:
    """Train a network and write its run folder.

    Args:
        settings: Everything about the run.
        out: The run folder.
        resume: Go on with the run in `out` after its last finished epoch; the result is the same
            as if it had never stopped.
        overwrite: Replace the run in `out`.
        progress: Show a bar and one line an epoch on standard error.
        dataset: The data, when it is loaded already; else it is loaded by the settings.

    Returns:
        The run folder, for `load_run`.

    Raises:
        FileExistsError: `out` holds something and neither `resume` nor `overwrite` is given.
        FileNotFoundError: Nothing to resume, or data that is not there.
        ValueError: Settings, data or weights that do not fit; a run to resume whose images changed.
        TrainingDivergedError: The loss is no longer finite.
        ModuleNotFoundError: `tensorboard` without TensorBoard.

    Examples:
        >>> import tempfile
        >>> settings = TrainSettings(model="resnet20", epochs=1, limit=64, limit_test=32)
        >>> folder = train(settings, tempfile.mkdtemp() + "/run")
        >>> sorted(path.name for path in folder.iterdir())
        ['classes.json', 'config.yaml', 'data.json', 'environment.json', 'last.ckpt',
         'metrics.csv', 'model.safetensors']
    """
    folder = RunFolder(Path(out))
    if settings.tensorboard:
        board_module()  # told before anything is loaded
    if resume:
        refuse_other_settings(folder.read_config(), settings)
    elif is_first_process():  # which makes the folder, maybe before the others look
        folder.check_free(overwrite=overwrite)
    fabric = make_fabric(settings.device, settings.devices, settings.precision)
    process = partial(
        _train_process,
        settings=settings,
        folder=folder,
        resume=resume,
        overwrite=overwrite,
        progress=progress,
        dataset=dataset,
    )
    launch(fabric, process, settings.devices)
    return folder.path


def _train_process(
    fabric: Fabric,
    settings: TrainSettings,
    folder: RunFolder,
    resume: bool,
    overwrite: bool,
    progress: bool,
    dataset: ImageDataset | None,
) -> None:
    """What each process does."""
    quiet()
    dataset = dataset or load_dataset(**dataset_arguments(settings.to_dict()))
    if resume and changed_images(folder.read_json(folder.classes) or {}, dataset):
        raise ValueError(
            f"the images of {dataset.name} are not those that {folder.path} was begun with; put "
            "them back, or train anew"
        )
    loop = Loop(fabric, settings, folder, dataset, resume=resume)
    if fabric.is_global_zero:  # not before data and network are known to be good
        _begin(folder, settings, resume=resume, overwrite=overwrite)
    shown = progress and fabric.is_global_zero
    reporter: Reporter = ConsoleReporter(folder.path.name, settings.epochs) if shown else Silent()
    if settings.tensorboard and fabric.is_global_zero:
        reporter = BoardReporter(reporter, folder, loop.rows)
    with reporter:
        for note in (*dataset_notes(dataset), *loop.network.notes, *schedule_notes(settings)):
            reporter.note(note)
        loop.run(reporter)


def _begin(folder: RunFolder, settings: TrainSettings, *, resume: bool, overwrite: bool) -> None:
    """Make the folder ready for what is to be written."""
    if resume:
        folder.remove_leftovers()
    else:
        folder.create(overwrite=overwrite)
        folder.write_config(settings.to_dict())
