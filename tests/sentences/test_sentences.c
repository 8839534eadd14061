/* The example `sentences`: how text is cut into pieces, the model against its definition, what is refused, and the
 * program. A small model with random weights; and the real one where tools/fetch-models has put it.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "examples/sentences/encoder.h"
#include "examples/sentences/gradients.h"
#include "reference/reference.h"
#include "sentences/tiny.h"
#include "support/context.h"

#define real       double
#define NAME(name) name##_f64
#include "sentences/reference.inc"
#undef real
#undef NAME
#define real       float
#define NAME(name) name##_f32
#include "sentences/reference.inc"
#undef real
#undef NAME

/* ---- files ------------------------------------------------------------------------------------------------------- */

typedef struct folder {
    char path[64], model[96], words[96], saved[96], page[96], sheet[96];
} folder;

static void folder_create(folder *f) {
    strcpy(f->path, "/tmp/vkattn-sentences-XXXXXX");
    cr_assert_not_null(mkdtemp(f->path));
    snprintf(f->model, sizeof f->model, "%s/model.safetensors", f->path);
    snprintf(f->words, sizeof f->words, "%s/vocabulary.txt", f->path);
    snprintf(f->saved, sizeof f->saved, "%s/saved.safetensors", f->path);
    snprintf(f->page, sizeof f->page, "%s/page.html", f->path);
    snprintf(f->sheet, sizeof f->sheet, "%s/sheet.png", f->path);
}

static void folder_remove(folder *f) {
    unlink(f->model);
    unlink(f->words);
    unlink(f->saved);
    unlink(f->page);
    unlink(f->sheet);
    cr_expect_eq(rmdir(f->path), 0);
}

static void write_text(const char *path, const char *text, size_t length) {
    FILE *file = fopen(path, "wb");
    cr_assert(file && fwrite(text, 1, length, file) == length && fclose(file) == 0);
}

/* The folder of the real model, or NULL and a skip. */
static const char *real_model(void) {
    static char path[4096];
    const char *models = getenv("VKATTN_MODELS"), *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (models) {
        snprintf(path, sizeof path, "%s/sentences", models);
    } else if (cache) {
        snprintf(path, sizeof path, "%s/vkattn/models/sentences", cache);
    } else {
        snprintf(path, sizeof path, "%s/.cache/vkattn/models/sentences", home ? home : "");
    }
    char file[4200];
    snprintf(file, sizeof file, "%s/model.safetensors", path);
    if (access(file, R_OK) != 0) {
        cr_skip_test("no weights in %s: tools/fetch-models fetches them", path);
    }
    return path;
}

/* ---- what is refused --------------------------------------------------------------------------------------------- */

static void expect_refusal(const tiny_model *m, const folder *f, const char *rule) {
    weights w;
    complaint why = {""};
    char want[320];
    tiny_write(m, f->model);
    snprintf(want, sizeof want, "%s: %s", f->model, rule);
    cr_expect(!weights_open(&w, f->model, &why));
    cr_expect_str_eq(why.text, want);
    cr_expect_null(w.file);
}

