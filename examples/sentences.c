/* How alike are sentences? Universal Sentence Encoder Lite (Cer 2018), with its weights, on the device.
 * SPDX-License-Identifier: MIT
 *
 *   tools/fetch-models                        once: the weights
 *   sentences [option ..] [sentence ..]       sentences, or lines of the standard input
 *
 * From the words to the table: sentences/vocabulary.c cuts text into pieces, sentences/weights.c reads a safetensors
 * file, sentences/encoder.c is the model, made of vkattn's operations and layers.
 */
#include "lens/lens.h"
#include "sentences/encoder.h"
#include "sentences/table.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char usage[] = "sentences [--model DIR] [--save FILE] [--lens FILE] [--repeat N] [sentence ..]\n"
                            "\n"
                            "Embeds sentences, or the lines of the standard input, and shows the cosines of\n"
                            "their embeddings: 1 means the same, 0 that they have nothing to do with each\n"
                            "other.\n"
                            "\n"
                            "  --model DIR   with model.safetensors and vocabulary.txt [where\n"
                            "                tools/fetch-models puts them]\n"
                            "  --save FILE   writes embeddings, as a safetensors file\n"
                            "  --lens FILE   writes a page that shows what the first sentence's pieces look at\n"
                            "  --repeat N    embeds all sentences N times more, and says how long it took\n";

/* Of a batch; what is more is embedded in several. */
enum { BATCH_TOKENS = 4096, BATCH_SENTENCES = 512, COSINE_ROWS = 256 };

typedef struct app {
    const char *model, *save, *lens;
    long repeat;
    char **sentences;
    uint32_t count, room;
    vocabulary words;
    weights weights;
    vka_device *device;
    int32_t *ids, *offsets; /* of all sentences, as a token_batch has them */
    float *embeddings;      /* [count, outputs]                             */
    complaint why;
} app;

static bool no_memory(app *a) {
    return complain(&a->why, "out of memory");
}

static void log_line(void *user, vka_log_level level, const char *item, const char *message) {
    (void)user, (void)level;
    fprintf(stderr, "sentences: %s: %s\n", item, message);
}

/* ---- sentences --------------------------------------------------------------------------------------------------- */

static bool add_sentence(app *a, const char *text) {
    if (a->count == a->room) {
        uint32_t room = a->room ? 2 * a->room : 64;
        char **more = realloc(a->sentences, room * sizeof *more);
        if (more == NULL) {
            return no_memory(a);
        }
        a->sentences = more;
        a->room = room;
    }
    a->sentences[a->count] = malloc(strlen(text) + 1);
    if (a->sentences[a->count] == NULL) {
        return no_memory(a);
    }
    strcpy(a->sentences[a->count++], text);
    return true;
}

/* Empty lines are none. */
static bool read_lines(app *a) {
    char *line = NULL;
    size_t size = 0;
    ssize_t length;
    bool ok = true;
    while (ok && (length = getline(&line, &size, stdin)) >= 0) {
        line[strcspn(line, "\r\n")] = 0;
        ok = line[0] == 0 || add_sentence(a, line);
    }
    free(line);
    return ok;
}

