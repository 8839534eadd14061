// The calls of C++: descriptions by reference. Compiled as C++11 and C++20, and never run.
// SPDX-License-Identifier: MIT
#include <vkattn/attention.h>
#include <vkattn/cache.h>
#include <vkattn/elementwise.h>
#include <vkattn/embedding.h>
#include <vkattn/lsh.h>
#include <vkattn/merge.h>
#include <vkattn/norm.h>
#include <vkattn/positions.h>
#include <vkattn/relative.h>
#include <vkattn/rope.h>

// Inside extern "C" too, as apps include C headers.
extern "C" {
#include <vkattn/pattern.h>
}

vka_status record(vka_device *device, vka_recorder *recorder, vka_tensor x);

vka_status record(vka_device *device, vka_recorder *recorder, vka_tensor x) {
    vka_requirements need;
    vka_status status = vka_rms_norm(recorder, vka_describe<vka_rms_norm_desc>([&](vka_rms_norm_desc &d) {
                                         d.x = x;
                                         d.out = x;
                                     }));
    vka_attention_desc attention = vka_attention_desc();
    attention.q = attention.k = attention.v = x;
    if (status == VKA_OK)
        status = vka_attention_requirements(device, attention, &need);
#if __cplusplus >= 202002L
    if (status == VKA_OK)
        status = vka_layer_norm(recorder, {.x = x, .out = x, .epsilon = 1e-6f});
    vka_buffer *buffer;
    if (status == VKA_OK)
        status = vka_buffer_create(device, {.size = need.workspace_bytes}, &buffer);
#endif
    vka_pattern *pattern;
    if (status == VKA_OK)
        status = vka_pattern_create(device, vka_pattern_desc(), &pattern);
    return status == VKA_OK ? vka_attention(recorder, &attention) : status;
}