Test(sentences, malformed_weights) {
    folder f;
    tiny_model m;
    weights w;
    complaint why;
    folder_create(&f);
    tiny_create(&m, 1);
    tiny_write(&m, f.model);
    cr_assert(weights_open(&w, f.model, &why), "%s", why.text);
    cr_expect(w.layers == 2 && w.layer[0].residual.weight && !w.layer[1].residual.weight);
    weights_close(&w);

    for (uint32_t i = 0; i < m.count; i++) { /* each one is needed, but for the last layer as a whole */
        char name[64], rule[320];
        strcpy(name, m.names[i]);
        snprintf(rule, sizeof rule, "%s is missing", name);
        strcpy(m.names[i], "another");
        if (strcmp(name, "layers.1.self_attn.in_proj_weight") != 0) {
            expect_refusal(&m, &f, rule);
        }
        strcpy(m.names[i], name);
    }
    vka_safetensor *t = tiny_find(&m, "layers.1.linear1.weight"), kept = *t;
    t->shape[1]--, t->bytes -= t->shape[0] * 4;
    expect_refusal(&m, &f, "dimension 1 of layers.1.linear1.weight is 23, but must be 24");
    *t = kept;
    t->rank = 1, t->shape[0] *= t->shape[1];
    expect_refusal(&m, &f, "layers.1.linear1.weight has 1 dimensions, but must have 2");
    *t = kept;
    t->dtype = VKA_I32;
    expect_refusal(&m, &f, "layers.1.linear1.weight has the type I32, but must be F32");
    *t = kept;
    t = tiny_find(&m, "hidden.weight"), kept = *t;
    t->shape[0] = 0, t->bytes = 0;
    expect_refusal(&m, &f, "dimension 0 of hidden.weight is 0, but must be 1 .. 1048576");
    *t = kept;
    m.heads = "7";
    expect_refusal(&m, &f, "layers.0.self_attn.in_proj_weight has 48 rows, which are not three times 7 heads");
    m.heads = "0";
    expect_refusal(&m, &f, "heads, in its metadata, is 0, but must be a number from 1 on");
    m.heads = NULL;
    expect_refusal(&m, &f, "heads, in its metadata, is missing, but must be a number from 1 on");
    tiny_destroy(&m);
    write_text(f.model, "nonsense", 8);
    cr_expect(!weights_open(&w, f.model, &why));
    cr_expect(strstr(why.text, f.model) == why.text && strstr(why.text, ": the header has "), "%s", why.text);
    folder_remove(&f);
}

/* ---- the model --------------------------------------------------------------------------------------------------- */

/* Sentences of so many pieces each, one behind the other. */
typedef struct drawn {
    int32_t ids[1024], offsets[16];
    uint32_t sentences;
} drawn;

static drawn draw(const weights *w, ref_rng *rng, const uint32_t *lengths, uint32_t sentences) {
    drawn d = {.sentences = sentences};
    for (uint32_t s = 0; s < sentences; s++) {
        d.offsets[s + 1] = d.offsets[s] + (int32_t)lengths[s];
    }
    for (int32_t i = 0; i < d.offsets[sentences]; i++) {
        d.ids[i] = (int32_t)ref_rng_below(rng, w->pieces);
    }
    return d;
}

/* An embedding of n ids, and probabilities [layers, heads, n, n] where there are any. Returns the largest error. */
static double compare(const weights *w, const int32_t *ids, uint32_t n, const float *out, const float *p) {
    size_t pairs = (size_t)w->layers * w->heads * n * n;
    double *want = malloc(w->outputs * sizeof *want), *want_p = calloc(pairs + 1, sizeof *want_p);
    float *naive = malloc(w->outputs * sizeof *naive), *naive_p = calloc(pairs + 1, sizeof *naive_p);
    ref_error e = {0}, e_p = {0};
    embed_f64(w, ids, n, NULL, want, want_p);
    embed_f32(w, ids, n, NULL, naive, naive_p);
    for (uint32_t i = 0; i < w->outputs; i++) {
        ref_error_add(&e, out[i], naive[i], want[i]);
    }
    for (size_t i = 0; p && i < pairs; i++) {
        ref_error_add(&e_p, p[i], naive_p[i], want_p[i]);
    }
    cr_expect(ref_error_ok(&e), "%u pieces: off by %g, naive by %g", n, e.out, e.naive);
    cr_expect(ref_error_ok(&e_p), "%u pieces, probabilities: off by %g, naive by %g", n, e_p.out, e_p.naive);
    free(want);
    free(want_p);
    free(naive);
    free(naive_p);
    return e.out;
}

static float *probabilities_of(const weights *w, encoder *e, uint32_t sentence, uint32_t n) {
    size_t layer = (size_t)w->heads * n * n;
    float *p = malloc((w->layers * layer + 1) * sizeof *p);
    complaint why;
    memset(p, 0xff, w->layers * layer * sizeof *p);
    for (uint32_t l = 0; l < w->layers; l++) {
        cr_assert(encoder_attention(e, l, sentence, n, p + l * layer, &why), "%s", why.text);
    }
    return p;
}

static void open_tiny(context *c, weights *w) {
    folder f;
    tiny_model m;
    complaint why;
    context_open(c, &config_real);
    folder_create(&f);
    tiny_create(&m, test_seed());
    tiny_write(&m, f.model);
    cr_assert(weights_open(w, f.model, &why), "%s", why.text);
    tiny_destroy(&m);
    folder_remove(&f); /* what is open stays */
}

