/* What every operation keeps to, whatever it computes: from its description alone follows what must be refused, by
 * which name, and what may be written. SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ops/samples.h"
#include "slices.h"
#include "support/context.h"
#include "support/tensor.h"

typedef union description {
    max_align_t align;
    unsigned char bytes[VKA__MAX_DESC + 16];
} description;

typedef struct fixture {
    context c;
    const op_sample *s;
    const vka__op *op;
    tensor t[VKA__MAX_ARGS]; /* those that are there */
    description good;        /* with them */
    vka_device *other;
    vka_buffer *foreign;
    unsigned checks;
} fixture;

/* The tensor of an argument in a description. */
static vka_tensor *field(const vka__op *op, description *d, uint32_t arg) {
    const vka__arg *a = &op->args[arg];
    if (a->flags & VKA__INTERNAL) {
        return NULL;
    }
    void *at = d->bytes + a->desc;
    return a->flags & VKA__LIST ? &((vka_integers *)at)->tensor : (vka_tensor *)at;
}

static bool is_written(const vka__arg *a) {
    return a->access & VKA__WRITE;
}

/* ---- tensors --------------------------------------------------------------------------------------------------- */

static void fill(fixture *f, uint32_t arg, ref_rng *rng) {
    tensor *t = &f->t[arg];
    const char *name = f->op->args[arg].name;
    if (t->view.dtype == VKA_I32 && f->s->integer) {
        for (size_t i = 0; i < t->count; i++) {
            t->values[i] = (float)f->s->integer(name, (uint32_t)i);
        }
    } else {
        tensor_fill_normal(t, rng, 0, t->view.dtype == VKA_I8 ? 40 : 1);
    }
}

/* With guards around each, and unused elements at the end of every dimension. */
static void make_tensors(fixture *f) {
    ref_rng rng = ref_rng_seed(test_seed());
    f->s->describe(f->good.bytes);
    for (uint32_t i = 0; i < f->op->arg_count; i++) {
        vka_tensor *t = field(f->op, &f->good, i);
        if (!t || !t->dtype) {
            continue;
        }
        f->t[i] = tensor_create(&f->c, t->dtype, t->rank, t->shape, (layout){.pad = 1, .shift = 2});
        fill(f, i, &rng);
        tensor_poison(&f->t[i]);
        if (f->op->args[i].access & VKA__READ) {
            tensor_upload(&f->t[i]);
        }
        *t = f->t[i].view;
    }
}

/* Puts back what the operation writes. */
static void poison_outputs(fixture *f) {
    for (uint32_t i = 0; i < f->op->arg_count; i++) {
        if (f->t[i].size && f->op->args[i].access == VKA__WRITE) {
            tensor_poison(&f->t[i]);
        } else if (f->t[i].size && is_written(&f->op->args[i])) {
            EXPECT_OK(vka_buffer_write(f->t[i].view.buffer, 0, f->t[i].image, f->t[i].size));
        }
    }
}

/* ---- calls ----------------------------------------------------------------------------------------------------- */

static vka_status record(fixture *f, const description *d) {
    return vka__op_record(f->op, f->c.recorder, d->bytes, f->op->desc_size);
}

static vka_status query(fixture *f, const description *d) {
    vka_requirements need;
    return vka__op_requirements(f->op, f->c.device, d->bytes, f->op->desc_size, &need, sizeof need);
}

/* `name` NULL: any field of the operation. */
static void expect_refused(fixture *f, const description *d, const char *name, bool recording_only) {
    char item[96];
    snprintf(item, sizeof item, name ? "%s.%s" : "%s", f->op->name, name);
    EXPECT_FAILURE(record(f, d), VKA_INVALID, item);
    if (recording_only) {
        EXPECT_OK(query(f, d));
    } else {
        EXPECT_FAILURE(query(f, d), VKA_INVALID, item);
    }
    f->checks += 2;
}

/* Legal or not: if not, one line says so. */
static bool is_legal(fixture *f, const description *d) {
    log_clear();
    vka_status status = query(f, d);
    f->checks++;
    if (status != VKA_OK) {
        expect_failure_(status, status == VKA_UNSUPPORTED ? VKA_UNSUPPORTED : VKA_INVALID, f->op->name, "a query",
                        __FILE__, __LINE__);
    }
    return status == VKA_OK;
}

