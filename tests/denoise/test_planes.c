/* test_planes FOLDER: what the example `denoise` reads from files: numbers are those that were written, and what is cut
 * short, spoilt or not finite is refused by name, never with a crash. SPDX-License-Identifier: MIT */
#include "common/png_file.h"
#include "common/program.h"
#include "denoise/pfm.h"
#include "denoise/planes.h"
#include "exr_file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { WIDTH = 5, HEIGHT = 3, COUNT = WIDTH * HEIGHT * 3, FLIPS = 1500, MOST = 1 << 16 };

const char program_name[] = "test_planes";

static const char *folder;
static float values[COUNT];

static const char *file(const char *name) {
    static char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static _Noreturn void broken(const char *what, const char *name, size_t at) {
    printf("FAIL: %s: %s (%zu)\n", name, what, at);
    fflush(stdout);
    _exit(1);
}

/* What is said on stderr goes to a file, which `said` reads. */
static void listen(void) {
    remove(file("said"));
    if (freopen(file("said"), "w", stderr) == NULL) {
        broken("can't be written", "said", 0);
    }
}

static bool said(const char *text) {
    static char all[4096];
    fflush(stderr);
    FILE *f = fopen(file("said"), "r");
    all[f ? fread(all, 1, sizeof all - 1, f) : 0] = 0;
    if (f) {
        fclose(f);
    }
    return strstr(all, text) != NULL;
}

static size_t read_bytes(const char *name, uint8_t *bytes) {
    FILE *f = fopen(file(name), "rb");
    size_t size = f ? fread(bytes, 1, MOST, f) : 0;
    if (f) {
        fclose(f);
    }
    return size ? size : (broken("can't be read", name, 0), 0);
}

static void write_bytes(const char *name, const uint8_t *bytes, size_t size) {
    remove(file(name)); /* file systems wait for the disk where a file is written anew */
    FILE *f = fopen(file(name), "wb");
    if (!f || fwrite(bytes, 1, size, f) != size || fclose(f) != 0) {
        broken("can't be written", name, size);
    }
}

static void expect_refusal(const char *name, plane_kind kind, uint32_t width, const char *text) {
    plane_file f;
    listen();
    if (plane_load(file(name), kind, width, HEIGHT, &f)) {
        broken("is not refused", name, 0);
    }
    if (f.values || !said(name) || !said(text)) {
        broken(text, name, 1);
    }
}

static void expect_values(const char *name, plane_kind kind, float factor, float error) {
    plane_file f;
    if (!plane_load(file(name), kind, WIDTH, HEIGHT, &f)) {
        broken("is refused", name, 0);
    }
    for (size_t i = 0; i < COUNT; i++) {
        if (!(fabsf(f.values[i] - factor * values[i]) <= error)) {
            broken("has another value", name, i);
        }
    }
    plane_free(&f);
}

/* ---- PFM --------------------------------------------------------------------------------------------------------- */

/* Bytes in the other order, a scale of 2.5 and lines that end in two characters. */
static void check_other_order(void) {
    uint8_t bytes[256];
    const char *header = "PF\r\n5 3\r\n2.5\r\n";
    size_t start = strlen(header);
    memcpy(bytes, header, start);
    for (int i = 0; i < COUNT; i++) {
        uint32_t bits;
        memcpy(&bits, &values[((HEIGHT - 1 - i / (3 * WIDTH)) * WIDTH * 3) + i % (3 * WIDTH)], sizeof bits);
        for (int k = 0; k < 4; k++) {
            bytes[start + 4 * (size_t)i + (size_t)k] = (uint8_t)(bits >> (24 - 8 * k));
        }
    }
    write_bytes("order.pfm", bytes, start + 4 * COUNT);
    expect_values("order.pfm", PLANE_PLACE, 2.5f, 0);
}

static void check_pfm(void) {
    static const char *const headers[] = {"P6\n5 3\n255\n",
                                          "PF\n5 0\n-1\n",
                                          "PF\n5 3\n0\n",
                                          "PF\n5 3\nnan\n",
                                          "PF 5 3",
                                          "PF\n5 -3\n-1\n",
                                          "PF\n99999999 99999999\n-1\n",
                                          "PF\n65536 1025\n-1\n"};
    static const char *const rules[] = {"is not a PFM file", "has 5 x 0 pixels",       "has a scale of 0",
                                        "has a scale of",    "is not a PFM file",      "pixels; 1 to",
                                        "pixels; 1 to",      "has 65536 x 1025 pixels"};
    float one[WIDTH * HEIGHT];
    plane_file f;
    if (!pfm_save(file("rgb.pfm"), WIDTH, HEIGHT, 3, values) || !pfm_save(file("one.pfm"), WIDTH, HEIGHT, 1, values)) {
        broken("can't be written", "pfm", 0);
    }
    expect_values("rgb.pfm", PLANE_PLACE, 1, 0);
    if (!plane_load(file("one.pfm"), PLANE_NORMAL, 0, 0, &f) || f.channels != 3 || f.values[4] != values[1]) {
        broken("one channel does not become three", "one.pfm", 0);
    }
    plane_free(&f);
    check_other_order();
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        write_bytes("header.pfm", (const uint8_t *)headers[i], strlen(headers[i]));
        expect_refusal("header.pfm", PLANE_PLACE, WIDTH, rules[i]);
    }
    expect_refusal("rgb.pfm", PLANE_PLACE, WIDTH + 1, "has 5 x 3 pixels, and not 6 x 3");
    expect_refusal("none.pfm", PLANE_PLACE, WIDTH, "No such file");
    expect_refusal("said", PLANE_PLACE, WIDTH, "the name must end in");
    memcpy(one, values, sizeof one);
    one[7] = NAN;
    pfm_save(file("nan.pfm"), WIDTH, HEIGHT, 1, one);
    expect_refusal("nan.pfm", PLANE_COLOUR, WIDTH, "pixel 2, 1 has the value");
    expect_refusal("nan.pfm", PLANE_DEPTH, WIDTH, "pixel 2, 1 has the value");
    one[7] = INFINITY;
    pfm_save(file("inf.pfm"), WIDTH, HEIGHT, 1, one);
    expect_refusal("inf.pfm", PLANE_COLOUR, WIDTH, "pixel 2, 1 has the value inf");
    if (!plane_load(file("inf.pfm"), PLANE_DEPTH, WIDTH, HEIGHT, &f) || !isinf(f.values[7]) || f.channels != 1) {
        broken("infinite depth is refused", "inf.pfm", 0);
    }
    plane_free(&f);
    one[7] = -1;
    pfm_save(file("below.pfm"), WIDTH, HEIGHT, 1, one);
    listen();
    if (!plane_load(file("below.pfm"), PLANE_COLOUR, WIDTH, HEIGHT, &f) || f.values[21] != 0 ||
        !said("values are negative")) {
        broken("a negative colour is not 0", "below.pfm", 0);
    }
    plane_free(&f);
}

