/* SPDX-License-Identifier: MIT */
#include "options.h"

#include "common/options.h"
#include "gpt/decoder.h"

#include <string.h>

static const char usage[] =
    "usage: generate [options]\n"
    "\n"
    "Writes text with the weights of a GPT, character by character, on the standard output;\n"
    "how fast, on the standard error.\n"
    "\n"
    "  --weights FILE      weights or a checkpoint of train-gpt\n"
    "                      (examples/generate/moby-dick.safetensors)\n"
    "  --prompt TEXT       what the text begins with (a new line)\n"
    "  --count N           characters to write (400)\n"
    "  --temperature X     0: always the likeliest character (0.8)\n"
    "  --top-k N           draws one of the N likeliest; 0: of all (0)\n"
    "  --top-p X           draws one of those that have this probability together (1)\n"
    "  --seed N            of what is drawn (1)\n"
    "  --cache TYPE        of keys and values: f32, f16, q8_0 (f16)\n"
    "  --draft N           checks N guessed characters a step, up to 63: the same text, in fewer\n"
    "                      steps (0)\n"
    "  --draft-text FILE   a text that guesses are learned from, besides the one that is written\n"
    "  --lens FILE         writes a page that shows what each character looks at\n";

static bool cache_of(const char *name, vka_dtype *cache) {
    static const struct {
        const char *name;
        vka_dtype type;
    } types[] = {{"f32", VKA_F32}, {"f16", VKA_F16}, {"q8_0", VKA_Q8_0}};
    for (int i = 0; i < 3; i++) {
        if (strcmp(types[i].name, name) == 0) {
            *cache = types[i].type;
            return true;
        }
    }
    return false;
}

options options_parse(int argc, char **argv) {
    const char *cache = "f16";
    options o = {.weights = "examples/generate/moby-dick.safetensors",
                 .prompt = "\n",
                 .count = 400,
                 .seed = 1,
                 .temperature = 0.8f,
                 .top_p = 1};
    const option list[] = {
        {"--weights", OPTION_TEXT, &o.weights},
        {"--prompt", OPTION_TEXT, &o.prompt},
        {"--draft-text", OPTION_TEXT, &o.draft_text},
        {"--lens", OPTION_TEXT, &o.lens},
        {"--cache", OPTION_TEXT, &cache},
        {"--count", OPTION_NUMBER, &o.count},
        {"--top-k", OPTION_NUMBER, &o.top_k},
        {"--seed", OPTION_NUMBER, &o.seed},
        {"--draft", OPTION_NUMBER, &o.draft},
        {"--temperature", OPTION_REAL, &o.temperature},
        {"--top-p", OPTION_REAL, &o.top_p},
    };
    options_read(argc, argv, list, sizeof list / sizeof *list, usage);
    options_check(usage, !cache_of(cache, &o.cache)     ? "--cache must be f32, f16 or q8_0"
                         : o.prompt[0] == 0             ? "--prompt must not be empty"
                         : o.draft >= DECODER_MAX_NODES ? "--draft must be at most 63"
                         : o.top_p > 1                  ? "--top-p must be at most 1"
                         : o.count > 10000000           ? "--count must be at most 10000000"
                                                        : NULL);
    return o;
}
