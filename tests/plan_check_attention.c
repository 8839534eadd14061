/* What holds for every plan of attention: each stage sees what it needs of its slice.
 * SPDX-License-Identifier: MIT */
#include "plan_check_attention.h"

#include <criterion/criterion.h>
#include <string.h>

/* ---- a slice's tensors ------------------------------------------------------------------------------------------ */

typedef enum stage { SIZE, MAIN, MERGE, SCORES } stage;
#define IN(stage) (1 << (stage))

/* The stages that need a tensor, and what a slice takes of it. */
typedef struct needed {
    const vka__view *view;
    int slot;
    const char *name;
    enum { ALL_HEADS, Q_HEADS, KV_HEADS } heads;
    int stages;
    vka__access access;
} needed;

#define MAX_NEEDED 21

static size_t needed_tensors(const vka__attention_problem *p, const vka__attention_plan *plan, needed list[]) {
    const int keys = IN(MAIN) | IN(SCORES), results = plan->params.splits > 1 ? IN(MERGE) : IN(MAIN);
    const int seen = p->score_stage == VKA_SCORES_PROBABILITIES ? IN(SCORES) : 0;
    const needed all[MAX_NEEDED] = {
        {&p->q, VKA_BIND_Q, "q", Q_HEADS, keys, VKA__READ},
        {&p->k, VKA_BIND_K, "k", KV_HEADS, keys, VKA__READ},
        {&p->v, VKA_BIND_V, "v", KV_HEADS, IN(MAIN), VKA__READ},
        {&p->out, VKA_BIND_OUT, "out", Q_HEADS, results, VKA__WRITE},
        {&p->lse, VKA_BIND_LSE, "lse", Q_HEADS, results, VKA__WRITE},
        {&p->lse, VKA_BIND_LSE, "lse of scores", Q_HEADS, seen, VKA__READ},
        {&p->stats, VKA_BIND_STATS, "stats", Q_HEADS, results, VKA__WRITE},
        {&p->scores, VKA_BIND_OUT, "scores", Q_HEADS, IN(SCORES), VKA__WRITE},
        {&p->mask, VKA_BIND_MASK, "mask", Q_HEADS, keys, VKA__READ},
        {&p->k_scale, VKA_BIND_K_SCALE, "k_scale", KV_HEADS, keys, VKA__READ},
        {&p->v_scale, VKA_BIND_V_SCALE, "v_scale", KV_HEADS, IN(MAIN), VKA__READ},
        {&p->relative, VKA_BIND_RELATIVE, "relative_bias", ALL_HEADS, keys, VKA__READ},
        {&p->alibi, VKA_BIND_ALIBI, "alibi_slopes", ALL_HEADS, keys, VKA__READ},
        {&p->cosine, VKA_BIND_COSINE, "cosine_scale", ALL_HEADS, keys, VKA__READ},
        {&p->relative_keys, VKA_BIND_RELATIVE_KEYS, "relative_keys", ALL_HEADS, keys, VKA__READ},
        {&p->content, VKA_BIND_CONTENT, "content_bias", ALL_HEADS, keys, VKA__READ},
        {&p->position, VKA_BIND_POSITION, "position_bias", ALL_HEADS, keys, VKA__READ},
        {&p->sinks, VKA_BIND_SINKS, "sinks", ALL_HEADS, results, VKA__READ},
        {&p->q_list, VKA_BIND_Q_LIST, "q_list", ALL_HEADS, keys | IN(MERGE) | IN(SIZE), VKA__READ},
        {&p->kv_list, VKA_BIND_KV_LIST, "kv_list", ALL_HEADS, keys | IN(MERGE) | IN(SIZE), VKA__READ},
        {&p->pages, VKA_BIND_PAGES, "page_table", ALL_HEADS, keys, VKA__READ},
    };
    memcpy(list, all, sizeof all);
    return MAX_NEEDED;
}

