/* A model of GPT's kind that learns: one recording is a training step, and is submitted for each.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <vkattn/embedding.h>
#include <vkattn/loss.h>
#include <vkattn/nn.h>
#include <vkattn/optim.h>

#include "support/context.h"
#include "support/tensor.h"

enum { BATCH = 2, TOKENS = 9, WIDTH = 12, HEADS = 3, INNER = 20, CLASSES = 11, LAYERS = 2, STEPS = 12 };
enum { MAX_PARAMETERS = 32, NAME_LENGTH = 64 };

typedef struct parameter {
    char name[NAME_LENGTH];
    tensor value, gradient, moments[2];
} parameter;

typedef struct model {
    context c;
    vka_nn_sequence *sequence;
    parameter parameters[MAX_PARAMETERS];
    uint32_t count;
    tensor h[LAYERS + 1], normed, d_h, logits, lse, loss, one, norm_sum, grad_scale;
    vka_buffer *ids, *targets, *step, *kept[LAYERS];
} model;

/* ---- parameters -------------------------------------------------------------------------------------------------- */

static void add_parameter(model *m, ref_rng *rng, const char *prefix, const char *name, uint32_t n0, uint32_t n1) {
    cr_assert_lt(m->count, MAX_PARAMETERS);
    parameter *p = &m->parameters[m->count++];
    const uint32_t shape[] = {n0, n1};
    uint32_t rank = n1 ? 2 : 1;
    snprintf(p->name, sizeof p->name, "%s%s", prefix, name);
    p->value = tensor_create(&m->c, VKA_F32, rank, shape, (layout){0});
    p->gradient = tensor_create(&m->c, VKA_F32, rank, shape, (layout){0});
    tensor_fill_normal(&p->value, rng, strstr(name, "norm") && strstr(name, "weight") ? 1 : 0, n1 ? 0.2f : 0);
    tensor_upload(&p->value);
    for (int i = 0; i < 2; i++) {
        p->moments[i] = tensor_create(&m->c, VKA_F32, rank, shape, (layout){0});
        tensor_upload(&p->moments[i]); /* zeros */
    }
}

static void add_parameters(model *m) {
    ref_rng rng = ref_rng_seed(test_seed());
    add_parameter(m, &rng, "", "tokens.weight", CLASSES, WIDTH);
    add_parameter(m, &rng, "", "positions.weight", TOKENS, WIDTH);
    for (uint32_t i = 0; i < LAYERS; i++) {
        char prefix[16];
        snprintf(prefix, sizeof prefix, "layers.%u.", i);
        add_parameter(m, &rng, prefix, "self_attn.in_proj_weight", 3 * WIDTH, WIDTH);
        add_parameter(m, &rng, prefix, "self_attn.in_proj_bias", 3 * WIDTH, 0);
        add_parameter(m, &rng, prefix, "self_attn.out_proj.weight", WIDTH, WIDTH);
        add_parameter(m, &rng, prefix, "self_attn.out_proj.bias", WIDTH, 0);
        add_parameter(m, &rng, prefix, "linear1.weight", INNER, WIDTH);
        add_parameter(m, &rng, prefix, "linear1.bias", INNER, 0);
        add_parameter(m, &rng, prefix, "linear2.weight", WIDTH, INNER);
        add_parameter(m, &rng, prefix, "linear2.bias", WIDTH, 0);
        add_parameter(m, &rng, prefix, "norm1.weight", WIDTH, 0);
        add_parameter(m, &rng, prefix, "norm1.bias", WIDTH, 0);
        add_parameter(m, &rng, prefix, "norm2.weight", WIDTH, 0);
        add_parameter(m, &rng, prefix, "norm2.bias", WIDTH, 0);
    }
    add_parameter(m, &rng, "", "norm.weight", WIDTH, 0);
    add_parameter(m, &rng, "", "norm.bias", WIDTH, 0);
    add_parameter(m, &rng, "", "head.weight", CLASSES, WIDTH);
}

static const parameter *named(const model *m, const char *name) {
    for (uint32_t i = 0; i < m->count; i++) {
        if (strcmp(m->parameters[i].name, name) == 0) {
            return &m->parameters[i];
        }
    }
    return NULL;
}

