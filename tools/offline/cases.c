/* SPDX-License-Identifier: MIT */
#include "cases.h"

#include <stdio.h>
#include <string.h>

/* The last one is left out where it would show nothing new. */
static const vka_dtype dtypes[] = {VKA_F16, VKA_F32, VKA_BF16};

static const char *dtype_name(vka_dtype dtype) {
    return dtype == VKA_F16 ? "f16" : dtype == VKA_BF16 ? "bf16" : "f32";
}

static uint32_t add_attention(offline_case *cases, uint32_t count, const char *name, int types, offline_case c) {
    static const uint32_t dims[] = {64, 128};
    for (int t = 0; t < types; ++t)
        for (int d = 0; d < 2; ++d) {
            c.dtype = dtypes[t];
            c.head_dim = dims[d];
            snprintf(c.name, sizeof c.name, "%s %s D%u", name, dtype_name(c.dtype), c.head_dim);
            cases[count++] = c;
        }
    return count;
}

static uint32_t add_norm(offline_case *cases, uint32_t count) {
    static const uint32_t cols[] = {1024, 4096};
    for (int t = 0; t < 2; ++t)
        for (int i = 0; i < 2; ++i) {
            offline_case c = {.dtype = dtypes[t], .rows = 4096, .cols = cols[i]};
            snprintf(c.name, sizeof c.name, "layer norm %s C%u", dtype_name(c.dtype), c.cols);
            cases[count++] = c;
        }
    return count;
}

/* Multi-head latent attention: heads share keys, whose first channels are the values. */
static uint32_t add_latent(offline_case *cases, uint32_t count) {
    static const uint32_t queries[] = {1, 512};
    for (int i = 0; i < 2; ++i) {
        offline_case c = {.dtype = VKA_F16, .heads = 128, .kv_heads = 1, .queries = queries[i], .keys = 4096};
        c.head_dim = 576;
        c.value_dim = 512;
        snprintf(c.name, sizeof c.name, "latent %s f16", i ? "prefill" : "decode");
        cases[count++] = c;
    }
    return count;
}

/* One token, and a prompt. */
static uint32_t add_linear(offline_case *cases, uint32_t count) {
    static const uint32_t rows[] = {1, 8, 512};
    static const struct {
        vka_dtype x, weight;
        const char *name;
    } types[] = {{VKA_F16, VKA_F16, "f16"}, {VKA_F16, VKA_Q4_0, "q4_0"}, {VKA_F32, VKA_F32, "f32"}};
    for (int m = 0; m < 3; ++m)
        for (int t = 0; t < 3; ++t) {
            offline_case c = {.dtype = types[t].x, .weight = types[t].weight, .rows = rows[m], .cols = 4096};
            c.outputs = 4096;
            snprintf(c.name, sizeof c.name, "linear %s M%u", types[t].name, c.rows);
            cases[count++] = c;
        }
    return count;
}

static const struct {
    vka_operation operation;
    const vka__op *op;
} ops[] = {
#define X(NAME, value, name) {VKA_OPERATION_##NAME, &vka__op_##name},
    VKA_OPERATIONS(X)
#undef X
};

static const vka__op *op_of(vka_operation operation) {
    size_t i = 0;
    while (ops[i].operation != operation)
        ++i;
    return ops[i].op;
}

/* Those that have no cases above. */
static uint32_t add_operations(offline_case *cases, uint32_t count) {
    for (size_t i = 0; i < bench_record_op_count; ++i) {
        const record_op *described = &bench_record_ops[i];
        vka_operation o = described->operation;
        if (o == VKA_OPERATION_ATTENTION || o == VKA_OPERATION_LAYER_NORM || o == VKA_OPERATION_LINEAR)
            continue;
        offline_case c = {.described = described, .op = op_of(o)};
        snprintf(c.name, sizeof c.name, "op %s", described->name);
        cases[count++] = c;
    }
    return count;
}

