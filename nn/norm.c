/* Norms of either kind.
 * SPDX-License-Identifier: MIT */
#include "sequence.h"

#include <stdio.h>

bool nn_normalises(vka_nn_sequence *s, const char *field, const vka_nn_norm *n) {
    char item[96];
    snprintf(item, sizeof item, "%skind", field);
    if (n->kind == VKA_NN_NORM_LAYER || n->kind == VKA_NN_NORM_RMS)
        return true;
    nn_refuse(s, item, "%d is no vka_nn_norm_kind that normalises", (int)n->kind);
    return false;
}

void nn_build_norm(vka_nn_sequence *s, const char *field, const vka_nn_norm *n, const vka_tensor *x,
                   const vka_tensor *out) {
    if (!nn_normalises(s, field, n))
        return;
    if (n->kind == VKA_NN_NORM_LAYER) {
        const vka_layer_norm_desc d = {
            .x = *x, .out = *out, .weight = n->weight, .bias = n->bias, .epsilon = n->epsilon};
        nn_operation(s, VKA_OPERATION_LAYER_NORM, &d, sizeof d);
    } else {
        const vka_rms_norm_desc d = {.x = *x,
                                     .out = *out,
                                     .weight = n->weight,
                                     .epsilon = n->epsilon,
                                     .zero_centred = n->zero_centred};
        nn_is_absent(s, field, "bias", &n->bias);
        nn_operation(s, VKA_OPERATION_RMS_NORM, &d, sizeof d);
    }
}

/* Statistics are not kept: backward reads each row once more for them. */
void nn_norm_backward(vka_nn_sequence *s, const char *field, const vka_nn_norm *n, const vka_nn_norm *g,
                      const vka_tensor *x, const vka_tensor *d_out, const vka_tensor *d_sum, const vka_tensor *d_x) {
    if (!d_x->dtype && !g->weight.dtype && !g->bias.dtype)
        return;
    if (n->kind == VKA_NN_NORM_LAYER) {
        vka_layer_norm_backward_desc d = {.x = *x,
                                          .d_out = *d_out,
                                          .weight = n->weight,
                                          .d_sum = *d_sum,
                                          .d_x = *d_x,
                                          .d_weight = g->weight,
                                          .d_bias = g->bias,
                                          .epsilon = n->epsilon,
                                          .accumulate = s->accumulate};
        nn_run(s, VKA_OPERATION_LAYER_NORM_BACKWARD, &d, sizeof d, &d.workspace);
    } else {
        vka_rms_norm_backward_desc d = {.x = *x,
                                        .d_out = *d_out,
                                        .weight = n->weight,
                                        .d_sum = *d_sum,
                                        .d_x = *d_x,
                                        .d_weight = g->weight,
                                        .epsilon = n->epsilon,
                                        .zero_centred = n->zero_centred,
                                        .accumulate = s->accumulate};
        nn_is_absent(s, field, "bias", &g->bias);
        nn_run(s, VKA_OPERATION_RMS_NORM_BACKWARD, &d, sizeof d, &d.workspace);
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

static void build_backward(vka_nn_sequence *s, const void *desc) {
    const vka_nn_normalise_backward_desc *b = desc;
    s->accumulate = b->accumulate;
    if (!nn_normalises(s, "norm.", &b->norm))
        return;
    if (!b->d_x.dtype && !b->gradient.weight.dtype && !b->gradient.bias.dtype)
        nn_refuse(s, "d_x", "is absent, and so are all of gradient: there is no result");
    nn_norm_backward(s, "gradient.", &b->norm, &b->gradient, &b->x, &b->d_out, &b->d_sum, &b->d_x);
}

vka_status vka_nn_normalise_backward_sized(vka_nn_sequence *s, const vka_nn_normalise_backward_desc *desc,
                                           size_t desc_size) {
    static const char function[] = "vka_nn_normalise_backward";
    vka_nn_normalise_backward_desc d;
    if (!s)
        return nn_missing(NULL, "vka_nn_normalise_backward.sequence");
    return nn_read(s, function, &d, sizeof d, desc, desc_size) ? nn_add(s, function, build_backward, &d) : s->status;
}
