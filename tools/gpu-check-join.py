#!/usr/bin/env python3
"""gpu-check-join.py: what tools/gpu-check measured, as one JSON file and one Markdown table.

  ggml-cases BENCH.json        the arguments of ggml_attention, a line for each case that ggml can compute
  reason TORCH.jsonl           why PyTorch measured nothing; empty if it did
  join WORK OUT MINUTES        writes OUT/<date>-<device>-<commit>.json and .md; exit status 1 if anything was wrong

SPDX-License-Identifier: MIT
"""
import json
import math
import os
import re
import sys

SCHEMA = "vkattn-gpu-check/1"
CACHE_BYTES = 128e6  # less than this may stay in a GPU's cache from call to call


def read_json(path):
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError):
        return None


def read_lines(path):
    """The lines of a file that are JSON: a program that was stopped may leave half of one."""
    lines = []
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            for text in file:
                try:
                    lines.append(json.loads(text))
                except ValueError:
                    pass
    return lines


def read_table(path, names):
    with open(path, encoding="utf-8") as file:
        return [dict(zip(names, line.rstrip("\n").split("\t"))) for line in file]


# ---- what a case is ----------------------------------------------------------------------------------------------------


def windowed(c):
    return c["window_left"] is not None or c["window_right"] is not None


def memory_bound(c):
    return c["share_of"] == "copy_gbps"


def unit(c):
    return "GB/s" if memory_bound(c) else "TFLOP/s"


def rate(c, ms):
    """In the unit of the case: all contestants by the same count of operations or bytes."""
    if not ms:
        return None
    return c["bytes"] / ms / 1e6 if memory_bound(c) else c["flops"] / ms / 1e9


def ggml_arguments(c):
    if c["op"] == "layer_norm":
        if c["dtype"] == "f32" and not c["residual"]:
            return f"layer_norm {c['rows']} {c['cols']}"
        return None
    if c["op"] != "attention" or windowed(c) or c["dtype"] != "f16" or c["head_dim"] != c["value_dim"]:
        return None
    mask = "causal" if c["causal"] else "full"
    return "attention " + " ".join(str(c[n]) for n in ("batch", "heads", "kv_heads", "q_len", "kv_len", "head_dim")) + f" {mask}"


# ---- rows: a case and what each contestant did -------------------------------------------------------------------------


def entry(case, line):
    """A contestant's measurement, in the unit of the case."""
    kept = {k: v for k, v in line.items() if k not in ("case", "backend")}
    kept["rate"] = rate(case, line.get("ms_median")) if line.get("state") == "ok" else None
    return kept


def contestants(number, case, torch, ggml):
    ours = {"state": case["state"], "reason": case["reason"], "ms_median": case["ms_median"], "path": case["path"]}
    found = {"vkattn": entry(case, ours)}
    for line in torch:
        if line.get("case") == number:
            found["torch " + line["backend"]] = entry(case, line)
    for line in ggml:
        if line.get("case") == number:
            found["ggml"] = entry(case, line)
    if "ggml" not in found and ggml:
        found["ggml"] = {"state": "skipped", "reason": "no such operation or type in ggml's Vulkan backend", "rate": None}
    return found


def best_torch(found):
    """Name and rate of the fastest of torch's backends."""
    measured = [(v["rate"], k) for k, v in found.items() if k.startswith("torch ") and v["rate"]]
    return max(measured)[::-1] if measured else (None, None)


def ratio(a, b):
    return a / b if a and b else None


def peak_of(case, peaks):
    return peaks["copy"] if memory_bound(case) else peaks["arithmetic"]


