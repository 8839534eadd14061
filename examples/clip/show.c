/* SPDX-License-Identifier: MIT */
#include "show.h"

#include "common/canvas.h"
#include "common/program.h"
#include "lens/lens.h"
#include "vision/attribution.h"
#include "vision/heat.h"
#include "vision/relevance.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    FOUND = 6,   /* pictures for each caption */
    ANSWERS = 4, /* captions for each picture */
    MAPS = 3,    /* words of a caption that could be others */
    SCALE = 7,   /* pixels of a pixel */
    TILE = SCALE * SCENE_SIDE,
    GAP = 14,
    STEP = TILE + GAP,
    MARGIN = 12,
    TOP = 34,
    LETTERS = 48, /* of a caption as text */
    TEXT = 200,   /* how wide a caption is drawn */
    ANSWER_TEXT = TEXT + 40,
    ROW = TILE + 26,
    LEGEND = 30
};

static const colour black = {0, 0, 0}, grey = {150, 150, 150}, green = {0, 150, 60}, red = {200, 0, 0};

static void save(canvas *c, const char *path) {
    if (!canvas_save(c, path)) {
        exit(1);
    }
    canvas_free(c);
}

static void draw(canvas *c, uint32_t x, uint32_t y, const scene *s, const double *numbers, colour frame) {
    const heat_picture p = {.pixels = s->pixels, .side = SCENE_SIDE, .patch = SCENE_PATCH, .scale = SCALE};
    heat_draw(c, x, y, &p, numbers, frame);
}

static bool is_true(const caption *c, uint32_t meaning) {
    for (uint32_t kind = 0; kind < CAPTION_KINDS; kind++) {
        const caption other = caption_of(meaning, kind);
        if (memcmp(&other, c, sizeof other) == 0) {
            return true;
        }
    }
    return false;
}

/* ---- pictures ------------------------------------------------------------------------------------------------ */

static void show_found(const show *s, canvas *c, uint32_t y, const caption *words, const float *text) {
    const judged *j = s->judged;
    uint32_t best[FOUND];
    char line[LETTERS];
    caption_text(words, line, sizeof line);
    printf("%s\n", line);
    canvas_text(c, MARGIN, y + 6, 1, line, black);
    judged_best(j, text, j->images, FOUND, best);
    for (uint32_t i = 0; i < FOUND; i++) {
        const double cosine = judged_cosine(text, j->images + (size_t)best[i] * j->size, j->size);
        const bool right = is_true(words, best[i]);
        const uint32_t x = TEXT + i * STEP;
        draw(c, x, y, &j->scenes[best[i]], NULL, right ? green : grey);
        caption_text(&j->captions[best[i]], line, sizeof line);
        printf("%6.2f  %s%s\n", cosine, line, right ? "  *" : "");
        snprintf(line, sizeof line, "%.2f%s", cosine, right ? " right" : "");
        canvas_text(c, x, y + TILE + 6, 1, line, right ? green : black);
    }
}

void show_pictures(const show *s, const caption *captions, uint32_t count, const char *path) {
    canvas c = canvas_create(TEXT + FOUND * STEP, TOP + count * ROW);
    float *texts = allocate((size_t)count * s->judged->size, sizeof *texts);
    judged_embed_captions(captions, count, s->model, s->evaluation, texts);
    canvas_text(&c, MARGIN, 12, 1, "a caption", black);
    canvas_text(&c, TEXT, 12, 1, "the pictures that are most like it, with cosines", black);
    for (uint32_t i = 0; i < count; i++) {
        show_found(s, &c, TOP + i * ROW, &captions[i], texts + (size_t)i * s->judged->size);
    }
    free(texts);
    save(&c, path);
}

/* ---- words --------------------------------------------------------------------------------------------------- */

/* A map of one word. */
typedef struct job {
    uint32_t row, at; /* which caption, which word */
    uint32_t column;
} job;

