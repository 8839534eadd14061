/* vka_device_self_test: runs the library's own kernels on problems with known answers, and switches off what is wrong.
 * SPDX-License-Identifier: MIT */
#include <vkattn/self_test.h>

#include <stdio.h>
#include <string.h>

#include "core/sync.h"
#include "op/call.h"
#include "op/switched_off.h"
#include "self_test/answer.h"

static const char item[] = "vka_device_self_test";

/* By vka_operation. */
static const vka__answers answers[] = {
    [VKA_OPERATION_ATTENTION] = vka__answers_attention,
    [VKA_OPERATION_ATTENTION_MERGE] = vka__answers_merge,
    [VKA_OPERATION_LAYER_NORM] = vka__answers_layer_norm,
    [VKA_OPERATION_CACHE_APPEND] = vka__answers_cache_append,
    [VKA_OPERATION_RMS_NORM] = vka__answers_rms_norm,
    [VKA_OPERATION_GROUP_NORM] = vka__answers_group_norm,
    [VKA_OPERATION_SOFTMAX] = vka__answers_softmax,
    [VKA_OPERATION_CROSS_ENTROPY] = vka__answers_cross_entropy,
    [VKA_OPERATION_LINEAR] = vka__answers_linear,
    [VKA_OPERATION_MAP] = vka__answers_map,
    [VKA_OPERATION_TOP_K] = vka__answers_top_k,
    [VKA_OPERATION_LINEAR_ATTENTION] = vka__answers_linear_attention,
};
#define OPERATIONS (sizeof answers / sizeof *answers)
_Static_assert(OPERATIONS <= 64, "a bit for each");

typedef uint64_t kernel_set[VKA_SWITCHED_OFF_WORDS];

typedef struct run {
    vka_device *device;
    vka__context quiet; /* of calls whose refusal is none of the app's business */
    vka_recorder *recorder;
    vka__answer *answer;
    vka_operation operation;
    uint32_t tiles;
    double begin, end;
    bool late, switched;   /* the time is up; the last round switched something off */
    kernel_set right, ran; /* that gave a right answer; that ran at all */
    vka_self_test_report report;
} run;

static bool has(const kernel_set set, uint32_t kernel) {
    return set[kernel / 64] >> kernel % 64 & 1;
}

static void add(kernel_set set, uint32_t kernel) {
    set[kernel / 64] |= UINT64_C(1) << kernel % 64;
}

static uint32_t count(const kernel_set set) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < 2 * VKA_SWITCHED_OFF_WORDS; ++i)
        n += vka__count_bits((uint32_t)(set[i / 2] >> i % 2 * 32));
    return n;
}

/* ---- one run ---------------------------------------------------------------------------------------------------- */

static uint32_t kernel_at(const vka__call *c, uint32_t key) {
    return c->key[key].kernel;
}

static bool is_kernel(const vka__call *c, uint32_t key) {
    return kernel_at(c, key) < VKA__KERNEL_COUNT;
}

static void switch_off(run *r, uint32_t kernel, const vka__candidate *candidate, const char *what) {
    char how[80] = "";
    const vka__op *op = vka__op_at(r->operation);
    vka__device_switch_off(r->device, kernel);
    r->switched = true;
    if (op->paths)
        snprintf(how, sizeof how, " by path %s, tile %u x %u, %u, %u", vka__path_name(op->paths, candidate->path),
                 candidate->tile.br, candidate->tile.bc, candidate->tile.rm, candidate->tile.tc);
    vka__log(vka__device_context(r->device), VKA_LOG_WARNING, item, "switches off kernel %s: %s %s%s: %s",
             vka__kernel_name((vka__kernel)kernel), op->name, r->answer->name, how, what);
}

/* The kernels of a wrong answer are off, but for those that were right elsewhere, together with others; if all of them
 * were, the first one, which does the work. */
static void blame(run *r, const vka__call *c, const vka__candidate *candidate, const char *what) {
    bool any = false;
    for (uint32_t i = 0; i < c->key_count; ++i)
        if (is_kernel(c, i) && !has(r->right, kernel_at(c, i))) {
            switch_off(r, kernel_at(c, i), candidate, what);
            any = true;
        }
    if (!any)
        switch_off(r, kernel_at(c, 0), candidate, what);
}

static vka_status execute(run *r, const vka__op *op, const void *desc) {
    vka__answer_poison(r->answer);
    vka_status status = vka_recorder_begin(r->recorder);
    if (status == VKA_OK)
        status = vka__op_record(op, r->recorder, desc, r->answer->desc_size);
    if (status == VKA_OK)
        status = vka_recorder_submit(r->recorder);
    return status == VKA_OK ? vka_recorder_wait(r->recorder, VKA_FOREVER) : status;
}