/* Rows of queries that are bound a range at a time. */
static bool is_ranged(const vka__attention_problem *p, const needed *t) {
    bool pairs = t->view == &p->mask || t->view == &p->scores;
    return t->heads == Q_HEADS && (pairs || !(p->options & VKA_FLAG_Q_OFFSETS)) && t->view->shape[2] > 1;
}

static void cut_dim(vka__view *part, int dim, uint32_t begin, uint32_t size, uint64_t *first) {
    cr_assert(begin < part->shape[dim] || !part->shape[dim]);
    *first += begin * part->stride[dim];
    part->shape[dim] = vka__min_u32(size, part->shape[dim] - begin);
}

/* Queries of a range, keys of a part: what of a head's tensor a dispatch has to bind, and how much of it the kernel
 * counts as well, which counts queries from the first one on. */
static uint64_t cut_part(const vka__attention_problem *p, const vka__attention_plan *plan, const vka__dispatch *x,
                         const needed *t, vka__view *part, uint64_t *first) {
    if (t->view == &p->mask) { /* no more of it than what there is to attend to */
        part->shape[2] = vka__min_u32(part->shape[2], p->q_len);
        part->shape[3] = vka__min_u32(part->shape[3], p->kv_len);
    }
    if (t->heads == KV_HEADS && plan->parts > 1) {
        cut_dim(part, p->pages.present ? 0 : 2, x->push.dim1, x->push.dim2, first);
    }
    if (!is_ranged(p, t) || p->permutation.present) {
        return 0;
    }
    cut_dim(part, 2, x->push.row0, plan->part_rows, first);
    return x->push.row0 * part->stride[2];
}

/* The parts of keys: as many dispatches see each as there are in one part, and all see all. */
static void check_part(const device *d, const vka__attention_problem *p, const vka__attention_plan *plan,
                       const vka__dispatch *x, const vka__pipeline_key *key, stage what) {
    uint32_t all = p->k.shape[p->pages.present ? 0 : 2], first = x->push.rows * plan->part_keys;
    bool parts = plan->parts > 1 && (what == MAIN || what == SCORES);
    cr_assert(what == SIZE || ((key->spec[VKA_SPEC_FLAGS] & VKA_FLAG_PARTS) != 0) == (plan->parts > 1), "%s", d->name);
    if (!parts) {
        return;
    }
    cr_assert(x->push.rows < plan->parts && x->push.dim1 == first && x->push.dim2 > 0, "%s", d->name);
    cr_assert_eq(x->push.dim2, vka__min_u32(plan->part_keys, all - first), "%s: part %u", d->name, x->push.rows);
    cr_assert((uint64_t)plan->part_keys * plan->parts >= all && (uint64_t)plan->part_keys * (plan->parts - 1) < all);
}