def make_row(number, case, torch, ggml, peaks):
    found = contestants(number, case, torch, ggml)
    ours = found["vkattn"]["rate"]
    name, best = best_torch(found)
    flash = found.get("torch flash", {}).get("rate")
    return {
        "case": case["label"],
        "unit": unit(case),
        "contestants": found,
        "share_of_peak": ratio(ours, peak_of(case, peaks)["value"]),
        "torch_best": name,
        "ratio_flash": ratio(ours, flash),
        "ratio_best": ratio(ours, best),
        "ratio_ggml": ratio(ours, found.get("ggml", {}).get("rate")),
        "may_be_cached": memory_bound(case) and case["bytes"] < CACHE_BYTES,
    }


def find_peaks(bench, torch):
    """What shares refer to: the larger of the copies, and matrix products rather than multiply-adds."""
    about = next((line for line in torch if "torch" in line), {})
    copies = {"vkattn-bench": bench["peaks"]["copy_gbps"], "torch": about.get("copy_gbps")}
    copies = {k: v for k, v in copies.items() if v}
    by = max(copies, key=copies.get) if copies else None
    arithmetic = {"value": bench["peaks"]["tflops_f32"], "what": "f32 multiply-adds, by vkattn-bench"}
    if about.get("matmul_f16_tflops"):
        arithmetic = {"value": about["matmul_f16_tflops"], "what": "f16 matrix product 8192^3, by torch"}
    return {"arithmetic": arithmetic, "copy": {"value": copies.get(by), "what": f"copy, by {by}"}}


# ---- checks ------------------------------------------------------------------------------------------------------------


def check(name, limit, values):
    """values: (case, value or None). Passed only if all were measured."""
    measured = [(c, v) for c, v in values if v is not None]
    failing = [(c, v) for c, v in measured if v < limit]
    state = "not measured" if not measured else "fail" if failing else "pass" if len(measured) == len(values) else "incomplete"
    return {
        "name": name,
        "limit": limit,
        "state": state,
        "measured": len(measured),
        "cases": len(values),
        "values": dict(values),
        "failing": [c for c, _ in failing],
    }


def window_values(cases, rows):
    """Rate of time: a causal window against the same case without one."""
    values = []
    for case, row in zip(cases, rows):
        if not windowed(case):
            continue
        full = dict(case, window_left=None, window_right=None)
        shape = ("op", "dtype", "batch", "heads", "kv_heads", "q_len", "kv_len", "head_dim", "causal")
        times = [c["ms_median"] for c in cases if not windowed(c) and all(c[k] == full[k] for k in shape)]
        values.append((row["case"], ratio(times[0], case["ms_median"]) if times else None))
    return values


def make_checks(cases, rows):
    both = list(zip(cases, rows))
    attention = [(c, r) for c, r in both if c["op"] == "attention" and not windowed(c)]

    def shares(wanted):
        return [(r["case"] + (" (c)" if r["may_be_cached"] else ""), r["share_of_peak"]) for c, r in both if wanted(c)]

    return [
        check("attention: at least torch flash", 1.0, [(r["case"], r["ratio_flash"]) for _, r in attention]),
        check("attention: at least 1.5 times ggml", 1.5, [(r["case"], r["ratio_ggml"]) for _, r in attention]),
        check("window of N/32: at least 13 times no window", 13.0, window_values(cases, rows)),
        check("decode: at least 85 % of copy", 0.85, shares(lambda c: c["op"] == "attention" and memory_bound(c))),
        check("layer norm: at least 85 % of copy", 0.85, shares(lambda c: c["op"] == "layer_norm")),
    ]


# ---- Markdown ----------------------------------------------------------------------------------------------------------


def number(value, suffix=""):
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    return (f"{value:.0f}" if value >= 100 else f"{value:.3g}") + suffix


def share(value):
    return "-" if value is None else f"{100 * value:.0f} %"


def table(head, lines):
    out = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return out + ["| " + " | ".join(cells) + " |" for cells in lines]


def cell(found, name):
    what = found.get(name)
    if what is None:
        return "-"
    return number(what["rate"]) if what["state"] == "ok" else what["state"].upper() if what["state"] == "failed" else "-"