/* What the device can't do, because of its limits or of what is off by now, is no failure. */
static vka_status try_one(run *r, const vka__op *op, const void *desc, const vka__candidate *candidate) {
    vka__call call;
    char what[128];
    vka_status status = vka__call_init(&call, op, &r->quiet, r->device, vka_device_get_caps(r->device), false, desc,
                                       r->answer->desc_size);
    if (status != VKA_OK)
        return status == VKA_UNSUPPORTED ? VKA_OK : status;
    if (r->end > 0 && vka__now() > r->end) {
        r->late = true;
        r->report.left_out++;
        return VKA_OK;
    }
    status = execute(r, op, desc);
    if (status != VKA_OK)
        return status;
    bool right = vka__answer_is_right(r->answer, what, sizeof what);
    r->report.runs++;
    r->report.wrong += !right;
    for (uint32_t i = 0; i < call.key_count; ++i)
        if (is_kernel(&call, i))
            add(r->ran, kernel_at(&call, i));
    for (uint32_t i = 0; i < call.key_count && right; ++i)
        if (is_kernel(&call, i))
            add(r->right, kernel_at(&call, i));
    if (!right)
        blame(r, &call, candidate, what);
    return VKA_OK;
}

/* ---- the candidates of a problem -------------------------------------------------------------------------------- */

static bool is_same(const vka__tile *a, const vka__tile *b) {
    return a->br == b->br && a->bc == b->bc && a->rm == b->rm && a->tc == b->tc;
}

static vka_status try_tile(run *r, const vka__op *op, const vka__candidate *candidate) {
    _Alignas(16) unsigned char desc[VKA__MAX_DESC];
    memcpy(desc, r->answer->desc, r->answer->desc_size);
    memcpy(desc + op->asked, candidate, sizeof *candidate); /* a path, and its tile behind it */
    return try_one(r, op, desc, candidate);
}

static uint32_t count_tiles(const vka__paths *paths, const vka_device_caps *caps, const void *problem, uint32_t path) {
    vka__candidate c;
    uint32_t n = 0;
    for (uint32_t i = 0; vka__path_candidate(paths, caps, problem, i, &c.path, &c.tile); ++i)
        n += c.path == path;
    return n;
}

/* The tile that the path takes by itself, and others from all over its list, the last one first. */
static vka_status try_path(run *r, const vka__op *op, const void *problem, uint32_t path) {
    const vka_device_caps caps = *vka_device_get_caps(r->device); /* as they are before this path is tried */
    vka__path_query query = {.caps = &caps, .problem = problem, .path = path};
    vka__path_choice choice;
    vka__refusal refusal;
    vka_status status = VKA_OK;
    uint32_t n = count_tiles(op->paths, &caps, problem, path), others = vka__min_u32(r->tiles - 1, n), at = 0;
    if (!n || !vka__path_choose(op->paths, &query, &choice, &refusal))
        return VKA_OK;
    vka__candidate c = {path, choice.tile};
    status = try_tile(r, op, &c);
    for (uint32_t i = 0; status == VKA_OK && vka__path_candidate(op->paths, &caps, problem, i, &c.path, &c.tile); ++i) {
        if (c.path != path)
            continue;
        /* Of n tiles number at: is it the last one of its share? */
        bool wanted = (uint64_t)(at + 1) * others / n > (uint64_t)at * others / n;
        ++at;
        if (wanted && !is_same(&c.tile, &choice.tile))
            status = try_tile(r, op, &c);
    }
    return status;
}

static vka_status try_paths(run *r, const vka__op *op) {
    vka__call call;
    _Alignas(16) unsigned char plain[VKA__MAX_DESC];
    memcpy(plain, r->answer->desc, r->answer->desc_size);
    memset(plain + op->asked, 0, op->asked_size);
    vka_status status = vka__call_init(&call, op, &r->quiet, r->device, vka_device_get_caps(r->device), true, plain,
                                       r->answer->desc_size);
    if (status != VKA_OK)
        return status == VKA_UNSUPPORTED ? VKA_OK : status;
    for (uint32_t path = 1; path < op->paths->path_count && status == VKA_OK; ++path)
        status = try_path(r, op, call.state + op->problem, path);
    return status;
}

static void empty(vka__answer *a) {
    a->in_used = a->out_used = a->used = a->output_count = 0;
}

/* Once more after something was switched off: what takes its place was not tested. */
static vka_status test_operation(run *r) {
    const vka__op *op = vka__op_at(r->operation);
    vka_status status = VKA_OK;
    r->late = false;
    do {
        r->switched = false;
        empty(r->answer);
        for (uint32_t i = 0; status == VKA_OK && answers[r->operation](r->answer, i); ++i) {
            status = op->paths ? try_paths(r, op) : try_one(r, op, r->answer->desc, NULL);
            empty(r->answer);
        }
    } while (status == VKA_OK && r->switched);
    if (status == VKA_OK && !r->late)
        vka__device_add_tested(r->device, UINT64_C(1) << r->operation);
    return status;
}

/* ---- the whole -------------------------------------------------------------------------------------------------- */

