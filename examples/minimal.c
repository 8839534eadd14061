/* The smallest whole program: attention on whatever Vulkan device this machine has.
 * SPDX-License-Identifier: MIT */
#include <vkattn/attention.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { HEADS = 8, TOKENS = 256, DIM = 64, COUNT = HEADS * TOKENS * DIM };

static void check(vka_status status) {
    if (status != VKA_OK) {
        fprintf(stderr, "minimal: %s\n", vka_status_string(status));
        exit(1);
    }
}

static void log_line(void *user, vka_log_level level, const char *item, const char *message) {
    (void)user, (void)level;
    fprintf(stderr, "%s: %s\n", item, message);
}

static float data[COUNT];

static vka_tensor upload_random(vka_device *device) {
    vka_buffer *buffer;
    check(vka_buffer_create(device, &(vka_buffer_desc){.size = sizeof data}, &buffer));
    for (int i = 0; i < COUNT; i++) {
        data[i] = (float)rand() / (float)RAND_MAX - 0.5f;
    }
    check(vka_buffer_write(buffer, 0, data, sizeof data));
    return vka_tensor_4d(buffer, VKA_F32, 1, HEADS, TOKENS, DIM);
}

int main(void) {
    vka_device *device;
    check(vka_device_create(&(vka_device_desc){.log = {.fn = log_line, .level = VKA_LOG_INFO}}, &device));
    vka_tensor q = upload_random(device), k = upload_random(device), v = upload_random(device);
    vka_tensor out = upload_random(device);

    vka_recorder *recorder;
    check(vka_recorder_create(device, NULL, &recorder));
    check(vka_recorder_begin(recorder));
    check(vka_attention(recorder, &(vka_attention_desc){.q = q, .k = k, .v = v, .out = out, .causal = true}));
    check(vka_recorder_submit(recorder));
    check(vka_recorder_wait(recorder, VKA_FOREVER));
    float value; /* of the first token: it sees only itself, so that is its output */
    check(vka_buffer_read(out.buffer, 0, data, sizeof data));
    check(vka_buffer_read(v.buffer, 0, &value, sizeof value));
    printf("first token %f (expected %f), last token %f\n", (double)data[0], (double)value, (double)data[COUNT - DIM]);

    vka_recorder_destroy(&recorder);
    vka_buffer_destroy(&q.buffer);
    vka_buffer_destroy(&k.buffer);
    vka_buffer_destroy(&v.buffer);
    vka_buffer_destroy(&out.buffer);
    vka_device_destroy(&device);
    return fabsf(data[0] - value) < 1e-5f ? 0 : 1;
}
