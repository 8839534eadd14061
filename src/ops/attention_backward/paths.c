/* How the passes over queries and keys are cut: by rows of invocations, or by tiles of workgroups.
 * SPDX-License-Identifier: MIT */
#include "ops/attention_backward/attention_backward.h"

#include <string.h>

#include "op/known_drivers.h"
#include "op/switched_off.h"
#include "ops/attention/paths.h"

static vka__backward_plan *plan_of(vka__call *c) {
    return &VKA__STATE(c, vka__backward_state)->plan;
}

static const vka__attention_problem *problem_of(vka__call *c) {
    return VKA__STATE(c, vka__attention_problem);
}

void vka__backward_take(vka__call *c, vka__backward_pass pass, vka__kernel kernel, const vka__tile *tile,
                        uint32_t group_size) {
    vka__pipeline_key *key = &c->key[pass];
    plan_of(c)->tile[pass] = *tile;
    key->kernel = kernel;
    key->spec[VKA_SPEC_GROUP_SIZE] = group_size;
    key->spec[VKA_SPEC_BR] = tile->br;
    key->spec[VKA_SPEC_BC] = tile->bc;
    key->spec[VKA_SPEC_RM] = tile->rm;
    key->spec[VKA_SPEC_TC] = tile->tc;
}

/* The kernel without options, or the one behind it. */
static void take(vka__call *c, vka__backward_pass pass, vka__kernel plain, const vka__tile *tile, uint32_t group_size) {
    vka__backward_take(c, pass, vka__attention_kernel(plain, problem_of(c)), tile, group_size);
}

/* Rows of a tile lie in one tile of a map, its partners may lie in several. */
static bool map_holds(const vka__attention_problem *p, vka__backward_pass pass, const vka__tile *tile) {
    if (!p->pattern)
        return true;
    return pass == VKA__PASS_KEYS ? tile->br <= p->pattern->info.key_tile : vka__map_holds(p, tile);
}

/* ---- rows -------------------------------------------------------------------------------------------------------- */

/* Rows of an invocation share the broadcasts of a partner, on Mesa's software driver; the unrolled code of a step must
 * fit a first-level cache of instructions, which that of one partner does. Others take long to compile several rows, or
 * have no registers for them. */
static vka__tile rows_of(const vka_device_caps *caps, const vka__attention_problem *p) {
    uint32_t dim = vka__max_u32(p->q.shape[3], p->v.shape[3]), t = vka__row_threads(caps);
    /* Relative keys every pair reads by itself, and queries have two gradients; of lists every row has its own. */
    if (p->relative_keys.present || p->key_lists.present)
        return (vka__tile){t, 1, 1, 1};
    if (caps->driver_id != VKA__DRIVER_LLVMPIPE || vka__is_slow_compiler(caps) || !vka__row_broadcasts(caps))
        return (vka__tile){t, dim > 128 ? 1 : vka__is_slow_compiler(caps) ? 2 : 4, 1, 1};
    uint32_t rm = dim <= 64 ? 4 : dim <= 128 ? 2 : 1;
    return (vka__tile){t * rm, dim <= 32 ? 2 : 1, rm, 1};
}

static void take_rows(vka__call *c) {
    static const vka__kernel kernels[2][2] = {{VKA__attention_backward_queries, VKA__attention_backward_queries_sg},
                                              {VKA__attention_backward_keys, VKA__attention_backward_keys_sg}};
    const vka__attention_problem *p = problem_of(c);
    bool sg = vka__row_broadcasts(c->caps) && !p->key_lists.present;
    uint32_t t = vka__row_threads(c->caps);
    for (int i = 0; i < 2; ++i) {
        vka__backward_pass pass = i ? VKA__PASS_KEYS : VKA__PASS_QUERIES;
        vka__tile tile = rows_of(c->caps, p);
        while (tile.rm > 1 && (!map_holds(p, pass, &tile) || (i ? p->kv_len : p->q_len) <= tile.br / 2))
            tile = (vka__tile){tile.br / 2, tile.bc, tile.rm / 2, 1};
        take(c, pass, kernels[i][sg], &tile, t);
        c->key[pass].spec[VKA_SPEC_SUBGROUP] = sg ? t : 0;
    }
}

/* A map's tiles are 32 keys and queries at least, which only a subgroup of 64 exceeds. */
static bool rows_fit(vka__call *c) {
    const vka__tile tile = {vka__row_threads(c->caps), 1, 1, 1};
    return map_holds(problem_of(c), VKA__PASS_KEYS, &tile) && map_holds(problem_of(c), VKA__PASS_QUERIES, &tile);
}

/* ---- tiles ------------------------------------------------------------------------------------------------------- */

