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
    vka_requirements need;
    desc.path = path;
    log_clear();
    bool lacks = vka_attention_requirements(p->c->device, &desc, &need) == VKA_UNSUPPORTED;
    return lacks && !strcmp(log_last(VKA_LOG_ERROR).item, "vka_attention.path");
}

/* Matrices of many channels are compiled for half a minute where they are not hardware. */
static bool takes_long(attention_problem *p, vka_attention_path path) {
    uint32_t d = p->a.head_dim, dv = p->a.value_dim;
    bool matrices = attention_has_matrices(path);
    return matrices && (d > dv ? d : dv) > 16 && context_is_software(p->c);
}

#define MAX_LISTED 512

/* A tile of the path, or of any where the path is AUTO: number `candidate` of those that are listed. */
static void take_candidate(attention_problem *p, uint32_t candidate, vka_attention_path *path) {
    static vka_attention_candidate list[MAX_LISTED];
    uint32_t count = 0, kept = 0;
    vka_attention_desc desc = attention_desc(p);
    EXPECT_OK(vka_attention_candidates(p->c->device, &desc, list, MAX_LISTED, &count));
    cr_assert_leq(count, MAX_LISTED);
    for (uint32_t i = 0; i < count; i++) {
        bool fits = (*path == VKA_ATTENTION_PATH_AUTO || list[i].path == *path) && !takes_long(p, list[i].path);
        list[kept] = list[i];
        kept += fits;
    }
    if (kept > 0) {
        *path = list[candidate % kept].path;
        p->a.tile = list[candidate % kept].tile;
    }
}

/* The largest of a few errors says little: of so few rows, the naive computation may be right by chance. */
enum { FEW_ROWS = 8, DRAWS = 16 };

/* Does the accuracy rule hold for the rows of as many problems with other numbers, taken as one tensor? The first one's
 * error must come again: one that moves is a race. */
static bool accurate_over_draws(attention_problem *first, const random_case *r, vka_attention_path path,
                                const char *why_first) {
    char why[2048] = "";
    ref_error errors[ATTENTION_RESULTS] = {0};
    bool same = !attention_try(first, path, r->splits, why, sizeof why) && !strcmp(why, why_first), ok = same;
    for (uint64_t draw = 0; ok && draw < DRAWS; draw++) {
        attention_problem p = attention_make(first->c, first->a, r->seed + draw);
        p.errors = errors;
        ok = attention_try(&p, path, r->splits, why, sizeof why);
        attention_destroy(&p);
    }
    for (int i = 0; i < ATTENTION_RESULTS; i++) {
        ok = ok && ref_error_ok(&errors[i]);
    }
    return ok;
}

static bool try_accuracy(attention_problem *p, const random_case *r, vka_attention_path path, char *why, size_t size) {
    if (attention_try(p, path, r->splits, why, size)) {
        return true;
    }
    bool few = (uint64_t)p->a.batch * p->a.q_heads * p->a.q_len <= FEW_ROWS;
    return p->inaccurate && few && accurate_over_draws(p, r, path, why);
}

bool random_try(context *c, const random_case *r, char *why, size_t size) {
    attention_problem p = attention_make(c, r->a, r->seed);
    vka_attention_path path = lacks_path(&p, r->path) || takes_long(&p, r->path) ? VKA_ATTENTION_PATH_AUTO : r->path;
    why[0] = 0;
    if (r->candidate) {
        take_candidate(&p, r->candidate, &path);
    }
    bool ok = try_accuracy(&p, r, path, why, size) &&
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
