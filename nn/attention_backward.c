/* Multi-head attention, backward.
 * SPDX-License-Identifier: MIT */
#include "sequence.h"

static bool is_wanted(const vka_nn_linear *gradient) {
    return gradient->weight.dtype || gradient->bias.dtype;
}

/* ---- gradients of inputs ------------------------------------------------------------------------------------------- */

/* The gradient of an input, to which several projections may add. */
typedef struct input_gradient {
    const vka_tensor *input, *gradient;
    bool started; /* it holds something that counts */
} input_gradient;

/* Whose input is the layer's `input`. */
static input_gradient *find_input(input_gradient inputs[3], const vka_tensor *input) {
    uint32_t i = 0;
    while (inputs[i].input != input)
        ++i;
    return &inputs[i];
}

static void project_backward(vka_nn_sequence *s, const nn_projection *p, input_gradient *input) {
    vka_tensor part = *input->gradient;
    bool add = part.dtype && input->started;
    if (add)
        part = nn_take(s, part.dtype, part.rank, part.shape);
    nn_project_backward(s, &p->linear, &p->gradient, p->input, VKA_ACTIVATION_NONE, NULL, &p->out, &part);
    if (add) {
        nn_add_to(s, input->gradient, &part);
        nn_give_back(s, &part);
    }
    input->started = true;
}

/* ---- gradients of attention ------------------------------------------------------------------------------------------ */

/* A gradient that attention overwrites: where there is something to add to, it is computed elsewhere. */
static vka_tensor take_option(vka_nn_sequence *s, const vka_tensor *gradient) {
    return gradient->dtype && s->accumulate ? nn_take(s, gradient->dtype, gradient->rank, gradient->shape) : *gradient;
}

static void add_option(vka_nn_sequence *s, const vka_tensor *gradient, const vka_tensor *computed) {
    if (!gradient->dtype || !s->accumulate)
        return;
    nn_add_to(s, gradient, computed);
    nn_give_back(s, computed);
}

static void rotate_back(vka_nn_sequence *s, const vka_nn_attention_desc *d, const vka_tensor *x) {
    const vka_rope_desc r = {.x = *x, .out = *x, .options = d->rope, .inverse = true};
    if (d->rotate && x->dtype)
        nn_operation(s, VKA_OPERATION_ROPE, &r, sizeof r);
}

/* From the gradient of its result to those of queries, keys and values. */
static void attend_backward(vka_nn_sequence *s, const vka_nn_attention_desc *d, const vka_nn_attention_desc *g,
                            const nn_attention_results *r, const vka_tensor *d_merged, const vka_tensor heads[3]) {
    const vka_attention_desc *options = &g->attention;
    vka_attention_backward_desc b = {.forward = r->attention,
                                     .d_out = nn_heads_of(d_merged, 0, r->sizes.heads, r->sizes.value_dim),
                                     .d_q = heads[0],
                                     .d_k = heads[1],
                                     .d_v = heads[2],
                                     .d_mask = take_option(s, &options->mask),
                                     .d_alibi_slopes = take_option(s, &options->alibi_slopes),
                                     .d_relative_bias = take_option(s, &options->relative_bias),
                                     .d_sinks = take_option(s, &options->sinks)};
    nn_run(s, VKA_OPERATION_ATTENTION_BACKWARD, &b, sizeof b, &b.workspace);
    add_option(s, &options->mask, &b.d_mask);
    add_option(s, &options->alibi_slopes, &b.d_alibi_slopes);
    add_option(s, &options->relative_bias, &b.d_relative_bias);
    add_option(s, &options->sinks, &b.d_sinks);
    rotate_back(s, d, &heads[0]);
    rotate_back(s, d, &heads[1]);
}

/* ---- the layer --------------------------------------------------------------------------------------------------------- */

