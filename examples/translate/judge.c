/* SPDX-License-Identifier: MIT */
#include "judge.h"

#include "common/program.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint32_t judge_batch(greedy *g, random_state *r) {
    const uint32_t batch = g->model->desc.batch;
    date_pair *pairs = allocate(batch, sizeof *pairs);
    uint32_t right = 0;
    for (uint32_t i = 0; i < batch; i++) {
        pairs[i] = date_draw(r, true);
        model_set_source(g->model, i, pairs[i].source);
        model_set_target(g->model, i, pairs[i].target);
    }
    greedy_run(g);
    for (uint32_t i = 0; i < batch; i++) {
        char text[DATE_TARGET + 1];
        greedy_get(g, i, text);
        right += strcmp(text, pairs[i].target) == 0;
    }
    free(pairs);
    return right;
}

double judge_all(greedy *g) {
    const uint32_t count = JUDGED_BATCHES * g->model->desc.batch;
    random_state r = random_seed(0, "judging");
    double right = 0;
    for (int i = 0; i < JUDGED_BATCHES; i++) {
        right += judge_batch(g, &r);
    }
    printf("%.2f %% of %" PRIu32 " dates are right, of days it never saw\n", 100 * right / count, count);
    return right / count;
}
