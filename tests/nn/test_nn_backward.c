/* Gradients of layers: against float64 and central differences, the same with and without checkpointing, added to what
 * is there, and what is refused. PyTorch's layers are among the cases of vkattn-conformance. SPDX-License-Identifier:
 * MIT */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "layer_gradients.h"
#include "support/context.h"
#include "support/intercept.h"
#include "support/tensor.h"

typedef struct fixture {
    context c;
    const setup *s;
    tensor values[MAX_LEAVES], gradients[MAX_LEAVES], out, d_out;
    vka_buffer *kept;
    vka_nn_sequence *sequence;
    vka_nn_layer_backward_desc layer; /* of other blocks, too: see forward and backward */
} fixture;

/* ---- setups ------------------------------------------------------------------------------------------------------ */

/* Which of them software drivers run, and which are left out, follows from the order. */
static const setup setups[] = {
    {.what = "decoder of PyTorch",
     .dtype = VKA_F32,
     .tokens = 5,
     .memory = 7,
     .kv_heads = HEADS,
     .value_dim = DIM,
     .packed = true,
     .causal = true,
     .biases = true,
     .norm_first = true,
     .activation = VKA_ACTIVATION_GELU},
    {.what = "encoder of PyTorch",
     .dtype = VKA_F32,
     .tokens = 5,
     .kv_heads = HEADS,
     .value_dim = DIM,
     .packed = true,
     .biases = true,
     .activation = VKA_ACTIVATION_RELU},
    {.what = "decoder of masks",
     .dtype = VKA_F32,
     .tokens = 3,
     .memory = 5,
     .kv_heads = 1,
     .value_dim = 5,
     .mask = true,
     .biases = true,
     .rms = true,
     .activation = VKA_ACTIVATION_NONE},
    {.what = "Llama",
     .dtype = VKA_F32,
     .tokens = 7,
     .kv_heads = 2,
     .value_dim = DIM,
     .pad = 3,
     .rotate = true,
     .causal = true,
     .norm_first = true,
     .rms = true,
     .gate = true,
     .activation = VKA_ACTIVATION_SILU},
    {.what = "encoder in f16",
     .dtype = VKA_F16,
     .tokens = 5,
     .kv_heads = HEADS,
     .value_dim = DIM,
     .packed = true,
     .activation = VKA_ACTIVATION_GELU_TANH},
    {.what = "feed-forward network",
     .block = BLOCK_FEED_FORWARD,
     .dtype = VKA_F32,
     .tokens = 5,
     .kv_heads = HEADS,
     .value_dim = DIM,
     .biases = true,
     .gate = true,
     .activation = VKA_ACTIVATION_SIGMOID},
    {.what = "cross-modal attention",
     .block = BLOCK_ATTENTION,
     .dtype = VKA_F32,
     .tokens = 5,
     .memory = 7,
     .kv_heads = 2,
     .value_dim = 3,
     .mask = true,
     .biases = true},
    {.what = "decoder in bf16",
     .dtype = VKA_BF16,
     .tokens = 5,
     .memory = 3,
     .kv_heads = 2,
     .value_dim = DIM,
     .packed = true,
     .rotate = true,
     .norm_first = true,
     .gate = true,
     .activation = VKA_ACTIVATION_GELU},
    {.what = "GPT-2",
     .dtype = VKA_F32,
     .tokens = 7,
     .kv_heads = HEADS,
     .value_dim = DIM,
     .transposed = true,
     .packed = true,
     .causal = true,
     .biases = true,
     .norm_first = true,
     .activation = VKA_ACTIVATION_GELU_TANH},
};
enum { SETUPS = sizeof setups / sizeof *setups, ENCODER = 1 };

/* ---- fixtures ---------------------------------------------------------------------------------------------------- */

static vka_tensor *field_of(vka_nn_layer_desc *d, size_t field) {
    return (vka_tensor *)(void *)((char *)d + field);
}

