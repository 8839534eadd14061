/* What a rank waits for: its device and its transfers, at the same time.
 * SPDX-License-Identifier: MIT */
#include "ring/worker.h"

#include "common/program.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

enum { SLICE = 200000 /* nanoseconds between two looks at what is pending */ };
enum { PATIENCE = 10 /* times as long as in a pass, until all ranks have compiled */ };

bool worker_fail(const worker *w, const char *format, ...) {
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    fprintf(stderr, "%s: rank %u: %s\n", program_name, w->transport->rank, text);
    return false;
}

bool worker_ok(const worker *w, vka_status status) {
    return status == VKA_OK || worker_fail(w, "step %u: %s", w->step, vka_status_string(status));
}

static unsigned transfer_bit(int kind, int way) {
    return 2u << (kind * TRANSFER_WAYS + way);
}

static void remember(worker *w, event *e) {
    e->end = seconds() - w->start;
    if (w->timeline.count < w->timeline.most) {
        w->timeline.events[w->timeline.count++] = *e;
    }
}

bool worker_transfer(worker *w, transfer_kind kind, transfer_way way, void *data, size_t bytes, uint32_t block) {
    if (!w->transport->begin(w->transport, kind, way, data, bytes)) {
        return worker_fail(w, "step %u: %s", w->step, w->transport->error);
    }
    w->transfers[kind][way] = (event){
        .pass = w->pass,
        .kind = way == TRANSFER_SEND ? EVENT_SEND : EVENT_RECEIVE,
        .step = w->step,
        .block = block,
        .gradients = kind == TRANSFER_GRADIENTS,
        .bytes = (uint32_t)((bytes + 1023) / 1024),
        .begin = seconds() - w->start,
    };
    w->pending |= transfer_bit(kind, way);
    return true;
}

bool worker_submit(worker *w) {
    w->device_work = (event){.pass = w->pass, .kind = EVENT_COMPUTE, .step = w->step, .block = worker_block(w)};
    w->device_work.begin = seconds() - w->start;
    w->pending |= DEVICE_WORK;
    return worker_ok(w, vka_recorder_submit(w->recorder));
}

static bool look_at_transfers(worker *w) {
    for (int i = 0; i < TRANSFER_KINDS * TRANSFER_WAYS; i++) {
        int kind = i / TRANSFER_WAYS, way = i % TRANSFER_WAYS;
        transfer_state state = w->pending & transfer_bit(kind, way)
                                   ? w->transport->poll(w->transport, (transfer_kind)kind, (transfer_way)way)
                                   : TRANSFER_PENDING;
        if (state == TRANSFER_FAILED) {
            return worker_fail(w, "step %u: %s", w->step, w->transport->error);
        }
        if (state == TRANSFER_DONE) {
            w->pending &= ~transfer_bit(kind, way);
            if (kind != TRANSFER_NOTE) {
                remember(w, &w->transfers[kind][way]);
            }
        }
    }
    return true;
}

/* Waits for a moment: for the device, where it works. */
static bool look_at_device(worker *w) {
    if (!(w->pending & DEVICE_WORK)) {
        nanosleep(&(struct timespec){.tv_nsec = SLICE}, NULL);
        return true;
    }
    vka_status status = vka_recorder_wait(w->recorder, SLICE);
    if (status == VKA_OK) {
        w->pending &= ~DEVICE_WORK;
        remember(w, &w->device_work);
    }
    return status == VKA_TIMEOUT || worker_ok(w, status);
}

static double limit(const worker *w) {
    return (double)w->timeout * (w->ready ? 1 : PATIENCE);
}

/* Names the first thing that did not happen. */
static bool out_of_time(const worker *w) {
    const transport *t = w->transport;
    for (int i = 0; i < TRANSFER_KINDS * TRANSFER_WAYS && !(w->pending & DEVICE_WORK); i++) {
        if (w->pending & transfer_bit(i / TRANSFER_WAYS, TRANSFER_RECEIVE)) {
            return worker_fail(w, "step %u: rank %u has sent nothing for %g s", w->step,
                               (t->rank + t->ranks - 1) % t->ranks, limit(w));
        }
    }
    return w->pending & DEVICE_WORK ? worker_fail(w, "step %u: the device has not finished in %g s", w->step, limit(w))
                                    : worker_fail(w, "step %u: rank %u has received nothing for %g s", w->step,
                                                  (t->rank + 1) % t->ranks, limit(w));
}

bool worker_wait(worker *w, unsigned what) {
    double last = seconds();
    while (w->pending & what) {
        unsigned before = w->pending;
        if (!look_at_transfers(w) || (w->pending & what && !look_at_device(w))) {
            return false;
        }
        double now = seconds();
        last = w->pending != before ? now : last;
        if (now - last > limit(w)) {
            return out_of_time(w);
        }
    }
    return true;
}

/* In each round a rank passes on what it got in the last one. */
bool worker_gather(worker *w, void *all, size_t each) {
    const uint32_t rank = w->transport->rank, ranks = w->transport->ranks;
    char *bytes = all;
    for (uint32_t round = 0; round + 1 < ranks; round++) {
        size_t sent = (rank + ranks - round) % ranks, got = (rank + ranks - round - 1) % ranks;
        if (!worker_transfer(w, TRANSFER_NOTE, TRANSFER_RECEIVE, bytes + got * each, each, 0) ||
            !worker_transfer(w, TRANSFER_NOTE, TRANSFER_SEND, bytes + sent * each, each, 0) ||
            !worker_wait(w, EVERYTHING)) {
            return false;
        }
    }
    return true;
}
