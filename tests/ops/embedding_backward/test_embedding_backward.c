/* Gradients of embeddings against float64.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <vkattn/embedding.h>

#include "support/context.h"
#include "support/tensor.h"

enum { IDS, D_OUT, D_TABLE, D_POSITION, TENSORS };

typedef struct problem {
    uint32_t rank, size[VKA_MAX_RANK]; /* of d_out                                              */
    uint32_t table, most;              /* rows of it; ids are below `most`, 0: anywhere around the table */
    uint32_t position_rank, ones;      /* of d_position, and dimensions of d_out that it has 1 of, as bits; 0: absent */
    vka_dtype type[TENSORS];           /* 0: f32 */
    layout lie[TENSORS];
    float scale; /* 0: 1 */
    bool accumulate, position_alone;

    context *c;
    tensor t[TENSORS];
    float *before[TENSORS];
    uint32_t cols;
} problem;

static void make_tensor(problem *p, int i, uint32_t rank, const uint32_t *shape, ref_rng *rng) {
    vka_dtype type = i == IDS ? VKA_I32 : p->type[i] ? p->type[i] : VKA_F32;
    p->t[i] = tensor_create(p->c, type, rank, shape, p->lie[i]);
    tensor_fill_normal(&p->t[i], rng, 0, 1);
    for (size_t n = 0; n < p->t[i].count && i == IDS; n++) {
        p->t[i].values[n] = p->most ? (float)ref_rng_below(rng, p->most) : (float)ref_rng_below(rng, p->table + 9) - 4;
    }
    p->before[i] = malloc((p->t[i].count + 1) * sizeof(float));
    cr_assert_not_null(p->before[i]);
    memcpy(p->before[i], p->t[i].values, p->t[i].count * sizeof(float));
}

static void make(context *c, problem *p) {
    ref_rng rng = ref_rng_seed(test_seed());
    uint32_t one = 1, position[VKA_MAX_RANK] = {1}, skip = p->rank - p->position_rank;
    p->c = c;
    p->cols = p->size[p->rank - 1];
    for (uint32_t i = 0; i < p->position_rank; i++) {
        position[i] = p->ones >> (i + skip) & 1 ? 1 : p->size[i + skip];
    }
    make_tensor(p, IDS, p->rank > 1 ? p->rank - 1 : 1, p->rank > 1 ? p->size : &one, &rng);
    make_tensor(p, D_OUT, p->rank, p->size, &rng);
    make_tensor(p, D_TABLE, 2, (uint32_t[]){p->table, p->cols}, &rng);
    make_tensor(p, D_POSITION, p->position_rank ? p->position_rank : 1, position, &rng);
}

/* Dense index of d_position's element for one of d_out. */
static size_t position_of(const problem *p, size_t index) {
    uint32_t at[VKA_MAX_RANK], skip = p->rank - p->position_rank;
    size_t number = 0;
    for (uint32_t dim = p->rank; dim-- > 0; index /= p->size[dim]) {
        at[dim] = (uint32_t)(index % p->size[dim]);
    }
    for (uint32_t dim = skip; dim < p->rank; dim++) {
        uint32_t size = p->t[D_POSITION].view.shape[dim - skip];
        number = number * size + (size > 1 ? at[dim] : 0);
    }
    return number;
}

/* Adds up, dense, what is not yet scaled. */
static void add_up(const problem *p, int i, double *ref, float *naive) {
    for (size_t n = 0; n < p->t[D_OUT].count; n++) {
        float id = p->t[IDS].values[n / p->cols], d_out = p->t[D_OUT].values[n];
        if (id < 0 || id >= (float)p->table) {
            continue;
        }
        size_t to = i == D_TABLE ? (size_t)id * p->cols + n % p->cols : position_of(p, n);
        ref[to] += (double)d_out;
        naive[to] += d_out;
    }
}

/* Of a row of the table. */
static double scale_of(const problem *p) {
    return p->scale != 0 ? (double)p->scale : 1;
}