/* Pages belong to every batch entry: no slice cuts them by batch. */
static void check_slice(const device *d, const vka__attention_problem *p, const vka__attention_plan *plan,
                        const vka__dispatch *x, const vka__pipeline_key *key, uint64_t slice, stage what) {
    cr_assert(what == SIZE || x->push.row0 == slice % plan->row_parts * plan->part_rows, "%s", d->name);
    slice /= plan->row_parts;
    check_part(d, p, plan, x, key, what);
    uint32_t group = p->q.shape[1] / p->k.shape[1], q_heads = plan->slice == VKA__SLICE_QUERY_HEAD ? 1 : group;
    uint32_t steps = p->q.shape[1] / q_heads;
    bool by_head = plan->slice >= VKA__SLICE_HEAD, by_batch = plan->slice != VKA__SLICE_ALL;
    uint64_t batch = by_head ? slice / steps : by_batch ? slice : 0, head = by_head ? slice % steps * q_heads : 0;
    cr_assert(what == SIZE || (x->push.b0 == batch && x->push.h0 == head), "%s: slice %llu begins at %u, %u", d->name,
              (unsigned long long)slice, x->push.b0, x->push.h0);
    needed list[MAX_NEEDED];
    for (size_t i = 0, count = needed_tensors(p, plan, list); i < count; i++) {
        const needed *t = &list[i];
        if (!t->view->present || !(t->stages & IN(what))) {
            continue;
        }
        bool keys = t->heads == KV_HEADS, cut_batch = t->heads != ALL_HEADS && by_batch && !(keys && p->pages.present);
        bool cut_head = t->heads != ALL_HEADS && by_head && t->view->shape[1] > 1;
        vka__view part = *t->view;
        part.shape[0] = cut_batch ? 1 : part.shape[0];
        part.shape[1] = !cut_head ? part.shape[1] : keys ? 1 : q_heads;
        uint64_t first = (cut_batch ? batch * part.stride[0] : 0);
        first += cut_head ? (keys ? head / group : head) * part.stride[1] : 0;
        uint64_t skipped = cut_part(p, plan, x, t, &part, &first);
        int bias = p->relative_width || p->relative_keys.present ? 1 : 2;
        if ((t->view == &p->relative || t->view == &p->relative_keys) && by_head &&
            part.shape[bias] > 1) { /* whose heads the kernel counts, too */
            cut_dim(&part, bias, (uint32_t)head, q_heads, &first);
            skipped = head * part.stride[bias];
        }
        uint64_t extent = vka__view_extent(&part, 0);
        check_binding(d, t->view, first, extent, &x->binding[t->slot],
                      x->push.base[t->slot] + (extent && t->view->present ? (uint32_t)skipped : 0), t->name);
        cr_assert(!extent || x->binding[t->slot].access == t->access, "%s: access to %s", d->name, t->name);
        cr_assert(!extent || x->binding[t->slot].source == t->view->source);
    }
}

/* ---- a dispatch ------------------------------------------------------------------------------------------------- */

/* Kernels without options bind nothing that belongs to one, and every kernel knows the types. */
static void check_attention_key(const device *d, const vka__attention_problem *p, const vka__dispatch *x,
                                const vka__pipeline_key *key, stage what) {
    const char *name = vka__kernel_name((vka__kernel)key->kernel);
    uint32_t types = key->spec[VKA_SPEC_TYPES];
    for (int i = VKA_BIND_MASK; i < VKA_MAX_BINDINGS && (what == MAIN || what == MERGE); i++) {
        cr_assert(x->binding[i].access == VKA__UNUSED || strstr(name, "_options") || strstr(name, "_products"),
                  "%s: %s binds %d", d->name, name, i);
    }
    if (what == MAIN || what == SCORES) {
        cr_assert_eq(types >> 4 * VKA_ROLE_Q & 15, p->q.dtype);
        cr_assert_eq(types >> 4 * VKA_ROLE_K & 15, p->k.dtype);
        cr_assert_eq(types >> 4 * VKA_ROLE_V & 15, p->v.dtype);
        cr_assert_eq(strstr(name, "_products") != NULL, p->cosine.present || p->relative_keys.present, "%s", name);
        cr_assert_eq(types >> 4 * VKA_ROLE_RELATIVE_KEYS & 15, p->relative_keys.dtype);
        cr_assert_eq(types >> 4 * VKA_ROLE_CONTENT & 15, p->content.present ? p->content.dtype : p->position.dtype);
        cr_assert_eq(types >> 4 * VKA_ROLE_MASK & 15, p->mask.present ? p->mask.dtype : 0);
    }
    if (what != SIZE) {
        cr_assert_eq(types >> 4 * VKA_ROLE_OUT & 15, what == SCORES ? p->scores.dtype : p->out.dtype);
    }
}

