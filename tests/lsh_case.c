/* SPDX-License-Identifier: MIT */
#include "lsh_case.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOTHING 0x77 /* bytes of outputs before a run; 0xff would look like holes */

static const char *describe(const lsh_problem *p, char *text, size_t size) {
    const lsh_case *l = &p->l;
    snprintf(text, size,
             "%s: %s to %s [%u, %u, %u, %u] order %s+%u>>%u, %u rounds of %u x %u buckets%s, lengths %d, content %d, "
             "epsilon %g, VKATTN_SEED=%llu",
             p->c->config->name, dtype_name(l->dtype), l->no_keys ? "nothing" : dtype_name(l->keys_type), l->batch,
             l->heads, l->tokens, l->dim, l->layout.order ? l->layout.order : "dense", l->layout.pad, l->layout.shift,
             l->rounds, l->bucket_count[0], l->bucket_count[1], l->shared_rotations ? " for all heads" : "", l->lengths,
             l->content, (double)l->epsilon, (unsigned long long)p->seed);
    return text;
}

static void *must(void *memory) {
    cr_assert_not_null(memory, "the test itself is out of memory");
    return memory;
}

/* ---- inputs ---------------------------------------------------------------------------------------------------- */

static void make_nonfinite(float *x, uint32_t dim, uint32_t n, ref_rng *rng) {
    uint32_t at = ref_rng_below(rng, dim);
    for (uint32_t d = 0; d < dim; d++) {
        x[d] = n % 7 == 1 ? 0 : n % 7 == 2 ? NAN : x[d];
    }
    x[at] = n % 7 == 3 ? NAN : n % 7 == 4 ? INFINITY : n % 7 == 5 ? -INFINITY : x[at];
    x[0] = n % 7 == 5 && dim > 1 ? INFINITY : x[0]; /* two infinities */
}

static void fill(lsh_problem *p, ref_rng *rng) {
    const lsh_case *l = &p->l;
    tensor *inputs[] = {&p->x, &p->rotations};
    for (int i = 0; i < 2; i++) {
        tensor_fill_normal(inputs[i], rng, 0, l->content == CONTENT_WHOLE ? 2 : 1);
        for (size_t n = 0; n < inputs[i]->count && l->content == CONTENT_WHOLE; n++) {
            inputs[i]->values[n] = roundf(inputs[i]->values[n]);
        }
    }
    size_t rows = p->x.count / l->dim;
    for (size_t n = 0; n < rows && l->content == CONTENT_NONFINITE; n++) {
        make_nonfinite(p->x.values + n * l->dim, l->dim, (uint32_t)n, rng);
    }
    size_t matrix = (size_t)l->dim * ((l->bucket_count[0] + l->bucket_count[1]) / 2);
    for (size_t n = 0; n < matrix && l->content == CONTENT_NONFINITE && l->rounds > 1; n++) {
        p->rotations.values[n] = NAN;
    }
    for (size_t n = 0; n < p->x.count && l->content == CONTENT_ENORMOUS; n++) {
        p->x.values[n] *= 1e38f;
    }
    tensor_round(&p->x);
    tensor_upload(&p->x);
    tensor_upload(&p->rotations);
}

static void make_lengths(lsh_problem *p, ref_rng *rng) {
    const lsh_case *l = &p->l;
    int32_t n = (int32_t)l->tokens;
    p->listed = must(calloc(l->batch + 1, sizeof *p->listed));
    p->tokens = must(calloc(l->batch + 1, sizeof *p->tokens));
    p->lengths = tensor_create(p->c, VKA_I32, 1, &l->batch, (layout){NULL, l->layout.pad, 1});
    for (uint32_t b = 0; b < l->batch; b++) {
        const int32_t wild[] = {-5, n + 1, INT32_MAX, INT32_MIN, n / 2};
        p->listed[b] = l->lengths == LENGTHS_WILD ? wild[b % 5] : (int32_t)ref_rng_below(rng, l->tokens + 1);
        p->listed[b] = l->lengths == LENGTHS_NONE ? n : p->listed[b];
        p->tokens[b] = p->listed[b] < 0 ? 0 : p->listed[b] > n ? n : p->listed[b];
        memcpy(tensor_bytes(&p->lengths, b), &p->listed[b], sizeof *p->listed);
    }
    EXPECT_OK(vka_buffer_write(p->lengths.view.buffer, 0, p->lengths.image, p->lengths.size));
}

