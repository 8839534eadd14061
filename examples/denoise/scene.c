/* Path tracing a corner of a room: a checkered floor, two walls, five balls, one lamp and a patch of sky.
 * SPDX-License-Identifier: MIT
 *
 * Kajiya 1986, with the lamp sampled directly at every diffuse hit. Sample points are Kronecker sequences, shifted at
 * random for each pixel (Cranley and Patterson 1976). */
#include "scene.h"

#include "common/program.h"

#include <math.h>
#include <stdlib.h>

#define PI          3.14159265f
#define FAR         1e30f
#define ROOM        5.0f  /* how far floor and walls reach */
#define NUDGE       1e-3f /* lifts the start of a ray off its surface */
#define MAX_BOUNCES 5

typedef struct vec {
    float x, y, z;
} vec;

static vec add(vec a, vec b) {
    return (vec){a.x + b.x, a.y + b.y, a.z + b.z};
}

static vec sub(vec a, vec b) {
    return (vec){a.x - b.x, a.y - b.y, a.z - b.z};
}

static vec mul(vec a, vec b) {
    return (vec){a.x * b.x, a.y * b.y, a.z * b.z};
}

static vec scaled(vec a, float s) {
    return (vec){a.x * s, a.y * s, a.z * s};
}

static float dot(vec a, vec b) {
    return a.x * b.x + a.y * b.y + a.z * b.z;
}

static vec cross(vec a, vec b) {
    return (vec){a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x};
}

static vec unit(vec a) {
    return scaled(a, 1 / sqrtf(dot(a, a)));
}

/* ---- the scene ---------------------------------------------------------------------------------------------- */

typedef struct sphere {
    vec centre;
    float radius;
    vec albedo;
    bool mirror;
} sphere;

static const sphere spheres[] = {
    {{-0.15f, 0.80f, -0.55f}, 0.80f, {0.82f, 0.36f, 0.22f}, false},
    {{-1.45f, 0.55f, 0.20f}, 0.55f, {0.92f, 0.92f, 0.92f}, true},
    {{1.25f, 0.50f, 0.05f}, 0.50f, {0.16f, 0.48f, 0.58f}, false},
    {{0.45f, 0.24f, 0.95f}, 0.24f, {0.86f, 0.70f, 0.20f}, false},
    {{-0.55f, 0.18f, 1.05f}, 0.18f, {0.40f, 0.62f, 0.28f}, false},
};

/* Planes through `point` that are seen from the side of `normal`: floor, back wall, left wall. */
typedef struct plane {
    vec point, normal, albedo;
} plane;

static const plane planes[] = {
    {{0, 0, 0}, {0, 1, 0}, {0.80f, 0.78f, 0.74f}},
    {{0, 0, -1.9f}, {0, 0, 1}, {0.78f, 0.76f, 0.72f}},
    {{-2.5f, 0, 0}, {1, 0, 0}, {0.70f, 0.24f, 0.20f}},
};

/* The lamp: a rectangle that shines downwards. */
static const vec lamp_corner = {0.9f, 3.3f, 0.3f}, lamp_u = {1.0f, 0, 0}, lamp_v = {0, 0, 1.0f};
static const vec lamp_radiance = {26, 22, 17};

typedef struct hit {
    float t;
    vec place, normal, albedo;
    bool mirror;
} hit;

static float hit_sphere(const sphere *s, vec from, vec to) {
    vec d = sub(from, s->centre);
    float b = dot(d, to), c = dot(d, d) - s->radius * s->radius, e = b * b - c;
    if (e < 0) {
        return FAR;
    }
    float root = sqrtf(e);
    return -b - root > NUDGE ? -b - root : -b + root > NUDGE ? -b + root : FAR;
}

static float hit_plane(const plane *p, vec from, vec to) {
    float along = dot(to, p->normal);
    float t = along < 0 ? dot(sub(p->point, from), p->normal) / along : FAR;
    vec at = add(from, scaled(to, t));
    return t > NUDGE && fmaxf(fabsf(at.x), fmaxf(at.y, fabsf(at.z))) < ROOM ? t : FAR;
}

static vec floor_albedo(const plane *p, vec at) {
    int squares = (int)floorf(at.x * 2.5f) + (int)floorf(at.z * 2.5f);
    return squares & 1 ? scaled(p->albedo, 0.28f) : p->albedo;
}

