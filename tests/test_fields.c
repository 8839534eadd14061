/* Lines of the log: every name in them exists, types are named, sizes are those that were given.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <vkattn/attention.h>
#include <vkattn/norm.h>
#include <vkattn/pattern.h>
#include <vkattn/rope.h>

#include "ops/attention/plan.h"
#include "plan_devices.h"
#include "support/context.h"
#include "support/fields.h"
#include "support/intercept.h"

Test(fields, of_headers) {
    static const char *const good[] = {"vka_attention",
                                       "vka_attention.relative_bias",
                                       "vka_recorder_create",
                                       "vka_pattern_create.terms[3].window.left",
                                       "vka_device_import.cache_size",
                                       "vka_layer_norm_requirements.requirements"};
    static const char *const bad[] = {"",
                                      "vka_attention.relative",
                                      "vka_attention.alibi",
                                      "vka_attention.pages",
                                      "vka_attention.q_list",
                                      "vka_attention.kv_list",
                                      "vka_attend",
                                      "vka_attention_desc.q",
                                      "vka_rope.options.cosine"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        cr_expect(fields_exist(good[i]), "%s", good[i]);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        cr_expect(!fields_exist(bad[i]), "%s", bad[i]);
    }
}

static vka__view dense(uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
    return (vka__view){.present = true,
                       .dtype = VKA_F32,
                       .size = 4,
                       .block = 1,
                       .shape = {a, b, c, d},
                       .stride = {(uint64_t)b * c * d, (uint64_t)c * d, d, 1}};
}

/* Whatever does not fit a binding is refused by a name that a description has. */
Test(fields, of_tensors_that_are_too_large) {
    const device *d = device_named("software");
    vka__attention_problem base = {.q = dense(1, 2, 16, 64),
                                   .k = dense(1, 2, 16, 64),
                                   .v = dense(1, 2, 16, 64),
                                   .out = dense(1, 2, 16, 64),
                                   .scale = 1};
    vka__attention_sizes(&base);
    const struct {
        size_t view;
        vka__view shape;
        uint32_t options;
        const char *field;
    } list[] = {
        {offsetof(vka__attention_problem, q), dense(1, 2, 16, 64), 0, "q"},
        {offsetof(vka__attention_problem, mask), dense(1, 1, 16, 16), 0, "mask"},
        {offsetof(vka__attention_problem, lse), dense(1, 2, 16, 1), 0, "lse"},
        {offsetof(vka__attention_problem, scores), dense(1, 2, 16, 16), 0, "scores"},
        {offsetof(vka__attention_problem, relative), dense(1, 1, 2, 9), 0, "relative_bias"},
        {offsetof(vka__attention_problem, alibi), dense(1, 1, 1, 2), 0, "alibi_slopes"},
        {offsetof(vka__attention_problem, cosine), dense(1, 1, 1, 2), 0, "cosine_scale"},
        {offsetof(vka__attention_problem, relative_keys), dense(1, 1, 2, 64), 0, "relative_keys"},
        {offsetof(vka__attention_problem, content), dense(1, 1, 2, 64), 0, "content_bias"},
        {offsetof(vka__attention_problem, position), dense(1, 1, 2, 64), 0, "position_bias"},
        {offsetof(vka__attention_problem, sinks), dense(1, 1, 1, 2), 0, "sinks"},
        {offsetof(vka__attention_problem, q_list), dense(1, 1, 1, 2), VKA_FLAG_Q_LENGTHS, "q_lengths"},
        {offsetof(vka__attention_problem, q_list), dense(1, 1, 1, 2), VKA_FLAG_Q_OFFSETS, "q_offsets"},
        {offsetof(vka__attention_problem, kv_list), dense(1, 1, 1, 2), VKA_FLAG_KV_LENGTHS, "kv_lengths"},
        {offsetof(vka__attention_problem, kv_list), dense(1, 1, 1, 2), VKA_FLAG_KV_OFFSETS, "kv_offsets"},
        {offsetof(vka__attention_problem, pages), dense(1, 1, 1, 2), 0, "page_table"},
    };
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        vka__attention_problem p = base;
        vka__view *v = (vka__view *)(void *)((char *)&p + list[i].view);
        *v = list[i].shape;
        for (int dim = 2; dim < 4; dim++) {
            v->stride[dim] = v->shape[dim] > 1 ? UINT64_C(1) << 32 : v->stride[dim];
        }
        p.options = list[i].options;
        vka__attention_plan plan;
        vka__refusal refusal = {0};
        char item[80];
        cr_assert_eq(vka__plan_attention(&d->caps, &p, &plan, &refusal), VKA_UNSUPPORTED, "%s", list[i].field);
        cr_expect_str_eq(refusal.field, list[i].field, "%s instead of %s", refusal.field, list[i].field);
        snprintf(item, sizeof item, "vka_attention.%s", refusal.field);
        cr_expect(fields_exist(item), "%s", item);
    }
}

