/* Layers of encoders and decoders.
 * SPDX-License-Identifier: MIT */
#include "sequence.h"

#include <stdio.h>
#include <string.h>

/* ---- checks ---------------------------------------------------------------------------------------------------------- */

static bool keeps_nothing(vka_nn_sequence *s, const char *field, vka_nn_keep keep) {
    char item[96];
    snprintf(item, sizeof item, "%skeep", field);
    if (keep)
        nn_refuse(s, item, "must be 0: the layer's own says what is kept");
    return !keep;
}

static bool check_attention(vka_nn_sequence *s, const char *field, const vka_nn_attention_desc *d) {
    return nn_is_absent(s, field, "x", &d->x) && nn_is_absent(s, field, "memory", &d->memory) &&
           nn_is_absent(s, field, "values", &d->values) && nn_is_absent(s, field, "residual", &d->residual) &&
           nn_is_absent(s, field, "out", &d->out) && keeps_nothing(s, field, d->keep);
}

static bool check(vka_nn_sequence *s, const vka_nn_layer_desc *d) {
    const vka_nn_feed_forward_desc *f = &d->feed_forward;
    return nn_has_shape(s, "", "x", &d->x, 0, NULL) &&
           (s->backward || nn_has_shape(s, "", "out", &d->out, d->x.rank, d->x.shape)) &&
           nn_is_not_x(s, "", &d->x, &d->out) && check_attention(s, "self.", &d->self) &&
           (!d->memory.dtype || check_attention(s, "cross.", &d->cross)) &&
           nn_is_absent(s, "feed_forward.", "x", &f->x) && nn_is_absent(s, "feed_forward.", "residual", &f->residual) &&
           nn_is_absent(s, "feed_forward.", "out", &f->out) && keeps_nothing(s, "feed_forward.", f->keep);
}

/* ---- parts ----------------------------------------------------------------------------------------------------------- */

/* A part of a layer, what is inside a residual connection: its fields, which are those of its gradients too. */
typedef enum part { SELF, CROSS, FEED_FORWARD, PARTS } part;

static const vka_nn_norm *norm_of(const vka_nn_layer_desc *d, part p) {
    return p == SELF ? &d->norm_self : p == CROSS ? &d->norm_cross : &d->norm_feed_forward;
}

static const char *const norm_fields[PARTS] = {"norm_self.", "norm_cross.", "norm_feed_forward."};
static const char *const fields[PARTS] = {"self.", "cross.", "feed_forward."};

static vka_nn_attention_desc attention_of(const vka_nn_layer_desc *d, part p, const vka_tensor *x,
                                          const vka_tensor *out) {
    vka_nn_attention_desc a = p == SELF ? d->self : d->cross;
    a.x = *x;
    a.out = *out;
    if (p == CROSS)
        a.memory = d->memory;
    return a;
}

static vka_nn_feed_forward_desc feed_forward_of(const vka_nn_layer_desc *d, const vka_tensor *x,
                                                const vka_tensor *out) {
    vka_nn_feed_forward_desc f = d->feed_forward;
    f.x = *x;
    f.out = *out;
    return f;
}

/* What forward leaves of a part. */
typedef struct part_results {
    vka_tensor h, inner; /* what it begins with; what the norm makes, or is given */
    nn_attention_results attention;
    nn_feed_forward_results feed_forward;
} part_results;

static vka_tensor take_h(vka_nn_sequence *s, const vka_nn_layer_desc *d,
                         vka_tensor (*take)(vka_nn_sequence *, vka_dtype, uint32_t, const uint32_t *)) {
    return take(s, d->x.dtype, d->x.rank, d->x.shape);
}

/* ---- forward --------------------------------------------------------------------------------------------------------- */

static void build_part(vka_nn_sequence *s, const vka_nn_layer_desc *d, part p, const vka_tensor *x,
                       const vka_tensor *residual, const vka_tensor *out, part_results *r) {
    if (p == FEED_FORWARD) {
        vka_nn_feed_forward_desc f = feed_forward_of(d, x, out);
        f.residual = *residual;
        nn_build_feed_forward(s, fields[p], &f, &r->feed_forward);
    } else {
        vka_nn_attention_desc a = attention_of(d, p, x, out);
        a.residual = *residual;
        nn_build_attention(s, fields[p], &a, &r->attention);
    }
}

/* h becomes what follows it. The last part goes to the layer's out, which backward passes don't need. */
static void connect(vka_nn_sequence *s, const vka_nn_layer_desc *d, part p, vka_tensor *h, part_results *r) {
    vka_tensor next = p == FEED_FORWARD ? d->out : take_h(s, d, nn_take_kept);
    r->h = *h;
    r->inner = take_h(s, d, nn_take_kept);
    if (d->norm_first) {
        nn_build_norm(s, norm_fields[p], norm_of(d, p), h, &r->inner);
        build_part(s, d, p, &r->inner, h, &next, r);
    } else {
        build_part(s, d, p, h, h, &r->inner, r);
        if (nn_normalises(s, norm_fields[p], norm_of(d, p)) && next.dtype)
            nn_build_norm(s, norm_fields[p], norm_of(d, p), &r->inner, &next);
    }
    nn_give_back_kept(s, &r->inner);
    if (p != SELF)
        nn_give_back_kept(s, h);
    *h = next;
}

