/* Attention over a ring of GPUs (Liu 2023, "Ring Attention"): each has its own tokens' queries, keys and values, blocks
 * of keys and values go around, and what a rank made of each block is merged by its log-sum-exp. So no GPU has all
 * keys, and transfers are hidden behind attention. SPDX-License-Identifier: MIT
 *
 * Ranks are processes of MPI or threads of this program; ring/worker.h is what a rank does, ring/forward.c and
 * ring/backward.c its passes, ring/shards.h who has which tokens. */
#include "common/options.h"
#include "common/program.h"
#include "ring/reference.h"
#include "ring/timeline.h"
#include "ring/transport.h"
#include "ring/worker.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char program_name[] = "vkattn-ring";

static const char usage[] =
    "usage: vkattn-ring [--devices N | --blocks N] [option ..]\n"
    "       mpirun -n N vkattn-ring --mpi [option ..]\n"
    "\n"
    "Attention whose keys and values are divided among ranks and pass around a ring, forward and backward.\n"
    "\n"
    "  --devices N      N ranks in this process, each with a device of its own (1); GPUs are shared where there are "
    "fewer\n"
    "  --blocks N       N blocks on one device: what N ranks compute, in the same order\n"
    "  --mpi            a rank for each process of MPI; those of a machine take its GPUs in turn\n"
    "\n"
    "  --tokens N       of all ranks together, at least two for each (512)\n"
    "  --heads N        of queries (4)\n"
    "  --kv-heads N     of keys and values (2)\n"
    "  --dim N          of a head (32)\n"
    "  --f16            q, k, v and their output's gradient in f16; results are f32\n"
    "  --causal         queries see no later keys\n"
    "  --contiguous     a rank's tokens lie side by side, not in the zigzag that balances causal work\n"
    "  --backward       gradients, too\n"
    "  --seed N         of the inputs (1)\n"
    "\n"
    "  --check          compare with the definition in float64 (small sizes: it takes tokens x tokens)\n"
    "  --timeline FILE  an SVG picture of what each rank computed, sent and received when\n"
    "  --timeout S      seconds in which something has to happen, or else the program fails (60); ten times as many\n"
    "                   until all ranks have compiled their kernels\n"
    "  --link X         of --devices and --blocks: pass on X MB a second, to see what such a network would do\n"
    "  --die-at N, --hang-at N, --fault-rank N   for tests: that rank (0) kills itself, or stops, in step N\n"
    "\n"
    "Digests are of the results' bits: N ranks have the same ones as N blocks, on devices of one kind.\n"
    "Exit status: 0; 1 if something failed or results are wrong; 2 if arguments are.\n";

enum { NOT_GIVEN = 1000000000, MOST_RANKS = 1024 };

typedef struct options {
    problem problem;
    uint32_t devices, blocks; /* or NOT_GIVEN */
    bool mpi, check;
    const char *timeline;
    float timeout, link;
    fault fault;
} options;

/* What a rank tells the others. */
typedef struct report {
    uint64_t digests[RESULTS];
    ref_error errors[RESULTS];
    timeline_sums sums[PASSES];
    uint64_t pairs, bytes; /* of the device's memory at most */
    char device[64];
} report;

/* ---- a rank -------------------------------------------------------------------------------------------------- */

/* Sums of numbers of each element's place and bits: the same in any order. */
static uint64_t digest(const worker *w, result which, const float *values) {
    const shards *s = &w->problem->shards;
    const uint32_t width = worker_width(w, which);
    uint64_t sum = 0;
    for (uint32_t row = 0; row < w->rows; row++) {
        const uint64_t first = (uint64_t)shards_token(s, w->transport->rank, row) * width;
        for (uint32_t c = 0; c < width; c++) {
            uint32_t bits;
            memcpy(&bits, values++, sizeof bits);
            sum += mixed_bits(mixed_bits(first + c) ^ bits);
        }
    }
    return sum;
}

