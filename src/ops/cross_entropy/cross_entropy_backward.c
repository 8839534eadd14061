/* vka_cross_entropy_backward: a row's share of the mean, if there is one, and then rows.
 * SPDX-License-Identifier: MIT */
#include <vkattn/loss.h>

#include "op/op.h"
#include "params/cross_entropy.h"

enum { LOGITS, TARGETS, LSE, D_LOSS, D_LSE, D_TOTAL, D_LOGITS, ARGS };
enum { SMOOTHING, REDUCTION, PATH, NUMBERS };
enum { ROWS, SHARE }; /* pipelines */

#define DESC(field)    offsetof(vka_cross_entropy_backward_desc, field)
#define STRIDES(field) offsetof(vka_cross_entropy_backward_params, field)
#define PER_ROW(name, field, types, f, binding_)                                                                       \
    {                                                                                                                  \
        name, "...", DESC(field), STRIDES(field), types, .flags = VKA__PER_ROW | f, .access = VKA__READ,               \
                                                         .binding = binding_                                           \
    }

static const vka__arg args[ARGS] = {
    [LOGITS] = {"logits", "... V", DESC(logits), STRIDES(x), VKA__FLOATS, .flags = VKA__REQUIRED, .access = VKA__READ,
                .binding = VKA_BIND_X},
    [TARGETS] = PER_ROW("targets", targets, VKA__TYPE(VKA_I32), VKA__REQUIRED, VKA_BIND_TARGETS),
    [LSE] = PER_ROW("lse", lse, VKA__TYPE(VKA_F32), 0, VKA_BIND_LSE_IN),
    [D_LOSS] = PER_ROW("d_loss", d_loss, VKA__TYPE(VKA_F32), 0, VKA_BIND_D_LOSS),
    [D_LSE] = PER_ROW("d_lse", d_lse, VKA__TYPE(VKA_F32), 0, VKA_BIND_D_LSE),
    [D_TOTAL] = {"d_total", "1", DESC(d_total), VKA__NONE, VKA__TYPE(VKA_F32), .access = VKA__READ,
                 .binding = VKA_BIND_D_TOTAL, .extent = VKA__ALL},
    [D_LOGITS] = {"d_logits", "... V", DESC(d_logits), STRIDES(d_x), VKA__FLOATS, 1u << LOGITS, .flags = VKA__REQUIRED,
                  .access = VKA__WRITE, .binding = VKA_BIND_D_LOGITS},
};
static const vka__number numbers[NUMBERS] = {
    [SMOOTHING] = {"label_smoothing", DESC(label_smoothing), VKA__NUMBER_F32, false, 0, 1, 0, NULL},
    [REDUCTION] = {"reduction", DESC(reduction), VKA__NUMBER_ENUM, false, 0, VKA_REDUCTION_SUM, 0, "vka_reduction"},
    [PATH] = {"path", DESC(path), VKA__NUMBER_ENUM, false, 0, VKA_SOFTMAX_PATH_GROUP, 0, "vka_softmax_path"},
};
static const vka__limit limits[] = {{'V', 1, 1u << 24}, {0}};

static vka_status check(vka__call *c) {
    if (!vka__call_has(c, D_LOSS) && !vka__call_has(c, D_LSE) && !vka__call_has(c, D_TOTAL))
        return vka__call_fail(c, VKA_INVALID, "d_total",
                              "is absent, and so are d_loss and d_lse: there is no gradient");
    return vka__call_check_rows(c, LOGITS, c->view[LOGITS].shape);
}

static bool has_mean(const vka__call *c) {
    return vka__call_has(c, D_TOTAL) && c->number[REDUCTION] == VKA_REDUCTION_MEAN;
}

static void fill_params(const vka__call *c) {
    const vka_cross_entropy_backward_desc *d = VKA__DESC(c, vka_cross_entropy_backward_desc);
    const uint32_t *shape = c->view[LOGITS].shape;
    vka_cross_entropy_backward_params *params = VKA__PARAMS(c, vka_cross_entropy_backward_params);
    params->all_targets = vka__box_strides(&c->view[TARGETS], shape);
    params->cols = shape[3];
    params->exp_scale = 2.8853900817779268f; /* 2 log2(e) */
    params->smoothing = (float)c->number[SMOOTHING];
    params->ignored = d->has_ignore_index ? d->ignore_index : VKA_IGNORE_INDEX;
    params->rows_h = shape[1];
    params->rows_n = shape[2];
    params->rows = (uint32_t)vka__volume(shape);
}

static bool plan_share(vka__call *c) {
    if (!vka__sees_all(c->caps, &c->view[TARGETS], "targets", &c->refusal))
        return false;
    c->workspace_bytes = 256;
    vka__call_add_key(c, VKA__cross_entropy_share, vka__group_size(c->caps, 256));
    c->dispatches++;
    return true;
}

static bool plan(vka__call *c) {
    static const vka__row_kernels kernels = {VKA__cross_entropy_backward_lane, VKA__cross_entropy_backward_group,
                                             VKA__cross_entropy_backward_group_sg, 0, 0};
    uint32_t cols = c->view[LOGITS].shape[3];
    vka__row_problem problem = {.path = PATH, .cols = cols, .most = cols > 32768 ? 512 : 256};
    uint32_t rows = vka__rows_add_key(c, &kernels, &problem);
    uint32_t *spec = c->key[ROWS].spec;
    spec[VKA_SPEC_COLS] = 0;
    spec[VKA_SPEC_FLAGS] = (vka__call_has(c, D_LOSS) ? VKA_FLAG_LOSS : 0) |
                           (vka__call_has(c, D_LSE) ? VKA_FLAG_LSE_OUT : 0) |
                           (vka__call_has(c, D_TOTAL) ? VKA_FLAG_TOTAL : 0) | (has_mean(c) ? VKA_FLAG_MEAN_LOSS : 0) |
                           (vka__call_has(c, LSE) ? VKA_FLAG_LSE_IN : 0) |
                           (vka__call_vec4(c, 1u << LOGITS | 1u << D_LOGITS) ? VKA_FLAG_VEC4 : 0);
    spec[VKA_SPEC_TYPES] = vka__call_type(c, LOGITS, VKA_ROLE_X) | vka__call_type(c, D_LOGITS, VKA_ROLE_OUT);
    fill_params(c);
    return vka__rows_plan(c, LOGITS, 1, rows) && (!c->dispatches || !has_mean(c) || plan_share(c));
}

static void dispatch(const vka__call *c, uint64_t index, vka__dispatch *out) {
    bool share = has_mean(c) && index == 0;
    if (has_mean(c))
        out->binding[VKA_BIND_SHARE] = (vka__binding){
            .access = share ? VKA__WRITE : VKA__READ, .source = VKA__SOURCE_WORKSPACE, .range = c->workspace_bytes};
    if (!share) {
        vka__rows_dispatch(c, index - has_mean(c), out);
        return;
    }
    out->key = SHARE;
    out->groups[0] = out->groups[1] = out->groups[2] = 1;
    vka__bind_all(c->caps, &c->view[TARGETS], VKA_BIND_TARGETS, VKA__READ, out);
}

static void explain(const vka__call *c, vka__text *text) {
    vka__rows_explain(c, PATH, 4, text);
    vka__say(text, "log_sum_exp: %s\n", vka__call_has(c, LSE) ? "given" : "computed");
}

VKA__OPERATION(cross_entropy_backward, .params_size = sizeof(vka_cross_entropy_backward_params),
               .workspace = DESC(workspace), .limits = limits, .check = check, .plan = plan, .dispatch = dispatch,
               .explain = explain);
