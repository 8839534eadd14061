/* The self-test: right kernels stay, a wrong one is found and nothing but it is switched off, and the verdict survives
 * a round trip. SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vkattn/attention.h>
#include <vkattn/linear.h>
#include <vkattn/linear_attention.h>
#include <vkattn/norm.h>
#include <vkattn/self_test.h>

#include "core/dispatch.h"
#include "op/known_drivers.h"
#include "op/switched_off.h"
#include "spirv.h"
#include "support/app.h"
#include "support/context.h"
#include "support/intercept.h"
#include "vk/record.h"

/* ---- a compiler that is wrong ------------------------------------------------------------------------------------ */

/* Instructions of SPIR-V that have the same operands. */
enum { FADD = 129, FSUB = 131, FMUL = 133 };

static uint32_t wrong_kernel, wrong_from, wrong_to;

static void miscompile(const uint32_t *code, uint32_t *copy, size_t words) {
    if (code != vka__spirv_table[wrong_kernel].words) {
        return;
    }
    for (size_t at = 5; at < words; at += copy[at] >> 16) {
        if ((copy[at] & 0xffff) == wrong_from) {
            copy[at] = (copy[at] & 0xffff0000u) | wrong_to;
        }
    }
}

static void break_kernel(uint32_t kernel, uint32_t from, uint32_t to) {
    wrong_kernel = kernel;
    wrong_from = from;
    wrong_to = to;
    intercept_alter(miscompile);
}

/* ---- helpers ----------------------------------------------------------------------------------------------------- */

static vka_self_test_report run(vka_device *device, const vka_operation *operations, uint32_t count) {
    const vka_self_test_desc desc = {.operations = operations, .operation_count = count, .tiles = 1};
    vka_self_test_report report;
    EXPECT_OK(vka_device_self_test(device, &desc, &report));
    return report;
}

static bool is_all_on(const vka_device *device) {
    return !vka__any_switched_off(vka_device_get_caps(device));
}

/* Exactly this kernel is off. */
static void expect_off(const vka_device *device, const vka_self_test_report *report, uint32_t kernel) {
    vka_device_caps one = {0};
    vka__switch_off(&one, kernel);
    cr_assert_str_eq(report->names, vka__kernel_name((vka__kernel)kernel));
    cr_assert_eq(report->switched_off, 1);
    cr_assert_arr_eq(vka_device_get_caps(device)->switched_off, one.switched_off, sizeof one.switched_off);
}

static vka_device *open_with(const void *blob, size_t size) {
    vka_device_desc desc = context_desc();
    vka_device *device;
    desc.self_test = blob;
    desc.self_test_size = size;
    EXPECT_OK(vka_device_create(&desc, &device));
    return device;
}

/* ---- nothing is wrong -------------------------------------------------------------------------------------------- */

/* Software drivers take minutes to compile everything: of the operations few. */
Test(self_test, nothing_is_switched_off) {
    static const vka_operation operations[] = {
        VKA_OPERATION_RMS_NORM, VKA_OPERATION_CACHE_APPEND, VKA_OPERATION_ATTENTION_MERGE,
#define X(NAME, value, name) VKA_OPERATION_##NAME,
        VKA_OPERATIONS(X)
#undef X
            VKA_OPERATION_ATTENTION, /* takes longest */
    };
    enum { FEW = 3, ALL = sizeof operations / sizeof *operations };
    context c;
    context_open(&c, &config_real);
    bool all = !context_is_software(&c) || getenv("VKATTN_TEST_ALL");
    uint32_t runs = 0;
    vka_self_test_report report;
    if (!all) {
        fprintf(stderr, "SKIP: most operations: this driver takes minutes to compile them (VKATTN_TEST_ALL=1)\n");
    }
    log_clear();
    for (uint32_t i = 0; i < (all ? ALL : FEW); i++) {
        if (operations[i] == VKA_OPERATION_ATTENTION && i + 1 < ALL) {
            continue;
        }
        const vka_self_test_desc desc = {.operations = &operations[i], .operation_count = 1};
        EXPECT_OK(vka_device_self_test(c.device, &desc, &report));
        printf("operation %d: %u runs of %u kernels in %g s\n", (int)operations[i], report.runs, report.kernels,
               1e-9 * (double)report.nanoseconds);
        fflush(stdout);
        cr_expect_eq(report.wrong, 0, "%s: %s", report.names, log_last(VKA_LOG_WARNING).message);
        cr_expect_eq(report.known, report.runs == 0);
        runs += report.runs;
    }
    cr_expect(is_all_on(c.device));
    cr_expect_gt(runs, all ? 100 : 10);
    const vka_self_test_desc desc = {.operations = operations, .operation_count = all ? ALL : FEW};
    EXPECT_OK(vka_device_self_test(c.device, &desc, &report));
    cr_expect(report.known && report.runs == 0);
    context_close(&c);
}

