/* SPDX-License-Identifier: MIT */
#include "frame/renderer.h"

#include "box.h"
#include "colour.h"
#include "common/program.h"
#include "point.h"

#include <math.h>
#include <stdio.h>

/* ---- creation ---------------------------------------------------------------------------------------------------- */

static VkPipeline create_pipeline(const renderer *r, const gpu *g, const uint32_t *code, size_t bytes) {
    VkShaderModule vertex = shader_create(g->device, code, bytes);
    VkShaderModule colour = shader_create(g->device, colour_spirv, sizeof colour_spirv);
    VkPipelineShaderStageCreateInfo stages[] = {{.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
                                                 .stage = VK_SHADER_STAGE_VERTEX_BIT,
                                                 .module = vertex,
                                                 .pName = "main"},
                                                {.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
                                                 .stage = VK_SHADER_STAGE_FRAGMENT_BIT,
                                                 .module = colour,
                                                 .pName = "main"}};
    VkPipelineVertexInputStateCreateInfo input = {.sType = VK_STRUCTURE_TYPE_PIPELINE_VERTEX_INPUT_STATE_CREATE_INFO};
    VkPipelineInputAssemblyStateCreateInfo assembly = {.sType =
                                                           VK_STRUCTURE_TYPE_PIPELINE_INPUT_ASSEMBLY_STATE_CREATE_INFO,
                                                       .topology = VK_PRIMITIVE_TOPOLOGY_TRIANGLE_LIST};
    VkPipelineViewportStateCreateInfo viewport = {
        .sType = VK_STRUCTURE_TYPE_PIPELINE_VIEWPORT_STATE_CREATE_INFO, .viewportCount = 1, .scissorCount = 1};
    VkPipelineRasterizationStateCreateInfo raster = {
        .sType = VK_STRUCTURE_TYPE_PIPELINE_RASTERIZATION_STATE_CREATE_INFO, .lineWidth = 1};
    VkPipelineMultisampleStateCreateInfo samples = {.sType = VK_STRUCTURE_TYPE_PIPELINE_MULTISAMPLE_STATE_CREATE_INFO,
                                                    .rasterizationSamples = VK_SAMPLE_COUNT_1_BIT};
    VkPipelineColorBlendAttachmentState over = {.blendEnable = VK_TRUE,
                                                .srcColorBlendFactor = VK_BLEND_FACTOR_SRC_ALPHA,
                                                .dstColorBlendFactor = VK_BLEND_FACTOR_ONE_MINUS_SRC_ALPHA,
                                                .srcAlphaBlendFactor = VK_BLEND_FACTOR_ONE,
                                                .colorWriteMask = 15};
    VkPipelineColorBlendStateCreateInfo blend = {
        .sType = VK_STRUCTURE_TYPE_PIPELINE_COLOR_BLEND_STATE_CREATE_INFO, .attachmentCount = 1, .pAttachments = &over};
    const VkDynamicState states[] = {VK_DYNAMIC_STATE_VIEWPORT, VK_DYNAMIC_STATE_SCISSOR};
    VkPipelineDynamicStateCreateInfo dynamic = {.sType = VK_STRUCTURE_TYPE_PIPELINE_DYNAMIC_STATE_CREATE_INFO,
                                                .dynamicStateCount = 2,
                                                .pDynamicStates = states};
    VkGraphicsPipelineCreateInfo info = {.sType = VK_STRUCTURE_TYPE_GRAPHICS_PIPELINE_CREATE_INFO,
                                         .stageCount = 2,
                                         .pStages = stages,
                                         .pVertexInputState = &input,
                                         .pInputAssemblyState = &assembly,
                                         .pViewportState = &viewport,
                                         .pRasterizationState = &raster,
                                         .pMultisampleState = &samples,
                                         .pColorBlendState = &blend,
                                         .pDynamicState = &dynamic,
                                         .layout = g->layout,
                                         .renderPass = r->screen.pass};
    VkPipeline pipeline;
    vk_check(vkCreateGraphicsPipelines(g->device, VK_NULL_HANDLE, 1, &info, NULL, &pipeline), "graphics pipeline");
    vkDestroyShaderModule(g->device, vertex, NULL);
    vkDestroyShaderModule(g->device, colour, NULL);
    return pipeline;
}

