/* Layers: a decoder layer of Llama's kind in one go and token by token, names, memory, and what is refused. PyTorch's
 * layers are among the cases of vkattn-conformance.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <vkattn/loss.h>
#include <vkattn/nn.h>

#include "support/context.h"
#include "support/intercept.h"
#include "support/tensor.h"

enum { BATCH = 2, TOKENS = 7, WIDTH = 24, HEADS = 4, KV_HEADS = 2, DIM = 6, INNER = 40, CAPACITY = 16 };
enum { NORM_SELF, Q, K, V, O, NORM_FEED_FORWARD, GATE, UP, DOWN, PARAMETERS };

#define real       double
#define NAME(name) name##_f64
#include "llama_reference.inc"
#undef real
#undef NAME
#define real       float
#define NAME(name) name##_f32
#include "llama_reference.inc"
#undef real
#undef NAME

static const struct {
    const char *name;
    uint32_t rank, shape[2];
} parameters[PARAMETERS] = {
    [NORM_SELF] = {"input_layernorm.weight", 1, {WIDTH}},
    [Q] = {"self_attn.q_proj.weight", 2, {HEADS * DIM, WIDTH}},
    [K] = {"self_attn.k_proj.weight", 2, {KV_HEADS * DIM, WIDTH}},
    [V] = {"self_attn.v_proj.weight", 2, {KV_HEADS * DIM, WIDTH}},
    [O] = {"self_attn.o_proj.weight", 2, {WIDTH, HEADS *DIM}},
    [NORM_FEED_FORWARD] = {"post_attention_layernorm.weight", 1, {WIDTH}},
    [GATE] = {"mlp.gate_proj.weight", 2, {INNER, WIDTH}},
    [UP] = {"mlp.up_proj.weight", 2, {INNER, WIDTH}},
    [DOWN] = {"mlp.down_proj.weight", 2, {WIDTH, INNER}},
};

typedef struct model {
    context c;
    tensor weight[PARAMETERS], x, out;
    vka_nn_sequence *sequence;
    uint32_t missing; /* a parameter that is not found */
} model;

static bool find(void *user, const char *name, vka_tensor *t) {
    const model *m = user;
    static const char prefix[] = "model.layers.3.";
    if (strncmp(name, prefix, strlen(prefix)) != 0) {
        return false;
    }
    for (uint32_t i = 0; i < PARAMETERS; i++) {
        if (strcmp(name + strlen(prefix), parameters[i].name) == 0 && i != m->missing) {
            *t = m->weight[i].view;
            return true;
        }
    }
    return false;
}

static tensor filled(model *m, ref_rng *rng, uint32_t rank, const uint32_t *shape, float deviation) {
    tensor t = tensor_create(&m->c, VKA_F32, rank, shape, (layout){0});
    tensor_fill_normal(&t, rng, rank == 1 ? 1 : 0, deviation);
    tensor_upload(&t);
    return t;
}

static void open_model(model *m, uint32_t tokens) {
    ref_rng rng = ref_rng_seed(test_seed());
    *m = (model){.missing = PARAMETERS};
    context_open(&m->c, &config_real);
    for (uint32_t i = 0; i < PARAMETERS; i++) {
        m->weight[i] = filled(m, &rng, parameters[i].rank, parameters[i].shape, parameters[i].rank == 1 ? 0.1f : 0.3f);
    }
    m->x = filled(m, &rng, 3, (uint32_t[]){BATCH, tokens, WIDTH}, 1);
    m->out = tensor_create(&m->c, VKA_F32, 3, (uint32_t[]){BATCH, tokens, WIDTH}, (layout){0});
    EXPECT_OK(vka_nn_sequence_create(m->c.device, &(vka_nn_sequence_desc){.log = log_capture()}, &m->sequence));
}

static void close_model(model *m) {
    vka_nn_sequence_destroy(&m->sequence);
    for (uint32_t i = 0; i < PARAMETERS; i++) {
        tensor_destroy(&m->weight[i]);
    }
    tensor_destroy(&m->x);
    tensor_destroy(&m->out);
    context_close(&m->c);
}