Test(self_test, time_limit) {
    static const vka_operation norms[] = {VKA_OPERATION_RMS_NORM};
    context c;
    context_open(&c, &config_real);
    vka_self_test_desc desc = {.operations = norms, .operation_count = 1, .seconds = 1e-9};
    vka_self_test_report report;
    EXPECT_OK(vka_device_self_test(c.device, &desc, &report));
    cr_assert_eq(report.runs, 0);
    cr_assert_eq(report.left_out, 6);
    EXPECT_OK(vka_device_self_test(c.device, &desc, &report));
    cr_assert(!report.known, "what was left out is not known");
    context_close(&c);
}

Test(self_test, refusals) {
    static const vka_operation wrong[] = {VKA_OPERATION_RMS_NORM, (vka_operation)99};
    context c;
    context_open(&c, &config_real);
    vka_self_test_report report;
    vka_self_test_desc desc = {.operations = wrong, .operation_count = 2};
    cr_assert_eq(vka_device_self_test(NULL, NULL, NULL), VKA_INVALID);
    cr_assert_eq(vka_device_save_self_test(NULL, NULL, NULL), VKA_INVALID);
    EXPECT_FAILURE(vka_device_self_test(c.device, &desc, &report), VKA_INVALID, "vka_device_self_test.operations");
    desc.operations = NULL;
    EXPECT_FAILURE(vka_device_self_test(c.device, &desc, NULL), VKA_INVALID, "vka_device_self_test.operations");
    EXPECT_FAILURE(vka_device_save_self_test(c.device, NULL, NULL), VKA_INVALID, "vka_device_save_self_test.size");
    size_t size = 1;
    EXPECT_FAILURE(vka_device_save_self_test(c.device, &size, &size), VKA_INVALID, "vka_device_save_self_test.size");
    context_close(&c);
    vka_device_desc bad = context_desc();
    vka_device *device;
    bad.self_test_size = 1;
    EXPECT_FAILURE(vka_device_create(&bad, &device), VKA_INVALID, "vka_device_create.self_test");
}

/* ---- a wrong kernel ---------------------------------------------------------------------------------------------- */

/* Of a norm: the other path takes its place. */
static const vka_operation norm[] = {VKA_OPERATION_RMS_NORM};

static void expect_fallback(context *c) {
    const vka_rms_norm_desc d = {.x = vka_tensor_2d(NULL, VKA_F32, 5, 45), .out = vka_tensor_2d(NULL, VKA_F32, 5, 45)};
    vka_rms_norm_desc lane = d;
    char text[1024];
    lane.path = VKA_NORM_PATH_LANE;
    EXPECT_OK(vka_rms_norm_explain(c->device, &d, text, sizeof text, NULL));
    cr_assert(strstr(text, "path: group"), "%s", text);
    cr_assert(!context_is_software(c) || strstr(text, "switched off by the self-test"), "%s", text);
    EXPECT_FAILURE(vka_rms_norm_prepare(c->device, &lane), VKA_UNSUPPORTED, "vka_rms_norm.desc");
    cr_assert(strstr(vka_last_error(), "norm_lane is switched off by the self-test"), "%s", vka_last_error());
}

Test(self_test, wrong_norm) {
    context c;
    context_open(&c, &config_real);
    break_kernel(VKA__norm_lane, FADD, FSUB);
    log_clear();
    vka_self_test_report report = run(c.device, norm, 1);
    expect_off(c.device, &report, VKA__norm_lane);
    cr_assert_eq(report.wrong, 1);
    cr_assert_eq(log_count(VKA_LOG_WARNING), 1);
    log_line line = log_last(VKA_LOG_WARNING);
    cr_assert(log_item_matches(line.item, "vka_device_self_test") && strstr(line.message, "norm_lane"), "%s",
              line.message);
    expect_fallback(&c);
    context_close(&c);
}

/* Of an operation with paths: the path is off, and the others stay. */
static const vka_operation recurrence[] = {VKA_OPERATION_LINEAR_ATTENTION};

