/* SPDX-License-Identifier: MIT */
#include "context.h"

#include "core/core.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fields.h"
#include "intercept.h"

static void no_f16(void *user, vka_device_caps *caps) {
    (void)user;
    caps->f16_storage = false;
    caps->f16_arithmetic = false;
}

static void tiny(void *user, vka_device_caps *caps) {
    (void)user;
    caps->shared_bytes = 16384;
    caps->max_invocations = 128;
}

static void short_range(void *user, vka_device_caps *caps) {
    (void)user;
    caps->storage_range = 65536;
}

static void no_sub(void *user, vka_device_caps *caps) {
    (void)user;
    caps->subgroup_arithmetic = false;
    caps->subgroup_shuffle = false;
}

static void no_int64(void *user, vka_device_caps *caps) {
    (void)user;
    caps->int64 = false;
}

static void staged(void *user, vka_device_caps *caps) {
    (void)user;
    caps->unified_memory = false;
}

static void gpu(void *user, vka_device_caps *caps) {
    (void)user;
    caps->type = VKA_DEVICE_DISCRETE;
}

static void few_groups(void *user, vka_device_caps *caps) {
    (void)user;
    caps->max_groups[0] = 7;
    caps->max_groups[1] = 5;
    caps->max_groups[2] = 3;
}

static void few_buffers(void *user, vka_device_caps *caps) {
    (void)user;
    caps->storage_buffers = 8;
}

static void one_shape(vka_device_caps *caps, uint32_t m, uint32_t n, uint32_t k) {
    caps->matrix_shapes[0] = (vka_matrix_shape){m, n, k, VKA_F16};
    caps->matrix_shape_count = caps->matrix_shape_count ? 1 : 0;
}

/* Of a vendor whose devices have few registers, for which kernels keep more in shared memory. */
static void low_register(void *user, vka_device_caps *caps) {
    (void)user;
    caps->vendor_id = 0x8086;
}

static void matrix_16x16x16(void *user, vka_device_caps *caps) {
    (void)user;
    one_shape(caps, 16, 16, 16);
}

static void low_register_16x16x16(void *user, vka_device_caps *caps) {
    one_shape(caps, 16, 16, 16);
    low_register(user, caps);
}

static void matrix_8x16x16(void *user, vka_device_caps *caps) {
    one_shape(caps, 8, 16, 16);
    low_register(user, caps);
}

static void matrix_16x8x8(void *user, vka_device_caps *caps) {
    (void)user;
    one_shape(caps, 16, 8, 8);
}

const device_config config_real = {"real", NULL};
const device_config config_no_f16 = {"no_f16", no_f16};
const device_config config_tiny = {"tiny", tiny};
const device_config config_short = {"short", short_range};
const device_config config_no_sub = {"no_sub", no_sub};
const device_config config_no_int64 = {"no_int64", no_int64};
const device_config config_staged = {"staged", staged};
const device_config config_gpu = {"gpu", gpu};
const device_config config_few_groups = {"few_groups", few_groups};
const device_config config_few_buffers = {"few_buffers", few_buffers};
const device_config config_low_register = {"low_register", low_register};
const device_config config_matrix_16x16x16 = {"matrix_16x16x16", matrix_16x16x16};
const device_config config_low_register_16x16x16 = {"low_register_16x16x16", low_register_16x16x16};
const device_config config_matrix_8x16x16 = {"matrix_8x16x16", matrix_8x16x16};
const device_config config_matrix_16x8x8 = {"matrix_16x8x8", matrix_16x8x8};

vka_device_desc context_desc(void) {
    return (vka_device_desc){
        .log = log_capture(),
        .allocator = allocator_counted(),
        .get_instance_proc_addr = intercept_loader(),
    };
}

void context_require_device(void) {
    vka_device_desc desc = {.get_instance_proc_addr = intercept_loader()};
    uint32_t count = 0;
    if (!intercept_has_loader()) {
        cr_skip_test("SKIP: no Vulkan loader on this machine");
    }
    if (vka_device_enumerate(&desc, NULL, 0, &count) != VKA_OK || count == 0) {
        cr_skip_test("SKIP: no Vulkan device on this machine");
    }
}

void context_open(context *c, const device_config *config) {
    context_require_device();
    vka_device_desc desc = context_desc();
    *c = (context){.config = config};
    EXPECT_OK(vka__device_create(&desc, sizeof desc, (vka__narrowing){config->narrow, NULL}, &c->device));
    EXPECT_OK(vka_recorder_create(c->device, NULL, &c->recorder));
}