static vka_nn_layer_desc describe(model *m) {
    vka_nn_layer_desc d = {
        .x = m->x.view,
        .out = m->out.view,
        .norm_first = true,
        .norm_self.kind = VKA_NN_NORM_RMS,
        .norm_feed_forward.kind = VKA_NN_NORM_RMS,
        .self = {.heads = HEADS, .kv_heads = KV_HEADS, .rotate = true, .attention.causal = true},
        .feed_forward.activation = VKA_ACTIVATION_SILU,
    };
    EXPECT_OK(vka_nn_layer_find(m->sequence, VKA_NN_NAMES_LLAMA, "model.layers.3.", find, m, &d));
    return d;
}

/* ---- results ----------------------------------------------------------------------------------------------------- */

/* `x`: all tokens of a sequence; out: those from `first` on, so many, of the sequence `batch`. */
static void compare(const model *m, uint32_t batch, const float *x, uint32_t first, uint32_t count) {
    static double want[TOKENS * WIDTH];
    static float naive[TOKENS * WIDTH];
    const float *w[PARAMETERS];
    ref_error e = {0};
    for (uint32_t i = 0; i < PARAMETERS; i++) {
        w[i] = m->weight[i].values;
    }
    layer_f64(w, x, want);
    layer_f32(w, x, naive);
    for (uint32_t i = 0; i < count * WIDTH; i++) {
        uint32_t at = first * WIDTH + i;
        ref_error_add(&e, m->out.values[batch * count * WIDTH + i], naive[at], want[at]);
    }
    cr_expect(ref_error_ok(&e), "sequence %u, token %u: off by %g, naive by %g", batch, first, e.out, e.naive);
}

Test(nn, llama_in_one_go) {
    model m;
    open_model(&m, TOKENS);
    vka_nn_layer_desc d = describe(&m);
    EXPECT_OK(vka_nn_layer(m.sequence, &d));
    for (int i = 0; i < 2; i++) { /* recorded twice, it gives the same */
        tensor_poison(&m.out);
        EXPECT_OK(vka_recorder_begin(m.c.recorder));
        EXPECT_OK(vka_nn_sequence_record(m.c.recorder, m.sequence));
        context_finish(&m.c);
        cr_assert(tensor_download(&m.out));
        for (uint32_t b = 0; b < BATCH; b++) {
            compare(&m, b, m.x.values + b * TOKENS * WIDTH, 0, TOKENS);
        }
    }
    close_model(&m);
}

/* Operation by operation it gives the same as in one go. */
Test(nn, parts) {
    model m;
    open_model(&m, TOKENS);
    vka_nn_layer_desc d = describe(&m);
    EXPECT_OK(vka_nn_layer(m.sequence, &d));
    uint32_t operations = vka_nn_sequence_get_info(m.sequence).operations;
    cr_expect_eq(vka_nn_sequence_get_operation(m.sequence, 0), VKA_OPERATION_RMS_NORM);
    cr_expect_eq(vka_nn_sequence_get_operation(m.sequence, 1), VKA_OPERATION_LINEAR);
    cr_expect_eq(vka_nn_sequence_get_operation(m.sequence, operations), VKA_OPERATION_INVALID);
    EXPECT_OK(vka_recorder_begin(m.c.recorder));
    for (uint32_t i = 0; i < operations; i++) {
        EXPECT_OK(vka_nn_sequence_record_part(m.c.recorder, m.sequence, i, 1));
    }
    EXPECT_OK(vka_nn_sequence_record_part(m.c.recorder, m.sequence, operations, 0));
    cr_expect_eq(vka_nn_sequence_record_part(m.c.recorder, m.sequence, operations, 1), VKA_INVALID);
    cr_expect_eq(vka_nn_sequence_record_part(m.c.recorder, m.sequence, 1, UINT32_MAX), VKA_INVALID);
    tensor_poison(&m.out);
    context_finish(&m.c);
    cr_assert(tensor_download(&m.out));
    for (uint32_t b = 0; b < BATCH; b++) {
        compare(&m, b, m.x.values + b * TOKENS * WIDTH, 0, TOKENS);
    }
    close_model(&m);
}

