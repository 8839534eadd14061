/* Shapes of descriptions: letters are bound to sizes where they first occur, and must agree afterwards.
 * SPDX-License-Identifier: MIT */
#include "op/call.h"

#include <stdio.h>
#include <string.h>

/* One dimension of a shape. */
typedef struct dimension {
    bool or_one; /* "1|H" */
    char letter; /* 0: a number */
    uint32_t number;
} dimension;

typedef struct shape {
    bool lead; /* "..." */
    uint32_t rank;
    dimension dim[VKA_MAX_RANK];
} shape;

static shape parse(const char *text) {
    shape s = {0};
    if (!strncmp(text, "...", 3)) {
        s.lead = true;
        text += 3;
    }
    while (*text) {
        if (*text == ' ') {
            ++text;
            continue;
        }
        dimension d = {0};
        if (!strncmp(text, "1|", 2)) {
            d.or_one = true;
            text += 2;
        }
        if (*text >= 'A' && *text <= 'Z')
            d.letter = *text++;
        else
            for (; *text >= '0' && *text <= '9'; ++text)
                d.number = d.number * 10 + (uint32_t)(*text - '0');
        s.dim[s.rank++] = d;
    }
    return s;
}

/* "..., H, N" */
static const char *with_commas(const char *text, char *out, size_t size) {
    size_t at = 0;
    for (; *text && at + 3 < size; ++text) {
        if (*text == ' ')
            out[at++] = ',';
        out[at++] = *text;
    }
    out[at] = 0;
    return out;
}

static vka_status fail_rank(const vka__call *c, const vka__arg *a, uint32_t rank) {
    char text[48];
    return vka__call_fail(c, VKA_INVALID, a->name, "rank is %u, but its shape must be [%s]", rank,
                          with_commas(a->shape, text, sizeof text));
}

static vka_status fail_size(const vka__call *c, const vka__arg *a, uint32_t dim, uint32_t have, const dimension *d,
                            uint32_t want) {
    char text[48], name[16] = "", like[48] = "";
    if (d && d->letter) {
        const vka__arg *from = c->letter_from[d->letter - 'A'];
        snprintf(name, sizeof name, "%c = ", d->letter);
        if (from)
            snprintf(like, sizeof like, ", as in %s", from->name);
    }
    return vka__call_fail(c, VKA_INVALID, a->name, "shape[%u] is %u, but must be %s%s%u%s: its shape is [%s]", dim,
                          have, d && d->or_one ? "1 or " : "", name, want, like,
                          with_commas(a->shape, text, sizeof text));
}

/* Dimensions of "...": `count` of them. */
static vka_status match_lead(vka__call *c, const vka__arg *a, const vka_tensor *t, uint32_t count) {
    if (c->lead_rank == VKA__NONE) {
        c->lead_rank = count;
        memcpy(c->lead, t->shape, count * sizeof *c->lead);
        return VKA_OK;
    }
    if (count != c->lead_rank)
        return vka__call_fail(c, VKA_INVALID, a->name, "rank is %u, but must be %u", t->rank,
                              t->rank - count + c->lead_rank);
    for (uint32_t i = 0; i < count; ++i)
        if (t->shape[i] != c->lead[i])
            return fail_size(c, a, i, t->shape[i], NULL, c->lead[i]);
    return VKA_OK;
}

static vka_status match_dimension(vka__call *c, const vka__arg *a, uint32_t dim, uint32_t size, const dimension *d) {
    if (d->or_one && size == 1)
        return VKA_OK;
    if (!d->letter)
        return size == d->number ? VKA_OK : fail_size(c, a, dim, size, d, d->number);
    if (!(c->bound >> (d->letter - 'A') & 1)) {
        for (const vka__limit *l = c->op->limits; l && l->letter; ++l)
            if (l->letter == d->letter && (size < l->least || size > l->most))
                return vka__call_fail(c, VKA_INVALID, a->name, "shape[%u] is %u, but must be %u .. %u", dim, size,
                                      l->least, l->most);
        vka__call_bind_letter(c, d->letter, size);
        c->letter_from[d->letter - 'A'] = a;
    }
    uint32_t want = vka__call_letter(c, d->letter);
    return size == want ? VKA_OK : fail_size(c, a, dim, size, d, want);
}

static vka_status match(vka__call *c, const vka__arg *a, const vka_tensor *t) {
    const shape s = parse(a->shape);
    /* Numbers of the rows of a tensor that has one row. */
    if (s.lead && !s.rank && c->lead_rank == 0)
        return t->rank != 1 ? vka__call_fail(c, VKA_INVALID, a->name, "rank is %u, but must be 1", t->rank)
                            : match_dimension(c, a, 0, t->shape[0], &(dimension){.number = 1});
    if (s.lead ? t->rank < s.rank : t->rank != s.rank)
        return fail_rank(c, a, t->rank);
    uint32_t lead = t->rank - s.rank;
    vka_status status = s.lead ? match_lead(c, a, t, lead) : VKA_OK;
    for (uint32_t i = 0; i < s.rank && status == VKA_OK; ++i)
        status = match_dimension(c, a, lead + i, t->shape[lead + i], &s.dim[i]);
    return status;
}

void vka__call_bind_letter(vka__call *c, char letter, uint32_t size) {
    c->bound |= 1u << (letter - 'A');
    c->letter[letter - 'A'] = size;
}

vka_status vka__call_match_shapes(vka__call *c) {
    for (uint32_t i = 0; i < c->op->arg_count; ++i) {
        const vka__arg *a = &c->op->args[i];
        const vka_tensor *t = vka__call_tensor(c, i);
        if (!a->shape || !t || !vka__is_present(t))
            continue;
        vka_status status = match(c, a, t);
        if (status != VKA_OK)
            return status;
    }
    return VKA_OK;
}
