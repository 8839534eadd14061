/* The paths of linear attention.
 * SPDX-License-Identifier: MIT */
#include "ops/linear_attention/plan.h"

static const vka__linear_attention_path *const paths[] = {
    [VKA_LINEAR_ATTENTION_PATH_RECURRENT] = &vka__linear_attention_recurrent,
    [VKA_LINEAR_ATTENTION_PATH_CHUNKED] = &vka__linear_attention_chunked,
};

static const vka__path *const table[] = {
    [VKA_LINEAR_ATTENTION_PATH_RECURRENT] = &vka__linear_attention_recurrent.path,
    [VKA_LINEAR_ATTENTION_PATH_CHUNKED] = &vka__linear_attention_chunked.path,
};

static const vka__path_rule rules[] = {
    {true, VKA__ANY_ROWS, VKA_LINEAR_ATTENTION_PATH_RECURRENT, "software driver: the least arithmetic"},
    {false, 31, VKA_LINEAR_ATTENTION_PATH_RECURRENT, "few tokens"},
    {false, VKA__ANY_ROWS, VKA_LINEAR_ATTENTION_PATH_CHUNKED,
     "many tokens: only a triangular system is in their order"},
    {false, VKA__ANY_ROWS, VKA_LINEAR_ATTENTION_PATH_RECURRENT, "nothing waits for the token before, or no chunk fits"},
};

static void say_problem(const void *problem, vka__text *text) {
    const vka__linear_attention_problem *p = problem;
    vka__say(text, "%u key channels and %u queries of a state", p->key_dim, p->queries);
}

static uint32_t kernel_of(const vka_device_caps *caps, const void *problem, uint32_t path, const vka__tile *tile) {
    vka__pipeline_key key = {.kernel = VKA__linear_attention}; /* unless the path has one of its own */
    paths[path]->fill(caps, problem, tile, &key);
    return key.kernel;
}

const vka__paths vka__linear_attention_paths = {
    .path = table,
    .path_count = sizeof table / sizeof *table,
    .rules = rules,
    .rule_count = sizeof rules / sizeof *rules,
    .tuning = {.list = "linear_attention",
               .size = {{"tokens", "tokens_above", true},
                        {"key_dim", "key_dim_above", true},
                        {"value_dim", "value_dim_above", true}},
               .br = "tokens_of_a_step",
               .bc = "columns",
               .rm = "rows_per_invocation",
               .tc = "team"},
    .say_problem = say_problem,
    .field = "q",
    .kernel = kernel_of,
};

const vka__linear_attention_path *vka__linear_attention_path_of(uint32_t path) {
    return paths[path];
}

uint32_t vka__linear_attention_staged_words(const vka__linear_attention_problem *p, const vka__tile *tile,
                                            uint32_t queries) {
    uint32_t key = tile->rm * tile->tc, decay = p->channels ? key : 4;
    return tile->br * (key + queries * key + decay + 4 * tile->bc + 1);
}
