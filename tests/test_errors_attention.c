/* Bad attention descriptions: the right status, one line that names the field, and nothing recorded.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "attention_case.h"

/* A good problem; every bad description is a copy of its description with one thing wrong. */
typedef struct fixture {
    context c;
    attention_problem p;
    vka_attention_desc good;
    vka_buffer *workspace;
} fixture;

/* Recording has begun, so that whatever a refused call records would run at the end. */
static fixture begin(void) {
    fixture f;
    context_open(&f.c, &config_real);
    f.p = attention_make(&f.c,
                         (attention_case){.batch = 2,
                                          .q_heads = 4,
                                          .kv_heads = 2,
                                          .q_len = 5,
                                          .kv_len = 300,
                                          .head_dim = 8,
                                          .value_dim = 12,
                                          .layout = {"0213", 0, 0}},
                         test_seed());
    f.p.c = &f.c;
    f.good = attention_desc(&f.p);
    EXPECT_OK(vka_buffer_create(f.c.device, &(vka_buffer_desc){.size = 1 << 20}, &f.workspace));
    EXPECT_OK(vka_attention_prepare(f.c.device, &f.good));
    tensor_poison(&f.p.out);
    tensor_poison(&f.p.lse);
    EXPECT_OK(vka_recorder_begin(f.c.recorder));
    return f;
}

/* Nothing was recorded, and the recorder still works. */
static void end(fixture *f) {
    context_finish(&f->c);
    cr_expect(tensor_download(&f->p.out) && tensor_download(&f->p.lse));
    for (size_t i = 0; i < f->p.out.count; i++) {
        cr_assert(isnan(f->p.out.values[i]), "a refused call wrote out[%zu]", i);
    }
    for (size_t i = 0; i < f->p.lse.count; i++) {
        cr_assert(isnan(f->p.lse.values[i]), "a refused call wrote lse[%zu]", i);
    }
    f->p.c = &f->c;
    attention_run(&f->p, VKA_PATH_AUTO, 0);
    vka_buffer_destroy(&f->workspace);
    attention_destroy(&f->p);
    context_close(&f->c);
}

/* Every function that takes the description must refuse it, in the same way. */
static void refused(fixture *f, const vka_attention_desc *d, vka_status status, const char *field) {
    char item[64], text[256];
    uint64_t bytes = 0;
    size_t length = 0;
    snprintf(item, sizeof item, "vka_attention.%s", field);
    EXPECT_FAILURE(vka_attention(f->c.recorder, d), status, item);
    EXPECT_FAILURE(vka_attention_prepare(f->c.device, d), status, item);
    EXPECT_FAILURE(vka_attention_workspace(f->c.device, d, &bytes), status, item);
    EXPECT_FAILURE(vka_attention_explain(f->c.device, d, text, sizeof text, &length), status, item);
}

/* `d` is the good description until `change` has been at it. */
#define REFUSED(field, status, change)                                                                                 \
    do {                                                                                                               \
        vka_attention_desc d = f.good;                                                                                 \
        change;                                                                                                        \
        refused(&f, &d, status, field);                                                                                \
    } while (0)
#define INVALID(field, change) REFUSED(field, VKA_INVALID, change)

/* What can be wrong with a tensor whatever its role. */
static void bad_tensor(fixture *fixture_, size_t where, const char *field) {
    fixture f = *fixture_;
#define T ((vka_tensor *)(void *)((char *)&d + where))
    INVALID(field, T->dtype = VKA_DTYPE_INVALID);
    INVALID(field, T->dtype = (vka_dtype)77);
    INVALID(field, T->rank = 0);
    INVALID(field, T->rank = T->rank == 4 ? 3 : 4);
    INVALID(field, T->rank = 5);
    INVALID(field, T->rank = UINT32_MAX);
    INVALID(field, T->offset += 1);
    INVALID(field, T->offset += 2);
    INVALID(field, T->offset = vka_buffer_size(T->buffer));
    INVALID(field, T->offset += 68);
    INVALID(field, T->offset = UINT64_MAX - 3);
    INVALID(field, T->stride[2] = 0);
    INVALID(field, T->stride[1] = 1 << 20);
    INVALID(field, T->stride[1] = UINT64_MAX);
    INVALID(field, T->stride[0] = UINT64_MAX / 4);
    INVALID(field, T->stride[0] = UINT64_C(1) << 62);
#undef T
}

Test(errors_attention, q) {
    fixture f = begin();
    INVALID("q", d.q.buffer = NULL);
    INVALID("q", d.q = (vka_tensor){0});
    INVALID("q", d.q.shape[3] = 0);
    bad_tensor(&f, offsetof(vka_attention_desc, q), "q");
    end(&f);
}