static vka_linear_attention_desc some_tokens(void) {
    vka_tensor t = vka_tensor_4d(NULL, VKA_F32, 1, 2, 64, 16), rest = vka_tensor_4d(NULL, VKA_F32, 1, 2, 64, 1);
    return (vka_linear_attention_desc){
        .rule = VKA_LINEAR_ATTENTION_GATED_DELTA, .q = t, .k = t, .v = t, .out = t, .decay = rest};
}

static void expect_path_off(vka_device *device, vka_linear_attention_path path, const char *name) {
    vka_linear_attention_desc d = some_tokens();
    vka_linear_attention_candidate list[64];
    uint32_t count;
    char text[2048], line[64];
    EXPECT_OK(vka_linear_attention_explain(device, &d, text, sizeof text, NULL));
    snprintf(line, sizeof line, "not_%s: its kernel", name);
    cr_assert(strstr(text, line) && strstr(text, "switched off by the self-test"), "%s", text);
    EXPECT_OK(vka_linear_attention_candidates(device, &d, list, 64, &count));
    cr_assert_gt(count, 0);
    for (uint32_t i = 0; i < count && i < 64; i++) {
        cr_assert_neq(list[i].path, path);
    }
    d.path = path;
    EXPECT_FAILURE(vka_linear_attention_prepare(device, &d), VKA_UNSUPPORTED, "vka_linear_attention.path");
    cr_assert(strstr(vka_last_error(), name) && strstr(vka_last_error(), "switched off by the self-test"), "%s",
              vka_last_error());
}

/* All that is known goes through the blob. A kernel that nobody breaks any more stays off: nothing runs. */
static void expect_round_trip(vka_device *device, uint8_t *blob, size_t *size) {
    EXPECT_OK(vka_device_save_self_test(device, NULL, size));
    cr_assert_leq(*size, 256);
    EXPECT_OK(vka_device_save_self_test(device, blob, size));
    log_clear();
    vka_device *again = open_with(blob, *size);
    cr_assert_eq(log_count(VKA_LOG_WARNING), 0);
    vka_self_test_report report = run(again, recurrence, 1);
    cr_assert(report.known && report.runs == 0);
    expect_off(again, &report, VKA__linear_attention_chunked);
    expect_path_off(again, VKA_LINEAR_ATTENTION_PATH_CHUNKED, "chunked");
    vka_device_destroy(&again);
}

/* By creation. */
static bool is_dropped(const uint8_t *blob, size_t size) {
    log_clear();
    vka_device *device = open_with(blob, size);
    bool dropped = is_all_on(device) && log_count(VKA_LOG_WARNING) == 1 &&
                   log_item_matches(log_last(VKA_LOG_WARNING).item, "vka_device_create.self_test");
    vka_device_destroy(&device);
    return dropped;
}

/* As creation does it, without creating hundreds of devices. */
static bool is_ignored(vka_device *device, const uint8_t *blob, size_t size) {
    log_clear();
    vka__verdict_load(device, "item", blob, size);
    return is_all_on(device) && !vka__device_tested(device) && log_count(VKA_LOG_WARNING) == 1;
}

static void expect_damage_found(uint8_t *blob, size_t size) {
    vka_device *device = open_with(NULL, 0);
    for (size_t i = 0; i < size; i++) {
        blob[i] ^= (uint8_t)(1u << i % 8);
        cr_assert(is_ignored(device, blob, size), "byte %zu is damaged", i);
        blob[i] ^= (uint8_t)(1u << i % 8);
    }
    for (size_t less = 1; less < size; less++) {
        cr_assert(is_ignored(device, blob, size - less), "%zu bytes are missing", less);
    }
    vka_device_destroy(&device);
    blob[20] ^= 1;
    cr_assert(is_dropped(blob, size));
}

Test(self_test, wrong_path) {
    uint8_t blob[256];
    size_t size;
    context c;
    context_open(&c, &config_real);
    break_kernel(VKA__linear_attention_chunked, FADD, FSUB);
    log_clear();
    vka_self_test_report report = run(c.device, recurrence, 1);
    expect_off(c.device, &report, VKA__linear_attention_chunked);
    cr_assert_eq(log_count(VKA_LOG_WARNING), 1);
    expect_path_off(c.device, VKA_LINEAR_ATTENTION_PATH_CHUNKED, "chunked");
    intercept_alter(NULL);
    expect_round_trip(c.device, blob, &size);
    expect_damage_found(blob, size);
    context_close(&c);
}

