/* Tensors that share memory, and workspaces that lie over tensors: refused by name wherever an element would be shared,
 * and taken wherever none is, however closely they interleave.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>
#include <vkattn/attention.h>
#include <vkattn/cache.h>
#include <vkattn/lsh.h>
#include <vkattn/merge.h>
#include <vkattn/norm.h>
#include <vkattn/relative.h>
#include <vkattn/rope.h>

#include "support/context.h"

#define BUFFER_BYTES (1 << 20)

typedef struct fixture {
    context c;
    vka_buffer *buffer[6];
} fixture;

static void open(fixture *f) {
    context_open(&f->c, &config_real);
    for (int i = 0; i < 6; i++) {
        EXPECT_OK(vka_buffer_create(f->c.device, &(vka_buffer_desc){.size = BUFFER_BYTES}, &f->buffer[i]));
    }
    EXPECT_OK(vka_recorder_begin(f->c.recorder));
}

static void close(fixture *f) {
    for (int i = 0; i < 6; i++) {
        vka_buffer_destroy(&f->buffer[i]);
    }
    context_close(&f->c);
}

/* [1, 2, n, 8] with rows of `row` elements. */
static vka_tensor rows(vka_buffer *buffer, uint32_t n, uint32_t row, uint64_t first) {
    vka_tensor t = vka_tensor_4d(buffer, VKA_F32, 1, 2, n, 8);
    const uint64_t strides[] = {2ull * n * row, (uint64_t)n * row, row, 1};
    memcpy(t.stride, strides, sizeof strides);
    t.offset = 4 * first;
    return t;
}

static vka_attention_desc attention(const fixture *f) {
    return (vka_attention_desc){.q = rows(f->buffer[0], 16, 16, 0),
                                .k = rows(f->buffer[1], 16, 16, 0),
                                .v = rows(f->buffer[2], 16, 16, 0),
                                .out = rows(f->buffer[3], 16, 16, 0)};
}

Test(errors_overlap, attention) {
    fixture f;
    open(&f);
    const vka_attention_desc good = attention(&f);
    vka_attention_desc d = good;
    EXPECT_OK(vka_attention_prepare(f.c.device, &d));
    const vka_tensor *inputs[] = {&good.q, &good.k, &good.v};
    for (int i = 0; i < 3; i++) {
        for (uint64_t shift = 0; shift < 16; shift++) { /* rows have 8 elements and as many unused */
            d.out = *inputs[i];
            d.out.offset += 4 * shift;
            if (shift == 8) {
                EXPECT_OK(vka_attention_prepare(f.c.device, &d));
            } else {
                EXPECT_REFUSED(vka_attention, &f.c, &d, VKA_INVALID, "vka_attention.out");
            }
        }
    }
    d = good;
    d.lse = vka_tensor_3d(f.buffer[4], VKA_F32, 1, 2, 16);
    d.stats = vka_tensor_4d(f.buffer[4], VKA_F32, 1, 2, 16, 2);
    EXPECT_REFUSED(vka_attention, &f.c, &d, VKA_INVALID, "vka_attention.stats");
    d.stats = (vka_tensor){0};
    d.scores = vka_tensor_4d(f.buffer[4], VKA_F32, 1, 2, 16, 16);
    EXPECT_REFUSED(vka_attention, &f.c, &d, VKA_INVALID, "vka_attention.scores");
    d.scores = (vka_tensor){0};
    d.lse = vka_tensor_3d(f.buffer[3], VKA_F32, 1, 2, 16);
    d.lse.stride[0] = 512;
    d.lse.stride[1] = 256;
    d.lse.stride[2] = 16;
    EXPECT_REFUSED(vka_attention, &f.c, &d, VKA_INVALID, "vka_attention.lse");
    d.lse.offset = 4 * 15; /* the last unused element of each row */
    EXPECT_OK(vka_attention_prepare(f.c.device, &d));
    d.mask = vka_tensor_2d(f.buffer[3], VKA_U8, 16, 16);
    d.mask.offset = 4 * 8 + 1;
    d.mask.stride[0] = 64;
    d.mask.stride[1] = 1;
    EXPECT_OK(vka_attention_prepare(f.c.device, &d));
    d.mask.offset += 8; /* sixteen bytes from the middle of the second-last unused word on */
    d.mask.offset += 4;
    EXPECT_REFUSED(vka_attention, &f.c, &d, VKA_INVALID, "vka_attention.lse");
    close(&f);
}

