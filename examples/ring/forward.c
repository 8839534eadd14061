/* The forward pass: attention to one block a step, merged with what came before.
 * SPDX-License-Identifier: MIT */
#include "ring/passes.h"

#include <vkattn/merge.h>

vka_attention_desc forward_attention(const worker *w, const shards_part *part, bool first) {
    const problem *p = w->problem;
    const uint64_t keys = (uint64_t)shards_rows(&p->shards, worker_block(w)) * problem_width(p, INPUT_K);
    const worker_buffer out = first ? BUFFER_OUT : BUFFER_PART, lse = first ? BUFFER_LSE : BUFFER_PART_LSE;
    return (vka_attention_desc){
        .q = worker_rows(w, BUFFER_Q, p->dtype, p->heads, 0, part->first_query, part->queries),
        .k = worker_rows(w, BUFFER_KV, p->dtype, p->kv_heads, 0, part->first_key, part->keys),
        .v = worker_rows(w, BUFFER_KV, p->dtype, p->kv_heads, keys, part->first_key, part->keys),
        .out = worker_rows(w, out, VKA_F32, p->heads, 0, part->first_query, part->queries),
        .lse = worker_lse(w, lse, part->first_query, part->queries),
        .causal = part->diagonal, /* there are as many queries as keys, so that the diagonal begins at the first ones */
    };
}

static vka_attention_merge_desc merge_of(const worker *w, const vka_attention_desc *part_of, const shards_part *part) {
    vka_tensor out = worker_rows(w, BUFFER_OUT, VKA_F32, w->problem->heads, 0, part->first_query, part->queries);
    vka_tensor lse = worker_lse(w, BUFFER_LSE, part->first_query, part->queries);
    return (vka_attention_merge_desc){
        .a = out, .a_lse = lse, .b = part_of->out, .b_lse = part_of->lse, .out = out, .lse = lse};
}

vka_status forward_prepare(worker *w, const shards_part *part) {
    vka_attention_desc attention = forward_attention(w, part, w->step == 0);
    vka_status status = vka_attention_prepare(w->device, &attention);
    if (status == VKA_OK && w->step > 0) {
        vka_attention_merge_desc merge = merge_of(w, &attention, part);
        status = vka_attention_merge_prepare(w->device, &merge);
    }
    return status;
}

static vka_status record(worker *w, const shards_part *part) {
    vka_attention_desc attention = forward_attention(w, part, w->step == 0);
    vka_status status = record_block(w);
    if (status == VKA_OK) {
        status = vka_attention(w->recorder, &attention);
    }
    if (status == VKA_OK && w->step > 0) {
        vka_attention_merge_desc merge = merge_of(w, &attention, part);
        status = vka_attention_merge(w->recorder, &merge);
    }
    return status;
}

vka_status record_block(worker *w) {
    vka_status status = vka_recorder_begin(w->recorder);
    return status != VKA_OK ? status
                            : vka_copy(w->recorder, w->buffers[BUFFER_KV], 0, w->buffers[BUFFER_STAGE + w->step % 2], 0,
                                       worker_block_bytes(w, worker_block(w)));
}

bool worker_forward(worker *w) {
    const problem *p = w->problem;
    if (!worker_begin_pass(w, PASS_FORWARD)) {
        return false;
    }
    for (uint32_t step = 0; step < p->shards.ranks; step++) {
        if (!worker_begin_step(w, step) || !worker_pass_block(w)) {
            return false;
        }
        shards_part part = shards_seen(&p->shards, p->causal, w->transport->rank, worker_block(w));
        if (part.queries > 0 && !(worker_ok(w, record(w, &part)) && worker_submit(w))) {
            return false;
        }
        if (!worker_wait(w, EVERYTHING)) {
            return false;
        }
    }
    return true;
}
