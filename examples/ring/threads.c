/* Ranks that are threads of one program. A transfer is one memcpy by whoever receives it, once both sides have begun.
 * SPDX-License-Identifier: MIT */
#include "common/program.h"
#include "ring/transport.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct letter {
    const void *from;
    void *to;
    size_t sent, wanted;
    double arrives; /* on a link of limited speed; 0: it has not set out */
    bool sending, receiving, copied;
} letter;

/* From a rank to the next one. */
typedef struct link {
    pthread_mutex_t mutex;
    letter letters[TRANSFER_KINDS];
    double free; /* when the last letter will have arrived */
    bool closed; /* by a rank that failed                  */
} link;

typedef struct thread_rank {
    transport base; /* first */
    thread_ring *ring;
} thread_rank;

struct thread_ring {
    uint32_t ranks;
    double bytes_a_second; /* 0: unlimited */
    link *links;           /* [ranks] */
    thread_rank *rank;     /* [ranks] */
};

static link *link_of(transport *t, transfer_way way) {
    thread_ring *r = ((thread_rank *)t)->ring;
    return &r->links[way == TRANSFER_SEND ? t->rank : (t->rank + t->ranks - 1) % t->ranks];
}

static bool begin(transport *t, transfer_kind kind, transfer_way way, void *data, size_t bytes) {
    link *l = link_of(t, way);
    pthread_mutex_lock(&l->mutex);
    letter *e = &l->letters[kind];
    bool busy = way == TRANSFER_SEND ? e->sending : e->receiving;
    if (busy) {
        snprintf(t->error, sizeof t->error, "a transfer begins before the last one of its kind is done");
    } else if (way == TRANSFER_SEND) {
        e->from = data, e->sent = bytes, e->sending = true, e->copied = false;
    } else {
        e->to = data, e->wanted = bytes, e->receiving = true;
    }
    pthread_mutex_unlock(&l->mutex);
    return !busy;
}

/* Has everything come through? A link passes on one letter after the other. */
static bool has_arrived(const thread_ring *r, link *l, letter *e) {
    if (r->bytes_a_second == 0) {
        return true;
    }
    double now = seconds();
    if (e->arrives == 0) {
        e->arrives = (l->free > now ? l->free : now) + (double)e->sent / r->bytes_a_second;
        l->free = e->arrives;
    }
    return now >= e->arrives;
}

static transfer_state poll_letter(transport *t, link *l, letter *e, transfer_way way) {
    if (l->closed) {
        snprintf(t->error, sizeof t->error, "rank %u has failed",
                 way == TRANSFER_SEND ? (t->rank + 1) % t->ranks : (t->rank + t->ranks - 1) % t->ranks);
        return TRANSFER_FAILED;
    }
    bool both = e->sending && !e->copied && e->receiving;
    if (both && e->sent != e->wanted) {
        snprintf(t->error, sizeof t->error, "%zu bytes were sent where %zu are awaited", e->sent, e->wanted);
        return TRANSFER_FAILED;
    }
    if (both && has_arrived(((thread_rank *)t)->ring, l, e) && way == TRANSFER_RECEIVE) {
        memcpy(e->to, e->from, e->sent);
        e->copied = true, e->receiving = false, e->arrives = 0;
        return TRANSFER_DONE;
    }
    if (way == TRANSFER_SEND && e->copied) {
        e->sending = e->copied = false;
        return TRANSFER_DONE;
    }
    return TRANSFER_PENDING;
}

static transfer_state poll_link(transport *t, transfer_kind kind, transfer_way way) {
    link *l = link_of(t, way);
    pthread_mutex_lock(&l->mutex);
    transfer_state state = poll_letter(t, l, &l->letters[kind], way);
    pthread_mutex_unlock(&l->mutex);
    return state;
}

/* Once a link is closed, nobody looks at its memory any more. */
static void leave(transport *t, bool failed) {
    for (int way = 0; failed && way < TRANSFER_WAYS; way++) {
        link *l = link_of(t, (transfer_way)way);
        pthread_mutex_lock(&l->mutex);
        l->closed = true;
        pthread_mutex_unlock(&l->mutex);
    }
}

thread_ring *thread_ring_create(uint32_t ranks, float megabytes) {
    thread_ring *r = allocate(1, sizeof *r);
    *r = (thread_ring){ranks, (double)megabytes * 1e6, allocate(ranks, sizeof *r->links),
                       allocate(ranks, sizeof *r->rank)};
    for (uint32_t i = 0; i < ranks; i++) {
        pthread_mutex_init(&r->links[i].mutex, NULL);
        r->rank[i] = (thread_rank){
            .base = {.rank = i,
                     .ranks = ranks,
                     .place = i,
                     .name = "threads",
                     .begin = begin,
                     .poll = poll_link,
                     .leave = leave},
            .ring = r,
        };
    }
    return r;
}

void thread_ring_destroy(thread_ring *r) {
    for (uint32_t i = 0; i < r->ranks; i++) {
        pthread_mutex_destroy(&r->links[i].mutex);
    }
    free(r->links);
    free(r->rank);
    free(r);
}

transport *thread_ring_rank(thread_ring *r, uint32_t rank) {
    return &r->rank[rank].base;
}
