/* vkattn-conformance DIR...: runs cases, prints a line for each that did not pass, and how many did what.
 *
 * VKATTN_CONFORMANCE_SHARE=K/N: of the cases in folders only every N-th, from the K-th on.
 *
 * Exit status: 0 nothing failed; 1 something failed; 2 wrong command line, or no such share; 3 no Vulkan device.
 * SPDX-License-Identifier: MIT */
#include "conformance.h"

#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ---- operators --------------------------------------------------------------------------------------------------- */

#define GROUP(name) extern const operation group_##name[];
#include "groups.def"
#undef GROUP

static const operation *const groups[] = {
#define GROUP(name) group_##name,
#include "groups.def"
#undef GROUP
};

static const operation *find_operation(const char *name) {
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
        for (const operation *o = groups[i]; o->name; o++) {
            if (strcmp(o->name, name) == 0) {
                return o;
            }
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
static bool understands(const operation *o, const op_case *c, result *r) {
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

/* ---- results ----------------------------------------------------------------------------------------------------- */

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

/* ---- cases ------------------------------------------------------------------------------------------------------- */

#define MAX_MISSING 64

typedef struct totals {
    uint32_t count[3];      /* by verdict                                       */
    uint32_t no_backward;   /* gradients that nothing computes yet, in cases that passed */
    uint32_t elsewhere;     /* cases of another share                           */
    uint32_t missing_count; /* operators that there are not, with their cases   */
    struct {
        char op[CASE_MAX_NAME];
        uint32_t cases;
    } missing[MAX_MISSING];
} totals;

static void count(totals *t, const char *name, const result *r) {
    static const char *const words[] = {"PASS", "FAIL", "SKIP"};
    t->count[r->verdict]++;
    if (r->verdict != PASSED) {
        printf("%s %s: %s\n", words[r->verdict], name, r->text);
        fflush(stdout);
    }
}

/* Beyond MAX_MISSING the last name stands for all others. */
static void count_missing(totals *t, const char *op) {
    uint32_t i = 0;
    while (i < t->missing_count && strcmp(t->missing[i].op, op) != 0) {
        i++;
    }
    if (i == MAX_MISSING) {
        i--;
        op = "others";
    }
    if (i == t->missing_count || i == MAX_MISSING - 1) {
        snprintf(t->missing[i].op, sizeof t->missing[i].op, "%s", op);
    }
    t->missing_count += i == t->missing_count;
    t->missing[i].cases++;
}

/* Every output was compared, or is a gradient. */
static void count_outputs(totals *t, const op_case *c, result *r) {
    uint32_t gradients = 0;
    for (uint32_t i = 0; i < CASE_MAX_COUNT; i++) {
        bool missed = !(r->compared >> i & 1);
        if (missed && c->outputs[i].type) {
            fail(r, "output %s was not compared", c->outputs[i].name);
        }
        gradients += missed && c->output_gradients[i].type;
    }
    t->no_backward += r->verdict == PASSED ? gradients : 0;
}

static void run_case(gpu *g, totals *t, const char *folder, const char *name) {
    result r = {0};
    op_case c;
    if (case_load(&c, folder, &r)) {
        const operation *o = find_operation(c.op);
        if (!o) {
            skip(&r, "%s: no such operation yet", c.op);
            count_missing(t, c.op);
        } else if (understands(o, &c, &r)) {
            o->run(g, &c, &r);
            count_outputs(t, &c, &r);
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

typedef struct share {
    uint32_t k, n;
} share;

static bool read_share(share *s) {
    const char *text = getenv("VKATTN_CONFORMANCE_SHARE");
    char rest;
    *s = (share){1, 1};
    return !text || (sscanf(text, "%u/%u%c", &s->k, &s->n, &rest) == 2 && s->k >= 1 && s->k <= s->n);
}

/* Runs a folder: a case, or one that has cases in it, in the order of their names. */
static void run_folder(gpu *g, totals *t, share s, const char *folder) {
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
            if (found++ % s.n == s.k - 1) {
                run_case(g, t, path, entries[i]->d_name);
            } else {
                t->elsewhere++;
            }
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

static void print_totals(const totals *t) {
    for (uint32_t i = 0; i < t->missing_count; i++) {
        printf("no such operation yet: %s, %u case%s\n", t->missing[i].op, t->missing[i].cases,
               t->missing[i].cases == 1 ? "" : "s");
    }
    if (t->no_backward) {
        printf("%u output%s skipped: no backward yet\n", t->no_backward, t->no_backward == 1 ? "" : "s");
    }
    if (t->elsewhere) {
        printf("SKIP: %u cases: of another share than VKATTN_CONFORMANCE_SHARE says\n", t->elsewhere);
    }
    printf("%u passed, %u failed, %u skipped\n", t->count[PASSED], t->count[FAILED], t->count[SKIPPED]);
}

int main(int argc, char **argv) {
    if (argc < 2 || argv[1][0] == '-') {
        fprintf(stderr, "usage: %s DIR...   runs the cases in each folder, or the case that it is\n", argv[0]);
        return 2;
    }
    share s;
    if (!read_share(&s)) {
        fprintf(stderr, "VKATTN_CONFORMANCE_SHARE must be K/N, with 1 <= K <= N\n");
        return 2;
    }
    gpu g;
    vka_status status = gpu_open(&g);
    if (status != VKA_OK) {
        fprintf(stderr, "%s: %s (%s)\n", argv[0], vka_status_string(status), g.error);
        return 3;
    }
    printf("%s\n", vka_device_get_caps(g.device)->name);
    static totals t;
    for (int i = 1; i < argc; i++) {
        run_folder(&g, &t, s, argv[i]);
    }
    gpu_close(&g);
    print_totals(&t);
    return t.count[FAILED] ? 1 : 0;
}
