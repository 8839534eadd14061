/* SPDX-License-Identifier: MIT */
#include "norm_case.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void describe_layer_norm(void *desc, const vka_layer_norm_desc *from, bool zero_centred) {
    (void)zero_centred;
    *(vka_layer_norm_desc *)desc = *from;
}

const norm_op norm_op_layer_norm = {.op = &vka__op_layer_norm, .describe = describe_layer_norm};

norm_description norm_describe(const norm_op *op, const vka_layer_norm_desc *from, bool zero_centred) {
    norm_description d = {.bytes = {0}};
    op->describe(d.bytes, from, zero_centred);
    return d;
}

static const char *describe(const norm_problem *p, char *text, size_t size) {
    const norm_case *n = &p->n;
    snprintf(
        text, size,
        "%s, %s: %s rank %u %ux%u order %s+%u affine %d:%s%s%s%s%s%s%s alias %d center %g epsilon %g, VKATTN_SEED=%llu",
        n->op->op->name, p->c->config->name, dtype_name(n->dtype), n->rank, p->rows, p->cols,
        n->layout.order ? n->layout.order : "dense", n->layout.pad, n->affine, n->weight ? " weight" : "",
        n->zero_centred ? " zero-centred" : "", n->bias ? " bias" : "", n->residual ? " residual" : "",
        n->sum ? " sum" : "", n->mean ? " mean" : "", n->inv_std ? " inv_std" : "", n->alias, (double)n->center,
        (double)n->epsilon, (unsigned long long)p->seed);
    return text;
}

static float *copy(const tensor *t) {
    float *values = malloc((t->count + 1) * sizeof *values);
    cr_assert_not_null(values);
    memcpy(values, t->values, t->count * sizeof *values);
    return values;
}

/* All of them exist, whether the case uses them or not: the unused must stay untouched. */
static void make_tensors(norm_problem *p) {
    const norm_case *n = &p->n;
    layout flat = {.pad = n->layout.pad, .shift = n->layout.shift};
    uint32_t one = 1, rank = n->rank > 1 ? n->rank - 1 : 1;
    const uint32_t *lead = n->rank > 1 ? n->shape : &one;
    p->x = tensor_create(p->c, n->dtype, n->rank, n->shape, n->layout);
    p->residual = tensor_create(p->c, n->dtype, n->rank, n->shape, n->layout);
    p->out = tensor_create(p->c, n->dtype, n->rank, n->shape, n->layout);
    p->sum = tensor_create(p->c, n->dtype, n->rank, n->shape, n->layout);
    p->weight = tensor_create(p->c, n->affine, 1, &p->cols, flat);
    p->bias = tensor_create(p->c, n->affine, 1, &p->cols, flat);
    p->mean = tensor_create(p->c, VKA_F32, rank, lead, flat);
    p->inv_std = tensor_create(p->c, VKA_F32, rank, lead, flat);
}

norm_problem norm_make(context *c, norm_case n, uint64_t seed) {
    n.op = n.op ? n.op : &norm_op_layer_norm;
    n.bias = n.bias && !n.op->rms;
    n.mean = n.mean && !n.op->rms;
    n.zero_centred = n.zero_centred && n.op->rms && n.weight;
    n.dtype = n.dtype ? n.dtype : VKA_F32;
    n.affine = n.affine ? n.affine : n.dtype;
    norm_problem p = {.c = c, .n = n, .seed = seed, .rows = 1, .cols = n.shape[n.rank - 1]};
    for (uint32_t i = 0; i + 1 < n.rank; i++) {
        p.rows *= n.shape[i];
    }
    ref_rng rng = ref_rng_seed(seed);
    make_tensors(&p);
    tensor_fill_normal(&p.x, &rng, n.center, 1);
    tensor_fill_normal(&p.residual, &rng, 0, 1);
    tensor_fill_normal(&p.weight, &rng, 1, 0.3f);
    tensor_fill_normal(&p.bias, &rng, 0, 1);
    tensor_upload(&p.weight);
    tensor_upload(&p.bias);
    p.x_values = copy(&p.x);
    p.residual_values = copy(&p.residual);
    p.ref = (ref_norm){
        .rows = p.rows,
        .cols = p.cols,
        .x = p.x_values,
        .weight = n.weight ? p.weight.values : NULL,
        .bias = n.bias ? p.bias.values : NULL,
        .residual = n.residual ? p.residual_values : NULL,
        .round_sum = n.sum,
        .rms = n.op->rms,
        .zero_centred = n.zero_centred,
        .epsilon = n.epsilon != 0 ? (double)n.epsilon : (double)1e-5f,
    };
    return p;
}