/* ---- all formats ------------------------------------------------------------------------------------------------- */

/* Every beginning of the file is refused; a file with a few other bytes is refused, or has as many numbers as it says.
 */
static void fuzz(const char *name, const char *spoilt, uint64_t seed) {
    static uint8_t bytes[MOST], other[MOST];
    size_t size = read_bytes(name, bytes), taken = 0;
    uint64_t state = seed | 1;
    plane_file f;
    listen();
    for (size_t n = 0; n < size; n++) {
        write_bytes(spoilt, bytes, n);
        bool whole = plane_load(file(spoilt), PLANE_COLOUR, WIDTH, HEIGHT, &f);
        if (whole && !(strstr(name, ".png") && n + 12 >= size)) { /* a PNG's end has no pixels */
            broken("is not refused when cut short", spoilt, n);
        }
        plane_free(&f);
    }
    for (int i = 0; i < FLIPS; i++) {
        memcpy(other, bytes, size);
        for (int k = 0; k <= i % 4; k++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            size_t most = i % 2 && size > 64 ? 64 : size; /* headers above all */
            other[(state >> 33) % most] = (uint8_t)(state >> 24);
        }
        write_bytes(spoilt, other, size);
        if (plane_load(file(spoilt), PLANE_DEPTH, 0, 0, &f)) {
            volatile float sum = 0;
            for (size_t k = 0; k < (size_t)f.width * f.height * f.channels; k++) {
                sum = sum + f.values[k];
            }
            taken++;
        }
        plane_free(&f);
    }
    printf("ok: %s: %zu beginnings refused, %zu of %d spoilt files still read\n", name, size, taken, FLIPS);
}

static void check_png(void) {
    uint8_t rgb[COUNT];
    plane_file f;
    for (int i = 0; i < COUNT; i++) {
        rgb[i] = (uint8_t)(5 * i);
    }
    if (!png_file_save(file("rgb.png"), WIDTH, HEIGHT, rgb)) {
        broken("can't be written", "rgb.png", 0);
    }
    if (!plane_load(file("rgb.png"), PLANE_NORMAL, WIDTH, HEIGHT, &f) ||
        fabsf(f.values[1] - (10.0f / 255 - 1)) > 1e-6f) {
        broken("a normal is not -1 .. 1", "rgb.png", 1);
    }
    plane_free(&f);
    if (!plane_load(file("rgb.png"), PLANE_COLOUR, WIDTH, HEIGHT, &f) || fabsf(f.values[20] - 0.127438f) > 1e-5f) {
        broken("a colour is not linear", "rgb.png", 20); /* sRGB 100 */
    }
    plane_free(&f);
    expect_refusal("rgb.png", PLANE_PLACE, WIDTH, "positions are floats");
}

int main(int argc, char **argv) {
    uint64_t seed = (uint64_t)time(NULL);
    if (argc != 2) {
        fail("usage: test_planes FOLDER");
    }
    folder = argv[1];
    printf("seed %llu\n", (unsigned long long)seed);
    for (int i = 0; i < COUNT; i++) {
        values[i] = 0.25f * (float)(i + 1);
    }
    check_pfm();
    check_png();
    fuzz("rgb.pfm", "spoilt.pfm", seed);
    fuzz("rgb.png", "spoilt.png", seed + 1);
    if (exr_file_save(file("rgb.exr"), WIDTH, HEIGHT, values)) {
        expect_values("rgb.exr", PLANE_PLACE, 1, 0);
        fuzz("rgb.exr", "spoilt.exr", seed + 2);
    } else {
        write_bytes("rgb.exr", (const uint8_t *)"?", 1);
        expect_refusal("rgb.exr", PLANE_PLACE, WIDTH, "this build has no OpenEXR");
        printf("SKIP: no OpenEXR here, so EXR files are refused\n");
    }
    return 0;
}
