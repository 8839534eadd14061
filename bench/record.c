/* What recording an operation costs the host: with its description, checked and planned each time; from a plan; and the
 * same Vulkan commands without the library, in one run. Nothing is submitted.
 * SPDX-License-Identifier: MIT */
#include "record.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TURNS = 5 };
/* What this project wants to stay below, as a multiple of the bare commands. */
#define GOAL 4.0

typedef struct measurement {
    bench_device *d;
    const record_op *op;
    uint32_t recordings; /* of a turn */
    record_memory memory;
    _Alignas(16) unsigned char desc[RECORD_DESC_SIZE];
    recorded_calls calls; /* of one recording that follows another */
    vka_plan *plan;
    vka_plan *kept_plan; /* the same by the device whose commands are kept */
} measurement;

typedef struct record_tools {
    vka_device *keeper; /* the device whose commands can be kept */
    vka_recorder *keeper_recorder;
    VkCommandPool pool;
    VkCommandBuffer cmd;
} record_tools;

/* ---- the bare commands ------------------------------------------------------------------------------------------- */

/* A workspace of its own, so that a plan need not ask the recorder for one. */
static vka_status describe(measurement *m, vka_device *device) {
    m->memory.device = device;
    m->op->describe(&m->memory, m->desc);
    if (m->memory.failed) {
        return VKA_OUT_OF_MEMORY;
    }
    vka_requirements needs;
    vka_status status =
        vka_operation_requirements(device, m->op->operation, m->desc, m->op->desc_size, &needs, sizeof needs);
    size_t field = bench_record_workspace(m->op->operation);
    if (status == VKA_OK && needs.workspace_bytes && field) {
        vka_workspace workspace = {.buffer = bench_record_buffer(&m->memory, needs.workspace_bytes)};
        memcpy(m->desc + field, &workspace, sizeof workspace);
        return m->memory.failed ? VKA_OUT_OF_MEMORY : VKA_OK;
    }
    return status;
}

/* The app's command buffer: the library can begin one of its own again only after it was submitted. */
static vka_status begin(const measurement *m, VkCommandBuffer cmd) {
    const VkCommandBufferBeginInfo info = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO};
    return m->d->vk.BeginCommandBuffer(cmd, &info) == VK_SUCCESS ? VKA_OK : VKA_OUT_OF_MEMORY;
}

static vka_status end(const measurement *m, VkCommandBuffer cmd) {
    return m->d->vk.EndCommandBuffer(cmd) == VK_SUCCESS ? VKA_OK : VKA_OUT_OF_MEMORY;
}

/* Keeps the commands of the second recording, which has the barrier against the first one. */
static vka_status record_twice(measurement *m, const record_tools *t) {
    vka_status status = vka_operation_plan(t->keeper, m->op->operation, m->desc, m->op->desc_size, &m->kept_plan);
    if (status == VKA_OK) {
        status = begin(m, t->cmd);
    }
    if (status == VKA_OK) {
        status = vka_recorder_wrap(t->keeper_recorder, t->cmd);
    }
    for (int i = 0; i < 2 && status == VKA_OK; i++) {
        bench_calls_keep(i ? &m->calls : NULL);
        status = vka_plan_record(t->keeper_recorder, m->kept_plan);
    }
    bench_calls_keep(NULL);
    if (status == VKA_OK) {
        status = vka_recorder_unwrap(t->keeper_recorder);
    }
    if (status == VKA_OK) {
        status = end(m, t->cmd);
    }
    return status == VKA_OK && m->calls.lost ? VKA_OUT_OF_MEMORY : status;
}

/* ---- turns ------------------------------------------------------------------------------------------------------- */

static double microseconds_each(double start_ms, uint32_t recordings) {
    return (bench_now_ms() - start_ms) * 1e3 / recordings;
}

static vka_status time_bare(measurement *m, VkCommandBuffer cmd, double *us) {
    const bench_vk *vk = &m->d->vk;
    vka_status status = begin(m, cmd);
    double start = bench_now_ms();
    for (uint32_t i = 0; i < m->recordings && status == VKA_OK; i++) {
        bench_calls_replay(vk, cmd, &m->calls);
    }
    *us = fmin(*us, microseconds_each(start, m->recordings));
    return status == VKA_OK ? end(m, cmd) : status;
}

