/* SPDX-License-Identifier: MIT */
#include "options.h"

#include "common/options.h"

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

options options_parse(int argc, char **argv) {
    options o = {.model = {.layers = 4, .heads = 4, .width = 128, .context = 128, .batch = 8},
                 .data = "build/data/moby-dick.txt",
                 .steps = 1000,
                 .show = 100,
                 .save_every = 500,
                 .seed = 1,
                 .temperature = 0.8f};
    uint32_t steps = UINT32_MAX;
    const option list[] = {
        {"--data", OPTION_TEXT, &o.data},
        {"--save", OPTION_TEXT, &o.save},
        {"--resume", OPTION_TEXT, &o.resume},
        {"--curve", OPTION_TEXT, &o.curve},
        {"--dump", OPTION_TEXT, &o.dump},
        {"--text", OPTION_TEXT, &o.text},
        {"--steps", OPTION_NUMBER, &steps},
        {"--show", OPTION_NUMBER, &o.show},
        {"--save-every", OPTION_NUMBER, &o.save_every},
        {"--sample", OPTION_NUMBER, &o.sample},
        {"--seed", OPTION_NUMBER, &o.seed},
        {"--layers", OPTION_NUMBER, &o.model.layers},
        {"--heads", OPTION_NUMBER, &o.model.heads},
        {"--width", OPTION_NUMBER, &o.model.width},
        {"--context", OPTION_NUMBER, &o.model.context},
        {"--batch", OPTION_NUMBER, &o.model.batch},
        {"--rate", OPTION_REAL, &o.rate},
        {"--temperature", OPTION_REAL, &o.temperature},
        {"--any-loss", OPTION_FLAG, &o.any_loss},
    };
    options_read(argc, argv, list, sizeof list / sizeof *list, usage);
    o.has_steps = steps != UINT32_MAX;
    o.steps = o.has_steps ? steps : o.steps;
    if (!o.show || !o.save_every) {
        options_refuse(usage);
    }
    return o;
}