static bool find_value(void *user, const char *name, vka_tensor *t) {
    const parameter *p = named(user, name);
    *t = p ? p->value.view : (vka_tensor){0};
    return p != NULL;
}

static bool find_gradient(void *user, const char *name, vka_tensor *t) {
    const parameter *p = named(user, name);
    *t = p ? p->gradient.view : (vka_tensor){0};
    return p != NULL;
}

/* ---- the sequence ------------------------------------------------------------------------------------------------ */

#define ADD(m, OP, ...)                                                                                                \
    EXPECT_OK(vka_nn_operation((m)->sequence, VKA_OPERATION_##OP, &(__VA_ARGS__), sizeof(__VA_ARGS__)))

static vka_tensor ids_of(const model *m, bool targets) {
    return vka_tensor_2d(targets ? m->targets : m->ids, VKA_I32, BATCH, TOKENS);
}

static vka_nn_norm last_norm(const model *m, bool gradient) {
    const parameter *weight = named(m, "norm.weight"), *bias = named(m, "norm.bias");
    return (vka_nn_norm){.kind = VKA_NN_NORM_LAYER,
                         .weight = gradient ? weight->gradient.view : weight->value.view,
                         .bias = gradient ? bias->gradient.view : bias->value.view};
}

static void add_forward(model *m, vka_nn_keep keep, vka_nn_layer_desc layers[LAYERS]) {
    ADD(m, EMBEDDING,
        (vka_embedding_desc){.table = named(m, "tokens.weight")->value.view,
                             .position = named(m, "positions.weight")->value.view,
                             .ids = ids_of(m, false),
                             .out = m->h[0].view});
    for (uint32_t i = 0; i < LAYERS; i++) {
        char prefix[16];
        uint64_t bytes;
        snprintf(prefix, sizeof prefix, "layers.%u.", i);
        layers[i] = (vka_nn_layer_desc){.x = m->h[i].view,
                                        .out = m->h[i + 1].view,
                                        .norm_first = true,
                                        .norm_self.kind = VKA_NN_NORM_LAYER,
                                        .norm_feed_forward.kind = VKA_NN_NORM_LAYER,
                                        .self = {.heads = HEADS, .attention.causal = true},
                                        .feed_forward.activation = VKA_ACTIVATION_GELU,
                                        .keep = keep};
        EXPECT_OK(vka_nn_layer_find(m->sequence, VKA_NN_NAMES_TORCH, prefix, find_value, m, &layers[i]));
        EXPECT_OK(vka_nn_layer_kept_bytes(m->sequence, &layers[i], &bytes));
        if (bytes) {
            EXPECT_OK(vka_buffer_create(m->c.device, &(vka_buffer_desc){.size = bytes}, &m->kept[i]));
            layers[i].kept.buffer = m->kept[i];
        }
        EXPECT_OK(vka_nn_layer(m->sequence, &layers[i]));
    }
    const vka_nn_norm norm = last_norm(m, false);
    EXPECT_OK(vka_nn_normalise(m->sequence, &norm, &m->h[LAYERS].view, &m->normed.view));
    ADD(m, LINEAR,
        (vka_linear_desc){.x = m->normed.view, .weight = named(m, "head.weight")->value.view, .out = m->logits.view});
    ADD(m, CROSS_ENTROPY,
        (vka_cross_entropy_desc){
            .logits = m->logits.view, .targets = ids_of(m, true), .lse = m->lse.view, .total = m->loss.view});
}

/* One tensor serves all layers' gradients, each of which lies where the one before lay. */
static void add_backward(model *m, const vka_nn_layer_desc layers[LAYERS]) {
    ADD(m, CROSS_ENTROPY_BACKWARD,
        (vka_cross_entropy_backward_desc){.logits = m->logits.view,
                                          .targets = ids_of(m, true),
                                          .lse = m->lse.view,
                                          .d_total = m->one.view,
                                          .d_logits = m->logits.view});
    ADD(m, LINEAR_BACKWARD,
        (vka_linear_backward_desc){.x = m->normed.view,
                                   .weight = named(m, "head.weight")->value.view,
                                   .d_out = m->logits.view,
                                   .d_x = m->d_h.view,
                                   .d_weight = named(m, "head.weight")->gradient.view});
    const vka_nn_normalise_backward_desc norm = {.norm = last_norm(m, false),
                                                 .gradient = last_norm(m, true),
                                                 .x = m->h[LAYERS].view,
                                                 .d_out = m->d_h.view,
                                                 .d_x = m->d_h.view};
    EXPECT_OK(vka_nn_normalise_backward(m->sequence, &norm));
    for (uint32_t i = LAYERS; i-- > 0;) {
        char prefix[16];
        snprintf(prefix, sizeof prefix, "layers.%u.", i);
        vka_nn_layer_backward_desc b = {.forward = layers[i], .gradients = {.out = m->d_h.view, .x = m->d_h.view}};
        EXPECT_OK(vka_nn_layer_backward_find(m->sequence, VKA_NN_NAMES_TORCH, prefix, find_gradient, m, &b));
        EXPECT_OK(vka_nn_layer_backward(m->sequence, &b));
    }
    ADD(m, EMBEDDING_BACKWARD,
        (vka_embedding_backward_desc){.ids = ids_of(m, false),
                                      .d_out = m->d_h.view,
                                      .d_table = named(m, "tokens.weight")->gradient.view,
                                      .d_position = named(m, "positions.weight")->gradient.view});
}

static void add_update(model *m) {
    const vka_tensor step = vka_tensor_1d(m->step, VKA_I32, 1);
    for (uint32_t first = 0; first < m->count; first += VKA_MAX_GRADIENTS) {
        vka_gradient_norm_desc d = {.sum = m->norm_sum.view, .accumulate = first > 0, .max_norm = 1};
        for (uint32_t i = first; i < m->count && i < first + VKA_MAX_GRADIENTS; i++) {
            d.gradients[i - first] = m->parameters[i].gradient.view;
        }
        if (first + VKA_MAX_GRADIENTS >= m->count) {
            d.grad_scale = m->grad_scale.view;
            d.step = step;
        }
        ADD(m, GRADIENT_NORM, d);
    }
    for (uint32_t i = 0; i < m->count; i++) {
        const parameter *p = &m->parameters[i];
        ADD(m, ADAMW,
            (vka_adamw_desc){.parameter = p->value.view,
                             .gradient = p->gradient.view,
                             .first_moment = p->moments[0].view,
                             .second_moment = p->moments[1].view,
                             .grad_scale = m->grad_scale.view,
                             .step.tensor = step,
                             .learning_rate = 0.02f,
                             .weight_decay = 0.01f});
    }
}

/* ---- the model --------------------------------------------------------------------------------------------------- */

static tensor empty(model *m, uint32_t rank, uint32_t n0, uint32_t n1, uint32_t n2) {
    return tensor_create(&m->c, VKA_F32, rank, (uint32_t[]){n0, n1, n2}, (layout){0});
}

/* Each token is followed by one that depends on it. */
static void make_text(model *m) {
    int32_t ids[BATCH * TOKENS], targets[BATCH * TOKENS];
    ref_rng rng = ref_rng_seed(test_seed() + 1);
    for (uint32_t i = 0; i < BATCH * TOKENS; i++) {
        ids[i] = i % TOKENS ? targets[i - 1] : (int32_t)ref_rng_below(&rng, CLASSES);
        targets[i] = (ids[i] * 3 + 2) % CLASSES;
    }
    const int32_t *const values[] = {ids, targets};
    vka_buffer **const buffers[] = {&m->ids, &m->targets};
    for (int i = 0; i < 2; i++) {
        EXPECT_OK(vka_buffer_create(m->c.device, &(vka_buffer_desc){.size = sizeof ids}, buffers[i]));
        EXPECT_OK(vka_buffer_write(*buffers[i], 0, values[i], sizeof ids));
    }
    EXPECT_OK(vka_buffer_create(m->c.device, &(vka_buffer_desc){.size = sizeof *ids}, &m->step));
    EXPECT_OK(vka_buffer_write(m->step, 0, &(int32_t){0}, sizeof *ids));
}

static void open_model(model *m, vka_nn_keep keep) {
    vka_nn_layer_desc layers[LAYERS];
    *m = (model){.count = 0};
    context_open(&m->c, &config_real);
    add_parameters(m);
    make_text(m);
    for (uint32_t i = 0; i <= LAYERS; i++) {
        m->h[i] = empty(m, 3, BATCH, TOKENS, WIDTH);
    }
    m->normed = empty(m, 3, BATCH, TOKENS, WIDTH);
    m->d_h = empty(m, 3, BATCH, TOKENS, WIDTH);
    m->logits = empty(m, 3, BATCH, TOKENS, CLASSES);
    m->lse = empty(m, 2, BATCH, TOKENS, 0);
    m->loss = empty(m, 1, 1, 0, 0);
    m->one = empty(m, 1, 1, 0, 0);
    m->norm_sum = empty(m, 1, 1, 0, 0);
    m->grad_scale = empty(m, 1, 1, 0, 0);
    m->one.values[0] = 1;
    tensor_upload(&m->one);
    EXPECT_OK(vka_nn_sequence_create(m->c.device, &(vka_nn_sequence_desc){.log = log_capture()}, &m->sequence));
    add_forward(m, keep, layers);
    add_backward(m, layers);
    add_update(m);
}

static void close_model(model *m) {
    tensor *const all[] = {&m->normed, &m->d_h, &m->logits, &m->lse, &m->loss, &m->one, &m->norm_sum, &m->grad_scale};
    vka_nn_sequence_destroy(&m->sequence);
    for (uint32_t i = 0; i < m->count; i++) {
        tensor_destroy(&m->parameters[i].value);
        tensor_destroy(&m->parameters[i].gradient);
        tensor_destroy(&m->parameters[i].moments[0]);
        tensor_destroy(&m->parameters[i].moments[1]);
    }
    for (uint32_t i = 0; i < sizeof all / sizeof *all; i++) {
        tensor_destroy(all[i]);
    }
    for (uint32_t i = 0; i <= LAYERS; i++) {
        tensor_destroy(&m->h[i]);
    }
    for (uint32_t i = 0; i < LAYERS; i++) {
        vka_buffer_destroy(&m->kept[i]);
    }
    vka_buffer_destroy(&m->ids);
    vka_buffer_destroy(&m->targets);
    vka_buffer_destroy(&m->step);
    context_close(&m->c);
}

/* What is left of a training. */
typedef struct trained {
    float losses[STEPS], values[8192];
    size_t count;
    int32_t step;
} trained;

/* Steps of one recording. */
static void train(trained *t, vka_nn_keep keep) {
    static model m;
    open_model(&m, keep);
    EXPECT_OK(vka_recorder_begin(m.c.recorder));
    EXPECT_OK(vka_nn_sequence_record(m.c.recorder, m.sequence));
    for (uint32_t i = 0; i < STEPS; i++) {
        tensor_poison(&m.loss);
        context_finish(&m.c);
        cr_assert(tensor_download(&m.loss));
        t->losses[i] = m.loss.values[0];
    }
    t->count = 0;
    for (uint32_t i = 0; i < m.count; i++) {
        tensor *value = &m.parameters[i].value;
        cr_assert(tensor_download(value));
        cr_assert_leq(t->count + value->count, sizeof t->values / sizeof *t->values);
        memcpy(t->values + t->count, value->values, value->count * sizeof *value->values);
        t->count += value->count;
    }
    EXPECT_OK(vka_buffer_read(m.step, 0, &t->step, sizeof t->step));
    close_model(&m);
}

/* It learns; and step by step it learns the same from what was kept and from inputs. */
Test(training, one_recording) {
    static trained kept, computed;
    train(&kept, VKA_NN_KEEP_RESULTS);
    train(&computed, VKA_NN_KEEP_INPUTS);
    float first = kept.losses[0], last = kept.losses[STEPS - 1];
    cr_expect(fabs((double)first - log(CLASSES)) < 1, "at first, when nothing is known, the loss is %g", (double)first);
    cr_expect(last < first / 2, "after %d steps the loss is %g", STEPS, (double)last);
    cr_expect_eq(kept.step, STEPS, "no step is left out");
    cr_expect(!memcmp(kept.losses, computed.losses, sizeof kept.losses), "losses differ with checkpoints");
    cr_expect(!memcmp(kept.values, computed.values, kept.count * sizeof *kept.values),
              "parameters differ with checkpoints");
}