static void fill_leaf(fixture *f, uint32_t i, ref_rng *rng) {
    const leaf *l = &f->s->leaves[i];
    vka_dtype dtype = l->f32 ? VKA_F32 : f->s->dtype;
    layout padded = {.order = f->s->transposed && l->rank == 2 ? "10" : NULL, .pad = f->s->pad};
    f->values[i] = tensor_create(&f->c, dtype, l->rank, l->shape, padded);
    tensor_fill_normal(&f->values[i], rng, l->rank == 1 ? 1 : 0, l->rank == 2 ? 0.3f : 1);
    tensor_upload(&f->values[i]);
    f->gradients[i] = tensor_create(&f->c, dtype, l->rank, l->shape, padded);
    *field_of(&f->layer.forward, l->field) = f->values[i].view;
    *field_of(&f->layer.gradients, l->field) = f->gradients[i].view;
}

static void open_fixture(fixture *f, setup *s) {
    ref_rng rng = ref_rng_seed(test_seed());
    *f = (fixture){.s = s};
    list_leaves(s);
    context_open(&f->c, &config_real);
    for (uint32_t i = 0; i < s->count; i++) {
        fill_leaf(f, i, &rng);
    }
    const uint32_t shape[] = {BATCH, s->tokens, WIDTH};
    f->out = tensor_create(&f->c, s->dtype, 3, shape, (layout){0});
    f->d_out = tensor_create(&f->c, s->dtype, 3, shape, (layout){.pad = s->pad});
    tensor_fill_normal(&f->d_out, &rng, 0, 0.5f);
    tensor_upload(&f->d_out);
    vka_nn_layer_desc *d = &f->layer.forward;
    d->out = f->out.view;
    f->layer.gradients.out = f->d_out.view;
    d->norm_first = s->norm_first;
    d->norm_self.kind = s->rms ? VKA_NN_NORM_RMS : VKA_NN_NORM_LAYER;
    d->norm_cross.kind = d->norm_feed_forward.kind = d->norm_self.kind;
    d->self.heads = d->cross.heads = HEADS;
    d->self.kv_heads = d->cross.kv_heads = s->kv_heads;
    d->self.rotate = d->cross.rotate = s->rotate;
    d->self.attention.causal = s->causal;
    d->feed_forward.activation = s->activation;
    EXPECT_OK(vka_nn_sequence_create(f->c.device, &(vka_nn_sequence_desc){.log = log_capture()}, &f->sequence));
}

static void close_fixture(fixture *f) {
    vka_nn_sequence_destroy(&f->sequence);
    for (uint32_t i = 0; i < f->s->count; i++) {
        tensor_destroy(&f->values[i]);
        tensor_destroy(&f->gradients[i]);
    }
    tensor_destroy(&f->out);
    tensor_destroy(&f->d_out);
    vka_buffer_destroy(&f->kept);
    context_close(&f->c);
}

/* The part of a layer's description that a block is, with the layer's tensors. */
static vka_nn_attention_desc attention_of(const vka_nn_layer_desc *d) {
    vka_nn_attention_desc a = d->self;
    a.x = d->x;
    a.memory = d->memory;
    a.out = d->out;
    a.keep = d->keep;
    a.kept = d->kept;
    return a;
}

static vka_nn_feed_forward_desc feed_forward_of(const vka_nn_layer_desc *d) {
    vka_nn_feed_forward_desc n = d->feed_forward;
    n.x = d->x;
    n.out = d->out;
    n.keep = d->keep;
    n.kept = d->kept;
    return n;
}

static uint64_t kept_bytes(fixture *f) {
    const vka_nn_attention_desc a = attention_of(&f->layer.forward);
    const vka_nn_feed_forward_desc n = feed_forward_of(&f->layer.forward);
    uint64_t bytes = UINT64_MAX;
    EXPECT_OK(f->s->block == BLOCK_ATTENTION      ? vka_nn_attention_kept_bytes(f->sequence, &a, &bytes)
              : f->s->block == BLOCK_FEED_FORWARD ? vka_nn_feed_forward_kept_bytes(f->sequence, &n, &bytes)
                                                  : vka_nn_layer_kept_bytes(f->sequence, &f->layer.forward, &bytes));
    return bytes;
}

