/* Bad descriptions of sorts: the right status, one line that names the field, and nothing recorded.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "lsh_case.h"

typedef struct fixture {
    context c;
    lsh_problem p;
    vka_lsh_sort_desc good;
} fixture;

static void begin(fixture *f, lsh_case l) {
    context_open(&f->c, &config_real);
    f->p = lsh_make(&f->c, l, test_seed());
    f->good = lsh_desc(&f->p);
    EXPECT_OK(vka_lsh_sort_prepare(f->c.device, &f->good));
    lsh_poison(&f->p);
    EXPECT_OK(vka_recorder_begin(f->c.recorder));
}

static void begin_full(fixture *f) {
    begin(f, (lsh_case){.batch = 2,
                        .heads = 3,
                        .tokens = 20,
                        .dim = 12,
                        .rounds = 2,
                        .lengths = LENGTHS_TENSOR,
                        .layout = {"0213", 0, 0}});
}

/* Nothing was recorded, and the recorder is as usable as before. */
static void end(fixture *f) {
    context_finish(&f->c);
    tensor *outputs[] = {&f->p.order, &f->p.buckets, &f->p.keys};
    for (int i = 0; i < 3; i++) {
        cr_expect(tensor_download(outputs[i]));
        for (size_t n = 0; n < outputs[i]->count; n++) {
            cr_assert_eq(tensor_bytes(outputs[i], n)[0], 0x77, "a refused call wrote output %d", i);
        }
    }
    lsh_run(&f->p);
    lsh_destroy(&f->p);
    context_close(&f->c);
}

static void refused(fixture *f, const vka_lsh_sort_desc *d, vka_status status, const char *field) {
    char item[64];
    snprintf(item, sizeof item, field ? "vka_lsh_sort.%s" : "vka_lsh_sort", field);
    EXPECT_REFUSED(vka_lsh_sort, &f->c, d, status, item);
}

#define REFUSED(status, field, change)                                                                                 \
    do {                                                                                                               \
        vka_lsh_sort_desc d = f.good;                                                                                  \
        change;                                                                                                        \
        refused(&f, &d, status, field);                                                                                \
    } while (0)
#define INVALID(field, change) REFUSED(VKA_INVALID, field, change)

/* What no tensor may be, whichever it is. */
static void bad_tensor(fixture *fixture_, size_t where, const char *field) {
    fixture f = *fixture_;
#define T ((vka_tensor *)(void *)((char *)&d + where))
    INVALID(field, T->dtype = VKA_DTYPE_INVALID);
    INVALID(field, T->dtype = VKA_U8);
    INVALID(field, T->rank = 0);
    INVALID(field, T->rank = 5);
    INVALID(field, T->rank = 3);
    INVALID(field, T->offset += 1);
    INVALID(field, T->offset = vka_buffer_size(T->buffer));
    INVALID(field, T->stride[1] = UINT64_MAX / 2);
    INVALID(field, T->stride[1] = 0);
    INVALID(field, T->shape[0] += 1);
    INVALID(field, T->shape[1] += 1);
    INVALID(field, T->shape[2] += 1);
    INVALID(field, T->shape[3] += 1);
#undef T
}

Test(errors_lsh, tensors) {
    fixture f;
    begin_full(&f);
    bad_tensor(&f, offsetof(vka_lsh_sort_desc, x), NULL); /* or what must be like it */
    bad_tensor(&f, offsetof(vka_lsh_sort_desc, rotations), NULL);
    bad_tensor(&f, offsetof(vka_lsh_sort_desc, order), "order");
    bad_tensor(&f, offsetof(vka_lsh_sort_desc, buckets), "buckets");
    bad_tensor(&f, offsetof(vka_lsh_sort_desc, keys), "keys");
    INVALID("x", d.x = (vka_tensor){0});
    INVALID("rotations", d.rotations = (vka_tensor){0});
    INVALID("order", d.order = (vka_tensor){0});
    INVALID("x", d.x.shape[3] = 0);
    INVALID("rotations", d.rotations.dtype = VKA_F16);
    INVALID("rotations", d.rotations.shape[0] = 0);
    INVALID("rotations", d.rotations.shape[1] = 2);
    INVALID("rotations", d.rotations.shape[3] -= 1);
    INVALID("order", d.order.dtype = VKA_F32);
    INVALID("order", d.order.stride[1] = d.order.stride[0]);
    INVALID("buckets", d.buckets.stride[2] = d.buckets.stride[1]);
    INVALID("keys", d.keys.stride[0] = 1);
    end(&f);
}