/* Memory for the gradients of queries, keys and values, of those that are wanted; returns whether any is. */
static bool take_heads(vka_nn_sequence *s, const vka_nn_attention_desc *d, const nn_attention_sizes *n,
                       nn_projection p[3], uint32_t count, input_gradient inputs[3], vka_tensor heads[3]) {
    bool any = false;
    for (uint32_t i = 0; i < count; ++i)
        if (is_wanted(&p[i].gradient) || find_input(inputs, p[i].input)->gradient->dtype) {
            p[i].out = nn_take(s, d->x.dtype, 3, (uint32_t[]){n->batch, p[i].rows, p[i].columns});
            any = true;
        }
    nn_find_heads(p, count, n, heads);
    return any;
}

static bool wants_options(const vka_attention_desc *g) {
    return g->mask.dtype || g->alibi_slopes.dtype || g->relative_bias.dtype || g->sinks.dtype;
}

void nn_attention_backward(vka_nn_sequence *s, const vka_nn_attention_desc *d, const vka_nn_attention_desc *g,
                           const nn_attention_results *r, const vka_tensor *added) {
    static const vka_tensor none;
    const nn_attention_sizes *n = &r->sizes;
    nn_projection p[3];
    vka_tensor heads[3];
    input_gradient inputs[] = {{&d->x, &g->x, false},
                               {&d->memory, &g->memory, s->accumulate_memory},
                               {&d->values, &g->values, s->accumulate_memory}};
    if (s->status != VKA_OK)
        return;
    uint32_t count = nn_list_projections(d, g, n, p);
    bool through = take_heads(s, d, n, p, count, inputs, heads) || wants_options(&g->attention);
    vka_tensor d_merged = through ? nn_take(s, d->x.dtype, 3, r->merged.shape) : none;
    nn_project_backward(s, &d->projection, &g->projection, &r->merged, VKA_ACTIVATION_NONE, NULL, &g->out, &d_merged);
    if (through) {
        attend_backward(s, d, g, r, &d_merged, heads);
        nn_give_back(s, &d_merged);
    }
    for (uint32_t i = 0; i < count; ++i)
        if (p[i].out.dtype) {
            project_backward(s, &p[i], find_input(inputs, p[i].input));
            nn_give_back(s, &p[i].out);
        }
    if (added && g->x.dtype)
        nn_add_to(s, &g->x, added);
}

static bool check_input(vka_nn_sequence *s, const char *name, const vka_tensor *input, const vka_tensor *gradient) {
    if (!input->dtype)
        return nn_is_absent(s, "", name, gradient);
    return !gradient->dtype || nn_has_shape(s, "", name, gradient, input->rank, input->shape);
}

static bool check(vka_nn_sequence *s, const vka_nn_attention_desc *d, const vka_nn_attention_desc *g) {
    return nn_has_gradients(s, &d->x, &g->x, &g->out) && check_input(s, "memory", &d->memory, &g->memory) &&
           check_input(s, "values", &d->values, &g->values);
}

static void build(vka_nn_sequence *s, const void *desc) {
    const vka_nn_attention_backward_desc *b = desc;
    vka_nn_attention_desc forward = b->forward;
    nn_attention_results r;
    forward.out.dtype = VKA_DTYPE_INVALID;
    if (!nn_begin_backward(s, forward.keep, &forward.kept, b->accumulate))
        return;
    nn_build_attention(s, "", &forward, &r);
    nn_end_forward(s);
    s->accumulate_memory = b->accumulate_memory;
    if (s->status == VKA_OK && check(s, &forward, &b->gradients))
        nn_attention_backward(s, &forward, &b->gradients, &r, NULL);
}

vka_status vka_nn_attention_backward_sized(vka_nn_sequence *s, const vka_nn_attention_backward_desc *desc,
                                           size_t desc_size) {
    static const char function[] = "vka_nn_attention_backward";
    vka_nn_attention_backward_desc d;
    if (!s)
        return nn_missing(NULL, "vka_nn_attention_backward.sequence");
    return nn_read(s, function, &d, sizeof d, desc, desc_size) ? nn_add(s, function, build, &d) : s->status;
}