static hit trace(vec from, vec to) {
    hit h = {.t = FAR};
    for (size_t i = 0; i < sizeof planes / sizeof *planes; i++) {
        float t = hit_plane(&planes[i], from, to);
        if (t < h.t) {
            vec at = add(from, scaled(to, t));
            h = (hit){t, at, planes[i].normal, i == 0 ? floor_albedo(&planes[i], at) : planes[i].albedo, false};
        }
    }
    for (size_t i = 0; i < sizeof spheres / sizeof *spheres; i++) {
        const sphere *s = &spheres[i];
        float t = hit_sphere(s, from, to);
        if (t < h.t) {
            vec at = add(from, scaled(to, t));
            h = (hit){t, at, scaled(sub(at, s->centre), 1 / s->radius), s->albedo, s->mirror};
        }
    }
    return h;
}

static bool blocked(vec from, vec to, float distance) {
    for (size_t i = 0; i < sizeof spheres / sizeof *spheres; i++) {
        if (hit_sphere(&spheres[i], from, to) < distance) {
            return true;
        }
    }
    return false; /* no plane lies between a point of the room and the lamp */
}

static vec sky(vec to) {
    float up = 0.5f + 0.5f * to.y;
    return scaled((vec){0.30f, 0.42f, 0.66f}, 0.8f * up);
}

/* ---- light paths -------------------------------------------------------------------------------------------- */

/* Number `index` of the sample points of a pixel, one coordinate after the other. */
typedef struct sampler {
    uint32_t pixel, index, dimension;
} sampler;

static float next(sampler *s) {
    /* Square roots of primes: together irrational, so that points fill the cube evenly. */
    static const float steps[] = {0.41421356f, 0.73205081f, 0.23606798f, 0.64575131f, 0.31662479f, 0.60555128f,
                                  0.12310563f, 0.35889894f, 0.79583152f, 0.38516481f, 0.56776436f, 0.08276253f};
    uint32_t d = s->dimension++, shift = hash32(hash32(s->pixel) + d);
    if (d >= sizeof steps / sizeof *steps) {
        return uniform01(shift ^ hash32(s->index));
    }
    float x = (float)(shift >> 8) * 0x1p-24f + (float)s->index * steps[d];
    return x - floorf(x);
}

static vec from_lamp(const hit *h, sampler *s) {
    float u = next(s), v = next(s);
    vec at = add(lamp_corner, add(scaled(lamp_u, u), scaled(lamp_v, v))), to = sub(at, h->place);
    float square = dot(to, to), distance = sqrtf(square);
    to = scaled(to, 1 / distance);
    float cosines = dot(h->normal, to) * to.y; /* at the surface and at the lamp, which looks down */
    if (dot(h->normal, to) <= 0 || to.y <= 0 || blocked(h->place, to, distance)) {
        return (vec){0, 0, 0};
    }
    float area = sqrtf(dot(lamp_u, lamp_u) * dot(lamp_v, lamp_v));
    return scaled(lamp_radiance, cosines * area / (PI * square));
}

/* A direction around the normal with a density of cosine / pi (Malley's method). */
static vec scatter(vec normal, sampler *s) {
    float radius2 = next(s), angle = 2 * PI * next(s), radius = sqrtf(radius2);
    vec side = unit(cross(fabsf(normal.x) > 0.5f ? (vec){0, 1, 0} : (vec){1, 0, 0}, normal));
    vec out = add(scaled(side, radius * cosf(angle)), scaled(cross(normal, side), radius * sinf(angle)));
    return unit(add(out, scaled(normal, sqrtf(1 - radius2))));
}

/* Light that a diffuse hit sends out, per albedo. */
static vec gather(hit h, sampler *s) {
    vec light = {0, 0, 0}, through = {1, 1, 1};
    for (int bounce = 0; bounce < MAX_BOUNCES; bounce++) {
        if (!h.mirror) {
            light = add(light, mul(through, from_lamp(&h, s)));
        }
        vec from = h.place, to = scatter(h.normal, s);
        h = trace(from, to);
        while (h.t < FAR && h.mirror) { /* there is one mirror, and it can't see itself: this ends */
            through = mul(through, h.albedo);
            to = sub(to, scaled(h.normal, 2 * dot(to, h.normal)));
            h = trace(h.place, to);
        }
        if (h.t == FAR) {
            return add(light, mul(through, sky(to)));
        }
        through = mul(through, h.albedo);
    }
    return light;
}