Test(errors_lsh, wide) {
    context c;
    context_open(&c, &config_real);
    vka_buffer *big = NULL;
    EXPECT_OK(vka_buffer_create(c.device, &(vka_buffer_desc){.size = 65536}, &big));
    vka_lsh_sort_desc d = {.x = vka_tensor_4d(big, VKA_F32, 1, 1, 2, 1025),
                           .rotations = vka_tensor_4d(big, VKA_F32, 1, 1, 1025, 1),
                           .order = vka_tensor_4d(big, VKA_I32, 1, 1, 1, 2),
                           .bucket_count = {2}};
    EXPECT_FAILURE(vka_lsh_sort_prepare(c.device, &d), VKA_INVALID, "vka_lsh_sort.x");
    vka_buffer_destroy(&big);
    context_close(&c);
}

Test(errors_lsh, overlaps) {
    fixture f;
    begin_full(&f);
    INVALID("buckets", d.order = d.buckets);
    INVALID("buckets", (d.buckets.buffer = d.x.buffer, d.buckets.offset = d.x.offset));
    INVALID("order", (d.order.buffer = d.rotations.buffer, d.order.offset = d.rotations.offset));
    INVALID("keys", d.keys = d.x);
    INVALID("order", (d.lengths.tensor.buffer = d.order.buffer, d.lengths.tensor.offset = d.order.offset));
    INVALID("keys", (d.buckets.buffer = d.keys.buffer, d.buckets.offset = d.keys.offset));
    end(&f);
}

Test(errors_lsh, lengths) {
    static const int32_t negative[] = {1, -1}, long_[] = {21, 0}, right[] = {20, 0};
    fixture f;
    begin_full(&f);
    INVALID("lengths", d.lengths.tensor.dtype = VKA_F32);
    INVALID("lengths", d.lengths.tensor.shape[0] = 3);
    INVALID("lengths", d.lengths.tensor.rank = 2);
    INVALID("lengths", d.lengths.values = right);
    INVALID("lengths", d.lengths = (vka_integers){.values = negative});
    INVALID("lengths", d.lengths = (vka_integers){.values = long_});
    vka_lsh_sort_desc d = f.good;
    d.lengths = (vka_integers){.values = right};
    EXPECT_OK(vka_lsh_sort_prepare(f.c.device, &d));
    end(&f);
}

Test(errors_lsh, numbers) {
    fixture f;
    begin_full(&f);
    INVALID("bucket_count", d.bucket_count[0] = 0);
    INVALID("bucket_count", d.bucket_count[0] = 1);
    INVALID("bucket_count", d.bucket_count[0] = 7);
    INVALID("bucket_count", d.bucket_count[1] = 1);
    INVALID("bucket_count", d.bucket_count[0] = 65538);
    INVALID("bucket_count", d.bucket_count[0] = UINT32_MAX - 1);
    INVALID("bucket_count", (d.bucket_count[0] = 256, d.bucket_count[1] = 258));
    INVALID("bucket_count", d.bucket_count[1] = UINT32_MAX - 1);
    INVALID("rotations", (d.bucket_count[0] = 256, d.bucket_count[1] = 256));
    INVALID("rotations", d.bucket_count[0] = 65536);
    INVALID("rotations", d.bucket_count[0] = 6);
    INVALID("epsilon", d.epsilon = -1);
    INVALID("epsilon", d.epsilon = INFINITY);
    INVALID("epsilon", d.epsilon = NAN);
    end(&f);
}

/* Only recording looks at the memory. */
static void bad_workspace(fixture *f, const vka_lsh_sort_desc *d, const char *field) {
    char item[64];
    snprintf(item, sizeof item, "vka_lsh_sort.%s", field);
    EXPECT_OK(vka_lsh_sort_prepare(f->c.device, d));
    EXPECT_FAILURE(vka_lsh_sort(f->c.recorder, d), VKA_INVALID, item);
}