typedef struct words {
    const show *show;
    const caption *captions;
    uint32_t count, jobs;
    job list[SHOW_MOST * MAPS];
    double maps[SHOW_MOST * MAPS][SCENE_PATCHES];
    uint32_t pictures[SHOW_MOST]; /* that captions find */
    float *texts;                 /* [count, size] */
    attribution attribution;
    canvas canvas;
} words;

/* The embedding of the caption less the mean of those that say another thing there. */
static void direction(const words *w, const job *b, float *to) {
    const uint32_t size = w->show->judged->size;
    caption others[DIGIT_CLASSES - 1];
    const uint32_t count = caption_others(&w->captions[b->row], b->at, others);
    float *texts = allocate((size_t)count * size, sizeof *texts);
    judged_embed_captions(others, count, w->show->model, w->show->evaluation, texts);
    for (uint32_t i = 0; i < size; i++) {
        to[i] = w->texts[(size_t)b->row * size + i];
        for (uint32_t k = 0; k < count; k++) {
            to[i] -= texts[(size_t)k * size + i] / (float)count;
        }
    }
    free(texts);
}

/* Of a map, and behind the last one of captions. */
static uint32_t column_x(uint32_t column) {
    return TEXT + STEP + GAP + column * STEP;
}

static void draw_map(words *w, uint32_t which) {
    const job *b = &w->list[which];
    const uint32_t x = column_x(b->column), y = TOP + b->row * ROW;
    draw(&w->canvas, x, y, &w->show->judged->scenes[w->pictures[b->row]], w->maps[which], grey);
    canvas_text(&w->canvas, x, y + TILE + 6, 1, caption_word(&w->captions[b->row], b->at), black);
}

/* A batch of pictures at once, each with the direction of one word. */
static void run_jobs(words *w, uint32_t first, uint32_t count) {
    const uint32_t size = w->show->judged->size;
    float *d_result = vka_buffer_map(w->attribution.d_result);
    attribution_maps maps = attribution_maps_create(&w->attribution);
    for (uint32_t i = 0; i < count; i++) {
        const job *b = &w->list[first + i];
        direction(w, b, d_result + (size_t)i * size);
        model_set_picture(w->show->model, i, &w->show->judged->scenes[w->pictures[b->row]]);
    }
    attribution_run(&w->attribution);
    for (uint32_t i = 0; i < count; i++) {
        attribution_read(&w->attribution, i, &maps);
        relevance_by_gradients(&maps, w->maps[first + i]);
    }
    attribution_maps_free(&maps);
}

/* The caption, the picture that it finds, and the captions that this finds. */
static void draw_row(words *w, uint32_t row) {
    const judged *j = w->show->judged;
    const uint32_t picture = w->pictures[row], y = TOP + row * ROW;
    const float *image = j->images + (size_t)picture * j->size;
    uint32_t best[ANSWERS];
    char line[LETTERS], text[LETTERS + 8];
    caption_text(&w->captions[row], line, sizeof line);
    canvas_text(&w->canvas, MARGIN, y + 6, 1, line, black);
    draw(&w->canvas, TEXT, y, &j->scenes[picture], NULL, is_true(&w->captions[row], picture) ? green : red);
    judged_best(j, image, j->texts, ANSWERS, best);
    for (uint32_t i = 0; i < ANSWERS; i++) {
        caption_text(&j->captions[best[i]], line, sizeof line);
        snprintf(text, sizeof text, "%.2f %s", judged_cosine(image, j->texts + (size_t)best[i] * j->size, j->size),
                 line);
        canvas_text(&w->canvas, column_x(MAPS) + GAP, y + 6 + i * 18, 1, text, best[i] == picture ? green : black);
    }
}

/* The words of all captions that could be others, of which a caption has at most MAPS in front. */
static void list_jobs(words *w) {
    caption others[DIGIT_CLASSES - 1];
    for (uint32_t row = 0; row < w->count; row++) {
        uint32_t column = 0;
        for (uint32_t at = 0; at < CAPTION_WORDS && column < MAPS; at++) {
            if (caption_others(&w->captions[row], at, others)) {
                w->list[w->jobs++] = (job){row, at, column++};
            }
        }
    }
}

