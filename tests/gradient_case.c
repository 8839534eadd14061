/* SPDX-License-Identifier: MIT */
#include "gradient_case.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static void *room(size_t count, size_t size) {
    void *memory = calloc(count + 1, size);
    cr_assert_not_null(memory);
    return memory;
}

void gradient_make(gradient_tensor *g, context *c, vka_dtype dtype, uint32_t rank, const uint32_t *shape, layout l,
                   ref_rng *rng) {
    g->present = true;
    g->t = tensor_create(c, dtype ? dtype : VKA_F32, rank, shape, l);
    tensor_fill_normal(&g->t, rng, 0, 1);
    g->before = room(g->t.count, sizeof *g->before);
    g->ref = g->written ? room(g->t.count, sizeof *g->ref) : NULL;
    g->naive = g->written ? room(g->t.count, sizeof *g->naive) : NULL;
    gradient_keep(g);
}

void gradient_keep(gradient_tensor *g) {
    memcpy(g->before, g->t.values, g->t.count * sizeof *g->before);
}

void gradient_destroy(gradient_tensor *list, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        if (list[i].before) {
            tensor_destroy(&list[i].t);
            free(list[i].before);
            free(list[i].ref);
            free(list[i].naive);
        }
    }
}

static void compare(const gradient_tensor *g, const char *what) {
    const tensor *t = &g->t;
    ref_error e = {0};
    for (size_t i = 0; i < t->count; i++) {
        double old = g->adds ? (double)g->before[i] : 0;
        float naive = ref_round(t->view.dtype, (float)(g->naive[i] + old));
        ref_error_add(&e, (double)t->values[i], (double)naive, g->ref[i] + old);
        cr_assert(!e.broken, "%s[%zu] is %g, not %g; %s", g->name, i, (double)t->values[i], g->ref[i] + old, what);
    }
    cr_assert(ref_error_ok(&e), "%s is off by %.3g where the naive computation is off by %.3g; %s", g->name, e.out,
              e.naive, what);
}

void gradient_run(context *c, vka_operation operation, gradient_tensor *list, uint32_t count, void *desc, size_t size,
                  const char *what) {
    for (uint32_t i = 0; i < count; i++) {
        gradient_tensor *g = &list[i];
        if (g->present) {
            memcpy(g->t.values, g->before, g->t.count * sizeof *g->before);
            (g->written && !g->adds ? tensor_poison : tensor_upload)(&g->t);
            memcpy((unsigned char *)desc + g->field, &g->t.view, sizeof g->t.view);
        }
    }
    EXPECT_OK(vka_recorder_begin(c->recorder));
    EXPECT_OK(vka_operation_record(c->recorder, operation, desc, size));
    context_finish(c);
    for (uint32_t i = 0; i < count; i++) {
        if (list[i].present) {
            tensor_collect(&list[i].t, list[i].written, list[i].name, what);
        }
        if (list[i].present && list[i].written) {
            compare(&list[i], what);
        }
    }
}