/* `change` to one tensor of a copy. */
#define CHANGED(change, name, recording_only)                                                                          \
    do {                                                                                                               \
        description d_ = f->good;                                                                                      \
        vka_tensor *t = field(f->op, &d_, arg);                                                                        \
        change;                                                                                                        \
        expect_refused(f, &d_, name, recording_only);                                                                  \
    } while (0)

/* ---- bad tensors ----------------------------------------------------------------------------------------------- */

static void check_presence(fixture *f, uint32_t arg) {
    const vka__arg *a = &f->op->args[arg];
    CHANGED(t->buffer = NULL, a->name, true);
    if (a->flags & VKA__REQUIRED) {
        CHANGED(*t = (vka_tensor){0}, a->name, false);
    } else {
        description d = f->good;
        *field(f->op, &d, arg) = (vka_tensor){0};
        is_legal(f, &d);
    }
    CHANGED(t->buffer = f->foreign, a->name, false);
}

static void check_types(fixture *f, uint32_t arg) {
    const vka__arg *a = &f->op->args[arg];
    for (int dtype = VKA_F32; dtype <= VKA_Q4_0; dtype++) {
        if (!(a->types >> dtype & 1)) {
            CHANGED(t->dtype = (vka_dtype)dtype, a->name, false);
        }
    }
    CHANGED(t->dtype = (vka_dtype)99, a->name, false);
    CHANGED(t->dtype = VKA_DTYPE_INVALID, a->name, false);
}

/* The letter of a dimension, which may also be 1 where *or_one; 0: a number, or "...". */
static char letter_at(const char *shape, uint32_t rank, uint32_t dim, bool *or_one) {
    uint32_t at = rank;
    for (size_t i = shape ? strlen(shape) : 0; i-- > 0;) {
        *or_one = i >= 2 && shape[i - 1] == '|';
        if (shape[i] != ' ' && shape[i] != '.' && --at == dim) {
            return shape[i] >= 'A' && shape[i] <= 'Z' ? shape[i] : 0;
        }
        i -= *or_one ? 2 : 0;
    }
    return 0;
}

/* Is a size that of another tensor too? */
static bool is_shared(const fixture *f, uint32_t arg, uint32_t dim) {
    bool or_one;
    char letter = letter_at(f->op->args[arg].shape, f->t[arg].view.rank, dim, &or_one);
    uint32_t users = 0;
    for (uint32_t i = 0; i < f->op->arg_count && letter && !or_one; i++) {
        users += f->t[i].size && f->op->args[i].shape && strchr(f->op->args[i].shape, letter);
    }
    return users > 1;
}

static void check_shape(fixture *f, uint32_t arg) {
    const vka__arg *a = &f->op->args[arg];
    const vka_tensor *good = &f->t[arg].view;
    CHANGED(t->rank = 0, a->name, false);
    CHANGED(t->rank = VKA_MAX_RANK + 1, a->name, false);
    if (a->shape && good->rank > 1 && !strstr(a->shape, "...")) {
        CHANGED(t->rank--, NULL, false);
    }
    for (uint32_t dim = 0; dim < good->rank; dim++) {
        CHANGED((t->shape[dim] = 1u << 20, t->stride[dim] = 1u << 10), a->name, false);
        description d = f->good;
        field(f->op, &d, arg)->shape[dim]--;
        bool legal = is_legal(f, &d);
        cr_expect(!legal || !is_shared(f, arg, dim), "%s.%s: shape[%u] may differ from others", f->op->name, a->name,
                  dim);
    }
}

/* The dimension of a shape that a letter stands for; -1: none. */
static int dimension_of(const char *shape, char letter, uint32_t rank) {
    bool or_one;
    for (uint32_t dim = 0; dim < rank; dim++) {
        if (letter_at(shape, rank, dim, &or_one) == letter) {
            return (int)dim;
        }
    }
    return -1;
}

