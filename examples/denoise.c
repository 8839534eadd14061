/* A noisy picture, denoised by attention: pixels look at the pixels that are like them, and take their mean.
 * SPDX-License-Identifier: MIT
 *
 * The whole picture is one attention: a pixel is a query and a key, and sees the pixels of the window around it, by a
 * neighborhood pattern. q and k are the pixels' features, v their colours (denoise/rows.c has the formula), and a table
 * says how much a pixel's place counts. All that runs on the device is one vka_attention.
 *
 * Without a picture it renders one: a small path tracer (denoise/scene.c) makes a noisy frame and a clean one. */
#include "common/options.h"
#include "common/program.h"
#include "denoise/buffers.h"
#include "denoise/guides.h"
#include "denoise/pfm.h"
#include "denoise/picture.h"
#include "denoise/planes.h"
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
    "usage: denoise [--out DIR] [--size WxH] [--window N] [--save-buffers DIR] [picture.png]\n"
    "       denoise --color FILE [buffer ..] [--exposure X] [--out DIR] [--window N]\n"
    "\n"
    "Denoises a picture with attention and writes noisy.png, denoised.png and clean.png.\n"
    "\n"
    "  picture.png  the clean picture; noise with a standard deviation of 0.1 is added to it.\n"
    "               Without it, a scene is rendered: noisy with 4 paths per pixel, clean with 128.\n"
    "  --size WxH   of the rendered scene, at least 32x32 (256x192)\n"
    "  --window N   pixels of a side of the window that a pixel sees, 7 to 21 (21)\n"
    "  --out DIR    where to write (the current directory)\n"
    "  --save-buffers DIR  the rendered scene as PFM files, as the options below read them\n"
    "\n"
    "Buffers of your own renderer: PFM or EXR files, or PNG, all of one size.\n"
    "\n"
    "  --color FILE       noisy and linear (PNG: sRGB); denoised.pfm is written, too\n"
    "  --albedo FILE      colours of surfaces: light alone is denoised, textures stay as they are\n"
    "  --normal FILE      of surfaces, in any space (PNG: 0 .. 255 is -1 .. 1)\n"
    "  --depth FILE       distances, of which ratios count; infinite: no surface\n"
    "  --position FILE    places in metres, instead of depth\n"
    "  --emission FILE    what shines by itself [the colour, where albedo is 0]\n"
    "  --reference FILE   the picture without noise: prints PSNR\n"
    "  --exposure X       colours are multiplied by it [so that their geometric mean is 0.18]\n"
    "\n"
    "Exit status: 0 if the denoised picture is nearer to the clean one than the noisy one is, by at least 6 dB for\n"
    "the scene (at 96x72 or larger; below, it has too few pixels) and 2 dB for a picture; for buffers of your own at\n"
    "all, or if there is no reference. Otherwise 1; 2 if arguments are wrong.\n";

