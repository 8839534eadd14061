/* How paths and tiles are chosen, whatever the operation: by one that does not exist, on devices that are not here.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "op/path.h"

/* ---- the operation ---------------------------------------------------------------------------------------------- */

typedef struct made_up {
    uint32_t rows, width;
    bool boxed; /* tiles of 16 columns do not fit the problem itself */
} made_up;

enum { NO_PATH, PLAIN, PAIRS, FEW, ABSENT, PATHS };

static const vka__tile plain_tiles[] = {{64, 16, 4, 8}, {32, 16, 4, 8}, {8, 8, 1, 4}, {16, 8, 2, 4}};
static const vka__tile pairs_tiles[] = {{32, 8, 2, 8}, {16, 16, 2, 8}};

static bool tile_of(const vka__tile *list, size_t bytes, uint32_t index, vka__tile *tile) {
    bool there = index < bytes / sizeof *list;
    *tile = there ? list[index] : (vka__tile){0};
    return there;
}

static const char *anywhere(const vka_device_caps *caps, const void *problem) {
    (void)caps, (void)problem;
    return NULL;
}

static const char *nowhere(const vka_device_caps *caps, const void *problem) {
    (void)caps, (void)problem;
    return "it is made up";
}

static bool plain_tile(const vka_device_caps *caps, const void *problem, uint32_t index, vka__tile *tile) {
    (void)caps, (void)problem;
    return tile_of(plain_tiles, sizeof plain_tiles, index, tile);
}

static bool plain_fits(const vka_device_caps *caps, const void *problem, const vka__tile *tile) {
    const made_up *p = problem;
    return tile->br * p->width <= caps->shared_bytes && !(p->boxed && tile->bc == 16);
}

static const vka__path plain_path;
static bool plain_choose(const vka_device_caps *caps, const void *problem, vka__tile *tile) {
    const made_up *p = problem;
    return vka__path_first_fitting(&plain_path, caps, problem, p->rows, 3, tile);
}
static const vka__path plain_path = {
    .name = "plain", .why_not = anywhere, .tile = plain_tile, .fits = plain_fits, .choose = plain_choose};

static const char *pairs_why_not(const vka_device_caps *caps, const void *problem) {
    (void)problem;
    return caps->f16_arithmetic ? NULL : "there are no pairs";
}

static bool pairs_tile(const vka_device_caps *caps, const void *problem, uint32_t index, vka__tile *tile) {
    (void)caps, (void)problem;
    cr_assert(caps->f16_arithmetic, "asked where it can't run");
    return tile_of(pairs_tiles, sizeof pairs_tiles, index, tile);
}

/* A tile that is on no list where the width is odd. */
static bool pairs_choose(const vka_device_caps *caps, const void *problem, vka__tile *tile) {
    const made_up *p = problem;
    (void)caps;
    *tile = pairs_tiles[0];
    tile->rm += p->width % 2;
    return true;
}

static bool pairs_profitable(const vka_device_caps *caps, const void *problem, const vka__tile *tile) {
    (void)problem;
    return caps->f16_mixed_dot && tile->br == 32;
}

static const vka__path pairs_path = {.name = "pairs",
                                     .why_not = pairs_why_not,
                                     .tile = pairs_tile,
                                     .fits = plain_fits,
                                     .choose = pairs_choose,
                                     .is_profitable = pairs_profitable};

/* As many rows as there are. */
static bool few_tile(const vka_device_caps *caps, const void *problem, uint32_t index, vka__tile *tile) {
    const made_up *p = problem;
    (void)caps;
    *tile = (vka__tile){p->rows, 4u << index, p->rows, 2};
    return index < 2;
}

static bool few_choose(const vka_device_caps *caps, const void *problem, vka__tile *tile) {
    return few_tile(caps, problem, 1, tile);
}

static const vka__path few_path = {.name = "few",
                                   .why_not = anywhere,
                                   .tile = few_tile,
                                   .fits = plain_fits,
                                   .choose = few_choose,
                                   .rows_follow = true};

static const vka__path absent_path = {
    .name = "absent", .why_not = nowhere, .tile = plain_tile, .fits = plain_fits, .choose = plain_choose};

static bool is_bindable(const vka_device_caps *caps, const void *problem, const vka__tile *tile) {
    const made_up *p = problem;
    return (uint64_t)tile->br * p->width <= caps->storage_range;
}

