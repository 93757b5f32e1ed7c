"""State a study's main finding in one sentence, and its progress."""

from collections import Counter
from collections.abc import Sequence

from experiments.analysis.claims import Verdict
from experiments.analysis.findings import Findings, Result
from experiments.common.text import decimals, difference, p_value, plural
from experiments.evaluation.comparison import LEVEL
from experiments.evaluation.measure_names import mean_name
from experiments.reporting.names import THIS_SEED, candidates_name, reference_name, setting_name
from experiments.reporting.tables.results import left_out

# State of a claim -> its name in a sentence, in the order of counting.
STATES = {state: state for state in ("supported", "contradicted", "undecided")} | {"missing": "not measured yet"}


def headline(findings: Findings) -> str:
    """Summarise the verdicts on the claims, or, without claims, name the best setting."""
    if not findings.results:
        return "No job has finished yet, so there is nothing to report."
    return _claims(findings.verdicts) if findings.verdicts else " ".join(_best(findings))


def details(findings: Findings) -> list[str]:
    """Add to the headline the best setting of a study with claims, and the state of the jobs."""
    best = _best(findings) if findings.verdicts else []
    missing = left_out(findings.jobs)
    jobs = plural(len(findings.jobs), "job")
    progress = f"{jobs}, all finished."
    if missing:
        counts = ", ".join(f"{number} {state}" for state, number in Counter(state for _, state, _ in missing).items())
        progress = f"{len(findings.jobs) - len(missing)} of {jobs} finished; {counts}."
    if findings.missing:
        values = plural(len(findings.missing), "published value has", "published values have")
        progress += f" {values} no finished job."
    return [*best, progress]


def _claims(verdicts: Sequence[Verdict]) -> str:
    if len(verdicts) == 1:
        return f"The claim that {verdicts[0].claim.says.rstrip('.')} is {STATES[verdicts[0].state]}."
    counts = Counter(verdict.state for verdict in verdicts)
    parts = [
        f"{counts[state]} {'is' if counts[state] == 1 else 'are'} {name}"
        for state, name in STATES.items()
        if counts[state]
    ]
    listed = " and ".join(filter(None, [", ".join(parts[:-1]), parts[-1]]))
    return f"Of {len(verdicts)} claims, {listed}."


def _best(findings: Findings) -> list[str]:
    """Name the setting with the highest mean on each data set, in one sentence each."""
    by_data: dict[str, list[Result]] = {}
    for result in findings.results:
        by_data.setdefault(result.group.data, []).append(result)
    return [_best_on(findings, data, results) for data, results in by_data.items()]


def _best_on(findings: Findings, data: str, results: Sequence[Result]) -> str:
    best = max(results, key=lambda result: result.mean)
    group, gain = best.group, best.comparison
    measure, reference = mean_name(group.measure), reference_name(findings, group)
    setting = f"{setting_name(best.setting.labels, group.axes)} ({candidates_name(group.first_stage)})"
    reached = f"the highest {measure} on {data}, {decimals(best.mean)}"
    if gain is None:
        return f"No setting is better than the reference: {setting} has {reached}."
    estimate = difference(gain.mean, gain.low, gain.high)
    if best.p_holm is None:
        sample = f"over {THIS_SEED}: one seed says nothing of others"
        return f"{setting} has {reached}; its difference to {reference} is {estimate}, {sample}."
    estimate += f", p {p_value(best.p_holm)}"
    if best.p_holm > LEVEL:
        return f"{setting} has {reached}, but does not differ significantly from {reference}: {estimate}."
    way = "better" if gain.mean > 0 else "worse"
    return f"{setting} has {reached}, significantly {way} than {reference}: {estimate}."