/* Prepared for it, it gives the same in slices. */
Test(nn, slices) {
    model m;
    open_model(&m, TOKENS);
    vka_nn_layer_desc d = describe(&m);
    EXPECT_OK(vka_nn_layer(m.sequence, &d));
    vka_slice slice = {0};
    EXPECT_OK(vka_recorder_begin(m.c.recorder));
    EXPECT_FAILURE(vka_nn_sequence_record_slice(m.c.recorder, m.sequence, 0, &slice), VKA_INVALID,
                   "vka_plan_record_slice.plans");
    cr_expect_eq(vka_nn_sequence_work(m.sequence), 0);
    EXPECT_OK(vka_nn_sequence_prepare_slices(m.sequence));
    uint64_t work = vka_nn_sequence_work(m.sequence), done = 0;
    uint32_t slices = 0, budgets = 7;
    tensor_poison(&m.out);
    for (; !slice.done; slices++) {
        EXPECT_OK(vka_nn_sequence_record_slice(m.c.recorder, m.sequence, work / budgets, &slice));
        done += slice.work;
        context_finish(&m.c);
        EXPECT_OK(vka_recorder_begin(m.c.recorder));
    }
    context_finish(&m.c);
    cr_expect_eq(done, work);
    cr_expect(slices >= budgets, "%u slices", slices);
    cr_assert(tensor_download(&m.out));
    for (uint32_t b = 0; b < BATCH; b++) {
        compare(&m, b, m.x.values + b * TOKENS * WIDTH, 0, TOKENS);
    }
    cr_expect_eq(vka_nn_sequence_prepare_slices(NULL), VKA_INVALID);
    cr_expect_eq(vka_nn_sequence_record_slice(m.c.recorder, NULL, 0, &slice), VKA_INVALID);
    close_model(&m);
}

/* One recording, submitted for each token: nothing but x is written by the host. */
Test(nn, llama_token_by_token) {
    static float all[BATCH][TOKENS * WIDTH];
    model m;
    open_model(&m, 1);
    ref_rng rng = ref_rng_seed(test_seed() + 1);
    for (uint32_t b = 0; b < BATCH; b++) {
        for (uint32_t i = 0; i < TOKENS * WIDTH; i++) {
            all[b][i] = ref_rng_uniform(&rng, -2, 2);
        }
    }
    tensor cache[2];
    for (int i = 0; i < 2; i++) {
        cache[i] = tensor_create(&m.c, VKA_F32, 4, (uint32_t[]){BATCH, KV_HEADS, CAPACITY, DIM}, (layout){0});
    }
    vka_buffer *lengths[2];
    for (int i = 0; i < 2; i++) {
        EXPECT_OK(vka_buffer_create(m.c.device, &(vka_buffer_desc){.size = BATCH * sizeof(int32_t)}, &lengths[i]));
        EXPECT_OK(vka_buffer_write(lengths[i], 0, (int32_t[BATCH]){0}, BATCH * sizeof(int32_t)));
    }
    vka_nn_layer_desc d = describe(&m);
    d.self.k_cache = cache[0].view;
    d.self.v_cache = cache[1].view;
    d.self.lengths = vka_tensor_1d(lengths[0], VKA_I32, BATCH);
    d.self.new_lengths = vka_tensor_1d(lengths[1], VKA_I32, BATCH);
    EXPECT_OK(vka_nn_layer(m.sequence, &d));
    EXPECT_OK(vka_recorder_begin(m.c.recorder));
    EXPECT_OK(vka_nn_sequence_record(m.c.recorder, m.sequence));
    EXPECT_OK(vka_copy(m.c.recorder, lengths[0], 0, lengths[1], 0, BATCH * sizeof(int32_t)));
    for (uint32_t step = 0; step < TOKENS; step++) {
        for (uint32_t b = 0; b < BATCH; b++) {
            memcpy(m.x.values + b * WIDTH, &all[b][step * WIDTH], WIDTH * sizeof(float));
        }
        tensor_upload(&m.x);
        tensor_poison(&m.out);
        context_finish(&m.c);
        cr_assert(tensor_download(&m.out));
        for (uint32_t b = 0; b < BATCH; b++) {
            compare(&m, b, all[b], step, 1);
        }
    }
    for (int i = 0; i < 2; i++) {
        tensor_destroy(&cache[i]);
        vka_buffer_destroy(&lengths[i]);
    }
    close_model(&m);
}