static void say_problem(const void *problem, vka__text *text) {
    vka__say(text, "a width of %u", ((const made_up *)problem)->width);
}

static void say_limits(const void *problem, vka__text *text) {
    if (((const made_up *)problem)->boxed) {
        vka__say(text, ", and the box");
    }
}

static const vka__path *const path_table[PATHS] = {
    [PLAIN] = &plain_path, [PAIRS] = &pairs_path, [FEW] = &few_path, [ABSENT] = &absent_path};

static const vka__path_rule rules[] = {
    {true, VKA__ANY_ROWS, PLAIN, "software"},
    {false, VKA__ANY_ROWS, ABSENT, "never"},
    {false, 8, FEW, "few rows"},
    {false, VKA__ANY_ROWS, PAIRS, "a GPU with pairs"},
    {false, VKA__ANY_ROWS, PLAIN, "another GPU"},
};

#define MADE_UP(name_)                                                                                                 \
    {                                                                                                                  \
        .path = path_table, .rules = rules, .path_count = PATHS, .rule_count = sizeof rules / sizeof *rules,           \
        .tuning = {.list = name_,                                                                                      \
                   .size = {{"width", "width_above", false},                                                           \
                            {"lines", "lines_above", true},                                                            \
                            {"depth", "depth_above", true}},                                                           \
                   .br = "row_tile",                                                                                   \
                   .bc = "column_tile",                                                                                \
                   .rm = "own",                                                                                        \
                   .tc = "team"},                                                                                      \
        .is_bindable = is_bindable, .why_bindable = "it can be bound", .say_problem = say_problem,                     \
        .say_limits = say_limits, .field = "input",                                                                    \
    }
static const vka__paths first = MADE_UP("first"), second = MADE_UP("second");

static const vka_device_caps gpu = {.type = VKA_DEVICE_DISCRETE,
                                    .vendor_id = 1,
                                    .device_id = 2,
                                    .driver_id = 3,
                                    .driver_version = 4,
                                    .shared_bytes = 6400,
                                    .max_invocations = 256,
                                    .storage_range = 1 << 20,
                                    .f16_arithmetic = true,
                                    .f16_mixed_dot = true};

/* ---- what is chosen --------------------------------------------------------------------------------------------- */

static vka__path_query query_of(const vka_device_caps *caps, const made_up *p) {
    return (vka__path_query){.caps = caps, .problem = p, .rows = p->rows, .in = {VKA_F16, {p->width, p->rows, 7}}};
}

static void check_choice(const vka__path_query *q, uint32_t path, vka__tile tile, const char *why) {
    vka__path_choice choice;
    vka__refusal refusal = {0};
    cr_assert(vka__path_choose(&first, q, &choice, &refusal), "%s: %s", refusal.field, refusal.reason);
    cr_expect_str_eq(vka__path_name(&first, choice.path), vka__path_name(&first, path));
    cr_expect(!memcmp(&choice.tile, &tile, sizeof tile), "%u x %u, %u, %u: %s", choice.tile.br, choice.tile.bc,
              choice.tile.rm, choice.tile.tc, choice.why);
    cr_expect_str_eq(choice.why, why);
}

static void check_refusal(const vka__path_query *q, const char *field, const char *reason) {
    vka__path_choice choice;
    vka__refusal refusal = {0};
    cr_assert(!vka__path_choose(&first, q, &choice, &refusal));
    cr_expect_str_eq(refusal.field, field);
    cr_expect_str_eq(refusal.reason, reason);
}

/* The first rule of the class and the rows whose path can run, has a tile of its list and is profitable. */
Test(paths, rules) {
    vka_device_caps caps = gpu;
    made_up p = {.rows = 100, .width = 100};
    vka__path_query q = query_of(&caps, &p);
    check_choice(&q, PAIRS, pairs_tiles[0], "a GPU with pairs");
    q.rows = 9;
    check_choice(&q, PAIRS, pairs_tiles[0], "a GPU with pairs");
    p.rows = q.rows = 8;
    check_choice(&q, FEW, (vka__tile){8, 8, 8, 2}, "few rows");
    p.rows = q.rows = 100;
    p.width = 99;
    check_choice(&q, PLAIN, plain_tiles[0], "another GPU");
    p.width = 100;
    caps.f16_mixed_dot = false;
    check_choice(&q, PLAIN, plain_tiles[0], "another GPU");
    caps.f16_arithmetic = false;
    check_choice(&q, PLAIN, plain_tiles[0], "another GPU");
    p.rows = 20;
    check_choice(&q, PLAIN, plain_tiles[1], "another GPU"); /* the smallest that holds them */
    p.boxed = true;
    check_choice(&q, PLAIN, plain_tiles[2], "another GPU"); /* those behind the first three are for measurements */
    caps = gpu;
    caps.type = VKA_DEVICE_CPU;
    p.boxed = false;
    q.rows = 1;
    check_choice(&q, PLAIN, plain_tiles[1], "software");
    caps.shared_bytes = 799;
    check_refusal(&q, "input", "has no path on this device");
}

