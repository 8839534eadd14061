/* SPDX-License-Identifier: MIT */
#include "options.h"

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
    "  --weights FILE      writes the weights alone, in f16, for examples/generate\n"
    "  --curve FILE.png    draws losses\n"
    "  --sample N          writes N characters at the end, with a --temperature X (0.8), 0: the likeliest\n"
    "  --text FILE         where to (standard output)\n"
    "  --dump FILE         initial parameters, tokens and losses of all steps, as safetensors\n"
    "  --any-loss          succeeds whatever is learned\n"
    "\n"
    "Exit status: 0 if the validation loss is below that of a bigram model; otherwise 1.\n";

options options_parse(int argc, char **argv) {
    options o = {.training = training_options_usual(),
                 .model = {.layers = 4, .heads = 4, .width = 128, .context = 128, .batch = 8},
                 .data = "build/data/moby-dick.txt",
                 .temperature = 0.8f};
    const option list[] = {
        TRAINING_OPTIONS(o.training),
        {"--data", OPTION_TEXT, &o.data},
        {"--weights", OPTION_TEXT, &o.weights},
        {"--dump", OPTION_TEXT, &o.dump},
        {"--text", OPTION_TEXT, &o.text},
        {"--sample", OPTION_NUMBER, &o.sample},
        {"--layers", OPTION_NUMBER, &o.model.layers},
        {"--heads", OPTION_NUMBER, &o.model.heads},
        {"--width", OPTION_NUMBER, &o.model.width},
        {"--context", OPTION_NUMBER, &o.model.context},
        {"--batch", OPTION_NUMBER, &o.model.batch},
        {"--temperature", OPTION_REAL, &o.temperature},
        {"--any-loss", OPTION_FLAG, &o.any_loss},
    };
    options_read(argc, argv, list, sizeof list / sizeof *list, usage);
    options_check(usage, training_options_wrong(&o.training));
    return o;
}
