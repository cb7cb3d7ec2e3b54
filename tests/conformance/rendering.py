"""A verdict as people and programs read it: a table, Markdown, JSON, a badge."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final
from xml.sax.saxutils import escape

import msgspec

from jobcore.conformance.verdict import Finding, Status, Verdict

_COLORS: Final = {Status.PASSED: "#3a7d2c", Status.FAILED: "#b3261e", Status.INCOMPLETE: "#6b6b6b"}
_LETTER: Final = 6.6
"""About the width of a letter of 11 pixels."""


def as_text(verdict: Verdict) -> str:
    """For a terminal, about 80 columns wide."""
    lines = [headline(verdict), "", *(f"  {what:<11} {name}" for what, name in verdict.subject.items()), ""]
    lines.append(f"  {'law':<22}{'verdict':<10}{'tests':>6}{'time':>10}")
    lines += map(line_of, verdict.judged)
    if notes := [f"    {note}" for note in notes_of(verdict)]:
        lines += ["", "  how it was checked, by law", *notes]
    for finding in verdict.judged:
        lines += _complaints(finding)
    if verdict.run.command:
        lines += ["", f"To repeat this run:  {verdict.run.command}"]
    return "\n".join(lines)


def headline(verdict: Verdict) -> str:
    """What was judged and how, in a line."""
    laws = [finding.status for finding in verdict.findings if finding.law.number is not None]
    details = [finding.status for finding in verdict.findings if finding.law.number is None]
    others = " asked for" if verdict.run.asked else f" and {_kept(details)} details"
    tests = sum(finding.tests for finding in verdict.findings)
    return (
        f"{verdict.name}: {verdict.status.upper()}, kept {_kept(laws)} law{'s' * (len(laws) != 1)}{others}; "
        f"{tests} tests, {verdict.examples} histories, {verdict.seconds:.1f} s"
    )


def _kept(statuses: Sequence[Status]) -> str:
    broken = {Status.FAILED, Status.INCOMPLETE}
    return f"{sum(status not in broken for status in statuses)} of {len(statuses)}"


def line_of(finding: Finding) -> str:
    """A finding, in a line of the table."""
    number = "" if finding.law.number is None else str(finding.law.number)
    return f"  {number:>3} {finding.law.name:<18}{finding.status:<10}{finding.tests:>6}{finding.seconds:>8.1f} s"


def as_markdown(verdicts: Sequence[Verdict]) -> str:
    """A section for each verdict."""
    return "\n\n".join("\n".join(_section(verdict)) for verdict in verdicts) + "\n"


def as_json(verdicts: Sequence[Verdict]) -> bytes:
    """One document: `{"status": …, "verdicts": [Verdict, …]}`."""
    document = {"status": status_of(verdicts), "verdicts": verdicts}
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def as_badge(verdicts: Sequence[Verdict]) -> str:
    """An SVG image that says whether all of them passed."""
    status = status_of(verdicts)
    left, right = f"jobcore {_asked(verdicts)}", status.value
    widths = [round(_LETTER * len(text)) + 12 for text in (left, right)]
    return _BADGE.format(
        total=sum(widths),
        left=escape(left),
        right=escape(right),
        split=widths[0],
        rest=widths[1],
        left_middle=widths[0] / 2,
        right_middle=widths[0] + widths[1] / 2,
        color=_COLORS[status],
    )


def status_of(verdicts: Sequence[Verdict]) -> Status:
    """What is said of all of them together."""
    statuses = {verdict.status for verdict in verdicts} or {Status.INCOMPLETE}
    return next(status for status in (Status.FAILED, Status.INCOMPLETE, Status.PASSED) if status in statuses)


def _asked(verdicts: Sequence[Verdict]) -> str:
    asked = sorted({number for verdict in verdicts for number in verdict.run.asked})
    return f"law{'s' * (len(asked) != 1)} {', '.join(map(str, asked))}".strip()


def notes_of(verdict: Verdict) -> Iterator[str]:
    """How laws were checked of which there are several ways."""
    notes = dict.fromkeys(note for finding in verdict.judged for note in finding.notes)
    for note in notes:
        laws = [finding.law for finding in verdict.judged if note in finding.notes]
        yield f"{', '.join(str(law.number or law) for law in laws)}: {note}"


def _complaints(finding: Finding) -> Iterator[str]:
    """What a broken law says, and how each test saw that it is broken."""
    if finding.failures:
        yield from ("", f"Broken is {finding.law}: {finding.law.sentence}")
    for case in finding.failures:
        yield from ("", f"  {case.test}", *(f"    {line}" for line in case.message.splitlines()))


def _section(verdict: Verdict) -> Iterator[str]:
    yield f"## {headline(verdict)}"
    yield ""
    yield from (f"* {what}: {name}" for what, name in verdict.subject.items())
    if verdict.run.command:
        yield f"* again: `{verdict.run.command}`"
    yield ""
    yield "| law | | verdict | tests | time |"
    yield "|---|---|---|---|---|"
    for finding in verdict.judged:
        law = finding.law
        yield f"| {law.number or ''} | {law.name} | {finding.status} | {finding.tests} | {finding.seconds:.1f} s |"
    yield ""
    yield from (f"* law {note}" for note in notes_of(verdict))
    for finding in verdict.judged:
        for case in finding.failures:
            yield from ("", f"**{finding.law}**, broken in `{case.test}`:", "", "```", case.message, "```")


_BADGE: Final = """\
<svg xmlns="http://www.w3.org/2000/svg" width="{total}" height="20" role="img" aria-label="{left}: {right}">
  <title>{left}: {right}</title>
  <clipPath id="round"><rect width="{total}" height="20" rx="3"/></clipPath>
  <g clip-path="url(#round)">
    <rect width="{split}" height="20" fill="#444"/>
    <rect x="{split}" width="{rest}" height="20" fill="{color}"/>
  </g>
  <g fill="#fff" text-anchor="middle" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">
    <text x="{left_middle}" y="14">{left}</text>
    <text x="{right_middle}" y="14">{right}</text>
  </g>
</svg>
"""