/* Sizes that no tensor may have. */
static void check_limits(fixture *f) {
    for (const vka__limit *l = f->op->limits; l && l->letter; l++) {
        int dim = -1;
        uint32_t arg = 0;
        for (; arg < f->op->arg_count; arg++) {
            dim = f->t[arg].size ? dimension_of(f->op->args[arg].shape, l->letter, f->t[arg].view.rank) : -1;
            if (dim >= 0) {
                break;
            }
        }
        cr_assert(dim >= 0, "%s: no tensor has %c", f->op->name, l->letter);
        const char *name = f->op->args[arg].name;
        if (l->least > 0) {
            CHANGED(t->shape[dim] = l->least - 1, name, false);
        }
        if (l->most < UINT32_MAX) { /* described alone, as no buffer is so large */
            description d = f->good;
            vka_tensor *t = field(f->op, &d, arg);
            t->buffer = NULL;
            t->shape[dim] = l->most + 1;
            memset(t->stride, 0, sizeof t->stride);
            char item[96];
            snprintf(item, sizeof item, "%s.%s", f->op->name, name);
            EXPECT_FAILURE(query(f, &d), VKA_INVALID, item);
            f->checks++;
        }
    }
}

static void check_place(fixture *f, uint32_t arg) {
    const vka__arg *a = &f->op->args[arg];
    const vka_tensor *good = &f->t[arg].view;
    if (vka_dtype_size(good->dtype) > 1) {
        CHANGED(t->offset++, a->name, false);
    }
    uint64_t last = 0, size = vka_dtype_size(good->dtype);
    for (uint32_t dim = 0; dim < good->rank; dim++) {
        last += (good->shape[dim] - 1) * good->stride[dim];
    }
    if (vka_dtype_block(good->dtype) == 1) { /* one element too far */
        CHANGED(t->offset = (vka_buffer_size(t->buffer) / size - last) * size, a->name, false);
    }
    CHANGED(t->offset = vka_buffer_size(t->buffer), a->name, false);
    CHANGED(t->offset = UINT64_MAX / 16 * 16, a->name, false);
    for (uint32_t dim = 0; dim < good->rank; dim++) {
        if (good->shape[dim] > 1) {
            CHANGED(t->stride[dim] = UINT64_MAX / 4, a->name, false);
            CHANGED(t->stride[dim] = UINT64_C(1) << 62, a->name, false); /* of f32: as many bytes as none */
        }
    }
    if (good->shape[0] > 1 && good->rank > 1) {
        CHANGED(t->stride[0] = 0, a->name, false);
    }
    if (is_written(a) && good->rank > 1 && good->shape[0] > 1 && good->shape[good->rank - 1] > 1) {
        CHANGED(t->stride[0] = t->stride[good->rank - 1], a->name, false);
    }
}

static bool same_form(const vka_tensor *a, const vka_tensor *b) {
    bool same = a->dtype == b->dtype && a->rank == b->rank;
    for (uint32_t i = 0; i < a->rank && same; i++) {
        same = a->shape[i] == b->shape[i] && a->stride[i] == b->stride[i];
    }
    return same;
}

/* Every output over every other tensor. */
static void check_overlaps(fixture *f, uint32_t arg) {
    const vka__arg *a = &f->op->args[arg];
    for (uint32_t other = 0; other < f->op->arg_count; other++) {
        if (other == arg || !f->t[other].size) {
            continue;
        }
        description d = f->good;
        vka_tensor *t = field(f->op, &d, arg);
        const vka_tensor *o = &f->t[other].view;
        t->buffer = o->buffer;
        t->offset = o->offset;
        bool in_place = (a->in_place >> other | f->op->args[other].in_place >> arg) & 1;
        if (in_place && same_form(t, o)) {
            cr_expect(is_legal(f, &d), "%s: %s in place of %s", f->op->name, a->name, f->op->args[other].name);
            t->offset += vka_dtype_size(t->dtype);
        }
        expect_refused(f, &d, NULL, false);
    }
}

static void check_tensors(fixture *f) {
    for (uint32_t arg = 0; arg < f->op->arg_count; arg++) {
        if (!f->t[arg].size) {
            continue;
        }
        check_presence(f, arg);
        check_types(f, arg);
        check_shape(f, arg);
        check_place(f, arg);
        if (is_written(&f->op->args[arg])) {
            check_overlaps(f, arg);
        }
    }
}