static bool judge(worker *w, bool check_too, report *r) {
    const int results = w->problem->backward ? RESULTS : RESULT_D_Q;
    float *values[RESULTS] = {0};
    bool ok = true;
    for (int i = 0; i < results && ok; i++) {
        values[i] = allocate((size_t)w->rows * worker_width(w, (result)i), sizeof(float));
        ok = worker_read(w, (result)i, values[i]);
        r->digests[i] = ok ? digest(w, (result)i, values[i]) : 0;
    }
    if (ok && check_too) {
        reference_compare(w->problem, w->transport->rank, values, r->errors);
    }
    for (int i = 0; i < results; i++) {
        free(values[i]);
    }
    return ok;
}

static void describe(const worker *w, report *r) {
    const shards *s = &w->problem->shards;
    snprintf(r->device, sizeof r->device, "%.63s", vka_device_get_caps(w->device)->name);
    r->bytes = vka_device_memory(w->device).bytes_peak;
    for (uint32_t block = 0; block < s->ranks; block++) {
        shards_part part = shards_seen(s, w->problem->causal, w->transport->rank, block);
        r->pairs += shards_pairs(&part);
    }
    for (int pass = 0; pass < PASSES; pass++) {
        r->sums[pass] = timeline_sum(&w->timeline, (event_pass)pass);
    }
}

/* ---- what rank 0 prints ------------------------------------------------------------------------------------------ */

static void print_ranks(const problem *p, const report *reports) {
    uint64_t pairs = 0;
    for (uint32_t rank = 0; rank < p->shards.ranks; rank++) {
        pairs += reports[rank].pairs;
    }
    for (uint32_t rank = 0; rank < p->shards.ranks; rank++) {
        const report *r = &reports[rank];
        printf("rank %-3" PRIu32 "   %" PRIu32 " tokens, %.1f %% of the work, %.1f MB, %s\n", rank,
               shards_rows(&p->shards, rank), 100 * (double)r->pairs / (double)pairs, (double)r->bytes / 1e6,
               r->device);
    }
}

/* Of the rank that took longest. */
static void print_times(const problem *p, const report *reports) {
    static const char *const names[PASSES] = {"forward", "backward"};
    for (int pass = 0; pass < (p->backward ? PASSES : PASS_BACKWARD); pass++) {
        const timeline_sums *worst = &reports[0].sums[pass];
        for (uint32_t rank = 1; rank < p->shards.ranks; rank++) {
            worst = reports[rank].sums[pass].whole > worst->whole ? &reports[rank].sums[pass] : worst;
        }
        printf("%-10s %.4f s, %.4f s of it computing", names[pass], worst->whole, worst->computing);
        if (worst->passing > 0) {
            printf("; %.0f %% of %.4f s of transfers meanwhile", 100 * worst->hidden / worst->passing, worst->passing);
        }
        putchar('\n');
    }
}

static bool print_results(const options *o, const report *reports) {
    bool good = true;
    for (int i = 0; i < (o->problem.backward ? RESULTS : RESULT_D_Q); i++) {
        uint64_t sum = 0;
        ref_error error = {0};
        for (uint32_t rank = 0; rank < o->problem.shards.ranks; rank++) {
            sum += reports[rank].digests[i];
            ref_error_join(&error, &reports[rank].errors[i]);
        }
        printf("digest     %-3s %016" PRIx64, result_names[i], sum);
        if (o->check) {
            bool right = ref_error_ok(&error);
            printf("   off by %.2g, unfused by %.2g: %s", error.out, error.naive, right ? "right" : "WRONG");
            good = good && right;
        }
        putchar('\n');
    }
    return good;
}