static void compare_cosines(const context *c, const float *out, uint32_t sentences, uint32_t outputs) {
    float cosines[3 * 16];
    complaint why;
    memset(cosines, 0xff, sizeof cosines);
    cr_assert(cosines_of(c->device, out, outputs, sentences, 2, 3, cosines, &why), "%s", why.text);
    for (uint32_t i = 0; i < 3 * sentences; i++) {
        double want = 0;
        for (uint32_t k = 0; k < outputs; k++) {
            want += (double)out[(2 + i / sentences) * outputs + k] * (double)out[i % sentences * outputs + k];
        }
        cr_expect(fabs((double)cosines[i] - want) < 1e-6, "%u: %g, not %g", i, (double)cosines[i], want);
    }
}

/* One recording, for batches of many kinds: full, with empty sentences, and with fewer of them. */
Test(sentences, tiny_model) {
    static const uint32_t lengths[][7] = {{1, 7, 0, 128, 3, 33, 2}, {0, 5, 0}, {128}, {0}};
    static const uint32_t sentences[] = {7, 3, 1, 1};
    context c;
    weights w;
    complaint why;
    open_tiny(&c, &w);
    ref_rng rng = ref_rng_seed(test_seed() + 1);
    encoder *e = encoder_create(c.device, &w, &(encoder_desc){174, 7, true}, &why);
    cr_assert_not_null(e, "%s", why.text);
    for (int i = 0; i < 4; i++) {
        drawn d = draw(&w, &rng, lengths[i], sentences[i]);
        float *out = malloc(d.sentences * w.outputs * sizeof *out);
        memset(out, 0xff, d.sentences * w.outputs * sizeof *out);
        cr_assert(encoder_run(e, &(token_batch){d.ids, d.offsets, d.sentences}, out, &why), "%s", why.text);
        for (uint32_t s = 0; s < d.sentences; s++) {
            float *p = probabilities_of(&w, e, s, lengths[i][s]);
            compare(&w, d.ids + d.offsets[s], lengths[i][s], out + s * w.outputs, p);
            free(p);
        }
        if (i == 0) {
            compare_cosines(&c, out, d.sentences, w.outputs);
        }
        free(out);
    }
    drawn d = draw(&w, &rng, (const uint32_t[]){128, 47}, 2);
    float out[64];
    cr_expect(!encoder_run(e, &(token_batch){d.ids, d.offsets, 2}, out, &why));
    cr_expect_str_eq(why.text, "a batch of 2 sentences with 175 pieces is beyond 7 with 174");
    encoder_destroy(&e);
    weights_close(&w);
    context_close(&c);
}

/* ---- integrated gradients ---------------------------------------------------------------------------------------- */

/* f(x), the product of an embedding with `toward`, where piece i has shares[i] of its vector. */
static double product_f64(const weights *w, const int32_t *ids, uint32_t n, const double *shares, const float *toward) {
    double *out = malloc(w->outputs * sizeof *out), *p = malloc((size_t)w->layers * w->heads * n * n * sizeof *p),
           sum = 0;
    embed_f64(w, ids, n, shares, out, p);
    for (uint32_t i = 0; i < w->outputs; i++) {
        sum += out[i] * (double)toward[i];
    }
    free(out);
    free(p);
    return sum;
}

/* By central differences of float64, whose error, of about 1e-9, is far below that of float32. */
static double attribution_f64(const weights *w, const gradients_desc *d, uint32_t which) {
    static const double step = 1e-6;
    double shares[MAX_TOKENS], sum = 0;
    for (uint32_t k = 0; k < d->steps; k++) {
        for (uint32_t i = 0; i < d->n; i++) {
            shares[i] = (k + 0.5) / d->steps;
        }
        shares[which] += step;
        double above = product_f64(w, d->ids, d->n, shares, d->toward);
        shares[which] -= 2 * step;
        sum += (above - product_f64(w, d->ids, d->n, shares, d->toward)) / (2 * step) / d->steps;
    }
    return sum;
}

static double missed(const gradients_result *r, uint32_t n) {
    double sum = 0;
    for (uint32_t i = 0; i < n; i++) {
        sum += (double)r->values[i];
    }
    return fabs(sum - r->value + r->baseline);
}

