/* Calls that take turns: what else the machine does meets all of them.
 * SPDX-License-Identifier: MIT */
#include "bench.h"

#include <math.h>
#include <stdlib.h>

size_t bench_contender_desc_size(const bench_contender *x) {
    return x->operation == VKA_OPERATION_LINEAR ? sizeof x->linear : sizeof x->desc;
}

static vka_status record(vka_recorder *recorder, void *contender) {
    const bench_contender *x = contender;
    return vka_operation_record(recorder, x->operation, &x->desc, bench_contender_desc_size(x));
}

vka_status bench_contender_prepare(vka_device *device, bench_contender *x) {
    vka_requirements need;
    double start = bench_now_ms();
    vka_status status =
        vka_operation_requirements(device, x->operation, &x->desc, bench_contender_desc_size(x), &need, sizeof need);
    if (status == VKA_OK) {
        status = bench_recorder_create(device, need.workspace_bytes, &x->recorder);
    }
    /* Twice: the first one may compile, and would hide that a call is short. */
    if (status == VKA_OK) {
        status = bench_sampler_once(&x->sampler, device, x->recorder, record, x, &x->ms);
        x->first_ms = bench_now_ms() - start;
    }
    return status == VKA_OK ? bench_sampler_begin(&x->sampler, device, x->recorder, record, x, &x->ms) : status;
}

/* ---- statistics -------------------------------------------------------------------------------------------------- */

static int compare_doubles(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Between the two nearest samples. */
static double quantile(const double *sorted, uint32_t count, double q) {
    double at = q * (count - 1);
    uint32_t below = (uint32_t)at, above = below + 1 < count ? below + 1 : below;
    return sorted[below] + (at - below) * (sorted[above] - sorted[below]);
}

bench_summary bench_summarise(double *samples, uint32_t count) {
    if (!count) {
        return (bench_summary){NAN, NAN, NAN};
    }
    qsort(samples, count, sizeof *samples, compare_doubles);
    return (bench_summary){quantile(samples, count, 0.5), quantile(samples, count, 0.25),
                           quantile(samples, count, 0.75)};
}

bool bench_is_faster(const bench_score *score) {
    return score->rounds >= BENCH_ROUNDS_TO_TRUST && 1 - score->ratio > score->spread;
}

/* ---- turns ------------------------------------------------------------------------------------------------------- */

typedef struct turns {
    double ms[BENCH_MAX_CONTENDERS][BENCH_MAX_ROUNDS];
} turns;

/* The first one last, since summarising sorts the times. Its spread is that of its times. */
static void score_all(turns *t, uint32_t count, uint32_t rounds, bench_score *scores) {
    double ratios[BENCH_MAX_ROUNDS];
    for (uint32_t i = count; i-- > 1;) {
        for (uint32_t r = 0; r < rounds; r++) {
            ratios[r] = t->ms[i][r] / t->ms[0][r];
        }
        bench_summary ratio = bench_summarise(ratios, rounds), time = bench_summarise(t->ms[i], rounds);
        scores[i] = (bench_score){time.median, ratio.median, ratio.high - ratio.low, rounds};
    }
    bench_summary time = bench_summarise(t->ms[0], rounds);
    scores[0] = (bench_score){time.median, 1, (time.high - time.low) / time.median, rounds};
}

vka_status bench_take_turns(bench_contender *const *list, uint32_t count, bench_rounds rounds, bench_score *scores) {
    turns *t = malloc(sizeof *t);
    vka_status status = t ? VKA_OK : VKA_OUT_OF_MEMORY;
    uint32_t done = 0;
    while (status == VKA_OK && done < rounds.most && done < BENCH_MAX_ROUNDS && (done == 0 || !bench_stopped()) &&
           (done < rounds.least || bench_now_ms() < rounds.end_ms)) {
        for (uint32_t i = 0; i < count && status == VKA_OK; i++) {
            uint32_t turn = (i + done) % count;
            status = bench_sampler_take(&list[turn]->sampler, &t->ms[turn][done]);
        }
        done += status == VKA_OK;
    }
    for (uint32_t i = 0; i < count; i++) {
        scores[i] = (bench_score){NAN, NAN, NAN, 0};
    }
    if (status == VKA_OK) {
        score_all(t, count, done, scores);
    }
    free(t);
    return status;
}

/* ---- time -------------------------------------------------------------------------------------------------------- */

bench_clock bench_clock_start(double seconds) {
    double now = bench_now_ms();
    return (bench_clock){now, now + seconds * 1e3};
}

double bench_clock_share(const bench_clock *c, size_t left) {
    double now = bench_now_ms();
    return now + (c->end_ms - now) / (double)(left ? left : 1);
}
