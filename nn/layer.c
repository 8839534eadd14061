/* Layers of encoders and decoders.
 * SPDX-License-Identifier: MIT */
#include "sequence.h"

#include <string.h>

static bool check_part(vka_nn_sequence *s, const char *field, const vka_nn_attention_desc *d) {
    return nn_is_absent(s, field, "x", &d->x) && nn_is_absent(s, field, "memory", &d->memory) &&
           nn_is_absent(s, field, "values", &d->values) && nn_is_absent(s, field, "residual", &d->residual) &&
           nn_is_absent(s, field, "out", &d->out);
}

static bool check(vka_nn_sequence *s, const vka_nn_layer_desc *d) {
    const vka_nn_feed_forward_desc *f = &d->feed_forward;
    return nn_has_shape(s, "", "x", &d->x, 0, NULL) && nn_has_shape(s, "", "out", &d->out, d->x.rank, d->x.shape) &&
           check_part(s, "self.", &d->self) && (!d->memory.dtype || check_part(s, "cross.", &d->cross)) &&
           nn_is_absent(s, "feed_forward.", "x", &f->x) && nn_is_absent(s, "feed_forward.", "residual", &f->residual) &&
           nn_is_absent(s, "feed_forward.", "out", &f->out);
}

/* A part of a layer: what is inside the residual connection. */
typedef struct part {
    const vka_nn_layer_desc *layer;
    const vka_nn_norm *norm;
    const char *norm_field, *field;
    const vka_nn_attention_desc *attention; /* NULL: the feed-forward network */
    bool cross;
} part;

static void build_part(vka_nn_sequence *s, const part *p, const vka_tensor *x, const vka_tensor *residual,
                       const vka_tensor *out) {
    if (p->attention) {
        vka_nn_attention_desc a = *p->attention;
        a.x = *x;
        a.residual = *residual;
        a.out = *out;
        if (p->cross)
            a.memory = p->layer->memory;
        nn_build_attention(s, p->field, &a);
        return;
    }
    vka_nn_feed_forward_desc f = p->layer->feed_forward;
    f.x = *x;
    f.residual = *residual;
    f.out = *out;
    nn_build_feed_forward(s, p->field, &f);
}

/* h becomes what follows it; `first` and `last`: it comes from the layer's x, and goes to its out. */
static void connect(vka_nn_sequence *s, const part *p, vka_tensor *h, bool first, bool last) {
    const vka_nn_layer_desc *d = p->layer;
    vka_tensor next = last ? d->out : nn_take(s, d->x.dtype, d->x.rank, d->x.shape);
    vka_tensor inner = nn_take(s, d->x.dtype, d->x.rank, d->x.shape);
    if (d->norm_first) {
        nn_build_norm(s, p->norm_field, p->norm, h, &inner);
        build_part(s, p, &inner, h, &next);
    } else {
        build_part(s, p, h, h, &inner);
        nn_build_norm(s, p->norm_field, p->norm, &inner, &next);
    }
    nn_give_back(s, &inner);
    if (!first)
        nn_give_back(s, h);
    *h = next;
}

static void build(vka_nn_sequence *s, const void *desc) {
    const vka_nn_layer_desc *d = desc;
    const part parts[] = {
        {d, &d->norm_self, "norm_self.", "self.", &d->self, false},
        {d, &d->norm_cross, "norm_cross.", "cross.", &d->cross, true},
        {d, &d->norm_feed_forward, "norm_feed_forward.", "feed_forward.", NULL, false},
    };
    if (!check(s, d))
        return;
    vka_tensor h = d->x;
    connect(s, &parts[0], &h, true, false);
    if (d->memory.dtype)
        connect(s, &parts[1], &h, false, false);
    connect(s, &parts[2], &h, false, true);
}

vka_status vka_nn_layer_sized(vka_nn_sequence *s, const vka_nn_layer_desc *desc, size_t desc_size) {
    static const char function[] = "vka_nn_layer";
    vka_nn_layer_desc d;
    if (!s)
        return nn_missing(NULL, "vka_nn_layer.sequence");
    return nn_read(s, function, &d, sizeof d, desc, desc_size) ? nn_add(s, function, build, &d) : s->status;
}