static vka_status time_library(measurement *m, VkCommandBuffer cmd, vka_recorder *r, bool planned, double *us) {
    vka_status status = begin(m, cmd);
    if (status == VKA_OK) {
        status = vka_recorder_wrap(r, cmd);
    }
    double start = bench_now_ms();
    for (uint32_t i = 0; i < m->recordings && status == VKA_OK; i++) {
        status = planned ? vka_plan_record(r, m->plan)
                         : vka_operation_record(r, m->op->operation, m->desc, m->op->desc_size);
    }
    *us = fmin(*us, microseconds_each(start, m->recordings));
    if (status == VKA_OK) {
        status = vka_recorder_unwrap(r);
    }
    return status == VKA_OK ? end(m, cmd) : status;
}

static vka_status take_turns(measurement *m, VkCommandBuffer cmd, vka_recorder *r, bench_record_cost *cost) {
    vka_status status = VKA_OK;
    for (int turn = 0; turn < TURNS && status == VKA_OK && !bench_stopped(); turn++) {
        status = time_bare(m, cmd, &cost->bare_us);
        if (status == VKA_OK) {
            status = time_library(m, cmd, r, true, &cost->plan_us);
        }
        if (status == VKA_OK) {
            status = time_library(m, cmd, r, false, &cost->us);
        }
    }
    return status;
}

/* ---- one operation ----------------------------------------------------------------------------------------------- */

static vka_status measure(measurement *m, const record_tools *t, bench_record_cost *cost) {
    vka_device *device = bench_device_vka(m->d);
    /* The buffers of one device are no buffers of the other. */
    vka_status status = describe(m, t->keeper);
    if (status == VKA_OK) {
        status = record_twice(m, t);
    }
    if (status != VKA_OK) {
        return status;
    }
    record_memory kept = m->memory;
    m->memory = (record_memory){0};
    vka_requirements needs = {0};
    vka_recorder *r = NULL;
    status = describe(m, device);
    if (status == VKA_OK) {
        status = vka_operation_requirements(device, m->op->operation, m->desc, m->op->desc_size, &needs, sizeof needs);
    }
    if (status == VKA_OK) {
        status = vka_operation_plan(device, m->op->operation, m->desc, m->op->desc_size, &m->plan);
    }
    if (status == VKA_OK) {
        vka_recorder_desc desc = {.max_dispatches = (uint32_t)needs.dispatches * m->recordings,
                                  .value_bytes = needs.value_bytes * m->recordings};
        status = vka_recorder_create(device, &desc, &r);
    }
    cost->dispatches = needs.dispatches;
    cost->commands = m->calls.count;
    if (status == VKA_OK) {
        status = take_turns(m, t->cmd, r, cost);
    }
    vka_recorder_destroy(&r);
    vka_plan_destroy(&m->plan);
    bench_record_free(&kept);
    return status;
}

static void measure_one(bench_device *d, const record_tools *t, const record_op *op, uint32_t recordings,
                        bench_record_cost *cost) {
    measurement *m = calloc(1, sizeof *m);
    vka_status status = VKA_OUT_OF_MEMORY;
    bench_device_clear_error(d);
    *cost = (bench_record_cost){.operation = op->name, .bare_us = INFINITY, .plan_us = INFINITY, .us = INFINITY};
    if (m) {
        m->d = d;
        m->op = op;
        m->recordings = recordings;
        status = measure(m, t, cost);
        vka_plan_destroy(&m->kept_plan);
        bench_record_free(&m->memory);
        free(m->calls.at);
        free(m);
    }
    cost->state = bench_device_state(d, status, cost->reason, sizeof cost->reason);
    if (status == VKA_OK && !isfinite(cost->us)) {
        cost->state = BENCH_SKIPPED;
        snprintf(cost->reason, sizeof cost->reason, "stopped");
    }
}

/* ---- the table --------------------------------------------------------------------------------------------------- */

enum { NAME = 27, COUNT = 8, TIME = 8, RATIO = 6 };

static void print_cost(const bench_record_cost *c) {
    char bare[BENCH_NUMBER_SIZE], plan[BENCH_NUMBER_SIZE], whole[BENCH_NUMBER_SIZE];
    if (c->state != BENCH_DONE) {
        bench_report_reason(c->operation, c->state, c->reason, bench_columns(false));
        return;
    }
    double ratio = c->plan_us / c->bare_us;
    printf("%-*s %*zu %*s %*s %*.2f %*s %*.1f", NAME, c->operation, COUNT, c->commands, TIME,
           bench_time_text(c->bare_us * 1e-3, bare), TIME, bench_time_text(c->plan_us * 1e-3, plan), RATIO, ratio, TIME,
           bench_time_text(c->us * 1e-3, whole), RATIO, c->us / c->bare_us);
    if (ratio > GOAL) {
        printf("  %s!%s", bench_style(BENCH_WARNING), bench_style(BENCH_PLAIN));
    }
    printf("\n");
    fflush(stdout);
}