/* A tile that a binding can see goes before one that it can't, and any before none. */
Test(paths, bindable) {
    vka_device_caps caps = gpu;
    made_up p = {.rows = 8, .width = 100};
    vka__path_query q = query_of(&caps, &p);
    q.rows = 9;
    caps.storage_range = 3200;
    check_choice(&q, PAIRS, pairs_tiles[0], "a GPU with pairs");
    caps.storage_range = 3199;
    check_choice(&q, PLAIN, plain_tiles[2], "another GPU");
    p.rows = q.rows = 100; /* the rules' tiles have 32 and 64 rows */
    check_choice(&q, PLAIN, plain_tiles[2], "it can be bound");
    caps.storage_range = 799;
    check_choice(&q, PAIRS, pairs_tiles[0], "a GPU with pairs");
}

/* What a description asks for, worth it or not. */
Test(paths, asked) {
    vka_device_caps caps = gpu;
    made_up p = {.rows = 100, .width = 100};
    vka__path_query q = query_of(&caps, &p);
    const char *why = "the description asks for it";
    caps.f16_mixed_dot = false;
    q.path = PAIRS;
    check_choice(&q, PAIRS, pairs_tiles[0], why);
    caps.storage_range = 1600;
    check_choice(&q, PAIRS, pairs_tiles[1], why);
    caps.storage_range = 1599; /* whoever cuts it says what can't be bound */
    check_choice(&q, PAIRS, pairs_tiles[0], why);
    q.tile = pairs_tiles[1];
    check_choice(&q, PAIRS, pairs_tiles[1], why);
    q.tile.tc = 4;
    check_refusal(&q, "tile", "16 x 16, 2, 4 is none that path pairs has for this problem");
    q.tile = plain_tiles[0];
    check_refusal(&q, "tile", "64 x 16, 4, 8 is none that path pairs has for this problem");
    p.boxed = true; /* on the list, but does not fit */
    q.tile = pairs_tiles[1];
    check_refusal(&q, "tile", "16 x 16, 2, 8 is none that path pairs has for this problem");
    q.path = FEW; /* of which only the columns are a choice */
    q.tile = (vka__tile){1, 4, 1, 1};
    p.rows = 3;
    check_choice(&q, FEW, (vka__tile){3, 4, 3, 2}, why);
    q.tile.bc = 5;
    check_refusal(&q, "tile", "1 x 5, 1, 1 is none that path few has for this problem");
}

/* A path that is asked for has a tile even where it would choose none. */
Test(paths, asked_without_a_default) {
    vka_device_caps caps = gpu;
    made_up p = {.rows = 100, .width = 99}; /* pairs choose what is on no list */
    vka__path_query q = query_of(&caps, &p);
    q.path = PAIRS;
    check_choice(&q, PAIRS, pairs_tiles[0], "the description asks for it");
    caps.shared_bytes = 16 * 99;
    check_choice(&q, PAIRS, pairs_tiles[1], "the description asks for it");
}

Test(paths, asked_for_what_can_not_run) {
    vka_device_caps caps = gpu;
    made_up p = {.rows = 100, .width = 100};
    vka__path_query q = query_of(&caps, &p);
    q.path = ABSENT;
    check_refusal(&q, "path", "can't be absent: it is made up");
    q.path = PAIRS;
    caps.f16_arithmetic = false;
    q.tile = pairs_tiles[0];
    check_refusal(&q, "path", "can't be pairs: there are no pairs");
    caps.f16_arithmetic = true;
    caps.shared_bytes = 1599;
    q.tile = (vka__tile){0};
    check_refusal(&q, "path",
                  "can't be pairs: no tile for a width of 100 fits this device's registers, 1599 bytes of shared "
                  "memory and 256 invocations");
    p.boxed = true;
    check_refusal(&q, "path",
                  "can't be pairs: no tile for a width of 100 fits this device's registers, 1599 bytes of shared "
                  "memory and 256 invocations, and the box");
}