/* Largest first. Those before FIRST_OF_FLOATS are for pairs of f16, which need half the shared memory. */
#define FIRST_OF_FLOATS 2
/* Of pairs; software drivers compile for long what more of them unroll. */
#define FIRST_OF_CPUS 10
static const vka__tile tiles[] = {{64, 32, 4, 8}, {32, 32, 4, 8}, {32, 32, 2, 8}, {16, 32, 2, 8},
                                  {16, 16, 1, 8}, {8, 32, 1, 8},  {8, 32, 1, 16}, {8, 16, 1, 16},
                                  {4, 32, 1, 32}, {4, 16, 1, 16}, {8, 8, 2, 8},   {4, 8, 1, 8}};
/* What compilers have registers for without spills: floats of an invocation, which are its gradients and its pairs'
 * products, of queries and of keys; partners of a step. By what they said of these tiles (docs/portability.md). */
typedef struct tile_limits {
    uint32_t queries, keys, step;
} tile_limits;
static const tile_limits most = {88, 88, 32};
static const tile_limits apple = {56, 56, 32};
static const tile_limits intel = {40, 40, 32};
static const tile_limits old_intel = {31, 31, 32};  /* before Arc */
static const tile_limits old_adreno = {31, 47, 32}; /* 6xx        */
static const tile_limits mali = {11, 18, 16};
static const tile_limits kepler = {16, 16, 32};
#define MOST_CHUNKS 16

/* Vectors of a row in shared memory. `pairs`: of eight f16, instead of four floats. */
static uint32_t vectors(uint32_t channels, bool pairs) {
    return vka__div_up(channels, pairs ? 8 : 4);
}

static uint32_t tile_bytes(const vka__attention_problem *p, vka__backward_pass pass, const vka__tile *t, bool pairs) {
    return 16 * t->br * (vectors(p->q.shape[3], pairs) + vectors(p->v.shape[3], pairs) + 2) + 16 * t->bc * (t->tc + 1) +
           4 * t->br * (t->bc + 4) * (pass == VKA__PASS_KEYS ? 2 : 1);
}

static const tile_limits *limits_of(const vka_device_caps *caps) {
    if (caps->vendor_id == VKA_VENDOR_INTEL)
        return caps->matrix_shape_count ? &intel : &old_intel;
    if (vka__has_few_registers(caps))
        return caps->vendor_id == VKA_VENDOR_ARM ? &mali : &kepler;
    return vka__is_old_adreno(caps) ? &old_adreno : vka__is_apple(caps) ? &apple : &most;
}

static bool tile_fits(vka__call *c, vka__backward_pass pass, const vka__tile *t, bool pairs,
                      const tile_limits *limits) {
    const vka__attention_problem *p = problem_of(c);
    uint32_t x = vka__div_up(vectors(p->q.shape[3], pairs), t->tc);
    uint32_t y = vka__div_up(vectors(p->v.shape[3], pairs), t->tc);
    uint32_t floats = t->rm * ((pairs ? 8 : 4) * (x + (pass == VKA__PASS_KEYS ? y : 0)) + 2 * t->bc / t->tc);
    return map_holds(p, pass, t) && t->br / t->rm * t->tc <= c->caps->max_invocations &&
           tile_bytes(p, pass, t, pairs) <= c->caps->shared_bytes && t->bc <= limits->step &&
           floats <= (pass == VKA__PASS_KEYS ? limits->keys : limits->queries) && x <= MOST_CHUNKS && y <= MOST_CHUNKS;
}

static const vka__tile *choose_tile(vka__call *c, vka__backward_pass pass, bool pairs) {
    const tile_limits *of_device[] = {limits_of(c->caps), &most};
    size_t first = 0;
    if (!pairs)
        first = FIRST_OF_FLOATS;
    else if (c->caps->type == VKA_DEVICE_CPU)
        first = FIRST_OF_CPUS;
    for (int n = 0; n < 2; ++n)
        for (size_t i = first; i < sizeof tiles / sizeof *tiles; ++i)
            if (tile_fits(c, pass, &tiles[i], pairs, of_device[n]))
                return &tiles[i];
    return NULL;
}

/* NULL: they are taken. Keys of relative positions are read by each pair for itself, which a tile does not make faster.
 */
static const char *take_tiles(vka__call *c, bool pairs) {
    static const vka__kernel floats[] = {VKA__attention_backward_queries_tile, VKA__attention_backward_keys_tile};
    static const vka__kernel dots[2][2] = {
        {VKA__attention_backward_queries_dot, VKA__attention_backward_keys_dot},
        {VKA__attention_backward_queries_dot_mixed, VKA__attention_backward_keys_dot_mixed}};
    const vka__kernel *kernels = pairs ? dots[c->caps->f16_mixed_dot] : floats;
    if (problem_of(c)->relative_keys.present)
        return "relative_keys have no tiles";
    for (int i = 0; i < 2; ++i) {
        vka__backward_pass pass = i ? VKA__PASS_KEYS : VKA__PASS_QUERIES;
        const vka__tile *tile = choose_tile(c, pass, pairs);
        if (!tile)
            return "no tile for such dimensions and pattern fits this device's registers and shared memory";
        take(c, pass, kernels[i], tile, tile->br / tile->rm * tile->tc);
        plan_of(c)->shared_bytes[pass] = tile_bytes(problem_of(c), pass, tile, pairs);
    }
    return NULL;
}