/* ---- the picture -------------------------------------------------------------------------------------------- */

typedef struct sample {
    vec emission, lit, albedo, normal, place;
} sample;

static sample trace_pixel(vec from, vec to, bool lit, sampler *s) {
    vec tint = {1, 1, 1};
    hit h = trace(from, to);
    while (h.t < FAR && h.mirror) {
        tint = mul(tint, h.albedo);
        from = h.place;
        to = sub(to, scaled(h.normal, 2 * dot(to, h.normal)));
        h = trace(from, to);
    }
    if (h.t == FAR) {
        return (sample){.emission = mul(tint, sky(to)), .place = add(from, scaled(to, ROOM))};
    }
    sample found = {.albedo = mul(tint, h.albedo), .normal = h.normal, .place = h.place};
    if (lit) {
        found.lit = mul(found.albedo, gather(h, s));
    }
    return found;
}

static vec camera_ray(const frame *f, uint32_t x, uint32_t y, sampler *s) {
    const vec forward = unit((vec){0, -0.23f, -1}), right = {1, 0, 0};
    float zoom = 1.1f / (float)f->width;
    float u = ((float)x + next(s) - 0.5f * (float)f->width) * zoom;
    float v = ((float)y + next(s) - 0.5f * (float)f->height) * zoom;
    return unit(add(forward, add(scaled(right, u), scaled(cross(forward, right), v))));
}

/* Adds one of `samples` to a mean. */
static void mean(float *sum, vec value, uint32_t samples) {
    sum[0] += value.x / (float)samples;
    sum[1] += value.y / (float)samples;
    sum[2] += value.z / (float)samples;
}

static void render_pixel(frame *f, uint32_t x, uint32_t y, uint32_t paths, uint32_t guides) {
    const vec eye = {0, 1.75f, 4.4f};
    size_t pixel = (size_t)y * f->width + x, at = 3 * pixel;
    float lit[3] = {0};
    for (uint32_t i = 0; i < guides; i++) {
        sampler s = {.pixel = (uint32_t)pixel, .index = i};
        vec to = camera_ray(f, x, y, &s);
        sample got = trace_pixel(eye, to, i < paths, &s);
        if (i < paths) {
            mean(f->radiance + at, add(got.emission, got.lit), paths);
            mean(lit, got.lit, paths);
        }
        mean(f->emission + at, got.emission, guides);
        mean(f->albedo + at, got.albedo, guides);
        mean(f->normal + at, got.normal, guides);
        mean(f->place + at, got.place, guides);
        vec way = sub(got.place, eye);
        f->depth[pixel] += sqrtf(dot(way, way)) / (float)guides;
    }
    for (int c = 0; c < 3; c++) {
        float albedo = f->albedo[at + (size_t)c];
        f->light[at + (size_t)c] = albedo > 0 ? lit[c] / albedo : 0;
    }
}

frame scene_render(uint32_t width, uint32_t height, uint32_t paths, uint32_t guides) {
    frame f = {.width = width, .height = height};
    float **planes_of[] = {&f.radiance, &f.emission, &f.light, &f.albedo, &f.normal, &f.place};
    for (size_t i = 0; i < sizeof planes_of / sizeof *planes_of; i++) {
        *planes_of[i] = allocate((size_t)width * height * 3, sizeof(float));
    }
    f.depth = allocate((size_t)width * height, sizeof(float));
    for (uint32_t y = 0; y < height; y++) {
        for (uint32_t x = 0; x < width; x++) {
            render_pixel(&f, x, y, paths, guides);
        }
    }
    return f;
}

void frame_free(frame *f) {
    free(f->radiance);
    free(f->emission);
    free(f->light);
    free(f->albedo);
    free(f->normal);
    free(f->place);
    free(f->depth);
    *f = (frame){0};
}

float display(float linear) {
    float x = 1 - expf(-linear); /* highlights roll off instead of clipping */
    return x <= 0.0031308f ? 12.92f * x : 1.055f * powf(x, 1 / 2.4f) - 0.055f;
}