/* Elements 0 2 4 3 5 7. */
Test(errors_overlap, rows_that_interleave) {
    float ones[64], got[64];
    fixture f;
    open(&f);
    for (int i = 0; i < 64; i++) {
        ones[i] = (float)i;
    }
    for (int i = 0; i < 4; i++) {
        EXPECT_OK(vka_buffer_write(f.buffer[i], 0, i == 2 ? (const void *)ones : got, sizeof ones));
    }
    vka_attention_desc d = {.q = vka_tensor_4d(f.buffer[0], VKA_F32, 1, 1, 2, 3),
                            .k = vka_tensor_4d(f.buffer[1], VKA_F32, 1, 1, 1, 3),
                            .v = vka_tensor_4d(f.buffer[2], VKA_F32, 1, 1, 1, 3),
                            .out = vka_tensor_4d(f.buffer[3], VKA_F32, 1, 1, 2, 3)};
    memset(got, 0, sizeof got);
    for (int i = 0; i < 2; i++) {
        EXPECT_OK(vka_buffer_write(f.buffer[i], 0, got, sizeof got));
    }
    EXPECT_OK(vka_buffer_write(f.buffer[3], 0, got, sizeof got));
    const uint64_t strides[] = {6, 6, 3, 2};
    memcpy(d.out.stride, strides, sizeof strides);
    EXPECT_OK(vka_attention(f.c.recorder, &d));
    context_finish(&f.c);
    EXPECT_OK(vka_buffer_read(f.buffer[3], 0, got, sizeof got));
    static const float wanted[] = {0, 0, 1, 0, 2, 1, 0, 2};
    for (int i = 0; i < 8; i++) {
        cr_assert_eq(got[i], wanted[i], "element %d is %g and not %g", i, (double)got[i], (double)wanted[i]);
    }
    EXPECT_OK(vka_recorder_begin(f.c.recorder));
    d.q.shape[2] = d.out.shape[2] = 3; /* with a fourth column element 6 is there twice */
    EXPECT_OK(vka_attention_prepare(f.c.device, &d));
    d.q.shape[3] = d.k.shape[3] = d.v.shape[3] = d.out.shape[3] = 4;
    EXPECT_REFUSED(vka_attention, &f.c, &d, VKA_INVALID, "vka_attention.out");
    close(&f);
}

Test(errors_overlap, attention_workspace) {
    fixture f;
    open(&f);
    vka_attention_desc d = {.q = vka_tensor_4d(f.buffer[0], VKA_F32, 1, 1, 1, 64),
                            .k = vka_tensor_4d(f.buffer[1], VKA_F32, 1, 1, 512, 64),
                            .v = vka_tensor_4d(f.buffer[2], VKA_F32, 1, 1, 512, 64),
                            .out = vka_tensor_4d(f.buffer[3], VKA_F32, 1, 1, 1, 64),
                            .lse = vka_tensor_3d(f.buffer[4], VKA_F32, 1, 1, 1),
                            .splits = 4};
    vka_requirements need;
    EXPECT_OK(vka_attention_requirements(f.c.device, &d, &need));
    cr_assert(need.workspace_bytes >= 4 * 64 * 4, "nothing is split: %llu bytes",
              (unsigned long long)need.workspace_bytes);
    for (int i = 0; i < 5; i++) {
        d.workspace.buffer = f.buffer[i];
        d.workspace.offset = 0;
        EXPECT_FAILURE(vka_attention(f.c.recorder, &d), VKA_INVALID, "vka_attention.workspace");
        d.workspace.offset = 512 * 64 * 4; /* behind the largest one */
        EXPECT_OK(vka_attention(f.c.recorder, &d));
    }
    d.q.offset = d.workspace.offset + need.workspace_bytes;
    d.workspace.buffer = d.q.buffer;
    EXPECT_OK(vka_attention(f.c.recorder, &d));
    d.q.offset -= 4;
    EXPECT_FAILURE(vka_attention(f.c.recorder, &d), VKA_INVALID, "vka_attention.workspace");
    log_line line = log_last(VKA_LOG_ERROR);
    cr_assert_str_eq(line.message, "overlaps q");
    close(&f);
}

