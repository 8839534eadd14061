/* One tensor made into another: activations and quantisation against float64, conversions and copies exactly.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <vkattn/elementwise.h>

#include "support/context.h"
#include "support/tensor.h"

static const vka_dtype all_types[] = {VKA_F32, VKA_F16, VKA_BF16, VKA_U8, VKA_I8, VKA_I32, VKA_Q8_0, VKA_Q4_0};
#define TYPES (sizeof all_types / sizeof *all_types)

#define FOR_EACH(type, name, list)                                                                                     \
    for (const type *name = (list); name < (list) + sizeof(list) / sizeof *(list); name++)

static void run(context *c, const vka_map_desc *desc) {
    EXPECT_OK(vka_recorder_begin(c->recorder));
    EXPECT_OK(vka_map(c->recorder, desc));
    context_finish(c);
}

static const device_config *const configs[] = {&config_real, &config_gpu};

typedef struct shape {
    uint32_t rank, size[VKA_MAX_RANK];
    layout x, out;
} shape;

/* Rows that are whole vectors, and not; of one element; transposed; that begin anywhere. */
static const shape shapes[] = {
    {1, {1}, {0}, {0}},
    {2, {7, 64}, {0}, {0}},
    {2, {5, 333}, {0}, {0}},
    {3, {3, 5, 36}, {"102", 0, 0}, {0}},
    {3, {3, 4, 23}, {"021", 1, 1}, {"102", 1, 3}},
    {4, {2, 3, 5, 7}, {"0213", 3, 2}, {"3210", 0, 1}},
    {1, {70001}, {.shift = 1}, {.shift = 2}},
};

/* Blocks need rows of whole ones. */
static shape in_blocks(shape s) {
    uint32_t *last = &s.size[s.rank - 1];
    *last = (*last + 31) / 32 * 32;
    return s;
}

/* ---- activations ----------------------------------------------------------------------------------------------- */

static void check_activation(context *c, vka_activation activation, vka_dtype from, vka_dtype to, const shape *s) {
    if (context_leaves_out(c, 7)) {
        return;
    }
    ref_rng rng = ref_rng_seed(test_seed());
    tensor x = tensor_create(c, from, s->rank, s->size, s->x), out = tensor_create(c, to, s->rank, s->size, s->out);
    tensor_fill_normal(&x, &rng, 0, 3);
    tensor_upload(&x);
    const float scale = -1.25f, offset = 0.375f;
    run(c, &(vka_map_desc){.x = x.view, .out = out.view, .activation = activation, .scale = scale, .offset = offset});
    cr_assert(tensor_download(&out));
    ref_error e = {0};
    for (size_t i = 0; i < x.count; i++) {
        double ref = ref_activation(activation, (double)x.values[i] * (double)scale + (double)offset);
        float naive = ref_round(to, ref_naive_activation(activation, x.values[i] * scale + offset));
        ref_error_add(&e, (double)out.values[i], (double)naive, ref);
    }
    cr_assert(ref_error_ok(&e), "%s: activation %d, %s to %s, rank %u: off by %g, naive by %g", c->config->name,
              activation, dtype_name(from), dtype_name(to), s->rank, e.out, e.naive);
    tensor_destroy(&x);
    tensor_destroy(&out);
}

Test(map, activations) {
    FOR_EACH(device_config *const, config, configs) {
        context c;
        context_open(&c, *config);
        for (int a = VKA_ACTIVATION_NONE; a <= VKA_ACTIVATION_SIGMOID; a++) {
            for (uint32_t n = 0; n < DTYPES * DTYPES; n++) {
                check_activation(&c, (vka_activation)a, dtypes[n % DTYPES], dtypes[n / DTYPES],
                                 &shapes[(n + (uint32_t)a) % (sizeof shapes / sizeof *shapes)]);
            }
        }
        context_close(&c);
    }
}

/* The argument that an activation gives to exp: what Vulkan allows to be wrong grows with it. */
static double argument_of(vka_activation a, double x) {
    return a == VKA_ACTIVATION_GELU        ? x * x / 2
           : a == VKA_ACTIVATION_GELU_TANH ? 1.6 * fabs(x + 0.044715 * x * x * x)
           : a == VKA_ACTIVATION_TANH      ? 2 * fabs(x)
                                           : fabs(x);
}

