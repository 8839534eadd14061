/* Block maps on devices that have less, or more at once, than the one that is here, and of several threads.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <pthread.h>

#include "core/core.h"
#include "pattern_check.h"
#include "support/app.h"

static void on_device(const device_config *config) {
    context c;
    context_open(&c, config);
    ref_rng rng = ref_rng_seed(test_seed());
    for (int kind = 0; kind <= LAST_PATTERN_KIND; kind++) {
        pattern_check_kind(&c, &rng, (vka_pattern_kind)kind, 210, 210, 2);
        pattern_check_kind(&c, &rng, (vka_pattern_kind)kind, 144, 144, 0);
    }
    context_close(&c);
}

Test(pattern_devices, gpu) {
    on_device(&config_gpu);
}

/* Rows of more tiles than are looked at together, with gaps: keys that all see, and documents that return. */
static void check_long_rows(const device_config *config) {
    static const uint32_t tokens[] = {0, 1, 40, 1999, 2000, 4990};
    static int32_t ids[5003];
    context c;
    context_open(&c, config);
    for (int i = 0; i < 5003; i++) {
        ids[i] = i / 100 % 7;
    }
    vka_pattern_desc d = {.queries = 50,
                          .keys = 5003,
                          .query_tile = 16,
                          .key_tile = 32,
                          TERMS({VKA_PATTERN_GLOBAL, .global = {tokens, 6, true}},
                                {VKA_PATTERN_DOCUMENTS, .documents = {ids}},
                                {VKA_PATTERN_GLOBAL, .global = {tokens + 2, 1}})};
    pattern_check(&c, &d);
    context_close(&c);
}

Test(pattern_devices, long_rows) {
    check_long_rows(&config_real);
}

Test(pattern_devices, long_rows_gpu) {
    check_long_rows(&config_gpu);
}

/* From tiles that share an invocation's turn to tiles that fill the room that there is. */
Test(pattern_devices, gpu_tiles) {
    static const uint32_t tiles[][2] = {{16, 32}, {64, 128}, {128, 128}};
    context c;
    context_open(&c, &config_gpu);
    for (int i = 0; i < 3; i++) {
        vka_pattern_desc d = {
            .queries = 1001,
            .keys = 1030,
            .query_tile = tiles[i][0],
            .key_tile = tiles[i][1],
            TERMS({VKA_PATTERN_WINDOW, .window = {90, 150, 3}}, {VKA_PATTERN_WINDOW, .window = {300, 5}})};
        pattern_check(&c, &d);
    }
    context_close(&c);
}

Test(pattern_devices, tiny) {
    on_device(&config_tiny);
}

Test(pattern_devices, no_sub) {
    on_device(&config_no_sub);
}

Test(pattern_devices, staged) {
    on_device(&config_staged);
}

Test(pattern_devices, few_groups) {
    on_device(&config_few_groups);
}

Test(pattern_devices, few_buffers) {
    on_device(&config_few_buffers);
}

/* Without a queue the host builds, where mapped memory is. */
Test(pattern_devices, without_queue) {
    context_require_device();
    app a;
    app_open(&a, VK_API_VERSION_1_1, true);
    vka_import_desc desc = app_import(&a);
    context c = {.config = &config_real};
    desc.queue = VK_NULL_HANDLE;
    EXPECT_OK(vka__device_import(&desc, sizeof desc, (vka__narrowing){config_staged.narrow, NULL}, &c.device));
    vka_pattern_desc d = {.queries = 100, .keys = 70, TERMS({VKA_PATTERN_WINDOW, .window = {3, 4}})};
    vka_pattern *pattern = (vka_pattern *)(void *)&d;
    d.build = VKA_PATTERN_BUILD_DEVICE;
    EXPECT_FAILURE(vka_pattern_create(c.device, &d, &pattern), VKA_UNSUPPORTED, "vka_pattern_create.build");
    cr_expect_null(pattern);
    built automatic = built_make(&c, &d, VKA_PATTERN_BUILD_AUTO);
    built_check(&c, &automatic, &d);
    built_free(&automatic);
    vka_device_destroy(&c.device);
    app_close(&a);
    context_check("without queue");
}

/* A map that a binding does not see all of. */
Test(pattern_devices, too_large) {
    context c;
    context_open(&c, &config_short);
    vka_pattern_desc d = {.queries = 4000,
                          .keys = 4000,
                          .query_tile = 16,
                          .key_tile = 32,
                          TERMS({VKA_PATTERN_WINDOW, .window = {500, 500}})};
    for (int how = VKA_PATTERN_BUILD_AUTO; how <= VKA_PATTERN_BUILD_HOST; how++) {
        vka_pattern *pattern = (vka_pattern *)(void *)&d;
        d.build = (vka_pattern_build)how;
        EXPECT_FAILURE(vka_pattern_create(c.device, &d, &pattern), VKA_UNSUPPORTED, "vka_pattern_create");
        cr_expect_null(pattern);
    }
    context_close(&c);
}

/* ---- threads ---------------------------------------------------------------------------------------------------- */

enum { THREADS = 4, ROUNDS = 3 };

typedef struct work {
    const context *c;
    const vka_pattern_desc *d;
    built b[ROUNDS];
} work;

static void *build_often(void *user) {
    work *w = user;
    for (int i = 0; i < ROUNDS; i++) {
        w->b[i] = built_make(w->c, w->d, (vka_pattern_build)(i % 3));
    }
    return NULL;
}

Test(pattern_devices, threads) {
    context c;
    context_open(&c, &config_real);
    ref_rng rng = ref_rng_seed(test_seed());
    vka_pattern_desc d;
    pattern_storage s;
    pattern_draw(&rng, 144, 144, 2, &s, &d);
    pthread_t threads[THREADS];
    work works[THREADS];
    for (int i = 0; i < THREADS; i++) {
        works[i] = (work){.c = &c, .d = &d};
        cr_assert_eq(pthread_create(&threads[i], NULL, build_often, &works[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    for (int i = 0; i < THREADS * ROUNDS; i++) {
        built_expect_same(&works[0].b[0], &works[i / ROUNDS].b[i % ROUNDS], "thread");
    }
    for (int i = 0; i < THREADS * ROUNDS; i++) {
        built_free(&works[i / ROUNDS].b[i % ROUNDS]);
    }
    pattern_free(&s);
    context_close(&c);
}