typedef struct options {
    const char *out, *picture, *save;
    buffer_paths buffers;
    float exposure;
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

static picture displayed(const float *linear, uint32_t width, uint32_t height) {
    picture p = picture_create(width, height);
    for (size_t i = 0; i < (size_t)width * height * 3; i++) {
        p.rgb[i] = display(linear[i]);
    }
    return p;
}

/* Denoises the light alone, and puts the textures back: they are not noisy, so they stay sharp. The result is linear.
 */
static picture denoise_frame(const frame *f, uint32_t window) {
    guide g = guide_of_frame(f);
    picture light = filter(&g, &(picture){f->width, f->height, f->light}, window);
    for (size_t i = 0; i < (size_t)f->width * f->height * 3; i++) {
        light.rgb[i] = f->emission[i] + f->albedo[i] * light.rgb[i];
    }
    guide_free(&g);
    return light;
}

static bool denoise_scene(const options *o, picture *clean, picture *noisy, picture *denoised) {
    frame reference = scene_render(o->width, o->height, CLEAN_PATHS, CLEAN_PATHS);
    frame f = scene_render(o->width, o->height, NOISY_PATHS, GUIDES);
    bool ok = o->save == NULL || buffers_save(o->save, &f, &reference);
    if (ok) {
        picture linear = denoise_frame(&f, o->window);
        *clean = displayed(reference.radiance, o->width, o->height);
        *noisy = displayed(f.radiance, o->width, o->height);
        *denoised = displayed(linear.rgb, o->width, o->height);
        picture_free(&linear);
    }
    frame_free(&reference);
    frame_free(&f);
    return ok;
}

static bool save_linear(const options *o, const picture *linear, float exposure) {
    char path[4096];
    for (size_t i = 0; i < (size_t)linear->width * linear->height * 3; i++) {
        linear->rgb[i] /= exposure;
    }
    return snprintf(path, sizeof path, "%s/denoised.pfm", o->out) < (int)sizeof path &&
           pfm_save(path, linear->width, linear->height, 3, linear->rgb);
}

/* Without a reference `clean` is empty. */
static bool denoise_buffers(const options *o, picture *clean, picture *noisy, picture *denoised) {
    frame f;
    float *reference, exposure = o->exposure;
    if (!buffers_load(&o->buffers, &exposure, &f, &reference)) {
        return false;
    }
    bool ok = f.width >= o->window && f.height >= o->window;
    if (ok) {
        printf("exposure     colours times %g\n", (double)exposure);
        picture linear = denoise_frame(&f, o->window);
        *noisy = displayed(f.radiance, f.width, f.height);
        *denoised = displayed(linear.rgb, f.width, f.height);
        if (reference) {
            *clean = displayed(reference, f.width, f.height);
        }
        ok = save_linear(o, &linear, exposure);
        picture_free(&linear);
    } else {
        plane_refuse(o->buffers.color, "has %u x %u pixels, less than the window of %u", f.width, f.height, o->window);
    }
    free(reference);
    frame_free(&f);
    return ok;
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
    bool saved = picture_save(o->out, "noisy.png", noisy) && picture_save(o->out, "denoised.png", denoised);
    if (clean->rgb == NULL) {
        return saved;
    }
    double before = picture_psnr(noisy, clean), after = picture_psnr(denoised, clean);
    double margin = o->buffers.color ? 0 : o->picture ? PICTURE_MARGIN : FRAME_MARGIN;
    bool better = after >= before + margin;
    printf("PSNR         noisy %.2f dB, denoised %.2f dB: %+.2f dB, asked for %.1f\n", before, after, after - before,
           margin);
    if (!better) {
        fprintf(stderr, "denoise: the denoised picture is not better by %.1f dB\n", margin);
    }
    return picture_save(o->out, "clean.png", clean) && better && saved;
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

static void parse(int argc, char **argv, options *o) {
    const char *size = NULL, *window = NULL;
    buffer_paths *b = &o->buffers;
    const option list[] = {
        {"--out", OPTION_TEXT, &o->out},           {"--size", OPTION_TEXT, &size},
        {"--window", OPTION_TEXT, &window},        {"--save-buffers", OPTION_TEXT, &o->save},
        {"--color", OPTION_TEXT, &b->color},       {"--albedo", OPTION_TEXT, &b->albedo},
        {"--normal", OPTION_TEXT, &b->normal},     {"--depth", OPTION_TEXT, &b->depth},
        {"--position", OPTION_TEXT, &b->position}, {"--emission", OPTION_TEXT, &b->emission},
        {"--exposure", OPTION_REAL, &o->exposure}, {"--reference", OPTION_TEXT, &b->reference},
    };
    int first = options_read_first(argc, argv, list, sizeof list / sizeof *list, usage);
    o->picture = first < argc ? argv[first] : NULL;
    bool others = b->albedo || b->normal || b->depth || b->position || b->emission || b->reference || o->exposure != 0;
    options_check(usage, first + 1 < argc                     ? "takes one picture"
                         : size && !parse_size(size, o)       ? "--size must be WxH, each 32 or more"
                         : window && !parse_window(window, o) ? "--window must be 7 to 21"
                         : b->color && (o->picture || o->save || size)
                             ? "--color excludes a picture, --save-buffers and --size"
                         : !b->color && others   ? "buffers need --color"
                         : o->picture && o->save ? "--save-buffers is for the built-in scene"
                                                 : NULL);
}

int main(int argc, char **argv) {
    options o = {.out = ".", .width = 256, .height = 192, .window = MOST_WINDOW};
    parse(argc, argv, &o);
    picture clean = {0}, noisy = {0}, denoised = {0};
    bool ok = o.picture         ? denoise_picture(&o, &clean, &noisy, &denoised)
              : o.buffers.color ? denoise_buffers(&o, &clean, &noisy, &denoised)
                                : denoise_scene(&o, &clean, &noisy, &denoised);
    ok = ok && report(&o, &clean, &noisy, &denoised);
    picture_free(&clean);
    picture_free(&noisy);
    picture_free(&denoised);
    return ok ? 0 : 1;
}