/* A verdict is for what an app enabled. */
Test(self_test, verdict_of_other_features) {
    uint8_t blob[256];
    size_t size = sizeof blob;
    context c;
    context_open(&c, &config_tiny);
    EXPECT_OK(vka_device_save_self_test(c.device, blob, &size));
    context_close(&c);
    context_require_device();
    cr_assert(is_dropped(blob, size));
    context_check("verdicts");
}

/* ---- what plans make of it, without running anything --------------------------------------------------------------
 */

/* Each kernel that an attention's or a linear layer's candidates run, switched off: its path has no candidates but of
 * other kernels, and AUTO never takes it. */
static uint32_t off;
static void switch_off(void *user, vka_device_caps *caps) {
    (void)user;
    vka__switch_off(caps, off);
}
static const device_config config_off = {"switched off", switch_off};

static bool has_kernel(const char *text, uint32_t kernel) {
    char line[80];
    snprintf(line, sizeof line, "kernel: %s\n", vka__kernel_name((vka__kernel)kernel));
    return strncmp(text, line, strlen(line)) == 0;
}

static void expect_never_taken(vka_device *device, const vka_attention_desc *desc) {
    vka_attention_candidate list[256];
    vka_attention_desc d = *desc;
    uint32_t count;
    char text[4096];
    EXPECT_OK(vka_attention_explain(device, &d, text, sizeof text, NULL));
    cr_assert(!has_kernel(text, off), "%s", text);
    EXPECT_OK(vka_attention_candidates(device, &d, list, 256, &count));
    for (uint32_t i = 0; i < count && i < 256; i++) {
        d.path = list[i].path;
        d.tile = list[i].tile;
        EXPECT_OK(vka_attention_explain(device, &d, text, sizeof text, NULL));
        cr_assert(!has_kernel(text, off), "%s", text);
    }
}

Test(self_test, kernels_of_attention) {
    context c;
    context_open(&c, &config_real);
    for (off = VKA__attention_row; off <= VKA__attention_merge_options; off++) {
        vka_device_caps *caps = (vka_device_caps *)vka_device_get_caps(c.device); /* of another device each time */
        memset(caps->switched_off, 0, sizeof caps->switched_off);
        vka__device_switch_off(c.device, off);
        vka_dtype types[] = {VKA_F32, VKA_F16, VKA_BF16};
        for (uint32_t i = 0; i < 9; i++) {
            vka_dtype t = types[i % 3];
            vka_tensor q = vka_tensor_4d(NULL, t, 1, 4, i < 3 ? 1 : 64, 16), k = vka_tensor_4d(NULL, t, 1, 2, 4096, 16);
            vka_attention_desc d = {.q = q, .k = k, .v = k, .out = q, .softcap = i >= 6 ? 8 : 0};
            if (vka_device_get_caps(c.device)->storage_buffers >= 17 || i < 6) {
                expect_never_taken(c.device, &d);
            }
        }
    }
    context_close(&c);
}

/* Splits are not worth a wrong merge. */
Test(self_test, merges) {
    off = VKA__attention_merge;
    context c;
    char text[4096];
    context_open(&c, &config_off);
    vka_tensor q = vka_tensor_4d(NULL, VKA_F32, 1, 1, 1, 16), k = vka_tensor_4d(NULL, VKA_F32, 1, 1, 1 << 16, 16);
    vka_attention_desc d = {.q = q, .k = k, .v = k, .out = q, .splits = 8};
    EXPECT_OK(vka_attention_explain(c.device, &d, text, sizeof text, NULL));
    cr_assert(strstr(text, "splits: 1\n"), "%s", text);
    context_close(&c);
    off = VKA__linear_reduce;
    context_open(&c, &config_off);
    vka_linear_desc l = {.x = vka_tensor_2d(NULL, VKA_F32, 1, 8192),
                         .weight = vka_tensor_2d(NULL, VKA_F32, 16, 8192),
                         .out = vka_tensor_2d(NULL, VKA_F32, 1, 16),
                         .splits = 8};
    EXPECT_OK(vka_linear_explain(c.device, &l, text, sizeof text, NULL));
    cr_assert(strstr(text, "splits: 1\n"), "%s", text);
    context_close(&c);
}

/* ---- what nobody knew ----------------------------------------------------------------------------------------------
 */