static vka_status add_forward(fixture *f) {
    const vka_nn_attention_desc a = attention_of(&f->layer.forward);
    const vka_nn_feed_forward_desc n = feed_forward_of(&f->layer.forward);
    return f->s->block == BLOCK_ATTENTION      ? vka_nn_attention(f->sequence, &a)
           : f->s->block == BLOCK_FEED_FORWARD ? vka_nn_feed_forward(f->sequence, &n)
                                               : vka_nn_layer(f->sequence, &f->layer.forward);
}

static vka_status add_backward(fixture *f) {
    const vka_nn_layer_backward_desc *b = &f->layer;
    const vka_nn_attention_backward_desc a = {attention_of(&b->forward), attention_of(&b->gradients), b->accumulate,
                                              b->accumulate_memory};
    const vka_nn_feed_forward_backward_desc n = {feed_forward_of(&b->forward), feed_forward_of(&b->gradients),
                                                 b->accumulate};
    return f->s->block == BLOCK_ATTENTION      ? vka_nn_attention_backward(f->sequence, &a)
           : f->s->block == BLOCK_FEED_FORWARD ? vka_nn_feed_forward_backward(f->sequence, &n)
                                               : vka_nn_layer_backward(f->sequence, b);
}

static void use_results(fixture *f) {
    vka_nn_layer_desc *d = &f->layer.forward;
    d->keep = VKA_NN_KEEP_RESULTS;
    uint64_t bytes = kept_bytes(f);
    EXPECT_OK(vka_buffer_create(f->c.device, &(vka_buffer_desc){.size = 256 + bytes}, &f->kept));
    d->kept = (vka_workspace){f->kept, 256};
}

static void use_inputs(fixture *f) {
    f->layer.forward.keep = VKA_NN_KEEP_INPUTS;
    f->layer.forward.kept = (vka_workspace){0};
    cr_expect_eq(kept_bytes(f), 0);
}

/* ---- running ----------------------------------------------------------------------------------------------------- */

/* Runs a sequence of forward and backward; gradients are poisoned unless something is added to them. */
static void run(fixture *f, const vka_nn_sequence *sequence, bool poison) {
    tensor_poison(&f->out);
    tensor_upload(&f->d_out);
    for (uint32_t i = 0; i < f->s->count && poison; i++) {
        tensor_poison(&f->gradients[i]);
    }
    EXPECT_OK(vka_recorder_begin(f->c.recorder));
    uint64_t before = allocator_calls();
    EXPECT_OK(vka_nn_sequence_record(f->c.recorder, sequence));
    cr_expect_eq(allocator_calls(), before, "%s: recording allocates", f->s->what);
    context_finish(&f->c);
    cr_assert(tensor_download(&f->out));
    for (uint32_t i = 0; i < f->s->count; i++) {
        cr_assert(tensor_download(&f->gradients[i]), "%s: leaf %u: written beside it", f->s->what, i);
    }
}

/* Copies of all gradients. */
typedef struct copies {
    float *out, *of[MAX_LEAVES];
} copies;

static float *copy(const tensor *t) {
    float *values = malloc((t->count + 1) * sizeof *values);
    cr_assert_not_null(values);
    memcpy(values, t->values, t->count * sizeof *values);
    return values;
}

static copies copy_all(const fixture *f) {
    copies c = {.out = copy(&f->out)};
    for (uint32_t i = 0; i < f->s->count; i++) {
        c.of[i] = copy(&f->gradients[i]);
    }
    return c;
}

static void free_copies(const fixture *f, copies *c) {
    free(c->out);
    for (uint32_t i = 0; i < f->s->count; i++) {
        free(c->of[i]);
    }
}

static void expect_same(const fixture *f, const copies *c, const char *when) {
    cr_expect(!memcmp(c->out, f->out.values, f->out.count * sizeof *c->out), "%s: out, %s", f->s->what, when);
    for (uint32_t i = 0; i < f->s->count; i++) {
        cr_expect(!memcmp(c->of[i], f->gradients[i].values, f->gradients[i].count * sizeof *c->of[i]),
                  "%s: the gradient of leaf %u, %s", f->s->what, i, when);
    }
}