uint32_t offline_cases(offline_case cases[OFFLINE_MAX_CASES]) {
    offline_case prefill = {.heads = 8, .kv_heads = 8, .queries = 4096, .keys = 4096}, causal = prefill;
    causal.causal = true;
    offline_case decode = {.heads = 32, .kv_heads = 8, .queries = 1, .keys = 4096};
    offline_case backward = causal, masked = causal;
    backward.backward = masked.backward = masked.masked = true;
    uint32_t count = add_attention(cases, 0, "prefill", 3, prefill);
    count = add_attention(cases, count, "causal", 2, causal);
    count = add_attention(cases, count, "decode", 3, decode);
    offline_case listed_prefill = {.heads = 32, .kv_heads = 1, .queries = 512, .keys = 4096, .listed = 2048};
    offline_case listed_decode = decode, q4_0 = decode;
    listed_decode.listed = 2048;
    q4_0.cache = VKA_Q4_0;
    offline_case q8_0_prefill = prefill; /* as it is where nothing is dequantised first */
    q8_0_prefill.cache = VKA_Q8_0;
    count = add_attention(cases, count, "listed prefill", 1, listed_prefill);
    count = add_attention(cases, count, "listed decode", 1, listed_decode);
    count = add_attention(cases, count, "q4_0 decode", 1, q4_0);
    count = add_attention(cases, count, "q8_0 prefill", 1, q8_0_prefill);
    count = add_latent(cases, count);
    count = add_attention(cases, count, "backward", 2, backward);
    count = add_attention(cases, count, "masked backward", 1, masked);
    count = add_linear(cases, count);
    count = add_norm(cases, count);
    return add_operations(cases, count);
}

/* The tensor in a buffer of its own, which dies with the process. */
static vka_status give_buffer(vka_device *device, vka_tensor *t) {
    vka_buffer_desc desc = {.size = vka_dtype_size(t->dtype)};
    for (uint32_t i = 0; i < t->rank; ++i)
        desc.size *= t->shape[i];
    desc.size /= vka_dtype_block(t->dtype);
    return vka_buffer_create(device, &desc, &t->buffer);
}

static vka_status give_buffers(vka_device *device, vka_tensor *const *tensors, int count) {
    vka_status status = VKA_OK;
    for (int i = 0; i < count && status == VKA_OK; ++i)
        status = give_buffer(device, tensors[i]);
    return status;
}

static vka_status compile_attention(vka_device *device, const offline_case *c, uint32_t path, char *text,
                                    size_t capacity) {
    vka_attention_desc d = {
        .q = vka_tensor_4d(NULL, c->dtype, 1, c->heads, c->queries, c->head_dim),
        .k = vka_tensor_4d(NULL, c->cache ? c->cache : c->dtype, 1, c->kv_heads, c->keys, c->head_dim),
        .v = vka_tensor_4d(NULL, c->cache ? c->cache : c->dtype, 1, c->kv_heads, c->keys, c->head_dim),
        .out = vka_tensor_4d(NULL, c->dtype, 1, c->heads, c->queries, c->head_dim),
        .causal = c->causal,
        .path = (vka_attention_path)path,
        .dequantise = VKA_DEQUANTISE_READ,
    };
    if (c->value_dim)
        d.v.shape[3] = d.out.shape[3] = c->value_dim;
    if (c->listed)
        d.key_lists = vka_tensor_4d(NULL, VKA_I32, 1, 1, c->queries, c->listed);
    vka_status status =
        give_buffers(device, (vka_tensor *[]){&d.q, &d.k, &d.v, &d.out, &d.key_lists}, c->listed ? 5 : 4);
    if (c->value_dim) {
        d.v = vka_tensor_transpose(d.k, 0, 0); /* with strides, which are those of keys */
        d.v.shape[3] = c->value_dim;
    }
    if (status == VKA_OK)
        status = vka_attention_explain(device, &d, text, capacity, NULL);
    return status == VKA_OK ? vka_attention_prepare(device, &d) : status;
}

