/* A page that shows what attention looks at.
 * SPDX-License-Identifier: MIT */
#include "lens.h"

#include "common/png_file.h"
#include "weights.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* Of the build: page.css and page.js as strings. */
#include "lens_css.inc"
#include "lens_js.inc"

/* ---- JSON -------------------------------------------------------------------------------------------------------- */

/* A text of JSON that may stand in HTML. */
static void write_text(FILE *f, const char *text) {
    if (text == NULL) {
        fputs("null", f);
        return;
    }
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

/* `texts` is NULL where all tokens are patches. */
static void write_texts(FILE *f, const char *name, const char *const *texts, uint32_t count) {
    fprintf(f, ",\"%s\":[", name);
    for (uint32_t i = 0; i < count; i++) {
        fputs(i ? "," : "", f);
        write_text(f, texts ? texts[i] : NULL);
    }
    fputc(']', f);
}

/* RFC 4648. */
static void write_base64(FILE *f, const uint8_t *bytes, size_t size) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < size; i += 3) {
        uint32_t left = size - i < 3 ? (uint32_t)(size - i) : 3, group = 0;
        for (uint32_t k = 0; k < 3; k++) {
            group = group << 8 | (k < left ? bytes[i + k] : 0);
        }
        for (uint32_t k = 0; k < 4; k++) {
            fputc(k <= left ? digits[group >> (18 - 6 * k) & 63] : '=', f);
        }
    }
}

/* ---- pictures ---------------------------------------------------------------------------------------------------- */

static bool same_pixels(const lens_picture *a, const lens_picture *b) {
    return a->pixels == b->pixels && a->width == b->width && a->height == b->height && a->channels == b->channels;
}

/* The file of a picture is at `image` of a list of all. */
static void write_picture(FILE *f, const char *name, const lens_picture *p, int image) {
    if (p->pixels) {
        fprintf(f, ",\"%s\":{\"image\":%d,\"width\":%u,\"height\":%u,\"rows\":%u,\"columns\":%u,\"first\":%u}", name,
                image, p->width, p->height, p->rows, p->columns, p->first);
    }
}

static bool write_image(FILE *f, const lens_picture *p) {
    size_t size;
    uint8_t *file = png_file_encode(p->width, p->height, p->channels, p->pixels, &size);
    if (file == NULL) {
        errno = EINVAL;
        return false;
    }
    fputs("\"data:image/png;base64,", f);
    write_base64(f, file, size);
    fputc('"', f);
    free(file);
    return true;
}

static bool write_pictures(FILE *f, const lens *l) {
    const lens_picture *q = &l->query_picture, *k = &l->key_picture;
    bool shared = q->pixels == NULL || same_pixels(q, k), ok = true;
    write_picture(f, "queryPicture", q, 0);
    write_picture(f, "keyPicture", k, shared ? 0 : 1);
    fputs(",\"images\":[", f);
    if (q->pixels) {
        ok = write_image(f, q);
    }
    if (k->pixels && ok && !(q->pixels && shared)) {
        fputs(q->pixels ? "," : "", f);
        ok = write_image(f, k);
    }
    fputc(']', f);
    return ok;
}

/* ---- attributions ------------------------------------------------------------------------------------------------ */

/* JSON has no numbers that are not finite. */
static void write_number(FILE *f, double x) {
    if (isfinite(x)) {
        fprintf(f, "%.9g", x);
    } else {
        fputs("null", f);
    }
}

static void write_attribution(FILE *f, const lens *l, const lens_attribution *a) {
    fputs("{\"of\":", f);
    write_text(f, a->of);
    if (a->tokens) {
        write_texts(f, "tokens", a->tokens, a->count);
    }
    fputs(",\"values\":[", f);
    for (uint32_t i = 0; i < (a->tokens ? a->count : l->m); i++) {
        fputs(i ? "," : "", f);
        write_number(f, (double)a->values[i]);
    }
    fprintf(f, "],\"steps\":%u,\"value\":", a->steps);
    write_number(f, a->value);
    fputs(",\"baseline\":", f);
    write_number(f, a->baseline);
    fputc('}', f);
}

static void write_attributions(FILE *f, const lens *l) {
    fputs(",\"attributions\":[", f);
    for (uint32_t i = 0; i < l->attribution_count; i++) {
        fputs(i ? "," : "", f);
        write_attribution(f, l, &l->attributions[i]);
    }
    fputc(']', f);
}

/* ---- the page ---------------------------------------------------------------------------------------------------- */

/* Probabilities in steps of 1/10000, which are whole numbers and short. */
static void write_probabilities(FILE *f, const lens *l) {
    size_t count = (size_t)l->layers * l->heads * l->n * l->m;
    fprintf(f, ",\"layers\":%u,\"heads\":%u,\"p\":[", l->layers, l->heads);
    for (size_t i = 0; i < count; i++) {
        fprintf(f, "%s%ld", i ? "," : "", lrintf(l->probabilities[i] * 10000));
    }
    fputc(']', f);
}

static bool write_data(FILE *f, const lens *l) {
    fputs("{\"title\":", f);
    write_text(f, l->title);
    write_texts(f, "queries", l->queries, l->n);
    write_texts(f, "keys", l->keys, l->m);
    bool ok = write_pictures(f, l);
    write_attributions(f, l);
    write_probabilities(f, l);
    fputc('}', f);
    return ok;
}

bool lens_write(const lens *l, const char *path) {
    if (!lens_pictures_fit(l)) {
        errno = EINVAL;
        return false;
    }
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
    bool bad = !write_data(f, l);
    fputs("</script>\n<body>\n<noscript>This page draws with JavaScript, which is off.</noscript>\n<script>\n", f);
    fputs(lens_js, f);
    fputs("</script>\n</body>\n</html>\n", f);
    bad = ferror(f) != 0 || bad;
    int reason = errno;
    bool closed = fclose(f) == 0;
    errno = bad ? reason : errno;
    return !bad && closed;
}
