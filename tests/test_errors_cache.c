/* Bad descriptions of appends: the right status, one line that names the field, and nothing recorded.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cache_case.h"

typedef struct fixture {
    context c;
    cache_problem p;
    vka_cache_append_desc good;
} fixture;

static fixture begin(cache_case a) {
    fixture f;
    context_open(&f.c, &config_real);
    f.p = cache_make(&f.c, a, test_seed());
    f.p.c = &f.c;
    f.good = cache_desc(&f.p);
    EXPECT_OK(vka_cache_append_prepare(f.c.device, &f.good));
    EXPECT_OK(vka_recorder_begin(f.c.recorder));
    return f;
}

static fixture begin_i8(void) {
    return begin((cache_case){.k_type = VKA_I8,
                              .batch = 2,
                              .heads = 3,
                              .tokens = 4,
                              .head_dim = 32,
                              .value_dim = 16,
                              .capacity = 12,
                              .lists = LISTS_TENSOR,
                              .lengths = {1, 2},
                              .new_lengths = true});
}

static fixture begin_paged(void) {
    return begin((cache_case){.k_type = VKA_F16,
                              .batch = 2,
                              .heads = 3,
                              .tokens = 4,
                              .head_dim = 32,
                              .capacity = 16,
                              .page = 8,
                              .lists = LISTS_HOST,
                              .lengths = {1, 2},
                              .rotate = true,
                              .tables = TABLES_POSITIONS});
}

static fixture begin_packed(cache_lists lists) {
    return begin((cache_case){.k_type = VKA_Q8_0,
                              .batch = 2,
                              .heads = 3,
                              .tokens = 7,
                              .head_dim = 32,
                              .lists = lists,
                              .lengths = {1, 2},
                              .packed = true,
                              .offsets = {0, 3, 7},
                              .max_len = 4});
}

static void end(fixture *f) {
    context_finish(&f->c);
    for (int side = 0; side < 2; side++) {
        cr_expect(tensor_download(&f->p.side[side].cache));
        for (size_t i = 0; i < f->p.side[side].cache.count; i++) {
            cr_assert(tensor_untouched(&f->p.side[side].cache, i), "a refused call wrote element %zu", i);
        }
    }
    f->p.c = &f->c;
    cache_run(&f->p);
    cache_destroy(&f->p);
    context_close(&f->c);
}

static void refused(fixture *f, const vka_cache_append_desc *d, const char *field) {
    char item[64];
    snprintf(item, sizeof item, field ? "vka_cache_append.%s" : "vka_cache_append", field);
    EXPECT_REFUSED(vka_cache_append, &f->c, d, VKA_INVALID, item);
}

#define INVALID(field, change)                                                                                         \
    do {                                                                                                               \
        vka_cache_append_desc d = f.good;                                                                              \
        change;                                                                                                        \
        refused(&f, &d, field);                                                                                        \
    } while (0)

/* What no tensor may be, whichever it is; `field` NULL: what must be like it may be named. */
static void bad_tensor(fixture *fixture_, size_t where, const char *field, const char *shape_field) {
    fixture f = *fixture_;
#define T ((vka_tensor *)(void *)((char *)&d + where))
    INVALID(field, T->dtype = VKA_DTYPE_INVALID);
    INVALID(field, T->dtype = VKA_U8);
    INVALID(field, T->rank = 0);
    INVALID(field, T->rank = 5);
    INVALID(field, T->offset += 1);
    INVALID(field, T->offset = vka_buffer_size(T->buffer));
    INVALID(field, T->stride[0] = UINT64_MAX / 2);
    if (((vka_tensor *)(void *)((char *)&f.good + where))->rank > 1) {
        INVALID(field, T->stride[0] = 0);
    }
    INVALID(shape_field, T->shape[0] -= 1);
    INVALID(shape_field, T->shape[T->rank - 1] = 0);
#undef T
}

/* Which tensors go together, and what must agree with what. */
Test(errors_cache, tensors) {
    fixture f = begin_i8();
    INVALID("k_cache", d.k_cache.shape[1] = 2);
    INVALID("v_cache", d.v_cache.shape[0] = 1);
    INVALID("v_cache", d.v_cache.shape[2] = 11);
    INVALID("k_cache", d.k_cache = (vka_tensor){0});
    INVALID("v_cache", d.v_cache = (vka_tensor){0});
    INVALID("k_scale", d.k_scale = (vka_tensor){0});
    INVALID("k_cache", d.k = (vka_tensor){0});
    INVALID("v", d.v.shape[1] = 2);
    INVALID("v", d.v.shape[2] = 3);
    INVALID("k", d.k = d.v = (vka_tensor){0});
    end(&f);
}

Test(errors_cache, pages) {
    fixture f = begin_paged();
    bad_tensor(&f, offsetof(vka_cache_append_desc, page_table), "page_table", NULL);
    INVALID("page_table", d.page_table.dtype = VKA_F32);
    INVALID("page_table", (d.page_table.rank = 1, d.page_table.shape[0] = 4));
    INVALID("k_cache", d.k_cache.shape[2] = 7);
    INVALID("k_cache", d.k_cache.shape[2] = 0);
    INVALID("v_cache", d.v_cache.shape[2] = 7);
    INVALID("k_scale", d.k_scale = f.p.side[0].scale.view);
    INVALID("rope.cos", d.rope.cos.shape[1] -= 1);
    INVALID("rope.sin", d.rope.sin = (vka_tensor){0});
    INVALID("rope.dims", d.rope.dims = 34);
    INVALID("rope.theta", d.rope.theta = NAN);
    INVALID("rotate", d.k = d.k_cache = (vka_tensor){0});
    end(&f);
}

Test(errors_cache, lengths) {
    static const int32_t negative[] = {-1, 0}, long_[] = {0, 13}, most[] = {12, 12};
    fixture f = begin_paged();
    INVALID("lengths", d.lengths.values = negative);
    INVALID("lengths", d.lengths.values = long_); /* 13 + 4 > 16 */
    INVALID("lengths", d.lengths.tensor = f.p.lengths.view);
    INVALID("sequences", d.sequences = 2);
    INVALID("max_len", d.max_len = 2);
    vka_cache_append_desc full = f.good;
    full.lengths.values = most;
    EXPECT_OK(vka_cache_append_prepare(f.c.device, &full));
    end(&f);
    f = begin((cache_case){.tokens = 3, .capacity = 3});
    INVALID("lengths", d.k_cache.shape[2] = d.v_cache.shape[2] = 2); /* empty, and too small */
    end(&f);
}

Test(errors_cache, offsets) {
    static const int32_t falling[] = {0, 5, 4}, negative[] = {-1, 3, 7}, far[] = {0, 3, 8}, many[] = {0, 2, 7},
                         lengths[] = {1, 13};
    fixture f = begin_packed(LISTS_HOST);
    INVALID("offsets", d.offsets.values = falling);
    INVALID("offsets", d.offsets.values = negative);
    INVALID("offsets", d.offsets.values = far);
    INVALID("offsets", d.offsets.values = many); /* 5 of at most 4 */
    INVALID("lengths", d.lengths.values = lengths);
    INVALID("sequences", d.sequences = 0);
    INVALID("sequences", d.offsets = (vka_integers){0});
    end(&f);
    f = begin_packed(LISTS_TENSOR);
    bad_tensor(&f, offsetof(vka_cache_append_desc, offsets.tensor), "offsets", "offsets");
    INVALID("offsets", d.offsets.tensor.shape[0] = 2);
    INVALID("offsets", d.offsets.values = falling);
    end(&f);
}
