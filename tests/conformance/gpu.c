/* The device that cases run on: buffers of a case, one submission, results.
 * SPDX-License-Identifier: MIT */
#include "conformance.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reference.h"

/* What outputs hold before: large but finite in all types, since NaN may be what a case expects. */
#define POISON 0x7b

static void on_log(void *user, vka_log_level level, const char *item, const char *message) {
    gpu *g = user;
    if (level == VKA_LOG_ERROR && !g->error[0]) {
        snprintf(g->error, sizeof g->error, "%s: %s", item, message);
    }
}

vka_status gpu_open(gpu *g) {
    *g = (gpu){0};
    return vka_device_create(&(vka_device_desc){.log = {.fn = on_log, .user = g}}, &g->device);
}

void gpu_close(gpu *g) {
    vka_device_destroy(&g->device);
}

void gpu_begin(gpu *g) {
    g->error[0] = '\0';
    g->status = vka_recorder_create(g->device, NULL, &g->recorder);
    if (g->status == VKA_OK) {
        g->status = vka_recorder_begin(g->recorder);
    }
}

static vka_buffer *make_buffer(gpu *g, const void *data, size_t size) {
    vka_buffer *buffer = NULL;
    if (g->status != VKA_OK) {
        return NULL;
    }
    if (g->buffer_count == sizeof g->buffers / sizeof *g->buffers) {
        g->status = VKA_OUT_OF_MEMORY;
        return NULL;
    }
    g->status = vka_buffer_create(g->device, &(vka_buffer_desc){.size = size ? size : 1}, &buffer);
    if (g->status == VKA_OK) {
        g->buffers[g->buffer_count++] = buffer;
        g->status = size ? vka_buffer_write(buffer, 0, data, size) : VKA_OK;
    }
    return buffer;
}

vka_buffer *gpu_input(gpu *g, const void *data, size_t size) {
    return make_buffer(g, data, size);
}

vka_buffer *gpu_output(gpu *g, size_t size) {
    void *poison = malloc(size + 1);
    if (!poison) {
        g->status = g->status ? g->status : VKA_OUT_OF_MEMORY;
        return NULL;
    }
    memset(poison, POISON, size + 1);
    vka_buffer *buffer = make_buffer(g, poison, size);
    free(poison);
    return buffer;
}

static vka_tensor dense(gpu *g, const case_tensor *t, vka_dtype dtype, vka_buffer *buffer) {
    vka_tensor out = {.buffer = buffer, .dtype = dtype, .rank = t->rank ? t->rank : 1, .shape = {1}, .stride = {1}};
    if (t->rank > VKA_MAX_RANK) {
        g->status = g->status ? g->status : VKA_INVALID;
        snprintf(g->error, sizeof g->error, "%s has %u dimensions", t->name, t->rank);
        return out;
    }
    uint64_t stride = 1;
    for (uint32_t i = t->rank; i-- > 0; stride *= t->dims[i]) {
        out.shape[i] = t->dims[i];
        out.stride[i] = stride;
    }
    return out;
}

vka_tensor gpu_tensor(gpu *g, const case_tensor *t) {
    if (!t->type) {
        return (vka_tensor){0};
    }
    return dense(g, t, t->type->dtype, gpu_input(g, t->data, t->count * t->type->size));
}

vka_tensor gpu_floats(gpu *g, const case_tensor *t) {
    if (!t->type) {
        return (vka_tensor){0};
    }
    float *values = malloc((t->count + 1) * sizeof *values);
    if (!values) {
        g->status = g->status ? g->status : VKA_OUT_OF_MEMORY;
        return (vka_tensor){0};
    }
    ref_load(t->type->dtype, values, t->data, t->count);
    vka_tensor out = dense(g, t, VKA_F32, gpu_input(g, values, t->count * sizeof *values));
    free(values);
    return out;
}

vka_tensor gpu_result(gpu *g, const case_tensor *want, vka_dtype dtype) {
    return dense(g, want, dtype, gpu_output(g, want->count * vka_dtype_size(dtype)));
}

bool gpu_begin_backward(gpu *g, const op_case *c, result *r) {
    bool wanted = false;
    for (uint32_t i = 0; i < CASE_MAX_COUNT; i++) {
        wanted = wanted || c->output_gradients[i].type;
        if (!case_is_real(&c->input_gradients[i], r) || !case_is_result(&c->output_gradients[i], r)) {
            return false;
        }
    }
    if (wanted && g->status == VKA_OK) {
        g->status = vka_recorder_begin(g->recorder);
    }
    return wanted;
}

vka_tensor gpu_input_gradient(gpu *g, const op_case *c, const char *name) {
    return gpu_tensor(g, case_input_gradient(c, name));
}

vka_tensor gpu_output_gradient(gpu *g, const op_case *c, const char *name, vka_dtype dtype) {
    const case_tensor *want = case_output_gradient(c, name);
    return want->type ? gpu_result(g, want, dtype) : (vka_tensor){0};
}

bool gpu_check_gradient(gpu *g, const op_case *c, const char *name, const vka_tensor *t, result *r) {
    return gpu_check(g, t->buffer, t->dtype, case_output_gradient(c, name), r);
}

bool gpu_run(gpu *g, vka_status recorded, result *r) {
    if (g->status == VKA_OK) {
        g->status = recorded;
    }
    if (g->status == VKA_OK) {
        g->status = vka_recorder_submit(g->recorder);
    }
    if (g->status == VKA_OK) {
        g->status = vka_recorder_wait(g->recorder, VKA_FOREVER);
    }
    if (g->status == VKA_UNSUPPORTED) {
        return skip(r, "%s", g->error);
    }
    return g->status == VKA_OK || fail(r, "%s (%s)", vka_status_string(g->status), g->error);
}

bool gpu_check(gpu *g, vka_buffer *buffer, vka_dtype dtype, const case_tensor *want, result *r) {
    if (!want->type) {
        return true;
    }
    size_t size = want->count * vka_dtype_size(dtype);
    void *got = malloc(size + 1);
    if (!got) {
        return fail(r, "no memory for %zu bytes", size);
    }
    vka_status status = size ? vka_buffer_read(buffer, 0, got, size) : VKA_OK;
    bool ok = status == VKA_OK ? compare(want, dtype, got, r)
                               : fail(r, "%s: %s (%s)", want->name, vka_status_string(status), g->error);
    free(got);
    return ok;
}

void gpu_end(gpu *g) {
    vka_recorder_destroy(&g->recorder); /* waits for what it submitted */
    while (g->buffer_count) {
        vka_buffer_destroy(&g->buffers[--g->buffer_count]);
    }
}