/* The device computes sizes only where one dispatch has all the work. */
static void check_indirect(const device *d, const vka__attention_problem *p, const vka__attention_plan *plan,
                           const vka__dispatch *x, stage what) {
    cr_assert_eq(x->indirect, plan->indirect && (what == MAIN || what == MERGE) ? what : 0, "%s", d->name);
    if (plan->indirect) {
        cr_assert(p->device_lengths && plan->slices == 1 && plan->main_chunks == 1 && plan->merge_chunks <= 1, "%s",
                  d->name);
    }
    if (what == SIZE) {
        const vka__binding *counts = &x->binding[VKA_BIND_WORKSPACE];
        cr_assert(counts->source == VKA__SOURCE_COUNTS && counts->access == VKA__WRITE &&
                  counts->range == VKA__COUNTS_BYTES);
    } else if (plan->params.splits > 1) {
        cr_assert_leq(x->binding[VKA_BIND_WORKSPACE].range, plan->workspace_bytes);
    }
}

static stage stage_of(const vka__attention_plan *plan, uint64_t index) {
    const uint64_t chunks[] = {plan->indirect, plan->main_chunks * plan->parts, plan->merge_chunks,
                               plan->scores_chunks * plan->parts};
    stage what = SIZE;
    while (index >= chunks[what]) {
        index -= chunks[what++];
    }
    return what;
}

/* Workgroups of a stage in all of an attention's dispatches. */
static uint64_t volume_of(const vka__attention_plan *plan, stage what) {
    const vka__grid *grids[] = {NULL, &plan->main_grid, &plan->merge_grid, &plan->scores_grid};
    uint64_t parts = what == MAIN || what == SCORES ? plan->parts : 1;
    if (what == SIZE) {
        return plan->slices;
    }
    if (what == MAIN && plan->row_parts > 1) { /* the last range has fewer tiles */
        uint64_t tiles = vka__div_up(plan->rows, plan->main.spec[VKA_SPEC_BR]);
        return plan->slices / plan->row_parts * tiles * plan->splits * parts;
    }
    return plan->slices * parts * grids[what]->groups[0] * grids[what]->groups[1] * grids[what]->groups[2];
}

/* The first workgroup that a stage does not have. */
static uint64_t end_of(const vka__attention_plan *plan, stage what, int dim) {
    const vka__grid *grids[] = {NULL, &plan->main_grid, &plan->merge_grid, &plan->scores_grid};
    if (what == MAIN && dim == 0 && plan->row_parts > 1) {
        return (uint64_t)vka__div_up(plan->rows, plan->main.spec[VKA_SPEC_BR]) * plan->splits;
    }
    return grids[what]->groups[dim];
}

/* Each slice's grid is done once: the chunks of a dimension lie side by side, so their volumes must add up and no two
 * may begin at the same place. */
void check_dispatches(const device *d, const vka__attention_problem *p, const vka__attention_plan *plan) {
    uint64_t per_slice = plan->indirect + (plan->main_chunks + plan->scores_chunks) * plan->parts + plan->merge_chunks;
    uint64_t count = vka__attention_dispatches(plan), volume[4] = {0}, stride = count > 400 ? count / 200 : 1;
    vka__pipeline_key keys[VKA__MAX_KEYS];
    cr_assert_eq(count, plan->slices * per_slice);
    vka__attention_keys(plan, keys);
    for (uint64_t i = 0; i < count; i += stride) {
        vka__dispatch x = {0};
        stage what = stage_of(plan, i % per_slice);
        vka__attention_dispatch(&d->caps, p, plan, i, &x);
        check_dispatch(d, &x);
        const vka__pipeline_key *key = &keys[x.key];
        check_key(d, key, what == MAIN ? plan->shared_bytes : 0);
        check_attention_key(d, p, &x, key, what);
        check_slice(d, p, plan, &x, key, i / per_slice, what);
        check_indirect(d, p, plan, &x, what);
        const uint32_t first[] = {x.push.x0, x.push.y0, x.push.z0};
        for (int n = 0; n < 3 && what != SIZE; n++) {
            cr_assert_leq((uint64_t)first[n] + x.groups[n], end_of(plan, what, n), "%s", d->name);
        }
        volume[what] += (uint64_t)x.groups[0] * x.groups[1] * x.groups[2];
    }
    const bool wanted[] = {plan->indirect, true, plan->params.splits > 1, p->scores.present && p->kv_len};
    for (int what = SIZE; what <= SCORES && stride == 1; what++) {
        cr_assert_eq(volume[what], wanted[what] ? volume_of(plan, what) : 0, "%s: stage %d", d->name, what);
    }
}

