"""Say what a plan needs: the memory of the card, and what is done besides training and scoring."""

from collections.abc import Iterable, Mapping, Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from experiments.common.stage_rates import MACHINE, TOKENS_A_PASSAGE
from experiments.common.text import duration, plural
from experiments.studies.needs import Needs, card_of, gb
from experiments.studies.preparation import Stage

TIGHT = 0.85  # share of a card above which an estimate is called tight: it leaves out what CUDA takes, and the scores
UNKNOWN = "?"
BESIDES = "besides training and scoring"


def memory_lines(jobs: Mapping[str, Needs], device: str) -> list[str]:
    """Return a line on the job whose step needs most memory, and one on those that may not fit. ``jobs``: by name."""
    card = card_of(device).memory_gb * 1e9
    needed = {name: job.memory for name, job in jobs.items() if job.memory is not None and job.training}
    if not needed:
        return []
    name = max(needed, key=lambda each: needed[each].total)
    most = needed[name]
    lines = [
        f"memory of the {device}: about {gb(most.total)} of {gb(card)} in a step of {name} ({gb(most.states)} of "
        f"weights, gradients and AdamW, {gb(most.activations)} of activations), the most of all"
    ]
    tight = [each for each, memory in needed.items() if memory.total > TIGHT * card]
    if tight:
        lines.append(
            f"{plural(len(tight), 'job')} may not fit, such as {tight[0]}: set batch.checkpoint=true (cross-encoders, "
            f"a third more operations), several trainer.devices, or another device"
        )
    return lines


def print_preparation(stages: Sequence[Stage], device: str, rate: float, console: Console) -> None:
    """Print a row a stage and their sums. ``rate``: operations a second on the card."""
    if not stages:
        console.print(Text(f"{BESIDES}: nothing, the cache has the texts, tokens and runs"))
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column(BESIDES, overflow="fold")
    for column in ("on 2 cores", f"on the {device}", "memory", "disk"):
        table.add_column(column, justify="right")
    for stage in stages:
        seconds = (stage.seconds, None if stage.operations is None else stage.operations / rate)
        times = [UNKNOWN if each is None else duration(each) if each else "" for each in seconds]
        sizes = [UNKNOWN if each is None else gb(each) for each in (stage.memory, stage.disk)]
        table.add_row(*(Text(cell) for cell in (stage.what, *times, *sizes)))
    console.print()
    console.print(table)
    console.print()
    for line in preparation_lines(stages, device, rate):
        console.print(Text(line), soft_wrap=True)


def preparation_lines(stages: Sequence[Stage], device: str, rate: float) -> list[str]:
    """Return the sums of stages, and where their rates are from."""
    processor, encoder = _known(stage.seconds for stage in stages), _known(stage.operations for stage in stages)
    memory, disk = (max(_known(stage.memory for stage in stages), default=0), _known(stage.disk for stage in stages))
    lacking = sum(None in (stage.seconds, stage.operations, stage.disk) for stage in stages)
    unknown = f" (and {plural(lacking, 'stage')} of which it is not known)" if lacking else ""
    encoding = f", {duration(sum(encoder) / rate)} on the {device}" if any(encoder) else ""
    lines = [
        f"{BESIDES}: {duration(sum(processor))} of two cores{encoding}{unknown}; up to {gb(memory)} of main memory at "
        f"a time, {gb(sum(disk))} of cache. Jobs share it, and what the cache has already is not counted",
        f"two cores are taken to be as fast as those of {MACHINE}, on which make scale measured the rates; texts that "
        f"are not read yet and of which no length is known, to be as long as MS MARCO's ({TOKENS_A_PASSAGE} tokens)",
    ]
    fetched = dict(stage.download for stage in stages if stage.download is not None)
    if fetched:
        lines.append(f"downloads for it: {', '.join(f'{name} ({gb(size)})' for name, size in fetched.items())}")
    return lines


def _known(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]
