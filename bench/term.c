/* The terminal: colours, a line of progress, and Ctrl-C.
 *
 * The line of progress is on stderr and only there, so results can be redirected. A thread redraws it each second,
 * since a driver that compiles may not return for half a minute. SPDX-License-Identifier: MIT */
#include "bench.h"
#include "system.h"

#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* ---- colours ----------------------------------------------------------------------------------------------------- */

/* https://no-color.org: set, and not empty. */
static bool coloured(int fd) {
    const char *no = getenv("NO_COLOR");
    return bench_system_terminal(fd) && !(no && *no);
}

const char *bench_style(bench_colour colour) {
    static const char *const codes[] = {
        [BENCH_PLAIN] = "\033[0m", [BENCH_BOLD] = "\033[1m",   [BENCH_FAINT] = "\033[2m",
        [BENCH_GOOD] = "\033[32m", [BENCH_BAD] = "\033[1;31m", [BENCH_WARNING] = "\033[1;33m",
    };
    return coloured(STDOUT_FILENO) ? codes[colour] : "";
}

/* ---- Ctrl-C ------------------------------------------------------------------------------------------------------ */

static volatile sig_atomic_t stopped;

static void on_interrupt(int number) {
    static const char text[] = "\nvkattn-bench: stopping after this call; Ctrl-C again ends at once\n";
    (void)number;
    stopped = 1;
    ssize_t written = write(STDERR_FILENO, text, sizeof text - 1);
    (void)written;
}

/* The second one finds the default action. */
void bench_catch_interrupt(void) {
    bench_system_catch_interrupt(on_interrupt);
}

bool bench_stopped(void) {
    return stopped != 0;
}

/* ---- progress ---------------------------------------------------------------------------------------------------- */

#define BAR           16
#define PLAIN_EVERY_S 10

static struct {
    pthread_mutex_t lock;
    pthread_cond_t end;
    pthread_t thread;
    bool running, ticking; /* between start and end; is there a thread? */
    bool shown, paused;    /* is there a line to be wiped?              */
    size_t done, steps;
    double start_ms, budget_s, plain_ms;
    char text[128];
} progress = {.lock = PTHREAD_MUTEX_INITIALIZER, .end = PTHREAD_COND_INITIALIZER};

static const char *clock_text(double seconds, char text[BENCH_NUMBER_SIZE]) {
    double whole = floor(fmin(fmax(seconds, 0), 359999) + 0.5);
    int s = (int)whole;
    if (s < 3600) {
        snprintf(text, BENCH_NUMBER_SIZE, "%d:%02d", s / 60, s % 60);
    } else {
        snprintf(text, BENCH_NUMBER_SIZE, "%d:%02d:%02d", s / 3600, s / 60 % 60, s % 60);
    }
    return text;
}

/* As many seconds for each step that is left as for those that are done, and no more than there are to spend. */
static double remaining_s(double elapsed_s) {
    double by_steps =
        progress.done ? elapsed_s / (double)progress.done * (double)(progress.steps - progress.done) : INFINITY;
    return fmin(by_steps, fmax(0, progress.budget_s - elapsed_s));
}

static void describe(char *line, size_t capacity, bool bar) {
    char elapsed[BENCH_NUMBER_SIZE], left[BENCH_NUMBER_SIZE], filled[2 * BAR + 4] = "";
    double seconds = (bench_now_ms() - progress.start_ms) / 1e3, remaining = remaining_s(seconds);
    if (bar) {
        size_t full = progress.steps ? BAR * progress.done / progress.steps : 0;
        snprintf(filled, sizeof filled, "[%.*s%.*s]", (int)full, "################", (int)(BAR - full),
                 "................");
    }
    snprintf(line, capacity, "%s %zu/%zu, %s%s%s%s: %s", filled, progress.done, progress.steps,
             clock_text(seconds, elapsed), isfinite(remaining) ? ", about " : "",
             isfinite(remaining) ? clock_text(remaining, left) : "", isfinite(remaining) ? " left" : "", progress.text);
}

/* With the lock. */
static void wipe(void) {
    if (progress.shown) {
        fputs("\r\033[K", stderr);
        fflush(stderr);
        progress.shown = false;
    }
}

static void draw(void) {
    char line[256];
    int columns = bench_system_columns();
    describe(line, sizeof line, true);
    fprintf(stderr, "\r\033[K%.*s", (columns ? columns : 80) - 1, line);
    fflush(stderr);
    progress.shown = true;
}

static void *tick(void *unused) {
    (void)unused;
    pthread_mutex_lock(&progress.lock);
    while (progress.running) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec++;
        pthread_cond_timedwait(&progress.end, &progress.lock, &until);
        if (progress.running && !progress.paused) {
            draw();
        }
    }
    pthread_mutex_unlock(&progress.lock);
    return NULL;
}

void bench_progress_start(size_t steps, double budget_s) {
    pthread_mutex_lock(&progress.lock);
    progress.running = progress.paused = true;
    progress.done = 0;
    progress.steps = steps;
    progress.budget_s = budget_s;
    progress.start_ms = progress.plain_ms = bench_now_ms();
    pthread_mutex_unlock(&progress.lock);
    /* Signals are for the main thread. */
    progress.ticking = bench_system_terminal(STDERR_FILENO) && bench_system_thread(&progress.thread, tick);
}

void bench_progress_step(size_t done, const char *text) {
    pthread_mutex_lock(&progress.lock);
    progress.done = done < progress.steps ? done : progress.steps;
    progress.paused = false;
    snprintf(progress.text, sizeof progress.text, "%s", text);
    if (bench_system_terminal(STDERR_FILENO)) {
        draw();
    } else if (bench_now_ms() - progress.plain_ms > PLAIN_EVERY_S * 1e3) {
        char line[256];
        describe(line, sizeof line, false);
        fprintf(stderr, "vkattn-bench:%s\n", line);
        progress.plain_ms = bench_now_ms();
    }
    pthread_mutex_unlock(&progress.lock);
}

void bench_progress_pause(void) {
    pthread_mutex_lock(&progress.lock);
    wipe();
    progress.paused = true;
    pthread_mutex_unlock(&progress.lock);
}

void bench_progress_end(void) {
    pthread_mutex_lock(&progress.lock);
    wipe();
    progress.running = false;
    pthread_cond_signal(&progress.end);
    pthread_mutex_unlock(&progress.lock);
    if (progress.ticking) {
        pthread_join(progress.thread, NULL);
        progress.ticking = false;
    }
}

void bench_note(const char *format, ...) {
    va_list args;
    pthread_mutex_lock(&progress.lock);
    wipe();
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    pthread_mutex_unlock(&progress.lock);
}

/* ---- results of what was stopped --------------------------------------------------------------------------------- */

char *bench_spare_file(const char *kind) {
    char date[32], *name = malloc(4096);
    time_t now = time(NULL);
    strftime(date, sizeof date, "%Y%m%d-%H%M%S", localtime(&now));
    int n = name ? snprintf(name, 4096, "%s/vkattn-bench-%s-%s-%ld.json", bench_system_temporary(), kind, date,
                            (long)getpid())
                 : -1;
    int fd = n > 0 && n < 4096 ? open(name, O_WRONLY | O_CREAT | O_EXCL, 0666) : -1;
    if (fd < 0) {
        free(name);
        return NULL;
    }
    close(fd);
    return name;
}
