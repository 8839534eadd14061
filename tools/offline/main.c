/* vkattn-offline: compiles every variant of the library's kernels with the driver of the Vulkan device that is found,
 * and prints what its compiler says, a line a pipeline, fields separated by tabs. Nothing is executed, so that the
 * device may as well be a pretended one (tools/portability).
 *
 *   vkattn-offline [--defaults] [--limit SECONDS] [--only CASES] [--code FOLDER]
 *   vkattn-offline --kernels   the kernels that this build's shader compiler could compile, a line each; needs no
 * device
 *
 *   --defaults   only what the library chooses by itself, not the paths that a description can ask for
 *   --limit      processor time for a case that is not a default choice; 0, the default: no limit
 *   --only       cases whose name begins with this
 *   --code       what the driver shows of its code goes there: CASE.PATH.KERNEL, where path 0 is the default choice
 *
 * Exit status: 0; 1 when a default choice spills registers or can't be compiled, or when any kernel loads matrices from
 * misaligned places in shared memory; 2 usage; 77 no Vulkan device.
 * SPDX-License-Identifier: MIT */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "capture.h"
#include "cases.h"
#include "spirv.h"

enum { EXIT_FAULT = 1, EXIT_USAGE = 2, EXIT_SKIP = 77 };
#define MAX_PATHS 16

typedef struct options {
    bool defaults;
    unsigned limit;
    const char *only, *code;
} options;

/* Drivers crash on shaders, and then the others shall still be compiled: each case has a process and a device of its
 * own, and sends this back. */
typedef struct answer {
    vka_status status;
    char device[256], driver[256], path[32], shared[32];
    char error[256]; /* the library's last */
    capture capture;
} answer;

/* ---- in the child ---------------------------------------------------------------------------------------------- */

static void on_log(void *user, vka_log_level level, const char *item, const char *message) {
    answer *a = user;
    if (level == VKA_LOG_ERROR)
        snprintf(a->error, sizeof a->error, "%s: %s", item, message);
}

/* A fact of an explanation: "key: value" in a line of its own. */
static void find_fact(const char *text, const char *key, char *value, size_t capacity) {
    char pattern[32];
    snprintf(pattern, sizeof pattern, "\n%s: ", key);
    const char *at = strstr(text, pattern + 1), *line = strstr(text, pattern);
    if (line)
        at = line + 1;
    snprintf(value, capacity, "-");
    if (at) {
        at += strlen(pattern + 1);
        snprintf(value, capacity, "%.*s", (int)strcspn(at, "\n"), at);
    }
}

static void compile(const offline_case *c, uint32_t path, const char *code, answer *a) {
    vka_device_desc desc = {.log = {.fn = on_log, .user = a}, .get_instance_proc_addr = capture_loader()};
    vka_device *device = NULL;
    a->status = desc.get_instance_proc_addr ? vka_device_create(&desc, &device) : VKA_NO_DEVICE;
    if (a->status != VKA_OK)
        return;
    const vka_device_caps *caps = vka_device_get_caps(device);
    memcpy(a->device, caps->name, sizeof a->device);
    memcpy(a->driver, caps->driver, sizeof a->driver);
    char text[4096] = "", name[256];
    snprintf(name, sizeof name, "%s/%s.%u", code ? code : "", c->name, path);
    capture_code_to(code ? name : NULL);
    a->status = offline_compile(device, c, path, text, sizeof text);
    find_fact(text, "path", a->path, sizeof a->path);
    find_fact(text, "shared_bytes", a->shared, sizeof a->shared);
    a->capture = *capture_get();
}

