/* SPDX-License-Identifier: MIT */
#include "fields.h"

#include <ctype.h>
#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

static char code[1 << 20]; /* all headers without comments; far more than they have */
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void strip_comments(char *text) {
    char *to = text;
    for (const char *from = text; *from;) {
        const char *end = !strncmp(from, "/*", 2) ? strstr(from, "*/") : NULL;
        if (end) {
            from = end + 2;
            *to++ = ' ';
        } else {
            *to++ = *from++;
        }
    }
    *to = 0;
}

static void read_headers(void) {
    static const char folder[] = VKATTN_TEST_INCLUDE_DIR "/vkattn";
    size_t at = 0;
    DIR *headers = opendir(folder);
    for (struct dirent *entry = headers ? readdir(headers) : NULL; entry; entry = readdir(headers)) {
        char path[1024];
        const char *end = strrchr(entry->d_name, '.');
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        FILE *file = end && !strcmp(end, ".h") ? fopen(path, "r") : NULL;
        if (file) {
            at += fread(code + at, 1, sizeof code - 1 - at, file);
            fclose(file);
        }
    }
    if (headers) {
        closedir(headers);
    }
    strip_comments(code);
}

static bool in_word(char c) {
    return isalnum((unsigned char)c) || c == '_';
}

static bool has_word(const char *word, size_t length, bool called) {
    for (const char *at = code; (at = strstr(at, word)) != NULL; at++) {
        bool whole = (at == code || !in_word(at[-1])) && !in_word(at[length]);
        if (whole && (!called || at[length] == '(')) {
            return true;
        }
    }
    return false;
}

/* Of an operation, whose functions macros of its header make? */
static bool has_operation(const char *function) {
    static const struct {
        const char *suffix, *macro;
    } made_by[] = {{"_plan", "VKA_OPERATION_FUNCTIONS"},         {"_prepare", "VKA_OPERATION_FUNCTIONS"},
                   {"_requirements", "VKA_OPERATION_FUNCTIONS"}, {"_explain", "VKA_OPERATION_FUNCTIONS"},
                   {"_candidates", "VKA_OPERATION_CANDIDATES"},  {"", "VKA_OPERATION_FUNCTIONS"}};
    char made[128];
    for (size_t i = 0; i < sizeof made_by / sizeof *made_by; i++) {
        size_t length = strlen(function), suffix = strlen(made_by[i].suffix);
        if (length > 4 + suffix && !strcmp(function + length - suffix, made_by[i].suffix)) {
            snprintf(made, sizeof made, "%s(%.*s,", made_by[i].macro, (int)(length - 4 - suffix), function + 4);
            if (strstr(code, made)) {
                return true;
            }
        }
    }
    return false;
}

bool fields_exist(const char *item) {
    pthread_once(&once, read_headers);
    bool first = true;
    while (*item) {
        char word[64];
        size_t length = 0;
        while (in_word(item[length]) && length + 1 < sizeof word) {
            word[length] = item[length];
            length++;
        }
        word[length] = 0;
        if (!length || !(has_word(word, length, first) || (first && has_operation(word)))) {
            return false;
        }
        first = false;
        item += length;
        item += strspn(item, "[0123456789]");
        item += *item == '.';
    }
    return !first;
}
