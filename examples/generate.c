/* A small GPT writes text, character by character, with the weights that train-gpt saved.
 * SPDX-License-Identifier: MIT
 *
 * gpt/decoder.c has the model against caches of keys and values, and what decodes several guesses in one step;
 * generate/draft.c guesses, generate/write.c is the loop. */
#include "common/program.h"
#include "generate/options.h"
#include "generate/weights.h"
#include "gpt/write.h"
#include "lens/lens.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char program_name[] = "generate";

/* Of a text of another kind, what the model does not know ends a passage. */
static void learn_text(const char *path, const weights *w, draft *d) {
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        fail("%s: %s", path, strerror(errno));
    }
    for (int c; (c = fgetc(file)) != EOF;) {
        const uint8_t *at = memchr(w->bytes, c, w->sizes.classes);
        if (at) {
            draft_add(d, (int32_t)(at - w->bytes));
        } else {
            draft_separate(d);
        }
    }
    if (ferror(file)) {
        fail("%s: can't be read", path);
    }
    fclose(file);
}

static void print(const weights *w, const written_text *text) {
    for (uint32_t i = 0; i < text->count; i++) {
        const int32_t token = text->tokens[i];
        putchar(token >= 0 ? w->bytes[token] : '?');
    }
    putchar('\n');
    fflush(stdout);
}

static void print_speed(const options *o, const writing *w) {
    fprintf(stderr, "%" PRIu32 " characters in %" PRIu32 " steps", w->tokens, w->steps);
    if (o->draft && w->steps) {
        fprintf(stderr, ", %.2f a step", (double)w->tokens / w->steps);
    }
    if (w->timed) {
        fprintf(stderr, ", %.0f a second", w->timed / w->seconds);
    }
    fputc('\n', stderr);
}

/* A character as the page shows it; white space would not be seen. */
static void name_of(uint8_t byte, char *name) {
    if (byte == ' ' || byte == '\n') {
        strcpy(name, byte == ' ' ? "\u2423" : "\u21b5");
    } else if (byte > ' ' && byte < 0x7f) {
        name[0] = (char)byte, name[1] = 0;
    } else {
        snprintf(name, 8, "%02x", byte);
    }
}

/* Of the last characters of the text, at most a context. */
static void write_lens(const options *o, const weights *w, decoder *d, const written_text *text) {
    const trunk_desc *s = &w->sizes;
    const uint32_t count = text->count < s->context ? text->count : s->context;
    const int32_t *tokens = text->tokens + text->count - count;
    char(*names)[8] = allocate(count, sizeof *names);
    const char **pieces = allocate(count, sizeof *pieces);
    float *probabilities = allocate((size_t)s->layers * s->heads * count * count, sizeof *probabilities);
    for (uint32_t i = 0; i < count; i++) {
        name_of(w->bytes[tokens[i] < 0 ? 0 : tokens[i]], names[i]);
        pieces[i] = names[i];
    }
    decoder_attention(d, tokens, count, probabilities);
    const lens l = {.title = "What each character looks at",
                    .queries = pieces,
                    .keys = pieces,
                    .layers = s->layers,
                    .heads = s->heads,
                    .n = count,
                    .m = count,
                    .probabilities = probabilities};
    if (!lens_write(&l, o->lens)) {
        fail("%s: %s", o->lens, strerror(errno));
    }
    free(probabilities);
    free(pieces);
    free(names);
}

int main(int argc, char **argv) {
    const options o = options_parse(argc, argv);
    vka_device *device;
    weights w = weights_open(o.weights);
    written_text text = {0};
    int32_t *prompt = weights_tokens(&w, o.prompt, &text.count);
    text.room = text.count + o.count;
    text.tokens = allocate(text.room, sizeof *text.tokens);
    memcpy(text.tokens, prompt, text.count * sizeof *prompt);
    free(prompt);
    draft *guesses = o.draft ? draft_create() : NULL;
    if (guesses && o.draft_text) {
        learn_text(o.draft_text, &w, guesses);
    }
    check(vka_device_create(&(vka_device_desc){.log = {.fn = log_line}}, &device));
    weights_upload(&w, device);
    decoder *d = decoder_create(device, &(decoder_desc){.sizes = w.sizes,
                                                        .find = weights_find,
                                                        .user = &w,
                                                        .cache = o.cache,
                                                        .nodes = o.draft + 1,
                                                        .count = o.count,
                                                        .temperature = o.temperature,
                                                        .top_k = o.top_k,
                                                        .top_p = o.top_p,
                                                        .seed = o.seed});
    if (text.room > w.sizes.context) {
        fprintf(stderr,
                "the model has learned texts of up to %" PRIu32
                " characters: of a longer one it is shown the last %" PRIu32 " to %" PRIu32 "\n",
                w.sizes.context, refill_count(w.sizes.context), w.sizes.context);
    }
    const writing done = write_text(d, w.sizes.context, guesses, o.draft + 1, &text);
    print(&w, &text);
    print_speed(&o, &done);
    if (o.lens) {
        write_lens(&o, &w, d, &text);
    }
    decoder_destroy(&d);
    draft_destroy(&guesses);
    weights_free(&w);
    free(text.tokens);
    vka_device_destroy(&device);
}
