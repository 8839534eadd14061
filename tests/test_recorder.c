/* Recorders: their life, order inside a recording, repeated submission, timestamps, threads, and allocating nothing.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attention_case.h"
#include "norm_case.h"
#include "support/intercept.h"
#include "transformer.h"

/* ---- life ---------------------------------------------------------------------------------------------------- */

Test(recorder, states) {
    context c;
    context_open(&c, &config_real);
    vka_recorder *r = c.recorder;
    EXPECT_OK(vka_recorder_wait(r, 0));
    EXPECT_FAILURE(vka_recorder_submit(r), VKA_INVALID, "vka_recorder_submit");
    EXPECT_OK(vka_recorder_begin(r));
    EXPECT_FAILURE(vka_recorder_begin(r), VKA_INVALID, "vka_recorder_begin");
    EXPECT_OK(vka_recorder_submit(r)); /* empty */
    EXPECT_OK(vka_recorder_wait(r, VKA_FOREVER));
    EXPECT_OK(vka_recorder_wait(r, VKA_FOREVER));
    EXPECT_OK(vka_recorder_submit(r)); /* again */
    EXPECT_OK(vka_recorder_begin(r));  /* waits by itself */
    cr_expect_eq(vka_recorder_begin(NULL), VKA_INVALID);
    cr_expect_eq(vka_recorder_submit(NULL), VKA_INVALID);
    cr_expect_eq(vka_recorder_wait(NULL, 0), VKA_INVALID);
    context_close(&c); /* destroyed while recording */
}

Test(recorder, destroyed_after_submit) {
    context c;
    context_open(&c, &config_real);
    transformer t = transformer_make(&c, VKA_F32, 300, 2, 8, test_seed());
    EXPECT_OK(vka_recorder_begin(c.recorder));
    EXPECT_OK(transformer_record(&t, c.recorder, 0));
    EXPECT_OK(vka_recorder_submit(c.recorder));
    vka_recorder_destroy(&c.recorder); /* waits */
    cr_expect(transformer_ok(&t));
    transformer_destroy(&t);
    context_close(&c);
}

Test(recorder, bad_descriptions) {
    context c;
    context_open(&c, &config_real);
    vka_recorder *r = (vka_recorder *)(void *)&c;
    EXPECT_FAILURE(vka_recorder_create(c.device, NULL, NULL), VKA_INVALID, "vka_recorder_create");
    cr_expect_eq(vka_recorder_create(NULL, NULL, &r), VKA_INVALID);
    EXPECT_FAILURE(vka_recorder_create(c.device, &(vka_recorder_desc){.scratch_bytes = UINT64_C(1) << 50}, &r),
                   VKA_OUT_OF_MEMORY, "vka_recorder_create.scratch_bytes");
    cr_expect_null(r);
    context_close(&c);
}

Test(recorder, wait_times_out) {
    context c;
    context_open(&c, &config_real);
    transformer t = transformer_make(&c, VKA_F32, 1500, 4, 8, test_seed());
    EXPECT_OK(vka_recorder_begin(c.recorder));
    EXPECT_OK(transformer_record(&t, c.recorder, 0));
    EXPECT_OK(vka_recorder_submit(c.recorder));
    log_clear();
    vka_status status = vka_recorder_wait(c.recorder, 0);
    cr_expect(status == VKA_TIMEOUT || status == VKA_OK);
    cr_expect_eq(log_count(VKA_LOG_ERROR), 0, "a timeout is an answer, not an error");
    EXPECT_OK(vka_recorder_wait(c.recorder, VKA_FOREVER));
    EXPECT_OK(vka_recorder_wait(c.recorder, 0));
    transformer_destroy(&t);
    context_close(&c);
}

/* ---- order --------------------------------------------------------------------------------------------------- */