void norm_destroy(norm_problem *p) {
    tensor *tensors[] = {&p->x, &p->out, &p->weight, &p->bias, &p->residual, &p->sum, &p->mean, &p->inv_std};
    for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++) {
        tensor_destroy(tensors[i]);
    }
    free(p->x_values);
    free(p->residual_values);
}

static tensor *out_of(norm_problem *p) {
    switch (p->n.alias) {
    case ALIAS_OUT_X:
        return &p->x;
    case ALIAS_OUT_RESIDUAL:
    case ALIAS_SUM_X_OUT_RESIDUAL:
        return &p->residual;
    case ALIAS_OUT_SUM:
        return &p->sum;
    default:
        return &p->out;
    }
}

static tensor *sum_of(norm_problem *p) {
    switch (p->n.alias) {
    case ALIAS_SUM_X:
    case ALIAS_SUM_X_OUT_RESIDUAL:
        return &p->x;
    case ALIAS_SUM_RESIDUAL:
        return &p->residual;
    default:
        return &p->sum;
    }
}

vka_layer_norm_desc norm_desc(const norm_problem *constant) {
    norm_problem p = *constant;
    vka_layer_norm_desc desc = {.x = p.x.view, .out = out_of(&p)->view, .epsilon = p.n.epsilon};
    const struct {
        bool used;
        vka_tensor *field;
        const tensor *t;
    } optional[] = {
        {p.n.weight, &desc.weight, &p.weight},
        {p.n.bias, &desc.bias, &p.bias},
        {p.n.residual, &desc.residual, &p.residual},
        {p.n.sum, &desc.sum, sum_of(&p)},
        {p.n.mean, &desc.mean, &p.mean},
        {p.n.inv_std, &desc.inv_std, &p.inv_std},
    };
    for (size_t i = 0; i < sizeof optional / sizeof *optional; i++) {
        if (optional[i].used) {
            *optional[i].field = optional[i].t->view;
        }
    }
    return desc;
}

vka_status norm_prepare(const norm_problem *p, const vka_layer_norm_desc *desc) {
    const vka__op *op = p->n.op->op;
    norm_description d = norm_describe(p->n.op, desc, p->n.zero_centred);
    return vka__op_prepare(op, p->c->device, d.bytes, op->desc_size);
}

vka_status norm_record(const norm_problem *p, const vka_layer_norm_desc *desc) {
    const vka__op *op = p->n.op->op;
    norm_description d = norm_describe(p->n.op, desc, p->n.zero_centred);
    return vka__op_record(op, p->c->recorder, d.bytes, op->desc_size);
}

typedef struct norm_errors {
    ref_error out, sum, mean, inv_std;
} norm_errors;

static void add_row(norm_problem *p, uint32_t row, norm_errors *e) {
    size_t first = (size_t)row * p->cols;
    double *ref = malloc(2 * sizeof *ref * p->cols), *ref_sum = ref + p->cols, mean, inv_std;
    float *naive = malloc(2 * sizeof *naive * p->cols), *naive_sum = naive + p->cols, naive_mean, naive_inv_std;
    cr_assert(ref && naive);
    ref_norm_row(&p->ref, p->n.dtype, row, ref, ref_sum, &mean, &inv_std);
    ref_norm_naive_row(&p->ref, p->n.dtype, row, naive, naive_sum, &naive_mean, &naive_inv_std);
    const tensor *out = out_of(p), *sum = sum_of(p);
    for (uint32_t i = 0; i < p->cols; i++) {
        ref_error_add(&e->out, out->values[first + i], naive[i], ref[i]);
        if (p->n.sum && sum != out) {
            ref_error_add(&e->sum, sum->values[first + i], naive_sum[i], ref_sum[i]);
        }
    }
    if (p->n.mean) {
        ref_error_add(&e->mean, p->mean.values[row], naive_mean, mean);
    }
    if (p->n.inv_std) {
        ref_error_add(&e->inv_std, p->inv_std.values[row], naive_inv_std, inv_std);
    }
    free(ref);
    free(naive);
}