/* ---- bad numbers ----------------------------------------------------------------------------------------------- */

static void refuse_number(fixture *f, const vka__number *n, double value) {
    description d = f->good;
    if (n->type == VKA__NUMBER_F32) {
        memcpy(d.bytes + n->desc, &(float){(float)value}, sizeof(float));
    } else {
        memcpy(d.bytes + n->desc, &(uint32_t){(uint32_t)(int64_t)value}, sizeof(uint32_t));
    }
    expect_refused(f, &d, n->name, false);
}

static void check_numbers(fixture *f) {
    for (uint32_t i = 0; i < f->op->number_count; i++) {
        const vka__number *n = &f->op->numbers[i];
        bool real = n->type == VKA__NUMBER_F32;
        if (real) {
            refuse_number(f, n, NAN);
            refuse_number(f, n, INFINITY);
            refuse_number(f, n, -INFINITY);
        }
        if (real && n->least >= 0) {
            refuse_number(f, n, -1);
            refuse_number(f, n, -1e-30);
        }
        if (real && n->least > 1e-38) {
            refuse_number(f, n, nextafterf((float)n->least, 0));
            refuse_number(f, n, 1e-45);
        }
        if (n->most < (real ? 1e38 : UINT32_MAX)) {
            refuse_number(f, n, real ? nextafterf((float)n->most, INFINITY) : n->most + 1);
        }
        if (n->type == VKA__NUMBER_ENUM) {
            refuse_number(f, n, UINT32_MAX);
        }
    }
}

/* ---- arguments ------------------------------------------------------------------------------------------------- */

/* Nobody can be told, but vka_last_error knows. */
static void expect_missing(const vka__op *op, vka_status status, const char *argument) {
    char text[128];
    snprintf(text, sizeof text, "%s%s: must not be NULL", op->name, argument);
    cr_expect_eq(status, VKA_INVALID);
    cr_expect_str_eq(vka_last_error(), text);
}

static void check_arguments(fixture *f) {
    const void *desc = f->good.bytes;
    const vka__op *op = f->op;
    char item[96], text[64];
    vka_requirements need;
    vka_plan *plan;
    size_t length;
    snprintf(item, sizeof item, "%s.desc", op->name);
    EXPECT_FAILURE(vka__op_record(op, f->c.recorder, NULL, op->desc_size), VKA_INVALID, item);
    EXPECT_FAILURE(vka__op_plan(op, f->c.device, NULL, op->desc_size, &plan), VKA_INVALID, item);
    EXPECT_FAILURE(vka__op_prepare(op, f->c.device, NULL, op->desc_size), VKA_INVALID, item);
    EXPECT_FAILURE(vka__op_requirements(op, f->c.device, NULL, op->desc_size, &need, sizeof need), VKA_INVALID, item);
    EXPECT_FAILURE(vka__op_explain(op, f->c.device, NULL, op->desc_size, text, 64, &length), VKA_INVALID, item);
    EXPECT_FAILURE(vka__op_plan(op, f->c.device, desc, op->desc_size, NULL), VKA_INVALID, ".");
    EXPECT_FAILURE(vka__op_requirements(op, f->c.device, desc, op->desc_size, NULL, sizeof need), VKA_INVALID, ".");
    EXPECT_FAILURE(vka__op_explain(op, f->c.device, desc, op->desc_size, NULL, 64, &length), VKA_INVALID, ".");
    expect_missing(op, vka__op_record(op, NULL, desc, op->desc_size), ".recorder");
    expect_missing(op, vka__op_plan(op, NULL, desc, op->desc_size, &plan), "_plan.device");
    expect_missing(op, vka__op_prepare(op, NULL, desc, op->desc_size), "_prepare.device");
    expect_missing(op, vka__op_requirements(op, NULL, desc, op->desc_size, &need, sizeof need), "_requirements.device");
    expect_missing(op, vka__op_explain(op, NULL, desc, op->desc_size, text, 64, &length), "_explain.device");
    f->checks += 13;
}

