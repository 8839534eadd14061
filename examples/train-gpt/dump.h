/* What somebody else needs to make the same steps: initial parameters by their names, tokens of every step, and the
 * losses that came of them, as safetensors. SPDX-License-Identifier: MIT */
#ifndef TRAIN_GPT_DUMP_H
#define TRAIN_GPT_DUMP_H

#include "training/checkpoint.h"

typedef struct dump {
    uint32_t steps, batch, context; /* of what is stored */
    unsigned char *values;          /* as in the parameters' buffer, before the first step */
    int32_t *ids, *targets;         /* [steps, batch, context] */
    float *losses;                  /* [steps] */
    uint32_t made;                  /* steps so far */
} dump;

/* Reads the parameters as they are. */
dump dump_begin(const parameters *p, uint32_t steps, uint32_t batch, uint32_t context);
void dump_add(dump *d, const int32_t *ids, const int32_t *targets, float loss);
/* Writes the file, and frees. */
void dump_end(dump *d, const char *path, const parameters *p, const checkpoint_text *texts, uint32_t count);

#endif
