/* What ggml does with one case on one of its devices: verified on some rows, then timed, as one line of JSON.
 *
 *   ggml_attention [--device TEXT] [--seconds S] attention BATCH HEADS KV_HEADS Q_LEN KV_LEN DIM full|causal
 *   ggml_attention [--device TEXT] [--seconds S] layer_norm ROWS COLS
 *
 * TEXT: part of a device's description; default: the first Vulkan device. Attention has f16 keys and values with f32
 * queries and results, and default precision, as ggml offers it; its layer norm is f32, with weight and bias.
 * Exit status: 0 measured, 1 wrong or failed, 2 usage, 3 ggml has no such device or operation.
 * SPDX-License-Identifier: MIT */
#include <ggml-alloc.h>
#include <ggml-backend.h>
#include <ggml.h>

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define RANGE       2.0f    /* inputs are uniform in +-RANGE, as those of vkattn-bench */
#define PERIOD      4194301 /* and repeat after this prime number of elements           */
#define ROWS        16      /* compared with the reference                              */
#define TOLERANCE   5e-4    /* squared error over squared reference, as ggml's own tests allow */
#define SAMPLE_MS   5.0     /* ggml has no GPU clock to ask: samples long enough for the host's */
#define MAX_CALLS   256
#define MAX_SAMPLES 200
#define MIN_SAMPLES 3

typedef struct problem {
    bool attention, causal;
    int64_t batch, heads, kv_heads, q_len, kv_len, dim; /* layer norm: q_len rows of dim columns */
    const char *device;
    double seconds;
    float *table;        /* PERIOD random numbers that f16 holds exactly */
    ggml_fp16_t *halves; /* the same */
    struct ggml_tensor *q, *k, *v, *mask, *out;
    ggml_backend_t backend;
    struct ggml_context *context;
    ggml_backend_buffer_t buffer;
} problem;

typedef struct timing {
    double median_ms, min_ms, max_ms, first_ms;
    int repeats, calls;
} timing;

static double now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

static int skip(const char *why) {
    printf("{\"state\": \"skipped\", \"reason\": \"%s\"}\n", why);
    return 3;
}

static int fail(const char *why) {
    printf("{\"state\": \"failed\", \"reason\": \"%s\"}\n", why);
    return 1;
}

/* ---- inputs ----------------------------------------------------------------------------------------------------- */

static bool create_tables(problem *p) {
    uint64_t state = 0x9e3779b97f4a7c15u;
    p->table = malloc(PERIOD * sizeof *p->table);
    p->halves = malloc(PERIOD * sizeof *p->halves);
    for (int i = 0; p->table && p->halves && i < PERIOD; i++) {
        state ^= state << 13; /* xorshift (Marsaglia 2003) */
        state ^= state >> 7;
        state ^= state << 17;
        p->halves[i] = ggml_fp32_to_fp16(RANGE * ((float)(state >> 40) * 0x1p-23f - 1));
        p->table[i] = ggml_fp16_to_fp32(p->halves[i]);
    }
    return p->table && p->halves;
}

/* Where a tensor begins in the table: not two at the same place, or queries would equal keys. */
static int64_t phase(const problem *p, const struct ggml_tensor *t) {
    return t == p->k ? PERIOD / 3 : t == p->v ? PERIOD / 3 * 2 : 0;
}

static float input(const problem *p, const struct ggml_tensor *t, int64_t i) {
    return p->table[(i + phase(p, t)) % PERIOD];
}

static void upload(const problem *p, struct ggml_tensor *t) {
    const char *table = t->type == GGML_TYPE_F16 ? (const char *)p->halves : (const char *)p->table;
    size_t size = ggml_type_size(t->type), count = (size_t)ggml_nelements(t);
    for (size_t at = 0, n; at < count; at += n) {
        size_t from = (at + (size_t)phase(p, t)) % PERIOD;
        n = count - at < PERIOD - from ? count - at : PERIOD - from;
        ggml_backend_tensor_set(t, table + from * size, at * size, n * size);
    }
}

