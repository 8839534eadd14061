/* A small model with random weights, in files, as the example reads them.
 * SPDX-License-Identifier: MIT */
#include "sentences/tiny.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reference/reference.h"

enum { PIECES = 29, CHANNELS = 16, WIDTH = 24, HEADS = 2, INNER = 32, OUTPUTS = 16 };

/* Ids from 6 on are pieces of text; there are none for "z", and not all beginnings of "lazy" and "fog" are pieces. */
const char tiny_vocabulary[] = "?\t0\n<s>\t0\n</s>\t0\nx1\t0\nx2\t0\nx3\t0\n"
                               "\xe2\x96\x81\t-4\na\t-3.5\nb\t-4.5\n\xe2\x96\x81"
                               "a\t-3\nab\t-5\n\xe2\x96\x81"
                               "ab\t-4.25\nba\t-6\nfog\t-7\nl\t-5\nla\t-6\nlazy\t-2\n:\t0\n:3\t3\n3\t-3\n\xc3\xa7\t-6\n"
                               "\xe2\x96\x81\xc3\xa7\t-5\nf\t-8\ni\t-8\nfi\t-15\nab\t-4.75\n \t-1\naa\t-7\n";

static void add(tiny_model *m, ref_rng *rng, const char *name, uint32_t rows, uint32_t columns, float mean,
                float deviation) {
    size_t values = (size_t)(rows ? rows : 1) * columns;
    float *data = malloc(values * sizeof *data);
    vka_safetensor *t = &m->tensors[m->count];
    cr_assert(data && m->count < TINY_TENSORS);
    for (size_t i = 0; i < values; i++) {
        data[i] = mean + deviation * ref_rng_normal(rng);
    }
    snprintf(m->names[m->count], sizeof m->names[0], "%s", name);
    *t = (vka_safetensor){.name = m->names[m->count], .dtype = VKA_F32, .rank = rows ? 2 : 1, .data = data};
    t->shape[0] = rows ? rows : columns, t->shape[1] = rows ? columns : 0;
    t->bytes = values * sizeof *data;
    m->count++;
}

static void add_pair(tiny_model *m, ref_rng *rng, const char *prefix, const char *name, uint32_t rows,
                     uint32_t columns) {
    char full[64];
    bool norm = rows == 0;
    snprintf(full, sizeof full, "%s%sweight", prefix, name);
    add(m, rng, full, rows, columns, norm ? 1 : 0, norm ? 0.2f : 1.2f / sqrtf((float)columns));
    snprintf(full, sizeof full, "%s%sbias", prefix, name);
    add(m, rng, full, 0, norm ? columns : rows, 0, 0.2f);
}

static void add_layer(tiny_model *m, ref_rng *rng, const char *prefix, uint32_t inputs, uint32_t dim) {
    add_pair(m, rng, prefix, "norm1.", 0, inputs);
    add_pair(m, rng, prefix, "self_attn.in_proj_", 3 * HEADS * dim, inputs);
    add_pair(m, rng, prefix, "self_attn.out_proj.", WIDTH, HEADS * dim);
    if (inputs != WIDTH) {
        add_pair(m, rng, prefix, "residual.", WIDTH, inputs);
    }
    add_pair(m, rng, prefix, "norm2.", 0, WIDTH);
    add_pair(m, rng, prefix, "linear1.", INNER, WIDTH);
    add_pair(m, rng, prefix, "linear2.", WIDTH, INNER);
}

void tiny_create(tiny_model *m, uint64_t seed) {
    ref_rng rng = ref_rng_seed(seed);
    *m = (tiny_model){.heads = "2"};
    add(m, &rng, "embedding.weight", PIECES, CHANNELS, 0, 1);
    add_layer(m, &rng, "layers.0.", CHANNELS, 8);
    add_layer(m, &rng, "layers.1.", WIDTH, 8);
    add_pair(m, &rng, "hidden.", "", OUTPUTS, WIDTH);
}

void tiny_destroy(tiny_model *m) {
    for (uint32_t i = 0; i < m->count; i++) {
        free((void *)m->tensors[i].data);
    }
    *m = (tiny_model){0};
}

vka_safetensor *tiny_find(tiny_model *m, const char *name) {
    for (uint32_t i = 0; i < m->count; i++) {
        if (strcmp(m->names[i], name) == 0) {
            return &m->tensors[i];
        }
    }
    cr_assert(false, "no tensor is called %s", name);
    return NULL;
}

void tiny_write(const tiny_model *m, const char *path) {
    const char *const metadata[][2] = {{"heads", m->heads}};
    cr_assert_eq(vka_safetensors_write(path, m->tensors, m->count, metadata, m->heads ? 1 : 0, NULL), VKA_OK);
}
