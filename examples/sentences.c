/* How alike are sentences? Universal Sentence Encoder Lite (Cer 2018), with its weights, on the device.
 * SPDX-License-Identifier: MIT
 *
 *   tools/fetch-models                        once: the weights
 *   sentences [option ..] [sentence ..]       sentences, or lines of the standard input
 *
 * From the words to the table: sentences/vocabulary.c cuts text into pieces, sentences/weights.c reads a safetensors
 * file, sentences/encoder.c is the model, made of vkattn's operations and layers.
 */
#include "common/options.h"
#include "common/program.h"
#include "sentences/encoder.h"
#include "sentences/explain.h"
#include "sentences/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char program_name[] = "sentences";

static const char usage[] = "usage: sentences [option ..] [sentence ..]\n"
                            "\n"
                            "Embeds sentences, or the lines of the standard input, and shows the cosines of\n"
                            "their embeddings: 1 means the same, 0 that they have nothing to do with each\n"
                            "other.\n"
                            "\n"
                            "  --model DIR   with model.safetensors and vocabulary.txt [where\n"
                            "                tools/fetch-models puts them]\n"
                            "  --save FILE   writes embeddings, as a safetensors file\n"
                            "  --lens FILE   writes a page that shows what the first sentence's pieces look at,\n"
                            "                and what each piece of the first two adds to their cosine\n"
                            "  --steps N     of the integrated gradients that say so, 1 to 100000 [64]\n"
                            "  --sheet FILE  draws all heads and attention rolled out, of the first sentence, as PNG\n"
                            "  --repeat N    embeds all sentences N times more, and says how long it took\n";

/* Of a batch; what is more is embedded in several. */
enum { BATCH_TOKENS = 4096, BATCH_SENTENCES = 512, COSINE_ROWS = 256 };

typedef struct app {
    const char *model, *save, *lens, *sheet;
    uint32_t repeat, steps;
    char **sentences;
    uint32_t count, room;
    vocabulary words;
    weights weights;
    vka_device *device;
    int32_t *ids, *offsets; /* of all sentences, as a token_batch has them */
    float *embeddings;      /* [count, outputs]                             */
    complaint why;
} app;

/* Ends the program where something is wrong. */
static void check_that(const app *a, bool ok) {
    if (!ok) {
        fail("%s", a->why.text);
    }
}

/* ---- sentences --------------------------------------------------------------------------------------------------- */

static void add_sentence(app *a, const char *text) {
    if (a->count == a->room) {
        char **more = allocate(a->room = 2 * a->room + 64, sizeof *more);
        if (a->count) {
            memcpy(more, a->sentences, a->count * sizeof *more);
        }
        free(a->sentences);
        a->sentences = more;
    }
    a->sentences[a->count] = allocate(strlen(text) + 1, 1);
    strcpy(a->sentences[a->count++], text);
}

/* Empty lines are none. */
static void read_lines(app *a) {
    char *line = NULL;
    size_t size = 0;
    while (getline(&line, &size, stdin) >= 0) {
        line[strcspn(line, "\r\n")] = 0;
        if (line[0]) {
            add_sentence(a, line);
        }
    }
    free(line);
}

/* Ids of all sentences, one behind the other. */
static void cut_all(app *a) {
    a->ids = allocate((size_t)a->count * MAX_TOKENS, sizeof *a->ids);
    a->offsets = allocate((size_t)a->count + 1, sizeof *a->offsets);
    for (uint32_t s = 0; s < a->count; s++) {
        int32_t *ids;
        size_t count;
        if (!vocabulary_cut(&a->words, a->sentences[s], &ids, &count, &a->why)) {
            fail("sentence %u: %s", s + 1, a->why.text);
        }
        count = count < MAX_TOKENS ? count : MAX_TOKENS;
        memcpy(a->ids + a->offsets[s], ids, count * sizeof *ids);
        a->offsets[s + 1] = a->offsets[s] + (int32_t)count;
        free(ids);
    }
}

