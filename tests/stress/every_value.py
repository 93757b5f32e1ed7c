"""Give every key every kind of value that may go wrong: ``python -m stress.every_value``.

(PYTHONPATH=tests.) The keys are those of a job on the command line, with those that other parts have; and those of
every JSON and YAML file of a saved study, each read by all commands that read the file. A value is accepted, where it
can be one of the key, or refused by one line that can be printed.
"""

import argparse
import copy
import json
import logging
import sys
import tempfile
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import yaml
from stress import fuzz
from stress.fuzzing import overrides, studies
from stress.fuzzing.damages import places_in
from stress.fuzzing.study_template import sound_files
from stress.fuzzing.verdicts import ACCEPTED, FAILED, REFUSED, Outcome
from stress.studies import Counts

GONE = object()
SAVED = (-float("inf"), "x", [], {}, None, True, -1, 2**63, 1.5, [[]], {"a": 1}, GONE)
Try = tuple[str, Callable[[], Outcome]]  # what is set, and what judges it


def main() -> int:
    """Try all of them; returns 1 if one was neither accepted nor refused as it should be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--of", choices=("commands", "saved"), help="these alone")
    parser.add_argument("--every", type=int, default=1, help="try every N-th value only")
    parser.add_argument("--first", type=int, default=0, help="number of the first value to try")
    options, counts = parser.parse_args(), Counts()
    fuzz.prepare()
    logging.disable(logging.CRITICAL)
    for name, tries in (("commands", of_commands), ("saved", of_saved_studies)):
        if options.of not in (None, name):
            continue
        for what, judged in islice(tries(), options.first, None, options.every):
            outcome = judged()
            counts.add(f"{name}: values")
            for verdict in (ACCEPTED, REFUSED):
                counts.add(f"{name}: {verdict}", outcome.verdict == verdict)
            counts.expect(outcome.verdict != FAILED, f"{name}: {FAILED}", f"{what}: {outcome.why}")
    return counts.end()


def of_commands() -> Iterator[Try]:
    """Yield each key of a job with each value, those of other parts with these parts."""
    known: set[str] = set()
    for more in overrides.BASES:
        for key in overrides.keys_of(more):
            if key in known:
                continue
            known.add(key)
            for value, what in overrides.VALUES.items():
                override = f"{key}={value}"
                impossible = overrides.cannot_be(key, what, overrides.defaults(more).get(key))
                yield (
                    f"{' '.join(more)} {override[:100]!r}",
                    lambda more=more, override=override, impossible=impossible: overrides.outcome_of(
                        more, override, impossible
                    ),
                )


def of_saved_studies() -> Iterator[Try]:
    """Yield each place of each file of a study with each value, or without its key, for each command."""
    study = studies.template()
    for path in sound_files(study):
        if path.suffix not in (".json", ".yaml"):
            continue
        read: Callable[[bytes], Any] = json.loads if path.suffix == ".json" else yaml.safe_load
        sound = read(path.read_bytes())
        for place in places_in(sound):
            for value in SAVED:
                written = _written(path, _with(sound, place, value))
                key = ".".join(map(str, place))
                what = f"{key} is {'missing' if value is GONE else repr(value)}"
                for command in studies.READ_BY[path.name.partition(".")[0]]:
                    yield (
                        f"{command}: {path.relative_to(study)}: {what}",
                        lambda command=command, path=path, written=written, what=what: _said(
                            command, path, written, what
                        ),
                    )


def _said(command: str, path: Path, written: bytes, what: str) -> Outcome:
    with tempfile.TemporaryDirectory() as folder:
        return studies.said_of(command, path, written, what, Path(folder))


def _with(sound: Any, place: tuple[Any, ...], value: Any) -> Any:
    changed = copy.deepcopy(sound)
    owner = changed
    for key in place[:-1]:
        owner = owner[key]
    if value is GONE:
        del owner[place[-1]]
    else:
        owner[place[-1]] = value
    return changed


def _written(path: Path, value: Any) -> bytes:
    return (json.dumps(value, indent=1) if path.suffix == ".json" else yaml.safe_dump(value, sort_keys=False)).encode()


if __name__ == "__main__":
    sys.exit(main())