static void open_slot(renderer *r, const gpu *g, slot *s) {
    VkCommandBufferAllocateInfo commands = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
                                            .commandPool = g->commands,
                                            .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
                                            .commandBufferCount = 1};
    VkFenceCreateInfo fence = {.sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO, .flags = VK_FENCE_CREATE_SIGNALED_BIT};
    VkSemaphoreCreateInfo semaphore = {.sType = VK_STRUCTURE_TYPE_SEMAPHORE_CREATE_INFO};
    VkQueryPoolCreateInfo queries = {.sType = VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO,
                                     .queryType = VK_QUERY_TYPE_TIMESTAMP,
                                     .queryCount = TIMESTAMPS};
    vk_check(vkAllocateCommandBuffers(g->device, &commands, &s->commands), "vkAllocateCommandBuffers");
    vk_check(vkCreateFence(g->device, &fence, NULL, &s->fence), "vkCreateFence");
    vk_check(vkCreateSemaphore(g->device, &semaphore, NULL, &s->acquired), "vkCreateSemaphore");
    vk_check(vkCreateQueryPool(g->device, &queries, NULL, &s->queries), "vkCreateQueryPool");
    check(vka_recorder_create(g->attention, &(vka_recorder_desc){.max_dispatches = 1}, &s->recorder));
    s->boxes = memory_create(g->physical, g->device, MAX_BOXES * sizeof(box), true);
    const VkBuffer buffers[] = {r->flock.states.buffer, s->boxes.buffer};
    s->set = set_create(g, buffers, 2);
}

/* Drivers that compile when a pipeline is first used do it now, and not in the first frame. */
static void warm_up(const gpu *g, slot *s) {
    VkCommandBufferBeginInfo begin = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO};
    VkSubmitInfo info = {
        .sType = VK_STRUCTURE_TYPE_SUBMIT_INFO, .commandBufferCount = 1, .pCommandBuffers = &s->commands};
    vk_check(vkBeginCommandBuffer(s->commands, &begin), "vkBeginCommandBuffer");
    check(vka_recorder_wrap(s->recorder, s->commands));
    check(vka_recorder_warm_up(s->recorder));
    check(vka_recorder_unwrap(s->recorder));
    vk_check(vkEndCommandBuffer(s->commands), "vkEndCommandBuffer");
    vk_check(vkQueueSubmit(g->queue, 1, &info, VK_NULL_HANDLE), "vkQueueSubmit");
    vk_check(vkQueueWaitIdle(g->queue), "vkQueueWaitIdle");
}

void renderer_open(renderer *r, const gpu *g, uint32_t points, uint32_t width, uint32_t height) {
    *r = (renderer){0};
    screen_open(&r->screen, g);
    vk_check(screen_resize(&r->screen, g, width, height), "screen");
    flock_open(&r->flock, g, points, (float)width / (float)height);
    r->points = create_pipeline(r, g, point_spirv, sizeof point_spirv);
    r->boxes = create_pipeline(r, g, box_spirv, sizeof box_spirv);
    for (int i = 0; i < IN_FLIGHT; i++) {
        open_slot(r, g, &r->slots[i]);
    }
    warm_up(g, &r->slots[0]);
}

void renderer_close(renderer *r, const gpu *g) {
    vkDeviceWaitIdle(g->device); /* of a lost device, too: it says so and is done */
    for (int i = 0; i < IN_FLIGHT; i++) {
        slot *s = &r->slots[i];
        vka_recorder_destroy(&s->recorder);
        vkDestroyQueryPool(g->device, s->queries, NULL);
        vkDestroySemaphore(g->device, s->acquired, NULL);
        vkDestroyFence(g->device, s->fence, NULL);
        memory_destroy(g->device, &s->boxes);
    }
    vkDestroyPipeline(g->device, r->points, NULL);
    vkDestroyPipeline(g->device, r->boxes, NULL);
    flock_close(&r->flock, g);
    screen_close(&r->screen, g);
}

/* ---- time -------------------------------------------------------------------------------------------------------- */

/* Of the frame that was in this slot before, and with it how fast attention is. */
static void read_times(renderer *r, const gpu *g, const slot *s) {
    uint64_t t[TIMESTAMPS];
    timing *now = &r->history[r->frame % HISTORY];
    *now = (timing){0};
    if (!s->used || g->tick <= 0 ||
        vkGetQueryPoolResults(g->device, s->queries, 0, TIMESTAMPS, sizeof t, t, sizeof *t, VK_QUERY_RESULT_64_BIT)) {
        return;
    }
    now->attention = (float)((double)(t[AFTER_ATTENTION] - t[BEFORE_ATTENTION]) * g->tick * 1e-6);
    now->drawing = (float)((double)(t[AFTER_DRAWING] - t[AFTER_ATTENTION]) * g->tick * 1e-6);
    if (s->work && now->attention > 0) {
        double speed = (double)s->work / (double)now->attention;
        r->work_per_ms = r->work_per_ms > 0 ? 0.9 * r->work_per_ms + 0.1 * speed : speed;
    }
}

