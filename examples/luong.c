/* The three scores of Luong 2015 between states of a decoder, the queries, and of an encoder, keys and values at once.
 * SPDX-License-Identifier: MIT
 *
 *   dot       q . k                      attention with a scale of 1
 *   general   q . (W k)                  a linear layer, then the same
 *   concat    v . tanh(W_q q + W_k k)    two linear layers, which are the halves of the paper's W [q; k], then additive
 *                                        attention (Bahdanau 2014)
 *
 * All go into one recording; barriers come from what reads what. Results are compared with the definitions in double.
 */
#include <vkattn/additive_attention.h>
#include <vkattn/attention.h>
#include <vkattn/linear.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { QUERIES = 37, KEYS = 61, DIM = 24 };

static void check(vka_status status) {
    if (status != VKA_OK) {
        fprintf(stderr, "luong: %s\n", vka_status_string(status));
        exit(1);
    }
}

static void log_line(void *user, vka_log_level level, const char *item, const char *message) {
    (void)user, (void)level;
    fprintf(stderr, "luong: %s: %s\n", item, message);
}

/* Everything here has rows of DIM numbers. */
static vka_tensor create(vka_device *device, uint32_t rows) {
    vka_buffer_desc desc = {.size = (uint64_t)rows * DIM * sizeof(float), .memory = VKA_MEMORY_READBACK};
    vka_buffer *buffer;
    check(vka_buffer_create(device, &desc, &buffer));
    return vka_tensor_2d(buffer, VKA_F32, rows, DIM);
}

static vka_tensor create_random(vka_device *device, uint32_t rows) {
    vka_tensor t = create(device, rows);
    float *values = vka_buffer_map(t.buffer);
    for (uint32_t i = 0; i < rows * DIM; i++) {
        values[i] = (float)rand() / (float)RAND_MAX - 0.5f;
    }
    return t;
}

static const float *row_of(const vka_tensor *t, uint32_t row) {
    return (const float *)vka_buffer_map(t->buffer) + (size_t)row * DIM;
}

typedef struct model {
    vka_tensor q, k;                      /* states of the decoder and of the encoder    */
    vka_tensor general;                   /* W of "general"                              */
    vka_tensor query_half, key_half, v;   /* of "concat"                                 */
    vka_tensor general_k, half_q, half_k; /* what the linear layers make                */
    vka_tensor out[3];
} model;

/* ---- the definitions --------------------------------------------------------------------------------------------- */

static double dot(const double *a, const double *b) {
    double sum = 0;
    for (int d = 0; d < DIM; d++) {
        sum += a[d] * b[d];
    }
    return sum;
}

static void widen(const vka_tensor *t, uint32_t row, double x[DIM]) {
    for (int d = 0; d < DIM; d++) {
        x[d] = (double)row_of(t, row)[d];
    }
}

/* W x */
static void multiply(const vka_tensor *w, const double x[DIM], double y[DIM]) {
    double row[DIM];
    for (uint32_t n = 0; n < DIM; n++) {
        widen(w, n, row);
        y[n] = dot(row, x);
    }
}

static double score(const model *m, int kind, uint32_t i, uint32_t j) {
    double q[DIM], k[DIM], a[DIM], b[DIM];
    widen(&m->q, i, q);
    widen(&m->k, j, k);
    if (kind == 0) {
        return dot(q, k);
    }
    if (kind == 1) {
        multiply(&m->general, k, a);
        return dot(q, a);
    }
    multiply(&m->query_half, q, a);
    multiply(&m->key_half, k, b);
    for (int d = 0; d < DIM; d++) {
        a[d] = tanh(a[d] + b[d]);
    }
    widen(&m->v, 0, b);
    return dot(a, b);
}

