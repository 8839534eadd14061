/* Bad descriptions of rotations: the right status, one line that names the field, and nothing recorded.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "rope_case.h"

typedef struct fixture {
    context c;
    rope_problem p;
    vka_rope_desc good;
} fixture;

static fixture begin(rope_case r) {
    fixture f;
    context_open(&f.c, &config_real);
    f.p = rope_make(&f.c, r, test_seed());
    f.p.c = &f.c;
    f.good = rope_desc(&f.p);
    EXPECT_OK(vka_rope_prepare(f.c.device, &f.good));
    EXPECT_OK(vka_recorder_begin(f.c.recorder));
    return f;
}

/* With positions of rows and tables of positions. */
static fixture begin_full(void) {
    return begin((rope_case){.batch = 2,
                             .heads = 3,
                             .rows = 4,
                             .cols = 16,
                             .dims = 8,
                             .positions = POSITIONS_ROWS,
                             .tables = TABLES_POSITIONS,
                             .layout = {"0213", 0, 0}});
}

static void end(fixture *f) {
    context_finish(&f->c);
    cr_expect(tensor_download(&f->p.out));
    for (size_t i = 0; i < f->p.out.count; i++) {
        cr_assert(tensor_untouched(&f->p.out, i), "a refused call wrote element %zu", i);
    }
    f->p.c = &f->c;
    rope_run(&f->p);
    rope_destroy(&f->p);
    context_close(&f->c);
}

static void refused(fixture *f, const vka_rope_desc *d, const char *field) {
    char item[64];
    snprintf(item, sizeof item, field ? "vka_rope.%s" : "vka_rope", field);
    EXPECT_REFUSED(vka_rope, &f->c, d, VKA_INVALID, item);
}

#define INVALID(field, change)                                                                                         \
    do {                                                                                                               \
        vka_rope_desc d = f.good;                                                                                      \
        change;                                                                                                        \
        refused(&f, &d, field);                                                                                        \
    } while (0)

Test(errors_rope, tensors) {
    fixture f = begin_full();
    INVALID("x", d.x.shape[3] = d.out.shape[3] = 0);
    INVALID("out", d.out.stride[0] = d.out.stride[1]);
    INVALID("options.cos", d.options.cos = (vka_tensor){0});
    INVALID("options.sin", d.options.sin = (vka_tensor){0});
    INVALID("options.sin", d.options.sin.dtype = VKA_F16);
    INVALID("options.cos", d.options.cos.rank = 1);
    INVALID("options.sin", d.options.sin.rank = 1);
    INVALID("options.cos", d.options.cos.shape[1] -= 1);
    INVALID("options.sin", d.options.sin.shape[0] -= 1);
    INVALID("options.sin", d.options.sin.shape[1] -= 1);
    INVALID("options.cos", d.options.cos.shape[0] = 0);
    end(&f);
}

Test(errors_rope, positions) {
    static const int32_t two[] = {1, 2};
    fixture f = begin((rope_case){.batch = 2, .rows = 3, .cols = 8, .positions = POSITIONS_TENSOR});
    INVALID("positions", d.positions.tensor.dtype = VKA_F32);
    INVALID("positions", d.positions.tensor.shape[0] = 3);
    INVALID("positions", d.positions.tensor.rank = 2);
    INVALID("positions", d.positions.values = two);
    INVALID("row_positions", (d.row_positions = d.positions.tensor, d.row_positions.rank = 2));
    INVALID("row_positions", (d.row_positions = d.positions.tensor, d.positions.tensor = (vka_tensor){0}));
    end(&f);
}

Test(errors_rope, quantised) {
    fixture f = begin((rope_case){.dtype = VKA_I8, .batch = 2, .rows = 3, .cols = 32});
    INVALID("scale", d.scale = (vka_tensor){0});
    INVALID("out", d.out.dtype = VKA_F32);
    INVALID("out", d.out = f.p.out.view);
    INVALID("out", (d.x.dtype = d.out.dtype = VKA_Q8_0, d.out.offset += 34 * 6));
    INVALID("scale", d.x.dtype = d.out.dtype = VKA_Q8_0);
    INVALID("scale", d.x = d.out = vka_tensor_4d(f.p.x.view.buffer, VKA_F16, 2, 1, 3, 8));
    INVALID("scale", d.x.dtype = d.out.dtype = VKA_Q4_0);
    INVALID("x", (d.x.dtype = d.out.dtype = VKA_U8, d.scale = (vka_tensor){0}));
    end(&f);
}

Test(errors_rope, numbers) {
    fixture f = begin((rope_case){.batch = 2, .rows = 3, .cols = 8});
    INVALID("options.dims", d.options.dims = 3);
    INVALID("options.dims", d.options.dims = 10);
    INVALID("options.dims", d.options.dims = UINT32_MAX);
    INVALID("options.dims", d.x.shape[3] = d.out.shape[3] = 7);
    INVALID("options.theta", d.options.theta = -1);
    INVALID("options.theta", d.options.theta = 0.5f);
    INVALID("options.theta", d.options.theta = INFINITY);
    INVALID("options.theta", d.options.theta = NAN);
    INVALID("options.frequency_scale", d.options.frequency_scale = -0.5f);
    INVALID("options.frequency_scale", d.options.frequency_scale = 1.5f);
    INVALID("options.frequency_scale", d.options.frequency_scale = NAN);
    end(&f);
}

Test(errors_rope, wide) {
    context c;
    context_open(&c, &config_real);
    vka_buffer *big = NULL;
    EXPECT_OK(vka_buffer_create(c.device, &(vka_buffer_desc){.size = 65536}, &big));
    vka_rope_desc d = {.x = vka_tensor_4d(big, VKA_F32, 1, 1, 2, 1026),
                       .out = vka_tensor_4d(big, VKA_F32, 1, 1, 2, 1026)};
    EXPECT_FAILURE(vka_rope_prepare(c.device, &d), VKA_INVALID, "vka_rope.x");
    d.x.shape[3] = d.out.shape[3] = 514; /* more pairs than theta can serve */
    EXPECT_FAILURE(vka_rope_prepare(c.device, &d), VKA_INVALID, "vka_rope.options.dims");
    d.options.dims = 512;
    EXPECT_OK(vka_rope_prepare(c.device, &d));
    vka_buffer_destroy(&big);
    context_close(&c);
}