static bool save_timelines(const options *o, const worker *w, const event *events, const timeline *own) {
    const uint32_t ranks = w->transport->ranks;
    timeline *all = allocate(ranks, sizeof *all);
    char caption[256];
    for (uint32_t rank = 0; rank < ranks; rank++) {
        all[rank] = (timeline){own->most, own->most, (event *)events + (size_t)rank * own->most};
    }
    const problem *p = &o->problem;
    int length = snprintf(caption, sizeof caption, "%u ranks (%s), %u tokens, %u heads over %u, D = %u, %s, %s, %s",
                          ranks, w->transport->name, p->shards.tokens, p->heads, p->kv_heads, p->dim,
                          p->dtype == VKA_F16 ? "f16" : "f32", p->causal ? "causal" : "not causal",
                          p->shards.order == SHARDS_ZIGZAG ? "zigzag" : "contiguous");
    if (o->link > 0) {
        snprintf(caption + length, sizeof caption - (size_t)length, ", links of %g MB/s", (double)o->link);
    }
    bool ok = timeline_save(o->timeline, all, ranks, p->backward, caption);
    free(all);
    return ok;
}

static bool share_timelines(const options *o, worker *w) {
    const timeline *t = &w->timeline;
    event *events = allocate((size_t)w->transport->ranks * t->most, sizeof *events);
    memcpy(events + (size_t)w->transport->rank * t->most, t->events, t->count * sizeof *events);
    bool ok = worker_gather(w, events, t->most * sizeof *events);
    if (ok && w->transport->rank == 0) {
        ok = save_timelines(o, w, events, t);
    }
    free(events);
    return ok;
}

static bool share_reports(const options *o, worker *w, const report *own) {
    report *all = allocate(w->transport->ranks, sizeof *all);
    all[w->transport->rank] = *own;
    bool ok = worker_gather(w, all, sizeof *all);
    if (ok && w->transport->rank == 0) {
        print_ranks(&o->problem, all);
        print_times(&o->problem, all);
        ok = print_results(o, all);
        fflush(stdout);
    }
    free(all);
    return ok;
}

/* device: shared, or NULL. */
static bool run_rank(const options *o, transport *t, vka_device *device) {
    worker w = {.problem = &o->problem, .transport = t, .fault = o->fault, .timeout = o->timeout};
    report own = {0};
    bool ok = worker_create(&w, device) && worker_prepare(&w) && worker_forward(&w) &&
              (!o->problem.backward || worker_backward(&w));
    if (ok) {
        describe(&w, &own);
        ok = judge(&w, o->check, &own) && (o->timeline == NULL || share_timelines(o, &w)) && share_reports(o, &w, &own);
    }
    t->leave(t, !ok);
    worker_destroy(&w);
    return ok;
}

/* ---- all ranks --------------------------------------------------------------------------------------------------- */

typedef struct thread {
    const options *options;
    transport *transport;
    vka_device *device;
    bool ok;
} thread;

static void *run_thread(void *user) {
    thread *t = user;
    t->ok = run_rank(t->options, t->transport, t->device);
    return NULL;
}

static bool run_threads(const options *o) {
    const uint32_t ranks = o->problem.shards.ranks;
    thread_ring *ring = thread_ring_create(ranks, o->link);
    thread *threads = allocate(ranks, sizeof *threads);
    pthread_t *ids = allocate(ranks, sizeof *ids);
    vka_device *shared = NULL;
    bool ok = true;
    if (o->blocks != NOT_GIVEN) {
        check(vka_device_create(&(vka_device_desc){.log = {.fn = log_line}}, &shared));
    }
    for (uint32_t i = 0; i < ranks; i++) {
        threads[i] = (thread){.options = o, .transport = thread_ring_rank(ring, i), .device = shared};
        if (pthread_create(&ids[i], NULL, run_thread, &threads[i])) {
            fail("there are no more threads");
        }
    }
    for (uint32_t i = 0; i < ranks; i++) {
        pthread_join(ids[i], NULL);
        ok = ok && threads[i].ok;
    }
    vka_device_destroy(&shared);
    thread_ring_destroy(ring);
    free(threads);
    free(ids);
    return ok;
}

