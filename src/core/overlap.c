/* Overlap of strided views, by integers.
 *
 * The bytes of a view lie at offset + sum of step_i x_i, x_i = 0 .. most_i, `size` bytes each. So two views share one
 * when the difference of two such sums is within a size of 0; with x counted backwards in the second view that is one
 * sum of positive steps, which has to meet an interval: a bounded linear Diophantine problem. Views as programs make
 * them have strides that divide each other, and then the sum has one or two terms left, for which arithmetic decides.
 * SPDX-License-Identifier: MIT */
#include "core/overlap.h"

#define MAX_TERMS (2 * VKA_MAX_RANK)

/* step * x for x = 0 .. most */
typedef struct term {
    uint64_t step, most;
} term;

/* Does the sum of the terms meet lo .. hi? */
typedef struct question {
    term terms[MAX_TERMS];
    uint32_t count;
    int64_t lo, hi;
} question;

/* No memory has so many bytes; below it, no sum overflows. */
#define TOO_LARGE (UINT64_C(1) << 60)

/* How many values of terms beyond the last two are tried. */
#define TRIES 4096

static uint64_t gcd(uint64_t a, uint64_t b) {
    while (b) {
        uint64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* ---- two terms ------------------------------------------------------------------------------------------------- */

/* The sum of floor((a x + b) / m) for x = 0 .. n - 1, modulo 2^64: Euclid's algorithm on a and m. */
static uint64_t floor_sum(uint64_t n, uint64_t m, uint64_t a, uint64_t b) {
    uint64_t sum = 0;
    for (;;) {
        sum += (n % 2 ? (n - 1) / 2 * n : n / 2 * (n - 1)) * (a / m) + n * (b / m);
        a %= m;
        b %= m;
        uint64_t end = a * n + b;
        if (end < m)
            return sum;
        n = end / m;
        b = end % m;
        uint64_t old = m;
        m = a;
        a = old;
    }
}

/* Some x = first .. last has a multiple of `small` in lo - large x .. hi - large x, where hi - large last >= 0. Each x
 * adds 1 to the difference of two sums of floors unless it is such a one. */
static bool some_multiple(uint64_t large, uint64_t small, uint64_t first, uint64_t last, int64_t lo, int64_t hi) {
    uint64_t width = (uint64_t)(hi - lo), count = last - first + 1, base = (uint64_t)hi - large * last;
    if (width >= small)
        return true;
    uint64_t misses = floor_sum(count, small, large, base + small - width - 1) - floor_sum(count, small, large, base);
    return misses < count;
}

/* ---- any number of terms --------------------------------------------------------------------------------------- */

/* Largest steps first. */
static bool meets(const term *t, uint32_t count, int64_t lo, int64_t hi, uint32_t *tries) {
    uint64_t total = 0, divisor = 0;
    for (uint32_t i = 0; i < count; ++i) {
        total += t[i].step * t[i].most;
        divisor = gcd(t[i].step, divisor);
    }
    if (hi < 0 || lo > (int64_t)total)
        return false;
    if (lo <= 0 || hi >= (int64_t)total)
        return true;
    if ((uint64_t)hi / divisor * divisor < (uint64_t)lo)
        return false;
    if (count == 1)
        return true;
    uint64_t rest = total - t->step * t->most, below = (uint64_t)lo > rest ? (uint64_t)lo - rest : 0;
    uint64_t first = below / t->step + (below % t->step != 0), last = vka__min_u64(t->most, (uint64_t)hi / t->step);
    if (first > last)
        return false;
    if ((uint64_t)lo <= t->step * last)
        return true;
    if (count == 2)
        return some_multiple(t[0].step, t[1].step, first, last, lo, hi);
    for (uint64_t x = last + 1; x-- > first;) {
        int64_t part = (int64_t)(t->step * x);
        if (!*tries || (--*tries, meets(t + 1, count - 1, lo - part, hi - part, tries)))
            return true;
    }
    return false;
}

static void drop(question *q, uint32_t i) {
    q->terms[i] = q->terms[--q->count];
}

/* A term as fine as the interval widens it. */
static bool widen(question *q) {
    for (uint32_t i = 0; i < q->count; ++i)
        if (q->terms[i].step <= (uint64_t)(q->hi - q->lo) + 1) {
            q->lo -= (int64_t)(q->terms[i].step * q->terms[i].most);
            drop(q, i);
            return true;
        }
    return false;
}

/* A term that goes on where a finer one ends joins it. */
static bool join(question *q) {
    for (uint32_t i = 0; i < q->count; ++i)
        for (uint32_t j = 0; j < q->count; ++j) {
            term *fine = &q->terms[i], *coarse = &q->terms[j];
            if (i != j && coarse->step % fine->step == 0 && fine->most >= coarse->step / fine->step - 1) {
                fine->most += coarse->step / fine->step * coarse->most;
                drop(q, j);
                return true;
            }
        }
    return false;
}

static bool answer(question *q) {
    while (widen(q) || join(q))
        continue;
    for (uint32_t i = 1; i < q->count; ++i)
        for (uint32_t j = i; j > 0 && q->terms[j].step > q->terms[j - 1].step; --j) {
            term smaller = q->terms[j - 1];
            q->terms[j - 1] = q->terms[j];
            q->terms[j] = smaller;
        }
    uint32_t tries = TRIES;
    return meets(q->terms, q->count, q->lo, q->hi, &tries);
}

/* ---- views ----------------------------------------------------------------------------------------------------- */

/* A view as terms of bytes. */
typedef struct bytes {
    term terms[VKA_MAX_RANK];
    uint32_t count;
    uint64_t offset, size, span; /* span: from the first byte to one past the last; 0: nothing there */
} bytes;

static bytes bytes_of(const vka__view *v) {
    bytes b = {.offset = v->offset, .size = v->size, .span = v->size};
    uint64_t block = vka__max_u32(v->block, 1);
    if (!v->present)
        return (bytes){0};
    for (uint32_t i = 0; i < VKA_MAX_RANK; ++i) {
        bool blocks = i == VKA_MAX_RANK - 1 && block > 1;
        uint64_t shape = blocks ? v->shape[i] / block : v->shape[i];
        if (!shape)
            return (bytes){0};
        if (shape == 1)
            continue;
        term t = {blocks ? v->size : v->stride[i] / block * v->size, shape - 1};
        b.terms[b.count++] = t;
        b.span += t.step * t.most;
    }
    return b;
}

static bool share(const bytes *a, const bytes *b) {
    if (!a->span || !b->span || a->offset >= b->offset + b->span || b->offset >= a->offset + a->span)
        return false;
    if (a->offset + a->span > TOO_LARGE || b->offset + b->span > TOO_LARGE)
        return true;
    question q = {0};
    for (uint32_t i = 0; i < a->count; ++i)
        q.terms[q.count++] = a->terms[i];
    for (uint32_t i = 0; i < b->count; ++i)
        q.terms[q.count++] = b->terms[i];
    /* Where b's last element lies, seen from a's first. */
    int64_t distance = (int64_t)(b->offset + b->span - b->size - a->offset);
    q.lo = distance - (int64_t)a->size + 1;
    q.hi = distance + (int64_t)b->size - 1;
    return answer(&q);
}

bool vka__views_share(const vka__view *a, const vka__view *b) {
    const bytes x = bytes_of(a), y = bytes_of(b);
    return share(&x, &y);
}

bool vka__view_shares_range(const vka__view *view, uint64_t offset, uint64_t size) {
    const bytes x = bytes_of(view), y = {.offset = offset, .size = size, .span = size};
    return share(&x, &y);
}

/* Of two indices with one place, take the last term in which they differ, by d = 1 .. most: the differences of those
 * before it, -most .. most, add up to minus that. Steps are multiples of the size, so places are one or apart. */
bool vka__view_folds(const vka__view *view) {
    const bytes b = bytes_of(view);
    if (b.span > TOO_LARGE)
        return true;
    for (uint32_t k = 1; k < b.count && b.span; ++k) {
        question q = {0};
        for (uint32_t i = 0; i < k; ++i) {
            q.terms[q.count++] = (term){b.terms[i].step, 2 * b.terms[i].most};
            q.lo += (int64_t)(b.terms[i].step * b.terms[i].most);
        }
        q.lo -= (int64_t)b.terms[k].step;
        q.hi = q.lo;
        if (b.terms[k].most > 1)
            q.terms[q.count++] = (term){b.terms[k].step, b.terms[k].most - 1};
        if (answer(&q))
            return true;
    }
    return false;
}