Test(errors_attention, k) {
    fixture f = begin();
    INVALID("k", d.k.buffer = NULL);
    INVALID("k", d.k.dtype = VKA_F16);
    INVALID("k", d.k.shape[0] = 1);
    INVALID("k", d.k.shape[1] = 0);
    INVALID("k", d.k.shape[1] = 3);
    INVALID("k", d.k.shape[3] = 7);
    bad_tensor(&f, offsetof(vka_attention_desc, k), "k");
    end(&f);
}

Test(errors_attention, v) {
    fixture f = begin();
    INVALID("v", d.v.buffer = NULL);
    INVALID("v", d.v.dtype = VKA_F16);
    INVALID("v", d.v.shape[0] = 1);
    INVALID("v", d.v.shape[1] = 1);
    INVALID("v", d.v.shape[2] = 299);
    INVALID("v", d.v.shape[3] = 0);
    bad_tensor(&f, offsetof(vka_attention_desc, v), "v");
    end(&f);
}

Test(errors_attention, out) {
    fixture f = begin();
    INVALID("out", d.out.buffer = NULL);
    INVALID("out", d.out.dtype = VKA_F16);
    INVALID("out", d.out.shape[0] = 1);
    INVALID("out", d.out.shape[1] = 3);
    INVALID("out", d.out.shape[2] = 4);
    INVALID("out", d.out.shape[3] = 11);
    bad_tensor(&f, offsetof(vka_attention_desc, out), "out");
    /* Overlaps itself. */
    INVALID("out", d.out.stride[2] = d.out.stride[3]);
    INVALID("out", d.out.stride[0] = d.out.stride[1]);
    INVALID("out", d.out.stride[2] = 2);
    /* Overlaps an input. */
    INVALID("out", (d.out.buffer = d.v.buffer, d.out.offset = d.v.offset));
    INVALID("out", (d.out.buffer = d.k.buffer, d.out.offset = d.k.offset + 256));
    INVALID("out", (d.out = d.q, d.v = d.k));
    end(&f);
}

Test(errors_attention, lse) {
    fixture f = begin();
    INVALID("lse", d.lse.dtype = VKA_F16);
    INVALID("lse", d.lse.shape[0] = 1);
    INVALID("lse", d.lse.shape[1] = 2);
    INVALID("lse", d.lse.shape[2] = 4);
    bad_tensor(&f, offsetof(vka_attention_desc, lse), "lse");
    INVALID("lse", d.lse.stride[1] = 1);
    INVALID("lse", (d.lse.buffer = d.out.buffer, d.lse.offset = d.out.offset));
    INVALID("lse", (d.lse.buffer = d.q.buffer, d.lse.offset = d.q.offset));
    end(&f);
}

Test(errors_attention, dimensions) {
    fixture f = begin();
    vka_buffer *big = NULL;
    EXPECT_OK(vka_buffer_create(f.c.device, &(vka_buffer_desc){.size = 4 << 20}, &big));
    INVALID("q", (d.q = vka_tensor_4d(big, VKA_F32, 2, 4, 5, 257), d.k = vka_tensor_4d(big, VKA_F32, 2, 2, 10, 257),
                  d.v = vka_tensor_4d(big, VKA_F32, 2, 2, 10, 12)));
    INVALID("v", (d.v = vka_tensor_4d(big, VKA_F32, 2, 2, 300, 257), d.v.offset = 0));
    vka_buffer_destroy(&big);
    end(&f);
}

Test(errors_attention, numbers) {
    fixture f = begin();
    INVALID("scale", d.scale = -1);
    INVALID("scale", d.scale = -1e-30f);
    INVALID("scale", d.scale = NAN);
    INVALID("scale", d.scale = INFINITY);
    INVALID("scale", d.scale = -INFINITY);
    INVALID("diagonal", d.diagonal = (vka_diagonal)3);
    INVALID("diagonal", d.diagonal = (vka_diagonal)-1);
    INVALID("diagonal_offset", d.diagonal_offset = 1);
    INVALID("diagonal_offset", (d.diagonal = VKA_DIAGONAL_TOP_LEFT, d.diagonal_offset = -5));
    INVALID("window", d.window = ((vka_window){true, -1, 0}));
    INVALID("window", d.window = ((vka_window){true, 3, -4}));
    INVALID("window", d.window = ((vka_window){true, INT32_MIN, INT32_MIN}));
    INVALID("window", d.window = ((vka_window){true, INT32_MIN, VKA_UNBOUNDED - 1}));
    INVALID("path", d.path = (vka_attention_path)6);
    INVALID("path", d.path = (vka_attention_path)-1);
    INVALID("splits", d.splits = 65);
    INVALID("splits", d.splits = UINT32_MAX);
    end(&f);
}

