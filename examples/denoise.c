/* A noisy picture, denoised by attention: pixels look at the pixels that are like them, and take their mean.
 * SPDX-License-Identifier: MIT
 *
 * The picture is cut into overlapping windows of 32 x 32 pixels. Each is one attention of 1024 queries and keys: q and
 * k are the pixels' features, v their colours (denoise/windows.c has the formula). All that runs on the device is
 * vka_attention, recorded once and submitted for one batch of windows after the other.
 *
 * Without a picture it renders one: a small path tracer (denoise/scene.c) makes a noisy frame and a clean one. */
#include "denoise/guides.h"
#include "denoise/picture.h"
#include "denoise/scene.h"
#include "denoise/windows.h"

#include <vkattn/attention.h>
#include <vkattn/vkattn.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BATCH = 64 /* windows per submission */ };

/* Rendering. */
enum { NOISY_PATHS = 4, GUIDES = 16, CLEAN_PATHS = 128 };
#define FRAME_MARGIN 6.0 /* dB; 9.2 were measured for 128x96, 11.0 for 256x192 */

/* Pictures from files. */
#define PICTURE_SIGMA  0.1f /* of the noise that is added */
#define PICTURE_MARGIN 2.0  /* dB; 5 were measured for a photograph full of small print, 12 for a smooth picture */

static const char usage[] =
    "usage: denoise [--out DIR] [--size WxH] [picture.png]\n"
    "\n"
    "Denoises a picture with attention and writes noisy.png, denoised.png and clean.png.\n"
    "\n"
    "  picture.png  the clean picture; noise with a standard deviation of 0.1 is added to it.\n"
    "               Without it, a scene is rendered: noisy with 4 paths per pixel, clean with 128.\n"
    "  --size WxH   of the rendered scene, at least 32x32 (256x192)\n"
    "  --out DIR    where to write (the current directory)\n"
    "\n"
    "Exit status: 0 if the denoised picture is nearer to the clean one than the noisy one is, by at least 6 dB for\n"
    "the scene (at 96x72 or larger; below, it has too few pixels) and 2 dB for a picture; otherwise 1.\n";

typedef struct options {
    const char *out, *picture;
    uint32_t width, height;
} options;

static void check(vka_status status) {
    if (status != VKA_OK) {
        fprintf(stderr, "denoise: %s\n", vka_status_string(status));
        exit(1);
    }
}

static void log_line(void *user, vka_log_level level, const char *item, const char *message) {
    (void)user, (void)level;
    fprintf(stderr, "denoise: %s: %s\n", item, message);
}

static double seconds(void) {
    struct timespec now;
    timespec_get(&now, TIME_UTC);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* ---- attention ---------------------------------------------------------------------------------------------- */

/* One head a window: [windows, 1, WINDOW_PIXELS, dim], in memory that the host sees. */
static vka_tensor window_tensor(vka_device *device, vka_memory memory, uint32_t windows, uint32_t dim) {
    vka_buffer *buffer;
    uint64_t size = (uint64_t)windows * WINDOW_PIXELS * dim * sizeof(float);
    check(vka_buffer_create(device, &(vka_buffer_desc){.size = size, .memory = memory}, &buffer));
    return vka_tensor_4d(buffer, VKA_F32, windows, 1, WINDOW_PIXELS, dim);
}

/* Where a window's rows begin. */
static float *window_rows(vka_tensor t, uint32_t window) {
    return (float *)vka_buffer_map(t.buffer) + (size_t)window * t.shape[2] * t.shape[3];
}

static picture filter(const guide *g, const picture *values) {
    vka_device *device;
    check(vka_device_create(&(vka_device_desc){.log = {.fn = log_line}}, &device));
    picture result = picture_create(values->width, values->height);
    uint32_t count = window_count(g->width, g->height), dim = window_head_dim(g), batch = count < BATCH ? count : BATCH;
    vka_tensor q = window_tensor(device, VKA_MEMORY_UPLOAD, batch, dim);
    vka_tensor k = window_tensor(device, VKA_MEMORY_UPLOAD, batch, dim);
    vka_tensor v = window_tensor(device, VKA_MEMORY_UPLOAD, batch, 3);
    vka_tensor out = window_tensor(device, VKA_MEMORY_READBACK, batch, 3);

    vka_recorder *recorder;
    check(vka_recorder_create(device, NULL, &recorder));
    check(vka_recorder_begin(recorder));
    check(vka_attention(recorder, &(vka_attention_desc){.q = q, .k = k, .v = v, .out = out, .scale = 1}));
    double start = seconds();
    for (uint32_t first = 0; first < count; first += batch) {
        uint32_t n = count - first < batch ? count - first : batch;
        for (uint32_t i = 0; i < n; i++) {
            window_gather(g, values, first + i, window_rows(q, i), window_rows(k, i), window_rows(v, i));
        }
        check(vka_recorder_submit(recorder)); /* the last batch has leftovers behind n: nobody reads their results */
        check(vka_recorder_wait(recorder, VKA_FOREVER));
        for (uint32_t i = 0; i < n; i++) {
            window_scatter(window_rows(out, i), first + i, &result);
        }
    }
    printf("attention    %.2f s for %" PRIu32 " windows, D = %" PRIu32 ", on %s\n", seconds() - start, count, dim,
           vka_device_get_caps(device)->name);

    vka_recorder_destroy(&recorder);
    vka_buffer_destroy(&q.buffer);
    vka_buffer_destroy(&k.buffer);
    vka_buffer_destroy(&v.buffer);
    vka_buffer_destroy(&out.buffer);
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
    *denoised = filter(&g, &(picture){f.width, f.height, f.light});
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
    *denoised = filter(&g, noisy);
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
    return sscanf(text, "%5" SCNu32 "x%5" SCNu32 "%c", &o->width, &o->height, &rest) == 2 && o->width >= WINDOW_SIDE &&
           o->height >= WINDOW_SIDE;
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
        } else if (argv[i][0] != '-' && o->picture == NULL) {
            o->picture = argv[i];
        } else {
            return false;
        }
    }
    return true;
}

int main(int argc, char **argv) {
    options o = {.out = ".", .width = 256, .height = 192};
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
