/* SPDX-License-Identifier: MIT */
#include "options.h"

#include "program.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

/* Sets an option to the text behind it. Returns why it can not be set, or NULL. */
static const char *set(const option *o, const char *text) {
    if (o->kind == OPTION_FLAG) {
        *(bool *)o->to = true;
        return NULL;
    }
    if (text == NULL) {
        return "needs a value behind it";
    }
    switch (o->kind) {
    case OPTION_NUMBER:
        return set_number(o->to, text) ? NULL : "must be a whole number of at most 1000000000";
    case OPTION_REAL:
        return set_real(o->to, text) ? NULL : "must be a number from 0 to 1000";
    default:
        *(const char **)o->to = text;
        return NULL;
    }
}

/* The reason comes last, where it is seen. */
static _Noreturn void refuse(const char *usage, const char *name, const char *text, const char *why) {
    fputs(usage, stderr);
    fprintf(stderr, "\n%s: %s%s%s: %s\n", program_name, name, text ? " " : "", text ? text : "", why);
    exit(2);
}

void options_check(const char *usage, const char *why_not) {
    if (why_not) {
        fputs(usage, stderr);
        fprintf(stderr, "\n%s: %s\n", program_name, why_not);
        exit(2);
    }
}

int options_read_first(int argc, char **argv, const option *list, size_t count, const char *usage) {
    int i = 1;
    while (i < argc && strncmp(argv[i], "--", 2) == 0) {
        const char *name = argv[i++];
        size_t which = 0;
        if (strcmp(name, "--help") == 0) {
            fputs(usage, stdout);
            exit(0);
        }
        if (strcmp(name, "--") == 0) {
            break;
        }
        while (which < count && strcmp(list[which].name, name) != 0) {
            which++;
        }
        if (which == count) {
            refuse(usage, name, NULL, "there is no such option");
        }
        const char *why_not = set(&list[which], argv[i]);
        if (why_not) {
            refuse(usage, name, argv[i], why_not);
        }
        i += list[which].kind != OPTION_FLAG;
    }
    return i;
}

void options_read(int argc, char **argv, const option *list, size_t count, const char *usage) {
    int first = options_read_first(argc, argv, list, count, usage);
    if (first != argc) {
        refuse(usage, argv[first], NULL, "is no option");
    }
}