static void chain(vka_dtype dtype, uint32_t splits) {
    context c;
    context_open(&c, &config_real);
    transformer t = transformer_make(&c, dtype, 75, 3, 8, test_seed());
    EXPECT_OK(vka_recorder_begin(c.recorder));
    /* The second round overwrites what the first has read. */
    EXPECT_OK(transformer_record(&t, c.recorder, splits));
    EXPECT_OK(transformer_record(&t, c.recorder, splits));
    context_finish(&c);
    cr_expect(transformer_ok(&t), "VKATTN_SEED=%llu", (unsigned long long)test_seed());
    for (int i = 0; i < 3; i++) { /* the same commands run again */
        transformer_poison(&t);
        context_finish(&c);
        cr_expect(transformer_ok(&t), "submission %d", i + 2);
    }
    transformer_poison(&t);
    for (int i = 0; i < 3; i++) {
        EXPECT_OK(vka_recorder_submit(c.recorder)); /* without a wait in between */
    }
    EXPECT_OK(vka_recorder_wait(c.recorder, VKA_FOREVER));
    cr_expect(transformer_ok(&t));
    transformer_destroy(&t);
    context_close(&c);
}

Test(recorder, chain_f32) {
    chain(VKA_F32, 0);
}

Test(recorder, chain_f16) {
    chain(VKA_F16, 0);
}

Test(recorder, chain_split) {
    chain(VKA_F32, 4);
}

/* Copies and dispatches mixed: upload in the recording, compute, copy out. */
Test(recorder, copies_and_dispatches) {
    context c;
    context_open(&c, &config_real);
    transformer t = transformer_make(&c, VKA_F32, 33, 2, 8, test_seed());
    vka_buffer *up = NULL, *down = NULL;
    uint64_t size = t.x.size & ~UINT64_C(3);
    EXPECT_OK(vka_buffer_create(c.device, &(vka_buffer_desc){size, VKA_MEMORY_UPLOAD}, &up));
    EXPECT_OK(vka_buffer_create(c.device, &(vka_buffer_desc){size, VKA_MEMORY_READBACK}, &down));
    memcpy(vka_buffer_map(up), t.x.image, size);
    memset(vka_buffer_map(down), 0xff, size);
    float *x = t.x.values;
    t.x.values = calloc(t.x.count, sizeof *x);
    tensor_upload(&t.x); /* zeros, which the recorded copy replaces */
    free(t.x.values);
    t.x.values = x;
    EXPECT_OK(vka_recorder_begin(c.recorder));
    EXPECT_OK(vka_copy(c.recorder, t.x.view.buffer, 0, up, 0, size));
    EXPECT_OK(transformer_record(&t, c.recorder, 0));
    EXPECT_OK(vka_copy(c.recorder, down, 0, t.y.view.buffer, 0, size));
    context_finish(&c);
    cr_expect(transformer_ok(&t));
    cr_expect(!memcmp(vka_buffer_map(down), t.y.image, size));
    vka_buffer_destroy(&up);
    vka_buffer_destroy(&down);
    transformer_destroy(&t);
    context_close(&c);
}

/* Two recorders on one queue, the second's input is the first's output. */
Test(recorder, two_in_a_row) {
    context c;
    context_open(&c, &config_real);
    transformer t = transformer_make(&c, VKA_F32, 64, 2, 8, test_seed());
    vka_recorder *second = NULL;
    vka_layer_norm_desc first = transformer_first(&t), last = transformer_last(&t);
    vka_attention_desc attention = transformer_attention(&t, 0);
    EXPECT_OK(vka_recorder_create(c.device, &(vka_recorder_desc){.max_dispatches = 1}, &second));
    EXPECT_OK(vka_recorder_begin(c.recorder));
    EXPECT_OK(vka_recorder_begin(second));
    EXPECT_OK(vka_layer_norm(c.recorder, &first));
    EXPECT_OK(vka_attention(second, &attention));
    EXPECT_OK(vka_layer_norm(second, &last));
    EXPECT_OK(vka_recorder_submit(c.recorder));
    EXPECT_OK(vka_recorder_wait(c.recorder, VKA_FOREVER));
    EXPECT_OK(vka_recorder_submit(second));
    EXPECT_OK(vka_recorder_wait(second, VKA_FOREVER));
    cr_expect(transformer_ok(&t));
    vka_recorder_destroy(&second);
    transformer_destroy(&t);
    context_close(&c);
}

/* ---- nothing is allocated ------------------------------------------------------------------------------------ */