/* ---- a plan ----------------------------------------------------------------------------------------------------- */

static bool lists_shape(const device *d, const vka_matrix_shape *shape) {
    for (uint32_t i = 0; i < d->caps.matrix_shape_count; i++) {
        if (!memcmp(&d->caps.matrix_shapes[i], shape, sizeof *shape)) {
            return true;
        }
    }
    return false;
}

/* What coopmat.comp divides must come out even, and its shape be one that the device lists. */
static void check_registers(const device *d, const vka__attention_plan *plan) {
    const uint32_t *spec = plan->main.spec, size = spec[VKA_SPEC_M], rows = spec[VKA_SPEC_RM] * size;
    vka_matrix_shape shape = {size, size, size, VKA_F16};
    cr_assert(d->caps.matrix_functions && lists_shape(d, &shape), "%s: %u", d->name, size);
    cr_assert(spec[VKA_SPEC_N] == size && spec[VKA_SPEC_K] == size && spec[VKA_SPEC_TC] == 1);
    cr_assert(spec[VKA_SPEC_BR] % rows == 0 && spec[VKA_SPEC_BC] % size == 0);
    cr_assert_eq(spec[VKA_SPEC_GROUP_SIZE], spec[VKA_SPEC_BR] / rows * spec[VKA_SPEC_SUBGROUP]);
}

static void check_matrices(const device *d, vka_dtype dtype, const vka__attention_plan *plan) {
    const uint32_t *spec = plan->main.spec, m = spec[VKA_SPEC_M], n = spec[VKA_SPEC_N], k = spec[VKA_SPEC_K];
    uint32_t rows = spec[VKA_SPEC_RM] * m, members = spec[VKA_SPEC_TC], width = spec[VKA_SPEC_SUBGROUP];
    bool by_channel = spec[VKA_SPEC_LOW_REGISTER] & VKA_LEAN_BY_CHANNEL;
    uint32_t bc = spec[VKA_SPEC_BC], team = by_channel ? vka__min_u32(members, rows * bc / width / 4) : members;
    cr_assert(team, "%s: %u rows of %u keys for %u lanes", d->name, rows, bc, width);
    uint32_t soft = rows / team, lanes = soft < width ? width / soft : 1;
    cr_assert(lists_shape(d, &(vka_matrix_shape){m, n, k, dtype}), "%s: %ux%ux%u", d->name, m, n, k);
    cr_assert_eq(spec[VKA_SPEC_BR] % rows, 0);
    cr_assert_eq(spec[VKA_SPEC_GROUP_SIZE], spec[VKA_SPEC_BR] / rows * members * width);
    cr_assert(rows % team == 0 && bc % k == 0);
    cr_assert(by_channel ? bc % n == 0 : bc % (n * members) == 0 && bc >= rows && bc % rows == 0);
    cr_assert(soft < width ? width % soft == 0 : soft % width == 0, "%s", d->name);
    cr_assert(bc % (4 * lanes) == 0, "%s: %u keys for %u lanes", d->name, bc, lanes);
}

/* The one reason to refuse a tensor: what no dispatch can do without. A page or a key of one head, a tile of its
 * queries, or of packed ones all, and partial results of one tile. */
