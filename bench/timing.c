/* Medians of GPU time. A sample is one submission: a timestamp, some calls, a timestamp. The same recording is
 * submitted again and again, as an engine would do it. Without timestamps a sample is wall time from submit to wait.
 * SPDX-License-Identifier: MIT */
#include "bench.h"

#include <math.h>
#include <time.h>

#define MIN_SAMPLES 3
#define MAX_CALLS   64
#define SHORT_MS    0.5 /* shorter samples hold several calls: launch costs and clock ticks would show */

double bench_now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

vka_status bench_recorder_create(vka_device *device, uint64_t scratch_bytes, vka_recorder **recorder) {
    vka_recorder_desc desc = {
        .max_dispatches = MAX_CALLS * 4,
        .scratch_bytes = scratch_bytes,
        .timestamps = vka_device_get_caps(device)->timestamps ? 2 : 0,
    };
    return vka_recorder_create(device, &desc, recorder);
}

static vka_status record_sample(bench_sampler *s, bench_record_fn record, void *user, uint32_t calls) {
    s->calls = calls;
    vka_status status = vka_recorder_begin(s->recorder);
    if (status == VKA_OK && s->gpu_clock) {
        status = vka_recorder_timestamp(s->recorder, 0);
    }
    for (uint32_t i = 0; i < calls && status == VKA_OK; i++) {
        status = record(s->recorder, user);
    }
    if (status == VKA_OK && s->gpu_clock) {
        status = vka_recorder_timestamp(s->recorder, 1);
    }
    return status;
}

vka_status bench_sampler_take(const bench_sampler *s, double *ms) {
    double start = bench_now_ms();
    vka_status status = vka_recorder_submit(s->recorder);
    if (status == VKA_OK) {
        status = vka_recorder_wait(s->recorder, VKA_FOREVER);
    }
    *ms = (bench_now_ms() - start) / s->calls;
    if (status == VKA_OK && s->gpu_clock) {
        uint64_t t[2];
        status = vka_recorder_read_timestamps(s->recorder, t, 2);
        *ms = status == VKA_OK ? (double)(t[1] - t[0]) * 1e-6 / s->calls : NAN;
    }
    return status;
}

vka_status bench_sampler_once(bench_sampler *s, vka_device *device, vka_recorder *recorder, bench_record_fn record,
                              void *user, double *ms) {
    *s = (bench_sampler){recorder, 1, vka_device_get_caps(device)->timestamps};
    *ms = NAN;
    vka_status status = record_sample(s, record, user, 1);
    return status == VKA_OK ? bench_sampler_take(s, ms) : status;
}

vka_status bench_sampler_begin(bench_sampler *s, vka_device *device, vka_recorder *recorder, bench_record_fn record,
                               void *user, double *ms) {
    vka_status status = bench_sampler_once(s, device, recorder, record, user, ms);
    if (status == VKA_OK && *ms > 0 && *ms < SHORT_MS) {
        double calls = ceil(SHORT_MS / *ms);
        status = record_sample(s, record, user, calls < MAX_CALLS ? (uint32_t)calls : MAX_CALLS);
    }
    return status;
}

static bool enough(bench_budget budget, uint32_t samples, double spent_ms) {
    if (budget.repeats) {
        return samples >= budget.repeats;
    }
    double budget_ms = budget.seconds * 1e3;
    return samples == BENCH_MAX_SAMPLES || (samples >= MIN_SAMPLES && spent_ms >= budget_ms) ||
           (samples > 0 && spent_ms >= 6 * budget_ms);
}

static void summarise(bench_timing *timing, double *samples, uint32_t n) {
    bench_summary x = bench_summarise(samples, n);
    timing->repeats = n;
    timing->min_ms = samples[0];
    timing->max_ms = samples[n - 1];
    timing->median_ms = x.median;
    timing->spread = n < MIN_SAMPLES ? NAN : (x.high - x.low) / x.median; /* fewer say nothing of it */
}

vka_status bench_time(vka_device *device, vka_recorder *recorder, bench_record_fn record, void *user,
                      bench_budget budget, bench_timing *timing) {
    bench_sampler s;
    double samples[BENCH_MAX_SAMPLES], ms;
    uint32_t n = 0;
    double start = bench_now_ms();
    vka_status status = bench_sampler_begin(&s, device, recorder, record, user, &ms);
    *timing = (bench_timing){NAN, NAN, NAN, NAN, 0, s.calls, !s.gpu_clock};
    /* A warm-up that took long needs no repetition: caches and clocks were warm long before its end. */
    if (status == VKA_OK && ((ms * MIN_SAMPLES > budget.seconds * 1e3 && !budget.repeats) || bench_stopped())) {
        samples[n++] = ms;
    }
    while (status == VKA_OK && !bench_stopped() && !enough(budget, n, bench_now_ms() - start)) {
        status = bench_sampler_take(&s, &samples[n++]);
    }
    if (status == VKA_OK && n > 0) {
        summarise(timing, samples, n);
    }
    return status;
}