static vka_status compile_backward(vka_device *device, const offline_case *c, uint32_t path, char *text,
                                   size_t capacity) {
    vka_tensor q = vka_tensor_4d(NULL, c->dtype, 1, c->heads, c->queries, c->head_dim);
    vka_tensor k = vka_tensor_4d(NULL, c->dtype, 1, c->kv_heads, c->keys, c->head_dim);
    vka_attention_backward_desc d = {
        .d_out = q,
        .d_q = q,
        .d_k = k,
        .d_v = k,
        .path = (vka_attention_backward_path)path,
        .forward = {.q = q, .k = k, .v = k, .out = q, .causal = c->causal},
    };
    d.forward.lse = vka_tensor_3d(NULL, VKA_F32, 1, c->heads, c->queries);
    if (c->masked)
        d.forward.mask = vka_tensor_4d(NULL, c->dtype, 1, 1, c->queries, c->keys);
    vka_status status = give_buffers(device,
                                     (vka_tensor *[]){&d.d_out, &d.d_q, &d.d_k, &d.d_v, &d.forward.q, &d.forward.k,
                                                      &d.forward.v, &d.forward.out, &d.forward.lse, &d.forward.mask},
                                     c->masked ? 10 : 9);
    if (status == VKA_OK)
        status = vka_attention_backward_explain(device, &d, text, capacity, NULL);
    return status == VKA_OK ? vka_attention_backward_prepare(device, &d) : status;
}

static vka_status compile_norm(vka_device *device, const offline_case *c, uint32_t path, char *text, size_t capacity) {
    vka_layer_norm_desc d = {
        .x = vka_tensor_2d(NULL, c->dtype, c->rows, c->cols),
        .out = vka_tensor_2d(NULL, c->dtype, c->rows, c->cols),
        .weight = vka_tensor_1d(NULL, c->dtype, c->cols),
        .bias = vka_tensor_1d(NULL, c->dtype, c->cols),
        .path = (vka_norm_path)path,
    };
    vka_status status = give_buffers(device, (vka_tensor *[]){&d.x, &d.out, &d.weight, &d.bias}, 4);
    if (status == VKA_OK)
        status = vka_layer_norm_explain(device, &d, text, capacity, NULL);
    return status == VKA_OK ? vka_layer_norm_prepare(device, &d) : status;
}

static vka_status compile_linear(vka_device *device, const offline_case *c, uint32_t path, char *text,
                                 size_t capacity) {
    vka_linear_desc d = {
        .x = vka_tensor_2d(NULL, c->dtype, c->rows, c->cols),
        .weight = vka_tensor_2d(NULL, c->weight, c->outputs, c->cols),
        .bias = vka_tensor_1d(NULL, c->dtype, c->outputs),
        .out = vka_tensor_2d(NULL, c->dtype, c->rows, c->outputs),
        .activation = VKA_ACTIVATION_GELU,
        .path = (vka_linear_path)path,
    };
    vka_status status = give_buffers(device, (vka_tensor *[]){&d.x, &d.weight, &d.bias, &d.out}, 4);
    if (status == VKA_OK)
        status = vka_linear_explain(device, &d, text, capacity, NULL);
    return status == VKA_OK ? vka_linear_prepare(device, &d) : status;
}

/* Asks for a path by the number of that name; false: there is no such path. */
static bool ask_path(const vka__op *op, void *desc, uint32_t path) {
    for (uint32_t i = 0; i < op->number_count; ++i)
        if (!strcmp(op->numbers[i].name, "path")) {
            memcpy((char *)desc + op->numbers[i].desc, &path, sizeof path);
            return path <= op->numbers[i].most;
        }
    return path == 0;
}

/* Buffers die with the process. */
static vka_status compile_described(vka_device *device, const offline_case *c, uint32_t path, char *text,
                                    size_t capacity) {
    _Alignas(max_align_t) unsigned char desc[RECORD_DESC_SIZE] = {0};
    record_memory memory = {.device = device};
    c->described->describe(&memory, desc);
    if (memory.failed)
        return VKA_OUT_OF_MEMORY;
    if (!ask_path(c->op, desc, path))
        return VKA_INVALID;
    size_t size = c->described->desc_size;
    vka_status status = vka__op_explain(c->op, device, desc, size, text, capacity, NULL);
    return status == VKA_OK ? vka__op_prepare(c->op, device, desc, size) : status;
}

vka_status offline_compile(vka_device *device, const offline_case *c, uint32_t path, char *text, size_t capacity) {
    return (c->described  ? compile_described
            : c->backward ? compile_backward
            : c->head_dim ? compile_attention
            : c->outputs  ? compile_linear
                          : compile_norm)(device, c, path, text, capacity);
}
