/* SPDX-License-Identifier: MIT */
#include "heat.h"

#include <math.h>
#include <string.h>

enum { COLOURS = 5, BAR_WIDTH = 120, BAR_HEIGHT = 12 };

/* From light to dark in equal steps, and never so dark that ink is lost on it (ColorBrewer's YlOrRd, Harrower 2003). */
static const double colours[COLOURS][3] = {
    {255, 255, 255}, {255, 237, 160}, {254, 178, 76}, {252, 98, 52}, {227, 26, 28}};

/* Of paper with ink on it. */
static colour mixed(double heat, double ink) {
    double light[3];
    colour_along(colours, COLOURS, heat, light);
    for (int i = 0; i < 3; i++) {
        light[i] *= 1 - 0.85 * ink;
    }
    return colour_of(light);
}

static double largest(const double *numbers, uint32_t count) {
    double most = 0;
    for (uint32_t i = 0; numbers && i < count; i++) {
        most = fmax(most, numbers[i]);
    }
    return most;
}

void heat_draw(canvas *c, uint32_t x, uint32_t y, const heat_picture *p, const double *numbers, colour frame) {
    const uint32_t grid = p->side / p->patch, size = p->side * p->scale;
    const double most = largest(numbers, grid * grid);
    for (uint32_t i = 0; i < p->side * p->side; i++) {
        const uint32_t column = i % p->side, row = i / p->side;
        const double heat = most > 0 ? numbers[row / p->patch * grid + column / p->patch] / most : 0;
        canvas_fill(c, x + column * p->scale, y + row * p->scale, p->scale, p->scale, 1,
                    mixed(heat, (double)p->pixels[i]));
    }
    for (uint32_t i = 0; i < 2; i++) {
        const uint32_t far = i ? size : 0;
        canvas_line(c, x, y + far, x + size, y + far, 1.5, frame);
        canvas_line(c, x + far, y, x + far, y + size, 1.5, frame);
    }
}

void heat_pixels(const heat_picture *p, uint8_t (*rgb)[3]) {
    const uint32_t side = p->side * p->scale;
    for (uint32_t i = 0; i < side * side; i++) {
        const float ink = p->pixels[i / side / p->scale * p->side + i % side / p->scale];
        memset(rgb[i], (int)lrintf(255 * (1 - ink)), 3);
    }
}

void heat_legend(canvas *c, uint32_t x, uint32_t y) {
    const colour black = {0, 0, 0};
    static const char most[] = "the most in this picture";
    canvas_text(c, x, y + 3, 1, "none", black);
    x += canvas_text_width("none", 1) + 4;
    for (uint32_t i = 0; i < BAR_WIDTH; i++) {
        canvas_fill(c, x + i, y, 1, BAR_HEIGHT, 1, mixed(i / (BAR_WIDTH - 1.0), 0));
    }
    canvas_text(c, x + BAR_WIDTH + 6, y + 3, 1, most, black);
}
