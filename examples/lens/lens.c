/* A page that shows what attention looks at.
 * SPDX-License-Identifier: MIT */
#include "lens.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>

/* Of the build: page.css and page.js as strings. */
#include "lens_css.inc"
#include "lens_js.inc"

/* A text of JSON that may stand in HTML. */
static void write_text(FILE *f, const char *text) {
    fputc('"', f);
    for (const char *c = text; *c; c++) {
        if ((unsigned char)*c < 0x20 || *c == '"' || *c == '\\' || *c == '<' || *c == '>' || *c == '&') {
            fprintf(f, "\\u%04x", (unsigned)(unsigned char)*c);
        } else {
            fputc(*c, f);
        }
    }
    fputc('"', f);
}

static void write_texts(FILE *f, const char *name, const char *const *texts, uint32_t count) {
    fprintf(f, ",\"%s\":[", name);
    for (uint32_t i = 0; i < count; i++) {
        fputs(i ? "," : "", f);
        write_text(f, texts[i]);
    }
    fputc(']', f);
}

/* Probabilities in steps of 1/10000, which are whole numbers and short. */
static void write_data(FILE *f, const lens *l) {
    size_t count = (size_t)l->layers * l->heads * l->n * l->m;
    fputs("{\"title\":", f);
    write_text(f, l->title);
    write_texts(f, "queries", l->queries, l->n);
    write_texts(f, "keys", l->keys, l->m);
    fprintf(f, ",\"layers\":%u,\"heads\":%u,\"p\":[", l->layers, l->heads);
    for (size_t i = 0; i < count; i++) {
        fprintf(f, "%s%ld", i ? "," : "", lrintf(l->probabilities[i] * 10000));
    }
    fputs("]}", f);
}

bool lens_write(const lens *l, const char *path) {
    FILE *f = fopen(path, "w");
    if (f == NULL) {
        return false;
    }
    fputs(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n"
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>Attention</title>\n<style>\n",
        f);
    fputs(lens_css, f);
    fputs("</style>\n<script type=\"application/json\" id=\"data\">", f);
    write_data(f, l);
    fputs("</script>\n<body>\n<noscript>This page draws with JavaScript, which is off.</noscript>\n<script>\n", f);
    fputs(lens_js, f);
    fputs("</script>\n</body>\n</html>\n", f);
    bool bad = ferror(f) != 0;
    int reason = errno;
    bool closed = fclose(f) == 0;
    errno = bad ? reason : errno;
    return !bad && closed;
}