Test(errors_overlap, lsh_workspace) {
    fixture f;
    open(&f);
    vka_lsh_sort_desc d = {.x = vka_tensor_4d(f.buffer[0], VKA_F32, 1, 1, 64, 8),
                           .rotations = vka_tensor_4d(f.buffer[1], VKA_F32, 1, 1, 8, 2),
                           .bucket_count = {4},
                           .permutation = vka_tensor_4d(f.buffer[2], VKA_I32, 1, 1, 1, 64),
                           .keys = vka_tensor_4d(f.buffer[3], VKA_F32, 1, 1, 64, 8)};
    vka_requirements need;
    EXPECT_OK(vka_lsh_sort_requirements(f.c.device, &d, &need));
    cr_assert(need.workspace_bytes);
    for (int i = 0; i < 4; i++) {
        d.workspace.buffer = f.buffer[i];
        d.workspace.offset = 0;
        EXPECT_FAILURE(vka_lsh_sort(f.c.recorder, &d), VKA_INVALID, "vka_lsh_sort.workspace");
        d.workspace.offset = 64 * 8 * 4;
        EXPECT_OK(vka_lsh_sort(f.c.recorder, &d));
    }
    close(&f);
}

/* In place means the very same view; shifted or padded otherwise it is not. */
Test(errors_overlap, in_place) {
    fixture f;
    open(&f);
    vka_layer_norm_desc norm = {.x = rows(f.buffer[0], 16, 16, 0), .out = rows(f.buffer[0], 16, 16, 0)};
    EXPECT_OK(vka_layer_norm_prepare(f.c.device, &norm));
    norm.out.offset = 4;
    EXPECT_REFUSED(vka_layer_norm, &f.c, &norm, VKA_INVALID, "vka_layer_norm.out");
    norm.out.offset = 32;
    EXPECT_OK(vka_layer_norm_prepare(f.c.device, &norm));

    vka_rope_desc rope = {.x = rows(f.buffer[0], 16, 16, 0), .out = rows(f.buffer[0], 16, 16, 0)};
    EXPECT_OK(vka_rope_prepare(f.c.device, &rope));
    rope.out.offset = 4;
    EXPECT_REFUSED(vka_rope, &f.c, &rope, VKA_INVALID, "vka_rope.out");

    vka_attention_merge_desc merge = {.a = rows(f.buffer[0], 16, 16, 0),
                                      .b = rows(f.buffer[1], 16, 16, 0),
                                      .out = rows(f.buffer[1], 16, 16, 0),
                                      .a_lse = vka_tensor_3d(f.buffer[2], VKA_F32, 1, 2, 16),
                                      .b_lse = vka_tensor_3d(f.buffer[3], VKA_F32, 1, 2, 16)};
    EXPECT_OK(vka_attention_merge_prepare(f.c.device, &merge));
    merge.out.offset = 4;
    EXPECT_REFUSED(vka_attention_merge, &f.c, &merge, VKA_INVALID, "vka_attention_merge.out");

    vka_cache_append_desc cache = {.k = rows(f.buffer[0], 4, 16, 0), .k_cache = rows(f.buffer[0], 32, 16, 8)};
    EXPECT_OK(vka_cache_append_prepare(f.c.device, &cache)); /* in the unused half of each row */
    cache.k_cache.offset -= 4;
    EXPECT_REFUSED(vka_cache_append, &f.c, &cache, VKA_INVALID, "vka_cache_append.k_cache");

    vka_relative_bias_span_desc span = {
        .spans = vka_tensor_1d(f.buffer[0], VKA_F32, 4), .out = vka_tensor_2d(f.buffer[0], VKA_F32, 4, 8), .ramp = 2};
    span.spans.stride[0] = 9;
    span.spans.offset = 4 * 8;
    span.out.stride[0] = 9;
    span.out.stride[1] = 1;
    EXPECT_OK(vka_relative_bias_span_prepare(f.c.device, &span));
    span.spans.offset = 4 * 7;
    EXPECT_REFUSED(vka_relative_bias_span, &f.c, &span, VKA_INVALID, "vka_relative_bias_span.out");
    close(&f);
}