/* A program that is older than the library, and one that is newer. */
static void check_sizes(fixture *f) {
    description d = f->good;
    char item[96];
    snprintf(item, sizeof item, "%s.desc", f->op->name);
    vka_requirements need;
    size_t size = f->op->desc_size;
    memset(d.bytes + size, 0, 16);
    EXPECT_OK(vka__op_requirements(f->op, f->c.device, d.bytes, size + 16, &need, sizeof need));
    d.bytes[size + 15] = 1;
    EXPECT_FAILURE(vka__op_requirements(f->op, f->c.device, d.bytes, size + 16, &need, sizeof need), VKA_UNSUPPORTED,
                   item);
    /* What lies behind the size that the program knows is not looked at, and counts as 0. */
    if (!memcmp(f->good.bytes + size - 4, (uint32_t[]){0}, 4)) {
        memset(d.bytes + size - 4, 0xff, 20);
        EXPECT_OK(vka__op_requirements(f->op, f->c.device, d.bytes, size - 4, &need, sizeof need));
    }
    f->checks += 3;
}

static void explain(fixture *f, const description *d, char *text, size_t size) {
    size_t length;
    EXPECT_OK(vka__op_explain(f->op, f->c.device, d->bytes, f->op->desc_size, text, size, &length));
    cr_expect(length > 0 && length == strlen(text), "%s: a text of %zu", f->op->name, length);
}

/* A text is cut where the room ends, never beyond, and its whole length told. */
static void check_text(fixture *f) {
    char whole[2048], part[2048];
    const vka__op *op = f->op;
    const void *desc = f->good.bytes;
    size_t length;
    explain(f, &f->good, whole, sizeof whole);
    EXPECT_OK(vka__op_explain(op, f->c.device, desc, op->desc_size, NULL, 0, &length));
    cr_assert(length == strlen(whole) && length + 2 < sizeof part, "%s: a text of %zu", op->name, length);
    for (size_t room = 1; room <= length + 1; room++) {
        size_t told;
        memset(part, '#', sizeof part);
        EXPECT_OK(vka__op_explain(op, f->c.device, desc, op->desc_size, part, room, &told));
        cr_expect(told == length && strlen(part) == room - 1 && !memcmp(part, whole, room - 1) && part[room] == '#',
                  "%s: room for %zu", op->name, room);
    }
    EXPECT_OK(vka__op_explain(op, f->c.device, desc, op->desc_size, part, sizeof part, NULL));
    f->checks += 3;
}

/* Shapes are enough to know everything but the results. */
static void check_description_alone(fixture *f) {
    char with[2048], without[2048];
    description d = f->good;
    vka_requirements need, need_without;
    for (uint32_t i = 0; i < f->op->arg_count; i++) {
        vka_tensor *t = field(f->op, &d, i);
        if (t) {
            t->buffer = NULL;
        }
    }
    explain(f, &f->good, with, sizeof with);
    explain(f, &d, without, sizeof without);
    cr_expect_str_eq(with, without, "%s", f->op->name);
    EXPECT_OK(vka__op_requirements(f->op, f->c.device, f->good.bytes, f->op->desc_size, &need, sizeof need));
    EXPECT_OK(vka__op_requirements(f->op, f->c.device, d.bytes, f->op->desc_size, &need_without, sizeof need_without));
    cr_expect(!memcmp(&need, &need_without, sizeof need));
    EXPECT_OK(vka__op_prepare(f->op, f->c.device, d.bytes, f->op->desc_size));
    f->checks += 3;
}

/* In a recorder that has to grow. */
static void check_host_memory(fixture *f) {
    bool failed = true;
    for (uint32_t nth = 1; failed; nth++) {
        vka_recorder *recorder;
        EXPECT_OK(vka_recorder_create(f->c.device, &(vka_recorder_desc){.max_dispatches = 1}, &recorder));
        EXPECT_OK(vka_recorder_begin(recorder));
        for (int i = 0; i < 2 && failed; i++) { /* the second one finds no room */
            log_clear();
            allocator_fail(i ? nth : 0);
            vka_status status = vka__op_record(f->op, recorder, f->good.bytes, f->op->desc_size);
            failed = i ? allocator_failed() : true;
            allocator_fail(0);
            cr_expect_eq(status, i && failed ? VKA_OUT_OF_MEMORY : VKA_OK, "%s: allocation %u", f->op->name, nth);
        }
        f->checks++;
        vka_recorder_destroy(&recorder);
    }
}