/* ---- embeddings -------------------------------------------------------------------------------------------------- */

/* Sentences of a batch that begins with `first`. */
static uint32_t batch_size(const app *a, uint32_t first, const encoder_desc *most) {
    uint32_t n = 0;
    while (first + n < a->count && n < most->sentences &&
           (uint32_t)(a->offsets[first + n + 1] - a->offsets[first]) <= most->tokens) {
        n++;
    }
    return n;
}

static void run_all(app *a, encoder *e, const encoder_desc *most) {
    static int32_t offsets[BATCH_SENTENCES + 1];
    for (uint32_t first = 0, n; first < a->count; first += n) {
        n = batch_size(a, first, most);
        for (uint32_t s = 0; s <= n; s++) {
            offsets[s] = a->offsets[first + s] - a->offsets[first];
        }
        token_batch batch = {.ids = a->ids + a->offsets[first], .offsets = offsets, .sentences = n};
        check_that(a, encoder_run(e, &batch, a->embeddings + (size_t)first * a->weights.outputs, &a->why));
    }
}

static encoder *create_encoder(app *a, const encoder_desc *desc) {
    encoder *e = encoder_create(a->device, &a->weights, desc, &a->why);
    check_that(a, e != NULL);
    return e;
}

static void embed_all(app *a) {
    uint32_t tokens = (uint32_t)a->offsets[a->count];
    encoder_desc most = {.tokens = tokens < 1 ? 1 : tokens < BATCH_TOKENS ? tokens : BATCH_TOKENS};
    most.sentences = a->count < BATCH_SENTENCES ? a->count : BATCH_SENTENCES;
    encoder *e = create_encoder(a, &most);
    a->embeddings = allocate((size_t)a->count * a->weights.outputs, sizeof *a->embeddings);
    run_all(a, e, &most);
    double fastest = 0;
    for (uint32_t i = 0; i < a->repeat; i++) {
        double start = seconds();
        run_all(a, e, &most);
        double spent = seconds() - start;
        fastest = i == 0 || spent < fastest ? spent : fastest;
    }
    if (a->repeat) {
        printf("%u sentences, %u pieces: %.2f ms, %.0f sentences a second\n", a->count, tokens, 1e3 * fastest,
               a->count / fastest);
    }
    encoder_destroy(&e);
}

static void save(const app *a) {
    vka_safetensor t = {.name = "embeddings", .dtype = VKA_F32, .rank = 2, .shape = {a->count, a->weights.outputs}};
    t.data = a->embeddings;
    t.bytes = (uint64_t)a->count * a->weights.outputs * sizeof *a->embeddings;
    vka_log log = {.fn = log_line};
    if (vka_safetensors_write(a->save, &t, 1, NULL, 0, &log) != VKA_OK) {
        fail("%s: not saved", a->save);
    }
}

/* Of the first two sentences. */
static void show_lens(const app *a) {
    explanation x = {.device = a->device, .weights = &a->weights, .words = &a->words, .count = a->count < 2 ? 1 : 2};
    for (uint32_t s = 0; s < x.count; s++) {
        x.sentence[s] = (explained){.text = a->sentences[s], .ids = a->ids + a->offsets[s]};
        x.sentence[s].n = (uint32_t)(a->offsets[s + 1] - a->offsets[s]);
        x.sentence[s].embedding = a->embeddings + (size_t)s * a->weights.outputs;
    }
    x.steps = a->steps, x.page = a->lens, x.sheet = a->sheet;
    explain(&x);
}

/* ---- results ----------------------------------------------------------------------------------------------------- */

static void show_nearest(const app *a, uint32_t first, uint32_t count, const float *cosines) {
    for (uint32_t i = 0; i < count; i++) {
        uint32_t best = first + i ? 0 : 1;
        for (uint32_t j = 0; j < a->count; j++) {
            best =
                j != first + i && cosines[(size_t)i * a->count + j] > cosines[(size_t)i * a->count + best] ? j : best;
        }
        print_nearest(a->sentences, first + i, best, cosines[(size_t)i * a->count + best]);
    }
}