static uint64_t allocations(void) {
    return allocator_calls() + intercept_count(NULL);
}

Test(recorder, prepared_recording_allocates_nothing) {
    context c;
    context_open(&c, &config_real);
    transformer t = transformer_make(&c, VKA_F32, 75, 3, 8, test_seed());
    vka_attention_desc attention = transformer_attention(&t, 4);
    vka_requirements need;
    EXPECT_OK(transformer_prepare(&t, 4));
    EXPECT_OK(vka_attention_requirements(c.device, &attention, &need));
    cr_assert_gt(need.workspace_bytes, 0);
    vka_recorder *r = NULL;
    EXPECT_OK(vka_recorder_create(c.device, &(vka_recorder_desc){.scratch_bytes = need.workspace_bytes}, &r));
    uint64_t before = allocations();
    uint64_t memory = vka_device_memory(c.device).bytes;
    for (int frame = 0; frame < 4; frame++) {
        EXPECT_OK(vka_recorder_begin(r));
        for (int i = 0; i < 20; i++) {
            EXPECT_OK(transformer_record(&t, r, 4));
        }
        EXPECT_OK(vka_recorder_submit(r));
        EXPECT_OK(vka_recorder_wait(r, VKA_FOREVER));
    }
    cr_expect_eq(allocations(), before, "%llu allocations", (unsigned long long)(allocations() - before));
    cr_expect_eq(vka_device_memory(c.device).bytes, memory);
    cr_expect(transformer_ok(&t));
    vka_recorder_destroy(&r);
    transformer_destroy(&t);
    context_close(&c);
}

/* An operation cut into several dispatches needs the room that its explanation tells. */
Test(recorder, room_for_every_dispatch) {
    context c;
    char text[1024];
    unsigned dispatches = 0;
    context_open(&c, &config_few_groups);
    attention_case a = {.batch = 4, .q_heads = 6, .q_len = 300, .kv_len = 20, .head_dim = 16};
    attention_problem p = attention_make(&c, a, test_seed());
    vka_attention_desc desc = attention_desc(&p);
    desc.splits = 1;
    EXPECT_OK(vka_attention_explain(c.device, &desc, text, sizeof text, NULL));
    const char *line = strstr(text, "\ndispatches: ");
    cr_assert(line && sscanf(line, "\ndispatches: %u", &dispatches) == 1 && dispatches > 4, "%s", text);
    EXPECT_OK(vka_attention_prepare(c.device, &desc));
    vka_recorder *r = NULL;
    EXPECT_OK(vka_recorder_create(c.device, &(vka_recorder_desc){.max_dispatches = dispatches}, &r));
    for (unsigned more = 0; more < 2; more++) {
        uint64_t before = allocations();
        EXPECT_OK(vka_recorder_begin(r));
        for (unsigned i = 0; i <= more; i++) {
            EXPECT_OK(vka_attention(r, &desc));
        }
        cr_expect_eq(allocations() != before, more, "%u times %u dispatches", more + 1, dispatches);
        EXPECT_OK(vka_recorder_submit(r));
        EXPECT_OK(vka_recorder_wait(r, VKA_FOREVER));
    }
    attention_compare(&p, "in a recorder with just enough room");
    vka_recorder_destroy(&r);
    attention_destroy(&p);
    context_close(&c);
}

/* Beyond its room a recorder grows once. */
Test(recorder, grows_and_stays) {
    context c;
    context_open(&c, &config_real);
    transformer t = transformer_make(&c, VKA_F32, 20, 2, 8, test_seed());
    EXPECT_OK(transformer_prepare(&t, 2));
    vka_recorder *r = NULL;
    EXPECT_OK(vka_recorder_create(c.device, &(vka_recorder_desc){.max_dispatches = 1}, &r));
    uint64_t before = 0;
    for (int frame = 0; frame < 3; frame++) {
        EXPECT_OK(vka_recorder_begin(r));
        for (int i = 0; i < 100; i++) {
            EXPECT_OK(transformer_record(&t, r, 2));
        }
        EXPECT_OK(vka_recorder_submit(r));
        EXPECT_OK(vka_recorder_wait(r, VKA_FOREVER));
        cr_expect(transformer_ok(&t));
        if (frame == 0) {
            before = allocations();
        }
    }
    cr_expect_eq(allocations(), before, "%llu allocations after the first frame",
                 (unsigned long long)(allocations() - before));
    vka_recorder_destroy(&r);
    transformer_destroy(&t);
    context_close(&c);
}

