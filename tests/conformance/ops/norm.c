/* ONNX LayerNormalization, opset 17 on, as one vka_layer_norm over [rows, columns], and RMSNormalization, opset 23 on,
 * which has less of the same, as one vka_rms_norm (onnx/defs/nn/defs.cc). PyTorch's layer_norm and rms_norm are those
 * over the last dimension, and have gradients. SPDX-License-Identifier: MIT */
#include <vkattn/norm.h>

#include <stdlib.h>
#include <string.h>

#include "conformance.h"

enum { IN_X, IN_SCALE, IN_BIAS };
enum { OUT_Y, OUT_MEAN, OUT_INV_STD };

typedef struct problem {
    gpu *g;
    const op_case *c;
    result *r;
    uint32_t axis; /* the first that is normalised */
    size_t rows, columns;
    vka_layer_norm_desc desc;
} problem;

static bool read_shapes(problem *p) {
    const case_tensor *x = &p->c->inputs[IN_X], *out = p->c->outputs;
    int64_t axis;
    if (!x->type || !p->c->inputs[IN_SCALE].type) {
        return fail(p->r, "X and Scale are required");
    }
    if (!case_get_int(p->c, "axis", -1, &axis, p->r)) {
        return false;
    }
    if (axis < -(int64_t)x->rank || axis >= (int64_t)x->rank) {
        return fail(p->r, "axis %lld of rank %u", (long long)axis, x->rank);
    }
    p->axis = (uint32_t)(axis < 0 ? axis + x->rank : axis);
    uint32_t statistics[CASE_MAX_RANK];
    p->rows = p->columns = 1;
    for (uint32_t i = 0; i < x->rank; i++) {
        *(i < p->axis ? &p->rows : &p->columns) *= x->dims[i];
        statistics[i] = i < p->axis ? x->dims[i] : 1;
    }
    if (p->rows > UINT32_MAX || p->columns > UINT32_MAX) {
        return skip(p->r, "%zu rows of %zu columns", p->rows, p->columns);
    }
    return case_has_shape(&out[OUT_Y], x->rank, x->dims, p->r) &&
           case_has_shape(&out[OUT_MEAN], x->rank, statistics, p->r) &&
           case_has_shape(&out[OUT_INV_STD], x->rank, statistics, p->r);
}

static bool check_types(const problem *p) {
    for (uint32_t i = 0; i < 3; i++) {
        if (!case_is_real(&p->c->inputs[i], p->r) || !case_is_result(&p->c->outputs[i], p->r)) {
            return false;
        }
    }
    int64_t stash; /* type of the statistics, as a TensorProto.DataType: 1 is f32 */
    return case_get_int(p->c, "stash_type", 1, &stash, p->r) &&
           (stash == 1 || skip(p->r, "statistics of type %lld, ours are f32", (long long)stash));
}

/* Scale or B, which broadcasts to X, as [columns]. */
static bool upload_weight(const problem *p, const case_tensor *t, vka_tensor *out) {
    const case_tensor *x = &p->c->inputs[IN_X];
    if (!t->type) {
        return true;
    }
    if (t->rank > x->rank) {
        return fail(p->r, "%s has more dimensions than X", t->name);
    }
    size_t step[CASE_MAX_RANK] = {0}, step_here = 1; /* from one element of X along a dimension to the next */
    for (uint32_t i = x->rank; i-- > x->rank - t->rank;) {
        uint32_t size = t->dims[i - (x->rank - t->rank)];
        if (size != 1 && size != x->dims[i]) {
            return fail(p->r, "%s does not broadcast to X", t->name);
        }
        if (size != 1 && i < p->axis) {
            return skip(p->r, "%s differs from row to row", t->name);
        }
        step[i] = size == 1 ? 0 : step_here;
        step_here *= size;
    }
    size_t size = t->type->size;
    char *data = malloc(p->columns * size + 1);
    if (!data) {
        return fail(p->r, "no memory for %s", t->name);
    }
    for (size_t column = 0; column < p->columns; column++) {
        size_t rest = column, from = 0;
        for (uint32_t i = x->rank; i-- > p->axis; rest /= x->dims[i]) {
            from += rest % x->dims[i] * step[i];
        }
        memcpy(data + column * size, (const char *)t->data + from * size, size);
    }
    *out = vka_tensor_1d(gpu_input(p->g, data, p->columns * size), t->type->dtype, (uint32_t)p->columns);
    free(data);
    return true;
}

