/* Threads that share a device: each prepares, records, submits and reads attention of shapes of its own, with a map
 * that all share, while the others do the same and one asks for what is shared. And threads of two devices, half of
 * them with each. Results must be those of one thread alone.
 *
 * A program without the test framework, whose memory does not go together with ThreadSanitizer's.
 * Exit status: 0; 1 a result differs or a call fails; 77 no Vulkan device.
 * SPDX-License-Identifier: MIT */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vkattn/attention.h>
#include <vkattn/pattern.h>

enum { THREADS = 4, ROUNDS = 6, TOKENS = 96, HEADS = 2, MOST_DIM = 24, EXIT_SKIP = 77 };
enum { MOST_ELEMENTS = HEADS * TOKENS * MOST_DIM };

typedef struct worker {
    vka_device *device;
    vka_pattern *pattern;
    vka_plan *plan; /* that all record; NULL: none */
    uint32_t number;
    vka_buffer *tensors[4]; /* q, k, v, out */
    vka_recorder *recorder;
    float expected[ROUNDS][MOST_ELEMENTS], out[MOST_ELEMENTS];
    bool failed;
} worker;

static void expect(worker *w, vka_status status, const char *call) {
    if (status == VKA_OK)
        return;
    fprintf(stderr, "thread %u: %s: %s\n", w->number, call, vka_status_string(status));
    w->failed = true;
}

static void on_log(void *user, vka_log_level level, const char *item, const char *message) {
    (void)user;
    if (level == VKA_LOG_ERROR)
        fprintf(stderr, "%s: %s\n", item, message);
}

/* ---- a thread's own -------------------------------------------------------------------------------------------- */

static void make(worker *w) {
    float values[MOST_ELEMENTS];
    uint32_t bits = 1 + w->number;
    for (int i = 0; i < 4; ++i) {
        for (uint32_t n = 0; n < MOST_ELEMENTS; ++n) {
            bits = bits * 1664525u + 1013904223u;
            values[n] = (float)(bits >> 8) / (1u << 23) - 1;
        }
        vka_buffer_desc desc = {.size = sizeof values};
        expect(w, vka_buffer_create(w->device, &desc, &w->tensors[i]), "vka_buffer_create");
        expect(w, vka_buffer_write(w->tensors[i], 0, values, sizeof values), "vka_buffer_write");
    }
    expect(w, vka_recorder_create(w->device, NULL, &w->recorder), "vka_recorder_create");
}

static void destroy(worker *w) {
    vka_recorder_destroy(&w->recorder);
    for (int i = 0; i < 4; ++i)
        vka_buffer_destroy(&w->tensors[i]);
}

/* Shapes that threads have in common, so that they want the same pipelines at the same time. */
static vka_attention_desc describe(const worker *w, uint32_t round) {
    uint32_t d = 8 + 8 * (round % 3);
    vka_attention_desc desc = {.causal = round % 2 == 0, .pattern = round % 2 ? w->pattern : NULL};
    vka_tensor *tensors[] = {&desc.q, &desc.k, &desc.v, &desc.out};
    for (int i = 0; i < 4; ++i)
        *tensors[i] = vka_tensor_4d(w->tensors[i], VKA_F32, 1, HEADS, TOKENS, d);
    desc.splits = round % 3 == 2 ? 2 : 0;
    return desc;
}

static void run(worker *w, uint32_t round) {
    vka_attention_desc desc = describe(w, round);
    expect(w, vka_attention_prepare(w->device, &desc), "vka_attention_prepare");
    expect(w, vka_recorder_begin(w->recorder), "vka_recorder_begin");
    expect(w, vka_attention(w->recorder, &desc), "vka_attention");
    if (w->plan)
        expect(w, vka_plan_record(w->recorder, w->plan), "vka_plan_record");
    expect(w, vka_recorder_submit(w->recorder), "vka_recorder_submit");
    expect(w, vka_recorder_wait(w->recorder, VKA_FOREVER), "vka_recorder_wait");
    expect(w, vka_buffer_read(w->tensors[3], 0, w->out, sizeof w->out), "vka_buffer_read");
}

/* ---- what is shared -------------------------------------------------------------------------------------------- */

static void ask(worker *w) {
    size_t size = 0;
    expect(w, vka_device_save_cache(w->device, NULL, &size), "vka_device_save_cache");
    size += 64 << 20; /* others may make more meanwhile */
    void *blob = malloc(size);
    expect(w, blob ? vka_device_save_cache(w->device, blob, &size) : VKA_OUT_OF_MEMORY, "vka_device_save_cache");
    free(blob);
    (void)vka_device_memory(w->device);
    char text[2048];
    vka_attention_desc desc = describe(w, 1);
    expect(w, vka_attention_explain(w->device, &desc, text, sizeof text, NULL), "vka_attention_explain");
    size = 0;
    expect(w, vka_pattern_save(w->pattern, NULL, &size), "vka_pattern_save");
}

