/* SPDX-License-Identifier: MIT */
#include "options.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: train-gpt [options]\n"
    "\n"
    "Trains a small GPT on the characters of a text.\n"
    "\n"
    "  --data FILE         the text; its last tenth is for validation (build/data/moby-dick.txt: tools/fetch-data)\n"
    "  --steps N           of the whole training (1000)\n"
    "  --layers N --heads N --width N --context N --batch N\n"
    "                      sizes of the model, and of a step (4, 4, 128, 128, 8)\n"
    "  --rate X            the largest learning rate (0.002)\n"
    "  --seed N            of initial parameters, batches and samples (1)\n"
    "  --show N            a line and a validation each N steps (100)\n"
    "  --save FILE         a checkpoint at the end, and each --save-every N steps (500)\n"
    "  --resume FILE       goes on where a checkpoint was saved, with its sizes, steps and rate\n"
    "  --curve FILE.png    draws losses\n"
    "  --sample N          writes N characters at the end, with a --temperature X (0.8), 0: the likeliest\n"
    "  --text FILE         where to (standard output)\n"
    "  --dump FILE         initial parameters, tokens and losses of all steps, as safetensors\n"
    "  --any-loss          succeeds whatever is learned\n"
    "\n"
    "Exit status: 0 if the validation loss is below that of a bigram model; otherwise 1.\n";

/* Where the value of an option goes. */
typedef enum kind { TEXT, NUMBER, REAL, FLAG } kind;

#define OPTION(name, kind, member)                                                                                     \
    { name, kind, offsetof(options, member) }
static const struct entry {
    const char *name;
    kind kind;
    size_t at;
} entries[] = {
    OPTION("--data", TEXT, data),
    OPTION("--save", TEXT, save),
    OPTION("--resume", TEXT, resume),
    OPTION("--curve", TEXT, curve),
    OPTION("--dump", TEXT, dump),
    OPTION("--text", TEXT, text),
    OPTION("--steps", NUMBER, steps),
    OPTION("--show", NUMBER, show),
    OPTION("--save-every", NUMBER, save_every),
    OPTION("--sample", NUMBER, sample),
    OPTION("--seed", NUMBER, seed),
    OPTION("--layers", NUMBER, model.layers),
    OPTION("--heads", NUMBER, model.heads),
    OPTION("--width", NUMBER, model.width),
    OPTION("--context", NUMBER, model.context),
    OPTION("--batch", NUMBER, model.batch),
    OPTION("--rate", REAL, rate),
    OPTION("--temperature", REAL, temperature),
    OPTION("--any-loss", FLAG, any_loss),
};

static bool set_number(uint32_t *to, const char *text) {
    char *end;
    unsigned long value = strtoul(text, &end, 10);
    *to = (uint32_t)value;
    return text[0] >= '0' && text[0] <= '9' && *end == 0 && value <= 1000000000;
}

static bool set_real(float *to, const char *text) {
    char *end;
    *to = strtof(text, &end);
    return end != text && *end == 0 && *to >= 0 && *to <= 1000;
}

static bool set(options *o, const struct entry *e, const char *text) {
    void *to = (char *)o + e->at;
    if (e->kind == FLAG) {
        return *(bool *)to = true;
    }
    if (text == NULL) {
        return false;
    }
    if (e->kind == TEXT) {
        *(const char **)to = text;
        return true;
    }
    return e->kind == NUMBER ? set_number(to, text) : set_real(to, text);
}

static const struct entry *find(const char *name) {
    for (size_t i = 0; i < sizeof entries / sizeof *entries; i++) {
        if (strcmp(entries[i].name, name) == 0) {
            return &entries[i];
        }
    }
    return NULL;
}

options options_parse(int argc, char **argv) {
    options o = {.model = {.layers = 4, .heads = 4, .width = 128, .context = 128, .batch = 8},
                 .data = "build/data/moby-dick.txt",
                 .steps = 1000,
                 .show = 100,
                 .save_every = 500,
                 .seed = 1,
                 .temperature = 0.8f};
    bool ok = true;
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        fputs(usage, stdout);
        exit(0);
    }
    for (int i = 1; i < argc && ok; i++) {
        const struct entry *e = find(argv[i]);
        ok = e && set(&o, e, argv[i + 1]);
        o.has_steps = o.has_steps || (ok && e->at == offsetof(options, steps));
        i += ok && e->kind != FLAG;
    }
    if (!ok || !o.show || !o.save_every) {
        fputs(usage, stderr);
        exit(2);
    }
    return o;
}