/* Each number by its own size, from the largest negative one that gives more than 0 to where nothing changes: eight
 * units in the last place for the polynomials and quotients, and those of exp and of its argument. */
Test(map, units_in_the_last_place) {
    enum { COUNT = 40001 };
    context c;
    context_open(&c, &config_real);
    tensor x = tensor_create(&c, VKA_F32, 1, (uint32_t[]){COUNT}, (layout){0}),
           out = tensor_create(&c, VKA_F32, 1, (uint32_t[]){COUNT}, (layout){0});
    for (int i = 0; i < COUNT; i++) {
        x.values[i] = (float)(i - COUNT / 2) * (i % 2 ? 0x1p-10f : 0x1p-23f);
    }
    tensor_upload(&x);
    for (int a = VKA_ACTIVATION_RELU; a <= VKA_ACTIVATION_SIGMOID; a++) {
        run(&c, &(vka_map_desc){.x = x.view, .out = out.view, .activation = (vka_activation)a});
        cr_assert(tensor_download(&out));
        for (int i = 0; i < COUNT; i++) {
            double ref = ref_activation((vka_activation)a, (double)x.values[i]);
            double allowed = (8 + 3 + 4 * argument_of((vka_activation)a, (double)x.values[i])) * 0x1p-23;
            double error = fabs((double)out.values[i] - ref);
            cr_assert(error <= allowed * fabs(ref) + 0x1p-120, "activation %d of %a is %a and not %a: %g units", a,
                      (double)x.values[i], (double)out.values[i], ref, error / fabs(ref) * 0x1p23);
        }
    }
    tensor_destroy(&x);
    tensor_destroy(&out);
    context_close(&c);
}

Test(map, extremes) {
    static const float values[] = {
        0,   -0.0f, INFINITY, -INFINITY, NAN,     0x1.fffffep127f, -0x1.fffffep127f, 1e20f, -1e20f, 1e30f, -1e30f, 88,
        -88, 89,    -89,      200,       -200,    1e-30f,          -1e-30f,          13.2f, -13.2f, 12,    -12,    20,
        -20, 21,    -21,      0.625f,    -0.625f, 0.6249f,         -0.6249f};
    enum { COUNT = sizeof values / sizeof *values };
    context c;
    context_open(&c, &config_real);
    tensor x = tensor_create(&c, VKA_F32, 1, (uint32_t[]){COUNT}, (layout){0}),
           out = tensor_create(&c, VKA_F32, 1, (uint32_t[]){COUNT}, (layout){0});
    memcpy(x.values, values, sizeof values);
    tensor_upload(&x);
    for (int a = VKA_ACTIVATION_NONE; a <= VKA_ACTIVATION_SIGMOID; a++) {
        run(&c, &(vka_map_desc){.x = x.view, .out = out.view, .activation = (vka_activation)a, .scale = a ? 0 : 0.5f});
        cr_assert(tensor_download(&out));
        for (int i = 0; i < COUNT; i++) {
            double ref = ref_activation((vka_activation)a, (double)values[i]) * (a ? 1 : 0.5),
                   got = (double)out.values[i];
            bool ok = isnan(ref) ? isnan(got) : isinf(ref) ? got == ref : fabs(got - ref) <= 1e-5 * fabs(ref) + 1e-30;
            cr_expect(ok, "activation %d of %g is %g and not %g", a, (double)values[i], got, ref);
        }
    }
    tensor_destroy(&x);
    tensor_destroy(&out);
    context_close(&c);
}

/* ---- conversions ----------------------------------------------------------------------------------------------- */

static void fill(tensor *t, ref_rng *rng) {
    vka_dtype type = t->view.dtype;
    tensor_fill_normal(t, rng, type == VKA_U8 ? 128 : 0,
                       type == VKA_I32                    ? 1e6f
                       : type == VKA_U8 || type == VKA_I8 ? 40
                                                          : 3);
    tensor_upload(t);
}