static bool part_too_large(const device *d, const vka__attention_problem *p, uint32_t tile_rows) {
    const vka__attention_plan any = {.params.splits = 1};
    uint64_t parts = 1, floats = d->caps.storage_range / 256 * 64;
    needed list[MAX_NEEDED];
    bool large = false;
    for (size_t i = 0, count = needed_tensors(p, &any, list); i < count; i++) {
        vka__view part = *list[i].view;
        if (!part.present) {
            continue;
        }
        bool whole = list[i].heads == ALL_HEADS, keys = list[i].heads == KV_HEADS;
        part.shape[0] = whole ? part.shape[0] : 1;
        part.shape[1] = whole ? part.shape[1] : 1;
        uint32_t *rows = &part.shape[2];
        *rows = is_ranged(p, &list[i]) ? vka__min_u32(*rows, vka__min_u32(tile_rows, p->q_len)) : *rows;
        *rows = keys && !p->pages.present                            ? vka__min_u32(*rows, 1)
                : list[i].view == &p->relative && !p->relative_width ? 1
                                                                     : *rows;
        part.shape[1] = list[i].view == &p->relative_keys ? 1 : part.shape[1];
        part.shape[3] = list[i].view == &p->mask ? vka__min_u32(part.shape[3], p->kv_len) : part.shape[3];
        uint64_t one = vka__view_extent(&part, 0), most = vka__binding_elements(&d->caps, list[i].view);
        large = large || !vka__fits_binding(&d->caps, &part, one);
        if (keys && !large) {
            int dim = p->pages.present ? 0 : 2;
            uint64_t step = vka__max_u64(list[i].view->stride[dim], 1);
            parts = vka__max_u64(parts, list[i].view->shape[dim] / vka__max_u64((most - one) / step + 1, 1) + 1);
        }
    }
    return large || 2 * parts * tile_rows * (p->v.shape[3] + 2) > floats;
}

void check_attention(const device *d, const vka__attention_problem *p) {
    vka__attention_plan plan;
    vka__refusal refusal = {0};
    vka_status status = vka__plan_attention(&d->caps, p, &plan, &refusal);
    if (status != VKA_OK) {
        cr_assert_eq(status, VKA_UNSUPPORTED);
        cr_assert(refusal.field && refusal.reason[0], "%s refuses without a reason", d->name);
        bool other_path =
            p->path > VKA_ATTENTION_PATH_ROW || strstr(refusal.reason, "can't be row: Mesa's software driver");
        cr_assert(part_too_large(d, p, plan.main.spec[VKA_SPEC_BR]) || (other_path && !strcmp(refusal.field, "path")),
                  "%s refuses H %u/%u N %ux%u D %u/%u: %s: %s", d->name, p->q.shape[1], p->k.shape[1], p->q.shape[2],
                  p->k.shape[2], p->q.shape[3], p->v.shape[3], refusal.field, refusal.reason);
        return;
    }
    if (p->path == VKA_ATTENTION_PATH_AUTO && d->caps.type == VKA_DEVICE_CPU) {
        bool small = strstr(plan.why, "a tile of so few queries");
        cr_assert(plan.path == VKA_ATTENTION_PATH_ROW || plan.path == VKA_ATTENTION_PATH_DECODE || small, "%s",
                  d->name);
    }
    cr_assert(p->path == VKA_ATTENTION_PATH_AUTO || plan.path == p->path);
    if (plan.path == VKA_ATTENTION_PATH_COOPMAT) {
        check_matrices(d, p->q.dtype, &plan);
    }
    if (plan.path == VKA_ATTENTION_PATH_COOPMAT_REGISTERS) {
        check_registers(d, &plan);
    }
    if (p->cosine.present || p->relative_keys.present) { /* which these can't do */
        cr_assert(!attention_has_matrices((uint32_t)plan.path) && plan.path != VKA_ATTENTION_PATH_DOT, "%s", d->name);
    }
    if (p->options & VKA_FLAG_HARD) { /* which the others can't do */
        cr_assert(plan.path == VKA_ATTENTION_PATH_ROW || plan.path == VKA_ATTENTION_PATH_DECODE, "%s", d->name);
    }
    cr_assert(plan.splits >= 1 && plan.splits <= VKA_MAX_SPLITS);
    cr_assert_eq(plan.workspace_bytes == 0, plan.splits * plan.parts == 1);
    cr_assert_leq(plan.workspace_bytes, d->caps.storage_range);
    check_dispatches(d, p, &plan);
}