/* A driver whose name says nothing: what its table of faults has must be found. What other kernels would take to
 * compile is saved by switching them off. */
static void forget_driver(void *user, vka_device_caps *caps) {
    (void)user;
    caps->driver_id = 0;
    for (uint32_t kernel = VKA__attention_row; kernel <= VKA__attention_coopmat2_sg_options; kernel++) {
        if (kernel != VKA__attention_coopmat2_sg) {
            vka__switch_off(caps, kernel);
        }
    }
}
static const device_config config_forgotten = {"forgotten", forget_driver};

Test(self_test, known_faults_are_found) {
    static const vka_operation attention[] = {VKA_OPERATION_ATTENTION};
    context c;
    context_open(&c, &config_real);
    bool faulty = vka__known_fault(vka_device_get_caps(c.device), VKA__AVOID_BLOCK_REDUCTIONS) &&
                  !vka__known_fault(vka_device_get_caps(c.device), VKA__AVOID_MATRICES);
    context_close(&c);
    if (!faulty) {
        cr_skip_test("SKIP: this driver is not known to reduce blocks of matrices wrong");
    }
    context_open(&c, &config_forgotten);
    const vka_self_test_desc desc = {.operations = attention, .operation_count = 1};
    vka_self_test_report report;
    EXPECT_OK(vka_device_self_test(c.device, &desc, &report));
    cr_assert(vka__is_switched_off(vka_device_get_caps(c.device), VKA__attention_coopmat2_sg), "%s", report.names);
    cr_assert_gt(report.wrong, 0);
    context_close(&c);
}

/* ---- failures ------------------------------------------------------------------------------------------------------
 */

Test(self_test, device_is_lost) {
    static const char *const functions[] = {"vkQueueSubmit", "vkWaitForFences"};
    for (uint32_t i = 0; i < 2; i++) {
        context c;
        context_open(&c, &config_real);
        intercept_fail(functions[i], 1, VK_ERROR_DEVICE_LOST);
        EXPECT_FAILURE(
            vka_device_self_test(c.device, &(vka_self_test_desc){.operations = norm, .operation_count = 1}, NULL),
            VKA_DEVICE_LOST, ".");
        cr_assert(is_all_on(c.device));
        context_close(&c);
        intercept_fail(NULL, 0, VK_SUCCESS);
    }
}

/* Each allocation fails in turn, and the next test works. */
Test(self_test, memory_runs_out) {
    static const vka_operation one[] = {VKA_OPERATION_ATTENTION_MERGE};
    const vka_self_test_desc desc = {.operations = one, .operation_count = 1};
    context c;
    context_open(&c, &config_real);
    vka_self_test_report report;
    for (uint32_t what = 0; what < 2; what++) {
        bool failed = true;
        for (uint32_t nth = 1; failed; nth++) {
            int64_t live = allocator_live(), handles = intercept_live();
            log_clear();
            what ? allocator_fail(nth) : intercept_fail(NULL, nth, VK_ERROR_OUT_OF_DEVICE_MEMORY);
            vka_status status = vka_device_self_test(c.device, &desc, &report);
            failed = what ? allocator_failed() : intercept_failed() != NULL;
            allocator_fail(0);
            intercept_fail(NULL, 0, VK_SUCCESS);
            cr_assert_eq(status, failed ? VKA_OUT_OF_MEMORY : VKA_OK, "number %u", nth);
            cr_assert_eq(log_count(VKA_LOG_ERROR), failed);
            cr_assert(nth > 1 || failed, "it allocates nothing: what is tested?");
            cr_assert(!failed || (allocator_live() - live <= 2 && intercept_live() - handles <= 3), "number %u leaks",
                      nth); /* pipelines stay */
        }
        context_close(&c);
        context_open(&c, &config_real);
    }
    context_close(&c);
}

Test(self_test, imported_without_a_queue) {
    context_require_device();
    app a;
    vka_device *device;
    app_open(&a, VK_API_VERSION_1_1, true);
    vka_import_desc desc = app_import(&a);
    desc.queue = VK_NULL_HANDLE;
    EXPECT_OK(vka_device_import(&desc, &device));
    EXPECT_FAILURE(vka_device_self_test(device, NULL, NULL), VKA_INVALID, "vka_device_self_test.device");
    vka_device_destroy(&device);
    desc.self_test_size = 4;
    EXPECT_FAILURE(vka_device_import(&desc, &device), VKA_INVALID, "vka_device_import.self_test");
    app_close(&a);
}