static void check_conversion(context *c, vka_dtype from, vka_dtype to, bool scaled, shape s) {
    if (context_leaves_out(c, 7)) {
        return;
    }
    ref_rng rng = ref_rng_seed(test_seed());
    s = vka_dtype_block(from) > 1 ? in_blocks(s) : s;
    uint32_t one = 1, rank = s.rank > 1 ? s.rank - 1 : 1, cols = s.size[s.rank - 1];
    tensor x = tensor_create(c, from, s.rank, s.size, s.x), out = tensor_create(c, to, s.rank, s.size, s.out);
    tensor scale = tensor_create(c, VKA_F32, rank, s.rank > 1 ? s.size : &one, (layout){.pad = 1});
    fill(&x, &rng);
    fill(&scale, &rng);
    run(c, &(vka_map_desc){.x = x.view, .out = out.view, .x_scale = scaled ? scale.view : (vka_tensor){0}});
    cr_assert(tensor_download(&out));
    for (size_t i = 0; i < x.count; i++) {
        float want = ref_round(to, x.values[i] * (scaled ? scale.values[i / cols] : 1));
        cr_assert(out.values[i] == want, "%s: %s to %s: element %zu is %g and not %g", c->config->name,
                  dtype_name(from), dtype_name(to), i, (double)out.values[i], (double)want);
    }
    tensor_destroy(&x);
    tensor_destroy(&out);
    tensor_destroy(&scale);
}

Test(map, conversions) {
    FOR_EACH(device_config *const, config, configs) {
        context c;
        context_open(&c, *config);
        uint32_t n = 0;
        FOR_EACH(vka_dtype, from, all_types) {
            for (uint32_t to = 0; to < DTYPES; to++) {
                for (uint32_t i = 0; i < 2; i++) {
                    check_conversion(&c, *from, dtypes[to], false, shapes[n++ % (sizeof shapes / sizeof *shapes)]);
                }
            }
        }
        FOR_EACH(shape, s, shapes) {
            check_conversion(&c, VKA_I8, VKA_F32, true, *s);
        }
        context_close(&c);
    }
}

/* ---- copies ---------------------------------------------------------------------------------------------------- */

/* Any bits, of which some are NaN. */
static void check_copy(context *c, vka_dtype type, shape s) {
    ref_rng rng = ref_rng_seed(test_seed());
    uint32_t block = vka_dtype_block(type), size = vka_dtype_size(type);
    s = block > 1 ? in_blocks(s) : s;
    tensor x = tensor_create(c, type, s.rank, s.size, s.x), out = tensor_create(c, type, s.rank, s.size, s.out);
    for (size_t i = 0; i < x.count; i += block) {
        for (uint32_t n = 0; n < size; n++) {
            tensor_bytes(&x, i)[n] = (uint8_t)ref_rng_u64(&rng);
        }
    }
    EXPECT_OK(vka_buffer_write(x.view.buffer, 0, x.image, x.size));
    run(c, &(vka_map_desc){.x = x.view, .out = out.view});
    cr_assert(tensor_download(&out), "%s: %s: bytes outside of the copy have changed", c->config->name,
              dtype_name(type));
    for (size_t i = 0; i < x.count; i += block) {
        cr_assert(!memcmp(tensor_bytes(&out, i), tensor_bytes(&x, i), size), "%s: %s: element %zu has other bits",
                  c->config->name, dtype_name(type), i);
    }
    tensor_destroy(&x);
    tensor_destroy(&out);
}

Test(map, copies) {
    FOR_EACH(device_config *const, config, configs) {
        context c;
        context_open(&c, *config);
        FOR_EACH(vka_dtype, type, all_types) {
            FOR_EACH(shape, s, shapes) {
                check_copy(&c, *type, *s);
            }
        }
        context_close(&c);
    }
}

/* ---- quantisation ---------------------------------------------------------------------------------------------- */

/* What element `index` of a block or a row was quantised to. */
static int quantum(const tensor *t, size_t index) {
    if (t->view.dtype == VKA_I8) {
        return (int8_t)*tensor_bytes(t, index);
    }
    const uint8_t *block = tensor_bytes(t, index / 32 * 32);
    uint32_t i = index % 32;
    return t->view.dtype == VKA_Q8_0 ? (int8_t)block[2 + i] : (block[2 + i % 16] >> i / 16 * 4 & 15) - 8;
}