/* The accuracy rule, with nothing granted for a naive computation: 1e-5. */
static void compare_gradients(const weights *w, const gradients_desc *d, const gradients_result *r) {
    ref_error e = {0};
    double shares[MAX_TOKENS] = {0}, baseline = product_f64(w, d->ids, d->n, shares, d->toward);
    double value = product_f64(w, d->ids, d->n, NULL, d->toward);
    for (uint32_t i = 0; i < d->n; i++) {
        double want = attribution_f64(w, d, i);
        ref_error_add(&e, r->values[i], want, want);
    }
    ref_error_add(&e, r->value, value, value);
    ref_error_add(&e, r->baseline, baseline, baseline);
    cr_expect(ref_error_ok(&e), "%u pieces, %u steps: off by %g", d->n, d->steps, e.out);
}

/* Of a batch that is not full, of several, and of pieces so many that each point is a batch of its own. */
Test(sentences, integrated_gradients) {
    static const uint32_t lengths[] = {1, 9, 33}, steps[] = {1, 5, 35};
    context c;
    weights w;
    complaint why;
    open_tiny(&c, &w);
    ref_rng rng = ref_rng_seed(test_seed() + 2);
    float toward[64] = {0};
    for (uint32_t i = 0; i < w.outputs; i++) {
        toward[i] = (float)ref_rng_normal(&rng) / 4;
    }
    for (int i = 0; i < 3; i++) {
        drawn d = draw(&w, &rng, &lengths[i], 1);
        gradients_desc desc = {.ids = d.ids, .n = lengths[i], .toward = toward, .steps = steps[i]};
        gradients_result r;
        memset(&r, 0xff, sizeof r);
        cr_assert(integrate_gradients(c.device, &w, &desc, &r, &why), "%s", why.text);
        compare_gradients(&w, &desc, &r);
    }
    drawn d = draw(&w, &rng, (const uint32_t[]){128}, 1);
    gradients_desc desc = {.ids = d.ids, .n = 128, .toward = toward, .steps = 2};
    gradients_result few, many;
    cr_assert(integrate_gradients(c.device, &w, &desc, &few, &why), "%s", why.text);
    desc.steps = 64;
    cr_assert(integrate_gradients(c.device, &w, &desc, &many, &why), "%s", why.text);
    cr_expect(missed(&many, 128) < 1e-3 && missed(&many, 128) < missed(&few, 128), "2 steps miss by %g, 64 by %g",
              missed(&few, 128), missed(&many, 128));
    desc.steps = 0;
    cr_expect(!integrate_gradients(c.device, &w, &desc, &few, &why));
    cr_expect_str_eq(why.text, "integrated gradients need 1 .. 128 pieces, and steps");
    weights_close(&w);
    context_close(&c);
}

/* ---- the real one ------------------------------------------------------------------------------------------------ */

/* The first numbers of embeddings in the publisher's own test (energetic-ai, packages/model-embeddings-en), and cosines
 * there. */
static const struct {
    const char *text;
    uint32_t numbers;
    double first[4];
} published[] = {
    {"the fox jumped over the lazy dog",
     4,
     {0.008737042546272278, -0.06425978243350983, -0.023135116323828697, -0.04392963647842407}},
    {"hello world", 1, {-0.05149651691317558}},
    {"Fruit is healthy", 0, {0}},
    {"Fruit is delicious", 0, {0}},
    {"Embeddings are a powerful machine learning tool", 0, {0}},
    {"How old are you?", 0, {0}},
    {"What is your age?", 0, {0}},
    {"See you at 5:30 :) \xef\xac\x81ne caf\xc3\xa9 \xe6\x97\xa5\xe6\x9c\xac", 0, {0}},
};
enum { PUBLISHED = sizeof published / sizeof *published };

static double cosine(const float *a, const float *b, uint32_t n) {
    double sum = 0;
    for (uint32_t i = 0; i < n; i++) {
        sum += (double)a[i] * (double)b[i];
    }
    return sum;
}

