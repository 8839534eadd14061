/* What the passes share. SPDX-License-Identifier: MIT */
#ifndef RING_PASSES_H
#define RING_PASSES_H

#include "ring/worker.h"

#include <vkattn/attention.h>

/* Attention of a part of this step's block; first: its result is that of all keys so far. */
vka_attention_desc forward_attention(const worker *w, const shards_part *part, bool first);

/* Compile what this step records. */
vka_status forward_prepare(worker *w, const shards_part *part);
vka_status backward_prepare(worker *w, const shards_part *part);

/* Begins recording, with a copy of this step's block to where kernels read it fastest. */
vka_status record_block(worker *w);

#endif