static void compare(const problem *p, int i) {
    const tensor *t = &p->t[i];
    double *ref = calloc(t->count + 1, sizeof *ref), factor = i == D_TABLE ? scale_of(p) : 1;
    float *naive = calloc(t->count + 1, sizeof *naive);
    cr_assert(ref && naive);
    add_up(p, i, ref, naive);
    ref_error e = {0};
    for (size_t n = 0; n < t->count; n++) {
        double old = p->accumulate ? (double)p->before[i][n] : 0;
        ref_error_add(&e, (double)t->values[n], (double)ref_round(t->view.dtype, naive[n] * (float)factor + (float)old),
                      ref[n] * factor + old);
    }
    cr_assert(ref_error_ok(&e),
              "%s: %s of %s, d_out %s, rank %u, table %u x %u, ones %u, accumulate %d: off by %g, naive by %g",
              p->c->config->name, i == D_TABLE ? "d_table" : "d_position", dtype_name(t->view.dtype),
              dtype_name(p->t[D_OUT].view.dtype), p->rank, p->table, p->cols, p->ones, p->accumulate, e.out, e.naive);
    free(ref);
    free(naive);
}

static void destroy(problem *p) {
    for (int i = 0; i < TENSORS; i++) {
        tensor_destroy(&p->t[i]);
        free(p->before[i]);
    }
}

static void check(context *c, problem p) {
    if (context_leaves_out(c, 5)) {
        return;
    }
    make(c, &p);
    bool want[TENSORS] = {[D_TABLE] = !p.position_alone, [D_POSITION] = p.position_rank > 0};
    for (int i = 0; i < TENSORS; i++) {
        (i < D_TABLE || p.accumulate ? tensor_upload : tensor_poison)(&p.t[i]);
    }
    EXPECT_OK(vka_recorder_begin(c->recorder));
    EXPECT_OK(vka_embedding_backward(
        c->recorder,
        &(vka_embedding_backward_desc){.ids = p.t[IDS].view,
                                       .d_out = p.t[D_OUT].view,
                                       .d_table = want[D_TABLE] ? p.t[D_TABLE].view : (vka_tensor){0},
                                       .d_position = want[D_POSITION] ? p.t[D_POSITION].view : (vka_tensor){0},
                                       .table_rows = want[D_TABLE] ? 0 : p.table,
                                       .scale = p.scale,
                                       .accumulate = p.accumulate}));
    context_finish(c);
    for (int i = 0; i < TENSORS; i++) {
        tensor_collect(&p.t[i], want[i], "a tensor", c->config->name);
    }
    for (int i = D_TABLE; i < TENSORS; i++) {
        if (want[i]) {
            compare(&p, i);
        }
    }
    destroy(&p);
}

Test(embedding_backward, accuracy) {
    static const problem list[] = {
        {.rank = 1, .size = {13}, .table = 5, .position_rank = 1},
        {.rank = 2, .size = {37, 64}, .table = 23, .scale = 0.5f},
        {.rank = 3, .size = {4, 9, 16}, .table = 23, .position_rank = 2},
        {.rank = 3,
         .size = {3, 50, 7},
         .table = 9,
         .position_rank = 3,
         .ones = 1,
         .lie = {{"10", 1, 1}, {"210", 1, 1}, {.pad = 3}, {"201", 1}}},
        {.rank = 4, .size = {2, 3, 5, 9}, .table = 4, .position_rank = 4, .ones = 5, .lie = {{"201"}, {"1302"}}},
        {.rank = 2, .size = {700, 12}, .table = 3, .position_rank = 1, .scale = -2},
        {.rank = 2, .size = {600, 5}, .table = 1000, .position_rank = 2, .ones = 2},
        {.rank = 3, .size = {2, 300, 6}, .table = 40, .most = 1, .position_rank = 1, .ones = 4},
        {.rank = 3, .size = {2, 3, 20}, .table = 7, .position_rank = 3},
    };
    static const device_config *const configs[] = {&config_real, &config_few_buffers, &config_few_groups,
                                                   &config_no_sub};
    for (uint32_t n = 0; n < 4; n++) {
        context c;
        context_open(&c, configs[n]);
        for (uint32_t i = 0; i < sizeof list / sizeof *list; i++) {
            problem p = list[i];
            for (uint32_t k = D_OUT; k < TENSORS; k++) {
                p.type[k] = dtypes[(i + k * n) % DTYPES];
            }
            p.accumulate = (i + n) % 2;
            p.position_alone = p.position_rank && (i + n) % 4 == 3;
            check(&c, p);
        }
        context_close(&c);
    }
}

