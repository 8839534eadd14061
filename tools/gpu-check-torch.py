#!/usr/bin/env python3
"""gpu-check-torch.py BENCH.json: what PyTorch does with the cases of a vkattn-bench run.

Attention by each backend of scaled_dot_product_attention, layer norm by torch's own; verified on some rows, timed with
CUDA events, medians. Prints a line of JSON for the device and one for each measurement, as soon as it is known.
SPDX-License-Identifier: MIT
"""
import argparse
import json
import math
import statistics
import sys
import time
import warnings

MIN_SAMPLE_MS = 0.5  # shorter samples hold several calls, as in vkattn-bench
MAX_CALLS = 64
MIN_SAMPLES, MAX_SAMPLES = 5, 500
ROWS = 8  # compared with float64
TOLERANCE = 5e-4  # squared error over squared reference
RANGE = 2.0  # inputs are uniform in +-RANGE, as those of vkattn-bench


def put(**line):
    print(json.dumps(line), flush=True)


# ---- clocks ------------------------------------------------------------------------------------------------------------


class GpuClock:
    name = "events"

    def __init__(self, torch):
        self.torch = torch
        self.start, self.stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))

    def ms(self, work):
        self.start.record()
        work()
        self.stop.record()
        self.stop.synchronize()
        return self.start.elapsed_time(self.stop)

    def batch(self, call, calls):
        """Calls as one CUDA graph, so that Python's launches don't show; None where a call can't be captured."""
        graph = self.torch.cuda.CUDAGraph()
        try:
            with self.torch.cuda.graph(graph):
                for _ in range(calls):
                    call()
        except Exception:  # pylint: disable=broad-except
            self.torch.cuda.synchronize()
            return None
        return graph.replay


class HostClock:
    name = "host"

    def ms(self, work):
        start = time.perf_counter()
        work()
        return (time.perf_counter() - start) * 1e3

    def batch(self, call, calls):
        return None


def repeat(call, calls):
    def work():
        for _ in range(calls):
            call()

    return work


def measure(clock, call, seconds):
    """Median, least and largest milliseconds of one call."""
    for _ in range(3):
        call()
    once = min(clock.ms(call) for _ in range(3))
    calls = max(1, min(MAX_CALLS, math.ceil(MIN_SAMPLE_MS / once)))
    captured = clock.batch(call, calls) if calls > 1 else None
    if captured and calls < MAX_CALLS:  # without launches a call may be far shorter
        captured()
        calls = max(calls, min(MAX_CALLS, math.ceil(MIN_SAMPLE_MS * calls / clock.ms(captured))))
        captured = clock.batch(call, calls)
    work = captured or repeat(call, calls)
    work()
    samples, end = [], time.perf_counter() + seconds
    while len(samples) < MAX_SAMPLES and (len(samples) < MIN_SAMPLES or time.perf_counter() < end):
        samples.append(clock.ms(work) / calls)
    return {
        "ms_median": statistics.median(samples),
        "ms_min": min(samples),
        "ms_max": max(samples),
        "repeats": len(samples),
        "calls_per_repeat": calls,
        "clock": clock.name + (", graph" if captured else ""),
    }


# ---- cases -------------------------------------------------------------------------------------------------------------


