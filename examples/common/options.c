/* SPDX-License-Identifier: MIT */
#include "options.h"

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

static bool set(const option *o, const char *text) {
    if (o->kind == OPTION_FLAG) {
        return *(bool *)o->to = true;
    }
    if (text == NULL) {
        return false;
    }
    if (o->kind == OPTION_TEXT) {
        *(const char **)o->to = text;
        return true;
    }
    return o->kind == OPTION_NUMBER ? set_number(o->to, text) : set_real(o->to, text);
}

void options_refuse(const char *usage) {
    fputs(usage, stderr);
    exit(2);
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
        if (which == count || !set(&list[which], argv[i])) {
            options_refuse(usage);
        }
        i += list[which].kind != OPTION_FLAG;
    }
    return i;
}

void options_read(int argc, char **argv, const option *list, size_t count, const char *usage) {
    if (options_read_first(argc, argv, list, count, usage) != argc) {
        options_refuse(usage);
    }
}