void context_check(const char *what) {
    cr_assert_eq(allocator_live(), 0, "%s: %lld host allocations leaked", what, (long long)allocator_live());
    cr_assert_eq(intercept_live(), 0, "%s: %lld Vulkan handles leaked", what, (long long)intercept_live());
    cr_assert_eq(intercept_violations(), 0, "%s: %u validation messages, see above", what, intercept_violations());
}

void context_close(context *c) {
    vka_recorder_destroy(&c->recorder);
    vka_device_destroy(&c->device);
    cr_assert_null(c->recorder);
    cr_assert_null(c->device);
    context_check(c->config->name);
}

void context_finish(context *c) {
    EXPECT_OK(vka_recorder_submit(c->recorder));
    EXPECT_OK(vka_recorder_wait(c->recorder, VKA_FOREVER));
}

bool context_is_software(const context *c) {
    return vka_device_get_caps(c->device)->type == VKA_DEVICE_CPU;
}

/* Tests leave something out there. */
static bool is_thinned(const context *c) {
    return context_is_software(c) && !getenv("VKATTN_TEST_ALL");
}

static bool is_slow(const context *c) {
    enum { LLVMPIPE = 13 }; /* VK_DRIVER_ID_MESA_LLVMPIPE */
    const vka_device_caps *caps = vka_device_get_caps(c->device);
    return is_thinned(c) && caps->driver_id == LLVMPIPE && caps->driver_version < (26u << 22 | 1u << 12);
}

bool context_compiles_slowly(const context *c) {
    static bool said;
    if (!is_slow(c)) {
        return false;
    }
    if (!said) {
        fprintf(stderr, "SKIP: some kernels: this driver compiles for seconds each (VKATTN_TEST_ALL=1 runs them)\n");
        said = true;
    }
    return true;
}

bool context_leaves_out(const context *c, uint32_t share) {
    static uint32_t asked;
    uint32_t number = asked++;
    /* Two of seven, which go through types and paths in turn as well. */
    if (is_slow(c) ? number % share : is_thinned(c) && number % 7 % 4) {
        fprintf(stderr, "SKIP: a case: software drivers compile kernels for long (VKATTN_TEST_ALL=1 runs them)\n");
        return true;
    }
    return false;
}

bool context_takes_turns(const context *c) {
    static bool said;
    if (!is_thinned(c)) {
        return false;
    }
    if (!said) {
        fprintf(stderr,
                "SKIP: two of three kernels of a case: software drivers compile long (VKATTN_TEST_ALL=1 runs them)\n");
        said = true;
    }
    return true;
}

uint64_t test_seed(void) {
    const char *text = getenv("VKATTN_SEED");
    return text ? strtoull(text, NULL, 0) : 1;
}

void expect_ok_(vka_status got, const char *call, const char *file, int line) {
    log_line error = log_last(VKA_LOG_ERROR);
    cr_assert_eq(got, VKA_OK, "%s:%d: %s gives %d; last error: %s: %s", file, line, call, got, error.item,
                 error.message);
}

void expect_failure_(vka_status got, vka_status wanted, const char *item, const char *call, const char *file,
                     int line) {
    log_line error = log_last(VKA_LOG_ERROR);
    uint32_t errors = log_count(VKA_LOG_ERROR);
    cr_expect_eq(got, wanted, "%s:%d: %s gives status %d, not %d; %s: %s", file, line, call, got, wanted, error.item,
                 error.message);
    cr_expect_eq(errors, 1, "%s:%d: %s logs %u errors, not 1", file, line, call, errors);
    cr_expect(errors == 0 || log_item_matches(error.item, item), "%s:%d: %s blames \"%s\" (%s), not \"%s\"", file, line,
              call, error.item, error.message, item);
    cr_expect(errors == 0 || error.message[0], "%s:%d: %s logs an empty message", file, line, call);
    char text[sizeof error.item + sizeof error.message + 2];
    snprintf(text, sizeof text, "%s: %s", error.item, error.message);
    cr_expect(errors == 0 || !strcmp(vka_last_error(), text), "%s:%d: %s logs \"%s\", but vka_last_error says \"%s\"",
              file, line, call, text, vka_last_error());
    cr_expect(errors == 0 || fields_exist(error.item), "%s:%d: %s blames \"%s\", which no header has", file, line, call,
              error.item);
}
