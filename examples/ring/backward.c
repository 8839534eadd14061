/* The backward pass. With the log-sum-exp and the output of all keys each block has gradients of its own, which add up:
 * those of queries here, those of keys and values in memory that follows the block. What a block's gradients are before
 * this step arrives while the device is still at this step's.
 * SPDX-License-Identifier: MIT */
#include "ring/passes.h"

#include <vkattn/elementwise.h>

static worker_buffer carried(const worker *w) {
    return BUFFER_CARRIED + w->step % 2;
}

static uint64_t key_numbers(const worker *w) {
    return (uint64_t)shards_rows(&w->problem->shards, worker_block(w)) * problem_width(w->problem, INPUT_K);
}

/* The first step's results need no sum. */
static vka_attention_backward_desc gradients_of(const worker *w, const shards_part *part) {
    const problem *p = w->problem;
    const bool first = w->step == 0;
    const worker_buffer d_q = first ? BUFFER_D_Q : BUFFER_D_Q_PART, d_kv = first ? carried(w) : BUFFER_D_KV_PART;
    return (vka_attention_backward_desc){
        .forward = forward_attention(w, part, true),
        .d_out = worker_rows(w, BUFFER_D_OUT, p->dtype, p->heads, 0, part->first_query, part->queries),
        .d_q = worker_rows(w, d_q, VKA_F32, p->heads, 0, part->first_query, part->queries),
        .d_k = worker_rows(w, d_kv, VKA_F32, p->kv_heads, 0, part->first_key, part->keys),
        .d_v = worker_rows(w, d_kv, VKA_F32, p->kv_heads, key_numbers(w), part->first_key, part->keys),
    };
}

/* to += part, for rows that lie at the same place in both. */
static vka_combine_desc sum_of(vka_tensor to, vka_buffer *part) {
    vka_tensor b = to;
    b.buffer = part;
    return (vka_combine_desc){.a = to, .b = b, .out = to, .kind = VKA_COMBINE_ADD};
}

static vka_combine_desc sum_of_queries(const worker *w, const shards_part *part) {
    return sum_of(worker_rows(w, BUFFER_D_Q, VKA_F32, w->problem->heads, 0, part->first_query, part->queries),
                  w->buffers[BUFFER_D_Q_PART]);
}

static vka_combine_desc sum_of_keys(const worker *w, const shards_part *part, bool values) {
    return sum_of(worker_rows(w, carried(w), VKA_F32, w->problem->kv_heads, values ? key_numbers(w) : 0,
                              part->first_key, part->keys),
                  w->buffers[BUFFER_D_KV_PART]);
}

vka_status backward_prepare(worker *w, const shards_part *part) {
    vka_attention_backward_desc gradients = gradients_of(w, part);
    vka_status status = vka_attention_backward_prepare(w->device, &gradients);
    const vka_combine_desc sums[] = {sum_of_queries(w, part), sum_of_keys(w, part, false), sum_of_keys(w, part, true)};
    for (int i = 0; i < 3 && status == VKA_OK && w->step > 0; i++) {
        status = vka_combine_prepare(w->device, &sums[i]);
    }
    return status;
}

static vka_status record(worker *w, const shards_part *part) {
    vka_attention_backward_desc gradients = gradients_of(w, part);
    vka_status status = record_block(w);
    if (status == VKA_OK) {
        status = vka_attention_backward(w->recorder, &gradients);
    }
    if (status == VKA_OK && w->step > 0) {
        vka_combine_desc sum = sum_of_queries(w, part);
        status = vka_combine(w->recorder, &sum);
    }
    return status;
}

static vka_status record_sums(worker *w, const shards_part *part) {
    vka_status status = vka_recorder_begin(w->recorder);
    for (int values = 0; values < 2 && status == VKA_OK; values++) {
        vka_combine_desc sum = sum_of_keys(w, part, values);
        status = vka_combine(w->recorder, &sum);
    }
    return status;
}

static bool pass_gradients(worker *w, transfer_way way) {
    const uint32_t block = worker_block(w);
    return w->problem->shards.ranks == 1 ||
           worker_transfer(w, TRANSFER_GRADIENTS, way, vka_buffer_map(w->buffers[carried(w)]),
                           worker_gradient_bytes(w, block), block);
}

/* By its end what was sent in the step before has arrived, so that its memory can receive in the next one. */
static bool do_step(worker *w, const shards_part *part) {
    bool first = w->step == 0, sees = part->queries > 0;
    return worker_pass_block(w) && (first || pass_gradients(w, TRANSFER_RECEIVE)) &&
           (!sees || (worker_ok(w, record(w, part)) && worker_submit(w))) && worker_wait(w, EVERYTHING) &&
           (!sees || first ||
            (worker_ok(w, record_sums(w, part)) && worker_submit(w) && worker_wait(w, DEVICE_WORK))) &&
           pass_gradients(w, TRANSFER_SEND);
}

bool worker_backward(worker *w) {
    const problem *p = w->problem;
    if (!worker_begin_pass(w, PASS_BACKWARD)) {
        return false;
    }
    for (uint32_t step = 0; step < p->shards.ranks; step++) {
        shards_part part = {0};
        if (!worker_begin_step(w, step)) {
            return false;
        }
        part = shards_seen(&p->shards, p->causal, w->transport->rank, worker_block(w));
        if (!do_step(w, &part)) {
            return false;
        }
    }
    /* After as many steps as there are ranks the block is our own again. */
    w->step = p->shards.ranks;
    return pass_gradients(w, TRANSFER_RECEIVE) && worker_wait(w, EVERYTHING);
}

bool worker_prepare(worker *w) {
    const problem *p = w->problem;
    for (w->step = 0; w->step < p->shards.ranks; w->step++) {
        shards_part part = shards_seen(&p->shards, p->causal, w->transport->rank, worker_block(w));
        if (part.queries > 0 &&
            (!worker_ok(w, forward_prepare(w, &part)) || (p->backward && !worker_ok(w, backward_prepare(w, &part))))) {
            return false;
        }
    }
    w->step = 0;
    bool ok = worker_ok(w, vka_recorder_begin(w->recorder)) && worker_ok(w, vka_recorder_warm_up(w->recorder)) &&
              worker_submit(w) && worker_wait(w, DEVICE_WORK);
    w->timeline.count = 0;
    return ok;
}
