/* Paths of linear attention on devices that are not here.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>

#include "ops/linear_attention/plan.h"
#include "plan_devices.h"

/* Bytes that chunked.comp declares as shared. */
static uint32_t shared_of_chunks(const vka__linear_attention_problem *p, const vka__pipeline_key *key) {
    uint32_t tokens = key->spec[VKA_SPEC_BR], rows = key->spec[VKA_SPEC_RM], parts = key->spec[VKA_SPEC_TC];
    uint32_t queries = key->spec[VKA_SPEC_BC], lot = key->spec[VKA_SPEC_M], group = key->spec[VKA_SPEC_GROUP_SIZE];
    uint32_t kinds = queries + (p->delta ? 1 : 0), columns = group / parts, vectors = rows * parts / 4;
    uint32_t tiles = tokens * vectors + tokens * queries * vectors + (p->channels ? tokens * vectors : tokens) +
                     tokens * columns + 2 * lot * kinds * group + tokens * queries * columns;
    return 16 * tiles + 4 * (tokens + queries * tokens * tokens + (p->delta ? tokens * tokens : 1) + 2);
}

static vka__pipeline_key key_of(const vka_device_caps *caps, const vka__linear_attention_problem *p, uint32_t path,
                                const vka__tile *t) {
    vka__pipeline_key key = {0};
    key.spec[VKA_SPEC_GROUP_SIZE] = t->tc * t->bc;
    key.spec[VKA_SPEC_RM] = t->rm;
    key.spec[VKA_SPEC_TC] = t->tc;
    key.spec[VKA_SPEC_BR] = t->br;
    vka__linear_attention_path_of(path)->fill(caps, p, t, &key);
    return key;
}

/* What is listed keeps to the device's limits, and its parts have all key channels. */
static uint32_t check_candidates(const device *d, const vka__linear_attention_problem *p) {
    uint32_t path, chunked = 0;
    vka__tile t;
    for (uint32_t i = 0; vka__path_candidate(&vka__linear_attention_paths, &d->caps, p, i, &path, &t); i++) {
        vka__pipeline_key key = key_of(&d->caps, p, path, &t);
        cr_assert_leq(t.tc * t.bc, d->caps.max_invocations, "%s", d->name);
        cr_assert_geq(t.tc * t.rm, p->key_dim, "%s", d->name);
        if (path == VKA_LINEAR_ATTENTION_PATH_CHUNKED) {
            chunked++;
            cr_assert_eq(key.spec[VKA_SPEC_BC], p->queries);
            cr_assert_leq(shared_of_chunks(p, &key), d->caps.shared_bytes, "%s: key_dim %u", d->name, p->key_dim);
            cr_assert(t.br % 4 == 0 && t.br >= key.spec[VKA_SPEC_M]);
        }
    }
    return chunked;
}

/* Chunks are taken where they are worth it, if there is one that fits. */
static void check_choice(const device *d, const vka__linear_attention_problem *p, bool any_chunk) {
    const vka__path_query query = {.caps = &d->caps, .problem = p, .rows = p->tokens};
    vka__path_choice choice;
    vka__refusal refusal;
    cr_assert(vka__path_choose(&vka__linear_attention_paths, &query, &choice, &refusal), "%s", d->name);
    bool worth = d->caps.type != VKA_DEVICE_CPU && p->delta && p->tokens >= 32;
    uint32_t path = worth && any_chunk ? VKA_LINEAR_ATTENTION_PATH_CHUNKED : VKA_LINEAR_ATTENTION_PATH_RECURRENT;
    cr_assert_eq(choice.path, path, "%s: %u tokens, key_dim %u, %u queries: path %u (%s)", d->name, p->tokens,
                 p->key_dim, p->queries, choice.path, choice.why);
}

Test(linear_attention_plan, paths) {
    static const uint32_t dims[] = {1, 8, 40, 64, 128, 256, 512}, tokens[] = {1, 31, 32, 4096}, queries[] = {1, 4, 5};
    unsigned chunked = 0;
    for (int d = 0; d < DEVICES; d++) {
        for (uint32_t i = 0; i < 7 * 4 * 3 * 8; i++) {
            vka__linear_attention_problem p = {.tokens = tokens[i % 4],
                                               .key_dim = dims[i / 4 % 7],
                                               .value_dim = dims[(i / 4 + 3) % 7],
                                               .queries = queries[i / 28 % 3],
                                               .delta = i / 84 & 1,
                                               .decays = i / 84 & 6,
                                               .channels = i / 84 & 4};
            bool any = check_candidates(&devices[d], &p) > 0;
            cr_assert(!any || p.queries <= 4);
            check_choice(&devices[d], &p, any);
            chunked += any;
        }
    }
    cr_assert_gt(chunked, 0);
}

/* The shape of models in use has chunks of 16 tokens where shared memory is as large as most devices'. */
Test(linear_attention_plan, usual) {
    const vka__linear_attention_problem p = {
        .tokens = 4096, .key_dim = 128, .value_dim = 128, .queries = 1, .delta = true, .decays = true};
    for (int d = 0; d < DEVICES; d++) {
        const vka_device_caps *caps = &devices[d].caps;
        const vka__path_query query = {.caps = caps, .problem = &p, .rows = p.tokens};
        vka__path_choice choice;
        vka__refusal refusal;
        cr_assert(vka__path_choose(&vka__linear_attention_paths, &query, &choice, &refusal));
        if (caps->type != VKA_DEVICE_CPU && caps->shared_bytes >= 32768) {
            cr_assert_eq(choice.path, VKA_LINEAR_ATTENTION_PATH_CHUNKED, "%s", devices[d].name);
            cr_assert_eq(choice.tile.br, 16, "%s: %u", devices[d].name, choice.tile.br);
        }
    }
}
