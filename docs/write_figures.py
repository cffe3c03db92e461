"""Write the figures in the documents from results files, or check that they have not drifted.

Usage: ``python docs/write_figures.py [--check]``. Results are made with
``hecf demo --json docs/results/demo.json``, ``hecf bench --json docs/results/bench.json``,
``hecf bench growth --json docs/results/growth.json``,
``python -m benchmarks.network --json docs/results/network.json``,
``hecf privacy-utility --json docs/results/privacy-utility.json`` and
``hecf bench paillier-encrypt paillier-sum compare-sum compare-gram compare-counts
compare-similarity compare-score --json docs/results/paillier.json``.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from parties.report.pictures import growth_picture, overhead_picture

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "docs" / "results"


def demo_figures(results: Mapping[str, Any]) -> str:
    """Quality and cost of one run of the demonstration, as Markdown."""
    lines = [
        "| target | recall@20 most popular | in clear | encrypted | NDCG@20 most popular "
        "| in clear | encrypted |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, metrics in results["targets"].items():
        cells = [
            f"{metrics[metric][model]:.3f}"
            for metric in ("recall@20", "ndcg@20")
            for model in ("popularity", "clear", "encrypted")
        ]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    seconds, agreement = results["seconds"], results["agreement"]
    sent = sum(count["sent"] for count in results["bytes"].values())
    parameters = results["parameters"]
    lines += [
        "",
        f"One run on two cores: {seconds['total']:.0f} s under encryption, "
        f"{seconds['clear']:.1f} s in clear; {sent / 1e6:.0f} MB sent by all processes "
        "together, largest score error "
        f"{agreement['max_abs_score_error']:.0e}, {100 * agreement['top20_overlap']:.1f} % of the "
        f"best 20 items the same. Ring degree {parameters['ring_degree']}, modulus "
        f"{parameters['modulus_bits']} bits, {parameters['security_bits']}-bit security.",
    ]
    return "\n".join(lines)


def bench_figures(results: Mapping[str, Any]) -> str:
    """Ratios of the benchmarks beside their marks, as Markdown."""
    lines = [
        "| job | hecf | baseline | ratio | mark | met | error |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for result in results["results"]:
        mark = "" if result["mark"] is None else f"{result['mark']:.3g}"
        met = "" if not mark else "yes" if result["met"] else "**no**"
        lines.append(
            f"| `{result['job']}` | {_seconds(result['seconds'])} "
            f"| {result['baseline']}: {_seconds(result['baseline_seconds'])} "
            f"| {result['ratio']:.3g} | {mark} | {met} | {result['error']:.0e} |"
        )
    machine = results["machine"]
    lines += [
        "",
        f"One run on {machine['processor']}, {machine['cores']} cores; only the ratios carry over "
        "to other machines. `hecf bench` says what each job is.",
    ]
    return "\n".join(lines)


def network_figures(results: Mapping[str, Any]) -> str:
    """Seconds of the demonstration over shaped networks, as Markdown."""
    lines = [
        "| network | to the node | from it | no bound | projected | measured | ratio |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for each in results["networks"]:
        moved = [f"{each['bytes'][way] / 1e6:.0f} MB" for way in ("received", "sent")]
        spent = [
            _seconds(each[name]) for name in ("seconds_without", "projected_seconds", "seconds")
        ]
        lines.append(f"| {each['name']} | {' | '.join([*moved, *spent])} | {each['ratio']:.2f} |")
    return "\n".join([*lines, "", _machine(results)])


def privacy_figures(results: Mapping[str, Any]) -> str:
    """Recall by epsilon, as Markdown."""
    epsilons = [point["epsilon"] for point in results["coalitions"][0]["curve"]]
    heads = ["coalition", "most popular", *(f"ε = {value:g}" for value in epsilons), "no privacy"]
    lines = ["| " + " | ".join(heads) + " |", "| --- " * len(heads) + "|"]
    for each in results["coalitions"]:
        recalls = [each["popularity"], *(point["recall"] for point in each["curve"])]
        cells = [f"{recall:.3f}" for recall in (*recalls, each["without_privacy"])]
        lines.append(f"| {each['name']}, {each['shoppers']:,} | " + " | ".join(cells) + " |")
    lines += [
        "",
        f"Mean recall@{results['k']} over the targets and {results['repetitions']} draws of the "
        f"noise; delta {results['delta']:g}, {results['factors']} factors, clip "
        f"{results['clip']:g}. The chart is docs/privacy-utility.html, by `hecf privacy-utility`.",
    ]
    return "\n".join(lines)


def scheme_figures(results: Mapping[str, Any]) -> str:
    """Seconds, bytes and errors of every operation under both schemes, as Markdown."""
    lines = [
        "| operation | sizes | Paillier | CKKS | Paillier bytes up, down | CKKS bytes up, down "
        "| Paillier error | CKKS error |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for result in _of(results, "compare-"):
        sizes = " x ".join(f"{size:,}" for size in result["parameters"]["sizes"])
        sent = [
            f"{result['bytes'][prefix + 'uploads']:,}, {result['bytes'][prefix + 'result']:,}"
            for prefix in ("", "baseline_")
        ]
        errors = [result["error"], result["details"]["baseline_error"]]
        lines.append(
            f"| {result['job'].partition('-')[2]} | {sizes} | {_seconds(result['seconds'])} "
            f"| {_seconds(result['baseline_seconds'])} | {sent[0]} | {sent[1]} "
            f"| {_error(errors[0])} | {_error(errors[1])} |"
        )
    return "\n".join([*lines, "", _machine(results)])


def paillier_figures(results: Mapping[str, Any]) -> str:
    """Paillier beside phe and HEU, as Markdown."""
    encrypt, added = _of(results, "paillier-")
    details = encrypt["details"]
    heu = details["heu_milliseconds_per_value"]
    lines = [
        "| job | hecf | `phe` | times faster | per value | with factors in stock |",
        "| --- | --- | --- | --- | --- | --- |",
        f"| encrypt {encrypt['parameters']['values']:,} values | {_seconds(encrypt['seconds'])} "
        f"| {_seconds(encrypt['baseline_seconds'])} | {1 / encrypt['ratio']:,.0f} "
        f"| {details['microseconds_per_value']:.1f} us, {details['bytes_per_value']:.1f} bytes "
        f"| {details['microseconds_per_value_online']:.2f} us |",
        f"| sum of {added['parameters']['parties']} x {added['parameters']['values']:,} values "
        f"| {_seconds(added['seconds'])} | {_seconds(added['baseline_seconds'])} "
        f"| {1 / added['ratio']:,.0f} "
        f"| {added['details']['microseconds_per_value_and_party']:.1f} us and party | |",
        "",
        f"`phe` encrypts a value in {details['baseline_milliseconds_per_value']:.1f} ms"
        + (f", HEU's ZPaillier in {heu:.2f} ms" if heu else "")
        + f"; both are measured on a sample and scaled. {encrypt['parameters']['slots']} values of "
        f"{encrypt['parameters']['slot_bits']} bits share a ciphertext. The table of powers takes "
        f"{details['table_bytes'] / 1e6:.0f} MB in every process and {details['table_seconds']:.1f}"
        " s to build once. " + _machine(results),
    ]
    return "\n".join(lines)


def _of(results: Mapping[str, Any], prefix: str) -> list[Mapping[str, Any]]:
    return [result for result in results["results"] if result["job"].startswith(prefix)]


def _machine(results: Mapping[str, Any]) -> str:
    machine = results["machine"]
    return f"One run on {machine['processor']}, {machine['cores']} cores; only ratios carry over."


def _error(value: float) -> str:
    return "0" if value == 0 else f"{value:.0e}"


def _seconds(value: float) -> str:
    return f"{1e3 * value:.3g} ms" if value < 1 else f"{value:.3g} s"


BLOCKS: Mapping[str, tuple[str, str, Callable[[Mapping[str, Any]], str]]] = {
    "demo": ("README.md", "demo.json", demo_figures),
    "bench": ("README.md", "bench.json", bench_figures),
    "network": ("README.md", "network.json", network_figures),
    "privacy": ("README.md", "privacy-utility.json", privacy_figures),
    "schemes": ("docs/paillier-or-ckks.md", "paillier.json", scheme_figures),
    "paillier": ("docs/paillier-or-ckks.md", "paillier.json", paillier_figures),
}


PICTURES: Mapping[str, tuple[str, Callable[[Mapping[str, Any]], str]]] = {
    "overhead.svg": ("bench.json", overhead_picture),
    "growth.svg": ("growth.json", growth_picture),
}
"""Files of ``docs/pictures``, and what they are drawn from."""


def main() -> int:
    """Write or check all figures; the exit code says whether the documents were up to date."""
    check = sys.argv[1:] == ["--check"]
    drifted = [*_blocks(check), *_pictures(check)]
    if check and drifted:
        sys.stderr.write(f"figures differ from docs/results: {', '.join(drifted)}\n")
        return 1
    return 0


def _pictures(check: bool) -> list[str]:
    drifted = []
    for name, (source, drawn) in PICTURES.items():
        path = ROOT / "docs" / "pictures" / name
        fresh = drawn(json.loads((RESULTS / source).read_text()))
        if path.exists() and path.read_text() == fresh:
            continue
        drifted.append(f"docs/pictures/{name}")
        if not check:
            path.write_text(fresh)
    return drifted


def _blocks(check: bool) -> list[str]:
    drifted = []
    for name, (document, source, figures) in BLOCKS.items():
        path = ROOT / document
        text = path.read_text()
        content = figures(json.loads((RESULTS / source).read_text()))
        block = f"<!-- figures: {name} -->\n{content}\n<!-- end -->"
        pattern = rf"<!-- figures: {name} -->.*?<!-- end -->"
        fresh, count = re.subn(pattern, lambda _, block=block: block, text, flags=re.DOTALL)
        if count != 1:
            raise SystemExit(f"{document} has {count} blocks named {name}, expected 1")
        if fresh == text:
            continue
        drifted.append(f"{document}: {name}")
        if not check:
            path.write_text(fresh)
    return drifted


if __name__ == "__main__":
    raise SystemExit(main())
