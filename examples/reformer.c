/* Reformer's attention (Kitaev 2020): every token attends to those that hash alike, in several rounds, and the results
 * are compared with their definition in float64.
 *
 * The tokens are of a few kinds, each around a direction of its own, so that attention is worth finding: the program
 * says how many pairs of tokens the rounds looked at, and how much of full attention these have.
 * SPDX-License-Identifier: MIT */
#include <vkattn/attention.h>
#include <vkattn/lsh.h>
#include <vkattn/merge.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { HEADS = 2, TOKENS = 1000, DIM = 32, KINDS = 40, ROUNDS = 4, BUCKETS = 32, CHUNK = 32 };
enum { ROWS = HEADS * TOKENS, COUNT = ROWS * DIM, COLUMNS = BUCKETS / 2 };

static void check(vka_status status) {
    if (status != VKA_OK) {
        fprintf(stderr, "reformer: %s\n", vka_status_string(status));
        exit(1);
    }
}

static void log_line(void *user, vka_log_level level, const char *item, const char *message) {
    (void)user, (void)level;
    fprintf(stderr, "%s: %s\n", item, message);
}

static float q[COUNT], v[COUNT], out[COUNT], rotations[ROUNDS * HEADS * DIM * COLUMNS];
static const float self_last[3] = {0, -1e5f, 0}; /* biases of tokens before, the token itself, tokens after */
static int32_t permutation[ROUNDS * ROWS];

/* Numbers of the normal distribution serve as data, too. */
static void make_data(void) {
    static float kinds[KINDS * DIM];
    vka_lsh_rotations(1, 0, ROUNDS * HEADS * DIM * COLUMNS, rotations);
    vka_lsh_rotations(2, 0, KINDS * DIM, kinds);
    vka_lsh_rotations(3, 0, COUNT, q);
    vka_lsh_rotations(4, 0, COUNT, v);
    for (int row = 0; row < ROWS; row++) {
        int kind = rand() % KINDS;
        for (int d = 0; d < DIM; d++) {
            q[row * DIM + d] = 2 * kinds[kind * DIM + d] + 0.3f * q[row * DIM + d];
        }
    }
}

static vka_buffer *make_buffer(vka_device *device, const void *data, uint64_t bytes) {
    vka_buffer *buffer;
    check(vka_buffer_create(device, &(vka_buffer_desc){.size = bytes}, &buffer));
    if (data) {
        check(vka_buffer_write(buffer, 0, data, bytes));
    }
    return buffer;
}

static vka_tensor make_tokens(vka_device *device, const float *data) {
    return vka_tensor_4d(make_buffer(device, data, sizeof q), VKA_F32, 1, HEADS, TOKENS, DIM);
}

/* Records everything: a sort by hashes, an attention a round, and merges into the first one's output. */
static void record(vka_recorder *recorder, const vka_lsh_sort_desc *sort, const vka_attention_desc *attention,
                   const vka_tensor *outs, const vka_tensor *lses) {
    check(vka_recorder_begin(recorder));
    check(vka_lsh_sort(recorder, sort));
    for (uint32_t round = 0; round < ROUNDS; round++) {
        vka_attention_desc desc = *attention;
        desc.permutation = vka_lsh_round(sort->permutation, round);
        desc.out = outs[round];
        desc.lse = lses[round];
        check(vka_attention(recorder, &desc));
    }
    for (uint32_t round = 1; round < ROUNDS; round++) {
        check(vka_attention_merge(recorder, &(vka_attention_merge_desc){.a = outs[0],
                                                                        .b = outs[round],
                                                                        .a_lse = lses[0],
                                                                        .b_lse = lses[round],
                                                                        .out = outs[0],
                                                                        .lse = lses[0]}));
    }
}

