/* A noisy picture, denoised by attention: pixels look at the pixels that are like them, and take their mean.
 * SPDX-License-Identifier: MIT
 *
 * The whole picture is one attention: a pixel is a query and a key, and sees the pixels of the window around it, by a
 * neighborhood pattern. q and k are the pixels' features, v their colours (denoise/rows.c has the formula), and a table
 * says how much a pixel's place counts. All that runs on the device is one vka_attention.
 *
 * Without a picture it renders one: a small path tracer (denoise/scene.c) makes a noisy frame and a clean one. */
#include "common/program.h"
#include "denoise/guides.h"
#include "denoise/picture.h"
#include "denoise/rows.h"
#include "denoise/scene.h"

#include <vkattn/attention.h>
#include <vkattn/vkattn.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LEAST_WINDOW = 7, MOST_WINDOW = 21 /* pixels of a side */ };

/* Rendering. */
enum { NOISY_PATHS = 4, GUIDES = 16, CLEAN_PATHS = 128, LEAST_SIDE = 32 };
#define FRAME_MARGIN 6.0 /* dB; 9.2 were measured for 128x96, 11.0 for 256x192 */

/* Pictures from files. */
#define PICTURE_SIGMA  0.1f /* of the noise that is added */
#define PICTURE_MARGIN 2.0  /* dB; 12 were measured for a smooth picture, where there is most to gain */

const char program_name[] = "denoise";

static const char usage[] =
    "usage: denoise [--out DIR] [--size WxH] [--window N] [picture.png]\n"
    "\n"
    "Denoises a picture with attention and writes noisy.png, denoised.png and clean.png.\n"
    "\n"
    "  picture.png  the clean picture; noise with a standard deviation of 0.1 is added to it.\n"
    "               Without it, a scene is rendered: noisy with 4 paths per pixel, clean with 128.\n"
    "  --size WxH   of the rendered scene, at least 32x32 (256x192)\n"
    "  --window N   pixels of a side of the window that a pixel sees, 7 to 21 (21)\n"
    "  --out DIR    where to write (the current directory)\n"
    "\n"
    "Exit status: 0 if the denoised picture is nearer to the clean one than the noisy one is, by at least 6 dB for\n"
    "the scene (at 96x72 or larger; below, it has too few pixels) and 2 dB for a picture; otherwise 1.\n";

typedef struct options {
    const char *out, *picture;
    uint32_t width, height, window;
} options;

/* ---- attention ---------------------------------------------------------------------------------------------- */

/* One head of a token for each pixel, in memory that the host sees. */
static vka_tensor pixels(vka_device *device, vka_memory memory, uint32_t count, uint32_t dim) {
    vka_buffer *buffer;
    uint64_t size = (uint64_t)count * dim * sizeof(float);
    check(vka_buffer_create(device, &(vka_buffer_desc){.size = size, .memory = memory}, &buffer));
    return vka_tensor_4d(buffer, VKA_F32, 1, 1, count, dim);
}

/* Each pixel sees the window around it, which moves inward at the borders of the picture. */
static vka_pattern *window_around(vka_device *device, const guide *g, uint32_t window) {
    vka_pattern *pattern;
    vka_pattern_term term = {
        .kind = VKA_PATTERN_NEIGHBORHOOD,
        .grid = {.rank = 2, .size = {g->height, g->width}, .window = {window, window}},
    };
    uint32_t count = g->width * g->height;
    check(vka_pattern_create(
        device, &(vka_pattern_desc){.queries = count, .keys = count, .terms = &term, .term_count = 1}, &pattern));
    return pattern;
}

static vka_tensor nearness(vka_device *device, const guide *g, uint32_t window) {
    uint32_t side = 2 * window - 1;
    vka_buffer *buffer;
    vka_buffer_desc desc = {.size = (uint64_t)side * side * sizeof(float), .memory = VKA_MEMORY_UPLOAD};
    check(vka_buffer_create(device, &desc, &buffer));
    fill_nearness(g, window, vka_buffer_map(buffer));
    return vka_tensor_3d(buffer, VKA_F32, 1, side, side);
}

/* Returns the seconds that it took, without compilation. */
static double attend(vka_device *device, const vka_attention_desc *desc) {
    vka_recorder *recorder;
    check(vka_attention_prepare(device, desc));
    check(vka_recorder_create(device, NULL, &recorder));
    check(vka_recorder_begin(recorder));
    check(vka_attention(recorder, desc));
    double start = seconds();
    check(vka_recorder_submit(recorder));
    check(vka_recorder_wait(recorder, VKA_FOREVER));
    double end = seconds();
    vka_recorder_destroy(&recorder);
    return end - start;
}

