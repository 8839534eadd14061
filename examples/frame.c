/* vkattn in a frame loop: a window, two frames in flight, and a flock of points whose attention to each other is spread
 * over frames by a budget. Timestamps and a bar for each frame are on the screen.
 * SPDX-License-Identifier: MIT
 *
 *   frame/flock.c      the attention, and how its slices are recorded: read this one
 *   frame/renderer.c   frames, their times, and the budget that follows from them
 *   frame/screen.c     the swapchain, which follows the window
 *   frame/gpu.c        instance, device, queue; vkattn imports the device
 *
 * Keys: up and down change the budget, 0 takes it away, Escape ends. When the device is lost, everything that was made
 * of it is destroyed and made anew (here, in run): nothing of vkattn outlives it, and the flock begins again.
 *
 * Exits with 1 when the validation layer has something to say. */
#include "frame/renderer.h"

#include "common/options.h"
#include "common/program.h"

#define GLFW_INCLUDE_NONE
#include <GLFW/glfw3.h>

#include <stdio.h>

const char program_name[] = "frame";

static const char usage[] =
    "usage: frame [--points N] [--budget MS | --slices N] [--frames N] [--steps N] [--screenshot FILE.png]\n"
    "             [--resize-at FRAME] [--lose-device-at FRAME]\n"
    "  --points N            4096\n"
    "  --budget MS           milliseconds of attention in a frame; 1; 0: no limit\n"
    "  --slices N            a step of the flock in about N frames, instead of a budget\n"
    "  --frames N, --steps N end after so many; 0: never\n"
    "  --screenshot FILE     of the last frame\n"
    "  --resize-at FRAME     changes the window's size\n"
    "  --lose-device-at FRAME acts as if the device got lost\n";

typedef struct program {
    GLFWwindow *window;
    validation layer;
    limits limits;
    uint32_t points, frames, steps, resize_at, lose_at;
    const char *picture;
    uint32_t frame;   /* of all devices there were */
    uint32_t resizes; /* that the window told of   */
    bool resized;
} program;

static bool make_surface(void *window, VkInstance instance, VkSurfaceKHR *surface) {
    return glfwCreateWindowSurface(instance, window, NULL, surface) == VK_SUCCESS;
}

static void on_error(int code, const char *text) {
    fprintf(stderr, "%s: GLFW error %d: %s\n", program_name, code, text);
}

static void on_resize(GLFWwindow *window, int width, int height) {
    (void)width, (void)height;
    program *p = glfwGetWindowUserPointer(window);
    p->resized = true;
    p->resizes++;
}

static void on_key(GLFWwindow *window, int key, int code, int action, int modifiers) {
    (void)code, (void)modifiers;
    program *p = glfwGetWindowUserPointer(window);
    if (action == GLFW_RELEASE) {
        return;
    }
    if (key == GLFW_KEY_ESCAPE) {
        glfwSetWindowShouldClose(window, GLFW_TRUE);
    } else if (key == GLFW_KEY_0) {
        p->limits = (limits){0};
    } else if (key == GLFW_KEY_UP || key == GLFW_KEY_DOWN) {
        float now = p->limits.milliseconds > 0 ? p->limits.milliseconds : 1;
        p->limits = (limits){.milliseconds = key == GLFW_KEY_UP ? now * 1.25f : now / 1.25f};
    }
}

/* Draws until the end, or until the device is lost. */
static bool draw_frames(program *p, renderer *r, const gpu *g) {
    bool last = false;
    while (!last && !glfwWindowShouldClose(p->window)) {
        int width, height;
        glfwPollEvents();
        if (p->resize_at && p->frame == p->resize_at) {
            glfwSetWindowSize(p->window, 700, 460);
        }
        glfwGetFramebufferSize(p->window, &width, &height);
        last = (p->frames && p->frame + 1 >= p->frames) || (p->steps && flock_steps_after(&r->flock) >= p->steps);
        bool resized = p->resized, lose = p->lose_at && p->frame == p->lose_at;
        p->resized = false;
        VkResult result = renderer_frame(r, g, &p->limits, (uint32_t)width, (uint32_t)height, resized, lose,
                                         last ? p->picture : NULL);
        if (result == VK_ERROR_DEVICE_LOST) {
            printf("the device was lost in frame %u: beginning again\n", p->frame++);
            return false;
        }
        if (result == VK_NOT_READY) { /* a window without area draws nothing */
            glfwWaitEventsTimeout(0.1);
            last = false;
            continue;
        }
        vk_check(result, "a frame");
        p->frame++;
    }
    return true;
}

static void run(program *p) {
    uint32_t count = 0;
    const char **extensions = glfwGetRequiredInstanceExtensions(&count);
    if (!extensions) {
        fail("GLFW finds no Vulkan for windows");
    }
    for (bool finished = false; !finished;) {
        gpu g;
        renderer r;
        int width, height;
        glfwGetFramebufferSize(p->window, &width, &height);
        gpu_open(&g, &p->layer, extensions, count, make_surface, p->window);
        renderer_open(&r, &g, p->points, (uint32_t)width, (uint32_t)height);
        finished = draw_frames(p, &r, &g);
        if (finished) {
            vkDeviceWaitIdle(g.device);
            printf("%u frames, %u steps, the last one in %u slices, %u resizes, state %08x\n", p->frame, r.flock.steps,
                   r.flock.in_slices, p->resizes, flock_checksum(&r.flock));
        }
        renderer_close(&r, &g);
        gpu_close(&g);
    }
}

int main(int argc, char **argv) {
    program p = {.limits = {.milliseconds = 1}, .points = 4096};
    const option options[] = {
        {"--points", OPTION_NUMBER, &p.points},        {"--budget", OPTION_REAL, &p.limits.milliseconds},
        {"--slices", OPTION_NUMBER, &p.limits.slices}, {"--frames", OPTION_NUMBER, &p.frames},
        {"--steps", OPTION_NUMBER, &p.steps},          {"--screenshot", OPTION_TEXT, &p.picture},
        {"--resize-at", OPTION_NUMBER, &p.resize_at},  {"--lose-device-at", OPTION_NUMBER, &p.lose_at},
    };
    options_read(argc, argv, options, sizeof options / sizeof *options, usage);
    options_check(usage, p.points < 1 || p.points > 1 << 17 ? "--points must be 1 to 131072" : NULL);
    glfwSetErrorCallback(on_error);
    if (!glfwInit()) {
        fail("there is no display");
    }
    vk_check(volkInitialize(), "no Vulkan loader");
    glfwWindowHint(GLFW_CLIENT_API, GLFW_NO_API);
    p.window = glfwCreateWindow(960, 540, "vkattn: a flock by attention", NULL, NULL);
    if (!p.window) {
        fail("there is no window");
    }
    glfwSetWindowUserPointer(p.window, &p);
    glfwSetFramebufferSizeCallback(p.window, on_resize);
    glfwSetKeyCallback(p.window, on_key);
    run(&p);
    glfwDestroyWindow(p.window);
    glfwTerminate();
    if (p.layer.complaints > 0) {
        fail("%u validation messages", p.layer.complaints);
    }
    return 0;
}
