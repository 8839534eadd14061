/* Two attentions that take turns: what else the machine does meets both.
 * SPDX-License-Identifier: MIT */
#include "bench.h"

#include <math.h>
#include <stdlib.h>

static vka_status record(vka_recorder *recorder, void *desc) {
    return vka_attention(recorder, desc);
}

vka_status bench_contender_prepare(vka_device *device, bench_contender *x) {
    uint64_t scratch = 0;
    vka_status status = vka_attention_workspace(device, &x->desc, &scratch);
    if (status == VKA_OK) {
        status = bench_recorder_create(device, scratch, &x->recorder);
    }
    for (int i = 0; i < 2 && status == VKA_OK; i++) {
        status = vka_recorder_begin(x->recorder);
        status = status == VKA_OK ? vka_attention(x->recorder, &x->desc) : status;
        status = status == VKA_OK ? vka_recorder_submit(x->recorder) : status;
        status = status == VKA_OK ? vka_recorder_wait(x->recorder, VKA_FOREVER) : status;
    }
    return status;
}

static int compare_doubles(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double bench_median(double *x, uint32_t count) {
    qsort(x, count, sizeof *x, compare_doubles);
    return x[count / 2];
}

vka_status bench_duel(vka_device *device, bench_contender *base, bench_contender *other, uint32_t rounds,
                      bench_score *score) {
    double base_times[BENCH_MAX_SAMPLES], times[BENCH_MAX_SAMPLES], ratios[BENCH_MAX_SAMPLES];
    bench_budget budget = {.repeats = 1};
    vka_status status = VKA_OK;
    for (uint32_t i = 0; i < rounds && status == VKA_OK; i++) {
        bench_timing first, second;
        status = bench_time(device, base->recorder, record, &base->desc, budget, &first);
        status = status == VKA_OK ? bench_time(device, other->recorder, record, &other->desc, budget, &second) : status;
        if (status == VKA_OK) {
            base_times[i] = first.median_ms;
            times[i] = second.median_ms;
            ratios[i] = second.median_ms / first.median_ms;
        }
    }
    *score = (bench_score){NAN, NAN, NAN};
    if (status == VKA_OK) {
        *score =
            (bench_score){bench_median(base_times, rounds), bench_median(times, rounds), bench_median(ratios, rounds)};
    }
    return status;
}
