/* Which path of an operation, and which of its tiles, a problem takes.
 * SPDX-License-Identifier: MIT */
#include "op/path.h"

#include <string.h>

#include "op/switched_off.h"

const char *vka__path_name(const vka__paths *paths, uint32_t path) {
    return path && path < paths->path_count ? paths->path[path]->name : "none";
}

uint32_t vka__path_named(const vka__paths *paths, const char *name) {
    for (uint32_t i = 1; i < paths->path_count; ++i)
        if (!strcmp(paths->path[i]->name, name))
            return i;
    return 0;
}

/* ---- tiles ------------------------------------------------------------------------------------------------------ */

static bool is_bindable(const vka__paths *paths, const vka_device_caps *caps, const void *problem,
                        const vka__tile *tile) {
    return !paths->is_bindable || paths->is_bindable(caps, problem, tile);
}

bool vka__path_first_fitting(const vka__path *path, const vka_device_caps *caps, const void *problem, uint32_t rows,
                             uint32_t count, vka__tile *tile) {
    bool found = false;
    vka__tile t;
    for (uint32_t i = 0; i < count && path->tile(caps, problem, i, &t); ++i) {
        bool smaller = found && t.br >= rows && t.br < tile->br;
        if ((!found || smaller) && path->fits(caps, problem, &t)) {
            *tile = t;
            found = true;
        }
    }
    return found;
}

static bool brings_code(const vka__paths *paths, const void *problem) {
    return paths->has_code && paths->has_code(problem);
}

/* May there be a reason to keep away from some kernel? */
static bool asks_kernels(const vka__paths *paths, const vka_device_caps *caps, const void *problem) {
    return paths->kernel && (vka__any_switched_off(caps) || brings_code(paths, problem));
}

/* Why a tile's kernel is not to be trusted, or not there; NULL: nothing is known against it. */
static const char *off_why(const vka__paths *paths, const vka_device_caps *caps, const void *problem, uint32_t path,
                           const vka__tile *tile) {
    if (!asks_kernels(paths, caps, problem))
        return NULL;
    uint32_t kernel = paths->kernel(caps, problem, path, tile);
    if (vka__is_switched_off(caps, kernel))
        return vka__switched_off_why(kernel);
    return brings_code(paths, problem) ? paths->why_no_code(problem, kernel) : NULL;
}

static bool fits(const vka__paths *paths, const vka_device_caps *caps, const void *problem, uint32_t path,
                 const vka__tile *tile) {
    return paths->path[path]->fits(caps, problem, tile) && !off_why(paths, caps, problem, path, tile);
}

/* Why not the first tile that a path would have, were it not for its kernel; NULL: there is none such, or another one
 * that runs. */
static const char *all_off_why(const vka__paths *paths, const vka_device_caps *caps, const void *problem,
                               uint32_t path) {
    const vka__path *p = paths->path[path];
    const char *why = NULL;
    vka__tile t;
    for (uint32_t i = 0; asks_kernels(paths, caps, problem) && p->tile(caps, problem, i, &t); ++i) {
        if (!p->fits(caps, problem, &t))
            continue;
        const char *off = off_why(paths, caps, problem, path, &t);
        if (!off)
            return NULL;
        why = why ? why : off;
    }
    return why;
}

void vka__path_explain_off(const vka__paths *paths, const vka_device_caps *caps, const void *problem, vka__text *text) {
    for (uint32_t path = 1; asks_kernels(paths, caps, problem) && path < paths->path_count; ++path) {
        const char *why = paths->path[path]->why_not(caps, problem) ? NULL : all_off_why(paths, caps, problem, path);
        if (why)
            vka__say(text, "not_%s: %s\n", paths->path[path]->name, why);
    }
}

/* The path's tile that a measurement or the description names, if it is on the list and fits. */
static bool find_tile(const vka__paths *paths, uint32_t path, const vka_device_caps *caps, const void *problem,
                      const vka__tile *wanted, vka__tile *tile) {
    const vka__path *p = paths->path[path];
    for (uint32_t i = 0; p->tile(caps, problem, i, tile); ++i) {
        bool same = tile->bc == wanted->bc &&
                    (p->rows_follow || (tile->br == wanted->br && tile->rm == wanted->rm && tile->tc == wanted->tc));
        if (same && fits(paths, caps, problem, path, tile))
            return true;
    }
    return false;
}

/* The tile that a path takes without being told, one of those that vka__path_candidate lists. */
static bool default_tile(const vka__paths *paths, uint32_t path, const vka_device_caps *caps, const void *problem,
                         vka__tile *tile) {
    vka__tile wanted;
    return paths->path[path]->choose(caps, problem, &wanted) && find_tile(paths, path, caps, problem, &wanted, tile);
}

/* A path that the description asks for runs if there is any tile for it, preferably a bindable one. */
static bool any_tile(const vka__paths *paths, uint32_t path, const vka_device_caps *caps, const void *problem,
                     vka__tile *tile) {
    vka__tile t;
    bool found = default_tile(paths, path, caps, problem, tile);
    bool done = found && is_bindable(paths, caps, problem, tile);
    for (uint32_t i = 0; !done && paths->path[path]->tile(caps, problem, i, &t); ++i) {
        if (!fits(paths, caps, problem, path, &t))
            continue;
        done = is_bindable(paths, caps, problem, &t);
        if (done || !found)
            *tile = t;
        found = true;
    }
    return found;
}

