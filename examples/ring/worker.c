/* A rank's device and memory.
 * SPDX-License-Identifier: MIT */
#include "ring/worker.h"

#include "common/program.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

const char *const result_names[RESULTS] = {"out", "lse", "d_q", "d_k", "d_v"};

/* In each step of a pass: compute and add, and two transfers each way. */
enum { EVENTS_OF_A_STEP = 6 };

static void log_of_rank(void *user, vka_log_level level, const char *item, const char *message) {
    (void)level;
    worker_fail(user, "%s: %s", item, message);
}

/* ---- sizes --------------------------------------------------------------------------------------------------- */

static uint64_t block_numbers(const worker *w, uint32_t block) {
    return 2 * (uint64_t)shards_rows(&w->problem->shards, block) * problem_width(w->problem, INPUT_K);
}

uint64_t worker_block_bytes(const worker *w, uint32_t block) {
    return block_numbers(w, block) * vka_dtype_size(w->problem->dtype);
}

uint64_t worker_gradient_bytes(const worker *w, uint32_t block) {
    return block_numbers(w, block) * sizeof(float);
}

uint32_t worker_block(const worker *w) {
    return shards_block(&w->problem->shards, w->transport->rank, w->step);
}

vka_tensor worker_rows(const worker *w, worker_buffer buffer, vka_dtype dtype, uint32_t heads, uint64_t before,
                       uint32_t first, uint32_t count) {
    vka_tensor t = vka_tensor_4d(w->buffers[buffer], dtype, 1, count, heads, w->problem->dim);
    t.offset = (before + (uint64_t)first * heads * w->problem->dim) * vka_dtype_size(dtype);
    return vka_tensor_transpose(t, 1, 2);
}

vka_tensor worker_lse(const worker *w, worker_buffer buffer, uint32_t first, uint32_t count) {
    vka_tensor t = vka_tensor_3d(w->buffers[buffer], VKA_F32, 1, count, w->problem->heads);
    t.offset = (uint64_t)first * w->problem->heads * sizeof(float);
    return vka_tensor_transpose(t, 1, 2);
}

uint32_t worker_width(const worker *w, result which) {
    const problem *p = w->problem;
    return which == RESULT_LSE ? p->heads : problem_width(p, which >= RESULT_D_K ? INPUT_K : INPUT_Q);
}

/* ---- memory -------------------------------------------------------------------------------------------------- */

/* Blocks of other ranks may be larger than ours by some rows. */
static bool create_buffers(worker *w) {
    const problem *p = w->problem;
    const uint64_t most = shards_most_rows(&p->shards), size = vka_dtype_size(p->dtype);
    const uint64_t queries = most * problem_width(p, INPUT_Q), keys = 2 * most * problem_width(p, INPUT_K);
    const struct {
        uint64_t bytes;
        vka_memory memory;
    } wanted[WORKER_BUFFERS] = {
        [BUFFER_Q] = {queries * size, VKA_MEMORY_DEVICE},
        [BUFFER_OUT] = {queries * sizeof(float), VKA_MEMORY_DEVICE},
        [BUFFER_LSE] = {most * p->heads * sizeof(float), VKA_MEMORY_DEVICE},
        [BUFFER_PART] = {queries * sizeof(float), VKA_MEMORY_DEVICE},
        [BUFFER_PART_LSE] = {most * p->heads * sizeof(float), VKA_MEMORY_DEVICE},
        [BUFFER_KV] = {keys * size, VKA_MEMORY_DEVICE},
        /* Cached memory of the host, which transfers read and write. */
        [BUFFER_STAGE] = {keys * size, VKA_MEMORY_READBACK},
        [BUFFER_STAGE_2] = {keys * size, VKA_MEMORY_READBACK},
        [BUFFER_D_OUT] = {queries * size, VKA_MEMORY_DEVICE},
        [BUFFER_D_Q] = {queries * sizeof(float), VKA_MEMORY_DEVICE},
        [BUFFER_D_Q_PART] = {queries * sizeof(float), VKA_MEMORY_DEVICE},
        [BUFFER_D_KV_PART] = {keys * sizeof(float), VKA_MEMORY_DEVICE},
        [BUFFER_CARRIED] = {keys * sizeof(float), VKA_MEMORY_READBACK},
        [BUFFER_CARRIED_2] = {keys * sizeof(float), VKA_MEMORY_READBACK},
    };
    for (int i = 0; i < (p->backward ? WORKER_BUFFERS : BUFFER_D_OUT); i++) {
        vka_buffer_desc desc = {.size = wanted[i].bytes, .memory = wanted[i].memory};
        if (!worker_ok(w, vka_buffer_create(w->device, &desc, &w->buffers[i]))) {
            return false;
        }
    }
    return true;
}