static picture filter(const guide *g, const picture *values, uint32_t window) {
    vka_device *device;
    check(vka_device_create(&(vka_device_desc){.log = {.fn = log_line}}, &device));
    picture result = picture_create(values->width, values->height);
    uint32_t count = g->width * g->height, dim = row_dim(g);
    vka_pattern *pattern = window_around(device, g, window);
    vka_tensor table = nearness(device, g, window);
    vka_tensor q = pixels(device, VKA_MEMORY_UPLOAD, count, dim);
    vka_tensor k = pixels(device, VKA_MEMORY_UPLOAD, count, dim);
    vka_tensor v = pixels(device, VKA_MEMORY_UPLOAD, count, 3);
    vka_tensor out = pixels(device, VKA_MEMORY_READBACK, count, 3);
    fill_rows(g, vka_buffer_map(q.buffer), vka_buffer_map(k.buffer));
    memcpy(vka_buffer_map(v.buffer), values->rgb, (size_t)count * 3 * sizeof(float));

    vka_attention_desc desc = {
        .q = q,
        .k = k,
        .v = v,
        .out = out,
        .scale = 1,
        .pattern = pattern,
        .relative_bias = table,
        .relative_width = g->width,
        .relative_zero = window - 1,
        .relative_zero_row = window - 1,
    };
    double spent = attend(device, &desc);
    printf("attention    %.2f s for %" PRIu32 " pixels that see %" PRIu32 " x %" PRIu32 " each, D = %" PRIu32
           ", on %s\n",
           spent, count, window, window, dim, vka_device_get_caps(device)->name);
    memcpy(result.rgb, vka_buffer_map(out.buffer), (size_t)count * 3 * sizeof(float));

    vka_pattern_destroy(&pattern);
    vka_buffer *buffers[] = {q.buffer, k.buffer, v.buffer, out.buffer, table.buffer};
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++) {
        vka_buffer_destroy(&buffers[i]);
    }
    vka_device_destroy(&device);
    return result;
}

/* ---- pictures ----------------------------------------------------------------------------------------------- */

static picture displayed(const frame *f) {
    picture p = picture_create(f->width, f->height);
    for (size_t i = 0; i < (size_t)f->width * f->height * 3; i++) {
        p.rgb[i] = display(f->radiance[i]);
    }
    return p;
}

/* Renders, denoises the light alone, and puts the textures back: they are not noisy, so they stay sharp. */
static void denoise_scene(const options *o, picture *clean, picture *noisy, picture *denoised) {
    frame reference = scene_render(o->width, o->height, CLEAN_PATHS, CLEAN_PATHS);
    frame f = scene_render(o->width, o->height, NOISY_PATHS, GUIDES);
    *clean = displayed(&reference);
    *noisy = displayed(&f);
    frame_free(&reference);

    guide g = guide_of_frame(&f);
    *denoised = filter(&g, &(picture){f.width, f.height, f.light}, o->window);
    for (size_t i = 0; i < (size_t)f.width * f.height * 3; i++) {
        denoised->rgb[i] = display(f.emission[i] + f.albedo[i] * denoised->rgb[i]);
    }
    guide_free(&g);
    frame_free(&f);
}

static bool denoise_picture(const options *o, picture *clean, picture *noisy, picture *denoised) {
    if (!picture_load(o->picture, clean)) {
        return false;
    }
    *noisy = picture_add_noise(clean, PICTURE_SIGMA, 1);
    guide g = guide_of_picture(noisy, PICTURE_SIGMA);
    *denoised = filter(&g, noisy, o->window);
    guide_free(&g);
    return true;
}

static bool report(const options *o, const picture *clean, const picture *noisy, const picture *denoised) {
    double before = picture_psnr(noisy, clean), after = picture_psnr(denoised, clean);
    double margin = o->picture == NULL ? FRAME_MARGIN : PICTURE_MARGIN;
    bool better = after >= before + margin;
    printf("PSNR         noisy %.2f dB, denoised %.2f dB: %+.2f dB, asked for %.1f\n", before, after, after - before,
           margin);
    if (!better) {
        fprintf(stderr, "denoise: the denoised picture is not better by %.1f dB\n", margin);
    }
    bool saved = picture_save(o->out, "noisy.png", noisy) && picture_save(o->out, "denoised.png", denoised) &&
                 picture_save(o->out, "clean.png", clean);
    return better && saved;
}

static bool parse_size(const char *text, options *o) {
    char rest;
    return sscanf(text, "%5" SCNu32 "x%5" SCNu32 "%c", &o->width, &o->height, &rest) == 2 && o->width >= LEAST_SIDE &&
           o->height >= LEAST_SIDE;
}

static bool parse_window(const char *text, options *o) {
    char rest;
    return sscanf(text, "%2" SCNu32 "%c", &o->window, &rest) == 1 && o->window >= LEAST_WINDOW &&
           o->window <= MOST_WINDOW;
}

static bool parse(int argc, char **argv, options *o) {
    for (int i = 1; i < argc; i++) {
        bool more = i + 1 < argc;
        if (strcmp(argv[i], "--out") == 0 && more) {
            o->out = argv[++i];
        } else if (strcmp(argv[i], "--size") == 0 && more) {
            if (!parse_size(argv[++i], o)) {
                return false;
            }
        } else if (strcmp(argv[i], "--window") == 0 && more) {
            if (!parse_window(argv[++i], o)) {
                return false;
            }
        } else if (argv[i][0] != '-' && o->picture == NULL) {
            o->picture = argv[i];
        } else {
            return false;
        }
    }
    return true;
}

int main(int argc, char **argv) {
    options o = {.out = ".", .width = 256, .height = 192, .window = MOST_WINDOW};
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        fputs(usage, stdout);
        return 0;
    }
    if (!parse(argc, argv, &o)) {
        fputs(usage, stderr);
        return 2;
    }
    picture clean = {0}, noisy = {0}, denoised = {0};
    bool ok = true;
    if (o.picture == NULL) {
        denoise_scene(&o, &clean, &noisy, &denoised);
    } else {
        ok = denoise_picture(&o, &clean, &noisy, &denoised);
    }
    ok = ok && report(&o, &clean, &noisy, &denoised);
    picture_free(&clean);
    picture_free(&noisy);
    picture_free(&denoised);
    return ok ? 0 : 1;
}