/* Ids of all sentences, one behind the other. */
static bool cut_all(app *a) {
    size_t room = (size_t)a->count * MAX_TOKENS;
    a->ids = malloc((room + 1) * sizeof *a->ids);
    a->offsets = calloc((size_t)a->count + 1, sizeof *a->offsets);
    if (a->ids == NULL || a->offsets == NULL) {
        return no_memory(a);
    }
    for (uint32_t s = 0; s < a->count; s++) {
        int32_t *ids;
        size_t count;
        complaint why;
        if (!vocabulary_cut(&a->words, a->sentences[s], &ids, &count, &why)) {
            return complain(&a->why, "sentence %u: %s", s + 1, why.text);
        }
        count = count < MAX_TOKENS ? count : MAX_TOKENS;
        memcpy(a->ids + a->offsets[s], ids, count * sizeof *ids);
        a->offsets[s + 1] = a->offsets[s] + (int32_t)count;
        free(ids);
    }
    return true;
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

static bool run_all(app *a, encoder *e, const encoder_desc *most) {
    static int32_t offsets[BATCH_SENTENCES + 1];
    for (uint32_t first = 0, n; first < a->count; first += n) {
        n = batch_size(a, first, most);
        for (uint32_t s = 0; s <= n; s++) {
            offsets[s] = a->offsets[first + s] - a->offsets[first];
        }
        token_batch batch = {.ids = a->ids + a->offsets[first], .offsets = offsets, .sentences = n};
        if (!encoder_run(e, &batch, a->embeddings + (size_t)first * a->weights.outputs, &a->why)) {
            return false;
        }
    }
    return true;
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static bool embed_all(app *a) {
    uint32_t tokens = (uint32_t)a->offsets[a->count];
    encoder_desc most = {.tokens = tokens < 1 ? 1 : tokens < BATCH_TOKENS ? tokens : BATCH_TOKENS};
    most.sentences = a->count < BATCH_SENTENCES ? a->count : BATCH_SENTENCES;
    encoder *e = encoder_create(a->device, &a->weights, &most, &a->why);
    a->embeddings = malloc((size_t)a->count * a->weights.outputs * sizeof *a->embeddings);
    bool ok = e && (a->embeddings || no_memory(a)) && run_all(a, e, &most);
    double fastest = 0;
    for (long i = 0; ok && i < a->repeat; i++) {
        double start = now();
        ok = run_all(a, e, &most);
        double seconds = now() - start;
        fastest = i == 0 || seconds < fastest ? seconds : fastest;
    }
    if (ok && a->repeat) {
        printf("%u sentences, %u pieces: %.2f ms, %.0f sentences a second\n", a->count, tokens, 1e3 * fastest,
               a->count / fastest);
    }
    encoder_destroy(&e);
    return ok;
}

static bool save(app *a) {
    vka_safetensor t = {.name = "embeddings", .dtype = VKA_F32, .rank = 2, .shape = {a->count, a->weights.outputs}};
    t.data = a->embeddings;
    t.bytes = (uint64_t)a->count * a->weights.outputs * sizeof *a->embeddings;
    vka_log log = {.fn = log_line};
    return vka_safetensors_write(a->save, &t, 1, NULL, 0, &log) == VKA_OK ||
           complain(&a->why, "%s: not saved", a->save);
}

/* Probabilities of the first sentence, which is embedded once more. */
static bool fill_lens(app *a, lens *l, float *probabilities, float *embedding) {
    encoder_desc most = {.tokens = l->n, .sentences = 1, .attention = true};
    encoder *e = encoder_create(a->device, &a->weights, &most, &a->why);
    bool ok =
        e && encoder_run(e, &(token_batch){.ids = a->ids, .offsets = a->offsets, .sentences = 1}, embedding, &a->why);
    for (uint32_t layer = 0; ok && layer < l->layers; layer++) {
        ok = encoder_attention(e, layer, 0, l->n, probabilities + (size_t)layer * l->heads * l->n * l->n, &a->why);
    }
    encoder_destroy(&e);
    l->probabilities = probabilities;
    return ok;
}

static bool show_lens(app *a) {
    static const char *pieces[MAX_TOKENS];
    lens l = {.title = a->sentences[0], .queries = pieces, .keys = pieces};
    l.layers = a->weights.layers, l.heads = a->weights.heads, l.n = l.m = (uint32_t)a->offsets[1];
    if (l.n == 0) {
        return complain(&a->why, "the first sentence has no pieces to show");
    }
    for (uint32_t i = 0; i < l.n; i++) {
        pieces[i] = a->words.pieces[a->ids[i]].bytes;
    }
    float *probabilities = malloc((size_t)l.layers * l.heads * l.n * l.n * sizeof *probabilities);
    float *embedding = malloc(a->weights.outputs * sizeof *embedding);
    bool ok = (probabilities && embedding) || no_memory(a);
    ok = ok && fill_lens(a, &l, probabilities, embedding);
    ok = ok && (lens_write(&l, a->lens) || complain(&a->why, "%s: %s", a->lens, strerror(errno)));
    free(probabilities);
    free(embedding);
    return ok;
}

/* ---- results ----------------------------------------------------------------------------------------------------- */

static bool show_nearest(app *a, uint32_t first, uint32_t count, const float *cosines) {
    for (uint32_t i = 0; i < count; i++) {
        uint32_t best = first + i ? 0 : 1;
        for (uint32_t j = 0; j < a->count; j++) {
            best =
                j != first + i && cosines[(size_t)i * a->count + j] > cosines[(size_t)i * a->count + best] ? j : best;
        }
        print_nearest(a->sentences, first + i, best, cosines[(size_t)i * a->count + best]);
    }
    return true;
}

static bool show(app *a) {
    uint32_t rows = a->count < COSINE_ROWS ? a->count : COSINE_ROWS;
    float *cosines = malloc((size_t)rows * a->count * sizeof *cosines);
    bool ok = cosines || no_memory(a);
    for (uint32_t first = 0; ok && first < a->count; first += rows) {
        uint32_t count = a->count - first < rows ? a->count - first : rows;
        ok = cosines_of(a->device, a->embeddings, a->weights.outputs, a->count, first, count, cosines, &a->why);
        if (ok && a->count <= TABLE_SENTENCES) {
            print_table(a->sentences, a->count, cosines);
        } else if (ok) {
            show_nearest(a, first, count, cosines);
        }
    }
    free(cosines);
    return ok;
}

/* ---- the program ------------------------------------------------------------------------------------------------- */

/* Where tools/fetch-models puts models, and there `name`. */
static bool find_model(app *a, const char *name, char *path, size_t size) {
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
    return (length > 0 && (size_t)length < size) || complain(&a->why, "the model's path is too long");
}

static bool open_model(app *a) {
    char path[4096];
    if (!find_model(a, "vocabulary.txt", path, sizeof path)) {
        return false;
    }
    if (a->model == NULL && access(path, F_OK) != 0) {
        return complain(&a->why, "there is no model yet: tools/fetch-models fetches it");
    }
    if (!vocabulary_open(&a->words, path, &a->why) || !find_model(a, "model.safetensors", path, sizeof path) ||
        !weights_open(&a->weights, path, &a->why)) {
        return false;
    }
    return a->words.count <= a->weights.pieces ||
           complain(&a->why, "%s: embedding.weight has %u rows, but the vocabulary has %u pieces", path,
                    a->weights.pieces, a->words.count);
}

static bool read_option(app *a, const char *option, const char *value) {
    if (strcmp(option, "--model") == 0) {
        a->model = value;
    } else if (strcmp(option, "--save") == 0) {
        a->save = value;
    } else if (strcmp(option, "--lens") == 0) {
        a->lens = value;
    } else if (strcmp(option, "--repeat") == 0) {
        a->repeat = atol(value);
        return a->repeat > 0;
    } else {
        return false;
    }
    return true;
}

/* 0: go on; otherwise the exit status and 1. */
static int read_arguments(app *a, int argc, char **argv) {
    int i = 1;
    while (i < argc && strncmp(argv[i], "--", 2) == 0) {
        const char *option = argv[i++];
        if (strcmp(option, "--help") == 0) {
            fputs(usage, stdout);
            return 1;
        }
        if (strcmp(option, "--") == 0) {
            break;
        }
        if (i == argc || !read_option(a, option, argv[i++])) {
            fprintf(stderr, "sentences: %s: see --help\n", option);
            return 3;
        }
    }
    bool ok = i < argc || read_lines(a);
    for (; ok && i < argc; i++) {
        ok = add_sentence(a, argv[i]);
    }
    return ok ? 0 : 2;
}

static bool run(app *a) {
    vka_device_desc desc = {.log = {.fn = log_line, .level = VKA_LOG_WARNING}};
    if (a->count == 0) {
        return complain(&a->why, "there are no sentences: see --help");
    }
    if (!open_model(a) || !cut_all(a)) {
        return false;
    }
    vka_status status = vka_device_create(&desc, &a->device);
    if (status != VKA_OK) {
        return complain(&a->why, "no device: %s", vka_status_string(status));
    }
    return embed_all(a) && (a->save == NULL || save(a)) && (a->lens == NULL || show_lens(a)) && show(a);
}

int main(int argc, char **argv) {
    app a = {0};
    int stop = read_arguments(&a, argc, argv);
    bool ok = stop == 0 && run(&a);
    if (!ok && a.why.text[0]) {
        fprintf(stderr, "sentences: %s\n", a.why.text);
    }
    for (uint32_t i = 0; i < a.count; i++) {
        free(a.sentences[i]);
    }
    free(a.sentences);
    free(a.ids);
    free(a.offsets);
    free(a.embeddings);
    vocabulary_close(&a.words);
    weights_close(&a.weights);
    vka_device_destroy(&a.device);
    return stop ? stop - 1 : ok ? 0 : 1;
}