/* What a frame may have of the attention, as work. Before anything was measured: little. */
static uint64_t budget(const renderer *r, const gpu *g, const limits *l) {
    uint64_t all = vka_plan_work(r->flock.plan);
    if (l->slices) {
        return (all + l->slices - 1) / l->slices;
    }
    if (l->milliseconds <= 0 || g->tick <= 0) {
        return UINT64_MAX;
    }
    return r->work_per_ms > 0 ? (uint64_t)((double)l->milliseconds * r->work_per_ms) : all / 64;
}

/* ---- a frame ----------------------------------------------------------------------------------------------------- */

static void stamp(void *user, int which) {
    slot *s = user;
    vkCmdWriteTimestamp(s->commands, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, s->queries, (uint32_t)which);
}

static void write_overlay(const renderer *r, const limits *l, overlay *o) {
    char line[96];
    timing mean = {0};
    uint32_t frames = r->frame < HISTORY ? r->frame + 1 : HISTORY;
    for (uint32_t i = 0; i < HISTORY; i++) {
        mean.attention += r->history[i].attention / (float)frames;
        mean.drawing += r->history[i].drawing / (float)frames;
    }
    overlay_box(o, (box){8, 8, 420, 102, 0, 0, 0, 0.5f});
    snprintf(line, sizeof line, "%u points  step %u  frame %u", r->flock.count, r->flock.steps, r->frame);
    overlay_text(o, 16, 16, 2, line);
    snprintf(line, sizeof line, "attention %6.2f ms a frame", (double)mean.attention);
    overlay_text(o, 16, 40, 2, line);
    snprintf(line, sizeof line, "drawing   %6.2f ms", (double)mean.drawing);
    overlay_text(o, 16, 64, 2, line);
    if (l->slices) {
        snprintf(line, sizeof line, "a step in %u slices", r->flock.in_slices);
    } else if (l->milliseconds > 0) {
        snprintf(line, sizeof line, "budget %.2f ms: %u slices", (double)l->milliseconds, r->flock.in_slices);
    } else {
        snprintf(line, sizeof line, "no budget: a step a frame");
    }
    overlay_text(o, 16, 88, 2, line);
    overlay_history(o, 16, (float)r->screen.size.height - 16, r->history, r->frame + 1,
                    l->slices ? 0 : l->milliseconds);
}

static void draw(renderer *r, const gpu *g, slot *s, uint32_t image, const push *p, const limits *l) {
    overlay o = {.boxes = s->boxes.mapped};
    write_overlay(r, l, &o);
    screen_begin_pass(&r->screen, s->commands, image);
    vkCmdBindDescriptorSets(s->commands, VK_PIPELINE_BIND_POINT_GRAPHICS, g->layout, 0, 1, &s->set, 0, NULL);
    vkCmdPushConstants(s->commands, g->layout, VK_SHADER_STAGE_COMPUTE_BIT | VK_SHADER_STAGE_VERTEX_BIT, 0, sizeof *p,
                       p);
    vkCmdBindPipeline(s->commands, VK_PIPELINE_BIND_POINT_GRAPHICS, r->points);
    vkCmdDraw(s->commands, 3, p->count, 0, 0);
    vkCmdBindPipeline(s->commands, VK_PIPELINE_BIND_POINT_GRAPHICS, r->boxes);
    vkCmdDraw(s->commands, 6, o.count, 0, 0);
    vkCmdEndRenderPass(s->commands);
}

/* The hunter goes its round. It depends on the step, so that what happens does not depend on how fast frames are. */
static push describe(const renderer *r) {
    float width = (float)r->screen.size.width, height = (float)r->screen.size.height, t = 0.03f * (float)r->flock.steps;
    return (push){
        .aspect = width / height, .hunter = {0.8f * sinf(t), 0.6f * sinf(1.7f * t)}, .pixels = {width, height}};
}