/* `count` elements from `first` on that share a scale. */
static void check_scale(const tensor *x, const tensor *out, size_t first, size_t count, float scale) {
    vka_dtype type = out->view.dtype;
    float most = 0;
    bool finite = true;
    for (size_t i = first; i < first + count; i++) {
        finite = finite && isfinite(x->values[i]);
        most = fabsf(x->values[i]) > fabsf(most) ? x->values[i] : most;
    }
    uint16_t bits = 0;
    if (type != VKA_I8) {
        memcpy(&bits, tensor_bytes(out, first), 2);
        scale = ref_f32_from_f16(bits);
    }
    bool scale_ok = !finite            ? isnan(scale)
                    : type == VKA_Q4_0 ? ref_q4_0_scale_ok((double)most, 0, bits)
                    : type == VKA_Q8_0 ? ref_quantised_scale_f16_ok((double)fabsf(most), 0, bits)
                                       : ref_quantised_scale_ok((double)fabsf(most), 0, scale);
    cr_assert(scale_ok, "%s from %zu: a scale of %g for %g", dtype_name(type), first, (double)scale, (double)most);
    for (size_t i = first; i < first + count; i++) {
        int q = quantum(out, i);
        bool ok = !finite            ? q == 0
                  : type == VKA_Q4_0 ? ref_q4_0_ok((double)x->values[i], 0, scale, q)
                                     : ref_quantised_ok((double)x->values[i], 0, scale, (int8_t)q);
        cr_assert(ok, "%s: element %zu of %g became %d times %g", dtype_name(type), i, (double)x->values[i], q,
                  (double)scale);
    }
}

/* Beside ordinary blocks and rows: zeros, numbers next to f32's and f16's ends, and such that are no numbers. */
static void spoil(tensor *x, uint32_t each) {
    static const float factors[] = {1, 0, 1e-35f, 1e-30f, 1e-7f, 1e-5f, 1e5f, 1e7f, 1e30f, 1, 1};
    for (size_t i = 0; i < x->count; i++) {
        size_t kind = i / each % (sizeof factors / sizeof *factors);
        x->values[i] *= factors[kind];
        if (kind >= 9 && i % each == 3 % each) {
            x->values[i] = kind == 9 ? NAN : -INFINITY;
        }
    }
    tensor_round(x);
}

static void check_quantised(context *c, vka_dtype from, vka_dtype to, shape s) {
    if (context_leaves_out(c, 7)) {
        return;
    }
    ref_rng rng = ref_rng_seed(test_seed());
    s = to == VKA_I8 ? s : in_blocks(s);
    uint32_t one = 1, rank = s.rank > 1 ? s.rank - 1 : 1, each = to == VKA_I8 ? s.size[s.rank - 1] : 32;
    tensor x = tensor_create(c, from, s.rank, s.size, s.x), out = tensor_create(c, to, s.rank, s.size, s.out);
    tensor scale = tensor_create(c, VKA_F32, rank, s.rank > 1 ? s.size : &one, (layout){.pad = 1});
    tensor_fill_normal(&x, &rng, 0, 1);
    spoil(&x, each);
    tensor_upload(&x);
    run(c, &(vka_map_desc){.x = x.view, .out = out.view, .out_scale = to == VKA_I8 ? scale.view : (vka_tensor){0}});
    cr_assert(tensor_download(&out) && tensor_download(&scale));
    for (size_t i = 0; i < x.count; i += each) {
        check_scale(&x, &out, i, each, scale.values[i / each % scale.count]);
    }
    tensor_destroy(&x);
    tensor_destroy(&out);
    tensor_destroy(&scale);
}

Test(map, quantises) {
    static const vka_dtype types[] = {VKA_I8, VKA_Q8_0, VKA_Q4_0};
    FOR_EACH(device_config *const, config, configs) {
        context c;
        context_open(&c, *config);
        FOR_EACH(vka_dtype, to, types) {
            FOR_EACH(shape, s, shapes) {
                check_quantised(&c, dtypes[s - shapes < DTYPES ? s - shapes : 0], *to, *s);
            }
        }
        context_close(&c);
    }
}