static void print_heading(void) {
    printf("\n%s%-*s %*s %*s %*s %*s %*s %*s%s\n", bench_style(BENCH_BOLD), NAME, "operation", COUNT, "commands", TIME,
           "bare", TIME, "plan", RATIO, "ratio", TIME, "checked", RATIO, "ratio", bench_style(BENCH_PLAIN));
}

static void print_help(uint32_t recordings) {
    char text[120];
    printf("\n");
    snprintf(text, sizeof text, "the Vulkan commands alone: the best of %d turns of %u", TURNS, recordings);
    bench_column_help("bare", text);
    bench_column_help("plan", "vka_plan_record, which records an operation that was checked and planned before");
    bench_column_help("ratio", "to the bare commands; ! above this project's goal of 4");
    bench_column_help("checked", "the operation from its description, checked and planned each time");
}

/* ---- everything -------------------------------------------------------------------------------------------------- */

static bool open_tools(bench_device *d, record_tools *t) {
    const bench_vk *vk = &d->vk;
    VkCommandPoolCreateInfo pool = {.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
                                    .flags = VK_COMMAND_POOL_CREATE_RESET_COMMAND_BUFFER_BIT,
                                    .queueFamilyIndex = d->family};
    *t = (record_tools){.keeper = bench_device_import(d, bench_calls_loader(vk))};
    if (!t->keeper || vk->CreateCommandPool(d->device, &pool, NULL, &t->pool) != VK_SUCCESS) {
        return false;
    }
    VkCommandBufferAllocateInfo cmd = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
                                       .commandPool = t->pool,
                                       .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
                                       .commandBufferCount = 1};
    vka_recorder_desc recorder = {.max_dispatches = 64};
    return vk->AllocateCommandBuffers(d->device, &cmd, &t->cmd) == VK_SUCCESS &&
           vka_recorder_create(t->keeper, &recorder, &t->keeper_recorder) == VKA_OK;
}

static void close_tools(bench_device *d, record_tools *t) {
    vka_recorder_destroy(&t->keeper_recorder);
    vka_device_destroy(&t->keeper);
    if (t->pool) {
        d->vk.DestroyCommandPool(d->device, t->pool, NULL);
    }
}

static bench_exit measure_all(const bench_options *o, bench_device *d, const record_tools *t) {
    bench_record_cost *costs = calloc(bench_record_op_count, sizeof *costs);
    bench_report report;
    size_t measured = 0, failed = 0;
    bench_report_begin(&report, d, o->seed);
    bench_device_introduce(bench_device_caps(d));
    printf("commit   %s\n", report.commit);
    print_heading();
    bench_progress_start(bench_record_op_count, INFINITY);
    for (size_t i = 0; costs && i < bench_record_op_count; i++) {
        costs[i] = (bench_record_cost){.operation = bench_record_ops[i].name, .state = BENCH_SKIPPED};
        if (bench_stopped()) {
            continue;
        }
        bench_progress_step(i, bench_record_ops[i].name);
        measure_one(d, t, &bench_record_ops[i], o->recordings, &costs[i]);
        bench_progress_pause();
        print_cost(&costs[i]);
        measured += costs[i].state == BENCH_DONE;
        failed += costs[i].state == BENCH_FAILED;
    }
    bench_progress_end();
    print_help(o->recordings);
    bool written =
        costs && (!o->json || bench_json_write_record(&report, o->recordings, costs, bench_record_op_count, o->json));
    bench_report_end("operations", measured, bench_record_op_count, written ? o->json : NULL);
    free(costs);
    return failed || !written ? BENCH_EXIT_FAILED : bench_stopped() ? BENCH_EXIT_STOPPED : BENCH_EXIT_OK;
}

bench_exit bench_record(const bench_options *o) {
    if (o->json && !bench_json_writable(o->json)) {
        return BENCH_EXIT_FAILED;
    }
    bench_device *d = bench_device_open(o->device, NULL);
    if (!d) {
        return BENCH_EXIT_NO_DEVICE;
    }
    record_tools tools;
    bench_exit status = BENCH_EXIT_FAILED;
    if (open_tools(d, &tools)) {
        status = measure_all(o, d, &tools);
    } else {
        bench_note("vkattn-bench: the device can't be opened twice: %s", bench_device_error(d));
    }
    close_tools(d, &tools);
    bench_device_close(d);
    return status;
}
