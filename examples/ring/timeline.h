/* What ranks did when, as a picture.
 * SPDX-License-Identifier: MIT */
#ifndef RING_TIMELINE_H
#define RING_TIMELINE_H

#include "ring/problem.h"

typedef enum event_kind { EVENT_COMPUTE, EVENT_SEND, EVENT_RECEIVE } event_kind;
typedef enum event_pass { PASS_FORWARD, PASS_BACKWARD, PASSES } event_pass;

typedef struct event {
    uint32_t pass, kind, step;
    uint32_t block;     /* whose keys and values, or their gradients */
    uint32_t gradients; /* 1: these                                  */
    uint32_t bytes;     /* KiB that were passed on, rounded up       */
    double begin, end;  /* seconds since the pass began              */
} event;

typedef struct timeline {
    uint32_t count, most;
    event *events;
} timeline;

/* Seconds: of the whole pass, in which the device worked, in which something was on its way, and of the latter those in
 * which the device worked. */
typedef struct timeline_sums {
    double whole, computing, passing, hidden;
} timeline_sums;
timeline_sums timeline_sum(const timeline *t, event_pass pass);

/* An SVG file of the timelines of all ranks; caption is a line below the title. false: said why on stderr. */
bool timeline_save(const char *path, const timeline *ranks, uint32_t count, bool backward, const char *caption);

#endif