/* ---- timestamps ---------------------------------------------------------------------------------------------- */

Test(recorder, timestamps) {
    context c;
    context_open(&c, &config_real);
    if (!vka_device_get_caps(c.device)->timestamps) {
        context_close(&c);
        cr_skip_test("SKIP: the device has no timestamps");
    }
    transformer t = transformer_make(&c, VKA_F32, 64, 2, 8, test_seed());
    vka_recorder *r = NULL;
    uint64_t ns[4] = {0};
    EXPECT_OK(vka_recorder_create(c.device, &(vka_recorder_desc){.timestamps = 3}, &r));
    EXPECT_FAILURE(vka_recorder_timestamp(r, 0), VKA_INVALID, "vka_recorder_timestamp");
    EXPECT_FAILURE(vka_recorder_read_timestamps(r, ns, 1), VKA_INVALID, "vka_recorder_read_timestamps");
    EXPECT_OK(vka_recorder_begin(r));
    EXPECT_OK(vka_recorder_timestamp(r, 0));
    EXPECT_FAILURE(vka_recorder_timestamp(r, 0), VKA_INVALID, "vka_recorder_timestamp.index");
    EXPECT_FAILURE(vka_recorder_timestamp(r, 3), VKA_INVALID, "vka_recorder_timestamp.index");
    EXPECT_OK(transformer_record(&t, r, 0));
    EXPECT_OK(vka_recorder_timestamp(r, 1));
    EXPECT_FAILURE(vka_recorder_read_timestamps(r, ns, 2), VKA_INVALID, "vka_recorder_read_timestamps");
    for (int i = 0; i < 2; i++) {
        EXPECT_OK(vka_recorder_submit(r));
        EXPECT_OK(vka_recorder_wait(r, VKA_FOREVER));
        EXPECT_FAILURE(vka_recorder_read_timestamps(r, ns, 3), VKA_INVALID, "vka_recorder_read_timestamps");
        EXPECT_FAILURE(vka_recorder_read_timestamps(r, NULL, 2), VKA_INVALID, "vka_recorder_read_timestamps");
        EXPECT_OK(vka_recorder_read_timestamps(r, ns, 2));
        cr_expect(ns[1] >= ns[0] && ns[1] - ns[0] < UINT64_C(600000000000));
    }
    EXPECT_OK(vka_recorder_begin(r)); /* forgets them */
    EXPECT_OK(vka_recorder_timestamp(r, 2));
    EXPECT_OK(vka_recorder_submit(r));
    EXPECT_OK(vka_recorder_wait(r, VKA_FOREVER));
    EXPECT_FAILURE(vka_recorder_read_timestamps(r, ns, 1), VKA_INVALID, "vka_recorder_read_timestamps");
    vka_recorder_destroy(&r);
    transformer_destroy(&t);
    context_close(&c);
}

static void no_timestamps(void *user, vka_device_caps *caps) {
    (void)user;
    caps->timestamps = false;
}

Test(recorder, without_timestamps) {
    const device_config config = {"no timestamps", no_timestamps};
    context c;
    context_open(&c, &config);
    vka_recorder *r = NULL;
    EXPECT_OK(vka_recorder_create(c.device, &(vka_recorder_desc){.timestamps = 2}, &r));
    EXPECT_OK(vka_recorder_begin(r));
    EXPECT_FAILURE(vka_recorder_timestamp(r, 0), VKA_UNSUPPORTED, "vka_recorder_timestamp");
    vka_recorder_destroy(&r);
    context_close(&c);
}

/* ---- threads ------------------------------------------------------------------------------------------------- */

typedef struct worker {
    context c; /* the shared device, an own recorder */
    transformer t;
    uint32_t splits;
    vka_status status;
} worker;

