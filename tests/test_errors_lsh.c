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
    tensor *outputs[] = {&f->p.permutation, &f->p.buckets, &f->p.keys};
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

Test(errors_lsh, tensors) {
    fixture f;
    begin_full(&f);
    INVALID("rotations", d.rotations.shape[1] = 2);
    INVALID("rotations", d.rotations.shape[3] -= 1);
    INVALID("permutation", d.permutation.stride[1] = d.permutation.stride[0]);
    INVALID("buckets", d.buckets.stride[2] = d.buckets.stride[1]);
    INVALID("keys", d.keys.stride[0] = 1);
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
static void bad_requirements(fixture *f, const vka_lsh_sort_desc *d, const char *field) {
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
    vka_requirements need;
    d.workspace.offset = 128; /* of the recorder's scratch */
    bad_requirements(&f, &d, "workspace.offset");
    EXPECT_OK(vka_lsh_sort_requirements(f.c.device, &d, &need));
    EXPECT_OK(vka_buffer_create(f.c.device, &(vka_buffer_desc){.size = need.workspace_bytes + 512}, &scratch));
    d.workspace.offset = UINT64_MAX / 256 * 256; /* with the bytes that are needed it would begin at 0 again */
    bad_requirements(&f, &d, "workspace");
    d.workspace.buffer = scratch;
    d.workspace.offset = 128;
    bad_requirements(&f, &d, "workspace.offset");
    d.workspace.offset = 768;
    bad_requirements(&f, &d, "workspace");
    d.workspace.offset = UINT64_MAX / 256 * 256;
    bad_requirements(&f, &d, "workspace");
    vka_device_desc desc = context_desc();
    EXPECT_OK(vka_device_create(&desc, &other));
    EXPECT_OK(vka_buffer_create(other, &(vka_buffer_desc){.size = need.workspace_bytes}, &elsewhere));
    d.workspace.buffer = elsewhere;
    d.workspace.offset = 0;
    bad_requirements(&f, &d, "workspace");
    d = f.good;
    d.permutation.buffer = elsewhere;
    refused(&f, &d, VKA_INVALID, "permutation");
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
        {{.heads = 2, .tokens = 10000, .dim = 1, .bucket_count = {2}, .layout = {"0132", 0, 0}}, "permutation"},
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