static bool upload(worker *w, input which, worker_buffer buffer) {
    uint64_t bytes = (uint64_t)w->rows * problem_width(w->problem, which) * vka_dtype_size(w->problem->dtype);
    void *rows = allocate(bytes, 1);
    problem_rows(w->problem, which, w->transport->rank, rows);
    vka_status status = vka_buffer_write(w->buffers[buffer], 0, rows, bytes);
    free(rows);
    return worker_ok(w, status);
}

/* Ranks of one machine take its GPUs in turn; where there are none, software drivers. */
static bool create_device(worker *w) {
    uint32_t count = 0;
    vka_device_desc desc = {.log = {.fn = log_of_rank, .user = w}};
    for (int software = 0; software < 2 && count == 0; software++) {
        desc.no_software = software == 0;
        if (!worker_ok(w, vka_device_enumerate(&desc, NULL, 0, &count))) {
            return false;
        }
    }
    if (count == 0) {
        return worker_fail(w, "there is no Vulkan device");
    }
    desc.index = w->transport->place % count;
    w->owns_device = true;
    return worker_ok(w, vka_device_create(&desc, &w->device));
}

bool worker_create(worker *w, vka_device *device) {
    w->rows = shards_rows(&w->problem->shards, w->transport->rank);
    w->timeline.most = PASSES * EVENTS_OF_A_STEP * (w->transport->ranks + 1);
    w->timeline.events = allocate(w->timeline.most, sizeof *w->timeline.events);
    w->device = device;
    return (device != NULL || create_device(w)) && worker_ok(w, vka_recorder_create(w->device, NULL, &w->recorder)) &&
           create_buffers(w) && upload(w, INPUT_Q, BUFFER_Q) &&
           (!w->problem->backward || upload(w, INPUT_D_OUT, BUFFER_D_OUT));
}

void worker_destroy(worker *w) {
    const uint64_t wait = (uint64_t)((double)w->timeout * 1e9);
    if (w->pending & DEVICE_WORK && vka_recorder_wait(w->recorder, wait) == VKA_TIMEOUT) {
        return;
    }
    vka_recorder_destroy(&w->recorder);
    for (int i = 0; i < WORKER_BUFFERS; i++) {
        vka_buffer_destroy(&w->buffers[i]);
    }
    if (w->owns_device) {
        vka_device_destroy(&w->device);
    }
    free(w->timeline.events);
}

/* Gradients of our own keys are where they came home: in the half that is not sent from in the last step. */
bool worker_read(worker *w, result which, float *values) {
    const uint32_t ranks = w->transport->ranks;
    const worker_buffer home = ranks > 1 && ranks % 2 ? BUFFER_CARRIED_2 : BUFFER_CARRIED;
    const worker_buffer from[RESULTS] = {BUFFER_OUT, BUFFER_LSE, BUFFER_D_Q, home, home};
    uint64_t bytes = (uint64_t)w->rows * worker_width(w, which) * sizeof *values;
    return worker_ok(w, vka_buffer_read(w->buffers[from[which]], which == RESULT_D_V ? bytes : 0, values, bytes));
}

/* ---- passes and steps ---------------------------------------------------------------------------------------- */

bool worker_begin_pass(worker *w, event_pass pass) {
    const problem *p = w->problem;
    char *stage = vka_buffer_map(w->buffers[BUFFER_STAGE]), *all = allocate(w->transport->ranks, 1);
    w->pass = pass, w->step = 0;
    problem_rows(p, INPUT_K, w->transport->rank, stage);
    problem_rows(p, INPUT_V, w->transport->rank, stage + worker_block_bytes(w, w->transport->rank) / 2);
    bool ok = worker_gather(w, all, 1);
    free(all);
    w->ready = true;
    w->start = seconds();
    return ok;
}

static bool have_fault(worker *w) {
    if (w->fault.kind == FAULT_DIE) {
        raise(SIGKILL);
    }
    worker_fail(w, "step %u: stops, as asked for", w->step);
    while (w->transport->poll(w->transport, TRANSFER_NOTE, TRANSFER_RECEIVE) != TRANSFER_FAILED) {
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    return false;
}

bool worker_begin_step(worker *w, uint32_t step) {
    const fault *f = &w->fault;
    w->step = step;
    return f->kind == FAULT_NONE || f->rank != w->transport->rank || f->step != step || w->pass != PASS_FORWARD ||
           have_fault(w);
}

bool worker_pass_block(worker *w) {
    const shards *s = &w->problem->shards;
    const uint32_t rank = w->transport->rank, block = worker_block(w), next = shards_block(s, rank, w->step + 1);
    void *now = vka_buffer_map(w->buffers[BUFFER_STAGE + w->step % 2]);
    void *then = vka_buffer_map(w->buffers[BUFFER_STAGE + (w->step + 1) % 2]);
    return w->step + 1 == s->ranks ||
           (worker_transfer(w, TRANSFER_BLOCK, TRANSFER_RECEIVE, then, worker_block_bytes(w, next), next) &&
            worker_transfer(w, TRANSFER_BLOCK, TRANSFER_SEND, now, worker_block_bytes(w, block), block));
}
