/* vka_cross_entropy: rows, and then their total.
 * SPDX-License-Identifier: MIT */
#include <vkattn/loss.h>

#include "op/op.h"
#include "params/cross_entropy.h"

enum { LOGITS, TARGETS, LOSS, LSE, TOTAL, ARGS };
enum { SMOOTHING, REDUCTION, PATH, NUMBERS };
enum { ROWS, SUM }; /* pipelines */

#define DESC(field)    offsetof(vka_cross_entropy_desc, field)
#define STRIDES(field) offsetof(vka_cross_entropy_params, field)
#define PER_ROW(name, field, types, f, access_, binding_)                                                              \
    {                                                                                                                  \
        name, "...", DESC(field), STRIDES(field), types, .flags = VKA__PER_ROW | f, .access = access_,                 \
                                                         .binding = binding_                                           \
    }

static const vka__arg args[ARGS] = {
    [LOGITS] = {"logits", "... V", DESC(logits), STRIDES(x), VKA__FLOATS, .flags = VKA__REQUIRED, .access = VKA__READ,
                .binding = VKA_BIND_X},
    [TARGETS] = PER_ROW("targets", targets, VKA__TYPE(VKA_I32), VKA__REQUIRED, VKA__READ, VKA_BIND_TARGETS),
    [LOSS] = PER_ROW("loss", loss, VKA__TYPE(VKA_F32), 0, VKA__WRITE, VKA_BIND_LOSS),
    [LSE] = PER_ROW("lse", lse, VKA__TYPE(VKA_F32), 0, VKA__WRITE, VKA_BIND_LOSS_LSE),
    [TOTAL] = {"total", "1", DESC(total), VKA__NONE, VKA__TYPE(VKA_F32), .access = VKA__WRITE,
               .binding = VKA_BIND_TOTAL, .extent = VKA__CUSTOM},
};
static const vka__number numbers[NUMBERS] = {
    [SMOOTHING] = {"label_smoothing", DESC(label_smoothing), VKA__NUMBER_F32, false, 0, 1, 0, NULL},
    [REDUCTION] = {"reduction", DESC(reduction), VKA__NUMBER_ENUM, false, 0, VKA_REDUCTION_SUM, 0, "vka_reduction"},
    [PATH] = {"path", DESC(path), VKA__NUMBER_ENUM, false, 0, VKA_SOFTMAX_PATH_GROUP, 0, "vka_softmax_path"},
};
static const vka__limit limits[] = {{'V', 1, 1u << 24}, {0}};

static vka_status check(vka__call *c) {
    if (!vka__call_has(c, LOSS) && !vka__call_has(c, LSE) && !vka__call_has(c, TOTAL))
        return vka__call_fail(c, VKA_INVALID, "total", "is absent, and so are loss and lse: there is no result");
    return vka__call_check_rows(c, LOGITS, c->view[LOGITS].shape);
}

static void fill_params(const vka__call *c) {
    const vka_cross_entropy_desc *d = VKA__DESC(c, vka_cross_entropy_desc);
    const uint32_t *shape = c->view[LOGITS].shape;
    vka_cross_entropy_params *params = VKA__PARAMS(c, vka_cross_entropy_params);
    params->cols = shape[3];
    params->exp_scale = 2.8853900817779268f; /* 2 log2(e) */
    params->smoothing = (float)c->number[SMOOTHING];
    params->ignored = d->has_ignore_index ? d->ignore_index : VKA_IGNORE_INDEX;
    params->rows_h = shape[1];
    params->rows_n = shape[2];
    params->rows = (uint32_t)vka__volume(shape);
}

static bool plan_total(vka__call *c) {
    c->workspace_bytes = vka__align_up(4 * vka__volume(c->view[LOGITS].shape), 256);
    if (c->workspace_bytes > vka__min_u64(c->caps->storage_range, UINT64_C(1) << 32))
        return vka__refuse_span(c->caps, "workspace", "the losses of all rows", &c->refusal);
    vka__call_add_key(c, VKA__cross_entropy_total, vka__group_size(c->caps, 256))->spec[VKA_SPEC_FLAGS] =
        c->number[REDUCTION] == VKA_REDUCTION_MEAN ? VKA_FLAG_MEAN_LOSS : 0;
    c->dispatches++;
    return true;
}

static bool plan(vka__call *c) {
    static const vka__row_kernels kernels = {VKA__cross_entropy_lane, VKA__cross_entropy_group,
                                             VKA__cross_entropy_group_sg, 0, 0};
    uint32_t cols = c->view[LOGITS].shape[3];
    vka__row_problem problem = {.path = PATH, .cols = cols, .most = cols > 32768 ? 512 : 256};
    uint32_t rows = vka__rows_add_key(c, &kernels, &problem);
    uint32_t *spec = c->key[ROWS].spec;
    spec[VKA_SPEC_COLS] = 0; /* nothing is read twice */
    spec[VKA_SPEC_FLAGS] =
        (vka__call_has(c, LOSS) ? VKA_FLAG_LOSS : 0) | (vka__call_has(c, LSE) ? VKA_FLAG_LSE_OUT : 0) |
        (vka__call_has(c, TOTAL) ? VKA_FLAG_TOTAL : 0) | (c->number[SMOOTHING] > 0 ? VKA_FLAG_SMOOTHING : 0) |
        (vka__call_vec4(c, 1u << LOGITS) ? VKA_FLAG_VEC4 : 0);
    spec[VKA_SPEC_TYPES] = vka__call_type(c, LOGITS, VKA_ROLE_X);
    fill_params(c);
    return vka__rows_plan(c, LOGITS, 1, rows) && (!c->dispatches || !vka__call_has(c, TOTAL) || plan_total(c));
}

static void dispatch(const vka__call *c, uint64_t index, vka__dispatch *out) {
    bool total = vka__call_has(c, TOTAL) && index + 1 == c->dispatches;
    if (vka__call_has(c, TOTAL))
        out->binding[VKA_BIND_ROW_LOSSES] = (vka__binding){
            .access = total ? VKA__READ : VKA__WRITE, .source = VKA__SOURCE_WORKSPACE, .range = c->workspace_bytes};
    if (!total) {
        vka__rows_dispatch(c, index, out);
        return;
    }
    out->key = SUM;
    out->groups[0] = out->groups[1] = out->groups[2] = 1;
    vka__bind_all(c->caps, &c->view[TOTAL], VKA_BIND_TOTAL, VKA__WRITE, out);
}

static void explain(const vka__call *c, vka__text *text) {
    vka__rows_explain(c, PATH, 4, text);
    vka__say(text, "total: %s\n", vka__yes(vka__call_has(c, TOTAL)));
}

VKA__OPERATION(cross_entropy, .params_size = sizeof(vka_cross_entropy_params), .workspace = DESC(workspace),
               .limits = limits, .check = check, .plan = plan, .dispatch = dispatch, .explain = explain);
