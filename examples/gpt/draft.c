/* SPDX-License-Identifier: MIT */
#include "draft.h"

#include "common/program.h"

#include <stdlib.h>
#include <string.h>

/* Tokens that are remembered after a context, and contexts at most: a power of two. */
enum { FOLLOWERS = 4, SLOTS = 1 << 21, MAX_COUNT = UINT16_MAX };

/* What came after a context. */
typedef struct followers {
    uint64_t key; /* the context's tokens and how many there are; 0: free */
    uint16_t count[FOLLOWERS];
    uint8_t token[FOLLOWERS];
} followers;

/* The last tokens of a text, the newest in the lowest byte, and how many there are. */
typedef struct history {
    uint64_t tokens;
    uint32_t length;
} history;

struct draft {
    followers *table;
    uint32_t used;
    history last;
};

draft *draft_create(void) {
    draft *d = allocate(1, sizeof *d);
    d->table = allocate(SLOTS, sizeof *d->table);
    return d;
}

void draft_destroy(draft **d) {
    if (*d) {
        free((*d)->table);
    }
    free(*d);
    *d = NULL;
}

static history push(history h, int32_t token) {
    h.tokens = h.tokens << 8 | (uint8_t)token;
    h.length += h.length < DRAFT_ORDER;
    return h;
}

/* Of the last `order` tokens, which are at least one: never 0. */
static uint64_t key_of(history h, uint32_t order) {
    return (h.tokens & (((uint64_t)1 << 8 * order) - 1)) | (uint64_t)order << 56;
}

/* Where a context is, or could be. */
static followers *slot_of(const draft *d, uint64_t key) {
    uint64_t at = key * 0x9e3779b97f4a7c15u >> 32;
    while (d->table[at % SLOTS].key && d->table[at % SLOTS].key != key) {
        at++;
    }
    return &d->table[at % SLOTS];
}

/* A token that is new takes the place of one that came once; where there is none, all become half as many. */
static void count_token(followers *f, uint8_t token) {
    uint32_t least = 0;
    for (uint32_t i = 0; i < FOLLOWERS; i++) {
        if (f->count[i] && f->token[i] == token) {
            f->count[i] += f->count[i] < MAX_COUNT;
            return;
        }
        least = f->count[i] < f->count[least] ? i : least;
    }
    for (uint32_t i = 0; i < FOLLOWERS && f->count[least] > 1; i++) {
        f->count[i] = (uint16_t)((f->count[i] + 1) / 2);
    }
    if (f->count[least] <= 1) {
        f->count[least] = 1;
        f->token[least] = token;
    }
}

void draft_add(draft *d, int32_t token) {
    for (uint32_t order = 1; order <= d->last.length; order++) {
        const uint64_t key = key_of(d->last, order);
        followers *f = slot_of(d, key);
        if (f->key == 0 && d->used < SLOTS / 4 * 3) {
            f->key = key;
            d->used++;
        }
        if (f->key) {
            count_token(f, (uint8_t)token);
        }
    }
    d->last = push(d->last, token);
}

void draft_separate(draft *d) {
    d->last = (history){0};
}

/* ---- trees --------------------------------------------------------------------------------------------------- */

/* A node that may be next. */
typedef struct candidate {
    uint32_t parent;
    int32_t token;
    double probability; /* of the whole path to it */
} candidate;

typedef struct frontier {
    candidate list[DECODER_MAX_NODES * DRAFT_ORDER * FOLLOWERS];
    uint32_t count;
} frontier;

/* What may follow node `parent`. Shorter contexts share what longer ones leave for tokens that they have not seen. */
static void extend(const draft *d, history h, uint32_t parent, double probability, frontier *f) {
    bool seen[256] = {false};
    for (uint32_t order = h.length; order > 0; order--) {
        const followers *s = slot_of(d, key_of(h, order));
        uint32_t kinds = 0, total = 0;
        for (uint32_t i = 0; i < FOLLOWERS && s->key; i++) {
            kinds += s->count[i] > 0;
            total += s->count[i];
        }
        if (kinds == 0) {
            continue;
        }
        for (uint32_t i = 0; i < FOLLOWERS; i++) {
            if (s->count[i] && !seen[s->token[i]]) {
                seen[s->token[i]] = true;
                f->list[f->count++] =
                    (candidate){parent, s->token[i], probability * s->count[i] / (double)(total + kinds)};
            }
        }
        probability *= kinds / (double)(total + kinds);
    }
}

/* Takes the likeliest; of equal ones the first. */
static candidate take(frontier *f) {
    uint32_t best = 0;
    for (uint32_t i = 1; i < f->count; i++) {
        best = f->list[i].probability > f->list[best].probability ? i : best;
    }
    candidate c = f->list[best];
    memmove(f->list + best, f->list + best + 1, (--f->count - best) * sizeof c);
    return c;
}

void draft_tree(const draft *d, uint32_t nodes, uint32_t depth, token_tree *tree) {
    static frontier f;
    history at[DECODER_MAX_NODES] = {d->last};
    f.count = 0;
    tree->count = 1;
    tree->token[0] = (int32_t)(d->last.tokens & 255);
    tree->parent[0] = tree->depth[0] = 0;
    if (depth) {
        extend(d, d->last, 0, 1, &f);
    }
    while (tree->count < nodes && f.count) {
        const candidate c = take(&f);
        const uint32_t n = tree->count++;
        tree->token[n] = c.token;
        tree->parent[n] = c.parent;
        tree->depth[n] = tree->depth[c.parent] + 1;
        at[n] = push(at[c.parent], c.token);
        if (tree->depth[n] < depth) {
            extend(d, at[n], n, c.probability, &f);
        }
    }
}