/* ---- memory ------------------------------------------------------------------------------------------------------ */

/* Layers of one size share the arena; the app's has to be large enough. */
Test(nn, arena) {
    model m;
    open_model(&m, TOKENS);
    vka_nn_layer_desc d = describe(&m);
    EXPECT_OK(vka_nn_layer(m.sequence, &d));
    vka_nn_sequence_info one = vka_nn_sequence_get_info(m.sequence);
    EXPECT_OK(vka_nn_layer(m.sequence, &d));
    vka_nn_sequence_info two = vka_nn_sequence_get_info(m.sequence);
    cr_expect_eq(two.arena_bytes, one.arena_bytes);
    cr_expect_eq(two.live_bytes, one.live_bytes);
    /* At least x, normed, and what is made of it: queries, keys and values. */
    cr_expect_geq(one.live_bytes, BATCH * TOKENS * (2 * WIDTH + 2 * KV_HEADS * DIM) * sizeof(float));
    cr_expect_leq(one.live_bytes, one.arena_bytes);
    cr_expect_leq((double)one.arena_bytes, 1.2 * (double)one.live_bytes);
    cr_expect_eq(two.operations, 2 * one.operations);
    vka_nn_sequence_desc own = {.log = log_capture(), .arena.offset = 256};
    EXPECT_OK(vka_buffer_create(m.c.device, &(vka_buffer_desc){.size = 256 + one.arena_bytes}, &own.arena.buffer));
    for (int i = 0; i < 2; i++) {
        vka_nn_sequence *s;
        own.arena_bytes = one.arena_bytes - (i == 0);
        EXPECT_OK(vka_nn_sequence_create(m.c.device, &own, &s));
        if (i == 0) {
            EXPECT_FAILURE(vka_nn_layer(s, &d), VKA_INVALID, "vka_nn_layer.arena");
            cr_expect_eq(vka_nn_sequence_get_info(s).operations, 0);
        } else {
            EXPECT_OK(vka_nn_layer(s, &d));
            tensor_poison(&m.out);
            EXPECT_OK(vka_recorder_begin(m.c.recorder));
            EXPECT_OK(vka_nn_sequence_record(m.c.recorder, s));
            context_finish(&m.c);
            cr_assert(tensor_download(&m.out));
            compare(&m, 1, m.x.values + TOKENS * WIDTH, 0, TOKENS);
        }
        vka_nn_sequence_destroy(&s);
    }
    vka_buffer_destroy(&own.arena.buffer);
    close_model(&m);
}