/* Ties of q4_0 go to the even integer; of two largest magnitudes the first one is -8. */
Test(map, q4_0_halves) {
    context c;
    context_open(&c, &config_real);
    tensor x = tensor_create(&c, VKA_F32, 2, (uint32_t[]){2, 32}, (layout){0}),
           out = tensor_create(&c, VKA_Q4_0, 2, (uint32_t[]){2, 32}, (layout){0});
    for (int i = 0; i < 64; i++) {
        x.values[i] = (float)(i % 16) - 7.5f;
    }
    x.values[5] = -8;
    x.values[37] = 8;
    x.values[20] = 8;
    x.values[52] = -8;
    tensor_upload(&x);
    run(&c, &(vka_map_desc){.x = x.view, .out = out.view});
    cr_assert(tensor_download(&out));
    for (int i = 0; i < 64; i++) {
        float sign = i < 32 ? 1 : -1, want = fmaxf(-8, fminf(rintf(sign * x.values[i]), 7));
        cr_expect(quantum(&out, (size_t)i) == (int)want, "element %d of %g became %d", i, (double)x.values[i],
                  quantum(&out, (size_t)i));
    }
    cr_expect(out.values[5] == -8 && out.values[20] == 7 && out.values[37] == 8 && out.values[52] == -7);
    tensor_destroy(&x);
    tensor_destroy(&out);
    context_close(&c);
}

/* ---- where ------------------------------------------------------------------------------------------------------ */

/* Dimensions of 1, and missing ones. */
Test(map, broadcasts) {
    static const struct {
        uint32_t rank, size[4];
    } of[] = {{4, {2, 1, 5, 7}}, {4, {1, 3, 1, 7}}, {2, {5, 1}}, {1, {7}}, {1, {1}}};
    context c;
    context_open(&c, &config_real);
    for (size_t n = 0; n < sizeof of / sizeof *of; n++) {
        ref_rng rng = ref_rng_seed(test_seed());
        tensor x = tensor_create(&c, VKA_F16, of[n].rank, of[n].size, (layout){.pad = 1}),
               out = tensor_create(&c, VKA_F16, 4, (uint32_t[]){2, 3, 5, 7}, (layout){.shift = 1});
        fill(&x, &rng);
        for (int negated = 0; negated < 2; negated++) { /* by the kernel that copies, and the one that computes */
            run(&c, &(vka_map_desc){.x = x.view, .out = out.view, .scale = negated ? -1 : 0});
            cr_assert(tensor_download(&out));
            for (uint32_t i = 0; i < 210; i++) {
                uint32_t index[] = {i / 105, i / 35 % 3, i / 7 % 5, i % 7}, at = 0;
                for (uint32_t dim = 0; dim < of[n].rank; dim++) {
                    uint32_t size = of[n].size[dim];
                    at = at * size + (size > 1 ? index[4 - of[n].rank + dim] : 0);
                }
                cr_assert_eq(out.values[i], negated ? -x.values[at] : x.values[at]);
            }
        }
        tensor_destroy(&x);
        tensor_destroy(&out);
    }
    context_close(&c);
}

/* Rows and blocks that share words with their neighbours. */
Test(map, in_place) {
    static const vka_dtype types[] = {VKA_F32, VKA_F16, VKA_BF16, VKA_Q8_0, VKA_Q4_0, VKA_I8};
    FOR_EACH(device_config *const, config, configs) {
        context c;
        context_open(&c, *config);
        FOR_EACH(vka_dtype, type, types) {
            if (context_leaves_out(&c, 5)) {
                continue;
            }
            ref_rng rng = ref_rng_seed(test_seed());
            shape s = {2, {37, 59}, {.shift = 1}, {0}};
            s = vka_dtype_block(*type) > 1 ? in_blocks(s) : s;
            bool i8 = *type == VKA_I8;
            tensor x = tensor_create(&c, *type, 2, s.size, s.x), other = tensor_create(&c, *type, 2, s.size, s.x),
                   from = tensor_create(&c, VKA_F32, 1, s.size, (layout){0}),
                   to = tensor_create(&c, VKA_F32, 1, s.size, (layout){0});
            fill(&x, &rng);
            fill(&from, &rng);
            vka_map_desc d = {.x = x.view, .out = other.view, .activation = VKA_ACTIVATION_SILU, .scale = 3};
            d.x_scale = i8 ? from.view : (vka_tensor){0};
            d.out_scale = i8 ? to.view : (vka_tensor){0};
            run(&c, &d);
            d.out = x.view;
            run(&c, &d);
            cr_assert(tensor_download(&other) && tensor_download(&x));
            cr_expect(!memcmp(other.image, x.image, x.size), "%s: %s in place differs", c.config->name,
                      dtype_name(*type));
            tensor_destroy(&x);
            tensor_destroy(&other);
            tensor_destroy(&from);
            tensor_destroy(&to);
        }
        context_close(&c);
    }
}

