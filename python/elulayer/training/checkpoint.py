"""Files from which a run that was cut off goes on, to the same bits."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from .._support.paths import matching, user_path
from .._support.whole_files import remove_abandoned_parts, require_writable, write_whole
from ..network.tensors import pack_tensors, read_tensors, require_safetensors
from .options import TrainingOptions
from .run import Run
from .setting import Setting

KIND = "elulayer checkpoint 3"
PATTERN = "checkpoint-*.safetensors"


def is_due(run: Run, options: TrainingOptions, epoch_ended: bool) -> bool:
    """Whether the options ask for a checkpoint now."""
    if options.checkpoint_path is None:
        return False
    if options.checkpoint_frequency_unit == "iteration":
        return run.iteration % options.checkpoint_frequency == 0
    return epoch_ended and run.epoch % options.checkpoint_frequency == 0


def prepare_checkpoints(options: TrainingOptions, resumed: bool) -> None:
    """Look before the run whether its checkpoints can be written.

    Raises
    ------
    ImportError
        If the package safetensors is not installed.
    OSError
        If the folder cannot be written to.
    ValueError
        If the folder holds checkpoints of another run.
    """
    folder = options.checkpoint_path
    if folder is None:
        return
    require_safetensors()
    try:
        require_writable(_file(folder, 0))
    except OSError as error:
        raise type(error)(
            error.errno,
            f"checkpoint_path must be a folder to write to: {error.strerror}",
            str(folder),
        ) from error
    if not resumed and matching(Path(folder), PATTERN):
        raise ValueError(
            f"{folder} holds checkpoints of an earlier run: resume from it, or give another folder"
        )


def require_savable(run: Run, setting: Setting) -> None:
    """Try whether a file can hold the state of a run, before it begins.

    Raises
    ------
    TypeError
        If it cannot.
    """
    try:
        _pack(run, setting, 0.0)
    except MemoryError:
        raise
    except Exception as error:  # of a dtype that safetensors or JSON does not know, or of a layer
        raise TypeError(
            f"checkpoint_path must be None for a run whose state no file can hold: {error}"
        ) from error


def save_checkpoint(run: Run, options: TrainingOptions, setting: Setting, seconds: float) -> None:
    """Write the state of a run into the options' folder.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    assert options.checkpoint_path is not None
    write_whole(_file(options.checkpoint_path, run.iteration), _pack(run, setting, seconds))


def _file(folder: str | os.PathLike[str], iteration: int) -> Path:
    return Path(folder) / f"checkpoint-{iteration:08d}.safetensors"


def _pack(run: Run, setting: Setting, seconds: float) -> bytes:
    content = {"run": {**run.numbers(), "seconds": seconds}, "setting": setting}
    description = f"elulayer, training stopped after iteration {run.iteration}\n{run.network!r}"
    return pack_tensors(KIND, run.arrays(), content, description)


def restore_checkpoint(
    run: Run, options: TrainingOptions, now: Setting, path: str | os.PathLike[str]
) -> None:
    """Give a run the state of a checkpoint.

    Parameters
    ----------
    run : Run
        Of the same layers, options and data, not yet begun.
    options : TrainingOptions
    now : dict
        Its `describe_setting`.
    path : str or path
        A checkpoint, or a folder of them, of which the last is taken; an empty folder leaves the
        run at its beginning.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If the file is damaged or something else, or was written by another run.
    """
    given, path = path, user_path(path, "resume")
    if given == "":
        raise ValueError("resume must be a checkpoint or a folder, not ''")
    earlier: list[Path] = []
    if path.is_dir():
        remove_abandoned_parts(path, PATTERN)
        files = matching(path, PATTERN)
        if not files:
            return
        *earlier, path = files
    try:
        arrays, content = read_tensors(path, KIND)
    except ValueError as error:
        if not earlier:
            raise
        raise ValueError(f"{error}; an earlier checkpoint is {earlier[-1]}") from error
    then, state = content.get("setting"), content.get("run")
    if not isinstance(then, dict) or not isinstance(state, dict):
        raise ValueError(f"{path} is damaged: it must hold a run and its setting")
    _check_classes(then.get("layers"), now["layers"], path)
    for what in now:
        if what not in then or then[what] != now[what]:
            long = isinstance(now[what], (dict, list)) or isinstance(then.get(what), (dict, list))
            raise ValueError(
                f"{what} must be as in the run of {path}, "
                + ("not other" if long else f"{then.get(what)!r}, not {now[what]!r}")
            )
    try:
        run.restore(arrays, state)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path} does not fit this run: {error}") from error
    if run.epoch > options.max_epochs:
        raise ValueError(
            f"max_epochs must be at least {run.epoch}, the epoch of {path}, not "
            f"{options.max_epochs}"
        )


def _check_classes(then: Any, now: list[Setting], path: Path) -> None:
    """Check that layers are of the classes of the run before."""
    known = [isinstance(layer, dict) for layer in then] if isinstance(then, list) else [False]
    if not all(known):
        raise ValueError(f"{path} is damaged: it must hold layers")
    for index, (old, new) in enumerate(zip(then, now, strict=False)):
        before, given = (
            layer.get("custom") or f"elulayer.{layer.get('class')}" for layer in (old, new)
        )
        if before != given:
            raise ValueError(
                f"layers[{index}] must be of the class {before}, as in the run of {path}, not "
                f"{given}"
            )
