/* Overlap of views, against a table of all their bytes.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/overlap.h"
#include "support/context.h"
#include "support/tensor.h"

#define BYTES 4096

/* How many elements hold each byte. */
typedef struct table {
    uint8_t of[BYTES];
    bool folded;
} table;

static void add(table *t, const vka__view *v) {
    const uint32_t *n = v->shape;
    uint32_t step = v->block; /* elements that are read together */
    for (uint32_t a = 0; a < n[0]; a++) {
        for (uint32_t b = 0; b < n[1]; b++) {
            for (uint32_t c = 0; c < n[2]; c++) {
                for (uint32_t d = 0; d < n[3]; d += step) {
                    const uint64_t element = a * v->stride[0] + b * v->stride[1] + c * v->stride[2] + d * v->stride[3];
                    uint8_t *at = t->of + v->offset + element / step * v->size;
                    for (uint32_t i = 0; i < v->size; i++) {
                        t->folded = t->folded || at[i];
                        at[i]++;
                    }
                }
            }
        }
    }
}

static uint32_t below(ref_rng *rng, uint32_t n) {
    return ref_rng_below(rng, n);
}

/* Strides without any order, some of them as large as what lies within. */
static vka__view random_view(ref_rng *rng, uint32_t room) {
    static const uint32_t sizes[] = {1, 2, 4, 4, 34};
    uint32_t size = sizes[below(rng, 5)], rank = 1 + below(rng, 4), block = size == 34 ? 32 : 1;
    vka__view v = {.present = true, .dtype = VKA_F32, .size = size, .block = block, .shape = {1, 1, 1, block}};
    v.stride[3] = block > 1;
    for (;;) {
        for (uint32_t i = 4 - rank; i < 4; i++) {
            v.shape[i] = block > 1 && i == 3 ? block * (1 + below(rng, 3)) : 1 + below(rng, 5);
            if (below(rng, 40) == 0) {
                v.shape[i] = 0;
            }
            uint64_t stride = 1 + below(rng, below(rng, 2) ? 6 : 60);
            v.stride[i] = v.shape[i] < 2 ? 0 : block > 1 && i == 3 ? 1 : stride * block;
        }
        uint64_t bytes = vka__view_bytes(&v, vka__view_extent(&v, 0) + (block > 1 ? block - 1 : 0));
        if (bytes + size < room) {
            uint32_t align = size == 34 ? 2 : size;
            v.offset = below(rng, (uint32_t)(room - bytes) / align) * align;
            return v;
        }
    }
}

static void print(const vka__view *v, char *text, size_t size) {
    snprintf(text, size, "%llu + %u x [%u %u %u %u] by %llu %llu %llu %llu", (unsigned long long)v->offset, v->size,
             v->shape[0], v->shape[1], v->shape[2], v->shape[3], (unsigned long long)v->stride[0],
             (unsigned long long)v->stride[1], (unsigned long long)v->stride[2], (unsigned long long)v->stride[3]);
}

Test(overlap, is_what_a_table_of_bytes_says) {
    ref_rng rng = ref_rng_seed(test_seed());
    uint32_t shared = 0, folded = 0, count = 200000;
    char a_text[160], b_text[160];
    for (uint32_t n = 0; n < count; n++) {
        uint32_t room = n % 2 ? BYTES : 400;
        vka__view a = random_view(&rng, room), b = random_view(&rng, room);
        table of_a = {0}, of_b = {0};
        add(&of_a, &a);
        add(&of_b, &b);
        bool expected = false, range = false;
        uint32_t offset = below(&rng, room), bytes = below(&rng, 64);
        for (uint32_t i = 0; i < BYTES; i++) {
            expected = expected || (of_a.of[i] && of_b.of[i]);
            range = range || (of_a.of[i] && i >= offset && i < offset + bytes);
        }
        print(&a, a_text, sizeof a_text);
        print(&b, b_text, sizeof b_text);
        cr_assert_eq(vka__views_share(&a, &b), expected, "%s and %s: %s", a_text, b_text, expected ? "share" : "apart");
        cr_assert_eq(vka__views_share(&b, &a), expected, "%s and %s, exchanged", a_text, b_text);
        cr_assert_eq(vka__view_folds(&a), of_a.folded, "%s: %s", a_text, of_a.folded ? "folds" : "does not fold");
        cr_assert_eq(vka__view_shares_range(&a, offset, bytes), range, "%s and bytes %u + %u", a_text, offset, bytes);
        shared += expected;
        folded += of_a.folded;
    }
    cr_assert(shared > count / 10 && shared < count - count / 10, "%u of %u pairs share", shared, count);
    cr_assert(folded > count / 10 && folded < count - count / 10, "%u of %u views fold", folded, count);
}

/* Rows of 3 by 2 steps: elements 0 2 4 3 5 7. */
Test(overlap, interleaved_rows_do_not_fold) {
    vka__view v = {.present = true, .size = 4, .block = 1, .shape = {1, 1, 2, 3}, .stride = {0, 0, 3, 2}};
    cr_assert_not(vka__view_folds(&v));
    v.shape[3] = 4; /* 6 = 3 + 3, but there is one step of 3 only */
    cr_assert_not(vka__view_folds(&v));
    v.shape[2] = 3; /* 6 twice */
    cr_assert(vka__view_folds(&v));
}

/* Sizes as they are on GPUs, where nothing can be counted one by one. */
Test(overlap, large_views) {
    const uint64_t heads = 32, tokens = 1u << 20, dim = 128;
    /* q, k and v of all heads behind each other in a token's row, and a cache with rows of another length */
    vka__view q = {.present = true,
                   .size = 2,
                   .block = 1,
                   .shape = {1, heads, tokens, dim},
                   .stride = {0, dim, 3 * heads * dim, 1}};
    vka__view k = q, far = q;
    k.offset = heads * dim * 2;
    cr_assert_not(vka__views_share(&q, &k));
    k.offset -= 2;
    cr_assert(vka__views_share(&q, &k));
    far.offset = heads * dim * 2;
    far.stride[2] = 2 * 3 * heads * dim;
    cr_assert_not(vka__views_share(&q, &far));
    far.stride[2] += 1; /* drifts by an element a row */
    cr_assert(vka__views_share(&q, &far));
    cr_assert_not(vka__view_folds(&q));
    /* Columns whose strides have nothing to do with each other: what is left of Euclid's algorithm decides. */
    vka__view a = {.present = true, .size = 4, .block = 1, .shape = {1, 1, 1, 1u << 30}, .stride = {0, 0, 0, 1000003}};
    vka__view b = a;
    b.stride[3] = 999983;
    cr_assert(vka__views_share(&a, &b));
    a.shape[3] = 1; /* the first place after 0 that both reach */
    a.offset = UINT64_C(4) * 1000003 * 999983;
    cr_assert(vka__views_share(&a, &b));
    a.offset += 4;
    cr_assert_not(vka__views_share(&a, &b));
}