/* Bindings and grids that take several dispatches, and rows longer than a grid has invocations. */
Test(map, narrow) {
    static const device_config *const small[] = {&config_short, &config_few_groups};
    static const shape large[] = {{3, {7, 90, 129}, {"102", 1, 1}, {0}}, {2, {3, 15001}, {.shift = 1}, {0}}};
    FOR_EACH(device_config *const, config, small) {
        context c;
        context_open(&c, *config);
        FOR_EACH(shape, s, large) {
            check_activation(&c, VKA_ACTIVATION_RELU, VKA_F16, VKA_F32, s);
            check_copy(&c, VKA_I8, *s);
            check_copy(&c, VKA_Q8_0, *s);
            check_quantised(&c, VKA_F32, VKA_Q4_0, *s);
            check_quantised(&c, VKA_F32, VKA_I8, *s);
        }
        context_close(&c);
    }
}

/* ---- refusals --------------------------------------------------------------------------------------------------- */

Test(map, refusals) {
    context c;
    context_open(&c, &config_real);
    vka_tensor x = vka_tensor_2d(NULL, VKA_F32, 3, 64), i8 = vka_tensor_2d(NULL, VKA_I8, 3, 64);
    vka_tensor scale = vka_tensor_1d(NULL, VKA_F32, 3);
    vka_map_desc d = {.x = x, .out = x};
    EXPECT_OK(vka_map_prepare(c.device, &d));
    d.x_scale = scale;
    EXPECT_FAILURE(vka_map_prepare(c.device, &d), VKA_INVALID, "vka_map.x_scale");
    d = (vka_map_desc){.x = x, .out = x, .out_scale = scale};
    EXPECT_FAILURE(vka_map_prepare(c.device, &d), VKA_INVALID, "vka_map.out_scale");
    d = (vka_map_desc){.x = x, .out = i8};
    EXPECT_FAILURE(vka_map_prepare(c.device, &d), VKA_INVALID, "vka_map.out");
    d.out_scale = scale;
    EXPECT_OK(vka_map_prepare(c.device, &d));
    d.out_scale.shape[0] = 2;
    EXPECT_FAILURE(vka_map_prepare(c.device, &d), VKA_INVALID, "vka_map.out_scale");
    d = (vka_map_desc){.x = i8, .out = i8};
    EXPECT_OK(vka_map_prepare(c.device, &d));
    d.activation = VKA_ACTIVATION_RELU;
    EXPECT_FAILURE(vka_map_prepare(c.device, &d), VKA_INVALID, "vka_map.out");
    d = (vka_map_desc){.x = i8, .out = i8, .x_scale = scale};
    EXPECT_FAILURE(vka_map_prepare(c.device, &d), VKA_INVALID, "vka_map.out");
    d = (vka_map_desc){.x = vka_tensor_2d(NULL, VKA_F32, 2, 64), .out = x};
    EXPECT_FAILURE(vka_map_prepare(c.device, &d), VKA_INVALID, "vka_map.x");
    d = (vka_map_desc){.x = vka_tensor_2d(NULL, VKA_F32, 1, 1), .out = x};
    EXPECT_OK(vka_map_prepare(c.device, &d));
    d = (vka_map_desc){.x = vka_tensor_2d(NULL, VKA_F32, 3, 0), .out = vka_tensor_2d(NULL, VKA_F32, 3, 0)};
    EXPECT_OK(vka_map_prepare(c.device, &d)); /* nothing to do */
    d = (vka_map_desc){.x = x, .out = vka_tensor_2d(NULL, VKA_Q4_0, 3, 64), .scale = NAN};
    EXPECT_FAILURE(vka_map_prepare(c.device, &d), VKA_INVALID, "vka_map.scale");
    context_close(&c);
}