static bool describe(problem *p) {
    const case_tensor *x = &p->c->inputs[IN_X], *out = p->c->outputs;
    vka_layer_norm_desc *d = &p->desc;
    const char *epsilon = case_has_attribute(p->c, "eps") ? "eps" : "epsilon"; /* PyTorch's, ONNX's */
    if (!check_types(p) || !read_shapes(p) || !case_get_float(p->c, epsilon, 1e-5f, &d->epsilon, p->r) ||
        !upload_weight(p, &p->c->inputs[IN_SCALE], &d->weight) || !upload_weight(p, &p->c->inputs[IN_BIAS], &d->bias)) {
        return false;
    }
    if (d->epsilon == 0) { /* would be the library's default; it takes no other epsilon as close to 0 as this one */
        d->epsilon = 1e-30f;
    }
    uint32_t rows = (uint32_t)p->rows, columns = (uint32_t)p->columns;
    size_t size = x->count * x->type->size;
    d->x = vka_tensor_2d(gpu_input(p->g, x->data, size), x->type->dtype, rows, columns);
    d->out = vka_tensor_2d(gpu_output(p->g, size), x->type->dtype, rows, columns);
    if (out[OUT_MEAN].type) {
        d->mean = vka_tensor_1d(gpu_output(p->g, 4 * p->rows), VKA_F32, rows);
    }
    if (out[OUT_INV_STD].type) {
        d->inv_std = vka_tensor_1d(gpu_output(p->g, 4 * p->rows), VKA_F32, rows);
    }
    return true;
}

/* The operations, which layer norm's descriptions serve. */
typedef struct norm {
    vka_status (*record)(vka_recorder *recorder, const vka_layer_norm_desc *d);
    vka_status (*backward)(vka_recorder *recorder, const vka_layer_norm_backward_desc *d);
} norm;

static vka_status record_rms_norm(vka_recorder *recorder, const vka_layer_norm_desc *d) {
    return vka_rms_norm(recorder,
                        &(vka_rms_norm_desc){.x = d->x, .out = d->out, .weight = d->weight, .epsilon = d->epsilon});
}

static vka_status record_rms_norm_backward(vka_recorder *recorder, const vka_layer_norm_backward_desc *d) {
    return vka_rms_norm_backward(recorder, &(vka_rms_norm_backward_desc){.x = d->x,
                                                                         .d_out = d->d_out,
                                                                         .weight = d->weight,
                                                                         .epsilon = d->epsilon,
                                                                         .d_x = d->d_x,
                                                                         .d_weight = d->d_weight});
}

/* Of PyTorch's, which are over the last dimension: tensors are as they lie. */
static void run_backward(const problem *p, const norm *n) {
    const case_tensor *x = &p->c->inputs[IN_X];
    const uint32_t *last = &x->dims[x->rank - 1];
    gpu *g = p->g;
    if (!case_has_shape(case_input_gradient(p->c, "d_y"), x->rank, x->dims, p->r) ||
        !case_has_shape(case_output_gradient(p->c, "d_x"), x->rank, x->dims, p->r) ||
        !case_has_shape(case_output_gradient(p->c, "d_weight"), 1, last, p->r) ||
        !case_has_shape(case_output_gradient(p->c, "d_bias"), 1, last, p->r) || !gpu_begin_backward(g, p->c, p->r)) {
        return;
    }
    vka_layer_norm_backward_desc d = {.x = gpu_tensor(g, x),
                                      .d_out = gpu_input_gradient(g, p->c, "d_y"),
                                      .weight = p->desc.weight,
                                      .d_x = gpu_output_gradient(g, p->c, "d_x", x->type->dtype),
                                      .d_weight = gpu_output_gradient(g, p->c, "d_weight", x->type->dtype),
                                      .d_bias = gpu_output_gradient(g, p->c, "d_bias", x->type->dtype),
                                      .epsilon = p->desc.epsilon};
    (void)(gpu_run(g, n->backward(g->recorder, &d), p->r) && gpu_check_gradient(g, p->c, "d_x", &d.d_x, p->r) &&
           gpu_check_gradient(g, p->c, "d_weight", &d.d_weight, p->r) &&
           gpu_check_gradient(g, p->c, "d_bias", &d.d_bias, p->r));
}

static void run(gpu *g, const op_case *c, result *r, const norm *n) {
    problem p = {.g = g, .c = c, .r = r};
    const case_tensor *want = c->outputs;
    gpu_begin(g);
    if (describe(&p) && gpu_run(g, n->record(g->recorder, &p.desc), r)) {
        bool ok = gpu_check(g, p.desc.out.buffer, p.desc.out.dtype, &want[OUT_Y], r);
        ok = ok && gpu_check(g, p.desc.mean.buffer, VKA_F32, &want[OUT_MEAN], r);
        if (ok && gpu_check(g, p.desc.inv_std.buffer, VKA_F32, &want[OUT_INV_STD], r)) {
            run_backward(&p, n);
        }
    }
    gpu_end(g);
}

static void run_layer_norm(gpu *g, const op_case *c, result *r) {
    run(g, c, r, &(norm){vka_layer_norm, vka_layer_norm_backward});
}

static void run_rms_norm(gpu *g, const op_case *c, result *r) {
    run(g, c, r, &(norm){record_rms_norm, record_rms_norm_backward});
}

const operation group_norm[] = {
    {"LayerNormalization", 17, 3, 3, {"axis", "epsilon", "stash_type"}, run_layer_norm},
    {"RMSNormalization", 23, 2, 1, {"axis", "epsilon", "stash_type"}, run_rms_norm},
    {"torch.layer_norm", 0, 3, 1, {"eps"}, run_layer_norm},
    {"torch.rms_norm", 0, 2, 1, {"eps"}, run_rms_norm},
    {0},
};