static void show(app *a) {
    uint32_t rows = a->count < COSINE_ROWS ? a->count : COSINE_ROWS;
    float *cosines = allocate((size_t)rows * a->count, sizeof *cosines);
    for (uint32_t first = 0; first < a->count; first += rows) {
        uint32_t count = a->count - first < rows ? a->count - first : rows;
        check_that(a,
                   cosines_of(a->device, a->embeddings, a->weights.outputs, a->count, first, count, cosines, &a->why));
        if (a->count <= TABLE_SENTENCES) {
            print_table(a->sentences, a->count, cosines);
        } else {
            show_nearest(a, first, count, cosines);
        }
    }
    free(cosines);
}

/* ---- the program ------------------------------------------------------------------------------------------------- */

/* Where tools/fetch-models puts models, and there `name`. */
static void find_model(const app *a, const char *name, char *path, size_t size) {
    const char *models = getenv("VKATTN_MODELS"), *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    int length;
    if (a->model) {
        length = snprintf(path, size, "%s/%s", a->model, name);
    } else if (models && models[0]) {
        length = snprintf(path, size, "%s/sentences/%s", models, name);
    } else if (cache && cache[0]) {
        length = snprintf(path, size, "%s/vkattn/models/sentences/%s", cache, name);
    } else {
        length = snprintf(path, size, "%s/.cache/vkattn/models/sentences/%s", home ? home : "", name);
    }
    if (length < 0 || (size_t)length >= size) {
        fail("the model's path is too long");
    }
}

static void open_model(app *a) {
    char path[4096];
    find_model(a, "vocabulary.txt", path, sizeof path);
    if (a->model == NULL && access(path, F_OK) != 0) {
        fail("there is no model yet: tools/fetch-models fetches it");
    }
    check_that(a, vocabulary_open(&a->words, path, &a->why));
    find_model(a, "model.safetensors", path, sizeof path);
    check_that(a, weights_open(&a->weights, path, &a->why));
    if (a->words.count > a->weights.pieces) {
        fail("%s: embedding.weight has %u rows, but the vocabulary has %u pieces", path, a->weights.pieces,
             a->words.count);
    }
}

static void read_arguments(app *a, int argc, char **argv) {
    const option list[] = {
        {"--model", OPTION_TEXT, &a->model},   {"--save", OPTION_TEXT, &a->save},
        {"--lens", OPTION_TEXT, &a->lens},     {"--sheet", OPTION_TEXT, &a->sheet},
        {"--steps", OPTION_NUMBER, &a->steps}, {"--repeat", OPTION_NUMBER, &a->repeat},
    };
    int i = options_read_first(argc, argv, list, sizeof list / sizeof *list, usage);
    if (i == argc) {
        read_lines(a);
    }
    for (; i < argc; i++) {
        add_sentence(a, argv[i]);
    }
    options_check(usage, a->steps < 1 || a->steps > 100000 ? "--steps must be 1 to 100000" : NULL);
    if (a->count == 0) {
        fail("there are no sentences: see --help");
    }
}

static void free_all(app *a) {
    for (uint32_t i = 0; i < a->count; i++) {
        free(a->sentences[i]);
    }
    free(a->sentences);
    free(a->ids);
    free(a->offsets);
    free(a->embeddings);
    vocabulary_close(&a->words);
    weights_close(&a->weights);
    vka_device_destroy(&a->device);
}

int main(int argc, char **argv) {
    app a = {.steps = 64};
    read_arguments(&a, argc, argv);
    open_model(&a);
    cut_all(&a);
    check(vka_device_create(&(vka_device_desc){.log = {.fn = log_line, .level = VKA_LOG_WARNING}}, &a.device));
    embed_all(&a);
    if (a.save) {
        save(&a);
    }
    if (a.lens || a.sheet) {
        show_lens(&a);
    }
    show(&a);
    free_all(&a);
}
