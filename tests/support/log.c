/* What the library logged.
 * SPDX-License-Identifier: MIT */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "context.h"

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static log_line lines[LOG_MAX_LINES]; /* the latest ones, in a ring */
static uint32_t total;
static uint32_t counts[4];

static void on_line(void *user, vka_log_level level, const char *item, const char *message) {
    (void)user;
    pthread_mutex_lock(&mutex);
    log_line *line = &lines[total++ % LOG_MAX_LINES];
    line->level = level;
    snprintf(line->item, sizeof line->item, "%s", item);
    snprintf(line->message, sizeof line->message, "%s", message);
    counts[level]++;
    pthread_mutex_unlock(&mutex);
}

vka_log log_capture(void) {
    return (vka_log){.fn = on_line, .level = VKA_LOG_INFO};
}

void log_clear(void) {
    pthread_mutex_lock(&mutex);
    total = 0;
    memset(counts, 0, sizeof counts);
    pthread_mutex_unlock(&mutex);
}

uint32_t log_count(vka_log_level level) {
    return counts[level];
}

log_line log_last(vka_log_level level) {
    log_line found = {.level = level};
    pthread_mutex_lock(&mutex);
    for (uint32_t back = 1; back <= total && back <= LOG_MAX_LINES; back++) {
        const log_line *line = &lines[(total - back) % LOG_MAX_LINES];
        if (line->level == level) {
            found = *line;
            break;
        }
    }
    pthread_mutex_unlock(&mutex);
    return found;
}

bool log_item_matches(const char *line_item, const char *item) {
    const char *dot = strchr(line_item, '.');
    if (!strcmp(item, ".")) {
        return line_item[0] != 0;
    }
    if (item[0] == '.') {
        return dot && !strcmp(dot, item);
    }
    if (strchr(item, '.')) {
        return !strcmp(line_item, item);
    }
    size_t length = dot ? (size_t)(dot - line_item) : strlen(line_item);
    return strlen(item) == length && !strncmp(line_item, item, length);
}
