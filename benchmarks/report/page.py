"""The report as one HTML page with everything in it, and as a Markdown table."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from ..bootstrap import Interval
from ..evaluation_table import RECALLS, recall_shown
from ..leakage import SharedWithTraining
from .cautions import cautions
from .comparison import Comparison
from .run import Outcome, Results

#: (figure, heading, decimals, with its interval).
COLUMNS = (
    ("map", "MAP", 3, True),
    ("mr1", "MR1", 2, True),
    ("mrr", "MRR", 3, False),
    ("hits_at_1", "hits@1", 3, False),
    ("precision_at_10", "P@10", 3, False),
    ("recall_at_10", "R@10", 3, False),
    ("recall_at_100", "R@100", 3, False),
    ("nar", "nAR", 3, False),
)

_STYLE = """
:root { --ink: #1c2733; --pale: #5d6b78; --line: #dfe5ea; --good: #00795a; --bad: #b3390b; }
* { box-sizing: border-box; }
body { margin: 0; background: #f5f7f9; color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial,
  sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 2.4rem 1.4rem 4rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .3rem; }
p.under { color: var(--pale); margin: .7rem 0 0; font-size: .9rem; }
h2 { font-size: 1.2rem; margin: 2.6rem 0 .8rem; }
p.lead { color: var(--pale); margin: 0 0 1.2rem; }
.card { background: #fff; border: 1px solid var(--line); border-radius: 10px;
  padding: 1.1rem 1.3rem; overflow-x: auto; }
.mark { display: inline-block; border-radius: 999px; padding: .2rem .85rem; font-size: .88rem;
  font-weight: 600; color: #fff; background: var(--pale); }
.mark.good { background: var(--good); } .mark.bad { background: var(--bad); }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .45rem .7rem; text-align: right; border-bottom: 1px solid var(--line);
  vertical-align: top; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
tr:last-child td { border-bottom: 0; }
th { font-size: .82rem; color: var(--pale); font-weight: 600; }
td.best { font-weight: 700; }
td small { display: block; color: var(--pale); font-weight: 400; font-size: .76rem; }
td.good { color: var(--good); } td.bad { color: var(--bad); }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(440px, 1fr)); gap: 1rem; }
figure { margin: 0; } figcaption { font-size: .9rem; font-weight: 600; margin-bottom: .5rem; }
img { max-width: 100%; height: auto; display: block; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; font-size: .82rem; margin: 0; }
ul { margin: .4rem 0 0; padding-left: 1.2rem; }
@media (max-width: 520px) { .figures { grid-template-columns: 1fr; } }
"""


def columns_of(outcomes: Sequence[Outcome]) -> list[tuple[str, str, int, bool]]:
    """Give those of :data:`COLUMNS` that say something with so many candidates."""
    shown = recall_shown(outcomes[0].evaluation)
    return [column for column in COLUMNS if column[0] not in RECALLS or column[0] == shown]


def results_table(results: Results) -> list[list[str]]:
    """Lay out one row per system below a row of headings, as text."""
    headings = ["System"]
    columns = columns_of(results.outcomes)
    for _, heading, _, with_interval in columns:
        headings += [heading, "95%"] if with_interval else [heading]
    rows = [[*headings, "Seconds"]]
    for outcome in results.outcomes:
        means, row = outcome.evaluation.means(), [outcome.name]
        for name, _, decimals, with_interval in columns:
            row.append(_number(means[name], decimals))
            if with_interval:
                row.append(_interval(outcome.evaluation.intervals[name], decimals))
        rows.append([*row, _seconds(outcome)])
    return rows


def markdown(results: Results) -> str:
    """Write the table of results as Markdown, with what it was measured on."""
    rows = results_table(results)
    lines = [
        f"## {results.spec.title}",
        "",
        f"{_what(results)}. {results.check.verdict[:1].upper()}{results.check.verdict[1:]}.",
        "",
        *_bullets(results.check.findings),
        "| " + " | ".join(cell.replace("|", "\\|") for cell in rows[0]) + " |",
        "|---|" + "---:|" * (len(rows[0]) - 1),
        *("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows[1:]),
        "",
        "95% intervals by bootstrap over works; smaller MR1 and nAR are better. Ties count with "
        "their expectation.",
        *(f"{caution}." for caution in cautions(results.outcomes)),
        f"Leakage: {results.leakage.verdict}; {results.leakage.within}.",
    ]
    return "\n".join(lines) + "\n"


def html(
    results: Results, figures: Mapping[str, Path], against_best: Mapping[str, Comparison]
) -> str:
    """Write the page; figures are embedded, so that it is one file that can be sent.

    Parameters
    ----------
    results : Results
    figures : mapping of str to path
        Caption -> PNG.
    against_best : mapping of str to Comparison
        System -> its comparison with the best one (A: the best).
    """
    parts = [
        f"<h1>{escape(results.spec.title)}</h1>",
        f'<p class="lead">{escape(_what(results))}</p>',
        f"<p>{_mark(results)}</p>{_findings(results)}",
        "<h2>Results</h2>",
        f'<div class="card">{_results(results.outcomes)}</div>',
        '<p class="under">95% intervals by bootstrap over works. Smaller MR1 and nAR are better. '
        "Ties count with their expectation under random order.</p>",
        *(f'<p class="under">{escape(c)}.</p>' for c in cautions(results.outcomes)),
        _differences(against_best),
        "<h2>Figures</h2>",
        '<div class="figures">',
        *(_figure(caption, path) for caption, path in figures.items()),
        "</div>",
        "<h2>Leakage</h2>",
        f'<div class="card">{_leakage(results)}</div>',
        "<h2>How it was made</h2>",
        f'<div class="card"><pre>{escape(_provenance(results))}</pre></div>',
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(results.spec.title)}</title><style>{_STYLE}</style></head>"
        f"<body><main>{''.join(parts)}</main></body></html>\n"
    )


def _bullets(findings: Sequence[str]) -> list[str]:
    return [*(f"- {finding}" for finding in findings), ""] if findings else []


def _what(results: Results) -> str:
    counts = results.outcomes[0].evaluation.counts
    text = (
        f"{counts.n_performances:,} performances of {counts.n_works:,} works, "
        f"{counts.n_queries:,} queries with {counts.n_performances - 1:,} candidates each"
    )
    if results.n_rejected:
        text += f"; {results.n_rejected:,} could not be read and are left out"
    if results.failed:
        are = "are" if len(results.failed) > 1 else "is"
        text += f"; {', '.join(results.failed)} failed and {are} missing"
    return text


def _mark(results: Results) -> str:
    check = results.check
    named = bool(check.protocol.works_of_size)
    kind = ("good" if check.comparable else "bad") if named else ""
    return f'<span class="mark {kind}">{escape(check.verdict)}</span>'


def _findings(results: Results) -> str:
    if not results.check.findings:
        return ""
    return f"<ul>{''.join(f'<li>{escape(f)}</li>' for f in results.check.findings)}</ul>"


def _results(outcomes: Sequence[Outcome]) -> str:
    columns = columns_of(outcomes)
    head = "".join(f"<th>{escape(heading)}</th>" for _, heading, _, _ in columns)
    best = {name: _best(name, outcomes) for name, _, _, _ in columns}
    rows = []
    for outcome in outcomes:
        means = outcome.evaluation.means()
        cells = [f"<td>{escape(outcome.name)}</td>"]
        for name, _, decimals, with_interval in columns:
            small = _interval(outcome.evaluation.intervals[name], decimals) if with_interval else ""
            marked = ' class="best"' if means[name] == best[name] else ""
            under = f"<small>{small}</small>" if small else ""
            cells.append(f"<td{marked}>{_number(means[name], decimals)}{under}</td>")
        cells.append(f"<td>{_number(outcome.profile.hubness, 2)}</td><td>{_seconds(outcome)}</td>")
        rows.append(f"<tr>{''.join(cells)}</tr>")
    return (
        f"<table><tr><th>System</th>{head}<th>Hubness</th><th>Seconds</th></tr>"
        f"{''.join(rows)}</table>"
    )


def _best(name: str, outcomes: Sequence[Outcome]) -> float | None:
    values = [value for o in outcomes if (value := o.evaluation.means()[name]) is not None]
    if len(set(values)) < 2:
        return None  # nothing is best where all are alike
    return min(values) if name in ("mr1", "nar") else max(values)


def _differences(against_best: Mapping[str, Comparison]) -> str:
    if not against_best:
        return ""
    rows = []
    caution = next(iter(against_best.values())).caution.capitalize()
    for name, comparison in against_best.items():
        d = comparison.differences["map"]
        colour = {"better": "good", "worse": "bad"}.get(d.verdict, "")
        rows.append(
            f"<tr><td>{escape(name)}</td><td>{d.difference:+.3f}"
            f"<small>{_interval(d.interval, 3, signed=True)}</small></td>"
            f'<td class="{colour}">{d.verdict}</td>'
            f"<td>{d.won:,}</td><td>{d.lost:,}</td><td>{d.drawn:,}</td></tr>"
        )
    return (
        "<h2>Against the best</h2><div class='card'><table><tr><th>System</th>"
        "<th>Difference of MAP</th><th>Verdict</th><th>Queries won</th><th>lost</th><th>equal</th>"
        f"</tr>{''.join(rows)}</table></div>"
        '<p class="under">Paired bootstrap by work: undecided where the interval includes 0.'
        f"{f' {caution}.' if caution else ''}</p>"
    )


def _figure(caption: str, path: Path) -> str:
    data = base64.b64encode(path.read_bytes()).decode()
    return (
        f'<figure class="card"><figcaption>{escape(caption)}</figcaption>'
        f'<img alt="{escape(caption)}" src="data:image/png;base64,{data}"></figure>'
    )


def _leakage(results: Results) -> str:
    leakage = results.leakage
    found = [item for shared in leakage.trainings for item in _shared(shared)] + [
        ("recordings that the catalogue has twice", [" = ".join(p) for p in leakage.duplicates]),
        (
            "pairs of performances with nearly the same embedding",
            [f"{a} ~ {b} ({value:.4f})" for a, b, value in leakage.near_duplicates],
        ),
        (
            "titles of several works",
            [f"{title} ({', '.join(works)})" for title, works in leakage.titles_of_several_works],
        ),
    ]
    items = "".join(
        f"<li>{len(listed):,} {what}: {escape(_some(listed))}</li>"
        for what, listed in found
        if listed
    )
    verdict = ". ".join(
        escape(text[:1].upper() + text[1:]) for text in (leakage.verdict, leakage.within)
    )
    return f"{verdict}.<ul>{items}</ul>" if items else f"{verdict}."


def _shared(shared: SharedWithTraining) -> list[tuple[str, list[str]]]:
    too = f"in the training list of {shared.training} too"
    return [
        (f"works {too}", shared.shared_works),
        (f"performances {too}", shared.shared_performances),
        (f"recordings {too}", [" = ".join(pair) for pair in shared.shared_recordings]),
        (
            f"recordings embedded nearly like one {too}",
            [f"{a} ~ {b} ({value:.4f})" for a, b, value in shared.shared_embeddings],
        ),
        (f"titles {too}", shared.shared_titles),
    ]


def _some(listed: Sequence[str]) -> str:
    return ", ".join(listed[:6]) + (", ..." if len(listed) > 6 else "")


def _provenance(results: Results) -> str:
    document = {
        "catalogue": results.spec.catalogue,
        "systems": {outcome.name: dict(outcome.parameters) for outcome in results.outcomes},
        **results.environment,
    }
    return json.dumps(document, indent=2, ensure_ascii=False, default=str)


def _number(value: float | None, decimals: int) -> str:
    return "\u2013" if value is None or value != value else f"{value:.{decimals}f}"


def _interval(interval: Interval | None, decimals: int, *, signed: bool = False) -> str:
    if interval is None:
        return "\u2013"
    sign = "+" if signed else ""
    return f"{interval.low:{sign}.{decimals}f} to {interval.high:{sign}.{decimals}f}"


def _seconds(outcome: Outcome) -> str:
    return "\u2013" if outcome.seconds is None else f"{outcome.seconds:.1f}"