bool vka__path_candidate(const vka__paths *paths, const vka_device_caps *caps, const void *problem, uint32_t index,
                         uint32_t *path, vka__tile *tile) {
    for (*path = 1; *path < paths->path_count; ++*path) {
        const vka__path *p = paths->path[*path];
        if (p->why_not(caps, problem))
            continue;
        for (uint32_t i = 0; p->tile(caps, problem, i, tile); ++i)
            if (fits(paths, caps, problem, *path, tile) && is_bindable(paths, caps, problem, tile) && index-- == 0)
                return true;
    }
    return false;
}

/* ---- the choice ------------------------------------------------------------------------------------------------- */

static bool refuse_tiles(const vka__paths *paths, const vka__path_query *q, vka__refusal *refusal) {
    vka__text text = {refusal->reason, sizeof refusal->reason, 0};
    refusal->field = "path";
    vka__say(&text, "can't be %s: no tile for ", vka__path_name(paths, q->path));
    paths->say_problem(q->problem, &text);
    vka__say(&text, " fits this device's registers, %u bytes of shared memory and %u invocations",
             q->caps->shared_bytes, q->caps->max_invocations);
    if (paths->say_limits)
        paths->say_limits(q->problem, &text);
    return false;
}

static bool take_wanted(const vka__paths *paths, const vka__path_query *q, vka__path_choice *choice,
                        vka__refusal *refusal) {
    const vka__path *path = paths->path[q->path];
    const char *name = vka__path_name(paths, q->path), *why_not = path->why_not(q->caps, q->problem);
    const vka__tile *t = &q->tile;
    *choice = (vka__path_choice){.path = q->path, .why = "the description asks for it"};
    if (why_not)
        return vka__refuse(refusal, "path", "can't be %s: %s", name, why_not);
    why_not = all_off_why(paths, q->caps, q->problem, q->path);
    if (why_not)
        return vka__refuse(refusal, "path", "can't be %s: %s", name, why_not);
    if (t->bc)
        return find_tile(paths, q->path, q->caps, q->problem, t, &choice->tile) ||
               vka__refuse(refusal, "tile", "%u x %u, %u, %u is none that path %s has for this problem", t->br, t->bc,
                           t->rm, t->tc, name);
    return any_tile(paths, q->path, q->caps, q->problem, &choice->tile) || refuse_tiles(paths, q, refusal);
}

static bool take_measured(const vka__paths *paths, const vka__path_query *q, vka__path_choice *choice) {
    const vka__tuning_rule *rule = vka__tuning_find(q->tuning, paths, &q->in);
    if (!rule)
        return false;
    vka__tile tile;
    if (paths->path[rule->path]->why_not(q->caps, q->problem) ||
        !find_tile(paths, rule->path, q->caps, q->problem, &rule->tile, &tile) ||
        !is_bindable(paths, q->caps, q->problem, &tile))
        return false;
    *choice = (vka__path_choice){rule->path, tile, "the tuning record's measurements", rule->workgroups};
    return true;
}

/* Does a rule hold here, with this tile of its path? */
static bool holds(const vka__paths *paths, const vka__path_rule *rule, const vka__path_query *q, vka__tile *tile) {
    const vka__path *path = paths->path[rule->path];
    return rule->software == (q->caps->type == VKA_DEVICE_CPU) && q->rows <= rule->most_rows &&
           !path->why_not(q->caps, q->problem) && default_tile(paths, rule->path, q->caps, q->problem, tile) &&
           (!path->is_profitable || path->is_profitable(q->caps, q->problem, tile));
}

/* Where the self-test switched off all that rules name, anything else. */
static bool take_what_is_left(const vka__paths *paths, const vka__path_query *q, vka__path_choice *choice) {
    *choice = (vka__path_choice){.why = "the self-test switched off what would be chosen"};
    return vka__any_switched_off(q->caps) &&
           vka__path_candidate(paths, q->caps, q->problem, 0, &choice->path, &choice->tile);
}

static bool take_by_rules(const vka__paths *paths, const vka__path_query *q, vka__path_choice *choice) {
    vka__path_choice first = {0}; /* of those whose tile is not bindable */
    for (uint32_t i = 0; i < paths->rule_count; ++i) {
        const vka__path_rule *r = &paths->rules[i];
        *choice = (vka__path_choice){.path = r->path, .why = r->why};
        if (!holds(paths, r, q, &choice->tile))
            continue;
        if (is_bindable(paths, q->caps, q->problem, &choice->tile))
            return true;
        first = first.path ? first : *choice;
    }
    *choice = (vka__path_choice){.why = paths->why_bindable};
    if (first.path && vka__path_candidate(paths, q->caps, q->problem, 0, &choice->path, &choice->tile))
        return true;
    *choice = first; /* for whoever cuts it to refuse what does not fit */
    return first.path != 0 || take_what_is_left(paths, q, choice);
}

bool vka__path_choose(const vka__paths *paths, const vka__path_query *query, vka__path_choice *choice,
                      vka__refusal *refusal) {
    if (query->path)
        return take_wanted(paths, query, choice, refusal);
    return take_measured(paths, query, choice) || take_by_rules(paths, query, choice) ||
           vka__refuse(refusal, paths->field, "has no path on this device%s",
                       vka__any_switched_off(query->caps) ? ", of which the self-test switched off kernels" : "");
}