Test(errors_lsh, workspace) {
    fixture f;
    begin_full(&f);
    vka_lsh_sort_desc d = f.good;
    vka_buffer *scratch = NULL, *elsewhere = NULL;
    vka_device *other = NULL;
    uint64_t bytes = 0;
    d.workspace.offset = 128; /* of the recorder's scratch */
    bad_workspace(&f, &d, "workspace.offset");
    EXPECT_OK(vka_lsh_sort_workspace(f.c.device, &d, &bytes));
    EXPECT_OK(vka_buffer_create(f.c.device, &(vka_buffer_desc){.size = bytes + 512}, &scratch));
    d.workspace.buffer = scratch;
    d.workspace.offset = 128;
    bad_workspace(&f, &d, "workspace.offset");
    d.workspace.offset = 768;
    bad_workspace(&f, &d, "workspace");
    d.workspace.offset = UINT64_MAX / 256 * 256;
    bad_workspace(&f, &d, "workspace");
    vka_device_desc desc = context_desc(&config_real);
    EXPECT_OK(vka_device_create(&desc, &other));
    EXPECT_OK(vka_buffer_create(other, &(vka_buffer_desc){.size = bytes}, &elsewhere));
    d.workspace.buffer = elsewhere;
    d.workspace.offset = 0;
    bad_workspace(&f, &d, "workspace");
    d = f.good;
    d.order.buffer = elsewhere;
    refused(&f, &d, VKA_INVALID, "order");
    vka_buffer_destroy(&scratch);
    vka_buffer_destroy(&elsewhere);
    vka_device_destroy(&other);
    end(&f);
}

/* What a binding must see at once. */
Test(errors_lsh, beyond_a_binding) {
    static const struct {
        lsh_case l;
        const char *field;
    } cases[] = {
        {{.tokens = 300, .dim = 60, .bucket_count = {2}}, "x"},
        {{.tokens = 900, .dim = 30, .bucket_count = {2}, .dtype = VKA_F16, .keys_type = VKA_F32}, "keys"},
        {{.tokens = 4, .dim = 60, .rounds = 3, .bucket_count = {200}}, "rotations"},
        {{.heads = 2, .tokens = 10000, .dim = 1, .bucket_count = {2}, .layout = {"0132", 0, 0}}, "order"},
        {{.tokens = 16300, .dim = 1, .bucket_count = {2}}, "workspace"},
        {{.batch = 17000, .dim = 1, .bucket_count = {2}, .lengths = LENGTHS_TENSOR}, "lengths"},
    };
    context c;
    context_open(&c, &config_short);
    EXPECT_OK(vka_recorder_begin(c.recorder));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fixture f = {.c = c, .p = lsh_make(&c, cases[i].l, test_seed())};
        vka_lsh_sort_desc d = lsh_desc(&f.p);
        refused(&f, &d, VKA_UNSUPPORTED, cases[i].field);
        lsh_destroy(&f.p);
    }
    context_finish(&c);
    context_close(&c);
}

Test(errors_lsh, arguments) {
    fixture f;
    begin(&f, (lsh_case){.tokens = 3, .dim = 4});
    uint64_t bytes = 1;
    size_t length = 0;
    char text[512];
    EXPECT_FAILURE(vka_lsh_sort(f.c.recorder, NULL), VKA_INVALID, "vka_lsh_sort");
    EXPECT_FAILURE(vka_lsh_sort_prepare(f.c.device, NULL), VKA_INVALID, ".");
    EXPECT_FAILURE(vka_lsh_sort_workspace(f.c.device, NULL, &bytes), VKA_INVALID, ".");
    EXPECT_FAILURE(vka_lsh_sort_workspace(f.c.device, &f.good, NULL), VKA_INVALID, ".");
    EXPECT_FAILURE(vka_lsh_sort_explain(f.c.device, NULL, text, 64, &length), VKA_INVALID, ".");
    EXPECT_FAILURE(vka_lsh_sort_explain(f.c.device, &f.good, NULL, 64, &length), VKA_INVALID, ".");
    cr_expect_eq(vka_lsh_sort(NULL, &f.good), VKA_INVALID);
    cr_expect_eq(vka_lsh_sort_prepare(NULL, &f.good), VKA_INVALID);
    cr_expect_eq(vka_lsh_sort_workspace(NULL, &f.good, &bytes), VKA_INVALID);
    cr_expect_eq(vka_lsh_sort_explain(NULL, &f.good, text, sizeof text, &length), VKA_INVALID);
    EXPECT_OK(vka_lsh_sort_explain(f.c.device, &f.good, text, sizeof text, &length));
    cr_expect(length > 0 && strlen(text) == length);
    end(&f);
}