static void says(const char *message) {
    log_line line = log_last(VKA_LOG_ERROR);
    cr_expect_str_eq(line.message, message, "%s: \"%s\"", line.item, line.message);
}

Test(fields, types_are_named) {
    context c;
    context_open(&c, &config_real);
    vka_buffer *buffer;
    EXPECT_OK(vka_buffer_create(c.device, &(vka_buffer_desc){.size = 4096}, &buffer));
    vka_tensor t = vka_tensor_4d(buffer, VKA_F32, 1, 1, 4, 8);
    vka_attention_desc d = {.q = t, .k = t, .v = t, .out = t};
    d.q.dtype = VKA_U8;
    EXPECT_REFUSED(vka_attention, &c, &d, VKA_INVALID, "vka_attention.q");
    says("dtype is VKA_U8, but must be VKA_F32, VKA_F16 or VKA_BF16");
    d.q.dtype = (vka_dtype)99;
    EXPECT_REFUSED(vka_attention, &c, &d, VKA_INVALID, "vka_attention.q");
    says("dtype 99 is not a vka_dtype; it must be VKA_F32, VKA_F16 or VKA_BF16");
    d.q.dtype = VKA_F32;
    d.k.dtype = VKA_I32;
    EXPECT_REFUSED(vka_attention, &c, &d, VKA_INVALID, "vka_attention.k");
    says("dtype is VKA_I32, but must be VKA_F32, VKA_F16, VKA_BF16, VKA_I8, VKA_Q8_0 or VKA_Q4_0");
    d.k.dtype = VKA_F32;
    d.lse = vka_tensor_3d(buffer, VKA_F16, 1, 1, 4);
    EXPECT_REFUSED(vka_attention, &c, &d, VKA_INVALID, "vka_attention.lse");
    says("dtype is VKA_F16, but must be VKA_F32");
    vka_layer_norm_desc norm = {.x = t, .out = t};
    norm.out.dtype = VKA_BF16;
    EXPECT_REFUSED(vka_layer_norm, &c, &norm, VKA_INVALID, "vka_layer_norm.out");
    says("dtype is VKA_BF16, but must be that of x");
    vka_buffer_destroy(&buffer);
    context_close(&c);
}

/* Positions of one row for each entry are row_positions still. */
Test(fields, positions_beyond_a_binding) {
    context c;
    context_open(&c, &config_short);
    uint32_t batch = (uint32_t)(vka_device_get_caps(c.device)->storage_range / 4 + 1);
    vka_buffer *buffer;
    EXPECT_OK(vka_buffer_create(c.device, &(vka_buffer_desc){.size = UINT64_C(12) * batch}, &buffer));
    vka_tensor x = vka_tensor_4d(buffer, VKA_F32, batch, 1, 1, 2), positions = vka_tensor_2d(buffer, VKA_I32, batch, 1);
    positions.offset = UINT64_C(8) * batch;
    vka_rope_desc d = {.x = x, .out = x, .row_positions = positions};
    EXPECT_REFUSED(vka_rope, &c, &d, VKA_UNSUPPORTED, "vka_rope.row_positions");
    vka_buffer_destroy(&buffer);
    context_close(&c);
}

/* A diagonal beyond 2^29 is kept in two parts, and told as one. */
Test(fields, positions_beyond_a_pattern) {
    context c;
    context_open(&c, &config_real);
    vka_buffer *buffer;
    vka_pattern *pattern;
    const vka_pattern_term all = {.kind = VKA_PATTERN_ALL};
    EXPECT_OK(vka_buffer_create(c.device, &(vka_buffer_desc){.size = 4096}, &buffer));
    EXPECT_OK(vka_pattern_create(
        c.device, &(vka_pattern_desc){.queries = 64, .keys = 64, .terms = &all, .term_count = 1}, &pattern));
    vka_tensor t = vka_tensor_4d(buffer, VKA_F32, 1, 1, 2, 8), out = t;
    out.offset = 1024;
    vka_attention_desc d = {.q = t,
                            .k = t,
                            .v = t,
                            .out = out,
                            .pattern = pattern,
                            .diagonal = VKA_DIAGONAL_EXPLICIT,
                            .diagonal_offset = INT32_MAX};
    EXPECT_REFUSED(vka_attention, &c, &d, VKA_INVALID, "vka_attention.pattern");
    says("is for 64 positions, but queries reach position 2147483648 (see diagonal)");
    vka_pattern_destroy(&pattern);
    vka_buffer_destroy(&buffer);
    context_close(&c);
}