static void build_layer(vka_nn_sequence *s, const vka_nn_layer_desc *d, part_results r[PARTS]) {
    if (!check(s, d))
        return;
    vka_tensor h = d->x;
    for (part p = SELF; p < PARTS; ++p)
        if (p != CROSS || d->memory.dtype)
            connect(s, d, p, &h, &r[p]);
}

static void build(vka_nn_sequence *s, const void *desc) {
    const vka_nn_layer_desc *d = desc;
    part_results r[PARTS];
    if (nn_begin_forward(s, d->keep, &d->kept))
        build_layer(s, d, r);
}

vka_status vka_nn_layer_sized(vka_nn_sequence *s, const vka_nn_layer_desc *desc, size_t desc_size) {
    static const char function[] = "vka_nn_layer";
    vka_nn_layer_desc d;
    if (!s)
        return nn_missing(NULL, "vka_nn_layer.sequence");
    return nn_read(s, function, &d, sizeof d, desc, desc_size) ? nn_add(s, function, build, &d) : s->status;
}

vka_status vka_nn_layer_kept_bytes_sized(vka_nn_sequence *s, const vka_nn_layer_desc *desc, size_t desc_size,
                                         uint64_t *bytes) {
    static const char function[] = "vka_nn_layer_kept_bytes";
    vka_nn_layer_desc d;
    if (!s)
        return nn_missing(NULL, "vka_nn_layer_kept_bytes.sequence");
    return nn_read(s, function, &d, sizeof d, desc, desc_size) ? nn_measure(s, function, build, &d, bytes) : s->status;
}

/* ---- backward -------------------------------------------------------------------------------------------------------- */

static void part_backward(vka_nn_sequence *s, const vka_nn_layer_backward_desc *b, part p, const vka_tensor *x,
                          const vka_tensor *d_x, const vka_tensor *d_out, const vka_tensor *added,
                          const part_results *r) {
    static const vka_tensor none;
    if (p == FEED_FORWARD) {
        const vka_nn_feed_forward_desc f = feed_forward_of(&b->forward, x, &none);
        const vka_nn_feed_forward_desc g = feed_forward_of(&b->gradients, d_x, d_out);
        nn_feed_forward_backward(s, &f, &g, &r->feed_forward, added);
    } else {
        const vka_nn_attention_desc a = attention_of(&b->forward, p, x, &none);
        const vka_nn_attention_desc g = attention_of(&b->gradients, p, d_x, d_out);
        nn_attention_backward(s, &a, &g, &r->attention, added);
    }
}

/* d_h becomes the gradient of what the part begins with: the residual connection's and the part's own. */
static void connect_backward(vka_nn_sequence *s, const vka_nn_layer_backward_desc *b, part p, vka_tensor *d_h,
                             const part_results *r) {
    static const vka_tensor none;
    const vka_nn_layer_desc *d = &b->forward;
    const vka_nn_norm *norm = norm_of(d, p), *gradient = norm_of(&b->gradients, p);
    vka_tensor before = p == SELF ? b->gradients.x : take_h(s, d, nn_take);
    vka_tensor d_inner = take_h(s, d, nn_take);
    if (d->norm_first) {
        part_backward(s, b, p, &r->inner, &d_inner, d_h, NULL, r);
        nn_norm_backward(s, norm_fields[p], norm, gradient, &r->h, &d_inner, before.dtype ? d_h : &none, &before);
    } else {
        nn_norm_backward(s, norm_fields[p], norm, gradient, &r->inner, d_h, &none, &d_inner);
        part_backward(s, b, p, &r->h, &before, &d_inner, &d_inner, r);
    }
    nn_give_back(s, &d_inner);
    if (p != FEED_FORWARD)
        nn_give_back(s, d_h);
    *d_h = before;
}

static bool check_gradients(vka_nn_sequence *s, const vka_nn_layer_backward_desc *b) {
    const vka_nn_layer_desc *d = &b->forward, *g = &b->gradients;
    if (!nn_has_gradients(s, &d->x, &g->x, &g->out))
        return false;
    if (!d->memory.dtype)
        return nn_is_absent(s, "", "memory", &g->memory);
    return !g->memory.dtype || nn_has_shape(s, "", "memory", &g->memory, d->memory.rank, d->memory.shape);
}

static void build_backward(vka_nn_sequence *s, const void *desc) {
    const vka_nn_layer_backward_desc *b = desc;
    vka_nn_layer_desc forward = b->forward;
    part_results r[PARTS];
    forward.out.dtype = VKA_DTYPE_INVALID;
    if (!nn_begin_backward(s, forward.keep, &forward.kept, b->accumulate))
        return;
    build_layer(s, &forward, r);
    nn_end_forward(s);
    s->accumulate_memory = b->accumulate_memory;
    if (s->status != VKA_OK || !check_gradients(s, b))
        return;
    vka_tensor d_h = b->gradients.out;
    for (part p = PARTS; p-- > SELF;)
        if (p != CROSS || forward.memory.dtype)
            connect_backward(s, b, p, &d_h, &r[p]);
}

vka_status vka_nn_layer_backward_sized(vka_nn_sequence *s, const vka_nn_layer_backward_desc *desc, size_t desc_size) {
    static const char function[] = "vka_nn_layer_backward";
    vka_nn_layer_backward_desc d;
    if (!s)
        return nn_missing(NULL, "vka_nn_layer_backward.sequence");
    return nn_read(s, function, &d, sizeof d, desc, desc_size) ? nn_add(s, function, build_backward, &d) : s->status;
}