/* An operation's workspace, too, is the arena's unless it is given: recording allocates nothing. */
Test(nn, workspaces) {
    model m;
    vka_workspace given = {0};
    open_model(&m, TOKENS);
    tensor total = tensor_create(&m.c, VKA_F32, 1, (uint32_t[]){1}, (layout){0});
    tensor targets = tensor_create(&m.c, VKA_I32, 2, (uint32_t[]){BATCH, TOKENS}, (layout){0});
    tensor_upload(&targets); /* zeros */
    for (int i = 0; i < 2; i++) {
        const vka_cross_entropy_desc d = {
            .logits = m.x.view, .targets = targets.view, .total = total.view, .workspace = given};
        vka_requirements need;
        vka_nn_sequence *s;
        EXPECT_OK(vka_cross_entropy_requirements(m.c.device, &d, &need));
        EXPECT_OK(vka_nn_sequence_create(m.c.device, &(vka_nn_sequence_desc){.log = log_capture()}, &s));
        EXPECT_OK(vka_nn_operation(s, VKA_OPERATION_CROSS_ENTROPY, &d, sizeof d));
        cr_expect_gt(need.workspace_bytes, 0);
        cr_expect_eq(vka_nn_sequence_get_info(s).live_bytes > 0, given.buffer == NULL);
        uint64_t before = vka_device_memory(m.c.device).bytes;
        EXPECT_OK(vka_recorder_begin(m.c.recorder));
        EXPECT_OK(vka_nn_sequence_record(m.c.recorder, s));
        cr_expect_eq(vka_device_memory(m.c.device).bytes, before);
        tensor_poison(&total);
        context_finish(&m.c);
        cr_assert(tensor_download(&total));
        double want = 0;
        for (uint32_t row = 0; row < BATCH * TOKENS; row++) {
            const float *x = m.x.values + row * WIDTH;
            double sum = 0;
            for (uint32_t c = 0; c < WIDTH; c++) {
                sum += exp((double)x[c]);
            }
            want += (log(sum) - (double)x[0]) / (BATCH * TOKENS);
        }
        cr_expect_lt(fabs((double)total.values[0] - want), 1e-5, "%g, not %g", (double)total.values[0], want);
        vka_nn_sequence_destroy(&s);
        if (i == 0) {
            EXPECT_OK(vka_buffer_create(m.c.device, &(vka_buffer_desc){.size = need.workspace_bytes}, &given.buffer));
        }
    }
    vka_buffer_destroy(&given.buffer);
    tensor_destroy(&total);
    tensor_destroy(&targets);
    close_model(&m);
}

/* A layer is added in whole or not at all, whichever call fails. */
Test(nn, faults) {
    model m;
    open_model(&m, TOKENS);
    vka_nn_layer_desc d = describe(&m);
    EXPECT_OK(vka_nn_layer(m.sequence, &d)); /* pipelines are compiled */
    vka_nn_sequence_info before = vka_nn_sequence_get_info(m.sequence);
    bool failed = true;
    for (uint32_t nth = 1; failed; nth += 3) {
        intercept_fail(NULL, nth, VK_ERROR_OUT_OF_DEVICE_MEMORY);
        vka_status status = vka_nn_layer(m.sequence, &d);
        failed = intercept_failed() != NULL;
        intercept_fail(NULL, 0, VK_SUCCESS);
        cr_expect_eq(status, failed ? VKA_OUT_OF_MEMORY : VKA_OK);
        cr_expect_eq(vka_nn_sequence_get_info(m.sequence).operations, (failed ? 1 : 2) * before.operations);
    }
    close_model(&m);
}

/* ---- refusals ---------------------------------------------------------------------------------------------------- */

Test(nn, names) {
    model m;
    open_model(&m, 1);
    for (m.missing = 0; m.missing < PARAMETERS; m.missing++) {
        vka_nn_layer_desc d = {.self.heads = 3}, same = d;
        EXPECT_FAILURE(vka_nn_layer_find(m.sequence, VKA_NN_NAMES_LLAMA, "model.layers.3.", find, &m, &d), VKA_INVALID,
                       "vka_nn_layer_find.names");
        cr_expect(strstr(log_last(VKA_LOG_ERROR).message, parameters[m.missing].name));
        cr_expect(!memcmp(&d, &same, sizeof d), "nothing is filled in");
    }
    vka_nn_layer_desc d = {0};
    EXPECT_FAILURE(vka_nn_layer_find(m.sequence, (vka_nn_names)9, "", find, &m, &d), VKA_INVALID,
                   "vka_nn_layer_find.names");
    EXPECT_FAILURE(vka_nn_layer_find(m.sequence, VKA_NN_NAMES_TORCH, "", NULL, &m, &d), VKA_INVALID,
                   "vka_nn_layer_find.find");
    close_model(&m);
}