/* A plan is whole, or not there. */
static void check_plan_memory(fixture *f) {
    bool failed = true;
    for (uint32_t nth = 1; failed; nth++) {
        vka_plan *plan;
        log_clear();
        allocator_fail(nth);
        vka_status status = vka__op_plan(f->op, f->c.device, f->good.bytes, f->op->desc_size, &plan);
        failed = allocator_failed();
        allocator_fail(0);
        cr_expect_eq(status, failed ? VKA_OUT_OF_MEMORY : VKA_OK, "%s: allocation %u", f->op->name, nth);
        cr_expect_eq(plan == NULL, failed);
        vka_plan_destroy(&plan);
        f->checks++;
    }
}

/* ---- results --------------------------------------------------------------------------------------------------- */

static void run(fixture *f) {
    poison_outputs(f);
    EXPECT_OK(vka_recorder_begin(f->c.recorder));
    EXPECT_OK(record(f, &f->good));
    context_finish(&f->c);
}

/* From a plan, of which the description is gone. */
static void run_plan(fixture *f) {
    vka_plan *plan;
    description d = f->good;
    EXPECT_OK(vka__op_plan(f->op, f->c.device, d.bytes, f->op->desc_size, &plan));
    memset(&d, 0xa5, sizeof d);
    poison_outputs(f);
    EXPECT_OK(vka_recorder_begin(f->c.recorder));
    EXPECT_OK(vka_plan_record(f->c.recorder, plan));
    context_finish(&f->c);
    vka_plan_destroy(&plan);
}

/* The smallest ones, whose budgets are 0, and random ones. */
static void run_slices(fixture *f, slice_budgets budgets) {
    vka_plan *plan;
    description d = f->good;
    vka_requirements need;
    EXPECT_OK(vka__op_requirements(f->op, f->c.device, d.bytes, f->op->desc_size, &need, sizeof need));
    vka_buffer *workspace = slices_workspace(&f->c, &need);
    if (workspace) {
        ((vka_workspace *)(d.bytes + f->op->workspace))->buffer = workspace;
    }
    EXPECT_OK(vka__op_plan(f->op, f->c.device, d.bytes, f->op->desc_size, &plan));
    poison_outputs(f);
    slice_counts n = slices_run(&f->c, &plan, 1, budgets);
    fprintf(stderr, "%s: %u slices\n", f->op->name, n.slices);
    vka_plan_destroy(&plan);
    vka_buffer_destroy(&workspace);
}

static void run_smallest_slices(fixture *f) {
    run_slices(f, SLICES_SMALLEST);
}

static void run_random_slices(fixture *f) {
    run_slices(f, SLICES_RANDOM);
}

/* A tensor's bytes, of which the buffer must have no others outside of its elements. */
static uint8_t *download(fixture *f, uint32_t arg, const char *when) {
    tensor *t = &f->t[arg];
    const vka__arg *a = &f->op->args[arg];
    uint8_t *before = malloc(t->size), *after = malloc(t->size);
    cr_assert(before && after);
    memcpy(before, t->image, t->size);
    cr_expect(tensor_download(t), "%s: %s: bytes outside of %s have changed", f->op->name, when, a->name);
    memcpy(after, t->image, t->size);
    cr_expect(is_written(a) || !memcmp(before, after, t->size), "%s: %s: %s has changed", f->op->name, when, a->name);
    memcpy(t->image, before, t->size);
    free(before);
    f->checks++;
    return after;
}