static void *work(void *user) {
    worker *w = user;
    make(w);
    for (uint32_t round = 0; round < ROUNDS && !w->failed; ++round) {
        uint32_t turn = (round + w->number) % ROUNDS;
        run(w, turn);
        if (w->number == 0)
            ask(w);
        vka_attention_desc desc = describe(w, turn);
        size_t bytes = (size_t)HEADS * TOKENS * desc.q.shape[3] * sizeof(float);
        if (memcmp(w->out, w->expected[turn], bytes)) {
            fprintf(stderr, "thread %u: round %u has other results than alone\n", w->number, turn);
            w->failed = true;
        }
    }
    destroy(w);
    return NULL;
}

/* The results of a thread alone, of a device of its own, so that the shared one has yet to make its pipelines. */
static void expect_results(worker *w) {
    make(w);
    for (uint32_t round = 0; round < ROUNDS && !w->failed; ++round) {
        run(w, round);
        memcpy(w->expected[round], w->out, sizeof w->out);
    }
    destroy(w);
}

static vka_status open_device(vka_device **device, vka_pattern **pattern) {
    vka_device_desc desc = {.log = {.fn = on_log}};
    vka_pattern_term window = {.kind = VKA_PATTERN_WINDOW, .window = {.left = 20, .right = 20}};
    vka_pattern_desc map = {.queries = TOKENS, .keys = TOKENS, .terms = &window, .term_count = 1};
    vka_status status = vka_device_create(&desc, device);
    return status == VKA_OK ? vka_pattern_create(*device, &map, pattern) : status;
}

static bool all_alone(worker *workers, vka_device *device, vka_pattern *pattern) {
    bool good = true;
    for (uint32_t i = 0; i < THREADS && good; ++i) {
        workers[i] = (worker){.device = device, .pattern = pattern, .number = i};
        expect_results(&workers[i]);
        good = !workers[i].failed;
    }
    return good;
}

static void place(worker *w, vka_device *device, vka_pattern *pattern, vka_plan *plan) {
    w->device = device;
    w->pattern = pattern;
    w->plan = plan;
}

static bool start_all(worker *workers) {
    pthread_t ids[THREADS];
    uint32_t started = 0;
    bool good = true;
    for (; started < THREADS; ++started) {
        if (pthread_create(&ids[started], NULL, work, &workers[started]))
            break;
    }
    for (uint32_t i = 0; i < started; ++i) {
        pthread_join(ids[i], NULL);
        good = good && !workers[i].failed;
    }
    return good && started == THREADS;
}

/* With a plan of tensors of its own that all record as well. */
static bool all_at_once(worker *workers, vka_device *device, vka_pattern *pattern) {
    static worker owner;
    owner = (worker){.device = device, .number = THREADS};
    make(&owner);
    vka_attention_desc desc = describe(&owner, 0);
    vka_plan *plan = NULL;
    expect(&owner, vka_attention_plan(device, &desc, &plan), "vka_attention_plan");
    for (uint32_t i = 0; i < THREADS; ++i)
        place(&workers[i], device, pattern, plan);
    bool good = !owner.failed && start_all(workers);
    vka_plan_destroy(&plan);
    destroy(&owner);
    return good;
}

/* With a second device beside the first one, each with its own map. */
static bool of_two_devices(worker *workers, vka_device *device, vka_pattern *pattern) {
    vka_device *second = NULL;
    vka_pattern *map = NULL;
    bool good = open_device(&second, &map) == VKA_OK;
    for (uint32_t i = 0; i < THREADS; ++i)
        place(&workers[i], i % 2 ? second : device, i % 2 ? map : pattern, NULL);
    good = good && start_all(workers);
    vka_pattern_destroy(&map);
    vka_device_destroy(&second);
    return good;
}

int main(void) {
    static worker workers[THREADS];
    bool (*const stages[])(worker *, vka_device *, vka_pattern *) = {all_alone, all_at_once, of_two_devices};
    bool good = true;
    for (int i = 0; i < 3 && good; ++i) {
        vka_device *device = NULL;
        vka_pattern *pattern = NULL;
        vka_status status = open_device(&device, &pattern);
        if (status == VKA_NO_DEVICE) {
            puts("SKIP: no Vulkan device");
            return EXIT_SKIP;
        }
        good = status == VKA_OK && stages[i](workers, device, pattern);
        vka_pattern_destroy(&pattern);
        vka_device_destroy(&device);
    }
    printf("threads: %d of %d rounds each: %s\n", THREADS, ROUNDS, good ? "as alone" : "FAILED");
    return good ? 0 : 1;
}
