/* The weights of a sentence encoder, in a safetensors file.
 * SPDX-License-Identifier: MIT */
#include "weights.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct reader {
    weights *w;
    const char *path;
    complaint *why;
} reader;

static void log_line(void *user, vka_log_level level, const char *item, const char *message) {
    const reader *r = user;
    (void)level, (void)item;
    complain(r->why, "%s: %s", r->path, message);
}

/* A number of a shape that is found out: any, up to a limit. */
enum { MAX_SIZE = 1 << 20 };

/* Sizes of 0 in `shape` are found out, and stored there. */
static bool find(const reader *r, const char *name, uint32_t rank, uint32_t *shape, const vka_safetensor **found) {
    const vka_safetensor *t = vka_safetensors_find(r->w->file, name);
    if (!t) {
        return complain(r->why, "%s: %s is missing", r->path, name);
    }
    if (t->dtype != VKA_F32) {
        return complain(r->why, "%s: %s has the type %s, but must be F32", r->path, name, t->type);
    }
    if (t->rank != rank) {
        return complain(r->why, "%s: %s has %u dimensions, but must have %u", r->path, name, t->rank, rank);
    }
    for (uint32_t i = 0; i < rank; ++i) {
        if (!shape[i] && (t->shape[i] < 1 || t->shape[i] > MAX_SIZE)) {
            return complain(r->why, "%s: dimension %u of %s is %llu, but must be 1 .. %d", r->path, i, name,
                            (unsigned long long)t->shape[i], MAX_SIZE);
        }
        shape[i] = shape[i] ? shape[i] : (uint32_t)t->shape[i];
        if (t->shape[i] != shape[i]) {
            return complain(r->why, "%s: dimension %u of %s is %llu, but must be %u", r->path, i, name,
                            (unsigned long long)t->shape[i], shape[i]);
        }
    }
    *found = t;
    return true;
}

static bool find_linear(const reader *r, const char *prefix, const char *name, uint32_t *outputs, uint32_t *inputs,
                        parameters *p) {
    char full[96];
    uint32_t shape[2] = {*outputs, *inputs};
    snprintf(full, sizeof full, "%s%sweight", prefix, name);
    if (!find(r, full, 2, shape, &p->weight)) {
        return false;
    }
    *outputs = shape[0], *inputs = shape[1];
    snprintf(full, sizeof full, "%s%sbias", prefix, name);
    return find(r, full, 1, shape, &p->bias);
}

static bool find_norm(const reader *r, const char *prefix, const char *name, uint32_t size, parameters *p) {
    char full[96];
    snprintf(full, sizeof full, "%s%sweight", prefix, name);
    if (!find(r, full, 1, &size, &p->weight)) {
        return false;
    }
    snprintf(full, sizeof full, "%s%sbias", prefix, name);
    return find(r, full, 1, &size, &p->bias);
}

static bool find_layer(reader *r, uint32_t index) {
    weights *w = r->w;
    layer_weights *l = &w->layer[index];
    char prefix[32];
    uint32_t joint = 0;
    snprintf(prefix, sizeof prefix, "layers.%u.", index);
    l->inputs = index ? w->width : w->channels;
    if (!find_linear(r, prefix, "self_attn.in_proj_", &joint, &l->inputs, &l->in_proj)) {
        return false;
    }
    if (joint % (3 * w->heads)) {
        return complain(r->why, "%s: %sself_attn.in_proj_weight has %u rows, which are not three times %u heads",
                        r->path, prefix, joint, w->heads);
    }
    joint /= 3;
    l->dim = joint / w->heads;
    return find_norm(r, prefix, "norm1.", l->inputs, &l->norm1) &&
           find_linear(r, prefix, "self_attn.out_proj.", &w->width, &joint, &l->out_proj) &&
           (l->inputs == w->width || find_linear(r, prefix, "residual.", &w->width, &l->inputs, &l->residual)) &&
           find_norm(r, prefix, "norm2.", w->width, &l->norm2) &&
           find_linear(r, prefix, "linear1.", &l->inner, &w->width, &l->linear1) &&
           find_linear(r, prefix, "linear2.", &w->width, &l->inner, &l->linear2);
}

static bool find_all(reader *r) {
    weights *w = r->w;
    uint32_t table[2] = {0, 0};
    char name[64];
    const char *heads = vka_safetensors_metadata(w->file, "heads");
    long count = heads ? strtol(heads, NULL, 10) : 0;
    if (count < 1 || count > MAX_SIZE) {
        return complain(r->why, "%s: heads, in its metadata, is %s, but must be a number from 1 on", r->path,
                        heads ? heads : "missing");
    }
    w->heads = (uint32_t)count;
    if (!find(r, "embedding.weight", 2, table, &w->embedding)) {
        return false;
    }
    w->pieces = table[0], w->channels = table[1];
    if (w->channels % 2) {
        return complain(r->why, "%s: embedding.weight has %u channels, but they must be even", r->path, w->channels);
    }
    do {
        if (!find_layer(r, w->layers++)) {
            return false;
        }
        snprintf(name, sizeof name, "layers.%u.self_attn.in_proj_weight", w->layers);
    } while (w->layers < MAX_LAYERS && vka_safetensors_find(w->file, name));
    return find_linear(r, "hidden.", "", &w->outputs, &w->width, &w->hidden);
}

bool weights_open(weights *w, const char *path, complaint *why) {
    reader r = {w, path, why};
    *w = (weights){0};
    complain(why, "%s: out of memory", path);
    if (vka_safetensors_open(path, &(vka_log){.fn = log_line, .user = &r}, &w->file) != VKA_OK) {
        return false;
    }
    bool ok = find_all(&r);
    if (!ok) {
        weights_close(w);
    }
    return ok;
}

void weights_close(weights *w) {
    vka_safetensors_close(&w->file);
    *w = (weights){0};
}