static void expect_near(const setup *s, const char *what, uint32_t i, const float *got, const float *naive,
                        const double *want, size_t count, double times) {
    ref_error e = {0};
    for (size_t k = 0; k < count; k++) {
        ref_error_add(&e, got[k], times * (double)naive[k], times * want[k]);
    }
    cr_expect(ref_error_ok(&e), "%s: %s %u: off by %g, naive by %g", s->what, what, i, e.out, e.naive);
}

static bool is_overwritten(const leaf *l) {
    return l->field == FIELD(x);
}

/* Gradients, or with `twice` those that were added to the same. */
static void expect_right(const fixture *f, const expectation *e, bool twice) {
    expect_near(f->s, "out", 0, f->out.values, e->naive_out, e->out, f->out.count, 1);
    for (uint32_t i = 0; i < f->s->count; i++) {
        double times = twice && !is_overwritten(&f->s->leaves[i]) ? 2 : 1;
        expect_near(f->s, "gradient of leaf", i, f->gradients[i].values, e->naive_gradients[i], e->gradients[i],
                    f->gradients[i].count, times);
    }
}

static expectation expect(const fixture *f) {
    const float *values[MAX_LEAVES];
    for (uint32_t i = 0; i < f->s->count; i++) {
        values[i] = f->values[i].values;
    }
    return expect_gradients(f->s, values, f->d_out.values, test_seed());
}

static void check_setup(setup *s) {
    fixture f;
    open_fixture(&f, s);
    if (context_leaves_out(&f.c, 3)) {
        close_fixture(&f);
        return;
    }
    expectation e = expect(&f);
    use_results(&f);
    EXPECT_OK(add_forward(&f));
    EXPECT_OK(add_backward(&f));
    run(&f, f.sequence, true);
    expect_right(&f, &e, false);
    copies first = copy_all(&f);
    run(&f, f.sequence, true);
    expect_same(&f, &first, "a second time");
    vka_nn_sequence *results = f.sequence;

    EXPECT_OK(vka_nn_sequence_create(f.c.device, &(vka_nn_sequence_desc){.log = log_capture()}, &f.sequence));
    use_inputs(&f);
    EXPECT_OK(add_forward(&f));
    EXPECT_OK(add_backward(&f));
    run(&f, f.sequence, true);
    expect_same(&f, &first, "from inputs");
    vka_nn_sequence_destroy(&f.sequence);

    /* Added to these; and the gradient of x lies where that of out was. */
    EXPECT_OK(vka_nn_sequence_create(f.c.device, &(vka_nn_sequence_desc){.log = log_capture()}, &f.sequence));
    f.layer.accumulate = f.layer.accumulate_memory = true;
    f.layer.gradients.x = f.d_out.view;
    EXPECT_OK(add_forward(&f));
    EXPECT_OK(add_backward(&f));
    run(&f, f.sequence, false);
    cr_assert(tensor_download(&f.d_out));
    cr_expect(!memcmp(first.of[0], f.d_out.values, f.d_out.count * sizeof(float)), "%s: in place", s->what);
    expect_right(&f, &e, true);
    vka_nn_sequence_destroy(&results);
    free_copies(&f, &first);
    expectation_free(s, &e);
    close_fixture(&f);
}

Test(nn_backward, setups) {
    for (uint32_t i = 0; i < SETUPS; i++) {
        setup s = setups[i];
        check_setup(&s);
    }
}

/* ---- what is wanted ---------------------------------------------------------------------------------------------- */