/* ---- lists of keys ----------------------------------------------------------------------------------------------- */

/* A workgroup owns a row, and takes as many partners a step as it has invocations, so that each finds what a pair adds;
 * eight load one, a cache line of floats at a time. NULL: they are taken. */
static const char *take_lists(vka__call *c) {
    static const vka__kernel kernels[] = {VKA__attention_backward_queries_lists, VKA__attention_backward_keys_lists};
    bool cpu = c->caps->type == VKA_DEVICE_CPU;
    const vka__tile tile = {1, cpu ? 8 : 32, 1, cpu ? 1 : 8};
    if (vka__has_products(problem_of(c)))
        return "key_lists have no tiles with cosine_scale and relative_keys";
    for (int i = 0; i < 2; ++i)
        vka__backward_take(c, i ? VKA__PASS_KEYS : VKA__PASS_QUERIES, kernels[i], &tile,
                           vka__group_size(c->caps, tile.bc));
    return NULL;
}

static const char *take_dots(vka__call *c) {
    const vka__attention_problem *p = problem_of(c);
    if (vka__has_products(p))
        return VKA__NO_PRODUCTS;
    if (p->key_lists.present)
        return "key_lists have no pairs that rows share";
    if (p->q.dtype != VKA_F16 || p->k.dtype != VKA_F16 || p->v.dtype != VKA_F16 ||
        c->view[VKA__BACKWARD_D_OUT].dtype != VKA_F16)
        return "it multiplies pairs of f16: q, k, v and d_out must be f16";
    if (c->caps->driver_id == VKA__DRIVER_SWIFTSHADER && vka__attention_has_options(p))
        return "SwiftShader's compiler ends the process on options there: local variables exceed its stack";
    return take_tiles(c, true);
}

/* Does a path have a kernel that the self-test switched off? */
static bool is_off(vka__call *c) {
    return vka__is_switched_off(c->caps, (vka__kernel)c->key[VKA__PASS_QUERIES].kernel) ||
           vka__is_switched_off(c->caps, (vka__kernel)c->key[VKA__PASS_KEYS].kernel);
}

const char *vka__backward_path_name(uint32_t path) {
    static const char *const names[] = {"auto", "row", "tile", "coopmat", "dot"};
    return names[path];
}

/* NULL: both passes are filled in. */
static const char *take_path(vka__call *c, vka_attention_backward_path path) {
    const char *why_not = NULL;
    plan_of(c)->path = path;
    memset(c->key, 0, sizeof c->key); /* of what another path took before it found out that it can't */
    if (path == VKA_ATTENTION_BACKWARD_PATH_COOPMAT)
        why_not = vka__backward_take_coopmat(c);
    else if (path == VKA_ATTENTION_BACKWARD_PATH_TILE)
        why_not = problem_of(c)->key_lists.present ? take_lists(c) : take_tiles(c, false);
    else if (path == VKA_ATTENTION_BACKWARD_PATH_DOT)
        why_not = take_dots(c);
    else if (rows_fit(c))
        take_rows(c);
    else
        why_not = "rows of invocations are wider here than the pattern's tiles";
    return why_not ? why_not : is_off(c) ? "the self-test switched off its kernels" : NULL;
}

bool vka__backward_choose(vka__call *c) {
    static const vka_attention_backward_path order[2][4] = {
        {VKA_ATTENTION_BACKWARD_PATH_COOPMAT, VKA_ATTENTION_BACKWARD_PATH_DOT, VKA_ATTENTION_BACKWARD_PATH_TILE,
         VKA_ATTENTION_BACKWARD_PATH_ROW},
        {VKA_ATTENTION_BACKWARD_PATH_ROW, VKA_ATTENTION_BACKWARD_PATH_TILE}};
    vka_attention_backward_path path = VKA__DESC(c, vka_attention_backward_desc)->path;
    if (path) {
        const char *why_not = take_path(c, path);
        return !why_not || vka__refuse(&c->refusal, "path", "can't be %s: %s", vka__backward_path_name(path), why_not);
    }
    for (int i = 0; i < 4; ++i) {
        path = order[c->caps->type == VKA_DEVICE_CPU][i];
        bool repays = path != VKA_ATTENTION_BACKWARD_PATH_DOT || c->caps->f16_mixed_dot;
        if (path && repays && !take_path(c, path))
            return true;
    }
    return vka__refuse(&c->refusal, "path", "of such dimensions and pattern this device has no kernel");
}