/* Blocks of ids, so many that the sort has several, and rows of the table in several dispatches. */
Test(embedding_backward, many) {
    context c;
    context_open(&c, &config_real);
    check(&c, (problem){.rank = 2, .size = {5000, 8}, .table = 100, .position_rank = 1});
    check(&c, (problem){.rank = 2, .size = {5000, 3}, .table = 5000, .type = {[D_OUT] = VKA_F16}});
    context_close(&c);
    context_open(&c, &config_short);
    check(&c, (problem){.rank = 2, .size = {100, 40}, .table = 900});
    context_close(&c);
}

Test(embedding_backward, empty) {
    context c;
    context_open(&c, &config_real);
    check(&c, (problem){.rank = 2, .size = {0, 8}, .table = 5, .position_rank = 1});
    check(&c, (problem){.rank = 2, .size = {0, 8}, .table = 5, .position_rank = 1, .accumulate = true});
    check(&c, (problem){.rank = 2, .size = {5, 0}, .table = 5, .position_rank = 1});
    check(&c, (problem){.rank = 2, .size = {5, 8}, .table = 0, .most = 3});
    context_close(&c);
}

/* The sum of all that the embedding gives, each times its gradient: tensors of gradients hold the table and the
 * positions here. */
static double loss_of(const void *user) {
    const problem *p = user;
    double loss = 0;
    for (size_t n = 0; n < p->t[D_OUT].count; n++) {
        float id = p->t[IDS].values[n / p->cols];
        if (id >= 0 && id < (float)p->table) {
            double weight = (double)p->t[D_TABLE].values[(size_t)id * p->cols + n % p->cols];
            double position = (double)p->t[D_POSITION].values[position_of(p, n)];
            loss += (scale_of(p) * weight + position) * (double)p->t[D_OUT].values[n];
        }
    }
    return loss;
}

/* What gradients are compared with is the slope of the embedding itself. */
Test(embedding_backward, slopes) {
    context c;
    context_open(&c, &config_real);
    for (uint32_t n = 0; n < 8; n++) {
        problem p = {
            .rank = 3, .size = {2, 3, 4}, .table = 5, .position_rank = 3, .ones = n, .scale = n % 2 ? -1.5f : 0};
        make(&c, &p);
        for (int i = D_TABLE; i < TENSORS; i++) {
            double ref[64] = {0}, factor = i == D_TABLE ? scale_of(&p) : 1;
            float naive[64] = {0};
            cr_assert_leq(p.t[i].count, 64);
            add_up(&p, i, ref, naive);
            for (size_t at = 0; at < p.t[i].count; at++) {
                double slope = ref_slope(&p.t[i].values[at], loss_of, &p);
                cr_expect_float_eq(factor * ref[at], slope, 1e-9, "%s[%zu]: %g, but the slope is %g; VKATTN_SEED=%llu",
                                   i == D_TABLE ? "d_table" : "d_position", at, factor * ref[at], slope,
                                   (unsigned long long)test_seed());
            }
        }
        destroy(&p);
    }
    context_close(&c);
}

Test(embedding_backward, refusals) {
    context c;
    context_open(&c, &config_real);
    vka_embedding_backward_desc d = {.ids = vka_tensor_1d(NULL, VKA_I32, 3),
                                     .d_out = vka_tensor_2d(NULL, VKA_F32, 3, 8)};
    EXPECT_FAILURE(vka_embedding_backward_prepare(c.device, &d), VKA_INVALID, "vka_embedding_backward.d_table");
    d.d_position = vka_tensor_1d(NULL, VKA_F32, 8);
    EXPECT_FAILURE(vka_embedding_backward_prepare(c.device, &d), VKA_INVALID, "vka_embedding_backward.table_rows");
    d.table_rows = 9;
    EXPECT_OK(vka_embedding_backward_prepare(c.device, &d));
    d.d_table = vka_tensor_2d(NULL, VKA_F32, 8, 8);
    EXPECT_FAILURE(vka_embedding_backward_prepare(c.device, &d), VKA_INVALID, "vka_embedding_backward.table_rows");
    d.table_rows = 0;
    d.d_position = vka_tensor_1d(NULL, VKA_F32, 7);
    EXPECT_FAILURE(vka_embedding_backward_prepare(c.device, &d), VKA_INVALID, "vka_embedding_backward.d_position");
    context_close(&c);
}