static void bad_workspace(fixture *f, vka_attention_desc d) {
    EXPECT_FAILURE(vka_attention(f->c.recorder, &d), VKA_INVALID, "vka_attention.workspace_offset");
}

Test(errors_attention, workspace) {
    fixture f = begin();
    vka_attention_desc d = f.good;
    uint64_t bytes = 0;
    d.splits = 4;
    EXPECT_OK(vka_attention_workspace(f.c.device, &d, &bytes));
    cr_assert_gt(bytes, 0, "split keys need a workspace");
    d.workspace = f.workspace;
    for (uint64_t offset = 1; offset < 256; offset *= 2) {
        d.workspace_offset = offset;
        bad_workspace(&f, d);
    }
    d.workspace_offset = (UINT64_MAX / 256) * 256;
    EXPECT_FAILURE(vka_attention(f.c.recorder, &d), VKA_INVALID, "vka_attention");
    vka_buffer *small = NULL;
    EXPECT_OK(vka_buffer_create(f.c.device, &(vka_buffer_desc){.size = bytes + 240}, &small));
    d.workspace = small;
    d.workspace_offset = 256;
    EXPECT_FAILURE(vka_attention(f.c.recorder, &d), VKA_INVALID, "vka_attention.workspace");
    vka_buffer_destroy(&small);
    end(&f);
}

Test(errors_attention, arguments) {
    fixture f = begin();
    uint64_t bytes = 0;
    size_t length = 0;
    char text[64];
    EXPECT_FAILURE(vka_attention(f.c.recorder, NULL), VKA_INVALID, "vka_attention");
    EXPECT_FAILURE(vka_attention_prepare(f.c.device, NULL), VKA_INVALID, ".");
    EXPECT_FAILURE(vka_attention_workspace(f.c.device, NULL, &bytes), VKA_INVALID, ".");
    EXPECT_FAILURE(vka_attention_workspace(f.c.device, &f.good, NULL), VKA_INVALID, ".");
    EXPECT_FAILURE(vka_attention_explain(f.c.device, NULL, text, 64, &length), VKA_INVALID, ".");
    EXPECT_FAILURE(vka_attention_explain(f.c.device, &f.good, NULL, 64, &length), VKA_INVALID, ".");
    cr_expect_eq(vka_attention(NULL, &f.good), VKA_INVALID);
    cr_expect_eq(vka_attention_prepare(NULL, &f.good), VKA_INVALID);
    cr_expect_eq(vka_attention_workspace(NULL, &f.good, &bytes), VKA_INVALID);
    cr_expect_eq(vka_attention_explain(NULL, &f.good, text, 64, &length), VKA_INVALID);
    end(&f);
}

Test(errors_attention, not_recording) {
    fixture f = begin();
    end(&f);
    context c;
    context_open(&c, &config_real);
    attention_problem p = attention_make(&c, (attention_case){.kv_len = 9}, test_seed());
    vka_attention_desc desc = attention_desc(&p);
    EXPECT_FAILURE(vka_attention(c.recorder, &desc), VKA_INVALID, "vka_attention");
    attention_run(&p, VKA_PATH_AUTO, 0);
    EXPECT_FAILURE(vka_attention(c.recorder, &desc), VKA_INVALID, "vka_attention");
    attention_destroy(&p);
    context_close(&c);
}

/* The text is cut where the room ends, never beyond, and its length is known. */
Test(errors_attention, explain) {
    fixture f = begin();
    char whole[2048], part[2048];
    size_t length = 0, cut = 0;
    EXPECT_OK(vka_attention_explain(f.c.device, &f.good, whole, sizeof whole, &length));
    cr_assert(length > 0 && length < sizeof whole);
    cr_assert_eq(strlen(whole), length);
    EXPECT_OK(vka_attention_explain(f.c.device, &f.good, NULL, 0, &cut));
    cr_assert_eq(cut, length);
    for (size_t capacity = 1; capacity <= length + 1; capacity++) {
        memset(part, '#', sizeof part);
        EXPECT_OK(vka_attention_explain(f.c.device, &f.good, part, capacity, &cut));
        cr_assert_eq(cut, length);
        cr_assert_eq(strlen(part), capacity - 1);
        cr_assert(!strncmp(part, whole, capacity - 1));
        cr_assert_eq(part[capacity], '#', "written beyond the capacity of %zu", capacity);
    }
    EXPECT_OK(vka_attention_explain(f.c.device, &f.good, part, sizeof part, NULL));
    end(&f);
}