/* What a recorder is asked to have room for, and no more. */
Test(fields, value_bytes) {
    context c;
    context_open(&c, &config_real);
    vka_recorder *recorder;
    uint64_t before = vka_device_memory(c.device).bytes;
    EXPECT_OK(vka_recorder_create(
        c.device, &(vka_recorder_desc){.max_dispatches = 1, .scratch_bytes = MIB, .value_bytes = MIB}, &recorder));
    uint64_t bytes = vka_device_memory(c.device).bytes - before;
    cr_expect(bytes >= 2 * MIB && bytes < 2 * MIB + MIB / 4, "%llu bytes", (unsigned long long)bytes);
    vka_recorder_destroy(&recorder);
    context_close(&c);
}

/* Sizes that no memory has end as such, and not as a driver's error. */
Test(fields, absurd_sizes) {
    context c;
    context_open(&c, &config_real);
    static const uint64_t sizes[] = {UINT64_MAX, UINT64_MAX - 14, UINT64_MAX / 2, UINT64_C(1) << 62};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        vka_recorder *recorder;
        vka_buffer *buffer;
        EXPECT_FAILURE(vka_recorder_create(c.device, &(vka_recorder_desc){.scratch_bytes = sizes[i]}, &recorder),
                       VKA_OUT_OF_MEMORY, "vka_recorder_create.scratch_bytes");
        EXPECT_FAILURE(vka_recorder_create(c.device, &(vka_recorder_desc){.value_bytes = sizes[i]}, &recorder),
                       VKA_OUT_OF_MEMORY, "vka_recorder_create.value_bytes");
        EXPECT_FAILURE(vka_buffer_create(c.device, &(vka_buffer_desc){.size = sizes[i]}, &buffer), VKA_OUT_OF_MEMORY,
                       "vka_buffer_create");
    }
    vka_recorder *recorder;
    EXPECT_FAILURE(vka_recorder_create(c.device, &(vka_recorder_desc){.timestamps = UINT32_MAX}, &recorder),
                   VKA_INVALID, "vka_recorder_create.timestamps");
    EXPECT_FAILURE(vka_recorder_create(c.device, &(vka_recorder_desc){.max_dispatches = UINT32_MAX}, &recorder),
                   VKA_INVALID, "vka_recorder_create.max_dispatches");
    context_close(&c);
}

/* A device that goes before its children says which they are, once. It leaks on purpose: a sanitizer that looks for
 * leaks finds it here. */
static vka_device *volatile leaked;

Test(fields, children_of_a_destroyed_device) {
    context c;
    context_open(&c, &config_real);
    leaked = c.device;
    vka_buffer *buffers[2];
    vka_pattern *pattern;
    const vka_pattern_term all = {.kind = VKA_PATTERN_ALL};
    log_clear();
    for (int i = 0; i < 2; i++) {
        EXPECT_OK(vka_buffer_create(c.device, &(vka_buffer_desc){.size = 64}, &buffers[i]));
    }
    EXPECT_OK(vka_pattern_create(
        c.device, &(vka_pattern_desc){.queries = 32, .keys = 32, .terms = &all, .term_count = 1}, &pattern));
    cr_assert_eq(log_count(VKA_LOG_WARNING), 0);
    vka_buffer_destroy(&buffers[0]);
    vka_device_destroy(&c.device);
    cr_assert_null(c.device);
    cr_assert_eq(log_count(VKA_LOG_WARNING), 1);
    log_line line = log_last(VKA_LOG_WARNING);
    cr_expect_str_eq(line.item, "vka_device_destroy");
    cr_expect_str_eq(line.message,
                     "is not destroyed, and leaks with what was made from it and still exists: 1 buffer, 1 recorder "
                     "and 1 pattern");
    /* They still work. */
    const float x = 1;
    EXPECT_OK(vka_buffer_write(buffers[1], 0, &x, sizeof x));
    EXPECT_OK(vka_recorder_begin(c.recorder));
    EXPECT_OK(vka_copy(c.recorder, buffers[1], 4, buffers[1], 0, 4));
    context_finish(&c);
    vka_buffer_destroy(&buffers[1]);
    vka_pattern_destroy(&pattern);
    vka_recorder_destroy(&c.recorder);
    cr_assert_eq(intercept_violations(), 0);
    cr_assert_eq(log_count(VKA_LOG_WARNING), 1);
}

Test(fields, a_device_whose_children_are_gone_says_nothing) {
    context c;
    context_open(&c, &config_real);
    vka_pattern *pattern;
    const vka_pattern_term all = {.kind = VKA_PATTERN_ALL};
    EXPECT_OK(vka_pattern_create(
        c.device, &(vka_pattern_desc){.queries = 32, .keys = 32, .terms = &all, .term_count = 1}, &pattern));
    vka_pattern_destroy(&pattern);
    log_clear();
    context_close(&c);
    cr_assert_eq(log_count(VKA_LOG_WARNING), 0);
}