static double largest_error(const model *m, int kind) {
    double worst = 0;
    for (uint32_t i = 0; i < QUERIES; i++) {
        double sum = 0, expected[DIM] = {0}, k[DIM];
        for (uint32_t j = 0; j < KEYS; j++) {
            double weight = exp(score(m, kind, i, j)); /* scores are small: no overflow */
            widen(&m->k, j, k);
            for (int d = 0; d < DIM; d++) {
                expected[d] += weight * k[d];
            }
            sum += weight;
        }
        for (int d = 0; d < DIM; d++) {
            double error = fabs((double)row_of(&m->out[kind], i)[d] - expected[d] / sum);
            worst = error <= worst ? worst : error; /* NaN stays */
        }
    }
    return worst;
}

/* ---- the device -------------------------------------------------------------------------------------------------- */

/* The rows as one head of one sequence. */
static vka_tensor one_head(vka_tensor t) {
    return vka_tensor_4d(t.buffer, VKA_F32, 1, 1, t.shape[0], DIM);
}

static void record_linear(vka_recorder *recorder, vka_tensor x, vka_tensor weight, vka_tensor out) {
    check(vka_linear(recorder, &(vka_linear_desc){.x = x, .weight = weight, .out = out}));
}

static void record_attention(vka_recorder *recorder, const model *m, vka_tensor keys, vka_tensor out) {
    vka_attention_desc desc = {.q = one_head(m->q), .k = one_head(keys), .v = one_head(m->k), .out = one_head(out)};
    desc.scale = 1;
    check(vka_attention(recorder, &desc));
}

static void record(vka_recorder *recorder, const model *m) {
    record_attention(recorder, m, m->k, m->out[0]);

    record_linear(recorder, m->k, m->general, m->general_k);
    record_attention(recorder, m, m->general_k, m->out[1]);

    record_linear(recorder, m->q, m->query_half, m->half_q);
    record_linear(recorder, m->k, m->key_half, m->half_k);
    vka_additive_attention_desc concat = {.q = one_head(m->half_q),
                                          .k = one_head(m->half_k),
                                          .v = one_head(m->k),
                                          .score_vector = vka_tensor_1d(m->v.buffer, VKA_F32, DIM),
                                          .out = one_head(m->out[2])};
    check(vka_additive_attention(recorder, &concat));
}

static void create_model(vka_device *device, model *m) {
    *m = (model){.q = create_random(device, QUERIES), .k = create_random(device, KEYS)};
    m->general = create_random(device, DIM);
    m->query_half = create_random(device, DIM);
    m->key_half = create_random(device, DIM);
    m->v = create_random(device, 1);
    m->general_k = create(device, KEYS);
    m->half_q = create(device, QUERIES);
    m->half_k = create(device, KEYS);
    for (int i = 0; i < 3; i++) {
        m->out[i] = create(device, QUERIES);
    }
}

static void destroy_model(model *m) {
    vka_tensor *const tensors[] = {&m->q,         &m->k,      &m->general, &m->query_half, &m->key_half, &m->v,
                                   &m->general_k, &m->half_q, &m->half_k,  &m->out[0],     &m->out[1],   &m->out[2]};
    for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++) {
        vka_buffer_destroy(&tensors[i]->buffer);
    }
}

int main(void) {
    static const char *const names[] = {"dot", "general", "concat"};
    vka_device *device;
    vka_recorder *recorder;
    model m;
    check(vka_device_create(&(vka_device_desc){.log = {.fn = log_line}}, &device));
    check(vka_recorder_create(device, NULL, &recorder));
    create_model(device, &m);

    check(vka_recorder_begin(recorder));
    record(recorder, &m);
    check(vka_recorder_submit(recorder));
    check(vka_recorder_wait(recorder, VKA_FOREVER));

    double worst = 0;
    for (int i = 0; i < 3; i++) {
        double error = largest_error(&m, i);
        printf("%-9s error %.1e\n", names[i], error);
        worst = error <= worst ? worst : error;
    }
    destroy_model(&m);
    vka_recorder_destroy(&recorder);
    vka_device_destroy(&device);
    return worst < 1e-5 ? 0 : 1; /* NaN is not */
}