/* Everything that can run, in order, and nothing else. */
Test(paths, candidates) {
    vka_device_caps caps = gpu;
    caps.storage_range = 3200;
    const made_up p = {.rows = 5, .width = 100};
    const struct {
        uint32_t path;
        vka__tile tile;
    } all[] = {{PLAIN, {32, 16, 4, 8}}, {PLAIN, {8, 8, 1, 4}}, {PLAIN, {16, 8, 2, 4}}, {PAIRS, {32, 8, 2, 8}},
               {PAIRS, {16, 16, 2, 8}}, {FEW, {5, 4, 5, 2}},   {FEW, {5, 8, 5, 2}}};
    uint32_t path, count = sizeof all / sizeof *all;
    vka__tile tile;
    for (uint32_t i = 0; i < count; i++) {
        cr_assert(vka__path_candidate(&first, &caps, &p, i, &path, &tile), "%u", i);
        cr_expect_eq(path, all[i].path, "%u", i);
        cr_expect(!memcmp(&tile, &all[i].tile, sizeof tile), "%u", i);
    }
    cr_expect(!vka__path_candidate(&first, &caps, &p, count, &path, &tile));
    caps.f16_arithmetic = false;
    cr_expect(vka__path_candidate(&first, &caps, &p, 3, &path, &tile) && path == FEW);
    cr_expect(!vka__path_candidate(&first, &caps, &p, count - 2, &path, &tile));
}

Test(paths, names) {
    for (uint32_t i = 1; i < PATHS; i++) {
        cr_expect_eq(vka__path_named(&first, vka__path_name(&first, i)), i);
    }
    cr_expect_eq(vka__path_named(&first, "none"), 0);
    cr_expect_str_eq(vka__path_name(&first, NO_PATH), "none");
    cr_expect_str_eq(vka__path_name(&first, PATHS), "none");
}

/* ---- what was measured ------------------------------------------------------------------------------------------ */

#define RULE(class, path, tile)                                                                                        \
    "{\"dtype\": \"f16\", " class ", \"path\": \"" path "\", " tile ", \"workgroups\": 9, \"ms\": 0.5}"
#define TILE(br, bc, rm, tc) "\"row_tile\": " br ", \"column_tile\": " bc ", \"own\": " rm ", \"team\": " tc

static vka_status parse(const char *lists, vka__tuning *tuning, const char **why) {
    static const vka__paths *const operations[] = {&first, &second};
    char text[2048];
    vka__context ctx;
    cr_assert_eq(vka__context_init(&ctx, "test", &(vka_log){0}, &(vka_allocator){0}), VKA_OK);
    snprintf(text, sizeof text,
             "{\"vkattn_tuning\": 1, \"records\": [{\"vendor_id\": 1, \"device_id\": 2, \"driver_id\": 3, "
             "\"driver_version\": 4, %s}]}",
             lists);
    return vka__tuning_parse_lists(&ctx, &gpu, operations, 2, text, strlen(text), tuning, why);
}

static vka__tuning tuning_of(const char *lists) {
    vka__tuning tuning;
    const char *why = "";
    cr_assert_eq(parse(lists, &tuning, &why), VKA_OK, "%s: %s", lists, why);
    return tuning;
}

/* Each operation has a list of its own, and those of a newer writer are passed over. */
Test(paths, lists_of_operations) {
    vka__tuning t = tuning_of("\"later\": [{\"dtype\": 5}], \"second\": [" RULE(
        "\"width\": 128", "few",
        TILE("1", "4", "1",
             "1")) "], "
                   "\"even later\": 7, \"first\": [" RULE("\"width\": 64", "plain", TILE("8", "8", "1", "4")) ", " RULE(
                       "\"width\": 128, \"lines\": 16", "pairs", TILE("16", "16", "2", "8")) "]");
    const vka__tuning_class in = {VKA_F16, {100, 10, 1}}, small = {VKA_F16, {64, 10, 1}},
                            many = {VKA_F16, {100, 17, 1}}, other = {VKA_BF16, {64, 10, 1}};
    cr_assert_eq(t.count, 3);
    cr_expect_eq(vka__tuning_find(&t, &first, &in)->path, PAIRS);
    cr_expect_eq(vka__tuning_find(&t, &first, &small)->path, PLAIN);
    cr_expect_null(vka__tuning_find(&t, &first, &many));
    cr_expect_null(vka__tuning_find(&t, &first, &other));
    cr_expect_eq(vka__tuning_find(&t, &second, &many)->path, FEW);
    cr_expect_eq(vka__tuning_find(&t, &second, &many)->workgroups, 9);
    t = tuning_of("\"second\": []"); /* of the operations that there are some may be missing */
    cr_expect_eq(t.count, 0);
    const char *why;
    cr_expect_eq(parse("\"later\": []", &t, &why), VKA_INVALID);
    cr_expect_eq(parse("\"first\": [], \"second\": {}", &t, &why), VKA_INVALID);
    cr_expect_eq(parse("\"first\": 5, \"second\": []", &t, &why), VKA_INVALID);
}