/* GPT-2's weights are [inputs, outputs]. */
static bool find_gpt2(void *user, const char *name, vka_tensor *t) {
    static const struct {
        const char *name;
        uint32_t shape[2];
    } file[] = {{"h.0.ln_1.weight", {WIDTH}},
                {"h.0.ln_1.bias", {WIDTH}},
                {"h.0.attn.c_attn.weight", {WIDTH, 3 * WIDTH}},
                {"h.0.attn.c_attn.bias", {3 * WIDTH}},
                {"h.0.attn.c_proj.weight", {WIDTH, WIDTH}},
                {"h.0.attn.c_proj.bias", {WIDTH}},
                {"h.0.ln_2.weight", {WIDTH}},
                {"h.0.ln_2.bias", {WIDTH}},
                {"h.0.mlp.c_fc.weight", {WIDTH, INNER}},
                {"h.0.mlp.c_fc.bias", {INNER}},
                {"h.0.mlp.c_proj.weight", {INNER, WIDTH}},
                {"h.0.mlp.c_proj.bias", {WIDTH}}};
    uint32_t *found = user;
    for (uint32_t i = 0; i < sizeof file / sizeof *file; i++) {
        if (strcmp(file[i].name, name) == 0) {
            const uint32_t *n = file[i].shape;
            *t = n[1] ? vka_tensor_2d(NULL, VKA_F32, n[0], n[1]) : vka_tensor_1d(NULL, VKA_F32, n[0]);
            t->offset = 1024 * ++*found;
            return true;
        }
    }
    return false;
}

static void expect_exchanged(const char *what, const vka_nn_linear *l, uint32_t outputs, uint32_t inputs) {
    const vka_tensor *w = &l->weight;
    cr_expect(w->rank == 2 && w->shape[0] == outputs && w->shape[1] == inputs, "%s: shape", what);
    cr_expect(w->stride[0] == 1 && w->stride[1] == outputs, "%s: strides", what);
    cr_expect(l->bias.rank == 1 && l->bias.shape[0] == outputs, "%s: bias", what);
}

Test(nn, names_of_gpt2) {
    model m;
    uint32_t found = 0;
    open_model(&m, 1);
    vka_nn_layer_desc d = {0};
    EXPECT_OK(vka_nn_layer_find(m.sequence, VKA_NN_NAMES_GPT2, "h.0.", find_gpt2, &found, &d));
    cr_expect_eq(found, 12);
    expect_exchanged("qkv", &d.self.qkv, 3 * WIDTH, WIDTH);
    expect_exchanged("projection", &d.self.projection, WIDTH, WIDTH);
    expect_exchanged("up", &d.feed_forward.up, INNER, WIDTH);
    expect_exchanged("down", &d.feed_forward.down, WIDTH, INNER);
    const vka_tensor norms[] = {d.norm_self.weight, d.norm_self.bias, d.norm_feed_forward.weight,
                                d.norm_feed_forward.bias};
    const uint64_t offsets[] = {1024, 2048, 7168, 8192}; /* in the order of the table */
    for (int i = 0; i < 4; i++) {
        cr_expect(norms[i].rank == 1 && norms[i].shape[0] == WIDTH && norms[i].offset == offsets[i], "norm %d", i);
    }
    vka_nn_layer_backward_desc b = {0};
    EXPECT_OK(vka_nn_layer_backward_find(m.sequence, VKA_NN_NAMES_GPT2, "h.0.", find_gpt2, &found, &b));
    expect_exchanged("gradient of up", &b.gradients.feed_forward.up, INNER, WIDTH);
    close_model(&m);
}

#define REFUSED(change, field)                                                                                         \
    do {                                                                                                               \
        vka_nn_layer_desc d = good;                                                                                    \
        change;                                                                                                        \
        EXPECT_FAILURE(vka_nn_layer(m.sequence, &d), VKA_INVALID, "vka_nn_layer." field);                              \
    } while (0)

/* No rows are no work, also where a sequence has had no need of an arena so far. */
Test(nn, nothing) {
    model m;
    open_model(&m, TOKENS);
    vka_nn_layer_desc d = describe(&m);
    d.x.shape[1] = d.out.shape[1] = 0;
    EXPECT_OK(vka_nn_layer(m.sequence, &d));
    EXPECT_OK(vka_recorder_begin(m.c.recorder));
    EXPECT_OK(vka_nn_sequence_record(m.c.recorder, m.sequence));
    EXPECT_OK(vka_recorder_submit(m.c.recorder));
    EXPECT_OK(vka_recorder_wait(m.c.recorder, VKA_FOREVER));
    close_model(&m);
}