/* Fills what lies between the elements of the inputs with zeros instead of NaN. */
static void clear_gaps(fixture *f) {
    for (uint32_t i = 0; i < f->op->arg_count; i++) {
        tensor *t = &f->t[i];
        if (!t->size || f->op->args[i].access != VKA__READ) {
            continue;
        }
        uint8_t *elements = calloc(t->size, 1);
        cr_assert_not_null(elements);
        uint32_t size = vka_dtype_size(t->view.dtype), block = vka_dtype_block(t->view.dtype);
        for (size_t n = 0; n < t->count; n += block) {
            memcpy(elements + (tensor_bytes(t, n) - t->image), tensor_bytes(t, n), size);
        }
        memcpy(t->image, elements, t->size);
        EXPECT_OK(vka_buffer_write(t->view.buffer, 0, t->image, t->size));
        free(elements);
    }
}

/* The same bits again, and whatever lies outside of the inputs. */
static void check_results(fixture *f) {
    uint8_t *first[VKA__MAX_ARGS] = {0};
    static const char *const when[] = {
        "at first", "again", "from a plan", "in the smallest slices", "in slices", "with other bytes between elements"};
    static void (*const runs[])(fixture * f) = {run, run, run_plan, run_smallest_slices, run_random_slices, run};
    for (int pass = 0; pass < 6; pass++) {
        if (pass == 5) {
            clear_gaps(f);
        }
        runs[pass](f);
        for (uint32_t i = 0; i < f->op->arg_count; i++) {
            if (!f->t[i].size) {
                continue;
            }
            uint8_t *bytes = download(f, i, when[pass]);
            bool same = !pass || !is_written(&f->op->args[i]) || !memcmp(bytes, first[i], f->t[i].size);
            cr_expect(same, "%s: %s differs %s", f->op->name, f->op->args[i].name, when[pass]);
            free(pass ? bytes : NULL);
            first[i] = pass ? first[i] : bytes;
        }
    }
    for (uint32_t i = 0; i < f->op->arg_count; i++) {
        free(first[i]);
    }
}

/* What was refused was not recorded. */
static void check_nothing_recorded(fixture *f) {
    context_finish(&f->c);
    for (uint32_t i = 0; i < f->op->arg_count; i++) {
        if (f->t[i].size) {
            uint8_t *bytes = download(f, i, "after refusals");
            cr_expect(!memcmp(bytes, f->t[i].image, f->t[i].size), "%s: a refused call wrote %s", f->op->name,
                      f->op->args[i].name);
            free(bytes);
        }
    }
}

static void check_contract(const op_sample *s) {
    fixture f = {.s = s, .op = s->op};
    cr_assert(s->op->state_size <= VKA__MAX_STATE && s->op->params_size <= VKA__MAX_PARAMS, "a call has room for it");
    context_open(&f.c, &config_real);
    make_tensors(&f);
    vka_device_desc other = context_desc();
    EXPECT_OK(vka_device_create(&other, &f.other));
    EXPECT_OK(vka_buffer_create(f.other, &(vka_buffer_desc){.size = 1 << 20}, &f.foreign));
    EXPECT_FAILURE(record(&f, &f.good), VKA_INVALID, f.op->name); /* before recording, and after it */
    EXPECT_OK(vka_recorder_begin(f.c.recorder));
    check_arguments(&f);
    check_tensors(&f);
    check_limits(&f);
    check_numbers(&f);
    check_sizes(&f);
    check_nothing_recorded(&f);
    EXPECT_FAILURE(record(&f, &f.good), VKA_INVALID, f.op->name);
    check_text(&f);
    check_description_alone(&f);
    check_host_memory(&f);
    check_plan_memory(&f);
    check_results(&f);
    fprintf(stderr, "%s: %u checks\n", s->op->name, f.checks);
    vka_buffer_destroy(&f.foreign);
    vka_device_destroy(&f.other);
    for (uint32_t i = 0; i < s->op->arg_count; i++) {
        if (f.t[i].size) {
            tensor_destroy(&f.t[i]);
        }
    }
    context_close(&f.c);
}

#define X(NAME, value, name)                                                                                           \
    Test(contract, name) {                                                                                             \
        check_contract(&sample_##name);                                                                                \
    }
VKA_OPERATIONS(X)
X(, , attention_cosine)
X(, , attention_relative_keys)
X(, , attention_key_lists)
X(, , attention_backward_cosine)
X(, , attention_backward_relative_keys)
X(, , attention_backward_key_lists)
#undef X
