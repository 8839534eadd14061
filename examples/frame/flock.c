/* SPDX-License-Identifier: MIT */
#include "frame/flock.h"

#include "common/program.h"
#include "steer.h"

#include <vkattn/attention.h>

#include <math.h>
#include <string.h>

enum { HEADS = 2, DIM = 4, STATE = 4 * sizeof(float) };

/* ---- creation ---------------------------------------------------------------------------------------------------- */

/* Numbers that are the same on every machine. */
static float next_random(uint32_t *state) {
    *state = *state * 1664525u + 1013904223u;
    return (float)(*state >> 8) / 16777216.0f;
}

static void place(flock *f, float aspect) {
    uint32_t random = 1;
    float *state = f->states.mapped;
    for (uint32_t i = 0; i < f->count; i++, state += 4) {
        float angle = 6.2831853f * next_random(&random);
        state[0] = aspect * (1.8f * next_random(&random) - 0.9f);
        state[1] = 1.8f * next_random(&random) - 0.9f;
        state[2] = 0.015f * cosf(angle);
        state[3] = 0.015f * sinf(angle);
    }
    memcpy(state, f->states.mapped, (size_t)f->count * STATE);
}

static vka_buffer *wrap(const gpu *g, const memory *m, uint64_t bytes) {
    vka_buffer *wrapped;
    check(vka_buffer_wrap(g->attention, m->buffer, 0, bytes, &wrapped));
    return wrapped;
}

/* Two heads, near and far, that share keys and values. Planned once; the workspace is ours, as what a slice leaves
 * there the next one reads. */
static void plan(flock *f, const gpu *g) {
    uint32_t n = f->count;
    for (int i = 0; i < 4; i++) {
        memory *all[] = {&f->q, &f->k, &f->v, &f->seen};
        uint64_t bytes = (uint64_t)n * STATE * (i == 0 || i == 3 ? HEADS : 1);
        *all[i] = memory_create(g->physical, g->device, bytes, false);
        f->wrapped[i] = wrap(g, all[i], bytes);
    }
    vka_attention_desc desc = {
        .q = vka_tensor_4d(f->wrapped[0], VKA_F32, 1, HEADS, n, DIM),
        .k = vka_tensor_4d(f->wrapped[1], VKA_F32, 1, 1, n, DIM),
        .v = vka_tensor_4d(f->wrapped[2], VKA_F32, 1, 1, n, DIM),
        .out = vka_tensor_4d(f->wrapped[3], VKA_F32, 1, HEADS, n, DIM),
        .scale = 1,
    };
    vka_requirements need;
    check(vka_attention_requirements(g->attention, &desc, &need));
    uint64_t room = need.workspace_bytes ? need.workspace_bytes : 256;
    f->room = memory_create(g->physical, g->device, room, false);
    desc.workspace.buffer = f->wrapped[4] = wrap(g, &f->room, room);
    check(vka_attention_plan(g->attention, &desc, &f->plan));
    check(vka_plan_prepare_slices(f->plan));
}

void flock_open(flock *f, const gpu *g, uint32_t count, float aspect) {
    *f = (flock){.count = count};
    f->states = memory_create(g->physical, g->device, 2 * (uint64_t)count * STATE, true);
    place(f, aspect);
    plan(f, g);
    const VkBuffer buffers[] = {f->states.buffer, f->q.buffer, f->k.buffer, f->v.buffer, f->seen.buffer};
    f->set = set_create(g, buffers, BINDINGS);
    f->steer = compute_pipeline_create(g->device, g->layout, steer_spirv, sizeof steer_spirv);
}

void flock_close(flock *f, const gpu *g) {
    memory *all[] = {&f->states, &f->q, &f->k, &f->v, &f->seen, &f->room};
    vkDestroyPipeline(g->device, f->steer, NULL);
    vka_plan_destroy(&f->plan);
    for (int i = 0; i < 5; i++) {
        vka_buffer_destroy(&f->wrapped[i]);
    }
    for (int i = 0; i < 6; i++) {
        memory_destroy(g->device, all[i]);
    }
}

/* ---- frames ------------------------------------------------------------------------------------------------------ */

/* Moves the points by what they saw, and makes the queries and keys of the next step. */
static void steer(flock *f, const gpu *g, VkCommandBuffer commands, push *p) {
    const VkPipelineStageFlags compute = VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT,
                               vertex = VK_PIPELINE_STAGE_VERTEX_SHADER_BIT;
    /* Attention wrote what is read here; it has read, and the frames before have drawn, what is overwritten. */
    wait_for_shaders(commands, compute | vertex, compute);
    p->current = f->current;
    p->begins = !f->begun;
    vkCmdBindPipeline(commands, VK_PIPELINE_BIND_POINT_COMPUTE, f->steer);
    vkCmdBindDescriptorSets(commands, VK_PIPELINE_BIND_POINT_COMPUTE, g->layout, 0, 1, &f->set, 0, NULL);
    vkCmdPushConstants(commands, g->layout, VK_SHADER_STAGE_COMPUTE_BIT | VK_SHADER_STAGE_VERTEX_BIT, 0, sizeof *p, p);
    vkCmdDispatch(commands, (f->count + 63) / 64, 1, 1);
    wait_for_shaders(commands, compute, compute | vertex);
    f->current = f->begun ? 1 - f->current : f->current;
    f->steps += f->begun;
    f->in_slices = f->begun ? f->slices : 0;
    f->begun = true;
    f->slice = (vka_slice){0};
    f->work = f->slices = 0;
}

uint64_t flock_record(flock *f, const gpu *g, VkCommandBuffer commands, vka_recorder *recorder, push *p,
                      uint64_t budget, void (*between)(void *user, int which), void *user) {
    const vka_plan *plan = f->plan;
    p->count = f->count;
    if (!f->begun || f->slice.done) {
        steer(f, g, commands, p);
    }
    between(user, 0);
    check(vka_recorder_wrap(recorder, commands));
    check(vka_plan_record_slice(recorder, &plan, 1, budget, &f->slice));
    check(vka_recorder_unwrap(recorder));
    between(user, 1);
    f->slices++;
    f->work += f->slice.work;
    p->current = f->current;
    p->shown = (float)((double)f->work / (double)vka_plan_work(plan));
    return f->slice.work;
}

uint32_t flock_steps_after(const flock *f) {
    return f->steps + (f->begun && f->slice.done);
}

uint32_t flock_checksum(const flock *f) {
    const uint8_t *bytes = (const uint8_t *)f->states.mapped + (size_t)f->current * f->count * STATE;
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < (size_t)f->count * STATE; i++) {
        hash = (hash ^ bytes[i]) * 16777619u;
    }
    return hash;
}