static void write_all(int fd, const void *data, size_t size) {
    for (const char *p = data; size;) {
        ssize_t n = write(fd, p, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return;
        p += n;
        size -= (size_t)n;
    }
}

/* Processor time and not a clock's, so that the answer does not depend on who else computes here. */
static void limit_time(unsigned seconds) {
    if (seconds)
        setrlimit(RLIMIT_CPU, &(struct rlimit){seconds, seconds});
}

/* ---- in the parent --------------------------------------------------------------------------------------------- */

static size_t read_all(int fd, void *data, size_t size) {
    size_t done = 0;
    while (done < size) {
        ssize_t n = read(fd, (char *)data + done, size - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        done += (size_t)n;
    }
    return done;
}

/* false: the answer says that the child died, and of what. */
static bool ask(const offline_case *c, uint32_t path, const options *o, answer *a) {
    unsigned limit = path ? o->limit : 0;
    *a = (answer){.status = VKA_DRIVER_ERROR};
    int ends[2];
    fflush(NULL);
    if (pipe(ends) != 0)
        return false;
    pid_t child = fork();
    if (child == 0) {
        close(ends[0]);
        limit_time(limit);
        compile(c, path, o->code, a);
        write_all(ends[1], a, sizeof *a);
        _exit(0); /* tidying up would give drivers one more chance to crash */
    }
    close(ends[1]);
    bool complete = child > 0 && read_all(ends[0], a, sizeof *a) == sizeof *a;
    close(ends[0]);
    int status = 0;
    if (child > 0)
        waitpid(child, &status, 0);
    if (complete)
        return true;
    *a = (answer){.status = VKA_DRIVER_ERROR};
    int signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    if (limit && (signal == SIGXCPU || signal == SIGKILL))
        snprintf(a->error, sizeof a->error, "not compiled after %u s", limit);
    else
        snprintf(a->error, sizeof a->error, "the driver crashed, signal %d", signal);
    return false;
}

static void print_value(bool known, uint64_t value) {
    if (known)
        printf("\t%llu", (unsigned long long)value);
    else
        printf("\t-");
}

static void print_pipeline(const offline_case *c, const answer *a, const char *choice, const capture_pipeline *p) {
    const statistics *s = &p->statistics;
    printf("%s\t%s\t%s\t%s\t%s\t%s", a->device, a->driver, c->name, a->path, choice, p->kernel);
    print_value(s->subgroup != 0, s->subgroup);
    print_value(s->known[STAT_REGISTERS], s->value[STAT_REGISTERS]);
    print_value(s->known[STAT_SPILLS], s->value[STAT_SPILLS]);
    print_value(s->known[STAT_SCRATCH], s->value[STAT_SCRATCH]);
    print_value(s->known[STAT_OCCUPANCY], s->value[STAT_OCCUPANCY]);
    /* Drivers that don't tell: as planned, for the first kernel, which is the only one that has any. */
    if (s->known[STAT_SHARED] || p != a->capture.pipelines)
        print_value(s->known[STAT_SHARED], s->value[STAT_SHARED]);
    else
        printf("\t%s", a->shared);
    print_value(s->known[STAT_INSTRUCTIONS], s->value[STAT_INSTRUCTIONS]);
    print_value(s->matrix_known, s->matrix_ops);
    printf("\t%.0f\tok", p->milliseconds);
    print_value(s->places != 0, s->misaligned);
    printf("\n");
}

/* Prints an answer; false when it is a fault, as to spill or to fail is one of a default choice only. */
static bool report(const offline_case *c, const answer *a, bool is_default) {
    bool good = true;
    const char *choice = is_default ? "default" : "forced";
    for (uint32_t i = 0; i < a->capture.count; ++i) {
        const statistics *s = &a->capture.pipelines[i].statistics;
        print_pipeline(c, a, choice, &a->capture.pipelines[i]);
        good = good && !s->misaligned && !(is_default && s->value[STAT_SPILLS]);
    }
    if (a->status != VKA_OK) {
        printf("%s\t%s\t%s\t%s\t%s\t-\t-\t-\t-\t-\t-\t-\t-\t-\t-\t%s\t-\n", a->device, a->driver, c->name,
               a->path[0] ? a->path : "-", choice, a->error[0] ? a->error : vka_status_string(a->status));
        good = good && !is_default;
    }
    return good;
}

/* Every path that is not the default one, until the library knows no more; false when one has a fault. */
static bool forced(const offline_case *c, const char *default_path, const options *o) {
    bool good = true;
    for (uint32_t path = 1; path < MAX_PATHS; ++path) {
        answer a;
        bool alive = ask(c, path, o, &a);
        if (alive && a.status == VKA_INVALID)
            break;
        if ((alive && a.status == VKA_UNSUPPORTED) || !strcmp(a.path, default_path))
            continue;
        if (!alive)
            snprintf(a.path, sizeof a.path, "%u", path);
        good = report(c, &a, false) && good;
    }
    return good;
}

static bool parse(int argc, char **argv, options *o) {
    for (int i = 1; i < argc; ++i) {
        if (!strcmp(argv[i], "--defaults"))
            o->defaults = true;
        else if (!strcmp(argv[i], "--limit") && i + 1 < argc)
            o->limit = (unsigned)strtoul(argv[++i], NULL, 10);
        else if (!strcmp(argv[i], "--only") && i + 1 < argc)
            o->only = argv[++i];
        else if (!strcmp(argv[i], "--code") && i + 1 < argc)
            o->code = argv[++i];
        else
            return false;
    }
    return true;
}

static void list_kernels(void) {
    for (const struct vka__spirv *k = vka__spirv_table; k->name; ++k) {
        if (k->words)
            puts(k->name);
    }
}

int main(int argc, char **argv) {
    bool good = true;
    options o = {.only = ""};
    if (argc == 2 && !strcmp(argv[1], "--kernels")) {
        list_kernels();
        return 0;
    }
    if (!parse(argc, argv, &o)) {
        fprintf(stderr,
                "usage: vkattn-offline [--defaults] [--limit SECONDS] [--only CASES] [--code FOLDER] | --kernels\n");
        return EXIT_USAGE;
    }
    offline_case cases[OFFLINE_MAX_CASES];
    uint32_t count = offline_cases(cases);
    printf("device\tdriver\tcase\tpath\tchoice\tkernel\tsubgroup\tregisters\tspills\tscratch\toccupancy\tshared\t"
           "instructions\tmatrix\tms\tstatus\tmisaligned\n");
    for (uint32_t i = 0; i < count; ++i) {
        answer a;
        if (strncmp(cases[i].name, o.only, strlen(o.only)) != 0)
            continue;
        ask(&cases[i], 0, &o, &a);
        if (a.status == VKA_NO_DEVICE) {
            fprintf(stderr, "vkattn-offline: no Vulkan device: %s\n", a.error);
            return EXIT_SKIP;
        }
        good = report(&cases[i], &a, true) && good;
        if (!o.defaults)
            good = forced(&cases[i], a.path, &o) && good;
    }
    return good ? 0 : EXIT_FAULT;
}
