/* Bad descriptions of merges: the right status, one line that names the field, and nothing recorded.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "merge_case.h"

typedef struct fixture {
    context c;
    merge_problem p;
    vka_attention_merge_desc good;
} fixture;

static void begin(fixture *f) {
    context_open(&f->c, &config_real);
    f->p = merge_make(&f->c, (merge_case){.shape = {2, 3, 5, 8}, .layout = {"0213", 0, 0}});
    f->good = merge_desc(&f->p);
    tensor_poison(&f->p.t[OUT]);
    tensor_poison(&f->p.t[LSE]);
    EXPECT_OK(vka_attention_merge_prepare(f->c.device, &f->good));
    EXPECT_OK(vka_recorder_begin(f->c.recorder));
}

static void end(fixture *f) {
    context_finish(&f->c);
    for (int t = OUT; t <= LSE; t += LSE - OUT) {
        cr_expect(tensor_download(&f->p.t[t]));
        for (size_t i = 0; i < f->p.t[t].count; i++) {
            cr_assert(tensor_untouched(&f->p.t[t], i), "a refused call wrote %s", merge_names[t]);
        }
    }
    merge_run(&f->p);
    merge_destroy(&f->p);
    context_close(&f->c);
}

static void refused(fixture *f, const vka_attention_merge_desc *d, const char *field) {
    char item[64], text[256];
    uint64_t bytes = 0;
    snprintf(item, sizeof item, "vka_attention_merge.%s", field);
    EXPECT_FAILURE(vka_attention_merge(f->c.recorder, d), VKA_INVALID, item);
    EXPECT_FAILURE(vka_attention_merge_prepare(f->c.device, d), VKA_INVALID, item);
    EXPECT_FAILURE(vka_attention_merge_workspace(f->c.device, d, &bytes), VKA_INVALID, item);
    EXPECT_FAILURE(vka_attention_merge_explain(f->c.device, d, text, sizeof text, NULL), VKA_INVALID, item);
}

#define INVALID(field, change)                                                                                         \
    do {                                                                                                               \
        vka_attention_merge_desc d = f.good;                                                                           \
        vka_tensor *T[] = {&d.a, &d.b, &d.out, &d.a_lse, &d.b_lse, &d.lse};                                            \
        (void)T;                                                                                                       \
        change;                                                                                                        \
        refused(&f, &d, field);                                                                                        \
    } while (0)

Test(errors_merge, tensors) {
    fixture f;
    begin(&f);
    for (int i = 0; i < MERGE_TENSORS; i++) {
        if (i != LSE) {
            INVALID(merge_names[i], *T[i] = (vka_tensor){0});
        }
        INVALID(merge_names[i], T[i]->dtype = VKA_DTYPE_INVALID);
        INVALID(merge_names[i], T[i]->dtype = i < A_LSE ? VKA_I8 : VKA_F16);
        INVALID(merge_names[i], T[i]->rank -= 1);
        INVALID(merge_names[i], T[i]->rank = 5);
        INVALID(merge_names[i], T[i]->offset += 2);
        INVALID(merge_names[i], T[i]->offset = vka_buffer_size(T[i]->buffer));
        INVALID(merge_names[i], T[i]->stride[0] = 0);
        INVALID(merge_names[i], T[i]->stride[0] = UINT64_MAX);
        for (int dim = 0; dim < (i < A_LSE ? 4 : 3) && i != A; dim++) {
            INVALID(merge_names[i], T[i]->shape[dim] -= 1);
        }
    }
    INVALID("a", d.a.shape[3] = 0);
    INVALID("b", d.a.shape[2] -= 1); /* the others follow a */
    end(&f);
}

Test(errors_merge, memory) {
    fixture f;
    begin(&f);
    INVALID("out", d.out.stride[0] = d.out.stride[2]);
    INVALID("lse", d.lse.stride[0] = d.lse.stride[2]);
    INVALID("out", (d.out = d.a, d.out.offset -= 32));
    INVALID("out", (d.out = d.b, d.out.offset -= 32));
    INVALID("out", (d.a_lse.buffer = d.out.buffer, d.a_lse.offset = d.out.offset));
    INVALID("out", (d.b_lse.buffer = d.out.buffer, d.b_lse.offset = d.out.offset));
    INVALID("lse", (d.lse = d.a_lse, d.lse.offset -= 32));
    INVALID("lse", (d.lse = d.b_lse, d.lse.offset += 32));
    INVALID("lse", (d.lse.buffer = d.b.buffer, d.lse.offset = d.b.offset));
    INVALID("lse", (d.lse.buffer = d.out.buffer, d.lse.offset = d.out.offset));
    end(&f);
}

Test(errors_merge, arguments) {
    fixture f;
    begin(&f);
    uint64_t bytes = 1;
    size_t length = 0;
    char text[512];
    EXPECT_FAILURE(vka_attention_merge(f.c.recorder, NULL), VKA_INVALID, "vka_attention_merge.desc");
    EXPECT_FAILURE(vka_attention_merge_prepare(f.c.device, NULL), VKA_INVALID, "vka_attention_merge.desc");
    EXPECT_FAILURE(vka_attention_merge_workspace(f.c.device, &f.good, NULL), VKA_INVALID, ".");
    EXPECT_FAILURE(vka_attention_merge_explain(f.c.device, &f.good, NULL, 8, &length), VKA_INVALID, ".");
    cr_expect_eq(vka_attention_merge(NULL, &f.good), VKA_INVALID);
    cr_expect_eq(vka_attention_merge_prepare(NULL, &f.good), VKA_INVALID);
    cr_expect_eq(vka_attention_merge_workspace(NULL, &f.good, &bytes), VKA_INVALID);
    cr_expect_eq(vka_attention_merge_explain(NULL, &f.good, text, sizeof text, &length), VKA_INVALID);
    EXPECT_OK(vka_attention_merge_workspace(f.c.device, &f.good, &bytes));
    cr_expect_eq(bytes, 0);
    EXPECT_OK(vka_attention_merge_explain(f.c.device, &f.good, text, sizeof text, &length));
    cr_expect_eq(length, strlen(text));
    end(&f);
}