static bool upload_mask(const problem *p) {
    size_t row_size = (size_t)p->kv_len * sizeof(ggml_fp16_t);
    ggml_fp16_t *row = malloc(row_size), hidden = ggml_fp32_to_fp16(-INFINITY);
    for (int64_t i = 0; row && i < p->q_len; i++) {
        for (int64_t j = 0; j < p->kv_len; j++) {
            row[j] = j <= i + p->kv_len - p->q_len ? 0 : hidden;
        }
        ggml_backend_tensor_set(p->mask, row, (size_t)i * row_size, row_size);
    }
    free(row);
    return row;
}

/* ---- the case in ggml's terms ----------------------------------------------------------------------------------- */

static void describe_attention(problem *p) {
    struct ggml_context *c = p->context;
    p->q = ggml_new_tensor_4d(c, GGML_TYPE_F32, p->dim, p->q_len, p->heads, p->batch);
    p->k = ggml_new_tensor_4d(c, GGML_TYPE_F16, p->dim, p->kv_len, p->kv_heads, p->batch);
    p->v = ggml_new_tensor_4d(c, GGML_TYPE_F16, p->dim, p->kv_len, p->kv_heads, p->batch);
    if (p->causal) {
        p->mask = ggml_new_tensor_2d(c, GGML_TYPE_F16, p->kv_len, p->q_len);
    }
    p->out = ggml_flash_attn_ext(c, p->q, p->k, p->v, p->mask, 1 / sqrtf((float)p->dim), 0, 0);
}

/* q: x, k: weight, v: bias */
static void describe_layer_norm(problem *p) {
    struct ggml_context *c = p->context;
    p->q = ggml_new_tensor_2d(c, GGML_TYPE_F32, p->dim, p->q_len);
    p->k = ggml_new_tensor_1d(c, GGML_TYPE_F32, p->dim);
    p->v = ggml_new_tensor_1d(c, GGML_TYPE_F32, p->dim);
    p->out = ggml_add(c, ggml_mul(c, ggml_norm(c, p->q, 1e-5f), p->k), p->v);
}

static bool create_tensors(problem *p) {
    struct ggml_init_params params = {.mem_size = 8 << 20, .no_alloc = true};
    p->context = ggml_init(params);
    if (!p->context) {
        return false;
    }
    if (p->attention) {
        describe_attention(p);
    } else {
        describe_layer_norm(p);
    }
    p->buffer = ggml_backend_alloc_ctx_tensors(p->context, p->backend);
    if (!p->buffer) {
        return false;
    }
    upload(p, p->q);
    upload(p, p->k);
    upload(p, p->v);
    return !p->mask || upload_mask(p);
}

/* The calls follow each other on the same tensors. */
static struct ggml_cgraph *create_graph(const problem *p, int calls) {
    struct ggml_cgraph *graph = ggml_new_graph(p->context);
    ggml_build_forward_expand(graph, p->out);
    int nodes = ggml_graph_n_nodes(graph);
    for (int i = 1; i < calls; i++) {
        for (int n = 0; n < nodes; n++) {
            ggml_graph_add_node(graph, ggml_graph_node(graph, n));
        }
    }
    return graph;
}

/* Milliseconds of one call; NaN on failure. */
static double run(const problem *p, struct ggml_cgraph *graph, int calls) {
    double start = now_ms();
    bool ok = ggml_backend_graph_compute(p->backend, graph) == GGML_STATUS_SUCCESS;
    ggml_backend_synchronize(p->backend);
    return ok ? (now_ms() - start) / calls : NAN;
}

/* ---- verification ----------------------------------------------------------------------------------------------- */

/* Row `i` of head `h` in batch entry `b`, in float64. */
static void attention_row(const problem *p, int64_t b, int64_t h, int64_t i, double *scores, double *out) {
    int64_t kv = (b * p->kv_heads + h / (p->heads / p->kv_heads)) * p->kv_len;
    int64_t q = ((b * p->heads + h) * p->q_len + i) * p->dim;
    int64_t seen = p->causal ? i + p->kv_len - p->q_len + 1 : p->kv_len;
    double largest = -INFINITY, sum = 0;
    for (int64_t j = 0; j < seen; j++) {
        scores[j] = 0;
        for (int64_t c = 0; c < p->dim; c++) {
            scores[j] += (double)input(p, p->q, q + c) * (double)input(p, p->k, (kv + j) * p->dim + c);
        }
        scores[j] /= sqrt((double)p->dim);
        largest = fmax(largest, scores[j]);
    }
    memset(out, 0, (size_t)p->dim * sizeof *out);
    for (int64_t j = 0; j < seen; j++) {
        double weight = exp(scores[j] - largest);
        sum += weight;
        for (int64_t c = 0; c < p->dim; c++) {
            out[c] += weight * (double)input(p, p->v, (kv + j) * p->dim + c);
        }
    }
    for (int64_t c = 0; c < p->dim; c++) {
        out[c] /= sum;
    }
}