/* The operations that were asked for and have answers, as bits. */
static vka_status read_operations(const vka__context *ctx, const vka_self_test_desc *d, uint64_t *wanted) {
    *wanted = 0;
    if (!d->operations && d->operation_count)
        return vka__fail(ctx, VKA_INVALID, "vka_device_self_test.operations", "is NULL, but operation_count is not 0");
    for (uint32_t i = 0; i < OPERATIONS && !d->operation_count; ++i)
        *wanted |= answers[i] ? UINT64_C(1) << i : 0;
    for (uint32_t i = 0; i < d->operation_count; ++i) {
        uint32_t operation = (uint32_t)d->operations[i];
        if (!vka__op_at(d->operations[i]))
            return vka__fail(ctx, VKA_INVALID, "vka_device_self_test.operations",
                             "entry %u, %d, is not a vka_operation", i, (int)d->operations[i]);
        *wanted |= operation < OPERATIONS && answers[operation] ? UINT64_C(1) << operation : 0;
    }
    return VKA_OK;
}

static uint32_t usual_tiles(const vka_device_caps *caps) {
    return vka__is_slow_compiler(caps) ? 1 : caps->type == VKA_DEVICE_CPU ? 2 : 3;
}

static vka_status open(run *r) {
    const vka__context *ctx = vka__device_context(r->device);
    vka__answer *a = r->answer = vka__alloc(ctx, 1, sizeof *a);
    double *numbers = vka__alloc(ctx, VKA__ANSWER_NUMBERS, sizeof *numbers);
    if (!a || !numbers) {
        vka__free(ctx, numbers);
        return vka__fail(ctx, VKA_OUT_OF_MEMORY, item, "no host memory");
    }
    a->numbers = numbers;
    a->caps = vka_device_get_caps(r->device);
    vka_status status = vka_buffer_create(
        r->device, &(vka_buffer_desc){.size = VKA__ANSWER_BYTES, .memory = VKA_MEMORY_UPLOAD}, &a->in);
    if (status == VKA_OK)
        status = vka_buffer_create(
            r->device, &(vka_buffer_desc){.size = VKA__ANSWER_BYTES, .memory = VKA_MEMORY_READBACK}, &a->out);
    return status == VKA_OK ? vka_recorder_create(r->device, NULL, &r->recorder) : status;
}

static void close(run *r) {
    const vka__context *ctx = vka__device_context(r->device);
    vka_recorder_destroy(&r->recorder);
    if (!r->answer)
        return;
    vka_buffer_destroy(&r->answer->in);
    vka_buffer_destroy(&r->answer->out);
    vka__free(ctx, r->answer->numbers);
    vka__free(ctx, r->answer);
}

static vka_status test(run *r, uint64_t wanted, double seconds) {
    r->begin = vka__now();
    r->end = seconds > 0 ? r->begin + seconds : 0;
    vka_status status = open(r);
    for (uint32_t i = 0; i < OPERATIONS && status == VKA_OK; ++i) {
        r->operation = (vka_operation)i;
        if (wanted >> i & 1)
            status = test_operation(r);
    }
    close(r);
    r->report.kernels = count(r->ran);
    r->report.nanoseconds = (uint64_t)(1e9 * (vka__now() - r->begin));
    return status;
}

static void name_kernels(const vka_device_caps *caps, vka_self_test_report *report) {
    vka__text text = {report->names, sizeof report->names, 0};
    report->switched_off = count(caps->switched_off);
    for (uint32_t i = 0; i < VKA__KERNEL_COUNT; ++i)
        if (vka__is_switched_off(caps, i))
            vka__say(&text, "%s%s", text.length ? " " : "", vka__kernel_name((vka__kernel)i));
}

vka_status vka_device_self_test_sized(vka_device *device, const vka_self_test_desc *desc, size_t desc_size,
                                      vka_self_test_report *report, size_t report_size) {
    if (!device)
        return vka__fail(NULL, VKA_INVALID, "vka_device_self_test.device", "must not be NULL");
    const vka__context *ctx = vka__device_context(device);
    vka_self_test_desc own;
    uint64_t wanted;
    run r = {.device = device, .quiet = *ctx};
    r.quiet.quiet = true;
    vka_status status = vka__read_desc(ctx, item, &own, sizeof own, desc, desc_size);
    if (status == VKA_OK)
        status = read_operations(ctx, &own, &wanted);
    if (status == VKA_OK && !vka__device_has_queue(device))
        status = vka__fail(ctx, VKA_INVALID, "vka_device_self_test.device", "was imported without a queue");
    if (status == VKA_OK) {
        r.tiles = own.tiles ? own.tiles : usual_tiles(vka_device_get_caps(device));
        wanted &= own.again ? ~UINT64_C(0) : ~vka__device_tested(device);
        r.report.known = !wanted;
        status = wanted ? test(&r, wanted, own.seconds) : VKA_OK;
    }
    name_kernels(vka_device_get_caps(device), &r.report);
    if (report)
        vka__copy_desc(report, report_size, &r.report, sizeof r.report);
    return status;
}
