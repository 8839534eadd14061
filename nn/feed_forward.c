/* Feed-forward networks.
 * SPDX-License-Identifier: MIT */
#include "sequence.h"

#include <string.h>

#include <vkattn/elementwise.h>

static bool check(vka_nn_sequence *s, const char *field, const vka_nn_feed_forward_desc *d) {
    if (!nn_has_shape(s, field, "x", &d->x, 0, NULL) || !nn_has_shape(s, field, "up.weight", &d->up.weight, 0, NULL))
        return false;
    uint32_t width = d->x.shape[d->x.rank - 1], inner = d->up.weight.shape[0];
    return nn_has_shape(s, field, "up.weight", &d->up.weight, 2, (uint32_t[]){inner, width}) &&
           (!d->gate.weight.dtype ||
            nn_has_shape(s, field, "gate.weight", &d->gate.weight, 2, (uint32_t[]){inner, width})) &&
           nn_has_shape(s, field, "down.weight", &d->down.weight, 2, (uint32_t[]){width, inner}) &&
           (s->backward || nn_has_shape(s, field, "out", &d->out, d->x.rank, d->x.shape)) &&
           nn_is_not_x(s, field, &d->x, &d->out);
}

/* ---- forward --------------------------------------------------------------------------------------------------------- */

static vka_tensor take_inner(vka_nn_sequence *s, const vka_nn_feed_forward_desc *d,
                             vka_tensor (*take)(vka_nn_sequence *, vka_dtype, uint32_t, const uint32_t *)) {
    uint32_t shape[VKA_MAX_RANK];
    memcpy(shape, d->x.shape, sizeof shape);
    shape[d->x.rank - 1] = d->up.weight.shape[0];
    return take(s, d->x.dtype, d->x.rank, shape);
}

static bool is_gated(const vka_nn_feed_forward_desc *d) {
    return d->gate.weight.dtype;
}

/* What `down` is given; where backward will read what that is made of it lies elsewhere. */
static vka_tensor activate(vka_nn_sequence *s, const vka_nn_feed_forward_desc *d, const nn_feed_forward_results *r) {
    vka_tensor inner = r->up;
    if (!is_gated(d) && (!s->keep || !d->activation))
        return inner;
    if (s->keep)
        inner = take_inner(s, d, nn_take);
    if (is_gated(d)) {
        const vka_glu_desc glu = {.gate = r->gate, .up = r->up, .out = inner, .activation = d->activation};
        nn_operation(s, VKA_OPERATION_GLU, &glu, sizeof glu);
    } else {
        const vka_map_desc map = {.x = r->up, .out = inner, .activation = d->activation};
        nn_operation(s, VKA_OPERATION_MAP, &map, sizeof map);
    }
    return inner;
}

static void give_back_inner(vka_nn_sequence *s, const vka_nn_feed_forward_desc *d, const vka_tensor *inner) {
    if (s->keep && (is_gated(d) || d->activation))
        nn_give_back(s, inner);
}

/* Without a backward pass the activation is the product's, and up is already what it makes. */
void nn_build_feed_forward(vka_nn_sequence *s, const char *field, const vka_nn_feed_forward_desc *d,
                           nn_feed_forward_results *r) {
    *r = (nn_feed_forward_results){0};
    if (!check(s, field, d))
        return;
    r->up = take_inner(s, d, nn_take_kept);
    nn_project(s, &d->up, &d->x, is_gated(d) || s->keep ? VKA_ACTIVATION_NONE : d->activation, NULL, &r->up);
    if (is_gated(d)) {
        r->gate = take_inner(s, d, nn_take_kept);
        nn_project(s, &d->gate, &d->x, VKA_ACTIVATION_NONE, NULL, &r->gate);
    }
    if (d->out.dtype) {
        vka_tensor inner = activate(s, d, r);
        nn_project(s, &d->down, &inner, VKA_ACTIVATION_NONE, d->residual.dtype ? &d->residual : NULL, &d->out);
        give_back_inner(s, d, &inner);
    }
    if (is_gated(d))
        nn_give_back_kept(s, &r->gate);
    nn_give_back_kept(s, &r->up);
}

static void build(vka_nn_sequence *s, const void *desc) {
    const vka_nn_feed_forward_desc *d = desc;
    nn_feed_forward_results r;
    if (nn_begin_forward(s, d->keep, &d->kept))
        nn_build_feed_forward(s, "", d, &r);
}