/* Each gradient alone is the same as among all; what nobody wants is not computed. */
Test(nn_backward, one_at_a_time) {
    setup s = setups[ENCODER];
    fixture f;
    open_fixture(&f, &s);
    use_inputs(&f);
    EXPECT_OK(add_forward(&f));
    EXPECT_OK(add_backward(&f));
    uint32_t all = vka_nn_sequence_get_info(f.sequence).operations;
    run(&f, f.sequence, true);
    copies first = copy_all(&f);
    const vka_nn_layer_desc gradients = f.layer.gradients;
    for (uint32_t i = 0; i < s.count; i++) {
        vka_nn_sequence_destroy(&f.sequence);
        EXPECT_OK(vka_nn_sequence_create(f.c.device, &(vka_nn_sequence_desc){.log = log_capture()}, &f.sequence));
        f.layer.gradients = (vka_nn_layer_desc){.out = gradients.out};
        *field_of(&f.layer.gradients, s.leaves[i].field) = f.gradients[i].view;
        EXPECT_OK(add_forward(&f));
        EXPECT_OK(add_backward(&f));
        cr_expect_leq(vka_nn_sequence_get_info(f.sequence).operations, all);
        run(&f, f.sequence, true);
        for (uint32_t k = 0; k < s.count; k++) {
            bool wanted = k == i;
            cr_expect(wanted ? !memcmp(first.of[k], f.gradients[k].values, f.gradients[k].count * sizeof(float))
                             : tensor_untouched(&f.gradients[k], 0),
                      "leaf %u with that of %u alone", k, i);
        }
    }
    free_copies(&f, &first);
    close_fixture(&f);
}

/* A norm alone, with what comes around it. */
Test(nn_backward, normalise) {
    setup s = setups[ENCODER];
    fixture f;
    open_fixture(&f, &s);
    uint32_t norm = 0;
    while (s.leaves[norm].field != FIELD(norm_self.weight)) {
        norm++;
    }
    vka_nn_normalise_backward_desc d = {.norm = f.layer.forward.norm_self,
                                        .gradient = f.layer.gradients.norm_self,
                                        .x = f.layer.forward.x,
                                        .d_out = f.d_out.view,
                                        .d_sum = f.values[0].view,
                                        .d_x = f.gradients[0].view};
    d.gradient.kind = VKA_NN_NORM_NONE;
    EXPECT_OK(vka_nn_normalise_backward(f.sequence, &d));
    run(&f, f.sequence, true);
    double *d_weight = calloc(2 * WIDTH, sizeof *d_weight), *d_x = calloc(WIDTH, sizeof *d_x);
    float *naive_weight = calloc(2 * WIDTH, sizeof *naive_weight), *naive_x = calloc(WIDTH, sizeof *naive_x);
    const ref_norm n = {.rows = BATCH * s.tokens,
                        .cols = WIDTH,
                        .x = f.values[0].values,
                        .weight = f.values[norm].values,
                        .epsilon = (double)1e-5f};
    for (uint32_t row = 0; row < n.rows; row++) {
        ref_norm_backward_row(&n, VKA_F32, row, f.d_out.values, f.values[0].values, d_x, d_weight, d_weight + WIDTH);
        ref_norm_naive_backward_row(&n, VKA_F32, row, f.d_out.values, f.values[0].values, naive_x, naive_weight,
                                    naive_weight + WIDTH);
        expect_near(&s, "d_x of row", row, f.gradients[0].values + row * WIDTH, naive_x, d_x, WIDTH, 1);
    }
    expect_near(&s, "d_weight", 0, f.gradients[norm].values, naive_weight, d_weight, WIDTH, 1);
    expect_near(&s, "d_bias", 0, f.gradients[norm + 1].values, naive_weight + WIDTH, d_weight + WIDTH, WIDTH, 1);
    free(d_weight);
    free(d_x);
    free(naive_weight);
    free(naive_x);
    d.norm.kind = VKA_NN_NORM_NONE;
    EXPECT_FAILURE(vka_nn_normalise_backward(f.sequence, &d), VKA_INVALID, "vka_nn_normalise_backward.norm.kind");
    d.norm.kind = VKA_NN_NORM_RMS;
    EXPECT_FAILURE(vka_nn_normalise_backward(f.sequence, &d), VKA_INVALID, "vka_nn_normalise_backward.gradient.bias");
    d.gradient = (vka_nn_norm){0};
    d.d_x = (vka_tensor){0};
    EXPECT_FAILURE(vka_nn_normalise_backward(f.sequence, &d), VKA_INVALID, "vka_nn_normalise_backward.d_x");
    close_fixture(&f);
}

/* ---- memory ------------------------------------------------------------------------------------------------------ */