static void run(vka_device *device) {
    vka_tensor outs[ROUNDS], lses[ROUNDS];
    for (int round = 0; round < ROUNDS; round++) {
        outs[round] = make_tokens(device, NULL);
        lses[round] = vka_tensor_3d(make_buffer(device, NULL, ROWS * 4), VKA_F32, 1, HEADS, TOKENS);
    }
    vka_pattern_term chunks = {.kind = VKA_PATTERN_CHUNKS, .chunks = {.size = CHUNK, .before = 1}};
    vka_pattern_desc pattern_desc = {.queries = TOKENS, .keys = TOKENS, .terms = &chunks, .term_count = 1};
    vka_pattern *pattern;
    check(vka_pattern_create(device, &pattern_desc, &pattern));
    vka_lsh_sort_desc sort = {
        .x = make_tokens(device, q),
        .rotations =
            vka_tensor_4d(make_buffer(device, rotations, sizeof rotations), VKA_F32, ROUNDS, HEADS, DIM, COLUMNS),
        .bucket_count = {BUCKETS},
        .permutation = vka_tensor_4d(make_buffer(device, NULL, sizeof permutation), VKA_I32, ROUNDS, 1, HEADS, TOKENS),
        .keys = make_tokens(device, NULL),
    };
    vka_attention_desc attention = {
        .q = sort.x,
        .k = sort.keys,
        .v = make_tokens(device, v),
        .scale = 1, /* keys are of length 1 */
        .causal = true,
        .pattern = pattern,
        .relative_bias = vka_tensor_2d(make_buffer(device, self_last, sizeof self_last), VKA_F32, 1, 3),
        .relative_zero = 1,
    };
    vka_recorder *recorder;
    check(vka_recorder_create(device, NULL, &recorder));
    record(recorder, &sort, &attention, outs, lses);
    check(vka_recorder_submit(recorder));
    check(vka_recorder_wait(recorder, VKA_FOREVER));
    check(vka_buffer_read(outs[0].buffer, 0, out, sizeof out));
    check(vka_buffer_read(sort.permutation.buffer, 0, permutation, sizeof permutation));

    vka_recorder_destroy(&recorder);
    vka_pattern_destroy(&pattern);
    for (int round = 0; round < ROUNDS; round++) {
        vka_buffer_destroy(&outs[round].buffer);
        vka_buffer_destroy(&lses[round].buffer);
    }
    vka_tensor *others[] = {&sort.x,    &sort.rotations, &sort.permutation,
                            &sort.keys, &attention.v,    &attention.relative_bias};
    for (int i = 0; i < 6; i++) {
        vka_buffer_destroy(&others[i]->buffer);
    }
}

/* ---- the definition -------------------------------------------------------------------------------------------- */

static int place[ROUNDS * ROWS]; /* of a token in the order of a round */

/* In how many rounds does a token see another one, or itself? */
static int rounds_that_see(int head, int i, int j) {
    int rounds = 0;
    for (int round = 0; round < ROUNDS && j <= i; round++) {
        const int *places = place + (round * HEADS + head) * TOKENS;
        int chunks = places[i] / CHUNK - places[j] / CHUNK;
        rounds += chunks == 0 || chunks == 1;
    }
    return rounds;
}

static double score(int head, int i, int j) {
    const float *a = q + (head * TOKENS + i) * DIM, *b = q + (head * TOKENS + j) * DIM;
    double product = 0, square = 0;
    for (int d = 0; d < DIM; d++) {
        product += (double)a[d] * (double)b[d];
        square += (double)b[d] * (double)b[d];
    }
    return product / sqrt(square + DIM * 1e-6) + (double)self_last[i == j];
}

/* The largest error of a token; *found grows by the share of its attention that lies in pairs that are looked at. */
static double judge(int head, int i, double *found) {
    double weights[TOKENS], exact[DIM] = {0}, most = -INFINITY, seen = 0, all = 0, sum = 0, error = 0;
    for (int j = 0; j <= i; j++) {
        weights[j] = score(head, i, j);
        most = rounds_that_see(head, i, j) ? fmax(most, weights[j]) : most;
    }
    for (int j = 0; j <= i; j++) {
        int rounds = rounds_that_see(head, i, j); /* a pair that two rounds see counts twice: merges don't know */
        double weight = exp(weights[j] - most);
        all += weight;
        for (int d = 0; d < DIM && rounds; d++) {
            exact[d] += rounds * weight * (double)v[(head * TOKENS + j) * DIM + d];
        }
        seen += rounds ? weight : 0;
        sum += rounds ? rounds * weight : 0;
    }
    for (int d = 0; d < DIM; d++) {
        error = fmax(error, fabs(exact[d] / sum - (double)out[(head * TOKENS + i) * DIM + d]));
    }
    *found += seen / all;
    return error;
}

int main(void) {
    vka_device *device;
    check(vka_device_create(&(vka_device_desc){.log = {.fn = log_line, .level = VKA_LOG_INFO}}, &device));
    make_data();
    run(device);
    vka_device_destroy(&device);

    double error = 0, found = 0;
    long pairs = 0, looked_at = 0;
    for (int n = 0; n < ROUNDS * ROWS; n++) {
        place[n / TOKENS * TOKENS + permutation[n]] = n % TOKENS;
    }
    for (int row = 0; row < ROWS; row++) {
        error = fmax(error, judge(row / TOKENS, row % TOKENS, &found));
        for (int j = 0; j <= row % TOKENS; j++) {
            pairs++;
            looked_at += rounds_that_see(row / TOKENS, row % TOKENS, j) > 0;
        }
    }
    printf("%d rounds look at %.0f %% of all pairs and find %.0f %% of the attention; largest error %.1e\n", ROUNDS,
           100.0 * (double)looked_at / (double)pairs, 100 * found / ROWS, error);
    return error < 1e-4 ? 0 : 1; /* one pair too many or too few is off by more in most tokens */
}