static drawn cut_published(const char *model) {
    char path[4200];
    vocabulary v;
    complaint why;
    drawn d = {.sentences = PUBLISHED};
    snprintf(path, sizeof path, "%s/vocabulary.txt", model);
    cr_assert(vocabulary_open(&v, path, &why), "%s", why.text);
    EXPECT_IDS(&v, "the fox jumped over the lazy dog", 9, 1394, 152, 2009, 26, 132, 9, 6266, 959);
    EXPECT_IDS(&v, "meet me at 10:30 :)", 1333, 84, 38, 320, 4177, 658); /* scores of 0 and 30 */
    EXPECT_IDS(&v, "\xe2\x96\x81:00", 30, 30, 5920);
    EXPECT_IDS(&v,
               "say \xe2\x80\x9d"
               "5 x",
               196, 30, 4464, 649); /* of three equal pieces the last one */
    EXPECT_IDS(&v, "\xef\xac\x81ne caf\xc3\xa9 na\xc3\xafve", 839, 976, 209, 1133, 1216, 0, 105);
    EXPECT_IDS(&v, "\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e text", 30, 0, 1515);
    for (uint32_t s = 0; s < PUBLISHED; s++) {
        int32_t *ids;
        size_t n;
        cr_assert(vocabulary_cut(&v, published[s].text, &ids, &n, &why), "%s", why.text);
        cr_assert_leq((size_t)d.offsets[s] + n, sizeof d.ids / sizeof *d.ids);
        memcpy(d.ids + d.offsets[s], ids, n * sizeof *ids);
        d.offsets[s + 1] = d.offsets[s] + (int32_t)n;
        free(ids);
    }
    vocabulary_close(&v);
    return d;
}

Test(sentences, real_model) {
    const char *model = real_model();
    static float out[PUBLISHED * 512];
    char path[4200];
    context c;
    weights w;
    complaint why;
    drawn d = cut_published(model);
    snprintf(path, sizeof path, "%s/model.safetensors", model);
    context_open(&c, &config_real);
    cr_assert(weights_open(&w, path, &why), "%s", why.text);
    cr_assert_eq(w.outputs, 512);
    encoder *e = encoder_create(c.device, &w, &(encoder_desc){(uint32_t)d.offsets[PUBLISHED], PUBLISHED, false}, &why);
    cr_assert_not_null(e, "%s", why.text);
    memset(out, 0xff, sizeof out);
    cr_assert(encoder_run(e, &(token_batch){d.ids, d.offsets, PUBLISHED}, out, &why), "%s", why.text);
    for (uint32_t s = 0; s < PUBLISHED; s++) {
        double error =
            compare(&w, d.ids + d.offsets[s], (uint32_t)(d.offsets[s + 1] - d.offsets[s]), out + s * w.outputs, NULL);
        cr_expect(error < 1e-5, "%s: off by %g", published[s].text, error);
        for (uint32_t i = 0; i < published[s].numbers; i++) {
            cr_expect(fabs((double)out[s * w.outputs + i] - published[s].first[i]) < 1e-5);
        }
    }
    cr_expect(fabs(cosine(out + 2 * 512, out + 3 * 512, 512) - 0.89) < 0.01);
    cr_expect(fabs(cosine(out + 2 * 512, out + 4 * 512, 512) - 0.24) < 0.01);
    cr_expect(fabs(cosine(out + 5 * 512, out + 6 * 512, 512) - 0.846) < 0.001);
    encoder_destroy(&e);
    weights_close(&w);
    context_close(&c);
}

/* ---- the program ------------------------------------------------------------------------------------------------- */

