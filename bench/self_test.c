/* `self-test`: what the library's own test finds of this device, an operation at a time.
 * SPDX-License-Identifier: MIT */
#include "bench.h"

#include <vkattn/self_test.h>

#include <math.h>

typedef struct operation {
    vka_operation operation;
    const char *name;
} operation;

static const operation operations[] = {
#define X(NAME, value, name) {VKA_OPERATION_##NAME, #name},
    VKA_OPERATIONS(X)
#undef X
};
enum { OPERATIONS = sizeof operations / sizeof *operations };

/* One line, or none of an operation that has no known answers. */
static bool test_one(bench_device *d, const operation *op, double *left, uint32_t *wrong) {
    const vka_self_test_desc desc = {.operations = &op->operation, .operation_count = 1, .seconds = *left};
    vka_self_test_report report;
    char time[BENCH_NUMBER_SIZE];
    bench_device_clear_error(d);
    vka_status status = vka_device_self_test(bench_device_vka(d), &desc, &report);
    bench_progress_pause();
    if (status != VKA_OK) {
        bench_note("vkattn-bench: %s: %s", op->name, bench_device_error(d));
        return false;
    }
    *wrong += report.wrong;
    *left = *left > 0 ? fmax(*left - 1e-9 * (double)report.nanoseconds, 1e-9) : 0;
    if (!report.known) {
        printf("  %-27s %6u %6u %8u %10s  %s\n", op->name, report.runs, report.wrong, report.kernels,
               bench_time_text(1e-6 * (double)report.nanoseconds, time), report.left_out ? "not finished" : "");
    }
    fflush(stdout);
    return true;
}

bench_exit bench_self_test(const bench_options *o) {
    uint32_t wrong = 0;
    vka_self_test_report all;
    bench_device *d = bench_device_open(o->device, NULL);
    if (!d) {
        return BENCH_EXIT_NO_DEVICE;
    }
    bench_device_introduce(bench_device_caps(d));
    printf("\n  %-27s %6s %6s %8s %10s\n", "operation", "runs", "wrong", "kernels", "time");
    double left = isinf(o->limit) ? 0 : o->limit;
    bool good = true;
    bench_progress_start(OPERATIONS, INFINITY);
    for (size_t i = 0; i < OPERATIONS && good && !bench_stopped(); i++) {
        bench_progress_step(i, operations[i].name);
        good = test_one(d, &operations[i], &left, &wrong);
    }
    bench_progress_end();
    /* Asks for nothing to be run. */
    const vka_operation none = VKA_OPERATION_ROPE;
    good =
        good && vka_device_self_test(bench_device_vka(d),
                                     &(vka_self_test_desc){.operations = &none, .operation_count = 1}, &all) == VKA_OK;
    if (good) {
        printf("\nswitched off: %s\n", all.switched_off ? all.names : "nothing");
    }
    bench_device_close(d);
    return !good || wrong ? BENCH_EXIT_FAILED : bench_stopped() ? BENCH_EXIT_STOPPED : BENCH_EXIT_OK;
}