static void norm_row(const problem *p, int64_t i, double *out) {
    double mean = 0, variance = 0, n = (double)p->dim;
    for (int64_t c = 0; c < p->dim; c++) {
        mean += (double)input(p, p->q, i * p->dim + c) / n;
    }
    for (int64_t c = 0; c < p->dim; c++) {
        variance += pow((double)input(p, p->q, i * p->dim + c) - mean, 2) / n;
    }
    for (int64_t c = 0; c < p->dim; c++) {
        double x = ((double)input(p, p->q, i * p->dim + c) - mean) / sqrt(variance + 1e-5);
        out[c] = x * (double)input(p, p->k, c) + (double)input(p, p->v, c);
    }
}

/* Squared error over squared reference; NaN if anything compared is NaN. The first row, the last, and some between. */
static double verify(const problem *p, double *max_error) {
    size_t width = (size_t)p->dim;
    double *scores = malloc((size_t)p->kv_len * sizeof(double)), *ref = malloc(width * sizeof(double));
    float *got = malloc(width * sizeof(float));
    double error = 0, total = 0;
    int64_t rows = p->batch * p->heads * p->q_len, n = rows < ROWS ? rows : ROWS;
    for (int64_t at = 0; scores && ref && got && at < n; at++) {
        int64_t row = n > 1 ? at * (rows - 1) / (n - 1) : 0;
        int64_t i = row % p->q_len, h = row / p->q_len % p->heads, b = row / p->q_len / p->heads;
        if (p->attention) {
            attention_row(p, b, h, i, scores, ref);
        } else {
            norm_row(p, row, ref);
        }
        /* ggml's attention swaps heads and queries in its result */
        int64_t stored = (b * p->q_len + i) * p->heads + h;
        ggml_backend_tensor_get(p->out, got, (size_t)stored * width * sizeof(float), width * sizeof(float));
        for (size_t c = 0; c < width; c++) {
            double e = fabs((double)got[c] - ref[c]);
            *max_error = e <= *max_error ? *max_error : e;
            error += e * e;
            total += ref[c] * ref[c];
        }
    }
    free(scores);
    free(ref);
    free(got);
    return total > 0 ? error / total : NAN;
}

/* ---- timing ----------------------------------------------------------------------------------------------------- */

