/* Programs that were compiled with another version of the headers: their structures are shorter or longer than ours.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "attention_case.h"
#include "support/context.h"
#include "support/intercept.h"

#define LATER 24 /* bytes that a newer version has more */

/* A copy of a structure that is `size` bytes long, and not one more. Zero behind its end. */
static void *resized(const void *desc, size_t ours, size_t size) {
    unsigned char *copy = calloc(1, size);
    cr_assert_not_null(copy);
    memcpy(copy, desc, size < ours ? size : ours);
    return copy;
}

static vka_status record(vka_recorder *recorder, const vka_attention_desc *desc, size_t size, unsigned char last) {
    unsigned char *other = resized(desc, sizeof *desc, size);
    other[size - 1] |= last;
    vka_status status = vka_operation_record(recorder, VKA_OPERATION_ATTENTION, other, size);
    free(other);
    return status;
}

static const attention_case small = {
    .batch = 1, .q_heads = 2, .kv_heads = 1, .q_len = 33, .kv_len = 47, .head_dim = 20, .causal = true};

Test(growth, operations) {
    context c;
    context_open(&c, &config_real);
    attention_problem p = attention_make(&c, small, test_seed());
    const vka_attention_desc desc = attention_desc(&p);
    const size_t sizes[] = {offsetof(vka_attention_desc, workspace), sizeof desc, sizeof desc + LATER};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        tensor_poison(&p.out);
        tensor_poison(&p.lse);
        EXPECT_OK(vka_recorder_begin(c.recorder));
        EXPECT_OK(record(c.recorder, &desc, sizes[i], 0));
        context_finish(&c);
        attention_compare(&p, "a description of another size");
    }
    EXPECT_OK(vka_recorder_begin(c.recorder));
    EXPECT_FAILURE(record(c.recorder, &desc, sizeof desc + LATER, 1), VKA_UNSUPPORTED, "vka_attention.desc");
    EXPECT_FAILURE(vka_operation_record(c.recorder, (vka_operation)1000, &desc, sizeof desc), VKA_INVALID,
                   "vka_operation_record.operation");
    EXPECT_FAILURE(vka_operation_prepare(c.device, VKA_OPERATION_INVALID, &desc, sizeof desc), VKA_INVALID,
                   "vka_operation_prepare.operation");
    context_finish(&c);
    attention_destroy(&p);
    context_close(&c);
}

/* Room that was asked for beforehand is enough: recording allocates nothing. */
Test(growth, requirements) {
    context c;
    context_open(&c, &config_real);
    attention_case a = small;
    a.batch = 3;
    a.kv_list.kind = LIST_LENGTHS; /* host values */
    attention_problem p = attention_make(&c, a, test_seed());
    vka_attention_desc desc = attention_desc(&p);
    desc.splits = 2;
    desc.path = VKA_ATTENTION_PATH_ROW;
    struct {
        vka_requirements need;
        unsigned char guard[LATER];
    } wide;
    memset(&wide, 0xab, sizeof wide);
    EXPECT_OK(vka_attention_prepare(c.device, &desc));
    EXPECT_OK(vka_operation_requirements(c.device, VKA_OPERATION_ATTENTION, &desc, sizeof desc, &wide.need, 8));
    cr_expect_eq(wide.need.dispatches, UINT64_C(0xabababababababab), "written beyond the caller's size");
    EXPECT_OK(
        vka_operation_requirements(c.device, VKA_OPERATION_ATTENTION, &desc, sizeof desc, &wide.need, sizeof wide));
    cr_expect_eq(wide.guard[0] | wide.guard[LATER - 1], 0, "what the library does not know is 0");
    cr_assert(wide.need.workspace_bytes && wide.need.dispatches && wide.need.value_bytes);
    vka_recorder *r;
    EXPECT_OK(vka_recorder_create(c.device,
                                  &(vka_recorder_desc){.max_dispatches = (uint32_t)wide.need.dispatches,
                                                       .scratch_bytes = wide.need.workspace_bytes,
                                                       .value_bytes = wide.need.value_bytes},
                                  &r));
    EXPECT_OK(vka_recorder_begin(r));
    const uint64_t calls = allocator_calls(), bytes = vka_device_memory(c.device).bytes;
    EXPECT_OK(vka_attention(r, &desc));
    cr_expect_eq(allocator_calls(), calls, "host memory was allocated");
    cr_expect_eq(vka_device_memory(c.device).bytes, bytes, "device memory was allocated");
    EXPECT_OK(vka_recorder_submit(r));
    EXPECT_OK(vka_recorder_wait(r, VKA_FOREVER));
    attention_compare(&p, "in exactly the room that it needs");
    vka_recorder_destroy(&r);
    attention_destroy(&p);
    context_close(&c);
}

