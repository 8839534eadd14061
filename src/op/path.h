/* Paths: the ways to run an operation, each with a list of tiles, and how one of them is chosen. An operation has a
 * table of its paths; this chooses by that, and knows of a problem only what it is told through the table.
 * SPDX-License-Identifier: MIT */
#ifndef VKA_PATH_H
#define VKA_PATH_H

#include "op/geometry.h"
#include "op/text.h"
#include "op/tuning.h"

/* One way to run an operation. `problem` is the operation's own: what a checked description comes to. Everything is
 * pure. */
typedef struct vka__path {
    const char *name; /* in explanations, refusals and tuning records */
    /* Why the path can't run a problem here, whatever the tile; NULL: it can. */
    const char *(*why_not)(const vka_device_caps *caps, const void *problem);
    /* Number `index` of the path's tiles, fitting or not; false: there are no more. This and what follows is asked
     * only where the path can run the problem. */
    bool (*tile)(const vka_device_caps *caps, const void *problem, uint32_t index, vka__tile *tile);
    bool (*fits)(const vka_device_caps *caps, const void *problem, const vka__tile *tile);
    /* The tile it takes when nothing was measured; false: none that is worth it. What is not listed, or does not fit,
     * is not taken. */
    bool (*choose)(const vka_device_caps *caps, const void *problem, vka__tile *tile);
    /* Is the path worth it with the chosen tile, as far as anybody knows without measuring? NULL: always. */
    bool (*is_profitable)(const vka_device_caps *caps, const void *problem, const vka__tile *tile);
    bool rows_follow; /* a tile's rows follow from the problem: only its columns are a choice */
} vka__path;

/* Without a measurement: the first rule of the device's class and the problem's rows decides whose path can run and is
 * profitable. */
#define VKA__ANY_ROWS UINT32_MAX
typedef struct vka__path_rule {
    bool software;
    uint32_t most_rows;
    uint32_t path;
    const char *why; /* for explanations */
} vka__path_rule;

/* The paths of an operation. */
typedef struct vka__paths {
    const vka__path *const *path; /* by the numbers of its public enumeration, where 0 is no path but a choice */
    const vka__path_rule *rules;
    uint32_t path_count, rule_count; /* of paths the 0 included */
    vka__tuning_format tuning;
    /* Can a binding see all that a workgroup with this tile needs? What can't is not listed, and only taken where
     * nothing else can be, so that whoever makes the dispatches says what does not fit. NULL: always. */
    bool (*is_bindable)(const vka_device_caps *caps, const void *problem, const vka__tile *tile);
    const char *why_bindable; /* the explanation where no rule's tile is bindable, but another one */
    /* For refusals: what a problem's tiles depend on, "head dimensions 64 and 64". */
    void (*say_problem)(const void *problem, vka__text *text);
    /* And what they must fit besides the device, if anything: ", and the pattern's tiles". May be NULL. */
    void (*say_limits)(const void *problem, vka__text *text);
    const char *field; /* that a refusal names where no path can run the problem */
    /* The kernel that a path runs with a tile, for what the self-test switched off. NULL: it switches off none. */
    uint32_t (*kernel)(const vka_device_caps *caps, const void *problem, uint32_t path, const vka__tile *tile);
    /* Does the problem bring code of its own that takes the place of kernels? And why it has none for one; NULL: it
     * has. Both NULL: no problem does. */
    bool (*has_code)(const void *problem);
    const char *(*why_no_code)(const void *problem, uint32_t kernel);
} vka__paths;

/* What a path and a tile are chosen for. */
typedef struct vka__path_query {
    const vka_device_caps *caps;
    const void *problem;
    uint32_t path;             /* that the description asks for; 0: none                            */
    vka__tile tile;            /* likewise, of that path; bc = 0: none                              */
    uint32_t rows;             /* that rules limit                                                  */
    const vka__tuning *tuning; /* what was measured on this device; may be NULL                     */
    vka__tuning_class in;      /* the problem's class in tuning records                             */
} vka__path_query;

typedef struct vka__path_choice {
    uint32_t path;
    vka__tile tile;
    const char *why;
    uint32_t workgroups; /* that a tuning record says; 0: nothing */
} vka__path_choice;

/* The path and tile that the description asks for, or else those that were measured, or else what the rules say. False
 * with the refusal: the path or the tile that the description asks for can't run here, or none can. */
bool vka__path_choose(const vka__paths *paths, const vka__path_query *query, vka__path_choice *choice,
                      vka__refusal *refusal);

/* Number `index` of all paths' tiles that can run a problem, in the order of paths; false: there are no more. */
bool vka__path_candidate(const vka__paths *paths, const vka_device_caps *caps, const void *problem, uint32_t index,
                         uint32_t *path, vka__tile *tile);

/* A line about the paths that could run a problem, were it not for their kernels, which the self-test switched off or
 * the problem's own code lacks; none where there are none. */
void vka__path_explain_off(const vka__paths *paths, const vka_device_caps *caps, const void *problem, vka__text *text);

/* For `choose` of a path: the smallest of its first `count` tiles that holds `rows`, or the first that fits. */
bool vka__path_first_fitting(const vka__path *path, const vka_device_caps *caps, const void *problem, uint32_t rows,
                             uint32_t count, vka__tile *tile);

/* "none" of a number that is no path's. */
const char *vka__path_name(const vka__paths *paths, uint32_t path);
/* 0: there is no such path. */
uint32_t vka__path_named(const vka__paths *paths, const char *name);

#endif