static uint64_t room(uint64_t elements) {
    return (elements * sizeof(float) + 255) / 256 * 256;
}

/* What is kept, the arena with and without, and an app's memory that is too small. */
Test(nn_backward, memory) {
    setup s = setups[ENCODER];
    fixture f;
    open_fixture(&f, &s);
    use_results(&f);
    uint64_t rows = BATCH * s.tokens, bytes = kept_bytes(&f);
    /* Of attention h, the sum, queries with keys and values, the result and lse; of the network the sum and up. */
    uint64_t want = 2 * room(rows * WIDTH) + room(rows * 3 * HEADS * DIM) + room(rows * HEADS * DIM) +
                    room(rows * HEADS) + room(rows * WIDTH) + room(rows * INNER);
    cr_expect_eq(bytes, want, "%llu, but %llu are kept", (unsigned long long)bytes, (unsigned long long)want);
    EXPECT_OK(add_backward(&f));
    uint64_t results = vka_nn_sequence_get_info(f.sequence).arena_bytes;
    use_inputs(&f);
    EXPECT_OK(add_backward(&f));
    uint64_t inputs = vka_nn_sequence_get_info(f.sequence).arena_bytes;
    cr_expect_gt(inputs, results);
    cr_expect_leq(inputs, results + want);
    vka_buffer *small;
    EXPECT_OK(vka_buffer_create(f.c.device, &(vka_buffer_desc){.size = bytes - 1}, &small));
    f.layer.forward.keep = VKA_NN_KEEP_RESULTS;
    f.layer.forward.kept.buffer = small;
    EXPECT_FAILURE(add_forward(&f), VKA_INVALID, "vka_nn_layer.kept");
    EXPECT_FAILURE(add_backward(&f), VKA_INVALID, "vka_nn_layer_backward.forward.kept");
    vka_buffer_destroy(&small);
    close_fixture(&f);
}

/* A backward pass is added in whole or not at all, whichever call fails. */
Test(nn_backward, faults) {
    setup s = setups[ENCODER];
    fixture f;
    open_fixture(&f, &s);
    use_inputs(&f);
    EXPECT_OK(add_backward(&f)); /* pipelines are compiled */
    uint32_t before = vka_nn_sequence_get_info(f.sequence).operations;
    bool failed = true;
    for (uint32_t nth = 1; failed; nth += 7) {
        intercept_fail(NULL, nth, VK_ERROR_OUT_OF_DEVICE_MEMORY);
        vka_status status = add_backward(&f);
        failed = intercept_failed() != NULL;
        intercept_fail(NULL, 0, VK_SUCCESS);
        cr_expect_eq(status, failed ? VKA_OUT_OF_MEMORY : VKA_OK);
        cr_expect_eq(vka_nn_sequence_get_info(f.sequence).operations, (failed ? 1 : 2) * before);
    }
    close_fixture(&f);
}

/* No tokens are no work but for gradients of parameters, which are 0. */
Test(nn_backward, nothing) {
    setup s = setups[ENCODER];
    fixture f;
    open_fixture(&f, &s);
    use_inputs(&f);
    f.layer.forward.x.shape[1] = f.layer.forward.out.shape[1] = 0;
    f.layer.gradients.x.shape[1] = f.layer.gradients.out.shape[1] = 0;
    EXPECT_OK(add_forward(&f));
    EXPECT_OK(add_backward(&f));
    run(&f, f.sequence, true);
    for (uint32_t i = 1; i < s.count; i++) {
        for (size_t k = 0; k < f.gradients[i].count; k++) {
            cr_assert_eq(f.gradients[i].values[k], 0, "leaf %u", i);
        }
    }
    close_fixture(&f);
}

/* ---- refusals ---------------------------------------------------------------------------------------------------- */

#define REFUSED(change, field)                                                                                         \
    do {                                                                                                               \
        f.layer = good;                                                                                                \
        change;                                                                                                        \
        EXPECT_FAILURE(add_backward(&f), VKA_INVALID, "vka_nn_layer_backward." field);                                 \
    } while (0)
