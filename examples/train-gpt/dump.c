/* SPDX-License-Identifier: MIT */
#include "dump.h"

#include "common/program.h"

#include <stdlib.h>
#include <string.h>

dump dump_begin(const parameters *p, uint32_t steps, uint32_t batch, uint32_t context) {
    const size_t tokens = (size_t)steps * batch * context;
    dump d = {.steps = steps, .batch = batch, .context = context};
    d.values = allocate((size_t)p->bytes, 1);
    check(vka_buffer_read(p->values, 0, d.values, p->bytes));
    d.ids = allocate(tokens, sizeof *d.ids);
    d.targets = allocate(tokens, sizeof *d.targets);
    d.losses = allocate(steps, sizeof *d.losses);
    return d;
}

void dump_add(dump *d, const int32_t *ids, const int32_t *targets, float loss) {
    const size_t tokens = (size_t)d->batch * d->context;
    if (d->made < d->steps) {
        memcpy(d->ids + d->made * tokens, ids, tokens * sizeof *ids);
        memcpy(d->targets + d->made * tokens, targets, tokens * sizeof *targets);
        d->losses[d->made++] = loss;
    }
}

static vka_safetensor tokens_of(const dump *d, const char *name, const int32_t *tokens) {
    return (vka_safetensor){.name = name,
                            .dtype = VKA_I32,
                            .rank = 3,
                            .shape = {d->made, d->batch, d->context},
                            .data = tokens,
                            .bytes = (uint64_t)d->made * d->batch * d->context * sizeof *tokens};
}

void dump_end(dump *d, const char *path, const parameters *p, const checkpoint_text *texts, uint32_t count) {
    vka_safetensor *tensors = allocate((size_t)p->count + 3, sizeof *tensors);
    for (uint32_t i = 0; i < p->count; i++) {
        tensors[i] = checkpoint_tensor(&p->list[i], p->list[i].name, d->values + p->list[i].offset);
    }
    tensors[p->count] = tokens_of(d, "ids", d->ids);
    tensors[p->count + 1] = tokens_of(d, "targets", d->targets);
    tensors[p->count + 2] = (vka_safetensor){.name = "losses",
                                             .dtype = VKA_F32,
                                             .rank = 1,
                                             .shape = {d->made},
                                             .data = d->losses,
                                             .bytes = d->made * sizeof *d->losses};
    checkpoint_write(path, tensors, p->count + 3, texts, count);
    free(tensors);
    free(d->values);
    free(d->ids);
    free(d->targets);
    free(d->losses);
    *d = (dump){0};
}