def result_table(rows):
    head = ["case", "unit", "vkattn", "path", "of peak", "torch flash", "torch best", "ggml", "/ flash", "/ best", "/ ggml"]
    lines = []
    for r in rows:
        found, best = r["contestants"], r["torch_best"]
        named = f"{cell(found, best)} {best.removeprefix('torch ')}" if best else "-"
        lines.append([
            r["case"] + (" (c)" if r["may_be_cached"] else ""), r["unit"], cell(found, "vkattn"),
            found["vkattn"].get("path") or "-", share(r["share_of_peak"]), cell(found, "torch flash"), named,
            cell(found, "ggml"), number(r["ratio_flash"], "x"), number(r["ratio_best"], "x"), number(r["ratio_ggml"], "x"),
        ])
    return table(head, lines)


def check_lines(checks):
    out = []
    for c in checks:
        values = [v for v in c["values"].values() if v is not None]
        line = f"- **{c['state'].upper()}** {c['name']}: {c['measured'] - len(c['failing'])} of {c['measured']} measured"
        if c["measured"] < c["cases"]:
            line += f", {c['cases'] - c['measured']} not measured"
        if values:
            line += f"; least {min(values):.2f}, most {max(values):.2f}"
        out.append(line)
        out += [f"    - {name}: {c['values'][name]:.2f}" for name in c["failing"]]
    return out


def test_lines(tests):
    if not tests:
        return ["Not run."]
    bad = [t for t in tests if t["state"] != "passed"]
    out = [f"{len(tests) - len(bad)} of {len(tests)} programs passed, in {sum(int(t['seconds']) for t in tests)} s."]
    return out + [f"- **{t['state'].upper()}** {t['name']}: {t['said']}" for t in bad]


def skip_lines(doc):
    out = [f"- {s['what']}: {s['why']}" for s in doc["skipped"]]
    by_reason = {}
    for row in doc["rows"]:
        for who, what in row["contestants"].items():
            if what["state"] != "ok":
                by_reason.setdefault((who, what["state"], what.get("reason") or "?"), []).append(row["case"])
    for (who, state, why), cases in by_reason.items():
        where = cases[0] if len(cases) == 1 else f"{len(cases)} cases ({cases[0]}, ...)"
        out.append(f"- {who}, {state}: {where}: {why}")
    return out or ["Nothing."]


def whole_bench(bench):
    if not bench:
        return []
    lines = [
        [c["label"], c["path"] or "-", number(c["ms_median"]), number(c["tflops"]), number(c["gbps"]),
         share(c["share_of_peak"]), c["state"] if c["state"] == "ok" else f"{c['state']}: {c['reason']}"]
        for c in bench["cases"]
    ]
    head = ["case", "path", "ms", "TFLOP/s", "GB/s", "of peak (f32, copy)", "state"]
    return ["", "## The whole bench, vkattn alone", ""] + table(head, lines)


def summary(doc):
    bench, about, peaks = doc["bench"], doc["torch"]["about"], doc["peaks"]
    out = [f"# {doc['device']}, {doc['date'][:10]}, {doc['commit']}", ""]
    out.append(f"{bench['driver']}. " + (f"PyTorch {about['torch']}, cuDNN {about.get('cudnn')}. " if about else "")
               + f"Budget: {doc['minutes']} minutes.")
    out += ["", "## Checks", ""] + check_lines(doc["checks"]) + ["", "## Tests", ""] + test_lines(doc["tests"])
    out += ["", "## Same shapes, same run", ""] + result_table(doc["rows"]) + [""]
    out.append("TFLOP/s count only visible pairs of query and key; GB/s the least possible traffic. Medians. Peaks: "
               f"arithmetic {number(peaks['arithmetic']['value'])} TFLOP/s ({peaks['arithmetic']['what']}), memory "
               f"{number(peaks['copy']['value'])} GB/s ({peaks['copy']['what']}). (c): small enough for a cache, where copy "
               "bandwidth is no bound and launches show. vkattn and torch are timed on the GPU's clock, short torch calls "
               "as CUDA graphs; ggml on the host's, in samples of 5 ms. All results were compared with float64: vkattn's "
               "in the rows that the JSON file names, the others' in 8 to 16 rows. ggml takes f32 queries and has "
               "layer norm in f32 only.")
    return out + ["", "## Skipped", ""] + skip_lines(doc)