Test(nn, refusals) {
    model m;
    open_model(&m, TOKENS);
    const vka_nn_layer_desc good = describe(&m);
    const vka_tensor none = {0};
    REFUSED(d.x = none, "x");
    REFUSED(d.out = none, "out");
    REFUSED(d.out.shape[1]++, "out");
    REFUSED(d.x.rank = 0, "x");
    REFUSED(d.x.rank = 77, "x");
    REFUSED((d.x.rank = 6, d.out.rank = 6), "x");
    REFUSED(d.out.rank = UINT32_MAX, "out");
    REFUSED(d.feed_forward.up.weight.rank = 5, "feed_forward.up.weight");
    REFUSED(d.self.heads = 1u << 31, "self.heads");
    REFUSED((d.self.qkv = d.self.projection, d.self.heads = 1u << 31, d.self.kv_heads = 1u << 30), "self.heads");
    REFUSED(d.self.page_table = vka_tensor_2d(NULL, VKA_I32, 1, 1), "self.page_table");
    REFUSED(d.self.x = good.x, "self.x");
    REFUSED(d.feed_forward.out = good.x, "feed_forward.out");
    REFUSED(d.self.heads = 0, "self.heads");
    REFUSED(d.self.kv_heads = 3, "self.heads");
    REFUSED(d.self.q.weight = none, "self.q.weight");
    REFUSED(d.self.q.weight.shape[0]--, "self.q.weight");
    REFUSED(d.self.k.weight.shape[1]--, "self.k.weight");
    REFUSED(d.self.v.bias = vka_tensor_1d(NULL, VKA_F32, 5), "self.v.bias");
    REFUSED(d.self.projection.weight = none, "self.projection.weight");
    REFUSED(d.self.qkv = d.self.projection, "self.q.weight");
    REFUSED(d.self.attention.q = good.x, "self.attention.q");
    REFUSED(d.self.k_cache = good.x, "self.v_cache");
    REFUSED(d.norm_self.kind = VKA_NN_NORM_NONE, "norm_self.kind");
    REFUSED(d.norm_self.bias = d.norm_self.weight, "norm_self.bias");
    REFUSED(d.feed_forward.up.weight = none, "feed_forward.up.weight");
    REFUSED(d.feed_forward.gate.weight.shape[0]--, "feed_forward.gate.weight");
    REFUSED(d.feed_forward.down.weight.shape[0]--, "feed_forward.down.weight");
    cr_expect_eq(vka_nn_sequence_get_info(m.sequence).operations, 0);
    /* What an operation refuses, the device's log has. */
    vka_nn_layer_desc d = good;
    d.self.attention.scale = -1;
    EXPECT_FAILURE(vka_nn_layer(m.sequence, &d), VKA_INVALID, "vka_attention.scale");
    cr_expect_eq(vka_nn_sequence_get_info(m.sequence).operations, 0);
    EXPECT_FAILURE(vka_nn_layer(m.sequence, NULL), VKA_INVALID, "vka_nn_layer.desc");
    cr_expect_eq(vka_nn_layer(NULL, &d), VKA_INVALID);
    cr_expect_str_eq(vka_last_error(), "vka_nn_layer.sequence: must not be NULL");
    EXPECT_FAILURE(vka_nn_sequence_record_part(m.c.recorder, m.sequence, 0, 1), VKA_INVALID,
                   "vka_nn_sequence_record_part");
    EXPECT_FAILURE(vka_nn_normalise(m.sequence, &good.norm_self, NULL, &good.out), VKA_INVALID, "vka_nn_normalise.x");
    vka_nn_sequence *s;
    vka_nn_sequence_desc bad = {.log = log_capture(), .arena = {NULL, 8}};
    EXPECT_FAILURE(vka_nn_sequence_create(m.c.device, &bad, &s), VKA_INVALID, "vka_nn_sequence_create.arena");
    bad.arena.offset = 0;
    EXPECT_FAILURE(vka_nn_sequence_create(NULL, &bad, &s), VKA_INVALID, "vka_nn_sequence_create.device");
    close_model(&m);
}
