/* vkattn-conformance DIR...: runs cases, prints a line for each that did not pass, and how many did what.
 *
 * Exit status: 0 nothing failed; 1 something failed; 2 wrong command line; 3 no Vulkan device.
 * SPDX-License-Identifier: MIT */
#include "conformance.h"

#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ---- operations -----------------------------------------------------------------------------------------------------
 */

typedef struct operation {
    const char *name;
    uint32_t since;             /* opset                                                       */
    uint32_t inputs, outputs;   /* how many there can be                                       */
    const char *attributes[12]; /* that are known; a case with another one means something else */
    void (*run)(gpu *g, const onnx_case *c, result *r);
} operation;

static const operation operations[] = {
    {"Attention",
     23,
     7,
     4,
     {"scale", "softcap", "is_causal", "q_num_heads", "kv_num_heads", "qk_matmul_output_mode", "softmax_precision",
      "left_window_size", "right_window_size"},
     run_attention},
    {"LayerNormalization", 17, 3, 3, {"axis", "epsilon", "stash_type"}, run_layer_norm},
    {"RMSNormalization", 23, 2, 1, {"axis", "epsilon", "stash_type"}, run_rms_norm},
};

static const operation *find_operation(const char *name) {
    for (size_t i = 0; i < sizeof operations / sizeof *operations; i++) {
        if (strcmp(operations[i].name, name) == 0) {
            return &operations[i];
        }
    }
    return NULL;
}

static bool knows_attribute(const operation *o, const char *name) {
    for (const char *const *known = o->attributes; *known; known++) {
        if (strcmp(*known, name) == 0) {
            return true;
        }
    }
    return false;
}

/* Is there nothing in the case that would be overlooked? */
static bool understands(const operation *o, const onnx_case *c, result *r) {
    if (c->opset < o->since) {
        return skip(r, "%s came with opset %u, this is %u", o->name, o->since, c->opset);
    }
    for (uint32_t i = 0; i < c->attribute_count; i++) {
        if (!knows_attribute(o, c->attributes[i].name)) {
            return skip(r, "attribute %s", c->attributes[i].name);
        }
    }
    for (uint32_t i = 0; i < CASE_MAX_COUNT; i++) {
        if ((i >= o->inputs && c->inputs[i].type) || (i >= o->outputs && c->outputs[i].type)) {
            return fail(r, "%s has no %s %u", o->name, i >= o->inputs && c->inputs[i].type ? "input" : "output", i);
        }
    }
    return true;
}

/* ---- results --------------------------------------------------------------------------------------------------------
 */

static bool conclude(result *r, verdict v, const char *format, va_list arguments) {
    if (r->verdict == PASSED) {
        r->verdict = v;
        vsnprintf(r->text, sizeof r->text, format, arguments);
    }
    return false;
}

bool fail(result *r, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    conclude(r, FAILED, format, arguments);
    va_end(arguments);
    return false;
}

bool skip(result *r, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    conclude(r, SKIPPED, format, arguments);
    va_end(arguments);
    return false;
}

/* ---- cases ----------------------------------------------------------------------------------------------------------
 */

typedef struct totals {
    uint32_t count[3]; /* by verdict */
} totals;

static void count(totals *t, const char *name, const result *r) {
    static const char *const words[] = {"PASS", "FAIL", "SKIP"};
    t->count[r->verdict]++;
    if (r->verdict != PASSED) {
        printf("%s %s: %s\n", words[r->verdict], name, r->text);
        fflush(stdout);
    }
}

static void run_case(gpu *g, totals *t, const char *folder, const char *name) {
    result r = {0};
    onnx_case c;
    if (case_load(&c, folder, &r)) {
        const operation *o = find_operation(c.op);
        if (!o) {
            skip(&r, "%s: no such operation yet", c.op);
        } else if (understands(o, &c, &r)) {
            o->run(g, &c, &r);
        }
    }
    case_free(&c);
    count(t, name, &r);
}

static bool is_case(const char *folder) {
    char path[4096];
    struct stat status;
    return (size_t)snprintf(path, sizeof path, "%s/case.txt", folder) < sizeof path && stat(path, &status) == 0;
}

/* Runs a folder: a case, or one that has cases in it, in the order of their names. */
static void run_folder(gpu *g, totals *t, const char *folder) {
    if (is_case(folder)) {
        run_case(g, t, folder, folder);
        return;
    }
    struct dirent **entries = NULL;
    int entry_count = scandir(folder, &entries, NULL, alphasort);
    uint32_t found = 0;
    for (int i = 0; i < entry_count; i++) {
        char path[4096];
        if ((size_t)snprintf(path, sizeof path, "%s/%s", folder, entries[i]->d_name) < sizeof path &&
            entries[i]->d_name[0] != '.' && is_case(path)) {
            run_case(g, t, path, entries[i]->d_name);
            found++;
        }
        free(entries[i]);
    }
    free(entries);
    if (found == 0) {
        result r = {0};
        fail(&r, "there is no case");
        count(t, folder, &r);
    }
}

int main(int argc, char **argv) {
    if (argc < 2 || argv[1][0] == '-') {
        fprintf(stderr, "usage: %s DIR...   runs the cases in each folder, or the case that it is\n", argv[0]);
        return 2;
    }
    gpu g;
    vka_status status = gpu_open(&g);
    if (status != VKA_OK) {
        fprintf(stderr, "%s: %s (%s)\n", argv[0], vka_status_string(status), g.error);
        return 3;
    }
    printf("%s\n", vka_device_get_caps(g.device)->name);
    totals t = {0};
    for (int i = 1; i < argc; i++) {
        run_folder(&g, &t, argv[i]);
    }
    gpu_close(&g);
    printf("%u passed, %u failed, %u skipped\n", t.count[PASSED], t.count[FAILED], t.count[SKIPPED]);
    return t.count[FAILED] ? 1 : 0;
}