/* Compiles, records, submits and reads, all on a device that another thread uses in the same way. */
static void *work(void *argument) {
    worker *w = argument;
    for (int i = 0; i < 6 && !w->status; i++) {
        w->status = transformer_prepare(&w->t, w->splits);
        w->status = w->status ? w->status : vka_recorder_begin(w->c.recorder);
        w->status = w->status ? w->status : transformer_record(&w->t, w->c.recorder, w->splits);
        w->status = w->status ? w->status : vka_recorder_submit(w->c.recorder);
        w->status = w->status ? w->status : vka_recorder_wait(w->c.recorder, VKA_FOREVER);
        vka_buffer *b = NULL;
        uint32_t data[64] = {0};
        w->status = w->status ? w->status : vka_buffer_create(w->c.device, &(vka_buffer_desc){.size = 256}, &b);
        w->status = w->status ? w->status : vka_buffer_write(b, 0, data, 256);
        w->status = w->status ? w->status : vka_buffer_read(b, 0, data, 256);
        vka_buffer_destroy(&b);
    }
    return NULL;
}

static void threads(const device_config *config) {
    context c;
    worker workers[3];
    pthread_t ids[3];
    context_open(&c, config);
    for (uint32_t i = 0; i < 3; i++) {
        workers[i] = (worker){.c = c, .splits = 1 + i};
        EXPECT_OK(vka_recorder_create(c.device, NULL, &workers[i].c.recorder));
        workers[i].t = transformer_make(&workers[i].c, i ? VKA_F32 : VKA_F16, 20 + i, 2, 8, test_seed() + i);
    }
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(pthread_create(&ids[i], NULL, work, &workers[i]), 0);
    }
    for (int i = 0; i < 3; i++) {
        pthread_join(ids[i], NULL);
        cr_assert_eq(workers[i].status, VKA_OK);
        cr_assert(transformer_ok(&workers[i].t), "thread %d", i);
        transformer_destroy(&workers[i].t);
        vka_recorder_destroy(&workers[i].c.recorder);
    }
    context_close(&c);
}

Test(recorder, threads) {
    threads(&config_real);
}

Test(recorder, threads_staged) {
    threads(&config_staged);
}

/* Nothing runs, and everything is as before; what follows works. */
Test(recorder, warm_up) {
    context c;
    context_open(&c, &config_real);
    EXPECT_FAILURE(vka_recorder_warm_up(c.recorder), VKA_INVALID, "vka_recorder_warm_up");
    cr_expect_eq(vka_recorder_warm_up(NULL), VKA_INVALID);
    EXPECT_OK(vka_recorder_begin(c.recorder));
    EXPECT_OK(vka_recorder_warm_up(c.recorder)); /* there are no pipelines yet */
    context_finish(&c);
    norm_problem p =
        norm_make(&c, (norm_case){.rank = 2, .shape = {5, 40}, .residual = true, .sum = true}, test_seed());
    vka_layer_norm_desc d = norm_desc(&p);
    for (int path = VKA_NORM_PATH_LANE; path <= VKA_NORM_PATH_GROUP; path++) {
        d.path = (vka_norm_path)path;
        EXPECT_OK(vka_layer_norm_prepare(c.device, &d));
    }
    tensor *tensors[] = {&p.x, &p.residual, &p.out, &p.sum};
    for (int i = 0; i < 4; i++) {
        tensor_poison(tensors[i]);
    }
    uint64_t dispatches = intercept_count("vkCmdDispatch");
    EXPECT_OK(vka_recorder_begin(c.recorder));
    EXPECT_OK(vka_recorder_warm_up(c.recorder));
    cr_expect_eq(intercept_count("vkCmdDispatch") - dispatches, 2, "not one for each pipeline");
    EXPECT_OK(vka_recorder_warm_up(c.recorder));
    context_finish(&c);
    for (int i = 0; i < 4; i++) {
        cr_assert(tensor_download(tensors[i]));
        for (size_t n = 0; n < tensors[i]->count; n++) {
            cr_assert(tensor_untouched(tensors[i], n));
        }
    }
    norm_run(&p, VKA_NORM_PATH_LANE);
    norm_destroy(&p);
    context_close(&c);
}
