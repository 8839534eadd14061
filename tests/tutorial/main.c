/* Runs what docs/tutorial.md shows, whose code is built as it stands there: whole and in slices, with the same bits, of
 * which a row is compared with the definition. SPDX-License-Identifier: MIT */
#include "import/app.h"

#include <vkattn/attention.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HEADS = 2, TOKENS = 300, CHANNELS = 64, COUNT = HEADS * TOKENS * CHANNELS };

#include "tutorial.inc"

static void expect(bool condition, const char *what) {
    if (!condition) {
        fprintf(stderr, "tutorial: %s\n", what);
        exit(1);
    }
}

static VkCommandBuffer begin(const app *g) {
    VkCommandBuffer cmd = commands_create(g);
    VkCommandBufferBeginInfo info = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO};
    vk_check(vkBeginCommandBuffer(cmd, &info), "vkBeginCommandBuffer");
    return cmd;
}

static void finish(const app *g, VkCommandBuffer cmd) {
    VkSubmitInfo info = {.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO, .commandBufferCount = 1, .pCommandBuffers = &cmd};
    vk_check(vkEndCommandBuffer(cmd), "vkEndCommandBuffer");
    vk_check(vkQueueSubmit(g->queue, 1, &info, VK_NULL_HANDLE), "vkQueueSubmit");
    vk_check(vkQueueWaitIdle(g->queue), "vkQueueWaitIdle");
}

/* The last query of a head sees all keys. */
static void compare_row(const float *in, const float *out, int head) {
    const float *q = in + (head + 1) * TOKENS * CHANNELS - CHANNELS, *row = out + (q - in);
    const float *k = in + COUNT + head * TOKENS * CHANNELS, *v = k + COUNT;
    double sum = 0, mean[CHANNELS] = {0};
    for (int j = 0; j < TOKENS; j++) {
        double score = 0;
        for (int d = 0; d < CHANNELS; d++) {
            score += (double)q[d] * (double)k[j * CHANNELS + d];
        }
        double weight = exp(score / sqrt(CHANNELS));
        sum += weight;
        for (int d = 0; d < CHANNELS; d++) {
            mean[d] += weight * (double)v[j * CHANNELS + d];
        }
    }
    for (int d = 0; d < CHANNELS; d++) {
        expect(fabs(mean[d] / sum - (double)row[d]) < 1e-5, "a result is wrong");
    }
}

static void run_slices(const app *g, attention *a) {
    uint32_t frame = 0;
    expect(attention_prepare_slices(a) == VKA_OK, "attention_prepare_slices");
    for (bool done = false; !done; frame++) {
        VkCommandBuffer cmd = begin(g);
        expect(attention_slice(a, cmd, frame, 5, &done) == VKA_OK, "attention_slice");
        finish(g, cmd);
    }
    expect(frame >= 3 && frame <= 10, "about five slices were asked for");
    printf("%u slices\n", frame);
}

int main(void) {
    app g;
    app_open(&g);
    VkDevice other;
    vka_vulkan_optional_features enabled;
    vk_check(create_device(g.instance, g.api_version, g.physical, g.family, &enabled, &other), "create_device");
    PFN_vkDestroyDevice destroy = (PFN_vkDestroyDevice)vkGetDeviceProcAddr(other, "vkDestroyDevice");
    destroy(other, NULL);
    memory in = memory_create(g.physical, g.device, 3 * COUNT * sizeof(float), true),
           out = memory_create(g.physical, g.device, COUNT * sizeof(float), true);
    float *numbers = in.mapped, *result = out.mapped, *whole = malloc(COUNT * sizeof(float));
    expect(whole != NULL, "no memory");
    for (int i = 0; i < 3 * COUNT; i++) {
        numbers[i] = (float)((i * 7919 + i / 64 * 104729) % 2003) / 1001.5f - 1;
    }
    attention a = {0};
    const vka_import_desc handles = {.get_instance_proc_addr = vkGetInstanceProcAddr,
                                     .instance = g.instance,
                                     .api_version = g.api_version,
                                     .physical_device = g.physical,
                                     .device = g.device,
                                     .queue_family = g.family,
                                     .enabled = g.enabled};
    expect(attention_open(&a, &handles, in.buffer, out.buffer, TOKENS) == VKA_OK, "attention_open");
    for (uint32_t frame = 0; frame < 3; frame++) {
        memset(result, 0xff, COUNT * sizeof(float));
        VkCommandBuffer cmd = begin(&g);
        expect(attention_frame(&a, cmd, frame) == VKA_OK, "attention_frame");
        finish(&g, cmd);
        compare_row(numbers, result, 0);
        compare_row(numbers, result, 1);
    }
    memcpy(whole, result, COUNT * sizeof(float));
    for (int i = 0; i < 2; i++) {
        memset(result, 0xff, COUNT * sizeof(float));
        run_slices(&g, &a);
        expect(!memcmp(result, whole, COUNT * sizeof(float)), "slices have other bits");
    }
    attention_close(&a);
    free(whole);
    memory_destroy(g.device, &in);
    memory_destroy(g.device, &out);
    app_close(&g);
    expect(g.layer.complaints == 0, "the validation layer complains");
    return 0;
}
