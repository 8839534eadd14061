/* What a training needs to go on as if nothing had happened, as a safetensors file: parameters by their names, moments
 * as "first_moment.NAME" and "second_moment.NAME", both curves, and in its metadata the step, the state of random
 * numbers, texts of the program's own, and a checksum of all of it.
 * SPDX-License-Identifier: MIT */
#ifndef TRAINING_CHECKPOINT_H
#define TRAINING_CHECKPOINT_H

#include "curve.h"
#include "optimizer.h"
#include "parameters.h"
#include "random.h"

#include <vkattn/safetensors.h>

/* What a checkpoint holds; nothing of it runs on the device meanwhile. */
typedef struct training_state {
    parameters *parameters;
    optimizer *optimizer;
    random_state *random;
    curve *training, *validation;
} training_state;

/* A parameter's numbers as a tensor of a file. */
vka_safetensor checkpoint_tensor(const parameter *p, const char *name, const void *data);

/* A text of the program's own, such as the model's sizes. */
typedef struct checkpoint_text {
    const char *key, *value;
} checkpoint_text;

/* Writes tensors and texts as a safetensors file, or ends the program. */
void checkpoint_write(const char *path, const vka_safetensor *tensors, uint32_t count, const checkpoint_text *texts,
                      uint32_t text_count);

/* Writes beside `path`, and then replaces it at once: whenever the program is killed, a file there is whole. Ends the
 * program if it can't. */
void checkpoint_save(const char *path, const training_state *t, const checkpoint_text *texts, uint32_t count);

/* Parameters alone, in f16, for who uses a model: a fifth of a checkpoint, or less. `step`: how long it was trained.
 * They are rounded on the device, too, so that a validation after this is one of what was written. */
void checkpoint_save_weights(const char *path, const parameters *p, uint32_t step, const checkpoint_text *texts,
                             uint32_t count);
/* Steps that the parameters were trained for. */
uint32_t checkpoint_step(const vka_safetensors *file);
/* Of such a file, or of a checkpoint. */
vka_safetensors *checkpoint_open_weights(const char *path);
void checkpoint_load_weights(const vka_safetensors *file, const parameters *p);

/* Opens a file and checks it: one that is damaged, or no checkpoint, ends the program with a line that says so. */
vka_safetensors *checkpoint_open(const char *path);
/* A text that was saved; one that is missing ends the program. */
const char *checkpoint_get(const vka_safetensors *file, const char *key);
/* Takes everything from the file. What is missing or has another shape ends the program with a line that names it. */
void checkpoint_load(const vka_safetensors *file, const training_state *t);

#endif