#define FORWARD_REFUSED(change, field)                                                                                 \
    do {                                                                                                               \
        f.layer = good;                                                                                                \
        change;                                                                                                        \
        EXPECT_FAILURE(add_forward(&f), VKA_INVALID, "vka_nn_layer." field);                                           \
    } while (0)

Test(nn_backward, refusals) {
    setup s = setups[ENCODER];
    fixture f;
    open_fixture(&f, &s);
    use_results(&f);
    const vka_nn_layer_backward_desc good = f.layer;
    const vka_tensor none = {0};
    REFUSED(f.layer.forward.keep = VKA_NN_KEEP_NOTHING, "forward.keep");
    REFUSED(f.layer.forward.keep = (vka_nn_keep)3, "forward.keep");
    REFUSED(f.layer.forward.keep = VKA_NN_KEEP_INPUTS, "forward.kept");
    REFUSED(f.layer.forward.kept.offset = 8, "forward.kept");
    REFUSED(f.layer.forward.kept = (vka_workspace){0}, "forward.kept");
    REFUSED(f.layer.forward.kept.offset = UINT64_MAX - 255, "forward.kept");
    REFUSED(f.layer.forward.x = none, "forward.x");
    REFUSED(f.layer.forward.self.heads = 0, "forward.self.heads");
    REFUSED(f.layer.forward.norm_self.kind = VKA_NN_NORM_NONE, "forward.norm_self.kind");
    REFUSED(f.layer.forward.norm_feed_forward.kind = VKA_NN_NORM_NONE, "forward.norm_feed_forward.kind");
    REFUSED(f.layer.forward.self.keep = VKA_NN_KEEP_INPUTS, "forward.self.keep");
    REFUSED(f.layer.gradients.out = none, "gradients.out");
    REFUSED(f.layer.gradients.out.shape[1]++, "gradients.out");
    REFUSED(f.layer.gradients.out.dtype = VKA_F16, "gradients.out");
    REFUSED(f.layer.gradients.x.shape[0]++, "gradients.x");
    REFUSED(f.layer.gradients.x.dtype = VKA_BF16, "gradients.x");
    REFUSED(f.layer.gradients.memory = f.layer.gradients.x, "gradients.memory");
    FORWARD_REFUSED(f.layer.forward.keep = (vka_nn_keep)-1, "keep");
    FORWARD_REFUSED(f.layer.forward.keep = VKA_NN_KEEP_INPUTS, "kept");
    FORWARD_REFUSED(f.layer.forward.out = f.layer.forward.x, "out");
    FORWARD_REFUSED(f.layer.forward.self.k_cache = f.layer.forward.x, "self.v_cache");
    FORWARD_REFUSED(f.layer.forward.feed_forward.keep = VKA_NN_KEEP_RESULTS, "feed_forward.keep");
    cr_expect_eq(vka_nn_sequence_get_info(f.sequence).operations, 0);
    /* What an operation refuses, the device's log has. */
    f.layer = good;
    f.layer.gradients.self.qkv.weight.shape[0]--;
    EXPECT_FAILURE(add_backward(&f), VKA_INVALID, "vka_linear_backward.d_weight");
    EXPECT_FAILURE(vka_nn_layer_backward(f.sequence, NULL), VKA_INVALID, "vka_nn_layer_backward.desc");
    cr_expect_eq(vka_nn_layer_backward(NULL, &good), VKA_INVALID);
    cr_expect_str_eq(vka_last_error(), "vka_nn_layer_backward.sequence: must not be NULL");
    EXPECT_FAILURE(vka_nn_layer_kept_bytes(f.sequence, &good.forward, NULL), VKA_INVALID,
                   "vka_nn_layer_kept_bytes.bytes");
    uint64_t bytes = 1;
    f.layer = good;
    f.layer.forward.self.heads = 0;
    EXPECT_FAILURE(vka_nn_layer_kept_bytes(f.sequence, &f.layer.forward, &bytes), VKA_INVALID,
                   "vka_nn_layer_kept_bytes.self.heads");
    cr_expect_eq(bytes, 0);
    cr_expect_eq(vka_nn_sequence_get_info(f.sequence).operations, 0);
    close_fixture(&f);
}