/* The first number that differs says which class is narrower; all of them, whether a problem is in it. */
Test(paths, classes) {
    vka__tuning t =
        tuning_of("\"first\": [" RULE("\"width\": 128, \"depth\": 50", "plain", TILE("8", "8", "1", "4")) ", " RULE(
            "\"width\": 128, \"lines\": 16, \"depth_above\": 5", "few",
            TILE("8", "4", "1", "4")) ", " RULE("\"width\": 128, \"depth\": 20", "pairs",
                                                TILE("16", "16", "2", "8")) "]");
    const struct {
        uint32_t lines, depth, path;
    } cases[] = {{10, 6, FEW}, {10, 5, PAIRS}, {17, 20, PAIRS}, {17, 21, PLAIN}, {16, 51, FEW}, {17, 51, NO_PATH}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const vka__tuning_class in = {VKA_F16, {100, cases[i].lines, cases[i].depth}};
        const vka__tuning_rule *rule = vka__tuning_find(&t, &first, &in);
        cr_expect_eq(rule ? rule->path : NO_PATH, cases[i].path, "%zu", i);
    }
    const char *why;
    cr_expect_eq(parse("\"first\": [" RULE("\"lines\": 16", "plain", TILE("8", "8", "1", "4")) "]", &t, &why),
                 VKA_INVALID, "without its width");
    cr_expect_eq(
        parse("\"first\": [" RULE("\"width\": 16, \"lines\": \"1\"", "plain", TILE("8", "8", "1", "4")) "]", &t, &why),
        VKA_INVALID);
    cr_expect_eq(parse("\"first\": [" RULE("\"width\": 16", "coopmat", TILE("8", "8", "1", "4")) "]", &t, &why),
                 VKA_INVALID, "another operation's path");
}

/* A rule that can't be followed counts as absent. */
Test(paths, follows_a_record) {
    vka_device_caps caps = gpu;
    made_up p = {.rows = 100, .width = 100};
    vka__path_query q = query_of(&caps, &p);
    const char *measured = "the tuning record's measurements", *ruled = "another GPU";
    vka__tuning t = tuning_of("\"first\": [" RULE("\"width\": 128", "pairs", TILE("16", "16", "2", "8")) "]");
    vka__path_choice choice;
    vka__refusal refusal;
    q.tuning = &t;
    caps.f16_mixed_dot = false; /* not worth it, by the rules */
    check_choice(&q, PAIRS, pairs_tiles[1], measured);
    cr_assert(vka__path_choose(&first, &q, &choice, &refusal));
    cr_expect_eq(choice.workgroups, 9);
    caps.storage_range = 1600;
    check_choice(&q, PAIRS, pairs_tiles[1], measured);
    caps.storage_range = 1599;
    check_choice(&q, PLAIN, plain_tiles[2], "it can be bound");
    caps.storage_range = gpu.storage_range;
    p.boxed = true;
    check_choice(&q, PLAIN, plain_tiles[2], ruled);
    p.boxed = false;
    caps.f16_arithmetic = false;
    check_choice(&q, PLAIN, plain_tiles[0], ruled);
    cr_assert(vka__path_choose(&first, &q, &choice, &refusal));
    cr_expect_eq(choice.workgroups, 0);
    caps.f16_arithmetic = true;
    q.path = PLAIN; /* the description goes first */
    check_choice(&q, PLAIN, plain_tiles[0], "the description asks for it");
    q.path = NO_PATH;
    q.in.size[0] = 129;
    check_choice(&q, PLAIN, plain_tiles[0], ruled);
    cr_assert(vka__path_choose(&second, &q, &choice, &refusal));
    cr_expect_str_eq(choice.why, ruled, "another operation's record");
}