vka_status vka_nn_feed_forward_sized(vka_nn_sequence *s, const vka_nn_feed_forward_desc *desc, size_t desc_size) {
    static const char function[] = "vka_nn_feed_forward";
    vka_nn_feed_forward_desc d;
    if (!s)
        return nn_missing(NULL, "vka_nn_feed_forward.sequence");
    return nn_read(s, function, &d, sizeof d, desc, desc_size) ? nn_add(s, function, build, &d) : s->status;
}

vka_status vka_nn_feed_forward_kept_bytes_sized(vka_nn_sequence *s, const vka_nn_feed_forward_desc *desc,
                                                size_t desc_size, uint64_t *bytes) {
    static const char function[] = "vka_nn_feed_forward_kept_bytes";
    vka_nn_feed_forward_desc d;
    if (!s)
        return nn_missing(NULL, "vka_nn_feed_forward_kept_bytes.sequence");
    return nn_read(s, function, &d, sizeof d, desc, desc_size) ? nn_measure(s, function, build, &d, bytes) : s->status;
}

/* ---- backward -------------------------------------------------------------------------------------------------------- */

/* Of two products with the same x the second one's gradient is added to the first one's. */
static void gate_backward(vka_nn_sequence *s, const vka_nn_feed_forward_desc *d, const vka_nn_feed_forward_desc *g,
                          const nn_feed_forward_results *r, const vka_tensor *d_inner) {
    vka_tensor d_up = take_inner(s, d, nn_take), part = g->x;
    const vka_glu_backward_desc glu = {.gate = r->gate,
                                       .up = r->up,
                                       .d_out = *d_inner,
                                       .d_gate = *d_inner,
                                       .d_up = d_up,
                                       .activation = d->activation};
    nn_operation(s, VKA_OPERATION_GLU_BACKWARD, &glu, sizeof glu);
    nn_project_backward(s, &d->up, &g->up, &d->x, VKA_ACTIVATION_NONE, NULL, &d_up, &g->x);
    nn_give_back(s, &d_up);
    if (part.dtype)
        part = nn_take(s, part.dtype, part.rank, part.shape);
    nn_project_backward(s, &d->gate, &g->gate, &d->x, VKA_ACTIVATION_NONE, NULL, d_inner, &part);
    if (part.dtype) {
        nn_add_to(s, &g->x, &part);
        nn_give_back(s, &part);
    }
}

void nn_feed_forward_backward(vka_nn_sequence *s, const vka_nn_feed_forward_desc *d,
                              const vka_nn_feed_forward_desc *g, const nn_feed_forward_results *r,
                              const vka_tensor *added) {
    static const vka_tensor none;
    bool through = g->x.dtype || g->up.weight.dtype || g->up.bias.dtype || g->gate.weight.dtype || g->gate.bias.dtype;
    if (s->status != VKA_OK)
        return;
    vka_tensor inner = activate(s, d, r), d_inner = through ? take_inner(s, d, nn_take) : none;
    nn_project_backward(s, &d->down, &g->down, &inner, VKA_ACTIVATION_NONE, NULL, &g->out, &d_inner);
    give_back_inner(s, d, &inner);
    if (!through)
        return;
    if (is_gated(d))
        gate_backward(s, d, g, r, &d_inner);
    else
        nn_project_backward(s, &d->up, &g->up, &d->x, d->activation, &r->up, &d_inner, &g->x);
    nn_give_back(s, &d_inner);
    if (added && g->x.dtype)
        nn_add_to(s, &g->x, added);
}

static void build_backward(vka_nn_sequence *s, const void *desc) {
    const vka_nn_feed_forward_backward_desc *b = desc;
    vka_nn_feed_forward_desc forward = b->forward;
    nn_feed_forward_results r;
    forward.out.dtype = VKA_DTYPE_INVALID;
    if (!nn_begin_backward(s, forward.keep, &forward.kept, b->accumulate))
        return;
    nn_build_feed_forward(s, "", &forward, &r);
    nn_end_forward(s);
    if (s->status == VKA_OK && nn_has_gradients(s, &forward.x, &b->gradients.x, &b->gradients.out))
        nn_feed_forward_backward(s, &forward, &b->gradients, &r, NULL);
}

vka_status vka_nn_feed_forward_backward_sized(vka_nn_sequence *s, const vka_nn_feed_forward_backward_desc *desc,
                                              size_t desc_size) {
    static const char function[] = "vka_nn_feed_forward_backward";
    vka_nn_feed_forward_backward_desc d;
    if (!s)
        return nn_missing(NULL, "vka_nn_feed_forward_backward.sequence");
    return nn_read(s, function, &d, sizeof d, desc, desc_size) ? nn_add(s, function, build_backward, &d) : s->status;
}
