/* vkattn-bench: what a device does with attention and norms, verified and set against its own measured peaks.
 * SPDX-License-Identifier: MIT */
#include "bench.h"

#include "commit.h"

static bench_exit dispatch(const bench_options *options) {
    switch (options->command) {
    case BENCH_COMMAND_DEVICES:
        return bench_devices_print();
    case BENCH_COMMAND_RUN:
        return bench_run(options);
    case BENCH_COMMAND_COMPARE:
        return bench_compare(options->compare_a, options->compare_b);
    case BENCH_COMMAND_TUNE:
        return bench_tune(options);
    case BENCH_COMMAND_OPTIONS:
        return bench_costs(options);
    case BENCH_COMMAND_RECORD:
        return bench_record(options);
    case BENCH_COMMAND_LAYERS:
        return bench_layers(options);
    case BENCH_COMMAND_SELF_TEST:
        return bench_self_test(options);
    case BENCH_COMMAND_ACCURACY:
        return bench_accuracy(options);
    case BENCH_COMMAND_PATTERN:
        return bench_pattern_show(options);
    case BENCH_COMMAND_PATTERNS:
        return bench_pattern_costs(options);
    case BENCH_COMMAND_REPORT:
        return bench_page(&options->page);
    case BENCH_COMMAND_HELP:
        bench_usage(stdout, options->topic);
        return BENCH_EXIT_OK;
    case BENCH_COMMAND_VERSION:
        printf("vkattn-bench %d.%d.%d, commit %s\n", VKA_VERSION_MAJOR, VKA_VERSION_MINOR, VKA_VERSION_PATCH,
               BENCH_COMMIT);
        return BENCH_EXIT_OK;
    }
    return BENCH_EXIT_USAGE;
}

int main(int argc, char **argv) {
    bench_options options;
    bench_exit status = BENCH_EXIT_USAGE;
    if (bench_options_parse(argc, (const char **)argv, &options)) {
        bench_catch_interrupt();
        status = dispatch(&options);
        bench_progress_end();
    }
    bench_options_free(&options);
    return (int)status;
}
