/* Gradients of the causal convolution that is measured. Rows of d_x are compared; gradients of weights and biases lie
 * in BENCH_Q, and are not, as they are no rows. SPDX-License-Identifier: MIT */
#include "op.h"

#include "reference.h"

enum { TAPS = BENCH_CAUSAL_TAPS };

static vka_causal_conv_backward_desc describe(const bench_problem *p) {
    const bench_case *c = p->c;
    return (vka_causal_conv_backward_desc){
        .x = p->tensors[BENCH_X].view,
        .weight = p->tensors[BENCH_WEIGHT].view,
        .bias = p->tensors[BENCH_BIAS].view,
        .d_out = p->tensors[BENCH_RESIDUAL].view,
        .d_x = p->tensors[BENCH_OUT].view,
        .d_weight = bench_part(p, BENCH_Q, 0, vka_tensor_2d(NULL, c->dtype, c->cols, TAPS)),
        .d_bias = bench_part(p, BENCH_Q, (uint64_t)c->cols * TAPS, vka_tensor_1d(NULL, c->dtype, c->cols)),
        .activation = VKA_ACTIVATION_SILU,
    };
}

static vka_tensor tensor(const bench_case *c, bench_slot slot) {
    switch (slot) {
    case BENCH_WEIGHT:
        return vka_tensor_2d(NULL, c->dtype, c->cols, TAPS);
    case BENCH_Q:
        return vka_tensor_2d(NULL, c->dtype, c->cols, TAPS + 1);
    case BENCH_BIAS:
        return vka_tensor_1d(NULL, c->dtype, c->cols);
    default:
        return vka_tensor_3d(NULL, c->dtype, 1, c->rows, c->cols);
    }
}

/* Rows of d_x, of the state's gradient, weights and biases that the reference writes. */
#define SCRATCH_ROWS (2 * TAPS - 1 + TAPS - 1 + TAPS + 1)

static bench_effort effort(const bench_case *c) {
    return (bench_effort){.ns = 1200.0 * c->cols, .scratch = SCRATCH_ROWS * (size_t)c->cols};
}

/* Of the outputs that the token is part of alone; what came before them is a state, as far as there is enough. */
static void reference(const bench_problem *p, uint64_t row, bench_row *out) {
    const bench_case *c = p->c;
    size_t cols = c->cols, first = row < TAPS - 1 ? 0 : (size_t)row, last = (size_t)row + TAPS;
    const float *x = p->tensors[BENCH_X].host;
    double *room = out->ref_scratch;
    ref_causal_conv_backward b = {
        .forward = {.channels = c->cols,
                    .taps = TAPS,
                    .x = x + first * cols,
                    .weight = p->tensors[BENCH_WEIGHT].host,
                    .bias = p->tensors[BENCH_BIAS].host,
                    .state = first ? x + (first - (TAPS - 1)) * cols : NULL,
                    .activation = VKA_ACTIVATION_SILU},
        .tokens = (uint32_t)((last < c->rows ? last : c->rows) - first),
        .d_out = p->tensors[BENCH_RESIDUAL].host + first * cols,
        .g_type = VKA_F32,
        .d_x = room,
        .d_state_in = room + (2 * TAPS - 1) * cols,
        .d_weight = room + (3 * TAPS - 2) * cols,
        .d_bias = room + (4 * TAPS - 2) * cols,
    };
    for (int naive = 0; naive < 2; naive++) {
        for (size_t i = 0; i < SCRATCH_ROWS * cols; i++) {
            room[i] = 0;
        }
        b.naive = naive;
        ref_causal_conv_gradients(&b);
        for (size_t i = 0; i < cols; i++) {
            double d_x = room[((size_t)row - first) * cols + i];
            out->ref[0][i] = naive ? out->ref[0][i] : d_x;
            out->naive[0][i] = ref_round(c->dtype, (float)d_x);
        }
    }
}

BENCH_OPERATION(causal_conv_backward, .shape = BENCH_SHAPE_ROWS, .label = bench_rows_label, .effort = effort,
                .title = "gradient of causal convolution", .word = "conv backward ", .group = "Causal convolution",
                .tensor = tensor,
                .slots = BENCH_BIT(BENCH_X) | BENCH_BIT(BENCH_WEIGHT) | BENCH_BIT(BENCH_BIAS) |
                         BENCH_BIT(BENCH_RESIDUAL) | BENCH_BIT(BENCH_Q) | BENCH_BIT(BENCH_OUT),
                .reference = reference);