Test(growth, objects) {
    context_require_device();
    vka_device_desc desc = context_desc();
    vka_device *device;
    void *longer = resized(&desc, sizeof desc, sizeof desc + LATER);
    EXPECT_OK(vka_device_create_sized(longer, sizeof desc + LATER, &device));
    vka_device_destroy(&device);
    ((unsigned char *)longer)[sizeof desc] = 1;
    EXPECT_FAILURE(vka_device_create_sized(longer, sizeof desc + LATER, &device), VKA_UNSUPPORTED,
                   "vka_device_create.desc");
    free(longer);
    const size_t first = offsetof(vka_device_desc, debug_labels); /* what there was before it */
    void *shorter = resized(&desc, sizeof desc, first);
    EXPECT_OK(vka_device_create_sized(shorter, first, &device));
    free(shorter);

    vka_buffer *buffer;
    const uint64_t size = 64; /* all that the first version of a vka_buffer_desc had */
    EXPECT_OK(vka_buffer_create_sized(device, (const vka_buffer_desc *)(const void *)&size, sizeof size, &buffer));
    cr_expect_eq(vka_buffer_size(buffer), 64);
    vka_buffer_destroy(&buffer);
    vka_recorder *recorder;
    const struct {
        vka_recorder_desc known;
        uint64_t later;
    } newer = {.later = 1};
    EXPECT_FAILURE(vka_recorder_create_sized(device, &newer.known, sizeof newer, &recorder), VKA_UNSUPPORTED,
                   "vka_recorder_create.desc");
    EXPECT_OK(vka_recorder_create_sized(device, &newer.known, sizeof newer.known, &recorder));
    vka_recorder_destroy(&recorder);
    vka_device_destroy(&device);
    context_check("objects");
}

/* Entries of arrays lie as far apart as the caller's structures are long. */
Test(growth, arrays) {
    context_require_device();
    vka_device_desc desc = context_desc();
    struct {
        vka_device_caps caps;
        unsigned char later[LATER];
    } wide[2];
    char names[2][sizeof wide->caps.name];
    uint32_t count;
    memset(wide, 0xab, sizeof wide);
    memset(names, 0xab, sizeof names);
    EXPECT_OK(vka_device_enumerate_sized(&desc, sizeof desc, &wide[0].caps, sizeof *wide, 2, &count));
    EXPECT_OK(
        vka_device_enumerate_sized(&desc, sizeof desc, (vka_device_caps *)(void *)names, sizeof *names, 2, &count));
    for (uint32_t i = 0; i < count && i < 2; i++) {
        cr_expect_eq(wide[i].later[0] | wide[i].later[LATER - 1], 0, "what the library does not know is 0");
        cr_expect_str_eq(names[i], wide[i].caps.name);
    }
    cr_expect(count > 1 || names[1][0] == (char)0xab, "written behind the entries");
}

/* Of candidates too, whatever the operation; and what is asked of one that has none. */
Test(growth, candidates) {
    context c;
    context_open(&c, &config_real);
    attention_problem p = attention_make(&c, small, test_seed());
    vka_attention_desc desc = attention_desc(&p);
    static vka_attention_candidate list[256];
    struct {
        vka_attention_candidate known;
        unsigned char later[LATER];
    } wide[2];
    uint32_t paths[2], count, all;
    EXPECT_OK(vka_attention_candidates(c.device, &desc, list, 256, &all));
    cr_assert(all > 2 && all <= 256);
    desc.path = VKA_ATTENTION_PATH_DOT; /* not looked at, whether it can run or not */
    desc.tile.key_tile = 3;
    desc.splits = 2;
    memset(wide, 0xab, sizeof wide);
    EXPECT_OK(
        vka_operation_candidates(c.device, VKA_OPERATION_ATTENTION, &desc, sizeof desc, wide, sizeof *wide, 2, &count));
    cr_expect_eq(count, all);
    EXPECT_OK(vka_operation_candidates(c.device, VKA_OPERATION_ATTENTION, &desc, sizeof desc, paths, sizeof *paths, 2,
                                       &count));
    cr_expect_eq(count, all);
    for (uint32_t i = 0; i < 2; i++) {
        cr_expect(!memcmp(&wide[i].known, &list[i], sizeof *list), "%u", i);
        cr_expect_eq(wide[i].later[0] | wide[i].later[LATER - 1], 0, "what the library does not know is 0");
        cr_expect_eq(paths[i], (uint32_t)list[i].path);
    }
    unsigned char *longer = resized(&desc, sizeof desc, sizeof desc + LATER);
    EXPECT_OK(
        vka_operation_candidates(c.device, VKA_OPERATION_ATTENTION, longer, sizeof desc + LATER, NULL, 0, 0, &count));
    cr_expect_eq(count, all);
    longer[sizeof desc] = 1;
    EXPECT_FAILURE(
        vka_operation_candidates(c.device, VKA_OPERATION_ATTENTION, longer, sizeof desc + LATER, NULL, 0, 0, &count),
        VKA_UNSUPPORTED, "vka_attention_candidates.desc");
    cr_expect_eq(count, 0);
    free(longer);
    const vka_attention_desc *nothing = NULL;
    EXPECT_FAILURE(vka_attention_candidates(c.device, nothing, list, 256, &count), VKA_INVALID,
                   "vka_attention_candidates.desc");
    EXPECT_FAILURE(vka_attention_candidates(c.device, &desc, list, 256, NULL), VKA_INVALID,
                   "vka_attention_candidates.count");
    EXPECT_FAILURE(vka_attention_candidates(c.device, &desc, NULL, 1, &count), VKA_INVALID,
                   "vka_attention_candidates.candidates");
    EXPECT_FAILURE(vka_operation_candidates(c.device, VKA_OPERATION_ROPE, &desc, sizeof desc, NULL, 0, 0, &count),
                   VKA_UNSUPPORTED, "vka_operation_candidates.operation");
    EXPECT_FAILURE(vka_operation_candidates(c.device, VKA_OPERATION_INVALID, &desc, sizeof desc, NULL, 0, 0, &count),
                   VKA_INVALID, "vka_operation_candidates.operation");
    attention_destroy(&p);
    context_close(&c);
}