class Runner:
    def __init__(self, torch, device, clock, seconds):
        self.torch, self.device, self.clock, self.seconds = torch, device, clock, seconds
        self.functional = torch.nn.functional

    def uniform(self, dtype, *shape):
        kind = {"f16": self.torch.float16, "bf16": self.torch.bfloat16, "f32": self.torch.float32}[dtype]
        return self.torch.empty(shape, dtype=kind, device=self.device).uniform_(-RANGE, RANGE)

    def compare(self, pairs):
        """(result row, float64 row) pairs: largest error, squared error over squared reference."""
        largest = error = total = 0.0
        for got, ref in pairs:
            difference = got.double() - ref
            worst = float(difference.abs().max())
            if math.isnan(worst):
                return worst, worst
            largest = max(largest, worst)
            error += float(difference.square().sum())
            total += float(ref.square().sum())
        return largest, error / total

    def timed(self, call, rows):
        out = call()
        max_error, nmse = self.compare(rows(out))
        if not nmse < TOLERANCE:
            return {"state": "failed", "reason": f"wrong results: squared error {nmse:.1e}"}
        del out
        numbers = measure(self.clock, call, self.seconds)
        return {"state": "ok", "verified": True, "max_error": max_error, "nmse": nmse, **numbers}

    # Runs a measurement; errors become its reason, with what torch warned of: that says why a backend refused.
    def attempt(self, case, backend, work):
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            try:
                line = work()
            except self.torch.cuda.OutOfMemoryError:
                line = {"state": "skipped", "reason": "out of memory"}
            except (RuntimeError, TypeError, ValueError) as error:
                reasons = [str(error)] + [str(w.message) for w in said]
                text = " / ".join(r.split(" (Triggered")[0].splitlines()[0] for r in reasons if r)
                line = {"state": "skipped", "reason": text[:400]}
        put(case=case, backend=backend, **line)
        if self.device.type == "cuda":
            self.torch.cuda.empty_cache()

    def rows_of(self, counts):
        """Indices of the first, the last and some rows between."""
        total = math.prod(counts)
        for at in range(min(ROWS, total)):
            row, index = at * (total - 1) // max(1, min(ROWS, total) - 1), []
            for count in reversed(counts):
                index.insert(0, row % count)
                row //= count
            yield tuple(index)

    def attention(self, number, c, backends):
        from torch.nn.attention import sdpa_kernel

        if c["window_left"] is not None or c["window_right"] is not None:
            put(case=number, backend="all", state="skipped", reason="scaled_dot_product_attention has no windows")
            return
        q = self.uniform(c["dtype"], c["batch"], c["heads"], c["q_len"], c["head_dim"])
        k = self.uniform(c["dtype"], c["batch"], c["kv_heads"], c["kv_len"], c["head_dim"])
        v = self.uniform(c["dtype"], c["batch"], c["kv_heads"], c["kv_len"], c["value_dim"])
        group = c["heads"] // c["kv_heads"]
        options = {"is_causal": c["causal"], **({"enable_gqa": True} if group > 1 else {})}

        def reference(b, h, i):
            seen = i + 1 if c["causal"] else c["kv_len"]
            scores = k[b, h // group, :seen].double() @ q[b, h, i].double() / math.sqrt(c["head_dim"])
            return scores.softmax(0) @ v[b, h // group, :seen].double()

        def rows(out):
            return ((out[at], reference(*at)) for at in self.rows_of((c["batch"], c["heads"], c["q_len"])))

        def call():
            return self.functional.scaled_dot_product_attention(q, k, v, **options)

        for name, backend in backends:
            scores = c["batch"] * c["heads"] * c["q_len"] * c["kv_len"] * 4
            if name == "math" and scores > 40e9:
                put(case=number, backend=name, state="skipped", reason=f"its scores need {scores / 2**30:.0f} GiB")
                continue
            with sdpa_kernel(backend):
                self.attempt(number, name, lambda: self.timed(call, rows))

    def layer_norm(self, number, c):
        if c["residual"]:
            put(case=number, backend="layer_norm", state="skipped", reason="torch has no residual in its layer norm")
            return
        x = self.uniform(c["dtype"], c["rows"], c["cols"])
        weight, bias = self.uniform(c["dtype"], c["cols"]), self.uniform(c["dtype"], c["cols"])

        def reference(i):
            return self.functional.layer_norm(x[i].double(), (c["cols"],), weight.double(), bias.double())

        def rows(out):
            return ((out[at], reference(*at)) for at in self.rows_of((c["rows"],)))

        def call():
            return self.functional.layer_norm(x, (c["cols"],), weight, bias)

        self.attempt(number, "layer_norm", lambda: self.timed(call, rows))

    # ---- peaks: the best of some, of random data -------------------------------------------------------------------

    def copy_gbps(self, size):
        source = self.uniform("f32", size // 4)
        target = self.torch.empty_like(source)
        return 2 * size / 1e6 / measure(self.clock, lambda: target.copy_(source), self.seconds)["ms_min"]

    def matmul_tflops(self, n):
        a, b = self.uniform("f16", n, n), self.uniform("f16", n, n)
        return 2 * n**3 / 1e9 / measure(self.clock, lambda: a @ b, self.seconds)["ms_min"]


# ---- beginning to end --------------------------------------------------------------------------------------------------


def find_device(torch, name):
    count = torch.cuda.device_count()
    for i in range(count):
        if name and name in torch.cuda.get_device_name(i):
            return torch.device("cuda", i)
    return torch.device("cuda", 0)


def sdpa_backends():
    from torch.nn.attention import SDPBackend

    wanted = {
        "flash": "FLASH_ATTENTION",
        "cudnn": "CUDNN_ATTENTION",
        "efficient": "EFFICIENT_ATTENTION",
        "math": "MATH",
    }
    return [(name, getattr(SDPBackend, item)) for name, item in wanted.items() if hasattr(SDPBackend, item)]


def open_torch(options):
    """torch and a device, or None and why not."""
    try:
        import torch
        from torch.nn.attention import sdpa_kernel  # pylint: disable=unused-import
    except ImportError as error:
        return None, None, f"PyTorch is missing or too old ({error})"
    torch.set_grad_enabled(False)
    if options.cpu:
        return torch, torch.device("cpu"), ""
    if not torch.cuda.is_available():
        return None, None, f"PyTorch {torch.__version__} sees no GPU"
    device = find_device(torch, options.device)
    torch.cuda.set_device(device)
    return torch, device, ""


def describe(torch, runner, device, seconds_left):
    line = {"torch": torch.__version__, "device": "cpu", "copy_gbps": None, "matmul_f16_tflops": None}
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        line.update(device=properties.name, l2_bytes=getattr(properties, "L2_cache_size", None))
        line.update(cuda=torch.version.cuda or torch.version.hip, cudnn=torch.backends.cudnn.version())
        if seconds_left > 5:
            line.update(copy_gbps=runner.copy_gbps(2**29), matmul_f16_tflops=runner.matmul_tflops(8192))
    put(**line)


def run_case(torch, runner, number, c):
    try:
        if c["op"] == "attention":
            runner.attention(number, c, sdpa_backends())
        elif c["op"] == "layer_norm":
            runner.layer_norm(number, c)
        else:
            put(case=number, backend="all", state="skipped", reason=f"torch is not asked for {c['op']}")
    except torch.cuda.OutOfMemoryError:
        put(case=number, backend="all", state="skipped", reason="out of memory")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bench", help="results of vkattn-bench run --json")
    parser.add_argument("--device", default="", help="part of the device's name [the first]")
    parser.add_argument("--seconds", type=float, default=0.5, help="for the samples of a measurement [0.5]")
    parser.add_argument("--limit", type=float, default=math.inf, help="start no case later than this")
    parser.add_argument("--cpu", action="store_true", help="on the CPU, by the wall clock: to try this program")
    options = parser.parse_args()
    start = time.monotonic()
    with open(options.bench, encoding="utf-8") as file:
        cases = json.load(file)["cases"]
    torch, device, why = open_torch(options)
    if not torch:
        put(skipped=why)
        return 0
    clock = GpuClock(torch) if device.type == "cuda" else HostClock()
    runner = Runner(torch, device, clock, options.seconds)
    describe(torch, runner, device, options.limit)
    for number, c in enumerate(cases):
        if time.monotonic() - start > options.limit:
            put(case=number, backend="all", state="skipped", reason="out of time")
        else:
            run_case(torch, runner, number, c)
    return 0


if __name__ == "__main__":
    sys.exit(main())