static void compare(norm_problem *p, vka_norm_path path) {
    norm_errors e = {0};
    char text[512];
    for (uint32_t row = 0; row < p->rows; row++) {
        add_row(p, row, &e);
    }
    const ref_error *errors[] = {&e.out, &e.sum, &e.mean, &e.inv_std};
    static const char *const names[] = {"out", "sum", "mean", "inv_std"};
    for (int i = 0; i < 4; i++) {
        cr_assert(ref_error_ok(errors[i]),
                  "path %d: %s is off by %.3g%s where the naive computation is off by %.3g; %s", path, names[i],
                  errors[i]->out, errors[i]->broken ? " or not a number" : "", errors[i]->naive,
                  describe(p, text, sizeof text));
    }
}

/* Everything that was not an output must be as it was. */
static void download(norm_problem *p, vka_norm_path path) {
    tensor *tensors[] = {&p->x, &p->residual, &p->out, &p->sum, &p->weight, &p->bias, &p->mean, &p->inv_std};
    static const char *const names[] = {"x", "residual", "out", "sum", "weight", "bias", "mean", "inv_std"};
    bool written[] = {false, false, false, false, false, false, p->n.mean, p->n.inv_std};
    char text[512];
    for (int i = 0; i < 8; i++) {
        tensor *t = tensors[i];
        uint8_t *before = malloc(t->size);
        cr_assert_not_null(before);
        memcpy(before, t->image, t->size);
        cr_assert(tensor_download(t), "path %d writes outside of %s; %s", path, names[i],
                  describe(p, text, sizeof text));
        bool output = written[i] || t == out_of(p) || (p->n.sum && t == sum_of(p));
        cr_assert(output || !memcmp(before, t->image, t->size), "path %d changes %s; %s", path, names[i],
                  describe(p, text, sizeof text));
        free(before);
    }
}

void norm_execute(norm_problem *p, vka_norm_path path) {
    vka_layer_norm_desc desc = norm_desc(p);
    tensor *outputs[] = {&p->out, &p->sum, &p->mean, &p->inv_std};
    for (int i = 0; i < 4; i++) {
        tensor_poison(outputs[i]);
    }
    memcpy(p->x.values, p->x_values, p->x.count * sizeof(float));
    memcpy(p->residual.values, p->residual_values, p->residual.count * sizeof(float));
    tensor_upload(&p->x);
    tensor_upload(&p->residual);
    desc.path = path;
    EXPECT_OK(vka_recorder_begin(p->c->recorder));
    EXPECT_OK(norm_record(p, &desc));
    context_finish(p->c);
}

void norm_run(norm_problem *p, vka_norm_path path) {
    norm_execute(p, path);
    download(p, path);
    compare(p, path);
}

norm_paths norm_paths_of(const norm_problem *p, uint32_t turn) {
    if (!context_compiles_slowly(p->c)) {
        return (norm_paths){VKA_NORM_PATH_LANE, VKA_NORM_PATH_GROUP};
    }
    vka_norm_path path = (turn + p->n.op->rms) % 3 ? VKA_NORM_PATH_LANE : VKA_NORM_PATH_GROUP;
    return (norm_paths){path, path};
}

void norm_run_paths(norm_problem *p, uint32_t turn) {
    norm_paths paths = norm_paths_of(p, turn);
    for (int path = paths.first; path <= (int)paths.last; path++) {
        norm_run(p, (vka_norm_path)path);
    }
}

void norm_run_case(context *c, norm_case n, uint32_t turn) {
    norm_problem p = norm_make(c, n, test_seed());
    norm_run_paths(&p, turn);
    norm_destroy(&p);
}