static void record(renderer *r, const gpu *g, slot *s, uint32_t image, const limits *l, const memory *picture) {
    push p = describe(r);
    VkCommandBufferBeginInfo begin = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO,
                                      .flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT};
    vk_check(vkBeginCommandBuffer(s->commands, &begin), "vkBeginCommandBuffer");
    vkCmdResetQueryPool(s->commands, s->queries, 0, TIMESTAMPS);
    s->work = flock_record(&r->flock, g, s->commands, s->recorder, &p, budget(r, g, l), stamp, s);
    draw(r, g, s, image, &p, l);
    stamp(s, AFTER_DRAWING);
    if (picture) {
        screen_copy(&r->screen, s->commands, image, picture);
    }
    vk_check(vkEndCommandBuffer(s->commands), "vkEndCommandBuffer");
    s->used = true;
}

static VkResult submit(renderer *r, const gpu *g, slot *s, uint32_t image) {
    VkPipelineStageFlags stage = VK_PIPELINE_STAGE_COLOR_ATTACHMENT_OUTPUT_BIT;
    VkSubmitInfo info = {.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
                         .waitSemaphoreCount = 1,
                         .pWaitSemaphores = &s->acquired,
                         .pWaitDstStageMask = &stage,
                         .commandBufferCount = 1,
                         .pCommandBuffers = &s->commands,
                         .signalSemaphoreCount = 1,
                         .pSignalSemaphores = &r->screen.drawn[image]};
    VkPresentInfoKHR present = {.sType = VK_STRUCTURE_TYPE_PRESENT_INFO_KHR,
                                .waitSemaphoreCount = 1,
                                .pWaitSemaphores = &r->screen.drawn[image],
                                .swapchainCount = 1,
                                .pSwapchains = &r->screen.chain,
                                .pImageIndices = &image};
    vk_check(vkResetFences(g->device, 1, &s->fence), "vkResetFences");
    VkResult result = vkQueueSubmit(g->queue, 1, &info, s->fence);
    return result == VK_SUCCESS ? vkQueuePresentKHR(g->queue, &present) : result;
}

/* An image to draw to; the screen is made anew until there is one. */
static VkResult acquire(renderer *r, const gpu *g, const slot *s, uint32_t width, uint32_t height, bool resized,
                        uint32_t *image) {
    VkResult result = resized || !r->screen.chain ? VK_ERROR_OUT_OF_DATE_KHR : VK_SUCCESS;
    for (;;) {
        if (result == VK_ERROR_OUT_OF_DATE_KHR) {
            result = screen_resize(&r->screen, g, width, height);
            if (result != VK_SUCCESS || !r->screen.chain) {
                return result == VK_SUCCESS ? VK_NOT_READY : result;
            }
        }
        result = vkAcquireNextImageKHR(g->device, r->screen.chain, UINT64_MAX, s->acquired, VK_NULL_HANDLE, image);
        if (result != VK_ERROR_OUT_OF_DATE_KHR) {
            return result == VK_SUBOPTIMAL_KHR ? VK_SUCCESS : result;
        }
    }
}

VkResult renderer_frame(renderer *r, const gpu *g, const limits *l, uint32_t width, uint32_t height, bool resized,
                        bool lose, const char *picture) {
    slot *s = &r->slots[r->frame % IN_FLIGHT];
    uint32_t image;
    memory copy = {0};
    VkResult result = vkWaitForFences(g->device, 1, &s->fence, VK_TRUE, UINT64_MAX);
    if (result != VK_SUCCESS) {
        return result;
    }
    read_times(r, g, s);
    result = acquire(r, g, s, width, height, resized, &image);
    if (result != VK_SUCCESS) {
        return result;
    }
    if (picture) {
        copy =
            memory_create(g->physical, g->device, (VkDeviceSize)r->screen.size.width * r->screen.size.height * 4, true);
    }
    record(r, g, s, image, l, picture ? &copy : NULL);
    result = lose ? VK_ERROR_DEVICE_LOST : submit(r, g, s, image);
    if (result == VK_SUBOPTIMAL_KHR || result == VK_ERROR_OUT_OF_DATE_KHR) {
        result = VK_SUCCESS; /* the next frame sees to it */
    }
    if (picture && result == VK_SUCCESS) {
        vk_check(vkWaitForFences(g->device, 1, &s->fence, VK_TRUE, UINT64_MAX), "vkWaitForFences");
        if (!screen_save(&r->screen, &copy, picture)) {
            fail("%s was not written", picture);
        }
    }
    if (picture) {
        memory_destroy(g->device, &copy);
    }
    r->frame++;
    return result;
}
