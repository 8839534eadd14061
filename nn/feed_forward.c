/* Feed-forward networks and norms.
 * SPDX-License-Identifier: MIT */
#include "sequence.h"

#include <stdio.h>
#include <string.h>

#include <vkattn/elementwise.h>

/* ---- feed-forward ---------------------------------------------------------------------------------------------------- */

static bool check(vka_nn_sequence *s, const char *field, const vka_nn_feed_forward_desc *d) {
    if (!nn_has_shape(s, field, "x", &d->x, 0, NULL) || !nn_has_shape(s, field, "up.weight", &d->up.weight, 0, NULL))
        return false;
    uint32_t width = d->x.shape[d->x.rank - 1], inner = d->up.weight.shape[0];
    return nn_has_shape(s, field, "up.weight", &d->up.weight, 2, (uint32_t[]){inner, width}) &&
           (!d->gate.weight.dtype ||
            nn_has_shape(s, field, "gate.weight", &d->gate.weight, 2, (uint32_t[]){inner, width})) &&
           nn_has_shape(s, field, "down.weight", &d->down.weight, 2, (uint32_t[]){width, inner}) &&
           nn_has_shape(s, field, "out", &d->out, d->x.rank, d->x.shape);
}

static vka_tensor take_inner(vka_nn_sequence *s, const vka_nn_feed_forward_desc *d) {
    uint32_t shape[VKA_MAX_RANK];
    memcpy(shape, d->x.shape, sizeof shape);
    shape[d->x.rank - 1] = d->up.weight.shape[0];
    return nn_take(s, d->x.dtype, d->x.rank, shape);
}

void nn_build_feed_forward(vka_nn_sequence *s, const char *field, const vka_nn_feed_forward_desc *d) {
    if (!check(s, field, d))
        return;
    vka_tensor inner = take_inner(s, d);
    if (d->gate.weight.dtype) {
        vka_tensor gate = take_inner(s, d);
        nn_project(s, &d->up, &d->x, VKA_ACTIVATION_NONE, NULL, &inner);
        nn_project(s, &d->gate, &d->x, VKA_ACTIVATION_NONE, NULL, &gate);
        const vka_glu_desc glu = {.gate = gate, .up = inner, .out = inner, .activation = d->activation};
        nn_operation(s, VKA_OPERATION_GLU, &glu, sizeof glu);
        nn_give_back(s, &gate);
    } else {
        nn_project(s, &d->up, &d->x, d->activation, NULL, &inner);
    }
    nn_project(s, &d->down, &inner, VKA_ACTIVATION_NONE, d->residual.dtype ? &d->residual : NULL, &d->out);
    nn_give_back(s, &inner);
}

static void build_feed_forward(vka_nn_sequence *s, const void *desc) {
    nn_build_feed_forward(s, "", desc);
}

vka_status vka_nn_feed_forward_sized(vka_nn_sequence *s, const vka_nn_feed_forward_desc *desc, size_t desc_size) {
    static const char function[] = "vka_nn_feed_forward";
    vka_nn_feed_forward_desc d;
    if (!s)
        return nn_missing(NULL, "vka_nn_feed_forward.sequence");
    return nn_read(s, function, &d, sizeof d, desc, desc_size) ? nn_add(s, function, build_feed_forward, &d)
                                                               : s->status;
}

/* ---- norms ----------------------------------------------------------------------------------------------------------- */

void nn_build_norm(vka_nn_sequence *s, const char *field, const vka_nn_norm *n, const vka_tensor *x,
                   const vka_tensor *out) {
    if (n->kind == VKA_NN_NORM_LAYER) {
        const vka_layer_norm_desc d = {
            .x = *x, .out = *out, .weight = n->weight, .bias = n->bias, .epsilon = n->epsilon};
        nn_operation(s, VKA_OPERATION_LAYER_NORM, &d, sizeof d);
    } else if (n->kind == VKA_NN_NORM_RMS) {
        const vka_rms_norm_desc d = {.x = *x,
                                     .out = *out,
                                     .weight = n->weight,
                                     .epsilon = n->epsilon,
                                     .zero_centred = n->zero_centred};
        nn_is_absent(s, field, "bias", &n->bias);
        nn_operation(s, VKA_OPERATION_RMS_NORM, &d, sizeof d);
    } else {
        char item[96];
        snprintf(item, sizeof item, "%skind", field);
        nn_refuse(s, item, "%d is no vka_nn_norm_kind that normalises", (int)n->kind);
    }
}

typedef struct one_norm {
    vka_nn_norm norm;
    vka_tensor x, out;
} one_norm;

static void build_norm(vka_nn_sequence *s, const void *desc) {
    const one_norm *n = desc;
    nn_build_norm(s, "", &n->norm, &n->x, &n->out);
}

vka_status vka_nn_normalise_sized(vka_nn_sequence *s, const vka_nn_norm *norm, size_t norm_size, const vka_tensor *x,
                             const vka_tensor *out) {
    static const char function[] = "vka_nn_normalise";
    one_norm n;
    if (!s || !x || !out)
        return nn_missing(s ? &s->log : NULL, !s   ? "vka_nn_normalise.sequence"
                                              : !x ? "vka_nn_normalise.x"
                                                   : "vka_nn_normalise.out");
    n.x = *x;
    n.out = *out;
    return nn_read(s, function, &n.norm, sizeof n.norm, norm, norm_size) ? nn_add(s, function, build_norm, &n)
                                                                         : s->status;
}