static bool usable(const options *o) {
    const problem *p = &o->problem;
    const char *wrong = p->shards.ranks < 1 || p->shards.ranks > MOST_RANKS ? "there must be 1 to 1024 ranks"
                        : p->shards.tokens < 2 * p->shards.ranks            ? "there must be two tokens for each rank"
                        : p->kv_heads < 1 || p->heads < 1 || p->heads % p->kv_heads
                            ? "heads must be a multiple of heads of keys"
                        : p->dim < 1 || p->dim > 512 ? "--dim must be 1 to 512"
                        : o->timeout <= 0            ? "--timeout must be more than 0"
                                                     : NULL;
    if (wrong) {
        fprintf(stderr, "%s: %s\n", program_name, wrong);
    }
    return wrong == NULL;
}

static bool run_mpi(options *o, int *argc, char ***argv, int *status) {
    transport *t = mpi_ring_start(argc, argv);
    if (t == NULL) {
        return false;
    }
    o->problem.shards.ranks = t->ranks;
    bool fits = usable(o), ok = fits && run_rank(o, t, NULL);
    *status = fits ? 1 : 2;
    mpi_ring_finish();
    return ok;
}

static void parse(int argc, char **argv, options *o) {
    problem *p = &o->problem;
    bool f16 = false, contiguous = false;
    uint32_t die = NOT_GIVEN, hang = NOT_GIVEN;
    const option list[] = {
        {"--devices", OPTION_NUMBER, &o->devices},
        {"--blocks", OPTION_NUMBER, &o->blocks},
        {"--mpi", OPTION_FLAG, &o->mpi},
        {"--tokens", OPTION_NUMBER, &p->shards.tokens},
        {"--heads", OPTION_NUMBER, &p->heads},
        {"--kv-heads", OPTION_NUMBER, &p->kv_heads},
        {"--dim", OPTION_NUMBER, &p->dim},
        {"--f16", OPTION_FLAG, &f16},
        {"--causal", OPTION_FLAG, &p->causal},
        {"--contiguous", OPTION_FLAG, &contiguous},
        {"--backward", OPTION_FLAG, &p->backward},
        {"--seed", OPTION_NUMBER, &p->seed},
        {"--check", OPTION_FLAG, &o->check},
        {"--timeline", OPTION_TEXT, &o->timeline},
        {"--timeout", OPTION_REAL, &o->timeout},
        {"--link", OPTION_REAL, &o->link},
        {"--die-at", OPTION_NUMBER, &die},
        {"--hang-at", OPTION_NUMBER, &hang},
        {"--fault-rank", OPTION_NUMBER, &o->fault.rank},
    };
    options_read(argc, argv, list, sizeof list / sizeof *list, usage);
    const bool devices = o->devices != NOT_GIVEN, blocks = o->blocks != NOT_GIVEN;
    options_check(usage, o->mpi + devices + blocks > 1 ? "--devices, --blocks and --mpi exclude each other"
                         : o->mpi && o->link > 0       ? "--link is for --devices and --blocks"
                                                       : NULL);
    p->dtype = f16 ? VKA_F16 : VKA_F32;
    p->shards.order = contiguous ? SHARDS_CONTIGUOUS : SHARDS_ZIGZAG;
    p->shards.ranks = blocks ? o->blocks : devices ? o->devices : 1;
    o->fault.kind = die != NOT_GIVEN ? FAULT_DIE : hang != NOT_GIVEN ? FAULT_HANG : FAULT_NONE;
    o->fault.step = die != NOT_GIVEN ? die : hang;
}

int main(int argc, char **argv) {
    options o = {
        .problem = {.shards = {.tokens = 512}, .heads = 4, .kv_heads = 2, .dim = 32, .seed = 1},
        .devices = NOT_GIVEN,
        .blocks = NOT_GIVEN,
        .timeout = 60,
    };
    int status = 1;
    parse(argc, argv, &o);
    if (!o.mpi && !usable(&o)) {
        return 2;
    }
    return (o.mpi ? run_mpi(&o, &argc, &argv, &status) : run_threads(&o)) ? 0 : status;
}