# ---- join --------------------------------------------------------------------------------------------------------------


def make_document(work, minutes):
    bench = read_json(f"{work}/bench.json")
    torch, ggml = read_lines(f"{work}/torch.jsonl"), read_lines(f"{work}/ggml.jsonl")
    peaks = find_peaks(bench, torch)
    rows = [make_row(i, c, torch, ggml, peaks) for i, c in enumerate(bench["cases"])]
    state = f"{work}/state.txt"
    return {
        "schema": SCHEMA,
        "date": bench["date"],
        "device": bench["device"],
        "commit": bench["commit"],
        "minutes": minutes,
        "checks": make_checks(bench["cases"], rows),
        "tests": read_table(f"{work}/tests.tsv", ("name", "state", "seconds", "said")),
        "skipped": read_table(f"{work}/skipped.tsv", ("what", "why")),
        "peaks": peaks,
        "gpu_state": open(state, encoding="utf-8").read().splitlines() if os.path.exists(state) else [],
        "rows": rows,
        "torch": {"about": next((line for line in torch if "torch" in line), None), "lines": torch},
        "ggml": ggml,
        "bench": bench,
        "bench_all": read_json(f"{work}/all.json"),
    }


def free_name(out, doc):
    parts = (doc["date"][:10], re.sub(r"\(.*?\)", "", doc["device"]), doc["commit"])
    stem = "-".join(re.sub(r"[^a-z0-9.]+", "-", p.lower()).strip("-") for p in parts)
    for suffix in [""] + [f"-{i}" for i in range(2, 1000)]:
        path = f"{out}/{stem}{suffix}"
        if not os.path.exists(path + ".json"):
            return path
    raise SystemExit("gpu-check: too many results of this name")


def wrong(doc):
    """Anything that is not right, as opposed to slow or absent."""
    cases = doc["bench"]["cases"] + (doc["bench_all"] or {"cases": []})["cases"]
    tests = any(t["state"] not in ("passed", "skipped") for t in doc["tests"])
    bad = any(c["state"] == "failed" or c["reason"] == "not reached" for c in cases)
    return tests or bad or not any(c["state"] == "ok" for c in cases)


def join(work, out, minutes):
    doc = make_document(work, int(minutes))
    path, short = free_name(out, doc), summary(doc)
    with open(path + ".json", "w", encoding="utf-8") as file:
        json.dump(doc, file, indent=1)
        file.write("\n")
    with open(path + ".md", "w", encoding="utf-8") as file:
        file.write("\n".join(short + whole_bench(doc["bench_all"])) + "\n")
    print("\n".join(short))
    print(f"\nwritten: {path}.json, {path}.md")
    return 1 if wrong(doc) else 0


def ggml_cases(path):
    for i, case in enumerate((read_json(path) or {"cases": []})["cases"]):
        arguments = ggml_arguments(case)
        if arguments:
            print(i, arguments)
    return 0


def reason(path):
    lines = read_lines(path)
    print(next((line["skipped"] for line in lines if "skipped" in line), "" if lines else "it printed nothing"))
    return 0


COMMANDS = {"ggml-cases": ggml_cases, "reason": reason, "join": join}

if __name__ == "__main__":
    if len(sys.argv) < 3 or sys.argv[1] not in COMMANDS:
        sys.exit(__doc__)
    sys.exit(COMMANDS[sys.argv[1]](*sys.argv[2:]))