lsh_problem lsh_make(context *c, lsh_case l, uint64_t seed) {
    uint32_t *sizes[] = {&l.batch, &l.heads, &l.tokens, &l.rounds};
    for (int i = 0; i < 4; i++) {
        *sizes[i] = *sizes[i] ? *sizes[i] : 1;
    }
    l.dtype = l.dtype ? l.dtype : VKA_F32;
    l.keys_type = l.keys_type ? l.keys_type : l.dtype;
    l.dim = l.dim ? l.dim : 64;
    l.bucket_count[0] = l.bucket_count[0] ? l.bucket_count[0] : 8;
    const uint32_t tokens[] = {l.batch, l.heads, l.tokens, l.dim}, rows[] = {l.rounds, l.batch, l.heads, l.tokens};
    const uint32_t rotations[] = {l.rounds, l.shared_rotations ? 1 : l.heads, l.dim,
                                  (l.bucket_count[0] + l.bucket_count[1]) / 2};
    lsh_problem p = {
        .c = c,
        .l = l,
        .seed = seed,
        .x = tensor_create(c, l.dtype, 4, tokens, l.layout),
        .rotations = tensor_create(c, VKA_F32, 4, rotations, (layout){NULL, l.layout.pad, l.layout.shift}),
        .permutation = tensor_create(c, VKA_I32, 4, rows, l.layout),
        .buckets = tensor_create(c, VKA_I32, 4, rows, l.layout),
        .keys = tensor_create(c, l.keys_type, 4, tokens, l.layout),
    };
    ref_rng rng = ref_rng_seed(seed);
    fill(&p, &rng);
    make_lengths(&p, &rng);
    return p;
}

void lsh_destroy(lsh_problem *p) {
    tensor *all[] = {&p->x, &p->rotations, &p->permutation, &p->buckets, &p->keys, &p->lengths};
    for (int i = 0; i < 6; i++) {
        tensor_destroy(all[i]);
    }
    free(p->listed);
    free(p->tokens);
}

vka_lsh_sort_desc lsh_desc(const lsh_problem *p) {
    vka_lsh_sort_desc d = {.x = p->x.view,
                           .rotations = p->rotations.view,
                           .bucket_count = {p->l.bucket_count[0], p->l.bucket_count[1]},
                           .permutation = p->permutation.view,
                           .buckets = p->buckets.view,
                           .epsilon = p->l.epsilon};
    if (!p->l.no_keys) {
        d.keys = p->keys.view;
    }
    if (p->l.lengths == LENGTHS_HOST) {
        d.lengths.values = p->listed;
    } else if (p->l.lengths != LENGTHS_NONE) {
        d.lengths.tensor = p->lengths.view;
    }
    return d;
}

/* ---- outputs --------------------------------------------------------------------------------------------------- */

int32_t lsh_integer(const tensor *t, size_t index) {
    int32_t value;
    memcpy(&value, tensor_bytes(t, index), sizeof value);
    return value;
}

void lsh_poison(lsh_problem *p) {
    tensor *outputs[] = {&p->permutation, &p->buckets, &p->keys};
    for (int i = 0; i < 3; i++) {
        memset(outputs[i]->image, NOTHING, outputs[i]->size);
        EXPECT_OK(vka_buffer_write(outputs[i]->view.buffer, 0, outputs[i]->image, outputs[i]->size));
    }
}

static void check_bucket(const lsh_problem *p, uint32_t round, uint32_t head, size_t row, uint32_t n, int32_t bucket) {
    const lsh_case *l = &p->l;
    const uint32_t *count = l->bucket_count;
    size_t rotation = l->shared_rotations ? round : (size_t)round * l->heads + head;
    const ref_lsh ref = {.dim = l->dim,
                         .bucket_count = {count[0], count[1]},
                         .x = p->x.values + (row * l->tokens + n) * l->dim,
                         .rotation = p->rotations.values + rotation * l->dim * ((count[0] + count[1]) / 2)};
    char text[512];
    bool exists = bucket >= 0 && (uint32_t)bucket < count[0] * (count[1] ? count[1] : 1), right = exists;
    if (exists && l->content == CONTENT_WHOLE) {
        right = (uint32_t)bucket == ref_lsh_bucket(&ref);
    } else if (exists && l->content != CONTENT_ENORMOUS) {
        right = ref_lsh_possible(&ref, (uint32_t)bucket);
    }
    cr_assert(right, "%s: round %u, row %zu: token %u has bucket %d, not %u", describe(p, text, sizeof text), round,
              row, n, bucket, ref_lsh_bucket(&ref));
}