/* What it prints, errors too, and its exit status. */
static int run_program(const folder *f, const char *arguments, char *text, size_t size) {
    char command[1024];
    snprintf(command, sizeof command, "%s --model %s %s 2>&1", getenv("SENTENCES"), f->path, arguments);
    FILE *pipe = popen(command, "r");
    cr_assert_not_null(pipe);
    size_t n = fread(text, 1, size - 1, pipe);
    text[n] = 0;
    int status = pclose(pipe);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void expect_lines(const char *text, int lines) {
    int count = 0;
    for (const char *line = text; *line; count++) {
        size_t length = strcspn(line, "\n");
        cr_expect_leq(length, 84, "%.100s", line); /* of bytes; characters of two of them among 80 */
        line += length + (line[length] == '\n');
    }
    cr_expect_eq(count, lines, "%d lines: %s", count, text);
}

/* Embeddings in the file are those of these sentences. */
static void compare_saved(const folder *f, const char *const *lines, uint32_t count) {
    vka_safetensors *saved;
    vocabulary v;
    weights w;
    complaint why;
    cr_assert_eq(vka_safetensors_open(f->saved, NULL, &saved), VKA_OK);
    cr_assert(vocabulary_open(&v, f->words, &why) && weights_open(&w, f->model, &why), "%s", why.text);
    const vka_safetensor *t = vka_safetensors_find(saved, "embeddings");
    cr_assert(t && t->dtype == VKA_F32 && t->rank == 2 && t->shape[0] == count && t->shape[1] == w.outputs);
    for (uint32_t s = 0; s < count; s++) {
        int32_t *ids;
        size_t n;
        cr_assert(vocabulary_cut(&v, lines[s], &ids, &n, &why), "%s", why.text);
        compare(&w, ids, (uint32_t)n, (const float *)t->data + s * w.outputs, NULL);
        free(ids);
    }
    vka_safetensors_close(&saved);
    vocabulary_close(&v);
    weights_close(&w);
}

Test(sentences, program) {
    static const char *const lines[] = {"a", "b", "ab", "ba", "fog", "l", "la", "a lazy fog, a lazy fog, a lazy fog",
                                        "f", "i", "3",  ":3"};
    char text[4096];
    folder f;
    tiny_model m;
    if (!getenv("SENTENCES")) {
        cr_skip_test("SENTENCES=PROGRAM is not set");
    }
    context_require_device();
    folder_create(&f);
    tiny_create(&m, 1);
    tiny_write(&m, f.model);
    write_text(f.words, tiny_vocabulary, strlen(tiny_vocabulary));

    static const char eight[] = "'a lazy fog' 'a lazy fog' 'aaaaaaaaaaaaaaaa bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb' "
                                "ab b ba fog '\xc3\xa7\xc3\xa7'";
    char arguments[512];
    snprintf(arguments, sizeof arguments, "--repeat 1 --lens %s --steps 9 --sheet %s %s", f.page, f.sheet, eight);
    cr_expect_eq(run_program(&f, arguments, text, sizeof text), 0);
    cr_expect_eq(access(f.page, R_OK), 0);
    cr_expect_eq(access(f.sheet, R_OK), 0);
    expect_lines(text, 12);
    cr_expect(strstr(text, "\nsentence 2: gradients add up to "), "%s", text);
    cr_expect(strstr(text, "8 sentences, ") == text, "%s", text);
    cr_expect(strstr(text, "\n 2  a lazy fog                    1.00  1.00\n 3  aaaaaaaaaaaaaaaa bbbbbbbbb.. "), "%s",
              text);
    cr_expect_eq(run_program(&f, "</dev/null", text, sizeof text), 1);
    cr_expect_str_eq(text, "sentences: there are no sentences: see --help\n");

    /* Of lines, of which one is empty. */
    snprintf(arguments, sizeof arguments, "--save %s <<'END'\n", f.saved);
    for (int i = 0; i < 12; i++) {
        snprintf(arguments + strlen(arguments), sizeof arguments - strlen(arguments), "%s\n%s", lines[i],
                 i == 5 ? "\n" : "");
    }
    strcat(arguments, "END\n");
    cr_expect_eq(run_program(&f, arguments, text, sizeof text), 0);
    expect_lines(text, 12);
    compare_saved(&f, lines, 12);
    cr_expect_eq(run_program(&f, "$(printf 'a\\377')", text, sizeof text), 1);
    cr_expect_str_eq(text, "sentences: sentence 1: a sentence is not UTF-8\n");
    cr_expect_eq(run_program(&f, "--nonsense", text, sizeof text), 2);
    m.tensors[0].shape[0] = 20, m.tensors[0].bytes = 20 * 4 * m.tensors[0].shape[1];
    tiny_write(&m, f.model);
    cr_expect_eq(run_program(&f, "a", text, sizeof text), 1);
    snprintf(arguments, sizeof arguments,
             "sentences: %s: embedding.weight has 20 rows, but the vocabulary has 28 pieces\n", f.model);
    cr_expect_str_eq(text, arguments);
    write_text(f.words, "a\n", 2);
    cr_expect_eq(run_program(&f, "a", text, sizeof text), 1);
    snprintf(arguments, sizeof arguments, "sentences: %s: has 1 lines, but there must be more than 6\n", f.words);
    cr_expect_str_eq(text, arguments);
    tiny_destroy(&m);
    folder_remove(&f);
}