static int compare_doubles(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static timing measure(const problem *p, struct ggml_cgraph *once) {
    double samples[MAX_SAMPLES], ms = run(p, once, 1), start = now_ms();
    int calls = !(ms < SAMPLE_MS) ? 1 : ms > SAMPLE_MS / MAX_CALLS ? (int)ceil(SAMPLE_MS / ms) : MAX_CALLS, n = 0;
    struct ggml_cgraph *graph = calls > 1 ? create_graph(p, calls) : once;
    ms = run(p, graph, calls); /* as warm as it will be */
    while (n < MAX_SAMPLES && (n < MIN_SAMPLES || now_ms() - start < p->seconds * 1e3)) {
        samples[n++] = run(p, graph, calls);
    }
    qsort(samples, (size_t)n, sizeof *samples, compare_doubles);
    return (timing){.median_ms = n % 2 ? samples[n / 2] : (samples[n / 2 - 1] + samples[n / 2]) / 2,
                    .min_ms = samples[0],
                    .max_ms = samples[n - 1],
                    .repeats = n,
                    .calls = calls};
}

/* ---- the device ------------------------------------------------------------------------------------------------- */

static bool open_device(problem *p) {
    ggml_backend_load_all();
    for (size_t i = 0; i < ggml_backend_dev_count(); i++) {
        ggml_backend_dev_t device = ggml_backend_dev_get(i);
        const char *name = ggml_backend_dev_name(device), *description = ggml_backend_dev_description(device);
        if (strncmp(name, "Vulkan", 6) == 0 && (!p->device || strstr(description, p->device))) {
            p->backend = ggml_backend_dev_init(device, NULL);
            return p->backend;
        }
    }
    return false;
}

static bool supported(const problem *p, struct ggml_cgraph *graph) {
    for (int n = 0; n < ggml_graph_n_nodes(graph); n++) {
        if (!ggml_backend_supports_op(p->backend, ggml_graph_node(graph, n))) {
            return false;
        }
    }
    return true;
}

static int run_problem(problem *p) {
    if (!open_device(p)) {
        return skip("ggml has no such Vulkan device");
    }
    if (!create_tables(p) || !create_tensors(p)) {
        return skip("no memory for the tensors");
    }
    struct ggml_cgraph *once = create_graph(p, 1);
    if (!supported(p, once)) {
        return skip("ggml's backend does not support it");
    }
    ggml_backend_tensor_memset(p->out, 0xff, 0, ggml_nbytes(p->out)); /* what is not written stays NaN */
    double first_ms = run(p, once, 1), max_error = 0;
    if (isnan(first_ms)) {
        return fail("the computation failed");
    }
    double nmse = verify(p, &max_error);
    if (!(nmse < TOLERANCE)) {
        return fail("wrong results");
    }
    timing t = measure(p, once);
    printf("{\"state\": \"ok\", \"device\": \"%s\", \"verified\": true, \"nmse\": %.3g, \"max_error\": %.3g, "
           "\"ms_median\": %.6g, \"ms_min\": %.6g, \"ms_max\": %.6g, \"first_call_ms\": %.6g, \"repeats\": %d, "
           "\"calls_per_repeat\": %d, \"clock\": \"host\"}\n",
           ggml_backend_dev_description(ggml_backend_get_device(p->backend)), nmse, max_error, t.median_ms, t.min_ms,
           t.max_ms, first_ms, t.repeats, t.calls);
    return 0;
}

static void close_problem(problem *p) {
    ggml_backend_buffer_free(p->buffer);
    ggml_free(p->context);
    if (p->backend) {
        ggml_backend_free(p->backend);
    }
    free(p->table);
    free(p->halves);
}

/* ---- the command line ------------------------------------------------------------------------------------------- */

static bool parse_sizes(char **argv, int count, int64_t *sizes[]) {
    for (int i = 0; i < count; i++) {
        *sizes[i] = strtoll(argv[i], NULL, 10);
        if (*sizes[i] < 1) {
            return false;
        }
    }
    return true;
}

static bool parse(int argc, char **argv, problem *p) {
    int at = 1;
    for (; at + 1 < argc && strncmp(argv[at], "--", 2) == 0; at += 2) {
        if (strcmp(argv[at], "--device") == 0) {
            p->device = argv[at + 1];
        } else if (strcmp(argv[at], "--seconds") == 0) {
            p->seconds = strtod(argv[at + 1], NULL);
        } else {
            return false;
        }
    }
    int64_t *attention[] = {&p->batch, &p->heads, &p->kv_heads, &p->q_len, &p->kv_len, &p->dim};
    int64_t *norm[] = {&p->q_len, &p->dim};
    if (argc - at == 8 && strcmp(argv[at], "attention") == 0) {
        p->attention = true;
        p->causal = strcmp(argv[at + 7], "causal") == 0;
        return parse_sizes(argv + at + 1, 6, attention) && p->heads % p->kv_heads == 0 && p->q_len <= p->kv_len;
    }
    p->batch = p->heads = p->kv_heads = p->kv_len = 1;
    return argc - at == 3 && strcmp(argv[at], "layer_norm") == 0 && parse_sizes(argv + at + 1, 2, norm);
}

int main(int argc, char **argv) {
    problem p = {.seconds = 1};
    if (!parse(argc, argv, &p)) {
        fputs("usage: ggml_attention [--device TEXT] [--seconds S] attention BATCH HEADS KV_HEADS Q_LEN KV_LEN DIM "
              "full|causal\n"
              "       ggml_attention [--device TEXT] [--seconds S] layer_norm ROWS COLS\n",
              stderr);
        return 2;
    }
    int status = run_problem(&p);
    close_problem(&p);
    return status;
}