/* Finds a picture for each caption, and makes a map for each of their words. */
static void words_begin(words *w) {
    const judged *j = w->show->judged;
    const uint32_t batch = w->show->model->desc.batch;
    w->texts = allocate((size_t)w->count * j->size, sizeof *w->texts);
    judged_embed_captions(w->captions, w->count, w->show->model, w->show->evaluation, w->texts);
    list_jobs(w);
    for (uint32_t i = 0; i < w->count; i++) {
        judged_best(j, w->texts + (size_t)i * j->size, j->images, 1, &w->pictures[i]);
    }
    attribution_create(&w->attribution, &w->show->model->patches, true);
    for (uint32_t first = 0; first < w->jobs; first += batch) {
        run_jobs(w, first, w->jobs - first < batch ? w->jobs - first : batch);
    }
}

static void words_end(words *w) {
    attribution_destroy(&w->attribution);
    free(w->texts);
}

void show_words(const show *s, const caption *captions, uint32_t count, const char *path) {
    words w = {.show = s, .captions = captions, .count = count};
    words_begin(&w);
    w.canvas = canvas_create(column_x(MAPS) + GAP + ANSWER_TEXT, TOP + count * ROW + LEGEND);
    canvas_text(&w.canvas, MARGIN, 12, 1, "a caption", black);
    canvas_text(&w.canvas, TEXT, 12, 1, "its picture", black);
    canvas_text(&w.canvas, column_x(0), 12, 1, "what makes a word fit better than others in its place", black);
    canvas_text(&w.canvas, column_x(MAPS) + GAP, 12, 1, "the captions most like the picture", black);
    for (uint32_t i = 0; i < count; i++) {
        draw_row(&w, i);
    }
    for (uint32_t i = 0; i < w.jobs; i++) {
        draw_map(&w, i);
    }
    heat_legend(&w.canvas, column_x(0), TOP + count * ROW + 4);
    words_end(&w);
    save(&w.canvas, path);
}

/* ---- a page -------------------------------------------------------------------------------------------------- */

void show_page(const show *s, const caption *words_of, const char *path) {
    enum { PIXELS = 12, SIDE = PIXELS * SCENE_SIDE };
    static uint8_t rgb[SIDE * SIDE][3];
    words w = {.show = s, .captions = words_of, .count = 1};
    words_begin(&w);
    float shares[MAPS][SCENE_PATCHES];
    const char *texts[MAPS], *keys[SCENE_PATCHES] = {NULL};
    for (uint32_t i = 0; i < w.jobs; i++) {
        double sum = 0;
        texts[i] = caption_word(words_of, w.list[i].at);
        for (uint32_t k = 0; k < SCENE_PATCHES; k++) {
            sum += w.maps[i][k];
        }
        for (uint32_t k = 0; k < SCENE_PATCHES; k++) {
            shares[i][k] = sum > 0 ? (float)(w.maps[i][k] / sum) : 0;
        }
    }
    heat_pixels(&(heat_picture){.pixels = s->judged->scenes[w.pictures[0]].pixels, .side = SCENE_SIDE, .scale = PIXELS},
                rgb);
    char title[LETTERS];
    caption_text(words_of, title, sizeof title);
    lens l = {.title = title,
              .queries = texts,
              .keys = keys,
              .layers = 1,
              .heads = 1,
              .n = w.jobs,
              .m = SCENE_PATCHES,
              .probabilities = shares[0],
              .key_picture = {.pixels = rgb[0], .width = SIDE, .height = SIDE, .channels = 3}};
    l.key_picture.rows = l.key_picture.columns = SCENE_SIDE / SCENE_PATCH;
    words_end(&w);
    if (!lens_write(&l, path)) {
        fail("%s: %s", path, strerror(errno));
    }
}
