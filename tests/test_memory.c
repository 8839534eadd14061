/* Memory grows with N, never with N * N.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <math.h>

#include "attention_case.h"

#define HEADS 2u
#define DIM   64u
#define SLACK 65536 /* what does not depend on N: descriptors, parameters, rounding to pages */

/* Device memory beyond the tensors, for one attention in a recorder without any scratch of its own yet. */
static uint64_t extra_memory(context *c, vka_attention_desc d, uint32_t q_len, uint32_t kv_len) {
    vka_buffer *buffers[4];
    const uint32_t lengths[4] = {q_len, kv_len, kv_len, q_len};
    vka_tensor *tensors[4] = {&d.q, &d.k, &d.v, &d.out};
    vka_requirements need;
    for (int i = 0; i < 4; i++) {
        uint64_t bytes = (uint64_t)HEADS * DIM * 4 * lengths[i];
        EXPECT_OK(vka_buffer_create(c->device, &(vka_buffer_desc){.size = bytes}, &buffers[i]));
        *tensors[i] = vka_tensor_4d(buffers[i], VKA_F32, 1, HEADS, lengths[i], DIM);
    }
    vka_recorder *r = NULL;
    EXPECT_OK(vka_attention_requirements(c->device, &d, &need));
    vka_device_reset_peak(c->device);
    uint64_t before = vka_device_memory(c->device).bytes;
    EXPECT_OK(vka_recorder_create(c->device, NULL, &r));
    EXPECT_OK(vka_recorder_begin(r));
    EXPECT_OK(vka_attention(r, &d));
    EXPECT_OK(vka_recorder_submit(r));
    EXPECT_OK(vka_recorder_wait(r, VKA_FOREVER));
    uint64_t extra = vka_device_memory(c->device).bytes_peak - before;
    vka_recorder_destroy(&r);
    for (int i = 0; i < 4; i++) {
        vka_buffer_destroy(&buffers[i]);
    }
    cr_assert(extra + SLACK >= need.workspace_bytes, "the workspace must be part of it");
    return extra > need.workspace_bytes ? extra : need.workspace_bytes;
}

static void grows_linearly(vka_attention_desc d, bool decode) {
    static const uint32_t lengths[] = {1024, 4096, 16384};
    uint64_t before = 0;
    context c;
    context_open(&c, &config_real);
    for (int i = 0; i < 3; i++) {
        uint32_t n = lengths[i];
        uint64_t extra = extra_memory(&c, d, decode ? 1 : n, n);
        cr_expect(i == 0 || extra <= 4 * before + SLACK, "%llu bytes for N = %u, %llu for a quarter of it",
                  (unsigned long long)extra, n, (unsigned long long)before);
        /* 64 partial results of every query row are the most that splitting may cost. */
        uint64_t rows = (uint64_t)HEADS * (decode ? 1 : n);
        cr_expect(extra <= rows * 64 * (DIM + 2) * 4 + 4 * SLACK, "%llu bytes for N = %u", (unsigned long long)extra,
                  n);
        before = extra;
    }
    context_close(&c);
}

Test(memory, prefill) {
    grows_linearly((vka_attention_desc){.causal = true, .window = {true, 64, 0}}, false);
}

Test(memory, prefill_split) {
    grows_linearly((vka_attention_desc){.causal = true, .window = {true, 64, 0}, .splits = 4}, false);
}

Test(memory, decode) {
    grows_linearly((vka_attention_desc){.causal = true}, true);
}

/* One long causal attention, compared. */
Test(memory, long_causal) {
    context c;
    context_open(&c, &config_real);
    attention_problem p = attention_make(
        &c, (attention_case){.q_len = 4096, .kv_len = 4096, .head_dim = 64, .causal = true}, test_seed());
    attention_run(&p, VKA_ATTENTION_PATH_AUTO, 0);
    attention_destroy(&p);
    context_close(&c);
}
