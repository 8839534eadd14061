/* Runs cases until one fails.
 * SPDX-License-Identifier: MIT */
#include "random.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Does the device lack the path for this description? */
static bool lacks_path(attention_problem *p, vka_attention_path path) {
    vka_attention_desc desc = attention_desc(p);
    uint64_t bytes;
    desc.path = path;
    log_clear();
    bool lacks = vka_attention_workspace(p->c->device, &desc, &bytes) == VKA_UNSUPPORTED;
    return lacks && !strcmp(log_last(VKA_LOG_ERROR).item, "vka_attention.path");
}

/* Matrices of many channels are compiled for half a minute where they are not hardware. */
static bool takes_long(attention_problem *p, vka_attention_path path) {
    uint32_t d = p->a.head_dim, dv = p->a.value_dim;
    bool matrices = path == VKA_PATH_COOPMAT || path == VKA_PATH_COOPMAT2;
    return matrices && (d > dv ? d : dv) > 16 && vka_device_get_caps(p->c->device)->type == VKA_DEVICE_CPU;
}

bool random_try(context *c, const random_case *r, char *why, size_t size) {
    attention_problem p = attention_make(c, r->a, r->seed);
    vka_attention_path path = lacks_path(&p, r->path) || takes_long(&p, r->path) ? VKA_PATH_AUTO : r->path;
    why[0] = 0;
    bool ok = attention_try(&p, path, r->splits, why, size) &&
              (!r->compares_hidden || attention_try_hidden(&p, path, r->splits, why, size));
    attention_destroy(&p);
    return ok;
}

static void report(context *c, uint64_t seed, uint64_t number, random_case *r, char *why, size_t size) {
    fprintf(stderr, "case %llu fails: %s\n", (unsigned long long)number, why);
    random_shrink(c, r, why, size);
    fprintf(stderr, "the shortest that fails: %s\nagain: build/release/tests/vkattn-random --seed %llu --first %llu\n",
            why, (unsigned long long)seed, (unsigned long long)number);
}

void random_run(context *c, uint64_t seed, uint64_t first, uint64_t count) {
    bool talks = getenv("VKATTN_RANDOM_VERBOSE");
    for (uint64_t number = first; number < first + count; number++) {
        random_case r = random_draw(seed, number);
        char why[2048];
        if (talks) { /* before it runs: it may take the driver down */
            attention_problem p = attention_make(c, r.a, r.seed);
            fprintf(stderr, "case %llu: path %d splits %u: %s\n", (unsigned long long)number, r.path, r.splits,
                    attention_describe(&p, why, sizeof why));
            attention_destroy(&p);
        }
        if (!random_try(c, &r, why, sizeof why)) {
            report(c, seed, number, &r, why, sizeof why);
            cr_assert_fail("case %llu of seed %llu: %s", (unsigned long long)number, (unsigned long long)seed, why);
        }
    }
}