/* One round of one head, `row` of [B, H]. */
static void check_row(const lsh_problem *p, uint32_t round, size_t row, int32_t *buckets, int32_t *permutation) {
    const lsh_case *l = &p->l;
    uint32_t head = (uint32_t)(row % l->heads), tokens = (uint32_t)p->tokens[row / l->heads];
    size_t first = (round * (size_t)l->batch * l->heads + row) * l->tokens;
    char text[512];
    for (uint32_t n = 0; n < l->tokens; n++) {
        buckets[n] = lsh_integer(&p->buckets, first + n);
        if (n < tokens) {
            check_bucket(p, round, head, row, n, buckets[n]);
        } else {
            cr_assert_eq(buckets[n], -1, "%s: round %u, row %zu: token %u, which does not exist, has bucket %d",
                         describe(p, text, sizeof text), round, row, n, buckets[n]);
        }
    }
    ref_lsh_permutation(buckets, l->tokens, l->bucket_count[0] * (l->bucket_count[1] ? l->bucket_count[1] : 1),
                        permutation);
    for (uint32_t n = 0; n < l->tokens; n++) {
        int32_t is = lsh_integer(&p->permutation, first + n);
        cr_assert_eq(is, permutation[n], "%s: round %u, row %zu: place %u has token %d, not %d",
                     describe(p, text, sizeof text), round, row, n, is, permutation[n]);
    }
}

static bool untouched(const tensor *t, size_t index) {
    const uint8_t *at = tensor_bytes(t, index);
    return at[0] == NOTHING && at[1] == NOTHING;
}

static void check_keys(const lsh_problem *p) {
    const lsh_case *l = &p->l;
    float epsilon = l->epsilon > 0 ? l->epsilon : 1e-6f, naive[1024];
    double ref[1024];
    ref_error error = {0};
    char text[512];
    for (size_t n = 0; n < p->x.count / l->dim; n++) {
        const float *x = p->x.values + n * l->dim;
        bool exists = n % l->tokens < (size_t)p->tokens[n / l->tokens / l->heads];
        ref_lsh_key(x, l->dim, (double)epsilon, ref);
        ref_lsh_naive_key(x, l->dim, epsilon, l->keys_type, naive);
        for (uint32_t d = 0; d < l->dim; d++) {
            if (exists && !l->no_keys) {
                ref_error_add(&error, (double)p->keys.values[n * l->dim + d], (double)naive[d], ref[d]);
            } else {
                cr_assert(untouched(&p->keys, n * l->dim + d), "%s: a key was written", describe(p, text, sizeof text));
            }
        }
    }
    cr_assert(ref_error_ok(&error), "%s: keys are off by %g, naive ones by %g%s", describe(p, text, sizeof text),
              error.out, error.naive, error.broken ? ", or not finite" : "");
}

void lsh_compare(lsh_problem *p) {
    const lsh_case *l = &p->l;
    char text[512];
    tensor *outputs[] = {&p->permutation, &p->buckets, &p->keys};
    for (int i = 0; i < 3; i++) {
        cr_assert(tensor_download(outputs[i]), "%s: writes outside of output %d", describe(p, text, sizeof text), i);
    }
    int32_t *buckets = must(calloc(l->tokens + 1, sizeof *buckets)),
            *permutation = must(calloc(l->tokens + 1, sizeof *permutation));
    for (uint32_t round = 0; round < l->rounds; round++) {
        for (size_t row = 0; row < (size_t)l->batch * l->heads; row++) {
            check_row(p, round, row, buckets, permutation);
        }
    }
    free(buckets);
    free(permutation);
    check_keys(p);
}

void lsh_run(lsh_problem *p) {
    enum { WORKSPACE_OFFSET = 512 };
    vka_lsh_sort_desc d = lsh_desc(p);
    vka_requirements need;
    char text[512];
    EXPECT_OK(vka_lsh_sort_requirements(p->c->device, &d, &need));
    cr_assert(need.workspace_bytes > 0 && need.workspace_bytes % 4 == 0, "%s: a workspace of %llu",
              describe(p, text, sizeof text), (unsigned long long)need.workspace_bytes);
    uint32_t words = (uint32_t)(need.workspace_bytes / 4);
    tensor workspace =
        tensor_create(p->c, VKA_F32, 1, &words, (layout){.shift = (WORKSPACE_OFFSET - 64) / 4}); /* 64 of guards */
    d.workspace.buffer = workspace.view.buffer;
    d.workspace.offset = workspace.view.offset;
    lsh_poison(p);
    EXPECT_OK(vka_recorder_begin(p->c->recorder));
    EXPECT_OK(vka_lsh_sort(p->c->recorder, &d));
    context_finish(p->c);
    cr_assert(tensor_download(&workspace), "%s: writes outside of its workspace", describe(p, text, sizeof text));
    tensor_destroy(&workspace);
    lsh_compare(p);
}

void lsh_check(context *c, lsh_case l) {
    lsh_problem p = lsh_make(c, l, test_seed());
    lsh_run(&p);
    lsh_destroy(&p);
}
